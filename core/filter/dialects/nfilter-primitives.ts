import { parseIpv4 } from '../../flow/address.ts'
import type { FlowkitError } from '../../flow/errors.ts'
import { protocolNumber } from '../../flow/names.ts'
import { inRanges, inSet } from '../build.ts'
import { addressList, type AddressList } from '../evaluate/address-set.ts'
import { DERIVED } from '../evaluate/derived.ts'
import { fault } from '../language/lexer.ts'
import { servicePort } from '../language/services.ts'
import { allOf, anyOf, NONE, noneOf, type Node, type Operator, type Source } from '../node.ts'
import { parseClock } from '../time-text.ts'
import { parseDate } from './nfilter-dates.ts'
import type { NfilterLine, Word } from './nfilter-lines.ts'

/** One `permit` or `deny`. */
interface Rule {
  readonly permit: boolean
  /** Whether a value of the source is one that the rule is about. */
  readonly test: (source: Source) => Node
  /** Of prefixes: the rule with the longest decides. */
  readonly length?: number
}

/** What becomes of the rules of a primitive. */
interface Type {
  /** Whether the last rule for a value decides, not the first. */
  readonly last: boolean
  /** Parse what follows `permit` or `deny`. */
  readonly parse: (line: NfilterLine, permit: boolean, primitive: Primitive) => readonly Rule[]
}

/** A `filter-primitive`. */
export interface Primitive {
  readonly name: Word
  /** Its name: `ip-port`. */
  type: string | undefined
  readonly rules: Rule[]
  /** Where no rule is about a value, it is permitted. */
  permits: boolean
  /** Bits of the value that are looked at. */
  mask: number
  /** µs since the epoch. */
  readonly now: number
}

/** Permits and denies by turns that a primitive may have: so deep its tree becomes. */
const MAX_TURNS = 500
const SECOND = 1e6 // µs
const DATE = 'a date, as January 23, 2026 10:05:00'

const OPERATORS: Readonly<Record<string, Operator>> =
  { lt: '<', gt: '>', eq: '=', ne: '!=', ge: '>=', le: '<=' }

const TYPES: Readonly<Record<string, Type>> = {
  'as': table(2 ** 32 - 1),
  'ip-protocol': table(255, protocolNumber),
  'ip-port': table(65_535, (name) => servicePort(name) ?? -1),
  'ip-address-prefix-len': table(128),
  'ip-tos': table(255),
  'ip-tcp-flags': table(255),
  'ifindex': table(2 ** 32 - 1),
  'engine': table(255),
  'tag': table(2 ** 32 - 1),
  'tag-mask': { last: false, parse: parseTagMask },
  'ip-address': { last: true, parse: parseAddress },
  'ip-address-mask': { last: false, parse: parseAddressMask },
  'ip-address-prefix': { last: false, parse: parsePrefix },
  'counter': { last: false, parse: parseCounter },
  'double': { last: false, parse: parseDouble },
  'time': { last: false, parse: parseTimeOfDay },
  'time-date': { last: false, parse: parseTimeDate },
}

/** Whether filters have primitives of that type. */
export function isType(name: string): boolean {
  return Object.hasOwn(TYPES, name)
}

/** Add what a line says behind `permit` or `deny`. */
export function addRules(primitive: Primitive, line: NfilterLine, permit: boolean): void {
  if (primitive.type === undefined) throw fault(primitive.name, 'expected "type" before "permit" and "deny"')
  primitive.rules.push(...TYPES[primitive.type].parse(line, permit, primitive))
}

