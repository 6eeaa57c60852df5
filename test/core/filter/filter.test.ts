import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compileFilter, filterFields, filterFlows, parseFilter, type Filter,
} from '../../../core/filter/filter.ts'
import { overlaps } from '../../../core/filter/window.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS } from '../../../core/flow/fields.ts'
import { batchOf, type Row } from './rows.ts'

const NOON = Date.UTC(2026, 10, 21, 12) * 1e3 // µs
const SECOND = 1e6
const HOUR = 3600e6

const WEB: Row = {
  type: 3, exporter_addr: '192.0.2.254', received: NOON + HOUR, flow_start: NOON, flow_end: NOON + 2 * SECOND,
  proto: 6, src_addr: '10.20.0.1', dst_addr: '198.51.100.10', src_port: 50_000, dst_port: 443, tcp_flags: 27,
  tos: 184, post_tos: 40, bytes: 15_000, packets: 10, out_bytes: 9000, in_if: 3, out_if: 5, src_as: 64_500,
  dst_as: 13_335, src_mask: 24, dst_mask: 16, next_hop: '192.0.2.1', vlan_id: 100, direction: 0,
  forwarding_status: 66, user_name: 'bob', application_name: 'http',
  application_id: Uint8Array.of(3, 0, 0, 80), client_latency: 250,
}
const DNS: Row = {
  type: 4, proto: 17, src_addr: '2001:db8::1', dst_addr: '2001:db8:1::53', src_port: 1053, dst_port: 53,
  bytes: 80, packets: 1, flow_start: NOON + HOUR, flow_end: NOON + HOUR, src_as: 64_501, dst_as: 64_501,
  observation_point_id: 2n ** 64n - 1n, direction: 1, bgp_next_hop: '2001:db8::fe', ip_ttl: 57,
}
const PING: Row = {
  proto: 1, src_addr: '10.20.0.2', dst_addr: '10.30.0.1', icmp_type: 8, icmp_code: 0, packets: 5, bytes: 420,
}
/** As NetFlow v5 has it: type 3, code 3 in the port. */
const UNREACHABLE: Row = {
  type: 2, proto: 1, src_addr: '198.51.100.1', dst_addr: '10.20.0.1', src_port: 0, dst_port: 771,
  engine_id: 7,
}
const SYN: Row = {
  proto: 6, src_addr: '203.0.113.9', dst_addr: '10.20.1.7', src_port: 443, dst_port: 22, tcp_flags: 2,
  bytes: 60, packets: 1,
}
const NAT: Row = {
  proto: 17, src_addr: '10.20.0.9', src_port: 1234, nat_event: 4, post_nat_src_addr: '192.0.2.12',
  post_napt_src_port: 30_001, port_block_start: 1024, port_block_end: 2047, event_time: NOON + 10 * SECOND,
}
/** Two labels: exp 3; exp 0 and the bottom of the stack. */
const LABELS: Row = {
  src_mac: '02:11:00:00:00:01', post_dst_mac: '02:22:00:00:01:03', mpls_label_1: 16_001, mpls_label_2: 24_003,
  mpls_exp: 0x16, min_ttl: 63, max_ttl: 63, flows: 5, etype: 0x86dd,
}
const EMPTY: Row = {}
const ROWS = { WEB, DNS, PING, UNREACHABLE, SYN, NAT, LABELS, EMPTY }
const NAMES = Object.keys(ROWS).join(' ')

