/** The expectations of Logstash's netflow codec, as far as netflow_spec.rb spells them out as JSON. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findElement } from '../../core/flow/elements.ts'
import { readPairs, type Golden, type Pair, type Reading, type Value } from './compare.ts'
import { has, packetsOf } from './corpus.ts'
import { compareNamed, isNamed, isTime, timeOfNumber, uptimeText, type NamedValue } from './named-values.ts'
import { parseJson, timeText } from './values.ts'
import type { WireElement, WireHeader } from './wire.ts'

const FOLDER = 'real/logstash-codec-netflow/spec/codecs'

/** The codec's names of v5 and v9 elements, as `id name`; of others it uses the elements' own. */
const NAMES: ReadonlyMap<string, number> = new Map(`
  1 in_bytes, 2 in_pkts, 3 flows, 4 protocol, 5 src_tos, 6 tcp_flags, 7 l4_src_port, 8 ipv4_src_addr,
  9 src_mask, 10 input_snmp, 11 l4_dst_port, 12 ipv4_dst_addr, 13 dst_mask, 14 output_snmp, 15 ipv4_next_hop,
  16 src_as, 17 dst_as, 18 bgp_ipv4_next_hop, 21 last_switched, 22 first_switched, 23 out_bytes, 24 out_pkts,
  34 sampling_interval, 35 sampling_algorithm, 39 engine_id, 44 ipv4_src_prefix, 48 flow_sampler_id,
  54 ipv4_ident, 56 in_src_mac, 57 out_dst_mac, 58 src_vlan, 59 dst_vlan, 60 ip_protocol_version,
  61 direction, 80 in_dst_mac, 81 out_src_mac, 85 in_permanent_bytes, 89 forwarding_status,
  92 src_traffic_index, 93 dst_traffic_index, 95 application_id, 136 flow_end_reason, 148 conn_id,
  152 flow_start_msec, 176 icmp_type, 177 icmp_code, 181 udp_dst_port, 182 tcp_src_port, 195 ip_dscp,
  225 xlate_src_addr_ipv4, 226 xlate_dst_addr_ipv4, 227 xlate_src_port, 228 xlate_dst_port,
  231 fwd_flow_delta_bytes, 232 rev_flow_delta_bytes, 233 fw_event, 234 ingressVRFID, 323 event_time_msec, 33000 ingress_acl_id,
  33001 egress_acl_id, 33002 fw_ext_event, 40000 username
`.trim().split(/,\s+/).map((entry) => entry.split(' ')).map(([id, name]) => [name, Number(id)] as const))

/** NSEL elements of ASA 8.4, which the codec calls by the names of their successors. */
const OLDER: Readonly<Record<number, number>> = { 40001: 225, 40002: 226, 40003: 227, 40004: 228, 40005: 233 }

const HEADER_NAMES: Readonly<Record<string, string>> = {
  flow_seq_num: 'sequence_num', engine_type: 'engine_type', engine_id: 'engine_id',
  sampling_interval: 'sampling_rate', sampling_algorithm: 'sampling_algorithm',
}
const SKIPPED = new Set(['version', 'flowset_id', 'flow_records'])

interface Expectation {
  readonly name: string
  readonly files: readonly string[]
  readonly size: number
  /** Expected fields by number of the record. */
  readonly events: ReadonlyMap<number, Event>
}

type Event = Readonly<Record<string, unknown>>

/** The expectations whose files are in the corpus, and the readings of each; none where the spec is not. */
export function* logstash(corpus: string): Generator<Golden> {
  const path = `${FOLDER}/netflow_spec.rb`
  if (!has(corpus, path)) return
  for (const { name, files, size, events } of readSpec(readFileSync(join(corpus, path), 'utf8'))) {
    if (!files.every((file) => has(corpus, file))) continue
    const pairs = readPairs(files.flatMap((file) => packetsOf(corpus, file)))
    const base = { peer: 'logstash', golden: `${path} ${name}` }
    const readings: Reading[] = []
    if (!Number.isNaN(size)) {
      const counts = { ours: String(pairs.length), theirs: String(size) }
      readings.push({ ...base, record: 0, field: 'records', ...counts })
    }
    const start = [...events.values()].find((event) => 'systemInitTimeMilliseconds' in event)
    const began = start?.systemInitTimeMilliseconds as number | undefined
    for (const [record, event] of events) {
      const values = compareEvent(pairs[record], event, began)
      for (const value of values) readings.push({ ...base, record, ...value })
    }
    yield { path: base.golden, files, records: events.size, readings }
  }
}

