import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowMeter } from '../../../core/meter/meter.ts'
import { ethernet, ipv6 } from '../pcap/frames.ts'
import { A, ACK, B, ended, feeder, FIN, flushed, ip4, pick, RST, segment, SYN, tcp } from './packets.ts'

const ENDS = ['src_addr', 'src_port', 'dst_addr', 'dst_port', 'packets', 'rev_packets']

test('both directions are one flow, from who began', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, segment(SYN))
  add(0.1, segment(SYN | ACK, true))
  add(0.2, ip4(6, tcp(50000, 443, ACK, '6162'), { tos: 4 }))
  add(0.3, ip4(6, tcp(443, 50000, ACK | 8, '616263'), { src: B, dst: A, ttl: 49 }))
  assert.deepEqual(flushed(meter), [{
    type: 10, flow_start: 0, flow_end: 0.2, bytes: 82, packets: 2, rev_bytes: 83, rev_packets: 2, proto: 6,
    src_addr: '192.0.2.1', dst_addr: '198.51.100.2', src_port: 50000, dst_port: 443, tcp_flags: 18, tos: 0,
    etype: 0x800, end_reason: 4, biflow_direction: 1, min_ttl: 64, max_ttl: 64, rev_tcp_flags: 26, rev_tos: 0,
    rev_flow_start: 0.1, rev_flow_end: 0.3,
  }])
})

test('whichever address is greater, the first packet tells who began', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, segment(ACK, true))
  add(1, segment(ACK))
  add(2, segment(ACK))
  assert.deepEqual(pick(flushed(meter), ...ENDS), [['198.51.100.2', 443, '192.0.2.1', 50000, 1, 2]])
})

test('who sends SYN and ACK did not begin, even where that is the first packet seen', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  const frame = (hex: string): string => ethernet('0800', hex)
  add(0, frame(segment(SYN | ACK, true)), { link: 1 })
  add(1, frame(segment(ACK)), { link: 1 })
  const [row] = flushed(meter)
  assert.deepEqual(pick([row], ...ENDS, 'src_mac', 'min_ttl', 'flow_start', 'rev_flow_start'), [
    ['192.0.2.1', 50000, '198.51.100.2', 443, 1, 1, '02:00:00:00:00:02', 64, 1, 0],
  ])
})

test('a direction alone is an ordinary flow, also that of who answers', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, ethernet('0800', segment(SYN | ACK, true)), { link: 1 })
  add(0.5, ethernet('0800', segment(ACK, true)), { link: 1 })
  const [row] = flushed(meter)
  assert.deepEqual(pick([row], ...ENDS, 'src_mac', 'tcp_flags', 'min_ttl', 'biflow_direction', 'flow_end'), [
    ['198.51.100.2', 443, '192.0.2.1', 50000, 2, '-', '02:00:00:00:00:01', 18, 50, '-', 0.5],
  ])
})

test('FIN of one direction does not end the flow while the other goes on; of both it does', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, segment(SYN))
  add(0.1, segment(SYN | ACK, true))
  add(1, segment(FIN | ACK))
  add(5, segment(ACK, true)) // half closed
  add(6, segment(FIN | ACK, true))
  add(6.1, segment(ACK))
  add(8.2, ip4(17, '0001000200080000'))
  add(8.5, ip4(17, '0001000200080000'))
  assert.deepEqual(pick(ended(meter), 'packets', 'rev_packets', 'end_reason'), [[3, 3, 3]])
})

test('RST of any direction ends it', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, segment(SYN))
  add(0.1, segment(RST | ACK, true))
  add(0.2, segment(SYN))
  assert.deepEqual(pick(ended(meter), 'packets', 'rev_packets', 'end_reason'), [[1, 1, 3]])
})

test('ICMP requests and their replies are one flow, from who asks; other messages are not', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  const echo = (type: string, back: boolean): string =>
    ip4(1, `${type}00000000010001`, back ? { src: B, dst: A } : {})
  add(0, echo('00', true)) // the reply is seen first
  add(0.1, echo('08', false))
  add(0.2, echo('00', true))
  add(0.3, echo('08', true)) // who asks the other way round
  add(0.4, echo('03', true))
  add(0.5, echo('03', false))
  add(0.6, ip4(1, '1200000000010001', { src: B, dst: A })) // a mask, of which the request is not seen
  assert.deepEqual(
    pick(flushed(meter), 'src_addr', 'icmp_type', 'packets', 'rev_packets'),
    [
      ['192.0.2.1', 8, 1, 2], ['198.51.100.2', 8, 1, '-'], ['198.51.100.2', 3, 1, '-'],
      ['192.0.2.1', 3, 1, '-'], ['198.51.100.2', 18, 1, '-'],
    ],
  )
})

test('ICMPv6 echo as well', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  const request = ipv6(58, '8000000000010001')
  const source = request.slice(16, 48)
  const reply = `${request.slice(0, 16)}${request.slice(48, 80)}${source}8100000000010001`
  add(0, request)
  add(1, reply)
  add(2, reply)
  assert.deepEqual(
    pick(flushed(meter), 'src_addr', 'icmp_type', 'packets', 'rev_packets', 'ipv6_flow_label'),
    [['2001:db8::1', 128, 1, 2, 0xabcde]],
  )
})

test('a host that talks to itself has directions by ports', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  const own = { src: A, dst: A }
  add(0, ip4(6, tcp(50000, 443, SYN), own))
  add(1, ip4(6, tcp(443, 50000, SYN | ACK), own))
  add(2, ip4(6, tcp(500, 500, ACK), own))
  assert.deepEqual(pick(flushed(meter), 'src_port', 'dst_port', 'packets', 'rev_packets'), [
    [50000, 443, 1, 1], [500, 500, 1, '-'],
  ])
})

test('protocols without ports have both directions too', () => {
  const meter = new FlowMeter({ biflow: true })
  const add = feeder(meter)
  add(0, ip4(50, '0000000100000001', { src: B, dst: A }))
  add(1, ip4(50, '0000000100000001'))
  assert.deepEqual(pick(flushed(meter), 'src_addr', 'packets', 'rev_packets'), [['198.51.100.2', 1, 1]])
})
