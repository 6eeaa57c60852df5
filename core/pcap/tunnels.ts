import { ETYPE_MPLS, ETYPE_MPLS_MULTICAST, parseEthernet, parseEtherType } from './ethernet.ts'
import { parsePpp } from './headers.ts'
import {
  parseIp, parseIpv4, parseIpv6, PROTO_GRE, PROTO_IPIP, PROTO_IPV6, PROTO_MPLS, PROTO_UDP,
} from './ip.ts'
import { ETYPE_IPV4, ETYPE_IPV6, type PacketHeaders } from './packet-headers.ts'
import { readUint16, readUint32 } from './packet.ts'

/** Tunnels of `PacketHeaders.tunnel`. */

/** IPv4 or IPv6 directly in IP (RFC 2003, 2473, 4213). */
export const TUNNEL_IP: number = 1
/** Generic routing encapsulation (RFC 2784, 2890; PPTP: RFC 2637; NVGRE: RFC 7637; in UDP: RFC 8086). */
export const TUNNEL_GRE: number = 2
/** Mirrored frames, ERSPAN types I, II and III (draft-foschiano-erspan). */
export const TUNNEL_ERSPAN: number = 3
/** VXLAN (RFC 7348) and VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe). */
export const TUNNEL_VXLAN: number = 4
/** Geneve (RFC 8926). */
export const TUNNEL_GENEVE: number = 5
/** GTP version 1, user plane (3GPP TS 29.281). */
export const TUNNEL_GTP: number = 6
/** MPLS in IP (RFC 4023) or in UDP (RFC 7510). */
export const TUNNEL_MPLS: number = 7

const MAX_DEPTH = 8 // tunnels within tunnels

const ETYPE_BRIDGED = 0x6558, ETYPE_ERSPAN_2 = 0x88be, ETYPE_ERSPAN_3 = 0x22eb, ETYPE_PPP = 0x880b

const PORT_GTP = 2152, PORT_GRE = 4754, PORT_VXLAN = 4789, PORT_VXLAN_GPE = 4790, PORT_GENEVE = 6081
const PORT_MPLS = 6635, PORT_VXLAN_LINUX = 8472

/**
 * Parse the packet that `outer`, parsed before from the same `bytes`, carries in its payload as a tunnel:
 * IP in IP, GRE, ERSPAN, VXLAN, Geneve, GTP-U, MPLS. Tunnels in UDP are told by their port and their header.
 *
 * @param inner filled when there is a tunnel, otherwise left as it was; may be `outer`
 * @returns whether there is a tunnel, at most 8 deep; `inner.ipVersion` tells whether an IP packet is in it
 */
export function parseInner(bytes: Uint8Array, outer: PacketHeaders, inner: PacketHeaders): boolean {
  const at = outer.payload
  const { end } = outer
  if (at < 0 || at >= end || outer.fragmentOffset > 0 || outer.depth >= MAX_DEPTH) return false
  switch (outer.proto) {
    case PROTO_IPIP:
      enter(outer, inner, TUNNEL_IP, -1)
      parseIpv4(bytes, at, end, inner)
      return true
    case PROTO_IPV6:
      enter(outer, inner, TUNNEL_IP, -1)
      parseIpv6(bytes, at, end, inner)
      return true
    case PROTO_GRE:
      return parseGre(bytes, at, end, outer, inner)
    case PROTO_MPLS:
      enter(outer, inner, TUNNEL_MPLS, -1)
      parseEtherType(bytes, at, end, ETYPE_MPLS, inner)
      return true
    case PROTO_UDP:
      return parseInUdp(bytes, at, end, outer, inner)
    default:
      return false
  }
}

function parseInUdp(
  bytes: Uint8Array, at: number, end: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  if (outer.srcPort === PORT_GTP) return parseGtp(bytes, at, end, outer, inner)
  switch (outer.dstPort) {
    case PORT_VXLAN:
    case PORT_VXLAN_LINUX:
      return parseVxlan(bytes, at, end, outer, inner)
    case PORT_VXLAN_GPE:
      return parseVxlanGpe(bytes, at, end, outer, inner)
    case PORT_GENEVE:
      return parseGeneve(bytes, at, end, outer, inner)
    case PORT_GTP:
      return parseGtp(bytes, at, end, outer, inner)
    case PORT_GRE:
      return parseGre(bytes, at, end, outer, inner)
    case PORT_MPLS:
      enter(outer, inner, TUNNEL_MPLS, -1)
      parseEtherType(bytes, at, end, ETYPE_MPLS, inner)
      return true
    default:
      return false
  }
}

