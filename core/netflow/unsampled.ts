import type { FlowBatch } from '../flow/batch.ts'
import { SAMPLING_SOURCE } from '../flow/names.ts'
import { withField } from '../flow/shape.ts'
import { samplerOf, samplingFields, type Sampling } from './sampling.ts'
import type { Wanted } from './plan.ts'

/** Rows of one template that came before it was known how they were sampled. */
export interface RowRange {
  readonly row: number
  readonly end: number
  /** Whether they tell their sampler. */
  readonly hasSampler: boolean
}

/** Such rows of a domain, as long as they are in their batch. */
export interface Unsampled {
  readonly batch: FlowBatch
  /** Of the batch; another one: the rows are gone. */
  generation: number
  ranges: RowRange[]
}

/** Remember rows of `batch` beside those of `unsampled`, forgetting those that are gone. */
export function rememberUnsampled(
  unsampled: Unsampled | undefined, batch: FlowBatch, ranges: readonly RowRange[],
): Unsampled {
  const { generation } = batch
  if (unsampled?.batch !== batch) return { batch, generation, ranges: [...ranges] }
  if (unsampled.generation !== generation) {
    unsampled.generation = generation
    unsampled.ranges = []
  }
  unsampled.ranges.push(...ranges)
  return unsampled
}

/** Give rows that are still in their batch the rates that options have told since. */
export function resample(unsampled: Unsampled, sampling: Sampling, wanted: Wanted): void {
  const { batch, generation, ranges } = unsampled
  if (generation !== batch.generation) {
    unsampled.ranges = []
    return
  }
  const [plain, how] = [samplingFields(wanted, false), samplingFields(wanted, true)]
  for (const { row: first, end, hasSampler } of ranges) {
    for (let row = first; row < end; row++) {
      const id = hasSampler ? batch.samplerId[row * 2] + batch.samplerId[row * 2 + 1] * 2 ** 32 : undefined
      const sampler = samplerOf(sampling, id)
      if (!sampler) continue
      let shape = batch.shapes[batch.shape[row]]
      for (const field of sampler.algorithm > 0 ? how : plain) shape = withField(shape, field)
      batch.shape[row] = batch.intern(shape)
      batch.samplingRate[row] = sampler.rate
      batch.samplingSource[row] = SAMPLING_SOURCE.options
      if (sampler.algorithm > 0) batch.samplingAlgorithm[row] = sampler.algorithm
    }
  }
  // the rows that name their sampler may wait for another one
  unsampled.ranges = sampling.whole ? [] : ranges.filter((range) => range.hasSampler)
}
