import { readLedger, type ArchivedLedgerRow } from '../../core/archive/ledger-files.ts'
import type { Window } from '../../core/duck/survey.ts'
import type { FlowReader } from '../../core/flow/stream.ts'
import { formatTime } from '../../core/flow/time.ts'
import { completeness, missingOf } from '../../core/query/completeness.ts'
import { addToSummary, newSummary, type Summary } from '../../core/query/summary.ts'
import type { Input, InputFault } from '../../formats/locations.ts'
import type { Io } from '../io.ts'
import { renderReport, type ReportTable } from '../report.ts'

/** What `flowkit read --summary` is asked for. */
export interface SummaryRequest extends Window {
  readonly inputs: readonly Input[]
  /** `json`; all else is text. */
  readonly output: string | undefined
  onFault(fault: InputFault): void
}

/**
 * Print counts, the time window and the exporters of flows, and the ledger of the archives among the inputs.
 *
 * @returns how many flows there were
 */
export async function printSummary(reader: FlowReader, request: SummaryRequest, io: Io): Promise<number> {
  const summary = newSummary()
  const done = io.talk.progress(() => `${summary.records} flows read`)
  for await (const batch of reader) {
    io.signal.throwIfAborted()
    addToSummary(summary, batch)
  }
  done()
  const ledger = await ledgerOf(request)
  const told = summaryObject(summary, ledger)
  await io.write(request.output === 'json' ? `${JSON.stringify(told)}\n` : summaryText(told))
  return summary.records
}

/** An exporter is there once for each archive, since archives are of collectors of their own. */
async function ledgerOf({ inputs, since, until, onFault }: SummaryRequest): Promise<ArchivedLedgerRow[]> {
  const rows: ArchivedLedgerRow[] = []
  for (const { name, format } of inputs) {
    if (format.name !== 'archive') continue
    const report = (fault: Omit<InputFault, 'input'>) => onFault({ ...fault, input: name })
    rows.push(...await readLedger(name, { since, until, onFault: report }))
  }
  return rows
}

/** A summary as it is printed in JSON. */
interface SummaryObject {
  readonly records: number
  readonly flows: number
  readonly bytes: number
  readonly packets: number
  readonly first_seen?: string
  readonly last_seen?: string
  readonly types: Readonly<Record<string, number>>
  readonly exporters: Readonly<Record<string, number>>
  readonly ledger?: readonly ArchivedLedgerRow[]
}

function summaryObject(summary: Summary, ledger: readonly ArchivedLedgerRow[]): SummaryObject {
  const { records, flows, bytes, packets, firstSeen, lastSeen, exporters, types } = summary
  return {
    records, flows, bytes, packets,
    ...Number.isFinite(firstSeen) && { first_seen: formatTime(firstSeen) },
    ...Number.isFinite(lastSeen) && { last_seen: formatTime(lastSeen) },
    types: Object.fromEntries(types), exporters: Object.fromEntries(exporters),
    ...ledger.length > 0 && { ledger },
  }
}

function summaryText({ types, exporters, ledger, ...rest }: SummaryObject): string {
  const lines = Object.entries(rest).map(([key, value]) => `${key.replace('_', ' ').padEnd(12)}${value}`)
  for (const [title, counts] of Object.entries({ types, exporters })) {
    const entries = Object.entries(counts).sort((a, b) => b[1] - a[1])
    if (entries.length === 0) continue
    lines.push(title, ...entries.map(([name, count]) => `  ${name.padEnd(40)}${count}`))
  }
  if (ledger) {
    const table = renderReport(ledgerTable(ledger), 'table').trimEnd().split('\n')
    lines.push('ledger, since each exporter was first heard', ...table.map((line) => `  ${line}`))
    lines.push(...completeness(ledger))
  }
  return `${lines.join('\n')}\n`
}

function ledgerTable(ledger: readonly ArchivedLedgerRow[]): ReportTable {
  const hasPackets = ledger.some(({ packets }) => packets !== undefined)
  return {
    columns: [
      'exporter', ...hasPackets ? ['packets'] : [], 'datagrams', 'malformed', 'flows', 'filtered', 'samples', 'waiting', 'given up', 'missing',
    ],
    rows: ledger.map((row) => {
      const { held_sets: held = 0, late_sets: late = 0, abandoned_sets: abandoned = 0 } = row
      return [
        row.exporter, ...hasPackets ? [row.packets ?? 0] : [], row.datagrams ?? 0, row.faulty ?? 0, row.records ?? 0, row.filtered ?? 0,
        row.counter_samples ?? 0, held - late - abandoned, abandoned, missingOf(row) || '0',
      ]
    }),
  }
}
