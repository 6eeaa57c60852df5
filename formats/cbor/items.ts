/** Data items of CBOR, RFC 8949: where they end, and what they say. */
import { formatTime } from '../../core/flow/time.ts'

/** Major types (§3.1), in the upper 3 bits of an item's first byte. */
export const MAJOR = {
  unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7,
} as const

/** Ends an item of indefinite length (§3.2.1). */
export const BREAK = 0xff

/** Bytes that an item may have, and levels inside it. */
export const MOST_BYTES: number = 1 << 20
const MOST_LEVELS = 16

/** In place of an offset or argument: the bytes end before, are no CBOR, or there is too much of it. */
export const CUT = -1
export const ILL_FORMED = -2
export const TOO_LARGE = -3

/** Tags (§3.4). */
const EPOCH_TIME = 1
const BIGNUM = 2
const NEGATIVE_BIGNUM = 3
/** Bytes of a bignum that is of use: the largest counter has 8. */
const MOST_BIGNUM = 16
/** Times later than that, in 2255, are not exact in µs. */
const MOST_SECONDS = Math.floor(Number.MAX_SAFE_INTEGER / 1e6)

/** The lower 5 bits of a first byte: a longer argument follows, or the length is indefinite (§3). */
const LONG = 24
const RESERVED = 28
const INDEFINITE = 31

/** Where an item lies. */
export interface Cursor {
  readonly bytes: Buffer
  readonly view: DataView
  at: number
}

/** A cursor over `bytes`, at their beginning. */
export function cursorOf({ buffer, byteOffset, byteLength }: Uint8Array): Cursor {
  return {
    bytes: Buffer.from(buffer, byteOffset, byteLength),
    view: new DataView(buffer, byteOffset, byteLength),
    at: 0,
  }
}

/**
 * Read the head of an item and go on behind it.
 *
 * @returns its argument, inexact beyond 2^53, Infinity for indefinite length; or CUT or ILL_FORMED, and stays
 */
export function readHead(cursor: Cursor): number {
  const { bytes, view, at } = cursor
  const info = bytes[at] & 31
  if (info < LONG) {
    cursor.at = at + 1
    return info
  }
  if (info === INDEFINITE) {
    const major = bytes[at] >> 5
    if (major < MAJOR.bytes || major > MAJOR.map) return ILL_FORMED
    cursor.at = at + 1
    return Infinity
  }
  if (info >= RESERVED) return ILL_FORMED
  const size = 1 << info - LONG
  if (at + 1 + size > bytes.length) return CUT
  cursor.at = at + 1 + size
  switch (size) {
    case 1: return bytes[at + 1]
    case 2: return view.getUint16(at + 1)
    case 4: return view.getUint32(at + 1)
    default: return view.getUint32(at + 1) * 2 ** 32 + view.getUint32(at + 5)
  }
}

// The levels that are open: how many items they still want, and what those must be, -1 for anything
const wanted = new Float64Array(MOST_LEVELS + 1)
const chunks = new Int8Array(MOST_LEVELS + 1)
const odd = new Uint8Array(MOST_LEVELS + 1) // of a map, whether a key has come without its value

/**
 * Find the end of the item at the cursor, which stays there.
 *
 * @returns the offset behind it, or CUT, ILL_FORMED or TOO_LARGE
 */
export function itemEnd(cursor: Cursor): number {
  const { at } = cursor
  const end = skip(cursor, at)
  cursor.at = at
  return end > at + MOST_BYTES || (end === CUT && cursor.bytes.length - at > MOST_BYTES) ? TOO_LARGE : end
}

