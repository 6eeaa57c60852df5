import type { AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { FLOW_TYPE } from '../../flow/names.ts'
import { labelEntry, labelsOf, type XdrWriter } from './xdr.ts'

/** Longest name of a user; InMon's reader has room for as much. */
const MOST_NAME = 200
const UTF8 = 106 // MIBenum of the character set
const AS_SET = 1, AS_SEQUENCE = 2
const AS_FIELDS = [ID.srcAs, ID.dstAs, ID.nextAs, ID.prevAs]
const ROUTE_FIELDS = [ID.bgpNextHop, ID.asPath, ID.bgpCommunities, ID.localPref]
const ZERO = 48, NINE = 57, COLON = 58, OPEN = 123, CLOSE = 125

/** Fields that the extended records carry. */
export const EXTENDED_FIELDS: readonly number[] = [
  ...AS_FIELDS, ...ROUTE_FIELDS, ID.vlanId, ID.postVlanId, ID.nextHop, ID.srcMask, ID.dstMask, ID.userName,
  ID.postNatSrcAddr, ID.postNatDstAddr, ID.postNaptSrcPort, ID.postNaptDstPort, ID.mplsExp, ID.mplsTtl,
  ...Array.from({ length: 10 }, (_, i) => ID.mplsLabel1 + i),
]

/** Where the records of one sample go, and how much of lists has room. */
export interface ExtendedRecords {
  readonly out: XdrWriter
  readonly narrowed: Float64Array
  /** Bytes that an AS path may take, and communities as many. */
  readonly listSize: number
}

/**
 * Write the extended records that a row has fields for, but for MPLS labels.
 *
 * @returns how many
 */
export function writeExtended(to: ExtendedRecords, batch: FlowBatch, row: number, mask: Uint8Array): number {
  const { out } = to
  let records = 0
  const vlan = mask[ID.vlanId] ? batch.vlanId[row] : 0
  const postVlan = mask[ID.postVlanId] ? batch.postVlanId[row] : 0
  if (vlan > 0 || postVlan > 0) {
    const start = out.begin(1001)
    out.u32(vlan)
    out.u32(0)
    out.u32(postVlan)
    out.u32(0)
    out.end(start)
    records++
  }
  if (mask[ID.nextHop] || mask[ID.srcMask] || mask[ID.dstMask]) {
    const start = out.begin(1002)
    writeAddress(out, batch, ID.nextHop, row, mask)
    out.u32(mask[ID.srcMask] ? batch.srcMask[row] : 0)
    out.u32(mask[ID.dstMask] ? batch.dstMask[row] : 0)
    out.end(start)
    records++
  }
  if (hasGateway(batch, row, mask)) {
    writeGateway(to, batch, row, mask)
    records++
  }
  if (mask[ID.userName]) {
    writeUser(to, batch, row)
    records++
  }
  if (mask[ID.postNatSrcAddr] || mask[ID.postNatDstAddr]) {
    const start = out.begin(1007)
    // sFlow version 5 section 5.4: an address that is not translated equals the packet's
    writeAddress(out, batch, mask[ID.postNatSrcAddr] ? ID.postNatSrcAddr : ID.srcAddr, row, mask)
    writeAddress(out, batch, mask[ID.postNatDstAddr] ? ID.postNatDstAddr : ID.dstAddr, row, mask)
    out.end(start)
    records++
  }
  if (mask[ID.postNaptSrcPort] || mask[ID.postNaptDstPort]) {
    const start = out.begin(1020)
    out.u32(mask[ID.postNaptSrcPort] ? batch.postNaptSrcPort[row] : mask[ID.srcPort] ? batch.srcPort[row] : 0)
    out.u32(mask[ID.postNaptDstPort] ? batch.postNaptDstPort[row] : mask[ID.dstPort] ? batch.dstPort[row] : 0)
    out.end(start)
    records++
  }
  return records
}

/** An AS number of 0 is unknown, and worth no record. */
function hasGateway(batch: FlowBatch, row: number, mask: Uint8Array): boolean {
  for (const id of ROUTE_FIELDS) if (mask[id]) return true
  for (const id of AS_FIELDS) if (mask[id] && (batch.column(id) as Uint32Array)[row] > 0) return true
  return false
}

/**
 * A row without a path has one of the next AS and the destination's, as far as it tells them; but a sample
 * told of no path, so that its destination lies in the router's own AS.
 */
function writeGateway(to: ExtendedRecords, batch: FlowBatch, row: number, mask: Uint8Array): void {
  const { out, narrowed, listSize } = to
  const { heap } = batch
  const sampled = mask[ID.type] === 1 && batch.type[row] === FLOW_TYPE.SFLOW_5
  const start = out.begin(1003)
  const dstAs = mask[ID.dstAs] ? batch.dstAs[row] : 0
  const nextAs = mask[ID.nextAs] ? batch.nextAs[row] : 0
  const local = sampled && !mask[ID.asPath] && nextAs === 0
  writeAddress(out, batch, ID.bgpNextHop, row, mask)
  out.u32(local ? dstAs : 0) // the router's own AS
  out.u32(mask[ID.srcAs] ? batch.srcAs[row] : 0)
  out.u32(mask[ID.prevAs] ? batch.prevAs[row] : 0)
  const path = out.at
  out.u32(0)
  if (mask[ID.asPath]) {
    const from = batch.asPath[row * 2]
    const whole = writePath(out, path, heap, from, from + batch.asPath[row * 2 + 1], listSize)
    if (!whole) narrowed[ID.asPath]++
  } else if (dstAs > 0 && !local) {
    const two = nextAs > 0 && nextAs !== dstAs
    out.view.setUint32(path, 1)
    out.u32(AS_SEQUENCE)
    out.u32(two ? 2 : 1)
    if (two) out.u32(nextAs)
    out.u32(dstAs)
  }
  const told = out.at - path > 4
  if (dstAs > 0 && !local && (!told || out.view.getUint32(out.at - 4) !== dstAs)) narrowed[ID.dstAs]++
  if (nextAs > 0 && (!told || out.view.getUint32(path + 12) !== nextAs)) narrowed[ID.nextAs]++
  const communities = out.at
  out.u32(0)
  if (mask[ID.bgpCommunities]) {
    const from = batch.bgpCommunities[row * 2]
    const end = from + batch.bgpCommunities[row * 2 + 1]
    const whole = writeCommunities(out, communities, heap, from, end, listSize)
    if (!whole) narrowed[ID.bgpCommunities]++
  }
  out.u32(mask[ID.localPref] ? batch.localPref[row] : 0)
  out.end(start)
}

/**
 * Write the segments of an AS path, text of numbers with sets in braces, and their number at `place`.
 *
 * @returns whether all numbers had room
 */
function writePath(
  out: XdrWriter, place: number, text: Uint8Array, at: number, end: number, size: number,
): boolean {
  const limit = out.at + size
  let isSet = false
  let segments = 0
  let count = 0 // of the segment
  let digits = 0
  let value = 0
  for (; at <= end; at++) {
    const c = at < end ? text[at] : 0
    if (c >= ZERO && c <= NINE) {
      value = value * 10 + c - ZERO
      digits++
      continue
    }
    if (digits > 0) {
      if (out.at + (count === 0 ? 12 : 4) > limit) return false
      if (count === 0) {
        out.u32(isSet ? AS_SET : AS_SEQUENCE)
        out.u32(0)
        out.view.setUint32(place, ++segments)
      }
      out.u32(Math.min(value, 0xffffffff))
      count++
      out.view.setUint32(out.at - 4 - count * 4, count)
      digits = value = 0
    }
    if (c === OPEN || c === CLOSE) {
      isSet = c === OPEN
      count = 0
    }
  }
  return true
}

/**
 * Write communities, text of `64500:100` or of plain numbers, and their number at `place`.
 *
 * @returns whether all could be written: large communities (RFC 8092) cannot
 */
function writeCommunities(
  out: XdrWriter, place: number, text: Uint8Array, at: number, end: number, size: number,
): boolean {
  const limit = out.at + size
  let count = 0
  let parts = 0 // before the last of a community
  let digits = 0
  let high = 0
  let value = 0
  let whole = true
  for (; at <= end; at++) {
    const c = at < end ? text[at] : 0
    if (c >= ZERO && c <= NINE) {
      value = value * 10 + c - ZERO
      digits++
    } else if (c === COLON && digits > 0) {
      high = value
      parts++
      digits = value = 0
    } else if (digits > 0) {
      const fits = parts === 0 ? value <= 0xffffffff : parts === 1 && high <= 0xffff && value <= 0xffff
      if (fits && out.at + 4 <= limit) {
        out.u32(parts === 0 ? value : high * 65_536 + value)
        out.view.setUint32(place, ++count)
      } else whole = false
      parts = digits = value = 0
    }
  }
  return whole
}

function writeUser({ out, narrowed }: ExtendedRecords, { userName, heap }: FlowBatch, row: number): void {
  const from = userName[row * 2]
  const length = Math.min(userName[row * 2 + 1], MOST_NAME)
  if (length < userName[row * 2 + 1]) narrowed[ID.userName]++
  const start = out.begin(1004)
  out.u32(UTF8)
  out.u32(length)
  out.copy(heap, from, from + length)
  out.pad()
  out.u32(UTF8)
  out.u32(0)
  out.end(start)
}

/**
 * Write an extended_mpls record with the stack as received, if the row has one; the next hop is the router's.
 *
 * Wireshark takes one that ends the datagram for damaged.
 *
 * @returns how many records
 */
export function writeLabels(out: XdrWriter, batch: FlowBatch, row: number, mask: Uint8Array): number {
  const labels = labelsOf(mask)
  if (labels === 0) return 0
  const start = out.begin(1006)
  out.u32(1)
  out.u32(0)
  out.u32(labels)
  for (let i = 0; i < labels; i++) out.u32(labelEntry(batch, row, mask, i, labels))
  out.u32(0)
  out.end(start)
  return 1
}

/** An unknown address is 0.0.0.0: there is a type for it, but InMon's readers and goflow2 give up on that. */
function writeAddress(out: XdrWriter, batch: FlowBatch, id: number, row: number, mask: Uint8Array): void {
  const { family, v4, v6 } = batch.column(id) as AddressColumn
  if (mask[id] && family[row] === 6) {
    out.u32(2)
    out.copy(v6, row * 16, row * 16 + 16)
  } else {
    out.u32(1)
    out.u32(mask[id] ? v4[row] : 0)
  }
}
