import { LIMITS, type Domain, type Exporters } from './exporters.ts'
import { learnSampling } from './sampling.ts'
import { readUint } from './steps.ts'
import type { Template } from './templates.ts'

/** Longest value of an options record that is taken for a number. */
const MAX_NUMBER = 8

/**
 * Learn from one options record, whose fields lie at `starts` and have `lengths` bytes.
 *
 * What is learned is about all records of the observation domain: the exporter's start (IE 160) and sampling.
 */
export function learnOptions(
  all: Exporters, domain: Domain, { layout }: Template,
  bytes: Uint8Array, starts: Uint32Array, lengths: Uint32Array,
): void {
  const values = new Map<number, number>()
  for (const [i, { pen, id }] of layout.entries()) {
    const length = lengths[i]
    if (pen === 0 && length > 0 && length <= MAX_NUMBER) values.set(id, readUint(bytes, starts[i], length))
  }
  const init = values.get(160)
  if (init !== undefined && init > 0 && init < 2 ** 53 / 1000) domain.systemInit = init
  const before = domain.sampling.byId.size
  learnSampling(domain.sampling, values, all.samplers < LIMITS.samplers)
  all.samplers += domain.sampling.byId.size - before
}
