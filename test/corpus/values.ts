/** Values as peers write them, brought to one text: decimal numbers, times in µs since the epoch. */
import { FIELDS, type Peer } from '../../core/flow/fields.ts'

/** flowkit's fields by a peer's names for them. */
export function fieldsOf(peer: Peer): ReadonlyMap<string, string> {
  return new Map(FIELDS.flatMap(({ name, peers }) => peers[peer] === undefined ? [] : [[peers[peer], name]]))
}

/** The number of TCP flags written as letters, `...AP...`. */
export function flagsText(letters: string): string {
  return String([...letters].reduce((sum, letter) => sum * 2 + (letter === '.' ? 0 : 1), 0))
}

/** µs since the epoch, as text, of RFC 3339 text in UTC, with or without the `Z`; rounded. */
export function timeText(text: string): string {
  const match = /^([+-]?\d+)-(\d\d)-(\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?Z?$/.exec(text)
  if (!match) return text
  const [, year, month, day, clock, fraction = ''] = match
  const seconds = Date.parse(`${year}-${month}-${day}T${clock}Z`) / 1000
  return Number.isNaN(seconds) ? text : String(seconds * 1e6 + Math.round(Number(`0.${fraction}`) * 1e6))
}

/** A name without case, underscores and hyphens, so that `octet_delta_count` is `octetDeltaCount`. */
export function plainName(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase()
}

/** Time of a header in µs: whole milliseconds, as the uptimes are that are counted back from it. */
export function headerTime(secs: number, nsecs: number): number {
  return secs * 1e6 + Math.floor(Math.max(0, nsecs) / 1e6) * 1000
}

/** JSON in which integers that a double does not hold are text. */
export function parseJson(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, context?: { source?: string }) => {
    const source = context?.source ?? ''
    const isInexact = typeof value === 'number' && !Number.isSafeInteger(value)
    return isInexact && /^-?\d+$/.test(source) ? source : value
  })
}
