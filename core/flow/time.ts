import type { TimeDigits } from './shape.ts'

/** Times are integer microseconds since the Unix epoch, in doubles, and nanoseconds (0 to 999) below them. */

const DAY = 86_400_000_000
const DASH = 45

/** Longest text of a time: `2026-11-21T13:04:05.123456789Z`. */
export const MAX_TIME_TEXT = 30

/** Digits that show a time exactly: 3, 6 or 9, and what the source had where it says so. */
export function timeDigits(micros: number, nanos: number, declared: TimeDigits): number {
  if (declared >= 0) return declared
  return nanos > 0 ? 9 : micros % 1000 !== 0 ? 6 : 3
}

/**
 * Write a time as RFC 3339 in UTC, `2026-11-21T13:04:05.123Z`, into `out`.
 *
 * @param digits of the second: 0 to 9; what is below is cut off
 * @returns the offset behind it
 */
export function writeTime(
  micros: number, nanos: number, digits: number, out: Uint8Array, at: number,
): number {
  const days = Math.floor(micros / DAY)
  const inDay = micros - days * DAY
  at = writeDate(days, out, at)
  const seconds = Math.floor(inDay / 1e6)
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  out[at] = 84 // T
  at = writeTwo(hours, out, at + 1)
  out[at] = 58
  at = writeTwo(minutes - hours * 60, out, at + 1)
  out[at] = 58
  at = writeTwo(seconds - minutes * 60, out, at + 1)
  if (digits > 0) {
    out[at++] = 46
    let fraction = (inDay - seconds * 1e6) * 1000 + nanos
    let unit = 100_000_000
    for (let i = 0; i < digits; i++) {
      const digit = (fraction / unit) | 0
      out[at++] = 48 + digit
      fraction -= digit * unit
      unit /= 10
    }
  }
  out[at] = 90 // Z
  return at + 1
}

/** A time as RFC 3339 text in UTC; digits as `timeDigits` says. */
export function formatTime(micros: number, nanos: number = 0, declared: TimeDigits = -1): string {
  const out = new Uint8Array(MAX_TIME_TEXT)
  const end = writeTime(micros, nanos, timeDigits(micros, nanos, declared), out, 0)
  return String.fromCharCode(...out.subarray(0, end))
}

/** Write `2026-11-21` of days since the epoch (civil-from-days, of the proleptic Gregorian calendar). */
function writeDate(days: number, out: Uint8Array, at: number): number {
  const shifted = days + 719_468 // to 0000-03-01, so that the leap day ends the year
  const era = Math.floor(shifted / 146_097)
  const ofEra = shifted - era * 146_097
  const yearOfEra = ((ofEra - (ofEra / 1460 | 0) + (ofEra / 36_524 | 0) - (ofEra / 146_096 | 0)) / 365) | 0
  const ofYear = ofEra - (365 * yearOfEra + (yearOfEra / 4 | 0) - (yearOfEra / 100 | 0))
  const fromMarch = ((5 * ofYear + 2) / 153) | 0
  const day = ofYear - ((153 * fromMarch + 2) / 5 | 0) + 1
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const century = (year / 100) | 0
  at = writeTwo(century, out, at)
  at = writeTwo(year - century * 100, out, at)
  out[at] = DASH
  at = writeTwo(month, out, at + 1)
  out[at] = DASH
  return writeTwo(day, out, at + 1)
}

function writeTwo(value: number, out: Uint8Array, at: number): number {
  const tens = (value * 103) >> 10
  out[at] = 48 + tens
  out[at + 1] = 48 + value - tens * 10
  return at + 2
}
