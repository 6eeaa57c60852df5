import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import manifest from '../../../package.json' with { type: 'json' }
import type { LedgerRow } from '../../../core/collector/ledger.ts'
import type { CollectorReport } from '../../../core/collector/report.ts'
import { collectorMetrics } from '../../../core/metrics/collector-metrics.ts'
import { ledgerRow, reportOf } from './report.ts'

/** The lines of the samples of flowkit's own metrics. */
async function samplesOf(report: CollectorReport): Promise<string[]> {
  const metrics = await collectorMetrics(() => report)
  return (await metrics.text()).split('\n').filter((line) => line.startsWith('flowkit_'))
}

/** The sum of a metric over all its series. */
function sum(text: string, name: string): number {
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))]
  assert.ok(values.length > 0, name)
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

test('a report becomes samples with base units and bounded labels', async () => {
  const router = ledgerRow('192.0.2.1', {
    datagrams: 900, bytes: 1_200_000, records: 19_000, filtered: 600, options_records: 21,
    counter_samples: 70, templates: 6, faulty: 7, held_sets: 10, late_sets: 6, abandoned_sets: 1,
    missing_flows: 5, missing_messages: 2, missing_records: 3, reordered: 8, restarts: 1,
    template_conflicts: 9, expired_templates: 4, clock_skew_ms: -1250,
  })
  assert.deepEqual(await samplesOf(reportOf(router)), [
    `flowkit_build_info{version="${manifest.version}"} 1`,
    'flowkit_collector_start_time_seconds 1795262400.25',
    'flowkit_datagrams_total 1000',
    'flowkit_datagrams_refused_total 3',
    'flowkit_datagrams_dropped_total 4',
    'flowkit_datagrams_unspooled_total 5',
    'flowkit_records_total 20000',
    'flowkit_records_filtered_total 600',
    'flowkit_statistics_samples_total 70',
    'flowkit_socket_receive_buffer_bytes{endpoint="udp://[::]:2055"} 134217728',
    'flowkit_socket_receive_buffer_bytes{endpoint="udp://[::]:4739"} 212992',
    'flowkit_socket_dropped_datagrams_total{endpoint="udp://[::]:2055"} 11',
    'flowkit_socket_dropped_datagrams_total{endpoint="udp://[::]:4739"} 0',
    'flowkit_stream_connections{endpoint="tcp://[::]:4739"} 2',
    'flowkit_stream_accepted_connections_total{endpoint="tcp://[::]:4739"} 6',
    'flowkit_stream_refused_connections_total{endpoint="tcp://[::]:4739"} 1',
    'flowkit_stream_faulty_connections_total{endpoint="tcp://[::]:4739"} 3',
    'flowkit_forward_datagrams_total{endpoint="udp://192.0.2.7:2055"} 990',
    'flowkit_forward_dropped_datagrams_total{endpoint="udp://192.0.2.7:2055"} 7',
    'flowkit_sink_records_total{sink="archive"} 19000',
    'flowkit_sink_records_total{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_records_lost_total{sink="archive"} 8',
    'flowkit_sink_records_lost_total{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_statistics_samples_total{sink="archive"} 60',
    'flowkit_sink_statistics_samples_total{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_files_total{sink="archive"} 12',
    'flowkit_sink_files_total{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_bytes_total{sink="archive"} 456789',
    'flowkit_sink_bytes_total{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_failures_total{sink="archive"} 1',
    'flowkit_sink_failures_total{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_waiting_segments{sink="archive"} 2',
    'flowkit_sink_waiting_segments{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_sink_hanging{sink="archive"} 1',
    'flowkit_sink_hanging{sink="a \\"b\\"\\\\c\\nd"} 0',
    'flowkit_spool_bytes 65536',
    'flowkit_spool_limit_bytes 1000000000',
    'flowkit_spool_reserved_bytes 3000',
    'flowkit_spool_waiting_segments 2',
    'flowkit_exporters 1',
    'flowkit_exporter_datagrams_total{exporter="192.0.2.1"} 900',
    'flowkit_exporter_malformed_datagrams_total{exporter="192.0.2.1"} 7',
    'flowkit_exporter_received_bytes_total{exporter="192.0.2.1"} 1200000',
    'flowkit_exporter_records_total{exporter="192.0.2.1"} 19000',
    'flowkit_exporter_records_filtered_total{exporter="192.0.2.1"} 600',
    'flowkit_exporter_options_records_total{exporter="192.0.2.1"} 21',
    'flowkit_exporter_statistics_samples_total{exporter="192.0.2.1"} 70',
    'flowkit_exporter_templates_total{exporter="192.0.2.1"} 6',
    'flowkit_exporter_template_conflicts_total{exporter="192.0.2.1"} 9',
    'flowkit_exporter_expired_templates_total{exporter="192.0.2.1"} 4',
    'flowkit_exporter_held_sets_total{exporter="192.0.2.1"} 10',
    'flowkit_exporter_late_sets_total{exporter="192.0.2.1"} 6',
    'flowkit_exporter_abandoned_sets_total{exporter="192.0.2.1"} 1',
    'flowkit_exporter_waiting_sets{exporter="192.0.2.1"} 3',
    'flowkit_exporter_reordered_messages_total{exporter="192.0.2.1"} 8',
    'flowkit_exporter_sequence_restarts_total{exporter="192.0.2.1"} 1',
    'flowkit_exporter_missing{exporter="192.0.2.1",unit="flows"} 5',
    'flowkit_exporter_missing{exporter="192.0.2.1",unit="messages"} 2',
    'flowkit_exporter_missing{exporter="192.0.2.1",unit="records"} 3',
    'flowkit_exporter_clock_skew_seconds{exporter="192.0.2.1"} -1.25',
  ])
})

