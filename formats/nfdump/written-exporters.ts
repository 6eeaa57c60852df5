import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { PACKETS_VERSION, SFLOW_BIT } from './chunk.ts'
import {
  EXPORTER_SIZE, FORMER_SAMPLER_SIZE, RECORD, SAMPLER_ID, SAMPLER_SIZE, SFLOW_VERSION, sourceOf,
} from './exporters.ts'
import { hasPlace, type RecordScheme } from './write-scheme.ts'

/** Most exporters that records can tell apart. */
const MOST_EXPORTERS = 65_535
const AF_INET = 2
const AF_INET6 = 10
/** Bytes of a record of statistics before the first exporter, and of each; how many it tells of at most. */
const STATS_HEADER = 8
const STATS_SIZE = 24
const MOST_STATS = 1000
const TWO_32 = 4_294_967_296
const IPFIX_VERSION = 10

/** `nfversion` by the value of the field `type`. */
const VERSIONS = new Uint8Array(256)
for (const version of [1, 5, 6, 7, 8, 9] as const) VERSIONS[FLOW_TYPE[`NETFLOW_V${version}`]] = version
VERSIONS[FLOW_TYPE.IPFIX] = IPFIX_VERSION
VERSIONS[FLOW_TYPE.SFLOW_5] = SFLOW_BIT | 5
VERSIONS[FLOW_TYPE.PACKETS] = PACKETS_VERSION

/** An exporter that the file tells of, and what it tells of its samplers by their ids. */
interface Written {
  readonly sysid: number
  readonly version: number
  /** Flow records of its. */
  records: number
  readonly samplers: Map<number, number>
  /** Ids above 0 among them. */
  ids: number
}

/** What the header of a flow record says of where it came from. */
export interface Origin {
  sysid: number
  version: number
  engineType: number
  engineId: number
  /** Whether the sampling source will be read as another than the row's. */
  isOtherSource: boolean
}

/** The exporters of one address, by their ids and versions. */
type Exporters = Map<number, Written>

/** Numbers the exporters of rows, and writes the records that tell of them and their samplers. */
export class WrittenExporters {
  /** Of the row asked for last. */
  readonly origin: Origin = { sysid: 0, version: 0, engineType: 0, engineId: 0, isOtherSource: false }
  private readonly emit: (record: Uint8Array) => void
  /** Type of the records of samplers. */
  private readonly samplerType: number
  /** Whether flow records name their sampler; else a rate is the exporter's own. */
  private readonly hasSamplers: boolean
  private readonly all: Written[] = []
  private readonly ofV4 = new Map<number, Exporters>()
  /** By the bytes of the address; of no address, by an empty text. */
  private readonly ofOthers = new Map<string, Exporters>()
  /** That of the row before, if its address is of IPv4. */
  private last: Written | undefined
  private lastV4 = -1
  private lastKey = -1
  private readonly lastV6 = new Uint8Array(16)
  private ofLastV6: Exporters = new Map()

  /** Of flows whose type tells no version: whether it is that of exporters with an observation domain. */
  private readonly isDomainKept: boolean

  /** @param emit is given the records, in their place before the row's */
  constructor(emit: (record: Uint8Array) => void, scheme: RecordScheme) {
    this.emit = emit
    this.samplerType = scheme.samplerType
    this.hasSamplers = hasPlace(scheme, ID.samplerId)
    this.isDomainKept = hasDomain(0, scheme)
  }

