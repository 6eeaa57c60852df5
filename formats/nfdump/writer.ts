import { compressLz4Block, lz4Bound } from '../../core/compress/lz4.ts'
import { compressLzo, lzoBound } from '../../core/compress/lzo.ts'
import { compressZstd, zstdBound } from '../../core/compress/zstd.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { FlowWriter } from '../../core/flow/stream.ts'
import { createOutputFile } from '../../core/output-file.ts'
import type { WriteRequest } from '../format.ts'
import { BLOCK_SIZE, BlockWriter } from './block-writer.ts'
import { BLOCK_HEADER, COMPRESSION } from './header.ts'
import { NO_IDENT } from './ident.ts'
import { RECORDS_16, RECORDS_171, RECORDS_178, type RecordScheme } from './write-scheme.ts'
import { frame2, FRAME_1, type FileFrame, type WrittenFile } from './written-frame.ts'

/** What nfdump -z takes if nothing is said. */
const DEFAULT_COMPRESSION = 'lzo'
const DEFAULT_ZSTD_LEVEL = 3
const HIGHEST_ZSTD_LEVEL = 22

/** A version of nfdump. */
export interface NfdumpVersion {
  readonly frame: FileFrame
  readonly records: RecordScheme
  /** How it can pack blocks, of those that flowkit can. */
  readonly compressions: readonly string[]
}

const COMPRESSIONS = [DEFAULT_COMPRESSION, 'none', 'lz4'] // 1.6 has lz4 since 1.6.16

/** Those of layout 1. */
export const NFDUMP_16: NfdumpVersion = { frame: FRAME_1, records: RECORDS_16, compressions: COMPRESSIONS }
/** The first version with files of layout 2 that all later ones read. */
export const NFDUMP_171: NfdumpVersion = {
  frame: frame2(0x01070100), records: RECORDS_171, compressions: [...COMPRESSIONS, 'zstd'],
}
/** The newest version known. */
export const NFDUMP_178: NfdumpVersion = {
  frame: frame2(0x01070800), records: RECORDS_178, compressions: [...COMPRESSIONS, 'zstd'],
}

/** How blocks are packed. */
interface Packing {
  /** A value of COMPRESSION. */
  readonly kind: number
  /** Bytes that so many take at most. */
  bound(length: number): number
  /** Pack bytes. @returns how many bytes of `target` are written */
  pack(bytes: Uint8Array, target: Uint8Array): number
}

/**
 * A writer of files that a version of nfdump and later ones read.
 *
 * Flows keep the values they were exported with: nfdump is told what their sampling rate is, and that the
 * counters are multiplied by it where they are.
 *
 * @param version what it does not know is left out
 * @throws FlowkitError ERR_OPTION if the version has no such compression
 */
export async function createNfdump(
  path: string, { compression, ident = NO_IDENT }: WriteRequest, version: NfdumpVersion,
): Promise<FlowWriter> {
  const { frame, records: scheme, compressions } = version
  const packing = packingOf(compression ?? DEFAULT_COMPRESSION, compressions)
  const file = await createOutputFile(path, new Uint8Array(frame.headerSize))
  const room: Uint8Array[] = [] // used again and again
  const packed: Uint8Array[] = []
  const blocks = new BlockWriter((records, bytes) => {
    const place = room[packed.length] ??= new Uint8Array(BLOCK_HEADER + packing.bound(BLOCK_SIZE))
    packed.push(block(scheme.block, records, bytes, packing, place))
  }, scheme)
  let count = 0
  let size = frame.headerSize

  async function flush(): Promise<void> {
    for (const bytes of packed) {
      await file.write(bytes)
      count++
      size += bytes.length
    }
    packed.length = 0
  }

  return {
    abort: () => file.abort(),
    loss: () => blocks.loss,
    async write(batch) {
      blocks.write(batch)
      await flush()
    },
    async close() {
      try {
        blocks.finish()
        await flush()
        const { statistics } = blocks
        const told: WrittenFile = { ident, statistics, compression: packing.kind, blocks: count, size }
        const last = frame.appendix?.(told)
        if (last) {
          const place = new Uint8Array(BLOCK_HEADER + packing.bound(last.length))
          await file.write(block(scheme.block, 2, last, packing, place))
        }
        await file.writeAt(frame.header(told), 0)
      } catch (error) {
        await file.abort()
        throw error
      }
      await file.close()
    },
  }
}

function packingOf(name: string, compressions: readonly string[]): Packing {
  const [codec, level] = name.split(':')
  if (codec === 'zstd' && compressions.includes(codec)) {
    const number = level === undefined ? DEFAULT_ZSTD_LEVEL : /^\d+$/.test(level) ? Number(level) : 0
    if (number >= 1 && number <= HIGHEST_ZSTD_LEVEL) {
      return {
        kind: COMPRESSION.zstd, bound: zstdBound,
        pack: (bytes, target) => copy(compressZstd(bytes, number), target),
      }
    }
  }
  if (name === 'none') return { kind: COMPRESSION.none, bound: (length) => length, pack: copy }
  if (name === 'lzo') return { kind: COMPRESSION.lzo, bound: lzoBound, pack: compressLzo }
  if (name === 'lz4') return { kind: COMPRESSION.lz4, bound: lz4Bound, pack: compressLz4Block }
  const known = compressions.includes('zstd') ? 'nfdump has none, lzo, lz4, zstd and zstd:1 to zstd:22'
    : 'nfdump 1.6 has none, lzo and lz4'
  throw new FlowkitError('ERR_OPTION', `Cannot use compression "${name}": ${known}`)
}

function copy(bytes: Uint8Array, target: Uint8Array): number {
  target.set(bytes)
  return bytes.length
}

/** A block with its header, in `room`. */
function block(
  type: number, records: number, bytes: Uint8Array, { pack }: Packing, room: Uint8Array,
): Uint8Array {
  const length = pack(bytes, room.subarray(BLOCK_HEADER))
  const view = new DataView(room.buffer, room.byteOffset, BLOCK_HEADER)
  view.setUint32(0, records, true)
  view.setUint32(4, length, true)
  view.setUint16(8, type, true)
  return room.subarray(0, BLOCK_HEADER + length)
}
