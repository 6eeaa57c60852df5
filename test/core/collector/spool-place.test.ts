import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { LedgerRow } from '../../../core/collector/ledger.ts'
import { listSegments } from '../../../core/spool/files.ts'
import { inherit, openSpoolPlace, type SpoolPlace } from '../../../core/collector/spool-place.ts'
import { openSpool } from '../../../core/spool/spool.ts'
import { formatIpv4, parseIpv4 } from '../../../core/flow/address.ts'
import { inLane, laneOf } from '../../../core/net/steering.ts'
import { newExporters } from '../../../core/netflow/exporters.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { restoreExporters, saveExporters } from '../../../core/netflow/snapshot.ts'
import { collector, set, template, u32, v9 } from '../netflow/messages.ts'
import { memorySink, type MemorySink } from './memory-sink.ts'
import { blocksOf, datagramOf, temporaryFolder } from '../spool/spooled.ts'

/** Of 2 lanes, the first two are of lane 0 and the others of lane 1; of 3, they are of lanes 1, 0, 0, 1. */
const EXPORTERS = ['198.51.100.2', '198.51.100.1', '198.51.100.8', '198.51.100.6']
const [A, B, C, D] = EXPORTERS

const TEMPLATE = set(0, template(256, [1, 4]))

interface Sent {
  readonly from: string
  readonly sequence: number
  readonly bytes: number
  readonly isAnnounced?: boolean
}

/** What a lane of `lanes` has written: segments of datagrams. A state is for the first of them. */
async function writeSpool(
  { own, after }: SpoolPlace, lane: number, segments: readonly (readonly Sent[])[], state?: Uint8Array,
): Promise<void> {
  const spool = await openSpool(own[lane], undefined, { lane, after })
  if (state) await spool.writeState(spool.segment, state)
  for (const segment of segments) {
    for (const { from, sequence, bytes, isAnnounced } of segment) {
      const sets = [...isAnnounced ? [TEMPLATE] : [], set(256, u32(bytes))]
      const blocks = blocksOf(datagramOf(v9({ sequence }, ...sets), from))
      spool.append(blocks, 0, blocks.length)
    }
    spool.cut()
  }
  await spool.close()
}

interface Opened extends SpoolPlace {
  readonly sink: MemorySink
  readonly errors: string[]
  readonly recovered: number[]
}

/** Open a place; it is let go of when the test ends. */
async function openPlace(
  t: TestContext, place: string, lanes: number, sink: MemorySink = memorySink(),
): Promise<Opened> {
  const errors: string[] = []
  const recovered: number[] = []
  const opened = await openSpoolPlace(place, lanes, {
    sinks: [sink], settings: { sampling: NO_RULES },
    onError: (error) => errors.push(String(error)),
    onFault: (error) => errors.push(String(error)),
    onFile() {},
    onRecovered: (segments) => recovered.push(segments),
  })
  t.after(() => opened.former.stop())
  return { ...opened, sink, errors, recovered }
}

/** Recover what is there, and wait until the sink has it. @returns what was known */
async function bringIn({ former }: Opened): Promise<Uint8Array[]> {
  const states = await former.recover()
  while (former.waiting > 0) await new Promise((resolve) => setImmediate(resolve))
  return states
}

/** What lane `lane` of `lanes` knows by snapshots: by exporter, datagrams heard and messages missing. */
async function knownBy(
  lane: number, lanes: number, states: readonly Uint8Array[],
): Promise<Record<string, string>> {
  const exporters = newExporters()
  await inherit(exporters, states, inLane(lane, lanes), async () => {}, fail)
  return Object.fromEntries([...exporters.byKey.values()].map(({ v4, counters, domains }) => {
    const missing = [...domains.values()].reduce((sum, { sequence }) => sum + sequence.missing, 0)
    return [formatIpv4(v4), `${counters.datagrams} ${missing}`]
  }))
}

/** The lane of an exporter. */
function ownerOf(address: string, lanes: number): number {
  return laneOf(4, parseIpv4(address), new Uint8Array(16), lanes)
}

function fail(error: unknown): void {
  assert.fail(String(error))
}

function bytesOf({ segments }: MemorySink): number[] {
  const bytes = [...segments.values()].flatMap(({ rows }) => [...rows.bytes.subarray(0, rows.length)])
  return bytes.sort((a, b) => a - b)
}

function stateOf(...sent: readonly Sent[]): Uint8Array {
  const { decoder, send } = collector()
  for (const { from, sequence } of sent) send(v9({ sequence }, TEMPLATE), from)
  return saveExporters(decoder.exporters)
}

test('exporters are of the lanes that these tests take them for', () => {
  const lanesOf = (lanes: number) => EXPORTERS.map((address) => ownerOf(address, lanes))
  assert.deepEqual([lanesOf(2), lanesOf(3)], [[0, 0, 1, 1], [1, 0, 0, 1]])
})

