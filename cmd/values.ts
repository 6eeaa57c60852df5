import { parseTime as readTime } from '../core/filter/time-text.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { parseCount, parseMillis } from '../core/flow/quantity.ts'

/**
 * A size or count, as `parseCount` has it.
 *
 * @throws FlowkitError ERR_OPTION if it is none, or 2^53 or more
 */
export function parseSize(text: string): number {
  const value = parseCount(text)
  if (value !== undefined) return value
  throw new FlowkitError('ERR_OPTION', `Cannot use size "${text}": expected one such as 64Mi`)
}

/**
 * A duration in milliseconds, as `parseMillis` has it.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseDuration(text: string): number {
  const value = parseMillis(text)
  if (value !== undefined) return value
  throw new FlowkitError('ERR_OPTION', `Cannot use duration "${text}": expected one such as 5m`)
}

/**
 * A time in microseconds since the epoch, as a filter has it too: RFC 3339, a local time, `now`, `-1h`.
 *
 * @param now microseconds since the epoch
 * @throws FlowkitError ERR_OPTION
 */
export function parseTime(text: string, now: number): number {
  const micros = readTime(text, now)
  if (micros !== undefined) return micros
  const example = '2026-11-21T13:00:00Z'
  throw new FlowkitError('ERR_OPTION', `Cannot use time "${text}": expected one such as ${example}`)
}
