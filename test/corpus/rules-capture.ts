/**
 * What meters that go by other rules than flowkit make of a capture's packets, worked out packet by packet.
 *
 * A table has the keys that its rule is about, with what the meter then tells of each: nothing (no fields)
 * where it has no such flow.
 */
import { formatIpv4, formatIpv6 } from '../../core/flow/address.ts'
import { CaptureReader } from '../../core/pcap/capture.ts'
import { LINK_ETHERNET, parsePacket } from '../../core/pcap/headers.ts'
import { MORE_FRAGMENTS, PacketHeaders } from '../../core/pcap/packet-headers.ts'
import { readUint32 } from '../../core/pcap/packet.ts'
import { keyText, sumUp, type Sums, type Told } from './flow-sums.ts'

/** What is told of each key that a rule is about. */
export type Table = ReadonlyMap<string, Sums>

/** Tables by the identifier of the explanation that they are for. */
export interface Rules {
  /** Counters and times by flowkit's rules: lengths of IP headers, fragments with the ports of the first. */
  readonly own: Table
  readonly others: ReadonlyMap<string, Table>
}

/** One packet. */
interface Seen {
  /** Its keys: of ICMP with type and code in the place of the destination port, and without. */
  readonly keys: readonly string[]
  /** Its key without ports. */
  readonly bare: string
  /** Protocol, addresses, identification. */
  readonly id: string
  readonly time: number
  /** By the IP header. */
  readonly bytes: number
  /** Behind the Ethernet header and one tag. */
  readonly framed: number
  /** Of IPv6 extension headers. */
  readonly extensions: number
  readonly tos: number
  readonly isTcp: boolean
  readonly flags: number
  /** Place of the data in a datagram, undefined for a whole one. */
  readonly offset: number | undefined
  readonly isLast: boolean
  /** Behind the IP header: length, and first bytes. */
  readonly size: number
  readonly data: Uint8Array
}

const NOTHING: Sums = new Map()
const MIN_OFFSET = 5 // words of a TCP header
const FIN = 1

/** The tables for a capture. */
export function packetRules(capture: Uint8Array): Rules {
  const packets = [...packetsIn(capture)]
  const datagrams = datagramsOf(packets)
  const whole = packets.filter(isWhole)
  return {
    own: sumUp([...whole.map((packet) => [packet]), ...datagrams].flatMap(counted)),
    others: new Map([
      ['meter-sctp', withoutPorts(packets)],
      ['pmacctd-all-tos', allTos(packets)],
      ['pmacctd-one-datagram', oneDatagram(datagrams)],
      ['softflowd-fragments', portless(packets)],
      ['softflowd-framed', sumUp(whole.flatMap(framed))],
      ['nfpcapd-whole', joined(datagrams)],
      ['nfpcapd-extensions', withoutExtensions(packets)],
      ['nfpcapd-largest-file', lastFile(packets)],
    ]),
  }
}

function* packetsIn(capture: Uint8Array): Generator<Seen> {
  const reader = new CaptureReader()
  const h = new PacketHeaders()
  reader.window(capture, 0, capture.length)
  while (reader.next()) {
    const { bytes, start, length, originalLength, time, linkType } = reader.packet
    if (linkType !== LINK_ETHERNET || !parsePacket(bytes, start, start + length, linkType, h)) continue
    const { ipVersion, fragment, fragmentOffset, icmpType, icmpCode } = h
    const address = (at: number): string => {
      return ipVersion === 4 ? formatIpv4(readUint32(bytes, at, false)) : formatIpv6(bytes, at)
    }
    const [proto, src, dst] = [String(h.proto), address(h.srcAddr), address(h.dstAddr)]
    const ports = new Set([String(Math.max(0, h.dstPort))])
    if (icmpType >= 0) ports.add(`${icmpType}.${icmpCode}`)
    const data = fragment >= 0 ? fragment : h.transport
    const header = (fragment >= 0 ? fragment : data) - h.ip
    yield {
      keys: [...ports].map((port) => keyText(proto, src, String(Math.max(0, h.srcPort)), dst, port)),
      bare: keyText(proto, src, '0', dst, '0'), id: `${proto} ${src} ${dst} ${h.ipId}`,
      time, bytes: h.ipLength, framed: originalLength - (h.vlanId < 0 ? 14 : 18), tos: h.tos,
      extensions: ipVersion === 6 && data >= 0 ? header - 40 : 0,
      isTcp: h.proto === 6, flags: h.tcpFlags, offset: fragment >= 0 ? fragmentOffset : undefined,
      isLast: (h.flags & MORE_FRAGMENTS) === 0, size: h.ipLength - header,
      data: data < 0 ? bytes.slice(0, 0) : bytes.slice(data, Math.min(data + 20, start + length)),
    }
  }
}

function isWhole({ offset }: Seen): boolean {
  return offset === undefined
}

/** Fragments that belong together, of which the first comes first. */
function datagramsOf(packets: readonly Seen[]): Seen[][] {
  const open = new Map<string, Seen[]>()
  const all: Seen[][] = []
  for (const packet of packets) {
    if (packet.offset === undefined) continue
    if (packet.offset === 0) {
      const datagram = [packet]
      open.set(packet.id, datagram)
      all.push(datagram)
    } else open.get(packet.id)?.push(packet)
  }
  return all
}

