import type { FlowBatch } from '../flow/batch.ts'
import type { FlowReader } from '../flow/stream.ts'
import { compileNode } from './compile.ts'
import { DERIVED } from './derived.ts'
import { nodeToText } from './explain.ts'
import type { Node } from './node.ts'
import { parseNode } from './parse.ts'
import { nodeToSql } from './sql.ts'

/**
 * A filter: nfdump's language, with any field by name as well.
 *
 * A test of a value that a flow does not have is false, so `not src port 80` holds where there is no port.
 * Other than in nfdump 1.7 the top MPLS label is `label1`, a flow that ends before it begins has a negative
 * duration, and a record that does not say how many flows it stands for is 1.
 */
export interface Filter {
  /** As it was written. */
  readonly text: string
  readonly root: Node
}

/**
 * Read a filter. Empty text selects every flow.
 *
 * @param now µs since the epoch, which times like `-1h` count from
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault
 */
export function parseFilter(text: string, now: number = Date.now() * 1e3): Filter {
  return { text, root: parseNode(text, now) }
}

/**
 * A function that tests the rows of a batch: 1 or 0 for each into `selected`, which is at least as long.
 *
 * @returns how many are 1
 */
export function compileFilter(filter: Filter): (batch: FlowBatch, selected: Uint8Array) => number {
  return compileNode(filter.root)
}

/** The flows of `reader` that a filter selects, in the reader's own batches; empty ones are passed over. */
export async function* filterFlows(reader: FlowReader, filter: Filter): FlowReader {
  const select = compileFilter(filter)
  let selected = new Uint8Array(0)
  for await (const batch of reader) {
    if (selected.length < batch.length) selected = new Uint8Array(batch.capacity)
    const count = select(batch, selected)
    if (count === 0) continue
    if (count < batch.length) batch.keep(selected)
    yield batch
  }
}

/**
 * A filter as a DuckDB expression, true or false and never NULL, over the columns that `sqlColumns` names;
 * they must all be there: see `filterFields`.
 */
export function filterToSql(filter: Filter): string {
  return nodeToSql(filter.root)
}

/** A filter as it was understood: the fields' own names, every parenthesis; it reads as the same filter. */
export function explainFilter(filter: Filter): string {
  return nodeToText(filter.root)
}

/** Ids of the fields that a filter looks at, ascending. */
export function filterFields(filter: Filter): number[] {
  const fields = new Set<number>()
  const rest: Node[] = [filter.root]
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    if ('nodes' in node) for (const one of node.nodes) rest.push(one)
    else if ('node' in node) rest.push(node.node)
    else if ('left' in node) fields.add(node.left).add(node.right)
    else if ('field' in node) fields.add(node.field)
    else if ('source' in node) {
      const ids = typeof node.source === 'number' ? [node.source] : DERIVED[node.source].fields
      for (const id of ids) fields.add(id)
    }
  }
  return [...fields].sort((a, b) => a - b)
}
