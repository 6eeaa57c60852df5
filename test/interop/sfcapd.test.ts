import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sflowEncoder } from '../../core/netflow/sflow/encode.ts'
import { batchOf, encodeAll, type RowSource } from '../core/netflow/encode/rows.ts'
import type { Row } from '../core/netflow/messages.ts'
import { missing, pickAs, throughSfcapd, type Told } from './peers.ts'
import { richRows, sampledRows } from './rows.ts'

const skip = missing('sfcapd', 'nfdump')
const OPTIONS = { maxSize: 1400, domain: 3, agent: '198.51.100.1' }

async function flowsOf(rows: readonly RowSource[]): Promise<readonly Told[]> {
  const { flows, said } = await throughSfcapd(encodeAll(sflowEncoder(OPTIONS), batchOf(...rows)))
  assert.match(said, new RegExp(`agentSubId: 3, .*\n(.*\n)*.*Flows: ${rows.length}, .*Sequence Errors: 0`))
  return flows
}

/** A row as nfdump's JSON has it: packets and bytes are multiplied by the sampling rate, which is the packets. */
function asNfdump(row: Row): Told {
  const family = String(row['src_addr']).includes(':') ? 6 : 4
  const flags = [...'CEUAPRSF'].map((letter, bit) => Number(row['tcp_flags']) & 0x80 >> bit ? letter : '.').join('')
  return {
    in_packets: row['packets'], in_bytes: row['bytes'], sampled: 1, proto: row['proto'], src_tos: row['tos'],
    [`src${family}_addr`]: row['src_addr'], [`dst${family}_addr`]: row['dst_addr'],
    [`ip${family}_next_hop`]: row['next_hop'], input_snmp: row['in_if'], output_snmp: row['out_if'],
    src_mask: row['src_mask'], dst_mask: row['dst_mask'], src_as: row['src_as'], dst_as: row['dst_as'],
    ...'tcp_flags' in row && { tcp_flags: flags },
    ...'src_port' in row && { src_port: row['src_port'], dst_port: row['dst_port'] },
  }
}

test('sfcapd reads the flows that are exported as sFlow', { skip }, async () => {
  const expected = sampledRows.map(({ fields }) => asNfdump(fields))
  assert.deepEqual(pickAs(await flowsOf(sampledRows), expected), expected)
})

test('sfcapd reads what switches and routers tell beside by sFlow: MAC, VLAN, MPLS, BGP', { skip }, async () => {
  const expected = richRows.map(({ fields }) => ({
    ...asNfdump(fields), src_vlan: 100, dst_vlan: 200, mpls_1: '1000-5-0', mpls_2: '2000-2-1', mpls_3: '0-0-0',
    // it has the packet's addresses there
    in_src_mac: fields['src_mac'], out_dst_mac: fields['dst_mac'],
    // sfcapd 1.7.1 does not keep an IPv6 one
    ...fields['etype'] === 0x800 && { bgp4_next_hop: fields['bgp_next_hop'] },
  }))
  assert.deepEqual(pickAs(await flowsOf(richRows), expected), expected)
})
