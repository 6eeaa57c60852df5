import { FlowkitError } from '../flow/errors.ts'
import {
  type CaptureDecoder, type CapturedPacket, MAX_RECORD_SIZE, readUint16, readUint32,
} from './packet.ts'
import { BYTE_ORDER_MAGIC, ENHANCED_PACKET, INTERFACE_DESCRIPTION, SECTION_HEADER } from './section.ts'

const PACKET = 2 // obsolete
const SIMPLE_PACKET = 3

const BLOCK_OVERHEAD = 12 // type, length, and the length again behind the body
const MAX_INTERFACES = 65536 // of a section
const MICROS = 6 // the resolution without an option: 10^-6 s

const OPTION_END = 0
const OPTION_TIME_RESOLUTION = 9 // if_tsresol
const OPTION_TIME_OFFSET = 14 // if_tsoffset

interface CaptureInterface {
  linkType: number
  snapLength: number // bytes, 0: no limit
  resolution: number // 10^-n s, or 2^-n s with bit 7 set
  offset: number // seconds to add to times
}

/** Whether the number in the first four bytes, in either byte order, begins a pcapng file. */
export function isPcapngMagic(magic: number): boolean {
  return magic === SECTION_HEADER
}

/**
 * Decoder of pcapng files: any number of sections, each with its byte order and interfaces.
 *
 * A packet block whose inside is damaged is an error behind which the reader can go on; a block whose two
 * lengths disagree is the end. Blocks that hold no packet are skipped. Source: draft-ietf-opsawg-pcapng.
 */
export class PcapngDecoder implements CaptureDecoder {
  next = 0
  wanted: number = BLOCK_OVERHEAD
  found = false
  private little = false
  private interfaces: CaptureInterface[] = []

  decode(bytes: Uint8Array, at: number, end: number, origin: number, packet: CapturedPacket): boolean {
    this.next = at
    this.found = false
    this.wanted = BLOCK_OVERHEAD
    if (end - at < BLOCK_OVERHEAD) return false

    const offset = origin + at
    const type = readUint32(bytes, at, this.little)
    if (type === SECTION_HEADER) this.takeByteOrder(bytes, at, offset)
    const { little } = this
    const size = readUint32(bytes, at + 4, little)
    const smallest = type === SECTION_HEADER ? 28 : BLOCK_OVERHEAD
    if (size < smallest || size > MAX_RECORD_SIZE || size % 4 !== 0) {
      throw damaged(offset, `length of ${smallest} to ${MAX_RECORD_SIZE} and a multiple of 4`, size)
    }
    this.wanted = size
    if (end - at < size) return false
    const trailer = readUint32(bytes, at + size - 4, little)
    if (trailer !== size) throw damaged(offset, `length ${size} at its end`, trailer)
    if (type === SECTION_HEADER) this.beginSection(bytes, at, offset)

    this.next = at + size // an error from here on concerns this block only
    packet.bytes = bytes
    packet.offset = offset
    if (type === ENHANCED_PACKET) {
      checkSize(offset, 32, size)
      const id = readUint32(bytes, at + 8, little)
      this.takePacket(bytes, at, size - 32, id, packet)
    } else if (type === INTERFACE_DESCRIPTION) {
      this.addInterface(bytes, at, size, offset)
    } else if (type === PACKET) {
      checkSize(offset, 32, size)
      const id = readUint16(bytes, at + 8, little)
      this.takePacket(bytes, at, size - 32, id, packet)
    } else if (type === SIMPLE_PACKET) {
      checkSize(offset, 16, size)
      this.takeSimplePacket(bytes, at, size - 16, packet)
    }
    return true
  }

  private takeByteOrder(bytes: Uint8Array, at: number, offset: number): void {
    const magic = readUint32(bytes, at + 8, false)
    this.little = magic !== BYTE_ORDER_MAGIC
    if (this.little && readUint32(bytes, at + 8, true) !== BYTE_ORDER_MAGIC) {
      throw damaged(offset, 'byte-order magic 0x1a2b3c4d', `0x${magic.toString(16).padStart(8, '0')}`)
    }
  }

  private beginSection(bytes: Uint8Array, at: number, offset: number): void {
    const major = readUint16(bytes, at + 12, this.little)
    if (major !== 1) {
      throw new FlowkitError(
        'ERR_UNSUPPORTED',
        `Cannot read pcapng section at byte ${offset}: version 1 wanted, ${major} found`,
      )
    }
    this.interfaces = []
  }

