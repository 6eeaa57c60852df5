/**
 * The extensions that the flow records of nfdump 1.7 are made of (src/libnffile/nfxV3.h): reading and writing
 * follow from this table.
 *
 * An extension is told by its id and its size, since some have changed: 18 in 1.7.2, 25 in 1.7.1. nfdump
 * 1.7.1 knows ids up to 37, but neither 18 nor 34 and 35; it complains of others, and reads on.
 */
import {
  counter, element, extension, former, identifier, ipv4, ipv6, lost, mac, narrow, number, octets, OP, part,
  text, time, TO_END, type Extension,
} from './parts.ts'

/** Ids of extensions that are more than the sum of their fields. */
export const EXT = {
  ipv4: 2, ipv6: 3, counters: 5, samplerInfo: 18, firewall: 19, nat: 25, application: 27, frame: 34,
  frameBytes: 35, layer2: 38,
} as const

/** Every extension as nfdump 1.7.8 has it, by ascending id. */
export const EXTENSIONS: readonly Extension[] = [
  extension(1, 'generic flow', 48, [
    time(0, 'flowStart'), time(8, 'flowEnd'), time(16, 'received'),
    counter(24, 'packets'), counter(32, 'bytes'), number(40, 2, 'srcPort'), number(42, 2, 'dstPort'),
    number(44, 1, 'proto'), number(45, 1, 'tcpFlags'), number(46, 1, 'forwardingStatus'),
    number(47, 1, 'tos'),
  ]),
  extension(EXT.ipv4, 'IPv4 flow', 8, [ipv4(0, 'srcAddr'), ipv4(4, 'dstAddr')]),
  extension(EXT.ipv6, 'IPv6 flow', 32, [ipv6(0, 'srcAddr'), ipv6(16, 'dstAddr')]),
  extension(4, 'flow misc', 16, [
    number(0, 4, 'inIf'), number(4, 4, 'outIf'), number(8, 1, 'srcMask'), number(9, 1, 'dstMask'),
    number(10, 1, 'direction'), number(11, 1, 'postTos'), number(12, 1, 'biflowDirection', 0),
    number(13, 1, 'endReason', 0), number(14, 1, 'revTcpFlags', 0), // up to 1.7.4, then 0
    former(number(15, 1, 'ipFlags', 0)), // in 1.7.4
  ]),
  extension(EXT.counters, 'counters', 24, [
    counter(0, 'flows', 0), counter(8, 'outPackets'), counter(16, 'outBytes'),
  ]),
  extension(6, 'VLAN', 8, [narrow(0, 4, 'vlanId'), narrow(4, 4, 'postVlanId')]),
  extension(7, 'AS routing', 8, [number(0, 4, 'srcAs'), number(4, 4, 'dstAs')]),
  extension(8, 'BGP next hop IPv4', 4, [ipv4(0, 'bgpNextHop')]),
  extension(9, 'BGP next hop IPv6', 16, [ipv6(0, 'bgpNextHop')]),
  extension(10, 'next hop IPv4', 4, [ipv4(0, 'nextHop')]),
  extension(11, 'next hop IPv6', 16, [ipv6(0, 'nextHop')]),
  extension(12, 'received from IPv4', 4, [ipv4(0, 'exporterAddr')]),
  extension(13, 'received from IPv6', 16, [ipv6(0, 'exporterAddr')]),
  extension(14, 'MPLS labels', 40, [part(OP.MPLS, 0, 40, 'mplsLabel1')]),
  extension(15, 'MAC addresses', 32, [
    mac(0, 'srcMac'), mac(8, 'postDstMac'), mac(16, 'dstMac'), mac(24, 'postSrcMac'),
  ]),
  extension(16, 'adjacent AS', 8, [number(0, 4, 'nextAs'), number(4, 4, 'prevAs')]),
  extension(17, 'latency', 24, [
    narrow(0, 8, 'clientLatency'), narrow(8, 8, 'serverLatency'), narrow(16, 8, 'appLatency'),
  ]),
  // 4 bytes behind: see SAMPLER_SYSID
  extension(EXT.samplerInfo, 'sampler', 16, [identifier(0, 8, 'samplerId')]),
  extension(EXT.firewall, 'firewall event', 16, [
    time(0, 'eventTime'), identifier(8, 4, 'flowId'), number(12, 2, 'firewallExtEvent'),
    number(14, 1, 'firewallEvent'),
  ]),
  extension(20, 'NAT IPv4', 8, [ipv4(0, 'postNatSrcAddr'), ipv4(4, 'postNatDstAddr')]),
  extension(21, 'NAT IPv6', 32, [ipv6(0, 'postNatSrcAddr'), ipv6(16, 'postNatDstAddr')]),
  extension(22, 'NAT ports', 4, [number(0, 2, 'postNaptSrcPort'), number(2, 2, 'postNaptDstPort')]),
  extension(23, 'access lists', 24, [octets(0, 12, 'inAcl'), octets(12, 12, 'outAcl')]),
  extension(24, 'user', 68, [text(0, 66, 'userName')]),
  extension(EXT.nat, 'NAT event', 16, [
    time(0, 'eventTime'), number(8, 4, 'natPoolId', 0), number(12, 1, 'natEvent', 0),
  ]),
  extension(26, 'port block', 8, [
    number(0, 2, 'portBlockStart'), number(2, 2, 'portBlockEnd'), number(4, 2, 'portBlockStep'),
    number(6, 2, 'portBlockSize'),
  ]),
  extension(EXT.application, 'application', 0, [octets(0, TO_END, 'applicationId')]),
  extension(28, 'label', 0, [], [lost(0, TO_END, 'nfdump label')]),
  extension(29, 'payload', 0, [], [element(0, TO_END, 'bytes', 6871, 18)]),
  extension(30, 'reverse payload', 0, [], [element(0, TO_END, 'bytes', 6871, 16402)]),
  extension(31, 'tunnel IPv4', 12, [
    ipv4(0, 'tunSrcAddr'), ipv4(4, 'tunDstAddr'), narrow(8, 4, 'tunProto'),
  ]),
  extension(32, 'tunnel IPv6', 40, [
    ipv6(0, 'tunSrcAddr'), ipv6(16, 'tunDstAddr'), narrow(32, 4, 'tunProto'),
  ]),
  extension(33, 'observation', 16, [
    identifier(0, 8, 'observationPointId', 0), number(8, 4, 'observationDomainId', 0),
  ]),
  extension(EXT.frame, 'sampled frame', 4, [number(0, 2, 'frameLength')], [element(2, 2, 'number', 0, 408)]),
  extension(EXT.frameBytes, 'bytes of the frame', 0, [], [element(0, TO_END, 'bytes', 0, 315)]),
  extension(36, 'VRF', 8, [number(0, 4, 'dstVrf'), number(4, 4, 'srcVrf')]),
  extension(37, 'packet filter', 20, [
    number(0, 1, 'pfAction'), number(1, 1, 'pfReason'), number(2, 1, 'pfDirection'), number(4, 4, 'pfRule'),
    text(20, TO_END, 'inIfName'),
  ], [
    lost(3, 1, 'pf rewritten'), lost(8, 4, 'pf subrule'), lost(12, 4, 'pf uid'), lost(16, 4, 'pf pid'),
  ]),
  extension(EXT.layer2, 'layer 2', 32, [
    number(0, 2, 'vlanId', 0), number(2, 2, 'customerVlanId', 0), number(4, 2, 'postVlanId', 0),
    number(6, 2, 'postCustomerVlanId', 0), number(8, 4, 'physInIf', 0), number(12, 4, 'physOutIf', 0),
    number(24, 2, 'etype', 0), number(26, 1, 'ipVersion', 0),
  ], [lost(16, 8, 'nfdump VXLAN')]),
  extension(39, 'flow id', 8, [identifier(0, 8, 'flowId')]),
  extension(40, 'Nokia NAT', 4, [], [element(0, 2, 'number', 637, 91), element(2, 2, 'number', 637, 92)]),
  extension(41, 'Nokia NAT text', 0, [], [element(0, TO_END, 'text', 637, 93)]),
  extension(42, 'IP info', 4, [
    former(number(0, 1, 'ipTtl', 0)), // in 1.7.5
    number(1, 1, 'ipFlags'), number(2, 1, 'minTtl'), number(3, 1, 'maxTtl'),
  ]),
]

