import { FIELDS, ID } from '../flow/fields.ts'
import { parseIpv4 } from '../flow/address.ts'
import { parseAddresses, parseNetmask } from './addresses.ts'
import type { Cursor } from './cursor.ts'
import { allOf, anyOf, type Node, type Operator, type PairOperator, type Source } from './node.ts'
import { mergeRanges, withoutMapped } from './sets.ts'
import { isClock } from './time-text.ts'
import { describe, parseBytes, parseNumbers, parseWide, typeOf } from './values.ts'
import { findFields } from './words.ts'

/** What a comparison is about, and how the words before it said so. */
export interface Subject {
  readonly sources: readonly Source[]
  /** Whether the test must hold for all sources or one; `any`: one, but nobody said `or` (see `combine`). */
  readonly join: 'and' | 'or' | 'any'
  /** Whether networks may be written short, and with a netmask. */
  readonly net: boolean
  /** µs since the epoch. */
  readonly now: number
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  '=': '=', '==': '=', '!=': '!=', '<': '<', '<=': '<=', '>': '>', '>=': '>=', '&': '&',
  'eq': '=', 'ne': '!=', 'lt': '<', 'le': '<=', 'gt': '>', 'ge': '>=',
}
const PORTS: readonly Source[] = [ID.srcPort, ID.dstPort]
const MAX_WIDE = 2n ** 64n - 1n

/** Values read so far, in the form that the subject's type needs. */
interface Values {
  readonly numbers: number[]
  readonly wide: bigint[]
  readonly v4: number[]
  readonly v6: bigint[]
  readonly bytes: Uint8Array[]
}

/** Parse what follows the subject of a test: `[not] in […]`, or an operator (`=` if missing) and a value. */
export function parseComparison(cursor: Cursor, subject: Subject): Node {
  const not = cursor.take('not')
  if (not && !cursor.at('in')) throw cursor.expected('"in"')
  const member = cursor.take('in')
  if (cursor.take('[')) return parseList(cursor, subject, not)
  if (member) return parsePortBlock(cursor, subject, not)

  const at = cursor.token
  const operator = at.kind === 'text' ? undefined : OPERATORS[at.text.toLowerCase()]
  if (operator !== undefined) {
    if (!operatorsOf(subject).includes(operator)) throw cursor.expected(operatorsOf(subject).join(' '))
    cursor.advance()
  }
  return parseValue(cursor, subject, operator ?? '=')
}

function parseList(cursor: Cursor, subject: Subject, not: boolean): Node {
  const values = noValues()
  do readValue(cursor, subject, values, true)
  while (cursor.take(',') || !cursor.at(']'))
  cursor.advance()
  return combine(subject, not, setOf(subject, values))
}

/** nfdump's `port in nat pblock`. */
function parsePortBlock(cursor: Cursor, subject: Subject, not: boolean): Node {
  const [nat, pblock] = cursor.words(2).map(({ text }) => text.toLowerCase())
  const ports = subject.sources.every((source) => PORTS.includes(source))
  if (not || !ports || nat !== 'nat' || pblock !== 'pblock') throw cursor.expected('"["')
  cursor.advance()
  cursor.advance()
  return combine(subject, false, (source) => allOf([
    { kind: 'pair', left: source as number, operator: '>=', right: ID.portBlockStart },
    { kind: 'pair', left: source as number, operator: '<=', right: ID.portBlockEnd },
  ]))
}

function parseValue(cursor: Cursor, subject: Subject, operator: Operator): Node {
  const right = operator === '&' ? undefined : otherField(cursor, subject)
  if (right !== undefined) {
    cursor.advance()
    return combine(subject, operator === '!=', (source, not) => (
      { kind: 'pair', left: source as number, operator: unless(operator as PairOperator, not), right }
    ))
  }
  const first = cursor.token
  const values = noValues()
  readValue(cursor, subject, values, false)
  const { numbers, wide } = values
  const isRange = numbers.length > 2 || numbers[0] !== numbers[1] || wide[0] !== wide[1]
  if (isRange && operator !== '=' && operator !== '!=') {
    throw cursor.fault('expected one number, found a range', first)
  }
  if (numbers.length > 0 && !isRange) {
    return combine(subject, operator === '!=', (source, not) => (
      { kind: 'compare', source, operator: unless(operator, not), value: numbers[0] }
    ))
  }
  const set = wide.length > 0 ? { ...values, wide: openRange(wide, operator) } : values
  return combine(subject, operator === '!=', setOf(subject, set))
}

