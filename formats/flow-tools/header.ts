/**
 * Headers of flow-tools' files: of stream version 1 a C structure, of version 3 a list of values, each behind
 * its type and length (flow-tools' ftlib.h and fttlv.c).
 */
import { FlowkitError } from '../../core/flow/errors.ts'

/** Begins every file. */
export const MAGIC = 0xcf10
/** The byte behind it, which tells the order of all bytes. */
export const LITTLE = 1, BIG = 2

/** Bits of the header's flags: the file is whole, its records are packed, it was written to a pipe. */
export const FLAG = { done: 1, compressed: 2, streaming: 8 } as const

/** Types of the values in a header of version 3. */
export const TLV = {
  version: 2, aggregationVersion: 3, aggregation: 4, exporter: 5, start: 6, end: 7, flags: 8, rotation: 9,
  flows: 10, lost: 11, misordered: 12, corrupt: 13, resets: 14, hostname: 15, comments: 16, ifName: 17,
  ifAlias: 18,
} as const

/** Bytes of the values that are numbers. */
const WIDTHS: Readonly<Record<number, number>> = {
  [TLV.version]: 2, [TLV.aggregationVersion]: 1, [TLV.aggregation]: 1, [TLV.exporter]: 4, [TLV.start]: 4,
  [TLV.end]: 4, [TLV.flags]: 4, [TLV.rotation]: 4, [TLV.flows]: 4, [TLV.lost]: 4, [TLV.misordered]: 4,
  [TLV.corrupt]: 4, [TLV.resets]: 4,
}

/** The only version of aggregated records. */
export const AGGREGATION_VERSION = 2
/** A version 1 file of unknown version holds v1 records. */
const UNKNOWN_VERSION = 0xffff

const V1_SIZE = 360
/** Offsets in a header of version 1. */
const V1_NUMBERS = [
  [TLV.start, 8], [TLV.end, 12], [TLV.flags, 16], [TLV.rotation, 20], [TLV.flows, 24], [TLV.lost, 28],
  [TLV.misordered, 32],
] as const
const V1_HOSTNAME = 36
const V1_COMMENTS = 104

/** Bytes of a header at most: flow-tools writes no larger ones (FT_IO_MAXHEADER), padding aside. */
export const MAX_HEADER = 16_384

/** The name of one interface of one exporter. */
export interface InterfaceName {
  /** IPv4 address, host order. */
  readonly exporter: number
  readonly index: number
  /** UTF-8. */
  readonly name: Uint8Array
}

/** What a header tells. */
export interface Header {
  /** Bytes that it takes: the records begin behind it. */
  readonly size: number
  /** Stream version, 1 or 3. */
  readonly stream: number
  /** What stands for the byte order: LITTLE or BIG, or else it is damaged. */
  readonly order: number
  /** Byte order of all numbers. */
  readonly little: boolean
  /** Numbers by type, as far as they are given. */
  readonly numbers: ReadonlyMap<number, number>
  /** Hostname and comments by type, if there are any. */
  readonly texts: ReadonlyMap<number, string>
  readonly interfaces: readonly InterfaceName[]
  /** How many names of groups of interfaces there are. */
  readonly aliases: number
}

/** How sure, 0 to 100, that a file beginning with `head` is flow-tools'. */
export function probeHeader(head: Uint8Array): number {
  if (head.length < 4 || (head[0] << 8 | head[1]) !== MAGIC) return 0
  return head[3] === 1 || head[3] === 3 ? 95 : 60 // of versions that are not read, too, it is better said so
}

/**
 * Read the header at `bytes[at]`.
 *
 * @returns undefined if it is not all there yet
 * @throws FlowkitError ERR_MALFORMED or ERR_UNSUPPORTED if it is none that flow-tools has written
 */
