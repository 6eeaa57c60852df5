import { FIELDS } from '../flow/fields.ts'
import { sqlColumns } from '../flow/sql.ts'
import { formatTime } from '../flow/time.ts'
import { DERIVED } from './derived.ts'
import type { AddressLeaf, BytesLeaf, Leaf, Node, NumberLeaf, Operator, Source, WideLeaf } from './node.ts'
import { simplify } from './simplify.ts'
import { typeOf } from './values.ts'

/** Ranges up to which each is a comparison of its own, which DuckDB can hold against a file's statistics. */
const FEW = 16
const WIDTH = 64n // bits of a word
const WORD = 2n ** WIDTH
const V4_BASE = 0xffff00000000n // low word of the IPv4-mapped addresses, whose high word is 0
const MAX_SIGNED = 2n ** 63n - 1n

/** A filter as a DuckDB expression over the columns of a flow table; never NULL. */
export function nodeToSql(node: Node): string {
  return toSql(simplify(node), true)
}

/**
 * @param open whether the expression is one of those that a WHERE joins with AND: DuckDB can skip parts of
 * files by these, if it sees plain comparisons
 */
function toSql(node: Node, open: boolean): string {
  switch (node.kind) {
    case 'all': return 'TRUE'
    case 'and': return `(${node.nodes.map((one) => toSql(one, open)).join(' AND ')})`
    case 'or': return `(${node.nodes.map((one) => toSql(one, false)).join(' OR ')})`
    case 'not': return `(NOT ${toSql(node.node, false)})`
    case 'defined': return `${firstColumn(node.field)} IS NOT NULL`
    case 'pair': {
      const test = `${FIELDS[node.left].name} ${sqlOperator(node.operator)} ${FIELDS[node.right].name}`
      return `coalesce(${test}, FALSE)`
    }
    case 'compare': {
      const [column, value] = [expressionOf(node.source), literal(node.source, node.value)]
      if (node.operator === '&') return twoValued(node.source, `(${column} & ${value}) = ${value}`, open)
      return twoValued(node.source, `${column} ${sqlOperator(node.operator)} ${value}`, open)
    }
    default: {
      const test = leafToSql(node)
      return twoValued('field' in node ? node.field : node.source, node.not ? `NOT (${test})` : test, open)
    }
  }
}

function twoValued(source: Source, test: string, open: boolean): string {
  if (open && typeof source === 'number') return `(${firstColumn(source)} IS NOT NULL AND ${test})`
  return `coalesce(${test}, FALSE)`
}

function leafToSql(node: Leaf): string {
  switch (node.kind) {
    case 'number': return numbersToSql(node)
    case 'wide': return wideToSql(node)
    case 'address': return addressesToSql(node)
    case 'bytes': return bytesToSql(node)
  }
}

function numbersToSql({ source, ranges }: NumberLeaf): string {
  const column = expressionOf(source)
  return membership(column, ranges, (value) => literal(source, value))
}

function wideToSql({ field, ranges }: WideLeaf): string {
  return membership(FIELDS[field].name, ranges, unsigned)
}

/** Single values as one list, which DuckDB looks up by hash, and ranges one by one. */
function membership<T extends number | bigint>(
  column: string, ranges: readonly T[], show: (value: T) => string,
): string {
  const values: string[] = []
  const tests: string[] = []
  for (let i = 0; i < ranges.length; i += 2) {
    if (ranges[i] === ranges[i + 1]) values.push(show(ranges[i]))
    else tests.push(`${column} BETWEEN ${show(ranges[i])} AND ${show(ranges[i + 1])}`)
  }
  if (values.length > 0) tests.unshift(oneOf(column, values))
  return anyTest(tests)
}

function addressesToSql({ field, v4, v6 }: AddressLeaf): string {
  const name = FIELDS[field].name
  const [high, low] = [`${name}_hi`, `${name}_lo`]
  const ipv4 = v4.map((value) => V4_BASE + BigInt(value))
  const few = v4.length + v6.length <= FEW * 2
  const tests: string[] = []
  if (v4.length > 0) {
    tests.push(`(${high} = 0 AND ${few ? membership(low, ipv4, unsigned) : prefixes4(low, ipv4)})`)
  }
  if (v6.length > 0) tests.push(few ? ranges6(high, low, v6) : prefixes6(high, low, v6))
  return anyTest(tests)
}

