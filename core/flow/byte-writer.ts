/**
 * Text of numbers, addresses and times, written as bytes.
 *
 * Digits come out of tables, four to a store, and a store may reach past the end of its text: every `put`
 * function needs `SLACK` bytes beyond what it returns, which `ByteWriter.room` sees to.
 */
import type { TimeDigits } from './shape.ts'
import { MAX_TIME_TEXT, timeDigits, writeTime } from './time.ts'

/** Bytes that a `put` function may overwrite behind its text. */
export const SLACK = 4

/** A buffer that grows. Take `bytes` and `view` into locals, and again after each `room`. */
export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>
  view: DataView<ArrayBuffer>

  constructor(capacity: number = 0x10000) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Make room for `count` bytes and the slack from `at` on, keeping what lies before. */
  room(at: number, count: number): void {
    const needed = at + count + SLACK
    if (needed <= this.bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    larger.set(this.bytes.subarray(0, at))
    this.bytes = larger
    this.view = new DataView(larger.buffer)
  }

  /** The bytes before `end`, valid until the next are written. */
  take(end: number): Uint8Array {
    return this.bytes.subarray(0, end)
  }

  /** Write `text` as UTF-8, with room made for it. @returns the offset behind it */
  text(text: string, at: number): number {
    this.room(at, text.length * 3)
    return at + utf8.encodeInto(text, this.bytes.subarray(at)).written
  }
}

const utf8 = new TextEncoder()

/** Texts of up to 4 bytes as little-endian words. */
function wordTable(size: number, text: (i: number) => string): Int32Array {
  return Int32Array.from({ length: size }, (_, i) => toWords(text(i))[0])
}

/** ASCII `text` as little-endian words, the last filled up with NUL. */
export function toWords(text: string): Int32Array {
  const words = new Int32Array(Math.max(1, Math.ceil(text.length / 4)))
  for (let i = 0; i < text.length; i++) words[i >> 2] |= text.charCodeAt(i) << (i & 3) * 8
  return words
}

const PLAIN = wordTable(10_000, String) // 7
const PADDED = wordTable(10_000, (i) => String(i).padStart(4, '0')) // 0007
const OCTET = wordTable(256, (i) => `${i}.`)
const OCTET_LENGTH = Uint8Array.from({ length: 256 }, (_, i) => `${i}.`.length)
const HEX = Uint16Array.from({ length: 256 }, (_, i) => toWords(i.toString(16).padStart(2, '0'))[0])
const COLON = 58
const QUESTION = 0xfffd // U+FFFD REPLACEMENT CHARACTER

/** Write words of `toWords`. The caller knows how long the text is. */
export function putWords(words: Int32Array, start: number, end: number, view: DataView, at: number): void {
  for (let i = start; i < end; i++, at += 4) view.setInt32(at, words[i], true)
}

/** Write an integer of 0 to 2^53 in decimal. @returns the offset behind it */
export function putUint(value: number, view: DataView, at: number): number {
  if (value < 10_000) return putSmall(value, view, at)
  if (value < 1e8) {
    const high = (value / 10_000) | 0
    at = putSmall(high, view, at)
    view.setInt32(at, PADDED[value - high * 10_000], true)
    return at + 4
  }
  const high = Math.floor(value / 1e8) // below 2^53 the quotient never rounds up to the next integer
  return putEight(value - high * 1e8, view, putUint(high, view, at))
}

/** Write `column[row]` as `putUint` does. A double that is an argument is allocated; a column is not. */
export function putCount(column: Float64Array, row: number, view: DataView, at: number): number {
  const value = column[row]
  const small = value | 0
  return small === value ? putUint(small, view, at) : putUint(value, view, at)
}

/** Write `column[row]` as `putUint` does. */
export function putUint32(column: Uint32Array, row: number, view: DataView, at: number): number {
  const value = column[row]
  const small = value | 0
  return small === value ? putUint(small, view, at) : putUint(value, view, at)
}

/** Write an integer below 10,000 in decimal. @returns the offset behind it */
export function putSmall(value: number, view: DataView, at: number): number {
  view.setInt32(at, PLAIN[value], true)
  return at + (value < 100 ? value < 10 ? 1 : 2 : value < 1000 ? 3 : 4)
}

