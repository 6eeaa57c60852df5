/** Where messages begin and end in an IPFIX file, RFC 5655 §6.1: one behind the other. */

const VERSION = 10
/** Bytes of a message's header (RFC 7011 §3.1), and of a set's (§3.3.2). */
export const HEADER_SIZE = 16
const SET_HEADER = 4
/** Bytes that tell whether a header can be one: version and length. */
const PREFIX = 4

/** Template sets and options template sets; sets of data begin at 256. */
const TEMPLATES = 2
const OPTIONS_TEMPLATES = 3
const FIRST_DATA = 256

/** What is found of a message that should begin at an offset. */
export const FOUND = {
  /** It is whole. */
  message: 0,
  /** There may be one, but not all bytes needed to say so. */
  part: 1,
  /** There is none, or its length is wrong. */
  none: 2,
} as const

/** The length that a message's header tells, 0 if `bytes[at..]` cannot be one; 4 bytes are there. */
export function lengthAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0 || bytes[at + 1] !== VERSION) return 0
  const length = bytes[at + 2] << 8 | bytes[at + 3]
  return length >= HEADER_SIZE ? length : 0
}

/**
 * Look for a message where one ends, or the file begins.
 *
 * One whose sets do not fill it is only one if another follows, or nothing: else its length is wrong.
 *
 * @param final whether the input ends with `bytes`
 */
export function messageAt(bytes: Uint8Array, at: number, final: boolean): number {
  const left = bytes.length - at
  if (left < PREFIX) return FOUND.part
  const length = lengthAt(bytes, at)
  if (length === 0) return FOUND.none
  if (length > left) return FOUND.part
  return setsFill(bytes, at, at + length) ? FOUND.message : followed(bytes, at + length, final)
}

/**
 * Look for a message where one may begin, after damage: header, first set and what follows must be plausible.
 *
 * @param final whether the input ends with `bytes`
 */
export function candidateAt(bytes: Uint8Array, at: number, final: boolean): number {
  const left = bytes.length - at
  if (left < PREFIX) return final ? FOUND.none : FOUND.part
  const length = lengthAt(bytes, at)
  if (length === 0 || !firstSetFits(bytes, at, length)) return FOUND.none
  if (length > left) return final ? FOUND.none : FOUND.part
  return followed(bytes, at + length, final)
}

/** Whether a first set can begin behind the header at `at`, as far as it is there. */
export function firstSetFits(bytes: Uint8Array, at: number, length: number): boolean {
  if (length === HEADER_SIZE) return true
  if (length < HEADER_SIZE + SET_HEADER) return false
  const set = at + HEADER_SIZE
  if (set + SET_HEADER > bytes.length) return true
  const id = bytes[set] << 8 | bytes[set + 1]
  const setLength = bytes[set + 2] << 8 | bytes[set + 3]
  const isKnown = id === TEMPLATES || id === OPTIONS_TEMPLATES || id >= FIRST_DATA
  return isKnown && setLength >= SET_HEADER && setLength <= length - HEADER_SIZE
}

/** Whether a message can end at `at`. */
function followed(bytes: Uint8Array, at: number, final: boolean): number {
  if (bytes.length - at < PREFIX) return final ? FOUND.message : FOUND.part
  return lengthAt(bytes, at) > 0 ? FOUND.message : FOUND.none
}

/** Whether sets lie one behind the other from the header to the end; some exporters fill up with zeros. */
function setsFill(bytes: Uint8Array, at: number, end: number): boolean {
  at += HEADER_SIZE
  while (end - at >= SET_HEADER) {
    const length = bytes[at + 2] << 8 | bytes[at + 3]
    if (length < SET_HEADER) break
    at += length
  }
  while (at < end && bytes[at] === 0) at++
  return at === end
}
