/** Frames of LZ4 (LZ4 Frame Format Description, version 1.6) as a stream. */
import type { ByteSource } from './byte-source.ts'
import { malformed, mismatched, truncated, unsupported } from './damage.ts'
import { appendLz4Block, lz4Bound } from './lz4.ts'
import { XxHash32, xxHash32 } from './xxhash32.ts'

const HISTORY = 0x10000 // bytes before a block that it may repeat
const MAX_CHUNK = 0x100000 // bytes given out at a time
const MIN_DESCRIPTOR = 3 // bytes: flags, block size, checksum
// flags
const INDEPENDENT = 32
const BLOCK_CHECKSUM = 16
const CONTENT_SIZE = 8
const CONTENT_CHECKSUM = 4
const RESERVED = 2
const DICTIONARY = 1
const VERSION = 0x40 // of the flags, in their two highest bits
const STORED = 1 << 31 // bit of a block's size

const LEGACY_BLOCK = 8 << 20 // bytes

/** Where the frames of an input are unpacked. */
export class Lz4Memory {
  private bytes: Uint8Array = new Uint8Array(0)

  /** Memory of `size` bytes. What lay there is worth nothing. */
  take(size: number): Uint8Array {
    if (this.bytes.length < size) this.bytes = new Uint8Array(size)
    return this.bytes.subarray(0, size)
  }
}

/**
 * Unpack one frame behind its magic number.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM, ERR_UNSUPPORTED (a dictionary is needed)
 * behind the blocks that could be unpacked
 */
export async function* unpackLz4Frame(source: ByteSource, memory: Lz4Memory): AsyncGenerator<Uint8Array> {
  const { flags, blockSize, contentSize } = await readDescriptor(source)
  const hash = new XxHash32()
  const content = memory.take((flags & INDEPENDENT ? 0 : HISTORY) + blockSize)
  let end = 0 // of what lies in `content`
  let total = 0
  for (;;) {
    const start = source.offset
    const word = await uint32(source)
    if (word === 0) break
    const size = word & ~STORED
    if (size > blockSize) throw malformed('LZ4', start, 'a block that is too large')
    const block = await take(source, size)
    if (flags & BLOCK_CHECKSUM && await uint32(source) !== xxHash32(block)) {
      throw mismatched('LZ4', source.offset - 4, 'the checksum of a block')
    }
    if (end + blockSize > content.length) { // keep as much as the next may repeat
      content.copyWithin(0, end - (content.length - blockSize), end)
      end = content.length - blockSize
    }
    let next = end + size
    if (word & STORED) content.set(block, end)
    else next = appendLz4Block(block, content.subarray(0, end + blockSize), end, start + 4)
    if (flags & CONTENT_CHECKSUM) hash.update(content.subarray(end, next))
    total += next - end
    yield* slices(content, end, next)
    end = next
  }
  if (flags & CONTENT_CHECKSUM && await uint32(source) !== hash.digest()) {
    throw mismatched('LZ4', source.offset - 4, 'the checksum of the content')
  }
  if (contentSize >= 0 && contentSize !== total) {
    throw malformed('LZ4', source.offset, `${contentSize} bytes wanted, ${total} found`)
  }
}

/** @returns `contentSize` in bytes; -1 if it is not told */
async function readDescriptor(
  source: ByteSource,
): Promise<{ flags: number, blockSize: number, contentSize: number }> {
  const start = source.offset
  if (!await source.fill(MIN_DESCRIPTOR)) throw truncated('LZ4', start)
  const flags = source.bytes[source.at]
  if ((flags & 0xc0) !== VERSION) throw unsupported('LZ4', start, 'a frame of another version')
  const size = MIN_DESCRIPTOR + (flags & CONTENT_SIZE ? 8 : 0) + (flags & DICTIONARY ? 4 : 0)
  const descriptor = await take(source, size)
  if (descriptor[size - 1] !== (xxHash32(descriptor.subarray(0, size - 1)) >> 8 & 255)) {
    throw mismatched('LZ4', start + size - 1, 'the checksum of a header')
  }
  const code = descriptor[1] >> 4
  if (flags & RESERVED || descriptor[1] & 0x8f || code < 4) throw malformed('LZ4', start, 'reserved flags')
  if (flags & DICTIONARY) throw unsupported('LZ4', start, 'it needs a dictionary')
  const view = new DataView(descriptor.buffer, descriptor.byteOffset, size)
  const contentSize = flags & CONTENT_SIZE ? view.getUint32(2, true) + view.getUint32(6, true) * 2 ** 32 : -1
  return { flags, blockSize: 1 << 8 + 2 * code, contentSize }
}

/**
 * Unpack the blocks of a legacy frame, as Linux kernels have them, behind its magic number.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED behind the blocks that could be unpacked
 */
export async function* unpackLegacyLz4(source: ByteSource, memory: Lz4Memory): AsyncGenerator<Uint8Array> {
  const content = memory.take(LEGACY_BLOCK)
  while (await source.fill(1)) {
    const start = source.offset
    const size = await uint32(source)
    if (size > lz4Bound(LEGACY_BLOCK)) { // the magic number of the next frame
      source.at -= 4
      return
    }
    const block = await take(source, size)
    yield* slices(content, 0, appendLz4Block(block, content, 0, start + 4))
  }
}

/** Copies of what lies in `content` from `start` to `end`. */
function* slices(content: Uint8Array, start: number, end: number): Generator<Uint8Array> {
  for (; start < end; start += MAX_CHUNK) yield content.slice(start, Math.min(start + MAX_CHUNK, end))
}

async function take(source: ByteSource, count: number): Promise<Uint8Array> {
  if (!await source.fill(count)) throw truncated('LZ4', source.offset)
  return source.take(count)
}

async function uint32(source: ByteSource): Promise<number> {
  const word = await source.uint32()
  if (word === undefined) throw truncated('LZ4', source.offset)
  return word
}
