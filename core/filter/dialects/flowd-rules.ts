import { protocolNumber } from '../../flow/names.ts'
import { parsePrefix } from '../../flow/prefix.ts'
import { parseClock } from '../time-text.ts'
import { parseNumber, type FlowdLine } from './flowd-lexer.ts'

/** One rule of a flowd.conf. */
export interface FlowdRule {
  /** Whether the flows are kept. */
  readonly accept: boolean
  /** The rules below do not matter. */
  readonly quick: boolean
  /** What the flows are marked with. */
  readonly tag: number | undefined
  /** Which flows it is for, as a filter of core/filter/filter.ts; `any` where it is for all. */
  readonly test: string
}

const TCP = 6
const UDP = 17
const DAY = 86_400 // s
/** How many digits a date may have. */
const DATE = /^\d{4}(?:\d\d){0,5}$/
const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

/**
 * Read one rule, `accept` or `discard` and what follows.
 *
 * What a flow does not have is 0 for flowd: so a test with `!` is true, and one for 0 too. `any` is every
 * address, as the manual has it; flowd itself never finds it.
 *
 * Source: flowd.conf(5), and flowd's parse.y (filterrule) and filter.c (flow_match).
 *
 * @returns undefined if the line is something else
 * @throws FlowkitError ERR_SYNTAX for what flowd refuses; days alone and `after` alone, which it refuses too
 *   though its manual has them, are read
 */
export function parseFlowdRule(line: FlowdLine): FlowdRule | undefined {
  const accept = line.take('accept')
  if (!accept && !line.take('discard')) return undefined
  const tag = line.take('tag') ? line.number32('a number', 0, 0xffffffff) : undefined
  if (tag !== undefined && !accept) throw line.fault('a tag is for what is accepted')
  const quick = line.take('quick')
  const tests = line.take('all') ? [] : parseTests(line)
  if (!line.atEnd()) throw line.expected('a test, in the order of flowd.conf(5), or the end of the line')
  return { accept, quick, tag, test: conjunction(tests) }
}

/**
 * The flows that rules keep, as a filter. The first `quick` rule that is for a flow decides, else the last of
 * the others; a flow that none is for is kept.
 */
export function flowdFilter(rules: readonly FlowdRule[]): string {
  const ordered = byPriority(rules)
  const last = ordered.findIndex(({ test }) => test === 'any')
  const [rest, accepted] = last < 0 ? [ordered, true] : [ordered.slice(0, last), ordered[last].accept]
  // from the last to the first; neighbours that do the same are joined, so that parentheses are few
  let text = accepted ? 'any' : 'not any'
  for (let end = rest.length; end > 0;) {
    const { accept } = rest[end - 1]
    let start = end
    while (start > 0 && rest[start - 1].accept === accept) start--
    const tests = rest.slice(start, end).map(({ test }) => test)
    end = start
    if (text === (accept ? 'any' : 'not any')) continue // they change nothing
    const parts = accept ? tests : tests.map(negation)
    if (text !== 'any' && text !== 'not any') parts.push(`(${text})`)
    text = parts.join(accept ? ' or ' : ' and ')
  }
  return text
}

/** The rules that decide which tag a flow gets, the first that is for it; none where no rule has a tag. */
export function flowdTags(rules: readonly FlowdRule[]): FlowdRule[] {
  return rules.some(({ tag }) => tag !== undefined) ? byPriority(rules) : []
}

/** Rules so that the first which is for a flow decides. */
function byPriority(rules: readonly FlowdRule[]): FlowdRule[] {
  const others = rules.filter(({ quick }) => !quick)
  return [...rules.filter(({ quick }) => quick), ...others.reverse()]
}

/** The tests, in the one order that flowd takes them in. */
function parseTests(line: FlowdLine): string[] {
  const tests: string[] = []
  const families: number[] = []
  function add(not: boolean, test: string): void {
    tests.push(not ? negation(test) : test)
  }
  function side(word: 'src' | 'dst'): boolean {
    if (!line.take(word)) return false
    const not = line.take('!')
    if (not || !line.take('any')) {
      const { text, family } = takeNetwork(line)
      families.push(family)
      add(not, `${word}_addr = ${text}`)
    }
    if (!line.take('port')) return false
    add(line.take('!'), `${word}_port = ${line.number32('a port', 1, 65_535)}`)
    return true
  }

  if (line.take('agent')) add(line.take('!'), `exporter_addr = ${takeNetwork(line).text}`)
  for (const [word, field] of [['in_ifndx', 'in_if'], ['out_ifndx', 'out_if']]) {
    if (line.take(word)) add(line.take('!'), `${field} = ${line.number32('an interface', 1, 65_535)}`)
  }
  const notFamily = line.take('!')
  const family = line.take('inet') ? 4 : line.take('inet6') ? 6 : undefined
  if (family !== undefined) add(notFamily, `ipv${family}`)
  else if (notFamily) throw line.expected('"inet" or "inet6"')
  const ports = [side('src'), side('dst')].includes(true)
  if (families.some((each) => each !== (family ?? families[0]))) {
    throw line.fault('addresses of IPv4 and of IPv6 are not in one flow')
  }
  let proto: number | undefined
  if (line.take('proto')) {
    const not = line.take('!')
    proto = parseProtocol(line)
    add(not, `proto = ${proto}`)
  }
  if (ports && proto !== TCP && proto !== UDP) {
    throw line.fault('a test of ports needs "proto tcp" or "proto udp"')
  }
  if (line.take('tos')) {
    const not = line.take('!')
    const value = line.number32('a number', 0, 255)
    add(not, value === 0 ? '(tos = 0 or not defined tos)' : `tos = ${value}`)
  }
  if (line.take('tcp_flags')) {
    if (proto !== TCP) throw line.fault('a test of tcp_flags needs "proto tcp"')
    tests.push(parseTcpFlags(line))
  }
  tests.push(...parseTimes(line))
  return tests
}

