/** xz (The .xz File Format, version 1.2.1) as a stream. */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { ByteSource } from './byte-source.ts'
import { Crc64 } from './crc64.ts'
import { limited, malformed, mismatched, truncated, unsupported } from './damage.ts'
import { unpackLzma2 } from './lzma2.ts'

const MAGIC = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)
const END_MAGIC = Uint8Array.of(0x59, 0x5a)
const HEADER_SIZE = 12 // of a stream; its footer has the same
const INDEX = 0 // where a block's header would have its size
const LZMA2 = 0x21 // id of the filter
const HAS_PACKED_SIZE = 0x40
const HAS_SIZE = 0x80
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] // bytes, by the kind of check
/** Largest dictionary that is kept: twice what the presets of xz have, and what zstd takes unasked. */
const MAX_DICTIONARY = 128 << 20

/**
 * Unpack xz, one stream or several, with padding between them.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM, ERR_UNSUPPORTED (filters for programs),
 * ERR_LIMIT (a dictionary over 128 MiB) behind what could be unpacked
 */
export async function* unpackXz(source: ByteSource): AsyncGenerator<Uint8Array> {
  do yield* unpackStream(source)
  while (!await isOver(source))
}

/** What the index at the end of a stream must agree with. */
interface Totals {
  blocks: number
  packed: number
  unpacked: number
}

async function* unpackStream(source: ByteSource): AsyncGenerator<Uint8Array> {
  const start = source.offset
  const header = await take(source, HEADER_SIZE)
  if (!MAGIC.every((byte, i) => header[i] === byte)) throw malformed('xz', start, 'no beginning of a stream')
  checkCrc(header.subarray(6, 8), header.subarray(8), start + 8)
  if (header[6] !== 0 || header[7] > 15) throw unsupported('xz', start + 6, 'flags of a later version')
  const check = header[7]
  const totals: Totals = { blocks: 0, packed: 0, unpacked: 0 }
  for (;;) {
    if (!await source.fill(1)) throw truncated('xz', source.offset)
    if (source.bytes[source.at] === INDEX) break
    yield* unpackBlock(source, check, totals)
  }
  const indexSize = await readIndex(source, totals)
  const end = source.offset
  const footer = await take(source, HEADER_SIZE)
  checkCrc(footer.subarray(4, 10), footer, end)
  const isSame = uint32(footer, 4) * 4 + 4 === indexSize && footer[8] === 0 && footer[9] === check
  if (!isSame || footer[10] !== END_MAGIC[0] || footer[11] !== END_MAGIC[1]) {
    throw malformed('xz', end, 'an end that does not match its stream')
  }
}

async function* unpackBlock(
  source: ByteSource, check: number, totals: Totals,
): AsyncGenerator<Uint8Array> {
  const start = source.offset
  const header = await readBlockHeader(source)
  const dataAt = source.offset
  const checksum = checksumOf(check)
  let size = 0
  for await (const chunk of unpackLzma2(source, header.dictionary)) {
    checksum?.update(chunk)
    size += chunk.length
    yield chunk
  }
  const packed = source.offset - dataAt
  if (header.packedSize >= 0 && header.packedSize !== packed || header.size >= 0 && header.size !== size) {
    throw malformed('xz', start, 'a block of another size than its header says')
  }
  await skipZeros(source, -packed & 3)
  const checkAt = source.offset
  const stored = await take(source, CHECK_SIZES[check])
  if (checksum && !isEqual(stored, checksum.digest())) {
    throw mismatched('xz', checkAt, 'the checksum of a block')
  }
  totals.blocks++
  totals.packed += dataAt - start + packed + stored.length
  totals.unpacked += size
}

/** What a block's header says; sizes are -1 where it does not. */
interface BlockHeader {
  readonly packedSize: number
  readonly size: number
  readonly dictionary: number
}

