import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowMeter } from '../../../core/meter/meter.ts'
import { ipv6, uint } from '../pcap/frames.ts'
import { A, B, ended, feeder, flushed, ip4, pick } from './packets.ts'

const UDP_HEADER = '9c40003503f00000' // 40000 to 53, 1008 bytes
const NAMES = ['proto', 'src_port', 'dst_port', 'packets', 'bytes', 'flow_start', 'flow_end']

/** Fragments of a datagram of 1008 bytes: 504, 248 and 256. */
function fragments(id: number): [first: string, second: string, third: string] {
  return [
    ip4(17, UDP_HEADER + '00'.repeat(496), { id, more: true }),
    ip4(17, '00'.repeat(248), { id, offset: 504, more: true }),
    ip4(17, '00'.repeat(256), { id, offset: 752 }),
  ]
}
const TOTAL = 1008 + 60

test('later fragments count in the flow of the ports that the first one has', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (const [i, fragment] of fragments(7).entries()) add(i, fragment)
  assert.deepEqual(pick(flushed(meter), ...NAMES), [[17, 40000, 53, 3, TOTAL, 0, 2]])
  const { fragmentsJoined, fragmentsAlone, metered } = meter.stats
  assert.deepEqual([fragmentsJoined, fragmentsAlone, metered], [2, 0, 3])
})

test('in any order, with nothing left of the flow without ports that was there meanwhile', () => {
  for (const order of [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
    const meter = new FlowMeter()
    const add = feeder(meter)
    const parts = fragments(7)
    for (const [i, part] of order.entries()) add(i, parts[part])
    assert.equal(meter.active, 1)
    assert.deepEqual(pick(flushed(meter), ...NAMES), [[17, 40000, 53, 3, TOTAL, 0, 2]], String(order))
    assert.deepEqual([meter.stats.fragmentsJoined, meter.stats.fragmentsAlone], [2, 0])
  }
})

test('when the first is lost they are a flow without ports, one for all', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (const id of [7, 8]) for (const part of fragments(id).slice(1)) add(id, part)
  assert.deepEqual(pick(flushed(meter), ...NAMES), [[17, '-', '-', 4, 2 * (TOTAL - 524), 7, 8]])
  assert.deepEqual([meter.stats.fragmentsJoined, meter.stats.fragmentsAlone], [0, 4])
})

test('of fragments of several datagrams only those are taken out whose first has come', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, fragments(7)[1])
  add(0, fragments(8)[1])
  add(1, fragments(8)[0])
  assert.deepEqual(pick(flushed(meter), ...NAMES), [
    [17, '-', '-', 1, 268, 0, 0], [17, 40000, 53, 2, 524 + 268, 0, 1],
  ])
})

test('what went out before the first came stays where it is', () => {
  const meter = new FlowMeter({ idleTimeout: 5e6 })
  const add = feeder(meter)
  add(0, fragments(7)[1])
  add(6, fragments(7)[0])
  assert.deepEqual(pick(ended(meter), ...NAMES), [[17, '-', '-', 1, 268, 0, 0]])
  assert.deepEqual(pick(flushed(meter), ...NAMES), [[17, 40000, 53, 1, 524, 6, 6]])
})

test('an identification is forgotten after 30 s', () => {
  const meter = new FlowMeter({ idleTimeout: 60e6 })
  const add = feeder(meter)
  add(0, fragments(7)[0])
  add(30, fragments(7)[1])
  add(30.1, fragments(7)[2])
  assert.deepEqual(pick(flushed(meter), 'src_port', 'packets'), [[40000, 2], ['-', 1]])
})

test('the same identification in the other direction, or of another protocol, is another datagram', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, fragments(7)[0])
  add(0, ip4(17, '00'.repeat(8), { id: 7, offset: 504, src: B, dst: A }))
  add(0, ip4(6, '00'.repeat(8), { id: 7, offset: 504 }))
  assert.deepEqual(pick(flushed(meter), 'proto', 'src_addr', 'src_port', 'packets'), [
    [17, '192.0.2.1', 40000, 1], [17, '198.51.100.2', '-', 1], [6, '192.0.2.1', '-', 1],
  ])
})

test('both directions of a conversation join their fragments', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  const back = { src: B, dst: A, id: 9 }
  add(0, ip4(17, '9c400035' + '00080000'))
  add(1, ip4(17, '00'.repeat(16), { ...back, offset: 16 }))
  add(2, ip4(17, '00359c4000200000' + '00'.repeat(8), { ...back, more: true }))
  const names = ['src_port', 'packets', 'rev_packets', 'rev_bytes', 'rev_flow_start']
  assert.deepEqual(pick(flushed(meter), ...names), [[40000, 1, 2, 72, 1]])
})

test('IPv6 fragments join the protocol behind their first one as well', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  const head = (offset: number, more: number): string => `3c00${uint(offset | more, 2)}0000002a`
  const options = '1100010400000000'
  add(0, ipv6(44, `${head(24, 0)}${'00'.repeat(10)}`))
  add(1, ipv6(44, `${head(0, 1)}${options}9c40003500220000${'00'.repeat(8)}`))
  assert.deepEqual(pick(flushed(meter), ...NAMES), [[17, 40000, 53, 2, 40 + 18 + 40 + 32, 0, 1]])
})

test('later fragments of a tunnel whose packet is metered count by themselves, not as bytes', () => {
  const meter = new FlowMeter({ inner: true })
  const add = feeder(meter)
  const inner = ip4(17, '9c40003503e80000' + '00'.repeat(992))
  const gre = `00000800${inner}`
  add(0, ip4(47, gre.slice(0, 1024), { id: 5, more: true, src: B, dst: A }))
  add(0, ip4(47, gre.slice(1024), { id: 5, offset: 512, src: B, dst: A }))
  assert.deepEqual(pick(flushed(meter), 'src_port', 'packets', 'bytes', 'tun_proto'), [[40000, 1, 1020, 47]])
  assert.deepEqual([meter.stats.metered, meter.stats.tunnelFragments], [1, 1])
})

test('a flood of identifications costs neither memory nor packets', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  for (let id = 0; id < 20_000; id++) add(id / 1e6, fragments(id)[1])
  for (let id = 0; id < 20_000; id++) add(1 + id / 1e6, fragments(id)[0])
  const rows = flushed(meter)
  assert.equal(rows.reduce((sum, { packets }) => sum + Number(packets), 0), 40_000)
  assert.equal(rows.length, 2)
})
