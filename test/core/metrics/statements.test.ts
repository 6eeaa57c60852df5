import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startCollector } from '../../../core/collector/collector.ts'
import { parsePrefix } from '../../../core/flow/prefix.ts'
import { collectorMetrics } from '../../../core/metrics/collector-metrics.ts'
import { serveMetrics } from '../../../core/metrics/server.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { memorySink } from '../collector/memory-sink.ts'

/** A NetFlow v5 datagram of `count` records from sequence number `sequence` on. */
function v5(count: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array(24 + 48 * count)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 5)
  view.setUint16(2, count)
  view.setUint32(8, 1_790_000_000)
  view.setUint32(16, sequence)
  return bytes
}

async function send(port: number, from: string, ...payloads: readonly Uint8Array[]): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, from, resolve))
  for (const payload of payloads) {
    await new Promise<void>((resolve, reject) => {
      socket.send(payload, port, '127.0.0.1', (error) => error ? reject(error) : resolve())
    })
  }
  socket.close()
}

test('what a collector received is accounted for by the metrics that are scraped', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'metrics-test-'))
  t.after(() => rm(folder, { recursive: true }))
  const collector = await startCollector({
    listen: [{ protocol: 'udp', address: '127.0.0.1', port: 0 }], groups: [], receiveBuffer: 1 << 20, sinks: [memorySink()],
    allow: [parsePrefix('127.0.0.1/32')!, parsePrefix('127.0.0.2/32')!],
    spool: join(folder, 'spool'), spoolSize: 2 ** 30, spoolSync: 1000, sampling: NO_RULES,
    onFault() {}, onError: (error) => assert.fail(String(error)), onFile() {}, onRecovered() {},
  })
  const port = Number(/:(\d+)$/.exec(collector.report().sockets[0].endpoint)?.[1])
  await send(port, '127.0.0.1', v5(30, 0), v5(20, 37), v5(2, 57).subarray(0, 60)) // 7 flows are missing
  await send(port, '127.0.0.2', v5(1, 1000), v5(1, 1004)) // and 3
  await send(port, '127.0.0.4', v5(9, 0))
  await collector.stop()
  const server = await serveMetrics({ address: '127.0.0.1', port: 0 },
    await collectorMetrics(() => collector.report()), () => true)
  t.after(() => server.close())
  const answer = await fetch(`http://127.0.0.1:${server.endpoint.port}/metrics`)
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const lines = (await answer.text()).split('\n')
  const sum = (name: string) => lines.filter((line) => line.startsWith(name))
    .reduce((total, line) => total + Number(line.split(' ')[1]), 0)
  const received = sum('flowkit_datagrams_total')
  const [refused, heard] = [sum('flowkit_datagrams_refused_total'), sum('flowkit_exporter_datagrams_total')]
  assert.deepEqual([received, refused, heard], [6, 1, 5])
  assert.equal(sum('flowkit_exporter_malformed_datagrams_total'), 1)
  const [records, written] = [sum('flowkit_records_total'), sum('flowkit_sink_records_total{sink="memory"}')]
  assert.deepEqual([records, written, sum('flowkit_records_filtered_total')], [52, 52, 0])
  assert.equal(sum('flowkit_exporter_missing{exporter="127.0.0.1",unit="flows"}'), 7)
  assert.equal(sum('flowkit_exporter_missing'), 10)
})