/** The test of whether a primitive permits the value of a source. */
export function permitted(primitive: Primitive, source: Source): Node {
  const { name, type, rules, permits } = primitive
  if (type === undefined) throw fault(name, `expected "type" in the primitive "${name.text}"`)
  const inTurn = TYPES[type].last ? rules.toReversed() : rules
  const ordered = inTurn.toSorted((a, b) => (b.length ?? 0) - (a.length ?? 0)) // those alike stay as they are
  // from the last to the first, neighbours that do the same together
  let node = permits ? isPresent(source) : NONE
  let turns = 0
  for (let end = ordered.length; end > 0;) {
    const { permit } = ordered[end - 1]
    let start = end
    while (start > 0 && ordered[start - 1].permit === permit) start--
    const tests = ordered.slice(start, end).map(({ test }) => test(source))
    const some = anyOf(tests.filter((test) => test !== NONE))
    end = start
    if (some === NONE) continue
    if (++turns > MAX_TURNS) {
      throw fault(name, `expected no more than ${MAX_TURNS} turns between permit and deny`)
    }
    if (permit) node = node === NONE ? some : anyOf([some, node])
    else if (node !== NONE) node = allOf([node, noneOf(some)])
  }
  return node
}

function isPresent(source: Source): Node {
  const fields = typeof source === 'number' ? [source] : DERIVED[source].fields
  return source === 'flowCount' ? { kind: 'all' } : allOf(fields.map((field) => ({ kind: 'defined', field })))
}

/** Numbers with commas and ranges between; `!` before them turns the line about. */
function table(max: number, named: (name: string) => number = () => -1): Type {
  function refused(word: Word, text: string): FlowkitError {
    return fault(word, `expected numbers (0 to ${max}) as 1,5-9, found "${text}"`)
  }
  function numberOf(word: Word, text: string): number {
    const value = /^[a-z]/i.test(text) ? named(text) : parseNumber(text) ?? -1
    if (value >= 0 && value <= max) return value
    throw refused(word, text)
  }
  return {
    last: true,
    parse(line, permit, primitive) {
      const word = line.word('numbers')
      const turned = word.text.startsWith('!')
      const ranges = word.text.slice(Number(turned)).split(',').map((part) => {
        const [first, last = first, ...more] = part.split('-')
        const [low, high] = [numberOf(word, first), numberOf(word, last)]
        if (more.length > 0 || low > high) throw refused(word, part)
        return [low, high] as const
      })
      return ranges.map(([low, high]) => ({
        permit: permit !== turned, test: (source) => inTable(primitive, source, low, high),
      }))
    },
  }
}

/** A value that under the primitive's mask is in a range; of TCP flags, only flow-tools' 8 are looked at. */
function inTable({ type, mask }: Primitive, source: Source, low: number, high: number): Node {
  const whole = type === 'ip-tos' ? mask === 255 : type !== 'ip-tcp-flags'
  if (whole) return inRanges(source, [low, high])
  const values = Array.from({ length: high - low + 1 }, (_, i) => low + i)
    .filter((bits) => (bits & ~mask) === 0)
  return anyOf(values.map((bits) => ({ kind: 'bits', field: source as number, not: false, mask, bits })))
}

function parseTagMask(line: NfilterLine, permit: boolean): readonly Rule[] {
  const bits = number32(line, 'a tag')
  const mask = number32(line, 'a mask')
  return [{ permit, test: (source) => ({ kind: 'bits', field: source as number, not: false, mask, bits }) }]
}

function parseAddress(line: NfilterLine, permit: boolean): readonly Rule[] {
  const address = scanIp(line.word('an IPv4 address'))
  return [{ permit, test: addressTest((list) => list.add4(address, address)) }]
}

function parseAddressMask(line: NfilterLine, permit: boolean): readonly Rule[] {
  const bits = scanIp(line.word('an IPv4 address'))
  const mask = scanIp(line.word('a netmask'))
  return [{ permit, test: (source) => ({ kind: 'bits', field: source as number, not: false, mask, bits }) }]
}

/** Without a length it is that of the network's class, where the address is a network's. */
function parsePrefix(line: NfilterLine, permit: boolean): readonly Rule[] {
  const word = line.word('an IPv4 network')
  const [address, bits, ...more] = word.text.split('/')
  const start = scanIp({ ...word, text: address })
  const length = bits === undefined ? classLength(start) : parseNumber(bits) ?? NaN
  if (more.length > 0 || !(length <= 32)) throw fault(word, `expected an IPv4 network, found "${word.text}"`)
  const size = 2 ** (32 - length)
  const low = start - start % size
  return [{ permit, length, test: addressTest((list) => list.add4(low, low + size - 1)) }]
}

