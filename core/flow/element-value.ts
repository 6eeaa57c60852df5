/** Values of information elements as they should look in JSON. */
import type { ElementType } from './elements.ts'
import { formatList, isList, type ListValue } from './list-value.ts'
import { formatScalar } from './scalar-value.ts'

/** A decoded value; arrays and objects are of lists. */
export type ElementValue = ListValue

/**
 * The value of an element, `bytes[start..end)`, as a batch keeps it: see `formatScalar`, and for lists
 * `formatList`.
 */
export function formatElement(
  type: ElementType | undefined, bytes: Uint8Array, start: number, end: number,
): ElementValue {
  return isList(type) ? formatList(type, bytes, start, end) : formatScalar(type, bytes, start, end)
}
