import { ID } from '../../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../../flow/names.ts'
import { parsePacket, SFLOW_LINK_TYPES } from '../../pcap/headers.ts'
import { PacketHeaders } from '../../pcap/packet-headers.ts'
import { readMac, takeHeaders, takeLabels } from '../packet-fields.ts'
import type { SampleRow } from '../sample-row.ts'

/** Where the records of one sample that tell of its packet lie; reused. */
export interface PacketPlaces {
  /** By format: 1 sampled_header, 2 sampled_ethernet, 3 sampled_ipv4, 4 sampled_ipv6; -1 if there is none. */
  readonly starts: Int32Array
  readonly ends: Int32Array
  /** First label of an extended_mpls record, or -1. */
  mpls: number
  mplsLabels: number
  /** VLAN of the outermost tag, stripped or in the header, and of the one within; -1 where there is none. */
  outerVlan: number
  innerVlan: number
}

/** Nothing noted. */
export function newPlaces(): PacketPlaces {
  return {
    starts: new Int32Array(5).fill(-1), ends: new Int32Array(5), mpls: -1, mplsLabels: 0, outerVlan: -1,
    innerVlan: -1,
  }
}

/** Forget what is noted. */
export function clearPlaces(places: PacketPlaces): void {
  places.starts.fill(-1)
  places.mpls = -1
  places.mplsLabels = 0
  places.outerVlan = -1
  places.innerVlan = -1
}

const MAX_8023_LENGTH = 1500
const PROTO_TCP = 6

/** Header protocols without a frame: IPv4, IPv6, MPLS. */
const NETWORK_PROTOCOLS = new Set([11, 12, 13])

const headers = new PacketHeaders()

/**
 * Take what a sample's packet records say into `row`: first the packet's header, then what only others tell.
 *
 * Of a tunnelled packet it is the outer one that is told of. `vlan_id` is the VLAN that the switch tells of,
 * or else the outermost tag's; `customer_vlan_id` is the second tag's.
 *
 * @returns the length of the frame, or if that is not told of the IP packet; -1 if no record tells
 */
export function takePacket(bytes: Uint8Array, view: DataView, places: PacketPlaces, row: SampleRow): number {
  const { starts } = places
  const header = starts[1]
  const ethernet = starts[2]
  const ipv4 = starts[3]
  const ipv6 = starts[4]
  let length = -1
  if (header >= 0) {
    length = view.getUint32(header + 4)
    if (!NETWORK_PROTOCOLS.has(view.getUint32(header))) row.set(ID.frameLength, length)
    takeHeader(bytes, view, places, row)
  }
  if (ethernet >= 0) {
    const frame = view.getUint32(ethernet)
    if (length < 0) length = frame
    row.offer(ID.frameLength, frame)
    takeEthernet(view, ethernet, places.ends[2], row)
  }
  if (ipv4 >= 0) {
    if (length < 0) length = view.getUint32(ipv4)
    takeIp(bytes, view, ipv4, 4, row)
  }
  if (ipv6 >= 0) {
    if (length < 0) length = view.getUint32(ipv6)
    takeIp(bytes, view, ipv6, 16, row)
  }
  if (places.mpls >= 0 && !row.has(ID.mplsLabel1)) takeLabels(view, places.mpls, places.mplsLabels, row)
  if (places.outerVlan >= 0) row.offer(ID.vlanId, places.outerVlan)
  if (places.innerVlan >= 0) row.set(ID.customerVlanId, places.innerVlan)
  return length
}

/** A sampled_header: protocol, frame length, bytes stripped, and the beginning of the packet. */
function takeHeader(bytes: Uint8Array, view: DataView, places: PacketPlaces, row: SampleRow): void {
  const at = places.starts[1]
  const protocol = view.getUint32(at)
  const start = at + 16
  const end = Math.min(places.ends[1], start + view.getUint32(at + 12))
  const linkType = protocol < SFLOW_LINK_TYPES.length ? SFLOW_LINK_TYPES[protocol] : -1
  const h = headers
  parsePacket(bytes, start, end, linkType, h)
  takeHeaders(bytes, view, h, row)
  addVlan(places, h.vlanId)
  addVlan(places, h.innerVlanId)
}

/** A sampled_ethernet: some agents pad the MAC addresses to 8 bytes, as XDR wants, and some do not. */
function takeEthernet(view: DataView, at: number, end: number, row: SampleRow): void {
  const macSize = end - at >= 24 ? 8 : 6
  row.offer(ID.srcMac, readMac(view, at + 4))
  row.offer(ID.dstMac, readMac(view, at + 4 + macSize))
  const etype = view.getUint32(at + 4 + macSize * 2)
  if (etype > MAX_8023_LENGTH && etype <= 0xffff) row.offer(ID.etype, etype)
}

/**
 * A sampled_ipv4 or sampled_ipv6: length, protocol, addresses, ports, TCP flags, type of service or priority.
 *
 * The packet's header has told all of it, where there is one.
 *
 * @param size of an address, 4 or 16 bytes
 */
function takeIp(bytes: Uint8Array, view: DataView, at: number, size: number, row: SampleRow): void {
  if (row.has(ID.srcAddr)) return
  const proto = view.getUint32(at + 4)
  const ports = at + 8 + size * 2
  if (size === 4) {
    row.setIpv4(ID.srcAddr, view.getUint32(at + 8))
    row.setIpv4(ID.dstAddr, view.getUint32(at + 12))
  } else {
    row.setIpv6(ID.srcAddr, bytes, at + 8)
    row.setIpv6(ID.dstAddr, bytes, at + 24)
  }
  row.set(ID.etype, size === 4 ? ETYPE_IPV4 : ETYPE_IPV6)
  setUpTo(ID.proto, proto, 0xff, row)
  setUpTo(ID.srcPort, view.getUint32(ports), 0xffff, row)
  setUpTo(ID.dstPort, view.getUint32(ports + 4), 0xffff, row)
  if (proto === PROTO_TCP) setUpTo(ID.tcpFlags, view.getUint32(ports + 8), 0xffff, row)
  setUpTo(ID.tos, view.getUint32(ports + 12), 0xff, row)
}

function setUpTo(id: number, value: number, most: number, row: SampleRow): void {
  if (value <= most) row.set(id, value)
}

function addVlan(places: PacketPlaces, vlan: number): void {
  if (vlan < 0) return
  if (places.outerVlan < 0) places.outerVlan = vlan
  else if (places.innerVlan < 0) places.innerVlan = vlan
}
