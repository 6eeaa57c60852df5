/** What is compressed, as targets of the fuzz: streams as `unwrap` reads them, and blocks in one piece. */
import assert from 'node:assert/strict'
import { constants, crc32, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { decompressBzip2 } from '../../core/compress/bzip2.ts'
import { Inflater } from '../../core/compress/inflate.ts'
import { decompressLz4Block } from '../../core/compress/lz4.ts'
import { decompressLzo } from '../../core/compress/lzo.ts'
import { unwrap } from '../../core/compress/unwrap.ts'
import { xxHash32 } from '../../core/compress/xxhash32.ts'
import { decompressZstd } from '../../core/compress/zstd.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { chunksOf, distant, lines, noise } from '../core/compress/contents.ts'
import * as vectors from '../core/compress/vectors.ts'
import type { Target } from './driver.ts'
import { damage } from './format-targets.ts'
import { randomNumbers } from './mutate.ts'

/** Bytes of a stream that are taken; the rest is left where it is. */
const MOST_TAKEN = 16 << 20
const MOST_CHUNK = 1 << 20
/** Bytes of a block unpacked. */
const BLOCK_SIZE = 1 << 17

const CONTENTS = [lines(60), new Uint8Array(distant()), noise(300, 1), new Uint8Array(0)]

/** What came of a stream. */
interface Unpacked {
  readonly size: number
  readonly crc: number
  /** Whether an error ended it: which one may depend on the pieces where one compression lies in another. */
  readonly isDamaged: boolean
}

/** Unpack a stream that comes in pieces. @throws whatever is no FlowkitError, AssertionError */
async function unpackAll(bytes: Uint8Array, pieces: number): Promise<Unpacked> {
  let size = 0
  let crc = 0
  try {
    for await (const chunk of unwrap(chunksOf(bytes, pieces))) {
      assert.ok(chunk.length > 0 && chunk.length <= MOST_CHUNK, `a chunk of ${chunk.length} bytes`)
      size += chunk.length
      crc = crc32(chunk, crc)
      if (size > MOST_TAKEN) break
    }
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    return { size, crc, isDamaged: true }
  }
  return { size, crc, isDamaged: false }
}

/** What comes of a stream is the same whatever pieces it comes in. */
async function checkStream(bytes: Uint8Array): Promise<void> {
  const random = randomNumbers(crc32(bytes))
  const whole = await unpackAll(bytes, Math.max(1, bytes.length))
  if (random() % 4 > 0 || whole.size > MOST_TAKEN) return
  const pieces = 1 + random() % Math.max(64, bytes.length >> (random() % 4))
  assert.deepEqual(await unpackAll(bytes, pieces), whole, `in pieces of ${pieces} bytes`)
}

/** A stream. Checksums of headers are set right again now and then: behind a wrong one nothing is read. */
function stream(
  name: string, seeds: readonly Uint8Array[], repair: (bytes: Uint8Array) => void = () => {},
): Target {
  return {
    name,
    start: async () => ({
      make(random) {
        const bytes = damage(seeds, false, random)
        if (random() % 2 === 0) repair(bytes)
        return bytes
      },
      check: checkStream,
    }),
  }
}

function block(
  name: string, seeds: readonly Uint8Array[], unpack: (source: Uint8Array, target: Uint8Array) => number,
): Target {
  const target = new Uint8Array(BLOCK_SIZE)
  function check(bytes: Uint8Array): void {
    const room = target.subarray(0, randomNumbers(crc32(bytes))() % 2 === 0 ? BLOCK_SIZE : 1000)
    try {
      const size = unpack(bytes, room)
      assert.ok(size >= 0 && size <= room.length, `${size} bytes in ${room.length}`)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
    }
  }
  return { name, start: async () => ({ make: (random) => damage(seeds, false, random), check }) }
}

/** Unpack zlib's stream as the reader of flow-tools does. */
function inflate(bytes: Uint8Array): void {
  const inflater = new Inflater()
  let taken = 0
  try {
    for (let at = 0; !inflater.done && taken < MOST_TAKEN;) {
      const next = inflater.inflate(bytes, at)
      assert.ok(next >= at && next <= bytes.length, `inflate() went from ${at} to ${next}`)
      const { start, end } = inflater
      if (next === at && start === end) break
      at = next
      taken += end - start
      inflater.start = end
    }
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
}

/** Checksum of the header of an LZ4 frame. */
function repairLz4(bytes: Uint8Array): void {
  if (bytes.length < 7) return
  const size = 2 + (bytes[4] & 8 ? 8 : 0) + (bytes[4] & 1 ? 4 : 0)
  if (bytes.length > 4 + size) bytes[4 + size] = xxHash32(bytes.subarray(4, 4 + size)) >> 8
}

/** Checksums of the header of a stream of xz, and of its first block. */
function repairXz(bytes: Uint8Array): void {
  if (bytes.length < 13) return
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  view.setUint32(8, crc32(bytes.subarray(6, 8)), true)
  const end = 12 + bytes[12] * 4
  if (bytes.length >= end + 4) view.setUint32(end, crc32(bytes.subarray(12, end)), true)
}

const { Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants
const STRATEGIES = [Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE]
const zlib = STRATEGIES.flatMap((strategy) => CONTENTS.map((content) => (
  new Uint8Array(deflateSync(content, { strategy, level: strategy === Z_RLE ? 1 : 9 }))
)))
const stored = CONTENTS.map((content) => new Uint8Array(deflateSync(content, { level: 0 })))
const zstd = CONTENTS.flatMap((content) => [1, 19].map((level) => (
  new Uint8Array(zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: level } }))
)))
const gzip = [vectors.GZIP, vectors.GZIP_STORED]

/** bzip2 whose blocks have at most 100 kB: memory of their size is what takes time. */
const bzip2 = [vectors.BZIP2, vectors.BZIP2_RUNS].map((bytes) => bytes.with(3, 0x31))
/** LZ4 whose blocks have at most 64 KiB; those of the legacy frames always have 8 MiB. */
const lz4 = [vectors.LZ4_FRAME, vectors.LZ4_CHAIN].map((bytes) => {
  const small = bytes.with(5, 0x40)
  repairLz4(small)
  return small
})

/** Each compression of inputs, and each of blocks in files of formats. */
export const UNPACK_TARGETS: readonly Target[] = [
  stream('gzip', [...gzip, new Uint8Array(gzipSync(Buffer.concat(gzip))), Buffer.concat(gzip)]),
  stream('zstd', [vectors.ZSTD, vectors.ZSTD_PLAIN, ...zstd, new Uint8Array(zstdCompressSync(vectors.GZIP))]),
  stream('lz4', [...Array.from({ length: 10 }, () => lz4).flat(), vectors.LZ4_LEGACY], repairLz4),
  stream('bzip2', bzip2),
  stream('xz', [vectors.XZ, vectors.XZ_BLOCKS, vectors.XZ_STORED], repairXz),
  block('lzo-block', [vectors.LZO_LINES, vectors.LZO_LINES_9, vectors.LZO_DISTANT, vectors.LZO_DISTANT_9],
    decompressLzo),
  block('lz4-block', [vectors.LZ4_LINES, vectors.LZ4_DISTANT], decompressLz4Block),
  block('bzip2-block', bzip2, decompressBzip2),
  block('zstd-block', zstd, decompressZstd),
  {
    name: 'zlib',
    start: async () => ({ make: (random) => damage([...zlib, ...stored], false, random), check: inflate }),
  },
]
