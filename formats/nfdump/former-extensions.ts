/** The extensions of flow records up to nfdump 1.6 (bin/nfx.h), where a map tells what a record has. */
import {
  counter, extension, identifier, ipv4, ipv6, mac, narrow, number, OP, part, text, time,
  type Extension, type Part,
} from './parts.ts'

/** Ids of extensions that depend on another, or that others depend on. */
export const FORMER = { firewall: 37, natEvent: 46, natAddresses: 47 } as const

const EXTENSIONS: readonly Extension[] = [
  extension(4, 'interfaces', 4, [number(0, 2, 'inIf'), number(2, 2, 'outIf')]),
  extension(5, 'interfaces', 8, [number(0, 4, 'inIf'), number(4, 4, 'outIf')]),
  extension(6, 'AS', 4, [number(0, 2, 'srcAs'), number(2, 2, 'dstAs')]),
  extension(7, 'AS', 8, [number(0, 4, 'srcAs'), number(4, 4, 'dstAs')]),
  extension(8, 'multiple', 4, [
    number(0, 1, 'postTos'), number(1, 1, 'direction'), number(2, 1, 'srcMask'), number(3, 1, 'dstMask'),
  ]),
  extension(9, 'next hop', 4, [ipv4(0, 'nextHop')]),
  extension(10, 'next hop', 16, [ipv6(0, 'nextHop')]),
  extension(11, 'BGP next hop', 4, [ipv4(0, 'bgpNextHop')]),
  extension(12, 'BGP next hop', 16, [ipv6(0, 'bgpNextHop')]),
  extension(13, 'VLAN', 4, [number(0, 2, 'vlanId'), number(2, 2, 'postVlanId')]),
  extension(14, 'out packets', 4, [number(0, 4, 'outPackets')]),
  extension(15, 'out packets', 8, [counter(0, 'outPackets')]),
  extension(16, 'out bytes', 4, [number(0, 4, 'outBytes')]),
  extension(17, 'out bytes', 8, [counter(0, 'outBytes')]),
  extension(18, 'flows', 4, [number(0, 4, 'flows', 0)]),
  extension(19, 'flows', 8, [counter(0, 'flows', 0)]),
  extension(20, 'MAC addresses', 16, [mac(0, 'srcMac'), mac(8, 'postDstMac')]),
  extension(21, 'MAC addresses', 16, [mac(0, 'dstMac'), mac(8, 'postSrcMac')]),
  extension(22, 'MPLS labels', 40, [part(OP.MPLS, 0, 40, 'mplsLabel1')]),
  extension(23, 'router', 4, [ipv4(0, 'exporterAddr')]),
  extension(24, 'router', 16, [ipv6(0, 'exporterAddr')]),
  { ...extension(25, 'router id', 4, []), engineAt: 2 },
  extension(26, 'adjacent AS', 8, [number(0, 4, 'nextAs'), number(4, 4, 'prevAs')]),
  extension(27, 'received', 8, [time(0, 'received')]),
  extension(45, 'latency', 24, [
    narrow(0, 8, 'clientLatency'), narrow(8, 8, 'serverLatency'), narrow(16, 8, 'appLatency'),
  ]),
  // from here on unknown to programs that were built without events
  {
    ...extension(FORMER.firewall, 'firewall event', 20, [
      time(0, 'eventTime'), identifier(8, 4, 'flowId'), number(14, 1, 'firewallEvent'),
      number(16, 2, 'firewallExtEvent'),
    ]),
    icmpAt: 12,
  },
  extension(38, 'NAT ports', 4, [number(0, 2, 'postNaptSrcPort'), number(2, 2, 'postNaptDstPort')]),
  extension(39, 'NAT addresses', 8, [ipv4(0, 'postNatSrcAddr'), ipv4(4, 'postNatDstAddr')]),
  extension(40, 'NAT addresses', 32, [ipv6(0, 'postNatSrcAddr'), ipv6(16, 'postNatDstAddr')]),
  extension(41, 'access lists', 24, [part(OP.WORDS, 0, 12, 'inAcl'), part(OP.WORDS, 12, 12, 'outAcl')]),
  extension(42, 'user', 24, [text(0, 24, 'userName')]),
  extension(43, 'user', 72, [text(0, 72, 'userName')]),
  extension(FORMER.natEvent, 'NAT event', 12, [
    number(0, 1, 'natEvent'), number(4, 4, 'dstVrf'), number(8, 4, 'srcVrf'),
  ]),
  extension(FORMER.natAddresses, 'NAT addresses', 8, [ipv4(0, 'postNatSrcAddr'), ipv4(4, 'postNatDstAddr')]),
  extension(48, 'port block', 8, [
    number(0, 2, 'portBlockStart'), number(2, 2, 'portBlockEnd'), number(4, 2, 'portBlockStep'),
    number(6, 2, 'portBlockSize'),
  ]),
]

