/** More `put` functions: text as C's printf writes it, at the right end of a width, rounded, scaled. */
import { putDigits, putSmall, putUint, toWords } from '../../core/flow/byte-writer.ts'

const SPACES = 0x20202020
const SPACE = 32
const DOT = 46
/** `   7`, `  42`, ` 123`, `1234`. */
const RIGHT = Int32Array.from({ length: 10_000 }, (_, i) => toWords(String(i).padStart(4))[0])
/** `7   `, `42  `, `123 `, `1234`. */
const LEFT = Int32Array.from({ length: 10_000 }, (_, i) => toWords(String(i).padEnd(4))[0])
/** `07:` */
const CLOCK = Int32Array.from({ length: 60 }, (_, i) => toWords(`${String(i).padStart(2, '0')}:`)[0])
/** `.007` */
const MILLIS = Int32Array.from({ length: 1000 }, (_, i) => toWords(`.${String(i).padStart(3, '0')}`)[0])
/** `192.` and its length. */
const OCTET = Int32Array.from({ length: 256 }, (_, i) => toWords(`${i}.`)[0])
const OCTET_LENGTH = Uint8Array.from({ length: 256 }, (_, i) => `${i}.`.length)
const DAY = 86_400_000 // ms

/** Write `count` spaces. @returns the offset behind them */
function putSpaces(count: number, view: DataView, at: number): number {
  for (let i = 0; i < count; i += 4) view.setInt32(at + i, SPACES, true)
  return at + Math.max(0, count)
}

/** C's `%*u`: an integer of 0 to 2^53, at the right end of `width` bytes. @returns the offset behind it */
export function putRight(value: number, width: number, view: DataView, at: number): number {
  if (value < 10_000) {
    if (width < 4) return putUint(value, view, putSpaces(width - smallDigits(value), view, at))
    at = putSpaces(width - 4, view, at)
    view.setInt32(at, RIGHT[value], true)
    return at + 4
  }
  if (value < 1e8 && width >= 8) {
    at = putSpaces(width - 8, view, at)
    const high = (value / 10_000) | 0
    view.setInt32(at, RIGHT[high], true)
    return putDigits(value - high * 10_000, 4, view, at + 4)
  }
  return putUint(value, view, putSpaces(width - digits(value), view, at))
}

function smallDigits(value: number): number {
  return value < 100 ? value < 10 ? 1 : 2 : value < 1000 ? 3 : 4
}

function digits(value: number): number {
  let count = 4
  for (let limit = 10_000; value >= limit; limit *= 10) count++
  return count
}

/** C's `%-5u` of an integer of 0 to 65535. @returns the offset behind it */
export function putPort(value: number, view: DataView, at: number): number {
  if (value < 10_000) {
    view.setInt32(at, LEFT[value], true)
    view.setUint8(at + 4, SPACE)
    return at + 5
  }
  const first = (value / 10_000) | 0
  view.setUint8(at, 48 + first)
  return putDigits(value - first * 10_000, 4, view, at + 1)
}

/** C's `%*u` of `column[row]`. A double that is an argument is allocated; a column is not. */
export function putRightCount(
  column: Float64Array | Uint32Array, row: number, width: number, view: DataView, at: number,
): number {
  const value = column[row]
  const small = value | 0
  return small === value ? putRight(small, width, view, at) : putRight(value, width, view, at)
}

/**
 * A counter as nfdump scales it: from a million on `34.1 M`, in thousands of thousands, and T is the largest.
 *
 * @param width of the text, which is moved to its right end
 */
export function putScaled(
  column: Float64Array, row: number, width: number, view: DataView, at: number,
): number {
  const value = column[row]
  if (value < 1e6) return putRight(value | 0, width, view, at)
  const unit = value >= 1e12 ? 1e12 : value >= 1e9 ? 1e9 : 1e6
  const quotient = value / unit
  let tenths = Math.floor(quotient * 10)
  // C's %.1f rounds the exact value, ties to even: what is near a tie is looked at without rounding errors
  const above = quotient * 10 - tenths - 0.5
  const exact = above === 0 ? quotient * 8 - (tenths + 0.5) + quotient * 2 : above
  if (exact > 0 || (exact === 0 && tenths % 2 === 1)) tenths++
  const whole = Math.floor(tenths / 10)
  at = putRight(whole, width - 4, view, at)
  view.setUint8(at, DOT)
  view.setUint8(at + 1, 48 + tenths - whole * 10)
  view.setUint8(at + 2, SPACE)
  view.setUint8(at + 3, unit === 1e12 ? 84 : unit === 1e9 ? 71 : 77) // T, G, M
  return at + 4
}

/** C's `%*.3f` of thousandths. @returns the offset behind it */
export function putThousandths(thousandths: number, width: number, view: DataView, at: number): number {
  const whole = Math.floor(thousandths / 1000)
  at = putRight(whole, width - 4, view, at)
  view.setInt32(at, MILLIS[thousandths - whole * 1000], true)
  return at + 4
}

/** Write `    00:00:01.971`, 16 bytes, of milliseconds; from a day on ` 1d 00:00:01.971`. */
export function putDuration(millis: number, view: DataView, at: number): number {
  if (millis < DAY) {
    view.setInt32(at, SPACES)
    return putClock(millis | 0, view, at + 4)
  }
  const days = Math.floor(millis / DAY)
  at = putRight(days, 2, view, at)
  view.setUint16(at, 0x6420) // "d "
  return putClock(millis - days * DAY, view, at + 2)
}

/** Write `00:00:01.971` of the milliseconds of a day. */
function putClock(millis: number, view: DataView, at: number): number {
  const seconds = (millis / 1000) | 0
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  view.setInt32(at, CLOCK[hours], true)
  view.setInt32(at + 3, CLOCK[minutes - hours * 60], true)
  view.setInt32(at + 6, CLOCK[seconds - minutes * 60], true)
  view.setInt32(at + 8, MILLIS[millis - seconds * 1000], true)
  return at + 12
}

/** Write an IPv4 address, host order, at the right end of `width` bytes. @returns the offset behind it */
export function putRightIpv4(value: number, width: number, view: DataView, at: number): number {
  const a = value >>> 24
  const b = value >>> 16 & 255
  const c = value >>> 8 & 255
  const d = value & 255
  const behindA = OCTET_LENGTH[a]
  const behindB = behindA + OCTET_LENGTH[b]
  const behindC = behindB + OCTET_LENGTH[c]
  const length = behindC + OCTET_LENGTH[d] - 1
  if (width === 16) { // 1 to 9 spaces
    view.setInt32(at, SPACES, true)
    view.setInt32(at + 4, SPACES, true)
    view.setUint8(at + 8, SPACE)
    at += 16 - length
  } else at = putSpaces(width - length, view, at)
  view.setInt32(at, OCTET[a], true)
  view.setInt32(at + behindA, OCTET[b], true)
  view.setInt32(at + behindB, OCTET[c], true)
  view.setInt32(at + behindC, OCTET[d], true)
  return at + length
}

/** Write `type.code` of ICMP. @returns the offset behind it */
export function putIcmp(type: number, code: number, view: DataView, at: number): number {
  at = putSmall(type, view, at)
  view.setUint8(at, DOT)
  return putSmall(code, view, at + 1)
}
