import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compressLz4Block, lz4Bound } from '../../core/compress/lz4.ts'
import { compressLzo, lzoBound } from '../../core/compress/lzo.ts'
import { compressZstd } from '../../core/compress/zstd.ts'
import { ID } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { nfdump } from '../../formats/nfdump.ts'
import { join, pick, text, u32, type Row } from '../core/netflow/messages.ts'
import {
  block, exporter, extension, file, flow, generic, GENERIC, le, NOWHERE, read, readFile, sampler, T, two64, V4,
} from './nfdump-files.ts'

test('the first extension has times in ms, counters of 64 bits, ports, protocol and flags', () => {
  assert.deepEqual(read(flow({}, generic())), [GENERIC])
})

/** What each extension of nfxV3.h holds, beside the first. */
const EXTENSIONS: readonly (readonly [string, Uint8Array, Row])[] = [
  ['2, IPv4', V4, { src_addr: '10.1.2.3', dst_addr: '198.51.100.7', etype: 0x800 }],
  ['3, IPv6', extension(3, two64('2001:db8::1'), two64('2001:db8:1:2:3:4:5:6')), {
    src_addr: '2001:db8::1', dst_addr: '2001:db8:1:2:3:4:5:6', etype: 0x86dd,
  }],
  ['4, interfaces and masks', extension(4, le(4, 70_000, 2), le(1, 24, 16, 1, 8, 2, 3, 0, 0)), {
    in_if: 70_000, out_if: 2, src_mask: 24, dst_mask: 16, direction: 1, post_tos: 8, biflow_direction: 2,
    end_reason: 3,
  }],
  ['4 of 1.7.1 to 1.7.4, reverse TCP flags', extension(4, new Uint8Array(12), le(1, 0, 0, 0x12, 0x40)), {
    in_if: 0, out_if: 0, src_mask: 0, dst_mask: 0, direction: 0, post_tos: 0, rev_tcp_flags: 0x12,
    ip_flags: 0x40,
  }],
  ['5, counters', extension(5, le(8, 3, 9, 99)), { flows: 3, out_packets: 9, out_bytes: 99 }],
  ['5 without flows', extension(5, le(8, 0, 9, 99)), { out_packets: 9, out_bytes: 99 }],
  ['6, VLAN', extension(6, le(4, 100, 200)), { vlan_id: 100, post_vlan_id: 200 }],
  ['7, AS', extension(7, le(4, 64_496, 4_200_000_001)), { src_as: 64_496, dst_as: 4_200_000_001 }],
  ['8, BGP next hop', extension(8, le(4, 0xc0000201)), { bgp_next_hop: '192.0.2.1' }],
  ['9, BGP next hop of IPv6', extension(9, two64('2001:db8::9')), { bgp_next_hop: '2001:db8::9' }],
  ['10, next hop', extension(10, le(4, 0xc0000202)), { next_hop: '192.0.2.2' }],
  ['11, next hop of IPv6', extension(11, two64('2001:db8::b')), { next_hop: '2001:db8::b' }],
  ['12, exporter', extension(12, le(4, 0xc0000203)), { exporter_addr: '192.0.2.3' }],
  ['13, exporter with IPv6', extension(13, two64('2001:db8::d')), { exporter_addr: '2001:db8::d' }],
  ['14, MPLS', extension(14, le(4, 1000 << 4 | 5 << 1, 2000 << 4 | 2 << 1 | 1), new Uint8Array(32)), {
    mpls_label_1: 1000, mpls_label_2: 2000, mpls_exp: 0x5a,
  }],
  ['15, MAC', extension(15, le(8, 0x020000000001, 0x020000000004, 0x020000000002, 0)), {
    src_mac: '02:00:00:00:00:01', post_dst_mac: '02:00:00:00:00:04', dst_mac: '02:00:00:00:00:02',
  }],
  ['16, adjacent AS', extension(16, le(4, 64_501, 64_502)), { next_as: 64_501, prev_as: 64_502 }],
  ['17, delays', extension(17, le(8, 1500, 2500, 2 ** 33)), {
    client_latency: 1500, server_latency: 2500, app_latency: 2 ** 32 - 1,
  }],
  ['18, sampler of 1.7.2', extension(18, le(8, 2 ** 40 + 7), le(2, 1, 0), le(4, 0)), { sampler_id: 2 ** 40 + 7 }],
  ['18, sampler of 1.7.1', extension(18, le(4, 7, 100), le(2, 1, 1)), { sampler_id: 7 }],
  ['19, firewall', extension(19, le(8, T), le(4, 123_456), le(2, 1001), le(1, 2, 0)), {
    event_time: T * 1000, flow_id: 123_456, firewall_ext_event: 1001, firewall_event: 2,
  }],
  ['20, NAT', extension(20, le(4, 0xcb007101, 0xcb007102)), {
    post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '203.0.113.2',
  }],
  ['21, NAT of IPv6', extension(21, two64('2001:db8:3::1'), two64('2001:db8:3::2')), {
    post_nat_src_addr: '2001:db8:3::1', post_nat_dst_addr: '2001:db8:3::2',
  }],
  ['22, NAT ports', extension(22, le(2, 1025, 8443)), { post_napt_src_port: 1025, post_napt_dst_port: 8443 }],
  ['23, access lists, in the order of the wire', extension(23, u32(1, 2, 3), u32(4, 5, 0xa0b0c0d)), {
    in_acl: '000000010000000200000003', out_acl: '00000004000000050a0b0c0d',
  }],
  ['24, user', extension(24, text('alice', 68)), { user_name: 'alice' }],
  ['24, no user', extension(24, new Uint8Array(68)), {}],
  ['25, NAT event', extension(25, le(8, T), le(4, 5), le(1, 4, 0, 0, 0)), {
    event_time: T * 1000, nat_pool_id: 5, nat_event: 4,
  }],
  ['25 of 1.7.0, with VRFs', extension(25, le(8, T), le(4, 12, 11, 5), le(1, 4, 0, 0, 0)), {
    event_time: T * 1000, dst_vrf: 12, src_vrf: 11, nat_pool_id: 5, nat_event: 4,
  }],
  ['26, port block', extension(26, le(2, 1024, 2047, 1, 1024)), {
    port_block_start: 1024, port_block_end: 2047, port_block_step: 1, port_block_size: 1024,
  }],
  ['27, application', extension(27, le(1, 13, 0, 1, 197)), { application_id: '0d0001c5' }],
  ['29 and 30, payload', join(extension(29, text('GET /')), extension(30, text('HTTP'))), {
    extras: ['6871/18=474554202f', '6871/16402=48545450'],
  }],
  ['31, tunnel', extension(31, le(4, 0xc0000201, 0xc0000202, 47)), {
    tun_src_addr: '192.0.2.1', tun_dst_addr: '192.0.2.2', tun_proto: 47,
  }],
  ['32, tunnel of IPv6', extension(32, two64('2001:db8::1'), two64('2001:db8::2'), le(4, 41, 0)), {
    tun_src_addr: '2001:db8::1', tun_dst_addr: '2001:db8::2', tun_proto: 41,
  }],
  ['33, observation', extension(33, le(8, 2 ** 33 + 1), le(4, 77, 0)), {
    observation_point_id: 2 ** 33 + 1, observation_domain_id: 77,
  }],
  ['34 and 35, frame', join(extension(34, le(2, 1400, 1)), extension(35, le(1, 1, 2, 3))), {
    frame_length: 1400, extras: ['0/408=0001', '0/315=010203'],
  }],
  ['36, VRF', extension(36, le(4, 12, 11)), { dst_vrf: 12, src_vrf: 11 }],
  ['37, pf', extension(37, le(1, 1, 8, 2, 0), le(4, 17, 0, 0, 0), text('em0', 4)), {
    pf_action: 1, pf_reason: 8, pf_direction: 2, pf_rule: 17, in_if_name: 'em0',
  }],
  ['38, layer 2', extension(
    38, le(2, 10, 20, 30, 40), le(4, 7, 8), le(8, 0), le(2, 0x806), le(1, 4, 0, 0, 0, 0, 0),
  ), {
    vlan_id: 10, customer_vlan_id: 20, post_vlan_id: 30, post_customer_vlan_id: 40, phys_in_if: 7,
    phys_out_if: 8,
    etype: 0x806, ip_version: 4,
  }],
  ['38 with nothing in it', extension(38, new Uint8Array(32)), {}],
  ['39, flow', extension(39, le(8, 2 ** 45)), { flow_id: 2 ** 45 }],
  ['40 and 41, Nokia NAT', join(extension(40, le(2, 1, 2)), extension(41, text('sub', 8))), {
    extras: ['637/91=0001', '637/92=0002', '637/93=737562'],
  }],
  ['42, IP', extension(42, le(1, 0, 0x40, 60, 64)), { ip_flags: 0x40, min_ttl: 60, max_ttl: 64 }],
  ['42 of 1.7.5, TTL', extension(42, le(1, 63, 0x20, 0, 0)), {
    ip_ttl: 63, ip_flags: 0x20, min_ttl: 0, max_ttl: 0,
  }],
]

