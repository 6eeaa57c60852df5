import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { recover } from '../../../core/collector/replay.ts'
import { startSegments } from '../../../core/collector/segments.ts'
import type { Sink } from '../../../core/sinks/sink.ts'
import { listSegments } from '../../../core/spool/files.ts'
import { openSpool } from '../../../core/spool/spool.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { gate, segmentHarness, type SegmentHarness } from './segment-harness.ts'
import { memorySink, type MemorySink } from './memory-sink.ts'

/** Flows of a datagram that is nearly as large as one can be. */
const FLOWS = 16_000
/** Datagrams whose flows are more than all batches have room for. */
const MANY = 20

/** A sink whose calls of one kind wait until it is opened; asked for each call. */
function hangingSink(name: string, kind: 'open' | 'write' | 'rotate'): Sink & MemorySink & {
  isHanging: boolean, goOn(): void
} {
  const sink = memorySink(name)
  const { passed, open } = gate()
  const hanging = Object.assign(Object.create(sink) as MemorySink, {
    isHanging: true,
    goOn() {
      hanging.isHanging = false
      open()
    },
    async open(segment: string) {
      const wait = async (each: string): Promise<void> => {
        if (each === kind && hanging.isHanging) await passed
      }
      await wait('open')
      const writer = await sink.open(segment)
      return {
        ...writer,
        write: (batch) => wait('write').then(() => writer.write(batch)),
        rotate: (rotation) => wait('rotate').then(() => writer.rotate(rotation)),
      } satisfies Awaited<ReturnType<Sink['open']>>
    },
  })
  return hanging
}

/** Time that goes by when it is told to, and never by itself. */
function clock(t: TestContext, { run }: SegmentHarness): {
  pass(seconds: number): Promise<void>
  /** Let it go by until something holds. */
  passUntil(holds: () => boolean): Promise<void>
} {
  async function tick(): Promise<void> {
    t.mock.timers.tick(500)
    await run()
  }
  return {
    async pass(seconds) {
      for (let i = 0; i < seconds * 2; i++) await tick()
    },
    async passUntil(holds) {
      for (let i = 0; !holds(); i++) {
        assert.ok(i < 1000, `${holds} has come true`)
        await tick()
      }
    },
  }
}

async function start(t: TestContext, sinks: readonly Sink[]): Promise<SegmentHarness> {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  return segmentHarness(t, sinks)
}

/** What is told of a sink that is left behind. */
function leftBehind(name: string, why: string): string {
  return `FlowkitError: Cannot keep up with ${name}: ${why}, what it lacks waits in the spool`
}

function rowsOf(sink: MemorySink): number[] {
  return [...sink.segments.values()].map(({ rows }) => rows.length)
}

for (const kind of ['open', 'write', 'rotate'] as const) {
  test(`a sink whose ${kind} hangs falls behind alone, and has everything once it goes on`, async (t) => {
    const hanging = hangingSink('hanging', kind)
    const good = memorySink('good')
    const it = await start(t, [hanging, good])
    const { pass, passUntil } = clock(t, it)
    const ids: string[] = []
    for (let segment = 0; segment < 3; segment++) {
      await it.sendMany(MANY, FLOWS)
      await passUntil(() => it.backlog.isEmpty)
      ids.push(await it.cut())
    }
    await it.until(() => good.segments.size === 3)
    await pass(10)
    assert.deepEqual([...good.segments.keys()], ids)
    assert.deepEqual(rowsOf(good), Array(3).fill(MANY * FLOWS))
    const [behind, ahead] = it.segments.sinks
    assert.deepEqual([behind.rows, behind.lost, behind.waiting, behind.hanging], [0, 0, 3, 1])
    assert.deepEqual([ahead.rows, ahead.waiting, ahead.hanging], [3 * MANY * FLOWS, 0, 0])
    assert.equal(it.segments.waiting, 3)
    assert.deepEqual(it.errors, [leftBehind('hanging', 'others have waited 5 s for it')])

    hanging.goOn()
    await passUntil(() => it.segments.waiting === 0)
    assert.deepEqual([...hanging.segments.keys()].sort(), ids.toSorted())
    assert.deepEqual(rowsOf(hanging), Array(3).fill(MANY * FLOWS))
    const last = [...hanging.segments.values()].map(({ ledger }) => ledger).sort().at(-1)
    assert.deepEqual(last, [...good.segments.values()].at(-1)!.ledger)
    assert.deepEqual([behind.rows, behind.lost, behind.waiting], [3 * MANY * FLOWS, 0, 0])
    await it.cut() // nothing in it: from here on it takes what is decoded again
    await it.send(1, 2, 3)
    const id = await it.cut()
    await it.until(() => hanging.segments.has(id))
    assert.deepEqual([rowsOf(hanging)[3], hanging.segments.has(id), behind.failures], [3, true, 1])
    await it.segments.stop()
    assert.deepEqual([hanging.writers, good.writers, it.spool.size], [0, 0, 0])
  })
}

