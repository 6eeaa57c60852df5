import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FLOW_TYPE } from '../../../core/flow/names.ts'
import {
  collector, EXPORTED, hex, ip4, ip6, ipfix, join, mac, micros, pick, RECEIVED, set, template, text, u16, u32,
  u64, u8, v9, variable, type Row, type TemplateField,
} from './messages.ts'

type Value = readonly [field: TemplateField, value: Uint8Array]

const HEADER = ['type', 'received', 'exporter_addr', 'sequence_num', 'observation_domain_id']

/** What the record itself gives of a row with these fields. */
function decode(version: 9 | 10, ...fields: readonly Value[]): Row {
  const layout = template(256, ...fields.map(([field]) => field))
  const data = set(256, ...fields.map(([, value]) => value))
  const message = version === 9 ? v9({}, set(0, layout), data) : ipfix({}, set(2, layout), data)
  const [row] = collector({ extras: true }).send(message)
  return Object.fromEntries(Object.entries(row).filter(([name]) => !HEADER.includes(name)))
}

test('a v9 record of a router (RFC 3954 §8), every field of it and of the header', () => {
  const layout = template(256, [8, 4], [12, 4], [15, 4], [10, 4], [14, 4], [2, 4], [1, 4], [22, 4], [21, 4],
    [7, 2], [11, 2],
    [6, 1], [4, 1], [5, 1], [16, 4], [17, 4], [9, 1], [13, 1], [61, 1], [18, 4], [89, 1], [60, 1])
  const record = hex(`
    0a010203 c6336407 0aff0001  # source, destination, next hop
    00010007 00000009           # interfaces 65543 and 9
    00000005 000013ab           # packets, bytes
    000853b0 0008f178           # first 545.712 s, last 586.104 s of uptime
    c350 01bb 1b 06 b8          # ports, TCP flags, protocol, type of service
    00010000 0000fde8 18 16     # AS 65536 and 65000, prefix lengths
    01 0a0a0a0a 40 04           # egress, BGP next hop, forwarded, IP version`)
  const { send } = collector()
  assert.deepEqual(send(v9({ sequence: 4711, domain: 0x01000102 }, set(0, layout), set(256, record)),
    '198.51.100.1'), [{
    type: FLOW_TYPE.NETFLOW_V9, received: RECEIVED, exporter_addr: '198.51.100.1', sequence_num: 4711,
    observation_domain_id: 0x01000102, src_addr: '10.1.2.3', dst_addr: '198.51.100.7', next_hop: '10.255.0.1',
    etype: 0x800, in_if: 65543, out_if: 9, packets: 5, bytes: 5035,
    flow_start: micros('2026-11-20T08:59:05.712Z'), flow_end: micros('2026-11-20T08:59:46.104Z'),
    src_port: 50000, dst_port: 443, tcp_flags: 0x1b, proto: 6, tos: 0xb8, src_as: 65536, dst_as: 65000,
    src_mask: 24, dst_mask: 22, direction: 1, bgp_next_hop: '10.10.10.10', forwarding_status: 0x40,
    ip_version: 4,
  }])
})

test('an IPFIX record of an IPv6 flow, every field of it and of the header', () => {
  const layout = template(500, [27, 16], [28, 16], [62, 16], [63, 16], [29, 1], [30, 1], [31, 3], [64, 4],
    [192, 1], [4, 1],
    [139, 2], [136, 1], [239, 1], [256, 2])
  const record = join(ip6('2001:db8::1'), ip6('ff02::1:2'), ip6('fe80::1'), ip6('2001:db8:ffff::9'),
    u8(48, 64),
    hex('0bcdef'), u32(0x10), u8(64, 58), u8(128, 3), u8(2, 1), u16(0x86dd))
  const { send } = collector()
  const header = { sequence: 0xfffffffe, domain: 0xffffffff }
  assert.deepEqual(send(ipfix(header, set(2, layout), set(500, record)), '2001:db8::2055'), [{
    type: FLOW_TYPE.IPFIX, received: RECEIVED, exporter_addr: '2001:db8::2055', sequence_num: 0xfffffffe,
    observation_domain_id: 0xffffffff, src_addr: '2001:db8::1', dst_addr: 'ff02::1:2', next_hop: 'fe80::1',
    bgp_next_hop: '2001:db8:ffff::9', src_mask: 48, dst_mask: 64, ipv6_flow_label: 0xbcdef,
    ipv6_extension_headers: 16, ip_ttl: 64, proto: 58, icmp_type: 128, icmp_code: 3, end_reason: 2,
    biflow_direction: 1, etype: 0x86dd,
  }])
})

