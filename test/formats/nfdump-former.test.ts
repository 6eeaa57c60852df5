import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FIELDS } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { nfdump } from '../../formats/nfdump.ts'
import { ip6, join, pick, text, type Row } from '../core/netflow/messages.ts'
import { block, le, readFile } from './nfdump-files.ts'

const ALL = FIELDS.map(({ id }) => id)
const FIRST = 1_567_000_000 // s

/** A file of layout 1 (bin/nffile.h of 1.6): flags, blocks, identifier, statistics. */
function former(flags: number, blocks: readonly Uint8Array[], ident = 'none'): Uint8Array {
  return join(le(2, 0xa50c, 1), le(4, flags, blocks.length), text(ident, 128), new Uint8Array(136), ...blocks)
}

/** An extension map (type 2), filled up to a multiple of 4 bytes. */
function map(id: number, ...extensions: readonly number[]): Uint8Array {
  const ids = [...extensions, 0, ...extensions.length % 2 === 0 ? [0] : []]
  return join(le(2, 2, 8 + ids.length * 2, id, 0), le(2, ...ids))
}

/** The beginning of a record of type 10: flags, version, map, times, ports, exporter, direction, end. */
function common(flags: number, mapId: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = join(
    le(1, flags, 9), le(2, mapId, 123, 456), le(4, FIRST, FIRST + 10), le(1, 64, 0x1b, 6, 0xb8),
    le(2, 50_000, 443, 1),
    le(1, 1, 3), ...parts,
  )
  return join(le(2, 10, body.length + 4), body)
}

const V4 = le(4, 0x0a010203, 0xc6336407)
const COUNTERS = le(4, 10, 1500)
const COMMON: Row = {
  type: FLOW_TYPE.NETFLOW_V9, flow_start: FIRST * 1e6 + 123_000, flow_end: (FIRST + 10) * 1e6 + 456_000,
  packets: 10,
  bytes: 1500, proto: 6, src_addr: '10.1.2.3', dst_addr: '198.51.100.7', src_port: 50_000, dst_port: 443,
  tcp_flags: 0x1b,
  tos: 0xb8, etype: 0x800, end_reason: 3, forwarding_status: 64, biflow_direction: 1,
}

function read(...records: readonly Uint8Array[]): Row[] {
  const { rows, faults, error } = readFile(former(0, [block(records, { type: 2 })]), { fields: ALL })
  assert.deepEqual([faults, error], [[], undefined])
  return [...rows]
}

test('a record of 1.6 has addresses and counters of the kinds that its flags tell', () => {
  const v6 = (address: string) => {
    const bytes = ip6(address)
    return join(bytes.slice(0, 8).reverse(), bytes.slice(8).reverse())
  }
  const rows = read(
    map(0), common(0, 0, V4, COUNTERS), common(2, 0, V4, le(8, 2 ** 40), le(4, 7)),
    common(4, 0, V4, le(4, 7), le(8, 2 ** 41)),
    common(7, 0, v6('2001:db8::1'), v6('2001:db8::2'), le(8, 1, 2)),
  )
  assert.deepEqual(rows[0], COMMON)
  assert.deepEqual(pick(rows, 'packets', 'bytes'), [
    { packets: 10, bytes: 1500 }, { packets: 2 ** 40, bytes: 7 }, { packets: 7, bytes: 2 ** 41 },
    { packets: 1, bytes: 2 },
  ])
  assert.deepEqual(pick(rows.slice(3), 'src_addr', 'dst_addr', 'etype'), [
    { src_addr: '2001:db8::1', dst_addr: '2001:db8::2', etype: 0x86dd },
  ])
})

