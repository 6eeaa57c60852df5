import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  addressList, inWords, uniteSets, type AddressSet,
} from '../../../core/filter/evaluate/address-set.ts'
import { inIpv4, toIpv4Ranges } from '../../../core/filter/evaluate/sets.ts'

type Ranges4 = readonly (readonly [number, number])[]
type Ranges6 = readonly (readonly [bigint, bigint])[]

function setOf(v4: Ranges4, v6: Ranges6 = []): AddressSet {
  const list = addressList()
  for (const [low, high] of v4) list.add4(low, high)
  for (const [low, high] of v6) list.add6(Uint32Array.from([...words(low), ...words(high)]), 0)
  assert.equal(list.count, v4.length + v6.length)
  return list.toSet()
}

function words(value: bigint): number[] {
  return [96n, 64n, 32n, 0n].map((shift) => Number(value >> shift & 0xffffffffn))
}

/** The ranges of IPv6, lowest and highest by turns. */
function ends({ v6 }: AddressSet): bigint[] {
  return Array.from({ length: v6.length / 4 }, (_, i) => (
    v6.subarray(i * 4, i * 4 + 4).reduce((sum, word) => sum << 32n | BigInt(word), 0n)
  ))
}

const TOP4 = 2 ** 32 - 1
const TOP6 = 2n ** 128n - 1n
const MAPPED = 0xffff00000000n

test('ranges are put in order, and those that overlap or meet become one', () => {
  const { v4 } = setOf([[9, 12], [1, 3], [4, 5], [7, 7], [2, 2], [TOP4, TOP4], [10, 11]])
  assert.deepEqual([...v4], [1, 5, 7, 7, 9, 12, TOP4, TOP4])
  const high = 1n << 64n
  assert.deepEqual(
    ends(setOf([], [[high, high + 5n], [1n, high - 1n], [TOP6, TOP6], [high + 7n, high + 7n], [2n, 3n]])),
    [1n, MAPPED - 1n, MAPPED + 0x100000000n, high + 5n, high + 7n, high + 7n, TOP6, TOP6],
  )
})

test('IPv4-mapped addresses are cut out of ranges of IPv6', () => {
  const above = MAPPED + 0x100000000n
  assert.deepEqual(ends(setOf([], [[0n, TOP6]])), [0n, MAPPED - 1n, above, TOP6])
  assert.deepEqual(ends(setOf([], [[MAPPED, MAPPED + 5n]])), [])
  assert.deepEqual(ends(setOf([], [[MAPPED - 2n, MAPPED + 5n]])), [MAPPED - 2n, MAPPED - 1n])
  assert.deepEqual(ends(setOf([], [[MAPPED + 5n, above + 1n]])), [above, above + 1n])
  const apart = setOf([], [[MAPPED + 5n, MAPPED + 9n], [1n, 2n], [above, above]])
  assert.deepEqual(ends(apart), [1n, 2n, above, above])
})

test('a set finds what is in one of its ranges, for any ranges', () => {
  const number = fc.oneof(fc.nat(40), fc.constantFrom(TOP4 - 1, TOP4, 65_535, 65_536), fc.nat(TOP4))
  const wide = fc.oneof(
    fc.bigInt(0n, 40n), fc.bigInt(2n ** 64n - 4n, 2n ** 64n + 4n), fc.bigInt(TOP6 - 4n, TOP6),
    fc.bigInt(0n, TOP6),
    fc.bigInt(0n, TOP6).map((value) => value & ~0n << 70n),
  )
  const range4 = fc.tuple(number, number).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
  const range6 = fc.tuple(wide, wide).map(([a, b]) => a < b ? [a, b] as const : [b, a] as const)
  fc.assert(fc.property(
    fc.array(range4, { maxLength: 100 }), fc.array(range6, { maxLength: 100 }), fc.nat(3),
    fc.array(number), fc.array(wide),
    (v4, v6, cut, numbers, wides) => {
      const parts = [setOf(v4.slice(0, cut), v6.slice(0, cut)), setOf(v4.slice(cut), v6.slice(cut))]
      const set = uniteSets(parts)
      assert.deepEqual(set, setOf(v4, v6))
      const ranges = toIpv4Ranges(set.v4)
      for (const value of [...numbers, ...v4.flat()]) {
        assert.equal(inIpv4(ranges, value), v4.some(([low, high]) => low <= value && value <= high) ? 1 : 0)
      }
      for (const value of [...wides, ...v6.flat()]) {
        const mapped = value >> 32n === 0xffffn
        const expected = !mapped && v6.some(([low, high]) => low <= value && value <= high)
        const [w0, w1, w2, w3] = words(value)
        assert.equal(inWords(set.v6, w0, w1, w2, w3), expected ? 1 : 0)
      }
    },
  ), { seed: 11, numRuns: 150 })
})