test('of an IPv4 and an IPv6 address in one record the one that is not zero counts, row by row', () => {
  const layout = template(256, [27, 16], [28, 16], [8, 4], [12, 4])
  const zero = new Uint8Array(16)
  const rows = collector().send(ipfix({}, set(2, layout), set(256,
    join(zero, zero, ip4('10.0.0.1'), ip4('10.0.0.2')),
    join(ip6('2001:db8::1'), ip6('2001:db8::2'), ip4('0.0.0.0'), ip4('0.0.0.0')),
    join(zero, zero, ip4('10.0.0.3'), ip4('0.0.0.0')))))
  assert.deepEqual(pick(rows, 'src_addr', 'dst_addr', 'etype'), [
    { src_addr: '10.0.0.1', dst_addr: '10.0.0.2', etype: 0x800 },
    { src_addr: '2001:db8::1', dst_addr: '2001:db8::2', etype: 0x86dd },
    { src_addr: '10.0.0.3', dst_addr: '0.0.0.0', etype: 0x800 },
  ])
})

test('IPv4 flows may have an IPv6 next hop: the family is per column', () => {
  assert.deepEqual(decode(9, [[8, 4], ip4('10.0.0.1')], [[62, 16], ip6('2001:db8::1')]), {
    src_addr: '10.0.0.1', next_hop: '2001:db8::1', etype: 0x800,
  })
})

test('rows of IPv4 and IPv6 in one batch keep their addresses as it grows', () => {
  const { send } = collector()
  const layouts = set(2, template(256, [8, 4]), template(257, [27, 16]))
  const four = Array.from({ length: 40 }, (_, i) => ip4(`10.0.0.${i}`))
  const six = Array.from({ length: 40 }, (_, i) => ip6(`2001:db8::${i + 1}`))
  const rows = send(ipfix({}, layouts, set(256, ...four), set(257, ...six), set(256, ip4('192.0.2.1'))))
  assert.deepEqual(rows.map((row) => row['src_addr']), [
    ...four.map((_, i) => `10.0.0.${i}`), ...six.map((_, i) => `2001:db8::${(i + 1)}`), '192.0.2.1',
  ])
})

test('ICMP: type and code in one number (32, 139) or in two (176 to 179)', () => {
  assert.deepEqual(decode(9, [[32, 2], u8(3, 13)]), { icmp_type: 3, icmp_code: 13 })
  assert.deepEqual(decode(10, [[139, 2], u8(128, 0)]), { icmp_type: 128, icmp_code: 0 })
  assert.deepEqual(decode(10, [[176, 1], u8(3)], [[177, 1], u8(1)]), { icmp_type: 3, icmp_code: 1 })
  assert.deepEqual(decode(10, [[178, 1], u8(1)], [[179, 1], u8(4)]), { icmp_type: 1, icmp_code: 4 })
  assert.deepEqual(decode(9, [[33, 1], u8(0x16)]), { igmp_type: 0x16 })
})

test('ports of UDP and TCP alone (180 to 183) are ports', () => {
  assert.deepEqual(decode(10, [[180, 2], u16(53)], [[181, 2], u16(54)]), { src_port: 53, dst_port: 54 })
  assert.deepEqual(decode(10, [[182, 2], u16(80)], [[183, 2], u16(81)]), { src_port: 80, dst_port: 81 })
})

test('MAC addresses and VLANs, before and after', () => {
  assert.deepEqual(decode(9, [[56, 6], mac('00:11:22:33:44:55')], [[80, 6], mac('ff:ff:ff:ff:ff:fe')],
    [[81, 6], mac('02:00:00:00:00:01')], [[57, 6], mac('02:00:00:00:00:02')], [[58, 2], u16(100)],
    [[59, 2], u16(4094)]), {
    src_mac: '00:11:22:33:44:55', dst_mac: 'ff:ff:ff:ff:ff:fe', post_src_mac: '02:00:00:00:00:01',
    post_dst_mac: '02:00:00:00:00:02', vlan_id: 100, post_vlan_id: 4094,
  })
  assert.deepEqual(decode(10, [[243, 2], u16(7)], [[245, 2], u16(8)], [[254, 2], u16(9)],
    [[255, 2], u16(10)]), {
    vlan_id: 7, customer_vlan_id: 8, post_vlan_id: 9, post_customer_vlan_id: 10,
  })
})