const EXPECTED: readonly (readonly [string, string])[] = [
  ['', NAMES],
  ['any', NAMES],
  ['not any', ''],
  ['# nothing but a comment', NAMES],
  ['proto tcp # only these\nand dst port 443', 'WEB'],
  ['PROTO TCP AND DST PORT 443', 'WEB'],
  ['tcp', 'WEB SYN'],
  ['icmp or udp', 'DNS PING UNREACHABLE NAT'],
  ['proto > 6', 'DNS NAT'],
  ['proto in [tcp 10-20]', 'WEB DNS SYN NAT'],
  ['not proto in [tcp udp]', 'PING UNREACHABLE LABELS EMPTY'],
  ['proto not in [tcp udp]', 'PING UNREACHABLE'],
  ['proto != tcp', 'DNS PING UNREACHABLE NAT'],
  ['! tcp && ! udp', 'PING UNREACHABLE LABELS EMPTY'],
  ['tcp or udp and dst port 53', 'WEB DNS SYN'],
  ['(tcp or udp) and dst port 53', 'DNS'],
  ['not (tcp or udp)', 'PING UNREACHABLE LABELS EMPTY'],
  ['not not tcp', 'WEB SYN'],
  ['ipv4', 'WEB PING UNREACHABLE SYN NAT'],
  ['ipv6', 'DNS'],
  ['inet6 || flows 5', 'DNS LABELS'],
  ['ip 10.20.0.1', 'WEB UNREACHABLE'],
  ['src host 10.20.0.1', 'WEB'],
  ['host 2001:DB8:0::1', 'DNS'],
  ['src ip != 10.20.0.1', 'DNS PING UNREACHABLE SYN NAT'],
  ['ip != 10.20.0.1', 'DNS PING SYN NAT'],
  ['src or dst ip != 10.20.0.1', 'WEB DNS PING UNREACHABLE SYN NAT'],
  ['not ip 10.20.0.1', 'DNS PING SYN NAT LABELS EMPTY'],
  ['net 10.20.0.0/24', 'WEB PING UNREACHABLE NAT'],
  ['net 10.20.0.77/24', 'WEB PING UNREACHABLE NAT'],
  ['src net 10.20/16', 'WEB PING NAT'],
  ['src net 10.20', 'WEB PING NAT'],
  ['dst net 10', 'PING UNREACHABLE SYN'],
  ['net 198.51.100.0 255.255.255.248', 'UNREACHABLE'],
  ['net 2001:db8::/48 or net 0.0.0.0 / 6', 'DNS'],
  ['src net ::/0', 'DNS'],
  ['src and dst net 10.0.0.0/8', 'PING'],
  ['ip in [203.0.113.0-203.0.113.255, 2001:db8:1::/64 10.30.0.1]', 'DNS PING SYN'],
  ['src ip in [::ffff:10.20.0.0/120]', 'WEB PING NAT'],
  ['next ip 192.0.2.1', 'WEB'],
  ['bgp next ip 2001:db8::fe', 'DNS'],
  ['router ip 192.0.2.254 and exporter ip in [192.0.2.0/24]', 'WEB'],
  ['port 443', 'WEB SYN'],
  ['port != 443', 'DNS UNREACHABLE NAT'],
  ['src port 443 or dst port = 22', 'SYN'],
  ['not src port 443', 'WEB DNS PING UNREACHABLE NAT LABELS EMPTY'],
  ['src port gt 1023 and dst port LE 1023', 'WEB DNS'],
  ['src and dst port < 1024', 'UNREACHABLE SYN'],
  ['dst or src port < 100', 'DNS UNREACHABLE SYN'],
  ['port in [22 50-60]', 'DNS SYN'],
  ['dst port 400-500', 'WEB'],
  ['src port = dst_port', ''],
  ['src_port > dst_port', 'WEB DNS SYN'],
  ['src_as = dst_as', 'DNS'],
  ['bytes > 10k', 'WEB'],
  ['in bytes < 0.1k', 'DNS SYN'],
  ['bytes >= 14Ki and packets = 0xA', 'WEB'],
  ['out bytes > 0', 'WEB'],
  ['packets != 1', 'WEB PING'],
  ['flows 1', 'WEB DNS PING UNREACHABLE SYN NAT EMPTY'],
  ['flows > 1', 'LABELS'],
  ['defined flows', 'LABELS'],
  ['duration 2000', 'WEB'],
  ['duration = 0', 'DNS'],
  ['pps 5 and bps 60k and bpp 1500', 'WEB'],
  ['pps = 0', 'DNS'],
  ['bpp < 85', 'DNS PING SYN'],
  ['flags S', 'WEB SYN'],
  ['flags AS', 'WEB'],
  ['flags S and not flags AFRPU', 'SYN'],
  ['flags S and not (flags AFRPU)', 'WEB SYN'],
  ['flags S and not not flags A', 'WEB'],
  ['tcp and not flags = 27', 'SYN'],
  ['flags S and not flags A', 'SYN'],
  ['flags = S', 'SYN'],
  ['flags 27', 'WEB'],
  ['flags 0x1b', 'WEB'],
  ['flags X', ''],
  ['tcp_flags & 0x12', 'WEB'],
  ['tos 0xb8', 'WEB'],
  ['src tos > 0 and dst tos 40', 'WEB'],
  ['as 64501', 'DNS'],
  ['src as 64.5k', 'WEB'],
  ['src as in [64500 64501] and dst as > 20000', 'DNS'],
  ['in if 3 and out if in [1-4 5]', 'WEB'],
  ['if > 4', 'WEB'],
  ['mask 16', 'WEB'],
  ['src mask > 16', 'WEB'],
  ['vlan 100', 'WEB'],
  ['dst vlan 100', ''],
  ['mac 02:11:00:00:00:01', 'LABELS'],
  ['out dst mac 02-22-00-00-01-03', 'LABELS'],
  ['in dst mac 0222.0000.0103', ''],
  ['icmp-type 8', 'PING'],
  ['icmp type 3 and icmp-code 3', 'UNREACHABLE'],
  ['icmp code 0', 'PING'],
  ['icmp_type = 3', ''],
  ['engine id 7', 'UNREACHABLE'],
  ['observation point id 18446744073709551615', 'DNS'],
  ['observation_point_id >= 0xffffffffffffffff', 'DNS'],
  ['observation_point_id < 18446744073709551615', ''],
  ['flowdir egress', 'DNS'],
  ['flowdir 0', 'WEB'],
  ['fwdstat forw', 'WEB'],
  ['fwdstat > 64', 'WEB'],
  ['min ttl 63', 'LABELS'],
  ['ttl < 60', 'DNS'],
  ['ttl equal', 'LABELS'],
  ['ethertype 0x86dd', 'LABELS'],
  ['etype ipv6', 'LABELS'],
  ['mpls label1 16001 and mpls label2 > 0', 'LABELS'],
  ['mpls any 24003', 'LABELS'],
  ['mpls exp1 3 and mpls exp2 0', 'LABELS'],
  ['mpls exp3 0', ''],
  ['mpls eos 24003', 'LABELS'],
  ['nat event add44', 'NAT'],
  ['nat ip 192.0.2.12 and src nat port > 30000', 'NAT'],
  ['xip 192.0.2.12', 'NAT'],
  ['port in nat pblock', 'NAT'],
  ['nat pblock end 2047', 'NAT'],
  ['client latency > 249', 'WEB'],
  ['first seen > 2026-11-21T12:30:00Z', 'DNS'],
  ['last seen <= 2026-11-21T13:00:02+01:00', 'WEB'],
  ['first seen = 2026-11-21T12:00:00.000000Z', 'WEB'],
  ['flow_end > flow_start', 'WEB'],
  ['starts < 2026-11-21T12:30:00Z', 'WEB NAT'],
  ['received = 2026-11-21T13:00:00Z', 'WEB'],
  ['defined user_name', 'WEB'],
  ['not defined src ip', 'LABELS EMPTY'],
  ['user_name = "bob"', 'WEB'],
  ["asa user 'Bob'", ''],
  ['application_name in [http "ssh"]', 'WEB'],
  ['application_name != ssh', 'WEB'],
  ['application_id = 0x03000050', 'WEB'],
  ['type = netflow_v9', 'WEB'],
  ['type in [IPFIX NETFLOW_V5]', 'DNS UNREACHABLE'],
  ['exporterAddr in [192.0.0.0/8]', 'WEB'],
  ['sourceTransportPort = 443', 'SYN'],
  ['ingressInterface 3 and octetDeltaCount > 1', 'WEB'],
]

