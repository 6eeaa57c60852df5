import type { FlowBatch } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import { FLOW_TYPE } from '../flow/names.ts'
import { domainOf, exporterOf, newExporters, type Domain, type Exporter, type Exporters } from './exporters.ts'
import { decodeFixed, FIXED_VERSIONS, type FixedPlans } from './fixed.ts'
import { newHeader, type Datagram, type MessageHeader } from './message.ts'
import type { Wanted } from './plan.ts'
import { decodeSets } from './sets.ts'
import { track } from './sequence.ts'

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

/** A decoder that keeps the fields of `wanted`. */
export function datagramDecoder(wanted: Wanted = { extras: false }): DatagramDecoder {
  const exporters = newExporters()
  const header = newHeader()
  const plans: FixedPlans = new Map()
  return {
    exporters,
    decode(datagram, batch) {
      const exporter = exporterOf(exporters, datagram)
      const { counters } = exporter
      const { length } = batch
      const { records } = counters
      counters.datagrams++
      counters.bytes += datagram.end - datagram.start
      try {
        return decodeMessages(datagram, exporter, exporters, header, plans, wanted, batch)
      } catch (error) {
        batch.length = length
        counters.records = records
        if (error instanceof FlowkitError) counters.faults[error.code] = (counters.faults[error.code] ?? 0) + 1
        throw error
      }
    },
  }
}

const V9_HEADER = 20
const IPFIX_HEADER = 16
const SFLOW_V5 = 5

function decodeMessages(
  datagram: Datagram, exporter: Exporter, exporters: Exporters, header: MessageHeader, plans: FixedPlans,
  wanted: Wanted, batch: FlowBatch,
): number {
  const { bytes, view, start, end } = datagram
  if (end - start < 4) throw tooShort('header', 4, end - start)
  header.received = datagram.received
  header.family = datagram.family
  header.v4 = datagram.v4
  header.v6 = datagram.v6
  header.version = view.getUint16(start)
  const context = (domain: Domain) => ({ exporters, exporter, domain, header, wanted, batch })
  if (FIXED_VERSIONS[header.version]) {
    readFixedHeader(header, view, start, end)
    const count = decodeFixed(header, bytes, view, start, end, plans, wanted, batch)
    exporter.counters.records += count
    if (header.version !== 1) track(domainOf(exporters, exporter, header.version, header.domain).sequence, header.sequence, count)
    return count
  }
  if (header.version === 9) {
    readV9Header(header, view, start, end)
    const domain = domainOf(exporters, exporter, 9, header.domain)
    const count = decodeSets(context(domain), bytes, view, start + V9_HEADER, end)
    track(domain.sequence, header.sequence, 1)
    return count
  }
  if (header.version === 10) {
    let count = 0
    for (let at = start; at < end;) { // RFC 7011 wants one message a datagram; files and some exporters put more
      const next = readIpfixHeader(header, view, at, end)
      const domain = domainOf(exporters, exporter, 10, header.domain)
      const { sequence } = header
      const records = decodeSets(context(domain), bytes, view, at + IPFIX_HEADER, next)
      track(domain.sequence, sequence, records)
      count += records
      at = next
    }
    return count
  }
  const name = view.getUint32(start) === SFLOW_V5 ? 'sFlow v5' : `NetFlow version ${header.version}`
  throw new FlowkitError('ERR_UNSUPPORTED', `Cannot decode datagram: ${name} is not supported`)
}

const FIXED_TYPES: Readonly<Record<number, number>> = {
  1: FLOW_TYPE.NETFLOW_V1, 5: FLOW_TYPE.NETFLOW_V5, 6: FLOW_TYPE.NETFLOW_V6, 7: FLOW_TYPE.NETFLOW_V7,
}

/** Header of v1 to v7: version, count, sysUptime, seconds, nanoseconds; then sequence, engine and sampling. */
function readFixedHeader(header: MessageHeader, view: DataView, at: number, end: number): void {
  const { version } = header
  const { headerSize } = FIXED_VERSIONS[version]
  if (end - at < headerSize) throw tooShort(`NetFlow v${version} header`, headerSize, end - at)
  header.type = FIXED_TYPES[version]
  header.sysUptime = view.getUint32(at + 4)
  header.exportSecs = view.getUint32(at + 8)
  header.exportNsecs = view.getUint32(at + 12)
  header.exportMicros = header.exportSecs * 1e6 + Math.floor(header.exportNsecs / 1000)
  header.sequence = headerSize > 16 ? view.getUint32(at + 16) : 0
  header.engineType = version === 7 || headerSize === 16 ? 0 : view.getUint8(at + 20)
  header.engineId = version === 7 || headerSize === 16 ? 0 : view.getUint8(at + 21)
  header.domain = header.engineType << 8 | header.engineId
  // the two bits above are the mode: 1 deterministic, 2 random
  const sampling = version === 5 ? view.getUint16(at + 22) : 0
  header.samplingRate = sampling & 0x3fff
  header.samplingAlgorithm = sampling >> 14
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
    throw new FlowkitError('ERR_MALFORMED', `Cannot decode IPFIX message: ${end - at} bytes are left, its length is ${length}`)
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
