/**
 * Values that stand as text in bytes, read where they stand.
 *
 * Each function reads the value that begins at `at` as far as it goes, at most to `end`, and returns the
 * offset behind it; what follows there is for the caller to judge. -1 stands for what is no such value, or one
 * that is written in an unusual way: parse-time.ts and address.ts, which take text, know them all.
 */
import { ipv6Storage, MAX_ADDRESS_TEXT, type AddressColumn } from './address.ts'
import type { TimeDigits } from './shape.ts'

const DOT = 46
const COLON = 58
const DASH = 45
const ZERO = 48

/** The number that was read last: of `readDigits`, `readMac` and, in µs, `readTime`. */
export const parsed: Float64Array = new Float64Array(1)
/** What else `readTime` has read: ns below the µs, and the digits of the second. */
export const parsedTime: { nanos: number, digits: TimeDigits } = { nanos: 0, digits: -1 }
/** The number that `readLong` has read: its lower and its upper 32 bits. */
export const parsedLong: Uint32Array = new Uint32Array(2)

/** Read decimal digits; none are 0. Exact below 2^53. */
export function readDigits(bytes: Uint8Array, at: number, end: number): number {
  const most = at + 9 < end ? at + 9 : end
  let value = 0
  for (; at < most; at++) {
    const digit = bytes[at] - ZERO
    if (digit < 0 || digit > 9) {
      parsed[0] = value
      return at
    }
    value = value * 10 + digit
  }
  parsed[0] = value
  return at < end ? readMoreDigits(bytes, at, end) : at
}

function readMoreDigits(bytes: Uint8Array, at: number, end: number): number {
  let value = parsed[0]
  for (; at < end; at++) {
    const digit = bytes[at] - ZERO
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  parsed[0] = value
  return at
}

/** Read 1 to 20 digits that are below 2^64. */
export function readLong(bytes: Uint8Array, at: number, end: number): number {
  const start = at
  let low = 0
  let high = 0
  for (; at < end; at++) {
    const digit = bytes[at] - ZERO
    if (digit < 0 || digit > 9) break
    low = low * 10 + digit
    const carry = Math.floor(low / 0x100000000)
    low -= carry * 0x100000000
    high = high * 10 + carry
    if (high > 0xffffffff) return -1
  }
  parsedLong[0] = low
  parsedLong[1] = high
  return at === start || at - start > 20 ? -1 : at
}

/** Read an IPv4 or IPv6 address into a row of a column. */
export function readAddress(
  bytes: Uint8Array, at: number, end: number, column: AddressColumn, row: number,
): number {
  const behind = readIpv4(bytes, at, end)
  if (behind < 0) return readIpv6(bytes, at, end, column, row)
  column.family[row] = 4
  column.v4[row] = parsed[0]
  return behind
}

/** Read dotted decimal into `parsed`. */
function readIpv4(bytes: Uint8Array, at: number, end: number): number {
  let value = 0
  for (let dots = 0; ; dots++) {
    if (at >= end) return -1
    let part = bytes[at] - ZERO
    if (part < 0 || part > 9) return -1
    at++
    for (let i = 0; at < end; at++, i++) {
      const digit = bytes[at] - ZERO
      if (digit < 0 || digit > 9) break
      if (part === 0 || i > 1) return -1
      part = part * 10 + digit
    }
    if (part > 255) return -1
    value = value << 8 | part
    if (dots === 3) break
    if (at >= end || bytes[at] !== DOT) return -1
    at++
  }
  parsed[0] = value >>> 0
  return at
}

const groups = new Uint16Array(8)
/** By byte, the value of a hexadecimal digit, 255 for others. */
export const HEX_DIGIT: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = Number.parseInt(String.fromCharCode(byte), 16)
  return Number.isNaN(digit) ? 255 : digit
})

/** Read the text of RFC 4291. */
function readIpv6(bytes: Uint8Array, at: number, end: number, column: AddressColumn, row: number): number {
  const start = at
  let count = 0
  let zerosAt = -1 // the groups before `::`
  let isOpen = true // whether another group may follow
  if (at + 1 < end && bytes[at] === COLON && bytes[at + 1] === COLON) {
    zerosAt = 0
    at += 2
  }
  while (isOpen && count < 8) {
    const first = at
    let value = 0
    while (at < end && HEX_DIGIT[bytes[at]] < 16) value = value << 4 | HEX_DIGIT[bytes[at++]]
    if (at === first) {
      if (zerosAt !== count) return -1
      break
    }
    if (at < end && bytes[at] === DOT) {
      at = count > 6 ? -1 : readIpv4(bytes, first, end)
      if (at < 0) return -1
      groups[count++] = parsed[0] >>> 16
      groups[count++] = parsed[0] & 0xffff
      break
    }
    if (at - first > 4) return -1
    groups[count++] = value
    isOpen = at < end && bytes[at] === COLON
    if (!isOpen) break
    at++
    if (at < end && bytes[at] === COLON) {
      if (zerosAt >= 0) return -1
      zerosAt = count
      at++
    } else if (count === 8) return -1
  }
  if (zerosAt < 0 ? count !== 8 : count === 8) return -1
  if (at - start > MAX_ADDRESS_TEXT) return -1
  const v6 = ipv6Storage(column)
  const tail = zerosAt < 0 ? 0 : count - zerosAt // groups behind the zeros
  for (let i = 0; i < 8; i++) {
    const from = i < count - tail ? i : i < 8 - tail ? -1 : i - 8 + count
    const group = from < 0 ? 0 : groups[from]
    v6[row * 16 + i * 2] = group >> 8
    v6[row * 16 + i * 2 + 1] = group & 255
  }
  column.family[row] = 6
  column.v4[row] = 0
  return at
}

