import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LedgerRow } from '../../../core/collector/ledger.ts'
import type { Sink } from '../../../core/sinks/sink.ts'
import { listSegments } from '../../../core/spool/files.ts'
import type { Spool } from '../../../core/spool/spool.ts'
import { restoreExporters } from '../../../core/netflow/snapshot.ts'
import { set, v9 } from '../netflow/messages.ts'
import { memorySink, type MemorySink } from './memory-sink.ts'
import { gate, segmentHarness } from './segment-harness.ts'
import { datagramOf } from '../spool/spooled.ts'

function bytesOf(sink: MemorySink): number[] {
  const rows = sink.rows()
  return [...rows.bytes.subarray(0, rows.length)]
}

/** The segments that a sink has, and the bytes of their flows. */
function segmentsOf(sink: MemorySink): Map<string, number[]> {
  return new Map([...sink.segments].map(([id, { rows }]) => [id, [...rows.bytes.subarray(0, rows.length)]]))
}

test('segments are in the sinks and out of the spool, and the next has its state', async (t) => {
  const sink = memorySink()
  const { send, cut, segments, spool, folder, until, files, counters } = await segmentHarness(t, [sink])
  await send(1, 2)
  const first = await cut()
  await send(3)
  const second = await cut()
  await until(() => segments.waiting === 0)
  assert.deepEqual(segmentsOf(sink), new Map([[first, [1, 2]], [second, [3]]]))
  assert.deepEqual(files, [first, second])
  assert.deepEqual((await listSegments(folder)).map(({ id, size }) => [id, size]), [[spool.segment, 0]])
  const { bytes } = await spool.readState(spool.segment)
  assert.equal([...restoreExporters(bytes!).byKey.values()][0].counters.records, 3)
  const [{ rows, failures, lost }] = segments.sinks
  assert.deepEqual([rows, failures, lost, counters.records], [3, 0, 0, 3])
  await segments.stop()
})

test('a segment without datagrams leaves no file, and its state goes to the next', async (t) => {
  const sink = memorySink()
  const { send, cut, segments, spool, folder, until } = await segmentHarness(t, [sink])
  await send(1)
  await cut()
  await cut()
  await cut()
  await until(() => segments.waiting === 0)
  assert.equal(sink.segments.size, 1)
  const [state, ...more] = await listSegments(folder)
  assert.deepEqual([state.id, state.hasState, more], [spool.segment, true, []])
  await segments.stop()
})

test('a sink whose writer is opened in the middle of a segment gets all of it later', async (t) => {
  const [slow, other] = [memorySink('slow'), memorySink('other')]
  slow.failing = { open: true }
  const { passed, open } = gate()
  let isSlow = false
  const sink: Sink = {
    ...slow,
    async open(segment) {
      if (isSlow) await passed
      return slow.open(segment)
    },
  }
  const { send, cut, segments, until, run } = await segmentHarness(t, [sink, other])
  await send(1)
  slow.failing = {}
  isSlow = true
  const first = await cut()
  await send(2) // while it is opened
  open()
  isSlow = false
  await run()
  await send(3)
  const second = await cut()
  await send(4)
  const third = await cut()
  await until(() => slow.segments.has(third))
  await segments.stop()
  assert.deepEqual(segmentsOf(other), new Map([[first, [1]], [second, [2, 3]], [third, [4]]]))
  assert.deepEqual(new Map([...segmentsOf(slow)].sort()), new Map([...segmentsOf(other)].sort()))
  assert.deepEqual([segments.sinks[0].rows, segments.sinks[0].lost, segments.waiting], [4, 0, 0])
  assert.deepEqual([slow.writers, other.writers], [0, 0])
})

test('a writer that has failed is closed, and another goes on', async (t) => {
  for (const failing of [{ write: true }, { rotate: true }]) {
    const sink = memorySink()
    const { send, cut, segments, until, errors } = await segmentHarness(t, [sink])
    await send(1)
    sink.failing = failing
    const first = await cut()
    await until(() => errors.length > 0)
    sink.failing = {}
    await until(() => sink.segments.has(first)) // it comes from the spool
    await send(2)
    const second = await cut()
    await until(() => sink.segments.has(second))
    await send(3)
    const third = await cut()
    await until(() => sink.segments.has(third))
    await segments.stop()
    assert.deepEqual(segmentsOf(sink), new Map([[first, [1]], [second, [2]], [third, [3]]]))
    assert.deepEqual(new Set(errors), new Set(['Error: disk full'])) // it may be tried more than once
    assert.deepEqual([segments.sinks[0].rows, segments.sinks[0].failures, sink.writers], [3, errors.length, 0])
  }
})

test('a sink that hangs costs bounded memory: what it has not taken waits in the spool', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] }) // it is not left behind yet
  const sink = memorySink()
  const { passed, open } = gate()
  const hanging: Sink = {
    ...sink,
    async open(segment) {
      const writer = await sink.open(segment)
      return { ...writer, write: (batch) => passed.then(() => writer.write(batch)) }
    },
  }
  const { backlog, counters, segments, spool, run, until, cut } = await segmentHarness(t, [hanging])
  const before = process.memoryUsage().arrayBuffers
  const flows = 16_000 // fill a message nearly
  const message = v9({ sequence: 1 }, set(256, new Uint8Array(flows * 4).fill(1)))
  const messages = 1200 // 77 MB, 19 M flows
  for (let i = 0; i < messages; i++) {
    new DataView(message.buffer).setUint32(12, i + 1)
    backlog.put(datagramOf(message), 2055)
    if (i % 10 === 0) {
      backlog.commit()
      await run()
    }
    if (i % 400 === 0) backlog.cut()
  }
  backlog.commit()
  await run()
  assert.equal(segments.decode(backlog), false)
  assert.ok(spool.size > messages * flows * 4)
  assert.deepEqual([counters.dropped, counters.unspooled, sink.segments.size], [0, 0, 0])
  const taken = process.memoryUsage().arrayBuffers - before
  assert.ok(taken < 150e6, `${taken} bytes are taken`)
  open()
  await cut()
  await until(() => segments.waiting === 0)
  const rows = [...sink.segments.values()].reduce((sum, kept) => sum + kept.rows.length, 0)
  assert.equal(rows, messages * flows)
  const { ledger } = [...sink.segments.values()].at(-1)!
  assert.deepEqual(ledger.map((row) => (row as LedgerRow).missing_messages), [0])
  await segments.stop()
  assert.equal(spool.size, 0)
})

