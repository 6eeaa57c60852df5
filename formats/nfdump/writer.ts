import { compressLz4Block, lz4Bound } from '../../core/compress/lz4.ts'
import { compressLzo, lzoBound } from '../../core/compress/lzo.ts'
import { compressZstd, zstdBound } from '../../core/compress/zstd.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { FlowWriter } from '../../core/flow/stream.ts'
import { createOutputFile } from '../../core/output-file.ts'
import type { WriteRequest } from '../format.ts'
import { BLOCK_SIZE, BlockWriter } from './block-writer.ts'
import { EXTENSIONS, EXTENSIONS_171 } from './extensions.ts'
import { BLOCK_HEADER, COMPRESSION, HEADER_SIZE, MAGIC } from './header.ts'
import { IDENT_RECORD, NO_IDENT } from './ident.ts'
import type { Extension } from './parts.ts'
import { BLOCK } from './records.ts'
import { STATISTICS_SIZE } from './statistics.ts'

/** What nfdump -z takes if nothing is said. */
const DEFAULT_COMPRESSION = 'lzo'
const DEFAULT_ZSTD_LEVEL = 3
const HIGHEST_ZSTD_LEVEL = 22

/** A version of nfdump. */
export interface NfdumpVersion {
  /** As the header of files has it. */
  readonly number: number
  /** The extensions that it knows, by ascending id. */
  readonly extensions: readonly Extension[]
}

/** The first version with files of layout 2 that all later ones read. */
export const NFDUMP_171: NfdumpVersion = { number: 0x01070100, extensions: EXTENSIONS_171 }
/** The newest version known. */
export const NFDUMP_178: NfdumpVersion = { number: 0x01070800, extensions: EXTENSIONS }

const STATISTICS_RECORD = 0x8002

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
 * @throws FlowkitError ERR_OPTION if nfdump has no such compression
 */
export async function createNfdump(
  path: string, { compression, ident = NO_IDENT }: WriteRequest, version: NfdumpVersion,
): Promise<FlowWriter> {
  const packing = packingOf(compression ?? DEFAULT_COMPRESSION)
  const file = await createOutputFile(path, new Uint8Array(HEADER_SIZE))
  const room: Uint8Array[] = [] // used again and again
  const packed: Uint8Array[] = []
  const blocks = new BlockWriter((records, bytes) => {
    const place = room[packed.length] ??= new Uint8Array(BLOCK_HEADER + packing.bound(BLOCK_SIZE))
    packed.push(block(records, bytes, packing, place))
  }, version.extensions)
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
        const last = appendix(ident, blocks)
        await file.write(block(2, last, packing, new Uint8Array(BLOCK_HEADER + packing.bound(last.length))))
        await file.writeAt(header(packing.kind, version.number, count, size), 0)
      } catch (error) {
        await file.abort()
        throw error
      }
      await file.close()
    },
  }
}

function packingOf(name: string): Packing {
  const [codec, level] = name.split(':')
  if (codec === 'zstd') {
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
  const known = 'none, lzo, lz4, zstd and zstd:1 to zstd:22'
  throw new FlowkitError('ERR_OPTION', `Cannot use compression "${name}": nfdump has ${known}`)
}

function copy(bytes: Uint8Array, target: Uint8Array): number {
  target.set(bytes)
  return bytes.length
}

/** A block with its header, in `room`. */
function block(records: number, bytes: Uint8Array, { pack }: Packing, room: Uint8Array): Uint8Array {
  const length = pack(bytes, room.subarray(BLOCK_HEADER))
  const view = new DataView(room.buffer, room.byteOffset, BLOCK_HEADER)
  view.setUint32(0, records, true)
  view.setUint32(4, length, true)
  view.setUint16(8, BLOCK.records, true)
  return room.subarray(0, BLOCK_HEADER + length)
}

/** The records of the last block: identifier and statistics. */
function appendix(ident: string, { statistics }: BlockWriter): Uint8Array {
  const text = Buffer.from(`${ident}\0`)
  const at = 4 + (text.length + 1 & ~1)
  const bytes = new Uint8Array(at + 4 + STATISTICS_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, IDENT_RECORD, true)
  view.setUint16(2, at, true)
  bytes.set(text, 4)
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