async function readBlockHeader(source: ByteSource): Promise<BlockHeader> {
  const start = source.offset
  const header = await take(source, (source.bytes[source.at] + 1) * 4)
  const end = header.length - 4
  checkCrc(header.subarray(0, end), header.subarray(end), start)
  const flags = header[1]
  let at = 2
  function next(): number {
    const { value, size } = varint(header.subarray(at, end))
    if (size === 0) throw malformed('xz', start + at, 'no number in the header of a block')
    at += size
    return value
  }
  const packedSize = flags & HAS_PACKED_SIZE ? next() : -1
  const size = flags & HAS_SIZE ? next() : -1
  const filter = next()
  if (flags & 0x3f || filter !== LZMA2) throw unsupported('xz', start, 'other filters than LZMA2')
  const propertiesSize = next()
  const bits = header[at]
  if (propertiesSize !== 1 || bits > 40) throw malformed('xz', start, 'no such properties')
  const dictionary = bits === 40 ? 2 ** 32 - 1 : (2 | bits & 1) * 2 ** ((bits >> 1) + 11)
  if (dictionary > MAX_DICTIONARY) {
    throw limited('xz', start, `a dictionary of at most ${MAX_DICTIONARY} bytes wanted, ${dictionary} found`)
  }
  return { packedSize, size, dictionary }
}

/** Compare the index with what was read. @returns its size */
async function readIndex(source: ByteSource, totals: Totals): Promise<number> {
  const start = source.offset
  let crc = crc32(await take(source, 1))
  async function next(): Promise<number> {
    const isWhole = await source.fill(MAX_VARINT)
    const { value, size } = varint(source.bytes.subarray(source.at, source.at + MAX_VARINT))
    if (size === 0 && !isWhole) throw truncated('xz', source.offset)
    if (size === 0) throw malformed('xz', source.offset, 'no number in the index')
    crc = crc32(source.take(size), crc)
    return value
  }
  const count = await next()
  let { packed, unpacked } = totals
  if (count === totals.blocks) {
    for (let i = 0; i < count; i++) {
      packed -= await next()
      unpacked -= await next()
    }
  }
  if (count !== totals.blocks || packed !== 0 || unpacked !== 0) {
    throw malformed('xz', start, 'an index of other blocks')
  }
  const padding = -(source.offset - start) & 3
  crc = crc32(await skipZeros(source, padding), crc)
  const stored = await take(source, 4)
  if (uint32(stored, 0) !== crc) throw mismatched('xz', source.offset - 4, 'the checksum of the index')
  return source.offset - start
}

/** Go to the next stream. @returns whether there is none */
async function isOver(source: ByteSource): Promise<boolean> {
  while (await source.fill(1)) {
    if (source.bytes[source.at] !== 0) return false
    await skipZeros(source, 4)
  }
  return true
}

interface Check {
  update(bytes: Uint8Array): void
  digest(): Uint8Array
}

/** The check of a kind; undefined if there is none, or none that is known. */
function checksumOf(kind: number): Check | undefined {
  if (kind === 1) return crc32Check()
  if (kind === 4) return new Crc64()
  if (kind === 10) {
    const hash = createHash('sha256')
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() }
  }
  return undefined
}

function crc32Check(): Check {
  let crc = 0
  return {
    update: (bytes) => { crc = crc32(bytes, crc) },
    digest: () => Uint8Array.of(crc, crc >>> 8, crc >>> 16, crc >>> 24),
  }
}

const MAX_VARINT = 9 // bytes

/** The number that `bytes` begin with, 7 bits a byte; its size is 0 if there is none. */
function varint(bytes: Uint8Array): { value: number, size: number } {
  let value = 0
  for (let i = 0; i < bytes.length && i < MAX_VARINT; i++) {
    value += (bytes[i] & 127) * 2 ** (7 * i)
    if (bytes[i] < 128) return { value, size: bytes[i] === 0 && i > 0 ? 0 : i + 1 }
  }
  return { value, size: 0 }
}

function checkCrc(bytes: Uint8Array, stored: Uint8Array, at: number): void {
  if (uint32(stored, 0) !== crc32(bytes)) throw mismatched('xz', at, 'the checksum of a header')
}

async function skipZeros(source: ByteSource, count: number): Promise<Uint8Array> {
  const zeros = await take(source, count)
  if (zeros.some((byte) => byte !== 0)) {
    throw malformed('xz', source.offset - count, 'padding that is not zero')
  }
  return zeros
}

async function take(source: ByteSource, count: number): Promise<Uint8Array> {
  if (!await source.fill(count)) throw truncated('xz', source.offset)
  return source.take(count)
}

function uint32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