function select(filter: Filter, batch: FlowBatch): string {
  const selected = new Uint8Array(batch.length + 3).fill(1)
  const count = compileFilter(filter)(batch, selected)
  const names = Object.keys(ROWS).filter((_, row) => selected[row] === 1)
  assert.equal(count, names.length)
  return names.join(' ')
}

for (const [text, expected] of EXPECTED) {
  test(`"${text}" selects ${expected || 'nothing'}`, () => {
    assert.equal(select(parseFilter(text), batchOf(Object.values(ROWS))), expected)
  })
}

test('a filter looks only at the rows in use, and at a batch again after it was filled anew', () => {
  const filter = compileFilter(parseFilter('src port 443 or user_name bob'))
  const batch = batchOf([SYN, WEB, EMPTY])
  assert.equal(filter(batch, new Uint8Array(8)), 2)
  batch.clear()
  batch.append(batchOf([EMPTY]), 0) // the columns still hold what they held
  assert.equal(filter(batch, new Uint8Array(8)), 0)
  batch.clear()
  assert.equal(filter(batch, new Uint8Array(8)), 0)
})

test('a filter refuses an array of flags that is too short', () => {
  assert.throws(() => compileFilter(parseFilter('any'))(batchOf([WEB, DNS]), new Uint8Array(1)), RangeError)
})