/** What each extension of nfx.h holds. */
const EXTENSIONS: readonly (readonly [number, Uint8Array, Row])[] = [
  [4, le(2, 3, 4), { in_if: 3, out_if: 4 }], [5, le(4, 70_000, 4), { in_if: 70_000, out_if: 4 }],
  [6, le(2, 64_496, 64_497), { src_as: 64_496, dst_as: 64_497 }],
  [7, le(4, 4_200_000_001, 64_497), { src_as: 4_200_000_001, dst_as: 64_497 }],
  [8, le(1, 8, 1, 24, 16), { post_tos: 8, direction: 1, src_mask: 24, dst_mask: 16 }],
  [9, le(4, 0xc0000201), { next_hop: '192.0.2.1' }], [11, le(4, 0xc0000202), { bgp_next_hop: '192.0.2.2' }],
  [13, le(2, 100, 200), { vlan_id: 100, post_vlan_id: 200 }], [14, le(4, 5), { out_packets: 5 }],
  [15, le(8, 2 ** 40), { out_packets: 2 ** 40 }], [16, le(4, 6), { out_bytes: 6 }],
  [17, le(8, 2 ** 41), { out_bytes: 2 ** 41 }],
  [18, le(4, 3), { flows: 3 }], [19, le(8, 4), { flows: 4 }],
  [20, le(8, 0x020000000001, 0x020000000004), { src_mac: '02:00:00:00:00:01', post_dst_mac: '02:00:00:00:00:04' }],
  [21, le(8, 0x020000000002, 0), { dst_mac: '02:00:00:00:00:02' }],
  [22, join(le(4, 1000 << 4 | 1), new Uint8Array(36)), { mpls_label_1: 1000, mpls_exp: 1 }],
  [23, le(4, 0xc0000203), { exporter_addr: '192.0.2.3' }],
  [25, le(1, 0, 0, 1, 7), { engine_type: 1, engine_id: 7 }],
  [26, le(4, 64_501, 64_502), { next_as: 64_501, prev_as: 64_502 }],
  [27, le(8, FIRST * 1000 + 1), { received: FIRST * 1e6 + 1000 }],
  [37, join(le(8, FIRST * 1000), le(4, 99), le(2, 0), le(1, 2, 0), le(2, 1001, 0)), {
    event_time: FIRST * 1e6, flow_id: 99, firewall_event: 2, firewall_ext_event: 1001,
  }],
  [38, le(2, 1025, 8443), { post_napt_src_port: 1025, post_napt_dst_port: 8443 }],
  [39, le(4, 0xcb007101, 0xcb007102), { post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '203.0.113.2' }],
  [41, le(4, 1, 2, 3, 4, 5, 0x0a0b0c0d), { in_acl: '000000010000000200000003', out_acl: '00000004000000050a0b0c0d' }],
  [42, text('alice', 24), { user_name: 'alice' }], [43, text('bob', 72), { user_name: 'bob' }],
  [45, le(8, 1500, 2500, 3500), { client_latency: 1500, server_latency: 2500, app_latency: 3500 }],
  [46, join(le(1, 4, 0, 0, 0), le(4, 12, 11)), { nat_event: 4, dst_vrf: 12, src_vrf: 11 }],
  [48, le(2, 1024, 2047, 1, 1024), {
    port_block_start: 1024, port_block_end: 2047, port_block_step: 1, port_block_size: 1024,
  }],
]

for (const [id, bytes, expected] of EXTENSIONS) {
  test(`extension ${id} of 1.6: ${Object.keys(expected).join(', ')}`, () => {
    assert.deepEqual(read(map(3, id), common(0, 3, V4, COUNTERS, bytes)), [{ ...COMMON, ...expected }])
  })
}

test('extensions follow each other in the order of the map', () => {
  const rows = read(map(1, 25, 4), map(2, 4, 25), common(0, 1, V4, COUNTERS, le(1, 0, 0, 1, 7), le(2, 3, 4)),
    common(0, 2, V4, COUNTERS, le(2, 3, 4), le(1, 0, 0, 1, 7)))
  for (const row of pick(rows, 'in_if', 'engine_id')) assert.deepEqual(row, { in_if: 3, engine_id: 7 })
})

test('a map that comes again with other extensions holds from there on', () => {
  const record = common(0, 1, V4, COUNTERS, le(2, 3, 4))
  const rows = read(map(1, 4), record, map(1, 6), record)
  assert.deepEqual(pick(rows, 'in_if', 'src_as'), [{ in_if: 3 }, { src_as: 3 }])
})

