/** Frames of Zstandard (RFC 8878 §3.1.1) as a stream. */
import { createZstdDecompress, type ZstdDecompress } from 'node:zlib'
import type { ByteSource } from './byte-source.ts'
import { malformed, mismatched, truncated } from './damage.ts'

const MAGIC_SIZE = 4
const DICTIONARY_ID_SIZES = [0, 1, 2, 4] // by the descriptor's bits 0 and 1
const CHECKSUM = 4 // bit of the descriptor
const SINGLE_SEGMENT = 32 // bit of the descriptor
const CONTENT_SIZES = [0, 2, 4, 8] // by the descriptor's bits 6 and 7
const MAX_BLOCK = 0x20000 // bytes
const RLE = 1
const RESERVED = 3

/**
 * Unpack one frame, whose magic number has been looked at.
 *
 * It is handed to node:zlib block by block: what it has unpacked when it meets damage is lost.
 *
 * @param engine one for all frames of an input
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM behind the blocks that could be unpacked
 */
export async function* unpackZstdFrame(source: ByteSource, engine: ZstdEngine): AsyncGenerator<Uint8Array> {
  for await (const piece of piecesOf(source)) {
    yield* engine.unpack(piece)
    const { failure } = engine
    if (!failure) continue
    const at = source.offset - piece.length
    const isChecksum = (failure as NodeJS.ErrnoException).code === 'ZSTD_error_checksum_wrong'
    throw isChecksum ? mismatched('zstd', at, 'the checksum') : malformed('zstd', at, failure.message)
  }
}

/** The blocks of a frame, the first with the header before it, and the checksum. */
async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  if (!await source.fill(MAGIC_SIZE + 1)) throw truncated('zstd', source.offset)
  const descriptor = source.bytes[source.at + MAGIC_SIZE]
  const isSingle = (descriptor & SINGLE_SEGMENT) > 0
  const contentSize = Math.max(CONTENT_SIZES[descriptor >> 6], isSingle ? 1 : 0)
  let size = MAGIC_SIZE + (isSingle ? 1 : 2) + DICTIONARY_ID_SIZES[descriptor & 3] + contentSize
  for (let isLast = false; !isLast; size = 0) {
    if (!await source.fill(size + 3)) throw truncated('zstd', source.offset)
    const { bytes } = source
    const at = source.at + size
    const header = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16
    isLast = (header & 1) > 0
    const type = header >> 1 & 3
    const blockSize = header >> 3
    if (type === RESERVED || blockSize > MAX_BLOCK) throw malformed('zstd', source.offset, 'no such block')
    yield take(source, size + 3 + (type === RLE ? 1 : blockSize))
  }
  if (descriptor & CHECKSUM) yield take(source, 4)
}

async function take(source: ByteSource, count: number): Promise<Uint8Array> {
  if (!await source.fill(count)) throw truncated('zstd', source.offset)
  return source.take(count)
}

/** Drives a stream of node:zlib piece by piece. It has to be closed. */
export class ZstdEngine {
  /** What it broke off with. */
  failure: Error | undefined
  private readonly stream: ZstdDecompress = createZstdDecompress({ chunkSize: MAX_BLOCK })
  private wake: () => void = () => {}

  constructor() {
    this.stream.on('readable', () => this.wake())
    this.stream.on('error', (error) => {
      this.failure = error
      this.wake()
    })
  }

  /** All that comes of `piece`, up to a fault. */
  async* unpack(piece: Uint8Array): AsyncGenerator<Uint8Array> {
    let isDone = false
    this.stream.write(piece, () => {
      isDone = true
      this.wake()
    })
    for (;;) {
      const chunk: Uint8Array | null = this.stream.read()
      if (chunk) yield chunk
      else if (isDone || this.failure) return
      else await new Promise<void>((resolve) => { this.wake = resolve })
    }
  }

  close(): void {
    this.stream.destroy()
  }
}
