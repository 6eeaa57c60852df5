import type { AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { FIELDS } from '../../flow/fields.ts'
import type { BitsLeaf, BytesLeaf, Leaf, Node, NumberLeaf, Operator, Source } from '../node.ts'
import { selectBytes, selectPattern, toByteSet } from './byte-loops.ts'
import { DERIVED, loadField, type DerivedName } from './derived.ts'
import {
  selectAddressBits, selectAddresses, selectBits, selectOrder, selectRange, selectRanges, selectTable,
  selectWide, type Numbers,
} from './loops.ts'
import { toIpv4Ranges, toNumberRanges, toWords } from './sets.ts'
import { simplify } from './simplify.ts'

/** Writes 1 or 0 for each row of a batch. */
type Evaluate = (batch: FlowBatch, out: Uint8Array) => unknown

/** Results of operators where the left is less, equal, more. */
const ORDER: Readonly<Record<Operator, readonly [0 | 1, 0 | 1, 0 | 1]>> = {
  '=': [0, 1, 0], '!=': [1, 0, 1], '<': [1, 0, 0], '<=': [1, 1, 0], '>': [0, 0, 1], '>=': [0, 1, 1],
}

/** Arrays that evaluations share, so that a batch allocates none. */
class Scratch {
  private readonly flags: Uint8Array[] = []
  private readonly numbers: Float64Array[] = []

  /** Results of one level of the tree: nodes of one level never need them at the same time. */
  results(level: number, length: number): Uint8Array {
    if (!(this.flags[level]?.length >= length)) this.flags[level] = new Uint8Array(length)
    return this.flags[level]
  }

  values(place: number, length: number): Float64Array {
    if (!(this.numbers[place]?.length >= length)) this.numbers[place] = new Float64Array(length)
    return this.numbers[place]
  }
}

/**
 * A function that tests every row of a batch, column by column: 1 or 0 into `selected`, which is at least
 * `batch.length` long. It returns how many rows are 1.
 */
export function compileNode(node: Node): (batch: FlowBatch, selected: Uint8Array) => number {
  const evaluate = compile(simplify(node), 0, new Scratch())
  return (batch, selected) => {
    const { length } = batch
    if (selected.length < length) {
      throw new RangeError(`Cannot select from ${length} rows: ${selected.length} flags given`)
    }
    evaluate(batch, selected)
    let count = 0
    for (let i = 0; i < length; i++) count += selected[i]
    return count
  }
}

function compile(node: Node, level: number, scratch: Scratch): Evaluate {
  switch (node.kind) {
    case 'all': return (batch, out) => out.fill(1, 0, batch.length)
    case 'and': case 'or': {
      const parts = node.nodes.map((one, i) => compile(one, i === 0 ? level : level + 1, scratch))
      return node.kind === 'and' ? compileAnd(parts, level, scratch) : compileOr(parts, level, scratch)
    }
    case 'not': {
      const inner = compile(node.node, level, scratch)
      return (batch, out) => {
        inner(batch, out)
        for (let i = 0; i < batch.length; i++) out[i] ^= 1
      }
    }
    case 'defined': return whereDefined(node.field, (batch, out) => out.fill(1, 0, batch.length))
    case 'compare': return compileCompare(node.source, node.operator, node.value, scratch)
    case 'pair': return compilePair(node.left, node.operator, node.right)
    default: return compileLeaf(node, scratch)
  }
}

function compileAnd(parts: readonly Evaluate[], level: number, scratch: Scratch): Evaluate {
  return (batch, out) => {
    const { length } = batch
    const other = scratch.results(level, length)
    parts[0](batch, out)
    for (let part = 1; part < parts.length; part++) {
      const first = out.indexOf(1)
      if (first < 0 || first >= length) return
      parts[part](batch, other)
      for (let i = 0; i < length; i++) out[i] &= other[i]
    }
  }
}

function compileOr(parts: readonly Evaluate[], level: number, scratch: Scratch): Evaluate {
  return (batch, out) => {
    const { length } = batch
    const other = scratch.results(level, length)
    parts[0](batch, out)
    for (let part = 1; part < parts.length; part++) {
      const first = out.indexOf(0)
      if (first < 0 || first >= length) return
      parts[part](batch, other)
      for (let i = 0; i < length; i++) out[i] |= other[i]
    }
  }
}

function compileCompare(source: Source, operator: Operator, value: number, scratch: Scratch): Evaluate {
  const [low, high, outside] = bounds(operator, value)
  return withNumbers(source, scratch, (column, length, out) => {
    selectRange(column, low, high, outside, length, out)
  })
}

/** The range that an operator means, or what lies outside of it. */
function bounds(operator: Operator, value: number): readonly [low: number, high: number, outside: boolean] {
  switch (operator) {
    case '<': return [value, Infinity, true]
    case '<=': return [-Infinity, value, false]
    case '>': return [-Infinity, value, true]
    case '>=': return [value, Infinity, false]
    default: return [value, value, operator === '!=']
  }
}

function compilePair(left: number, operator: Operator, right: number): Evaluate {
  const outcomes = ORDER[operator]
  return whereDefined(left, whereDefined(right, (batch, out) => {
    selectOrder(batch.column(left) as Numbers, batch.column(right) as Numbers, outcomes, batch.length, out)
  }))
}

function compileLeaf(node: Leaf, scratch: Scratch): Evaluate {
  switch (node.kind) {
    case 'number': return compileNumbers(node, scratch)
    case 'bytes': return compileBytes(node)
    case 'bits': return compileBits(node)
    case 'wide': {
      const { field, not } = node
      const ranges = toWords(node.ranges)
      return whereDefined(field, (batch, out) => {
        selectWide(batch.column(field) as Uint32Array, ranges, not, batch.length, out)
      })
    }
    case 'address': {
      const { field, not, set: { v6 } } = node
      const v4 = toIpv4Ranges(node.set.v4)
      return whereDefined(field, (batch, out) => {
        selectAddresses(batch.column(field) as AddressColumn, v4, v6, not, batch.length, out)
      })
    }
    case 'pattern': {
      const { field, not, pieces } = node
      return whereDefined(field, (batch, out) => {
        selectPattern(batch.column(field) as Uint32Array, batch, pieces, not, out)
      })
    }
  }
}

function compileNumbers({ source, not, ranges }: NumberLeaf, scratch: Scratch): Evaluate {
  const [low = Infinity, high = -Infinity] = ranges
  if (ranges.length <= 2) {
    return withNumbers(source, scratch, (column, length, out) => {
      selectRange(column, low, high, not, length, out)
    })
  }
  const type = typeof source === 'number' ? FIELDS[source].type : undefined
  if (type === 'u8' || type === 'u16') {
    const table = new Uint8Array(type === 'u8' ? 256 : 65_536).fill(not ? 1 : 0)
    for (let i = 0; i < ranges.length; i += 2) table.fill(not ? 0 : 1, ranges[i], ranges[i + 1] + 1)
    return withNumbers(source, scratch, (column, length, out) => selectTable(column, table, length, out))
  }
  const set = toNumberRanges(ranges)
  return withNumbers(source, scratch, (column, length, out) => selectRanges(column, set, not, length, out))
}

function compileBytes({ field, not, values }: BytesLeaf): Evaluate {
  const set = toByteSet(values)
  return whereDefined(field, (batch, out) => {
    selectBytes(batch.column(field) as Uint32Array, batch, set, not, out)
  })
}

function compileBits({ field, not, mask, bits }: BitsLeaf): Evaluate {
  return whereDefined(field, (batch, out) => {
    const column = batch.column(field)
    if (FIELDS[field].type === 'addr') {
      selectAddressBits(column as AddressColumn, mask, bits, not, batch.length, out)
    } else selectBits(column as Numbers, mask, bits, not, batch.length, out)
  })
}

/** Test the numbers of a source; rows without one are 0. */
function withNumbers(
  source: Source, scratch: Scratch, select: (column: Numbers, length: number, out: Uint8Array) => void,
): Evaluate {
  if (typeof source === 'number') {
    return whereDefined(source, (batch, out) => select(batch.column(source) as Numbers, batch.length, out))
  }
  // where there is none it is NaN, which is neither in a range nor out of one
  return (batch, out) => select(derive(source, batch, scratch), batch.length, out)
}

function derive(name: DerivedName, batch: FlowBatch, scratch: Scratch): Float64Array {
  const { fields, compute } = DERIVED[name]
  const columns = fields.map((_, place) => scratch.values(place, batch.length))
  for (const [place, id] of fields.entries()) loadField(batch, id, columns[place])
  compute(columns, batch.length, batch)
  return columns[0]
}

/** What `evaluate` says of rows that have the field, and 0 of the others. */
function whereDefined(id: number, evaluate: Evaluate): Evaluate {
  return (batch, out) => {
    const { length, shape } = batch
    if (!batch.has(id)) {
      out.fill(0, 0, length)
      return
    }
    evaluate(batch, out)
    if (batch.shapes.every(({ mask }) => mask[id] === 1)) return
    const present = batch.present(id)
    for (let i = 0; i < length; i++) out[i] &= present[shape[i]]
  }
}
