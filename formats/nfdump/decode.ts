import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { loseElement } from '../../core/flow/loss.ts'
import type { FlowDecoder } from '../../core/flow/stream.ts'
import type { ReadRequest } from '../format.ts'
import {
  BLOCK_HEADER, BLOCK_LIMIT, COMPRESSION, MAGIC, readHeader, type FileHeader,
} from './header.ts'
import { identIn, namesSource } from './ident.ts'
import { wantedOf } from './plan.ts'
import { BLOCK, RecordReader, type BlockState } from './records.ts'
import { Unpacker } from './unpack.ts'

/** A block that is being read. */
interface OpenBlock extends BlockState {
  /** Offset of the block in the input. */
  readonly offset: number
  /** Records that its header announces. */
  readonly announced: number
  /** Its bytes if it was packed, and how far they are read. */
  readonly unpacked: Uint8Array | undefined
  readonly view: DataView | undefined
  at: number
  /** Bytes of it that are still to come, if it was not packed. */
  left: number
}

/** What a file consists of, in this order; nothing is made of what lies behind. */
type Section = 'header' | 'blocks' | 'appendix' | 'end' | 'rest'

/**
 * A decoder of nfdump's files, also of several one behind the other.
 *
 * Blocks that are not packed are read while they come, so that what is there of a file that was cut is read.
 */
export function nfdumpDecoder(request: ReadRequest): FlowDecoder {
  return new NfdumpDecoder(request)
}

class NfdumpDecoder implements FlowDecoder {
  private readonly request: ReadRequest
  private readonly unpacker = new Unpacker()
  private records: RecordReader
  private section: Section = 'header'
  private header: FileHeader | undefined
  private block: OpenBlock | undefined
  private blocks = 0
  private rows = 0
  /** Offset in the input of the next byte, of the file, and bytes to pass over. */
  private position = 0
  private start = 0
  private skip = 0

  constructor(request: ReadRequest) {
    this.request = request
    this.records = this.newReader()
  }

