import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { datagramEncoder, type ExportVersion } from '../../core/netflow/encode/encode.ts'
import { batchOf, encodeAll, type RowSource } from '../core/netflow/encode/rows.ts'
import type { Row } from '../core/netflow/messages.ts'
import { missing, pickAs, throughNfcapd, type Told } from './peers.ts'
import { interopRows, richRows } from './rows.ts'

const skip = missing('nfcapd', 'nfdump')
const OPTIONS = { maxSize: 1400, domain: 7, templateRefresh: 60e6, statistics: true }

/** nfdump's names for what it tells of every flow. */
const NAMES: Readonly<Record<string, string>> = {
  packets: 'in_packets', bytes: 'in_bytes', proto: 'proto', src_port: 'src_port', dst_port: 'dst_port', tos: 'src_tos',
  in_if: 'input_snmp', out_if: 'output_snmp', icmp_type: 'icmp_type', icmp_code: 'icmp_code',
}

async function flowsOf(version: ExportVersion['version'], rows: readonly RowSource[]): Promise<readonly Told[]> {
  const { flows, said } = await throughNfcapd(encodeAll(datagramEncoder({ version }, OPTIONS), batchOf(...rows)))
  assert.match(said, new RegExp(`Flows: ${rows.length}, .*Sequence Errors: 0, Bad Packets: 1`)) // the one that ends it
  return flows
}

/** A row as nfdump's JSON has it. */
function asNfdump(row: Row, version: number): Told {
  const family = String(row['src_addr']).includes(':') ? 6 : 4
  const text = (name: string) => new Date(Number(row[name]) / 1000).toISOString().slice(0, -1)
  const told = Object.entries(NAMES).filter(([name]) => name in row).map(([name, theirs]) => [theirs, row[name]])
  const flags = [...'CEUAPRSF'].map((letter, bit) => Number(row['tcp_flags']) & 0x80 >> bit ? letter : '.').join('')
  return {
    ...Object.fromEntries(told), first: text('flow_start'), last: text('flow_end'),
    [`src${family}_addr`]: row['src_addr'], [`dst${family}_addr`]: row['dst_addr'],
    [`ip${family}_next_hop`]: row['next_hop'],
    ...'tcp_flags' in row && { tcp_flags: flags },
    ...version > 1 && { src_as: row['src_as'], dst_as: row['dst_as'] },
    // nfcapd 1.7.1 does not keep the prefix lengths of v5 and v7
    ...version > 8 && { src_mask: row['src_mask'], dst_mask: row['dst_mask'] },
  }
}

/** The same of what only v9 and IPFIX tell. */
function asRichNfdump(row: Row, version: number): Told {
  const family = String(row['src_addr']).includes(':') ? 6 : 4
  return {
    ...asNfdump(row, version), in_src_mac: row['src_mac'], in_dst_mac: row['dst_mac'],
    out_src_mac: row['post_src_mac'], out_dst_mac: row['post_dst_mac'], src_vlan: 100, dst_vlan: 200,
    mpls_1: '1000-5-0', mpls_2: '2000-2-1', mpls_3: '0-0-0', // label, class, bottom of the stack
    [`bgp${family}_next_hop`]: row['bgp_next_hop'], dst_tos: 8, direction: 1, out_bytes: 99, out_packets: 9,
    aggr_flows: 3, src_xlt_port: '1025', dst_xlt_port: '8443', nat_event_id: '4', ingress_vrf: '11', egress_vrf: '12',
    // nfcapd 1.7.1 reads these of v9 only
    ...version === 9 && { fwd_status: 66, next_as: 64_501, prev_as: 64_502 },
    ...(version === 9 || family === 4) && {
      [`src${family}_xlt_ip`]: row['post_nat_src_addr'], [`dst${family}_xlt_ip`]: row['post_nat_dst_addr'],
    },
  }
}

for (const version of [1, 5, 7, 9, 10] as const) {
  test(`nfcapd reads the flows that are exported as version ${version}`, { skip }, async () => {
    const rows = interopRows.filter(({ fields }) => version > 8 || fields['etype'] === 0x800)
    const flows = await flowsOf(version, rows)
    const expected = rows.map(({ fields }) => asNfdump(fields, version))
    assert.deepEqual(pickAs(flows, expected), expected)
  })
}

for (const version of [9, 10] as const) {
  test(`nfcapd reads what routers tell beside by version ${version}: MAC, VLAN, MPLS, NAT, VRF`, { skip }, async () => {
    const flows = await flowsOf(version, richRows)
    const expected = richRows.map(({ fields }) => asRichNfdump(fields, version))
    assert.deepEqual(pickAs(flows, expected), expected)
  })
}

for (const version of [5, 9, 10] as const) {
  test(`nfcapd multiplies by the sampling rate that version ${version} tells`, { skip }, async () => {
    const sampling = { sampling_rate: 100, sampling_algorithm: 1, sampling_source: SAMPLING_SOURCE.config }
    const [{ fields }] = interopRows
    const [flow] = await flowsOf(version, [{ fields: { ...fields, ...sampling } }])
    assert.deepEqual([flow['in_packets'], flow['in_bytes'], flow['sampled']], [1200, 345_600, 1])
  })
}

test('nfcapd reads what firewalls tell by v9: events, addresses after translation, user names', { skip }, async () => {
  const [{ fields }] = interopRows
  const [flow] = await flowsOf(9, [{
    fields: {
      ...fields, event_time: Number(fields['flow_end']), firewall_event: 2, firewall_ext_event: 1001, flow_id: 123_456,
      post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '198.51.100.9', post_napt_src_port: 1025,
      post_napt_dst_port: 8443, in_acl: '0102030405060708090a0b0c', out_acl: '000000000000000000000000',
      user_name: 'alice',
    },
  }])
  assert.deepEqual([
    'src4_xlt_ip', 'dst4_xlt_ip', 'src_xlt_port', 'dst_xlt_port', 'event_id', 'xevent_id', 'connect_id', 'user_name',
  ].map((name) => String(flow[name])), ['203.0.113.1', '198.51.100.9', '1025', '8443', '2', '1001', '123456', 'alice'])
})
