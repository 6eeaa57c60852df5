/**
 * How flowd(8) lays out a record: a header, the fields of its mask in the order of their bits, big-endian,
 * all in words of four bytes. A log of version 3 is nothing but such records, one behind the other.
 *
 * Source: flowd's store.h.
 */

/** Bytes of the header: version, words behind the header, two reserved, the mask of the fields. */
export const HEADER_SIZE = 8

/** Version 3.0 in the first byte: the major number in the upper three bits, the minor one below. */
export const VERSION_3 = 0x60

/** Bytes of each field, in the order of their bits, from bit 0. */
export const SIZES = {
  tag: 4,
  received: 8, // seconds, microseconds
  proto: 4, // TCP flags, protocol, type of service, padding
  exporter4: 4,
  exporter6: 16,
  src4: 4,
  src6: 16,
  dst4: 4,
  dst6: 16,
  nextHop4: 4,
  nextHop6: 16,
  ports: 4,
  packets: 8,
  bytes: 8,
  interfaces: 8,
  clock: 16, // uptime in ms, seconds, nanoseconds, NetFlow version (16 bits), padding
  times: 8, // uptimes of first and last packet, ms
  routing: 12, // AS numbers, prefix lengths (8 bits), padding
  engine: 12, // engine type and id (16 bits), sequence number, source id
} as const

/** A field of a record, which holds one value or several. */
export type FlowdField = keyof typeof SIZES

/** The fields in the order of their bits. */
export const FLOWD_FIELDS: readonly FlowdField[] = Object.keys(SIZES) as FlowdField[]

/** The bit of each field. */
export const BIT: Readonly<Record<FlowdField | 'crc', number>> = {
  ...Object.fromEntries(FLOWD_FIELDS.map((name, bit) => [name, 2 ** bit])) as Record<FlowdField, number>,
  crc: 0x40000000,
}

/** The mask of everything that version 3.0 has. */
export const ALL_FIELDS: number = Object.values(BIT).reduce((mask, bit) => mask | bit)

/** Addresses, as the bits of both families: a record has one of them. */
export const ADDRESS: Readonly<Record<'exporter' | 'src' | 'dst' | 'nextHop', number>> = {
  exporter: BIT.exporter4 | BIT.exporter6,
  src: BIT.src4 | BIT.src6,
  dst: BIT.dst4 | BIT.dst6,
  nextHop: BIT.nextHop4 | BIT.nextHop6,
}

/** Where the fields of a record lie, counted from its start; 0: it has them not. */
export interface Layout extends Readonly<Record<FlowdField | 'crc', number>> {
  /** Bytes of the record with its header. */
  readonly size: number
}

/**
 * The layout of a record that has the fields of `mask`, as far as version 3.0 knows them.
 *
 * @param wanted fields whose places are told; the others are 0, too
 */
export function layoutOf(mask: number, wanted: number = mask): Layout {
  let size = HEADER_SIZE
  const offsets = {} as Record<FlowdField, number>
  for (const name of FLOWD_FIELDS) {
    const isThere = (mask & BIT[name]) !== 0
    offsets[name] = isThere && (wanted & BIT[name]) !== 0 ? size : 0
    if (isThere) size += SIZES[name]
  }
  const crc = (mask & BIT.crc) === 0 ? 0 : size
  return { ...offsets, crc, size: crc === 0 ? size : size + 4 }
}

/** The layouts of masks that are used again and again, each made once. */
export class Layouts {
  private readonly known = new Map<number, Layout>()
  private mask = 0
  private last = layoutOf(0)

  /** The layout of `mask`. */
  of(mask: number): Layout {
    if (mask === this.mask) return this.last
    let layout = this.known.get(mask)
    if (!layout) this.known.set(mask, layout = layoutOf(mask))
    this.mask = mask
    this.last = layout
    return layout
  }
}

/** Bytes of the longest record: all fields, and every address of IPv6. */
export const MAX_RECORD: number =
  layoutOf(ALL_FIELDS & ~(BIT.exporter4 | BIT.src4 | BIT.dst4 | BIT.nextHop4)).size

/** Whether the mask has an address in both families, which makes no sense. */
export function isAmbiguous(mask: number): boolean {
  return Object.values(ADDRESS).some((both) => (mask & both) === both)
}

const CRC_STEPS = 16 // bytes that are worked off at once
const CRC_TABLES = crcTables()

/** Table `n` is what a byte does to the CRC `n` bytes later. */
function crcTables(): Int32Array {
  const tables = new Int32Array(CRC_STEPS * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ 0xedb88320 : crc >>> 1
    tables[byte] = crc
  }
  for (let i = 256; i < tables.length; i++) tables[i] = tables[i - 256] >>> 8 ^ tables[tables[i - 256] & 255]
  return tables
}

/**
 * The CRC of `view[at..end)`, whole words: CRC-32 as of Ethernet, but begun with 0 and not inverted.
 *
 * Source: flowd's crc32.c.
 *
 * @returns it as a signed number
 */
export function checksum(view: DataView, at: number, end: number): number {
  const t = CRC_TABLES
  let crc = 0
  for (; at + 16 <= end; at += 16) {
    const b = view.getInt32(at + 4, true)
    const c = view.getInt32(at + 8, true)
    const d = view.getInt32(at + 12, true)
    // these wait for nothing; what hangs on the word before comes last
    const rest = t[2816 | b & 255] ^ t[2560 | b >>> 8 & 255] ^ t[2304 | b >>> 16 & 255] ^ t[2048 | b >>> 24]
      ^ t[1792 | c & 255] ^ t[1536 | c >>> 8 & 255] ^ t[1280 | c >>> 16 & 255] ^ t[1024 | c >>> 24]
      ^ t[768 | d & 255] ^ t[512 | d >>> 8 & 255] ^ t[256 | d >>> 16 & 255] ^ t[d >>> 24]
    crc ^= view.getInt32(at, true)
    crc = t[3840 | crc & 255] ^ t[3584 | crc >>> 8 & 255] ^ t[3328 | crc >>> 16 & 255] ^ t[3072 | crc >>> 24]
      ^ rest
  }
  for (; at < end; at += 4) {
    crc ^= view.getInt32(at, true)
    crc = t[768 | crc & 255] ^ t[512 | crc >>> 8 & 255] ^ t[256 | crc >>> 16 & 255] ^ t[crc >>> 24]
  }
  return crc
}
