import assert from 'node:assert/strict'
import { extrasText } from '../../core/duck/extras.ts'
import { isAddress, type FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { VARIABLE_LENGTH } from '../../core/flow/shape.ts'

/** Check what every row of a batch promises, whoever has made it. @throws AssertionError */
export function checkRow(batch: FlowBatch, row: number): void {
  const shape = batch.shapes[batch.shape[row]]
  for (const id of shape.fields) {
    const { type, name } = FIELDS[id]
    const column = batch.column(id)
    if (isAddress(column)) assert.ok(column.family[row] === 4 || column.family[row] === 6, name)
    else if (type === 'text' || type === 'octets') {
      assert.ok(column[row * 2] + column[row * 2 + 1] <= batch.heapLength, name)
    } else if (type === 'time' || type === 'count' || type === 'mac') {
      // a duration of up to 2^32 ms may lead on from the latest time
      const most = type === 'time' ? 2 ** 54 : 2 ** 53
      assert.ok(Number.isInteger(column[row]) && Math.abs(column[row]) <= most, name)
    }
  }
  if (shape.extras.length === 0) return
  let at = batch.extras[row * 2]
  const end = at + batch.extras[row * 2 + 1]
  for (const { length } of shape.extras) {
    at += length === VARIABLE_LENGTH ? 2 + (batch.heap[at] << 8 | batch.heap[at + 1]) : length
  }
  assert.equal(at, end, 'extras')
  assert.ok(JSON.parse(extrasText(shape.extras, batch, row)), 'extras as text')
  assert.ok(end <= batch.heapLength, 'extras in the heap')
}
