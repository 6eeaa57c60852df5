import type { FlowBatch } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../flow/names.ts'
import { SFLOW_V5 } from './detect.ts'
import {
  domainOf, exporterOf, newExporters, SFLOW_VERSION, type Exporter, type Exporters,
} from './exporters.ts'
import { decodeFixed, fixedVersion, type FixedPlans } from './fixed.ts'
import { exportMicros, headerFields, newHeader, type Datagram, type MessageHeader } from './message.ts'
import type { Wanted } from './plan.ts'
import type { SamplingRules } from './sampling-rules.ts'
import { decodeSets, finishSets, type SetContext } from './sets.ts'
import { suspend, track, trackRecords } from './sequence.ts'
import type { CounterSample } from './sflow/counters.ts'
import { decodeSflow, newSflow, type SflowContext } from './sflow/sflow.ts'

/** Decodes export datagrams of every protocol, and keeps what the protocols need kept between them. */
export interface DatagramDecoder {
  /** State and counters, by exporter. */
  readonly exporters: Exporters
  /**
   * Append the flow records of one datagram to `batch`.
   *
   * A damaged datagram adds nothing and throws FlowkitError; it is counted with its exporter.
   *
   * @returns the number of data records, of flows and of options
   */
  decode(datagram: Datagram, batch: FlowBatch): number
}

/** What a decoder keeps. */
interface State {
  readonly exporters: Exporters
  readonly wanted: Wanted
  readonly header: MessageHeader
  readonly plans: FixedPlans
  readonly sflow: SflowContext
  /** Fields that the headers of v9 and of IPFIX fill. */
  readonly setFields: Readonly<Record<number, readonly number[]>>
}

/** What a decoder does beside appending flows. */
export interface DecoderOptions {
  /** Takes each counter sample of sFlow. */
  readonly onCounters?: (sample: CounterSample) => void
  /** Sampling rates of exporters, as configured. */
  readonly sampling?: SamplingRules
  /** What is known of exporters already. */
  readonly exporters?: Exporters
}

/** A decoder that keeps the fields of `wanted`. */
export function datagramDecoder(
  wanted: Wanted = { extras: false }, options: DecoderOptions = {},
): DatagramDecoder {
  const { onCounters, sampling, exporters = newExporters(sampling) } = options
  const setFields = { 9: headerFields(9, wanted), 10: headerFields(10, wanted) }
  const state: State = {
    exporters, wanted, header: newHeader(), plans: new Map(), sflow: newSflow(wanted, onCounters), setFields,
  }
  return {
    exporters,
    decode(datagram, batch) {
      const exporter = exporterOf(exporters, datagram)
      const { counters } = exporter
      const mark = batch.mark()
      const { records, optionsRecords } = counters
      counters.datagrams++
      counters.bytes += datagram.end - datagram.start
      try {
        return decodeMessages(state, datagram, exporter, batch)
      } catch (error) {
        batch.restore(mark)
        counters.records = records
        counters.optionsRecords = optionsRecords
        if (!(error instanceof FlowkitError)) throw error
        counters.faults[error.code] = (counters.faults[error.code] ?? 0) + 1
        throw error
      }
    },
  }
}

const V9_HEADER = 20
const IPFIX_HEADER = 16

