import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ethernet, ipv4, ipv6, tcp, udp, uint } from '../../pcap/frames.ts'
import { hex, ip4, ip6, join, mac, u32 } from '../messages.ts'
import { address, flowSample, header, opaque, pick, receiver, rowOf, sflow, tlv } from './datagrams.ts'

const MACS = { src_mac: '02:00:00:00:00:01', dst_mac: '02:00:00:00:00:02' }
/** What the packets of frames.ts have in common. */
const IPV4 = { src_addr: '192.0.2.1', dst_addr: '198.51.100.2', tos: 0x48, ip_ttl: 61, etype: 0x0800 }
const IPV6 = { src_addr: '2001:db8::1', dst_addr: '2001:db8::2', tos: 0x48, ip_ttl: 61, etype: 0x86dd }
const PACKET_FIELDS = [
  'bytes', 'frame_length', 'src_mac', 'dst_mac', 'vlan_id', 'customer_vlan_id', 'etype', 'src_addr',
  'dst_addr', 'proto', 'tos', 'ip_ttl', 'ip_flags', 'fragment_id', 'fragment_offset', 'ipv6_flow_label',
  'src_port', 'dst_port', 'tcp_flags', 'icmp_type', 'icmp_code', 'mpls_label_1', 'mpls_label_2',
  'mpls_label_3', 'mpls_exp', 'mpls_ttl',
]

/** Header protocol, bytes, and what becomes of them. */
const PACKETS: readonly [string, number, string, Record<string, string | number>][] = [
  ['TCP over IPv6 over Ethernet', 1, ethernet('86dd', ipv6(6, tcp())), {
    frame_length: 200, ...MACS, ...IPV6, proto: 6, ipv6_flow_label: 0xabcde, src_port: 49_152, dst_port: 443,
    tcp_flags: 0xc2,
  }],
  ['an echo request', 1, ethernet('0800', ipv4(1, '0800f7ff00010002')), {
    frame_length: 200, ...MACS, ...IPV4, proto: 1, ip_flags: 0x40, fragment_id: 0x1234, fragment_offset: 0,
    icmp_type: 8,
    icmp_code: 0,
  }],
  ['a later fragment', 1, ethernet('0800', ipv4(17, '00112233', '2005')), {
    frame_length: 200, ...MACS, ...IPV4, proto: 17, ip_flags: 0x20, fragment_id: 0x1234, fragment_offset: 5,
  }],
  ['an IPv6 fragment', 1, ethernet('86dd', ipv6(44, `11000029${uint(0x01020304, 4)}00112233`)), {
    frame_length: 200, ...MACS, ...IPV6, proto: 17, ipv6_flow_label: 0xabcde, ip_flags: 0x20,
    fragment_id: 0x01020304,
    fragment_offset: 5,
  }],
  ['two VLAN tags', 1, ethernet('88a8', '0426' + '8100' + '45d5' + '0800' + ipv4(17, udp(53, 5353, ''))), {
    frame_length: 200, ...MACS, ...IPV4, vlan_id: 0x426, customer_vlan_id: 0x5d5, proto: 17, ip_flags: 0x40,
    fragment_id: 0x1234, fragment_offset: 0, src_port: 53, dst_port: 5353,
  }],
  ['MPLS', 1, ethernet('8847', '00064a40' + '000c8b3f' + ipv4(17, udp(53, 5353, ''))), {
    frame_length: 200, ...MACS, ...IPV4, proto: 17, ip_flags: 0x40, fragment_id: 0x1234, fragment_offset: 0,
    src_port: 53,
    dst_port: 5353, mpls_label_1: 100, mpls_label_2: 200, mpls_exp: 0xa + 0xb * 16, mpls_ttl: 0x40,
  }],
  ['a frame that is not IP', 1, ethernet('0806', '0001080006040001'),
    { frame_length: 200, ...MACS, etype: 0x0806 }],
  ['an IPv4 packet, which has no frame', 11, ipv4(17, udp(53, 5353, '')), {
    ...IPV4, proto: 17, ip_flags: 0x40, fragment_id: 0x1234, fragment_offset: 0, src_port: 53, dst_port: 5353,
  }],
  ['an IPv6 packet', 12, ipv6(17, udp(53, 5353, '')), {
    ...IPV6, proto: 17, ipv6_flow_label: 0xabcde, src_port: 53, dst_port: 5353,
  }],
  ['an MPLS packet', 13, '000c8b3f' + ipv6(17, udp(53, 5353, '')), {
    ...IPV6, proto: 17, ipv6_flow_label: 0xabcde, src_port: 53, dst_port: 5353, mpls_label_1: 200,
    mpls_exp: 0xb,
    mpls_ttl: 0x3f,
  }],
  ['PPP', 7, 'ff030021' + ipv4(17, udp(53, 5353, '')), {
    frame_length: 200, ...IPV4, proto: 17, ip_flags: 0x40, fragment_id: 0x1234, fragment_offset: 0,
    src_port: 53,
    dst_port: 5353,
  }],
  ['a tunnel, of which the outer packet is told', 1, ethernet('0800', ipv4(4, ipv4(17, udp(53, 5353, '')))), {
    frame_length: 200, ...MACS, ...IPV4, proto: 4, ip_flags: 0x40, fragment_id: 0x1234, fragment_offset: 0,
  }],
  ['a header cut before the ports', 1, ethernet('0800', ipv4(6, tcp())).slice(0, 68), {
    frame_length: 200, ...MACS, ...IPV4, proto: 6, ip_flags: 0x40, fragment_id: 0x1234, fragment_offset: 0,
  }],
  ['a frame of a kind flowkit does not parse', 4, '0011223344', { frame_length: 200 }],
  ['a protocol number of the future', 0xfffffff0, '0011223344', { frame_length: 200 }],
]
for (const [name, protocol, bytes, expected] of PACKETS) {
  test(`a sampled header of ${name}`, () => {
    assert.deepEqual(pick(rowOf(flowSample({}, header(protocol, 200, hex(bytes)))), ...PACKET_FIELDS),
      { bytes: 200, ...expected })
  })
}

