import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { newBacklog, type Backlog, type Cut } from '../../../core/collector/backlog.ts'
import type { CollectorCounters } from '../../../core/collector/report.ts'
import { listSegments } from '../../../core/spool/files.ts'
import { openSpool, type Spool } from '../../../core/spool/spool.ts'
import { datagramOf, seenIn, temporaryFolder } from '../spool/spooled.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const MIB = 2 ** 20

interface Harness {
  readonly backlog: Backlog
  readonly spool: Spool
  readonly folder: string
  readonly counters: CollectorCounters
  readonly errors: unknown[]
  /** Put `count` datagrams, numbered on; each `size` bytes long. */
  put(count: number, size?: number): void
  /** Take out what there is up to the next cut: the numbers of datagrams, or the cut. */
  take(): Promise<number[] | Cut | undefined>
  /** The same up to the end. */
  takeAll(): Promise<(number | string)[]>
}

/** A backlog over a spool, whose calls go to `faulty` first. */
async function start(
  t: TestContext, memory: number = 4 * MIB, limit: number = Infinity, faulty: Partial<Spool> = {},
): Promise<Harness> {
  let real: Spool | undefined
  t.after(() => real?.close())
  const folder = join(temporaryFolder(t), 'spool')
  real = await openSpool(folder, limit)
  const spool = Object.assign(Object.create(real) as Spool, faulty)
  const counters: CollectorCounters = {
    datagrams: 0, refused: 0, dropped: 0, unspooled: 0, records: 0, filtered: 0, counterSamples: 0,
  }
  const errors: unknown[] = []
  let isReady: () => void = () => {}
  const backlog = newBacklog({
    allocate: (size) => new Uint8Array(size), makeRoom: () => false,
    spool, counters, memory, onReady: () => isReady(), onError: (error) => errors.push(error),
  })
  let number = 0

  async function take(): Promise<number[] | Cut | undefined> {
    let item = backlog.next()
    while (!item && !backlog.isEmpty) {
      await new Promise<void>((resolve) => { isReady = resolve })
      item = backlog.next()
    }
    if (item?.kind !== 'blocks') {
      if (item) backlog.done()
      return item
    }
    const { chunk, start, end } = item
    const numbers = seenIn(chunk!.bytes, start, end).map(({ payload }) => Number(payload.slice(0, 8)))
    backlog.done()
    return numbers
  }

  return {
    backlog, spool, folder, counters, errors, take,
    put(count, size = 60_000) {
      for (let i = 0; i < count; i++) {
        backlog.put(datagramOf(Buffer.from(String(number++).padStart(8, '0').padEnd(size, ' '))), 2055)
      }
      backlog.commit()
    },
    async takeAll() {
      const all: (number | string)[] = []
      for (let item = await take(); item; item = await take()) {
        if (Array.isArray(item)) all.push(...item)
        else all.push(`cut ${item.isWhole}`)
      }
      return all
    },
  }
}

function numbersTo(end: number, from: number = 0): number[] {
  return Array.from({ length: end - from }, (_, i) => from + i)
}

test('datagrams come out as they went in, and then there is nothing', async (t) => {
  const { backlog, put, takeAll, spool } = await start(t)
  assert.equal(backlog.isEmpty, true)
  assert.equal(backlog.next(), undefined)
  put(3)
  put(2, 10)
  assert.equal(backlog.isEmpty, false)
  assert.deepEqual(await takeAll(), [0, 1, 2, 3, 4])
  assert.equal(backlog.isEmpty, true)
  assert.ok(spool.size > 180_000)
})

test('a datagram counts as waiting before it is committed, and is given out only then', async (t) => {
  const { backlog, takeAll } = await start(t)
  backlog.put(datagramOf(Buffer.from('00000007')), 2055)
  assert.equal(backlog.isEmpty, false)
  assert.equal(backlog.next(), undefined)
  backlog.commit()
  assert.deepEqual(await takeAll(), [7])
})

test('cuts stand between the datagrams of two segments', async (t) => {
  const { backlog, put, take, spool, folder } = await start(t)
  const first = spool.segment
  put(2)
  backlog.cut()
  const second = spool.segment
  backlog.cut()
  put(1)
  assert.deepEqual(await take(), [0, 1])
  assert.deepEqual(await take(), { kind: 'cut', ended: first, next: second, isWhole: true })
  assert.deepEqual(await take(), { kind: 'cut', ended: second, next: spool.segment, isWhole: true })
  assert.deepEqual(await take(), [2])
  assert.deepEqual((await listSegments(folder)).map(({ id }) => id), [first, spool.segment])
})

test('what memory has no room for is forgotten, and read again from the spool, in order', async (t) => {
  const { backlog, put, take, takeAll, counters, spool } = await start(t)
  const count = 1000 // 60 MB
  collect()
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < count; i += 10) {
    put(10)
    if (i % 250 === 240) backlog.cut()
  }
  collect()
  const taken = process.memoryUsage().arrayBuffers - before
  assert.ok(taken < 7 * MIB, `${taken} bytes are taken`)
  assert.ok(spool.size > 60_000 * count)
  const some = await take() as number[]
  put(500) // while it is taken from
  collect()
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 * MIB)
  const rest = await takeAll()
  assert.deepEqual([...some, ...rest.filter(Number.isInteger)], numbersTo(count + 500))
  assert.deepEqual(rest.filter((item) => typeof item === 'string'), Array(4).fill('cut true'))
  assert.equal(backlog.isEmpty, true)
  assert.deepEqual([counters.dropped, counters.unspooled], [0, 0])
})

