/** Captures of UDP datagrams that were never on a wire. */
import { LINK_ETHERNET } from './headers.ts'
import { ENHANCED_PACKET, writeSection } from './section.ts'

/** The formats of captures that are written. */
export type CaptureFormat = 'pcap' | 'pcapng'

/** Who sent a datagram. */
export interface Source {
  /** 4 or 6. */
  readonly family: number
  /** IPv4 address, host order. */
  readonly v4: number
  /** IPv6 address, 16 bytes. */
  readonly v6: Uint8Array
  readonly port: number
}

/** Makes a capture, datagram by datagram. */
export interface CaptureWriter {
  /**
   * Append a datagram as an Ethernet frame.
   *
   * @param payload at most 65507 bytes
   * @param time µs since the epoch
   */
  write(payload: Uint8Array, source: Source, dstPort: number, time: number): void
  /** The bytes since the last call, at first with the file's header; valid until the next `write`. */
  take(): Uint8Array
}

const FILE_HEADER_SIZE = 24
const RECORD_HEADER_SIZE = 16
const MAGIC_MICRO = 0xa1b2c3d4

const PACKET_OVERHEAD = 32

const ETHERNET_SIZE = 14
const UDP_SIZE = 8
const IPV4_SIZE = 20
const IPV6_SIZE = 40
const UDP = 17
const HOP_LIMIT = 64
const DO_NOT_FRAGMENT = 0x4000

/** Locally administered: of the collector, then of the exporter. */
const MACS = Uint8Array.of(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1)
/** The collector, in networks for documentation: 192.0.2.2 (RFC 5737), 2001:db8::2 (RFC 3849). */
const COLLECTOR_V4 = 0xc0000202
const COLLECTOR_V6 = Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)

/**
 * A writer of pcap (microseconds) or pcapng, little-endian.
 *
 * Frames go to 192.0.2.2 or 2001:db8::2, unfragmented however long they are. Source: draft-ietf-opsawg-pcap,
 * draft-ietf-opsawg-pcapng, RFC 791, RFC 8200, RFC 768.
 */
export function captureWriter(format: CaptureFormat): CaptureWriter {
  let bytes = new Uint8Array(1 << 16)
  let view = new DataView(bytes.buffer)
  let at = format === 'pcap' ? writeFileHeader(view) : writeSection(view, LINK_ETHERNET)

  function reserve(size: number): void {
    if (at + size <= bytes.length) return
    const larger = new Uint8Array(Math.max(at + size, bytes.length * 2))
    larger.set(bytes.subarray(0, at))
    bytes = larger
    view = new DataView(larger.buffer)
  }

  function writeRecord(size: number, time: number): void {
    const seconds = Math.floor(time / 1e6)
    view.setUint32(at, seconds, true)
    view.setUint32(at + 4, time - seconds * 1e6, true)
    view.setUint32(at + 8, size, true)
    view.setUint32(at + 12, size, true)
    at += RECORD_HEADER_SIZE
  }

  function writeBlock(size: number, time: number): void {
    const total = PACKET_OVERHEAD + size + 3 & ~3
    const high = Math.floor(time / 2 ** 32)
    view.setUint32(at, ENHANCED_PACKET, true)
    view.setUint32(at + 4, total, true)
    view.setUint32(at + 8, 0, true) // interface
    view.setUint32(at + 12, high, true)
    view.setUint32(at + 16, time - high * 2 ** 32, true)
    view.setUint32(at + 20, size, true)
    view.setUint32(at + 24, size, true)
    view.setUint32(at + total - 8, 0, true) // padding
    view.setUint32(at + total - 4, total, true)
    at += 28
  }

  return {
    write(payload, source, dstPort, time) {
      const size = ETHERNET_SIZE + (source.family === 6 ? IPV6_SIZE : IPV4_SIZE) + UDP_SIZE + payload.length
      reserve(PACKET_OVERHEAD + size + 3)
      if (format === 'pcap') writeRecord(size, time)
      else writeBlock(size, time)
      writeFrame(view, bytes, at, payload, source, dstPort)
      at += size
      if (format === 'pcapng') at += (-size & 3) + 4
    },
    take() {
      const taken = bytes.subarray(0, at)
      at = 0
      return taken
    },
  }
}

function writeFileHeader(view: DataView): number {
  view.setUint32(0, MAGIC_MICRO, true)
  view.setUint16(4, 2, true) // version 2.4
  view.setUint16(6, 4, true)
  view.setUint32(16, 0x40000, true) // longest packet, bytes
  view.setUint32(20, LINK_ETHERNET, true)
  return FILE_HEADER_SIZE
}

function writeFrame(
  view: DataView, bytes: Uint8Array, at: number, payload: Uint8Array, source: Source, dstPort: number,
): void {
  const length = UDP_SIZE + payload.length
  const isV6 = source.family === 6
  bytes.set(MACS, at)
  view.setUint16(at + 12, isV6 ? 0x86dd : 0x0800)
  const ip = at + ETHERNET_SIZE
  const udp = ip + (isV6 ? IPV6_SIZE : IPV4_SIZE)
  if (isV6) writeIpv6(view, bytes, ip, length, source.v6)
  else writeIpv4(view, ip, length, source.v4)
  view.setUint16(udp, source.port)
  view.setUint16(udp + 2, dstPort)
  view.setUint16(udp + 4, length)
  view.setUint16(udp + 6, 0)
  bytes.set(payload, udp + UDP_SIZE)
  // over addresses, protocol, length and datagram; 0 would say that there is none (RFC 768)
  const addresses = isV6 ? sumOf(view, ip + 8, ip + 40) : sumOf(view, ip + 12, ip + 20)
  view.setUint16(udp + 6, fold(addresses + UDP + length + sumOf(view, udp, udp + length)) || 0xffff)
}

function writeIpv4(view: DataView, at: number, length: number, source: number): void {
  view.setUint16(at, 0x4500) // version 4, 5 words, no type of service
  view.setUint16(at + 2, IPV4_SIZE + length)
  view.setUint16(at + 4, 0) // an identification is for fragments only (RFC 6864)
  view.setUint16(at + 6, DO_NOT_FRAGMENT)
  view.setUint8(at + 8, HOP_LIMIT)
  view.setUint8(at + 9, UDP)
  view.setUint16(at + 10, 0)
  view.setUint32(at + 12, source)
  view.setUint32(at + 16, COLLECTOR_V4)
  view.setUint16(at + 10, fold(sumOf(view, at, at + IPV4_SIZE)))
}

function writeIpv6(view: DataView, bytes: Uint8Array, at: number, length: number, source: Uint8Array): void {
  view.setUint32(at, 0x60000000) // version 6
  view.setUint16(at + 4, length)
  view.setUint8(at + 6, UDP)
  view.setUint8(at + 7, HOP_LIMIT)
  bytes.set(source, at + 8)
  bytes.set(COLLECTOR_V6, at + 24)
}

/** The sum of 16-bit words, the last filled up with 0; of 64 KiB it stays below 2^31. */
function sumOf(view: DataView, at: number, end: number): number {
  let sum = 0
  for (; at + 1 < end; at += 2) sum += view.getUint16(at)
  return at < end ? sum + (view.getUint8(at) << 8) : sum
}

/** The Internet checksum of a sum (RFC 1071). */
function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
