/**
 * The datagrams of a spool: a pcapng section whose packets are IPv4 or IPv6, each with one UDP datagram.
 *
 * Everything is little-endian, times are in µs. The headers of the packets are made up, but for the source
 * and the destination port; the destination is 192.0.2.2 or 2001:db8::2. What came by a connection goes to
 * 192.0.2.3 or 2001:db8::3, message by message, and its end is an empty datagram. Sources:
 * draft-ietf-opsawg-pcapng §4.1 to §4.3, RFC 791, RFC 8200, RFC 768, RFC 1071.
 */
import { FlowkitError, type ErrorCode } from '../flow/errors.ts'
import type { Datagram } from '../netflow/message.ts'
import { LINK_RAW } from '../pcap/headers.ts'
import {
  ENHANCED_PACKET, INTERFACE_DESCRIPTION, SECTION_HEADER, SECTION_START, writeSection,
} from '../pcap/section.ts'

const NAME_RESOLUTION = 4
const INTERFACE_STATISTICS = 5

const BLOCK_OVERHEAD = 12 // type, length, and the length again behind the body
const PACKET_START = 28 // of the packet in its block
const PACKET_OVERHEAD = PACKET_START + 4
const IPV4_SIZE = 20
const IPV6_SIZE = 40
const UDP_SIZE = 8
const V4_OVERHEAD = PACKET_OVERHEAD + IPV4_SIZE + UDP_SIZE
const V6_OVERHEAD = PACKET_OVERHEAD + IPV6_SIZE + UDP_SIZE

const V4_START = 0x45 // version 4, 5 words
const V6_START = 0x60
const UDP = 17
const HOP_LIMIT = 64
const DO_NOT_FRAGMENT = 0x4000
/** The collector, in networks for documentation: 192.0.2.2 (RFC 5737), 2001:db8::2 (RFC 3849). Then 3. */
const COLLECTOR_V4 = 0xc0000202
const COLLECTOR_V6 = [0x20010db8, 0, 0, 2]
/** What all IPv4 headers have in common in their checksum: all but length and source. */
const V4_SUM = V4_START * 256 + DO_NOT_FRAGMENT + HOP_LIMIT * 256 + UDP + 0xc000 + 0x0202

const MAX_TIME_HIGH = 2 ** 21 // times are whole numbers in doubles: below 2^53 µs

/** Bytes that a block takes at most beside the payload, padding included. */
export const DATAGRAM_OVERHEAD: number = V6_OVERHEAD + 3
/** Longest block: with 65,527 bytes over IPv6; over IPv4 there are 65,507 at most. */
export const MAX_BLOCK: number = 65_608

/** Longest payload over IPv4. */
export const MAX_PAYLOAD = 65_507

/** What a segment begins with: a section header and the interface of all its packets. */
export const SEGMENT_HEADER: Uint8Array = new Uint8Array(SECTION_START)
writeSection(new DataView(SEGMENT_HEADER.buffer), LINK_RAW)

/**
 * Write a datagram as an Enhanced Packet Block at `at`.
 *
 * @param view of the whole chunk
 * @param datagram `received` is a whole number; its `view` is not used
 * @returns the offset behind the block, whose length is a multiple of 4; -1 when it does not fit: nothing is
 *   written then
 * @throws RangeError for a payload longer than UDP can have
 */
export function putDatagram(
  chunk: Uint8Array, view: DataView, at: number, datagram: Readonly<Datagram>, dstPort: number,
): number {
  const { bytes, start, end, received } = datagram
  const isV6 = datagram.family === 6
  const headers = isV6 ? IPV6_SIZE + UDP_SIZE : IPV4_SIZE + UDP_SIZE
  const length = UDP_SIZE + end - start
  const captured = headers + end - start
  if ((isV6 ? length : captured) > 65_535) throw new RangeError(`no UDP datagram has ${end - start} bytes`)
  const size = PACKET_OVERHEAD + captured + 3 & ~3
  if (at + size > chunk.length) return -1

  const high = Math.floor(received / 2 ** 32)
  view.setUint32(at + size - 8, 0, true) // padding
  view.setUint32(at, ENHANCED_PACKET, true)
  view.setUint32(at + 4, size, true)
  view.setUint32(at + 8, 0, true) // interface
  view.setUint32(at + 12, high, true)
  view.setUint32(at + 16, received - high * 2 ** 32, true)
  view.setUint32(at + 20, captured, true)
  view.setUint32(at + 24, captured, true)
  view.setUint32(at + size - 4, size, true)
  const ip = at + PACKET_START
  const udp = ip + headers - UDP_SIZE
  view.setUint16(udp, datagram.port)
  view.setUint16(udp + 2, dstPort)
  view.setUint16(udp + 4, length)
  view.setUint16(udp + 6, 0) // no checksum, which IPv4 allows
  chunk.set(bytes.subarray(start, end), udp + UDP_SIZE)
  if (!isV6) {
    writeIpv4(view, ip, captured, datagram.v4, datagram.session ? 1 : 0)
    return at + size
  }
  view.setUint32(ip, V6_START << 24)
  view.setUint16(ip + 4, length)
  view.setUint8(ip + 6, UDP)
  view.setUint8(ip + 7, HOP_LIMIT)
  const { v6 } = datagram
  for (let i = 0; i < 16; i++) chunk[ip + 8 + i] = v6[i]
  for (let i = 0; i < 4; i++) view.setUint32(ip + 24 + i * 4, COLLECTOR_V6[i])
  if (datagram.session) view.setUint32(ip + 36, COLLECTOR_V6[3] + 1)
  view.setUint16(udp + 6, checksumV6(view, ip, length), true)
  return at + size
}