test('each scrape asks anew, and what is no more is not told', async () => {
  let report = reportOf(ledgerRow('192.0.2.1', { datagrams: 1 }), ledgerRow('192.0.2.2', { datagrams: 2 }))
  const metrics = await collectorMetrics(() => report)
  const [first, second] = await Promise.all([metrics.text(), metrics.text()])
  assert.equal(sum(first, 'flowkit_exporter_datagrams_total'), 3)
  assert.equal(sum(second, 'flowkit_exporter_datagrams_total'), 3)
  const none = { sockets: [], streams: [], forwards: [], sinks: [] }
  report = { ...reportOf(ledgerRow('192.0.2.2', { datagrams: 5 })), ...none }
  const text = await metrics.text()
  assert.match(text, /^flowkit_exporter_datagrams_total\{exporter="192\.0\.2\.2"\} 5$/m)
  assert.doesNotMatch(text, /192\.0\.2\.1|endpoint=|sink=/)
})

test('every metric has a help and a type, counters alone end in _total, the process is there', async () => {
  const metrics = await collectorMetrics(() => reportOf())
  const text = await metrics.text()
  assert.equal(metrics.contentType, Registry.PROMETHEUS_CONTENT_TYPE)
  const told = text.matchAll(/^# TYPE (flowkit_\w+) (\w+)$/gm)
  const types = new Map(Array.from(told, ([, name, type]) => [name, type]))
  assert.equal(types.size, 48)
  for (const [name, type] of types) {
    assert.equal(type, name.endsWith('_total') ? 'counter' : 'gauge')
    assert.match(text, new RegExp(`^# HELP ${name} [A-Z].*[^.]$`, 'm'))
  }
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_open_fds']) {
    assert.ok(sum(text, name) > 0, name)
  }
  assert.match(text, /^nodejs_eventloop_lag_seconds /m)
  assert.doesNotMatch(text, /exporter=/)
})

test('of 10,000 exporters the 200 busiest have series, the text is bounded, and sums are kept', async () => {
  const rows = Array.from({ length: 10_000 }, (_, i) => ledgerRow(`10.0.${i >> 8}.${i & 255}`, {
    datagrams: i + 1, records: 30 * i, missing_flows: i % 7, held_sets: 3, late_sets: 1, clock_skew_ms: i,
  }))
  const metrics = await collectorMetrics(() => reportOf(...rows))
  const text = await metrics.text()
  assert.ok(text.length < 400_000, `${text.length} characters`)
  const names = new Set(Array.from(text.matchAll(/exporter="([^"]*)"/g), ([, name]) => name))
  assert.equal(names.size, 201)
  assert.ok(names.has('other') && names.has('10.0.39.15') && names.has('10.0.38.72'))
  assert.ok(!names.has('10.0.38.71'))
  const total = (value: (row: LedgerRow) => number) => rows.reduce((sum, row) => sum + value(row), 0)
  assert.equal(sum(text, 'flowkit_exporters'), 10_000)
  assert.equal(sum(text, 'flowkit_exporter_datagrams_total'), total((row) => row.datagrams))
  assert.equal(sum(text, 'flowkit_exporter_records_total'), total((row) => row.records))
  assert.equal(sum(text, 'flowkit_exporter_missing'), total((row) => row.missing_flows))
  assert.equal(sum(text, 'flowkit_exporter_waiting_sets'), 20_000)
  assert.doesNotMatch(text, /clock_skew_seconds\{exporter="other"/)
})
