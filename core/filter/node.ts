import type { DerivedName } from './derived.ts'

/** Where a test takes its number from: the id of a field, or the name of a number worked out from fields. */
export type Source = number | DerivedName

/** Comparison of two numbers; `&`: every bit of the right is set in the left. */
export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=' | '&'

/** Comparison of two fields. */
export type PairOperator = Exclude<Operator, '&'>

/**
 * A filter as a tree. Every node is true or false for a row: a test of an absent value is false.
 *
 * Ranges are pairs (lowest, highest), ascending, with a gap between two. `not` of a leaf means: there is a
 * value, and it is none of these.
 */
export type Node =
  | { readonly kind: 'all' }
  | { readonly kind: 'and' | 'or', readonly nodes: readonly Node[] }
  | { readonly kind: 'not', readonly node: Node }
  | { readonly kind: 'defined', readonly field: number }
  | { readonly kind: 'compare', readonly source: Source, readonly operator: Operator, readonly value: number }
  | { readonly kind: 'pair', readonly left: number, readonly operator: PairOperator, readonly right: number }
  | Leaf

/** Tests whether a value is in a set: the kind follows from the type of the field. */
export type Leaf = NumberLeaf | WideLeaf | AddressLeaf | BytesLeaf

/** Numbers, times and MAC addresses. */
export interface NumberLeaf {
  readonly kind: 'number'
  readonly source: Source
  readonly not: boolean
  readonly ranges: readonly number[]
}

/** Fields of type `u64`. */
export interface WideLeaf {
  readonly kind: 'wide'
  readonly field: number
  readonly not: boolean
  readonly ranges: readonly bigint[]
}

/** IPv4 as numbers, IPv6 as 128-bit integers; IPv6 never holds an IPv4-mapped address, which is IPv4. */
export interface AddressLeaf {
  readonly kind: 'address'
  readonly field: number
  readonly not: boolean
  readonly v4: readonly number[]
  readonly v6: readonly bigint[]
}

/** Fields of type `text` (in UTF-8) and `octets`. */
export interface BytesLeaf {
  readonly kind: 'bytes'
  readonly field: number
  readonly not: boolean
  readonly values: readonly Uint8Array[]
}

/** The node that is true where all of `nodes` are. */
export function allOf(nodes: readonly Node[]): Node {
  return nodes.length === 1 ? nodes[0] : { kind: 'and', nodes }
}

/** The node that is true where one of `nodes` is. */
export function anyOf(nodes: readonly Node[]): Node {
  return nodes.length === 1 ? nodes[0] : { kind: 'or', nodes }
}
