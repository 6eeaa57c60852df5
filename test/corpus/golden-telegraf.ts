/** Telegraf's goldens: line protocol, a record a line, of flows and of options. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { findElement } from '../../core/flow/elements.ts'
import { protocolNumber } from '../../core/flow/names.ts'
import { readPairs, type Golden, type Pair, type Reading, type Value } from './compare.ts'
import { packetsOf } from './corpus.ts'
import { compareNamed, isTime, uptimeText, type NamedValue } from './named-values.ts'
import { flagsText } from './values.ts'
import type { WireElement, WireHeader } from './wire.ts'

const FOLDER = 'real/telegraf/plugins/inputs/netflow/testcases'

/** Telegraf's names, with the ids of the IANA elements they stand for. */
const NAMES: Readonly<Record<string, readonly number[]>> = {
  in_bytes: [1], in_packets: [2], flows: [3], protocol: [4], src_tos: [5], tcp_flags: [6], src_port: [7],
  src: [8, 27], src_mask: [9, 29], in_snmp: [10], dst_port: [11], dst: [12, 28], dst_mask: [13, 30],
  out_snmp: [14], next_hop: [15, 62], bgp_src_as: [16], bgp_dst_as: [17], last_switched: [21],
  first_switched: [22], engine_type: [38], engine_id: [39], dst_tos: [55], in_src_mac: [56],
  out_dst_mac: [57], vlan_src: [58], ip_version: [60], direction: [61], in_total_bytes: [85],
  in_total_packets: [86], fwd_status: [89], flow_end_reason: [136], flow_start: [150], flow_end: [151],
  flow_start_ms: [152], flow_end_ms: [153],
}

/** flowkit's fields for what Telegraf takes from the header of v5, and for parts of elements. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  seq_number: 'sequence_num', sys_uptime: 'sys_uptime', engine_type: 'engine_type', engine_id: 'engine_id',
}
const PART_NAMES: Readonly<Record<string, string>> = { icmp_type: 'icmp_type', icmp_code: 'icmp_code' }

/** The lower part of what `fwd_status` is; of v5 the number of records, and 0 where nothing is sampled. */
const SKIPPED = new Set(['fwd_reason'])
const SKIPPED_V5 = new Set(['flows', 'sampling_interval'])

const WORDS: Readonly<Record<string, string>> = {
  ingress: '0', egress: '1', 'idle timeout': '1', 'active timeout': '2', 'end of flow': '3',
  'forced end': '4', IPv4: '4', IPv6: '6',
}

/** Telegraf's goldens and the readings of each. */
export function* telegraf(corpus: string): Generator<Golden> {
  for (const name of readdirSync(join(corpus, FOLDER)).filter((test) => !test.startsWith('sflow')).sort()) {
    const folder = `${FOLDER}/${name}`
    const path = `${folder}/expected.out`
    const inside = readdirSync(join(corpus, folder)).filter((file) => file.endsWith('.bin')).sort()
    const files = inside.map((file) => `${folder}/${file}`)
    const lines = readFileSync(join(corpus, path), 'utf8').split('\n').filter(Boolean)
    const pairs = readPairs(files.flatMap((file) => packetsOf(corpus, file)))
    const readings: Reading[] = []
    for (let record = 0; record < Math.max(lines.length, pairs.length); record++) {
      const base = { peer: 'telegraf', golden: path, record }
      for (const value of compareLine(pairs[record], lines[record])) readings.push({ ...base, ...value })
    }
    yield { path, files, records: lines.length, readings }
  }
}

function* compareLine(pair: Pair | undefined, line: string | undefined): Generator<Value> {
  const { sent, row } = pair ?? {}
  if (!line || !sent || !row) {
    yield { field: 'record', ours: row && 'a flow', theirs: line && 'a record', sent, all: line }
    return
  }
  const values: NamedValue[] = []
  for (const [, name, text] of line.slice(line.indexOf(' ') + 1).matchAll(/([\w.]+)=("[^"]*"|[^,\s]+)/g)) {
    const value = text.replace(/^"|"$|(?<=\d)u$/g, '')
    const old = sent.header.version < 9
    const own = PART_NAMES[name] ?? (old ? FIELD_NAMES[name] : undefined)
    if (own) yield { row, sent, field: own, ours: row.fields.get(own), theirs: String(Number(value)) }
    else if (!(old ? SKIPPED_V5 : SKIPPED).has(name)) values.push(namedValue(name, value, sent.header))
  }
  yield* compareNamed(pair!, values, line, false)
}

function namedValue(name: string, value: string, header: WireHeader): NamedValue {
  const [, pen, reverse, id] = /^type_(\d+)_(rev_)?(\d+)$/.exec(name) ?? []
  return {
    name,
    raw: value,
    is: (otherPen, otherId) => id === undefined ? otherPen === 0 && NAMES[name]?.includes(otherId) === true
      : otherPen === Number(pen) && otherId === Number(id) + (reverse ? 0x4000 : 0),
    text: (element, field) => textOf(element, field, name, value, header),
  }
}

function textOf(
  { pen, id, bytes }: WireElement, field: string, name: string, value: string, header: WireHeader,
): string {
  if (value.startsWith('0x')) { // the bytes, which are a number where flowkit has one
    return findElement(pen, id)?.type.startsWith('unsigned') ? String(BigInt(value)) : value.slice(2)
  }
  switch (name) {
    case 'tcp_flags': return flagsText(value)
    case 'protocol': return String(protocolNumber(value))
    case 'first_switched': case 'last_switched': return uptimeText(Number(value), field, header)
    case 'flow_start': case 'flow_end': return `${value}000000`
    case 'flow_start_ms': case 'flow_end_ms': return `${value}000`
    case 'fwd_status': return value === 'unknown' && bytes[0] < 64 ? String(bytes[0]) : value
  }
  return isTime(pen, id) ? `${value}000000` : WORDS[value] ?? value
}