test('a sampled header longer than its record is read as far as it goes', () => {
  const frame = hex(ethernet('0800', ipv4(17, udp(53, 5353, ''))))
  const row = rowOf(flowSample({}, tlv(1, u32(1, 200, 4, 0xffffffff), frame)))
  assert.deepEqual(pick(row, 'src_port', 'dst_port'), { src_port: 53, dst_port: 5353 })
})

test('sampled_ipv4 and sampled_ipv6 tell of the packet, and of its IP length', () => {
  const v4 = tlv(3, u32(1300, 6), ip4('192.0.2.1'), ip4('198.51.100.2'), u32(443, 50_000, 0x1b, 0x48))
  const v6 = tlv(4, u32(1280, 17), ip6('2001:db8::1'), ip6('2001:db8::2'), u32(53, 5353, 0, 3))
  assert.deepEqual(pick(rowOf(flowSample({}, v4)), ...PACKET_FIELDS), {
    bytes: 1300, etype: 0x0800, src_addr: '192.0.2.1', dst_addr: '198.51.100.2', proto: 6, tos: 0x48,
    src_port: 443,
    dst_port: 50_000, tcp_flags: 0x1b,
  })
  assert.deepEqual(pick(rowOf(flowSample({}, v6)), ...PACKET_FIELDS), {
    bytes: 1280, etype: 0x86dd, src_addr: '2001:db8::1', dst_addr: '2001:db8::2', proto: 17, tos: 3,
    src_port: 53,
    dst_port: 5353,
  })
})

test('values that no packet has are left out', () => {
  const record = tlv(3, u32(40, 256), ip4('192.0.2.1'), ip4('198.51.100.2'), u32(65_536, 65_535, 0, 256))
  assert.deepEqual(pick(rowOf(flowSample({}, record)), 'proto', 'src_port', 'dst_port', 'tos'),
    { dst_port: 65_535 })
})

test('sampled_ethernet is read with padded MAC addresses and without', () => {
  const expected = { bytes: 90, frame_length: 90, ...MACS, etype: 0x88cc }
  const source = mac(MACS.src_mac)
  const target = mac(MACS.dst_mac)
  const padding = new Uint8Array(2)
  for (const record of [
    tlv(2, u32(90), source, padding, target, padding, u32(0x88cc)),
    tlv(2, u32(90), source, target, u32(0x88cc)),
  ]) assert.deepEqual(pick(rowOf(flowSample({}, record)), ...PACKET_FIELDS), expected)
  const llc = rowOf(flowSample({}, tlv(2, u32(90), source, target, u32(38))))
  assert.equal('etype' in llc, false) // a length, not a type
})

