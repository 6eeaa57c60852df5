import { FlowkitError } from '../../core/flow/errors.ts'
import { FORMER_STATISTICS_SIZE } from './statistics.ts'

/** How the blocks of a file are packed (src/libnffile/nffileV2.h). */
export const COMPRESSION = { none: 0, lzo: 1, bzip2: 2, lz4: 3, zstd: 4 } as const

/** Bytes of the headers of layouts 2 and 1, and of a block. */
export const HEADER_SIZE = 40
export const FORMER_HEADER_SIZE = 140
export const BLOCK_HEADER = 12
/** Bytes of the longest header: that of layout 1 with the statistics behind it. */
export const MOST_HEADER: number = FORMER_HEADER_SIZE + FORMER_STATISTICS_SIZE

/** Most bytes of a block, packed or not. */
export const BLOCK_LIMIT: number = 5 * 1_048_576

/** The number that a file begins with, lowest byte first. */
export const MAGIC = 0xa50c
const SWAPPED_MAGIC = 0x0ca5

/** Where the identifier of a file of layout 1 lies. */
export const IDENT_AT = 12
export const IDENT_LENGTH = 128
/** The bit of the flags of layout 1 by the compression; 0: it says none, or has no such. */
export const FORMER_BIT: readonly number[] = [0, 0x1, 0x8, 0x10, 0]

/** What the header of a file says. */
export interface FileHeader {
  /** Bytes before the first block. */
  readonly size: number
  /** A value of COMPRESSION. */
  readonly compression: number
  /** Blocks of records; Infinity if nobody has counted them: the file was not closed. */
  readonly blocks: number
  /** Blocks behind them with identifier and statistics, and the offset of the first. */
  readonly appendixBlocks: number
  readonly appendixAt: number
  /** Identifier of the source; empty if it is told elsewhere. */
  readonly ident: string
}

/** How sure, 0 to 100, that a file beginning with `head` is nfdump's. One not closed may grow. */
export function probeHeader(head: Uint8Array): number {
  if (head.length < 4) return 0
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const magic = view.getUint16(0, true)
  if (magic === SWAPPED_MAGIC) return view.getUint16(2) <= 3 ? 60 : 0
  if (magic !== MAGIC) return 0
  const isOpen = view.getUint16(2, true) === 2 && head.length >= HEADER_SIZE &&
    view.getUint32(36, true) === 0 && view.getUint16(18, true) === 0
  return isOpen ? 40 : 95
}

/**
 * Read the header of a file.
 *
 * @returns undefined if it is longer than what there is of `bytes`
 * @throws FlowkitError ERR_MALFORMED if it is none, ERR_UNSUPPORTED
 */
export function readHeader(bytes: Uint8Array, at: number): FileHeader | undefined {
  if (bytes.length - at < 4) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at)
  const magic = view.getUint16(0, true)
  if (magic === SWAPPED_MAGIC) {
    throw unsupported('numbers with their lowest byte first expected, found the highest first')
  }
  if (magic !== MAGIC) {
    const reason = `magic 0xa50c expected, 0x${magic.toString(16)} found`
    throw new FlowkitError('ERR_MALFORMED', `Cannot read nfdump file: ${reason}`)
  }
  const version = view.getUint16(2, true)
  if (version === 1) return readFormer(view)
  if (version !== 2) throw unsupported(`layout 1 or 2 expected, ${version} found`)
  if (view.byteLength < HEADER_SIZE) return undefined
  const compression = view.getUint8(16)
  if (compression > COMPRESSION.zstd) throw unsupported(`compression 0 to 4 expected, ${compression} found`)
  const encryption = view.getUint8(17)
  if (encryption !== 0) throw unsupported(`no encryption expected, kind ${encryption} found`)
  const appendixBlocks = view.getUint16(18, true)
  const blocks = view.getUint32(36, true)
  return {
    size: HEADER_SIZE, compression, appendixBlocks, ident: '',
    appendixAt: view.getUint32(28, true) * 2 ** 32 + view.getUint32(24, true),
    blocks: blocks === 0 && appendixBlocks === 0 ? Infinity : blocks,
  }
}

function readFormer(view: DataView): FileHeader | undefined {
  if (view.byteLength < MOST_HEADER) return undefined
  const flags = view.getUint32(4, true)
  const found = FORMER_BIT.findIndex((bit) => (flags & bit) !== 0)
  return {
    size: MOST_HEADER, compression: found < 0 ? COMPRESSION.none : found,
    blocks: view.getUint32(8, true) || Infinity,
    appendixBlocks: 0, appendixAt: 0,
    ident: readText(new Uint8Array(view.buffer, view.byteOffset + IDENT_AT, IDENT_LENGTH)),
  }
}

/** Text up to the first 0. */
export function readText(bytes: Uint8Array): string {
  const zero = bytes.indexOf(0)
  return new TextDecoder().decode(zero < 0 ? bytes : bytes.subarray(0, zero))
}

function unsupported(what: string): FlowkitError {
  return new FlowkitError('ERR_UNSUPPORTED', `Cannot read nfdump file: ${what}`)
}
