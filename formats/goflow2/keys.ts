/** The keys of goflow2's messages (its flow.proto and JSON output, version 2) and the fields they are for. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import type { Loss } from '../../core/flow/loss.ts'
import type { ParsedTime } from '../../core/flow/parse-time.ts'
import { lastTime, storeValue } from '../../core/flow/store-value.ts'
import { ANY, fieldTarget, NANOS_DIGITS, PREFIX_LENGTH, type Target } from '../named-rows.ts'

/** Kinds of value: what text and protobuf make of a field. */
export type KeyKind =
  | 'type' | 'number' | 'time' | 'address' | 'mac' | 'etype' | 'proto' | 'net' | 'words' | 'numbers'
  | 'addresses' | 'labels'

/** A key. */
export interface Key {
  readonly name: string
  /** Its number in flow.proto; 0 for keys of mappings, which have one of their own in each. */
  readonly number: number
  readonly kind: KeyKind
  /** The field, -1 if there is none. */
  readonly field: number
  /** Whether 0 is a value, not what goflow2 writes for nothing. */
  readonly zero: boolean
}

const Z = true

/** Keys in the order in which goflow2 prints them. */
export const KEYS: readonly Key[] = ([
  ['type', 1, 'type', ID.type], ['time_received_ns', 110, 'time', ID.received],
  ['sequence_num', 4, 'number', ID.sequenceNum, Z], ['sampling_rate', 3, 'number', ID.samplingRate],
  ['sampler_address', 11, 'address', ID.exporterAddr], ['time_flow_start_ns', 111, 'time', ID.flowStart],
  ['time_flow_end_ns', 112, 'time', ID.flowEnd], ['bytes', 9, 'number', ID.bytes, Z],
  ['packets', 10, 'number', ID.packets, Z], ['src_addr', 6, 'address', ID.srcAddr],
  ['dst_addr', 7, 'address', ID.dstAddr], ['etype', 30, 'etype', ID.etype],
  ['proto', 20, 'proto', ID.proto, Z], ['src_port', 21, 'number', ID.srcPort, Z],
  ['dst_port', 22, 'number', ID.dstPort, Z], ['in_if', 18, 'number', ID.inIf, Z],
  ['out_if', 19, 'number', ID.outIf, Z], ['src_mac', 27, 'mac', ID.srcMac],
  ['dst_mac', 28, 'mac', ID.postDstMac], ['src_vlan', 33, 'number', ID.vlanId],
  ['dst_vlan', 34, 'number', ID.postVlanId], ['vlan_id', 29, 'number', ID.vlanId],
  ['ip_tos', 23, 'number', ID.tos, Z], ['forwarding_status', 24, 'number', ID.forwardingStatus],
  ['ip_ttl', 25, 'number', ID.ipTtl], ['ip_flags', 38, 'number', ID.ipFlags],
  ['tcp_flags', 26, 'number', ID.tcpFlags, Z], ['icmp_type', 31, 'number', ID.icmpType],
  ['icmp_code', 32, 'number', ID.icmpCode], ['ipv6_flow_label', 37, 'number', ID.ipv6FlowLabel],
  ['fragment_id', 35, 'number', ID.fragmentId], ['fragment_offset', 36, 'number', ID.fragmentOffset],
  ['src_as', 14, 'number', ID.srcAs], ['dst_as', 15, 'number', ID.dstAs],
  ['next_hop', 12, 'address', ID.nextHop], ['next_hop_as', 13, 'number', ID.nextAs],
  ['src_net', 16, 'net', ID.srcMask], ['dst_net', 17, 'net', ID.dstMask],
  ['bgp_next_hop', 100, 'address', ID.bgpNextHop], ['bgp_communities', 101, 'words', ID.bgpCommunities],
  ['as_path', 102, 'words', ID.asPath], ['mpls_ttl', 80, 'numbers', ID.mplsTtl],
  ['mpls_label', 81, 'labels', ID.mplsLabel1], ['mpls_ip', 82, 'addresses', ID.mplsTopLabelAddr],
  ['observation_domain_id', 70, 'number', ID.observationDomainId, Z],
  ['observation_point_id', 71, 'number', ID.observationPointId],
] as const).map(([name, number, kind, field, zero = false]) => ({ name, number, kind, field, zero }))

/** Keys that mappings add, as goflow2's own examples name them. */
export const MAPPED_KEYS: readonly Key[] = ([
  ['flow_direction', 'number', ID.direction, Z], ['bi_flow_direction', 'number', ID.biflowDirection],
  ['ingress_vrf_id', 'number', ID.srcVrf], ['egress_vrf_id', 'number', ID.dstVrf],
  ['nat_event', 'number', ID.natEvent], ['post_nat_src_ipv4_address', 'address', ID.postNatSrcAddr],
  ['post_nat_dst_ipv4_address', 'address', ID.postNatDstAddr],
  ['post_nat_src_ipv6_address', 'address', ID.postNatSrcAddr],
  ['post_nat_dst_ipv6_address', 'address', ID.postNatDstAddr],
  ['post_napt_src_transport_port', 'number', ID.postNaptSrcPort],
  ['post_napt_dst_transport_port', 'number', ID.postNaptDstPort],
] as const).map(([name, kind, field, zero = false]) => ({ name, number: 0, kind, field, zero }))

