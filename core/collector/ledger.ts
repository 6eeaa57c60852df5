import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import { SFLOW_VERSION } from '../netflow/datagram.ts'
import { versionOf, type Exporter, type Exporters } from '../netflow/exporters.ts'

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
}

/** One row an exporter, in the order of their last datagram. */
export function ledgerOf(exporters: Exporters): LedgerRow[] {
  return [...exporters.byKey.values()].map(rowOf)
}

function rowOf({ family, v4, v6, counters, domains, ended }: Exporter): LedgerRow {
  const missing = [0, 0, ended.missing]
  let { reordered, restarts } = ended
  for (const [key, { sequence }] of domains) {
    const version = versionOf(key)
    missing[version === 9 || version === SFLOW_VERSION ? 1 : version === 10 ? 2 : 0] += sequence.missing
    reordered += sequence.reordered
    restarts += sequence.restarts
  }
  return {
    exporter: family === 4 ? formatIpv4(v4) : formatIpv6(v6, 0),
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
    missing_flows: missing[0],
    missing_messages: missing[1],
    missing_records: missing[2],
    reordered,
    restarts,
    template_conflicts: counters.templateConflicts,
    expired_templates: counters.expiredTemplates,
    clock_skew_ms: Number.isNaN(counters.clockSkew) ? null : Math.round(counters.clockSkew / 1000),
  }
}
