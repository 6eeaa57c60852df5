/**
 * A second reading of export datagrams: slow, plain, and by other means than flowkit's decoders, so that the
 * two can be held against each other. It gives every record as the elements it was sent as.
 *
 * Written from RFC 3954, RFC 7011 and Cisco's tables of v1, v5 and v7; v6 as flow-tools' ftlib.h has it.
 */
import type { Packet } from './corpus.ts'
import { readWireList } from './wire-lists.ts'

/** One element of a record: enterprise number (-2: scope of a v9 options record), id and the bytes sent. */
export interface WireElement {
  readonly pen: number
  readonly id: number
  readonly bytes: Uint8Array
  /** Whether the length stood in the record and not in the template. */
  readonly variable?: boolean
  /** JSON of a list, as the templates of that moment have it. */
  readonly list?: string | undefined
}

/** One data record. */
export interface WireRecord {
  /** Number of the datagram, from 0. */
  readonly packet: number
  /** Source address of the datagram, and when it was received in µs since the epoch. */
  readonly source: string
  readonly received: number
  readonly header: WireHeader
  readonly template: number
  readonly options: boolean
  readonly elements: readonly WireElement[]
}

type Origin = Pick<WireRecord, 'packet' | 'source' | 'received'>

/** What a message says of all its records; what a version does not have is -1. */
export interface WireHeader {
  readonly version: number
  readonly uptime: number
  readonly secs: number
  readonly nsecs: number
  readonly sequence: number
  readonly domain: number
  readonly sampling: number
}

interface Layout {
  readonly id: number
  readonly options: boolean
  readonly fields: readonly { pen: number, id: number, length: number }[]
}

interface Held {
  readonly from: Origin
  readonly header: WireHeader
  readonly template: number
  readonly bytes: Buffer
}

/** What is remembered, by exporter, version and domain (and template id). */
interface State {
  readonly templates: Map<string, Layout>
  readonly held: Map<string, Held[]>
  /** When the exporter began, in ms since the epoch, as options records tell it (IE 160). */
  readonly began: Map<string, number>
}

/** Lengths of the fields of v1, v5, v6 and v7 by element; names stand for what no element is for. */
const START = '8:4 12:4 15:4 10:2 14:2 2:4 1:4 22:4 21:4 7:2 11:2'
const MIDDLE = '6:1 4:1 5:1 16:2 17:2 9:1 13:1'
const FIXED: Readonly<Record<number, { header: number, fields: string }>> = {
  1: { header: 16, fields: `${START} 210:2 4:1 5:1 6:1 210:7` },
  5: { header: 24, fields: `${START} 210:1 ${MIDDLE} 210:2` },
  6: { header: 24, fields: `${START} 210:1 ${MIDDLE} in_encaps:1 out_encaps:1 peer_next_hop:4` },
  7: { header: 24, fields: `${START} shortcut_mode:1 ${MIDDLE} valid_flags:2 router_sc:4` },
}
/** Fields that no element is for: in records of enterprise number -1, with their place here for an id. */
export const NAMED_ELEMENTS: readonly string[] =
  ['in_encaps', 'out_encaps', 'peer_next_hop', 'shortcut_mode', 'valid_flags', 'router_sc']

/** All records of `packets`, those that waited for their template behind the message with it. */
export function readWire(packets: readonly Packet[]): WireRecord[] {
  const state: State = { templates: new Map(), held: new Map(), began: new Map() }
  const records: WireRecord[] = []
  for (const [packet, { bytes, source, received }] of packets.entries()) {
    const from = { packet, source, received }
    const found: WireRecord[] = []
    // of a damaged datagram nothing counts
    if (!isDamage(() => readDatagram(Buffer.from(bytes), from, state, found))) records.push(...found)
  }
  return records
}

function isDamage(read: () => void): boolean {
  try {
    read()
    return false
  } catch (error) {
    if (error instanceof RangeError) return true
    throw error
  }
}

