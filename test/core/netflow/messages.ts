/** Export datagrams made by hand, and what a decoder makes of them. */
import {
  formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac,
} from '../../../core/flow/address.ts'
import { FlowBatch, isAddress } from '../../../core/flow/batch.ts'
import { FIELDS } from '../../../core/flow/fields.ts'
import { VARIABLE_LENGTH } from '../../../core/flow/shape.ts'
import { datagramDecoder, type DatagramDecoder, type DecoderOptions } from '../../../core/netflow/datagram.ts'
import type { Domain, Exporter } from '../../../core/netflow/exporters.ts'
import type { Datagram } from '../../../core/netflow/message.ts'
import type { Wanted } from '../../../core/netflow/plan.ts'

/** When the datagrams of the tests were exported: 2026-11-20 09:00:00 UTC. */
export const EXPORTED = 1_795_165_200
/** When they were received, µs. */
export const RECEIVED: number = EXPORTED * 1e6 + 250_000
/** Who sent them, if nothing else is said. */
export const FROM = '192.0.2.1'

/** The bytes of hexadecimal text; what stands behind `#` in a line is left out. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replace(/#.*$/gm, '').replace(/\s/g, ''), 'hex'))
}

/** An unsigned number of `length` bytes, most significant first. */
export function uint(value: number | bigint, length: number): Uint8Array {
  return hex(BigInt(value).toString(16).padStart(length * 2, '0').slice(-length * 2))
}

/** Numbers of one byte. */
export function u8(...values: number[]): Uint8Array {
  return join(...values.map((value) => uint(value, 1)))
}

/** Numbers of two bytes. */
export function u16(...values: number[]): Uint8Array {
  return join(...values.map((value) => uint(value, 2)))
}

/** Numbers of four bytes. */
export function u32(...values: number[]): Uint8Array {
  return join(...values.map((value) => uint(value, 4)))
}

/** Numbers of eight bytes. */
export function u64(...values: (number | bigint)[]): Uint8Array {
  return join(...values.map((value) => uint(value, 8)))
}

/** An IPv4 address from its text. */
export function ip4(address: string): Uint8Array {
  return uint(parseIpv4(address), 4)
}

/** An IPv6 address from its text. */
export function ip6(address: string): Uint8Array {
  const bytes = new Uint8Array(16)
  if (!parseIpv6(address, bytes, 0)) throw new TypeError(`no IPv6 address: ${address}`)
  return bytes
}

/** A MAC address from its text. */
export function mac(address: string): Uint8Array {
  return uint(parseMac(address), 6)
}

/** Text, with zeros behind up to `length` bytes. */
export function text(value: string, length: number = Buffer.byteLength(value)): Uint8Array {
  return join(new Uint8Array(Buffer.from(value)), new Uint8Array(length - Buffer.byteLength(value)))
}

/** A value behind its length, in RFC 7011's form of 1 byte (figure R) or of 3 (figure S). */
export function variable(value: Uint8Array, form: 1 | 3 = 1): Uint8Array {
  return join(form === 1 ? u8(value.length) : join(u8(255), u16(value.length)), value)
}

/** One after the other. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** A field of a template: element, length and enterprise number. */
export type TemplateField = readonly [id: number, length: number, pen?: number]

/** A set: its header and what is in it. */
export function set(id: number, ...body: readonly Uint8Array[]): Uint8Array {
  const contents = join(...body)
  return join(u16(id, contents.length + 4), contents)
}

/** A template record. */
export function template(id: number, ...fields: readonly TemplateField[]): Uint8Array {
  return join(u16(id, fields.length), specifiers(fields))
}

/** An options template record of NetFlow v9, whose scopes are numbered apart: 1 system, 2 interface, … */
export function options9(
  id: number, scopes: readonly TemplateField[], fields: readonly TemplateField[],
): Uint8Array {
  return join(u16(id, scopes.length * 4, fields.length * 4), specifiers([...scopes, ...fields]))
}

/** An options template record of IPFIX. */
export function options10(
  id: number, scopes: readonly TemplateField[], fields: readonly TemplateField[],
): Uint8Array {
  return join(u16(id, scopes.length + fields.length, scopes.length), specifiers([...scopes, ...fields]))
}

function specifiers(fields: readonly TemplateField[]): Uint8Array {
  return join(...fields.map(([id, length, pen]) =>
    pen === undefined ? u16(id, length) : join(u16(id | 0x8000, length), u32(pen))))
}

/** What a header says where it is not what the others say. */
export interface Header {
  readonly sequence?: number
  readonly domain?: number
  readonly secs?: number
  readonly uptime?: number
}

/** A NetFlow v9 message (RFC 3954 §5.1); its exporter has been up for 10 minutes. */
export function v9(header: Header, ...sets: Uint8Array[]): Uint8Array {
  const { sequence = 0, domain = 0, secs = EXPORTED, uptime = 600_000 } = header
  return join(u16(9, sets.length), u32(uptime, secs, sequence, domain), ...sets)
}

