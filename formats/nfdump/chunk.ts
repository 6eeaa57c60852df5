import { ipv6Storage } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { loseElement, type Loss } from '../../core/flow/loss.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { samplerOf, UNKNOWN_EXPORTER, type Exporter } from './exporters.ts'
import type { Names } from './name-records.ts'
import { EITHER, OP_ETYPE, variantShape, type Plan } from './plan.ts'
import { readStep, type Records } from './read-steps.ts'

/** Records that become rows together: few enough to be in the cache for each of their columns. */
export const CHUNK_SIZE: number = 1024

const ICMP = 1
const ICMP6 = 58
/** `nfversion` of flows that nfpcapd has made of packets, and what marks those of sFlow. */
export const PACKETS_VERSION = 0x41
export const SFLOW_BIT = 0x80

/** The value of the field `type` by a record's `nfversion`; 0: not known. */
const TYPES = new Uint8Array(256).fill(FLOW_TYPE.SFLOW_5, SFLOW_BIT)
for (const version of [1, 5, 6, 7, 8, 9] as const) TYPES[version] = FLOW_TYPE[`NETFLOW_V${version}`]
TYPES[10] = FLOW_TYPE.IPFIX
TYPES[PACKETS_VERSION] = FLOW_TYPE.PACKETS

/** Versions whose every record tells the engine. */
const ENGINE_VERSIONS: ReadonlySet<number> = new Set([5, 6, 8])

/** The fields that a row has beside those of its record, by bit. */
const ADDED: readonly (readonly number[])[] = [
  [ID.type], [ID.exporterAddr], [ID.observationDomainId], [ID.subAgentId], [ID.engineType, ID.engineId],
  [ID.samplingRate, ID.samplingSource], [ID.samplingAlgorithm], [ID.samplingApplied],
  [ID.icmpType, ID.icmpCode], [ID.applicationName], [ID.inIfName], [ID.outIfName],
  [ID.srcVrfName], [ID.dstVrfName],
]
const BIT = {
  type: 1, exporter: 2, domain: 4, subAgent: 8, engine: 16, rate: 32, algorithm: 64, applied: 128, icmp: 256,
  application: 512, inIf: 1024, outIf: 2048, srcVrf: 4096, dstVrf: 8192,
} as const

const TWO_32 = 4_294_967_296

/**
 * Flow records that were found and are not rows yet.
 *
 * They are gathered in their order, and become rows together: those of one layout a column after the other.
 */
export class Chunk {
  /** How many there are. */
  count = 0
  private readonly names: Names
  private readonly loss: Loss | undefined
  private turn = 0

  private readonly ats = new Uint32Array(CHUNK_SIZE)
  private readonly planOf = new Uint16Array(CHUNK_SIZE)
  private readonly exporterOf: Exporter[] = new Array<Exporter>(CHUNK_SIZE).fill(UNKNOWN_EXPORTER)
  private readonly versions = new Uint8Array(CHUNK_SIZE)
  private readonly sampled = new Uint8Array(CHUNK_SIZE)
  private readonly engines = new Int32Array(CHUNK_SIZE)
  private readonly plans: Plan[] = []

  // by layout
  private readonly ends = new Uint32Array(CHUNK_SIZE + 1)
  private readonly sortedAts = new Uint32Array(CHUNK_SIZE)
  private readonly rows = new Uint32Array(CHUNK_SIZE)
  private readonly variants = new Uint32Array(CHUNK_SIZE)

  /** @param loss where is entered what there is no column for */
  constructor(names: Names, loss: Loss | undefined) {
    this.names = names
    this.loss = loss
  }

  /**
   * Add the record at `at`, which the caller has checked, and for which there is room.
   *
   * @param version its `nfversion`
   * @param isSampled whether its counters are multiplied by the sampling rate
   * @param engine type and id of the engine as one number; -1: they are fields of the record or not told
   */
  add(
    at: number, plan: Plan, exporter: Exporter, version: number, isSampled: boolean, engine: number,
  ): void {
    const i = this.count++
    if (plan.turn !== this.turn) {
      plan.turn = this.turn
      plan.place = this.plans.push(plan) - 1
      plan.indices.clear()
      this.ends[plan.place] = 0
    }
    this.ends[plan.place]++
    this.ats[i] = at
    this.planOf[i] = plan.place
    this.exporterOf[i] = exporter
    this.versions[i] = version
    this.sampled[i] = isSampled ? 1 : 0
    this.engines[i] = engine
  }

