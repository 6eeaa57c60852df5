import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { SAMPLING_SOURCE } from '../../flow/names.ts'
import { reshape } from '../../flow/reshape.ts'
import { addFields } from '../../flow/shape.ts'

const SAMPLING = [ID.samplingRate, ID.samplingSource]

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