  decode(bytes: Uint8Array, at: number, batch: FlowBatch): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (;;) {
      if (this.block?.unpacked) {
        this.readUnpacked(this.block, batch)
        if (batch.length >= BATCH_SIZE) return at
        continue
      }
      let to: number
      if (this.skip > 0) {
        to = Math.min(at + this.skip, bytes.length)
        if (to === at) return at
        this.skip -= to - at
      } else if (this.block) to = this.readPlain(this.block, bytes, view, at, batch)
      else to = this.next(bytes, view, at)
      if (to < 0) return at
      this.position += to - at
      at = to
      if (batch.length >= BATCH_SIZE) return at
    }
  }

  end(_batch: FlowBatch, rest?: Uint8Array): number {
    const { section, header, block, blocks, position } = this
    if (block) {
      throw truncated(`the block at byte ${block.offset} expected to its end, ${block.left} bytes lack`)
    }
    if (section === 'blocks' && header && header.blocks !== Infinity) {
      throw truncated(`${header.blocks} blocks expected, ${blocks} found`)
    }
    if (section === 'appendix' || this.skip > 0) throw truncated(`its appendix expected at byte ${position}`)
    return section === 'end' && rest ? rest.length : 0 // too short to be another file
  }

  private newReader(): RecordReader {
    const { fields, extras = false, loss } = this.request
    return new RecordReader(wantedOf(fields, extras), loss)
  }

  /** Go on to the next section or block. @returns how far `bytes` were read; -1: more of them are needed */
  private next(bytes: Uint8Array, view: DataView, at: number): number {
    switch (this.section) {
      case 'header': return this.begin(bytes, at)
      case 'blocks':
        if (this.blocks === this.header!.blocks) return this.closeBlocks(at)
        return this.openBlock(bytes, view, at)
      case 'appendix':
        if (this.blocks < this.header!.appendixBlocks) return this.openBlock(bytes, view, at)
        this.section = 'end'
        return at
      case 'end':
        if (bytes.length - at < 4) return -1
        this.section = view.getUint16(at, true) === MAGIC ? 'header' : 'rest'
        return at
      case 'rest': // nfdump -i of 1.7.1 leaves something there
        return at === bytes.length ? -1 : bytes.length
    }
  }

  private begin(bytes: Uint8Array, at: number): number {
    const header = readHeader(bytes, at)
    if (!header) return -1
    this.header = header
    this.start = this.position
    this.records = this.newReader()
    this.section = 'blocks'
    this.blocks = this.rows = 0
    return at + header.size
  }

  /** Go on to the appendix, or to the end if there is none. */
  private closeBlocks(at: number): number {
    const { appendixBlocks, appendixAt, ident } = this.header!
    this.blocks = 0
    if (appendixBlocks === 0) {
      this.loseIdent(ident)
      this.section = 'end'
    } else {
      const found = this.position - this.start
      if (found !== appendixAt) {
        const ends = `its blocks expected to end at byte ${appendixAt}, found at ${found}`
        const reason = `Cannot read nfdump file: ${ends}`
        this.request.onFault({ code: 'ERR_MALFORMED', reason, offset: this.position })
      }
      this.section = found <= appendixAt ? 'appendix' : 'rest'
      this.skip = Math.max(0, appendixAt - found)
    }
    return at
  }

  /** Begin the block at `at`; one of the appendix is read at once. As `next`. */
  private openBlock(bytes: Uint8Array, view: DataView, at: number): number {
    if (bytes.length - at < BLOCK_HEADER) return -1
    const announced = view.getUint32(at, true)
    const size = view.getUint32(at + 4, true)
    const type = view.getUint16(at + 8, true)
    const offset = this.position
    if (size > BLOCK_LIMIT) {
      const expected = `at most ${BLOCK_LIMIT} bytes expected, ${size} announced`
      throw new FlowkitError('ERR_MALFORMED', `Cannot read nfdump block at byte ${offset}: ${expected}`)
    }
    const isPlain = this.header!.compression === COMPRESSION.none
    const isAppendix = this.section === 'appendix'
    const isRead = isAppendix || (type >= BLOCK.oldest && type <= BLOCK.records)
    const from = at + BLOCK_HEADER
    if (isRead && (isAppendix || !isPlain) && bytes.length - from < size) return -1
    this.blocks++
    if (!isRead) {
      this.skipBlock(type, announced, offset)
      this.skip = size
      return from
    }
    let unpacked: Uint8Array | undefined
    if (!isPlain || isAppendix) {
      unpacked = this.unpack(bytes.subarray(from, from + size), offset)
      if (isAppendix && unpacked) this.readAppendix(unpacked)
      if (isAppendix || !unpacked) return from + size
    }
    this.block = {
      type, announced, offset, unpacked, at: 0, left: size, records: 0, malformed: 0, brokenAt: -1,
      view: unpacked && new DataView(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength),
    }
    return unpacked ? from + size : from
  }

  private skipBlock(type: number, announced: number, offset: number): void {
    const { loss } = this.request
    if (type === BLOCK.array) {
      if (loss) loss.rows.unknown += announced
      return
    }
    const reason = `Cannot read nfdump block at byte ${offset}: type 1 to 4 expected, ${type} found`
    this.request.onFault({ code: 'ERR_UNSUPPORTED', reason, offset })
  }

  /** Unpack a block; one that is damaged is reported. */
  private unpack(packed: Uint8Array, offset: number): Uint8Array | undefined {
    const { compression } = this.header!
    if (compression === COMPRESSION.none) return packed
    try {
      return this.unpacker.unpack(compression, packed)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      const reason = `Cannot read nfdump block at byte ${offset}: ${error.message}`
      this.request.onFault({ code: error.code, reason, offset })
      return undefined
    }
  }

  private readUnpacked(block: OpenBlock, batch: FlowBatch): void {
    const bytes = block.unpacked!
    const { length } = batch
    block.at = this.records.read(block, bytes, block.view!, block.at, bytes.length, true, batch)
    this.rows += batch.length - length
    if (block.at === bytes.length || block.brokenAt >= 0) this.close(block, block.brokenAt)
  }

  /** As `next`. */
  private readPlain(
    block: OpenBlock, bytes: Uint8Array, view: DataView, at: number, batch: FlowBatch,
  ): number {
    const { length } = batch
    const end = Math.min(bytes.length, at + block.left)
    const isWhole = end === at + block.left
    const next = this.records.read(block, bytes, view, at, end, isWhole, batch)
    this.rows += batch.length - length
    block.left -= next - at
    if (block.brokenAt >= 0) {
      this.close(block, this.position + next - at - block.offset - BLOCK_HEADER)
      this.skip = block.left
    } else if (block.left === 0) this.close(block, -1)
    else if (next === at) return -1
    return next
  }

  /** A block has ended; tell what was wrong with it. @param brokenAt offset in it of what cannot be passed */
  private close(block: OpenBlock, brokenAt: number): void {
    const { offset, announced, records, malformed } = block
    this.block = undefined
    const what = brokenAt >= 0 ? `its record at byte ${brokenAt} contradicts its size, the rest is left out`
      : records !== announced ? `${announced} records expected, ${records} found`
        : malformed > 0 ? `${malformed} of its records contradict their sizes` : ''
    if (what === '') return
    this.request.onFault({
      code: 'ERR_MALFORMED', reason: `Cannot read all of nfdump block at byte ${offset}: ${what}`, offset,
    })
  }

  /** Flows have no field for the identifier of their file, and none is in need of its statistics. */
  private readAppendix(bytes: Uint8Array): void {
    const ident = identIn(bytes)
    if (ident !== undefined) this.loseIdent(ident)
  }

  private loseIdent(ident: string): void {
    const { loss } = this.request
    if (loss && this.rows > 0 && namesSource(ident)) loseElement(loss, 'nfdump ident', this.rows)
  }
}

function truncated(what: string): FlowkitError {
  return new FlowkitError('ERR_TRUNCATED', `Cannot read nfdump file: ${what}`)
}
