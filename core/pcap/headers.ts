import {
  ETYPE_MPLS, ETYPE_PPPOE, MAX_8023_LENGTH, parseEthernet, parseEtherType, parsePppProtocol,
} from './ethernet.ts'
import { parseIp, parseIpv4, parseIpv6 } from './ip.ts'
import { BAD_HEADER, CUT_HEADER, type PacketHeaders, UNKNOWN_LINK, WIRELESS_LINK } from './packet-headers.ts'
import { readUint16 } from './packet.ts'

/** LINKTYPE_ of Ethernet frames. */
export const LINK_ETHERNET: number = 1
/** LINKTYPE_ of the Point-to-Point Protocol, with or without HDLC framing. */
export const LINK_PPP: number = 9
/** LINKTYPE_ of IP packets, the version in the first four bits. */
export const LINK_RAW: number = 101
/** LINKTYPE_ of IEEE 802.11 frames. */
export const LINK_80211: number = 105
/** LINKTYPE_ of MPLS label stacks. */
export const LINK_MPLS: number = 219
/** LINKTYPE_ of IPv4 packets. */
export const LINK_IPV4: number = 228
/** LINKTYPE_ of IPv6 packets. */
export const LINK_IPV6: number = 229

const LINK_NULL = 0, LINK_RAW_BSD = 12, LINK_RAW_OPENBSD = 14, LINK_PPP_HDLC = 50, LINK_PPP_ETHER = 51
const LINK_CISCO_HDLC = 104, LINK_LOOP = 108, LINK_SLL = 113, LINK_PRISM = 119, LINK_RADIOTAP = 127
const LINK_AVS = 163, LINK_PPP_DIRECTION = 204, LINK_NFLOG = 239, LINK_SLL2 = 276

const ARPHRD_ETHER = 1, ARPHRD_RADIOTAP = 803
const COOKED_LLC = 4 // LINUX_SLL_P_802_2: an LLC header follows
const NFULA_PAYLOAD = 9

/**
 * LINKTYPE_ by the header_protocol number of an sFlow sampled header; -1 where flowkit has no parser.
 * Source: sFlow version 5, section 5.3, enum header_protocol.
 */
export const SFLOW_LINK_TYPES: readonly number[] = [
  -1, LINK_ETHERNET, -1, -1, -1, -1, -1, LINK_PPP,
  -1, -1, -1, LINK_IPV4, LINK_IPV6, LINK_MPLS, LINK_PPP, LINK_80211,
]

/**
 * Parse the headers of the packet in `bytes` from `start` to `end`, which begins as `linkType` says.
 *
 * `out` is reset first. However damaged the packet is, nothing outside it is read and nothing thrown:
 * `out` holds what could be read, and its flags why there is no more.
 *
 * @param linkType LINKTYPE_ number of a capture file, or one that SFLOW_LINK_TYPES gives
 * @returns whether the packet is IP and its addresses were read
 */
export function parsePacket(
  bytes: Uint8Array, start: number, end: number, linkType: number, out: PacketHeaders,
): boolean {
  out.reset()
  out.end = end
  switch (linkType) {
    case LINK_ETHERNET:
      return parseEthernet(bytes, start, end, out)
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
      return parseIp(bytes, start, end, out)
    case LINK_IPV4:
      return parseIpv4(bytes, start, end, out)
    case LINK_IPV6:
      return parseIpv6(bytes, start, end, out)
    case LINK_NULL:
    case LINK_LOOP:
      return parseLoopback(bytes, start, end, out)
    case LINK_SLL:
      return parseCooked(bytes, start, end, 16, out)
    case LINK_SLL2:
      return parseCooked(bytes, start, end, 20, out)
    case LINK_PPP:
    case LINK_PPP_HDLC:
      return parsePpp(bytes, start, end, out)
    case LINK_PPP_DIRECTION:
      return parsePpp(bytes, start + 1, end, out)
    case LINK_PPP_ETHER:
      return parseEtherType(bytes, start, end, ETYPE_PPPOE, out)
    case LINK_CISCO_HDLC:
      return parseCiscoHdlc(bytes, start, end, out)
    case LINK_MPLS:
      return parseEtherType(bytes, start, end, ETYPE_MPLS, out)
    case LINK_NFLOG:
      return parseNflog(bytes, start, end, out)
    case LINK_80211:
    case LINK_PRISM:
    case LINK_RADIOTAP:
    case LINK_AVS:
      out.flags = WIRELESS_LINK
      return false
    default:
      out.flags = UNKNOWN_LINK
      return false
  }
}

