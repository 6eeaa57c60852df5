/** Where texts end that stand between others. */
import { utf8Sequence } from '../core/flow/byte-writer.ts'

/** In place of an offset: what stands there is for the other way to read. */
export const UNUSUAL = -1

/** A byte that is part of a text, */
export const PART = 0
/** that ends it, */
export const STOP = 1
/** that begins a longer sequence of UTF-8, */
export const LONG = 2
/** or that none has. */
export const OTHER = 3

/**
 * The end of the text at `at`: its first STOP, or `end`.
 *
 * @param stops by byte, what it is to a text
 * @returns UNUSUAL if it has a byte that none has, or ill-formed UTF-8
 */
export function textEnd(bytes: Uint8Array, at: number, end: number, stops: Uint8Array): number {
  while (at < end) {
    const what = stops[bytes[at]]
    if (what === PART) at++
    else if (what === STOP) return at
    else {
      const length = what === LONG ? utf8Sequence(bytes, at, end) : -1
      if (length < 0) return UNUSUAL
      at += length
    }
  }
  return at
}
