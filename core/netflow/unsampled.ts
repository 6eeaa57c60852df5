import type { FlowBatch } from '../flow/batch.ts'
import { SAMPLING_SOURCE } from '../flow/names.ts'
import { withField } from '../flow/shape.ts'
import { samplerOf, samplingFields, type SamplerColumns, type Sampling } from './sampling.ts'
import type { Wanted } from './plan.ts'

/** Rows of one template that came before it was known how they were sampled. */
export interface RowRange {
  readonly row: number
  readonly end: number
  /** Whether they tell their sampler, and their input interface. */
  readonly hasSampler: boolean
  readonly hasInterface: boolean
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
  for (const range of ranges) {
    const columns = samplerColumns(batch, range)
    for (let { row } = range; row < range.end; row++) {
      const sampler = samplerOf(sampling, columns, row)
      if (!sampler) continue
      let shape = batch.shapes[batch.shape[row]]
      for (const field of sampler.algorithm > 0 ? how : plain) shape = withField(shape, field)
      batch.shape[row] = batch.intern(shape)
      batch.samplingRate[row] = sampler.rate
      batch.samplingSource[row] = SAMPLING_SOURCE.options
      if (sampler.algorithm > 0) batch.samplingAlgorithm[row] = sampler.algorithm
    }
  }
  // rows that name their sampler may wait for another one
  if (sampling.whole) unsampled.ranges = ranges.filter((range) => range.hasSampler)
}

/** The columns by which rows tell where they were sampled. */
export function samplerColumns(
  batch: FlowBatch, { hasSampler, hasInterface }: Pick<RowRange, 'hasSampler' | 'hasInterface'>,
): SamplerColumns {
  return {
    samplers: hasSampler ? batch.samplerId : undefined,
    interfaces: hasInterface ? batch.inIf : undefined,
  }
}
