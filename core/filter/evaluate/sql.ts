import { FIELDS } from '../../flow/fields.ts'
import { sqlColumns } from '../../flow/sql.ts'
import { formatTime } from '../../flow/time.ts'
import { DERIVED } from './derived.ts'
import type {
  BitsLeaf, BytesLeaf, Leaf, Node, NumberLeaf, Operator, PatternLeaf, Source, WideLeaf,
} from '../node.ts'
import { simplify } from './simplify.ts'
import { addressesToSql, anyTest, unsigned } from './sql-addresses.ts'

const TEXT = new TextDecoder('utf-8', { ignoreBOM: true })

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
    case 'address': return addressesToSql(FIELDS[node.field].name, node.set)
    case 'bytes': return bytesToSql(node)
    case 'bits': return bitsToSql(node)
    case 'pattern': return patternToSql(node)
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

function bitsToSql({ field, mask, bits }: BitsLeaf): string {
  const { name, type } = FIELDS[field]
  if (type !== 'addr') return `(${name} & ${mask}) = ${bits}`
  return `(${name}_hi = 0 AND (${name}_lo >> 32) = 65535 AND (${name}_lo & ${mask}::UBIGINT) = ${bits})`
}

function patternToSql({ field, pieces }: PatternLeaf): string {
  const text = pieces.map((piece) => TEXT.decode(piece).replace(/[%_\\]/g, '\\$&')).join('%')
  return `${FIELDS[field].name} LIKE '${text.replaceAll("'", "''")}' ESCAPE '\\'`
}

function bytesToSql({ field, values }: BytesLeaf): string {
  const show = FIELDS[field].type === 'text' ? quoted : blob
  return oneOf(FIELDS[field].name, values.map(show))
}

function oneOf(column: string, values: readonly string[]): string {
  return values.length === 1 ? `${column} = ${values[0]}` : `${column} IN (${values.join(', ')})`
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
  const { type } = typeof source === 'number' ? FIELDS[source] : DERIVED[source]
  if (type !== 'time') return String(value)
  return `TIMESTAMP '${formatTime(value, 0, 6).replace('T', ' ').replace('Z', '')}'`
}

function quoted(bytes: Uint8Array): string {
  return `'${TEXT.decode(bytes).replaceAll("'", "''")}'`
}

function blob(bytes: Uint8Array): string {
  return `'${Buffer.from(bytes).toString('hex').replace(/../g, '\\x$&')}'::BLOB`
}
