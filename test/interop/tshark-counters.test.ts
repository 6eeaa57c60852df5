import assert from 'node:assert/strict'
import { test } from 'node:test'
import { u32, u64 } from '../core/netflow/messages.ts'
import { receiver, sflow, tlv } from '../core/netflow/sflow/datagrams.ts'
import { missing, throughTshark } from './peers.ts'

/** Our names of records 1, 2, 5 and 1001, and tshark's. */
const NAMES = {
  if_index: '245.ifindex', if_type: '245.iftype', if_speed: '245.ifspeed', if_direction: '245.ifdirection',
  if_in_octets: '245.ifinoct', if_in_ucast_pkts: '245.ifinpkt', if_in_multicast_pkts: '245.ifinmcast',
  if_in_broadcast_pkts: '245.ifinbcast', if_in_discards: '245.ifindisc', if_in_errors: '245.ifinerr',
  if_in_unknown_protos: '245.ifinunk', if_out_octets: '245.ifoutoct', if_out_ucast_pkts: '245.ifoutpkt',
  if_out_multicast_pkts: '245.ifoutmcast', if_out_broadcast_pkts: '245.ifoutbcast',
  if_out_discards: '245.ifoutdisc', if_out_errors: '245.ifouterr', if_promiscuous_mode: '245.ifpromisc',
  dot3_stats_alignment_errors: '245.dot3StatsAlignmentErrors',
  dot3_stats_fcs_errors: '245.dot3StatsFCSErrors',
  dot3_stats_carrier_sense_errors: '245.dot3StatsCarrierSenseErrors',
  dot3_stats_symbol_errors: '245.dot3StatsSymbolErrors', vlan_octets: '245.octets',
  vlan_broadcast_pkts: '245.broadcastPkts', vlan_discards: '245.discards',
  total_memory: '5.total_memory', free_memory: '5.free_memory',
}

const from = (first: number, count: number) => u32(...Array.from({ length: count }, (_, i) => first + i))

test('tshark reads the same counters', { skip: missing('tshark') }, () => {
  const bytes = sflow(tlv(2, u32(31, 7, 4),
    tlv(1, u32(7, 6), u64(2 ** 40), u32(1, 3), u64(2 ** 50 + 1), from(11, 6), u64(2 ** 51 + 3), from(21, 6)),
    tlv(2, from(31, 13)),
    tlv(5, u32(20), u64(2 ** 33), from(51, 4)),
    tlv(1001, u32(1234, 50, 7), u64(2 ** 34, 2 ** 33))))
  const fields = Object.values(NAMES).flatMap((name) => ['-e', `sflow_${name}`])
  const theirs = throughTshark('sflow', [bytes], '-T', 'fields', ...fields).replace(/\n$/, '').split('\t')
  const { receive, counters } = receiver()
  receive(bytes)
  assert.deepEqual(Object.keys(NAMES).map((name) => counters[0].values[name]), theirs.map(Number))
  assert.ok(theirs.every((value) => Number(value) > 0))
})
