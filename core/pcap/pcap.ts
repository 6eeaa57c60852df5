import { FlowkitError } from '../flow/errors.ts'
import {
  type CaptureDecoder, type CapturedPacket, MAX_RECORD_SIZE, readUint16, readUint32,
} from './packet.ts'

const FILE_HEADER_SIZE = 24 // magic, major, minor, zone, accuracy, snap length, link type
const RECORD_HEADER_SIZE = 16 // seconds, fraction, captured, original
const PATCHED_HEADER_SIZE = 24 // and interface, protocol, packet type

const MAGIC_MICRO = 0xa1b2c3d4
const MAGIC_NANO = 0xa1b23c4d
const MAGIC_PATCHED = 0xa1b2cd34 // Alexey Kuznetsov's tcpdump, microseconds

/** Whether the number in the first four bytes, in either byte order, is the magic number of a pcap file. */
export function isPcapMagic(magic: number): boolean {
  return magic === MAGIC_MICRO || magic === MAGIC_NANO || magic === MAGIC_PATCHED
}

/**
 * Decoder of pcap files: microseconds, nanoseconds and Kuznetsov's longer records, either byte order.
 *
 * A record says nothing of where the next one begins but its length, so that the first error is the last.
 * Source: draft-ietf-opsawg-pcap; libpcap sf-pcap.c for the patched records.
 */
export class PcapDecoder implements CaptureDecoder {
  next = 0
  wanted: number = FILE_HEADER_SIZE
  found = false
  private little = false
  private nano = false
  private linkType = -1
  private headerSize = 0

  decode(bytes: Uint8Array, at: number, end: number, origin: number, packet: CapturedPacket): boolean {
    this.next = at
    this.found = false
    const { little, headerSize } = this
    if (headerSize === 0) return this.decodeFileHeader(bytes, at, end)
    this.wanted = headerSize
    if (end - at < headerSize) return false

    const captured = readUint32(bytes, at + 8, little)
    if (captured > MAX_RECORD_SIZE) {
      const wanted = `length up to ${MAX_RECORD_SIZE}`
      throw new FlowkitError(
        'ERR_MALFORMED',
        `Cannot read pcap record at byte ${origin + at}: ${wanted} wanted, ${captured} found`,
      )
    }
    this.wanted = headerSize + captured
    if (end - at < this.wanted) return false

    const seconds = readUint32(bytes, at, little)
    const fraction = readUint32(bytes, at + 4, little)
    const micros = this.nano ? Math.floor(fraction / 1000) : fraction
    packet.time = seconds * 1e6 + micros
    packet.nanos = this.nano ? fraction - micros * 1000 : 0
    packet.linkType = this.linkType
    packet.bytes = bytes
    packet.start = at + headerSize
    packet.length = captured
    packet.originalLength = readUint32(bytes, at + 12, little)
    packet.offset = origin + at
    this.next = at + this.wanted
    this.found = true
    return true
  }

  private decodeFileHeader(bytes: Uint8Array, at: number, end: number): boolean {
    if (end - at < FILE_HEADER_SIZE) return false
    this.little = isPcapMagic(readUint32(bytes, at, true))
    const magic = readUint32(bytes, at, this.little)
    const major = readUint16(bytes, at + 4, this.little)
    if (major !== 2) {
      throw new FlowkitError('ERR_UNSUPPORTED', `Cannot read pcap file: version 2 wanted, ${major} found`)
    }
    this.nano = magic === MAGIC_NANO
    this.headerSize = magic === MAGIC_PATCHED ? PATCHED_HEADER_SIZE : RECORD_HEADER_SIZE
    this.linkType = readUint32(bytes, at + 20, this.little) & 0x03ffffff // above: frame check sequence length
    this.next = at + FILE_HEADER_SIZE
    return true
  }
}
