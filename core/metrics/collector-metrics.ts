import manifest from '../../package.json' with { type: 'json' }
import { FORGOTTEN, type LedgerSums } from '../collector/ledger.ts'
import type { CollectorReport } from '../collector/report.ts'
import { exporterSeries, type ExporterSeries } from './exporter-series.ts'
import type { Metrics } from './server.ts'

/** Exporters that have series of their own, at most. */
const MOST_EXPORTERS = 200
/** The label of the sums of all others. */
const OTHERS = 'other'

/** All that one scrape tells. */
interface Scrape extends CollectorReport {
  readonly series: ExporterSeries
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

interface Definition {
  /** Behind `flowkit_`; counters end in `_total`. */
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly samples: (scrape: Scrape) => readonly Sample[]
}

/** In this order they are shown. */
const DEFINITIONS: readonly Definition[] = [
  {
    name: 'build_info', help: 'The version of flowkit; always 1', labels: ['version'],
    samples: () => [[{ version: manifest.version }, 1]],
  },
  one('collector_start_time_seconds', 'When the collector began, since the epoch',
    ({ started }) => started / 1e6),

  // received = refused + dropped + those of all exporters + those that wait in the spool
  one('datagrams_total', 'Datagrams, and messages of connections, taken',
    ({ counters }) => counters.datagrams),
  one('datagrams_refused_total', 'Datagrams refused since their exporters are not allowed',
    ({ counters }) => counters.refused),
  one('datagrams_dropped_total', 'Datagrams let go undecoded since neither the spool nor memory had room',
    ({ counters }) => counters.dropped),
  one('datagrams_unspooled_total', 'Datagrams that the spool could not take and a sudden end would have lost',
    ({ counters }) => counters.unspooled),

  // decoded = filtered + those of a sink, written or lost, + those that it has not written yet
  one('records_total', 'Flow records decoded', ({ counters }) => counters.records),
  one('records_filtered_total', 'Flow records left out by the filter', ({ counters }) => counters.filtered),
  one('statistics_samples_total', 'Counter samples of sFlow decoded',
    ({ counters }) => counters.counterSamples),

  ...each('socket', 'endpoint', (all) => all.sockets.map((socket) => [socket.endpoint, socket]), {
    receive_buffer_bytes: ['Memory that the kernel keeps for a socket', (socket) => socket.receiveBuffer],
    dropped_datagrams_total: ['Datagrams dropped by the kernel, most of them since the buffer was full',
      (socket) => socket.dropped],
  }),
  ...each('stream', 'endpoint', (all) => all.streams.map((stream) => [stream.endpoint, stream]), {
    connections: ['Connections now open', (stream) => stream.connections],
    accepted_connections_total: ['Connections accepted', (stream) => stream.accepted],
    refused_connections_total: ['Connections refused since there were too many', (stream) => stream.refused],
    faulty_connections_total: ['Connections closed for a fault', (stream) => stream.faults],
  }),
  ...each('forward', 'endpoint', (all) => all.forwards.map((forward) => [forward.endpoint, forward]), {
    datagrams_total: ['Datagrams sent on to another collector', (forward) => forward.sent],
    dropped_datagrams_total: ['Datagrams that the system did not take at once', (forward) => forward.dropped],
  }),
  ...each('sink', 'sink', (all) => all.sinks.map((sink) => [sink.name, sink]), {
    records_total: ['Flow records written, in files that have their names', (sink) => sink.rows],
    records_lost_total: ['Flow records that it could not take, and that are not in the spool any more',
      (sink) => sink.lost],
    statistics_samples_total: ['Counter samples of sFlow written, likewise', (sink) => sink.counterSamples],
    files_total: ['Files written', (sink) => sink.files],
    bytes_total: ['Bytes of the files written', (sink) => sink.bytes],
    failures_total: ['Failures to write; what was to be written is written later', (sink) => sink.failures],
    waiting_segments: ['Segments that have ended and that it does not have yet', (sink) => sink.waiting],
    hanging: ['Whether it takes nothing of what it is given, 1 or 0', (sink) => sink.hanging],
  }),
  one('spool_bytes', 'Size of all segments of the spool', ({ spool }) => spool.bytes),
  one('spool_limit_bytes', 'Size that the spool may have', ({ spool }) => spool.limit),
  one('spool_reserved_bytes', 'Room on the disk that is kept for the spool', ({ spool }) => spool.reserved),
  one('spool_waiting_segments', 'Segments that have ended but are not in all sinks yet',
    ({ spool }) => spool.waiting),

  one('exporters', 'Exporters known, also those that have no series of their own',
    ({ exporters }) => exporters.filter(({ exporter }) => exporter !== FORGOTTEN).length),
  ...each('exporter', 'exporter', summable, {
    datagrams_total: ['Datagrams received, since the exporter was first heard', (row) => row.datagrams],
    malformed_datagrams_total: ['Of these such that could not be decoded', (row) => row.faulty],
    received_bytes_total: ['Payload of the datagrams', (row) => row.bytes],
    records_total: ['Flow records decoded', (row) => row.records],
    records_filtered_total: ['Of these such that the filter left out', (row) => row.filtered],
    options_records_total: ['Options records decoded', (row) => row.options_records],
    statistics_samples_total: ['Counter samples of sFlow decoded', (row) => row.counter_samples],
    templates_total: ['Templates announced', (row) => row.templates],
    template_conflicts_total: ['Templates that senders behind the address announced differently',
      (row) => row.template_conflicts],
    expired_templates_total: ['Templates forgotten since they were not heard of for long',
      (row) => row.expired_templates],
    held_sets_total: ['Data sets that came before their template', (row) => row.held_sets],
    late_sets_total: ['Of these such that were decoded when it came', (row) => row.late_sets],
    abandoned_sets_total: ['Of these such that were given up', (row) => row.abandoned_sets],
    waiting_sets: ['Of these such that still wait',
      (row) => row.held_sets - row.late_sets - row.abandoned_sets],
    reordered_messages_total: ['Messages that came late, by their sequence numbers', (row) => row.reordered],
    sequence_restarts_total: ['Times that sequence numbers began anew', (row) => row.restarts],
  }),
  {
    name: 'exporter_missing', labels: ['exporter', 'unit'],
    help: 'Missing upstream by the sequence numbers, in the unit of the protocol: flows (NetFlow v5 to v8), '
      + 'messages (v9, sFlow), records (IPFIX); falls when what was missing comes late',
    samples: (all) => summable(all).flatMap(([exporter, row]) => [
      [{ exporter, unit: 'flows' }, row.missing_flows],
      [{ exporter, unit: 'messages' }, row.missing_messages],
      [{ exporter, unit: 'records' }, row.missing_records],
    ]),
  },
  ...each('exporter', 'exporter', clocks, {
    clock_skew_seconds: ['How far the exporter\'s clock is behind, by its latest message', (skew) => skew],
  }),
]

/** prom-client's Registry.PROMETHEUS_CONTENT_TYPE. */
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * What a collector and its process can say of themselves, for Prometheus; asked at each scrape.
 *
 * The ledger's statements are told by these: `flowkit_datagrams_total` grows by the refused and dropped ones
 * and by `flowkit_exporter_datagrams_total` of all exporters; `flowkit_records_total` by the filtered ones,
 * and each sink's `flowkit_sink_records_total` and `flowkit_sink_records_lost_total`, but for what is still
 * on its way; `flowkit_exporter_missing`. What is told of exporters counts on over restarts, all else begins
 * anew. Exporters beyond the 200 busiest, and those that were forgotten, are summed up under the label
 * `other`.
 */
export async function collectorMetrics(
  report: () => CollectorReport | Promise<CollectorReport>,
): Promise<Metrics> {
  const { Counter, Gauge, Registry, collectDefaultMetrics } = await import('prom-client')
  const registry = new Registry()
  const metrics = DEFINITIONS.map(({ name, help, labels, samples }) => {
    const Kind = name.endsWith('_total') ? Counter : Gauge
    const metric = new Kind({ name: `flowkit_${name}`, help, labelNames: [...labels], registers: [registry] })
    return { metric, samples }
  })
  collectDefaultMetrics({ register: registry })
  for (const { name } of await registry.getMetricsAsJSON()) {
    // many, and of use to nobody but who debugs flowkit
    if (/^nodejs_(active|heap_space)_/.test(name)) registry.removeSingleMetric(name)
  }
  const choose = exporterSeries(MOST_EXPORTERS)
  return {
    contentType: CONTENT_TYPE,
    async text() {
      const now = await report()
      const scrape = { ...now, series: choose(now.exporters) }
      for (const { metric, samples } of metrics) {
        metric.reset()
        for (const [labels, value] of samples(scrape)) metric.inc(labels, value)
      }
      return registry.metrics()
    },
  }
}

function one(name: string, help: string, value: (report: CollectorReport) => number): Definition {
  return { name, help, labels: [], samples: (scrape) => [[{}, value(scrape)]] }
}

/** Several metrics of the same things, which a label names. */
function each<T>(
  prefix: string, label: string, things: (scrape: Scrape) => readonly (readonly [name: string, thing: T])[],
  metrics: Readonly<Record<string, readonly [help: string, value: (thing: T) => number]>>,
): Definition[] {
  return Object.entries(metrics).map(([name, [help, value]]) => ({
    name: `${prefix}_${name}`, help, labels: [label],
    samples: (scrape) => things(scrape).map(([name, thing]) => [{ [label]: name }, value(thing)]),
  }))
}

function summable({ series: { own, others } }: Scrape): [exporter: string, sums: LedgerSums][] {
  const rows = own.map((row): [string, LedgerSums] => [row.exporter, row])
  return others ? [...rows, [OTHERS, others]] : rows
}

function clocks({ series }: Scrape): [exporter: string, seconds: number][] {
  return series.own.flatMap(({ exporter, clock_skew_ms: skew }): [string, number][] => (
    skew === null ? [] : [[exporter, skew / 1000]]
  ))
}
