import { FORGOTTEN } from '../collector/ledger.ts'
import type { ArchivedLedgerRow } from '../archive/ledger-files.ts'

/** What is missing of an exporter, in the units of its protocols: `5 flows, 1 message`; empty: nothing. */
export function missingOf(row: ArchivedLedgerRow): string {
  const { missing_flows: flows = 0, missing_messages: messages = 0, missing_records: records = 0 } = row
  const { missing_packets: packets = 0 } = row
  const counts = [
    [flows, 'flow'], [messages, 'message'], [records, 'data record'], [packets, 'packet'],
  ] as const
  return counts.filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}${count === 1 ? '' : 's'}`).join(', ')
}

/**
 * What the ledger says of completeness, a sentence each: what did not reach the collector by the sequence
 * numbers of its exporters, and what was dropped at interfaces that were captured from.
 */
export function completeness(rows: readonly ArchivedLedgerRow[]): string[] {
  const interfaces = rows.filter(({ packets }) => packets !== undefined)
  const exporters = rows.filter((row) => !interfaces.includes(row))
  return [
    ...exporters.length > 0 ? [completenessOfExporters(exporters)] : [],
    ...interfaces.length > 0 ? [completenessOfInterfaces(interfaces)] : [],
  ]
}

function completenessOfInterfaces(rows: readonly ArchivedLedgerRow[]): string {
  const dropped = rows.reduce((sum, { missing_packets: packets = 0 }) => sum + packets, 0)
  const names = rows.map(({ exporter }) => exporter).join(', ')
  if (dropped === 0) return `complete: no packets were dropped at ${names}`
  return `incomplete: ${missingOf({ exporter: '', missing_packets: dropped })} dropped at ${names}`
}

function completenessOfExporters(rows: readonly ArchivedLedgerRow[]): string {
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