function decodeMessages(state: State, datagram: Datagram, exporter: Exporter, batch: FlowBatch): number {
  const { bytes, view, start, end } = datagram
  const { header } = state
  if (end - start < 4) throw tooShort('header', 4, end - start)
  header.received = datagram.received
  header.family = datagram.family
  header.v4 = datagram.v4
  header.v6 = datagram.v6
  header.port = datagram.port
  header.session = datagram.session === true
  header.version = view.getUint16(start)
  switch (header.version) {
    case 1: case 5: case 6: case 7: case 8: return decodeFixedDatagram(state, datagram, exporter, batch)
    case 9: {
      readV9Header(header, view, start, end)
      const message = decodeMessage(state, exporter, bytes, view, start + V9_HEADER, end, batch)
      accept([message])
      return message.records
    }
    case 10: {
      const messages: Message[] = []
      // RFC 7011 wants one message a datagram; files and some exporters put more
      for (let at = start; at < end;) {
        const next = readIpfixHeader(header, view, at, end)
        messages.push(decodeMessage(state, exporter, bytes, view, at + IPFIX_HEADER, next, batch))
        at = next
      }
      accept(messages)
      return messages.reduce((sum, { records }) => sum + records, 0)
    }
  }
  if (view.getUint32(start) === SFLOW_V5) return decodeSflowDatagram(state, datagram, exporter, batch)
  const reason = `NetFlow version ${header.version} is not supported`
  throw new FlowkitError('ERR_UNSUPPORTED', `Cannot decode datagram: ${reason}`)
}

/** Decode a datagram of samples; its agent numbers its datagrams. */
function decodeSflowDatagram(
  { exporters, sflow }: State, datagram: Datagram, exporter: Exporter, batch: FlowBatch,
): number {
  sflow.samplingOverride = exporter.rates.override
  const count = decodeSflow(sflow, datagram, batch)
  const { subAgentId, sequence, counterSamples } = sflow.message
  exporter.counters.records += count
  exporter.counters.counterSamples += counterSamples
  track(domainOf(exporters, exporter, SFLOW_VERSION, subAgentId, 0).sequence, sequence, 1)
  return count
}

/** A v9 or IPFIX message that is decoded; its datagram may still prove damaged. */
interface Message {
  readonly context: SetContext
  readonly sequence: number
  readonly records: number
  /** How many of them are of options. */
  readonly options: number
}

/** Decode the sets of one v9 or IPFIX message, whose header is read. */
function decodeMessage(
  { exporters, wanted, header, setFields }: State, exporter: Exporter,
  bytes: Uint8Array, view: DataView, at: number, end: number, batch: FlowBatch,
): Message {
  const { version, sequence, port, session } = header
  noteClock(exporter, header)
  const domain = domainOf(exporters, exporter, version, header.domain, port, session)
  const context: SetContext = {
    exporters, exporter, domain, header, wanted, batch, headerFields: setFields[version],
    unfilled: batch.length, learned: [], unsampled: [], resample: false, held: false,
  }
  const { optionsRecords } = exporter.counters
  const records = decodeSets(context, bytes, view, at, end)
  return { context, sequence, records, options: exporter.counters.optionsRecords - optionsRecords }
}

/** The messages of a datagram are sound: account for them, and decode what waited for their templates. */
function accept(messages: readonly Message[]): void {
  for (const { context, sequence, records, options } of messages) {
    const { domain, header: { version } } = context
    if (version === 9) track(domain.sequence, sequence, 1)
    else {
      trackRecords(domain.sequence, sequence, records, options)
      if (context.held) suspend(domain.sequence)
    }
    finishSets(context)
  }
}

const FIXED_TYPES: Readonly<Record<number, number>> = {
  1: FLOW_TYPE.NETFLOW_V1, 5: FLOW_TYPE.NETFLOW_V5, 6: FLOW_TYPE.NETFLOW_V6, 7: FLOW_TYPE.NETFLOW_V7,
  8: FLOW_TYPE.NETFLOW_V8,
}

/**
 * Decode a datagram of v1 to v8.
 *
 * Header: version, count, sysUptime, seconds, nanoseconds; then sequence, engine, sampling or scheme.
 */