/** Read `aa:bb:cc:dd:ee:ff` into `parsed`. */
export function readMac(bytes: Uint8Array, at: number, end: number): number {
  if (at + 17 > end) return -1
  let high = 0
  let low = 0
  for (let i = 0; i < 6; i++, at += 3) {
    const digits = HEX_DIGIT[bytes[at]] << 4 | HEX_DIGIT[bytes[at + 1]]
    if (digits > 255 || HEX_DIGIT[bytes[at + 1]] > 15 || (i < 5 && bytes[at + 2] !== COLON)) return -1
    if (i < 3) high = high << 8 | digits
    else low = low << 8 | digits
  }
  parsed[0] = high * 0x1000000 + low
  return at - 1
}

/** The days whose beginnings are remembered, by day of the month. */
const DAYS = new Int32Array(32).fill(-1)
const DAY_STARTS = new Float64Array(32) // µs
/** Numbers of ms, µs and ns since 1970 have more digits than these. */
const SECONDS_DIGITS = 11
const MILLIS_DIGITS = 14
const MICROS_DIGITS = 16

/**
 * Read a time of RFC 3339 in UTC, or a number of s, ms, µs or ns since the epoch, told apart by their size,
 * into `parsed` and `parsedTime`.
 */
export function readTime(bytes: Uint8Array, at: number, end: number): number {
  if (at + 19 > end || bytes[at + 4] !== DASH) return readEpoch(bytes, at, end)
  const year = pairAt(bytes, at) * 100 + pairAt(bytes, at + 2)
  const month = pairAt(bytes, at + 5)
  const day = pairAt(bytes, at + 8)
  const between = bytes[at + 10]
  const hour = pairAt(bytes, at + 11)
  const minute = pairAt(bytes, at + 14)
  const second = pairAt(bytes, at + 17)
  // a pair that is none is too large for each of them
  if (year > 9999 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 59) return -1
  if (bytes[at + 7] !== DASH || (between !== 84 && between !== 32)) return -1 // T
  if (bytes[at + 13] !== COLON || bytes[at + 16] !== COLON) return -1
  const date = year * 10_000 + month * 100 + day
  if (DAYS[day] !== date && !learnDay(bytes, at, day, date)) return -1
  let micros = (hour * 3600 + minute * 60 + second) * 1e6
  at += 19
  let digits: TimeDigits = 0
  let nanos = 0
  if (at < end && (bytes[at] === DOT || bytes[at] === 44)) { // a comma
    const first = ++at
    let fraction = 0
    for (; at < end; at++) {
      const digit = bytes[at] - ZERO
      if (digit < 0 || digit > 9) break
      if (at - first === 9) return -1
      fraction = fraction * 10 + digit
    }
    const count = at - first
    if (count === 0) return -1
    if (count <= 3) {
      digits = 3
      micros += fraction * TENS[6 - count]
    } else if (count <= 6) {
      digits = 6
      micros += fraction * TENS[6 - count]
    } else {
      digits = 9
      fraction *= TENS[9 - count]
      const whole = (fraction / 1000) | 0
      nanos = fraction - whole * 1000
      micros += whole
    }
  }
  parsed[0] = DAY_STARTS[day] + micros
  parsedTime.nanos = nanos
  parsedTime.digits = digits
  return at < end && bytes[at] === 90 ? at + 1 : at // Z
}

const TENS = Float64Array.from({ length: 10 }, (_, i) => 10 ** i)

/** The number of two digits, 10,000 if they are none. */
function pairAt(bytes: Uint8Array, at: number): number {
  const high = bytes[at] - ZERO
  const low = bytes[at + 1] - ZERO
  return high < 0 || high > 9 || low < 0 || low > 9 ? 10_000 : high * 10 + low
}

/** Remember when a day begins. @returns whether it is one, since 1970 */
function learnDay(bytes: Uint8Array, at: number, day: number, date: number): boolean {
  const start = Date.parse(`${String.fromCharCode(...bytes.subarray(at, at + 10))}T00:00:00Z`)
  if (!(start >= 0)) return false
  DAYS[day] = date
  DAY_STARTS[day] = start * 1000
  return true
}

function readEpoch(bytes: Uint8Array, at: number, end: number): number {
  let behind = at
  while (behind < end && bytes[behind] >= ZERO && bytes[behind] <= 57) behind++
  const count = behind - at
  if (count === 0 || count > 19) return -1
  let nanos = 0
  let digits: TimeDigits = 9
  if (count >= 18) {
    readDigits(bytes, at, behind - 3)
    nanos = (bytes[behind - 3] - ZERO) * 100 + (bytes[behind - 2] - ZERO) * 10 + bytes[behind - 1] - ZERO
  } else {
    readDigits(bytes, at, behind)
    if (count > MICROS_DIGITS || bytes[at] === ZERO && count > 1) return -1
    digits = count <= SECONDS_DIGITS ? 0 : count <= MILLIS_DIGITS ? 3 : 6
    if (digits === 0) parsed[0] *= 1e6
    else if (digits === 3) parsed[0] *= 1e3
  }
  if (parsed[0] > Number.MAX_SAFE_INTEGER) return -1
  parsedTime.nanos = nanos
  parsedTime.digits = digits
  return behind
}
