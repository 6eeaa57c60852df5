import type { AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { FIELDS, ID } from '../../flow/fields.ts'
import type { Shape } from '../../flow/shape.ts'

/** Ids of the address fields. */
export const ADDRESS_FIELDS: readonly number[] = FIELDS.filter(({ type }) => type === 'addr').map(({ id }) => id)

/**
 * Mark the rows that begin a run.
 *
 * The rows of a run have one shape, addresses of the same families, one EtherType, and the same values in `fields`
 * (ids of numbers): an encoder writes them column by column, and asks of the first what it must know of all.
 *
 * @param begins at least as long as the batch; 1 where a run begins
 */
export function markRuns(batch: FlowBatch, fields: readonly number[], begins: Uint8Array): void {
  const { length, shape } = batch
  if (length > 0) begins[0] = 1
  for (let row = 1; row < length; row++) begins[row] = shape[row] === shape[row - 1] ? 0 : 1
  for (const id of ADDRESS_FIELDS) {
    if (batch.has(id)) markFamilies((batch.column(id) as AddressColumn).family, batch, id, begins)
  }
  for (const id of [ID.etype, ...fields]) {
    if (!batch.has(id)) continue
    const values = batch.column(id) as Uint8Array | Uint16Array | Uint32Array
    const present = batch.present(id)
    for (let row = 1; row < length; row++) {
      if (values[row] !== values[row - 1] && present[shape[row]] === 1) begins[row] = 1
    }
  }
}

/** A function of its own, so that its loop sees arrays of one type only. */
function markFamilies(family: Uint8Array, batch: FlowBatch, id: number, begins: Uint8Array): void {
  const { length, shape } = batch
  const present = batch.present(id)
  for (let row = 1; row < length; row++) {
    if (family[row] !== family[row - 1] && present[shape[row]] === 1) begins[row] = 1
  }
}

/** Where the run that `row` lies in ends, at most `end`. */
export function endOfRun(begins: Uint8Array, row: number, end: number): number {
  do row++
  while (row < end && begins[row] === 0)
  return row
}

/** The shape of a row. */
export function shapeOf(batch: FlowBatch, row: number): Shape {
  return batch.shapes[batch.shape[row]]
}

/** The family of a row's address: 4, 6, or 0 if it has none. */
export function familyOf(batch: FlowBatch, id: number, row: number): number {
  return shapeOf(batch, row).mask[id] === 1 ? (batch.column(id) as AddressColumn).family[row] : 0
}