test('a segment stays in the spool until the next has its state, though all sinks have it', async (t) => {
  const sink = memorySink()
  let isFull = true
  const { send, cut, segments, folder, errors, spool, until } = await segmentHarness(t, [sink], {
    async writeState(id, state) {
      if (isFull) throw new Error('no space')
      await (Object.getPrototypeOf(this) as Spool).writeState(id, state)
    },
  })
  await send(1)
  const first = await cut()
  await cut() // nothing in it
  await send(2)
  const third = await cut()
  await until(() => sink.segments.size === 2)
  assert.deepEqual(errors, Array(3).fill('Error: no space'))
  const left = await listSegments(folder)
  assert.deepEqual(left.map(({ id, hasState }) => [id, hasState]), [[first, false], [third, false]])
  isFull = false
  await segments.stop()
  assert.deepEqual(segmentsOf(sink), new Map([[first, [1]], [third, [2]]])) // once
  const rest = await listSegments(folder)
  assert.deepEqual(rest.map(({ id, size, hasState }) => [id, size, hasState]), [[spool.segment, 0, true]])
  const { bytes } = await spool.readState(spool.segment)
  const [{ counters, templates }] = restoreExporters(bytes!).byKey.values()
  assert.deepEqual([counters.records, templates], [2, 1])
})

test('what could not be read again in time comes from the spool, and no sink has a part of it', async (t) => {
  const sink = memorySink()
  const reads = { failing: true }
  const { backlog, segments, cut, errors, until, send } = await segmentHarness(t, [sink], {
    async read(...args) {
      if (reads.failing) throw new Error('EIO')
      return (Object.getPrototypeOf(this) as Spool).read(...args)
    },
  })
  const big = v9({ sequence: 1 }, set(256, new Uint8Array(60_000).fill(1)))
  for (let i = 0; i < 200; i++) {
    new DataView(big.buffer).setUint32(12, i + 1)
    backlog.put(datagramOf(big), 2055)
    backlog.commit()
  }
  const first = await cut()
  reads.failing = false
  await send(5)
  const second = await cut()
  await until(() => sink.segments.has(second))
  assert.ok(errors.length > 0 && errors.every((error) => error === 'Error: EIO'))
  await segments.stop()
  assert.equal(sink.segments.get(first)!.rows.length, 200 * 15_000)
  assert.equal(sink.segments.get(second)!.rows.length, 1)
})

test('flows that a sink failed to take, and that were not spooled, count as lost', async (t) => {
  const [sink, good] = [memorySink('failing'), memorySink('good')]
  let isFull = false
  const { send, cut, segments, counters, until } = await segmentHarness(t, [sink, good], {
    append(...args) {
      if (isFull) throw new Error('no space')
      return (Object.getPrototypeOf(this) as Spool).append(...args)
    },
  })
  await send(1, 2)
  isFull = true
  await send(3, 4, 5)
  isFull = false
  sink.failing = { rotate: true }
  await cut()
  await until(() => good.segments.size === 1)
  sink.failing = {}
  await segments.stop()
  assert.deepEqual([bytesOf(sink), bytesOf(good)], [[1, 2], [1, 2, 3, 4, 5]])
  assert.deepEqual(segments.sinks.map(({ rows, lost }) => [rows, lost]), [[2, 3], [5, 0]])
  assert.deepEqual([counters.records, counters.unspooled], [5, 1])
})

test('a segment that was removed before a sink had it is told, and its flows count as lost', async (t) => {
  const sink = memorySink()
  const { send, cut, segments, folder, errors, until } = await segmentHarness(t, [sink])
  sink.failing = { rotate: true }
  await send(1, 2)
  const first = await cut()
  await until(() => segments.sinks[0].failures === 1)
  sink.failing = {}
  for (const name of readdirSync(folder)) if (name.includes(first)) rmSync(join(folder, name))
  await segments.stop()
  assert.deepEqual(errors, [
    'Error: disk full', `FlowkitError: Cannot find segment ${first} in "${folder}": it was removed`,
  ])
  assert.deepEqual([segments.sinks[0].lost, segments.waiting], [2, 0])
})

test('a spool that cannot be listed is told, and what waits goes on waiting', async (t) => {
  const sink = memorySink()
  const { send, cut, segments, folder, errors, until } = await segmentHarness(t, [sink])
  sink.failing = { rotate: true }
  await send(1)
  await cut()
  await until(() => segments.sinks[0].failures === 1)
  sink.failing = {}
  rmSync(folder, { recursive: true })
  await segments.stop()
  assert.match(errors.join(), /^Error: disk full,Error: ENOENT/)
  assert.equal(segments.waiting, 1)
  mkdirSync(folder)
})
