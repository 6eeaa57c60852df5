/** LZ4 blocks, without header or frame (LZ4 Block Format Description, 2022-07-31). */
import { malformed } from './damage.ts'
import { copyLiterals, copyMatch, matchLength } from './match.ts'

const MIN_MATCH = 4
const MAX_DISTANCE = 0xffff
/** The last bytes of a block are literals, and no match begins in its last 12. */
const LAST_LITERALS = 5
const MATCH_LIMIT = 12

/**
 * Unpack one block of LZ4.
 *
 * @param target as large as the block unpacked, or larger
 * @returns the number of bytes written
 * @throws FlowkitError ERR_MALFORMED when the block is damaged or does not fit
 */
export function decompressLz4Block(source: Uint8Array, target: Uint8Array): number {
  return appendLz4Block(source, target, 0, 0)
}

/**
 * Unpack one block of LZ4 that may repeat what lies in `target` before it.
 *
 * @param start where the block goes
 * @param base offset of the block in the input, for what is said of damage
 * @returns the end of the block in `target`
 * @throws FlowkitError ERR_MALFORMED when the block is damaged or does not fit
 */
export function appendLz4Block(
  source: Uint8Array, target: Uint8Array, start: number, base: number,
): number {
  const end = source.length
  const limit = target.length
  let at = 0
  let out = start
  for (;;) {
    const from = at
    const token = source[at++]
    let literals = token >> 4
    if (literals === 15) {
      while (source[at] === 255) {
        at++
        literals += 255
      }
      if (at < end) literals += source[at++]
    }
    if (at + literals > end || out + literals > limit) {
      throw malformed('LZ4', base + from, 'literals beyond the end')
    }
    copyLiterals(source, at, target, out, literals)
    at += literals
    out += literals
    if (at === end && end > 0) return out
    if (at + 2 > end) throw malformed('LZ4', base + end, 'no end')
    const distance = source[at] | source[at + 1] << 8
    at += 2
    let length = token & 15
    if (length === 15) {
      while (source[at] === 255) {
        at++
        length += 255
      }
      if (at < end) length += source[at++]
    }
    length += MIN_MATCH
    if (distance === 0 || distance > out) throw malformed('LZ4', base + from, 'a match before the beginning')
    if (at >= end || out + length > limit) throw malformed('LZ4', base + from, 'a match beyond the end')
    copyMatch(target, out, distance, length)
    out += length
  }
}

const HASH_BITS = 14
/** Misses after which the search steps one byte further, as a power of two. */
const SKIP_BITS = 6

/** Where 4 bytes with a hash were seen last. */
const seen = new Int32Array(1 << HASH_BITS)

/** Bytes that `length` bytes take at most when they are packed as LZ4. */
export function lz4Bound(length: number): number {
  return length + Math.floor(length / 255) + 16
}

/**
 * Pack one block as LZ4, fast rather than small.
 *
 * @returns the number of bytes written
 * @throws RangeError when `target` is smaller than `lz4Bound` of the source
 */
export function compressLz4Block(source: Uint8Array, target: Uint8Array): number {
  const { length } = source
  if (target.length < lz4Bound(length)) throw new RangeError(`target of ${target.length} bytes is too small`)
  const view = new DataView(source.buffer, source.byteOffset, length)
  const lastStart = length - MATCH_LIMIT
  const matchEnd = length - LAST_LITERALS
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
    const matched = matchLength(view, candidate + MIN_MATCH, at + MIN_MATCH, matchEnd) // beyond the 4
    out = putLiterals(source, done, at - done, Math.min(matched, 15), target, out)
    target[out] = distance
    target[out + 1] = distance >> 8
    out += 2
    if (matched >= 15) out = putLength(matched - 15, target, out)
    at += MIN_MATCH + matched
    done = at
  }
  return putLiterals(source, done, length - done, 0, target, out)
}

/** Write a token with its literals. @param low its low 4 bits: what the match is longer than 4 */
function putLiterals(
  source: Uint8Array, from: number, count: number, low: number, target: Uint8Array, out: number,
): number {
  target[out++] = Math.min(count, 15) << 4 | low
  if (count >= 15) out = putLength(count - 15, target, out)
  copyLiterals(source, from, target, out, count)
  return out + count
}

/** The bytes behind a length that its 4 bits have no room for. */
function putLength(length: number, target: Uint8Array, out: number): number {
  for (; length >= 255; length -= 255) target[out++] = 255
  target[out++] = length
  return out
}
