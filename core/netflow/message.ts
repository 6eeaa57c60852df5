import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { makeShape, type Shape } from '../flow/shape.ts'
import type { Clock } from './steps.ts'
import type { Wanted } from './plan.ts'

/** A UDP payload or a message of a stream, and where it came from; the object is reused for the next. */
export interface Datagram {
  bytes: Uint8Array
  view: DataView
  /** The payload is `bytes[start..end)`. */
  start: number
  end: number
  /** Family of the source address, 4 or 6. */
  family: number
  /** IPv4 source address, host order. */
  v4: number
  /** IPv6 source address, 16 bytes. */
  v6: Uint8Array
  port: number
  /** Whether it came by a connection from that port, not in a datagram; no, unless told. */
  session?: boolean
  /** When it was received, µs since the epoch. */
  received: number
}

/** What the header of an export message says of all its records. */
export interface MessageHeader extends Clock {
  version: number
  /** A value of FLOW_TYPE. */
  type: number
  /** Observation domain (v9, IPFIX), or engine type and id as one number (v5 to v8). */
  domain: number
  sequence: number
  exportSecs: number
  exportNsecs: number
  engineType: number
  engineId: number
  /** Aggregation scheme (v8). */
  aggregation: number
  /** From the header; 0 where it says nothing. */
  samplingRate: number
  samplingAlgorithm: number
  /** Where the rate comes from, a value of SAMPLING_SOURCE: not from the header if it is configured. */
  samplingSource: number
  received: number
  family: number
  v4: number
  v6: Uint8Array
  /** Source port of the datagram, or of the connection if `session`. */
  port: number
  session: boolean
}

/** Fields that the headers of each version give to every row. */
const COMMON = [ID.type, ID.received, ID.exporterAddr]
const HEADER_FIELDS: Readonly<Record<number, readonly number[]>> = {
  1: COMMON,
  5: [...COMMON, ID.sequenceNum, ID.engineType, ID.engineId],
  6: [...COMMON, ID.sequenceNum, ID.engineType, ID.engineId],
  7: [...COMMON, ID.sequenceNum],
  8: [...COMMON, ID.sequenceNum, ID.engineType, ID.engineId, ID.aggregation],
  9: [...COMMON, ID.sequenceNum, ID.observationDomainId],
  10: [...COMMON, ID.sequenceNum, ID.observationDomainId],
}

/** The exporter's clock, as much of it as a version's header has. */
function clockFields(version: number): readonly number[] {
  if (version === 10) return [ID.exportSecs]
  return version === 9 ? [ID.exportSecs, ID.sysUptime] : [ID.exportSecs, ID.exportNsecs, ID.sysUptime]
}

/** The fields that a message of `version` adds to its rows, as far as they are wanted. */
export function headerFields(version: number, { fields, arrival }: Wanted): readonly number[] {
  const all = HEADER_FIELDS[version]
  const given = arrival === false ? all.filter((id) => id !== ID.received && id !== ID.exporterAddr) : all
  // the exporter's clock only on request: times are absolute already
  return fields ? [...given, ...clockFields(version)].filter((id) => fields[id]) : given
}

/** Fill the columns `fields` (of `headerFields`) of rows `row` to `row + count` from the header. */
export function fillHeader(
  header: MessageHeader, fields: readonly number[], batch: FlowBatch, row: number, count: number,
): void {
  const end = row + count
  for (const id of fields) {
    if (id === ID.exporterAddr) fillAddress(batch.exporterAddr, header, row, end)
    else (batch.column(id) as Float64Array).fill(headerValue(header, id), row, end)
  }
}

function headerValue(header: MessageHeader, id: number): number {
  switch (id) {
    case ID.type: return header.type
    case ID.received: return header.received
    case ID.sequenceNum: return header.sequence
    case ID.observationDomainId: return header.domain
    case ID.engineType: return header.engineType
    case ID.engineId: return header.engineId
    case ID.aggregation: return header.aggregation
    case ID.exportSecs: return header.exportSecs
    case ID.exportNsecs: return header.exportNsecs
    case ID.sysUptime: return header.sysUptime
    default: throw new RangeError(`headers have no field ${id}`)
  }
}

function fillAddress(
  column: AddressColumn, { family, v4, v6 }: MessageHeader, row: number, end: number,
): void {
  column.family.fill(family, row, end)
  column.v4.fill(family === 4 ? v4 : 0, row, end)
  if (family !== 6) return
  const storage = ipv6Storage(column)
  for (; row < end; row++) for (let i = 0; i < 16; i++) storage[row * 16 + i] = v6[i]
}

/** Export time of v1 to v8 in µs, cut to whole milliseconds like the uptimes counted back from it. */
export function exportMicros(secs: number, nsecs: number): number {
  return secs * 1e6 + Math.floor(nsecs / 1e6) * 1000
}

/** The shape of rows of a plan with the header's fields, and with sampling where it is known. */
export function rowShape(plan: Shape, header: readonly number[], sampling: readonly number[]): Shape {
  return makeShape([...plan.fields, ...header, ...sampling], plan.timeDigits, plan.extras)
}

/** A copy of `bytes[start..end)` in memory of its own, which `slice` does not give of a Buffer. */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.subarray(start, end))
}

/** A header to be filled in, reused from message to message. */
export function newHeader(): MessageHeader {
  return {
    version: 0, type: 0, domain: 0, sequence: 0, exportSecs: 0, exportNsecs: 0, exportMicros: 0,
    sysUptime: -1, engineType: 0, engineId: 0, aggregation: 0, samplingRate: 0, samplingAlgorithm: 0,
    samplingSource: 0,
    received: 0, family: 4, v4: 0, v6: new Uint8Array(16), port: 0, session: false,
  }
}

/** A datagram to be filled in, reused from one to the next. */
export function newDatagram(): Datagram {
  const bytes = new Uint8Array(0)
  return {
    bytes, view: new DataView(bytes.buffer), start: 0, end: 0, family: 4, v4: 0, v6: new Uint8Array(16),
    port: 0, session: false, received: 0,
  }
}
