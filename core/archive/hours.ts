import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { HOUR, MAX_TIME } from './names.ts'

/** Rows of another hour that are held back until it is worth while to begin its file. */
const SWITCH_ROWS = 32_768
/** Rows held back at most, about 20 MB. */
const MAX_HELD_ROWS = 131_072
/** Hours of which rows are held back at most; rows of one more go with the current one. */
const MAX_HELD_HOURS = 64

/** Takes rows `start` up to `end` of one hour, given by its first µs. */
export type Out = (hour: number, batch: FlowBatch, start: number, end: number) => Promise<void>

/** Parts rows by the hour, so that each comes in long runs of one. */
export interface HourSorter {
  add(batch: FlowBatch): Promise<void>
  /** Give out all that is held back. */
  flush(): Promise<void>
  /** Forget it. */
  clear(): void
}

/**
 * Part rows by the hour in which they were received; failing that began, or happened, or were exported, or
 * `now`.
 *
 * Rows keep their order within the hour. Around the turn of an hour they come mixed, above all where it is
 * told from the flows' own times: rows of other hours than the current one are held back until they are many.
 *
 * @param now µs since the epoch
 */
export function sortHours(out: Out, now: () => number): HourSorter {
  const held = new Map<number, FlowBatch>()
  let current = NaN
  let times = new Float64Array(BATCH_SIZE)

  async function add(batch: FlowBatch): Promise<void> {
    const { length } = batch
    if (length === 0) return
    if (times.length < length) times = new Float64Array(batch.capacity)
    rowTimes(batch, now(), times)
    if (Number.isNaN(current)) current = hourOf(times[0])
    if (inHour(times, length, current)) {
      await release(current)
      return out(current, batch, 0, length)
    }
    for (let row = 0; row < length; row++) {
      let hour = hourOf(times[row])
      if (!held.has(hour) && held.size >= MAX_HELD_HOURS) hour = current
      let rows = held.get(hour)
      if (!rows) held.set(hour, rows = new FlowBatch(256))
      rows.append(batch, row)
      if (rows.length >= (hour === current ? BATCH_SIZE : SWITCH_ROWS)) await turnTo(hour)
    }
    while (heldRows() > MAX_HELD_ROWS) await turnTo(largest())
  }

  /** Make an hour the current one, and give out what is held of both. */
  async function turnTo(hour: number): Promise<void> {
    await release(current)
    current = hour
    await release(current)
  }

  async function release(hour: number): Promise<void> {
    const rows = held.get(hour)
    if (!rows) return
    held.delete(hour)
    await out(hour, rows, 0, rows.length)
  }

  async function flush(): Promise<void> {
    await release(current)
    for (const hour of [...held.keys()].sort((a, b) => a - b)) await release(hour)
    current = NaN
  }

  function clear(): void {
    held.clear()
    current = NaN
  }

  function heldRows(): number {
    let sum = 0
    for (const rows of held.values()) sum += rows.length
    return sum
  }

  function largest(): number {
    let found = current
    let most = 0
    for (const [hour, rows] of held) {
      if (rows.length <= most) continue
      most = rows.length
      found = hour
    }
    return found
  }

  return { add, flush, clear }
}

function hourOf(time: number): number {
  return Math.floor(time / HOUR) * HOUR
}

function inHour(times: Float64Array, length: number, hour: number): boolean {
  for (let row = 0; row < length; row++) if (times[row] < hour || times[row] >= hour + HOUR) return false
  return true
}

/**
 * The time that a row is filed under, for each row: when it was received; failing that began, or happened, or
 * was exported, or `now`. What is before 1970 or after 9999 is no time.
 */
export function rowTimes(batch: FlowBatch, now: number, out: Float64Array): void {
  const { length, shape } = batch
  out.fill(now, 0, length)
  for (const [id, unit] of [[ID.exportSecs, 1e6], [ID.eventTime, 1], [ID.flowStart, 1], [ID.received, 1]]) {
    if (!batch.has(id)) continue
    const present = batch.present(id)
    const column = batch.column(id) as Float64Array
    for (let row = 0; row < length; row++) {
      const time = column[row] * unit
      if (present[shape[row]] === 1 && time >= 0 && time <= MAX_TIME) out[row] = time
    }
  }
}