test('tod selects by the local time of day at which a flow began, also past midnight', () => {
  const zone = process.env['TZ']
  process.env['TZ'] = 'Europe/Zurich'
  try {
    const at = (text: string): Row => ({ flow_start: Date.parse(text) * 1e3 })
    const rows = [ // two hours ahead of UTC in summer, one in winter
      at('2026-07-01T05:59:59.999Z'), at('2026-07-01T06:00:00Z'), at('2026-07-01T15:29:59.999Z'),
      at('2026-07-01T15:30:00Z'), at('2026-12-01T06:30:00Z'), at('2026-12-01T07:00:00Z'), EMPTY,
    ]
    const hours = (text: string): string => {
      const selected = new Uint8Array(rows.length)
      compileFilter(parseFilter(text))(batchOf(rows), selected)
      return selected.join('')
    }
    assert.equal(hours('tod 08:00-17:30'), '0110010')
    assert.equal(hours('time of day 17:30-08:00'), '1001100')
    assert.equal(hours('tod >= 17:30'), '0001000')
    assert.equal(hours('tod in [07:30 17:29:59]'), '0010100')
  } finally {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  }
})

test('a time window selects flows that overlap it, by the best time they have', () => {
  const rows: Row[] = [
    { flow_start: 10, flow_end: 20 }, { flow_start: 20, flow_end: 30 }, { flow_start: 30, flow_end: 40 },
    { flow_end: 20 }, { event_time: 29, received: 50 }, { received: 30 }, EMPTY,
  ]
  const within = (since?: number, until?: number): string => {
    const selected = new Uint8Array(rows.length)
    compileFilter(overlaps(since, until))(batchOf(rows), selected)
    return selected.join('')
  }
  assert.equal(within(20, 30), '1101100')
  assert.equal(within(21, 30), '0100100')
  assert.equal(within(30, undefined), '0110010')
  assert.equal(within(undefined, 30), '1101100')
  assert.equal(within(), '1111111')
})

test('filterFlows passes on what a filter selects and no empty batch', async () => {
  async function* reader(): AsyncGenerator<FlowBatch> {
    yield batchOf([WEB, DNS, SYN])
    yield batchOf([DNS])
    yield batchOf([PING, SYN, NAT, SYN])
    yield batchOf([SYN])
  }
  const lengths: number[] = []
  for await (const batch of filterFlows(reader(), parseFilter('tcp'))) {
    lengths.push(batch.length)
    assert.deepEqual([...batch.proto.subarray(0, batch.length)], new Array(batch.length).fill(6))
  }
  assert.deepEqual(lengths, [2, 2, 1])
})

test('filterFields names the fields that a filter looks at', () => {
  const fields = (text: string): string => filterFields(parseFilter(text)).map((id) => FIELDS[id].name).join()
  assert.equal(fields('any'), '')
  assert.equal(fields('not port 80 and pps > 1'), 'flow_start,flow_end,packets,src_port,dst_port')
  assert.equal(fields('icmp type 8 or defined user_name'), 'proto,dst_port,icmp_type,user_name')
  assert.equal(fields('in_if = out_if and src_addr = ::1'), 'src_addr,in_if,out_if')
})
