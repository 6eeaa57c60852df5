import type { FlowBatch } from '../../flow/batch.ts'
import { ByteWriter, putUint } from '../../flow/byte-writer.ts'
import { ID } from '../../flow/fields.ts'
import type { SampleRow } from '../sample-row.ts'
import type { PacketPlaces } from './packet.ts'

/** What became of a flow record: its row has something of it, or nothing, or it contradicts itself. */
export const RECORD = { taken: 0, skipped: 1, damaged: 2 } as const

/** Fewest bytes of sampled_header, sampled_ethernet (unpadded), sampled_ipv4 and sampled_ipv6, by format. */
const PACKET_RECORD_SIZES = [0, 16, 20, 32, 56]
/** Longest list of numbers that one record can hold, since a datagram has 64 KiB: text of 11 bytes each. */
const MOST_NUMBERS = 16_384
const NUMBER_TEXT = 12

const AS_SET = 1
const MAX_VLAN = 4095
const MAX_PREFIX = 128
const UTF8 = 106 // MIBenum of the character set
const ASCII = 3

const SPACE = 32
const COMMA = 44
const COLON = 58
const OPEN = 123
const CLOSE = 125

const text = new ByteWriter(1024)

/**
 * Take a flow record, `bytes[at..end)`, into `row`. Packet records are only noted in `places`.
 *
 * Records that say nothing flowkit has a column for (URLs, MPLS tunnels, queues, functions, TCP state …) and
 * those of other enterprises are skipped.
 *
 * Source: sFlow version 5, section 5.4 (1001 to 1012), sflow_80211.txt (1014, 1015), sflow_pnat.txt (1020).
 *
 * @param format enterprise * 4096 + format
 * @returns a value of RECORD; if it is not `taken` the row is as it was
 */
export function takeFlowRecord(
  format: number, bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow,
  places: PacketPlaces, batch: FlowBatch,
): number {
  switch (format) {
    case 1: case 2: case 3: case 4: return note(places, format, at, end)
    case 1001: return takeSwitch(view, at, end, row)
    case 1002: return takeRouter(bytes, view, at, end, row)
    case 1003: return takeGateway(bytes, view, at, end, row, batch)
    case 1004: return takeUser(bytes, view, at, end, row, batch)
    case 1006: return takeMpls(bytes, view, at, end, row, places)
    case 1007: return takeNat(bytes, view, at, end, row)
    case 1012: return takeVlanTunnel(view, at, end, places)
    case 1014: case 1015: return takeWireless(bytes, view, at, end, row, batch)
    case 1020: return takeNatPorts(view, at, end, row)
    default: return RECORD.skipped
  }
}

/** Remember where a packet record lies; a sample has one of each. */
function note(places: PacketPlaces, format: number, at: number, end: number): number {
  if (end - at < PACKET_RECORD_SIZES[format]) return RECORD.damaged
  if (places.starts[format] >= 0) return RECORD.skipped
  places.starts[format] = at
  places.ends[format] = end
  return RECORD.taken
}

/** 0xffffffff is unknown, and so is 0 (sFlow version 5, section 5: "unknown integer value"). */
function takeSwitch(view: DataView, at: number, end: number, row: SampleRow): number {
  if (end - at < 16) return RECORD.damaged
  const from = view.getUint32(at)
  const to = view.getUint32(at + 8)
  if (from > 0 && from <= MAX_VLAN) row.set(ID.vlanId, from)
  if (to > 0 && to <= MAX_VLAN) row.set(ID.postVlanId, to)
  return RECORD.taken
}

function takeRouter(bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow): number {
  const next = addressEnd(view, at, end)
  if (next < 0 || end - next < 8) return RECORD.damaged
  takeHop(ID.nextHop, bytes, view, at, row)
  const source = view.getUint32(next)
  const target = view.getUint32(next + 4)
  if (source <= MAX_PREFIX) row.set(ID.srcMask, source)
  if (target <= MAX_PREFIX) row.set(ID.dstMask, target)
  return RECORD.taken
}

/**
 * Next hop, AS numbers, path, communities and local preference.
 *
 * Without a source AS, or without a path, that end of the flow lies in the router's own AS, as goflow2 says.
 */
