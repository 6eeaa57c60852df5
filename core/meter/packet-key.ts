import { type PacketHeaders } from '../pcap/packet-headers.ts'
import {
  isIpv6, KEY_DST, KEY_DST6, KEY_INTERFACE, KEY_NETWORK, KEY_PORTS, KEY_PROTO, KEY_SRC, KEY_SRC6, kindOf,
  protoOf, protoWord,
} from './flow-table.ts'

/** Kinds of ports in a key: none, or not known. */
export const NO_PORTS = 0
/** Source and destination port, 16 bits each. */
export const PORTS = 1
/** ICMP type and code, 8 bits each. */
export const ICMP = 2

const PROTO_ICMP = 1, PROTO_ICMPV6 = 58

/**
 * Put the flow key of the packet that `h` describes into `key`: addresses, protocol, ports (or type and code
 * of ICMP), interface and network.
 *
 * @param network VLAN of the outermost tag and 1, or a virtual network's identifier; 0 for none
 * @returns whether it is of IPv6; if not, the last six words stay as they were
 */
export function takeKey(
  bytes: Uint8Array, h: PacketHeaders, interfaceIndex: number, network: number, key: Int32Array,
): boolean {
  const { srcAddr, dstAddr, ipVersion } = h
  let kind = NO_PORTS
  let ports = 0
  if (h.srcPort >= 0) {
    kind = PORTS
    ports = (h.srcPort << 16) | h.dstPort
  } else if (h.icmpCode >= 0) {
    kind = ICMP
    ports = (h.icmpType << 8) | h.icmpCode
  }
  key[KEY_PORTS] = ports
  key[KEY_PROTO] = protoWord(h.proto, kind, ipVersion)
  key[KEY_INTERFACE] = interfaceIndex
  key[KEY_NETWORK] = network
  key[KEY_SRC] = wordAt(bytes, srcAddr)
  key[KEY_DST] = wordAt(bytes, dstAddr)
  if (ipVersion === 4) return false
  for (let i = 0; i < 3; i++) {
    key[KEY_SRC6 + i] = wordAt(bytes, srcAddr + 4 + i * 4)
    key[KEY_DST6 + i] = wordAt(bytes, dstAddr + 4 + i * 4)
  }
  return true
}

/** Give a key of IPv4 zeros for what only IPv6 has. */
export function fillKey(key: Int32Array): void {
  for (let i = KEY_SRC6; i < KEY_DST6 + 3; i++) key[i] = 0
}

/**
 * Give both directions of a conversation the same key. Of ICMP only requests and their replies are one: the
 * key is that of the request.
 *
 * @returns whether source and destination have changed places
 */
export function joinDirections(key: Int32Array): boolean {
  const proto = key[KEY_PROTO]
  const kind = kindOf(proto)
  if (kind === ICMP) {
    const request = requestOf(key[KEY_PORTS] >> 8, protoOf(proto))
    if (request < 0) return false
    key[KEY_PORTS] = (request << 8) | (key[KEY_PORTS] & 255)
    swapAddresses(key, isIpv6(proto))
    return true
  }
  const ports = key[KEY_PORTS]
  const turned = (ports << 16) | (ports >>> 16)
  let order = key[KEY_SRC] - key[KEY_DST]
  if (isIpv6(proto)) {
    for (let i = 0; i < 3 && order === 0; i++) order = key[KEY_SRC6 + i] - key[KEY_DST6 + i]
  }
  if (order === 0) order = ports - turned
  if (order <= 0) return false
  key[KEY_PORTS] = turned
  swapAddresses(key, isIpv6(proto))
  return true
}

function swapAddresses(key: Int32Array, six: boolean): void {
  swap(key, KEY_SRC, KEY_DST)
  if (six) for (let i = 0; i < 3; i++) swap(key, KEY_SRC6 + i, KEY_DST6 + i)
}

function swap(key: Int32Array, a: number, b: number): void {
  const word = key[a]
  key[a] = key[b]
  key[b] = word
}

/** The type of ICMP requests that type `reply` answers; -1 if it is no reply. */
function requestOf(reply: number, proto: number): number {
  if (proto === PROTO_ICMPV6) return reply === 129 ? 128 : -1
  if (proto !== PROTO_ICMP) return -1
  if (reply === 0) return 8 // echo
  return reply === 14 || reply === 16 || reply === 18 ? reply - 1 : -1 // timestamp, information, mask
}

/** The type of ICMP replies to `request`; itself if it is no request. */
export function replyTo(request: number): number {
  if (request === 8) return 0
  return request === 128 || request === 13 || request === 15 || request === 17 ? request + 1 : request
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}
