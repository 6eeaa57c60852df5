import { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { aggregator } from './aggregate.ts'
import { fixedEncoder } from './fixed.ts'
import { setEncoder, type SetEncoderOptions } from './sets.ts'
import { lostFields, type DatagramEncoder, type Emit, type EncoderOptions } from './encoder.ts'
import { shapeOf } from './row-runs.ts'

/** What can be exported: a version, and the aggregation scheme of v8. */
export interface ExportVersion {
  readonly version: 1 | 5 | 6 | 7 | 8 | 9 | 10
  /** 1 to 14. */
  readonly scheme?: number
}

/**
 * An encoder of any version.
 *
 * @throws RangeError if `maxSize` is too small for the version
 */
export function datagramEncoder({ version, scheme = 1 }: ExportVersion, options: SetEncoderOptions): DatagramEncoder {
  if (version === 9 || version === 10) return setEncoder(version, options)
  return version === 8 ? v8Encoder(scheme, options) : fixedEncoder(version, options)
}

/**
 * An encoder of one scheme of NetFlow v8.
 *
 * Flows wait in a table, where they are aggregated, until it is full or `flush`; rows that the scheme has aggregated
 * already go on as they are.
 *
 * @param scheme 1 to 14
 */
export function v8Encoder(scheme: number, options: EncoderOptions): DatagramEncoder {
  const encoder = fixedEncoder(8, options, scheme)
  const { loss } = encoder
  const table = aggregator(scheme)
  const carried = new Set([...table.fields, ID.etype, ID.aggregation])
  const done = new FlowBatch()
  const open = new FlowBatch()

  function aggregate(batch: FlowBatch, emit: Emit): void {
    const added = new Uint32Array(batch.shapes.length)
    table.add(batch, added, (rows) => encoder.encode(rows, emit))
    for (const [index, shape] of batch.shapes.entries()) {
      if (added[index] > 0) for (const id of lostFields(shape, carried)) loss.leftOut[id] += added[index]
    }
    loss.rows.ipv6 += batch.length - added.reduce((sum, rows) => sum + rows, 0)
  }

  return {
    loss,
    encode(batch, emit) {
      if (!batch.has(ID.aggregation)) return aggregate(batch, emit)
      const { aggregation } = batch
      const isDone = (row: number) => shapeOf(batch, row).mask[ID.aggregation] === 1 && aggregation[row] === scheme
      done.clear()
      open.clear()
      for (let row = 0; row < batch.length; row++) (isDone(row) ? done : open).append(batch, row)
      encoder.encode(done, emit)
      aggregate(open, emit)
    },
    flush(emit) {
      table.flush((rows) => encoder.encode(rows, emit))
      encoder.flush(emit)
    },
  }
}
