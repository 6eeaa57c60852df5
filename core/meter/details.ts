import type { PacketHeaders } from '../pcap/packet-headers.ts'
import { readUint32 } from '../pcap/packet.ts'
import { DETAIL_WORDS, EXTRA_WORDS, type FlowTable, protoWord } from './flow-table.ts'

/** Places of the details: high halves of the destination's and the source's MAC address. */
export const MAC_HIGH = 0
/** Low word of the destination's MAC address. */
export const DST_MAC = 1
/** Low word of the source's. */
export const SRC_MAC = 2
/** Outer VLAN, inner VLAN in the lower half; NO_VLAN for none. */
export const VLANS = 3
/** Type of service, and the reverse direction's above bit 8. */
export const TOS = 4
/** IPv6 flow label. */
export const FLOW_LABEL = 5
/** What there is of these: number of MPLS labels in the lowest four bits, and the bits below. */
export const PRESENT = 6

/** The number of MPLS labels. */
export const LABELS = 15
/** The source's MAC address. */
export const HAS_SRC_MAC: number = 1 << 4
/** The destination's. */
export const HAS_DST_MAC: number = 1 << 5
/** The tunnel around the flow. */
export const HAS_TUNNEL: number = 1 << 6

/** In place of a VLAN that there is not. */
export const NO_VLAN = 0xffff

/** Places of the extras: ten label stack entries, then the tunnel's protocol and IP version. */
export const TUNNEL = 10
/** Four words each of the tunnel's addresses. */
export const TUNNEL_SRC = 11
/** The destination. */
export const TUNNEL_DST = 15
const TUNNEL_WORDS = 9

/**
 * Take what a flow is told of by its first packet alone into `table`.
 *
 * @param tunnel what `takeTunnel` has taken, if the packet is in a tunnel
 */
export function takeDetails(
  bytes: Uint8Array, h: PacketHeaders, tunnel: Int32Array | undefined, table: FlowTable, slot: number,
): void {
  const { details } = table
  const at = slot * DETAIL_WORDS
  let present = h.mplsLabels
  let high = 0
  if (h.dstMac >= 0) {
    present |= HAS_DST_MAC
    high = (bytes[h.dstMac] << 24) | (bytes[h.dstMac + 1] << 16)
    details[at + DST_MAC] = readUint32(bytes, h.dstMac + 2, false)
  }
  if (h.srcMac >= 0) {
    present |= HAS_SRC_MAC
    high |= (bytes[h.srcMac] << 8) | bytes[h.srcMac + 1]
    details[at + SRC_MAC] = readUint32(bytes, h.srcMac + 2, false)
  }
  details[at + MAC_HIGH] = high
  details[at + VLANS] = ((h.vlanId & NO_VLAN) << 16) | (h.innerVlanId & NO_VLAN)
  if (tunnel !== undefined) present |= HAS_TUNNEL
  details[at + PRESENT] = present
  if ((present & (LABELS | HAS_TUNNEL)) === 0) return
  const extras = table.useExtras()
  const extra = slot * EXTRA_WORDS
  for (let i = 0; i < h.mplsLabels; i++) extras[extra + i] = readUint32(bytes, h.mpls + i * 4, false)
  if (tunnel !== undefined) for (let i = 0; i < TUNNEL_WORDS; i++) extras[extra + TUNNEL + i] = tunnel[i]
}

/** Take protocol and addresses of the tunnel that `outer` is, as the extras have them. */
export function takeTunnel(bytes: Uint8Array, outer: PacketHeaders, tunnel: Int32Array): void {
  tunnel[0] = protoWord(outer.proto, 0, outer.ipVersion)
  const words = outer.ipVersion === 4 ? 1 : 4
  for (let i = 0; i < words; i++) {
    tunnel[TUNNEL_SRC - TUNNEL + i] = readUint32(bytes, outer.srcAddr + i * 4, false)
    tunnel[TUNNEL_DST - TUNNEL + i] = readUint32(bytes, outer.dstAddr + i * 4, false)
  }
}
