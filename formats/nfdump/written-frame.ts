import {
  FORMER_BIT, FORMER_HEADER_SIZE, HEADER_SIZE, IDENT_AT, IDENT_LENGTH, MAGIC, MOST_HEADER,
} from './header.ts'
import { IDENT_RECORD } from './ident.ts'
import { STATISTICS_SIZE, type Statistics } from './statistics.ts'

/** What is known of a file when all its blocks of flows are written. */
export interface WrittenFile {
  readonly ident: string
  readonly statistics: Statistics
  /** A value of COMPRESSION. */
  readonly compression: number
  readonly blocks: number
  /** Bytes of header and blocks. */
  readonly size: number
}

/** What lies around the blocks of flows. */
export interface FileFrame {
  readonly headerSize: number
  header(file: WrittenFile): Uint8Array
  /** The two records of the block behind those of flows, if there is one. */
  appendix?(file: WrittenFile): Uint8Array
}

/** Of layout 2, for a version as its header has it: identifier and statistics lie behind the flows. */
export function frame2(version: number): FileFrame {
  return { headerSize: HEADER_SIZE, header: (file) => header(version, file), appendix }
}

/** Of layout 1 (bin/nffile.h of 1.6): identifier and statistics lie before the flows. */
export const FRAME_1: FileFrame = {
  headerSize: MOST_HEADER,
  header({ ident, statistics, compression, blocks }) {
    const bytes = new Uint8Array(MOST_HEADER)
    const view = new DataView(bytes.buffer)
    view.setUint16(0, MAGIC, true)
    view.setUint16(2, 1, true)
    view.setUint32(4, FORMER_BIT[compression], true)
    view.setUint32(8, blocks, true)
    bytes.set(new TextEncoder().encode(ident).subarray(0, IDENT_LENGTH - 1), IDENT_AT)
    statistics.putFormer(view, FORMER_HEADER_SIZE)
    return bytes
  },
}

const STATISTICS_RECORD = 0x8002

function appendix({ ident, statistics }: WrittenFile): Uint8Array {
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

function header(version: number, { compression, blocks, size }: WrittenFile): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, MAGIC, true)
  view.setUint16(2, 2, true)
  view.setUint32(4, version, true)
  view.setUint32(8, Math.floor(Date.now() / 1000), true)
  view.setUint8(16, compression)
  view.setUint16(18, 1, true)
  view.setUint32(24, size, true)
  view.setUint32(28, Math.floor(size / 2 ** 32), true)
  view.setUint32(36, blocks, true)
  return bytes
}