/** An IPFIX message (RFC 7011 §3.1). */
export function ipfix(header: Header, ...sets: Uint8Array[]): Uint8Array {
  const { sequence = 0, domain = 0, secs = EXPORTED } = header
  const body = join(...sets)
  return join(u16(10, 16 + body.length), u32(secs, sequence, domain), body)
}

/** Fields of a row by name; times are µs, addresses text, `extras` is `pen/id=hex` of each element kept. */
export type Row = Record<string, string | number | readonly string[]>

/** A decoder with a batch. */
export interface Collector {
  readonly decoder: DatagramDecoder
  readonly batch: FlowBatch
  /** Decode one datagram. @returns the rows it added */
  send(bytes: Uint8Array, from?: string, how?: Partial<Datagram>): Row[]
  /** State of an exporter. */
  exporter(from?: string): Exporter
  /** State of a version and domain. */
  domain(version: number, id?: number, from?: string): Domain
}

/** A decoder that keeps all fields but the exporter's clock, or `wanted`. */
export function collector(wanted: Wanted = { extras: false }, options: DecoderOptions = {}): Collector {
  const decoder = datagramDecoder(wanted, options)
  const batch = new FlowBatch(16)
  const exporter = (from: string = FROM) => {
    const key = from.includes(':') ? String.fromCharCode(...ip6(from)) : parseIpv4(from)
    return decoder.exporters.byKey.get(key)!
  }
  return {
    decoder, batch, exporter,
    send(bytes, from, how = {}) {
      const { length } = batch
      decoder.decode({ ...datagram(bytes, from), ...how }, batch)
      return rows(batch, length)
    },
    domain: (version, id = 0, from) => exporter(from).domains.get(version * 2 ** 32 + id)!,
  }
}

/** The datagram with payload `bytes`, in the midst of other bytes. */
export function datagram(bytes: Uint8Array, from: string = FROM): Datagram {
  const buffer = join(new Uint8Array(5).fill(0xee), bytes, new Uint8Array(70).fill(0xee))
  const v6 = from.includes(':')
  return {
    bytes: buffer, view: new DataView(buffer.buffer), start: 5, end: 5 + bytes.length, family: v6 ? 6 : 4,
    v4: v6 ? 0 : parseIpv4(from), v6: v6 ? ip6(from) : new Uint8Array(16), port: 50_000, received: RECEIVED,
  }
}

/** The rows of a batch. */
export function rows(batch: FlowBatch, from: number = 0): Row[] {
  return Array.from({ length: batch.length - from }, (_, i) => rowOf(batch, from + i))
}

function rowOf(batch: FlowBatch, i: number): Row {
  const shape = batch.shapes[batch.shape[i]]
  const row: Row = Object.fromEntries(shape.fields.map((id) => [FIELDS[id].name, valueOf(batch, id, i)]))
  if (shape.extras.length === 0) return row
  let at = batch.extras[i * 2]
  const end = at + batch.extras[i * 2 + 1]
  row['extras'] = shape.extras.map(({ pen, id, length }) => {
    if (length === VARIABLE_LENGTH) {
      length = batch.heap[at] << 8 | batch.heap[at + 1]
      at += 2
    }
    return `${pen}/${id}=${Buffer.from(batch.heap.subarray(at, at += length)).toString('hex')}`
  })
  if (at !== end) throw new RangeError(`extras end at ${at}, not ${end}`)
  return row
}

function valueOf(batch: FlowBatch, id: number, i: number): string | number {
  const column = batch.column(id)
  if (isAddress(column)) {
    return column.family[i] === 6 ? formatIpv6(column.v6, i * 16) : formatIpv4(column.v4[i])
  }
  const { type } = FIELDS[id]
  if (type === 'mac') return formatMac(column[i])
  if (type === 'u64') return column[i * 2] + column[i * 2 + 1] * 2 ** 32
  if (type !== 'text' && type !== 'octets') return column[i]
  const bytes = Buffer.from(batch.heap.subarray(column[i * 2], column[i * 2] + column[i * 2 + 1]))
  return type === 'text' ? bytes.toString() : bytes.toString('hex')
}

/** Only the fields `names` of rows. */
export function pick(list: readonly Row[], ...names: string[]): Row[] {
  return list.map((row) =>
    Object.fromEntries(names.filter((name) => name in row).map((name) => [name, row[name]])))
}

/** µs since the epoch of RFC 3339 text with up to 6 digits of the second. */
export function micros(time: string): number {
  const [, seconds, fraction = ''] = /^([^.Z]+)(?:\.(\d+))?Z$/.exec(time)!
  return Date.parse(`${seconds}Z`) * 1000 + Number(fraction.padEnd(6, '0'))
}