test('a collector without lanes has the place itself, others a folder for each lane', async (t) => {
  const place = join(temporaryFolder(t), 'state', 'spool')
  const alone = await openPlace(t, place, 1)
  assert.deepEqual([alone.own, alone.after, alone.former.isEmpty], [[place], 0, true])
  await alone.former.stop()
  const two = await openPlace(t, place, 2)
  assert.deepEqual(two.own, [join(place, 'lane-1-of-2-from-1'), join(place, 'lane-2-of-2-from-1')])
  assert.deepEqual([two.after, two.former.isEmpty, await bringIn(two)], [0, true, []])
})

test('a collector of as many lanes goes on with their spools', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  for (const lanes of [1, 2]) {
    rmSync(place, { recursive: true, force: true })
    const first = await openPlace(t, place, lanes)
    await first.former.stop()
    await writeSpool(first, lanes - 1, [[{ from: C, sequence: 1, bytes: 1 }]])
    const second = await openPlace(t, place, lanes)
    assert.deepEqual([second.own, second.after, second.former.isEmpty], [first.own, 1, true])
    await second.former.stop()
  }
})

test('only one collector has a place, of however many lanes', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const two = await openPlace(t, place, 2)
  const message = new RegExp(`^Cannot open spool ".*": process ${process.pid} has it open$`)
  const held = { code: 'ERR_OPTION', message }
  await assert.rejects(openPlace(t, place, 3), held)
  await assert.rejects(openSpool(place), held) // as a collector without lanes does
  await two.former.stop()
  const spool = await openSpool(place)
  await assert.rejects(openPlace(t, place, 2), held)
  await spool.close()
})

test('what one collector has left is brought in, and what it knew goes to the next one\'s lanes', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const alone = await openPlace(t, place, 1)
  await writeSpool(alone, 0, [
    EXPORTERS.map((from, i) => ({ from, sequence: 1, bytes: i, isAnnounced: true })),
    [{ from: A, sequence: 4, bytes: 10 }, { from: D, sequence: 2, bytes: 11 }],
  ])
  const three = await openPlace(t, place, 3)
  assert.deepEqual(three.own.map((folder) => folder.slice(place.length)),
    ['/lane-1-of-3-from-3', '/lane-2-of-3-from-3', '/lane-3-of-3-from-3'])
  assert.deepEqual([three.after, three.former.waiting, three.former.isEmpty], [2, 2, false])
  assert.ok(three.former.bytes > 0)
  const states = await bringIn(three)
  assert.deepEqual(bytesOf(three.sink), [0, 1, 2, 3, 10, 11])
  assert.deepEqual([three.recovered, three.errors, three.former.waiting, three.former.bytes], [[2], [], 0, 0])
  assert.deepEqual(await Promise.all([0, 1, 2].map((lane) => knownBy(lane, 3, states))), [
    { [B]: '1 0', [C]: '1 0' }, { [A]: '2 2', [D]: '2 0' }, {},
  ])
  // until it is kept elsewhere, what tells it stays: it can be told again
  assert.equal((await listSegments(place)).length, 1)
  assert.deepEqual(await knownBy(1, 3, await bringIn(three)), { [A]: '2 2', [D]: '2 0' })
  assert.equal(bytesOf(three.sink).length, 6)
  mkdirSync(three.own[0])
  await three.former.release()
  assert.deepEqual(await listSegments(place), [])
})

test('what lanes have left goes to a collector without, which has the place itself', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const two = await openPlace(t, place, 2)
  await two.former.stop()
  await writeSpool(two, 0, [
    [{ from: A, sequence: 1, bytes: 1, isAnnounced: true }], [{ from: A, sequence: 2, bytes: 2 }],
  ])
  await writeSpool(two, 1, [[{ from: C, sequence: 1, bytes: 3, isAnnounced: true }]])
  const alone = await openPlace(t, place, 1)
  assert.deepEqual([alone.own, alone.after], [[place], 2])
  const states = await bringIn(alone)
  assert.deepEqual(bytesOf(alone.sink), [1, 2, 3])
  assert.deepEqual(await knownBy(0, 1, states), { [C]: '1 0', [A]: '2 0' })
  // a ledger has the exporters of its lane only
  const ledgers = [...alone.sink.segments.values()].map(({ ledger }) => ledger as LedgerRow[])
  const exporters = ledgers.map((rows) => rows.map(({ exporter }) => exporter).join())
  assert.deepEqual(exporters.sort(), [A, A, C]) // segments of one millisecond have no order
  writeFileSync(join(two.own[1], '00000009-20261121T130405123Z-01234567.state.tmp'), 'half')
  await alone.former.release()
  assert.deepEqual(alone.errors, [])
  assert.deepEqual(readdirSync(place), [])
})

