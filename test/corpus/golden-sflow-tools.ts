/** What Telegraf and tcpdump read in sFlow datagrams: their own tests' expectations. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { protocolNumber } from '../../core/flow/names.ts'
import type { Golden, Reading } from './compare.ts'
import { sflowPacketsOf } from './corpus.ts'
import { readSamples, type SamplePair } from './files-sflow.ts'

const TELEGRAF = 'real/telegraf/plugins/inputs/netflow/testcases'
const TCPDUMP = 'real/tcpdump/tests/sflow_multiple_counter_30_pdus'

/** Telegraf's names of flowkit's fields. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  agent_ip: 'agent_addr', agent_subid: 'sub_agent_id', sys_uptime: 'sys_uptime', direction: 'direction',
  in_snmp: 'in_if', out_snmp: 'out_if', sampling_drops: 'sample_drops', sampling_interval: 'sampling_rate',
  in_total_packets: 'sample_pool', l2_bytes: 'frame_length', in_src_mac: 'src_mac', out_dst_mac: 'dst_mac',
  datalink_frame_type: 'etype', vlan_src: 'vlan_id', vlan_dst: 'post_vlan_id', src: 'src_addr',
  dst: 'dst_addr', src_port: 'src_port', dst_port: 'dst_port', protocol: 'proto', src_tos: 'tos',
  ttl: 'ip_ttl', ipv4_id: 'fragment_id', fragment_flags: 'ip_flags', fragment_offset: 'fragment_offset',
}

/** The interface's counters, in the order of sFlow's if_counters and ethernet_counters. */
const INTERFACE = `if_index if_type if_speed if_direction if_status if_in_octets if_in_ucast_pkts
  if_in_multicast_pkts if_in_broadcast_pkts if_in_discards if_in_errors if_in_unknown_protos if_out_octets
  if_out_ucast_pkts if_out_multicast_pkts if_out_broadcast_pkts if_out_discards if_out_errors
  if_promiscuous_mode`.split(/\s+/)
const ETHERNET = `dot3_stats_alignment_errors dot3_stats_fcs_errors dot3_stats_single_collision_frames
  dot3_stats_multiple_collision_frames dot3_stats_sqe_test_errors dot3_stats_deferred_transmissions
  dot3_stats_late_collisions dot3_stats_excessive_collisions dot3_stats_internal_mac_transmit_errors
  dot3_stats_carrier_sense_errors dot3_stats_frame_too_longs dot3_stats_internal_mac_receive_errors
  dot3_stats_symbol_errors`.split(/\s+/)

/** Telegraf's names of the same, `-` where it has none. */
const COUNTER_NAMES: ReadonlyMap<string, string> = new Map(`
  interface interface_type speed - - in_bytes
  in_unicast_packets_total in_mcast_packets_total in_broadcast_packets_total in_dropped_packets in_errors
  in_unknown_protocol out_bytes out_unicast_packets_total out_mcast_packets_total
  out_broadcast_packets_total out_dropped_packets out_errors promiscuous errors_alignment errors_fcs
  collision_frames_single collision_frames_multi errors_sqetest deferred collisions_late
  collisions_excessive errors_internal_mac_tx errors_carrier_sense errors_frame_too_long
  errors_internal_mac_rx errors_symbols`.trim().split(/\s+/)
  .map((name, i) => [name, [...INTERFACE, ...ETHERNET][i]]))

/** Telegraf's names of what is a word for a number that it has too, or no column. */
const SKIPPED = new Set([
  'ip_version', 'status', 'type', 'l2_protocol', 'reason', 'out_queue', 'vlan_src_priority',
  'vlan_dst_priority', 'ip_total_len', 'ipv4_total_len', 'ipv4_inet_header_len', 'ipv6_total_len',
])

const WORDS: Readonly<Record<string, string>> = { ingress: '0', egress: '1', IPv4: '2048', IPv6: '34525' }

/** The goldens of Telegraf and tcpdump, and the readings of each. */
export function* sflowTools(corpus: string): Generator<Golden> {
  for (const name of readdirSync(join(corpus, TELEGRAF)).filter((test) => test.startsWith('sflow')).sort()) {
    yield telegraf(corpus, `${TELEGRAF}/${name}`)
  }
  yield tcpdump(corpus)
}

