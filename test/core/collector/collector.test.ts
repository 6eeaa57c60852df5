import { test, after } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCollector, type Collector, type CollectorOptions } from '../../../core/collector/collector.ts'
import type { RowFilter } from '../../../core/collector/decoding.ts'
import type { ArchivedRow } from '../../../core/collector/ledger.ts'
import { rowFilter } from '../../../core/collector/row-filter.ts'
import { ID } from '../../../core/flow/fields.ts'
import { parsePrefix } from '../../../core/flow/prefix.ts'
import { openNodeReceiver, type Receiver } from '../../../core/net/receiver.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { set, template, u32, v9 } from '../netflow/messages.ts'
import { sflow, tlv } from '../netflow/sflow/datagrams.ts'
import { memorySink, type MemorySink } from './memory-sink.ts'

const folder = await mkdtemp(join(tmpdir(), 'collector-test-'))
after(() => rm(folder, { recursive: true }))
let folders = 0

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
  readonly sink: MemorySink
  readonly spool: string
  readonly faults: [string, string][]
  readonly errors: unknown[]
  send(payload: Uint8Array): Promise<void>
  /** Resolves once it holds of what the collector reports. */
  until(holds: () => boolean): Promise<void>
}

async function start(
  options: Partial<CollectorOptions> = {}, sink: MemorySink = memorySink(),
): Promise<Harness> {
  const faults: [string, string][] = []
  const errors: unknown[] = []
  const spool = options.spool ?? join(folder, String(++folders), 'spool')
  const collector = await startCollector({
    listen: [{ protocol: 'udp', address: '127.0.0.1', port: 0 }], groups: [], allow: [],
    receiveBuffer: 1 << 20, sinks: [sink],
    spool, spoolSize: 2 ** 30, spoolSync: 1000, sampling: NO_RULES,
    onFault: (error, exporter) => faults.push([exporter, error.message]),
    onError: (error) => errors.push(error),
    onFile() {},
    onRecovered() {},
    ...options,
  })
  const [, port] = /:(\d+)$/.exec(collector.report().sockets[0].endpoint)!
  return {
    collector, sink, faults, errors, spool,
    send: (payload) => new Promise((resolve, reject) => {
      const socket = createSocket('udp4')
      socket.send(payload, Number(port), '127.0.0.1', (error) => {
        socket.close(() => error ? reject(error) : resolve())
      })
    }),
    async until(holds) {
      while (!holds()) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

function bytesOf(sink: MemorySink): number[] {
  const rows = sink.rows()
  return [...rows.bytes.subarray(0, rows.length)]
}

for (const [name, open] of [['recvmmsg', undefined], ['node:dgram', openNodeReceiver]] as const) {
  test(`flows go from the socket to the sink, and the ledger tells of their exporter (${name})`, async () => {
    const { collector, sink, send } = await start(open && { open })
    await send(v5(2, 0))
    await send(v5(3, 7))
    await collector.stop()
    assert.deepEqual(bytesOf(sink), [1, 2, 1, 2, 3])
    const rows = sink.rows()
    assert.equal(rows.exporterAddr.v4[0], 0x7f000001)
    assert.ok(Math.abs(rows.received[0] / 1000 - Date.now()) < 600_000)
    const { counters, sinks, sockets, spool } = collector.report()
    assert.deepEqual(counters, {
      datagrams: 2, refused: 0, dropped: 0, unspooled: 0, records: 5, filtered: 0, counterSamples: 0,
    })
    assert.deepEqual([sinks[0].rows, sinks[0].failures, sockets[0].dropped, spool.waiting], [5, 0, 0, 0])
    const [{ ledger }] = sink.segments.values()
    const [{ clock_skew_ms: skew, as_of_ms: asOf, ...row }] = ledger as ArchivedRow[]
    assert.ok(Math.abs(skew! - (Date.now() - 1_790_000_000_000)) < 600_000)
    assert.equal(asOf, Math.floor(rows.received[4] / 1000))
    assert.deepEqual(row, {
      exporter: '127.0.0.1', datagrams: 2, bytes: 24 * 2 + 48 * 5, records: 5, filtered: 0,
      options_records: 0, counter_samples: 0, templates: 0, faulty: 0, held_sets: 0, late_sets: 0,
      abandoned_sets: 0,
      missing_flows: 5, missing_messages: 0, missing_records: 0, reordered: 0, restarts: 0,
      template_conflicts: 0, expired_templates: 0,
    })
    assert.equal(sink.writers, 0)
  })
}

test('stop() takes what the sockets still hold', async () => {
  const { collector, sink, send } = await start()
  for (let i = 0; i < 40; i++) await send(v5(30, i * 30))
  await collector.stop()
  assert.equal(sink.rows().length, 1200)
})

test('stop() takes what a socket holds though nobody has told of it yet', async () => {
  const { collector, sink, send } = await start({
    async open(options) {
      const receiver = await openNodeReceiver(options)
      const silent = { readable: () => new Promise<void>(() => {}) }
      return Object.assign(Object.create(receiver) as Receiver, silent)
    },
  })
  await new Promise(setImmediate) // it waits for the socket now
  for (let i = 0; i < 40; i++) await send(v5(30, i * 30))
  await collector.stop()
  assert.equal(sink.rows().length, 1200)
})

test('faults are told and counted, and the others are decoded', async () => {
  const { collector, sink, faults, send } = await start()
  await send(v5(2, 0).subarray(0, 50))
  await send(Buffer.from('no flows'))
  await send(v5(1, 0))
  await collector.stop()
  assert.equal(sink.rows().length, 1)
  assert.deepEqual(faults, [
    ['127.0.0.1', 'Cannot decode NetFlow v5 datagram: 2 records need 120 bytes, 50 found'],
    ['127.0.0.1', 'Cannot decode datagram: NetFlow version 28271 is not supported'],
  ])
  const [{ datagrams, faulty, records }] = collector.report().exporters
  assert.deepEqual({ datagrams, faulty, records }, { datagrams: 3, faulty: 2, records: 1 })
})

test('a filter drops rows, and they are counted, for their exporter too', async () => {
  const { collector, sink, send } = await start({
    filter: rowFilter((batch, selected) => {
      let count = 0
      for (let row = 0; row < batch.length; row++) count += selected[row] = batch.bytes[row] % 2
      return count
    }),
  })
  await send(v5(5, 0))
  await collector.stop()
  assert.deepEqual(bytesOf(sink), [1, 3, 5])
  const { counters, exporters } = collector.report()
  assert.deepEqual([counters.records, counters.filtered], [5, 2])
  assert.deepEqual([exporters[0].records, exporters[0].filtered], [5, 2])
})

/** A filter that keeps rows whose bytes leave `rest` by 2. */
function filterBy(rest: number): RowFilter {
  return rowFilter((batch, selected) => {
    let count = 0
    for (let row = 0; row < batch.length; row++) {
      count += selected[row] = Number(batch.bytes[row] % 2 === rest)
    }
    return count
  })
}

test('other settings hold for what is received afterwards, not for what was', async () => {
  const { collector, sink, send, until } = await start({ filter: filterBy(0) })
  const { counters } = collector.report()
  await send(v5(5, 0))
  await until(() => counters.records === 5) // decoded, but in no sink yet
  collector.configure({
    allow: [], filter: filterBy(1),
    sampling: { defaults: [], overrides: [{ ...parsePrefix('127.0.0.0/8')!, rate: 7 }] },
  })
  await send(v5(3, 5))
  await until(() => counters.records === 8) // before the segment ends
  collector.rotate()
  await send(v5(5, 8))
  await collector.stop()
  assert.deepEqual([...sink.segments.values()].map(({ rows }) => ({
    bytes: [...rows.bytes.subarray(0, rows.length)],
    rates: rows.has(ID.samplingRate) ? [...rows.samplingRate.subarray(0, rows.length)] : [],
  })), [{ bytes: [2, 4, 2], rates: [] }, { bytes: [1, 3, 5], rates: [7, 7, 7] }])
  assert.deepEqual([counters.records, counters.filtered], [13, 7])
})

test('exporters are refused at once when they are not allowed any more', async () => {
  const { collector, sink, send, until } = await start()
  const { counters } = collector.report()
  await send(v5(1, 0))
  await until(() => counters.datagrams === 1)
  collector.configure({ allow: [parsePrefix('10.0.0.0/8')!], sampling: NO_RULES })
  await send(v5(1, 1))
  await collector.stop()
  assert.deepEqual([counters.datagrams, counters.refused, sink.rows().length], [2, 1, 1])
})

test('exporters that are not allowed are refused and counted', async () => {
  const { collector, sink, send } = await start({ allow: [parsePrefix('10.0.0.0/8')!] })
  await send(v5(5, 0))
  await collector.stop()
  const { datagrams, refused } = collector.report().counters
  assert.deepEqual([datagrams, refused, sink.segments.size], [1, 1, 0])
})

test('all sockets are closed again when one of them cannot be opened', async () => {
  const { collector } = await start()
  const [, port] = /:(\d+)$/.exec(collector.report().sockets[0].endpoint)!
  const taken = { protocol: 'udp', address: '127.0.0.1', port: Number(port) } as const
  const free = { ...taken, port: 0 }
  await assert.rejects(start({ listen: [free, taken] }), { code: 'EADDRINUSE' })
  await collector.stop()
})

test('rotations make segments, each with its rows', async () => {
  const { collector, sink, send, until } = await start()
  for (let i = 1; i <= 3; i++) {
    await send(v5(i, i))
    await until(() => collector.report().counters.datagrams === i)
    collector.rotate()
    await until(() => sink.segments.size === i)
  }
  collector.rotate() // of an empty one
  await collector.stop()
  assert.deepEqual([...sink.segments.values()].map(({ rows }) => rows.length), [1, 2, 3])
  assert.equal(collector.report().sinks[0].rows, 6)
})

test('what the spool held is in the sink after the next start, and templates are known', async () => {
  const sink = memorySink()
  sink.failing = { rotate: true }
  const first = await start({}, sink)
  await first.send(v9({ sequence: 1 }, set(0, template(256, [1, 4])), set(256, u32(7))))
  await first.send(v9({ sequence: 2 }, set(999, u32(1)))) // waits for its template
  await first.collector.stop()
  assert.equal(sink.segments.size, 0)
  assert.deepEqual(new Set(first.errors.map(String)), new Set(['Error: disk full']))
  assert.equal(first.collector.report().spool.waiting, 1)
  sink.failing = {}
  const second = await start({ spool: first.spool }, sink)
  await second.send(v9({ sequence: 3 }, set(256, u32(8)), set(0, template(999, [1, 4]))))
  await second.collector.stop()
  assert.deepEqual(bytesOf(sink), [7, 8, 1])
  const [{ datagrams, missing_messages: missing }] = second.collector.report().exporters
  assert.deepEqual([datagrams, missing], [3, 0])
  assert.deepEqual((await readdir(second.spool)).filter((name) => name.endsWith('.pcapng')), [])
})

test('a sink that fails gets its segment later, and the others have theirs at once', async () => {
  const broken = memorySink('broken')
  const sink = memorySink()
  for (const failing of [{ write: true }, { rotate: true }, { open: true }]) {
    broken.failing = failing
    const it = await start({ sinks: [sink, broken] })
    sink.segments.clear()
    broken.segments.clear()
    await it.send(v5(3, 0))
    await it.until(() => it.collector.report().counters.datagrams === 1)
    it.collector.rotate()
    await it.until(() => sink.segments.size === 1 && it.collector.report().spool.waiting === 1)
    assert.equal(broken.segments.size, 0)
    broken.failing = {}
    await it.send(v5(2, 3))
    await it.until(() => broken.segments.size === 1) // the first, again
    await it.collector.stop()
    assert.deepEqual(bytesOf(broken).sort(), bytesOf(sink).sort())
    assert.equal(it.collector.report().spool.waiting, 0)
    assert.ok(it.collector.report().sinks[1].failures > 0)
  }
  assert.equal(broken.writers, 0)
})

/** A counter sample of a VLAN, number `sequence`. */
function vlanSample(sequence: number): Uint8Array {
  return tlv(2, u32(sequence, 1 << 24 | 20, 1), tlv(5, u32(20, 0, 7, 1, 2, 3, 4)))
}

test('counter samples go to the sinks, and the ledger counts them', async () => {
  const { collector, sink, faults, send } = await start()
  await send(sflow(vlanSample(1), vlanSample(2)))
  await send(v5(1, 0))
  await send(sflow(vlanSample(3)).subarray(0, 60))
  await collector.stop()
  assert.deepEqual(sink.samples().map(({ sequence }) => sequence), [1, 2])
  const [{ exporterAddr, sourceType, values }] = sink.samples()
  assert.deepEqual([exporterAddr, sourceType, values['vlan_octets']], ['127.0.0.1', 1, 7])
  assert.equal(sink.rows().length, 1)
  assert.equal(faults.length, 1)
  const { counters, exporters } = collector.report()
  assert.deepEqual([counters.counterSamples, exporters[0].counter_samples], [2, 2])
})

test('a socket that stays silent is asked once, however often others wake the collector', async () => {
  let asked = 0
  const { collector, sink, until } = await start({
    async open(options) {
      const receiver = await openNodeReceiver(options)
      return { ...receiver, readable: () => { asked++; return receiver.readable() } }
    },
  })
  for (let i = 0; i < 50; i++) {
    collector.rotate()
    await until(() => collector.report().spool.waiting === 0)
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(asked, 1)
  await collector.stop()
  assert.equal(sink.segments.size, 0)
})
