import { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import type { Source } from '../../pcap/write.ts'
import { copyBytes, exportMicros } from '../message.ts'
import { addLoss, newLoss, type Loss } from '../../flow/loss.ts'
import { dropField } from '../../flow/reshape.ts'
import { sflowEncoder } from '../sflow/encode.ts'
import { fillTimes } from './clock.ts'
import { datagramEncoder, type ExportVersion } from './encode.ts'
import type { DatagramEncoder, Emit } from './encoder.ts'
import type { SetEncoderOptions } from './sets.ts'

/** How flows are to be exported. */
export interface ExportOptions extends SetEncoderOptions {
  readonly version: ExportVersion | 'sflow'
  /** Address of the sFlow agent of flows that tell neither their agent nor their exporter. */
  readonly agent: string
  /**
   * Whether each exporter of the flows goes on to be one, whose address is the datagrams' source. Else all
   * flows have one exporter, and records tell where they came from if the version can.
   */
  readonly byExporter: boolean
  /** Whether exporters go on with the observation domains that flows tell, where the version has such. */
  readonly byDomain?: boolean
}

/** IPFIX as most collectors take it. */
export const DEFAULT_EXPORT: Omit<ExportOptions, 'byExporter'> = {
  version: { version: 10 }, maxSize: 1400, domain: 0, templateRefresh: 60e6, agent: '192.0.2.1',
}

/**
 * Takes a finished datagram; its bytes are valid during the call.
 *
 * @param time when it is exported, µs since the epoch
 */
export type EmitFrom = (datagram: Uint8Array, source: Source, time: number) => void

/** Encodes flows as one exporter or several, each with its own templates and sequence numbers. */
export interface ExportStreams {
  /** Encode all rows of `batch`. A datagram that is not full yet waits for more rows. */
  encode(batch: FlowBatch, emit: EmitFrom): void
  /** Give out what waits. */
  flush(emit: EmitFrom): void
  /** Let templates and options be sent again when they are next used. */
  announce(): void
  /** Exporters and engines so far. */
  readonly count: number
  /** Add what the version could not carry so far to `sum`. @returns it */
  addLoss(sum: Loss): Loss
}

interface Stream {
  readonly encoder: DatagramEncoder
  readonly source: Source
  /** When its latest rows were exported, where its headers do not say: sFlow. */
  time: number
}

/** Streams remembered; more make all of them begin anew, as exporters that were restarted. */
const MOST_STREAMS = 4096
/** The exporter of flows that name none: 192.0.2.1, for documentation (RFC 5737). */
const NO_EXPORTER = 0xc0000201
const SOURCE_PORT = 50_000
/** Versions whose headers name the engine, each of which counts for itself. */
const ENGINE_VERSIONS = [5, 6, 8]
/** Versions whose headers name the observation domain, likewise. */
const DOMAIN_VERSIONS = [9, 10]
const NO_BYTES = new Uint8Array(16)

/**
 * Encoders for the exporters of flows, made when they are needed.
 *
 * @throws RangeError if `maxSize` is too small for the version
 */
export function exportStreams(options: ExportOptions): ExportStreams {
  const { version, byExporter } = options
  const isSflow = version === 'sflow'
  const byEngine = !isSflow && ENGINE_VERSIONS.includes(version.version)
  const byDomain = options.byDomain === true && !isSflow && DOMAIN_VERSIONS.includes(version.version)
  const streams = new Map<number | string, Stream>()
  const lost = newLoss() // by streams that are forgotten
  const scratch = new FlowBatch()
  let group = new Uint32Array(0) // of each row, an index into `groups`
  let times = new Float64Array(0)
  newEncoder(options) // throws where none can be made

  function streamOf(batch: FlowBatch, row: number, mask: Uint8Array): Stream {
    const { exporterAddr, engineType, engineId } = batch
    const type = byEngine && mask[ID.engineType] ? engineType[row] : 0
    const engine = byEngine && mask[ID.engineId] ? type << 8 | engineId[row] : type << 8
    const family = byExporter && mask[ID.exporterAddr] ? exporterAddr.family[row] : 0
    const v4 = family === 4 ? exporterAddr.v4[row] : NO_EXPORTER
    const v6 = family === 6 ? exporterAddr.v6.subarray(row * 16, row * 16 + 16) : NO_BYTES
    const domain = byDomain && mask[ID.observationDomainId] ? batch.observationDomainId[row] : options.domain
    const own = family === 6 ? `${v6.join()}/${engine}` : v4 * 65_536 + engine
    const key = byDomain ? `${domain}/${own}` : own
    let stream = streams.get(key)
    if (!stream) {
      const source = { family: family || 4, v4, v6: copyBytes(v6, 0, 16), port: SOURCE_PORT }
      streams.set(key, stream = { encoder: newEncoder({ ...options, domain }), source, time: 0 })
    }
    return stream
  }

  /** Find the stream of each row. @returns the streams, in the order of their first row */
  function groupRows(batch: FlowBatch): Stream[] {
    const { length, capacity, shape, shapes } = batch
    if (group.length < length) {
      group = new Uint32Array(capacity)
      times = new Float64Array(capacity)
    }
    const found = new Map<Stream, number>()
    if (!byExporter && !byEngine) {
      group.fill(0, 0, length)
      return length > 0 ? [streamOf(batch, 0, shapes[shape[0]].mask)] : []
    }
    for (let row = 0; row < length; row++) {
      if (row > 0 && isSame(batch, row)) {
        group[row] = group[row - 1]
        continue
      }
      const stream = streamOf(batch, row, shapes[shape[row]].mask)
      let index = found.get(stream)
      if (index === undefined) found.set(stream, index = found.size)
      group[row] = index
    }
    return [...found.keys()]
  }

  /** Whether a row belongs to the stream of the row before, as far as that is seen at a glance. */
  function isSame(batch: FlowBatch, row: number): boolean {
    const { shape, exporterAddr: { family, v4 }, engineType, engineId } = batch
    if (byDomain && batch.observationDomainId[row] !== batch.observationDomainId[row - 1]) return false
    return shape[row] === shape[row - 1] && family[row] !== 6 && v4[row] === v4[row - 1]
      && family[row] === family[row - 1] && engineType[row] === engineType[row - 1]
      && engineId[row] === engineId[row - 1]
  }

  function encodeRows(stream: Stream, batch: FlowBatch, emit: EmitFrom): void {
    stream.encoder.encode(batch, from(stream, emit))
  }

  /** sFlow has no export time, and receivers date samples by their receipt: a datagram for each second. */
  function encodeSeconds(stream: Stream, batch: FlowBatch, index: number, emit: EmitFrom): void {
    const send = from(stream, emit)
    scratch.clear()
    for (let row = 0; row < batch.length; row++) {
      if (group[row] !== index) continue
      const time = Number.isNaN(times[row]) ? stream.time : times[row]
      if (scratch.length > 0 && Math.floor(time / 1e6) !== Math.floor(stream.time / 1e6)) {
        stream.encoder.encode(scratch, send)
        stream.encoder.flush(send)
        scratch.clear()
      }
      stream.time = time
      scratch.append(batch, row)
    }
    stream.encoder.encode(scratch, send)
    stream.encoder.flush(send)
  }

  function flush(emit: EmitFrom): void {
    for (const stream of streams.values()) stream.encoder.flush(from(stream, emit))
  }

  return {
    flush,
    announce() {
      for (const { encoder } of streams.values()) encoder.announce?.()
    },
    get count() { return streams.size },
    encode(batch, emit) {
      if (streams.size > MOST_STREAMS) {
        flush(emit)
        for (const { encoder } of streams.values()) addLoss(lost, encoder.loss)
        streams.clear()
      }
      const groups = groupRows(batch)
      // the datagram's source says it; sFlow names the agent beside
      if (byExporter && !isSflow) dropField(batch, ID.exporterAddr)
      if (isSflow) fillTimes(batch, times)
      for (const [index, stream] of groups.entries()) {
        if (isSflow) encodeSeconds(stream, batch, index, emit)
        else if (groups.length === 1) encodeRows(stream, batch, emit)
        else {
          scratch.clear()
          for (let row = 0; row < batch.length; row++) if (group[row] === index) scratch.append(batch, row)
          encodeRows(stream, scratch, emit)
        }
      }
    },
    addLoss(sum) {
      addLoss(sum, lost)
      for (const { encoder } of streams.values()) addLoss(sum, encoder.loss)
      return sum
    },
  }
}

function newEncoder(options: ExportOptions): DatagramEncoder {
  const { version } = options
  return version === 'sflow' ? sflowEncoder(options) : datagramEncoder(version, options)
}

function from(stream: Stream, emit: EmitFrom): Emit {
  return (datagram) => emit(datagram, stream.source, exportTime(datagram) ?? stream.time)
}

/** When a message was exported, µs, as its header says; sFlow's do not. */
function exportTime(message: Uint8Array): number | undefined {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  switch (view.getUint16(0)) {
    case 0: return undefined
    case 9: return view.getUint32(8) * 1e6
    case 10: return view.getUint32(4) * 1e6
    default: return exportMicros(view.getUint32(8), view.getUint32(12))
  }
}
