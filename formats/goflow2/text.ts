import { formatIpv4, formatIpv6, formatMac, type AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE, FLOW_TYPES, PROTOCOLS } from '../../core/flow/names.ts'
import { KEYS, LABEL_FIELDS, MAPPED_KEYS, type Key } from './keys.ts'

/** Fields that flow.proto carries, those whose other parts it carries too among them. */
export const CARRIED: readonly number[] = [
  ...KEYS.map(({ field }) => field), ...LABEL_FIELDS, ID.flowStartNs, ID.flowEndNs, ID.dstMac,
]
/** Fields that JSON carries: those of mappings too. */
export const CARRIED_BY_JSON: readonly number[] = [...CARRIED, ...MAPPED_KEYS.map(({ field }) => field)]

/** The member of a row, `"key":value`; empty where the row does without it. */
export type WriteKey = (row: number) => string

/** What writes the members of a batch's rows, in goflow2's order; the mapped ones only where there are some. */
export function keyWriters(batch: FlowBatch): WriteKey[] {
  const mapped = MAPPED_KEYS.filter(({ field, name }) => batch.has(field) && !name.includes('ipv6'))
  return [
    ...KEYS.map((key) => writerOf(batch, key, nothing(key))), () => OF_PACKETS,
    ...mapped.map((key) => writerOf(batch, key, undefined)),
  ]
}

/** Keys that goflow2 writes of packets it has parsed, for which there are no fields. */
const OF_PACKETS = '"layer_stack":[],"layer_size":[],"ipv6_routing_header_addresses":[],'
  + '"ipv6_routing_header_seg_left":0'

/** What goflow2 writes for nothing. */
function nothing({ kind }: Key): string {
  switch (kind) {
    case 'type': return '"FLOWUNKNOWN"'
    case 'etype': case 'address': return '""'
    case 'proto': return '"HOPOPT"'
    case 'mac': return '"00:00:00:00:00:00"'
    case 'words': case 'numbers': case 'labels': case 'addresses': return '[]'
    default: return '0'
  }
}

function writerOf(batch: FlowBatch, key: Key, absent: string | undefined): WriteKey {
  const { name, field, kind } = key
  const label = `"${name}":`
  const present = batch.present(field)
  const value = valueOf(batch, key)
  const { shape, type } = batch
  if (name === 'dst_mac') return dstMac(batch, label, absent!)
  if (name === 'vlan_id') { // of sFlow, src_vlan has it
    return (row) => label + (present[shape[row]] === 1 && type[row] !== FLOW_TYPE.SFLOW_5 ? value(row) : absent)
  }
  if (kind === 'net') return (row) => label + value(row)
  return (row) => {
    if (present[shape[row]] === 1) return label + value(row)
    return absent === undefined ? '' : label + absent
  }
}

/** The packet's own in sFlow, else what the exporter has made of it. */
function dstMac(batch: FlowBatch, label: string, absent: string): WriteKey {
  const { shape, dstMac: own, postDstMac } = batch
  const [owns, posts] = [batch.present(ID.dstMac), batch.present(ID.postDstMac)]
  return (row) => {
    if (posts[shape[row]] === 1) return `${label}"${formatMac(postDstMac[row])}"`
    return owns[shape[row]] === 1 ? `${label}"${formatMac(own[row])}"` : label + absent
  }
}

