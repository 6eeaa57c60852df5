/** In what rows of one shape differ so that their records lie differently. */
import type { AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Shape } from '../../core/flow/shape.ts'

/** Addresses that are of the same kind in a record, since they lie in one extension. */
export const PAIRS: readonly (readonly number[])[] = [
  [ID.srcAddr, ID.dstAddr], [ID.bgpNextHop], [ID.nextHop], [ID.exporterAddr],
  [ID.postNatSrcAddr, ID.postNatDstAddr], [ID.tunSrcAddr, ID.tunDstAddr],
]
const ADDRESS_KINDS = 3 ** PAIRS.length
/** Counters that may have two lengths in the records of one layout, at most. */
const MOST_COUNTERS = 2
/** How many combinations of kinds there are. */
export const KINDS: number = ADDRESS_KINDS * 2 ** MOST_COUNTERS

const MAX_U32 = 0xffff_ffff

/** The families of a pair of addresses, or one twice, and what their kind counts in the number of kinds. */
interface Pair {
  readonly first: Uint8Array
  readonly second: Uint8Array
  readonly weight: number
}

/** A counter, and what it counts there if it is large. */
interface Counter {
  readonly column: Float64Array
  readonly weight: number
}

/** What decides the kinds of a shape's rows. */
export interface KindColumns {
  readonly pairs: readonly Pair[]
  readonly counters: readonly Counter[]
}

/**
 * The columns of `batch` that decide the kinds of rows of a shape.
 *
 * @param counters fields that lie otherwise from 2^32 on
 */
export function kindColumns(batch: FlowBatch, { mask }: Shape, counters: readonly number[]): KindColumns {
  const pairs: Pair[] = []
  for (const [i, fields] of PAIRS.entries()) {
    const known = fields.filter((field) => mask[field] === 1)
      .map((field) => (batch.column(field) as AddressColumn).family)
    if (known.length > 0) pairs.push({ first: known[0], second: known.at(-1)!, weight: 3 ** i })
  }
  return {
    pairs,
    counters: counters.map((field, i) => ({ field, weight: ADDRESS_KINDS * 2 ** i }))
      .filter(({ field }) => mask[field] === 1)
      .map(({ field, weight }) => ({ column: batch.column(field) as Float64Array, weight })),
  }
}

/** The kind of an address by its family: 0 none, 1 IPv4, 2 IPv6. */
const KIND = Uint8Array.of(0, 0, 0, 0, 1, 0, 2)

/** Of which kinds a row is, as a number below KINDS: a pair with one address of IPv6 is of IPv6. */
export function kindsOf({ pairs, counters }: KindColumns, row: number): number {
  let kinds = 0
  for (let i = 0; i < pairs.length; i++) {
    const { first, second, weight } = pairs[i]
    const a = KIND[first[row]]
    const b = KIND[second[row]]
    kinds += (a > b ? a : b) * weight
  }
  for (let i = 0; i < counters.length; i++) if (counters[i].column[row] > MAX_U32) kinds += counters[i].weight
  return kinds
}

/** The kind of addresses by their place among PAIRS: 0 none, 1 IPv4, 2 IPv6. */
export function addressKind(kinds: number, pair: number): number {
  return Math.floor(kinds / 3 ** pair) % 3
}

/** Whether a counter is large, by its place among the counters asked for. */
export function isLarge(kinds: number, counter: number): boolean {
  return Math.floor(kinds / ADDRESS_KINDS / 2 ** counter) % 2 === 1
}