test('what the spool has no room for is in memory, else dropped, and both are counted', async (t) => {
  const { backlog, put, takeAll, counters, errors, spool } = await start(t, 4 * MIB, 700_000)
  put(10)
  put(2) // all or none
  assert.deepEqual([counters.dropped, counters.unspooled], [0, 2])
  assert.match(String(errors[0]), /: 700000 bytes allowed, 600648 are used, 120120 more wanted$/)
  for (let i = 0; i < 30; i++) put(10)
  const { dropped, unspooled } = counters
  assert.equal(dropped + unspooled, 302)
  assert.ok(dropped > 200 && unspooled > 50, `${dropped} dropped, ${unspooled} unspooled`)
  backlog.cut()
  const first = spool.segment
  assert.deepEqual(await takeAll(), [...numbersTo(10 + unspooled), 'cut true'])
  put(1)
  assert.deepEqual(await takeAll(), [312])
  assert.equal(counters.dropped, dropped)
  assert.equal(spool.segment, first)
})

test('the spool is used again as soon as it can be written to', async (t) => {
  let failing = false
  const refusal = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  const harness = await start(t, 4 * MIB, Infinity, {
    append(...args) {
      if (failing) throw refusal
      return (Object.getPrototypeOf(this) as Spool).append(...args)
    },
  })
  const { put, takeAll, counters, errors, spool } = harness
  put(1)
  failing = true
  put(2)
  put(3)
  failing = false
  put(4)
  assert.deepEqual(await takeAll(), numbersTo(10))
  assert.equal(counters.unspooled, 5)
  assert.deepEqual(errors, [refusal, refusal])
  const written = new Uint8Array(spool.size - 48)
  await spool.read(spool.segment, 48, written)
  assert.deepEqual(seenIn(written).map(({ payload }) => Number(payload.slice(0, 8))), [0, 6, 7, 8, 9])
})

test('a cut tells that something of its segment could not be read again', async (t) => {
  const { backlog, put, takeAll, errors, folder } = await start(t)
  put(300)
  backlog.cut()
  put(1)
  backlog.cut()
  put(1)
  const [{ path }] = await listSegments(folder)
  renameSync(path, `${path}-away`)
  const all = await takeAll()
  const [broken, whole] = all.filter((item) => typeof item === 'string')
  assert.deepEqual([broken, whole], ['cut false', 'cut true'])
  assert.deepEqual(all.slice(-3), [300, 'cut true', 301])
  assert.ok(errors.length > 0)
  for (const error of errors) assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT')
})

test('what comes soon is read before it is its turn, piece after piece, but not all at once', async (t) => {
  const held: (() => void)[] = []
  const readings: Promise<void>[] = []
  const { backlog, put, takeAll } = await start(t, 3 * MIB, Infinity, {
    read(id, offset, bytes) {
      const passed = new Promise<void>((resolve) => held.push(resolve))
      const reading = passed.then(() => (Object.getPrototypeOf(this) as Spool).read(id, offset, bytes))
      readings.push(reading)
      return reading
    },
  })
  for (let i = 0; i < 10; i++) put(18) // which fill a chunk
  const first = backlog.next()
  assert.equal(first?.kind, 'blocks') // it is in memory still
  for (let pieces = 1; pieces <= 3; pieces++) {
    assert.equal(backlog.next(), first)
    assert.equal(held.length, pieces)
    held[pieces - 1]()
    while (pieces < 3 && held.length === pieces) {
      await new Promise(setImmediate)
      backlog.next()
    }
  }
  await readings.at(-1)
  assert.equal(backlog.next(), first)
  assert.equal(held.length, 3)
  backlog.done()
  const second = backlog.next()
  assert.ok(second?.kind === 'blocks' && second !== first)
  assert.equal(held.length, 4)
  const seen = seenIn(second.chunk!.bytes, second.start, second.end)
  assert.deepEqual(seen.map(({ payload }) => parseInt(payload)), numbersTo(36, 18))
  const feeding = setInterval(() => held.at(-1)!(), 1)
  assert.deepEqual(await takeAll(), numbersTo(180, 18))
  clearInterval(feeding)
})

test('what is read again goes into memory that was used before', async (t) => {
  const buffers = new Set<ArrayBufferLike>()
  const { put, takeAll } = await start(t, 3 * MIB, Infinity, {
    read(id, offset, bytes) {
      buffers.add(bytes.buffer)
      return (Object.getPrototypeOf(this) as Spool).read(id, offset, bytes)
    },
  })
  for (let i = 0; i < 50; i++) put(18)
  assert.deepEqual(await takeAll(), numbersTo(900))
  assert.ok(buffers.size <= 5, `${buffers.size} buffers`)
})
