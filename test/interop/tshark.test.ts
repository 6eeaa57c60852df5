import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { datagramEncoder, type ExportVersion } from '../../core/netflow/encode/encode.ts'
import { sflowEncoder } from '../../core/netflow/sflow/encode.ts'
import { V8_SCHEMES } from '../../core/netflow/v8.ts'
import { batchOf, encodeAll } from '../core/netflow/encode/rows.ts'
import { EXPORTED } from '../core/netflow/messages.ts'
import { missing, throughTshark } from './peers.ts'
import { interopRows, richRows, sampledRows } from './rows.ts'

const skip = missing('tshark')
const OPTIONS = { maxSize: 1400, domain: 7, templateRefresh: 60e6, statistics: true }
const SFLOW = { maxSize: 1400, domain: 3, agent: '198.51.100.1' }
const SAMPLING = { sampling_rate: 100, sampling_algorithm: 1, sampling_source: SAMPLING_SOURCE.config }
const BOOT = EXPORTED - 604_800 // s: a week before the export

function exported(version: ExportVersion, more: Record<string, number> = {}): Uint8Array[] {
  const rows = interopRows.filter(({ fields }) => version.version > 8 || fields['etype'] === 0x800)
  const sources = rows.map(({ fields }) => ({ fields: { ...fields, ...more } }))
  return encodeAll(datagramEncoder(version, OPTIONS), batchOf(...sources))
}

/** Values of fields of all records, in their order. */
function fieldsOf(datagrams: readonly Uint8Array[], ...names: readonly string[]): string[][] {
  return valuesOf('cflow', datagrams, names.map((name) => `cflow.${name}`))
}

function valuesOf(
  dissector: 'cflow' | 'sflow', datagrams: readonly Uint8Array[], names: readonly string[],
): string[][] {
  const wanted = names.flatMap((name) => ['-e', name])
  const text = throughTshark(dissector, datagrams, '-T', 'fields', '-E', 'aggregator=|', ...wanted)
  const frames = text.replace(/\n$/, '').split('\n').map((line) => line.split('\t'))
  return names.map((_, i) => frames.flatMap((values) => values[i] === '' ? [] : values[i].split('|')))
}

