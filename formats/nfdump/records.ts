import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { loseElement, type Loss } from '../../core/flow/loss.ts'
import { Chunk, CHUNK_SIZE } from './chunk.ts'
import { Exporters, RECORD } from './exporters.ts'
import { FLAG } from './former-extensions.ts'
import { FormerLayouts } from './former-layouts.ts'
import { FLOW_HEADER, Layouts } from './layouts.ts'
import { Names } from './name-records.ts'
import type { Wanted } from './plan.ts'

const RECORD_HEADER = 4
/** Flags of records: the counters are multiplied by the sampling rate. */
const SAMPLED = 2
/** A record of nfdump 1.5 has its size behind 4 bytes of flags. */
const OLDEST_HEADER = 6

/** Kinds of blocks: records of 1.5, of 1.6, of 1.7; arrays, which hold no flows. */
export const BLOCK = { oldest: 1, former: 2, records: 3, array: 4 } as const

/** What has been read of a block. */
export interface BlockState {
  readonly type: number
  /** Records that have been passed, and those of them that contradict themselves. */
  records: number
  malformed: number
  /** Offset of a record that reaches beyond the block, or is smaller than its header; -1: there is none. */
  brokenAt: number
}

/** Reads the records of blocks, and keeps what they tell for those that follow. */
export class RecordReader {
  private readonly exporters = new Exporters()
  private readonly names = new Names()
  private readonly layouts: Layouts
  private readonly formerLayouts: FormerLayouts
  private readonly chunk: Chunk
  private readonly loss: Loss | undefined

  constructor(wanted: Wanted, loss: Loss | undefined) {
    this.layouts = new Layouts(wanted)
    this.formerLayouts = new FormerLayouts(wanted)
    this.chunk = new Chunk(this.names, loss)
    this.loss = loss
  }

  /**
   * Read the records in `bytes[at..end)` until the batch has BATCH_SIZE rows.
   *
   * @param isWhole whether the block ends at `end`
   * @returns the offset of the first record not read
   */
  read(
    block: BlockState, bytes: Uint8Array, view: DataView, at: number, end: number, isWhole: boolean,
    batch: FlowBatch,
  ): number {
    const { chunk } = this
    let most = Math.min(CHUNK_SIZE, BATCH_SIZE - batch.length)
    const isOldest = block.type === BLOCK.oldest
    const header = isOldest ? OLDEST_HEADER : RECORD_HEADER
    while (at < end) {
      if (chunk.count === most) {
        chunk.finish(bytes, view, batch)
        most = Math.min(CHUNK_SIZE, BATCH_SIZE - batch.length)
        if (most === 0) break
      }
      const size = at + header > end ? 0 : view.getUint16(at + header - 2, true)
      if (size < header || at + size > end) {
        if (isWhole || (size > 0 && size < header)) block.brokenAt = at
        break
      }
      const type = isOldest ? RECORD.formerFlow : view.getUint16(at, true)
      if (!this.take(block, bytes, view, at, type, size, batch)) block.malformed++
      block.records++
      at += size
    }
    chunk.finish(bytes, view, batch)
    return at
  }

  /** Take one record, all of which is there. @returns whether it is well formed */
  private take(
    block: BlockState, bytes: Uint8Array, view: DataView, at: number, type: number, size: number,
    batch: FlowBatch,
  ): boolean {
    const { chunk, exporters, loss } = this
    switch (type) {
      case RECORD.flow: {
        const plan = this.layouts.find(view, at, size)
        if (!plan) return false
        const isSampled = (bytes[at + 10] & SAMPLED) !== 0
        const engine = bytes[at + 6] << 8 | bytes[at + 7]
        chunk.add(at, plan, exporters.get(view.getUint16(at + 8, true)), bytes[at + 11], isSampled, engine)
        return true
      }
      case RECORD.flowV0: case RECORD.formerFlow: return this.takeFormer(block, bytes, view, at, type, size)
      case RECORD.map: return this.formerLayouts.learn(view, at, size)
      case RECORD.exporter: case RECORD.sampler: case RECORD.formerSampler:
        return exporters.learn(view, at, type, size)
      case RECORD.exporterStats:
        if (loss) loseElement(loss, 'nfdump exporter statistics', 1)
        return true
      case RECORD.applications: case RECORD.interfaces: case RECORD.vrfs:
        chunk.finish(bytes, view, batch) // they hold for what follows
        return this.names.learn(bytes, view, at, type, size)
      default:
        if (loss) loss.rows.unknown++
        return true
    }
  }

  private takeFormer(
    block: BlockState, bytes: Uint8Array, view: DataView, at: number, type: number, size: number,
  ): boolean {
    if (block.type === BLOCK.oldest) {
      const layout = this.formerLayouts.findOldest(view.getUint32(at, true))
      if (layout.size > size) return false
      this.chunk.add(at, layout.plan, this.exporters.get(view.getUint16(at + 6, true)), 0, false, -1)
      return true
    }
    if (size < FLOW_HEADER) return false
    const flags = bytes[at + 4]
    const layout = this.formerLayouts.find(type, view.getUint16(at + 6, true), flags)
    if (!layout || layout.size > size) return false
    const { sysidAt, sysidLength } = layout.record
    const sysid = sysidLength === 1 ? bytes[at + sysidAt] : view.getUint16(at + sysidAt, true)
    const version = type === RECORD.formerFlow ? bytes[at + 5] : 0
    const engineAt = at + layout.engineAt
    const engine = layout.engineAt < 0 ? -1 : bytes[engineAt] << 8 | bytes[engineAt + 1]
    const isSampled = (flags & FLAG.sampled) !== 0
    this.chunk.add(at, layout.plan, this.exporters.get(sysid), version, isSampled, engine)
    return true
  }
}
