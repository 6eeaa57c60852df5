import { FIELDS, ID } from '../../flow/fields.ts'
import { parseIpv4 } from '../../flow/address.ts'
import { allOf, anyOf, noneOf, type Node, type Operator, type Source } from '../node.ts'
import { namedValue } from '../value-names.ts'
import type { Cursor } from './cursor.ts'
import { noValues, readValue, testOf, type ParseContext } from './value-set.ts'
import { describe, parseNumbers, typeOf } from './values.ts'
import { findFields } from './words.ts'

/** What a comparison is about, and how the words before it said so. */
export interface Subject {
  readonly sources: readonly Source[]
  /** Whether the test must hold for all sources or one; `any`: one, but nobody said `or` (see `combine`). */
  readonly join: 'and' | 'or' | 'any'
  /** Whether networks may be written short, and with a netmask. */
  readonly net: boolean
  readonly context: ParseContext
}

const OPERATORS: Readonly<Record<string, Operator | '&'>> = {
  '=': '=', '==': '=', '!=': '!=', '<': '<', '<=': '<=', '>': '>', '>=': '>=', '&': '&',
  'eq': '=', 'ne': '!=', 'lt': '<', 'le': '<=', 'gt': '>', 'ge': '>=',
}
const PORTS: readonly Source[] = [ID.srcPort, ID.dstPort]
const MAX_WIDE = 2n ** 64n - 1n

/**
 * Parse what follows the subject of a test: `[not] in […]`, `[not] like`, `[not] contains`, or an operator
 * (`=` if missing) and a value.
 */
export function parseComparison(cursor: Cursor, subject: Subject): Node {
  const not = cursor.take('not')
  const isText = subject.sources.every((source) => typeOf(source) === 'text')
  if (isText && cursor.at('like', 'contains')) return parsePattern(cursor, subject, not)
  if (not && !cursor.at('in')) throw cursor.expected(isText ? '"in", "like" or "contains"' : '"in"')
  const member = !isNamedIn(cursor, subject) && cursor.take('in')
  if (cursor.at('[') || (member && cursor.token.kind === 'file')) return parseList(cursor, subject, not)
  if (member) return parsePortBlock(cursor, subject, not)

  const at = cursor.token
  const operator = at.kind === 'word' || at.kind === 'mark' ? OPERATORS[at.text.toLowerCase()] : undefined
  if (operator === undefined) return parseValue(cursor, subject, '=')
  if (!operatorsOf(subject).includes(operator)) throw cursor.expected(operatorsOf(subject).join(' '))
  cursor.advance()
  return operator === '&' ? parseBits(cursor, subject) : parseValue(cursor, subject, operator)
}

/** Whether `in` is a value here, as in nfdump's `pf dir in`. */
function isNamedIn(cursor: Cursor, { sources: [source] }: Subject): boolean {
  const { kind, text } = cursor.peek(1)
  const isList = kind === 'file' || (kind === 'mark' && text === '[')
  return !isList && typeof source === 'number' && namedValue(source, 'in') !== undefined
}

/** A list in brackets, or a file of values alone. */
function parseList(cursor: Cursor, subject: Subject, not: boolean): Node {
  const values = noValues(subject.sources[0])
  const isFile = !cursor.take('[')
  do readValue(cursor, subject.context, values, subject.net, false)
  while (!isFile && (cursor.take(',') || !cursor.at(']')))
  if (!isFile) cursor.advance()
  return combine(subject, not, testOf(values))
}

/** nfdump's `port in nat pblock`, and 1.7.1's without `nat`. */
function parsePortBlock(cursor: Cursor, subject: Subject, not: boolean): Node {
  const ports = subject.sources.every((source) => PORTS.includes(source))
  const count = cursor.at('nat') ? 2 : 1
  const last = cursor.words(count).at(-1)?.toLowerCase()
  if (not || !ports || last !== 'pblock') throw cursor.expected('"[" or "@" and a file')
  cursor.advance(count)
  return combine(subject, false, (source) => allOf([
    { kind: 'pair', left: source as number, operator: '>=', right: ID.portBlockStart },
    { kind: 'pair', left: source as number, operator: '<=', right: ID.portBlockEnd },
  ]))
}

/** `like "a*b"`, where the star is any text, or `contains "a"`. */
function parsePattern(cursor: Cursor, subject: Subject, not: boolean): Node {
  const anywhere = cursor.token.text.toLowerCase() === 'contains'
  cursor.advance()
  const { kind, text } = cursor.token
  if (kind !== 'word' && kind !== 'text') throw cursor.expected('a text')
  cursor.advance()
  const pieces = (anywhere ? ['', text, ''] : text.split('*')).map((piece) => new TextEncoder().encode(piece))
  return combine(subject, not, (source, isNot) => (
    { kind: 'pattern', field: source as number, not: isNot, pieces }
  ))
}

