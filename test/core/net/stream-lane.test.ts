import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newLoss } from '../../../core/flow/loss.ts'
import { SAMPLING_SOURCE } from '../../../core/flow/names.ts'
import { streamLane, type StreamLane } from '../../../core/net/stream-lane.ts'
import { openStreamSender, type StreamSender } from '../../../core/net/stream-sender.ts'
import { DEFAULT_EXPORT } from '../../../core/netflow/encode/export-streams.ts'
import { batchOf } from '../netflow/encode/rows.ts'
import { listen } from './ipfix-streams.ts'

const OPTIONS = { ...DEFAULT_EXPORT, templateRefresh: 1, maxSize: 1400 }
const PATIENCE = { first: 1, longest: 2, held: 1e6 }
const SAMPLING = { sampling_rate: 100, sampling_algorithm: 1, sampling_source: SAMPLING_SOURCE.config }
const { signal } = new AbortController()

/** Flows of the same kind, one a minute. */
function flows(count: number): ReturnType<typeof batchOf> {
  return batchOf(...Array.from({ length: count }, (_, i) => ({
    fields: { ...SAMPLING, flow_end: 1_795_165_200_000_000 + i * 60e6, src_addr: '10.0.0.1', bytes: 5 },
  })))
}

/** A connection that keeps messages, takes `taken` of them, and is lost once it is told so. */
interface Fake extends StreamSender {
  taken: number
  isLost: boolean
  readonly messages: Buffer[]
}

function fake(): Fake {
  const messages: Buffer[] = []
  const check = (it: Fake) => {
    if (it.isLost) throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104 })
  }
  return {
    source: { address: '127.0.0.1', port: 1 }, messages, taken: 0, isLost: false,
    get sent() { return messages.length },
    send(message) {
      check(this)
      messages.push(Buffer.from(message))
    },
    async ready() { check(this) },
    async close() { check(this) },
  }
}

/** Ids of the sets of a message. */
function setsOf(message: Buffer): number[] {
  const ids: number[] = []
  for (let at = 16; at < message.length; at += message.readUInt16BE(at + 2)) ids.push(message.readUInt16BE(at))
  return ids
}

function sendRows(lane: StreamLane, ...counts: readonly number[]): void {
  for (const count of counts) {
    lane.encode(flows(count))
    lane.flush()
  }
}

test('templates are sent once, and again by the next connection, which counts from 0', async () => {
  const connections = [fake(), fake()]
  const [first, second] = connections
  const said: string[] = []
  const lane = streamLane(first, async () => second, OPTIONS, signal, {
    onLost: (reason) => said.push(reason), onBack: () => said.push('back'),
  }, PATIENCE)
  sendRows(lane, 3, 2)
  await lane.ready()
  const has = (connection: Fake) => connection.messages.map((message) => setsOf(message).includes(2))
  const all = has(first)
  assert.ok(all[0] && all.length > 1)
  assert.ok(!all.slice(1).includes(true))
  first.isLost = true
  await lane.ready() // until it is back
  sendRows(lane, 1)
  assert.equal(has(second)[0], true)
  assert.equal(second.messages[0].readUInt32BE(8), 0)
  assert.deepEqual(said, ['connection reset by peer', 'back'])
  await lane.close()
  assert.deepEqual([lane.breaks, lane.reason], [1, 'connection reset by peer'])
})

test('flows that a lost connection had not taken are counted, without records of options', async () => {
  const first = fake()
  const next = fake()
  const lane = streamLane(first, async () => next, OPTIONS, signal, { onLost() {}, onBack() {} }, PATIENCE)
  sendRows(lane, 1)
  first.taken = first.messages.length
  sendRows(lane, 1, 1, 1)
  first.isLost = true
  sendRows(lane, 2)
  assert.equal(lane.lost, 5)
  await lane.ready()
  sendRows(lane, 4)
  assert.equal(lane.lost, 5)
  next.taken = next.messages.length
  next.isLost = true
  await lane.close()
  assert.deepEqual([lane.lost, lane.breaks], [5, 2])
  assert.deepEqual(lane.addLoss(newLoss()).rows, newLoss().rows)
})

test('flows wait for a collector that is away, but not for ever', async () => {
  const first = fake()
  const refuse = () => Promise.reject(new Error('nobody there'))
  const impatient = { ...PATIENCE, held: 5 }
  const lane = streamLane(first, refuse, OPTIONS, signal, { onLost() {}, onBack() {} }, impatient)
  first.isLost = true
  await lane.ready()
  sendRows(lane, 7)
  assert.equal(lane.lost, 7)
  await lane.close()
})

test('a collector that takes nothing for long is given up, and connected to again', async () => {
  const [busy, next] = [fake(), fake()]
  busy.ready = () => new Promise(() => {})
  const said: string[] = []
  const lane = streamLane(busy, async () => next, OPTIONS, signal, {
    onLost: (reason) => said.push(reason), onBack: () => said.push('back'),
  }, { ...PATIENCE, held: 5 })
  sendRows(lane, 2)
  await lane.ready()
  while (said.length < 2) await lane.ready()
  sendRows(lane, 1)
  assert.deepEqual(said, ['the collector takes nothing', 'back'])
  assert.deepEqual([lane.lost, lane.breaks, next.messages.length > 0], [2, 1, true])
  await lane.close()
})

test('a signal ends waiting for a collector that is away, and for one that takes nothing', async () => {
  const events = { onLost() {}, onBack() {} }
  const stop = new AbortController()
  const refuse = () => Promise.reject(new Error('nobody there'))
  const first = fake()
  const away = streamLane(first, refuse, OPTIONS, stop.signal, events, PATIENCE)
  const busy = fake()
  busy.ready = () => new Promise(() => {})
  const stuck = streamLane(busy, refuse, OPTIONS, stop.signal, events, PATIENCE)
  first.isLost = true
  const waiting = Promise.all([away.ready(), stuck.ready()])
  stop.abort()
  await waiting
  sendRows(away, 1)
  assert.equal(away.lost, 1)
  await away.close()
  await stuck.close()
})

test('a collector that is started again gets what comes then', async () => {
  const it = await listen()
  const { port } = it.endpoint
  const open = () => openStreamSender({ host: '127.0.0.1', port })
  let isBack = false
  const lane = streamLane(await open(), open, OPTIONS, signal, {
    onLost() {}, onBack() { isBack = true },
  }, PATIENCE)
  sendRows(lane, 1)
  await it.until(() => it.messages.length > 0)
  await it.close()
  const again = await listen({ port })
  while (!isBack) await lane.ready()
  sendRows(lane, 2)
  await lane.close()
  await again.until(() => again.closed.length === 1)
  assert.ok(setsOf(again.messages[0].bytes).includes(2))
  assert.deepEqual([lane.breaks, lane.lost, again.faults], [1, 0, []])
})