for (const [name, bytes, expected] of EXTENSIONS) {
  test(`extension ${name}`, () => {
    const parts = [bytes.subarray(0, bytes[2]), bytes.subarray(bytes[2])].filter(({ length }) => length > 0)
    assert.deepEqual(read(flow({}, generic(), ...parts)), [{ ...GENERIC, ...expected }])
  })
}

test('flows of all layouts keep their order, and those of one layout their own values', () => {
  const flows = Array.from({ length: 3000 }, (_, i) => (
    flow(
      {}, generic({ packets: i }), ...i % 3 > 0 ? [V4] : [], ...i % 5 > 2 ? [extension(7, le(4, i, i + 1))] : [],
    )
  ))
  const rows = read(...flows)
  assert.deepEqual(rows.map((row) => row['packets']), Array.from({ length: 3000 }, (_, i) => i))
  for (const [i, row] of rows.entries()) assert.equal(row['src_as'], i % 5 > 2 ? i : undefined)
})

test('of addresses of both kinds IPv6 holds, unless it is zero', () => {
  const v6 = extension(3, two64('2001:db8::1'), two64('2001:db8::2'))
  const rows = read(flow({}, V4, generic(), v6), flow({}, extension(3, new Uint8Array(32)), V4, generic()))
  assert.deepEqual(pick(rows, 'src_addr', 'dst_addr', 'etype'), [
    { src_addr: '2001:db8::1', dst_addr: '2001:db8::2', etype: 0x86dd },
    { src_addr: '10.1.2.3', dst_addr: '198.51.100.7', etype: 0x800 },
  ])
})

