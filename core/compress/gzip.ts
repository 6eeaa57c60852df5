/** gzip (RFC 1952) as a stream. */
import { crc32 } from 'node:zlib'
import type { ByteSource } from './byte-source.ts'
import { malformed, mismatched, truncated } from './damage.ts'
import { Inflater } from './inflate.ts'

const HEADER_SIZE = 10
const TRAILER_SIZE = 8 // CRC-32 and size
const HAS_HEADER_CRC = 2
const HAS_EXTRA = 4
const HAS_NAME = 8
const HAS_COMMENT = 16
const RESERVED = 0xe0

/**
 * Unpack gzip, one member or several; zeros behind the last are padding.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM behind what could be unpacked
 */
export async function* unpackGzip(source: ByteSource): AsyncGenerator<Uint8Array> {
  const inflater = new Inflater(0, 'deflate')
  do {
    await skipHeader(source)
    inflater.restart(source.offset)
    yield* unpackMember(source, inflater)
  } while (!await isOver(source))
}

async function skipHeader(source: ByteSource): Promise<void> {
  const start = source.offset
  if (!await source.fill(HEADER_SIZE)) throw truncated('gzip', start)
  const header = source.take(HEADER_SIZE)
  if (header[0] !== 0x1f || header[1] !== 0x8b) throw malformed('gzip', start, 'no beginning of a member')
  const flags = header[3]
  if (header[2] !== 8 || flags & RESERVED) throw malformed('gzip', start, 'a method that is not in use')
  let isWhole = true
  if (flags & HAS_EXTRA) {
    isWhole = await source.fill(2)
    if (isWhole) {
      const [low, high] = source.take(2)
      isWhole = await source.skip(low | high << 8)
    }
  }
  if (isWhole && flags & HAS_NAME) isWhole = await skipText(source)
  if (isWhole && flags & HAS_COMMENT) isWhole = await skipText(source)
  if (isWhole && flags & HAS_HEADER_CRC) isWhole = await source.skip(2)
  if (!isWhole) throw truncated('gzip', source.offset)
}

/** Go behind the next NUL. @returns whether there is one */
async function skipText(source: ByteSource): Promise<boolean> {
  for (;;) {
    const bytes = await source.some()
    if (bytes.length === 0) return false
    const length = bytes.indexOf(0)
    source.at += length < 0 ? bytes.length : length + 1
    if (length >= 0) return true
  }
}

async function* unpackMember(source: ByteSource, inflater: Inflater): AsyncGenerator<Uint8Array> {
  let crc = 0
  let size = 0
  let failure: unknown
  while (!inflater.done && failure === undefined) {
    const { at } = source
    try {
      source.at = inflater.inflate(source.bytes, at)
    } catch (error) {
      failure = error
    }
    const { bytes, start, end } = inflater
    if (end > start) {
      const chunk = bytes.slice(start, end)
      inflater.start = end
      crc = crc32(chunk, crc)
      size = size + chunk.length >>> 0
      yield chunk
    } else if (failure === undefined && source.at === at && !await source.fill(source.left + 1)) {
      failure = truncated('gzip', source.offset)
    }
  }
  if (failure !== undefined) throw failure
  const at = source.offset
  if (!await source.fill(TRAILER_SIZE)) throw truncated('gzip', at)
  const trailer = source.take(TRAILER_SIZE)
  const view = new DataView(trailer.buffer, trailer.byteOffset, TRAILER_SIZE)
  if (view.getUint32(0, true) !== crc) throw mismatched('gzip', at, 'the checksum')
  if (view.getUint32(4, true) !== size) throw mismatched('gzip', at + 4, 'the size')
}

/** Go to the next member. @returns whether there is none */
async function isOver(source: ByteSource): Promise<boolean> {
  const isEnd = !await source.fill(1)
  if (isEnd || source.bytes[source.at] !== 0) return isEnd
  for (;;) {
    const padding = await source.some()
    if (padding.length === 0) return true
    const end = padding.findIndex((byte) => byte !== 0)
    source.at += end < 0 ? padding.length : end
    if (end >= 0) throw malformed('gzip', source.offset, 'something behind the padding')
  }
}
