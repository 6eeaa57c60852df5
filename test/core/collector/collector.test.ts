import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { startCollector, type Collector, type CollectorOptions } from '../../../core/collector/collector.ts'
import { ledgerOf } from '../../../core/collector/ledger.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import type { FlowkitError } from '../../../core/flow/errors.ts'
import type { CounterSample } from '../../../core/netflow/sflow/counters.ts'
import { u32 } from '../netflow/messages.ts'
import { sflow, tlv } from '../netflow/sflow/datagrams.ts'

/** A NetFlow v5 datagram of `count` records from sequence number `sequence` on, record i of i + 1 bytes. */
function v5(count: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array(24 + 48 * count)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 5)
  view.setUint16(2, count)
  view.setUint32(4, 1000)
  view.setUint32(8, 1_790_000_000)
  view.setUint32(16, sequence)
  for (let i = 0; i < count; i++) view.setUint32(24 + 48 * i + 20, i + 1)
  return bytes
}

interface Harness {
  readonly collector: Collector
  readonly written: FlowBatch
  readonly faults: [string, string][]
  readonly failures: unknown[]
  send(payload: Uint8Array): Promise<void>
  /** Resolves once so many datagrams have come. */
  arrived(count: number): Promise<void>
}

async function start(options: Partial<CollectorOptions> = {}): Promise<Harness> {
  const written = new FlowBatch()
  const faults: [string, string][] = []
  const failures: unknown[] = []
  const collector = await startCollector({
    listen: [{ address: '127.0.0.1', port: 0 }],
    receiveBuffer: 1 << 20,
    writer: {
      async write(batch) { for (let row = 0; row < batch.length; row++) written.append(batch, row) },
      async close() {},
      async abort() {},
    },
    onFault: (error: FlowkitError, exporter) => faults.push([exporter, error.message]),
    onWriteError: (error) => failures.push(error),
    ...options,
  })
  const { port } = collector.listeners[0].endpoint
  return {
    collector, written, faults, failures,
    send: (payload) => new Promise((resolve, reject) => {
      const socket = createSocket('udp4')
      socket.send(payload, port, '127.0.0.1', (error) => {
        socket.close(() => error ? reject(error) : resolve())
      })
    }),
    async arrived(count) {
      while (collector.counters.datagrams < count) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

test('flows go from the socket to the writer, and the ledger tells of their exporter', async () => {
  const { collector, written, send, arrived } = await start()
  await send(v5(2, 0))
  await send(v5(3, 7))
  await arrived(2)
  await collector.flush()
  assert.equal(written.length, 5)
  assert.deepEqual([...written.bytes.subarray(0, 5)], [1, 2, 1, 2, 3])
  assert.equal(written.exporterAddr.v4[0], 0x7f000001)
  assert.ok(Math.abs(written.received[0] / 1000 - Date.now()) < 600_000)
  await collector.stop()
  assert.deepEqual(collector.counters, {
    datagrams: 2, refused: 0, records: 5, filtered: 0, written: 5, lost: 0,
    counterSamples: 0, writtenCounters: 0, lostCounters: 0,
  })
  const [{ clock_skew_ms: skew, ...row }, ...others] = ledgerOf(collector.decoder.exporters)
  assert.ok(Math.abs(skew! - (Date.now() - 1_790_000_000_000)) < 600_000)
  assert.deepEqual([row, ...others], [{
    exporter: '127.0.0.1', datagrams: 2, bytes: 24 * 2 + 48 * 5, records: 5, options_records: 0,
    counter_samples: 0, templates: 0, faulty: 0, held_sets: 0, late_sets: 0, abandoned_sets: 0, missing_flows: 5,
    missing_messages: 0, missing_records: 0, reordered: 0, restarts: 0, template_conflicts: 0, expired_templates: 0,
  }])
})

test('stop() takes what the sockets still hold', async () => {
  const { collector, written, send } = await start()
  for (let i = 0; i < 40; i++) await send(v5(30, i * 30))
  await collector.stop()
  assert.equal(written.length, 1200)
})

test('faults are told and counted, and the others are decoded', async () => {
  const { collector, written, faults, send } = await start()
  await send(v5(2, 0).subarray(0, 50))
  await send(Buffer.from('no flows'))
  await send(v5(1, 0))
  await collector.stop()
  assert.equal(written.length, 1)
  assert.deepEqual(faults, [
    ['127.0.0.1', 'Cannot decode NetFlow v5 datagram: 2 records need 120 bytes, 50 found'],
    ['127.0.0.1', 'Cannot decode datagram: NetFlow version 28271 is not supported'],
  ])
  const [{ datagrams, faulty, records }] = ledgerOf(collector.decoder.exporters)
  assert.deepEqual({ datagrams, faulty, records }, { datagrams: 3, faulty: 2, records: 1 })
})

test('a filter drops rows and they are counted', async () => {
  const { collector, written, send } = await start({
    filter(batch) {
      const { length } = batch
      batch.keep(Uint8Array.from({ length }, (_, row) => batch.bytes[row] % 2))
      return length - batch.length
    },
  })
  await send(v5(5, 0))
  await collector.stop()
  assert.deepEqual([...written.bytes.subarray(0, written.length)], [1, 3, 5])
  assert.deepEqual(collector.counters, {
    datagrams: 1, refused: 0, records: 5, filtered: 2, written: 3, lost: 0,
    counterSamples: 0, writtenCounters: 0, lostCounters: 0,
  })
})

test('a writer that fails loses its flows, which are counted, and collecting goes on', async () => {
  let failing = true
  const { collector, failures, send, arrived } = await start({
    writer: {
      async write() { if (failing) throw new Error('disk full') },
      async close() {},
      async abort() {},
    },
  })
  await send(v5(4, 0))
  await arrived(1)
  await collector.flush()
  failing = false
  await send(v5(3, 4))
  await collector.stop()
  assert.deepEqual(failures.map(String), ['Error: disk full'])
  assert.deepEqual(collector.counters, {
    datagrams: 2, refused: 0, records: 7, filtered: 0, written: 3, lost: 4,
    counterSamples: 0, writtenCounters: 0, lostCounters: 0,
  })
})

test('datagrams are refused and counted while the writer is too far behind', async () => {
  const gate = Promise.withResolvers<void>()
  const { collector, send, arrived } = await start({
    writer: { write: () => gate.promise, async close() {}, async abort() {} },
  })
  for (let i = 1; i <= 80; i++) {
    await send(v5(1, i))
    await arrived(i)
    void collector.flush()
  }
  assert.equal(collector.counters.refused, 80 - 64)
  gate.resolve()
  await collector.stop()
  assert.equal(collector.counters.written, 64)
})

test('all sockets are closed again when one of them cannot be opened', async () => {
  const { collector } = await start()
  const taken = collector.listeners[0].endpoint
  await assert.rejects(start({ listen: [{ address: '127.0.0.1', port: 0 }, taken] }), { code: 'EADDRINUSE' })
  await collector.stop()
})

/** A counter sample of a VLAN, number `sequence`. */
function vlanSample(sequence: number): Uint8Array {
  return tlv(2, u32(sequence, 1 << 24 | 20, 1), tlv(5, u32(20, 0, 7, 1, 2, 3, 4)))
}

test('counter samples go to who takes them, in their order, and the ledger counts them', async () => {
  const taken: CounterSample[] = []
  const { collector, written, faults, send } = await start({
    writeCounters: async (samples) => { taken.push(...samples) },
  })
  await send(sflow(vlanSample(1), vlanSample(2)))
  await send(v5(1, 0))
  await send(sflow(vlanSample(3)).subarray(0, 60))
  await collector.stop()
  assert.deepEqual(taken.map(({ sequence }) => sequence), [1, 2])
  const [{ exporterAddr, sourceType, values }] = taken
  assert.deepEqual([exporterAddr, sourceType, values['vlan_octets']], ['127.0.0.1', 1, 7])
  assert.equal(written.length, 1)
  assert.equal(faults.length, 1)
  const { counterSamples, writtenCounters, lostCounters } = collector.counters
  assert.deepEqual([counterSamples, writtenCounters, lostCounters], [2, 2, 0])
  assert.equal(ledgerOf(collector.decoder.exporters)[0].counter_samples, 2)
})

test('counter samples are handed on before they are many, and counted where nobody takes them', async () => {
  const sizes: number[] = []
  const { collector, send } = await start({
    writeCounters: async (samples) => { sizes.push(samples.length) },
  })
  const many = sflow(...Array.from({ length: 700 }, (_, i) => tlv(2, u32(i, 1, 0))))
  await send(many)
  await send(many)
  await collector.stop()
  assert.equal(sizes.reduce((sum, size) => sum + size), 1400)
  assert.ok(Math.max(...sizes) < 1024 + 700)
  const other = await start()
  await other.send(sflow(vlanSample(1)))
  await other.collector.stop()
  assert.equal(ledgerOf(other.collector.decoder.exporters)[0].counter_samples, 1)
})

test('counter samples that cannot be written are counted, and flows go on', async () => {
  const { collector, written, failures, send } = await start({
    writeCounters: () => Promise.reject(new Error('disk full')),
  })
  await send(sflow(vlanSample(1)))
  await send(v5(2, 0))
  await collector.stop()
  assert.equal(written.length, 2)
  assert.deepEqual(failures.map(String), ['Error: disk full'])
  assert.equal(collector.counters.lostCounters, 1)
})
