/** A set of IP addresses: ascending ranges with a gap between two, in typed arrays, so that a million fit. */
export interface AddressSet {
  /** IPv4: pairs (lowest, highest). */
  readonly v4: Uint32Array
  /** IPv6: 8 words a range, highest word first: the lowest address, then the highest. No IPv4-mapped ones. */
  readonly v6: Uint32Array
}

/** Addresses to make a set of. */
export interface AddressList {
  readonly count: number
  /** Add a range of IPv4. */
  add4(low: number, high: number): void
  /** Add the range of IPv6 in `words[at]` and the 7 behind it, as sets have it. */
  add6(words: Uint32Array, at: number): void
  /** The set of what was added; IPv4-mapped addresses of IPv6 ranges are left out: they are IPv4. */
  toSet(): AddressSet
}

const MAPPED = 0xffff // third word of an IPv4-mapped address (RFC 4291 §2.5.5.2)
const ALL_ONES = 0xffffffff

/** No addresses yet. */
export function addressList(): AddressList {
  let v4 = new Uint32Array(16)
  let v6 = new Uint32Array(16)
  let [length4, length6] = [0, 0]
  return {
    get count() { return length4 / 2 + length6 / 8 },
    add4(low, high) {
      if (length4 === v4.length) v4 = doubled(v4)
      v4[length4++] = low
      v4[length4++] = high
    },
    add6(words, at) {
      if (length6 === v6.length) v6 = doubled(v6)
      for (let i = 0; i < 8; i++) v6[length6++] = words[at + i]
    },
    toSet: () => ({ v4: merge4(v4.subarray(0, length4)), v6: merge6(v6.subarray(0, length6)) }),
  }
}

/** The addresses that are in one of the sets. */
export function uniteSets(sets: readonly AddressSet[]): AddressSet {
  return { v4: merge4(joined(sets.map(({ v4 }) => v4))), v6: merge6(joined(sets.map(({ v6 }) => v6))) }
}

/** Whether a 128-bit integer, as four words, lies in one of the ranges, 8 words each: 1 or 0. */
export function inWords(ranges: Uint32Array, w0: number, w1: number, w2: number, w3: number): 0 | 1 {
  let low = 0
  let high = ranges.length >>> 3
  while (low < high) {
    const middle = (low + high) >>> 1
    if (atMost(ranges, middle * 8, w0, w1, w2, w3)) low = middle + 1
    else high = middle
  }
  if (low === 0) return 0
  const at = low * 8 - 4
  const equal = ranges[at] === w0 && ranges[at + 1] === w1 && ranges[at + 2] === w2 && ranges[at + 3] === w3
  return equal || !atMost(ranges, at, w0, w1, w2, w3) ? 1 : 0
}

/** Whether the integer at `words[at]` is the given one or below it. */
function atMost(words: Uint32Array, at: number, w0: number, w1: number, w2: number, w3: number): boolean {
  if (words[at] !== w0) return words[at] < w0
  if (words[at + 1] !== w1) return words[at + 1] < w1
  if (words[at + 2] !== w2) return words[at + 2] < w2
  return words[at + 3] <= w3
}

function merge4(pairs: Uint32Array): Uint32Array {
  const out = new Uint32Array(pairs.length)
  let length = 0
  for (const place of ascending(pairs, 2, 1)) {
    const low = pairs[place * 2]
    const high = pairs[place * 2 + 1]
    if (length === 0 || low > out[length - 1] + 1) {
      out[length++] = low
      out[length++] = high
    } else if (high > out[length - 1]) out[length - 1] = high
  }
  return out.slice(0, length)
}