/** Each packet counted in the flows of the first one's keys. */
function counted(packets: readonly Seen[]): Told[] {
  return packets[0].keys.flatMap((key) => packets.map(({ bytes, time }) => ({
    key, fields: [...once(bytes), ...at(String(time))],
  })))
}

/** The counters of one packet. */
function once(bytes: number): [field: string, text: string][] {
  return [['packets', '1'], ['bytes', String(bytes)]]
}

/** The times of one packet. */
function at(time: string): [field: string, text: string][] {
  return [['flow_start', time], ['flow_end', time]]
}

/** A time as nfdump has it. */
function milliseconds(time: number): string {
  return `${Math.floor(time / 1000)}ms`
}

function framed({ keys, framed }: Seen): Told[] {
  return keys.map((key) => ({ key, fields: [['bytes', String(framed)]] }))
}

/** SCTP without ports. */
function withoutPorts(packets: readonly Seen[]): Table {
  const sctp = packets.filter(({ bare }) => bare.startsWith('132 '))
  const table = sumUp(sctp.map(({ bare, bytes }) => ({ key: bare, fields: once(bytes) })))
  for (const { keys } of sctp) for (const key of keys) if (!table.has(key)) table.set(key, NOTHING)
  return table
}

/** The types of service of all packets. */
function allTos(packets: readonly Seen[]): Table {
  return sumUp(packets.flatMap(({ keys, tos }) => (
    keys.map((key): Told => ({ key, fields: [['tos', String(tos)]] }))
  )))
}

/**
 * All fragments of one identification as if they were of the first datagram that had it, flags read from each
 * as if it began with a TCP header.
 */
function oneDatagram(datagrams: readonly (readonly Seen[])[]): Table {
  const keys = new Map<string, string>()
  const told: Told[] = []
  for (const [first, ...others] of datagrams) {
    const key = keys.get(first.id) ?? first.keys[0]
    keys.set(first.id, key)
    if (key !== first.keys[0]) told.push({ key: first.keys[0], fields: [] })
    for (const { bytes, time, data, isTcp } of [first, ...others]) {
      const flags = isTcp ? [['tcp_flags', String(data[13] ?? 0)]] as const : []
      told.push({ key, fields: [...once(bytes), ...at(String(time)), ...flags] })
    }
  }
  return sumUp(told)
}

/** Later fragments in a flow without ports: the keys of fragments, and what else they have. */
function portless(packets: readonly Seen[]): Table {
  const told = packets.map((packet) => ({
    fragment: !isWhole(packet), keys: packet.offset ? [packet.bare] : packet.keys, framed: packet.framed,
  }))
  const affected = new Set(told.filter(({ fragment }) => fragment).flatMap(({ keys }) => keys))
  return sumUp(told.flatMap(({ keys, framed }) => (
    keys.filter((key) => affected.has(key)).map((key) => ({ key, fields: once(framed) }))
  )))
}

/** One packet of a datagram, when its last fragment has come; none if the TCP header is too short. */
function joined(datagrams: readonly (readonly Seen[])[]): Table {
  return sumUp(datagrams.flatMap((parts): Told[] => {
    const [first] = parts
    const { isLast, offset = 0, size, time } = parts[parts.length - 1]
    const isRefused = first.isTcp && first.data[12] >> 4 < MIN_OFFSET
    if (!isLast || isRefused) return first.keys.map((key) => ({ key, fields: [] }))
    const bytes = first.bytes - first.size + offset + size
    return first.keys.map((key) => ({ key, fields: [...once(bytes), ...at(milliseconds(time))] }))
  }))
}

/** Bytes without those of IPv6 extension headers, of the keys that have any. */
function withoutExtensions(packets: readonly Seen[]): Table {
  const having = new Set(packets.filter(({ extensions }) => extensions > 0).flatMap(({ keys }) => keys))
  return sumUp(packets.flatMap(({ keys, bytes, extensions }) => (
    keys.filter((key) => having.has(key))
      .map((key) => ({ key, fields: [['bytes', String(bytes - extensions)]] as const }))
  )))
}

/**
 * What is in the file of a capture's last day: of earlier days only what was still held. A flow ends at once
 * with its FIN: that is what came behind it.
 */
function lastFile(packets: readonly Seen[]): Table {
  const dayOf = ({ time }: Seen): number => Math.floor(time / 86_400e6)
  const last = Math.max(...packets.map(dayOf))
  const table = new Map<string, Sums>()
  const early = packets.filter((packet) => dayOf(packet) < last)
  for (const key of new Set(early.flatMap(({ keys }) => keys))) {
    const own = packets.filter(({ keys }) => keys.includes(key))
    if (own.some((packet) => dayOf(packet) === last)) continue
    const fin = own.findLastIndex(({ flags }) => flags > 0 && (flags & FIN) !== 0)
    const behind = fin < 0 ? [] : own.slice(fin + 1)
    const told = behind.map(({ bytes, time }): Told => ({
      key, fields: [...once(bytes), ...at(milliseconds(time))],
    }))
    table.set(key, sumUp(told).get(key) ?? NOTHING)
  }
  return table
}