function decodeFixedDatagram(
  { exporters, wanted, header, plans }: State, { bytes, view, start, end }: Datagram,
  exporter: Exporter, batch: FlowBatch,
): number {
  const { version } = header
  header.aggregation = version === 8 && end - start > 22 ? view.getUint8(start + 22) : 0
  const fixed = fixedVersion(version, header.aggregation)
  if (!fixed) {
    const reason = `there is no aggregation scheme ${header.aggregation}`
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot decode NetFlow v8 datagram: ${reason}`)
  }
  const { headerSize } = fixed
  if (end - start < headerSize) throw tooShort(`NetFlow v${version} header`, headerSize, end - start)
  header.type = FIXED_TYPES[version]
  header.sysUptime = view.getUint32(start + 4)
  header.exportSecs = view.getUint32(start + 8)
  header.exportNsecs = view.getUint32(start + 12)
  header.exportMicros = exportMicros(header.exportSecs, header.exportNsecs)
  header.sequence = version === 1 ? 0 : view.getUint32(start + 16)
  const hasEngine = version !== 1 && version !== 7
  header.engineType = hasEngine ? view.getUint8(start + 20) : 0
  header.engineId = hasEngine ? view.getUint8(start + 21) : 0
  header.domain = header.engineType << 8 | header.engineId
  // the two bits above are the mode: 1 deterministic, 2 random
  const sampling = version === 5 ? view.getUint16(start + 22) : 0
  header.samplingRate = sampling & 0x3fff
  header.samplingAlgorithm = sampling >> 14
  header.samplingSource = SAMPLING_SOURCE.header
  configureSampling(header, exporter)
  noteClock(exporter, header)
  const count = decodeFixed(header, fixed, bytes, view, start, end, plans, wanted, batch)
  exporter.counters.records += count
  if (version !== 1) {
    // schemes of v8 number their flows apart
    const id = header.domain + header.aggregation * 2 ** 16
    const domain = domainOf(exporters, exporter, version, id, 0)
    track(domain.sequence, header.sequence, count)
  }
  return count
}

/** What is configured goes before the header, or stands in for it. */
function configureSampling(header: MessageHeader, { rates }: Exporter): void {
  if (rates.override > 0) {
    header.samplingRate = rates.override
    header.samplingAlgorithm = 0
    header.samplingSource = SAMPLING_SOURCE.config
  } else if (rates.assumed > 0 && header.samplingRate === 0) {
    header.samplingRate = rates.assumed
    header.samplingAlgorithm = 0
    header.samplingSource = SAMPLING_SOURCE.assumed
  }
}

function noteClock({ counters }: Exporter, { received, exportMicros }: MessageHeader): void {
  counters.clockSkew = received - exportMicros
}

/** RFC 3954 §5.1. */
function readV9Header(header: MessageHeader, view: DataView, at: number, end: number): void {
  if (end - at < V9_HEADER) throw tooShort('NetFlow v9 header', V9_HEADER, end - at)
  header.type = FLOW_TYPE.NETFLOW_V9
  header.sysUptime = view.getUint32(at + 4)
  header.exportSecs = view.getUint32(at + 8)
  header.exportNsecs = 0
  header.exportMicros = header.exportSecs * 1e6
  header.sequence = view.getUint32(at + 12)
  header.domain = view.getUint32(at + 16)
}

/** RFC 7011 §3.1. @returns where the message ends */
function readIpfixHeader(header: MessageHeader, view: DataView, at: number, end: number): number {
  if (end - at < IPFIX_HEADER) throw tooShort('IPFIX header', IPFIX_HEADER, end - at)
  const version = view.getUint16(at)
  const length = view.getUint16(at + 2)
  if (version !== 10 || length < IPFIX_HEADER || length > end - at) {
    const reason = `${end - at} bytes are left, its length is ${length}`
    throw new FlowkitError('ERR_MALFORMED', `Cannot decode IPFIX message: ${reason}`)
  }
  header.type = FLOW_TYPE.IPFIX
  header.exportSecs = view.getUint32(at + 4)
  header.exportNsecs = 0
  header.exportMicros = header.exportSecs * 1e6
  header.sysUptime = -1
  header.sequence = view.getUint32(at + 8)
  header.domain = view.getUint32(at + 12)
  return at + length
}

function tooShort(what: string, needed: number, found: number): FlowkitError {
  return new FlowkitError('ERR_TRUNCATED', `Cannot decode ${what}: ${needed} bytes needed, ${found} found`)
}
