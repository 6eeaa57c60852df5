import { open, type FileHandle } from 'node:fs/promises'
import { segmentOf } from '../../core/archive/names.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { BLOCK_HEADER, BLOCK_LIMIT, COMPRESSION, MOST_HEADER, readHeader, readText } from './header.ts'
import { Unpacker } from './unpack.ts'

/** The type of the record of an appendix that has the file's identifier. */
export const IDENT_RECORD = 0x8001
/** The identifier of files whose source nobody named. */
export const NO_IDENT = 'none'

const unpacker = new Unpacker()

/** Whether an identifier names a source of flows: those of rotated files of flowkit name their segment. */
export function namesSource(ident: string): boolean {
  return ident !== '' && ident !== NO_IDENT && segmentOf(ident, '') === undefined
}

/** The identifier in the records of an appendix; undefined if there is none. */
export function identIn(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + 4 <= bytes.length;) {
    const size = view.getUint16(at + 2, true)
    if (size < 4 || at + size > bytes.length) return undefined
    if (view.getUint16(at, true) === IDENT_RECORD) return readText(bytes.subarray(at + 4, at + size))
    at += size
  }
  return undefined
}

/**
 * The identifier of a file, without reading its flows.
 *
 * @returns undefined if it tells none, or is no whole file of nfdump's
 * @throws the system error if it cannot be read
 */
export async function readIdent(path: string): Promise<string | undefined> {
  await using file = await open(path)
  try {
    const header = readHeader(await bytesAt(file, 0, MOST_HEADER), 0)
    if (!header || header.appendixBlocks === 0) return header?.ident || undefined
    const { appendixAt, compression } = header
    const head = await bytesAt(file, appendixAt, BLOCK_HEADER)
    if (head.length < BLOCK_HEADER) return undefined
    const size = head.readUInt32LE(4)
    if (size > BLOCK_LIMIT) return undefined
    const block = await bytesAt(file, appendixAt + BLOCK_HEADER, size)
    return identIn(compression === COMPRESSION.none ? block : unpacker.unpack(compression, block))
  } catch (error) {
    if (error instanceof FlowkitError) return undefined // it is damaged, or of another kind
    throw error
  }
}

/** Bytes of a file, fewer where it ends. */
async function bytesAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let at = 0
  while (at < length) {
    const { bytesRead } = await file.read(bytes, at, length - at, position + at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return bytes.subarray(0, at)
}
