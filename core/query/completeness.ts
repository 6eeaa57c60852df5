import { FORGOTTEN } from '../collector/ledger.ts'
import type { ArchivedLedgerRow } from '../archive/ledger-files.ts'

/** What is missing of an exporter, in the units of its protocols: `5 flows, 1 message`; empty: nothing. */
export function missingOf(row: ArchivedLedgerRow): string {
  const { missing_flows: flows = 0, missing_messages: messages = 0, missing_records: records = 0 } = row
  const counts = [[flows, 'flow'], [messages, 'message'], [records, 'data record']] as const
  return counts.filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}${count === 1 ? '' : 's'}`).join(', ')
}

/**
 * What the ledger says of completeness, as a sentence: what did not reach the collector by the sequence
 * numbers of its exporters.
 *
 * @param rows at least one
 */
export function completeness(rows: readonly ArchivedLedgerRow[]): string {
  const known = rows.filter(({ exporter }) => exporter !== FORGOTTEN)
  const exporters = known.length === 1 ? 'the exporter' : `all ${known.length} exporters`
  const behind = rows.filter((row) => missingOf(row) !== '')
  if (behind.length === 0) return `complete: nothing is missing by the sequence numbers of ${exporters}`
  const sum = (column: 'missing_flows' | 'missing_messages' | 'missing_records') => (
    behind.reduce((total, row) => total + (row[column] ?? 0), 0)
  )
  const missing = missingOf({
    exporter: '', missing_flows: sum('missing_flows'), missing_messages: sum('missing_messages'),
    missing_records: sum('missing_records'),
  })
  const count = behind.filter((row) => known.includes(row)).length
  const whose: string[] = []
  if (count > 0) whose.push(known.length === 1 ? 'the exporter' : `${count} of ${known.length} exporters`)
  if (behind.length > count) whose.push('exporters that were forgotten')
  return `incomplete: missing by the sequence numbers of ${whose.join(' and ')}: ${missing}`
}