function assertFlawless(datagrams: readonly Uint8Array[]): void {
  const flaw = '_ws.malformed or _ws.expert or cflow.unknown_field_type'
  assert.equal(throughTshark('cflow', datagrams, '-Y', flaw, '-V', '-O', 'cflow'), '')
  assert.doesNotMatch(throughTshark('cflow', datagrams, '-V', '-O', 'cflow'), /unknown|no template|\[malformed/i)
}

// tshark does not dissect version 6
for (const version of [1, 5, 7, 9, 10] as const) {
  test(`tshark reads the flows that are exported as version ${version}`, { skip }, () => {
    const datagrams = exported({ version })
    assertFlawless(datagrams)
    const rows = interopRows.map(({ fields }) => fields).filter((row) => version > 8 || row['etype'] === 0x800)
    const all = (name: string) => rows.map((row) => String(row[name] ?? 0))
    const four = (name: string) => all(name).filter((address) => !address.includes(':'))
    const six = (name: string) => all(name).filter((address) => address.includes(':'))
    const [src, dst, src6, dst6, octets, packets, protocol] =
      fieldsOf(datagrams, 'srcaddr', 'dstaddr', 'srcaddrv6', 'dstaddrv6', 'octets', 'packets', 'protocol')
    assert.deepEqual([src, dst, src6, dst6], [four('src_addr'), four('dst_addr'), six('src_addr'), six('dst_addr')])
    assert.deepEqual([octets, packets, protocol], [all('bytes'), all('packets'), all('proto')])

    const [srcPort, dstPort] = fieldsOf(datagrams, 'srcport', 'dstport')
    // versions without a place for ICMP type and code have them in the destination port
    assert.deepEqual(srcPort, version > 8 ? ['50000', '53', '50001'] : ['50000', '53', '0'])
    assert.deepEqual(dstPort, version > 8 ? ['443', '40000', '80'] : ['443', '40000', '769'])

    if (version === 10) {
      const [start, end] = fieldsOf(datagrams, 'abstimestart', 'abstimeend')
      assert.deepEqual(start, rows.map(() => 'Nov 20, 2026 08:59:50.250000000 UTC'))
      assert.deepEqual(end, rows.map(() => 'Nov 20, 2026 08:59:58.500000000 UTC'))
    } else {
      const [start, end] = fieldsOf(datagrams, 'timestart', 'timeend')
      assert.deepEqual(start.map((time) => BOOT + Number(time)), rows.map(() => EXPORTED - 9.75))
      assert.deepEqual(end.map((time) => BOOT + Number(time)), rows.map(() => EXPORTED - 1.5))
    }
  })
}

for (const scheme of Object.keys(V8_SCHEMES).map(Number)) {
  test(`tshark reads aggregated flows of scheme ${scheme} of version 8`, { skip }, () => {
    const datagrams = exported({ version: 8, scheme })
    assertFlawless(datagrams)
    const [octets, packets] = fieldsOf(datagrams, 'octets', 'packets')
    const sum = (values: readonly string[]) => values.reduce((total, value) => total + Number(value), 0)
    assert.deepEqual([sum(octets), sum(packets)], [2 ** 31 + 5 + 2 * 3456, 2 ** 31 + 1 + 2 * 12])
  })
}

for (const version of [9, 10] as const) {
  test(`tshark reads the options of version ${version}`, { skip }, () => {
    const datagrams = exported({ version }, SAMPLING)
    assertFlawless(datagrams)
    const told = fieldsOf(
      datagrams, 'sampling_interval', 'sampling_packet_interval', 'sampling_packet_space', 'packetsexp',
    )
    assert.deepEqual(told, [['100'], ['1'], ['99'], ['0']])
  })
}

/** tshark's fields for what routers tell beside, and values of an IPv4 and an IPv6 flow, or of both. */
const RICH_FIELDS: Readonly<Record<string, readonly string[]>> = {
  bgpnexthop: ['10.255.0.9'], bgpnexthopv6: ['2001:db8::9'], post_natsource_ipv4_address: ['203.0.113.1'],
  post_natdestination_ipv4_address: ['203.0.113.2'], post_nat_source_ipv6_address: ['2001:db8:3::1'],
  post_nat_destination_ipv6_address: ['2001:db8:3::2'], post_naptsource_transport_port: ['1025', '1025'],
  post_naptdestination_transport_port: ['8443', '8443'], nat_event: ['4', '4'],
  srcmac: ['02:00:00:00:00:01', '02:00:00:00:00:01'], dstmac: ['02:00:00:00:00:02', '02:00:00:00:00:02'],
  post_srcmac: ['02:00:00:00:00:03', '02:00:00:00:00:03'], post_dstmac: ['02:00:00:00:00:04', '02:00:00:00:00:04'],
  vlanid: ['100', '100'], post_vlanid: ['200', '200'], dot1q_customer_vlan_id: ['33', '33'],
  mpls_label: ['1000', '2000', '1000', '2000'], mpls_exp: ['5', '2', '5', '2'], mpls_bos: ['0', '1', '0', '1'],
  mpls_top_label_ttl: ['60', '60'], post_tos: ['0x08', '0x08'], direction: ['1', '1'],
  post_octets: ['99', '99'], post_packets: ['9', '9'], flows: ['3', '3'], ingress_vrfid: ['11', '11'],
  egress_vrfid: ['12', '12'],
}

for (const version of [9, 10] as const) {
  test(`tshark reads what routers tell beside by version ${version}: MAC, VLAN, MPLS, NAT, VRF`, { skip }, () => {
    const datagrams = encodeAll(datagramEncoder({ version }, OPTIONS), batchOf(...richRows))
    assertFlawless(datagrams)
    const names = Object.keys(RICH_FIELDS)
    const found = fieldsOf(datagrams, ...names)
    assert.deepEqual(Object.fromEntries(names.map((name, i) => [name, found[i]])), RICH_FIELDS)
  })
}

/** Values of fields of one datagram's samples, in their order; the first addresses are the datagram's own. */
function sampled(datagrams: readonly Uint8Array[], ...names: readonly string[]): Record<string, readonly string[]> {
  assert.equal(datagrams.length, 1)
  assert.doesNotMatch(throughTshark('sflow', datagrams, '-V', '-O', 'sflow'), /malformed|exception/i)
  const values = valuesOf('sflow', datagrams, names)
  return Object.fromEntries(names.map((name, i) => [name, name.startsWith('ip.') ? values[i].slice(1) : values[i]]))
}

/** tshark's fields of a flow over IPv4 and of one over IPv6. */
const PACKET_FIELDS: Readonly<Record<string, readonly string[]>> = {
  'sflow_245.agent': ['198.51.100.1'], 'sflow_245.sub_agent_id': ['3'],
  'ip.src': ['10.1.2.3'], 'ip.dst': ['198.51.100.7'], 'ipv6.src': ['2001:db8:1::3'], 'ipv6.dst': ['2001:db8:2::7'],
  'tcp.srcport': ['50000', '50001'], 'tcp.dstport': ['443', '80'], 'tcp.flags': ['0x001b', '0x0002'],
  'sflow_245.nexthop.v6': ['2001:db8::1'], 'sflow_245.nexthop.src_mask': ['24', '48'],
  'sflow_245.nexthop.dst_mask': ['22', '64'], 'sflow_245.srcAS': ['64496', '64496'],
}

test('tshark reads the flows that are exported as sFlow', { skip }, () => {
  const [tcp4, , icmp4, tcp6, icmp6] = sampledRows
  const datagrams = encodeAll(sflowEncoder(SFLOW), batchOf(tcp4, tcp6))
  const rates = { 'sflow.flow_sample.sampling_rate': ['100', '100'], 'sflow_245.header.frame_length': ['256', '256'] }
  const expected = { ...PACKET_FIELDS, ...rates }
  assert.deepEqual(sampled(datagrams, ...Object.keys(expected)), expected)

  const icmp = encodeAll(sflowEncoder(SFLOW), batchOf(icmp4, icmp6))
  assert.deepEqual(sampled(icmp, 'icmp.type', 'icmp.code', 'icmpv6.type', 'icmpv6.code'), {
    'icmp.type': ['3'], 'icmp.code': ['1'], 'icmpv6.type': ['128'], 'icmpv6.code': ['1'],
  })
})

test('tshark reads what switches and routers tell beside by sFlow: MAC, VLAN, MPLS, BGP, NAT', { skip }, () => {
  const datagrams = encodeAll(sflowEncoder(SFLOW), batchOf(...richRows))
  const expected = {
    ...PACKET_FIELDS, 'eth.src': ['02:00:00:00:00:01', '02:00:00:00:00:01'],
    'eth.dst': ['02:00:00:00:00:02', '02:00:00:00:00:02'], 'ieee8021ad.id': ['100', '100'], 'vlan.id': ['33', '33'],
    'mpls.label': ['1000', '2000', '1000', '2000'], 'mpls.exp': ['5', '2', '5', '2'],
    'mpls.bottom': ['0', '1', '0', '1'],
    'sflow_245.vlan.in': ['100', '100'], 'sflow_245.vlan.out': ['200', '200'],
    'sflow_245.peerAS': ['64502', '64502'], 'sflow_245.dstAS': ['64501', '64511', '64501', '64511'],
    'sflow_245.nexthop': ['10.255.0.1', '10.255.0.9'], 'sflow_245.nexthop.v6': ['2001:db8::1', '2001:db8::9'],
    'sflow_245.ipv4_src': ['203.0.113.1'], 'sflow_245.ipv4_dst': ['203.0.113.2'],
    'sflow_245.ipv6_src': ['2001:db8:3::1'], 'sflow_245.ipv6_dst': ['2001:db8:3::2'],
  }
  assert.deepEqual(sampled(datagrams, ...Object.keys(expected)), expected)
})
