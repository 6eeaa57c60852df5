import type { FlowBatch } from '../../flow/batch.ts'
import { FIELD_COUNT, FIELDS, ID } from '../../flow/fields.ts'

/** Takes each finished datagram; the bytes are valid during the call. */
export type Emit = (datagram: Uint8Array) => void

/** Makes rows into export datagrams of one version. */
export interface DatagramEncoder {
  /** Encode all rows of `batch`, in their order. A datagram that is not full yet waits for more rows. */
  encode(batch: FlowBatch, emit: Emit): void
  /** Give out what waits. */
  flush(emit: Emit): void
  /** What the version could not carry so far. */
  readonly loss: EncodeLoss
}

/** How datagrams are to be made. */
export interface EncoderOptions {
  /** Most bytes of a datagram. */
  readonly maxSize: number
  /** Observation domain (v9, IPFIX), or engine type * 256 + engine id where rows tell none (v5 to v8). */
  readonly domain: number
}

/** What a version could not carry. */
export interface EncodeLoss {
  /** Rows left out whole, for one of the reasons below. */
  readonly rows: { ipv6: number, oversized: number, empty: number }
  /** By field id, rows that had the field and whose records do not. */
  readonly leftOut: Float64Array
  /** By field id, values cut to the width or unit of their field. */
  readonly narrowed: Float64Array
  /** By name, rows that had an element without a column and whose records do not. */
  readonly elements: Map<string, number>
}

/** Nothing lost yet. */
export function newLoss(): EncodeLoss {
  return {
    rows: { ipv6: 0, oversized: 0, empty: 0 },
    leftOut: new Float64Array(FIELD_COUNT),
    narrowed: new Float64Array(FIELD_COUNT),
    elements: new Map(),
  }
}

/** What a field lost: rows without it, values cut. */
export interface FieldLoss {
  readonly name: string
  readonly leftOut: number
  readonly narrowed: number
}

/** The fields that lost something, in the order of the table, then the elements without a column. */
export function lossByField({ leftOut, narrowed, elements }: EncodeLoss): FieldLoss[] {
  const fields = FIELDS.filter(({ id }) => leftOut[id] > 0 || narrowed[id] > 0)
    .map(({ id, name }) => ({ name, leftOut: leftOut[id], narrowed: narrowed[id] }))
  return [...fields, ...Array.from(elements, ([name, rows]) => ({ name, leftOut: rows, narrowed: 0 }))]
}

/** Fields that say how a record came, not what it says: an encoder sets its own, and loses nothing by that. */
const TRANSPORT = new Set([
  ID.type, ID.received, ID.sequenceNum, ID.exportSecs, ID.exportNsecs, ID.sysUptime, ID.observationDomainId,
  ID.samplingSource,
])

/** The fields of `fields` that are lost if records carry those of `carried`. */
export function lostFields(fields: readonly number[], carried: ReadonlySet<number>): number[] {
  return fields.filter((id) => !carried.has(id) && !TRANSPORT.has(id))
}
