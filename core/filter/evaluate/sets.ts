/** Ranges of numbers, ascending, for binary search. */
export interface NumberRanges {
  readonly starts: Float64Array
  readonly ends: Float64Array
}

/** Ranges of IPv4 addresses, with an index that makes a search of a million as quick as one of a few. */
export interface Ipv4Ranges {
  /** Pairs (lowest, highest), ascending. */
  readonly pairs: Uint32Array
  /** By the bits of an address above `shift`, and for one address more: how many ranges begin below these. */
  readonly index: Uint32Array
  readonly shift: number
}

/** Ranges from which on the index of IPv4 ranges is worth its 256 KiB. */
const MANY = 64

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

/** Ascending pairs with what finds an address in them. */
export function toIpv4Ranges(pairs: Uint32Array): Ipv4Ranges {
  const count = pairs.length / 2
  const shift = count < MANY ? 31 : 16
  const index = new Uint32Array(2 ** (32 - shift) + 1)
  let place = 0
  for (let upper = 0; upper < index.length; upper++) {
    while (place < count && pairs[place * 2] < upper * 2 ** shift) place++
    index[upper] = place
  }
  return { pairs, index, shift }
}

/** Pairs of 64-bit integers as ranges of 8 words (see AddressSet). */
export function toWords(pairs: readonly bigint[]): Uint32Array {
  const words = new Uint32Array(pairs.length * 4)
  for (const [i, value] of pairs.entries()) {
    words[i * 4 + 2] = Number(value >> 32n)
    words[i * 4 + 3] = Number(value & 0xffffffffn)
  }
  return words
}

/** Whether a number lies in one of the ranges: 1 or 0. */
export function inNumbers({ starts, ends }: NumberRanges, value: number): 0 | 1 {
  let low = 0
  let high = starts.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (starts[middle] <= value) low = middle + 1
    else high = middle
  }
  return low > 0 && value <= ends[low - 1] ? 1 : 0
}

/** Whether an IPv4 address lies in one of the ranges: 1 or 0. */
export function inIpv4({ pairs, index, shift }: Ipv4Ranges, address: number): 0 | 1 {
  let low = index[address >>> shift] // ranges below begin at or below the address, those from `high` on above
  let high = index[(address >>> shift) + 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (pairs[middle * 2] <= address) low = middle + 1
    else high = middle
  }
  return low > 0 && address <= pairs[low * 2 - 1] ? 1 : 0
}

/** Where pairs begin, in the order of their first number. */
function ascending<T extends number | bigint>(pairs: readonly T[]): Uint32Array {
  const places = Uint32Array.from({ length: pairs.length / 2 }, (_, i) => i * 2)
  let sorted = true
  for (let i = 2; i < pairs.length && sorted; i += 2) sorted = pairs[i - 2] <= pairs[i]
  return sorted ? places : places.sort((a, b) => pairs[a] < pairs[b] ? -1 : pairs[a] > pairs[b] ? 1 : 0)
}
