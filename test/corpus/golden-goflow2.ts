/** goflow2's goldens: a JSON object a line. */
import { findField } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE, protocolNumber } from '../../core/flow/names.ts'
import type { PeerRecord, PeerValue } from './peers.ts'
import { fieldsOf, parseJson } from './values.ts'

/** Fields by the peer's names. */
const BY_NAME = fieldsOf('goflow2')

/** Names that mappings give, with their fields. */
const MAPPED: Readonly<Record<string, string>> = {
  flow_direction: 'direction', nat_event: 'nat_event',
  post_nat_src_ipv4_address: 'post_nat_src_addr', post_nat_dst_ipv4_address: 'post_nat_dst_addr',
  post_napt_src_transport_port: 'post_napt_src_port', post_napt_dst_transport_port: 'post_napt_dst_port',
}

/** Names that mean what another field does, or that no field is for. */
const SKIPPED = new Set([
  'icmp_name', // worked out
  'time_received_ns', // the time of the run
  'vlan_id', // src_vlan again
  'bgp_communities', 'as_path', 'layer_stack', 'layer_size', 'ipv6_routing_header_addresses',
  'ipv6_routing_header_seg_left',
])

/** The records of a golden. */
export function readGoflow2(text: string): PeerRecord[] {
  return text.split('\n').filter(Boolean).map((line) => {
    const all = parseJson(line) as Record<string, unknown>
    return { values: Object.entries(all).flatMap(([name, value]) => valuesOf(name, value)), all }
  })
}

function valuesOf(name: string, value: unknown): PeerValue[] {
  if (SKIPPED.has(name)) return []
  const field = BY_NAME.get(name) ?? MAPPED[name]
  if (!field) throw new Error(`goflow2 has a field that is not known: ${name}`)
  switch (name) {
    case 'type': return [{ field, text: String(FLOW_TYPE[value as keyof typeof FLOW_TYPE]) }]
    case 'etype':
      return [{ field, text: String(value === 'IPv6' ? ETYPE_IPV6 : value === 'IPv4' ? ETYPE_IPV4 : value) }]
    case 'proto':
      return [{ field, text: String(protocolNumber(value === 'OSPFIGP' ? 'OSPF' : String(value))) }]
    case 'post_nat_src_ipv4_address': case 'post_nat_dst_ipv4_address':
      return [{ field, text: addressText(String(value)) }]
    case 'src_net': case 'dst_net': return [{ field, text: String(value).split('/')[1] ?? '' }]
    case 'mpls_label':
      return (value as number[]).map((label, i) => ({ field: `mpls_label_${i + 1}`, text: String(label) }))
    case 'mpls_ip': case 'mpls_ttl':
      return (value as string[]).slice(0, 1).map((first) => ({ field, text: String(first) }))
  }
  if (findField(field)!.type !== 'time') return [{ field, text: String(value) }]
  const nanos = BigInt.asIntN(64, BigInt(value as string)) // written unsigned
  return [{ field, text: String(nanos / 1000n) }]
}

/** An address, which a mapping may call a string, so that it is in hex. */
function addressText(text: string): string {
  return /^[\da-f]{8}$/.test(text) ? Buffer.from(text, 'hex').join('.') : text
}
