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

/**
 * The text of a table: `json` is one object a line, `csv` follows RFC 4180.
 *
 * Columns of the same name are numbered, `bytes` and `bytes_2`: JSON has each key once.
 */
export function renderReport(
  { columns, rows }: ReportTable, output: (typeof REPORT_OUTPUTS)[number],
): string {
  const table = { columns: distinct(columns), rows }
  switch (output) {
    case 'table': return renderTable(table)
    case 'json': return renderJson(table)
    case 'csv': return linesOf([table.columns, ...table.rows], (row) => row.map(csvOf).join())
    case 'markdown': return linesOf([table.columns, table.columns.map(() => '---'), ...table.rows],
      (row) => `| ${row.map((value) => textOf(value).replaceAll('|', '\\|')).join(' | ')} |`)
  }
}

function distinct(names: readonly string[]): string[] {
  const taken = new Set(names)
  const seen = new Set<string>()
  return names.map((name) => {
    if (!seen.has(name)) {
      seen.add(name)
      return name
    }
    let n = 2
    while (taken.has(`${name}_${n}`)) n++
    taken.add(`${name}_${n}`)
    return `${name}_${n}`
  })
}

function linesOf<Row>(rows: readonly Row[], text: (row: Row) => string): string {
  return rows.map((row) => `${text(row)}\n`).join('')
}

function renderJson({ columns, rows }: ReportTable): string {
  const keys = columns.map((name) => `${JSON.stringify(name)}:`)
  return linesOf(rows, (row) => `{${keys.map((key, i) => key + jsonOf(row[i])).join()}}`)
}

function renderTable({ columns, rows }: ReportTable): string {
  const cells = [columns.map(textOf), ...rows.map((row) => row.map(textOf))]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i].length)))
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] !== 'string'))
  const pad = (cell: string, i: number) => numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
  return linesOf(cells, (row) => row.map(pad).join('  ').trimEnd())
}

/** A value in one line; control characters, which a terminal would obey, are `?`. */
function textOf(value: ReportValue): string {
  return value === null ? '-' : String(value).replaceAll(/\p{Cc}/gu, '?')
}

function jsonOf(value: ReportValue): string {
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}

function csvOf(value: ReportValue): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