/** The numeric field that stands in place of a value, as in `src_as = dst_as`. */
function otherField(cursor: Cursor, { sources, now }: Subject): number | undefined {
  const { kind, text } = cursor.token
  if (kind !== 'word' || sources.some((source) => !isNumeric(source))) return undefined
  if (parseNumbers(sources[0], text, now)) return undefined
  const [field, ...more] = findFields(text)
  if (field === undefined || more.length > 0 || !isNumeric(field)) return undefined
  return isTime(field) === isTime(sources[0]) ? field : undefined
}

/** Read one value, or a range of them, into `values`. */
function readValue(cursor: Cursor, { sources, net, now }: Subject, values: Values, listed: boolean): void {
  const [source] = sources
  const { kind, text } = cursor.token
  if (kind !== 'word' && kind !== 'text') throw cursor.expected(describe(source, text))
  switch (typeOf(source)) {
    case 'addr': return readAddress(cursor, source, net, net && !listed, values)
    case 'u64': values.wide.push(...needed(cursor, source, parseWide(text))); break
    case 'text': case 'octets': values.bytes.push(needed(cursor, source, parseBytes(source, text))); break
    case 'time': {
      const [, clock] = cursor.words(2)
      const both = `${text} ${clock?.text}`
      const joined = clock && isClock(clock.text) ? parseNumbers(source, both, now) : undefined
      values.numbers.push(...joined ?? needed(cursor, source, parseNumbers(source, text, now)))
      if (joined) cursor.advance()
      break
    }
    default: values.numbers.push(...needed(cursor, source, parseNumbers(source, text, now)))
  }
  cursor.advance()
}

/** Read `A`, `A/LENGTH`, `A-B` or, with `masked`, `A MASK`; spaces may stand about the slash. */
function readAddress(cursor: Cursor, source: Source, short: boolean, masked: boolean, values: Values): void {
  const [first, second, third] = cursor.words(3)
  let text = cursor.token.text
  let last = cursor.token
  let range
  if (second?.text === '/' && third) {
    text += `/${third.text}`
    last = third
  } else if (second?.text.startsWith('/') || (first?.text.endsWith('/') && second)) {
    text += second.text
    last = second
  } else if (masked && second && parseIpv4(second.text) >= 0 && parseIpv4(text) >= 0) {
    range = parseNetmask(text, second.text)
    if (!range) throw cursor.fault(`expected a netmask of leading ones, found "${second.text}"`, second)
    last = second
  }
  range ??= needed(cursor, source, parseAddresses(text, short))
  if (range.family === 4) values.v4.push(range.low, range.high)
  else values.v6.push(range.low, range.high)
  cursor.advance(last)
}

function needed<T>(cursor: Cursor, source: Source, value: T | undefined): T {
  if (value !== undefined) return value
  throw cursor.fault(`expected ${describe(source, cursor.token.text)}, found ${cursor.shown()}`)
}

/** The leaf that tests a source against a set of values; `not` as nodes have it. */
function setOf({ sources }: Subject, values: Values): (source: Source, not: boolean) => Node {
  const type = typeOf(sources[0])
  const apart = type === 'time' || type === 'mac' // neighbours stay so, since a range of these has no text
  const ranges = mergeRanges(values.numbers, apart ? 0 : 1)
  const wide = mergeRanges(values.wide, 1n)
  const v4 = mergeRanges(values.v4, 1)
  const v6 = withoutMapped(mergeRanges(values.v6, 1n))
  return (source, not) => {
    if (typeof source !== 'number') return { kind: 'number', source, not, ranges }
    switch (typeOf(source)) {
      case 'addr': return { kind: 'address', field: source, not, v4, v6 }
      case 'u64': return { kind: 'wide', field: source, not, ranges: wide }
      case 'text': case 'octets': return { kind: 'bytes', field: source, not, values: values.bytes }
      default: return { kind: 'number', source, not, ranges }
    }
  }
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
  return allOf([anyOf(each), { kind: 'not', node: anyOf(sources.map((source) => make(source, false))) }])
}

/** `!=` is `=` with `not` beside it. */
function unless<T extends Operator>(operator: T | '!=' | '=', not: boolean): T | '!=' | '=' {
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

function operatorsOf({ sources: [source] }: Subject): readonly Operator[] {
  switch (typeOf(source)) {
    case 'addr': case 'text': case 'octets': return ['=', '!=']
    case 'u8': case 'u16': case 'u32':
      if (typeof source === 'number') return ['=', '!=', '<', '<=', '>', '>=', '&']
  }
  return ['=', '!=', '<', '<=', '>', '>=']
}

function isNumeric(source: Source): boolean {
  return typeof source === 'number' && !['addr', 'u64', 'text', 'octets'].includes(FIELDS[source].type)
}

function isTime(source: Source): boolean {
  return typeOf(source) === 'time'
}

function noValues(): Values {
  return { numbers: [], wide: [], v4: [], v6: [], bytes: [] }
}
