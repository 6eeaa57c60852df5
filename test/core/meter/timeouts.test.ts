import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BATCH_SIZE } from '../../../core/flow/batch.ts'
import { FlowMeter } from '../../../core/meter/meter.ts'
import { uint } from '../pcap/frames.ts'
import { ACK, ended, feeder, FIN, flushed, ip4, pick, RST, segment, SYN, tcp, T0 } from './packets.ts'

const TIMES = ['packets', 'flow_start', 'flow_end', 'end_reason']
const IDLE = 1, ACTIVE = 2, CLOSED = 3, FORCED = 4, ROOM = 5

/** A packet of the flow of that number. */
function flow(number: number): string {
  return ip4(6, tcp(number, 443, ACK))
}

test('a flow ends when it was idle for longer than 15 s, and another begins', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(ACK))
  add(15, segment(ACK)) // not longer
  add(30.000001, segment(ACK))
  assert.deepEqual(pick(ended(meter), ...TIMES), [[2, 0, 15, IDLE]])
  assert.deepEqual(pick(flushed(meter), ...TIMES), [[1, 30.000001, 30.000001, FORCED]])
  const { endedIdle, endedForced } = meter.stats
  assert.deepEqual([endedIdle, endedForced], [1, 1])
})

test('a flow ends when it is older than 5 minutes, and goes on as another', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (let at = 0; at <= 610; at += 10) add(at, segment(ACK))
  assert.deepEqual(pick(ended(meter), ...TIMES), [[31, 0, 300, ACTIVE]])
  assert.deepEqual(pick(flushed(meter), ...TIMES), [[31, 310, 610, FORCED]])
})

test('packets of other flows move the clock, by which flows are given out', () => {
  const meter = new FlowMeter({ idleTimeout: 10e6 })
  const add = feeder(meter)
  add(0, flow(1))
  add(1, flow(2))
  for (let at = 2; at <= 12; at += 0.5) {
    add(at, flow(3))
    if (at < 10) assert.equal(meter.finished.length, 0)
  }
  assert.deepEqual(pick(ended(meter), 'src_port', ...TIMES), [[1, 1, 0, 0, IDLE], [2, 1, 1, 1, IDLE]])
  assert.equal(meter.active, 1)
})

test('expire ends flows by the time that it is told', () => {
  const meter = new FlowMeter({ idleTimeout: 1e6, activeTimeout: 3e6 })
  const add = feeder(meter)
  for (let at = 0; at <= 2.5; at += 0.5) add(at, flow(1))
  add(2.5, flow(2))
  assert.equal(meter.expire(T0 + 3e6), false)
  assert.equal(meter.finished.length, 0)
  assert.equal(meter.expire(T0 + 3.2e6), false)
  assert.deepEqual(pick(ended(meter), 'src_port', ...TIMES), [[1, 6, 0, 2.5, ACTIVE]])
  assert.equal(meter.expire(T0 + 4e6), false)
  assert.deepEqual(pick(ended(meter), 'src_port', ...TIMES), [[2, 1, 2.5, 2.5, IDLE]])
  assert.equal(meter.active, 0)
})

test('expire stops when a batch is full, and goes on when it was taken', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (let i = 0; i < 20_000; i++) add(0, flow(i))
  assert.equal(meter.expire(T0 + 20e6), true)
  const first = ended(meter).length
  assert.ok(first >= BATCH_SIZE && first < BATCH_SIZE + 512)
  assert.equal(meter.expire(T0 + 20e6), true)
  const second = ended(meter).length
  assert.equal(meter.expire(T0 + 20e6), false)
  assert.equal(first + second + ended(meter).length, 20_000)
})

test('one packet ends a few hundred flows at most, the next ones the others', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (let i = 0; i < 2000; i++) add(0, flow(i))
  add(100, flow(60_000))
  assert.ok(meter.finished.length > 0 && meter.finished.length <= 256)
  for (let i = 0; i < 10; i++) add(100, flow(60_000))
  assert.equal(meter.finished.length, 2000)
})

test('behind FIN a flow ends after two seconds of silence, with what came meanwhile', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(SYN))
  add(1, segment(FIN | ACK))
  add(2.5, segment(ACK))
  add(3, flow(1))
  assert.equal(meter.finished.length, 0)
  add(5, flow(1))
  assert.deepEqual(pick(ended(meter), ...TIMES), [[3, 0, 2.5, CLOSED]])
  assert.equal(meter.stats.endedClosed, 1)
})