/** Write the 64-bit unsigned integer `high` × 2^32 + `low` in decimal. @returns the offset behind it */
export function putUint64(low: number, high: number, view: DataView, at: number): number {
  if (high < 0x200000) return putUint(high * 0x100000000 + low, view, at)
  let quotient = 0
  let rest = 0
  for (let shift = 48; shift >= 0; shift -= 16) { // long division by 10^8, 16 bits at a time
    const limb = (shift >= 32 ? high >>> (shift - 32) : low >>> shift) & 0xffff
    const part = rest * 0x10000 + limb
    const digit = Math.floor(part / 1e8)
    rest = part - digit * 1e8
    quotient = quotient * 0x10000 + digit
  }
  return putEight(rest, view, putUint(quotient, view, at))
}

const limbs = new Float64Array(8)
const eights = new Float64Array(5)

/** Write the 128-bit unsigned integer `bytes[from..from + 16)`, big-endian, in decimal. @returns as above */
export function putUint128(bytes: Uint8Array, from: number, view: DataView, at: number): number {
  for (let i = 0; i < 8; i++) limbs[i] = bytes[from + i * 2] << 8 | bytes[from + i * 2 + 1]
  let count = 0
  for (let first = 0; first < 8;) { // long division by 10^8, as long as something is left
    let rest = 0
    for (let i = first; i < 8; i++) {
      const part = rest * 0x10000 + limbs[i]
      limbs[i] = Math.floor(part / 1e8)
      rest = part - limbs[i] * 1e8
    }
    eights[count++] = rest
    while (first < 8 && limbs[first] === 0) first++
  }
  at = putUint(eights[--count], view, at)
  while (count > 0) at = putEight(eights[--count], view, at)
  return at
}

/** Write eight digits of a number below 10^8. */
function putEight(value: number, view: DataView, at: number): number {
  const high = (value / 10_000) | 0
  view.setInt32(at, PADDED[high], true)
  view.setInt32(at + 4, PADDED[value - high * 10_000], true)
  return at + 8
}

/** Write the low `digits` (1 to 4) digits of an integer below 10,000. @returns the offset behind them */
export function putDigits(value: number, digits: number, view: DataView, at: number): number {
  view.setInt32(at, PADDED[value] >>> (4 - digits) * 8, true)
  return at + digits
}

/** Write an IPv4 address, host order, as dotted decimal. @returns the offset behind it */
export function putIpv4(value: number, view: DataView, at: number): number {
  const a = value >>> 24
  const b = value >>> 16 & 255
  const c = value >>> 8 & 255
  const d = value & 255
  view.setInt32(at, OCTET[a], true)
  at += OCTET_LENGTH[a]
  view.setInt32(at, OCTET[b], true)
  at += OCTET_LENGTH[b]
  view.setInt32(at, OCTET[c], true)
  at += OCTET_LENGTH[c]
  view.setInt32(at, OCTET[d], true)
  return at + OCTET_LENGTH[d] - 1
}

/** Write `aa:bb:cc:dd:ee:ff` of a 48-bit number. @returns the offset behind it */
export function putMac(value: number, view: DataView, at: number): number {
  const high = Math.floor(value / 0x1000000)
  const low = value - high * 0x1000000
  for (let shift = 16; shift >= 0; shift -= 8, at += 3) {
    view.setUint16(at, HEX[high >> shift & 255], true)
    view.setUint8(at + 2, COLON)
    view.setUint16(at + 9, HEX[low >> shift & 255], true)
    view.setUint8(at + 11, COLON)
  }
  return at + 8
}

/** Write `bytes[start..end)` in lower-case hexadecimal. @returns the offset behind it */
export function putHex(bytes: Uint8Array, start: number, end: number, view: DataView, at: number): number {
  for (let i = start; i < end; i++, at += 2) view.setUint16(at, HEX[bytes[i]], true)
  return at
}

/**
 * How many bytes the UTF-8 sequence at `at` takes; negative where it is ill-formed: that many bytes become
 * one U+FFFD (Unicode 16 §3.9, "substitution of maximal subparts", as the WHATWG decoder does).
 */
export function utf8Sequence(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return -1
  const more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
  let lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  let highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  for (let i = 1; i <= more; i++) {
    if (at + i >= end || bytes[at + i] < lowest || bytes[at + i] > highest) return -i
    lowest = 0x80
    highest = 0xbf
  }
  return more + 1
}

/**
 * Copy one UTF-8 sequence, ill-formed bytes as U+FFFD.
 *
 * @param length what `utf8Sequence` said
 * @returns the offset behind it in `out`
 */
