import {
  BAD_HEADER, CUT_HEADER, CUT_PAYLOAD, ETYPE_IPV4, ETYPE_IPV6, FRAGMENT, MORE_FRAGMENTS, type PacketHeaders,
} from './packet-headers.ts'
import { readUint32 } from './packet.ts'

/** IP protocol numbers that the packet parser knows. */

/** IPv6 in IP. */
export const PROTO_IPV6: number = 41
/** IPv4 in IP. */
export const PROTO_IPIP: number = 4
/** Generic routing encapsulation. */
export const PROTO_GRE: number = 47
/** MPLS in IP. */
export const PROTO_MPLS: number = 137
/** UDP. */
export const PROTO_UDP: number = 17
/** IPv6 destination options. */
export const PROTO_DESTINATION: number = 60

const PROTO_HOP_BY_HOP = 0, PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_DCCP = 33, PROTO_ROUTING = 43
const PROTO_FRAGMENT = 44, PROTO_AUTHENTICATION = 51, PROTO_ICMPV6 = 58, PROTO_NONE = 59, PROTO_SCTP = 132
const PROTO_MOBILITY = 135, PROTO_UDP_LITE = 136, PROTO_HIP = 139, PROTO_SHIM6 = 140

const IPV4_HEADER_SIZE = 20 // without options
const IPV6_HEADER_SIZE = 40
const MAX_EXTENSIONS = 16 // headers in one packet; real ones carry two or three
const JUMBO_OPTION = 0xc2 // RFC 2675

/**
 * Parse the IP packet at `at` and what it carries; its first four bits tell the version.
 *
 * @returns whether the addresses were read
 */
export function parseIp(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (at >= end) return stop(out, at, CUT_HEADER)
  const version = bytes[at] >> 4
  if (version === 4) return parseIpv4(bytes, at, end, out)
  if (version === 6) return parseIpv6(bytes, at, end, out)
  return stop(out, end, BAD_HEADER)
}

/** Parse the IPv4 packet at `at` (RFC 791) and what it carries; returns whether the addresses were read. */
export function parseIpv4(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  out.etype = ETYPE_IPV4
  if (end - at < IPV4_HEADER_SIZE) return stop(out, end, CUT_HEADER)
  const headerSize = (bytes[at] & 15) << 2
  const length = (bytes[at + 2] << 8) | bytes[at + 3]
  if (bytes[at] >> 4 !== 4 || headerSize < IPV4_HEADER_SIZE || (length !== 0 && length < headerSize)) {
    return stop(out, end, BAD_HEADER)
  }
  const wireEnd = length === 0 ? end : at + length
  const packetEnd = wireEnd < end ? wireEnd : end
  const fragment = (bytes[at + 6] << 8) | bytes[at + 7]
  const proto = bytes[at + 9]
  const next = at + headerSize
  out.ip = at
  out.ipVersion = 4
  out.tos = bytes[at + 1]
  out.ipLength = length
  out.ipId = (bytes[at + 4] << 8) | bytes[at + 5]
  out.ttl = bytes[at + 8]
  out.proto = proto
  out.srcAddr = at + 12
  out.dstAddr = at + 16
  out.end = packetEnd
  if (wireEnd > end) out.flags |= CUT_PAYLOAD
  if (next > packetEnd) {
    stop(out, packetEnd, CUT_HEADER)
    return true
  }
  if ((fragment & 0x3fff) !== 0) {
    const first = takeFragment(next, wireEnd, fragment & 0x1fff, fragment & 0x2000, proto, out)
    if (!first) return true
  }
  parseTransport(bytes, next, packetEnd, wireEnd, proto, out)
  return true
}

