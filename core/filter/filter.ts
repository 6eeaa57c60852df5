import type { FlowBatch } from '../flow/batch.ts'
import type { FlowReader } from '../flow/stream.ts'
import { parseBpf } from './dialects/bpf.ts'
import { flowdFilter, flowdTags } from './dialects/flowd-rules.ts'
import { readFlowdRules } from './dialects/flowd.ts'
import { parseNfilter } from './dialects/nfilter.ts'
import { compileNode } from './evaluate/compile.ts'
import { DERIVED } from './evaluate/derived.ts'
import { nodeToSql } from './evaluate/sql.ts'
import { nodeToText } from './language/explain.ts'
import type { FilterFile, ReadFile } from './language/lexer.ts'
import { parseNode } from './language/parse.ts'
import type { FindHost } from './language/value-set.ts'
import type { Node } from './node.ts'
import { compileTags, type TagRule } from './tags.ts'

export type { FilterFile, FindHost, ReadFile }

/**
 * A filter: nfdump's language, with any field by name as well.
 *
 * A test of a value that a flow does not have is false, so `not src port 80` holds where there is no port.
 * Other than in nfdump 1.7 the top MPLS label is `label1`, a flow that ends before it begins has a negative
 * duration, and a record that does not say how many flows it stands for is 1; as in its manual and 1.7.1,
 * `not flags AF` is none of these flags.
 */
export interface Filter {
  /** As it was written. */
  readonly text: string
  readonly root: Node
  /** What the flows that it selects are marked with, as rules of flowd can have it. */
  readonly tags?: readonly TagRule[]
}

/**
 * Languages that filters may be written in: `nfdump` is flowkit's own, `flowd` the rules of a flowd.conf,
 * `flow-nfilter` a file of definitions, `bpf` a packet filter's expression.
 */
export const DIALECTS = ['nfdump', 'flowd', 'flow-nfilter', 'bpf'] as const
/** One of DIALECTS. */
export type Dialect = (typeof DIALECTS)[number]

/** What a filter is read with. */
export interface FilterContext {
  /** `nfdump` if not given. */
  readonly dialect?: Dialect
  /** Of `flow-nfilter`: the name of a definition, and values of variables as `NAME=VALUE`. */
  readonly definition?: string
  /** µs since the epoch, which times like `-1h` count from. */
  readonly now?: number
  /** Reads the files that a filter names; without it naming one is a fault. */
  readonly read?: ReadFile
  /** Finds the addresses of hosts that a filter of `nfdump` or `bpf` names; without it that is a fault. */
  readonly hosts?: FindHost
  /** Path of the file that the text is from. */
  readonly path?: string
}

/**
 * Read a filter. Empty text selects every flow.
 *
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault; and what `read`
 *   throws
 */
export function parseFilter(text: string, context: FilterContext = {}): Filter {
  const { dialect = 'nfdump', definition = '', now = Date.now() * 1e3, read, hosts, path } = context
  const source = { text, ...path !== undefined && { path } }
  switch (dialect) {
    case 'nfdump': return { text, root: parseNode(source, now, read, hosts) }
    case 'flowd': {
      const rules = readFlowdRules(source)
      const parse = (test: string): Node => parseNode({ text: test }, now)
      const tags = flowdTags(rules).map(({ test, tag }) => ({ root: parse(test), tag }))
      return { text, root: parse(flowdFilter(rules)), ...tags.length > 0 && { tags } }
    }
    case 'flow-nfilter': return { text, root: parseNfilter(source, definition, now) }
    case 'bpf': return { text, root: parseBpf(source, hosts) }
  }
}

/**
 * A function that tests the rows of a batch: 1 or 0 for each into `selected`, which is at least as long.
 *
 * @returns how many are 1
 */
export function compileFilter(filter: Filter): (batch: FlowBatch, selected: Uint8Array) => number {
  return compileNode(filter.root)
}

/**
 * The flows of `reader` that a filter selects, marked with its tags, in the reader's own batches; empty ones
 * are passed over.
 */
export async function* filterFlows(reader: FlowReader, filter: Filter): FlowReader {
  const select = compileFilter(filter)
  const mark = compileTags(filter.tags ?? [])
  let selected = new Uint8Array(0)
  for await (const batch of reader) {
    if (selected.length < batch.length) selected = new Uint8Array(batch.capacity)
    const count = select(batch, selected)
    if (count === 0) continue
    if (count < batch.length) batch.keep(selected)
    mark(batch)
    yield batch
  }
}

/** Flows that a filter has selected, marked with its tags. */
export async function* tagFlows(reader: FlowReader, { tags = [] }: Filter): FlowReader {
  const mark = compileTags(tags)
  for await (const batch of reader) {
    mark(batch)
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

/** Ids of the fields that a filter looks at, to select flows and to mark them, ascending. */
export function filterFields({ root, tags = [] }: Filter): number[] {
  const fields = new Set<number>()
  const rest: Node[] = [root, ...tags.map((rule) => rule.root)]
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