  /** Learn where row `row` of `batch` came from, and write what its reader must know before. */
  learn(batch: FlowBatch, mask: Uint8Array, row: number): void {
    const { origin } = this
    const type = mask[ID.type] === 1 ? batch.type[row] : 0
    origin.version = VERSIONS[type]
    const isDomain = origin.version === 0 && this.isDomainKept && mask[ID.observationDomainId] === 1
    const version = isDomain ? IPFIX_VERSION : origin.version
    const id = isDomain ? batch.observationDomainId[row] : idOf(batch, mask, row, type)
    const isLow = version === 9 && mask[ID.engineId] === 0 // as nfcapd has it
    origin.engineType = mask[ID.engineType] === 1 ? batch.engineType[row] : isLow ? id >>> 8 & 255 : 0
    origin.engineId = mask[ID.engineId] === 1 ? batch.engineId[row] : isLow ? id & 255 : 0
    origin.isOtherSource = false
    origin.sysid = 0
    const kind = mask[ID.exporterAddr] === 1 ? batch.exporterAddr.family[row] : 0
    const isNobody = version === PACKETS_VERSION || (version === 0 && kind === 0)
    if (isNobody && (mask[ID.samplingRate] === 0 || batch.samplingRate[row] === 0)) return
    const exporter = this.find(batch, row, kind, version, id)
    exporter.records++
    origin.sysid = exporter.sysid
    if (exporter.sysid > 0) this.learnSampler(exporter, batch, mask, row)
  }

  private find(batch: FlowBatch, row: number, kind: number, version: number, id: number): Written {
    const key = id * 256 + version
    const address = kind === 4 ? batch.exporterAddr.v4[row] : -1
    if (address >= 0 && address === this.lastV4 && key === this.lastKey) return this.last!
    const siblings = this.siblings(batch, row, kind)
    const exporter = siblings.get(key) ?? this.add(siblings, batch, row, kind, version, id)
    this.lastV4 = address
    this.lastKey = key
    this.last = exporter
    return exporter
  }

  /** The exporters that have the address of a row. */
  private siblings(batch: FlowBatch, row: number, kind: number): Exporters {
    const { ofV4, ofOthers, lastV6 } = this
    const { v4, v6 } = batch.exporterAddr
    if (kind === 4) {
      let found = ofV4.get(v4[row])
      if (!found) ofV4.set(v4[row], found = new Map())
      return found
    }
    let isLast = kind === 6
    for (let i = 0; i < 16 && isLast; i++) isLast = lastV6[i] === v6[row * 16 + i]
    if (isLast) return this.ofLastV6
    const key = kind === 6 ? v6.subarray(row * 16, row * 16 + 16).join('.') : ''
    let found = ofOthers.get(key)
    if (!found) ofOthers.set(key, found = new Map())
    if (kind === 6) {
      lastV6.set(v6.subarray(row * 16, row * 16 + 16))
      this.ofLastV6 = found
    }
    return found
  }

  /** Give an exporter a number, as long as there are any, and write its record. */
  private add(
    siblings: Exporters, batch: FlowBatch, row: number, kind: number, version: number, id: number,
  ): Written {
    const { all } = this
    const isNumbered = all.length < MOST_EXPORTERS
    const sysid = isNumbered ? all.length + 1 : 0
    const exporter: Written = { sysid, version, records: 0, samplers: new Map(), ids: 0 }
    siblings.set(id * 256 + version, exporter)
    if (!isNumbered) return exporter
    all.push(exporter)
    const { v4, v6 } = batch.exporterAddr
    const record = new Uint8Array(EXPORTER_SIZE)
    const view = new DataView(record.buffer)
    view.setUint16(0, RECORD.exporter, true)
    view.setUint16(2, EXPORTER_SIZE, true)
    view.setUint32(4, version >= SFLOW_BIT ? SFLOW_VERSION : version, true)
    // as nfdump 1.7.1 has it, which 1.7.8 reads too
    if (kind === 6) for (let i = 0; i < 16; i++) record[8 + (i & 8 | 7 - (i & 7))] = v6[row * 16 + i]
    else if (kind === 4) view.setUint32(16, v4[row], true)
    view.setUint16(24, kind === 6 ? AF_INET6 : AF_INET, true)
    view.setUint16(26, sysid, true)
    view.setUint32(28, id, true)
    this.emit(record)
    return exporter
  }

