/** Largest record (pcap) or block (pcapng) that is read, bytes: Wireshark's limit; packets end at 256 KiB. */
export const MAX_RECORD_SIZE: number = 16 * 1024 * 1024

/** One packet of a capture file; a reader owns one and fills it again for each packet. */
export class CapturedPacket {
  /** Microseconds since the epoch, an integer; 0 where there is no time, or none that it can hold. */
  time = 0
  /** Nanoseconds below `time`, 0 to 999. */
  nanos = 0
  /** LINKTYPE_ value of https://www.tcpdump.org/linktypes.html; -1 when its interface could not be read. */
  linkType = 0
  /** Buffer that holds the packet, valid until the reader moves on. */
  bytes: Uint8Array = new Uint8Array(0)
  /** Offset of the packet's first byte in `bytes`. */
  start = 0
  /** Bytes captured. */
  length = 0
  /** Bytes on the wire. */
  originalLength = 0
  /** Offset of the packet's record or block in the file. */
  offset = 0
}

/** A decoder of one capture file format, over windows of its bytes. */
export interface CaptureDecoder {
  /** Offset behind the record last decoded; the place to go on, also after an error when it moved. */
  next: number
  /** Bytes that the record at `next` needs, as far as they are known. */
  wanted: number
  /** Whether the record last decoded was a packet. */
  found: boolean

  /**
   * Decode the record at `at`.
   *
   * @param origin offset in the file of `bytes[0]`
   * @returns whether the whole record lies before `end`; if not, nothing was consumed
   * @throws FlowkitError when the record is damaged; the format cannot go on unless `next` moved
   */
  decode(bytes: Uint8Array, at: number, end: number, origin: number, packet: CapturedPacket): boolean
}

/** The 16-bit number at `at`. */
export function readUint16(bytes: Uint8Array, at: number, little: boolean): number {
  return little ? bytes[at] | (bytes[at + 1] << 8) : (bytes[at] << 8) | bytes[at + 1]
}

/** The unsigned 32-bit number at `at`. */
export function readUint32(bytes: Uint8Array, at: number, little: boolean): number {
  return little
    ? (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
    : ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}
