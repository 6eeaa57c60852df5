/** Bits of `PacketHeaders.flags`. */

/** The capture ends inside a header: what lies behind is absent. */
export const CUT_HEADER: number = 1
/** The capture ends inside the payload. */
export const CUT_PAYLOAD: number = 2
/** A header contradicts itself or what encloses it: what lies behind is absent. */
export const BAD_HEADER: number = 4
/** The packet is an IP fragment; all but the first (`fragmentOffset` 0) have no transport header. */
export const FRAGMENT: number = 8
/** More fragments follow this one. */
export const MORE_FRAGMENTS: number = 16
/** The link type is not one that `parsePacket` reads. */
export const UNKNOWN_LINK: number = 32
/** The link type is IEEE 802.11, which is not looked into. */
export const WIRELESS_LINK: number = 64

/** EtherType of IPv4. */
export const ETYPE_IPV4: number = 0x0800
/** EtherType of IPv6. */
export const ETYPE_IPV6: number = 0x86dd

/**
 * What the headers of one packet say; reused from packet to packet.
 *
 * Members that are places (`srcMac`, `srcAddr`, `transport`, `payload`) are offsets into the bytes parsed.
 * What is absent is -1, whether the packet does not have it or the capture was cut before it.
 */
export class PacketHeaders {
  /** Sum of the bits above. */
  flags = 0
  /** 0 for the packet itself, 1 for the packet in its tunnel, and so on. */
  depth = 0
  /** `TUNNEL_` number of the tunnel that carried this packet, 0 at depth 0. */
  tunnel = 0
  /** Network identifier (VXLAN, Geneve), key (GRE), session (ERSPAN) or endpoint (GTP) of that tunnel. */
  tunnelId = -1
  /** Offset of the destination MAC address. */
  dstMac = -1
  /** Offset of the source MAC address. */
  srcMac = -1
  /** EtherType of the innermost layer recognised, behind VLAN tags, PPPoE and MPLS. */
  etype = -1
  /** VLAN identifier of the outermost tag, 0 to 4095. */
  vlanId = -1
  /** VLAN identifier of the second tag. */
  innerVlanId = -1
  /** Offset of the MPLS label stack; an entry is label (20 bits), class (3), bottom (1), time to live (8). */
  mpls = -1
  /** Labels in the stack, at most 10. */
  mplsLabels = 0
  /** Offset of the IP header. */
  ip = -1
  /** 4, 6, or 0 when no IP header was read. */
  ipVersion = 0
  /** Offset of the source address, 4 or 16 bytes. */
  srcAddr = -1
  /** Offset of the destination address. */
  dstAddr = -1
  /** IP protocol; behind IPv6 extension headers the last next header, absent if they cannot be followed. */
  proto = -1
  /** Type of service or traffic class. */
  tos = -1
  /** Time to live or hop limit. */
  ttl = -1
  /** IPv6 flow label, 20 bits. */
  flowLabel = -1
  /** Identification: 16 bits in IPv4, 32 bits in an IPv6 fragment header. */
  ipId = -1
  /** Length of the IP packet in bytes with its header; 0 when the header says 0 (segmentation offload). */
  ipLength = -1
  /** Place of this fragment's data in the whole payload, in bytes; 0 in a packet that is whole. */
  fragmentOffset = 0
  /** Offset of the fragment's data: the header that `fragmentProto` names, if `fragmentOffset` is 0. */
  fragment = -1
  /** Protocol number with which the whole payload begins. */
  fragmentProto = -1
  /** Offset of the transport header. */
  transport = -1
  /** Source port of TCP, UDP, UDP-Lite, SCTP or DCCP. */
  srcPort = -1
  /** Destination port. */
  dstPort = -1
  /** TCP control bits, 12 bits with the reserved ones. */
  tcpFlags = -1
  /** TCP sequence number. */
  tcpSequence = -1
  /** ICMP or ICMPv6 type. */
  icmpType = -1
  /** ICMP or ICMPv6 code. */
  icmpCode = -1
  /** Offset behind the transport header, or behind the IP headers where the transport is not known. */
  payload = -1
  /** Length of the payload on the wire in bytes. */
  payloadLength = -1
  /** Offset behind the last byte of the packet captured, without padding of the link. */
  end = 0

  /** Make everything absent. */
  reset(): void {
    this.flags = 0
    this.depth = 0
    this.tunnel = 0
    this.tunnelId = -1
    this.dstMac = -1
    this.srcMac = -1
    this.etype = -1
    this.vlanId = -1
    this.innerVlanId = -1
    this.mpls = -1
    this.mplsLabels = 0
    this.ip = -1
    this.ipVersion = 0
    this.srcAddr = -1
    this.dstAddr = -1
    this.proto = -1
    this.tos = -1
    this.ttl = -1
    this.flowLabel = -1
    this.ipId = -1
    this.ipLength = -1
    this.fragmentOffset = 0
    this.fragment = -1
    this.fragmentProto = -1
    this.transport = -1
    this.srcPort = -1
    this.dstPort = -1
    this.tcpFlags = -1
    this.tcpSequence = -1
    this.icmpType = -1
    this.icmpCode = -1
    this.payload = -1
    this.payloadLength = -1
    this.end = 0
  }
}
