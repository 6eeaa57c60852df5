import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BATCH_SIZE, FlowBatch } from '../../../core/flow/batch.ts'
import { FlowMeter } from '../../../core/meter/meter.ts'
import { ethernet, ipv4, ipv6, udp, uint } from '../pcap/frames.ts'
import {
  A, ACK, B, ended, feeder, flushed, ip4, pick, rowsOf, segment, SYN, tcp,
} from './packets.ts'

function zeros(srcPort: number, dstPort: number, size: number): string {
  return udp(srcPort, dstPort, '00'.repeat(size))
}

test('a flow tells all that its packets have', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(SYN))
  add(0.25, ip4(6, tcp(50000, 443, ACK, '616263'), { ttl: 63, tos: 8 }))
  add(1.5, ip4(6, tcp(50000, 443, ACK | 8, '6162'), { ttl: 65 }))
  assert.deepEqual(flushed(meter), [{
    type: 10, flow_start: 0, flow_end: 1.5, bytes: 40 + 43 + 42, packets: 3, proto: 6, src_addr: '192.0.2.1',
    dst_addr: '198.51.100.2', src_port: 50000, dst_port: 443, tcp_flags: 26, tos: 0, etype: 0x800,
    end_reason: 4, min_ttl: 63, max_ttl: 65,
  }])
  assert.equal(meter.active, 0)
})

test('directions are flows of their own', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(SYN))
  add(0.1, segment(SYN | ACK, true))
  assert.deepEqual(pick(flushed(meter), 'src_addr', 'src_port', 'dst_port', 'tcp_flags'), [
    ['192.0.2.1', 50000, 443, 2], ['198.51.100.2', 443, 50000, 18],
  ])
})

test('the interface and the VLAN are part of the key, the type of service is not', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  const tagged = (id: string): string => ethernet('8100', `${id}0800${segment(ACK)}`)
  add(0, segment(ACK), { inIf: 2 })
  add(0, segment(ACK), { inIf: 3 })
  add(0, tagged('0005'), { link: 1, inIf: 3 })
  add(0, tagged('0006'), { link: 1, inIf: 3 })
  add(0, tagged('6006'), { link: 1, inIf: 3 }) // another priority
  add(0, ip4(6, tcp(50000, 443, ACK), { tos: 16 }), { inIf: 2 })
  assert.deepEqual(pick(flushed(meter), 'in_if', 'vlan_id', 'packets', 'tos'), [
    [2, '-', 2, 0], [3, '-', 1, 0], [3, 5, 1, 0], [3, 6, 2, 0],
  ])
})

test('link addresses, both tags and MPLS labels are told', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, ethernet('88a8', `0064810000c88847${'00064240'}${'000c813f'}${segment(ACK)}`), { link: 1 })
  assert.deepEqual(
    pick(flushed(meter), 'src_mac', 'dst_mac', 'vlan_id', 'customer_vlan_id', 'mpls_label_1', 'mpls_label_2',
      'mpls_label_3', 'mpls_exp', 'mpls_ttl', 'bytes'),
    [['02:00:00:00:00:01', '02:00:00:00:00:02', 100, 200, 100, 200, '-', 2 + 1 * 16, 0x40, 40]],
  )
})

test('IPv6 flows have their flow label, and lengths with their extension headers', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, ethernet('86dd', ipv6(0, `3c00050200000100${'1100010400000000'}${zeros(1000, 53, 4)}`)), { link: 1 })
  add(1, ethernet('86dd', ipv6(17, zeros(1000, 53, 10))), { link: 1 })
  assert.deepEqual(
    pick(flushed(meter), 'src_addr', 'dst_addr', 'etype', 'proto', 'dst_port', 'bytes', 'packets', 'tos',
      'ipv6_flow_label', 'min_ttl', 'tcp_flags'),
    [['2001:db8::1', '2001:db8::2', 0x86dd, 17, 53, 40 + 16 + 12 + 40 + 18, 2, 0x48, 0xabcde, 61, '-']],
  )
})

test('ICMP flows have type and code instead of ports', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, ip4(1, '0303000000000000'))
  add(0, ip4(1, '0301000000000000'))
  add(0, ip4(50, '00000001000000020000'))
  assert.deepEqual(pick(flushed(meter), 'proto', 'icmp_type', 'icmp_code', 'src_port', 'dst_port'), [
    [1, 3, 3, '-', '-'], [1, 3, 1, '-', '-'], [50, '-', '-', '-', '-'],
  ])
})

