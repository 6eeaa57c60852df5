import { ID } from '../flow/fields.ts'
import { FRAGMENT, MORE_FRAGMENTS, type PacketHeaders } from '../pcap/packet-headers.ts'
import type { SampleRow } from './sample-row.ts'

const MAX_LABELS = 10
/** Fragment flags of the IPv4 header, as fragmentFlags (IE 197) has them. */
const FLAG_BITS = 0xe0
const MORE_BIT = 0x20

/** Fields that the headers of a packet can tell: those that `takeHeaders` sets, and the tags of VLANs. */
export const PACKET_FIELDS: readonly number[] = [
  ID.srcMac, ID.dstMac, ID.vlanId, ID.customerVlanId, ID.etype, ID.mplsExp, ID.mplsTtl,
  ...Array.from({ length: MAX_LABELS }, (_, i) => ID.mplsLabel1 + i),
  ID.srcAddr, ID.dstAddr, ID.proto, ID.tos, ID.ipTtl, ID.ipFlags, ID.fragmentId, ID.fragmentOffset,
  ID.ipv6FlowLabel, ID.srcPort, ID.dstPort, ID.tcpFlags, ID.icmpType, ID.icmpCode,
]

/**
 * Take what the headers of a sampled packet say into `row`, but for the tags of VLANs, which not only the
 * packet tells of.
 *
 * @param bytes what `h` was parsed from
 * @param view of `bytes`
 */
export function takeHeaders(bytes: Uint8Array, view: DataView, h: PacketHeaders, row: SampleRow): void {
  if (h.srcMac >= 0) row.set(ID.srcMac, readMac(view, h.srcMac))
  if (h.dstMac >= 0) row.set(ID.dstMac, readMac(view, h.dstMac))
  if (h.etype >= 0) row.set(ID.etype, h.etype)
  if (h.mplsLabels > 0) takeLabels(view, h.mpls, h.mplsLabels, row)
  if (h.ipVersion === 0) return
  if (h.ipVersion === 4) {
    row.setIpv4(ID.srcAddr, view.getUint32(h.srcAddr))
    row.setIpv4(ID.dstAddr, view.getUint32(h.dstAddr))
    row.set(ID.ipFlags, bytes[h.ip + 6] & FLAG_BITS)
    row.set(ID.fragmentOffset, h.fragmentOffset >> 3)
  } else {
    row.setIpv6(ID.srcAddr, bytes, h.srcAddr)
    row.setIpv6(ID.dstAddr, bytes, h.dstAddr)
    row.set(ID.ipv6FlowLabel, h.flowLabel)
    if ((h.flags & FRAGMENT) !== 0) {
      row.set(ID.ipFlags, (h.flags & MORE_FRAGMENTS) !== 0 ? MORE_BIT : 0)
      row.set(ID.fragmentOffset, h.fragmentOffset >> 3)
    }
  }
  if (h.proto >= 0) row.set(ID.proto, h.proto)
  row.set(ID.tos, h.tos)
  row.set(ID.ipTtl, h.ttl)
  if (h.ipId >= 0) row.set(ID.fragmentId, h.ipId)
  if (h.srcPort >= 0) row.set(ID.srcPort, h.srcPort)
  if (h.dstPort >= 0) row.set(ID.dstPort, h.dstPort)
  if (h.tcpFlags >= 0) row.set(ID.tcpFlags, h.tcpFlags)
  if (h.icmpType >= 0) row.set(ID.icmpType, h.icmpType)
  if (h.icmpCode >= 0) row.set(ID.icmpCode, h.icmpCode)
}

/** Take a stack of `count` MPLS label entries (RFC 3032), the first 10 of them. */
export function takeLabels(view: DataView, at: number, count: number, row: SampleRow): void {
  let classes = 0
  const labels = Math.min(count, MAX_LABELS)
  for (let i = 0; i < labels; i++) {
    const entry = view.getUint32(at + i * 4)
    row.set(ID.mplsLabel1 + i, entry >>> 12)
    classes += (entry >>> 8 & 15) * 16 ** i
  }
  if (labels === 0) return
  row.set(ID.mplsExp, classes)
  row.set(ID.mplsTtl, view.getUint32(at) & 255)
}

/** The MAC address at `at` as a number. */
export function readMac(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2)
}