function parseGre(
  bytes: Uint8Array, at: number, end: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  if (at + 4 > end) return false
  const flags = bytes[at]
  const version = bytes[at + 1] & 7
  const etype = (bytes[at + 2] << 8) | bytes[at + 3]
  // source routes (bit 0x40) went away with RFC 2784
  if (version > 1 || (flags & 0x40) !== 0 || (version === 1 && etype !== ETYPE_PPP)) return false
  const sequenced = (flags & 0x10) !== 0
  const acknowledged = version === 1 && (bytes[at + 1] & 0x80) !== 0
  const keyAt = at + ((flags & 0x80) === 0 ? 4 : 8)
  const hasKey = (flags & 0x20) !== 0
  const next = keyAt + (hasKey ? 4 : 0) + (sequenced ? 4 : 0) + (acknowledged ? 4 : 0)
  if (next >= end) return false
  let key = -1
  // PPTP's key is the length of the payload, then the call
  if (hasKey) key = version === 1 ? readUint16(bytes, keyAt + 2, false) : readUint32(bytes, keyAt, false)
  switch (etype) {
    case ETYPE_IPV4:
    case ETYPE_IPV6:
    case ETYPE_MPLS:
    case ETYPE_MPLS_MULTICAST:
      enter(outer, inner, TUNNEL_GRE, key)
      parseEtherType(bytes, next, end, etype, inner)
      return true
    case ETYPE_BRIDGED:
      enter(outer, inner, TUNNEL_GRE, key)
      parseEthernet(bytes, next, end, inner)
      return true
    case ETYPE_PPP:
      enter(outer, inner, TUNNEL_GRE, key)
      parsePpp(bytes, next, end, inner)
      return true
    case ETYPE_ERSPAN_2:
      return parseErspan(bytes, next, end, sequenced ? 8 : 0, outer, inner)
    case ETYPE_ERSPAN_3:
      return parseErspan(bytes, next, end, 12, outer, inner)
    default:
      return false
  }
}

/** ERSPAN, whose types differ in the size of the header: none, 8 bytes, or 12 with 8 optional ones. */
function parseErspan(
  bytes: Uint8Array, at: number, end: number, size: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  if (at + size >= end) return false
  const session = size === 0 ? -1 : ((bytes[at + 2] & 3) << 8) | bytes[at + 3]
  const optional = size === 12 && (bytes[at + 11] & 1) === 1
  const frameType = size === 12 ? (bytes[at + 10] >> 2) & 31 : 0 // 0 Ethernet, 2 IP
  const next = at + size + (optional ? 8 : 0)
  if (next >= end || (frameType !== 0 && frameType !== 2)) return false
  enter(outer, inner, TUNNEL_ERSPAN, session)
  if (frameType === 0) parseEthernet(bytes, next, end, inner)
  else parseIp(bytes, next, end, inner)
  return true
}

function parseVxlan(
  bytes: Uint8Array, at: number, end: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  if (at + 8 >= end || (bytes[at] & 0x08) === 0) return false
  enter(outer, inner, TUNNEL_VXLAN, networkIdentifier(bytes, at))
  parseEthernet(bytes, at + 8, end, inner)
  return true
}

function parseVxlanGpe(
  bytes: Uint8Array, at: number, end: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  if (at + 8 >= end || (bytes[at] & 0x08) === 0) return false
  const next = (bytes[at] & 0x04) === 0 ? 3 : bytes[at + 3] // without the bit it is plain VXLAN
  if (next < 1 || next > 3) return false
  enter(outer, inner, TUNNEL_VXLAN, networkIdentifier(bytes, at))
  if (next === 1) parseIpv4(bytes, at + 8, end, inner)
  else if (next === 2) parseIpv6(bytes, at + 8, end, inner)
  else parseEthernet(bytes, at + 8, end, inner)
  return true
}

function parseGeneve(
  bytes: Uint8Array, at: number, end: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  if (at + 8 > end || bytes[at] >> 6 !== 0) return false
  const next = at + 8 + ((bytes[at] & 63) << 2)
  const etype = (bytes[at + 2] << 8) | bytes[at + 3]
  if (next >= end || (etype !== ETYPE_BRIDGED && etype !== ETYPE_IPV4 && etype !== ETYPE_IPV6)) return false
  enter(outer, inner, TUNNEL_GENEVE, networkIdentifier(bytes, at))
  if (etype === ETYPE_BRIDGED) parseEthernet(bytes, next, end, inner)
  else parseEtherType(bytes, next, end, etype, inner)
  return true
}

function parseGtp(
  bytes: Uint8Array, at: number, end: number, outer: PacketHeaders, inner: PacketHeaders,
): boolean {
  // version 1, GTP rather than GTP', message type G-PDU: user data
  if (at + 8 >= end || bytes[at] >> 4 !== 3 || bytes[at + 1] !== 0xff) return false
  let next = at + 8
  if ((bytes[at] & 7) !== 0) next += 4
  if (next >= end) return false
  let extension = (bytes[at] & 4) !== 0 ? bytes[next - 1] : 0
  while (extension !== 0) {
    const size = bytes[next] << 2
    next += size
    if (size === 0 || next >= end) return false
    extension = bytes[next - 1]
  }
  const version = bytes[next] >> 4
  if (version !== 4 && version !== 6) return false
  enter(outer, inner, TUNNEL_GTP, readUint32(bytes, at + 4, false))
  parseIp(bytes, next, end, inner)
  return true
}

/** VXLAN and Geneve have their 24 bits in the same place. */
function networkIdentifier(bytes: Uint8Array, at: number): number {
  return (bytes[at + 4] << 16) | (bytes[at + 5] << 8) | bytes[at + 6]
}

function enter(outer: PacketHeaders, inner: PacketHeaders, tunnel: number, id: number): void {
  const depth = outer.depth + 1
  const { end } = outer
  inner.reset()
  inner.depth = depth
  inner.tunnel = tunnel
  inner.tunnelId = id
  inner.end = end
}
