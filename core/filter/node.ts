import type { AddressSet } from './evaluate/address-set.ts'
import type { DerivedName } from './evaluate/derived.ts'

/** Where a test takes its number from: the id of a field, or the name of a number worked out from fields. */
export type Source = number | DerivedName

/** Comparison of two numbers. */
export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>='

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
  | { readonly kind: 'pair', readonly left: number, readonly operator: Operator, readonly right: number }
  | Leaf

/** Tests of one value; the kind of a set follows from the type of the field. */
export type Leaf = SetLeaf | BitsLeaf | PatternLeaf

/** Tests whether a value is in a set. */
export type SetLeaf = NumberLeaf | WideLeaf | AddressLeaf | BytesLeaf

/** Numbers, times and MAC addresses. */
export interface NumberLeaf {
  readonly kind: 'number'
  readonly source: Source
  readonly not: boolean
  readonly ranges: readonly number[]
  /** The file that they are from. */
  readonly file?: string
}

/** Fields of type `u64`. */
export interface WideLeaf {
  readonly kind: 'wide'
  readonly field: number
  readonly not: boolean
  readonly ranges: readonly bigint[]
  /** The file that they are from. */
  readonly file?: string
}

/** Addresses; an IPv4-mapped one is IPv4. */
export interface AddressLeaf {
  readonly kind: 'address'
  readonly field: number
  readonly not: boolean
  readonly set: AddressSet
  /** The file that they are from. */
  readonly file?: string
}

/** Fields of type `text` (in UTF-8) and `octets`. */
export interface BytesLeaf {
  readonly kind: 'bytes'
  readonly field: number
  readonly not: boolean
  readonly values: readonly Uint8Array[]
  /** The file that they are from. */
  readonly file?: string
}

/** Some bits of a field of type `u8`, `u16` or `u32`, or of an IPv4 address: `value & mask = bits`. */
export interface BitsLeaf {
  readonly kind: 'bits'
  readonly field: number
  readonly not: boolean
  readonly mask: number
  readonly bits: number
}

/** Fields of type `text`: these pieces in this order, between which anything may stand. */
export interface PatternLeaf {
  readonly kind: 'pattern'
  readonly field: number
  readonly not: boolean
  /** In UTF-8, at least one; the first begins the text and the last ends it, and both may be empty. */
  readonly pieces: readonly Uint8Array[]
}

/** The node that is true of every row. */
export const EVERY: Node = { kind: 'all' }

/** The node that is true of no row. */
export const NONE: Node = { kind: 'not', node: EVERY }

/** The node that is true where all of `nodes` are. */
export function allOf(nodes: readonly Node[]): Node {
  if (nodes.length === 0) return EVERY
  return nodes.length === 1 ? nodes[0] : { kind: 'and', nodes }
}

/** The node that is true where one of `nodes` is. */
export function anyOf(nodes: readonly Node[]): Node {
  if (nodes.length === 0) return NONE
  return nodes.length === 1 ? nodes[0] : { kind: 'or', nodes }
}

/** The node that is true where `node` is not. */
export function noneOf(node: Node): Node {
  return node.kind === 'not' ? node.node : { kind: 'not', node }
}