  private addInterface(bytes: Uint8Array, at: number, size: number, offset: number): void {
    if (this.interfaces.length === MAX_INTERFACES) {
      throw damaged(offset, `at most ${MAX_INTERFACES} interfaces in a section`, 'one more')
    }
    // also a damaged block counts as an interface, so that those after it keep their numbers
    const added: CaptureInterface = { linkType: -1, snapLength: 0, resolution: MICROS, offset: 0 }
    this.interfaces.push(added)
    checkSize(offset, 20, size)
    const { little } = this
    added.linkType = readUint16(bytes, at + 8, little)
    added.snapLength = readUint32(bytes, at + 12, little)
    const end = at + size - 4
    let option = at + 16
    while (option + 4 <= end) {
      const code = readUint16(bytes, option, little)
      const length = readUint16(bytes, option + 2, little)
      const value = option + 4
      if (code === OPTION_END || value + length > end) break
      if (code === OPTION_TIME_RESOLUTION && length === 1) added.resolution = bytes[value]
      if (code === OPTION_TIME_OFFSET && length === 8) {
        const high = readUint32(bytes, little ? value + 4 : value, little) | 0
        added.offset = high * 2 ** 32 + readUint32(bytes, little ? value : value + 4, little)
      }
      option = value + ((length + 3) & ~3)
    }
  }

  /** Take an Enhanced or an obsolete Packet Block, which differ in how they name the interface. */
  private takePacket(bytes: Uint8Array, at: number, room: number, id: number, packet: CapturedPacket): void {
    const { little, interfaces } = this
    if (id >= interfaces.length) throw damaged(packet.offset, `interface below ${interfaces.length}`, id)
    const captured = readUint32(bytes, at + 20, little)
    if (captured > room) throw damaged(packet.offset, `captured length up to ${room}`, captured)
    const from = interfaces[id]
    setTime(packet, readUint32(bytes, at + 12, little), readUint32(bytes, at + 16, little), from)
    packet.linkType = from.linkType
    packet.start = at + 28
    packet.length = captured
    packet.originalLength = readUint32(bytes, at + 24, little)
    this.found = true
  }

  private takeSimplePacket(bytes: Uint8Array, at: number, room: number, packet: CapturedPacket): void {
    const from = this.interfaces[0]
    if (from === undefined) throw damaged(packet.offset, 'an interface before it', 'none')
    const original = readUint32(bytes, at + 8, this.little)
    packet.time = 0
    packet.nanos = 0
    packet.linkType = from.linkType
    packet.start = at + 12
    packet.length = Math.min(original, room, from.snapLength === 0 ? room : from.snapLength)
    packet.originalLength = original
    this.found = true
  }
}

/**
 * Set the packet's time from 64 bits of ticks: exact down to 10^-12 s and 2^-23 s, else within 1 ns. One that
 * no double holds exactly is none.
 */
function setTime(packet: CapturedPacket, high: number, low: number, from: CaptureInterface): void {
  const { resolution, offset } = from
  let micros: number
  let nanos = 0
  if (resolution >= 0x80) {
    const bits = resolution - 0x80
    const second = 2 ** bits
    const above = bits < 32 ? high * 2 ** (32 - bits) : Math.floor(high / 2 ** (bits - 32))
    const seconds = above + Math.floor((bits < 32 ? low : 0) / second)
    const ticks = bits < 32 ? low % second : (high % 2 ** (bits - 32)) * 2 ** 32 + low
    const fraction = Math.min(Math.floor((ticks * 1e9) / second), 999_999_999)
    micros = seconds * 1e6 + Math.floor(fraction / 1000)
    nanos = fraction % 1000
  } else if (resolution < MICROS) {
    micros = (high * 2 ** 32 + low) * 10 ** (MICROS - resolution)
  } else {
    const unit = resolution === MICROS ? 1 : 10 ** (resolution - MICROS) // ticks in a microsecond
    const rest = (high % unit) * 2 ** 32 + low
    micros = Math.floor(high / unit) * 2 ** 32 + Math.floor(rest / unit)
    nanos = Math.floor(((rest % unit) * 1000) / unit)
  }
  const time = micros + offset * 1e6
  const isExact = Math.abs(time) <= Number.MAX_SAFE_INTEGER
  packet.time = isExact ? time : 0
  packet.nanos = isExact ? nanos : 0
}

function checkSize(offset: number, smallest: number, size: number): void {
  if (size < smallest) throw damaged(offset, `length of at least ${smallest}`, size)
}

function damaged(offset: number, wanted: string, found: number | string): FlowkitError {
  return new FlowkitError(
    'ERR_MALFORMED',
    `Cannot read pcapng block at byte ${offset}: ${wanted} wanted, ${found} found`,
  )
}
