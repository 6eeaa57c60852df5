import type { Domain, Exporters } from './exporters.ts'
import { LIMITS } from './limits.ts'
import { learnNames, newNames, type TextPlace } from './option-names.ts'
import type { LayoutField } from './plan.ts'
import { countSamplers, learnSampling, newSampling } from './sampling.ts'
import { readUint } from './steps.ts'
import { V9_SCOPE_PEN } from './templates.ts'

/** Longest value of an options record that is taken for a number. */
const MAX_NUMBER = 8
/** samplingProbability, a float. */
const PROBABILITY = 311
/** v9's scope type "interface" (RFC 3954 §6.1), and what IPFIX has for it: ingress- and egressInterface. */
const SCOPE_INTERFACE = 2
const INTERFACES = new Set([10, 14])

/**
 * Learn from one options record, whose fields lie at `starts` and have `lengths` bytes.
 *
 * What is learned is about all records of the observation domain: the exporter's start (IE 160), sampling,
 * names of interfaces, VRFs and applications.
 *
 * @returns whether it told something new of sampling
 */
export function learnOptions(
  all: Exporters, domain: Domain, layout: readonly LayoutField[], scopeCount: number,
  bytes: Uint8Array, starts: Uint32Array, lengths: Uint32Array,
): boolean {
  const values = new Map<number, number>()
  const places = new Map<number, TextPlace>()
  let scopeInterface: number | undefined
  for (const [i, { pen, id }] of layout.entries()) {
    const start = starts[i]
    const length = lengths[i]
    const isNumber = length > 0 && length <= MAX_NUMBER
    if (pen === V9_SCOPE_PEN && id === SCOPE_INTERFACE && isNumber) {
      scopeInterface = readUint(bytes, start, length)
    }
    if (pen !== 0) continue
    places.set(id, { start, end: start + length })
    if (!isNumber) continue
    const read = id === PROBABILITY ? readFloat : readUint
    values.set(id, read(bytes, start, length))
    if (i < scopeCount && INTERFACES.has(id)) scopeInterface = values.get(id)
  }
  const init = values.get(160)
  if (init !== undefined && init > 0 && init < 2 ** 53 / 1000) domain.systemInit = init
  const sampling = domain.sampling ??= newSampling()
  const names = domain.names ??= newNames()
  const samplers = countSamplers(sampling)
  const scope = scopeInterface || undefined // 0: any
  const isNew = learnSampling(sampling, values, scope, all.samplers < LIMITS.samplers)
  all.samplers += countSamplers(sampling) - samplers
  const { count } = names
  learnNames(names, bytes, values, places, scopeInterface, all.names < LIMITS.names)
  all.names += names.count - count
  return isNew
}

/** A float32 or float64; 0 of another length. */
function readFloat(bytes: Uint8Array, at: number, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, length)
  return length === 8 ? view.getFloat64(0) : length === 4 ? view.getFloat32(0) : 0
}
