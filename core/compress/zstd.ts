/** Zstandard (RFC 8878), in one piece. */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { malformed } from './damage.ts'

/** Bytes below which a frame may grow by more than 1 in 256. */
const ZSTD_SMALL = 128 * 1024

/**
 * Unpack one frame of Zstandard.
 *
 * @param target as large as the content, or larger
 * @returns the number of bytes written
 * @throws FlowkitError ERR_MALFORMED when the frame is damaged or does not fit
 */
export function decompressZstd(source: Uint8Array, target: Uint8Array): number {
  let content: Uint8Array | undefined
  try {
    content = zstdDecompressSync(source, {
      // one byte more than is wanted, so that what is too long shows
      chunkSize: Math.max(target.length + 1, constants.Z_MIN_CHUNK), maxOutputLength: target.length + 1,
      rejectGarbageAfterEnd: true,
    })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ERR_BUFFER_TOO_LARGE') throw malformed('zstd', 0, message)
  }
  if (content === undefined || content.length > target.length) {
    throw malformed('zstd', 0, `more than ${target.length} bytes come of it`)
  }
  target.set(content)
  return content.length
}

/** Pack `source` as one frame of Zstandard. @param level -7 (fast) to 22 (small) */
export function compressZstd(source: Uint8Array, level: number): Uint8Array {
  return zstdCompressSync(source, { params: { [constants.ZSTD_c_compressionLevel]: level } })
}

/** Bytes that `length` bytes take at most as Zstandard (ZSTD_compressBound in zstd.h). */
export function zstdBound(length: number): number {
  const margin = length < ZSTD_SMALL ? ZSTD_SMALL - length >>> 11 : 0
  return length + (length >>> 8) + margin
}
