import type { AddressColumn } from '../../flow/address.ts'
import { inWords } from './address-set.ts'
import { inIpv4, inNumbers, type Ipv4Ranges, type NumberRanges } from './sets.ts'

/** A column with one number a row. */
export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array

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

/** 1 where the bits under `mask` are `bits`, or with `not` where they are others. */
export function selectBits(
  column: Numbers, mask: number, bits: number, not: boolean, length: number, out: Uint8Array,
): void {
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) out[i] = Number((column[i] & mask) >>> 0 === bits) ^ flip
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
  column: Uint32Array, ranges: Uint32Array, not: boolean, length: number, out: Uint8Array,
): void {
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) out[i] = inWords(ranges, 0, 0, column[i * 2 + 1], column[i * 2]) ^ flip
}

/** 1 where an address lies in one of the ranges, or with `not` where it is one and lies in none. */
export function selectAddresses(
  column: AddressColumn, v4: Ipv4Ranges, v6: Uint32Array, not: boolean, length: number, out: Uint8Array,
): void {
  const { family, v4: addresses } = column
  const flip = not ? 1 : 0
  const one = v4.pairs.length === 2 // nearly every test: no search then
  const [low, high] = one ? v4.pairs : [1, 0]
  const words = new DataView(column.v6.buffer, column.v6.byteOffset, column.v6.byteLength)
  for (let i = 0; i < length; i++) {
    if (family[i] === 4) {
      const address = addresses[i]
      out[i] = (one ? Number(address >= low) & Number(address <= high) : inIpv4(v4, address)) ^ flip
    } else if (family[i] === 6) out[i] = inIpv6(words, i * 16, v4, v6) ^ flip
    else out[i] = 0
  }
}

/** 1 where the bits of an IPv4 address under `mask` are `bits`, or with `not` where it is another address. */
export function selectAddressBits(
  column: AddressColumn, mask: number, bits: number, not: boolean, length: number, out: Uint8Array,
): void {
  const { family, v4 } = column
  const flip = not ? 1 : 0
  const words = new DataView(column.v6.buffer, column.v6.byteOffset, column.v6.byteLength)
  for (let i = 0; i < length; i++) {
    if (family[i] === 4) out[i] = Number((v4[i] & mask) >>> 0 === bits) ^ flip
    else if (family[i] === 6) {
      const found = isMapped(words, i * 16) && (words.getUint32(i * 16 + 12) & mask) >>> 0 === bits
      out[i] = Number(found) ^ flip
    } else out[i] = 0
  }
}

function inIpv6(words: DataView, at: number, v4: Ipv4Ranges, v6: Uint32Array): 0 | 1 {
  const last = words.getUint32(at + 12)
  if (isMapped(words, at)) return inIpv4(v4, last)
  return inWords(v6, words.getUint32(at), words.getUint32(at + 4), words.getUint32(at + 8), last)
}

function isMapped(words: DataView, at: number): boolean {
  return words.getUint32(at + 8) === MAPPED_MARK && words.getUint32(at) === 0 && words.getUint32(at + 4) === 0
}
