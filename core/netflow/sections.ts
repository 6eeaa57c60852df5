import type { FlowBatch } from '../flow/batch.ts'
import { FIELD_COUNT, ID } from '../flow/fields.ts'
import { VARIABLE_LENGTH, type ExtraElement } from '../flow/shape.ts'
import { LINK_ETHERNET, LINK_MPLS, LINK_RAW, parsePacket } from '../pcap/headers.ts'
import { PacketHeaders } from '../pcap/packet-headers.ts'
import { PACKET_FIELDS, takeHeaders } from './packet-fields.ts'
import { SampleRow } from './sample-row.ts'
import { readUint, type Records } from './steps.ts'

/** A field of a record: offset and length, as of steps. */
interface Place {
  readonly at: number
  readonly length: number
}

/** A field that holds the beginning of a packet, and the LINKTYPE_ number of what it begins with. */
interface Section extends Place {
  readonly link: number
}

/** Where the records of a layout carry sampled packets, and what they say about them. */
export interface SectionPlan {
  /** The one that tells most first. */
  readonly sections: readonly Section[]
  /** Bytes of the packet that were left out before a section. */
  readonly offsets: readonly Place[]
  /** How many bytes of the frame's section are not padding. */
  readonly exported: Place | undefined
  readonly frameSize: Place | undefined
  readonly frameType: Place | undefined
  /** Whether the packet is to be counted, since the record has no counters. */
  readonly counts: boolean
}

/** Elements that hold the beginning of a packet: of the whole frame first, then of parts of it. */
const SECTIONS: readonly { readonly id: number, readonly link: number }[] = [
  { id: 315, link: LINK_ETHERNET }, // dataLinkFrameSection
  { id: 104, link: LINK_ETHERNET }, // layer2packetSectionData
  { id: 316, link: LINK_MPLS }, // mplsLabelStackSection, with the payload behind if it is long enough
  { id: 317, link: LINK_RAW }, // mplsPayloadPacketSection
  { id: 313, link: LINK_RAW }, // ipHeaderPacketSection
]
const SECTION_OFFSETS = [409, 102] // sectionOffset, layer2packetSectionOffset
const SECTION_EXPORTED_OCTETS = 410
const FRAME_SIZES = [312, 103] // dataLinkFrameSize, layer2packetSectionSize
const FRAME_TYPE = 408
const FRAME_TYPE_ETHERNET = 1
const MAX_U32 = 0xffffffff

/** A record with one of these counts what it tells of. */
const COUNTERS = [
  ID.bytes, ID.packets, ID.outBytes, ID.outPackets, ID.l2Bytes, ID.droppedBytes, ID.droppedPackets,
]

/** All that sections can fill. */
const FILLED = [...PACKET_FIELDS, ID.frameLength, ID.bytes, ID.packets]

const headers = new PacketHeaders()
const ALL = new Uint8Array(FIELD_COUNT).fill(1)
/** Reused from set to set, by the fields wanted. */
const samples = new WeakMap<Uint8Array, SampleRow>()

/**
 * Find the sections of packets in a record layout.
 *
 * @param offsets of the fields
 * @param present fields that the record itself fills, wanted or not
 * @param wanted by field id, 1 if wanted; absent: all
 * @returns undefined if there is none, or nothing in it that is wanted
 */
export function planSections(
  layout: readonly ExtraElement[], offsets: readonly number[], present: ReadonlySet<number>,
  wanted: Uint8Array | undefined,
): SectionPlan | undefined {
  const find = (id: number) => layout.findIndex((f) => f.pen === 0 && f.id === id && f.length > 0)
  const sections = SECTIONS
    .map(({ id, link }) => ({ index: find(id), link }))
    .filter(({ index }) => index >= 0)
    .map(({ index, link }) => ({ at: offsets[index], length: layout[index].length, link }))
  const counts = !COUNTERS.some((id) => present.has(id))
  const isTold = (id: number) => present.has(id) || (!counts && COUNTERS.includes(id))
  if (sections.length === 0 || !FILLED.some((id) => wanted?.[id] !== 0 && !isTold(id))) return undefined
  const numbers = (ids: readonly number[]): Place[] => layout
    .map(({ pen, id, length }, index) => ({ pen, id, length, at: offsets[index] }))
    .filter(({ pen, id, length }) => pen === 0 && ids.includes(id) && length > 0 && length <= 8)
  return {
    sections,
    offsets: numbers(SECTION_OFFSETS),
    exported: numbers([SECTION_EXPORTED_OCTETS])[0],
    frameSize: numbers(FRAME_SIZES)[0],
    frameType: numbers([FRAME_TYPE])[0],
    counts,
  }
}

