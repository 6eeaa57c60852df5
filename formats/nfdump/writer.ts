import { compressLz4Block, lz4Bound } from '../../core/compress/lz4.ts'
import { compressLzo, lzoBound } from '../../core/compress/lzo.ts'
import { compressZstd } from '../../core/compress/zstd.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { FlowWriter } from '../../core/flow/stream.ts'
import { createOutputFile } from '../../core/output-file.ts'
import type { WriteRequest } from '../format.ts'
import { BLOCK_SIZE, BlockWriter } from './block-writer.ts'
import { BLOCK_HEADER, COMPRESSION, HEADER_SIZE, MAGIC } from './header.ts'
import { BLOCK } from './records.ts'
import { STATISTICS_SIZE } from './statistics.ts'

/** What nfdump -z takes if nothing is said. */
const DEFAULT_COMPRESSION = 'lzo'
const DEFAULT_ZSTD_LEVEL = 3
const HIGHEST_ZSTD_LEVEL = 22

/** What files are said to be written by: the oldest version that knows all that is in them. */
const VERSION_171 = 0x01070100
const VERSION_178 = 0x01070800

/** Types of the records of an appendix. */
const IDENT_RECORD = 0x8001
const STATISTICS_RECORD = 0x8002
/** `none` with a 0 behind, filled up to 2 bytes: the identifier of files whose source nobody named. */
const IDENT = Uint8Array.of(110, 111, 110, 101, 0, 0)

/** How blocks are packed. */
interface Packing {
  /** A value of COMPRESSION. */
  readonly kind: number
  /** The packed bytes, valid until the next call. */
  pack(bytes: Uint8Array): Uint8Array
}

/**
 * A writer of files that nfdump 1.7.1 and later read.
 *
 * Flows keep the values they were exported with: nfdump is told what their sampling rate is, and that the
 * counters are multiplied by it where they are.
 *
 * @throws FlowkitError ERR_OPTION if nfdump has no such compression
 */
export async function createNfdump(path: string, { compression }: WriteRequest): Promise<FlowWriter> {
  const { kind, pack } = packingOf(compression ?? DEFAULT_COMPRESSION)
  const file = await createOutputFile(path)
  const packed: Uint8Array[] = []
  const blocks = new BlockWriter((records, bytes) => packed.push(block(records, pack(bytes))))
  let count = 0
  let size = HEADER_SIZE

  async function flush(): Promise<void> {
    for (const bytes of packed) {
      await file.write(bytes)
      count++
      size += bytes.length
    }
    packed.length = 0
  }

  await file.write(new Uint8Array(HEADER_SIZE))
  return {
    abort: () => file.abort(),
    loss: () => blocks.loss,
    async write(batch) {
      blocks.write(batch)
      await flush()
    },
    async close() {
      blocks.finish()
      await flush()
      await file.write(block(2, pack(appendix(blocks))))
      await file.writeAt(header(kind, blocks.isNewer ? VERSION_178 : VERSION_171, count, size), 0)
      await file.close()
    },
  }
}

function packingOf(name: string): Packing {
  const [codec, level] = name.split(':')
  if (codec === 'zstd') {
    const number = level === undefined ? DEFAULT_ZSTD_LEVEL : /^\d+$/.test(level) ? Number(level) : 0
    if (number >= 1 && number <= HIGHEST_ZSTD_LEVEL) {
      return { kind: COMPRESSION.zstd, pack: (bytes) => compressZstd(bytes, number) }
    }
  }
  if (name === 'none') return { kind: COMPRESSION.none, pack: (bytes) => bytes }
  if (name === 'lzo') return packingInto(COMPRESSION.lzo, compressLzo, lzoBound(BLOCK_SIZE))
  if (name === 'lz4') return packingInto(COMPRESSION.lz4, compressLz4Block, lz4Bound(BLOCK_SIZE))
  const known = 'none, lzo, lz4, zstd and zstd:1 to zstd:22'
  throw new FlowkitError('ERR_OPTION', `Cannot use compression "${name}": nfdump has ${known}`)
}

function packingInto(
  kind: number, compress: (source: Uint8Array, target: Uint8Array) => number, room: number,
): Packing {
  const target = new Uint8Array(room)
  return { kind, pack: (bytes) => target.subarray(0, compress(bytes, target)) }
}

/** A block with its header. */
function block(records: number, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(BLOCK_HEADER + bytes.length)
  const view = new DataView(whole.buffer)
  view.setUint32(0, records, true)
  view.setUint32(4, bytes.length, true)
  view.setUint16(8, BLOCK.records, true)
  whole.set(bytes, BLOCK_HEADER)
  return whole
}

/** The records of the last block: identifier and statistics. */
function appendix({ statistics }: BlockWriter): Uint8Array {
  const bytes = new Uint8Array(4 + IDENT.length + 4 + STATISTICS_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, IDENT_RECORD, true)
  view.setUint16(2, 4 + IDENT.length, true)
  bytes.set(IDENT, 4)
  const at = 4 + IDENT.length
  view.setUint16(at, STATISTICS_RECORD, true)
  view.setUint16(at + 2, 4 + STATISTICS_SIZE, true)
  statistics.put(view, at + 4)
  return bytes
}

function header(compression: number, version: number, blocks: number, appendixAt: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, MAGIC, true)
  view.setUint16(2, 2, true)
  view.setUint32(4, version, true)
  view.setUint32(8, Math.floor(Date.now() / 1000), true)
  view.setUint8(16, compression)
  view.setUint16(18, 1, true)
  view.setUint32(24, appendixAt, true)
  view.setUint32(28, Math.floor(appendixAt / 2 ** 32), true)
  view.setUint32(36, blocks, true)
  return bytes
}
