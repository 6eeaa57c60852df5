import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS, ID } from '../flow/fields.ts'
import type { Shape } from '../flow/shape.ts'
import { exportMicros } from './message.ts'
import type { Clock } from './steps.ts'
import type { Narrowed } from './write-steps.ts'

/** Takes each finished datagram; the bytes are valid during the call. */
export type Emit = (datagram: Uint8Array) => void

/** Turns rows into export datagrams of one version. */
export interface DatagramEncoder {
  /** Encode all rows of `batch`. A datagram that is not full yet waits for more rows. */
  encode(batch: FlowBatch, emit: Emit): void
  /** Give out the datagram that waits. */
  flush(emit: Emit): void
  readonly loss: EncodeLoss
}

/** What a version could not carry. */
export interface EncodeLoss {
  /** Rows left out whole, such as IPv6 flows in NetFlow v5. */
  rows: number
  /** Rows by field that they had and the records do not. */
  readonly leftOut: Map<number, number>
  /** Values cut to the width of their field, by field. */
  readonly narrowed: Narrowed
}

/** How datagrams are to be made. */
export interface EncoderOptions {
  /** Most bytes of a UDP payload. */
  readonly maxSize: number
  /** Observation domain (v9, IPFIX), or engine type * 256 + engine id. */
  readonly domain: number
}

/** Nothing lost yet. */
export function newLoss(): EncodeLoss {
  return { rows: 0, leftOut: new Map(), narrowed: new Map() }
}

/** Fields that say how a record came, not what it says: an encoder sets its own. */
const TRANSPORT = new Set([
  ID.type, ID.received, ID.etype, ID.sequenceNum, ID.exportSecs, ID.exportNsecs, ID.sysUptime, ID.observationDomainId,
  ID.samplingSource,
])

/** Count the fields of `rows` rows of `shape` that are not among `carried`. */
export function countLeftOut(loss: EncodeLoss, shape: Shape, carried: ReadonlySet<number>, rows: number): void {
  for (const id of shape.fields) {
    if (carried.has(id) || TRANSPORT.has(id)) continue
    loss.leftOut.set(id, (loss.leftOut.get(id) ?? 0) + rows)
  }
}

/** What a loss says of each field: name, rows without it, values cut. */
export function lossByField({ leftOut, narrowed }: EncodeLoss): { name: string, leftOut: number, narrowed: number }[] {
  return FIELDS.filter(({ id }) => leftOut.has(id) || narrowed.has(id))
    .map(({ id, name }) => ({ name, leftOut: leftOut.get(id) ?? 0, narrowed: narrowed.get(id) ?? 0 }))
}

/** The export clock of a datagram: export time, and the uptime that its records count from. */
export interface ExportClock extends Clock {
  exportSecs: number
  exportNsecs: number
}

/** Uptime of an exporter that flowkit plays, at its first datagram: flows may have begun that long before. */
const FIRST_UPTIME = 86_400_000_000 // µs

/**
 * Makes export clocks for rows.
 *
 * Rows that carry the clock they were exported with (`export_secs export_nsecs sys_uptime`) get it back. Others
 * are exported when they were received, or else when the last of them ended, by an exporter that was started a
 * day before its first datagram; uptimes wrap after 49.7 days as on a router.
 *
 * @param wholeSeconds the header tells export time in seconds only (v9, IPFIX)
 */
export function exportClock(wholeSeconds: boolean = false): { of(batch: FlowBatch, rows: Uint32Array, count: number): ExportClock } {
  let boot = -1 // µs
  const clock: ExportClock = { exportSecs: 0, exportNsecs: 0, exportMicros: 0, sysUptime: 0 }
  return {
    of(batch, rows, count) {
      if (hasClock(batch, rows[0])) {
        clock.exportSecs = batch.exportSecs[rows[0]]
        clock.exportNsecs = batch.exportNsecs[rows[0]]
        clock.sysUptime = batch.sysUptime[rows[0]]
        if (wholeSeconds) {
          clock.sysUptime -= Math.floor(clock.exportNsecs / 1e6)
          clock.exportNsecs = 0
        }
        clock.exportMicros = exportMicros(clock.exportSecs, clock.exportNsecs)
        return clock
      }
      // a whole number of milliseconds from the first row's start, so that uptimes give exact times back
      const unit = wholeSeconds ? 1e6 : 1000
      const offset = wholeSeconds ? 0 : startOf(batch, rows[0]) % unit
      clock.exportMicros = Math.ceil((latest(batch, rows, count) - offset) / unit) * unit + offset
      if (boot < 0) boot = clock.exportMicros - FIRST_UPTIME
      clock.exportSecs = Math.floor(clock.exportMicros / 1e6)
      clock.exportNsecs = (clock.exportMicros - clock.exportSecs * 1e6) * 1000
      clock.sysUptime = Math.floor((clock.exportMicros - boot) / 1000) % 2 ** 32
      return clock
    },
  }
}

/** Whether a row carries the clock it was exported with. */
export function hasClock(batch: FlowBatch, row: number): boolean {
  const { mask } = batch.shapes[batch.shape[row]]
  return mask[ID.exportSecs] === 1 && mask[ID.sysUptime] === 1
}

/** Whether two rows were exported in one datagram, as far as they tell. */
export function sameDatagram(batch: FlowBatch, a: number, b: number): boolean {
  if (!hasClock(batch, a)) return !hasClock(batch, b)
  const { exportSecs, exportNsecs, sysUptime, sequenceNum, engineType, engineId, aggregation } = batch
  return hasClock(batch, b) && exportSecs[a] === exportSecs[b] && exportNsecs[a] === exportNsecs[b] &&
    sysUptime[a] === sysUptime[b] && sequenceNum[a] === sequenceNum[b] && engineType[a] === engineType[b] &&
    engineId[a] === engineId[b] && aggregation[a] === aggregation[b]
}

function startOf(batch: FlowBatch, row: number): number {
  return batch.shapes[batch.shape[row]].mask[ID.flowStart] ? batch.flowStart[row] : 0
}

function latest(batch: FlowBatch, rows: Uint32Array, count: number): number {
  const { shape, shapes, received, flowEnd, flowStart, eventTime } = batch
  let micros = 0
  for (let i = 0; i < count; i++) {
    const row = rows[i]
    const { mask } = shapes[shape[row]]
    const own = mask[ID.received] ? received[row] : mask[ID.flowEnd] ? flowEnd[row]
      : mask[ID.flowStart] ? flowStart[row] : mask[ID.eventTime] ? eventTime[row] : 0
    if (own > micros) micros = own
  }
  return micros
}
