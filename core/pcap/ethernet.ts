import { parseIp, parseIpv4, parseIpv6 } from './ip.ts'
import { BAD_HEADER, CUT_HEADER, ETYPE_IPV4, ETYPE_IPV6, type PacketHeaders } from './packet-headers.ts'

/** EtherType of MPLS. */
export const ETYPE_MPLS: number = 0x8847
/** EtherType of MPLS with an upstream-assigned label, first for multicast. */
export const ETYPE_MPLS_MULTICAST: number = 0x8848
/** EtherType of PPPoE sessions. */
export const ETYPE_PPPOE: number = 0x8864
/** Largest number in the place of an EtherType that is an 802.3 length. */
export const MAX_8023_LENGTH: number = 1500

const ETYPE_VLAN = 0x8100, ETYPE_QINQ = 0x88a8, ETYPE_QINQ_OLD = 0x9100, ETYPE_ARP = 0x0806
const ETYPE_VNTAG = 0x8926, ETYPE_ETAG = 0x893f // tags of port extenders: Cisco, IEEE 802.1BR
const ETYPE_FABRICPATH = 0x8903 // Cisco: a tag, and the frame
const PPP_IPV4 = 0x21, PPP_IPV6 = 0x57, PPP_MPLS = 0x281, PPP_MPLS_MULTICAST = 0x283
const MAX_LABELS = 10 // NetFlow and IPFIX name no more

/** Parse the Ethernet frame at `at`, II or 802.3; returns whether IP addresses were read. */
export function parseEthernet(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (end - at < 14) return stop(out, CUT_HEADER)
  out.dstMac = at
  out.srcMac = at + 6
  return parseEtherType(bytes, at + 14, end, (bytes[at + 12] << 8) | bytes[at + 13], out)
}

/**
 * Parse what follows an EtherType, or an 802.3 length, `etype`: tags, LLC and SNAP, PPPoE, MPLS, IP.
 *
 * @returns whether IP addresses were read
 */
export function parseEtherType(
  bytes: Uint8Array, at: number, end: number, etype: number, out: PacketHeaders,
): boolean {
  // each turn takes one layer of at least two bytes
  for (;;) {
    switch (etype) {
      case ETYPE_IPV4:
        return parseIpv4(bytes, at, end, out)
      case ETYPE_IPV6:
        return parseIpv6(bytes, at, end, out)
      case ETYPE_VLAN:
      case ETYPE_QINQ:
      case ETYPE_QINQ_OLD: {
        out.etype = etype
        if (at + 4 > end) return stop(out, CUT_HEADER)
        const id = ((bytes[at] & 15) << 8) | bytes[at + 1]
        if (out.vlanId < 0) out.vlanId = id
        else if (out.innerVlanId < 0) out.innerVlanId = id
        etype = (bytes[at + 2] << 8) | bytes[at + 3]
        at += 4
        break
      }
      case ETYPE_VNTAG:
      case ETYPE_ETAG: {
        const size = etype === ETYPE_VNTAG ? 6 : 8
        out.etype = etype
        if (at + size > end) return stop(out, CUT_HEADER)
        etype = (bytes[at + size - 2] << 8) | bytes[at + size - 1]
        at += size
        break
      }
      case ETYPE_FABRICPATH: {
        out.etype = etype
        if (at + 16 > end) return stop(out, CUT_HEADER)
        etype = (bytes[at + 14] << 8) | bytes[at + 15]
        at += 16
        break
      }
      case ETYPE_MPLS:
      case ETYPE_MPLS_MULTICAST: {
        out.etype = etype
        at = skipLabels(bytes, at, end, out)
        if (at < 0) return stop(out, CUT_HEADER)
        const nibble = bytes[at] >> 4
        if (nibble === 4 || nibble === 6) return parseIp(bytes, at, end, out)
        const frame = findPseudowireFrame(bytes, at, end, nibble)
        if (frame < 0) return nibble !== 1 && at + 18 > end && stop(out, CUT_HEADER)
        etype = (bytes[frame + 12] << 8) | bytes[frame + 13]
        at = frame + 14
        if (out.dstMac < 0) {
          out.dstMac = frame
          out.srcMac = frame + 6
        }
        break
      }
      case ETYPE_PPPOE: {
        out.etype = etype
        if (at + 8 > end) return stop(out, CUT_HEADER)
        // version 1, type 1, code 0: session data
        if (bytes[at] !== 0x11 || bytes[at + 1] !== 0) return stop(out, BAD_HEADER)
        etype = pppEtherType(bytes, at + 6)
        if (etype < 0) return false
        at += 6 + pppProtocolSize(bytes, at + 6)
        break
      }
      default: {
        if (etype > MAX_8023_LENGTH) {
          out.etype = etype
          return false
        }
        if (at + etype < end) end = at + etype // behind it: padding
        out.end = end
        if (at + 8 > end) return etype >= 8 && stop(out, CUT_HEADER)
        if (bytes[at] !== 0xaa || bytes[at + 1] !== 0xaa || bytes[at + 2] !== 3) return false
        // SNAP of an organisation (Cisco, Apple) names its own protocols
        if (bytes[at + 3] !== 0 || bytes[at + 4] !== 0 || bytes[at + 5] !== 0) return false
        etype = (bytes[at + 6] << 8) | bytes[at + 7]
        if (etype <= MAX_8023_LENGTH) return false
        at += 8
      }
    }
  }
}