  /** Tell how many records there are of each exporter. Of its datagrams nothing is known. */
  finish(): void {
    for (let i = 0; i < this.all.length; i += MOST_STATS) {
      const some = this.all.slice(i, i + MOST_STATS)
      const record = new Uint8Array(STATS_HEADER + some.length * STATS_SIZE)
      const view = new DataView(record.buffer)
      view.setUint16(0, RECORD.exporterStats, true)
      view.setUint16(2, record.length, true)
      view.setUint32(4, some.length, true)
      for (const [k, { sysid, records }] of some.entries()) {
        const at = STATS_HEADER + k * STATS_SIZE
        view.setUint32(at, sysid, true)
        view.setUint32(at + 16, records, true)
        view.setUint32(at + 20, records / TWO_32, true)
      }
      this.emit(record)
    }
  }

  /** Tell of the row's sampler, unless its reader knows it. */
  private learnSampler(exporter: Written, batch: FlowBatch, mask: Uint8Array, row: number): void {
    const { samplers } = exporter
    const named = this.hasSamplers && mask[ID.samplerId] === 1
      ? batch.samplerId[row * 2] + batch.samplerId[row * 2 + 1] * TWO_32 : 0
    const id = named > 0 ? named : SAMPLER_ID.generic
    const rate = mask[ID.samplingRate] === 1 ? batch.samplingRate[row] : 0
    const algorithm = rate > 0 && mask[ID.samplingAlgorithm] === 1 ? batch.samplingAlgorithm[row] : 0
    if (rate > 0) {
      const version = exporter.version >= SFLOW_BIT ? SFLOW_VERSION : exporter.version
      const source = mask[ID.samplingSource] === 1 ? batch.samplingSource[row] : SAMPLING_SOURCE.unknown
      this.origin.isOtherSource = source !== sourceOf(id, version)
    } else if (samplers.size === 0) return
    const told = samplers.get(id) ?? samplers.get(SAMPLER_ID.generic)
    const isOnly = told === undefined && named === 0 && exporter.ids === 1
    const code = rate * 256 + algorithm
    if (rate > 0 ? samplers.get(id) === code : !isOnly && (told === undefined || told === 0)) return
    if (named > 0 && !samplers.has(id)) exporter.ids++
    samplers.set(id, code)
    this.emit(samplerRecord(this.samplerType, exporter.sysid, id, rate, algorithm))
  }
}

function samplerRecord(type: number, sysid: number, id: number, rate: number, algorithm: number): Uint8Array {
  const isFormer = type === RECORD.formerSampler
  const record = new Uint8Array(isFormer ? FORMER_SAMPLER_SIZE : SAMPLER_SIZE)
  const view = new DataView(record.buffer)
  view.setUint16(0, type, true)
  view.setUint16(2, record.length, true)
  if (isFormer) {
    view.setInt32(4, id, true)
    view.setUint32(8, rate, true)
    view.setUint16(12, algorithm, true)
    view.setUint16(14, sysid, true)
    return record
  }
  view.setUint16(4, sysid, true)
  view.setUint16(6, algorithm, true)
  view.setUint32(8, id, true)
  view.setInt32(12, Math.floor(id / TWO_32), true)
  view.setUint32(16, rate > 0 ? 1 : 0, true)
  view.setUint32(20, rate > 0 ? rate - 1 : 0, true)
  return record
}

/**
 * Whether the record of the exporter tells the observation domain of flows of a type: if records have no other
 * place for it, that of flows of no version too, such as 1.6 writes them.
 */
export function hasDomain(type: number, scheme: RecordScheme): boolean {
  return type === FLOW_TYPE.NETFLOW_V9 || type === FLOW_TYPE.IPFIX ||
    (VERSIONS[type] === 0 && !hasPlace(scheme, ID.observationDomainId))
}

/** The id of a row's exporter: its observation domain, sub-agent or engine. */
function idOf(batch: FlowBatch, mask: Uint8Array, row: number, type: number): number {
  switch (type) {
    case FLOW_TYPE.NETFLOW_V9: case FLOW_TYPE.IPFIX:
      return mask[ID.observationDomainId] === 1 ? batch.observationDomainId[row] : 0
    case FLOW_TYPE.SFLOW_5: return mask[ID.subAgentId] === 1 ? batch.subAgentId[row] : 0
  }
  if (mask[ID.engineId] === 0) return 0
  return (mask[ID.engineType] === 1 ? batch.engineType[row] : 0) << 8 | batch.engineId[row]
}