function bytesToSql({ field, values }: BytesLeaf): string {
  const show = FIELDS[field].type === 'text' ? quoted : blob
  return oneOf(FIELDS[field].name, values.map(show))
}

/** Ranges of 128-bit integers, each as comparisons of its two words. */
function ranges6(high: string, low: string, ranges: readonly bigint[]): string {
  const tests: string[] = []
  for (let i = 0; i < ranges.length; i += 2) {
    const [first, last] = [ranges[i], ranges[i + 1]]
    const [fh, fl, lh, ll] = [first / WORD, first % WORD, last / WORD, last % WORD].map(unsigned)
    const highs = fh === lh ? `${high} = ${fh}` : `${high} BETWEEN ${fh} AND ${lh}`
    if (first % WORD === 0n && last % WORD === WORD - 1n) tests.push(highs)
    else if (first === last) tests.push(`(${highs} AND ${low} = ${fl})`)
    else if (fh === lh) tests.push(`(${highs} AND ${low} BETWEEN ${fl} AND ${ll})`)
    else {
      const edges = `(${high} > ${fh} OR ${low} >= ${fl}) AND (${high} < ${lh} OR ${low} <= ${ll})`
      tests.push(`(${highs} AND ${edges})`)
    }
  }
  return anyTest(tests)
}

/** Many IPv4 ranges as prefixes: a list for each length, which DuckDB looks up by hash. */
function prefixes4(low: string, ranges: readonly bigint[]): string {
  const byLength = [...toPrefixes(ranges)]
  return anyTest(byLength.map(([free, starts]) => (
    oneOf(shifted(low, free), starts.map((at) => unsigned(at >> free)))
  )))
}

/** The same for IPv6, where a prefix of 64 bits or less is about the high word alone. */
function prefixes6(high: string, low: string, ranges: readonly bigint[]): string {
  const byLength = [...toPrefixes(ranges)]
  return anyTest(byLength.map(([free, starts]) => {
    if (free >= WIDTH) return oneOf(shifted(high, free - WIDTH), starts.map((at) => unsigned(at >> free)))
    const pairs = starts.map((at) => `(${unsigned(at / WORD)}, ${unsigned(at % WORD >> free)})`)
    return `(${high}, ${shifted(low, free)}) IN (${pairs.join(', ')})`
  }))
}

/** The fewest prefixes that cover ranges, by the number of bits they leave free. */
function toPrefixes(ranges: readonly bigint[]): Map<bigint, bigint[]> {
  const byLength = new Map<bigint, bigint[]>()
  for (let i = 0; i < ranges.length; i += 2) {
    for (let at = ranges[i]; at <= ranges[i + 1];) {
      let free = 0n
      while (at >> free & 1n ? false : at + (2n << free) - 1n <= ranges[i + 1]) free++
      const starts = byLength.get(free)
      if (starts) starts.push(at)
      else byLength.set(free, [at])
      at += 1n << free
    }
  }
  return byLength
}

function shifted(column: string, bits: bigint): string {
  return bits === 0n ? column : `(${column} >> ${bits})`
}

function oneOf(column: string, values: readonly string[]): string {
  return values.length === 1 ? `${column} = ${values[0]}` : `${column} IN (${values.join(', ')})`
}

function anyTest(tests: readonly string[]): string {
  if (tests.length === 0) return 'FALSE'
  return tests.length === 1 ? tests[0] : `(${tests.join(' OR ')})`
}

function expressionOf(source: Source): string {
  return typeof source === 'number' ? FIELDS[source].name : `(${DERIVED[source].sql})`
}

function firstColumn(field: number): string {
  return sqlColumns(FIELDS[field])[0].name
}

function sqlOperator(operator: Operator): string {
  return operator === '!=' ? '<>' : operator
}

function literal(source: Source, value: number): string {
  if (typeOf(source) !== 'time') return String(value)
  return `TIMESTAMP '${formatTime(value, 0, 6).replace('T', ' ').replace('Z', '')}'`
}

/** Without the cast DuckDB would take a number over 63 bits for one of 128, and compare as such. */
function unsigned(value: bigint): string {
  return value > MAX_SIGNED ? `${value}::UBIGINT` : String(value)
}

function quoted(bytes: Uint8Array): string {
  return `'${new TextDecoder().decode(bytes).replaceAll("'", "''")}'`
}

function blob(bytes: Uint8Array): string {
  return `'${Buffer.from(bytes).toString('hex').replace(/../g, '\\x$&')}'::BLOB`
}