test('the header tells more than the other records, in whatever order they come', () => {
  const frame = header(1, 1518, hex(ethernet('0800', ipv4(17, udp(53, 5353, '')))))
  const short = tlv(3, u32(1500, 6), ip4('10.0.0.1'), ip4('10.0.0.2'), u32(1, 2, 0, 0))
  for (const records of [[frame, short], [short, frame]]) {
    assert.deepEqual(pick(rowOf(flowSample({}, ...records)), 'bytes', 'src_addr', 'proto', 'src_port'), {
      bytes: 1518, src_addr: '192.0.2.1', proto: 17, src_port: 53,
    })
  }
})

test('a second record of the same kind is counted as skipped', () => {
  const { receive, context } = receiver()
  const frame = header(1, 100, hex(ethernet('0800', ipv4(17, udp(53, 5353, '')))))
  const [row] = receive(sflow(flowSample({}, frame, header(1, 999, new Uint8Array(0)))))
  assert.equal(row['bytes'], 100)
  assert.deepEqual([...context.counts.flowRecords], [[1, 1]])
})

test('the VLANs of a switch come before the tag of the packet', () => {
  const tagged = header(1, 100, hex(ethernet('8100', '0064' + '0800' + ipv4(17, udp(53, 5353, '')))))
  const vlans = (...records: Uint8Array[]) =>
    pick(rowOf(flowSample({}, ...records)), 'vlan_id', 'customer_vlan_id', 'post_vlan_id')
  assert.deepEqual(vlans(tagged, tlv(1001, u32(7, 3, 8, 3))), { vlan_id: 7, post_vlan_id: 8 })
  // erratum: 0xffffffff is unknown
  assert.deepEqual(vlans(tagged, tlv(1001, u32(0xffffffff, 0xffffffff, 0, 0))), { vlan_id: 100 })
  // tags that were stripped lie outside of the one that was not
  assert.deepEqual(vlans(tagged, tlv(1012, u32(1, 0x88a8_6426))), { vlan_id: 0x426, customer_vlan_id: 100 })
})

test('extended_router: next hop and prefix lengths', () => {
  const routed = (...contents: Uint8Array[]) =>
    pick(rowOf(flowSample({}, tlv(1002, ...contents))), 'next_hop', 'src_mask', 'dst_mask')
  assert.deepEqual(routed(address('198.51.100.9'), u32(24, 0)),
    { next_hop: '198.51.100.9', src_mask: 24, dst_mask: 0 })
  assert.deepEqual(routed(address('2001:db8::9'), u32(48, 128)),
    { next_hop: '2001:db8::9', src_mask: 48, dst_mask: 128 })
  assert.deepEqual(routed(address(''), u32(1, 129)), { src_mask: 1 })
  assert.deepEqual(routed(address('0.0.0.0'), u32(1, 2)), { src_mask: 1, dst_mask: 2 })
})

const ROUTE_FIELDS = [
  'bgp_next_hop', 'src_as', 'dst_as', 'prev_as', 'next_as', 'as_path', 'bgp_communities', 'local_pref',
]

test('extended_gateway: the path of sequences and sets, communities, preference', () => {
  const record = tlv(1003, address('198.51.100.9'), u32(64_500, 4_200_000_000, 64_501, 3),
    u32(2, 2, 64_502, 64_503), u32(1, 2, 64_504, 64_505), u32(2, 1, 64_506),
    u32(2, 64_500 * 65_536 + 100, 65_535 * 65_536 + 65_281), u32(120))
  assert.deepEqual(pick(rowOf(flowSample({}, record)), ...ROUTE_FIELDS), {
    bgp_next_hop: '198.51.100.9', src_as: 4_200_000_000, dst_as: 64_506, prev_as: 64_501, next_as: 64_502,
    as_path: '64502 64503 {64504,64505} 64506', bgp_communities: '64500:100 65535:65281', local_pref: 120,
  })
})

test('extended_gateway: what is not told is of the router, and 0 is unknown', () => {
  const own = tlv(1003, address(''), u32(64_500, 0, 0, 0), u32(0), u32(0))
  const none = tlv(1003, address(''), u32(0, 0, 0, 1, 2, 0), u32(0), u32(0))
  assert.deepEqual(pick(rowOf(flowSample({}, own)), ...ROUTE_FIELDS), { src_as: 64_500, dst_as: 64_500 })
  assert.deepEqual(pick(rowOf(flowSample({}, none)), ...ROUTE_FIELDS), {})
})

