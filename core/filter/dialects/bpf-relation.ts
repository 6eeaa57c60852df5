import { FIELDS } from '../../flow/fields.ts'
import type { Cursor } from '../language/cursor.ts'
import { maxOf } from '../language/values.ts'
import type { Node, Operator, Source } from '../node.ts'
import { constant, headerPart, headerParts } from './bpf-headers.ts'

const OPERATORS: Readonly<Record<string, Operator>> = {
  '=': '=', '==': '=', '!=': '!=', '<': '<', '<=': '<=', '>': '>', '>=': '>=',
}
const MAX = 2 ** 32 - 1
/** Parentheses within each other that a number may have. */
const MAX_DEPTH = 20

/**
 * Parse what follows a protocol in a test of its header: `[bytes]`, `& mask` perhaps, an operator and a
 * number.
 */
export function parseRelation(cursor: Cursor, proto: string): Node {
  const place = cursor.token
  cursor.advance()
  const words = cursor.words(8)
  cursor.advance(words.length)
  if (!cursor.take(']')) throw cursor.expected('"]"')
  const part = headerPart(proto, words.join('').toLowerCase())
  if (!part) {
    const known = headerParts(proto).join(' ') || 'nothing'
    throw cursor.fault(`of the header of ${proto} flows have ${known}`, place)
  }
  const mask = cursor.take('&') ? parseConstant(cursor, 0) : undefined
  const at = cursor.token
  const operator = at.kind === 'mark' ? OPERATORS[at.text] : undefined
  if (operator === undefined) throw cursor.expected(mask === undefined ? '& = != < <= > >=' : '= or !=')
  cursor.advance()
  const value = parseConstant(cursor, 0)
  const { source } = part
  const isAddress = typeof source === 'number' && FIELDS[source].type === 'addr'
  if (mask === undefined && part.mask === undefined && !isAddress) {
    if (value <= maxOf(source)) return { kind: 'compare', source, operator, value }
    return compareBeyond(source, operator === '!=' || operator === '<' || operator === '<=')
  }
  // of bits only "none" and "some" have an order
  const not = operator === '!=' || (operator === '>' && value === 0)
  if (operator !== '=' && !not) throw cursor.fault('expected = or !=', at)
  if (typeof source !== 'number') {
    throw cursor.fault(`bits of ${proto}[${words.join('')}] cannot be tested`, place)
  }
  const most = isAddress ? MAX : maxOf(source)
  if (value > most) return compareBeyond(source, not)
  const bits = (mask ?? MAX) & (part.mask ?? MAX) & most
  return { kind: 'bits', field: source, not, mask: bits >>> 0, bits: value }
}

/** A comparison with a number that no flow can have: it is always true where there is one, or never. */
function compareBeyond(source: Source, isAlways: boolean): Node {
  return { kind: 'compare', source, operator: isAlways ? '<=' : '>', value: maxOf(source) }
}

/** Numbers and their names with `|` and `&` between, or in parentheses. */
function parseConstant(cursor: Cursor, depth: number): number {
  let value = parseOne(cursor, depth)
  for (;;) {
    if (cursor.take('|')) value = (value | parseOne(cursor, depth)) >>> 0
    else if (cursor.take('&')) value = (value & parseOne(cursor, depth)) >>> 0
    else return value
  }
}

function parseOne(cursor: Cursor, depth: number): number {
  if (depth < MAX_DEPTH && cursor.take('(')) {
    const value = parseConstant(cursor, depth + 1)
    if (!cursor.take(')')) throw cursor.expected('")"')
    return value
  }
  const { kind, text } = cursor.token
  const value = kind === 'word' ? constant(text.toLowerCase()) ?? parseNumber(text) : -1
  if (value < 0 || value > MAX) throw cursor.expected('a number, or the name of one as tcp-syn')
  cursor.advance()
  return value
}

/** A number as C has it, or -1. */
function parseNumber(text: string): number {
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8)
  return /^(0x[\da-f]+|\d+)$/i.test(text) ? Number(text) : -1
}
