import { ID } from '../flow/fields.ts'
import { addressList, type AddressSet } from './evaluate/address-set.ts'
import { anyOf, type Node, type Source } from './node.ts'

const ALL_ONES = 2 ** 32 - 1

/** The source of a field's numbers: `flows` is 1 where it is absent, all others are themselves. */
export function sourceOf(field: number): Source {
  return field === ID.flows ? 'flowCount' : field
}

/** A flow whose source or destination is of IPv4 or IPv6. */
export function ofFamily(family: 4 | 6): Node {
  const list = addressList()
  if (family === 4) list.add4(0, ALL_ONES)
  else list.add6(Uint32Array.of(0, 0, 0, 0, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES), 0)
  const set = list.toSet()
  return anyOf([ID.srcAddr, ID.dstAddr].map((field) => inSet(field, set)))
}

/** An address that is in a set. */
export function inSet(field: number, set: AddressSet): Node {
  return { kind: 'address', field, not: false, set }
}

/** A number that is this one. */
export function equals(source: Source, value: number): Node {
  return { kind: 'compare', source, operator: '=', value }
}

/** A number that is one of some: pairs (lowest, highest), ascending, with a gap between two. */
export function inRanges(source: Source, ranges: readonly number[]): Node {
  if (ranges.length === 2 && ranges[0] === ranges[1]) return equals(source, ranges[0])
  return { kind: 'number', source, not: false, ranges }
}
