import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { inIpv4, inNumbers, inWide, type Ipv4Ranges, type NumberRanges, type WideRanges } from './sets.ts'

/** A column with one number a row. */
export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array

/** Sequences of bytes, to look up. */
export interface ByteSet {
  readonly byHash: ReadonlyMap<number, readonly Uint8Array[]>
  /** Bytes of the longest; rows with more are not looked at. */
  readonly longest: number
}

const MAPPED_MARK = 0xffff // third word of an IPv4-mapped address

/** 1 where a number lies from `low` to `high`, or with `outside` where it lies below or above. */
export function selectRange(
  column: Numbers, low: number, high: number, outside: boolean, length: number, out: Uint8Array,
): void {
  if (outside) {
    for (let i = 0; i < length; i++) {
      const value = column[i]
      out[i] = Number(value < low) | Number(value > high)
    }
    return
  }
  for (let i = 0; i < length; i++) { // without a branch, which random values make dear
    const value = column[i]
    out[i] = Number(value >= low) & Number(value <= high)
  }
}

/** 1 where all bits of `mask` are set. */
export function selectBits(column: Numbers, mask: number, length: number, out: Uint8Array): void {
  for (let i = 0; i < length; i++) out[i] = (column[i] & mask) >>> 0 === mask ? 1 : 0
}

/** What the table has at each number. */
export function selectTable(column: Numbers, table: Uint8Array, length: number, out: Uint8Array): void {
  for (let i = 0; i < length; i++) out[i] = table[column[i]]
}

/** 1 where a number lies in one of the ranges, or with `not` where it is a number and lies in none. */
export function selectRanges(
  column: Numbers, ranges: NumberRanges, not: boolean, length: number, out: Uint8Array,
): void {
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) {
    const value = column[i]
    out[i] = value === value ? inNumbers(ranges, value) ^ flip : 0 // NaN: no number
  }
}

/** What `outcomes` has for less, equal and more, of the numbers of two columns. */
export function selectOrder(
  left: Numbers, right: Numbers, outcomes: readonly [0 | 1, 0 | 1, 0 | 1], length: number, out: Uint8Array,
): void {
  const [less, equal, more] = outcomes
  for (let i = 0; i < length; i++) out[i] = left[i] < right[i] ? less : left[i] > right[i] ? more : equal
}

/** 1 where an integer of 64 bits, a pair (low, high), lies in one of the ranges, or with `not` in none. */
export function selectWide(
  column: Uint32Array, ranges: WideRanges, not: boolean, length: number, out: Uint8Array,
): void {
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) out[i] = inWide(ranges, 0, 0, column[i * 2 + 1], column[i * 2]) ^ flip
}

/** 1 where an address lies in one of the ranges, or with `not` where it is one and lies in none. */
export function selectAddresses(
  column: AddressColumn, v4: Ipv4Ranges, v6: WideRanges, not: boolean, length: number, out: Uint8Array,
): void {
  const { family, v4: addresses } = column
  const flip = not ? 1 : 0
  const one = v4.starts.length === 1 // nearly every test: no search then
  const [low, high] = one ? [v4.starts[0], v4.ends[0]] : [1, 0]
  const words = new DataView(column.v6.buffer, column.v6.byteOffset, column.v6.byteLength)
  for (let i = 0; i < length; i++) {
    if (family[i] === 4) {
      const address = addresses[i]
      out[i] = (one ? Number(address >= low) & Number(address <= high) : inIpv4(v4, address)) ^ flip
    } else if (family[i] === 6) out[i] = inIpv6(words, i * 16, v4, v6) ^ flip
    else out[i] = 0
  }
}

function inIpv6(words: DataView, at: number, v4: Ipv4Ranges, v6: WideRanges): 0 | 1 {
  const [w0, w1] = [words.getUint32(at), words.getUint32(at + 4)]
  const [w2, w3] = [words.getUint32(at + 8), words.getUint32(at + 12)]
  return w0 === 0 && w1 === 0 && w2 === MAPPED_MARK ? inIpv4(v4, w3) : inWide(v6, w0, w1, w2, w3)
}

/** A set of sequences of bytes. */
export function toByteSet(values: readonly Uint8Array[]): ByteSet {
  const byHash = new Map<number, Uint8Array[]>()
  let longest = 0
  for (const value of values) {
    const hash = hashOf(value, 0, value.length)
    const others = byHash.get(hash)
    if (others) others.push(value)
    else byHash.set(hash, [value])
    longest = Math.max(longest, value.length)
  }
  return { byHash, longest }
}

/** 1 where the bytes of a row, a pair (start in heap, length), are in the set, or with `not` are not. */
export function selectBytes(
  column: Uint32Array, { heap, length }: FlowBatch, set: ByteSet, not: boolean, out: Uint8Array,
): void {
  const { byHash, longest } = set
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) {
    const start = column[i * 2]
    const end = start + column[i * 2 + 1]
    const found = end - start <= longest ? byHash.get(hashOf(heap, start, end)) : undefined
    out[i] = (found?.some((value) => isEqual(value, heap, start, end)) ? 1 : 0) ^ flip
  }
}

/** FNV-1a, 32 bits. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193)
  return hash >>> 0
}

function isEqual(value: Uint8Array, heap: Uint8Array, start: number, end: number): boolean {
  if (value.length !== end - start) return false
  for (let i = 0; i < value.length; i++) if (value[i] !== heap[start + i]) return false
  return true
}
