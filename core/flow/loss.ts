import type { FlowBatch } from './batch.ts'
import { elementName } from './elements.ts'
import { FIELD_COUNT, FIELDS } from './fields.ts'

/**
 * What was lost between two formats: by a reader, what a batch has no place for; by a writer, what its format
 * has none for.
 */
export interface Loss {
  /** Records left out whole, by why. */
  readonly rows: Record<LossReason, number>
  /** By field id, rows that had the field and whose records do not. */
  readonly leftOut: Float64Array
  /** By field id, values cut to the width or unit of their field. */
  readonly narrowed: Float64Array
  /** By name, rows that had an element without a field and whose records do not. */
  readonly elements: Map<string, number>
}

/**
 * Why a record was left out whole: the format has no IPv6, no record of that size, no place for anything the
 * flow has; or the record is of a kind that is no flow.
 */
export type LossReason = 'ipv6' | 'oversized' | 'empty' | 'unknown'

/** Nothing lost yet. */
export function newLoss(): Loss {
  return {
    rows: { ipv6: 0, oversized: 0, empty: 0, unknown: 0 },
    leftOut: new Float64Array(FIELD_COUNT),
    narrowed: new Float64Array(FIELD_COUNT),
    elements: new Map(),
  }
}

/** Enter that `rows` rows lost the element or other thing called `name`. */
export function loseElement({ elements }: Loss, name: string, rows: number): void {
  elements.set(name, (elements.get(name) ?? 0) + rows)
}

/**
 * Enter what the rows of a batch lose in a format that carries some fields.
 *
 * @param carried by field id, 1 for those that it carries and those that do not count
 * @param extras whether it carries elements without a field
 */
export function loseFields(loss: Loss, batch: FlowBatch, carried: Uint8Array, extras: boolean): void {
  const rows = new Float64Array(batch.shapes.length)
  for (let row = 0; row < batch.length; row++) rows[batch.shape[row]]++
  for (const [index, { fields, extras: elements }] of batch.shapes.entries()) {
    if (rows[index] === 0) continue
    for (const id of fields) if (carried[id] === 0) loss.leftOut[id] += rows[index]
    if (!extras) for (const { pen, id } of elements) loseElement(loss, elementName(pen, id), rows[index])
  }
}

/** Enter the counters of a batch that a reader has cut to 2^53, which is the most that one holds. */
export function loseSaturated(loss: Loss, batch: FlowBatch): void {
  const { length, shape, shapes } = batch
  for (const { id, type } of FIELDS) {
    if (type !== 'count' || !batch.has(id)) continue
    const column = batch.column(id) as Float64Array
    for (let row = 0; row < length; row++) {
      if (column[row] >= 2 ** 53 && shapes[shape[row]].mask[id] === 1) loss.narrowed[id]++
    }
  }
}

/** Add a loss to `sum`. @returns `sum` */
export function addLoss(sum: Loss, { rows, leftOut, narrowed, elements }: Loss): Loss {
  for (const reason of Object.keys(rows) as LossReason[]) sum.rows[reason] += rows[reason]
  for (let id = 0; id < leftOut.length; id++) {
    sum.leftOut[id] += leftOut[id]
    sum.narrowed[id] += narrowed[id]
  }
  for (const [name, count] of elements) loseElement(sum, name, count)
  return sum
}

/** What a field lost: rows without it, values cut. */
export interface FieldLoss {
  readonly name: string
  readonly leftOut: number
  readonly narrowed: number
}

/** The fields that lost something, in the order of the table, then the elements without a field. */
export function lossByField({ leftOut, narrowed, elements }: Loss): FieldLoss[] {
  const fields = FIELDS.filter(({ id }) => leftOut[id] > 0 || narrowed[id] > 0)
    .map(({ id, name }) => ({ name, leftOut: leftOut[id], narrowed: narrowed[id] }))
  return [...fields, ...Array.from(elements, ([name, rows]) => ({ name, leftOut: rows, narrowed: 0 }))]
}

/** How many records were left out whole. */
export function rowsLost({ rows }: Loss): number {
  return Object.values(rows).reduce((sum, count) => sum + count, 0)
}
