/** Data items of CBOR, RFC 8949: where they end, and what they say. */
import { formatTime } from '../../core/flow/time.ts'

/** Major types (§3.1), in the upper 3 bits of an item's first byte. */
export const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const

/** Ends an item of indefinite length (§3.2.1). */
export const BREAK = 0xff

/** Levels that an item may have inside it, and bytes in all. */
const MOST_DEPTH = 16
export const MOST_BYTES: number = 1 << 20

/** What is returned in place of an offset. */
export const CUT = -1
export const ILL_FORMED = -2
export const TOO_LARGE = -3

/** Tags (§3.4): bignums and epoch-based time. */
const EPOCH_TIME = 1
const BIGNUM = 2
const NEGATIVE_BIGNUM = 3
/** Bytes of a bignum that is of use: the largest counter has 64 bits. */
const MOST_BIGNUM = 16
/** The last second that is exact in microseconds: in 2255. */
const MOST_SECONDS = Math.floor(Number.MAX_SAFE_INTEGER / 1e6)

const INDEFINITE = 31
/** Argument of a head that is cut, ill-formed, or of indefinite length. */
const NO_ARGUMENT: Readonly<Record<string, number>> = { cut: -1, bad: -2, indefinite: Infinity }

/** Where in which bytes the next item lies. */
export interface Cursor {
  readonly bytes: Buffer
  readonly view: DataView
  at: number
}

/** A cursor at `at`. */
export function cursorOf(bytes: Uint8Array, at: number): Cursor {
  const { buffer, byteOffset, byteLength } = bytes
  return {
    bytes: Buffer.from(buffer, byteOffset, byteLength), view: new DataView(buffer, byteOffset, byteLength), at,
  }
}

/**
 * Read the head of an item and go on behind it.
 *
 * @returns its argument, inexact beyond 2^53; Infinity for indefinite length; CUT or ILL_FORMED, and stays there
 */
export function readHead(cursor: Cursor): number {
  const { bytes, view, at } = cursor
  const info = bytes[at] & 31
  if (info < 24) {
    cursor.at = at + 1
    return info
  }
  if (info === INDEFINITE) {
    const major = bytes[at] >> 5
    if (major < MAJOR.bytes || major === MAJOR.tag || major === MAJOR.simple) return NO_ARGUMENT['bad']
    cursor.at = at + 1
    return Infinity
  }
  if (info > 27) return ILL_FORMED
  const size = 1 << info - 24
  if (at + 1 + size > bytes.length) return CUT
  cursor.at = at + 1 + size
  switch (size) {
    case 1: return bytes[at + 1]
    case 2: return view.getUint16(at + 1)
    case 4: return view.getUint32(at + 1)
    default: return view.getUint32(at + 1) * 2 ** 32 + view.getUint32(at + 5)
  }
}
