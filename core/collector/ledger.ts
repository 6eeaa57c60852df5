import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import {
  sumSequences, type ExporterCounters, type Exporters, type SequenceSums,
} from '../netflow/exporters.ts'

/**
 * What a collector can account for, of one exporter, since it was first heard.
 *
 * Datagrams = decoded whole + faulty; a decoded one may have held data sets that waited for their template.
 */
export interface LedgerRow {
  readonly exporter: string
  readonly datagrams: number
  readonly bytes: number
  /** Flows decoded, of these left out by the filter; the others are written. */
  readonly records: number
  readonly filtered: number
  readonly options_records: number
  /** Of sFlow. */
  readonly counter_samples: number
  readonly templates: number
  /** Datagrams that could not be decoded. */
  readonly faulty: number
  /** Data sets that came before their template: held, of these decoded late, and given up. */
  readonly held_sets: number
  readonly late_sets: number
  readonly abandoned_sets: number
  /** Missing by the sequence numbers: flows (v5 to v8), messages (v9, sFlow), data records (IPFIX). */
  readonly missing_flows: number
  readonly missing_messages: number
  readonly missing_records: number
  readonly reordered: number
  readonly restarts: number
  /** Templates that several senders behind the address announced differently, and that were forgotten. */
  readonly template_conflicts: number
  readonly expired_templates: number
  /** How far the exporter's clock is behind, by its latest message: receipt less export; null: none told. */
  readonly clock_skew_ms: number | null
  /** Of an interface that packets are captured from: received, and dropped since they came too fast. */
  readonly packets?: number
  readonly missing_packets?: number
}

/** What can be summed up of rows of exporters. */
export type LedgerSums = Readonly<Record<
  Exclude<keyof LedgerRow, 'exporter' | 'clock_skew_ms' | 'packets' | 'missing_packets'>, number
>>

const NOTHING: LedgerSums = {
  datagrams: 0, bytes: 0, records: 0, filtered: 0, options_records: 0, counter_samples: 0, templates: 0,
  faulty: 0, held_sets: 0, late_sets: 0, abandoned_sets: 0, missing_flows: 0, missing_messages: 0,
  missing_records: 0, reordered: 0, restarts: 0, template_conflicts: 0, expired_templates: 0,
}
const COLUMNS = Object.keys(NOTHING) as (keyof LedgerSums)[]

/** The sums of rows. */
export function sumRows(rows: readonly LedgerSums[]): LedgerSums {
  const sums: Record<keyof LedgerSums, number> = { ...NOTHING }
  for (const row of rows) for (const column of COLUMNS) sums[column] += row[column]
  return sums
}

/** A row as it goes into the archive. */
export interface ArchivedRow extends LedgerRow {
  /** Tells which of two rows is the later: ms since the epoch, by a clock that is never set back. */
  readonly as_of_ms: number
}

/** The name of the row that sums up exporters forgotten because there were too many. */
export const FORGOTTEN = 'forgotten'

/** One row an exporter, in the order of their last datagram; in the end, all that were forgotten as one. */
export function ledgerOf({ byKey, forgotten }: Exporters): LedgerRow[] {
  const rows = Array.from(byKey.values(), (exporter) => {
    const { family, v4, v6, counters } = exporter
    return rowOf(family === 4 ? formatIpv4(v4) : formatIpv6(v6, 0), counters, sumSequences(exporter))
  })
  if (forgotten.exporters > 0) rows.push(rowOf(FORGOTTEN, forgotten.counters, forgotten.ended))
  return rows
}

/**
 * The ledger at the end of a segment, for the archive. There, the row of those forgotten has a name of its
 * own for each collector, `forgotten-5f3a9c01`, since they are not the same.
 *
 * Rows of later segments have a greater `as_of_ms`, and a segment that is decoded again has the same: it is
 * the time of the last datagram, or one more than that of the segment before.
 */
export function closeLedger(exporters: Exporters): ArchivedRow[] {
  endLedger(exporters)
  return closedLedger(exporters)
}

/** The same of a segment whose end is the last thing that they know of. */
export function closedLedger(exporters: Exporters): ArchivedRow[] {
  const { asOf, forgotten: { id } } = exporters
  return ledgerOf(exporters).map((row) => ({
    ...row, exporter: row.exporter === FORGOTTEN ? `${FORGOTTEN}-${id}` : row.exporter, as_of_ms: asOf,
  }))
}

/** A segment has ended, the ledger of which nobody wants. */
export function endLedger(exporters: Exporters): void {
  exporters.asOf = Math.max(exporters.asOf + 1, Math.floor(exporters.received / 1000))
}

/** The ledger of a capture, for the archive: a row an interface, under its name. @param now ms since the epoch */
export function captureLedger(
  interfaces: readonly { readonly name: string, readonly received: number, readonly dropped: number }[],
  now: number,
): ArchivedRow[] {
  return interfaces.map(({ name, received, dropped }) => ({
    ...NOTHING, exporter: name, clock_skew_ms: null, packets: received, missing_packets: dropped, as_of_ms: now,
  }))
}

function rowOf(exporter: string, counters: ExporterCounters, sequences: SequenceSums): LedgerRow {
  const { flows, messages, records, reordered, restarts } = sequences
  return {
    exporter,
    datagrams: counters.datagrams,
    bytes: counters.bytes,
    records: counters.records,
    filtered: counters.filtered,
    options_records: counters.optionsRecords,
    counter_samples: counters.counterSamples,
    templates: counters.templates,
    faulty: Object.values(counters.faults).reduce((sum, n) => sum + n, 0),
    held_sets: counters.heldSets,
    late_sets: counters.lateSets,
    abandoned_sets: counters.abandonedSets,
    missing_flows: flows,
    missing_messages: messages,
    missing_records: records,
    reordered,
    restarts,
    template_conflicts: counters.templateConflicts,
    expired_templates: counters.expiredTemplates,
    clock_skew_ms: Number.isNaN(counters.clockSkew) ? null : Math.round(counters.clockSkew / 1000),
  }
}
