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

const DATE = /(\d{4})-(\d\d)-(\d\d)/
const CLOCK = /([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:\.(\d+))?)?/ // RFC 3339 has leap seconds
const ZONE = /([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)/
const TIME = new RegExp(`^${DATE.source}(?:[Tt ]${CLOCK.source}${ZONE.source}?)?$`)

/**
 * A time in microseconds since the epoch: RFC 3339 (`2026-11-21T13:00:00.5+01:00`); the same without a zone,
 * or `YYYY-MM-DD[ HH:MM[:SS]]`, in the local zone; `now`; or a duration ago, `-1h`. Nanoseconds are cut off.
 *
 * A local time that occurs twice is the first of the two; one that a clock change skips is an hour later.
 *
 * @param now microseconds since the epoch
 * @throws FlowkitError ERR_OPTION
 */
export function parseTime(text: string, now: number): number {
  if (text === 'now') return now
  if (/^-\d/.test(text)) return now - parseDuration(text.slice(1)) * 1000
  const match = TIME.exec(text)
  const milliseconds = match === null ? NaN : toMilliseconds(match)
  if (Number.isNaN(milliseconds)) {
    const example = '2026-11-21T13:00:00Z'
    throw new FlowkitError('ERR_OPTION', `Cannot use time "${text}": expected one such as ${example}`)
  }
  return milliseconds * 1000 + Number((match?.[7] ?? '').padEnd(6, '0').slice(0, 6))
}

/** Whole seconds of a matched time, in milliseconds; NaN where a field is out of range. */
function toMilliseconds(match: RegExpExecArray): number {
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0))
  const utc = Date.UTC(year, month - 1, day)
  // a month or day out of range comes back as another date, and years below 100 as 19xx
  if (new Date(utc).toISOString().slice(0, 10) !== match[0].slice(0, 10)) return NaN
  const zone = match[8]
  if (zone === undefined) return new Date(year, month - 1, day, hour, minute, second).getTime()
  const offset = zone.length === 1 ? 0 : Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return utc + ((hour * 60 + minute - (zone.startsWith('-') ? -offset : offset)) * 60 + second) * 1000
}