function writeIpv4(view: DataView, at: number, length: number, source: number, session: number): void {
  view.setUint32(at, V4_START << 24 | length) // no type of service
  view.setUint32(at + 4, DO_NOT_FRAGMENT) // an identification is for fragments only (RFC 6864)
  view.setUint16(at + 8, HOP_LIMIT << 8 | UDP)
  view.setUint16(at + 10, ~fold(V4_SUM + session + length + (source >>> 16) + (source & 0xffff)))
  view.setUint32(at + 12, source)
  view.setUint32(at + 16, COLLECTOR_V4 + session)
}

/**
 * The UDP checksum of the IPv6 packet at `at`, whose field is still 0 and which is padded with zeros.
 *
 * The sum is of little-endian words, for which bytes need not be swapped (RFC 1071 §2): the field is too.
 */
function checksumV6(view: DataView, at: number, length: number): number {
  const end = at + IPV6_SIZE + length
  let low = swap(length) + swap(UDP)
  let high = 0 // of 64 KiB both stay below 2^31
  for (let word = at + 8; word < end; word += 4) { // addresses, then the datagram
    const both = view.getUint32(word, true)
    low += both & 0xffff
    high += both >>> 16
  }
  // 0 would say that there is none (RFC 768)
  return ~fold(low + high) & 0xffff || 0xffff
}

function swap(word: number): number {
  return (word & 0xff) << 8 | word >> 8
}

function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

/**
 * Read the next datagram in `bytes[at..end)` where blocks lie one behind the other; other blocks are skipped.
 *
 * @param view of all `bytes`
 * @returns the offset behind it; -1 when there is no more
 * @throws FlowkitError ERR_TRUNCATED when the last block is cut, ERR_MALFORMED when one is damaged
 */
export function readDatagram(
  bytes: Uint8Array, view: DataView, at: number, end: number, datagram: Datagram,
): number {
  while (at < end) {
    const fault = faultOf(view, at, end)
    if (fault !== undefined) {
      const description = describeFault(fault, view, at, end, at)
      throw new FlowkitError(fault.code, `Cannot read spooled datagram: ${description}`)
    }
    const next = at + view.getUint32(at + 4, true)
    if (view.getUint32(at, true) === ENHANCED_PACKET) {
      takeDatagram(bytes, view, at, datagram)
      return next
    }
    at = next
  }
  return -1
}

function takeDatagram(bytes: Uint8Array, view: DataView, at: number, datagram: Datagram): void {
  const ip = at + PACKET_START
  const isV6 = view.getUint8(ip) === V6_START
  const udp = ip + (isV6 ? IPV6_SIZE : IPV4_SIZE)
  datagram.bytes = bytes
  datagram.view = view
  datagram.start = udp + UDP_SIZE
  datagram.end = udp + view.getUint16(udp + 4)
  datagram.received = view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 16, true)
  datagram.port = view.getUint16(udp)
  datagram.family = isV6 ? 6 : 4
  datagram.session = isV6 ? view.getUint32(ip + 36) > COLLECTOR_V6[3] : view.getUint32(ip + 16) > COLLECTOR_V4
  if (isV6) {
    const { v6 } = datagram
    for (let i = 0; i < 16; i++) v6[i] = bytes[ip + 8 + i]
  } else datagram.v4 = view.getUint32(ip + 12)
}

/** What is wrong with a block. */
export interface Fault {
  readonly code: ErrorCode
  /** What is wanted, as messages say it. */
  readonly wanted: string
  /** What is there instead, in the block at `at`. */
  readonly found: (view: DataView, at: number, end: number) => number
}

