import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import type { Loss } from '../../flow/loss.ts'
import type { Shape } from '../../flow/shape.ts'

/** Takes each finished datagram; the bytes are valid during the call. */
export type Emit = (datagram: Uint8Array) => void

/** Makes rows into export datagrams of one version. */
export interface DatagramEncoder {
  /** Encode all rows of `batch`, in their order. A datagram that is not full yet waits for more rows. */
  encode(batch: FlowBatch, emit: Emit): void
  /** Give out what waits. */
  flush(emit: Emit): void
  /** Let templates and options be sent again when they are next used, where the version has them. */
  announce?(): void
  /** What the version could not carry so far. */
  readonly loss: Loss
}

/** How datagrams are to be made. */
export interface EncoderOptions {
  /** Most bytes of a datagram. */
  readonly maxSize: number
  /** Observation domain (v9, IPFIX), or engine type * 256 + engine id where rows tell none (v5 to v8). */
  readonly domain: number
}

/** Fields that say how a record came, not what it says: an encoder sets its own, and loses nothing by that. */
const TRANSPORT = new Set([
  ID.type, ID.received, ID.sequenceNum, ID.exportSecs, ID.exportNsecs, ID.sysUptime, ID.observationDomainId,
  ID.samplingSource,
])

/** Nanoseconds below the microseconds of flow times: 0 where times were told with at most so many digits. */
const NANOSECONDS = [ID.flowStartNs, ID.flowEndNs]
const MICROSECOND_DIGITS = 6

/** The fields of a shape that are lost if records carry those of `carried`. */
export function lostFields({ fields, timeDigits }: Shape, carried: ReadonlySet<number>): number[] {
  const isExact = timeDigits >= 0 && timeDigits <= MICROSECOND_DIGITS
  return fields.filter((id) => {
    return !carried.has(id) && !TRANSPORT.has(id) && !(isExact && NANOSECONDS.includes(id))
  })
}