const byName = new Map([...KEYS, ...MAPPED_KEYS].map((key) => [key.name, key]))

/**
 * What becomes of a key's values: nothing where they are what goflow2 writes for none. sFlow's `dst_mac` is
 * the packet's own, that of NetFlow what the exporter has made of it (element 57).
 */
export function goflow2Target(name: string, isSflow: boolean): Target | undefined {
  const key = byName.get(name)
  if (!key) return undefined
  const field = FIELDS[name === 'dst_mac' && isSflow ? ID.dstMac : key.field]
  const plain = fieldTarget(field)
  const { ids, kind: own, store } = plain
  switch (key.kind) {
    case 'number': case 'mac':
      if (key.zero) return plain
      return {
        ...plain, zeroIsNothing: true,
        store: (batch, row, value) => !isZero(value) && store(batch, row, value),
      }
    case 'time': return {
      ...plain, zeroIsNothing: true, isNanos: true,
      store: (batch, row, value) => store(batch, row, nanosOf(value)) && !isEpoch(lastTime),
    }
    case 'address': return { ids, kind: own, isExact: true, store: (batch, row, value) => {
      return store(batch, row, addressOf(value))
    } }
    case 'net': return { ids, kind: PREFIX_LENGTH, store: (batch, row, value) => {
      const bits = /\/(\d+)$/.exec(String(value))?.[1]
      return bits !== undefined && bits !== '0' && store(batch, row, bits)
    } }
    case 'words': return { ids, kind: ANY, store: (batch, row, value) => {
      return Array.isArray(value) && value.length > 0 && store(batch, row, value.join(' '))
    } }
    case 'numbers': case 'addresses': return { ids, kind: ANY, most: 1, store: (batch, row, value) => {
      return Array.isArray(value) && value.length > 0 && store(batch, row, addressOf(value[0]))
    } }
    case 'labels': return LABELS
    case 'proto': return renamed(plain, 'OSPFIGP', 89)
    case 'type': return renamed(plain, 'FLOWUNKNOWN', 0)
    default: return plain
  }
}

/** A target of numbers one of which has a name of goflow2's own. */
function renamed({ ids, kind, named, store }: Target, name: string, number: number): Target {
  return {
    ids, kind, isExact: true,
    named: (text) => text === name ? number : named!(text),
    store: (batch, row, value) => store(batch, row, value === name ? number : value),
  }
}

/** The fields of MPLS labels, from the top. */
export const LABEL_FIELDS: readonly number[] = Array.from({ length: 10 }, (_, i) => ID.mplsLabel1 + i)

/** As many labels as there are. */
const LABELS: Target = {
  ids: LABEL_FIELDS,
  kind: ANY,
  most: LABEL_FIELDS.length,
  store(batch, row, value) {
    if (!Array.isArray(value) || value.length === 0) return false
    let count = 0
    for (; count < Math.min(value.length, LABEL_FIELDS.length); count++) {
      if (!storeValue(batch, FIELDS[LABEL_FIELDS[count]], row, value[count])) break
    }
    return count
  },
}

/** Nanoseconds since the epoch, with as many digits as tell them from larger units. */
function nanosOf(value: unknown): unknown {
  const text = String(value)
  return /^\d{1,17}$/.test(text) ? text.padStart(NANOS_DIGITS, '0') : value
}

function isEpoch({ micros, nanos }: ParsedTime): boolean {
  return micros === 0 && nanos === 0
}

function isZero(value: unknown): boolean {
  return value === 0 || value === '0' || value === '00:00:00:00:00:00'
}

/** Addresses that a mapping calls strings are in hex. */
function addressOf(value: unknown): unknown {
  if (typeof value !== 'string' || !/^([\da-f]{8}|[\da-f]{32})$/i.test(value)) return value
  if (value.length === 8) return Array.from(Buffer.from(value, 'hex')).join('.')
  return value.replace(/.{4}(?!$)/g, '$&:')
}

/** Fields that flow.proto carries, those whose other parts it carries too among them. */
export const CARRIED: readonly number[] = [
  ...KEYS.map(({ field }) => field), ...LABEL_FIELDS, ID.flowStartNs, ID.flowEndNs, ID.dstMac,
]
/** Fields that JSON carries: those of mappings too. */
export const CARRIED_BY_JSON: readonly number[] = [...CARRIED, ...MAPPED_KEYS.map(({ field }) => field)]

/** Enter the packet's destination MAC address where goflow2 has but that behind the observation point. */
export function loseSecondMacs(loss: Loss, batch: FlowBatch): void {
  const lose = batch.shapes.map(({ mask }) => mask[ID.dstMac] === 1 && mask[ID.postDstMac] === 1)
  if (!lose.includes(true)) return
  for (let row = 0; row < batch.length; row++) if (lose[batch.shape[row]]) loss.leftOut[ID.dstMac]++
}
