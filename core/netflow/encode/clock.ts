import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { exportMicros } from '../message.ts'
import { shapeOf } from './row-runs.ts'
import type { Clock } from '../steps.ts'

/** The export clock of a datagram: export time, and the uptime that its records count from. */
export interface ExportClock extends Clock {
  exportSecs: number
  exportNsecs: number
}

/** Says when rows are exported, and which of them go together. */
export interface ExportClocks {
  /** The clock of the rows of the last `span`. */
  readonly now: ExportClock
  /** Told of a batch before its rows. */
  begin(batch: FlowBatch): void
  /**
   * Set the clock to that of row `row`.
   *
   * @param end behind the last row of `row`'s shape that comes next
   * @returns behind the last row that shares the clock
   */
  span(batch: FlowBatch, row: number, end: number): number
  /** Changes when the clock does: rows exported under different numbers cannot share a datagram. */
  readonly number: number
}

/** How long flowkit has been up when it exports its first datagram: flows may have begun that long before. */
const FIRST_UPTIME = 604_800_000_000 // µs, a week
/** Flows that ended so long before the clock are of another time: uptimes tell 24 days. */
const MAX_AGE = 1_728_000_000_000 // µs, 20 days
/** How long an exporter may wait for more flows, and how many rows it looks ahead for them. */
const MAX_WAIT = 10_000_000 // µs
const LOOK_AHEAD = 1024

/** Whether a row carries the time it was exported at. */
export function isReplayed(batch: FlowBatch, row: number): boolean {
  return shapeOf(batch, row).mask[ID.exportSecs] === 1
}

/**
 * Makes export clocks for rows.
 *
 * Rows that carry the clock they were exported with (`export_secs export_nsecs sys_uptime`) get it back, and those
 * of one datagram stay together. Others are exported when they were received or when the last of them ended,
 * whatever is later, by an exporter that was started a week before its first datagram. Its clock runs ahead only, as
 * long as the rows are of the same weeks; its uptime wraps after 49.7 days as on a router.
 *
 * @param wholeSeconds the header tells export time in seconds only (v9, IPFIX)
 */
export function exportClocks(wholeSeconds: boolean): ExportClocks {
  const now: ExportClock = { exportSecs: 0, exportNsecs: 0, exportMicros: 0, sysUptime: 0 }
  const unit = wholeSeconds ? 1e6 : 1000
  let times = new Float64Array(0)
  let number = 0
  let replaying = false
  let sequence = -1
  let boot = -1 // µs

  function replay(batch: FlowBatch, row: number, end: number): number {
    const { mask } = shapeOf(batch, row)
    const { exportSecs, exportNsecs, sysUptime, sequenceNum } = batch
    const secs = exportSecs[row]
    const nsecs = mask[ID.exportNsecs] ? exportNsecs[row] : 0
    const uptime = mask[ID.sysUptime] ? sysUptime[row] : -1
    const message = mask[ID.sequenceNum] ? sequenceNum[row] : -1
    const rest = wholeSeconds ? Math.floor(nsecs / 1e6) : 0 // ms
    const micros = exportMicros(secs, nsecs) - rest * 1000
    const atExport = uptime < 0 ? uptimeAt(micros) : uptime - rest
    if (!replaying || micros !== now.exportMicros || atExport !== now.sysUptime || message !== sequence) number++
    replaying = true
    sequence = message
    now.exportSecs = secs
    now.exportNsecs = wholeSeconds ? 0 : nsecs
    now.exportMicros = micros
    now.sysUptime = atExport
    do row++
    while (
      row < end && exportSecs[row] === secs && (!mask[ID.exportNsecs] || exportNsecs[row] === nsecs) &&
      (uptime < 0 || sysUptime[row] === uptime) && (message < 0 || sequenceNum[row] === message)
    )
    return row
  }

  function uptimeAt(micros: number): number {
    if (boot < 0 || micros < boot) boot = micros - FIRST_UPTIME
    return Math.floor((micros - boot) / 1000) % 2 ** 32
  }

  function advance(batch: FlowBatch, row: number): void {
    const first = times[row]
    let latest = Number.isNaN(first) ? 0 : first
    for (let next = row + 1; next < Math.min(row + LOOK_AHEAD, batch.length); next++) {
      if (times[next] > latest && times[next] <= first + MAX_WAIT) latest = times[next]
    }
    now.exportMicros = Math.ceil(latest / unit) * unit
    now.exportSecs = Math.floor(now.exportMicros / 1e6)
    now.exportNsecs = (now.exportMicros - now.exportSecs * 1e6) * 1000
    now.sysUptime = uptimeAt(now.exportMicros)
    replaying = false
    number++
  }

  return {
    now,
    get number() { return number },
    begin(batch) {
      if (times.length < batch.length) times = new Float64Array(batch.capacity)
      fillTimes(batch, times)
    },
    span(batch, row, end) {
      if (isReplayed(batch, row)) return replay(batch, row, end)
      const isOther = number === 0 || replaying
      if (isOther || times[row] > now.exportMicros || times[row] < now.exportMicros - MAX_AGE) advance(batch, row)
      const latest = now.exportMicros
      do row++
      while (row < end && !(times[row] > latest || times[row] < latest - MAX_AGE))
      return row
    },
  }
}

/** For each row when it could be exported at the earliest, µs; NaN if it has no time. */
export function fillTimes(batch: FlowBatch, times: Float64Array): void {
  const { length, shape, shapes } = batch
  const received = shapes.map(({ mask }) => mask[ID.received] ? batch.received : undefined)
  const ended = shapes.map(({ mask }) => mask[ID.flowEnd] ? batch.flowEnd : mask[ID.flowStart] ? batch.flowStart
    : mask[ID.eventTime] ? batch.eventTime : undefined)
  for (let row = 0; row < length; row++) {
    const came = received[shape[row]]?.[row] ?? NaN
    const time = ended[shape[row]]?.[row] ?? came
    // flows of an old capture that was received now are exported then
    times[row] = came > time && came < time + MAX_AGE ? came : time
  }
}
