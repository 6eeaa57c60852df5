import { parseTime as readTime } from '../core/filter/time-text.ts'
import { FlowkitError } from '../core/flow/errors.ts'

const UNITS = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 }
const MILLISECONDS = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 }

/**
 * A size or count: `1500`, `500K` (thousands), `64Mi` (of 1024), `1.5G`.
 *
 * @throws FlowkitError ERR_OPTION if it is none, or 2^53 or more
 */
export function parseSize(text: string): number {
  const [, digits, unit] = /^(\d+|\d+\.\d+(?=[KMGT]))((?:[KMGT]i?)?)$/.exec(text) ?? []
  const value = digits === undefined ? NaN : Math.round(Number(digits) * UNITS[unit as keyof typeof UNITS])
  if (Number.isSafeInteger(value)) return value
  throw new FlowkitError('ERR_OPTION', `Cannot use size "${text}": expected one such as 64Mi`)
}

/**
 * A duration in milliseconds: `500ms 30s 5m 1h 7d`, also `1.5h`.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  const scale = MILLISECONDS[unit as keyof typeof MILLISECONDS]
  const value = digits === undefined ? NaN : Math.round(Number(digits) * scale)
  if (Number.isSafeInteger(value)) return value
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