function merge6(ranges: Uint32Array): Uint32Array {
  const out = new Uint32Array(ranges.length)
  let length = 0
  for (const place of ascending(ranges, 8, 4)) {
    const at = place * 8
    if (length === 0 || isApart(out, length - 4, ranges, at)) {
      for (let i = 0; i < 8; i++) out[length + i] = ranges[at + i]
      length += 8
    } else if (!atMost(ranges, at + 4, out[length - 4], out[length - 3], out[length - 2], out[length - 1])) {
      for (let i = 4; i < 8; i++) out[length - 8 + i] = ranges[at + i]
    }
  }
  // what begins above the mapped addresses, as all of the Internet does, needs no cutting
  return length > 0 && atMost(out, 0, 0, 0, MAPPED, ALL_ONES) ? cutMapped(out, length) : out.slice(0, length)
}

/** Whether the integer at `b[j]` is more than one above that at `a[i]`. */
function isApart(a: Uint32Array, i: number, b: Uint32Array, j: number): boolean {
  let carry = 1
  let [w0, w1, w2, w3] = [a[i], a[i + 1], a[i + 2], a[i + 3]]
  w3 += carry
  carry = w3 > ALL_ONES ? 1 : 0
  w2 += carry
  carry = w2 > ALL_ONES ? 1 : 0
  w1 += carry
  carry = w1 > ALL_ONES ? 1 : 0
  w0 += carry
  if (w0 > ALL_ONES) return false // nothing is above
  return !atMost(b, j, w0, w1 >>> 0, w2 >>> 0, w3 >>> 0)
}

/** Ranges, 8 words each up to `length`, without the IPv4-mapped addresses. */
function cutMapped(ranges: Uint32Array, length: number): Uint32Array {
  const out = new Uint32Array(length + 8)
  let end = 0
  for (let at = 0; at < length; at += 8) {
    const startsBelow = atMost(ranges, at, 0, 0, MAPPED - 1, ALL_ONES)
    const startsAbove = !atMost(ranges, at, 0, 0, MAPPED, ALL_ONES)
    const endsBelow = atMost(ranges, at + 4, 0, 0, MAPPED - 1, ALL_ONES)
    const endsAbove = !atMost(ranges, at + 4, 0, 0, MAPPED, ALL_ONES)
    const low = ranges.subarray(at, at + 4)
    const high = ranges.subarray(at + 4, at + 8)
    if (startsAbove || endsBelow) {
      out.set(low, end)
      out.set(high, end + 4)
      end += 8
      continue
    }
    if (startsBelow) {
      out.set(low, end)
      out.set([0, 0, MAPPED - 1, ALL_ONES], end + 4)
      end += 8
    }
    if (endsAbove) {
      out.set([0, 0, MAPPED + 1, 0], end)
      out.set(high, end + 4)
      end += 8
    }
  }
  return out.slice(0, end)
}

/** The places of entries of `stride` words, in the order of their first `keys` words. */
function ascending(words: Uint32Array, stride: number, keys: number): Uint32Array {
  const count = words.length / stride
  let order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  if (isAscending(words, stride, keys)) return order
  let other = new Uint32Array(count)
  const places = new Uint32Array(256)
  for (let word = keys - 1; word >= 0; word--) {
    for (let shift = 0; shift < 32; shift += 8) {
      places.fill(0)
      for (let at = word; at < words.length; at += stride) places[words[at] >>> shift & 255]++
      if (places[words[word] >>> shift & 255] === count) continue // all alike
      for (let digit = 0, sum = 0; digit < 256; digit++) {
        const size = places[digit]
        places[digit] = sum
        sum += size
      }
      for (let i = 0; i < count; i++) {
        const place = order[i]
        other[places[words[place * stride + word] >>> shift & 255]++] = place
      }
      [order, other] = [other, order]
    }
  }
  return order
}

function isAscending(words: Uint32Array, stride: number, keys: number): boolean {
  for (let at = stride; at < words.length; at += stride) {
    let word = 0
    while (word < keys - 1 && words[at + word] === words[at + word - stride]) word++
    if (words[at + word] < words[at + word - stride]) return false
  }
  return true
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  const out = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function doubled(words: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(words.length * 2)
  larger.set(words)
  return larger
}
