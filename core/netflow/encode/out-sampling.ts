import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { SAMPLING_SOURCE } from '../../flow/names.ts'

/** How a record tells its sampling rate: not at all, by the options of its domain, itself, or that there is none. */
export const RATE = { none: 0, options: 1, record: 2, one: 3 } as const

/** What options records are to tell of an observation domain's sampling. */
export interface OutSampling {
  /** The sampler of records that name none; rate 0 if they have none in common. */
  readonly whole: { rate: number, algorithm: number }
  /** By sampler id. */
  readonly byId: ReadonlyMap<number, { readonly rate: number, readonly algorithm: number }>
  /** Whether there is something to tell that was not told yet; who tells it sets it back. */
  changed: boolean
  /**
   * Decide for each row of `batch` how its record tells the rate, and learn what options are to tell of it.
   *
   * @param rates by row, a value of RATE
   */
  decide(batch: FlowBatch, rates: Uint8Array): void
}

/** More samplers than that have their rates in their records. */
const MAX_SAMPLERS = 4096
/** Sources that tell of a whole exporter; a rate of which nobody says where it is from stays with its record. */
const OF_EXPORTER = new Set<number>([
  SAMPLING_SOURCE.header, SAMPLING_SOURCE.options, SAMPLING_SOURCE.config, SAMPLING_SOURCE.assumed,
])

/**
 * Decides where sampling rates are told.
 *
 * The rate of the domain is that of the first flow, if it was learned from options, a header or the configuration.
 * Flows with another rate have it in their records; those without one say 1 there, so that no collector scales
 * them. So do flows whose counters are multiplied by their rate already. If the first flow has no rate, all rates are
 * in records.
 */
export function outSampling(): OutSampling {
  const whole = { rate: 0, algorithm: 0 }
  const byId = new Map<number, { rate: number, algorithm: number }>()
  let undecided = true

  function rateOf(batch: FlowBatch, row: number, mask: Uint8Array): number {
    const scaled = mask[ID.samplingApplied] === 1 && batch.samplingApplied[row] === 1
    if (mask[ID.samplingRate] === 0 || scaled) {
      if (mask[ID.bytes] === 0 && mask[ID.packets] === 0) return RATE.none // an event: nothing to scale
      undecided = false
      return whole.rate > 0 ? RATE.one : RATE.none
    }
    if (mask[ID.samplingSource] === 0 || !OF_EXPORTER.has(batch.samplingSource[row])) return RATE.record
    const rate = batch.samplingRate[row]
    const algorithm = mask[ID.samplingAlgorithm] ? batch.samplingAlgorithm[row] : 0
    if (mask[ID.samplerId]) return samplerOf(batch.samplerId[row * 2], batch.samplerId[row * 2 + 1], rate, algorithm)
    if (undecided) {
      undecided = false
      whole.rate = rate
      whole.algorithm = algorithm
      sampling.changed = true
    }
    return whole.rate === rate ? RATE.options : RATE.record
  }

  function samplerOf(id: number, high: number, rate: number, algorithm: number): number {
    const known = byId.get(id)
    if (high > 0 || (!known && byId.size >= MAX_SAMPLERS)) return RATE.record
    if (!known) {
      byId.set(id, { rate, algorithm })
      sampling.changed = true
      return RATE.options
    }
    return known.rate === rate ? RATE.options : RATE.record
  }

  const sampling: OutSampling = {
    whole, byId,
    changed: false,
    decide(batch, rates) {
      const { length, shape, shapes } = batch
      if (whole.rate === 0 && shapes.every(({ mask }) => mask[ID.samplingRate] === 0)) {
        if (shapes.some(({ mask }) => mask[ID.bytes] === 1 || mask[ID.packets] === 1)) undecided = false
        rates.fill(RATE.none, 0, length)
        return
      }
      for (let row = 0; row < length; row++) rates[row] = rateOf(batch, row, shapes[shape[row]].mask)
    },
  }
  return sampling
}
