import { FlowkitError } from '../flow/errors.ts'
import { unpackBzip2 } from './bzip2.ts'
import { ByteSource, readToFailure } from './byte-source.ts'
import { frameKind, unpackFrames } from './frames.ts'
import { unpackGzip } from './gzip.ts'
import { unpackXz } from './xz.ts'

/** Bytes that compressed input is told by. */
const MAGIC_SIZE = 10
/** Compressions that may lie in each other. */
const MAX_LAYERS = 2

/** What input can be compressed with. */
export type Wrapping = 'gzip' | 'zstd' | 'lz4' | 'bzip2' | 'xz'

const UNPACK: Readonly<Record<Wrapping, (source: ByteSource) => AsyncGenerator<Uint8Array>>> = {
  gzip: unpackGzip, zstd: unpackFrames, lz4: unpackFrames, bzip2: unpackBzip2, xz: unpackXz,
}

/** What input that begins with `head` is compressed with; undefined if it is not. */
export function wrappingOf(head: Uint8Array): Wrapping | undefined {
  const magic = new Uint8Array(MAGIC_SIZE) // with zeros where the head is shorter
  magic.set(head.subarray(0, MAGIC_SIZE))
  const view = new DataView(magic.buffer)
  const first = view.getUint32(0)
  if (first >>> 8 === 0x1f8b08) return 'gzip'
  if (first === 0xfd377a58 && view.getUint16(4) === 0x5a00) return 'xz'
  const section = view.getUint16(4) * 2 ** 32 + view.getUint32(6)
  const isBzip2 = first >= 0x425a6831 && first <= 0x425a6839 // BZh1 to BZh9
  if (isBzip2 && (section === 0x314159265359 || section === 0x177245385090)) return 'bzip2'
  return frameKind(view.getUint32(0, true))
}

/**
 * Unpack what is compressed with gzip, zstd, LZ4, bzip2 or xz, also one in another; let anything else through
 * as it is. Chunks have at most 1 MiB, and memory does not grow with the input.
 *
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED, ERR_CHECKSUM, ERR_UNSUPPORTED, ERR_LIMIT, each with its
 * offset in the compressed bytes, behind what could be unpacked; and what `source` throws
 */
export function unwrap(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return unwrapLayer(source, 0)
}

function unwrapLayer(stream: AsyncIterable<Uint8Array>, depth: number): AsyncGenerator<Uint8Array> {
  return readToFailure(new ByteSource(stream), async function* (source) {
    await source.fill(MAGIC_SIZE)
    const wrapping = wrappingOf(source.bytes)
    if (wrapping === undefined) yield* source.rest()
    else if (depth < MAX_LAYERS) yield* unwrapLayer(UNPACK[wrapping](source), depth + 1)
    else {
      const wanted = `at most ${MAX_LAYERS} layers of compression wanted, ${wrapping} found in them`
      throw new FlowkitError('ERR_LIMIT', `Cannot unpack the input: ${wanted}`)
    }
  })
}