test('bytes are those of the IP header, whatever was captured, and without padding', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, ethernet('0800', segment(ACK)), { link: 1 }) // 40 bytes, padded to 46
  add(0, ip4(6, tcp(50000, 443, ACK), { length: 1500 }), { wire: 1500, cut: 40 })
  add(0, ip4(6, tcp(50000, 443, ACK), { options: '94040000' }))
  assert.deepEqual(pick(flushed(meter), 'packets', 'bytes'), [[3, 40 + 1500 + 44]])
})

test('a packet cut in its transport header has no ports; one cut in its addresses is counted as cut', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, segment(ACK), { cut: 22, wire: 40 })
  add(0, segment(ACK), { cut: 26, wire: 40 })
  add(0, segment(ACK), { cut: 19, wire: 40 })
  assert.deepEqual(pick(flushed(meter), 'src_port', 'tcp_flags', 'bytes'), [['-', '-', 40], [50000, '-', 40]])
  assert.equal(meter.stats.cut, 1)
})

test('segmentation offload: of a packet of length 0 the length on the wire counts', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, ethernet('0800', ip4(6, tcp(50000, 443, ACK), { length: 0 })), { link: 1, wire: 14 + 70_000 })
  add(0, ethernet('8100', `00050800${ip4(6, tcp(50000, 443, ACK), { length: 0 })}`),
    { link: 1, wire: 18 + 66_000, cut: 58 })
  add(0, ip4(6, tcp(50000, 443, ACK), { length: 65_535 }), { wire: 65_535 })
  assert.deepEqual(pick(flushed(meter), 'packets', 'bytes'), [[2, 70_000 + 65_535], [1, 66_000]])
})

test('what cannot be metered is counted by its reason', () => {
  const meter = new FlowMeter()
  const add = feeder(meter)
  add(0, '08000000', { link: 105 })
  add(0, '00'.repeat(30), { link: 127 })
  add(0, '00'.repeat(30), { link: 147 })
  add(0, ethernet('0806', '0001080006040001'), { link: 1 })
  add(0, '43000014000000000000000000000000', { wire: 20 })
  add(0, `43000014${'00'.repeat(16)}`)
  add(0, '', {})
  add(-2_000_000_000, segment(ACK)) // in 1963
  add(0, segment(ACK))
  const { packets, metered, wireless, unknownLink, notIp, damaged, cut } = meter.stats
  assert.deepEqual({ packets, metered, wireless, unknownLink, notIp, damaged, cut }, {
    packets: 9, metered: 1, wireless: 2, unknownLink: 1, notIp: 1, damaged: 2, cut: 2,
  })
  meter.add(new Uint8Array(0), 0, 0, 0, NaN, 1, 0)
  assert.equal(meter.stats.damaged, 3)
})

test('inner meters the innermost packet of tunnels and tells of the tunnel', () => {
  const frame = ethernet('0800', segment(ACK))
  const vxlan = (id: string): string => {
    return ethernet('0800', ipv4(17, udp(50_000, 4789, `08000000${id}00${frame}`)))
  }
  const gre = ip4(47, `00000800${segment(ACK)}`, { src: B, dst: A })
  const nested = ip4(41, ipv6(4, gre), { src: 'cb007101', dst: 'cb007102' })
  const outer = new FlowMeter()
  const inner = new FlowMeter({ inner: true })
  for (const meter of [outer, inner]) {
    const add = feeder(meter)
    add(0, vxlan('00002a'), { link: 1 })
    add(0, vxlan('00002b'), { link: 1 })
    add(0, gre)
    add(1, nested)
  }
  assert.deepEqual(pick(flushed(outer), 'proto', 'src_addr', 'dst_port', 'bytes', 'tun_proto'), [
    [17, '192.0.2.1', 4789, 2 * (28 + 8 + frame.length / 2), '-'], [47, '198.51.100.2', '-', 64, '-'],
    [41, '203.0.113.1', '-', 124, '-'],
  ])
  const tunnel = ['tun_proto', 'tun_src_addr', 'tun_dst_addr']
  assert.deepEqual(pick(flushed(inner), 'proto', 'src_port', 'bytes', 'packets', 'src_mac', ...tunnel), [
    [6, 50000, 40, 1, '02:00:00:00:00:01', 17, '192.0.2.1', '198.51.100.2'],
    [6, 50000, 40, 1, '02:00:00:00:00:01', 17, '192.0.2.1', '198.51.100.2'],
    [6, 50000, 80, 2, '-', 47, '198.51.100.2', '192.0.2.1'],
  ])
})

