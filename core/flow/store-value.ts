/** Values as text formats have them, put into columns: the other way of formats/render.ts. */
import { ipv6Storage, parseIpv4, parseIpv6, parseMac, type AddressColumn } from './address.ts'
import type { FlowBatch } from './batch.ts'
import { ID, type Field } from './fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE, protocolNumber } from './names.ts'
import { parseTimeValue, type ParsedTime } from './parse-time.ts'

const MOST = { u8: 0xff, u16: 0xffff, u32: 0xffffffff } as const
const TWO32 = 2 ** 32
const utf8 = new TextEncoder()

/** The time of the value stored last, for its nanoseconds and digits. */
export const lastTime: ParsedTime = { micros: 0, nanos: 0, digits: -1 }

/**
 * Store a value of a row: a number, or text as flowkit and others print it, also with spaces around it.
 * Counters beyond 2^53 become 2^53 and are counted; whoever calls gives the row the shape that has the field.
 *
 * @returns whether the field can have it; nothing is stored otherwise
 */
export function storeValue(batch: FlowBatch, field: Field, row: number, value: unknown): boolean {
  switch (typeof value) {
    case 'number': return storeNumber(batch, field, row, value)
    case 'string': {
      const text = field.type === 'text' ? value : value.trim()
      return text !== '' && storeText(batch, field, row, text)
    }
    case 'boolean': return storeNumber(batch, field, row, value ? 1 : 0)
    case 'bigint': return storeText(batch, field, row, value.toString())
    default: return false
  }
}

function storeNumber(batch: FlowBatch, field: Field, row: number, value: number): boolean {
  switch (field.type) {
    case 'u8': case 'u16': case 'u32': {
      if (!Number.isInteger(value) || value < 0 || value > MOST[field.type]) return false
      const column = batch.column(field.id) as Uint32Array // or a narrower one
      column[row] = value
      return true
    }
    case 'count': {
      if (!(value >= 0) || (!Number.isInteger(value) && value < 2 ** 53)) return false
      const column = batch.column(field.id) as Float64Array
      if (value >= 2 ** 53) batch.saturated++
      column[row] = Math.min(value, 2 ** 53)
      return true
    }
    case 'u64': return storeText(batch, field, row, String(value))
    case 'time': return storeTime(batch, field, row, value)
    case 'text': return storeBytes(batch, field, row, utf8.encode(String(value)))
    default: return false
  }
}

function storeText(batch: FlowBatch, field: Field, row: number, text: string): boolean {
  switch (field.type) {
    case 'addr': return storeAddress(batch.column(field.id) as AddressColumn, row, text)
    case 'mac': {
      const mac = parseMac(text)
      if (mac < 0) return false
      const column = batch.column(field.id) as Float64Array
      column[row] = mac
      return true
    }
    case 'time': return storeTime(batch, field, row, text)
    case 'text': return storeBytes(batch, field, row, utf8.encode(text))
    case 'octets': {
      if (!/^(?:[\da-f]{2})*$/i.test(text)) return false
      return storeBytes(batch, field, row, Buffer.from(text, 'hex'))
    }
    case 'u64': {
      if (!/^\d{1,20}$/.test(text)) return false
      const value = BigInt(text)
      if (value > 0xffffffffffffffffn) return false
      const column = batch.column(field.id) as Uint32Array
      column[row * 2] = Number(value & 0xffffffffn)
      column[row * 2 + 1] = Number(value / BigInt(TWO32))
      return true
    }
    default: {
      const value = /^\d+(\.0+)?$/.test(text) ? Number(text) : namedValue(field, text)
      return value >= 0 && storeNumber(batch, field, row, value)
    }
  }
}

/** The number of a name: of a protocol, an EtherType, a type of record; -1 if it is none. */
export function namedValue({ id }: Field, text: string): number {
  if (id === ID.proto) return protocolNumber(text)
  if (id === ID.type) return FLOW_TYPE[text as keyof typeof FLOW_TYPE] ?? -1
  if (id === ID.etype) return text === 'IPv4' ? ETYPE_IPV4 : text === 'IPv6' ? ETYPE_IPV6 : -1
  return /^0x[\da-f]+$/i.test(text) ? Number(text) : -1
}

function storeAddress(column: AddressColumn, row: number, text: string): boolean {
  const v4 = parseIpv4(text)
  if (v4 >= 0) {
    column.family[row] = 4
    column.v4[row] = v4
    return true
  }
  if (!text.includes(':') || !parseIpv6(text, ipv6Storage(column), row * 16)) return false
  column.family[row] = 6
  column.v4[row] = 0
  return true
}

function storeTime(batch: FlowBatch, field: Field, row: number, value: string | number): boolean {
  if (!parseTimeValue(value, lastTime)) return false
  const column = batch.column(field.id) as Float64Array
  column[row] = lastTime.micros
  return true
}

function storeBytes(batch: FlowBatch, field: Field, row: number, bytes: Uint8Array): boolean {
  const column = batch.column(field.id) as Uint32Array
  column[row * 2] = batch.addBytes(bytes, 0, bytes.length)
  column[row * 2 + 1] = bytes.length
  return true
}
