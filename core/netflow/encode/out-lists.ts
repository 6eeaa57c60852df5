import type { FlowBatch } from '../../flow/batch.ts'
import { LIST_WITH_TEMPLATES, listTypeOf } from '../../flow/list-value.ts'
import { VARIABLE_LENGTH, type Shape } from '../../flow/shape.ts'
import { shapeOf } from './row-runs.ts'

/** Whether a basicList can be sent as it is kept: not if it names templates, in lists that are in it. */
export const LIST = { whole: 0, lost: 1 } as const

const places = new WeakMap<Shape, readonly number[]>()

/** Places of the basicLists in `shape.extras`. */
export function basicLists(shape: Shape): readonly number[] {
  let found = places.get(shape)
  if (!found) {
    found = [...shape.extras.keys()].filter((i) => {
      const { pen, id } = shape.extras[i]
      return listTypeOf(pen, id) === 'basicList'
    })
    places.set(shape, found)
  }
  return found
}

/** For each of a row's `basicLists` a value of LIST. */
export function listForms(batch: FlowBatch, row: number): number[] {
  const shape = shapeOf(batch, row)
  const lists = basicLists(shape)
  if (lists.length === 0) return []
  const { heap } = batch
  let at = batch.extras[row * 2]
  const forms: number[] = []
  for (const [i, { length }] of shape.extras.entries()) {
    let size = length
    if (length === VARIABLE_LENGTH) {
      size = heap[at] << 8 | heap[at + 1]
      at += 2
    }
    const isLost = size > 0 && heap[at] === LIST_WITH_TEMPLATES
    if (lists.includes(i)) forms.push(isLost ? LIST.lost : LIST.whole)
    at += size
  }
  return forms
}

/** Mark the rows whose basicLists are not of the same forms as those of the row before. */
export function markLists(batch: FlowBatch, begins: Uint8Array): void {
  if (batch.shapes.every((shape) => basicLists(shape).length === 0)) return
  let before = ''
  for (let row = 0; row < batch.length; row++) {
    const forms = listForms(batch, row).join()
    if (forms !== before) begins[row] = 1
    before = forms
  }
}
