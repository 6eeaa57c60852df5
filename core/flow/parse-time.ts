import type { TimeDigits } from './shape.ts'

/** A point in time as text has it. */
export interface ParsedTime {
  /** µs since the epoch. */
  micros: number
  /** What is left below the µs, ns. */
  nanos: number
  /** Digits of the second that were written. */
  digits: TimeDigits
}

const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?([Zz]|[+-]\d\d:?\d\d)?$/
/** The largest numbers that count seconds, milliseconds and microseconds: until the year 5138. */
const MOST_SECONDS = 1e11
const MOST_MILLIS = 1e14
const MOST_MICROS = 1e17

/**
 * A time of RFC 3339, in UTC if it names no zone; or a number of seconds, ms, µs or ns since the epoch, told
 * apart by their size, of which text may have more digits than a number.
 *
 * @param out filled if the text is a time
 * @returns whether it is one
 */
export function parseTimeValue(value: string | number, out: ParsedTime): boolean {
  if (typeof value === 'number') return fromNumber(value, out)
  const match = RFC3339.exec(value)
  if (!match) return /^\d{1,19}(\.\d+)?$/.test(value) && fromDigits(value, out)
  const [, date, time, fraction = '', zone = 'Z'] = match
  const millis = Date.parse(`${date}T${time}${zone.toUpperCase()}`)
  if (Number.isNaN(millis)) return false
  const nanos = Number(fraction.padEnd(9, '0'))
  out.micros = millis * 1000 + Math.floor(nanos / 1000)
  out.nanos = nanos % 1000
  out.digits = digitsOf(fraction.length)
  return out.micros >= 0
}

function digitsOf(length: number): TimeDigits {
  return length === 0 ? 0 : length <= 3 ? 3 : length <= 6 ? 6 : 9
}

function fromNumber(value: number, out: ParsedTime): boolean {
  if (!(value >= 0)) return false
  out.nanos = 0
  if (value < MOST_SECONDS) {
    out.micros = Math.round(value * 1e6)
    out.digits = Number.isInteger(value) ? 0 : 6
  } else if (value < MOST_MILLIS) {
    out.micros = Math.round(value * 1e3)
    out.digits = 3
  } else if (value < MOST_MICROS) {
    out.micros = Math.floor(value)
    out.digits = 6
  } else {
    out.micros = Math.floor(value / 1e3) // a double has not all of the digits
    out.digits = 6
  }
  return Number.isSafeInteger(out.micros)
}

/** Of nanoseconds as text no digit is lost. */
function fromDigits(text: string, out: ParsedTime): boolean {
  if (text.length < 18 || text.includes('.')) return fromNumber(Number(text), out)
  out.micros = Number(text.slice(0, -3))
  out.nanos = Number(text.slice(-3))
  out.digits = 9
  return Number.isSafeInteger(out.micros)
}