function readSpec(text: string): Expectation[] {
  return text.split(/\n  context "/).slice(1).map((context) => {
    const files = [...context.matchAll(/"([\w.-]+\.dat)"/g)].map(([, file]) => `${FOLDER}/${file}`)
    const lets = context.matchAll(/let\(:(micros|nanos)\) { is_LS_8 \? "(\d+)"/g)
    const digits = new Map([...lets].map(([, key, value]) => [key, value]))
    const documents = [...context.matchAll(/<<-END\n(.*?)\n\s*END\b/gs)].map(([, json]) => {
      const plain = json.replace(/#{(\w+)}/g, (_, key: string) => digits.get(key) ?? '')
      return (parseJson(plain) as { netflow: Event }).netflow
    })
    const checks = context.matchAll(/decode\[(\d+)\]\.to_json\)\)\.to eq\(JSON\.parse\(json_events\[(\d+)\]/g)
    const events = new Map([...checks].map(([, at, i]) => [Number(at), documents[Number(i)]] as const))
    const size = Number(/decode\.size\)\.to eq\((\d+)\)/.exec(context)?.[1])
    return { name: context.slice(0, context.indexOf('"')).trim(), files: [...new Set(files)], size, events }
  })
}

function* compareEvent(pair: Pair | undefined, event: Event, began: number | undefined): Generator<Value> {
  const { sent, row } = pair ?? {}
  if (!sent || !row) {
    yield { field: 'record', ours: undefined, theirs: 'a record', sent, all: event }
    return
  }
  const values: NamedValue[] = []
  for (const [name, value] of Object.entries(event)) {
    const own = name === 'flow_seq_num' || sent.header.version < 9 ? HEADER_NAMES[name] : undefined
    if (own) {
      const ours = row.fields.get(own)
      if (value !== 0 || ours !== undefined) yield { row, sent, field: own, ours, theirs: String(value) }
    } else if (!SKIPPED.has(name)) {
      values.push({
        name,
        raw: String(value),
        is: (pen, id) => NAMES.has(name)
          ? pen === 0 && NAMES.get(name) === (OLDER[id] ?? id)
          : isNamed(name, pen, id),
        text: (element, field) => theirText(element, value, field, sent.header, began),
      })
    }
  }
  yield* compareNamed(pair!, values, event, true)
}

function theirText(
  element: WireElement, value: unknown, field: string, header: WireHeader, began: number | undefined,
): string {
  const { pen, id } = element
  const text = String(value)
  if (typeof value === 'object' && value !== null) {
    const { status, reason } = value as Readonly<Record<string, number>> // of forwarding
    return String(status * 64 + reason)
  }
  if (pen === 0 && (id === 21 || id === 22)) {
    if (typeof value === 'string') return timeText(text)
    if (began !== undefined) return String((began + Number(value)) * 1000)
    return uptimeText(Number(value), field, header)
  }
  const type = findElement(pen, id)?.type
  if (isTime(pen, id)) {
    if (typeof value === 'string') return timeText(text)
    if (type === 'dateTimeMilliseconds') return `${text}000`
    return type === 'dateTimeSeconds' ? `${text}000000` : timeOfNumber(element, Number(value))
  }
  if (type !== 'octetArray') return text
  if (/^\d+\.\.\d+$/.test(text)) { // engine and selector of an application
    const [engine, selector] = text.split('..').map(Number)
    const digits = element.bytes.length * 2 - 2
    return engine.toString(16).padStart(2, '0') + selector.toString(16).padStart(digits, '0')
  }
  return text.replaceAll('-', '')
}
