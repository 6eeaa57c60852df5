/** nfdump's goldens: JSON objects, in an array or, of 1.7.1, with commas between. */
import type { PeerRecord, PeerValue } from './peers.ts'
import { fieldsOf, flagsText, parseJson, timeText } from './values.ts'

/** Fields by the peer's names. */
const BY_NAME = fieldsOf('nfdump')

/** Names with the address family in them, and others than the field table's. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  ip_router: 'router', ip_next_hop: 'next_hop', flowID: 'connect_id',
}

/** Names of what nfdump adds, counts or spells out. */
const SKIPPED = new Set([
  'cnt', 'type', 'ident', 'label', 'export_sysid', 'sampled', 'src_net', 'dst_net', 'nat_event', 'event',
  'src4_geo', 'dst4_geo', 'src6_geo', 'dst6_geo', 'vlanID', 'post_vlanID',
  'received', // the time of the run, also of captures
])

/** The records of a golden. */
export function readNfdump(text: string): PeerRecord[] {
  if (text.includes('No matching flows')) return []
  const json = text.trimStart().startsWith('[') ? text : `[${text}]`
  return (parseJson(json) as Record<string, unknown>[]).map((all) => {
    const values = Object.entries(all).flatMap(([name, value]) => valuesOf(name, value))
    return { values: gatherLabels(values), all }
  })
}

function valuesOf(name: string, value: unknown): PeerValue[] {
  if (SKIPPED.has(name)) return []
  const plain = name.replace(/^(src|dst|ip|bgp)[46]_/, '$1_')
  const field = BY_NAME.get(OTHER_NAMES[plain] ?? plain)
  if (!field) throw new Error(`nfdump has a field that is not known: ${name}`)
  switch (field) {
    case 'flow_start': case 'flow_end': case 'event_time':
      return [{ field, text: timeText(String(value)), step: 1000 }]
    case 'tcp_flags':
      return [{ field, text: flagsText(String(value)) }]
    case 'client_latency': case 'server_latency': case 'app_latency':
      return [{ field, text: String(Math.round(Number(value) * 1000)) }]
  }
  return [{ field, text: String(value) }]
}

/** `label-class-bottom` of each label as flowkit has it: the labels, and the rest of all in one number. */
function gatherLabels(values: readonly PeerValue[]): PeerValue[] {
  const labels = values.filter(({ field }) => field.startsWith('mpls_label_'))
  if (labels.length === 0) return [...values]
  let below = 0
  const plain = labels.map(({ field, text }, i) => {
    const [label, trafficClass, bottom] = text.split('-')
    below += (Number(trafficClass) * 2 + Number(bottom)) * 16 ** i
    return { field, text: label }
  })
  const others = values.filter((value) => !labels.includes(value))
  return [...others, ...plain, { field: 'mpls_exp', text: String(below) }]
}