/** The bytes end within the block; `found` counts them. */
export const CUT: Fault = {
  code: 'ERR_TRUNCATED', wanted: 'whole block', found: (_, at, end) => end - at,
}
/** The length at the end is another one than that at the begin, which the headers agree with. */
export const TRAILER: Fault = {
  code: 'ERR_MALFORMED', wanted: 'its length at its end',
  found: (view, at) => view.getUint32(at + view.getUint32(at + 4, true) - 4, true),
}
const TYPE: Fault = {
  code: 'ERR_MALFORMED', wanted: 'type of block that spools have',
  found: (view, at) => view.getUint32(at, true),
}
const LENGTH: Fault = {
  code: 'ERR_MALFORMED', wanted: `length up to ${MAX_BLOCK} and a multiple of 4`,
  found: (view, at) => view.getUint32(at + 4, true),
}
const CAPTURED: Fault = {
  code: 'ERR_MALFORMED', wanted: 'packet that fills its block',
  found: (view, at) => view.getUint32(at + 20, true),
}
const TIME: Fault = {
  code: 'ERR_MALFORMED', wanted: 'time below 2^53 µs',
  found: (view, at) => view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 16, true),
}
const VERSION: Fault = {
  code: 'ERR_MALFORMED', wanted: 'IPv4 or IPv6 header', found: (view, at) => view.getUint8(at + PACKET_START),
}
const HEADERS: Fault = {
  code: 'ERR_MALFORMED', wanted: 'IP and UDP headers that agree with the packet\'s length',
  found: (view, at) => view.getUint32(at + 20, true),
}
const CHECKSUM: Fault = {
  code: 'ERR_MALFORMED', wanted: 'IPv4 header that agrees with its checksum',
  found: (view, at) => view.getUint16(at + PACKET_START + 10),
}

/** A fault of the block at `at`, which is byte `offset` for whoever reads it: what stands behind a colon. */
export function describeFault(
  { wanted, found }: Fault, view: DataView, at: number, end: number, offset: number,
): string {
  return `${wanted} wanted at byte ${offset}, ${found(view, at, end)} found`
}

/**
 * Check the block at `at`.
 *
 * @returns what is wrong; CUT and TRAILER only of blocks where the rest that is there is right
 */
export function faultOf(view: DataView, at: number, end: number): Fault | undefined {
  if (end - at < BLOCK_OVERHEAD) return CUT
  const size = view.getUint32(at + 4, true)
  if (size < BLOCK_OVERHEAD || size > MAX_BLOCK || (size & 3) !== 0) return LENGTH
  const type = view.getUint32(at, true)
  if (type === ENHANCED_PACKET) {
    const fault = packetFaultOf(view, at, end, size)
    if (fault !== undefined) return fault
  } else if (!isSkipped(type)) return TYPE
  if (end - at < size) return CUT
  return view.getUint32(at + size - 4, true) === size ? undefined : TRAILER
}

function isSkipped(type: number): boolean {
  return type === SECTION_HEADER || type === INTERFACE_DESCRIPTION || type === NAME_RESOLUTION ||
    type === INTERFACE_STATISTICS
}

function packetFaultOf(view: DataView, at: number, end: number, size: number): Fault | undefined {
  if (size < V4_OVERHEAD) return LENGTH
  if (end - at < V4_OVERHEAD - 4) return CUT
  const captured = view.getUint32(at + 20, true)
  const needed = PACKET_OVERHEAD + captured + 3 & ~3
  if (needed !== size || view.getUint32(at + 24, true) !== captured) return CAPTURED
  if (view.getUint32(at + 12, true) >= MAX_TIME_HIGH) return TIME
  const ip = at + PACKET_START
  const version = view.getUint8(ip)
  if (version === V4_START) {
    if (view.getUint16(ip + 2) !== captured || view.getUint8(ip + 9) !== UDP) return HEADERS
    if (view.getUint16(ip + IPV4_SIZE + 4) !== captured - IPV4_SIZE) return HEADERS
    let sum = 0
    for (let word = ip; word < ip + IPV4_SIZE; word += 2) sum += view.getUint16(word)
    return fold(sum) === 0xffff ? undefined : CHECKSUM
  }
  if (version !== V6_START) return VERSION
  if (size < V6_OVERHEAD) return LENGTH
  if (end - at < V6_OVERHEAD - 4) return CUT
  const length = captured - IPV6_SIZE
  const agrees = view.getUint16(ip + 4) === length && view.getUint8(ip + 6) === UDP &&
    view.getUint16(ip + IPV6_SIZE + 4) === length
  return agrees ? undefined : HEADERS
}

/** Whether the block at `at` is of a datagram, as its type says. Needs 4 bytes. */
export function isDatagramBlock(view: DataView, at: number): boolean {
  return view.getUint32(at, true) === ENHANCED_PACKET
}