test('1.6.10 has ports after translation where a NAT event else has a VRF', () => {
  const [row] = read(map(1, 46, 47), common(
    64, 1, V4, COUNTERS, le(1, 4, 0, 0, 0), le(2, 1025, 8443), le(4, 11), le(4, 0xcb007101, 0xcb007102),
  ))
  assert.deepEqual(
    pick([row], 'post_napt_src_port', 'post_napt_dst_port', 'dst_vrf', 'src_vrf', 'post_nat_src_addr'),
    [{ post_napt_src_port: 1025, post_napt_dst_port: 8443, src_vrf: 11, post_nat_src_addr: '203.0.113.1' }],
  )
})

test('a firewall tells type and code of ICMP beside the ports', () => {
  const icmp = (ports: number, told: number) => {
    const record = common(0, 1, V4, COUNTERS, le(8, 0), le(4, 1), le(2, told), le(1, 2, 0), le(2, 0, 0))
    record.set(le(1, 1), 22)
    record.set(le(2, ports), 26)
    return record
  }
  const rows = read(map(1, 37), icmp(0, 0x0301), icmp(0x0800, 0))
  assert.deepEqual(pick(rows, 'icmp_type', 'icmp_code'), [
    { icmp_type: 3, icmp_code: 1 }, { icmp_type: 8, icmp_code: 0 },
  ])
})

test('a record of the first type names its exporter in one byte, and tells no version', () => {
  const exporter = join(le(2, 7, 32), le(4, 9), new Uint8Array(8), le(4, 0xc0000203, 0), le(2, 2, 200), le(4, 7))
  const body = join(
    le(1, 128, 200), le(2, 0, 123, 456), le(4, FIRST, FIRST + 10), le(1, 64, 0x1b, 6, 0xb8),
    le(2, 50_000, 443), V4, COUNTERS,
  )
  const [row] = read(map(0), exporter, join(le(2, 1, body.length + 4), body))
  const { type, end_reason: reason, biflow_direction: direction, ...rest } = COMMON
  assert.deepEqual([type, reason, direction], [FLOW_TYPE.NETFLOW_V9, 3, 1])
  assert.deepEqual(row, { ...rest, exporter_addr: '192.0.2.3', observation_domain_id: 7, sampling_applied: 1 })
})

test('a record of 1.5 needs no map', () => {
  const body = join(
    le(2, 0, 123, 456), le(4, FIRST, FIRST + 10), le(1, 1, 0x1b, 6, 0xb8),
    le(2, 3, 4, 50_000, 443, 64_496, 64_497), V4, COUNTERS,
  )
  const record = join(le(4, 0), le(2, body.length + 6), body)
  const { rows, faults } = readFile(former(0, [block([record], { type: 1 })]), { fields: ALL })
  assert.deepEqual(faults, [])
  assert.deepEqual(rows, [{
    flow_start: COMMON['flow_start'], flow_end: COMMON['flow_end'], packets: 10, bytes: 1500, proto: 6,
    src_addr: '10.1.2.3',
    dst_addr: '198.51.100.7', src_port: 50_000, dst_port: 443, tcp_flags: 0x1b, tos: 0xb8, etype: 0x800,
    direction: 1,
    in_if: 3, out_if: 4, src_as: 64_496, dst_as: 64_497,
  }])
})

test('records without a map, with an unknown extension or too short are counted and stepped over', () => {
  const records = [
    map(0), common(0, 5, V4, COUNTERS), map(6, 28), common(0, 6, V4, COUNTERS), common(0, 0, V4),
    common(0, 0, V4, COUNTERS),
  ]
  const { rows, faults, error } = readFile(former(0, [block(records, { type: 2 })]))
  assert.deepEqual([rows.length, error], [1, undefined])
  assert.deepEqual(faults.map(({ reason }) => reason), [
    'Cannot read all of nfdump block at byte 276: 4 of its records contradict their sizes',
  ])
})

test('the identifier of a file of layout 1 is told of as lost', () => {
  const loss = newLoss()
  readFile(former(0, [block([map(0), common(0, 0, V4, COUNTERS)], { type: 2 })], 'router'), { loss })
  assert.deepEqual([...loss.elements], [['nfdump ident', 1]])
  assert.equal(nfdump.probe!(former(0, [])), 95)
})