test('when the only sink hangs, decoding goes on after a while, and the ledger with it', async (t) => {
  const hanging = hangingSink('hanging', 'write')
  const it = await start(t, [hanging])
  const { pass, passUntil } = clock(t, it)
  await it.sendMany(MANY, FLOWS)
  await pass(9)
  assert.equal(it.backlog.isEmpty, false)
  await pass(2)
  await it.until(() => it.backlog.isEmpty)
  assert.equal(it.counters.records, MANY * FLOWS)
  await it.cut()
  assert.deepEqual(it.errors, [leftBehind('hanging', 'it has taken nothing for 10 s')])
  hanging.goOn()
  await passUntil(() => it.segments.waiting === 0)
  assert.deepEqual(rowsOf(hanging), [MANY * FLOWS])
  await it.segments.stop()
})

test('a sink that is slow is left behind only while others wait for it, and not for ever', async (t) => {
  const slow = memorySink('slow')
  const queue: (() => void)[] = []
  const sink: Sink = {
    ...slow,
    async open(segment) {
      const writer = await slow.open(segment)
      return {
        ...writer,
        async write(batch) {
          await new Promise<void>((resolve) => queue.push(resolve))
          await writer.write(batch)
        },
      }
    },
  }
  const good = memorySink('good')
  const it = await start(t, [sink, good])
  const { pass } = clock(t, it)
  // little comes: it is in nobody's way
  await it.sendMany(2, FLOWS)
  await pass(30)
  assert.deepEqual(it.errors, [])
  queue.shift()?.()
  await pass(1)
  // more comes than it takes
  await it.sendMany(30, FLOWS)
  for (let second = 0; second < 6 && it.errors.length === 0; second++) {
    queue.shift()?.()
    await pass(1)
  }
  assert.deepEqual(it.errors, [leftBehind('slow', 'others have waited 5 s for it')])
  const id = await it.cut()
  await it.until(() => good.segments.has(id))
  assert.equal(good.segments.get(id)!.rows.length, 32 * FLOWS)
  // at its own pace, it gets there
  for (let left = 1000; it.segments.waiting > 0 && left > 0; left--) {
    queue.splice(0).forEach((resolve) => resolve())
    await pass(0.5)
  }
  assert.equal(slow.segments.get(id)?.rows.length, 32 * FLOWS)
  await it.segments.stop()
})