test('behind RST as well; a packet after the silence begins another flow', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(RST))
  add(2.000001, segment(ACK))
  assert.deepEqual(pick(ended(meter), ...TIMES), [[1, 0, 0, CLOSED]])
  add(15, segment(ACK))
  assert.deepEqual(pick(flushed(meter), ...TIMES), [[2, 2.000001, 15, FORCED]])
})

test('the SYN of a next connection with the same ports ends the one that is over at once', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(SYN))
  add(0.1, segment(SYN)) // again
  add(0.2, segment(FIN | ACK))
  add(0.3, segment(SYN))
  assert.deepEqual(pick(ended(meter), ...TIMES), [[3, 0, 0.2, CLOSED]])
  assert.deepEqual(pick(flushed(meter), 'tcp_flags', ...TIMES), [[SYN, 1, 0.3, 0.3, FORCED]])
})

test('an idle timeout under two seconds also holds behind FIN', () => {
  const meter = new FlowMeter({ idleTimeout: 500_000 })
  const add = feeder(meter)
  add(0, segment(FIN))
  add(0.6, segment(ACK))
  assert.deepEqual(pick(ended(meter), ...TIMES), [[1, 0, 0, CLOSED]])
})

test('when there is no room the idlest flow goes, and is counted', () => {
  const meter = new FlowMeter({ maxFlows: 4 })
  const add = feeder(meter)
  for (let i = 0; i < 4; i++) add(i, flow(i + 1))
  add(4, flow(1))
  add(5, flow(5))
  assert.deepEqual(pick(ended(meter), 'src_port', ...TIMES), [[2, 1, 1, 1, ROOM]])
  assert.equal(meter.active, 4)
  add(6, flow(6))
  assert.deepEqual(pick(ended(meter), 'src_port', 'end_reason'), [[3, ROOM]])
  assert.equal(meter.stats.endedForRoom, 2)
})

test('what is over anyway makes room first, with its own reason', () => {
  const meter = new FlowMeter({ maxFlows: 2, idleTimeout: 10e6 })
  const add = feeder(meter)
  add(0, flow(1))
  add(1, flow(2))
  add(10.5, flow(3)) // before the clock has come to the turn in which flow 1 ends
  assert.deepEqual(pick(ended(meter), 'src_port', 'end_reason'), [[1, IDLE]])
})

test('under a flood of flows none is lost and the work goes on', () => {
  const meter = new FlowMeter({ maxFlows: 1000 })
  const add = feeder(meter)
  const size = (count: number): string => ip4(17, `${uint(count & 0xffff, 2)}${uint(count >> 16, 2)}00080000`)
  let packets = 0
  for (let i = 0; i < 50_000; i++) {
    add(i / 1e4, size(i))
    if (meter.finished.length < BATCH_SIZE) continue
    for (const row of ended(meter)) packets += Number(row.packets)
  }
  for (const row of flushed(meter)) packets += Number(row.packets)
  assert.equal(packets, 50_000)
  assert.equal(meter.stats.endedForRoom, 49_000)
})

test('a clock that goes back a little does not end flows: they begin with their earliest packet', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(10, segment(ACK))
  add(8, segment(ACK))
  add(9, segment(ACK))
  assert.deepEqual(pick(flushed(meter), ...TIMES), [[3, 8, 10, FORCED]])
})

test('a clock that goes back by more than the idle timeout ends them, and works on from there', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(10_000, flow(1))
  add(10_000, flow(2))
  add(0, flow(1))
  assert.deepEqual(pick(ended(meter), 'src_port', ...TIMES), [[1, 1, 10_000, 10_000, IDLE]])
  for (let at = 1; at < 100; at++) add(at, flow(3))
  assert.deepEqual(pick(ended(meter), 'src_port', ...TIMES), [
    [1, 1, 0, 0, IDLE], [2, 1, 10_000, 10_000, IDLE],
  ])
})

test('a gap of a day ends what was before', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (let i = 0; i < 100; i++) add(i / 10, flow(i))
  add(86_400, flow(1))
  assert.equal(ended(meter).length, 100)
  assert.deepEqual(pick(flushed(meter), 'src_port', 'flow_start'), [[1, 86_400]])
})