/**
 * Take ADDRESS or ADDRESS/LENGTH; IPv6 may stand in brackets.
 *
 * @throws FlowkitError ERR_SYNTAX
 */
export function takeNetwork(line: FlowdLine): { text: string, family: 4 | 6 } {
  const value = line.takeValue()
  if (value === undefined) throw line.expected('an address or network')
  const address = value.replace(/^\[(.*)\]$/, '$1')
  const text = line.take('/') ? `${address}/${line.number32('a prefix length', 0, 128)}` : address
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw line.fault(`expected an address or network, found "${text}"`)
  for (let bit = prefix.length; bit < 128; bit++) {
    if ((prefix.address[bit >> 3] & 128 >> (bit & 7)) === 0) continue
    throw line.fault(`expected a network without bits behind its length, found "${text}"`)
  }
  return { text, family: text.includes(':') ? 6 : 4 }
}

function parseProtocol(line: FlowdLine): number {
  const name = line.takeValue()
  if (name === undefined) throw line.expected('a protocol')
  const named = protocolNumber(name)
  const number = named > 0 ? named : parseNumber(name)
  if (number !== undefined && number >= 1 && number <= 255) return number
  throw line.fault(`expected a protocol by name or number, found "${name}"`)
}

/** `[mask N] [!]equals N`: the flags under the mask are just these. */
function parseTcpFlags(line: FlowdLine): string {
  const mask = line.take('mask') ? line.number32('TCP flags', 0, 255) : 255
  const not = line.take('!')
  if (!line.take('equals')) throw line.expected('"equals"')
  const flags = line.number32('TCP flags', 0, 255)
  const test = (flags & ~mask) !== 0 ? 'not any' : conjunction([
    ...flags === 0 ? [] : [`tcp_flags & ${flags}`],
    ...[1, 2, 4, 8, 16, 32, 64, 128].filter((bit) => (mask & ~flags & bit) !== 0)
      .map((bit) => negation(`tcp_flags & ${bit}`)),
  ])
  return not ? negation(test) : test
}

/**
 * `days`, `after` and `before`, of when the flow was received, in whole seconds: times of day are included,
 * dates are not.
 */
function parseTimes(line: FlowdLine): string[] {
  const tests = line.take('days') ? [parseDays(line)] : []
  const dates = { after: -Infinity, before: Infinity }
  const clocks = { after: -Infinity, before: Infinity }
  for (const word of ['after', 'before'] as const) {
    if (!line.take(word)) continue
    if (line.take('date')) {
      const seconds = parseDate(line)
      dates[word] = seconds
      const bound = word === 'after' ? { operator: '>=', seconds: seconds + 1 } : { operator: '<', seconds }
      tests.push(`received ${bound.operator} ${new Date(bound.seconds * 1e3).toISOString()}`)
    } else {
      const text = line.takeValue()
      const seconds = parseClock(text ?? '')
      if (text === undefined) throw line.expected('"date", or a time of day such as 17:30')
      if (seconds === undefined || seconds === DAY) {
        throw line.fault(`expected a time of day such as 17:30, found "${text}"`)
      }
      clocks[word] = seconds
      tests.push(`received tod ${word === 'after' ? '>=' : '<='} ${text}`)
    }
  }
  if (dates.after >= dates.before) throw line.fault('the first date is not before the second')
  if (clocks.after >= clocks.before) throw line.fault('the first time of day is not before the second')
  return tests
}

/** A day, days with commas between, or a range of them. */
function parseDays(line: FlowdLine): string {
  const first = parseDay(line)
  if (line.take('-')) return `received day in [${first}-${parseDay(line)}]`
  const days = [first]
  while (line.take(',')) days.push(parseDay(line))
  return `received day in [${days.join(' ')}]`
}

function parseDay(line: FlowdLine): string {
  const text = line.takeValue()
  if (text === undefined) throw line.expected('a day such as mon')
  const day = DAYS.find((name) => name === text.toLowerCase() || name.slice(0, 3) === text.toLowerCase())
  if (day === undefined) throw line.fault(`expected a day such as mon, found "${text}"`)
  return day.slice(0, 3)
}

/** A local time, of which all behind the year may be missing: seconds since the epoch. */
function parseDate(line: FlowdLine): number {
  const wanted = 'a date such as 20261121 or 20261121130000'
  const text = line.takeValue()
  if (text === undefined) throw line.expected(wanted)
  const [century, ...rest] = DATE.test(text) ? text.match(/../g)! : []
  const [years, ...parts] = rest
  const [month = 1, day = 1, hours = 0, minutes = 0, seconds = 0] = parts.map(Number)
  const date = new Date(Number(century + years), month - 1, day, hours, minutes, seconds)
  const valid = date.getMonth() === month - 1 && date.getDate() === day && hours < 24
  if (valid && minutes < 60 && seconds < 60) return date.getTime() / 1e3
  throw line.fault(`expected ${wanted}, found "${text}"`)
}

function conjunction(tests: readonly string[]): string {
  if (tests.length === 0) return 'any'
  return tests.length === 1 ? tests[0] : `(${tests.join(' and ')})`
}

/** @param test that is one word, one comparison, or stands in parentheses */
function negation(test: string): string {
  return test.startsWith('(') || !test.includes(' ') ? `not ${test}` : `not (${test})`
}
