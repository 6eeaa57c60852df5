import type { AddressLeaf, BytesLeaf, Node, NumberLeaf, WideLeaf } from '../node.ts'
import { uniteSets } from './address-set.ts'
import { DERIVED } from './derived.ts'
import { mergeRanges } from './sets.ts'

/**
 * The same filter for a machine: alternatives about one source are one set, so that ten thousand hosts joined
 * by `or` cost as much as a list of them.
 */
export function simplify(node: Node): Node {
  switch (node.kind) {
    case 'not': return { kind: 'not', node: simplify(node.node) }
    case 'or': return joined('or', union(flatten('or', node.nodes)))
    case 'and': {
      const nodes = flatten('and', node.nodes)
      const refused = nodes.filter((one) => one.kind === 'not')
      if (refused.length < 2) return joined('and', nodes)
      // not a and not b: not (a or b)
      const some = simplify({ kind: 'or', nodes: refused.map((one) => one.node) })
      return joined('and', [...nodes.filter((one) => one.kind !== 'not'), { kind: 'not', node: some }])
    }
    default: return node
  }
}

function joined(kind: 'and' | 'or', nodes: readonly Node[]): Node {
  return nodes.length === 1 ? nodes[0] : { kind, nodes }
}

function flatten(kind: 'and' | 'or', nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => {
    const simple = simplify(node)
    return simple.kind === kind ? simple.nodes : [simple]
  })
}

/** Nodes with each set over the same source put together, where the first of them stood. */
function union(nodes: readonly Node[]): Node[] {
  const groups = new Map<string | Node, Node[]>()
  for (const node of nodes) {
    const leaf = asSet(node)
    const key = leaf ? `${leaf.kind} ${'source' in leaf ? leaf.source : leaf.field}` : node
    const group = groups.get(key)
    if (group) group.push(leaf ?? node)
    else groups.set(key, [leaf ?? node])
  }
  return [...groups.values()].map((group) => group.length === 1 ? group[0] : unite(group))
}

/** A node as a leaf that may be put together with others, or undefined. */
function asSet(node: Node): NumberLeaf | WideLeaf | AddressLeaf | BytesLeaf | undefined {
  if (node.kind === 'compare' && node.operator === '=') {
    return { kind: 'number', source: node.source, not: false, ranges: [node.value, node.value] }
  }
  switch (node.kind) {
    case 'number': case 'wide': case 'address': case 'bytes': return node.not ? undefined : node
    default: return undefined
  }
}

function unite(group: readonly Node[]): Node {
  const [first] = group
  switch (first.kind) {
    case 'number': {
      const { source } = first
      const one = typeof source === 'string' && DERIVED[source].type === 'real' ? 0 : 1
      return { ...first, ranges: mergeRanges(group.flatMap((each) => (each as NumberLeaf).ranges), one) }
    }
    case 'wide': {
      return { ...first, ranges: mergeRanges(group.flatMap((one) => (one as WideLeaf).ranges), 1n) }
    }
    case 'bytes': return { ...first, values: group.flatMap((one) => (one as BytesLeaf).values) }
    case 'address': return { ...first, set: uniteSets(group.map((one) => (one as AddressLeaf).set)) }
    default: return first // no other kind forms groups
  }
}