/** `& MASK`: all of these bits are set; `& MASK = BITS` and `& MASK != BITS`: under the mask they are so. */
function parseBits(cursor: Cursor, subject: Subject): Node {
  const mask = parseBitValue(cursor, subject)
  const not = cursor.take('!=')
  const bits = not || cursor.take('=', '==') ? parseBitValue(cursor, subject) : mask
  return combine(subject, not, (source, isNot) => (
    { kind: 'bits', field: source as number, not: isNot, mask, bits }
  ))
}

function parseBitValue(cursor: Cursor, { sources: [source], context }: Subject): number {
  const { kind, text } = cursor.token
  const isAddress = typeOf(source) === 'addr'
  const v4 = isAddress ? parseIpv4(text) : -1
  const [low, high] = isAddress ? [v4, v4] : parseNumbers(source, text, context.now) ?? []
  if (kind !== 'word' || low === undefined || low < 0 || low !== high) {
    throw cursor.expected(isAddress ? 'an IPv4 address' : describe(source, text))
  }
  cursor.advance()
  return low
}

function parseValue(cursor: Cursor, subject: Subject, operator: Operator): Node {
  const right = otherField(cursor, subject)
  if (right !== undefined) {
    cursor.advance()
    return combine(subject, operator === '!=', (source, not) => (
      { kind: 'pair', left: source as number, operator: unless(operator, not), right }
    ))
  }
  const first = cursor.token
  const values = noValues(subject.sources[0])
  readValue(cursor, subject.context, values, subject.net, subject.net)
  const { numbers, wide, files } = values
  const isRange = numbers.length > 2 || numbers[0] !== numbers[1] || wide[0] !== wide[1] || files.length > 0
  if (isRange && operator !== '=' && operator !== '!=') {
    const one = isTime(subject.sources[0]) ? 'time' : 'number'
    throw cursor.fault(`expected one ${one}, found ${files.length > 0 ? 'a file' : 'a range'}`, first)
  }
  if (numbers.length > 0 && !isRange) {
    return combine(subject, operator === '!=', (source, not) => (
      { kind: 'compare', source, operator: unless(operator, not), value: numbers[0] }
    ))
  }
  if (wide.length > 0) wide.splice(0, wide.length, ...openRange(wide, operator))
  return combine(subject, operator === '!=', testOf(values))
}

/** The numeric field that stands in place of a value, as in `src_as = dst_as`. */
function otherField(cursor: Cursor, { sources, context }: Subject): number | undefined {
  const { kind, text } = cursor.token
  if (kind !== 'word' || sources.some((source) => !isNumeric(source))) return undefined
  if (parseNumbers(sources[0], text, context.now)) return undefined
  const [field, ...more] = findFields(text)
  if (field === undefined || more.length > 0 || !isNumeric(field)) return undefined
  return isTime(field) === isTime(sources[0]) ? field : undefined
}

/**
 * One node for a test of each source.
 *
 * `port != 80` does not mean that some port differs from 80, but that there is a port and none is 80: without
 * `src or dst` before it, `not` is of them all.
 */
function combine(
  { sources, join }: Subject, not: boolean, make: (source: Source, not: boolean) => Node,
): Node {
  const each = sources.map((source) => make(source, not))
  if (join === 'and') return allOf(each)
  if (join === 'or' || !not || sources.length === 1) return anyOf(each)
  return allOf([anyOf(each), noneOf(anyOf(sources.map((source) => make(source, false))))])
}

/** `!=` is `=` with `not` beside it. */
function unless(operator: Operator, not: boolean): Operator {
  return not ? '!=' : operator === '!=' ? '=' : operator
}

/** The range of a comparison with one number of 64 bits; `!=` is left to `not`. */
function openRange([low, high]: readonly bigint[], operator: Operator): bigint[] {
  switch (operator) {
    case '<': return low === 0n ? [] : [0n, low - 1n]
    case '<=': return [0n, low]
    case '>': return high === MAX_WIDE ? [] : [high + 1n, MAX_WIDE]
    case '>=': return [high, MAX_WIDE]
    default: return [low, high]
  }
}

function operatorsOf({ sources }: Subject): readonly (Operator | '&')[] {
  const bits = sources.every((source) => typeof source === 'number')
  switch (typeOf(sources[0])) {
    case 'text': case 'octets': return ['=', '!=']
    case 'addr': return ['=', '!=', '&']
    case 'u8': case 'u16': case 'u32': if (bits) return ['=', '!=', '<', '<=', '>', '>=', '&']
  }
  return ['=', '!=', '<', '<=', '>', '>=']
}

function isNumeric(source: Source): boolean {
  return typeof source === 'number' && !['addr', 'u64', 'text', 'octets'].includes(FIELDS[source].type)
}

function isTime(source: Source): boolean {
  return typeOf(source) === 'time'
}
