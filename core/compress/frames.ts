/** The frames of Zstandard and LZ4, one behind the other; both have the same skippable ones between them. */
import type { ByteSource } from './byte-source.ts'
import { malformed, truncated } from './damage.ts'
import { Lz4Memory, unpackLegacyLz4, unpackLz4Frame } from './lz4-frame.ts'
import { unpackZstdFrame, ZstdEngine } from './zstd-frame.ts'

const ZSTD = 0xfd2fb528
const LZ4 = 0x184d2204
const LZ4_LEGACY = 0x184c2102
const SKIPPABLE = 0x184d2a50 // to 0x184d2a5f

/** What has frames that begin with `magic`, their first 4 bytes as a little-endian number. */
export function frameKind(magic: number): 'zstd' | 'lz4' | undefined {
  if (magic === ZSTD || isSkippable(magic)) return 'zstd' // pzstd begins with a skippable one
  return magic === LZ4 || magic === LZ4_LEGACY ? 'lz4' : undefined
}

function isSkippable(magic: number): boolean {
  return magic >= SKIPPABLE && magic < SKIPPABLE + 16
}

/**
 * Unpack frames of Zstandard and LZ4.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM, ERR_UNSUPPORTED behind what could be
 * unpacked
 */
export async function* unpackFrames(source: ByteSource): AsyncGenerator<Uint8Array> {
  const memory = new Lz4Memory()
  let engine: ZstdEngine | undefined
  try {
    while (await source.fill(1)) {
      const start = source.offset
      const magic = await source.uint32()
      if (magic === undefined) throw truncated('a frame', start)
      if (magic === ZSTD) {
        source.at -= 4 // node:zlib wants to see it too
        yield* unpackZstdFrame(source, engine ??= new ZstdEngine())
      } else if (magic === LZ4) yield* unpackLz4Frame(source, memory)
      else if (magic === LZ4_LEGACY) yield* unpackLegacyLz4(source, memory)
      else if (isSkippable(magic)) await skipFrame(source, start)
      else throw malformed('a frame', start, 'no beginning of one')
    }
  } finally {
    engine?.close()
  }
}

async function skipFrame(source: ByteSource, start: number): Promise<void> {
  const size = await source.uint32()
  if (size === undefined || !await source.skip(size)) throw truncated('a frame', start)
}