test('type and code of ICMP lie in the destination port', () => {
  const rows = read(
    flow({}, generic({ proto: 1, dstPort: 0x0301 })), flow({}, generic({ proto: 58, dstPort: 0x8000 })),
  )
  assert.deepEqual(pick(rows, 'icmp_type', 'icmp_code', 'dst_port'), [
    { icmp_type: 3, icmp_code: 1, dst_port: 0x0301 }, { icmp_type: 128, icmp_code: 0, dst_port: 0x8000 },
  ])
})

test('counters above 2^53 are 2^53, and times that are 0 are absent', () => {
  const bytes = extension(1, le(8, 0, 0, 0, 2n ** 64n - 1n, 2n ** 53n - 1n), new Uint8Array(8))
  const { rows } = readFile(file([block([flow({}, bytes)])]))
  assert.deepEqual([rows[0]['packets'], rows[0]['bytes']], [2 ** 53, 2 ** 53 - 1])
  assert.deepEqual(pick(rows, 'flow_start', 'flow_end', 'received'), [{}])
})

test('only the fields that are asked for are there', () => {
  const bytes = file([block([
    exporter(1, 9, 0, NOWHERE), sampler(1, -1, 1, 99),
    join(le(2, 13, 24, 1, 12), le(4, 8), le(4, 3), text('eth3', 8)),
    flow(
      { sysid: 1 }, generic(), V4, extension(4, le(4, 3, 4), new Uint8Array(8)),
      extension(14, le(4, 16), new Uint8Array(36)),
    ),
  ])])
  const wanted = [ID.srcAddr, ID.packets, ID.samplingRate, ID.inIfName, ID.mplsLabel1]
  assert.deepEqual(readFile(bytes, { fields: wanted }).rows, [
    { sampling_rate: 100, packets: 10, src_addr: '10.1.2.3', in_if_name: 'eth3', mpls_label_1: 1 },
  ])
})

