/**
 * How an archive is laid out: `flows/date=2026-11-21/hour=13/<segment>.<span>.parquet`, by the UTC hour in
 * which flows were received. The span is the time that its flows cover, so that files of other times need not
 * be opened. What is not finished is in folders `.tmp-…` of their writers.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { formatSpan, type Span } from './span.ts'

/** µs of the hour that files are cut at. */
export const HOUR = 3_600_000_000

/** Last µs of the year 9999: later and earlier than 1970 is no time for a folder. */
export const MAX_TIME = 253_402_300_799_999_999

/** The folder of an hour, given by any time in it, below `flows/` or `ledger/`. */
export function hourFolder(hour: number): string {
  const text = new Date(Math.floor(hour / HOUR) * 3_600_000).toISOString()
  return join(`date=${text.slice(0, 10)}`, `hour=${text.slice(11, 13)}`)
}

/**
 * A name for a segment that sorts by its begin, and that no other has: `20261121T130405123Z-9f3a1c04`.
 *
 * @param lane who names it, below 256: names of two that do so at the same time are never the same
 */
export function newSegment(now: number, lane?: number): string {
  const time = new Date(now).toISOString().replaceAll(/[-:.]/g, '')
  const random = randomBytes(4)
  if (lane !== undefined) random[0] = lane
  return `${time}-${random.toString('hex')}`
}

/** When a segment began by its name, µs since the epoch. */
export function segmentTime(segment: string): number {
  const [, year, month, day, hour, minute, second, ms] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z-/.exec(segment)?.map(Number) ?? []
  return Date.UTC(year, month - 1, day, hour, minute, second, ms) * 1000
}

/**
 * The name of a file of a segment, the first being part 1.
 *
 * Most have one. The second and later sort behind the first and before the next segment.
 */
export function fileName(segment: string, part: number, span: Span): string {
  const name = part === 1 ? segment : `${segment}_${String(part).padStart(3, '0')}`
  return span.first === Infinity ? `${name}.parquet` : `${name}.${formatSpan(span)}.parquet`
}

/** The segment of a file by its name, as `fileName` makes them; undefined where it is no such name. */
export function segmentOf(name: string, extension: string): string | undefined {
  if (!name.endsWith(extension)) return undefined
  const stem = name.slice(0, name.length - extension.length)
  return /^(\d{8}T\d{9}Z-[0-9a-f]{8})(?:_\d{3,})?(?:\.\d{1,10}-\d{1,10})?$/.exec(stem)?.[1]
}
