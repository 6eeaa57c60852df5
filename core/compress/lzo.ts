/**
 * LZO1X blocks, without header: what nfdump and lzop keep their data in.
 *
 * The format is told in the Linux kernel's Documentation/staging/lzo.rst. The first byte of an instruction
 * says what it is; the two low bits of a match's last byte but one count the literals, 0 to 3, behind it.
 */
import { malformed } from './damage.ts'
import { copyLiterals, copyMatch, matchLength } from './match.ts'

/** Where the distances of matches of 17 to 31 begin. */
const FAR = 0x4000
/** Where the distances of 3-byte matches behind a run of literals begin. */
const BEHIND_RUN = 0x800
/** Bytes of the instruction that ends a block: a match of 17 with distance 0. */
const END_SIZE = 3

/**
 * Unpack one block of LZO1X.
 *
 * @param target as large as the block unpacked, or larger
 * @returns the number of bytes written
 * @throws FlowkitError ERR_MALFORMED when the block is damaged or does not fit
 */
export function decompressLzo(source: Uint8Array, target: Uint8Array): number {
  const last = source.length - END_SIZE // the furthest place of an instruction
  const limit = target.length
  let at = 0
  let out = 0
  let literals = 0 // behind the match before: 0 to 3; 4 and more: a run
  if (last < 0) throw malformed('LZO', source.length, 'no end')
  if (source[0] > 17) {
    literals = source[at++] - 17
    if (at + literals > last || literals > limit) throw malformed('LZO', at, 'literals beyond the end')
    copyLiterals(source, at, target, out, literals)
    at += literals
    out += literals
  }
  for (;;) { // `at` is at most `last`
    const start = at
    const code = source[at++]
    let length: number
    let distance: number
    let tail = code // the byte whose two low bits count the literals that follow
    if (code >= 64) {
      length = (code >> 5) + 1
      distance = (source[at++] << 3) + (code >> 2 & 7) + 1
    } else if (code >= 32) {
      length = code & 31
      if (length === 0) {
        while (source[at] === 0) {
          at++
          length += 255
        }
        if (at >= last) throw malformed('LZO', start, 'a length beyond the end')
        length += 31 + source[at++]
      }
      length += 2
      tail = source[at]
      distance = (tail | source[at + 1] << 8) >> 2
      distance++
      at += 2
    } else if (code >= 16) {
      length = code & 7
      if (length === 0) {
        while (source[at] === 0) {
          at++
          length += 255
        }
        if (at >= last) throw malformed('LZO', start, 'a length beyond the end')
        length += 7 + source[at++]
      }
      length += 2
      tail = source[at]
      distance = ((code & 8) << 11) + ((tail | source[at + 1] << 8) >> 2)
      at += 2
      if (distance === 0) {
        if (length !== 3 || at !== source.length) throw malformed('LZO', start, 'an end too early')
        return out
      }
      distance += FAR
    } else if (literals === 0) {
      length = code
      if (length === 0) {
        while (source[at] === 0) {
          at++
          length += 255
        }
        if (at >= last) throw malformed('LZO', start, 'a length beyond the end')
        length += 15 + source[at++]
      }
      length += 3
      if (at + length > last || out + length > limit) {
        throw malformed('LZO', start, 'literals beyond the end')
      }
      copyLiterals(source, at, target, out, length)
      at += length
      out += length
      literals = 4
      continue
    } else if (literals < 4) {
      length = 2
      distance = (source[at++] << 2) + (code >> 2) + 1
    } else {
      length = 3
      distance = (source[at++] << 2) + (code >> 2) + BEHIND_RUN + 1
    }
    literals = tail & 3
    if (distance > out) throw malformed('LZO', start, 'a match before the beginning')
    if (at + literals > last || out + length + literals > limit) {
      throw malformed('LZO', start, 'a match beyond the end')
    }
    copyMatch(target, out, distance, length)
    out += length
    for (let i = 0; i < literals; i++) target[out++] = source[at++]
  }
}

const HASH_BITS = 14
const MIN_MATCH = 4
const MAX_DISTANCE = 0xbfff
/** Misses after which the search steps one byte further, as a power of two. */
const SKIP_BITS = 5

/** Where 4 bytes with a hash were seen last. */
const seen = new Int32Array(1 << HASH_BITS)

/** Bytes that `length` bytes take at most when they are packed as LZO1X. */
export function lzoBound(length: number): number {
  return length + (length >>> 4) + 64 + END_SIZE
}

/**
 * Pack one block as LZO1X, fast rather than small, as LZO1X-1 does.
 *
 * @returns the number of bytes written
 * @throws RangeError when `target` is smaller than `lzoBound` of the source
 */
export function compressLzo(source: Uint8Array, target: Uint8Array): number {
  const { length } = source
  if (target.length < lzoBound(length)) throw new RangeError(`target of ${target.length} bytes is too small`)
  const view = new DataView(source.buffer, source.byteOffset, length)
  const lastStart = length - MIN_MATCH
  seen.fill(0)
  let at = 1 // at 0 nothing can have been seen
  let done = 0 // what lies before is packed
  let out = 0
  while (at <= lastStart) {
    const word = view.getInt32(at, true)
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const candidate = seen[hash]
    seen[hash] = at
    const distance = at - candidate
    if (distance > MAX_DISTANCE || view.getInt32(candidate, true) !== word) {
      at += 1 + (at - done >> SKIP_BITS)
      continue
    }
    const matched = MIN_MATCH + matchLength(view, candidate + MIN_MATCH, at + MIN_MATCH, length)
    out = putLiterals(source, done, at - done, target, out)
    out = putMatch(distance, matched, target, out)
    at += matched
    done = at
  }
  out = putLiterals(source, done, length - done, target, out)
  target[out] = 17
  target[out + 1] = 0
  target[out + 2] = 0
  return out + END_SIZE
}

function putLiterals(
  source: Uint8Array, from: number, count: number, target: Uint8Array, out: number,
): number {
  if (count === 0) return out
  if (out === 0 && count <= 238) target[out++] = 17 + count
  else if (count <= 3) target[out - 2] |= count
  else if (count <= 18) target[out++] = count - 3
  else {
    target[out++] = 0
    out = putLength(count - 18, target, out)
  }
  copyLiterals(source, from, target, out, count)
  return out + count
}

function putMatch(distance: number, length: number, target: Uint8Array, out: number): number {
  if (length <= 8 && distance <= 0x800) {
    distance--
    target[out] = length - 1 << 5 | (distance & 7) << 2
    target[out + 1] = distance >> 3
    return out + 2
  }
  let code = 32
  let most = 33 // the longest length that fits the first byte
  if (distance <= FAR) distance--
  else {
    distance -= FAR
    code = 16 | distance >> 11 & 8
    most = 9
  }
  if (length <= most) target[out++] = code | length - 2
  else {
    target[out++] = code
    out = putLength(length - most, target, out)
  }
  target[out] = distance << 2
  target[out + 1] = distance >> 6
  return out + 2
}

/** The bytes behind a length that its instruction has no room for: 255 for each 0, and the rest. */
function putLength(length: number, target: Uint8Array, out: number): number {
  for (; length > 255; length -= 255) target[out++] = 0
  target[out++] = length
  return out
}
