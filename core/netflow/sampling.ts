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
  /** By SNMP index, of options whose scope is an interface: for records that name no sampler. */
  readonly byInterface: Map<number, Sampler>
}

/** Nothing known yet. */
export function newSampling(): Sampling {
  return { whole: undefined, byId: new Map(), byInterface: new Map() }
}

/** A copy of what is known; of the whole domain only where there are more than `most` samplers. */
export function copySampling(from: Sampling | undefined, most: number): Sampling {
  if (!from || countSamplers(from) > most) return { ...newSampling(), whole: from?.whole }
  return { whole: from.whole, byId: new Map(from.byId), byInterface: new Map(from.byInterface) }
}

/** How many samplers there are beside that of the whole domain. */
export function countSamplers({ byId, byInterface }: Sampling): number {
  return byId.size + byInterface.size
}

/** What records tell of where they were sampled. */
export interface SamplerColumns {
  /** Sampler ids, as two numbers each; undefined: records name none. */
  readonly samplers: Uint32Array | undefined
  /** SNMP indexes of input interfaces. */
  readonly interfaces: Uint32Array | undefined
}

/** The sampler of a row: the one it names, that of its interface, of the domain, or the only one there is. */
export function samplerOf(
  { whole, byId, byInterface }: Sampling, { samplers, interfaces }: SamplerColumns, row: number,
): Sampler | undefined {
  if (samplers) {
    const named = byId.get(samplers[row * 2] + samplers[row * 2 + 1] * 2 ** 32)
    if (named) return named
  }
  if (interfaces && byInterface.size > 0) {
    const own = byInterface.get(interfaces[row])
    if (own) return own
  }
  if (whole || samplers || byId.size !== 1) return whole
  const [only] = byId.values()
  return only
}

/**
 * Learn from the values of one options record, by IANA element.
 *
 * The rate is IE 34 or 50 (one in N), 305 and 306 (N observed, then M skipped: RFC 5477 §8.2), or 309 and 310
 * (size and population), which go before those where the selectorAlgorithm (304) is random n-out-of-N, or 311
 * (a probability). Records without a rate teach nothing.
 *
 * @param scope the interface that they are about, if they are about one
 * @param mayGrow whether a sampler that is not known yet may be added
 * @returns whether something new was learned
 */
export function learnSampling(
  sampling: Sampling, values: ReadonlyMap<number, number>, scope: number | undefined, mayGrow: boolean,
): boolean {
  const interval = values.get(305) ?? 0
  const space = values.get(306)
  const size = values.get(309) ?? 0
  const population = values.get(310) ?? 0
  const probability = values.get(311) ?? 0
  let rate = values.get(34) ?? values.get(50) ?? 0
  const bySize = size > 0 && population > 0 && (interval === 0 || values.get(304) === RANDOM_N_OF_N)
  if (bySize) rate = population / size
  else if (interval > 0) rate = space === undefined ? interval : (interval + space) / interval
  else if (rate === 0 && probability > 0) rate = 1 / probability
  rate = Math.min(Math.round(rate), 0xffffffff)
  if (!(rate >= 1)) return false
  const algorithm = Math.min(values.get(35) ?? values.get(49) ?? 0, 255)
  const id = values.get(48) ?? values.get(302)
  const key = id ?? scope
  const table = id === undefined ? sampling.byInterface : sampling.byId
  const known = key === undefined ? sampling.whole : table.get(key)
  if (known?.rate === rate && known.algorithm === algorithm) return false
  if (key === undefined) sampling.whole = { rate, algorithm }
  else if (mayGrow || known) table.set(key, { rate, algorithm })
  else return false
  return true
}

/** The shapes of rows of one layout, by what is known of their sampling. */
export interface SampledShapes {
  /** Sampling is not known, or in the record. */
  readonly plain: Shape
  /** The rate is known from elsewhere. */
  readonly sampled: Shape
  /** How packets were chosen is known too. */
  readonly sampledHow: Shape
}

const SAMPLING_FIELDS: readonly number[] = [ID.samplingRate, ID.samplingSource]

/** The fields that tell a sampler's rate, as far as they are wanted, and its algorithm if `how`. */
export function samplingFields({ fields }: Wanted, how: boolean): readonly number[] {
  const all = how ? [...SAMPLING_FIELDS, ID.samplingAlgorithm] : SAMPLING_FIELDS
  return fields ? all.filter((id) => fields[id]) : all
}

/**
 * Set sampling and shape of rows whose records do not carry their sampling, from what the options said.
 *
 * @param assumed the rate where nothing is known; 0: none
 * @returns whether options can tell no more of them: not of a sampler that they name and nobody knows yet
 */
export function applySampling(
  sampling: Sampling | undefined, columns: SamplerColumns, assumed: number, shapes: SampledShapes,
  batch: FlowBatch, row: number, end: number,
): boolean {
  const { options } = SAMPLING_SOURCE
  const { samplers, interfaces } = columns
  const perRow = (samplers && sampling?.byId.size) || (interfaces && sampling?.byInterface.size)
  if (!sampling || !perRow) {
    const sampler = sampling && samplerOf(sampling, columns, row)
    fillSampling(sampler, options, assumed, shapes, batch, row, end)
    return sampler !== undefined && !samplers
  }
  let allKnown = true
  while (row < end) { // runs of one sampler
    const sampler = samplerOf(sampling, columns, row)
    const first = row++
    while (row < end && samplerOf(sampling, columns, row) === sampler) row++
    if (!sampler || (samplers && sampler === sampling.whole)) allKnown = false
    fillSampling(sampler, options, assumed, shapes, batch, first, row)
  }
  return allKnown
}

/** Give rows `row` to `end` the sampling of `sampler`, failing that the rate assumed, and a shape for it. */
export function fillSampling(
  sampler: Sampler | undefined, source: number, assumed: number, shapes: SampledShapes,
  batch: FlowBatch, row: number, end: number,
): void {
  const { plain, sampled, sampledHow } = shapes
  const rate = sampler ? sampler.rate : assumed
  const algorithm = sampler ? sampler.algorithm : 0
  if (rate === 0) {
    batch.shape.fill(batch.intern(plain), row, end)
    return
  }
  batch.samplingRate.fill(rate, row, end)
  batch.samplingSource.fill(sampler ? source : SAMPLING_SOURCE.assumed, row, end)
  if (algorithm > 0) batch.samplingAlgorithm.fill(algorithm, row, end)
  batch.shape.fill(batch.intern(algorithm > 0 ? sampledHow : sampled), row, end)
}
