import type { LedgerRow } from '../../../core/collector/ledger.ts'
import type { CollectorReport } from '../../../core/collector/report.ts'

/** A row of the ledger in which everything is 0 but what is told. */
export function ledgerRow(exporter: string, values: Partial<LedgerRow> = {}): LedgerRow {
  return {
    exporter, datagrams: 0, bytes: 0, records: 0, filtered: 0, options_records: 0, counter_samples: 0,
    templates: 0, faulty: 0, held_sets: 0, late_sets: 0, abandoned_sets: 0, missing_flows: 0,
    missing_messages: 0, missing_records: 0, reordered: 0, restarts: 0, template_conflicts: 0,
    expired_templates: 0, clock_skew_ms: null, ...values,
  }
}

/** A made-up report of these exporters. */
export function reportOf(...exporters: readonly LedgerRow[]): CollectorReport {
  return {
    started: 1795262400_250_000,
    counters: {
      datagrams: 1000, refused: 3, dropped: 4, unspooled: 5, records: 20_000, filtered: 600,
      counterSamples: 70,
    },
    sockets: [
      { endpoint: 'udp://[::]:2055', receiveBuffer: 134217728, dropped: 11 },
      { endpoint: 'udp://[::]:4739', receiveBuffer: 212992, dropped: 0 },
    ],
    streams: [{ endpoint: 'tcp://[::]:4739', connections: 2, accepted: 6, refused: 1, faults: 3 }],
    forwards: [{ endpoint: 'udp://192.0.2.7:2055', sent: 990, dropped: 7 }],
    sinks: [
      { name: 'archive', rows: 19_000, counterSamples: 60, files: 12, bytes: 456_789, lost: 8, failures: 1,
        waiting: 2, hanging: 1 },
      { name: 'a "b"\\c\nd', rows: 0, counterSamples: 0, files: 0, bytes: 0, lost: 0, failures: 0, waiting: 0,
        hanging: 0 },
    ],
    exporters,
    spool: { bytes: 65_536, limit: 1e9, reserved: 3_000, waiting: 2 },
  }
}