test('a tunnel without an IP packet in it is metered itself', () => {
  const meter = new FlowMeter({ inner: true })
  const arp = ethernet('0806', '0001080006040001')
  feeder(meter)(0, ip4(47, `00006558${arp}`))
  assert.deepEqual(pick(flushed(meter), 'proto', 'bytes', 'tun_proto'), [[47, 20 + 4 + 60, '-']])
})

test('sampling takes about one packet in so many, the same ones for a seed, and says so', () => {
  const chosen = [1, 1, 2].map((seed) => {
    const meter = new FlowMeter({ sample: 10, seed })
    const add = feeder(meter)
    for (let i = 0; i < 5000; i++) add(i / 1e6, segment(ACK))
    assert.equal(meter.stats.packets, 5000)
    assert.equal(meter.stats.skipped + meter.stats.metered, 5000)
    const rows = flushed(meter)
    assert.deepEqual(pick(rows, 'sampling_rate', 'sampling_algorithm', 'sampling_source'), [[10, 2, 4]])
    assert.equal(rows[0].packets, meter.stats.metered)
    return [meter.stats.metered, rows[0].flow_start, rows[0].flow_end]
  })
  assert.deepEqual(chosen[0], chosen[1])
  assert.notDeepEqual(chosen[0], chosen[2])
  for (const [metered] of chosen) assert.ok(Number(metered) > 420 && Number(metered) < 580, String(metered))
  assert.deepEqual(pick(flushed(new FlowMeter()), 'sampling_rate'), [])
})

test('options out of their range are refused', () => {
  for (const options of [
    { activeTimeout: 0 }, { idleTimeout: 1.5 }, { maxFlows: 0 }, { maxFlows: 2 ** 25 }, { sample: 0 },
    { sample: NaN },
  ]) assert.throws(() => new FlowMeter(options), RangeError)
})

test('the meter holds thousands of flows, and gives all of them in batches', () => {
  const meter = new FlowMeter({ maxFlows: 20_000 })
  const add = feeder(meter)
  for (const size of [0, 2]) {
    for (let i = 0; i < 20_000; i++) {
      add(size + i / 1e6, ip4(17, zeros(i, 53, size), { src: uint(0x0a000000 + i * 7, 4) }))
    }
  }
  assert.equal(meter.active, 20_000)
  const sizes: number[] = []
  const seen = new Set<string>()
  while (meter.flush()) {
    sizes.push(meter.finished.length)
    for (const { src_addr, packets, bytes, src_port } of ended(meter)) {
      assert.deepEqual([packets, bytes], [2, 28 + 30])
      seen.add(`${src_addr} ${src_port}`)
    }
  }
  assert.equal(seen.size, 20_000)
  assert.deepEqual(sizes, [BATCH_SIZE, BATCH_SIZE, 20_000 - 2 * BATCH_SIZE])
})

test('the batch of finished flows can be exchanged for another, whatever that was used for', () => {
  const meter = new FlowMeter({ idleTimeout: 1e6 })
  const add = feeder(meter)
  const other = new FlowBatch(1)
  other.append(rowOf('0303000000000000'), 0)
  other.clear()
  const first = meter.finished
  const told: (string | number)[][][] = []
  for (let i = 0; i < 4; i++) {
    add(i * 10, segment(ACK))
    add(i * 10, ip4(1, '0301000000000000'))
    add(i * 10 + 4, ip4(17, zeros(1000, 53, 4)))
    const given = i % 2 === 0 ? other : first
    const taken = meter.exchange(given)
    assert.equal(taken, given === other ? first : other)
    assert.equal(meter.finished, given)
    told.push(pick(rowsOf(taken), 'flow_start', 'proto', 'dst_port', 'icmp_code'))
    taken.clear()
  }
  const rows = (at: number): (string | number)[][] => [[at, 6, 443, '-'], [at, 1, '-', 1]]
  assert.deepEqual(told, [rows(0), [[4, 17, 53, '-'], ...rows(10)], [[14, 17, 53, '-'], ...rows(20)],
    [[24, 17, 53, '-'], ...rows(30)]])
  assert.deepEqual(pick(flushed(meter), 'flow_start', 'dst_port'), [[34, 53]])
})

test('a batch with rows is no place for finished flows', () => {
  const meter = new FlowMeter()
  assert.throws(() => meter.exchange(rowOf('0303000000000000')), RangeError)
})

/** A batch with the flow of an ICMP packet. */
function rowOf(icmp: string): FlowBatch {
  const meter = new FlowMeter()
  feeder(meter)(0, ip4(1, icmp))
  meter.flush()
  return meter.finished
}
