import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { withField } from '../flow/shape.ts'
import { compileNode } from './evaluate/compile.ts'
import type { Node } from './node.ts'

/** What a rule marks the flows with that it is for; undefined: it leaves them as they are. */
export interface TagRule {
  readonly root: Node
  readonly tag: number | undefined
}

/** A function that sets `tag` of the rows of a batch, each by the first rule that is for it. */
export function compileTags(rules: readonly TagRule[]): (batch: FlowBatch) => void {
  const tests = rules.map(({ root, tag }) => ({ select: compileNode(root), tag }))
  let matches = new Uint8Array(0)
  let open = new Uint8Array(0) // 1: no rule was for the row so far
  return (batch) => {
    const { length, shape } = batch
    if (matches.length < length) [matches, open] = [new Uint8Array(length), new Uint8Array(length)]
    open.fill(1, 0, length)
    for (const { select, tag } of tests) {
      select(batch, matches)
      for (let row = 0; row < length; row++) matches[row] &= open[row]
      for (let row = 0; row < length; row++) open[row] ^= matches[row]
      if (tag === undefined) continue
      const tags = batch.column(ID.tag) as Uint32Array
      const tagged = batch.shapes.map(() => -1)
      for (let row = 0; row < length; row++) {
        if (matches[row] === 0) continue
        const index = shape[row]
        if (tagged[index] < 0) tagged[index] = batch.intern(withField(batch.shapes[index], ID.tag))
        shape[row] = tagged[index]
        tags[row] = tag
      }
    }
  }
}