function classLength(address: number): number {
  const classes = [[0x80000000, 8], [0xc0000000, 16], [0xe0000000, 24], [0xf0000000, 28]] as const
  const [, length] = classes.find(([end]) => address < end) ?? [0, 32]
  return address % 2 ** (32 - length) === 0 ? length : 32
}

function parseCounter(line: NfilterLine, permit: boolean): readonly Rule[] {
  const operator = operatorOf(line)
  const value = number32(line, 'a number')
  return [{ permit, test: (source) => ({ kind: 'compare', source, operator, value }) }]
}

function parseDouble(line: NfilterLine, permit: boolean): readonly Rule[] {
  const operator = operatorOf(line)
  const word = line.word('a number')
  const value = /^\d+(\.\d+)?$/.test(word.text) ? Number(word.text) : NaN
  if (!(value <= Number.MAX_SAFE_INTEGER)) throw fault(word, `expected a number, found "${word.text}"`)
  return [{ permit, test: (source) => ({ kind: 'compare', source, operator, value }) }]
}

function parseTimeOfDay(line: NfilterLine, permit: boolean): readonly Rule[] {
  const operator = operatorOf(line)
  const word = line.word('a time of day, as 08:00:00')
  const value = parseClock(/:/.test(word.text) ? word.text : `${word.text}:00`)
  if (value === undefined) throw fault(word, `expected a time of day, as 08:00:00, found "${word.text}"`)
  return [{ permit, test: (source) => ({ kind: 'compare', source, operator, value }) }]
}

/** Whole seconds are compared. */
function parseTimeDate(line: NfilterLine, permit: boolean, { now }: Primitive): readonly Rule[] {
  const operator = operatorOf(line)
  const word = line.rest(DATE)
  const time = parseDate(word.text, now)
  if (time === undefined) throw fault(word, `expected ${DATE}, found "${word.text}"`)
  const start = Math.floor(time / SECOND) * SECOND
  function compare(source: Source, how: Operator, value: number): Node {
    return { kind: 'compare', source, operator: how, value }
  }
  return [{
    permit,
    test(source) {
      switch (operator) {
        case '<': case '>=': return compare(source, operator, start)
        case '<=': return compare(source, '<', start + SECOND)
        case '>': return compare(source, '>=', start + SECOND)
        case '=': return allOf([compare(source, '>=', start), compare(source, '<', start + SECOND)])
        case '!=': return anyOf([compare(source, '<', start), compare(source, '>=', start + SECOND)])
      }
    },
  }]
}

function operatorOf(line: NfilterLine): Operator {
  const word = line.word('lt, gt, eq, ne, ge or le')
  const name = word.text.toLowerCase()
  if (Object.hasOwn(OPERATORS, name)) return OPERATORS[name]
  throw fault(word, `expected lt, gt, eq, ne, ge or le, found "${word.text}"`)
}

function number32(line: NfilterLine, wanted: string): number {
  const word = line.word(wanted)
  const value = parseNumber(word.text)
  if (value !== undefined && value < 2 ** 32) return value
  throw fault(word, `expected ${wanted}, found "${word.text}"`)
}

/** An IPv4 address, of which the end may be missing. */
function scanIp(word: Word): number {
  const parts = word.text.split('.').length
  const address = parseIpv4(word.text + '.0'.repeat(Math.max(0, 4 - parts)))
  if (address >= 0) return address
  throw fault(word, `expected an IPv4 address, found "${word.text}"`)
}

function addressTest(add: (list: AddressList) => void): Rule['test'] {
  const list = addressList()
  add(list)
  const set = list.toSet()
  return (source) => inSet(source as number, set)
}

/** A number as strtoul(3) reads it with base 0, or undefined. */
function parseNumber(text: string): number | undefined {
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8)
  return /^(0x[\da-f]+|\d+)$/i.test(text) ? Number(text) : undefined
}