/** Those that nfdump 1.7.1 knows too, as far as it does: it complains of each flow that has others. */
export const EXTENSIONS_171: readonly Extension[] = EXTENSIONS
  .filter(({ id }) => (
    id < EXT.layer2 && id !== EXT.samplerInfo && id !== EXT.frame && id !== EXT.frameBytes
  ))
  .map((each) => each.id === EXT.application ? { ...each, most: 15 } : each)

/** Extensions of other sizes that older versions wrote. */
const OLDER: readonly Extension[] = [
  extension(EXT.samplerInfo, 'sampler', 12, [identifier(0, 4, 'samplerId')]), // 1.7.0 and 1.7.1
  extension(EXT.nat, 'NAT event', 24, [ // 1.7.0
    time(0, 'eventTime'), number(8, 4, 'dstVrf'), number(12, 4, 'srcVrf'), number(16, 4, 'natPoolId', 0),
    number(20, 1, 'natEvent', 0),
  ]),
]

/** Where extension 18 of 16 bytes names the exporter that has its sampler. */
export const SAMPLER_SYSID = 8

/** The extension of that id with `size` bytes behind its header, or undefined. */
export function findExtension(id: number, size: number): Extension | undefined {
  const newest = EXTENSIONS[id - 1]
  if (newest !== undefined && (newest.isVariable ? size >= newest.size : size === newest.size)) return newest
  return OLDER.find((each) => each.id === id && each.size === size)
}
