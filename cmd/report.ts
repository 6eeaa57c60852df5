/** Results of reports and queries as text. */

/** A table of values; addresses and times are text. */
export interface ReportTable {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly ReportValue[])[]
}

/** One value. */
export type ReportValue = string | number | bigint | boolean | null

/** How a report can be printed. */
export const REPORT_OUTPUTS = ['table', 'json', 'csv', 'markdown'] as const

/** The text of a table: `json` is one object a line, `csv` follows RFC 4180. */
export function renderReport(table: ReportTable, output: (typeof REPORT_OUTPUTS)[number]): string {
  switch (output) {
    case 'table': return renderTable(table)
    case 'json': return table.rows.map((row) => `{${table.columns.map((name, i) => `${JSON.stringify(name)}:${jsonOf(row[i])}`).join()}}\n`).join('')
    case 'csv': return [table.columns, ...table.rows].map((row) => `${row.map(csvOf).join()}\n`).join('')
    case 'markdown': return [table.columns, table.columns.map(() => '---'), ...table.rows]
      .map((row) => `| ${row.map((value) => textOf(value).replaceAll('|', '\\|')).join(' | ')} |\n`).join('')
  }
}

function renderTable({ columns, rows }: ReportTable): string {
  const cells = [columns.map(String), ...rows.map((row) => row.map(textOf))]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i].length)))
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] !== 'string'))
  const line = (row: readonly string[]) => row.map((cell, i) => numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
  return cells.map((row) => `${line(row).join('  ').trimEnd()}\n`).join('')
}

function textOf(value: ReportValue): string {
  return value === null ? '-' : String(value)
}

function jsonOf(value: ReportValue): string {
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}

function csvOf(value: ReportValue): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
