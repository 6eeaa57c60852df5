/** goflow2's flow.proto: messages as keys with values, and rows as messages. */
import { formatIpv4, formatIpv6, formatMac, type AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE, FLOW_TYPES } from '../../core/flow/names.ts'
import { KEYS, LABEL_FIELDS, type Key } from './keys.ts'
import { putBytes, putInteger, putVarint, readPacked, type Member } from './wire.ts'

const byNumber = new Map(KEYS.map((key) => [key.number, key]))
/** Keys that a message leaves out where they are 0, which is a value all the same. */
const ZEROS = KEYS.filter(({ kind, zero }) => zero && (kind === 'number' || kind === 'proto'))
/** Kinds whose members may come more than once. */
const REPEATED = new Set(['words', 'numbers', 'labels', 'addresses'])

/** What a message says, as goflow2's JSON would. */
export interface KeyedValues {
  readonly kind: string
  readonly names: readonly string[]
  readonly values: readonly unknown[]
}

/** Keys and values of a message. Members that flow.proto does not have are called `field_NUMBER`. */
export function messageKeys(members: readonly Member[]): KeyedValues {
  const found = new Map<string, unknown>(ZEROS.map(({ name }) => [name, 0]))
  let kind = ''
  for (const { number, value } of members) {
    const key = byNumber.get(number)
    if (!key) {
      found.set(`field_${number}`, typeof value === 'object' ? textOf(value) : Number(value))
      continue
    }
    const plain = valueOf(key, value)
    if (key.kind === 'type') kind = String(plain)
    if (REPEATED.has(key.kind)) {
      const known = found.get(key.name) as unknown[] | undefined
      found.set(key.name, [...known ?? [], ...Array.isArray(plain) ? plain : [plain]])
    } else found.set(key.name, plain)
  }
  return { kind, names: [...found.keys()], values: [...found.values()] }
}

function valueOf({ kind, name }: Key, value: Member['value']): unknown {
  if (typeof value !== 'object') {
    switch (kind) {
      case 'type': return FLOW_TYPES[Number(value)] ?? 'UNKNOWN'
      case 'time': return String(value).padStart(18, '0')
      case 'mac': return formatMac(Number(value))
      case 'net': return `/${value}`
      default: return typeof value === 'bigint' ? value.toString() : value
    }
  }
  switch (kind) {
    case 'words': case 'numbers': case 'labels': return readPacked(value)
    case 'address': case 'addresses': return addressText(value)
    default: return name === 'src_net' || name === 'dst_net' ? undefined : Buffer.from(value).toString('hex')
  }
}

function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  return bytes.length === 16 ? formatIpv6(bytes, 0) : undefined
}

/** Text where it is some, else hex. */
function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes)
  return /^[\x20-\x7e]*$/.test(text.toString('latin1')) ? text.toString('latin1') : text.toString('hex')
}

/** What makes rows of a batch into messages, behind their lengths and before a newline. */
export function messageWriter(batch: FlowBatch): (row: number) => Uint8Array {
  const keys = KEYS.filter(({ field, name }) => (
    batch.has(field) || (name === 'dst_mac' && batch.has(ID.dstMac))
  )).sort((a, b) => a.number - b.number)
  const writers = keys.map((key) => ({ present: batch.present(key.field), put: putterOf(batch, key), key }))
  const ownMac = batch.present(ID.dstMac)
  const { shape } = batch
  return (row) => {
    const out: number[] = []
    for (const { present, put, key } of writers) {
      if (key.name === 'vlan_id' && batch.type[row] === FLOW_TYPE.SFLOW_5) continue // src_vlan has it
      if (present[shape[row]] === 1) put(row, out)
      else if (key.name === 'dst_mac' && ownMac[shape[row]] === 1) {
        putInteger(key.number, batch.dstMac[row], out)
      }
    }
    const head: number[] = []
    putVarint(out.length, head)
    return Uint8Array.from([...head, ...out, 10])
  }
}

function putterOf(batch: FlowBatch, { kind, number, field }: Key): (row: number, out: number[]) => void {
  const column = batch.column(field)
  const numbers = column as Float64Array // or of integers
  switch (kind) {
    case 'address': case 'addresses': return (row, out) => {
      const { family, v4, v6 } = column as AddressColumn
      if (family[row] === 4) putBytes(number, formatIpv4(v4[row]).split('.').map(Number), out)
      else if (family[row] === 6) putBytes(number, v6.subarray(row * 16, row * 16 + 16), out)
    }
    case 'time': {
      const below = field === ID.flowStart ? ID.flowStartNs : field === ID.flowEnd ? ID.flowEndNs : -1
      const present = below < 0 ? undefined : batch.present(below)
      const nanos = below < 0 ? undefined : batch.column(below) as Uint16Array
      return (row, out) => {
        const part = present?.[batch.shape[row]] === 1 ? nanos![row] : 0
        putInteger(number, BigInt(numbers[row]) * 1000n + BigInt(part), out)
      }
    }
    case 'words': return (row, out) => {
      const words = column as Uint32Array
      const text = Buffer.from(batch.heap.subarray(words[row * 2], words[row * 2] + words[row * 2 + 1]))
      const packed: number[] = []
      for (const word of text.toString('utf8').split(' ')) {
        if (/^\d+$/.test(word)) putVarint(Number(word), packed)
      }
      putBytes(number, packed, out)
    }
    case 'numbers': return (row, out) => putBytes(number, varints([numbers[row]]), out)
    case 'labels': return (row, out) => {
      const { mask } = batch.shapes[batch.shape[row]]
      const labels = LABEL_FIELDS.filter((id) => mask[id] === 1)
      putBytes(number, varints(labels.map((id) => (batch.column(id) as Uint32Array)[row])), out)
    }
    case 'number':
      if (FIELDS[field].type === 'u64') return (row, out) => {
        putInteger(number, BigInt(numbers[row * 2]) + (BigInt(numbers[row * 2 + 1]) << 32n), out)
      }
  }
  return (row, out) => {
    if (numbers[row] !== 0) putInteger(number, numbers[row], out) // proto3 leaves out 0
  }
}

function varints(values: readonly number[]): number[] {
  const out: number[] = []
  for (const value of values) putVarint(value, out)
  return out
}
