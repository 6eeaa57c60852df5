import type { FlowBatch } from './batch.ts'
import { makeShape, withoutField, type Shape } from './shape.ts'

/** Give rows another shape, where `change` has one for theirs. */
export function reshape(batch: FlowBatch, change: (shape: Shape) => Shape | undefined): void {
  const { length, shape } = batch
  const changed = batch.shapes.map(change)
  if (changed.every((each) => each === undefined)) return
  const index = Uint16Array.from(changed, (each, i) => each ? batch.intern(each) : i)
  for (let row = 0; row < length; row++) shape[row] = index[shape[row]]
}

/** Make all rows of `batch` rows without a field. */
export function dropField(batch: FlowBatch, id: number): void {
  reshape(batch, (shape) => shape.mask[id] === 1 ? withoutField(shape, id) : undefined)
}

/** Make all rows of `batch` rows without elements that have no field. */
export function dropExtras(batch: FlowBatch): void {
  reshape(batch, ({ fields, timeDigits, extras }) => (
    extras.length > 0 ? makeShape(fields, timeDigits) : undefined
  ))
}