test('collectors that ended before they had what the former knew hand it on in their order', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  // with lanes, then other ones, then the first number again: none of the latter two had the templates
  for (const [lanes, lane, from, sequences] of [
    [2, 0, A, [1]], [3, 1, A, [2]], [2, 0, A, [5, 6]], [1, 0, A, [7]], [3, 1, A, [8]],
  ] as const) {
    const opened = await openPlace(t, place, lanes)
    await opened.former.stop()
    await writeSpool(opened, lane, sequences.map((sequence) => {
      return [{ from, sequence, bytes: sequence, isAnnounced: sequence === 1 }]
    }))
  }
  assert.deepEqual(readdirSync(place).filter((name) => name.startsWith('lane')).sort(),
    ['lane-1-of-2-from-1', 'lane-1-of-2-from-3', 'lane-2-of-3-from-2', 'lane-2-of-3-from-6'])
  const sink = memorySink()
  const four = await openPlace(t, place, 4, sink)
  assert.equal(four.own[3], join(place, 'lane-4-of-4-from-7'))
  const states = await bringIn(four)
  assert.deepEqual([bytesOf(sink), four.errors], [[1, 2, 5, 6, 7, 8], []])
  assert.deepEqual(await knownBy(ownerOf(A, 4), 4, states), { [A]: '6 2' })
  await four.former.stop()
  // nor had this one: the next brings nothing in again, but it knows as much
  const five = await openPlace(t, place, 5, sink)
  assert.deepEqual(await knownBy(ownerOf(A, 5), 5, await bringIn(five)), { [A]: '6 2' })
  assert.deepEqual([bytesOf(sink), five.recovered], [[1, 2, 5, 6, 7, 8], []])
  await five.former.release()
  assert.deepEqual(readdirSync(place).filter((name) => !name.startsWith('lock')), [])
})

test('a state counts before what came earlier', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const two = await openPlace(t, place, 2)
  await two.former.stop()
  await writeSpool(two, 0, [[{ from: A, sequence: 1, bytes: 1, isAnnounced: true }]])
  const alone = await openPlace(t, place, 1)
  await alone.former.stop()
  const state = stateOf({ from: A, sequence: 3, bytes: 0 }, { from: A, sequence: 4, bytes: 0 })
  await writeSpool(alone, 0, [[{ from: A, sequence: 6, bytes: 2 }]], state)
  const three = await openPlace(t, place, 3)
  assert.deepEqual(await knownBy(1, 3, await bringIn(three)), { [A]: '3 1' })
})

test('what a sink does not take stays, and is brought in later, by this collector or the next', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const alone = await openPlace(t, place, 1)
  await alone.former.stop()
  await writeSpool(alone, 0, [
    [{ from: A, sequence: 1, bytes: 1, isAnnounced: true }], [{ from: A, sequence: 2, bytes: 2 }],
    [{ from: A, sequence: 3, bytes: 3 }],
  ])
  const sink = memorySink()
  sink.failing = { rotate: true }
  const two = await openPlace(t, place, 2, sink)
  const states = await two.former.recover()
  assert.deepEqual([two.former.waiting, bytesOf(sink), two.recovered], [3, [], []])
  assert.deepEqual(await knownBy(0, 2, states), { [A]: '3 0' })
  await two.former.release()
  assert.equal((await listSegments(place)).length, 3)
  await two.former.stop() // tries once more
  assert.equal(two.former.waiting, 3)
  sink.failing = {}
  const three = await openPlace(t, place, 2, sink)
  assert.deepEqual(await knownBy(0, 2, await bringIn(three)), { [A]: '3 0' })
  assert.deepEqual([bytesOf(sink), three.recovered], [[1, 2, 3], [3]])
  await three.former.release()
  assert.deepEqual(await listSegments(place), [])
})

test('a sink that works again gets what waits before the collector ends', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const two = await openPlace(t, place, 2)
  await two.former.stop()
  await writeSpool(two, 0, [[{ from: A, sequence: 1, bytes: 1, isAnnounced: true }]])
  const sink = memorySink()
  sink.failing = { write: true }
  const alone = await openPlace(t, place, 1, sink)
  await alone.former.recover()
  await alone.former.release()
  assert.equal(alone.former.waiting, 1)
  sink.failing = {}
  await alone.former.stop()
  assert.deepEqual([alone.former.waiting, bytesOf(sink)], [0, [1]])
  assert.deepEqual(readdirSync(place), [])
})

test('a sink that works again gets what waits after a while', async (t) => {
  const place = join(temporaryFolder(t), 'spool')
  const two = await openPlace(t, place, 2)
  await two.former.stop()
  await writeSpool(two, 1, [[{ from: C, sequence: 1, bytes: 1, isAnnounced: true }]])
  const sink = memorySink()
  sink.failing = { open: true }
  const { former } = await openPlace(t, place, 1, sink)
  await former.recover()
  await former.release()
  sink.failing = {}
  while (former.waiting > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(bytesOf(sink), [1])
  await former.stop()
  assert.deepEqual(readdirSync(place), [])
})

test('what could not be made durable is told, and not taken for kept', async () => {
  const { decoder, send } = collector()
  send(v9({}, TEMPLATE), A)
  const exporters = newExporters()
  const errors: unknown[] = []
  const keep = () => Promise.reject(new Error('disk full'))
  const state = saveExporters(decoder.exporters)
  assert.equal(await inherit(exporters, [state], () => true, keep, (error) => errors.push(error)), false)
  assert.deepEqual([errors.map(String), exporters.byKey.size], [['Error: disk full'], 1])
  let kept: Uint8Array | undefined
  await inherit(exporters, [state], () => true, async (bytes) => { kept = bytes }, fail)
  assert.equal(restoreExporters(kept!).byKey.size, 1)
})