  /** Make rows of the records, which lie in `bytes`, and forget them. */
  finish(bytes: Uint8Array, view: DataView, batch: FlowBatch): void {
    const { count, plans, ends, ats, planOf, sortedAts, rows, variants, loss } = this
    if (count === 0) return
    batch.reserve(count)
    this.names.begin()
    let end = 0
    for (let i = 0; i < plans.length; i++) {
      end += ends[i]
      ends[i] = end - ends[i] // where its records begin, for now
    }
    for (let i = 0; i < count; i++) {
      const k = ends[planOf[i]]++
      sortedAts[k] = ats[i]
      rows[k] = batch.length + i
    }
    variants.fill(0, 0, count)
    let from = 0
    for (const [i, plan] of plans.entries()) {
      const records = { bytes, view, ats: sortedAts, rows, from, to: ends[i], variants }
      for (const step of plan.steps) {
        if (step.op === OP_ETYPE) continue // goes before that of the addresses
        const cut = readStep(step, records, batch)
        if (cut > 0 && loss) loss.narrowed[step.field] += cut
      }
      if (plan.etype > 0) fillEtype(plan, records, batch)
      if (plan.extras.length > 0) putExtras(plan, records, batch)
      if (loss && plan.lost.length > 0) countLost(plan, records, loss)
      this.complete(plan, records, batch)
      from = ends[i]
    }
    batch.length += count
    this.count = 0
    this.plans.length = 0
    this.turn++
  }

  /** Set what the rows of a layout have beside the fields of their records, and their shapes. */
  private complete(plan: Plan, records: Records, batch: FlowBatch): void {
    const { bytes, view, ats, rows, from, to, variants } = records
    const { versions, sampled, engines, exporterOf, names } = this
    const { hasExporter, domainBit, protoAt, portAt, samplerAt, samplerLength } = plan
    const { type, subAgentId, observationDomainId, engineType, engineId, icmpType, icmpCode } = batch
    const { samplingRate, samplingSource, samplingAlgorithm, samplingApplied, exporterAddr, shape } = batch
    const hasNames = !names.isEmpty
    let lastKey = -1
    let index = 0
    for (let k = from; k < to; k++) {
      const row = rows[k]
      const at = ats[k]
      const i = row - batch.length
      const exporter = exporterOf[i]
      const version = versions[i]
      let added = 0
      if (TYPES[version] > 0) {
        added = BIT.type
        type[row] = TYPES[version]
      }
      if (!hasExporter && exporter.family > 0) {
        added |= BIT.exporter
        exporterAddr.family[row] = exporter.family
        exporterAddr.v4[row] = exporter.v4
        if (exporter.family === 6) ipv6Storage(exporterAddr).set(exporter.v6, row * 16)
      }
      if (exporter.domain >= 0 && (domainBit < 0 || (variants[k] & domainBit) !== 0)) {
        added |= BIT.domain
        observationDomainId[row] = exporter.domain
      } else if (exporter.subAgent >= 0) {
        added |= BIT.subAgent
        subAgentId[row] = exporter.subAgent
      }
      if (tellsEngine(version, engines[i], exporter)) {
        added |= BIT.engine
        engineType[row] = engines[i] >> 8
        engineId[row] = engines[i]
      }
      if (sampled[i] === 1) {
        added |= BIT.applied
        samplingApplied[row] = 1
      }
      const samplerId = samplerAt < 0 ? 0 : view.getUint32(at + samplerAt, true) +
        (samplerLength === 8 ? view.getUint32(at + samplerAt + 4, true) * TWO_32 : 0)
      const isSample = sampled[i] === 1 && version >= SFLOW_BIT && !plan.hasFlows && plan.packetsAt >= 0
      const sampler = isSample ? undefined : samplerOf(exporter, samplerId)
      // sfcapd counts a sample as so many packets
      const rate = isSample ? view.getUint32(at + plan.packetsAt, true) : sampler ? sampler.rate : 0
      if (rate > 0) {
        added |= BIT.rate
        samplingRate[row] = rate
        samplingSource[row] = sampler ? sampler.source : SAMPLING_SOURCE.record
        if (sampler && sampler.algorithm > 0) {
          added |= BIT.algorithm
          samplingAlgorithm[row] = sampler.algorithm
        }
      }
      if (portAt >= 0 && (bytes[at + protoAt] === ICMP || bytes[at + protoAt] === ICMP6)) {
        added |= BIT.icmp
        const isApart = plan.icmpAt >= 0 && view.getUint16(at + plan.icmpAt, true) > 0
        const icmpAt = at + (isApart ? plan.icmpAt : portAt)
        icmpCode[row] = bytes[icmpAt]
        icmpType[row] = bytes[icmpAt + 1]
      }
      if (hasNames) added |= this.putNames(plan, batch, row)
      const key = added * TWO_32 + variants[k]
      if (key !== lastKey) {
        lastKey = key
        index = indexOf(plan, key, batch)
      }
      shape[row] = index
    }
  }