export function readHeader(bytes: Uint8Array, at: number): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at)
  if (view.byteLength < 8) return undefined
  const magic = view.getUint16(0)
  if (magic !== MAGIC) {
    const found = `${MAGIC.toString(16)} wanted, ${magic.toString(16).padStart(4, '0')}`
    throw new FlowkitError('ERR_MALFORMED', `Cannot read flow-tools header: magic number ${found} found`)
  }
  const stream = view.getUint8(3)
  const order = view.getUint8(2)
  const little = order !== BIG // as flow-tools on a little-endian machine takes any other value
  if (stream === 1) return view.byteLength < V1_SIZE ? undefined : readV1(view, order, little)
  if (stream !== 3) {
    const found = `stream version 1 or 3 wanted, ${stream} found`
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot read flow-tools header: ${found}`)
  }
  const size = view.getUint32(4, little)
  if (size < 8 || size > MAX_HEADER + 4) {
    const found = `8 to ${MAX_HEADER} bytes wanted, ${size} found`
    throw new FlowkitError('ERR_MALFORMED', `Cannot read flow-tools header: ${found}`)
  }
  return view.byteLength < size ? undefined : readV3(view, order, little, size)
}

function readV1(view: DataView, order: number, little: boolean): Header {
  const version = view.getUint16(4, little)
  const numbers = new Map<number, number>([[TLV.version, version === UNKNOWN_VERSION ? 1 : version]])
  for (const [type, offset] of V1_NUMBERS) numbers.set(type, view.getUint32(offset, little))
  const texts = new Map<number, string>()
  addText(texts, TLV.hostname, view, V1_HOSTNAME, V1_COMMENTS)
  addText(texts, TLV.comments, view, V1_COMMENTS, V1_SIZE)
  return { size: V1_SIZE, stream: 1, order, little, numbers, texts, interfaces: [], aliases: 0 }
}

function readV3(view: DataView, order: number, little: boolean, size: number): Header {
  const numbers = new Map<number, number>()
  const texts = new Map<number, string>()
  const interfaces: InterfaceName[] = []
  let aliases = 0
  for (let at = 8; at + 4 <= size;) { // what is left over at the end is padding
    const type = view.getUint16(at, little)
    const from = at + 4
    at = from + view.getUint16(at + 2, little)
    if (at > size) break
    const width = WIDTHS[type]
    if (width !== undefined && at - from >= width) numbers.set(type, readNumber(view, from, width, little))
    else if (type === TLV.hostname || type === TLV.comments) addText(texts, type, view, from, at)
    else if (type === TLV.ifAlias) aliases++
    else if (type === TLV.ifName && at - from > 6) {
      const exporter = view.getUint32(from, little)
      interfaces.push({ exporter, index: view.getUint16(from + 4, little), name: textAt(view, from + 6, at) })
    }
  }
  return { size, stream: 3, order, little, numbers, texts, interfaces, aliases }
}

function readNumber(view: DataView, at: number, width: number, little: boolean): number {
  if (width === 1) return view.getUint8(at)
  return width === 2 ? view.getUint16(at, little) : view.getUint32(at, little)
}

function addText(texts: Map<number, string>, type: number, view: DataView, from: number, to: number): void {
  const text = new TextDecoder().decode(textAt(view, from, to))
  if (text !== '') texts.set(type, text)
}

/** A copy of the bytes up to the first NUL. */
function textAt(view: DataView, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + from, to - from)
  const end = bytes.indexOf(0)
  return bytes.slice(0, end < 0 ? bytes.length : end)
}

/** Bytes that the name of an interface takes in a header. */
export function interfaceSize({ name }: InterfaceName): number {
  return 4 + 6 + name.length + 1
}

/**
 * A header of version 3, little-endian.
 *
 * @param numbers by type
 * @param interfaces that fit into MAX_HEADER beside the numbers
 */
export function writeHeader(
  numbers: ReadonlyMap<number, number>, interfaces: readonly InterfaceName[],
): Uint8Array {
  const view = new DataView(new ArrayBuffer(MAX_HEADER))
  const bytes = new Uint8Array(view.buffer)
  view.setUint16(0, MAGIC)
  view.setUint8(2, LITTLE)
  view.setUint8(3, 3)
  let at = 8
  for (const [type, value] of numbers) {
    const width = WIDTHS[type]
    view.setUint16(at, type, true)
    view.setUint16(at + 2, width, true)
    if (width === 1) view.setUint8(at + 4, value)
    else if (width === 2) view.setUint16(at + 4, value, true)
    else view.setUint32(at + 4, value, true)
    at += 4 + width
  }
  for (const each of interfaces) {
    const { exporter, index, name } = each
    view.setUint16(at, TLV.ifName, true)
    view.setUint16(at + 2, interfaceSize(each) - 4, true)
    view.setUint32(at + 4, exporter, true)
    view.setUint16(at + 8, index, true)
    bytes.set(name, at + 10)
    at += interfaceSize(each)
  }
  const size = at + 3 & ~3
  view.setUint32(4, size, true)
  return bytes.subarray(0, size)
}