function skip(cursor: Cursor, start: number): number {
  const { bytes } = cursor
  let level = 0
  wanted[0] = 1
  chunks[0] = -1
  odd[0] = 0
  while (level >= 0) {
    if (wanted[level] === 0) {
      level--
      continue
    }
    const { at } = cursor
    if (at - start > MOST_BYTES) return TOO_LARGE
    if (at >= bytes.length) return CUT
    if (bytes[at] === BREAK) {
      if (wanted[level] !== Infinity || odd[level] === 1) return ILL_FORMED
      cursor.at = at + 1
      level--
      continue
    }
    const major = bytes[at] >> 5
    const argument = readHead(cursor)
    if (argument < 0) return argument
    if (chunks[level] >= 0 && (major !== chunks[level] || argument === Infinity)) return ILL_FORMED
    wanted[level]--
    if (odd[level] < 2) odd[level] ^= 1
    if (major < MAJOR.bytes || major === MAJOR.simple) continue
    if (major <= MAJOR.text && argument !== Infinity) {
      if (argument > MOST_BYTES) return TOO_LARGE
      if (argument > bytes.length - cursor.at) return CUT
      cursor.at += argument
      continue
    }
    const isLarge = argument > MOST_BYTES && argument !== Infinity && major !== MAJOR.tag
    if (level === MOST_LEVELS || isLarge) return TOO_LARGE
    level++
    wanted[level] = major === MAJOR.tag ? 1 : major === MAJOR.map ? argument * 2 : argument
    chunks[level] = major <= MAJOR.text ? major : -1
    odd[level] = major === MAJOR.map ? 0 : 2
  }
  return cursor.at
}

/**
 * Read the value at the cursor, of an item that `itemEnd` has found sound, and go on behind it.
 *
 * Integers from 2^53 on are text, as are bignums, and times, by RFC 3339; byte strings are bytes, maps are
 * objects, null and undefined are null. Other tags count for nothing.
 */
export function readValue(cursor: Cursor): unknown {
  const { bytes, view, at } = cursor
  const major = bytes[at] >> 5
  const argument = readHead(cursor)
  switch (major) {
    case MAJOR.unsigned: return argument < 2 ** 53 ? argument : view.getBigUint64(at + 1).toString()
    case MAJOR.negative:
      return argument < 2 ** 53 ? -1 - argument : (-1n - view.getBigUint64(at + 1)).toString()
    case MAJOR.bytes: case MAJOR.text: return readString(cursor, major, argument)
    case MAJOR.array: return readItems(cursor, argument)
    case MAJOR.map: {
      const items = readItems(cursor, argument * 2)
      const members: [string, unknown][] = []
      for (let i = 0; i < items.length; i += 2) members.push([nameOf(items[i]), items[i + 1]])
      return Object.fromEntries(members)
    }
    case MAJOR.tag: return readTagged(argument, readValue(cursor))
  }
  switch (bytes[at] & 31) {
    case 20: return false
    case 21: return true
    case 25: return halfFloat(argument)
    case 26: return view.getFloat32(at + 1)
    case 27: return view.getFloat64(at + 1)
    default: return null
  }
}

/** The text of a map's key. */
function nameOf(key: unknown): string {
  if (key instanceof Uint8Array) return Buffer.from(key).toString('hex')
  return typeof key === 'string' ? key : JSON.stringify(key)
}

/** Read `count` items, those up to the break if it is infinite. */
function readItems(cursor: Cursor, count: number): unknown[] {
  const items: unknown[] = []
  while (items.length < count) {
    if (cursor.bytes[cursor.at] === BREAK) {
      cursor.at++
      break
    }
    items.push(readValue(cursor))
  }
  return items
}

function readString(cursor: Cursor, major: number, length: number): Uint8Array | string {
  const { bytes, at } = cursor
  if (length !== Infinity) {
    cursor.at = at + length
    return major === MAJOR.text ? bytes.toString('utf8', at, at + length) : bytes.subarray(at, at + length)
  }
  const parts = readItems(cursor, length)
  return major === MAJOR.text ? parts.join('') : Buffer.concat(parts as Uint8Array[])
}

function readTagged(tag: number, value: unknown): unknown {
  switch (tag) {
    case EPOCH_TIME:
      if (typeof value !== 'number' || !(value >= 0 && value <= MOST_SECONDS)) return null
      return formatTime(Math.round(value * 1e6), 0, Number.isInteger(value) ? 0 : 6)
    case BIGNUM: case NEGATIVE_BIGNUM: {
      if (!(value instanceof Uint8Array) || value.length > MOST_BIGNUM) return null
      const number = BigInt(`0x0${Buffer.from(value).toString('hex')}`)
      return (tag === BIGNUM ? number : -1n - number).toString()
    }
    default: return value
  }
}

/** RFC 8949, appendix D. */
function halfFloat(half: number): number {
  const exponent = half >> 10 & 31
  const mantissa = half & 0x3ff
  const size = exponent === 0 ? mantissa * 2 ** -24
    : exponent === 31 ? (mantissa === 0 ? Infinity : NaN) : (mantissa + 1024) * 2 ** (exponent - 25)
  return half & 0x8000 ? -size : size
}
