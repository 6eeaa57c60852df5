/** Damaged files in a compression, whose format is told from what comes of it: a target of the fuzz. */
import assert from 'node:assert/strict'
import { crc32, gzipSync, zstdCompressSync } from 'node:zlib'
import { xxHash32 } from '../../core/compress/xxhash32.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FORMATS } from '../../formats/index.ts'
import { inputOfStream } from '../../formats/locations.ts'
import { chunksOf } from '../core/compress/contents.ts'
import { join, u16, u8 } from '../core/netflow/messages.ts'
import { le } from '../formats/nfdump-files.ts'
import { checkRow } from './check-row.ts'
import type { Target } from './driver.ts'
import { damage } from './format-targets.ts'
import { seedsOf } from './format-seeds.ts'
import { mutate, randomNumbers } from './mutate.ts'

const CHECKED_ROWS = 16
const MOST_STORED = 0x10000

/** A frame of LZ4 whose blocks, of 64 KiB at most, are stored. */
function lz4Frame(content: Uint8Array): Uint8Array {
  const descriptor = u8(0x60, 0x40)
  const blocks = pieces(content).flatMap((piece) => [le(4, (piece.length | 0x80000000) >>> 0), piece])
  return join(le(4, 0x184d2204), descriptor, u8(xxHash32(descriptor) >> 8 & 255), ...blocks, le(4, 0))
}

/** xz whose one block is stored, without a check. */
function xzStream(content: Uint8Array): Uint8Array {
  const sum = (bytes: Uint8Array) => join(bytes, le(4, crc32(bytes)))
  const chunks = pieces(content).flatMap((piece, i) => [u8(i === 0 ? 1 : 2), u16(piece.length - 1), piece])
  const data = join(...chunks, u8(0))
  const blockHeader = sum(u8(2, 0, 0x21, 1, 0x16, 0, 0, 0))
  const sizes = join(varint(blockHeader.length + data.length), varint(content.length))
  const index = sum(padded(join(u8(0, 1), sizes)))
  const footer = join(le(4, index.length / 4 - 1), u8(0, 0))
  return join(
    u8(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), sum(u8(0, 0)), blockHeader, padded(data), index,
    le(4, crc32(footer)), footer, u8(0x59, 0x5a),
  )
}

function pieces(content: Uint8Array): Uint8Array[] {
  const count = Math.ceil(content.length / MOST_STORED)
  return Array.from({ length: count }, (_, i) => content.subarray(i * MOST_STORED, (i + 1) * MOST_STORED))
}

function padded(bytes: Uint8Array): Uint8Array {
  return join(bytes, new Uint8Array(-bytes.length & 3))
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(value & 127 | 128)
  return u8(...bytes, value)
}

/** The first of them leaves content as it is. flowkit has no writer of bzip2. */
const WRAP: readonly ((content: Uint8Array) => Uint8Array)[] = [
  (content) => content, (content) => new Uint8Array(gzipSync(content, { level: 1 })),
  (content) => new Uint8Array(zstdCompressSync(content)), lz4Frame, xzStream,
]

/** What an input is read as: its format and how many rows, or the error that ended it. */
async function read(bytes: Uint8Array): Promise<readonly unknown[]> {
  let format: string | undefined
  let rows = 0
  let faults = 0
  try {
    const input = await inputOfStream('input', chunksOf(bytes, Math.max(1, bytes.length)), undefined)
    format = input.format.name
    for await (const batch of input.open({ onFault: () => { faults++ } })) {
      for (let row = 0; row < Math.min(batch.length, CHECKED_ROWS); row++) checkRow(batch, row)
      rows += batch.length
    }
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    return [format, rows, faults, error.code]
  }
  return [format, rows, faults]
}

/** What is behind a compression reads as it does without. */
async function check(bytes: Uint8Array): Promise<void> {
  const random = randomNumbers(crc32(bytes))
  const plain = await read(bytes)
  const wrap = WRAP[1 + random() % (WRAP.length - 1)]
  const twice = random() % 8 === 0 ? WRAP[1 + random() % (WRAP.length - 1)] : WRAP[0]
  const wrapped = twice(wrap(bytes))
  assert.deepEqual(await read(wrapped), plain)
  if (random() % 4 === 0) await read(mutate(wrapped, bytes, random))
}

/** Every format that is read from a stream, in every compression that can be written. */
export const WRAPPED_TARGETS: readonly Target[] = [{
  name: 'compressed-files',
  async start() {
    const seeds: Uint8Array[][] = []
    for (const format of FORMATS) if (format.decoder) seeds.push(await seedsOf(format))
    return { make: (random) => damage(seeds[random() % seeds.length], random() % 4 === 0, random), check }
  },
}]