test('what has no column is lost if there is something in it', () => {
  const loss = newLoss()
  const pf = extension(37, le(1, 1, 0, 1, 0), le(4, 17, 2, 0, 0), text('em0', 4))
  const bytes = file([block([
    flow({}, generic(), pf, extension(38, new Uint8Array(16), le(8, 5), new Uint8Array(8))),
    flow({}, generic(), extension(6, le(4, 1, 2)), extension(38, le(2, 9), new Uint8Array(30))),
    flow({}, generic(), extension(77, le(4, 1))), flow({}, generic(), extension(77, le(4, 0))),
    flow({}, generic(), extension(17, le(8, 1, 2, 2 ** 40))),
    flow({}, generic(), extension(28, text('label'))),
    join(le(2, 8, 32), le(4, 1), new Uint8Array(24)), join(le(2, 99, 8), le(4, 0)),
  ])], { ident: 'router' })
  assert.equal(readFile(bytes, { loss }).rows.length, 6)
  assert.deepEqual(Object.fromEntries(loss.elements), {
    'pf subrule': 1, 'nfdump VXLAN': 1, 'nfdump layer 2 vlan_id': 1, 'nfdump extension 77 of 4 bytes': 1,
    'nfdump label': 1, 'nfdump exporter statistics': 1, 'nfdump ident': 6,
  })
  assert.equal(loss.narrowed[ID.appLatency], 1)
  assert.equal(loss.rows.unknown, 1)
})

const PACKED: readonly (readonly [string, number, (bytes: Uint8Array) => Uint8Array])[] = [
  ['none', 0, (bytes) => bytes],
  ['LZO', 1, (bytes) => into(lzoBound(bytes.length), (target) => compressLzo(bytes, target))],
  ['LZ4', 3, (bytes) => into(lz4Bound(bytes.length), (target) => compressLz4Block(bytes, target))],
  ['zstd', 4, (bytes) => compressZstd(bytes, 3)],
]

function into(room: number, compress: (target: Uint8Array) => number): Uint8Array {
  const target = new Uint8Array(room)
  return target.subarray(0, compress(target))
}

for (const [name, compression, pack] of PACKED) {
  test(`blocks are read from chunks of any size, compression ${name}`, () => {
    const records = Array.from({ length: 40 }, (_, i) => flow({}, generic({ packets: i }), V4))
    const bytes = file(
      [block(records.slice(0, 25), { pack }), block(records.slice(25), { pack })], { compression, pack },
    )
    const whole = readFile(bytes)
    assert.deepEqual(whole.rows.map((row) => row['packets']), Array.from({ length: 40 }, (_, i) => i))
    for (const size of [1, 7, 40, 52, 100, 1000]) {
      assert.deepEqual(readFile(bytes, {}, size), { ...whole, faults: [], error: undefined }, `chunks of ${size}`)
    }
  })
}

test('a block of more flows than a batch holds comes in several batches', () => {
  const records = Array.from({ length: 20_000 }, (_, i) => flow({}, generic({ packets: i })))
  const { rows, faults, error } = readFile(file([block(records)]))
  assert.deepEqual([rows.length, rows[19_999]['packets'], faults, error], [20_000, 19_999, [], undefined])
})

test('files one behind the other are read one after the other, each with its own exporters', () => {
  const first = file([block([exporter(1, 9, 7, NOWHERE), flow({ sysid: 1 }, generic())])])
  const second = file([block([flow({ sysid: 1 }, generic())])])
  const { rows, faults, error } = readFile(join(first, second, second))
  assert.deepEqual([faults, error], [[], undefined])
  assert.deepEqual(pick(rows, 'observation_domain_id'), [{ observation_domain_id: 7 }, {}, {}])
})

test('a file is told by its magic; one that was not closed is left to its collector', () => {
  const whole = file([block([flow({}, generic())])])
  const open = whole.slice()
  open.fill(0, 18, 20).fill(0, 24, 40)
  const text = new TextEncoder().encode('nfcapd.current is no such file')
  assert.deepEqual([whole, open, text].map((head) => nfdump.probe!(head)), [95, 40, 0])
  assert.equal(readFile(open.subarray(0, 40 + 12 + 12 + 52)).rows.length, 1)
})
