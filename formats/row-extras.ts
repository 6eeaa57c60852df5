import type { FlowBatch } from '../core/flow/batch.ts'
import { parsed, readDigits } from '../core/flow/parse-bytes.ts'
import { VARIABLE_LENGTH } from '../core/flow/shape.ts'
import { AS_TEXT } from './row-shapes.ts'

/** Values without a field that a row may have, and bytes of each. */
const MOST = 256
const MOST_BYTES = VARIABLE_LENGTH - 1
/** Bytes that are copied one by one, at most. */
const FEW_BYTES = 64

/** Values of a row that have no field: text, or integers as numbers. The heap has them behind its fields'. */
export class RowExtras {
  // What becomes of each, and where it lies
  private readonly values = new Int32Array(MOST * 3)
  private count = 0
  private readonly double = new DataView(new ArrayBuffer(8))

  /** Begin a row. */
  begin(): void {
    this.count = 0
  }

  /** Enter that the row has a value in bytes `from` to `to`. @returns whether there is room for it */
  add(fate: number, from: number, to: number): boolean {
    if (to - from > MOST_BYTES || this.count === MOST) return false
    const { values } = this
    const i = this.count++ * 3
    values[i] = fate
    values[i + 1] = from
    values[i + 2] = to
    return true
  }

  /** Store the values of the row, which lie in `bytes`. */
  store(bytes: Uint8Array, batch: FlowBatch, row: number): void {
    const { values, count, double } = this
    if (count === 0) return
    const start = batch.heapLength
    for (let i = 0; i < count * 3; i += 3) {
      const from = values[i + 1]
      const to = values[i + 2]
      const length = values[i] === AS_TEXT ? to - from : 8
      batch.reserveHeap(length + 2)
      const { heap } = batch
      heap[batch.heapLength++] = length >> 8
      heap[batch.heapLength++] = length
      if (values[i] === AS_TEXT) addBytes(batch, bytes, from, to)
      else {
        readDigits(bytes, from, to)
        double.setFloat64(0, parsed[0])
        for (let k = 0; k < 8; k++) heap[batch.heapLength++] = double.getUint8(k)
      }
    }
    const pairs = batch.useExtras()
    pairs[row * 2] = start
    pairs[row * 2 + 1] = batch.heapLength - start
  }
}

/** Copy bytes, which are few as a rule, into the heap of a batch. @returns where they begin there */
export function addBytes(batch: FlowBatch, bytes: Uint8Array, from: number, to: number): number {
  if (to - from > FEW_BYTES) return batch.addBytes(bytes, from, to)
  batch.reserveHeap(to - from)
  const { heap, heapLength } = batch
  for (let i = from; i < to; i++) heap[heapLength + i - from] = bytes[i]
  batch.heapLength = heapLength + to - from
  return heapLength
}