/**
 * Fill rows from `row` on with what the sampled packets in their records tell, if the rows do not have it.
 *
 * The packet is taken from dataLinkFrameSection (IE 315, or 104 of NetFlow-Lite), mplsLabelStackSection
 * (316), mplsPayloadPacketSection (317) or ipHeaderPacketSection (313), as far as its headers are there and
 * sound. A section that does not begin the packet (sectionOffset, IE 409 or 102) and frames that are not
 * Ethernet (dataLinkFrameType, IE 408) are not looked into. Of a packet in a tunnel it is the outer one that
 * is told of.
 *
 * A record without counters reports one packet, as in goflow2: `packets` is 1, and `bytes` the length of the
 * frame (dataLinkFrameSize, IE 312 or 103). Failing that, it is what the headers tell: the length of the IP
 * packet, with the frame's headers where the section has them; goflow2 takes the section's length for it.
 *
 * Sources: RFC 5477, RFC 7133, RFC 7270.
 *
 * @param view of `records.source`
 * @param wanted by field id, 1 if wanted; absent: all
 */
export function takeSections(
  plan: SectionPlan, records: Records, view: DataView, batch: FlowBatch, row: number,
  wanted: Uint8Array = ALL,
): void {
  const { bytes, size, count } = records
  const { frameSize, counts } = plan
  let sample = samples.get(wanted)
  if (!sample) samples.set(wanted, sample = new SampleRow(wanted))
  const end = row + count
  for (let first = records.at; row < end; row++, first += size) {
    sample.clear()
    let length = takeSection(plan, records, view, first, sample)
    const frame = frameSize ? Math.min(readUint(bytes, first + frameSize.at, frameSize.length), MAX_U32) : 0
    if (frame > 0) {
      sample.set(ID.frameLength, frame)
      length = frame
    }
    if (counts) {
      sample.set(ID.packets, 1)
      if (length > 0) sample.set(ID.bytes, length)
    }
    sample.add(batch, row)
  }
}

/**
 * Take the packet of the record at `first`.
 *
 * @returns its length as its headers tell it, 0 if they do not
 */
function takeSection(
  { sections, offsets, exported, frameType }: SectionPlan, { bytes, view: packed, source }: Records,
  view: DataView, first: number, sample: SampleRow,
): number {
  for (const { at, length } of offsets) if (readUint(bytes, first + at, length) !== 0) return 0
  let told = 0
  for (const { at, length, link } of sections) {
    if (sample.has(ID.srcAddr)) break
    const isVariable = length === VARIABLE_LENGTH
    const start = isVariable ? packed.getUint32(first + at) : first + at
    let size = isVariable ? packed.getUint32(first + at + 4) : length
    if (link === LINK_ETHERNET) {
      const type = frameType ? readUint(bytes, first + frameType.at, frameType.length) : FRAME_TYPE_ETHERNET
      if (type !== FRAME_TYPE_ETHERNET && type !== 0) continue
      if (exported) size = Math.min(size, readUint(bytes, first + exported.at, exported.length))
    }
    parsePacket(source, start, start + size, link, headers)
    takeHeaders(source, view, headers, sample)
    const { vlanId, innerVlanId, ip, ipLength } = headers
    if (vlanId >= 0) sample.set(ID.vlanId, vlanId)
    if (innerVlanId >= 0) sample.set(ID.customerVlanId, innerVlanId)
    if (ipLength > 0) told = link === LINK_ETHERNET ? ip - start + ipLength : ipLength
  }
  return told
}