function valueOf(batch: FlowBatch, { kind, field }: Key): (row: number) => string {
  const column = batch.column(field)
  const numbers = column as Float64Array // or of integers
  switch (kind) {
    case 'type': return (row) => `"${FLOW_TYPES[numbers[row]] ?? 'FLOWUNKNOWN'}"`
    case 'time': return timeOf(batch, field)
    case 'address': return (row) => `"${addressText(column as AddressColumn, row)}"`
    case 'addresses': return (row) => `["${addressText(column as AddressColumn, row)}"]`
    case 'mac': return (row) => `"${formatMac(numbers[row])}"`
    case 'etype': return (row) => (
      numbers[row] === ETYPE_IPV4 ? '"IPv4"' : numbers[row] === ETYPE_IPV6 ? '"IPv6"' : String(numbers[row])
    )
    case 'proto': return (row) => protocolText(numbers[row])
    case 'net': return netOf(batch, field)
    case 'words': return (row) => {
      const words = column as Uint32Array
      const start = words[row * 2]
      const text = Buffer.from(batch.heap.subarray(start, start + words[row * 2 + 1])).toString('utf8')
      return `[${text.split(' ').filter((word) => /^\d+$/.test(word)).join()}]`
    }
    case 'numbers': return (row) => `[${numbers[row]}]`
    case 'labels': return labelsOf(batch)
    case 'number':
      if (FIELDS[field].type !== 'u64') return (row) => String(numbers[row])
      return (row) => String(BigInt(numbers[row * 2]) + (BigInt(numbers[row * 2 + 1]) << 32n))
  }
}

/** ns since the epoch. */
function timeOf(batch: FlowBatch, field: number): (row: number) => string {
  const micros = batch.column(field) as Float64Array
  const below = field === ID.flowStart ? ID.flowStartNs : field === ID.flowEnd ? ID.flowEndNs : -1
  const hasBelow = below >= 0 && batch.has(below)
  if (!hasBelow) return (row) => micros[row] === 0 ? '0' : `${micros[row]}000`
  const present = batch.present(below)
  const nanos = batch.column(below) as Uint16Array
  const { shape } = batch
  return (row) => {
    const part = present[shape[row]] === 1 ? nanos[row] : 0
    return `${micros[row]}${String(part).padStart(3, '0')}`
  }
}

function addressText({ family, v4, v6 }: AddressColumn, row: number): string {
  return family[row] === 4 ? formatIpv4(v4[row]) : family[row] === 6 ? formatIpv6(v6, row * 16) : ''
}

/** The network of an address: its first bits, none where nobody says how many. */
function netOf(batch: FlowBatch, field: number): (row: number) => string {
  const { shape, etype } = batch
  const id = field === ID.srcMask ? ID.srcAddr : ID.dstAddr
  const [addresses, masks, etypes] = [id, field, ID.etype].map((each) => batch.present(each))
  const column = batch.column(id) as AddressColumn
  const lengths = batch.column(field) as Uint8Array
  return (row) => {
    const index = shape[row]
    const { family, v4, v6 } = column
    if (addresses[index] === 0 || masks[index] === 0) {
      const isIpv6 = addresses[index] === 1
        ? family[row] === 6 : etypes[index] === 1 && etype[row] === ETYPE_IPV6
      return isIpv6 ? '"::/0"' : '"0.0.0.0/0"'
    }
    const bits = lengths[row]
    if (family[row] !== 6) {
      const mask = bits === 0 ? 0 : -1 << 32 - Math.min(bits, 32)
      return `"${formatIpv4((v4[row] & mask) >>> 0)}/${bits}"`
    }
    const address = v6.slice(row * 16, row * 16 + 16)
    for (let i = 0; i < 16; i++) address[i] &= 0xff00 >> Math.max(0, Math.min(8, bits - i * 8))
    return `"${formatIpv6(address, 0)}/${bits}"`
  }
}

/** Names of protocols as goflow2 has them where they differ from flowkit's. */
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 58: 'IPv6-ICMP', 89: 'OSPFIGP' }

function protocolText(value: number): string {
  const name = PROTOCOL_NAMES[value] ?? PROTOCOLS[value]
  return name === undefined ? String(value) : `"${name}"`
}

function labelsOf(batch: FlowBatch): (row: number) => string {
  const { shape } = batch
  const labels = LABEL_FIELDS.filter((id) => batch.has(id)).map((id) => ({
    present: batch.present(id), column: batch.column(id) as Uint32Array,
  }))
  return (row) => {
    const found = labels.filter(({ present }) => present[shape[row]] === 1)
    return `[${found.map(({ column }) => column[row]).join()}]`
  }
}