/** BSD loopback: the address family, in the machine's byte order (DLT_NULL) or the network's (DLT_LOOP). */
function parseLoopback(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (end - at < 4) return stop(out, CUT_HEADER)
  switch (bytes[at] | bytes[at + 1] | bytes[at + 2] | bytes[at + 3]) {
    case 2: // every system's AF_INET
      return parseIpv4(bytes, at + 4, end, out)
    case 10: // AF_INET6 of Linux
    case 23: // Windows
    case 24: // NetBSD, OpenBSD
    case 28: // FreeBSD
    case 30: // macOS
      return parseIpv6(bytes, at + 4, end, out)
    default:
      return false
  }
}

/** Linux cooked capture: version 1 with a header of 16 bytes, version 2 of 20. */
function parseCooked(bytes: Uint8Array, at: number, end: number, size: number, out: PacketHeaders): boolean {
  if (end - at < size) return stop(out, CUT_HEADER)
  const first = size === 16
  const hardware = (bytes[at + (first ? 2 : 8)] << 8) | bytes[at + (first ? 3 : 9)]
  const protocolAt = first ? at + 14 : at
  const protocol = (bytes[protocolAt] << 8) | bytes[protocolAt + 1]
  if (hardware === ARPHRD_RADIOTAP) {
    out.flags = WIRELESS_LINK
    return false
  }
  if (hardware === ARPHRD_ETHER && bytes[at + (first ? 5 : 11)] === 6) out.srcMac = at + (first ? 6 : 12)
  if (protocol > MAX_8023_LENGTH) return parseEtherType(bytes, at + size, end, protocol, out)
  // an LLC header without the length that went before it
  return protocol === COOKED_LLC && parseEtherType(bytes, at + size, end, MAX_8023_LENGTH, out)
}

/** Parse PPP, with or without the address and control bytes of RFC 1662, or a Cisco HDLC frame. */
export function parsePpp(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (end - at < 4) return stop(out, CUT_HEADER)
  const address = bytes[at]
  const control = bytes[at + 1]
  if ((address === 0x0f || address === 0x8f) && control === 0) return parseCiscoHdlc(bytes, at, end, out)
  if (address === 0xff && control === 3) at += 2
  return parsePppProtocol(bytes, at, end, out)
}

/** Cisco HDLC: address, control, EtherType. */
function parseCiscoHdlc(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (end - at < 4) return stop(out, CUT_HEADER)
  const etype = (bytes[at + 2] << 8) | bytes[at + 3]
  return etype > MAX_8023_LENGTH && parseEtherType(bytes, at + 4, end, etype, out)
}

/** Linux netfilter log: a header, and attributes in the machine's byte order, one of them the IP packet. */
function parseNflog(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (end - at < 8) return stop(out, CUT_HEADER)
  let attribute = at + 4
  const little = bytes[attribute + 3] === 0 // attribute types are from 1 to 255
  while (attribute + 4 <= end) {
    const length = readUint16(bytes, attribute, little)
    if (length < 4) return stop(out, BAD_HEADER)
    if (readUint16(bytes, attribute + 2, little) === NFULA_PAYLOAD) {
      return parseIp(bytes, attribute + 4, Math.min(end, attribute + length), out)
    }
    attribute += (length + 3) & ~3
  }
  return stop(out, CUT_HEADER)
}

function stop(out: PacketHeaders, flag: number): false {
  out.flags |= flag
  return false
}