test('MPLS: 20 bits of label, then 3 of class and the bottom bit, 4 bits a label in mpls_exp', () => {
  // label stack entries without the time to live (RFC 3032 §2.1): label, exp, bottom of stack
  const entry = (label: number, exp: number, bottom: number) =>
    hex((label * 16 + exp * 2 + bottom).toString(16).padStart(6, '0'))
  assert.deepEqual(decode(9, [[70, 3], entry(24001, 5, 0)], [[71, 3], entry(0xfffff, 0, 0)],
    [[72, 3], entry(3, 7, 1)],
    [[46, 1], u8(4)], [[47, 4], ip4('10.9.9.9')], [[200, 1], u8(61)], [[90, 8], hex('0000fde800000064')]), {
    mpls_label_1: 24001, mpls_label_2: 0xfffff, mpls_label_3: 3, mpls_exp: 0xa + 0x00 + 0xf00,
    mpls_top_label_type: 4, mpls_top_label_addr: '10.9.9.9', mpls_ttl: 61, mpls_vpn_rd: '0000fde800000064',
  })
})

test('MPLS: ten labels in any order', () => {
  const order = [79, 70, 75, 72, 78, 71, 74, 77, 73, 76]
  const row = decode(10, ...order.map((id): Value => [[id, 3], u8(0, id - 69, 0x2f)]))
  for (let n = 1; n <= 10; n++) assert.equal(row[`mpls_label_${n}`], n * 16 + 2, `label ${n}`)
  assert.equal(row['mpls_exp'], 0xffffffffff)
})

test('MPLS: a row of few labels does not keep the classes of the row that was there before', () => {
  const { send, batch } = collector()
  const layouts = set(2, template(256, [70, 3], [71, 3]), template(257, [71, 3]))
  send(ipfix({}, layouts, set(256, hex('00001f 00002f'))))
  batch.clear()
  const sent = send(ipfix({}, set(257, hex('000034'))))
  assert.deepEqual(pick(sent, 'mpls_label_1', 'mpls_label_2', 'mpls_exp'), [
    { mpls_label_2: 3, mpls_exp: 0x40 },
  ])
})

test('NAT events (RFC 8158): addresses and ports before and after, of both families', () => {
  assert.deepEqual(decode(10, [[230, 1], u8(4)], [[8, 4], ip4('10.0.0.1')], [[225, 4], ip4('203.0.113.5')],
    [[226, 4], ip4('198.51.100.7')],
    [[227, 2], u16(40001)], [[228, 2], u16(443)], [[229, 1], u8(1)], [[283, 4], u32(12)], [[297, 1], u8(1)],
    [[323, 8], u64(EXPORTED * 1000)], [[234, 4], u32(5)], [[235, 4], u32(6)], [[463, 4], u32(77)]), {
    nat_event: 4, src_addr: '10.0.0.1', etype: 0x800, post_nat_src_addr: '203.0.113.5',
    post_nat_dst_addr: '198.51.100.7', post_napt_src_port: 40001, post_napt_dst_port: 443, nat_realm: 1,
    nat_pool_id: 12, nat_type: 1, event_time: EXPORTED * 1e6, src_vrf: 5, dst_vrf: 6, nat_instance_id: 77,
  })
  assert.deepEqual(decode(10, [[281, 16], ip6('2001:db8::5')], [[282, 16], ip6('2001:db8::7')]), {
    post_nat_src_addr: '2001:db8::5', post_nat_dst_addr: '2001:db8::7',
  })
})

test('NEL: a block of ports given to a subscriber', () => {
  assert.deepEqual(decode(9, [[230, 1], u8(16)], [[8, 4], ip4('100.64.0.9')], [[225, 4], ip4('203.0.113.9')],
    [[361, 2], u16(1024)],
    [[362, 2], u16(2047)], [[363, 2], u16(1)], [[364, 2], u16(1024)]), {
    nat_event: 16, src_addr: '100.64.0.9', etype: 0x800, post_nat_src_addr: '203.0.113.9',
    port_block_start: 1024, port_block_end: 2047, port_block_step: 1, port_block_size: 1024,
  })
})