function takeGateway(
  bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow, batch: FlowBatch,
): number {
  const numbers = addressEnd(view, at, end)
  if (numbers < 0 || end - numbers < 16) return RECORD.damaged
  const segments = view.getUint32(numbers + 12)
  let next = numbers + 16
  let first = 0
  let last = 0
  for (let i = 0; i < segments; i++) {
    if (end - next < 8) return RECORD.damaged
    const count = view.getUint32(next + 4)
    if (count > (end - next - 8) / 4) return RECORD.damaged
    next += 8 + count * 4
    if (count === 0) continue
    first ||= view.getUint32(next - count * 4)
    last = view.getUint32(next - 4)
  }
  if (end - next < 4) return RECORD.damaged
  const communities = view.getUint32(next)
  if (communities > (end - next - 8) / 4) return RECORD.damaged
  const own = view.getUint32(numbers)
  takeHop(ID.bgpNextHop, bytes, view, at, row)
  setKnown(ID.srcAs, view.getUint32(numbers + 4) || own, row)
  setKnown(ID.dstAs, last || own, row)
  setKnown(ID.prevAs, view.getUint32(numbers + 8), row)
  setKnown(ID.nextAs, first, row)
  setKnown(ID.localPref, view.getUint32(next + 4 + communities * 4), row)
  text.room(0, MOST_NUMBERS * NUMBER_TEXT)
  if (last > 0 && row.wants(ID.asPath)) {
    putText(ID.asPath, text.bytes, 0, writePath(view, numbers + 16, segments), row, batch)
  }
  if (communities > 0 && row.wants(ID.bgpCommunities)) {
    putText(ID.bgpCommunities, text.bytes, 0, writeCommunities(view, next + 4, communities), row, batch)
  }
  return RECORD.taken
}

/** `64500 64501 {64502,64503}`: sequences with spaces, sets in braces. @returns the length of the text */
function writePath(view: DataView, at: number, segments: number): number {
  const { bytes, view: out } = text
  let to = 0
  for (let segment = 0; segment < segments; segment++) {
    const isSet = view.getUint32(at) === AS_SET
    const count = view.getUint32(at + 4)
    at += 8
    if (count === 0) continue
    if (to > 0) bytes[to++] = SPACE
    if (isSet) bytes[to++] = OPEN
    for (let i = 0; i < count; i++, at += 4) {
      if (i > 0) bytes[to++] = isSet ? COMMA : SPACE
      to = putUint(view.getUint32(at), out, to)
    }
    if (isSet) bytes[to++] = CLOSE
  }
  return to
}

/** `64500:100 64500:200` (RFC 1997). @returns the length of the text */
function writeCommunities(view: DataView, at: number, count: number): number {
  const { bytes, view: out } = text
  let to = 0
  for (let i = 0; i < count; i++, at += 4) {
    if (i > 0) bytes[to++] = SPACE
    to = putUint(view.getUint16(at), out, to)
    bytes[to++] = COLON
    to = putUint(view.getUint16(at + 2), out, to)
  }
  return to
}

/** The user of the source, or else of the destination, if the character set is UTF-8, ASCII or not told. */
function takeUser(
  bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow, batch: FlowBatch,
): number {
  const source = at + 4
  const target = opaqueEnd(view, source, end) + 4
  if (target < source || opaqueEnd(view, target, end) < 0) return RECORD.damaged
  const taken = takeName(bytes, view, source, row, batch) || takeName(bytes, view, target, row, batch)
  return taken ? RECORD.taken : RECORD.skipped
}

/** Take the name at `at`, which its character set stands before. @returns whether it can be read */
function takeName(bytes: Uint8Array, view: DataView, at: number, row: SampleRow, batch: FlowBatch): boolean {
  const charset = view.getUint32(at - 4)
  const length = view.getUint32(at)
  if (length === 0 || (charset !== 0 && charset !== UTF8 && charset !== ASCII)) return false
  putText(ID.userName, bytes, at + 4, at + 4 + length, row, batch)
  return true
}

/** The next hop, and the stack of the received packet for the case that its header does not have it. */
function takeMpls(
  bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow, places: PacketPlaces,
): number {
  const stack = addressEnd(view, at, end)
  if (stack < 0 || end - stack < 4) return RECORD.damaged
  const labels = view.getUint32(stack)
  if (labels > (end - stack - 4) / 4) return RECORD.damaged
  if (!row.has(ID.nextHop)) takeHop(ID.nextHop, bytes, view, at, row)
  places.mpls = stack + 4
  places.mplsLabels = labels
  return RECORD.taken
}