  /** Put the names of what a row has numbers of. @returns bits of the names it has */
  private putNames(plan: Plan, batch: FlowBatch, row: number): number {
    const { names } = this
    const { named } = plan
    const ids = batch.applicationId
    let added = 0
    if (named[0] && names.putApplication(
      batch.heap, ids[row * 2], ids[row * 2 + 1], batch.applicationName, row, batch)) added = BIT.application
    if (named[1] && names.putInterface(batch.inIf[row], batch.inIfName, row, batch)) added |= BIT.inIf
    if (named[2] && names.putInterface(batch.outIf[row], batch.outIfName, row, batch)) added |= BIT.outIf
    if (named[3] && names.putVrf(batch.srcVrf[row], batch.srcVrfName, row, batch)) added |= BIT.srcVrf
    if (named[4] && names.putVrf(batch.dstVrf[row], batch.dstVrfName, row, batch)) added |= BIT.dstVrf
    return added
  }
}

/**
 * Whether a record's engine is the exporter's word: nfcapd fills it with the lower bytes of v9's source id,
 * nfpcapd with numbers of its own.
 */
function tellsEngine(version: number, engine: number, { id }: Exporter): boolean {
  if (ENGINE_VERSIONS.has(version)) return engine >= 0
  return engine > 0 && version !== PACKETS_VERSION && !(version === 9 && engine === (id & 0xffff))
}

function indexOf(plan: Plan, key: number, batch: FlowBatch): number {
  let index = plan.indices.get(key)
  if (index !== undefined) return index
  let shape = plan.shapes.get(key)
  if (!shape) {
    const added = Math.floor(key / TWO_32)
    shape = variantShape(plan, key % TWO_32, ADDED.filter((_, bit) => (added >> bit & 1) === 1).flat())
    plan.shapes.set(key, shape)
  }
  index = batch.intern(shape)
  plan.indices.set(key, index)
  return index
}

/** That of the addresses, unless records tell another. */
function fillEtype({ etype, steps }: Plan, records: Records, batch: FlowBatch): void {
  const { rows, from, to } = records
  const column = batch.etype
  if (etype === EITHER) {
    const { family } = batch.srcAddr
    for (let k = from; k < to; k++) column[rows[k]] = family[rows[k]] === 6 ? ETYPE_IPV6 : ETYPE_IPV4
  } else for (let k = from; k < to; k++) column[rows[k]] = etype
  const own = steps.find(({ op }) => op === OP_ETYPE)
  if (own) readStep(own, records, batch)
}

/** Numbers with their highest byte first; what has no fixed length with its length before. */
function putExtras({ extras }: Plan, { bytes, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.useExtras()
  for (let k = from; k < to; k++) {
    const start = batch.heapLength
    for (const { kind, at, length } of extras) {
      let end = ats[k] + at + length
      if (kind === 'number') {
        batch.addBytes(bytes, end - length, end)
        batch.heap.subarray(batch.heapLength - length, batch.heapLength).reverse()
        continue
      }
      if (kind === 'text') while (end > ats[k] + at && bytes[end - 1] === 0) end--
      const size = end - ats[k] - at
      batch.reserveHeap(size + 2)
      batch.heap[batch.heapLength++] = size >> 8
      batch.heap[batch.heapLength++] = size
      batch.addBytes(bytes, ats[k] + at, end)
    }
    column[rows[k] * 2] = start
    column[rows[k] * 2 + 1] = batch.heapLength - start
  }
}

function countLost({ lost }: Plan, { bytes, ats, from, to }: Records, loss: Loss): void {
  for (const { name, at, length } of lost) {
    let count = 0
    for (let k = from; k < to; k++) {
      let any = 0
      for (let i = ats[k] + at, end = i + length; i < end && any === 0; i++) any = bytes[i]
      if (any !== 0) count++
    }
    if (count > 0) loseElement(loss, name, count)
  }
}