/** Note the label stack at `at` (RFC 3032); returns the offset behind it, or -1 when nothing follows. */
function skipLabels(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): number {
  const first = at
  let bottom = 0
  while (bottom === 0) {
    if (at + 4 > end) return -1
    bottom = bytes[at + 2] & 1
    at += 4
    if (out.mpls < 0 || out.mpls === first) {
      out.mpls = first
      out.mplsLabels = Math.min((at - first) >> 2, MAX_LABELS)
    }
  }
  return at < end ? at : -1
}

/**
 * Find the Ethernet frame of the pseudowire at `at`, of which the first four bits are `nibble`, or -1.
 *
 * Only the ends of a pseudowire know whether it has a control word (RFC 4448 section 4.6), which begins with
 * four zero bits as many MAC addresses do: the place where an EtherType makes sense decides.
 */
function findPseudowireFrame(bytes: Uint8Array, at: number, end: number, nibble: number): number {
  if (nibble === 1) return -1 // an associated channel, RFC 4385
  // first without: behind the tag of such a frame an EtherType stands where one behind a control word would
  if (looksLikeFrame(bytes, at, end)) return at
  return nibble === 0 && looksLikeFrame(bytes, at + 4, end) ? at + 4 : -1
}

function looksLikeFrame(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 14 > end) return false
  switch ((bytes[at + 12] << 8) | bytes[at + 13]) {
    case ETYPE_IPV4:
    case ETYPE_IPV6:
    case ETYPE_ARP:
    case ETYPE_VLAN:
    case ETYPE_QINQ:
    case ETYPE_QINQ_OLD:
    case ETYPE_MPLS:
    case ETYPE_MPLS_MULTICAST:
    case ETYPE_PPPOE:
      return true
    default:
      return false
  }
}

/**
 * Parse the PPP protocol number at `at`, of one byte or two, and what follows it (RFC 1661 section 2).
 *
 * @returns whether IP addresses were read
 */
export function parsePppProtocol(bytes: Uint8Array, at: number, end: number, out: PacketHeaders): boolean {
  if (at + 2 > end) return stop(out, CUT_HEADER)
  const etype = pppEtherType(bytes, at)
  return etype >= 0 && parseEtherType(bytes, at + pppProtocolSize(bytes, at), end, etype, out)
}

/** Bytes of the PPP protocol number at `at`: its high byte may be left out, and only a low byte is odd. */
function pppProtocolSize(bytes: Uint8Array, at: number): number {
  return (bytes[at] & 1) === 1 ? 1 : 2
}

/** The EtherType that the PPP protocol number at `at` stands for, or -1. */
function pppEtherType(bytes: Uint8Array, at: number): number {
  const protocol = (bytes[at] & 1) === 1 ? bytes[at] : (bytes[at] << 8) | bytes[at + 1]
  switch (protocol) {
    case PPP_IPV4:
      return ETYPE_IPV4
    case PPP_IPV6:
      return ETYPE_IPV6
    case PPP_MPLS:
      return ETYPE_MPLS
    case PPP_MPLS_MULTICAST:
      return ETYPE_MPLS_MULTICAST
    default:
      return -1
  }
}

function stop(out: PacketHeaders, flag: number): false {
  out.flags |= flag
  return false
}