/** In records that have extension 47 too, extension 46 has ports where it else has a VRF (1.6.10). */
const NAT_EVENT_WITH_PORTS: Extension = extension(FORMER.natEvent, 'NAT event', 12, [
  number(0, 1, 'natEvent'), number(4, 2, 'postNaptSrcPort'), number(6, 2, 'postNaptDstPort'),
  number(8, 4, 'srcVrf'),
])

const byId = new Map(EXTENSIONS.map((each) => [each.id, each]))

/**
 * The extensions of a map, in the order of their values.
 *
 * @returns the id of one that is not known, instead
 */
export function formerExtensions(ids: readonly number[]): readonly Extension[] | number {
  const found: Extension[] = []
  const hasPorts = ids.includes(FORMER.natAddresses)
  for (const id of ids) {
    const each = hasPorts && id === FORMER.natEvent ? NAT_EVENT_WITH_PORTS : byId.get(id)
    if (!each) return id
    found.push(each)
  }
  return found
}

/** Those that are written: no narrower form of another, nor what newer versions do not read. */
export const FORMER_WRITTEN: readonly Extension[] =
  EXTENSIONS.filter(({ id }) => ![4, 6, 14, 16, 18, 42, FORMER.natAddresses].includes(id))

/** Bits of a record's flags: the first three say how the parts without an extension lie. */
export const FLAG = {
  ipv6: 1, packets64: 2, bytes64: 4, ipv6NextHop: 8, ipv6BgpNextHop: 16, ipv6Exporter: 32, event: 64,
  sampled: 128,
} as const

/** How the record of a flow begins that has an extension map. */
export interface FormerRecord {
  /** Bytes before the addresses. */
  readonly size: number
  /** Offset of the number of the exporter, and how many bytes it has. */
  readonly sysidAt: number
  readonly sysidLength: 1 | 2
  readonly parts: readonly Part[]
}

const COMMON: readonly Part[] = [
  // seconds, and how far behind them their milliseconds lie
  part(OP.SECONDS, 12, -4, 'flowStart', 0), part(OP.SECONDS, 16, -6, 'flowEnd', 0),
  number(20, 1, 'forwardingStatus'), number(21, 1, 'tcpFlags'), number(22, 1, 'proto'), number(23, 1, 'tos'),
  number(24, 2, 'srcPort'), number(26, 2, 'dstPort'),
]

/** Record type 1, of the first versions of 1.6, and type 10. */
export const FORMER_RECORDS: Readonly<Record<number, FormerRecord>> = {
  1: { size: 28, sysidAt: 5, sysidLength: 1, parts: COMMON },
  10: {
    size: 32, sysidAt: 28, sysidLength: 2,
    parts: [...COMMON, number(30, 1, 'biflowDirection', 0), number(31, 1, 'endReason', 0)],
  },
}

/** The records of nfdump 1.5, which all are alike (`common_record_v1_s`). */
export const OLDEST_RECORD: FormerRecord = {
  size: 36, sysidAt: 6, sysidLength: 2,
  parts: [
    part(OP.SECONDS, 12, -4, 'flowStart', 0), part(OP.SECONDS, 16, -6, 'flowEnd', 0),
    number(20, 1, 'direction'), number(21, 1, 'tcpFlags'), number(22, 1, 'proto'), number(23, 1, 'tos'),
    number(24, 2, 'inIf'), number(26, 2, 'outIf'), number(28, 2, 'srcPort'), number(30, 2, 'dstPort'),
    number(32, 2, 'srcAs'), number(34, 2, 'dstAs'),
  ],
}

/** What lies behind the common part of a record, as its flags say. */
const ADDRESSES4 = extension(0, 'addresses', 8, [ipv4(0, 'srcAddr'), ipv4(4, 'dstAddr')])
const ADDRESSES6 = extension(0, 'addresses', 32, [ipv6(0, 'srcAddr'), ipv6(16, 'dstAddr')])
const PACKETS4 = extension(0, 'packets', 4, [number(0, 4, 'packets')])
const PACKETS8 = extension(0, 'packets', 8, [counter(0, 'packets')])
const BYTES4 = extension(0, 'bytes', 4, [number(0, 4, 'bytes')])
const BYTES8 = extension(0, 'bytes', 8, [counter(0, 'bytes')])

/** What records with these flags begin with, before their extensions. */
export function formerBeginning({ size, parts }: FormerRecord, flags: number): readonly Extension[] {
  return [
    extension(0, 'common', size, parts),
    flags & FLAG.ipv6 ? ADDRESSES6 : ADDRESSES4,
    flags & FLAG.packets64 ? PACKETS8 : PACKETS4,
    flags & FLAG.bytes64 ? BYTES8 : BYTES4,
  ]
}
