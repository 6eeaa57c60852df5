import type { AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../../flow/names.ts'
import { labelEntry, labelsOf, type XdrWriter } from './xdr.ts'

/** Fields that only a packet's IP header carries, not the records that tell of its addresses and ports. */
export const IP_FIELDS: readonly number[] = [
  ID.ipTtl, ID.ipFlags, ID.fragmentId, ID.fragmentOffset, ID.ipv6FlowLabel,
]

const ETYPE_VLAN = 0x8100, ETYPE_QINQ = 0x88a8, ETYPE_MPLS = 0x8847
const ICMP = 1, TCP = 6, UDP = 17, DCCP = 33, FRAGMENT = 44, ICMPV6 = 58, SCTP = 132, UDP_LITE = 136
const ETHERNET_SIZE = 14
const IPV4_SIZE = 20
const IPV6_SIZE = 40

/**
 * Write the headers of an Ethernet frame that a row tells of: MAC addresses, two VLAN tags if it has an inner
 * one, MPLS labels, and the IP packet.
 *
 * @param mask of the row's shape; it has a protocol, and addresses of one family
 * @param length of the frame
 */
export function writeFrame(
  out: XdrWriter, batch: FlowBatch, row: number, mask: Uint8Array, length: number,
): void {
  const start = out.at
  out.mac(mask[ID.dstMac] ? batch.dstMac[row] : 0)
  out.mac(mask[ID.srcMac] ? batch.srcMac[row] : 0)
  if (mask[ID.customerVlanId]) {
    out.u16(ETYPE_QINQ)
    out.u16(mask[ID.vlanId] ? batch.vlanId[row] : 0)
    out.u16(ETYPE_VLAN)
    out.u16(batch.customerVlanId[row])
  }
  const labels = labelsOf(mask)
  if (labels > 0) out.u16(ETYPE_MPLS)
  else out.u16(batch.srcAddr.family[row] === 6 ? ETYPE_IPV6 : ETYPE_IPV4)
  for (let i = 0; i < labels; i++) out.u32(labelEntry(batch, row, mask, i, labels))
  writeIpPacket(out, batch, row, mask, length - (out.at - start))
}

/** Fewest bytes of a frame with what `writeFrame` writes for the row. */
export function frameSize(batch: FlowBatch, row: number, mask: Uint8Array): number {
  const tags = mask[ID.customerVlanId] ? 8 : 0
  return ETHERNET_SIZE + tags + labelsOf(mask) * 4 + ipSize(batch, row, mask)
}

/**
 * Write the headers of an IP packet that a row tells of: IP, and the beginning of TCP, UDP, SCTP, DCCP or
 * ICMP. What the row does not tell is 0.
 */
export function writeIpPacket(
  out: XdrWriter, batch: FlowBatch, row: number, mask: Uint8Array, length: number,
): void {
  const told = Math.min(length, 0xffff)
  if (batch.srcAddr.family[row] === 6) writeIpv6(out, batch, row, mask, told)
  else writeIpv4(out, batch, row, mask, told)
}

/** Fewest bytes of a packet with what `writeIpPacket` writes for the row. */
export function ipSize(batch: FlowBatch, row: number, mask: Uint8Array): number {
  const six = batch.srcAddr.family[row] === 6
  const size = six ? IPV6_SIZE + (isFragment(batch, row, mask) ? 8 : 0) : IPV4_SIZE
  return size + transportSize(batch, row, mask)
}

function writeIpv4(out: XdrWriter, batch: FlowBatch, row: number, mask: Uint8Array, length: number): void {
  const at = out.at
  const flags = mask[ID.ipFlags] ? batch.ipFlags[row] : 0
  const offset = mask[ID.fragmentOffset] ? batch.fragmentOffset[row] : 0
  out.u8(0x45)
  out.u8(mask[ID.tos] ? batch.tos[row] : 0)
  out.u16(length)
  out.u16(mask[ID.fragmentId] ? batch.fragmentId[row] : 0)
  out.u16((flags & 0xe0) << 8 | offset & 0x1fff)
  out.u8(mask[ID.ipTtl] ? batch.ipTtl[row] : 0)
  out.u8(batch.proto[row])
  out.u16(0)
  out.u32(batch.srcAddr.v4[row])
  out.u32(batch.dstAddr.v4[row])
  out.view.setUint16(at + 10, checksum(out.view, at, IPV4_SIZE))
  writeTransport(out, batch, row, mask, length - IPV4_SIZE)
}

function writeIpv6(out: XdrWriter, batch: FlowBatch, row: number, mask: Uint8Array, length: number): void {
  const fragment = isFragment(batch, row, mask)
  const payload = length - IPV6_SIZE
  const label = mask[ID.ipv6FlowLabel] ? batch.ipv6FlowLabel[row] & 0xfffff : 0
  out.u32((0x60000000 | (mask[ID.tos] ? batch.tos[row] : 0) << 20 | label) >>> 0)
  out.u16(payload)
  out.u8(fragment ? FRAGMENT : batch.proto[row])
  out.u8(mask[ID.ipTtl] ? batch.ipTtl[row] : 0)
  writeIpv6Address(out, batch.srcAddr, row)
  writeIpv6Address(out, batch.dstAddr, row)
  if (fragment) {
    const more = mask[ID.ipFlags] ? batch.ipFlags[row] >> 5 & 1 : 0
    out.u8(batch.proto[row])
    out.u8(0)
    out.u16((mask[ID.fragmentOffset] ? batch.fragmentOffset[row] : 0) << 3 | more)
    out.u32(mask[ID.fragmentId] ? batch.fragmentId[row] : 0)
  }
  writeTransport(out, batch, row, mask, payload - (fragment ? 8 : 0))
}

function writeIpv6Address(out: XdrWriter, { v6 }: AddressColumn, row: number): void {
  for (let i = 0; i < 16; i++) out.u8(v6[row * 16 + i])
}

/** Whether an IPv6 packet has a fragment header. */
function isFragment(batch: FlowBatch, row: number, mask: Uint8Array): boolean {
  return mask[ID.fragmentId] === 1 || mask[ID.fragmentOffset] === 1 && batch.fragmentOffset[row] > 0
}

/** Write the ports, and what stands between them and the flags or the length. */
function writeTransport(
  out: XdrWriter, batch: FlowBatch, row: number, mask: Uint8Array, length: number,
): void {
  const end = out.at + transportSize(batch, row, mask)
  if (out.at === end) return
  const proto = batch.proto[row]
  if (proto === ICMP || proto === ICMPV6) {
    out.u8(mask[ID.icmpType] ? batch.icmpType[row] : 0)
    out.u8(mask[ID.icmpCode] ? batch.icmpCode[row] : 0)
  } else {
    out.u16(mask[ID.srcPort] ? batch.srcPort[row] : 0)
    out.u16(mask[ID.dstPort] ? batch.dstPort[row] : 0)
  }
  if (proto === TCP) {
    out.u32(0)
    out.u32(0)
    out.u16(5 << 12 | (mask[ID.tcpFlags] ? batch.tcpFlags[row] & 0xfff : 0)) // 5 words of header
  } else if (proto === UDP || proto === UDP_LITE) out.u16(length)
  else if (proto === DCCP) out.u8(3) // words
  while (out.at < end) out.u8(0)
}

/** Bytes of the transport header: none in later fragments, and none where the row tells nothing of it. */
function transportSize(batch: FlowBatch, row: number, mask: Uint8Array): number {
  if (mask[ID.fragmentOffset] && batch.fragmentOffset[row] > 0) return 0
  switch (batch.proto[row]) {
    case ICMP: case ICMPV6: return mask[ID.icmpType] ? 8 : 0
    case TCP: return mask[ID.srcPort] ? 20 : 0
    case UDP: case UDP_LITE: return mask[ID.srcPort] ? 8 : 0
    case DCCP: case SCTP: return mask[ID.srcPort] ? 12 : 0
    default: return 0
  }
}

/** The internet checksum (RFC 1071) of `size` bytes at `at`, an even number. */
function checksum(view: DataView, at: number, size: number): number {
  let sum = 0
  for (let i = 0; i < size; i += 2) sum += view.getUint16(at + i)
  sum = (sum & 0xffff) + (sum >>> 16)
  return ~(sum + (sum >>> 16)) & 0xffff
}