test('extended_user: the first name that is told, if it can be read', () => {
  const user = (...contents: Uint8Array[]) => rowOf(flowSample({}, tlv(1004, ...contents)))['user_name']
  assert.equal(user(u32(106), opaque('zoë'), u32(106), opaque('bob')), 'zoë')
  assert.equal(user(u32(0), opaque(''), u32(3), opaque('bob')), 'bob')
  assert.equal(user(u32(17), opaque('\u0083\u0041'), u32(0), opaque('')), undefined) // Shift_JIS
})

test('extended_mpls: the received stack and the next hop', () => {
  const record = tlv(1006, address('198.51.100.9'), u32(2, 0x00064040, 0x000c8120), u32(1, 0x0012c140))
  assert.deepEqual(pick(rowOf(flowSample({}, record)), 'next_hop', ...PACKET_FIELDS), {
    next_hop: '198.51.100.9', mpls_label_1: 100, mpls_label_2: 200, mpls_exp: 0x10, mpls_ttl: 0x40,
  })
  const routed = tlv(1002, address('198.51.100.10'), u32(24, 24))
  for (const records of [[record, routed], [routed, record]]) {
    assert.equal(rowOf(flowSample({}, ...records))['next_hop'], '198.51.100.10')
  }
})

test('extended_nat and extended_nat_port', () => {
  const names = ['post_nat_src_addr', 'post_nat_dst_addr', 'post_napt_src_port', 'post_napt_dst_port']
  const row = rowOf(flowSample({},
    tlv(1007, address('203.0.113.1'), address('2001:db8::7')), tlv(1020, u32(40_000, 443)),
  ))
  assert.deepEqual(pick(row, ...names), {
    post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '2001:db8::7', post_napt_src_port: 40_000,
    post_napt_dst_port: 443,
  })
})

test('802.11: network and access point, of frames received and sent', () => {
  const rest = [u32(3, 6, 0, 54_000_000, 20, 30, 40)]
  for (const format of [1014, 1015]) {
    const record = tlv(format, opaque('café'), mac('02:00:5e:00:00:01'), new Uint8Array(2), ...rest)
    const row = rowOf(flowSample({}, record))
    assert.deepEqual(pick(row, 'ssid', 'wtp_mac'), { ssid: 'café', wtp_mac: '02:00:5e:00:00:01' })
  }
})

test('a record that contradicts its length is counted, and the rest of the sample kept', () => {
  const records: readonly [number, Uint8Array][] = [
    [1, u32(1, 2, 3)],
    [2, new Uint8Array(16)],
    [3, new Uint8Array(28)],
    [4, new Uint8Array(52)],
    [1001, u32(1, 2, 3)],
    [1002, u32(2, 1, 24, 25)], // IPv6, and 12 bytes behind
    [1003, u32(1, 1, 1, 1, 1, 1, 2, 0xffffffff, 1, 0, 0)], // a segment of 2^32 - 1 numbers
    [1003, u32(0, 1, 1, 1, 0xffffffff, 2, 1, 7, 0, 0)], // as many segments
    [1003, u32(0, 1, 1, 1, 0, 0xffffffff, 0)], // as many communities
    [1003, u32(0, 1, 1, 1, 0, 0)], // no preference
    [1004, u32(106, 0xffffffff, 0, 0)],
    [1004, join(u32(106), opaque('eve'))],
    [1006, u32(0, 0xffffffff, 0)],
    [1007, u32(1, 1)],
    [1007, u32(3, 1, 1, 1)],
    [1012, u32(0xffffffff)],
    [1014, u32(0xffffffff, 0)],
    [1020, u32(1)],
  ]
  const frame = header(1, 100, hex(ethernet('0800', ipv4(17, udp(53, 5353, '')))))
  const whole = rowOf(flowSample({}, frame))
  for (const [format, contents] of records) {
    const { receive, context: { counts } } = receiver()
    const [row] = receive(sflow(flowSample({}, tlv(format, contents), frame)))
    assert.deepEqual(row, whole, `format ${format}`)
    assert.deepEqual([[...counts.damaged], [...counts.flowRecords]], [[[format, 1]], []])
  }
})
