import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { ID } from '../../../core/flow/fields.ts'
import { makeShape } from '../../../core/flow/shape.ts'
import {
  cutter, pacer, processTimer, replayDatagrams, replayFlows, type Pace, type Timer,
} from '../../../core/net/replay.ts'
import { newDatagram } from '../../../core/netflow/message.ts'

const START = 1_795_165_200_000_000 // 2026-11-20T09:00:00Z

/** Flows that end so many ms after START; NaN: that have no time. The source port is the row's number. */
function flows(...ends: readonly number[]): FlowBatch {
  const batch = new FlowBatch()
  for (const [row, end] of ends.entries()) {
    const fields = Number.isNaN(end) ? [ID.srcPort] : [ID.srcPort, ID.flowEnd]
    batch.shape[row] = batch.intern(makeShape(fields))
    batch.flowEnd[row] = START + end * 1000
    batch.srcPort[row] = row
  }
  batch.length = ends.length
  return batch
}

/** The slices of batches: when they are due, and their rows. */
function slices(pace: Pace, ...batches: readonly FlowBatch[]): [due: number, rows: number[]][] {
  const { cut } = cutter(pace)
  return batches.flatMap((batch) => Array.from(cut(batch), ({ batch, due }): [number, number[]] => {
    return [due, [...batch.srcPort.subarray(0, batch.length)]]
  }))
}

/** A clock that sleeping moves on, and that is `late` ms behind at each waking. */
function fakeTimer(late: number = 0): Timer & { time: number, stopped: boolean } {
  return {
    time: 1000,
    stopped: false,
    now() { return this.time },
    async sleep(ms) { this.time += ms + late },
  }
}

test('at a rate the n-th flow is due n / rate seconds after the first, two ms of flows together', () => {
  assert.deepEqual(slices({ rate: 10 }, flows(0, 0), flows(0)), [[0, [0]], [100, [1]], [200, [0]]])
  assert.deepEqual(slices({ rate: 1000 }, flows(0, 0, 0), flows(0, 0)), [[0, [0, 1]], [2, [2]], [3, [0, 1]]])
})

test('by speed flows keep their distances, and none goes before the one before it', () => {
  const batches = [flows(0, 1, 40, 30), flows(NaN, 1040)]
  const rows = [[0, 1], [2, 3], [0], [1]]
  assert.deepEqual(slices({ speed: 1 }, ...batches), [0, 40, 40, 1040].map((due, i) => [due, rows[i]]))
  assert.deepEqual(slices({ speed: 10 }, flows(0, 100, 1040)), [[0, [0]], [10, [1]], [104, [2]]])
  assert.deepEqual(slices({ speed: 0.5 }, flows(0, 100)), [[0, [0]], [200, [1]]])
})

test('at full speed batches go as they are', () => {
  const batch = flows(0, 1e6)
  assert.deepEqual([...cutter({ speed: Infinity }).cut(batch)], [{ batch, due: 0 }])
})

test('another round goes on where the last one ended', () => {
  for (const pace of [{ speed: 1 }, { rate: 20 }]) {
    const { cut, again } = cutter(pace)
    const due = () => Array.from(cut(flows(0, 50, 150)), (slice) => slice.due)
    const first = due()
    again()
    const both = 'rate' in pace ? [0, 50, 100, 150, 200, 250] : [0, 50, 150, 150, 200, 300]
    assert.deepEqual([...first, ...due()], both)
  }
})

test('a pacer that always wakes late does not drift', async () => {
  const timer = fakeTimer(0.7)
  const schedule = pacer(timer)
  for (let due = 0; due <= 1000; due += 2) {
    await schedule.until(due)
    assert.ok(timer.time - 1000 >= due && timer.time - 1000 < due + 2.7, `${timer.time} at ${due}`)
  }
  timer.time += 500 // busy for long
  const { time } = timer
  await schedule.until(1200)
  assert.equal(timer.time, time)
})

test('a schedule begins when its first moment is waited for, however late that is', async () => {
  const timer = fakeTimer()
  const schedule = pacer(timer)
  timer.time += 400 // reading
  const times: number[] = []
  for (const due of [0, 2, 100]) {
    await schedule.until(due)
    times.push(timer.time - 1400)
  }
  assert.deepEqual(times, [0, 2, 100])
})

test('what is late is caught up with at twice the pace, after a burst of 5 ms', async () => {
  const timer = fakeTimer()
  const schedule = pacer(timer)
  for (let due = 0; due <= 100; due += 2) await schedule.until(due)
  timer.time += 50 // busy until 150
  const times: number[] = []
  for (let due = 102; due <= 210; due += 2) {
    await schedule.until(due)
    times.push(timer.time - 1000)
  }
  assert.deepEqual(times.slice(0, 8), [150, 150, 150, 150, 150, 150, 151, 152])
  assert.deepEqual(times.slice(-6), [200, 202, 204, 206, 208, 210])
  assert.ok(times.every((time, i) => i < 6 || time - times[i - 1] >= 1))
})

test('flows are taken when they are due, and wait at most so long for more', async () => {
  const timer = fakeTimer()
  const log: [number, string][] = []
  async function* reader() {
    yield flows(0, 400, 1200)
    yield flows(5000)
  }
  await replayFlows(reader(), cutter({ speed: 1 }), pacer(timer), {
    longestWait: 1000,
    async take({ length }) { log.push([timer.time - 1000, `take ${length}`]) },
    async flush() { log.push([timer.time - 1000, 'flush']) },
  })
  assert.deepEqual(log, [
    [0, 'take 1'], [400, 'take 1'], [1000, 'flush'], [1200, 'take 1'], [2200, 'flush'], [5000, 'take 1'],
  ])
})

test('nothing is taken once the timer is stopped', async () => {
  const timer = fakeTimer()
  let taken = 0
  async function* reader() {
    for (;;) yield flows(0)
  }
  await replayFlows(reader(), cutter({ rate: 1 }), pacer(timer), {
    longestWait: 1e6,
    async take() { timer.stopped = ++taken === 3 },
    async flush() {},
  })
  assert.equal(taken, 3)
})

test('datagrams go as they are received, so many times as fast', async () => {
  const timer = fakeTimer()
  const schedule = pacer(timer)
  const log: number[] = []
  function* datagrams() {
    const datagram = newDatagram()
    for (const millis of [0, 500, 500, 2000]) {
      datagram.received = START + millis * 1000
      yield datagram
    }
  }
  const send = () => {
    log.push(timer.time - 1000)
    return undefined
  }
  const last = await replayDatagrams(datagrams(), 2, 0, schedule, send)
  assert.equal(await replayDatagrams(datagrams(), 2, last, schedule, send), 2000)
  assert.deepEqual(log, [0, 250, 250, 1000, 1000, 1250, 1250, 2000])
})

test('a signal ends the sleep of the process timer', async () => {
  const controller = new AbortController()
  const timer = processTimer(controller.signal)
  const asleep = timer.sleep(1e9)
  assert.equal(timer.stopped, false)
  controller.abort()
  await asleep
  await timer.sleep(1e9)
  assert.equal(timer.stopped, true)
})