/** Parse the IPv6 packet at `at` (RFC 8200) and what it carries; returns whether the addresses were read. */
export function parseIpv6(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  out.etype = ETYPE_IPV6
  if (end - at < IPV6_HEADER_SIZE) return stop(out, end, CUT_HEADER)
  if (bytes[at] >> 4 !== 6) return stop(out, end, BAD_HEADER)
  const next = bytes[at + 6]
  let length = (bytes[at + 4] << 8) | bytes[at + 5]
  if (length === 0 && next === PROTO_HOP_BY_HOP) length = jumboLength(bytes, at + IPV6_HEADER_SIZE, end)
  const unknown = length === 0 && next !== PROTO_NONE
  const wireEnd = unknown ? end : at + IPV6_HEADER_SIZE + length
  const packetEnd = wireEnd < end ? wireEnd : end
  out.ip = at
  out.ipVersion = 6
  out.tos = ((bytes[at] & 15) << 4) | (bytes[at + 1] >> 4)
  out.flowLabel = ((bytes[at + 1] & 15) << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
  out.ipLength = unknown ? 0 : IPV6_HEADER_SIZE + length
  out.ttl = bytes[at + 7]
  out.srcAddr = at + 8
  out.dstAddr = at + 24
  out.end = packetEnd
  if (wireEnd > end) out.flags |= CUT_PAYLOAD
  parseExtensions(bytes, at + IPV6_HEADER_SIZE, packetEnd, wireEnd, next, out)
  return true
}

/**
 * Parse the payload of an IP packet that was joined from fragments: all of `bytes` from `at` to `end`,
 * beginning with protocol `proto`. Fills the members of `out` from `proto` on.
 */
export function parseJoined(
  bytes: Uint8Array, at: number, end: number, ipVersion: number, proto: number, out: PacketHeaders,
): void {
  out.ipVersion = ipVersion
  out.end = end
  if (ipVersion === 6) parseExtensions(bytes, at, end, end, proto, out)
  else {
    out.proto = proto
    parseTransport(bytes, at, end, end, proto, out)
  }
}

/** Walk the IPv6 extension headers at `at` (RFC 8200 section 4) and parse what follows them. */
function parseExtensions(
  bytes: Uint8Array, at: number, end: number, wireEnd: number, next: number, out: PacketHeaders,
): void {
  for (let count = 0; count < MAX_EXTENSIONS; count++) {
    switch (next) {
      case PROTO_HOP_BY_HOP:
      case PROTO_ROUTING:
      case PROTO_DESTINATION:
      case PROTO_MOBILITY:
      case PROTO_HIP:
      case PROTO_SHIM6:
      case PROTO_AUTHENTICATION: {
        if (at + 2 > end) {
          stop(out, end, at + 2 > wireEnd ? BAD_HEADER : CUT_HEADER)
          return
        }
        // these two may be the packet's last header, and its protocol then
        if ((next === PROTO_MOBILITY || next === PROTO_HIP) && bytes[at] === PROTO_NONE) break
        const size = next === PROTO_AUTHENTICATION ? (bytes[at + 1] + 2) << 2 : (bytes[at + 1] + 1) << 3
        next = bytes[at]
        at += size
        continue
      }
      case PROTO_FRAGMENT: {
        if (at + 8 > end) {
          stop(out, end, at + 8 > wireEnd ? BAD_HEADER : CUT_HEADER)
          return
        }
        const offset = (bytes[at + 2] << 8) | bytes[at + 3]
        out.ipId = readUint32(bytes, at + 4, false)
        next = bytes[at]
        at += 8
        // neither offset nor more: an atomic fragment, a whole packet (RFC 6946)
        if ((offset & 0xfff9) !== 0 && !takeFragment(at, wireEnd, offset >> 3, offset & 1, next, out)) {
          out.proto = next
          return
        }
        continue
      }
    }
    out.proto = next
    parseTransport(bytes, at, end, wireEnd, next, out)
    return
  }
  stop(out, end, BAD_HEADER)
}

/** Note that the packet is a fragment; returns whether it is the first, which has the transport header. */
function takeFragment(
  at: number, wireEnd: number, offset: number, more: number, proto: number, out: PacketHeaders,
): boolean {
  out.flags |= more === 0 ? FRAGMENT : FRAGMENT | MORE_FRAGMENTS
  out.fragmentOffset = offset << 3
  out.fragment = at
  out.fragmentProto = proto
  if (offset === 0) return true
  out.payload = at
  out.payloadLength = wireEnd > at ? wireEnd - at : 0
  return false
}

/** Parse the transport header at `at`; the capture has the packet to `end`, the wire had it to `wireEnd`. */
function parseTransport(
  bytes: Uint8Array, at: number, end: number, wireEnd: number, proto: number, out: PacketHeaders,
): void {
  const room = end - at
  let size = 0 // of the header
  switch (proto) {
    case PROTO_TCP:
      size = 20
      if (room >= 4) takePorts(bytes, at, out)
      if (room >= 8) out.tcpSequence = readUint32(bytes, at + 4, false)
      if (room >= 14) {
        out.tcpFlags = ((bytes[at + 12] & 15) << 8) | bytes[at + 13]
        size = (bytes[at + 12] >> 4) << 2
        if (size < 20) {
          out.transport = at
          stop(out, end, BAD_HEADER)
          return
        }
      }
      break
    case PROTO_UDP:
      size = 8
      if (room >= 4) takePorts(bytes, at, out)
      if (room >= 6) {
        const length = (bytes[at + 4] << 8) | bytes[at + 5] // 0: a jumbogram, RFC 2675 section 4
        const excess = length !== 0 && (out.flags & FRAGMENT) === 0 && at + length > wireEnd
        if (excess || (length !== 0 && length < 8)) out.flags |= BAD_HEADER
        else if (length !== 0 && at + length < wireEnd) wireEnd = at + length
      }
      break
    case PROTO_ICMP:
    case PROTO_ICMPV6:
      size = 8
      if (room >= 1) out.icmpType = bytes[at]
      if (room >= 2) out.icmpCode = bytes[at + 1]
      break
    case PROTO_SCTP:
      size = 12
      if (room >= 4) takePorts(bytes, at, out)
      break
    case PROTO_UDP_LITE:
      size = 8
      if (room >= 4) takePorts(bytes, at, out)
      break
    case PROTO_DCCP:
      size = 12
      if (room >= 4) takePorts(bytes, at, out)
      if (room >= 5) size = bytes[at + 4] << 2
      break
  }
  const payload = at + size
  if (room < size || room < 0) {
    if (room >= 0) out.transport = at
    // what the IP length itself leaves no room for is not the capture's fault
    out.flags |= payload > wireEnd ? BAD_HEADER : CUT_HEADER
    return
  }
  out.transport = at
  out.payload = payload
  out.payloadLength = wireEnd - payload
}

function takePorts(bytes: Uint8Array, at: number, out: PacketHeaders): void {
  out.srcPort = (bytes[at] << 8) | bytes[at + 1]
  out.dstPort = (bytes[at + 2] << 8) | bytes[at + 3]
}

/** The jumbo payload length in the hop-by-hop options at `at`, or 0. */
function jumboLength(bytes: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) return 0
  const stopAt = Math.min(end, at + ((bytes[at + 1] + 1) << 3))
  let option = at + 2
  while (option + 6 <= stopAt) {
    if (bytes[option] === JUMBO_OPTION && bytes[option + 1] === 4) return readUint32(bytes, option + 2, false)
    option += bytes[option] === 0 ? 1 : 2 + bytes[option + 1]
  }
  return 0
}

function stop(out: PacketHeaders, end: number, flag: number): false {
  out.end = end
  out.flags |= flag
  return false
}