function readDatagram(bytes: Buffer, from: Origin, state: State, out: WireRecord[]): void {
  const { source } = from
  const version = bytes.readUInt16BE(0)
  const fixed = FIXED[version]
  if (fixed) return readFixed(bytes, from, fixed, out)
  if (version === 9) {
    const header = {
      version, uptime: bytes.readUInt32BE(4), secs: bytes.readUInt32BE(8), nsecs: -1,
      sequence: bytes.readUInt32BE(12), domain: bytes.readUInt32BE(16), sampling: -1,
    }
    return readSets(bytes.subarray(20), from, header, `${source} 9 ${header.domain}`, state, out)
  }
  if (version !== 10) throw new RangeError('unknown version')
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16BE(at + 2)
    const isMessage = bytes.readUInt16BE(at) === 10 && length >= 16 && at + length <= bytes.length
    if (!isMessage) throw new RangeError('message')
    const header = {
      version, uptime: -1, secs: bytes.readUInt32BE(at + 4), nsecs: -1, sequence: bytes.readUInt32BE(at + 8),
      domain: bytes.readUInt32BE(at + 12), sampling: -1,
    }
    readSets(bytes.subarray(at + 16, at + length), from, header, `${source} 10 ${header.domain}`, state, out)
    at += length
  }
}

function readFixed(
  bytes: Buffer, from: Origin, { header: size, fields }: (typeof FIXED)[1], out: WireRecord[],
): void {
  const version = bytes.readUInt16BE(0)
  const layout = fields.split(' ').map((field) => {
    const [name, length] = field.split(':')
    const named = NAMED_ELEMENTS.indexOf(name)
    return { ...named < 0 ? { pen: 0, id: Number(name) } : { pen: -1, id: named }, length: Number(length) }
  })
  const record = layout.reduce((sum, { length }) => sum + length, 0)
  const count = bytes.readUInt16BE(2)
  if (count === 0 || bytes.length !== size + count * record) throw new RangeError('count')
  const header = {
    version, uptime: bytes.readUInt32BE(4), secs: bytes.readUInt32BE(8), nsecs: bytes.readUInt32BE(12),
    sequence: size > 16 ? bytes.readUInt32BE(16) : -1,
    domain: size > 16 && version !== 7 ? bytes.readUInt16BE(20) : -1,
    sampling: version === 5 ? bytes.readUInt16BE(22) : -1,
  }
  for (let at = size; at < bytes.length; at += record) {
    out.push({ ...from, header, template: 0, options: false, elements: take(layout, bytes, at)!.elements })
  }
}

function readSets(
  bytes: Buffer, from: Origin, header: WireHeader, domain: string, state: State, out: WireRecord[],
): void {
  const first = header.version === 9 ? 0 : 2
  const learned: string[] = []
  for (let at = 0; bytes.length - at >= 4;) {
    const length = bytes.readUInt16BE(at + 2)
    const isFilledUp = length === 0 && bytes.subarray(at).every((byte) => byte === 0)
    if (isFilledUp) bytes = bytes.subarray(0, at)
    else if (length < 4 || at + length > bytes.length) throw new RangeError('set')
    at += length
  }
  for (let at = 0; bytes.length - at >= 4;) {
    const id = bytes.readUInt16BE(at)
    const length = bytes.readUInt16BE(at + 2)
    const set = bytes.subarray(at + 4, at + length)
    const isTemplates = id === first || id === first + 1
    if (isTemplates) readTemplates(set, header.version, id !== first, domain, state, learned)
    else if (id >= 256) {
      const layout = state.templates.get(`${domain} ${id}`)
      if (layout) readRecords(set, from, header, layout, domain, state, out)
      else {
        const key = `${domain} ${id}`
        state.held.set(key, [...state.held.get(key) ?? [], { from, header, template: id, bytes: set }])
      }
    }
    at += length
  }
  for (const key of learned) {
    for (const { from: origin, header: own, bytes: set } of state.held.get(key) ?? []) {
      const late: WireRecord[] = []
      const layout = state.templates.get(key)!
      if (!isDamage(() => readRecords(set, origin, own, layout, domain, state, late))) out.push(...late)
    }
    state.held.delete(key)
  }
}

