/** bzip2: streams of blocks of up to 900 kB, in which 4 equal bytes have a count of more behind them. */
import { BitReader, Bzip2Block } from './bzip2-block.ts'
import type { ByteSource } from './byte-source.ts'
import { malformed, mismatched, truncated } from './damage.ts'

const BLOCK_UNIT = 100_000 // bytes; a stream says how many of them its blocks have at most
const RUN = 4 // equal bytes behind which a count follows
const CHUNK_SIZE = 0x40000 // bytes given out at a time
const MIN_INPUT = 0x100000 // bytes at hand before a block is tried: seldom is one larger

/** CRC-32 with the polynomial of Ethernet, the highest bit first. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, i) => {
  let crc = i << 24
  for (let bit = 0; bit < 8; bit++) crc = crc << 1 ^ (crc < 0 ? 0x04c11db7 : 0)
  return crc
})

/**
 * Unpack bzip2, also several streams one behind the other.
 *
 * @param target as large as the content, or larger
 * @returns the number of bytes written
 * @throws FlowkitError ERR_MALFORMED when the bytes are damaged or the content does not fit, ERR_CHECKSUM
 */
export function decompressBzip2(source: Uint8Array, target: Uint8Array): number {
  const reader = new Bzip2Reader()
  let at = 0
  let out = 0
  do {
    const next = reader.read(source, at, 0)
    if (next < 0) throw malformed('bzip2', at, 'it ends too early')
    at = next
    out = reader.write(target, out)
    if (reader.isPending) throw malformed('bzip2', at, `more than ${target.length} bytes come of it`)
  } while (at < source.length || reader.isOpen)
  return out
}

/**
 * Unpack bzip2 as a stream, also several streams one behind the other.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM behind the blocks that could be unpacked
 */
export async function* unpackBzip2(source: ByteSource): AsyncGenerator<Uint8Array> {
  const reader = new Bzip2Reader()
  let wanted = MIN_INPUT
  while (await source.fill(wanted) || source.left > 0 || reader.isOpen) {
    const next = reader.read(source.bytes, source.at, source.offset - source.at)
    if (next < 0) {
      if (source.left < wanted) throw truncated('bzip2', source.offset)
      wanted = source.left + MIN_INPUT
      continue
    }
    source.at = next
    wanted = MIN_INPUT
    while (reader.isPending) {
      const chunk = new Uint8Array(CHUNK_SIZE)
      yield chunk.subarray(0, reader.write(chunk, 0))
    }
  }
}

/** Reads bzip2 step by step, from bytes that its caller has at hand. */
class Bzip2Reader {
  private readonly input = new BitReader()
  private readonly block = new Bzip2Block()
  private blockSize = 0 // at most; 0: between streams
  private streamCrc = 0
  private skip = 0 // bits of the byte where the next section begins

  // what is to be written of the block
  private left = 0
  private place = 0
  private last = -1
  private same = 0 // times that `last` came in a row
  private repeat = 0 // times that it comes again
  private crc = 0
  private blockCrc = 0
  private blockAt = 0

  /** Whether a stream has begun and not ended. */
  get isOpen(): boolean {
    return this.blockSize > 0
  }

  /** Whether there is something to write. */
  get isPending(): boolean {
    return this.left > 0 || this.repeat > 0
  }

  /**
   * Take the next section: the header of a stream, a block, or the end of a stream. Nothing is pending.
   *
   * @param base offset of `bytes` in the input, for what is said of damage
   * @returns where the next begins; -1 when the bytes end before: call again with more of them
   * @throws FlowkitError ERR_MALFORMED, ERR_CHECKSUM
   */
  read(bytes: Uint8Array, at: number, base: number): number {
    const { input, block, blockSize } = this
    if (this.crc !== this.blockCrc) throw mismatched('bzip2', this.blockAt, 'the checksum of a block')
    input.begin(bytes, at, this.skip)
    const magic = input.take(24)
    const low = blockSize > 0 ? input.take(24) : 0
    const isBlock = magic === 0x314159 && low === 0x265359
    const crc = blockSize > 0 ? input.take(16) << 16 | input.take(16) : 0
    let found = ''
    let level = 0
    if (blockSize === 0) {
      level = input.take(8) - 0x30
      if (magic !== 0x425a68 || level < 1 || level > 9) found = 'no beginning of a stream'
    } else if (isBlock) found = block.read(input, blockSize)
    else if (magic !== 0x177245 || low !== 0x385090) found = 'neither a block nor the end of a stream'
    const { position } = input
    if (position > bytes.length * 8) return -1
    if (found !== '') throw malformed('bzip2', base + at, found)
    if (isBlock) {
      this.startBlock(crc, base + at)
      this.skip = position & 7
      return position >> 3
    }
    if (blockSize > 0 && crc !== this.streamCrc) {
      throw mismatched('bzip2', base + at, 'the checksum of a stream')
    }
    this.blockSize = level * BLOCK_UNIT
    this.streamCrc = 0
    this.skip = 0
    return position + 7 >> 3 // streams begin with a byte
  }

  private startBlock(crc: number, at: number): void {
    this.left = this.block.length
    this.place = this.block.first
    this.last = -1
    this.same = 0
    this.crc = -1
    this.blockCrc = ~crc
    this.blockAt = at
    this.streamCrc = (this.streamCrc << 1 | this.streamCrc >>> 31) ^ crc
  }

  /**
   * Write what is pending, as much as there is room.
   *
   * @returns the end of what was written
   */
  write(target: Uint8Array, at: number): number {
    const { chain } = this.block
    const end = target.length
    let { left, place, last, same, repeat, crc } = this
    while (at < end && (left > 0 || repeat > 0)) {
      if (repeat > 0) repeat--
      else {
        const entry = chain[place]
        const byte = entry & 255
        place = entry >>> 8
        left--
        if (same === RUN) {
          repeat = byte
          same = 0
          continue
        }
        if (byte === last) same++
        else {
          last = byte
          same = 1
        }
      }
      target[at++] = last
      crc = crc << 8 ^ CRC_TABLE[crc >>> 24 ^ last]
    }
    this.left = left
    this.place = place
    this.last = last
    this.same = same
    this.repeat = repeat
    this.crc = crc
    return at
  }
}