function takeNat(bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow): number {
  const target = addressEnd(view, at, end)
  if (target < 0 || addressEnd(view, target, end) < 0) return RECORD.damaged
  takeAddress(ID.postNatSrcAddr, bytes, view, at, row)
  takeAddress(ID.postNatDstAddr, bytes, view, target, row)
  return RECORD.taken
}

function takeNatPorts(view: DataView, at: number, end: number, row: SampleRow): number {
  if (end - at < 8) return RECORD.damaged
  const source = view.getUint32(at)
  const target = view.getUint32(at + 4)
  if (source <= 0xffff) row.set(ID.postNaptSrcPort, source)
  if (target <= 0xffff) row.set(ID.postNaptDstPort, target)
  return RECORD.taken
}

/** Tags that were stripped from the packet, the outermost first. */
function takeVlanTunnel(view: DataView, at: number, end: number, places: PacketPlaces): number {
  if (end - at < 4) return RECORD.damaged
  const count = view.getUint32(at)
  if (count > (end - at - 4) / 4) return RECORD.damaged
  for (let i = 0; i < Math.min(count, 2); i++) {
    const vlan = view.getUint32(at + 4 + i * 4) & MAX_VLAN
    if (places.outerVlan < 0) places.outerVlan = vlan
    else if (places.innerVlan < 0) places.innerVlan = vlan
  }
  return count > 0 ? RECORD.taken : RECORD.skipped
}

/** Network name and access point, with which records of received (1014) and of sent frames (1015) begin. */
function takeWireless(
  bytes: Uint8Array, view: DataView, at: number, end: number, row: SampleRow, batch: FlowBatch,
): number {
  const station = opaqueEnd(view, at, end)
  if (station < 0 || end - station < 6) return RECORD.damaged
  const length = view.getUint32(at)
  if (length > 0) putText(ID.ssid, bytes, at + 4, at + 4 + length, row, batch)
  row.set(ID.wtpMac, view.getUint16(station) * 2 ** 32 + view.getUint32(station + 2))
  return RECORD.taken
}

function setKnown(id: number, value: number, row: SampleRow): void {
  if (value > 0) row.set(id, value)
}

function putText(
  id: number, bytes: Uint8Array, start: number, end: number, row: SampleRow, batch: FlowBatch,
): void {
  if (row.wants(id)) row.setPair(id, batch.addBytes(bytes, start, end), end - start)
}

/** Where the XDR union `address` at `at` ends: type, and 0, 4 or 16 bytes; -1 if none, or behind `end`. */
function addressEnd(view: DataView, at: number, end: number): number {
  if (end - at < 4) return -1
  const type = view.getUint32(at)
  if (type > 2) return -1
  const next = at + (type === 0 ? 4 : type === 1 ? 8 : 20)
  return next > end ? -1 : next
}

/** Take an address that `addressEnd` has checked; an unknown one stays absent. */
function takeAddress(id: number, bytes: Uint8Array, view: DataView, at: number, row: SampleRow): void {
  const type = view.getUint32(at)
  if (type === 1) row.setIpv4(id, view.getUint32(at + 4))
  else if (type === 2) row.setIpv6(id, bytes, at + 4)
}

/** Take the address of a next hop, which is unknown if it is all zeros. */
function takeHop(id: number, bytes: Uint8Array, view: DataView, at: number, row: SampleRow): void {
  const type = view.getUint32(at)
  const words = type === 1 ? 1 : type === 2 ? 4 : 0
  for (let i = 1; i <= words; i++) {
    if (view.getUint32(at + i * 4) !== 0) return takeAddress(id, bytes, view, at, row)
  }
}

/** Where the XDR `opaque<>` at `at` ends, padded to four bytes; -1 if it passes `end`. */
function opaqueEnd(view: DataView, at: number, end: number): number {
  if (end - at < 4) return -1
  const length = view.getUint32(at)
  return length > end - at - 4 ? -1 : Math.min(end, at + 4 + Math.ceil(length / 4) * 4)
}
