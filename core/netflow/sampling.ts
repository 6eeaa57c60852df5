import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { SAMPLING_SOURCE } from '../flow/names.ts'
import type { Shape } from '../flow/shape.ts'
import type { Wanted } from './plan.ts'

const RANDOM_N_OF_N = 3 // of the IANA registry "IPFIX PSAMP parameters"

/** One sampler: a packet in `rate` is observed. */
export interface Sampler {
  readonly rate: number
  /** 1 deterministic, 2 random, 0 unknown. */
  readonly algorithm: number
}

/** What options records have told of an observation domain's sampling. */
export interface Sampling {
  /** The sampler of records that name none. */
  whole: Sampler | undefined
  /** By sampler id (IE 48) or selector id (IE 302). */
  readonly byId: Map<number, Sampler>
}

/** Nothing known yet. */
export function newSampling(): Sampling {
  return { whole: undefined, byId: new Map() }
}

/**
 * Learn from the values of one options record, by IANA element.
 *
 * The rate is IE 34 or 50 (one in N), 305 and 306 (N observed, then M skipped: RFC 5477 §8.2), or 309 and 310
 * (size and population), which go before those where the selectorAlgorithm (304) is random n-out-of-N.
 * Records without a rate teach nothing.
 *
 * @param mayGrow whether a sampler that is not known yet may be added
 */
export function learnSampling(
  sampling: Sampling, values: ReadonlyMap<number, number>, mayGrow: boolean,
): void {
  const interval = values.get(305) ?? 0
  const space = values.get(306)
  const size = values.get(309) ?? 0
  const population = values.get(310) ?? 0
  let rate = values.get(34) ?? values.get(50) ?? 0
  const bySize = size > 0 && population > 0 && (interval === 0 || values.get(304) === RANDOM_N_OF_N)
  if (bySize) rate = population / size
  else if (interval > 0) rate = space === undefined ? interval : (interval + space) / interval
  rate = Math.round(rate)
  if (rate < 1) return
  const sampler = { rate: Math.min(rate, 0xffffffff), algorithm: values.get(35) ?? values.get(49) ?? 0 }
  const id = values.get(48) ?? values.get(302)
  if (id === undefined) sampling.whole = sampler
  else if (mayGrow || sampling.byId.has(id)) sampling.byId.set(id, sampler)
}

/** Fields that tell of sampling. */
export const SAMPLING_FIELDS: readonly number[] = [ID.samplingRate, ID.samplingSource]

/**
 * Set sampling and shape of rows whose records do not carry their sampling, from what the options said.
 *
 * @param hasSampler whether the rows tell their sampler
 * @param plain the shape of rows with unknown sampling
 * @param sampled that shape with SAMPLING_FIELDS
 */
export function applySampling(
  sampling: Sampling, hasSampler: boolean, plain: Shape, sampled: Shape,
  batch: FlowBatch, row: number, count: number,
): void {
  const end = row + count
  if (!hasSampler || sampling.byId.size === 0) {
    if (sampling.whole) fillSampling(sampling.whole.rate, SAMPLING_SOURCE.options, sampled, batch, row, end)
    else batch.shape.fill(batch.intern(plain), row, end)
    return
  }
  batch.shape.fill(batch.intern(plain), row, end)
  const ids = batch.samplerId
  const rates = batch.samplingRate
  const sources = batch.samplingSource
  const index = batch.intern(sampled)
  for (; row < end; row++) {
    const sampler = sampling.byId.get(ids[row * 2] + ids[row * 2 + 1] * 2 ** 32) ?? sampling.whole
    if (!sampler) continue
    rates[row] = sampler.rate
    sources[row] = SAMPLING_SOURCE.options
    batch.shape[row] = index
  }
}

/** Give rows `row` to `end` one sampling rate and the shape that shows it. */
export function fillSampling(
  rate: number, source: number, sampled: Shape, batch: FlowBatch, row: number, end: number,
): void {
  batch.samplingRate.fill(rate, row, end)
  batch.samplingSource.fill(source, row, end)
  batch.shape.fill(batch.intern(sampled), row, end)
}

/** The sampling fields that are wanted. */
export function samplingFields({ fields }: Wanted): readonly number[] {
  return fields ? SAMPLING_FIELDS.filter((id) => fields[id]) : SAMPLING_FIELDS
}
