/** goflow2's flow.proto: messages as keys with values. */
import { formatIpv6, formatMac } from '../../core/flow/address.ts'
import { FLOW_TYPES } from '../../core/flow/names.ts'
import { KEYS, type Key } from './keys.ts'
import { readPacked, type Member } from './wire.ts'

const byNumber = new Map(KEYS.map((key) => [key.number, key]))
/** Keys that a message leaves out where they are 0, which is a value all the same. */
export const ZEROS: readonly Key[] =
  KEYS.filter(({ kind, zero }) => zero && (kind === 'number' || kind === 'proto'))
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
      case 'time': return String(value)
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
