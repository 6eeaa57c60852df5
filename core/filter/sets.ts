import { MAPPED_HIGH, MAPPED_LOW } from './addresses.ts'

/** Ranges of numbers, ascending, for binary search. */
export interface NumberRanges {
  readonly starts: Float64Array
  readonly ends: Float64Array
}

/** Ranges of IPv4 addresses, with an index that makes a search of a million as quick as one of a few. */
export interface Ipv4Ranges extends NumberRanges {
  /** By the bits of an address above `shift`, and for one address more: how many ranges begin below these. */
  readonly index: Uint32Array
  readonly shift: number
}

/** Ranges from which on the index of IPv4 ranges is worth its 256 KiB. */
const MANY = 64

/** Ranges of 128-bit integers, ascending, for binary search: 4 words each, highest first. */
export interface WideRanges {
  readonly starts: Uint32Array
  readonly ends: Uint32Array
}

/**
 * Pairs (lowest, highest) of integers in any order as the ascending pairs with the fewest ranges.
 *
 * @param one 1 in the type of the pairs
 */
export function mergeRanges<T extends number | bigint>(pairs: readonly T[], one: T): T[] {
  const merged: T[] = []
  for (const place of ascending(pairs)) {
    const low = pairs[place]
    const high = pairs[place + 1]
    const last = merged.length - 1
    if (last < 0 || low > ((merged[last] as number) + (one as number) as T)) merged.push(low, high)
    else if (high > merged[last]) merged[last] = high
  }
  return merged
}

/** Pairs of 128-bit integers without the IPv4-mapped addresses, which have ranges of their own. */
export function withoutMapped(pairs: readonly bigint[]): bigint[] {
  const out: bigint[] = []
  for (let i = 0; i < pairs.length; i += 2) {
    if (pairs[i] < MAPPED_LOW) out.push(pairs[i], least(pairs[i + 1], MAPPED_LOW - 1n))
    if (pairs[i + 1] > MAPPED_HIGH) out.push(most(pairs[i], MAPPED_HIGH + 1n), pairs[i + 1])
  }
  return out
}

/** The ranges of ascending pairs. */
export function toNumberRanges(pairs: readonly number[]): NumberRanges {
  const count = pairs.length / 2
  const [starts, ends] = [new Float64Array(count), new Float64Array(count)]
  for (let i = 0; i < count; i++) {
    starts[i] = pairs[i * 2]
    ends[i] = pairs[i * 2 + 1]
  }
  return { starts, ends }
}

/** The ranges of ascending pairs. */
export function toIpv4Ranges(pairs: readonly number[]): Ipv4Ranges {
  const ranges = toNumberRanges(pairs)
  const shift = ranges.starts.length < MANY ? 31 : 16
  const index = new Uint32Array(2 ** (32 - shift) + 1)
  let place = 0
  for (let upper = 0; upper < index.length; upper++) {
    while (ranges.starts[place] < upper * 2 ** shift) place++
    index[upper] = place
  }
  return { ...ranges, index, shift }
}

/** The ranges of ascending pairs. */
export function toWideRanges(pairs: readonly bigint[]): WideRanges {
  const count = pairs.length / 2
  const [starts, ends] = [new Uint32Array(count * 4), new Uint32Array(count * 4)]
  for (let i = 0; i < count; i++) {
    writeWords(pairs[i * 2], starts, i * 4)
    writeWords(pairs[i * 2 + 1], ends, i * 4)
  }
  return { starts, ends }
}

/** Whether a number lies in one of the ranges: 1 or 0. */
export function inNumbers({ starts, ends }: NumberRanges, value: number): 0 | 1 {
  return search(starts, ends, 0, starts.length, value)
}

/** Whether an IPv4 address lies in one of the ranges: 1 or 0. */
export function inIpv4({ starts, ends, index, shift }: Ipv4Ranges, address: number): 0 | 1 {
  const upper = address >>> shift
  return search(starts, ends, index[upper], index[upper + 1], address)
}

/** The same, where the ranges below `low` begin at or below the value, and those from `high` on above it. */
function search(starts: Float64Array, ends: Float64Array, low: number, high: number, value: number): 0 | 1 {
  while (low < high) {
    const middle = (low + high) >>> 1
    if (starts[middle] <= value) low = middle + 1
    else high = middle
  }
  return low > 0 && value <= ends[low - 1] ? 1 : 0
}

/** Whether a 128-bit integer, as four words, lies in one of the ranges: 1 or 0. */
export function inWide({ starts, ends }: WideRanges, w0: number, w1: number, w2: number, w3: number): 0 | 1 {
  let low = 0
  let high = starts.length >>> 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (atMost(starts, middle * 4, w0, w1, w2, w3)) low = middle + 1
    else high = middle
  }
  if (low === 0) return 0
  const at = (low - 1) * 4
  const equal = ends[at] === w0 && ends[at + 1] === w1 && ends[at + 2] === w2 && ends[at + 3] === w3
  return equal || !atMost(ends, at, w0, w1, w2, w3) ? 1 : 0
}

/** Whether the integer at `words[at]` is the given one or below it. */
function atMost(words: Uint32Array, at: number, w0: number, w1: number, w2: number, w3: number): boolean {
  if (words[at] !== w0) return words[at] < w0
  if (words[at + 1] !== w1) return words[at + 1] < w1
  if (words[at + 2] !== w2) return words[at + 2] < w2
  return words[at + 3] <= w3
}

/** Where pairs begin, in the order of their first number. */
function ascending<T extends number | bigint>(pairs: readonly T[]): Uint32Array {
  const places = Uint32Array.from({ length: pairs.length / 2 }, (_, i) => i * 2)
  let sorted = true
  for (let i = 2; i < pairs.length && sorted; i += 2) sorted = pairs[i - 2] <= pairs[i]
  return sorted ? places : places.sort((a, b) => pairs[a] < pairs[b] ? -1 : pairs[a] > pairs[b] ? 1 : 0)
}

function writeWords(value: bigint, words: Uint32Array, at: number): void {
  for (let i = 3; i >= 0; i--) {
    words[at + i] = Number(value & 0xffffffffn)
    value >>= 32n
  }
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
