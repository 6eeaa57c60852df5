/** Items of CBOR, as they are written. */
import { putSequence, utf8Sequence } from '../../core/flow/byte-writer.ts'

/** First bytes, RFC 8949 §3.1: major types with nothing in the lower 5 bits, and simple values. */
export const UNSIGNED = 0x00
export const NEGATIVE = 0x20
export const BYTES = 0x40
export const TEXT = 0x60
export const ARRAY = 0x80
export const MAP = 0xa0
export const FALSE = 0xf4
export const NULL = 0xf6
export const FLOAT64 = 0xfb

const MAX_INTEGER = 2 ** 53

/** Write major type and argument, below 2^32. @returns the offset behind it */
export function putHead(major: number, value: number, view: DataView, at: number): number {
  if (value < 24) {
    view.setUint8(at, major | value)
    return at + 1
  }
  if (value < 0x100) {
    view.setUint16(at, (major | 24) << 8 | value)
    return at + 2
  }
  if (value < 0x10000) {
    view.setUint8(at, major | 25)
    view.setUint16(at + 1, value)
    return at + 3
  }
  view.setUint8(at, major | 26)
  view.setUint32(at + 1, value)
  return at + 5
}

/** Write major type and argument of 64 bits. @returns the offset behind it */
export function putLong(major: number, low: number, high: number, view: DataView, at: number): number {
  view.setUint8(at, major | 27)
  view.setUint32(at + 1, high)
  view.setUint32(at + 5, low)
  return at + 9
}

/** Write the integer `column[row]`; beyond ±2^53 it is ±2^53. @returns the offset behind it */
export function putInteger(column: Float64Array, row: number, view: DataView, at: number): number {
  const value = column[row]
  const small = value | 0
  if (small === value && small >= 0) return putHead(UNSIGNED, small, view, at)
  const major = value < 0 ? NEGATIVE : UNSIGNED
  const argument = value < 0 ? Math.min(-1 - value, MAX_INTEGER - 1) : Math.min(value, MAX_INTEGER)
  const high = Math.floor(argument / 0x100000000)
  const low = argument - high * 0x100000000
  return high === 0 ? putHead(major, low, view, at) : putLong(major, low, high, view, at)
}

/** Write UTF-8 as a text string, ill-formed bytes as U+FFFD. @returns the offset behind it */
export function putText(
  heap: Uint8Array, from: number, to: number, out: Uint8Array, view: DataView, at: number,
): number {
  let length = 0
  for (let i = from; i < to;) {
    const sequence = utf8Sequence(heap, i, to)
    length += sequence < 0 ? 3 : sequence
    i += Math.abs(sequence)
  }
  at = putHead(TEXT, length, view, at)
  while (from < to) {
    const sequence = utf8Sequence(heap, from, to)
    at = putSequence(heap, from, sequence, out, at)
    from += Math.abs(sequence)
  }
  return at
}

/** Write a byte string. @returns the offset behind it */
export function putBytes(
  heap: Uint8Array, from: number, to: number, out: Uint8Array, view: DataView, at: number,
): number {
  at = putHead(BYTES, to - from, view, at)
  for (let i = from; i < to; i++) out[at++] = heap[i]
  return at
}