test('NSEL: what a Cisco ASA sends of a connection, 8.4 and before too', () => {
  const asa: Value[] = [
    [[148, 4], u32(0xdeadbeef)], [[8, 4], ip4('10.0.0.1')], [[7, 2], u16(1025)], [[233, 1], u8(2)],
    [[33002, 2], u16(2018)], [[33000, 12], hex('111111112222222233333333')],
    [[33001, 12], new Uint8Array(12)], [[323, 8], u64(EXPORTED * 1000 + 7)],
    [[152, 8], u64(EXPORTED * 1000 - 5000)], [[231, 4], u32(1200)], [[232, 4], u32(3400)],
    [[40000, 20], text('LOCAL\\alice', 20)],
  ]
  const wanted: Row = {
    flow_id: 0xdeadbeef, src_addr: '10.0.0.1', etype: 0x800, src_port: 1025, firewall_event: 2,
    firewall_ext_event: 2018, in_acl: '111111112222222233333333', out_acl: '000000000000000000000000',
    event_time: micros('2026-11-20T09:00:00.007Z'), flow_start: micros('2026-11-20T08:59:55Z'), bytes: 1200,
    rev_bytes: 3400, user_name: 'LOCAL\\alice',
  }
  assert.deepEqual(decode(9, ...asa), wanted)
  assert.deepEqual(decode(9, [[40001, 4], ip4('203.0.113.5')], [[40002, 4], ip4('198.51.100.7')],
    [[40003, 2], u16(1)],
    [[40004, 2], u16(2)], [[40005, 1], u8(3)]), {
    post_nat_src_addr: '203.0.113.5', post_nat_dst_addr: '198.51.100.7', post_napt_src_port: 1,
    post_napt_dst_port: 2, firewall_event: 3,
  })
})

test('64-bit identifiers are exact', () => {
  const { send, batch } = collector()
  const ids = [0n, 1n, 2n ** 32n - 1n, 2n ** 53n + 1n, 2n ** 64n - 1n]
  send(ipfix({}, set(2, template(256, [148, 8], [138, 3])),
    set(256, ...ids.map((id) => join(u64(id), hex('010203'))))))
  const flowIds = ids.map((_, i) => BigInt(batch.flowId[i * 2]) + (BigInt(batch.flowId[i * 2 + 1]) << 32n))
  assert.deepEqual(flowIds, ids)
  assert.deepEqual([batch.observationPointId[0], batch.observationPointId[1]], [0x010203, 0])
})

test('text of fixed length loses its padding; octets keep theirs', () => {
  assert.deepEqual(decode(10, [[82, 16], text('Gi0/1', 16)], [[96, 4], text('http')],
    [[95, 4], hex('0d000000')],
    [[147, 6], text('büro', 6)]), {
    in_if_name: 'Gi0/1', application_name: 'http', application_id: '0d000000', ssid: 'büro',
  })
  assert.deepEqual(decode(10, [[82, 4], new Uint8Array(4)]), { in_if_name: '' })
})

test('elements of an enterprise are not those of IANA with their number', () => {
  assert.deepEqual(decode(10, [[1, 4, 9], u32(1)], [[8, 4, 35632], ip4('10.0.0.1')]), {
    extras: ['9/1=00000001', '35632/8=0a000001'],
  })
})

test('in NetFlow v9 the high bit of an element is part of its number', () => {
  assert.deepEqual(decode(9, [[0x8001, 4], u32(1)], [[1, 4], u32(2)]),
    { bytes: 2, extras: ['0/32769=00000001'] })
})

test('agent address, observation point and engine that a record names', () => {
  assert.deepEqual(decode(10, [[130, 4], ip4('10.1.1.1')], [[138, 4], u32(5)], [[38, 1], u8(1)],
    [[39, 1], u8(2)]), {
    agent_addr: '10.1.1.1', observation_point_id: 5, engine_type: 1, engine_id: 2,
  })
  const [row] = collector().send(ipfix({ domain: 1 }, set(2, template(256, [149, 4])), set(256, u32(99))))
  assert.equal(row['observation_domain_id'], 99)
})

test('long and short values of variable length, empty ones, and numbers of variable length as extras', () => {
  const layout = template(256, [371, 65535], [1, 65535], [4711, 65535], [8, 4])
  const { send } = collector({ extras: true })
  const long = 'x'.repeat(300)
  const rows = send(ipfix({}, set(2, layout), set(256,
    variable(text('bob')), variable(u16(7)), variable(hex('')), ip4('10.0.0.1'),
    variable(text(long), 3), variable(hex(''), 3), variable(hex('aa'), 3), ip4('10.0.0.2'),
    variable(text('')), variable(u8(1)), variable(hex('bbcc')), ip4('10.0.0.3'))))
  assert.deepEqual(pick(rows, 'user_name', 'bytes', 'src_addr', 'extras'), [
    { user_name: 'bob', src_addr: '10.0.0.1', extras: ['0/1=0007', '0/4711='] },
    { user_name: long, src_addr: '10.0.0.2', extras: ['0/1=', '0/4711=aa'] },
    { user_name: '', src_addr: '10.0.0.3', extras: ['0/1=01', '0/4711=bbcc'] },
  ])
})