test('stop() waits 10 s for a sink that hangs, and the next start brings what it lacks', async (t) => {
  for (const kind of ['open', 'write', 'rotate'] as const) {
    const hanging = hangingSink('hanging', kind)
    const good = memorySink('good')
    const it = await start(t, [hanging, good])
    const { pass, passUntil } = clock(t, it)
    const first = it.spool.segment
    await it.send(1, 2)
    await it.cut()
    let isStopped = false
    const stopped = it.segments.stop().then(() => { isStopped = true })
    await pass(9)
    assert.equal(isStopped, false)
    await passUntil(() => isStopped)
    await stopped
    assert.deepEqual(it.errors, [
      'FlowkitError: Cannot finish writing to hanging: after 10 s it still lacks 1 segment of the spool',
    ])
    assert.deepEqual([...good.segments.keys()], [first])
    const { waiting, hanging: still } = it.segments.sinks[0]
    assert.deepEqual([waiting, still, it.segments.waiting], [1, 1, 1])
    await it.spool.close()

    const after = memorySink('hanging')
    const spool = await openSpool(it.folder)
    const older = (await listSegments(it.folder)).filter(({ id }) => id !== spool.segment)
    const errors: unknown[] = []
    const options = {
      onError: (error: unknown) => errors.push(error), onFault: (error: unknown) => errors.push(error),
      onFile() {},
    }
    const settings = { sampling: NO_RULES }
    const { exporters, formers } = await recover(spool, older, spool.segment, settings, options)
    const recovered: number[] = []
    const segments = startSegments({
      ...options, spool, directory: it.folder, sinks: [after, good], first: spool.segment, exporters, formers,
      settings, settingsFrom: () => undefined, counters: it.counters, onReady() {},
      onRecovered: (count) => recovered.push(count),
    })
    await segments.stop()
    assert.deepEqual([rowsOf(after), [...after.segments.keys()], errors], [[2], [first], []])
    assert.deepEqual([good.segments.size, recovered, spool.size], [1, [1], 0])
    await spool.close()
    t.mock.timers.reset()
  }
})

test('a sink that catches up when it is stopped has 10 s for it, whatever is left', async (t) => {
  const slow = memorySink('slow')
  slow.failing = { open: true }
  let passing: (() => void) | undefined
  const sink: Sink = {
    ...slow,
    async open(segment) {
      const writer = await slow.open(segment)
      return {
        ...writer,
        async write(batch) {
          await new Promise<void>((resolve) => { passing = resolve })
          await writer.write(batch)
        },
      }
    },
  }
  const it = await start(t, [sink])
  const { pass } = clock(t, it)
  for (let i = 0; i < 8; i++) {
    await it.send(i)
    await it.cut()
  }
  slow.failing = {}
  let isStopped = false
  const stopped = it.segments.stop().then(() => { isStopped = true })
  while (!isStopped) { // a segment takes two seconds
    await it.until(() => passing !== undefined || isStopped)
    await pass(2)
    passing?.()
    passing = undefined
    await it.run()
  }
  await stopped
  assert.ok(slow.segments.size > 0 && slow.segments.size < 8, `${slow.segments.size} segments`)
  assert.equal(it.segments.waiting, 8 - slow.segments.size)
  assert.match(it.errors.at(-1)!, /Cannot finish writing to slow: after 10 s it still lacks \d segments/)
  assert.equal((await listSegments(it.folder)).filter(({ size }) => size > 0).length, 8 - slow.segments.size)
})

test('a full spool lets go of the oldest segment that a sink lacks, and counts it as lost', async (t) => {
  const hanging = hangingSink('hanging', 'write')
  const good = memorySink('good')
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const it = await segmentHarness(t, [hanging, good], {}, 5_000_000)
  const { passUntil } = clock(t, it)
  const ids: string[] = []
  for (let segment = 0; segment < 6; segment++) { // of 1.28 MB
    await it.sendMany(MANY, FLOWS)
    await passUntil(() => it.backlog.isEmpty)
    ids.push(await it.cut())
  }
  await it.until(() => good.segments.size === 6)
  const each = MANY * FLOWS
  assert.deepEqual(rowsOf(good), Array(6).fill(each))
  assert.deepEqual([it.counters.records, it.counters.dropped, it.counters.unspooled], [6 * each, 0, 0])
  const [behind, ahead] = it.segments.sinks
  assert.deepEqual([behind.lost, behind.waiting, ahead.lost], [3 * each, 3, 0])
  const left = (await listSegments(it.folder)).filter(({ size }) => size > 0)
  assert.deepEqual(left.map(({ id }) => id), ids.slice(3))
  assert.ok(it.spool.size <= 5_000_000)
  assert.equal(it.errors.at(-1),
    `FlowkitError: Cannot keep segment ${ids[2]} for hanging: the spool is full, ${each} flows are lost`)
  hanging.goOn()
  await passUntil(() => it.segments.waiting === 0)
  assert.deepEqual([...hanging.segments.keys()].sort(), ids.slice(3).sort())
  assert.equal(behind.rows + behind.lost, it.counters.records)
  await it.segments.stop()
})