function telegraf(corpus: string, folder: string): Golden {
  const path = `${folder}/expected.out`
  const files = readdirSync(join(corpus, folder)).filter((file) => file.endsWith('.bin'))
    .map((file) => `${folder}/${file}`)
  const lines = readFileSync(join(corpus, path), 'utf8').split('\n').filter(Boolean)
  const pairs = files.flatMap((file) => readSamples(sflowPacketsOf(corpus, file)).pairs)
  const readings: Reading[] = []
  for (let record = 0; record < Math.max(lines.length, pairs.length); record++) {
    const base = { peer: 'telegraf sFlow', golden: path, record, ...read(pairs[record]), all: lines[record] }
    if (!pairs[record] || !lines[record]) {
      const [ours, theirs] = [pairs[record] && 'a sample', lines[record] && 'a record']
      readings.push({ ...base, field: 'record', ours, theirs })
      continue
    }
    const values = lines[record].slice(lines[record].indexOf(' ') + 1)
    for (const [, name, text] of values.matchAll(/([\w.]+)=("[^"]*"|[^,\s]+)/g)) {
      if (SKIPPED.has(name)) continue
      const theirs = telegrafText(name, text.replace(/^"|"$|(?<=\d)u$/g, ''))
      const [field, ours] = valueOf(pairs[record], name)
      readings.push({ ...base, field, ours, theirs })
    }
  }
  return { path, files, records: lines.length, readings }
}

/** flowkit's field or counter of that name in Telegraf, and its value. */
function valueOf({ sample, row, counters }: SamplePair, name: string): [string, string | undefined] {
  if (name === 'seq_number') return ['sequence', String(counters?.sequence ?? sample.sequence)]
  if (row) return [FIELD_NAMES[name] ?? name, row.fields.get(FIELD_NAMES[name])]
  switch (name) {
    case 'agent_ip': return ['agentAddr', counters?.agentAddr]
    case 'agent_subid': return ['subAgentId', String(counters?.subAgentId)]
    case 'in_snmp': return ['sourceIndex', String(counters?.sourceIndex)]
    case 'sys_uptime': return ['uptime', String(sample.header.uptime)]
  }
  const field = COUNTER_NAMES.get(name) ?? name
  const value = counters?.values[field]
  return [field, value === undefined ? undefined : String(value)]
}

function telegrafText(name: string, value: string): string {
  switch (name) {
    case 'protocol': return String(protocolNumber(value))
    case 'fragment_flags': return String((value.includes('D') ? 64 : 0) + (value.includes('M') ? 32 : 0))
    default: return WORDS[value] ?? value
  }
}

function tcpdump(corpus: string): Golden {
  const [path, file] = [`${TCPDUMP}.out`, `${TCPDUMP}.pcap`]
  const { pairs } = readSamples(sflowPacketsOf(corpus, file))
  const samples = /^\t(?=(?:expanded )?counter sample)/m
  const texts = readFileSync(join(corpus, path), 'utf8').split(samples).slice(1)
  const readings: Reading[] = []
  for (let record = 0; record < Math.max(pairs.length, texts.length); record++) {
    const base = { peer: 'tcpdump', golden: path, record, ...read(pairs[record]), all: texts[record] }
    const counters = pairs[record]?.counters
    if (!counters || !texts[record]) {
      readings.push({ ...base, field: 'record', ours: counters && 'a sample', theirs: texts[record] })
      continue
    }
    const [head, ...lines] = texts[record].split('\n')
    const [sequence, type, index] = /seqnum (\d+), type (\d+), idx (\d+),/.exec(head)!.slice(1)
    readings.push({ ...base, field: 'sequence', ours: String(counters.sequence), theirs: sequence })
    readings.push({ ...base, field: 'sourceType', ours: String(counters.sourceType), theirs: type })
    readings.push({ ...base, field: 'sourceIndex', ours: String(counters.sourceIndex), theirs: index })
    const found = lines.filter((line) => line.startsWith('\t      '))
      .flatMap((line) => [...line.matchAll(/(?<=[a-z] )\d+(?=,| |$)/g)].map(([number]) => number))
    for (const [i, theirs] of found.entries()) {
      const field = [...INTERFACE, ...ETHERNET][i]
      readings.push({ ...base, field, ours: String(counters.values[field]), theirs })
    }
  }
  return { path, files: [file], records: texts.length, readings }
}

function read(pair: SamplePair | undefined): Pick<Reading, 'row' | 'sample'> {
  return { row: pair?.row, sample: pair?.sample }
}