export function putSequence(
  bytes: Uint8Array, from: number, length: number, out: Uint8Array, at: number,
): number {
  if (length < 0) {
    out[at] = 0xe0 | QUESTION >> 12
    out[at + 1] = 0x80 | QUESTION >> 6 & 63
    out[at + 2] = 0x80 | QUESTION & 63
    return at + 3
  }
  for (let i = 0; i < length; i++) out[at + i] = bytes[from + i]
  return at + length
}

const HOUR = 3_600_000_000 // µs, below 2^32
const QUARTER = HOUR / 4
const FIRST_TIME = -62_167_219_200_000_000 // 0000-01-01T00:00:00Z
const LAST_TIME = 253_402_300_799_000_000 // 9999-12-31T23:59:59Z: RFC 3339 has four digits for the year
const CLOCK = wordTable(60, (i) => `${String(i).padStart(2, '0')}:`)
const scratch = new Uint8Array(MAX_TIME_TEXT)
const scratchView = new DataView(scratch.buffer)

/**
 * Writes times. Date and hour are worked out once for all times of an hour that follow each other.
 *
 * A time outside the years 0 to 9999 comes out as the first or last of them.
 */
export class TimeWriter {
  private readonly separator: number
  private readonly local: boolean
  /** `prefix` holds for the times in [from, from + span), and `from` is `base` into its hour. */
  private from = Number.NaN
  private span = 0
  private base = 0
  /** `2026-11-21T13:` */
  private readonly prefix = new Int32Array(4)

  /**
   * @param separator one character between date and clock
   * @param local whether in the zone of this machine
   */
  constructor(separator: string, local: boolean = false) {
    this.separator = separator.charCodeAt(0)
    this.local = local
  }

  /**
   * Write `2026-11-21T13:04:05.123`. A double that is an argument is allocated; a column is not.
   *
   * @param micros since the epoch, and `nanos` (0 to 999) below
   * @param declared digits of the second, what is below is cut off; -1: as many as show the time, 3, 6 or 9
   * @returns the offset behind it
   */
  put(
    micros: Float64Array, row: number, nanos: number, declared: TimeDigits, view: DataView, at: number,
  ): number {
    let inSpan = micros[row] - this.from
    if (!(inSpan >= 0 && inSpan < this.span)) inSpan = this.turn(micros[row])
    const { prefix } = this
    view.setInt32(at, prefix[0], true)
    view.setInt32(at + 4, prefix[1], true)
    view.setInt32(at + 8, prefix[2], true)
    view.setInt32(at + 12, prefix[3], true)
    const inHour = (inSpan + this.base) >>> 0
    const seconds = (inHour / 1_000_000) >>> 0
    const fraction = (inHour - seconds * 1_000_000) | 0 // an integer for certain, where modulo is cheap
    const minutes = (seconds / 60) | 0
    view.setInt32(at + 14, CLOCK[minutes], true)
    view.setInt32(at + 17, CLOCK[seconds - minutes * 60], true)
    at += 19
    const digits = timeDigits(fraction, nanos, declared)
    if (digits === 0) return at
    view.setUint8(at, 46) // .
    const millis = (fraction / 1000) | 0
    at = putDigits(millis, 3, view, at + 1)
    if (digits === 3) return at
    at = putDigits(fraction - millis * 1000, 3, view, at)
    return digits === 6 ? at : putDigits(nanos, 3, view, at)
  }

  /** Go to the hour of `micros`. @returns µs from `from` on */
  private turn(micros: number): number {
    const time = clampTime(micros)
    const offset = clampTime(time + this.offset(time)) - time
    const hour = Math.floor((time + offset) / HOUR) * HOUR // of the local clock
    this.from = hour - offset
    this.span = HOUR
    if (this.offset(this.from) !== offset || this.offset(this.from + HOUR - 1) !== offset) {
      this.from = Math.floor(time / QUARTER) * QUARTER // zones change their clocks on the quarter
      this.span = QUARTER
    }
    this.base = this.from + offset - hour
    writeTime(hour, 0, 0, scratch, 0)
    scratch[10] = this.separator
    for (let i = 0; i < 4; i++) this.prefix[i] = scratchView.getInt32(i * 4, true)
    return time - this.from
  }

  /** How far local time is ahead of UTC, in µs. */
  private offset(micros: number): number {
    return this.local ? new Date(micros / 1000).getTimezoneOffset() * -60e6 : 0
  }
}

function clampTime(micros: number): number {
  return micros >= FIRST_TIME ? Math.min(micros, LAST_TIME) : FIRST_TIME
}