function readTemplates(
  bytes: Buffer, version: number, options: boolean, domain: string, state: State, learned: string[],
): void {
  for (let at = 0; bytes.length - at >= 4;) {
    const id = bytes.readUInt16BE(at)
    let count = bytes.readUInt16BE(at + 2)
    at += 4
    if (count === 0 && version === 10) {
      for (const key of state.templates.keys()) {
        const own = key.startsWith(`${domain} `)
        if (own && (id < 256 ? state.templates.get(key)!.options === options : key === `${domain} ${id}`)) {
          state.templates.delete(key)
        }
      }
      continue
    }
    if (id < 256) {
      if (id === 0 && count === 0) return
      throw new RangeError('template id')
    }
    let scopes = 0
    if (options) {
      const second = bytes.readUInt16BE(at)
      at += 2
      scopes = version === 9 ? count >> 2 : second
      count = version === 9 ? (count >> 2) + (second >> 2) : count
      if (scopes > count) throw new RangeError('scopes')
    }
    const fields = []
    for (let i = 0; i < count; i++) {
      let element = bytes.readUInt16BE(at)
      const length = bytes.readUInt16BE(at + 2)
      let pen = version === 9 && i < scopes ? -2 : 0
      at += 4
      if (version === 10 && element >= 0x8000) {
        element -= 0x8000
        pen = bytes.readUInt32BE(at)
        at += 4
      }
      if (version === 9 && length === 65535) throw new RangeError('field length')
      fields.push({ pen, id: element, length })
    }
    state.templates.set(`${domain} ${id}`, { id, options, fields })
    learned.push(`${domain} ${id}`)
  }
}

function readRecords(
  bytes: Buffer, from: Origin, header: WireHeader, layout: Layout, domain: string, state: State,
  out: WireRecord[],
): void {
  const began = state.began.get(domain)
  if (header.version === 10 && began !== undefined) {
    header = { ...header, uptime: (header.secs * 1000 - began) >>> 0 }
  }
  const least = layout.fields.reduce((sum, { length }) => sum + (length === 65535 ? 1 : length), 0)
  if (least === 0) {
    if (layout.options) return
    throw new RangeError('empty records')
  }
  for (let at = 0; bytes.length - at >= least;) {
    const taken = take(layout.fields, bytes, at)
    if (!taken) {
      if (layout.options || bytes.subarray(at).every((byte) => byte === 0)) return
      throw new RangeError('record')
    }
    const fieldsOf = (id: number): Layout['fields'] | undefined =>
      state.templates.get(`${domain} ${id}`)?.fields
    const elements = taken.elements.map((element) => {
      const { pen, id, bytes } = element
      const list = readWireList(pen, id, Buffer.from(bytes), fieldsOf)
      return list === undefined ? element : { ...element, list }
    })
    out.push({ ...from, header, template: layout.id, options: layout.options, elements })
    if (layout.options) {
      const start = elements.find(({ pen, id, bytes }) => pen === 0 && id === 160 && bytes.length <= 8)
      if (start) state.began.set(domain, Number(BigInt(`0x${Buffer.from(start.bytes).toString('hex')}`)))
    }
    at = taken.end
  }
}

function take(
  fields: Layout['fields'], bytes: Buffer, at: number,
): { elements: WireElement[], end: number } | undefined {
  const elements: WireElement[] = []
  for (const { pen, id, length: declared } of fields) {
    let length = declared
    if (declared === 65535) {
      if (at >= bytes.length) return undefined
      length = bytes.readUInt8(at++)
      if (length === 255) {
        if (bytes.length - at < 2) return undefined
        length = bytes.readUInt16BE(at)
        at += 2
      }
    }
    if (at + length > bytes.length) return undefined
    elements.push({ pen, id, bytes: bytes.subarray(at, at + length), variable: declared === 65535 })
    at += length
  }
  return { elements, end: at }
}
