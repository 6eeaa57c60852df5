/** Elements without a column, as rows carry them, for formats that print them. */
import type { FlowBatch } from '../core/flow/batch.ts'
import { elementName, findElement } from '../core/flow/elements.ts'
import { formatElement, type ElementValue } from '../core/flow/element-value.ts'
import { distinctName } from '../core/flow/list-value.ts'
import { VARIABLE_LENGTH, type ExtraElement } from '../core/flow/shape.ts'

/** Names of extra elements; where one is taken, as by a repeated element, it is `name_2`, then `name_3`. */
export function extraNames(extras: readonly ExtraElement[], taken: Iterable<string>): string[] {
  const seen = new Map<string, number>()
  for (const name of taken) seen.set(name, 1)
  return extras.map(({ pen, id }) => distinctName(elementName(pen, id), seen))
}

/** Values of a row's extra elements, in their order; those that its bytes do not reach are left out. */
export function extraValues(extras: readonly ExtraElement[], batch: FlowBatch, row: number): ElementValue[] {
  const { heap } = batch
  let at = batch.extras[row * 2]
  const end = at + batch.extras[row * 2 + 1]
  const values: ElementValue[] = []
  for (const { pen, id, length } of extras) {
    let size = length
    if (length === VARIABLE_LENGTH) {
      if (end - at < 2) break
      size = heap[at] << 8 | heap[at + 1]
      at += 2
    }
    if (size > end - at) break
    values.push(formatElement(findElement(pen, id)?.type, heap, at, at + size))
    at += size
  }
  return values
}
