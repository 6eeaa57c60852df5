import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { SAMPLING_SOURCE } from '../../flow/names.ts'
import { addFields, withoutField, type Shape } from '../../flow/shape.ts'

const SAMPLING = [ID.samplingRate, ID.samplingSource]

/** Make all rows of `batch` rows without a field. */
export function dropField(batch: FlowBatch, id: number): void {
  reshape(batch, (shape) => shape.mask[id] === 1 ? withoutField(shape, id) : undefined)
}

/** Say of all rows of `batch` that tell no sampling rate that one packet in `rate` was observed. */
export function setSampling(batch: FlowBatch, rate: number): void {
  const { length, shape, samplingRate, samplingSource } = batch
  const told = batch.present(ID.samplingRate)
  for (let row = 0; row < length; row++) {
    if (told[shape[row]] === 1) continue
    samplingRate[row] = rate
    samplingSource[row] = SAMPLING_SOURCE.config
  }
  reshape(batch, (shape) => shape.mask[ID.samplingRate] === 1 ? undefined : addFields(shape, SAMPLING))
}

/** Give rows another shape, where `change` has one for theirs. */
function reshape(batch: FlowBatch, change: (shape: Shape) => Shape | undefined): void {
  const { length, shape } = batch
  const changed = batch.shapes.map(change)
  if (changed.every((each) => each === undefined)) return
  const index = Uint16Array.from(changed, (each, i) => each ? batch.intern(each) : i)
  for (let row = 0; row < length; row++) shape[row] = index[shape[row]]
}
