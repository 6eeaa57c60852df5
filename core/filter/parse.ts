import { FIELDS, ID } from '../flow/fields.ts'
import { protocolNumber } from '../flow/names.ts'
import { parseComparison } from './comparison.ts'
import { Cursor } from './cursor.ts'
import type { Token } from './lexer.ts'
import { allOf, anyOf, type Node, type Source } from './node.ts'
import { withoutMapped } from './sets.ts'
import { namedValue, parseFlags } from './value-names.ts'
import { continuations, findFields, findPhrase, isElement, isUnknown, PHRASE_WORDS } from './words.ts'

/** Parentheses and nots within each other that a filter may have: so deep may what walks its tree recurse. */
const MAX_DEPTH = 200

const TCP = 6
const TTL: readonly Source[] = [ID.ipTtl, ID.minTtl, ID.maxTtl]

/**
 * The tree of a filter's text. Empty text is true of every row.
 *
 * @param now µs since the epoch, which times like `-1h` count from
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault
 */
export function parseNode(text: string, now: number): Node {
  const parser = new Parser(text, now)
  return parser.parse()
}

class Parser {
  private readonly cursor: Cursor
  private readonly now: number
  private depth = 0

  constructor(text: string, now: number) {
    this.cursor = new Cursor(text)
    this.now = now
  }

  parse(): Node {
    if (this.cursor.atEnd()) return { kind: 'all' }
    const node = this.disjunction()
    if (!this.cursor.atEnd()) throw this.cursor.expected('"and" or "or"')
    return node
  }

  private disjunction(): Node {
    const nodes = [this.conjunction()]
    while (this.cursor.take('or', '||')) nodes.push(this.conjunction())
    return anyOf(nodes)
  }

  private conjunction(): Node {
    const nodes = [this.negation()]
    while (this.cursor.take('and', '&&')) nodes.push(this.negation())
    return allOf(nodes)
  }

  private negation(): Node {
    let not = false
    while (this.cursor.take('not', '!')) not = !not
    const node = this.cursor.at('(') ? this.parentheses() : this.test()
    return not ? { kind: 'not', node } : node
  }

  private parentheses(): Node {
    const { cursor } = this
    if (++this.depth > MAX_DEPTH) throw cursor.fault(`expected no more than ${MAX_DEPTH} nested parentheses`)
    cursor.advance()
    const node = this.disjunction()
    if (!cursor.take(')')) throw cursor.expected('"and", "or" or ")"')
    this.depth--
    return node
  }

  private test(): Node {
    const { cursor } = this
    const start = cursor.token
    if (start.kind !== 'word') throw cursor.expected('a test')
    if (cursor.take('any')) return { kind: 'all' }
    if (cursor.take('ipv4', 'inet')) return anyAddress([0, 2 ** 32 - 1], [])
    if (cursor.take('ipv6', 'inet6')) return anyAddress([], withoutMapped([0n, 2n ** 128n - 1n]))
    if (cursor.take('defined')) return this.defined()
    if (cursor.take('flags')) return this.flags()
    const phrase = this.bothDirections() ?? this.deniedEvent()
    if (phrase) return phrase
    const node = this.sources()
    if (node) return node
    const proto = protocolNumber(start.text)
    if (proto < 0) throw cursor.expected('a test')
    cursor.advance()
    return { kind: 'compare', source: ID.proto, operator: '=', value: proto }
  }

  /** `src and dst …` and `src or dst …`, either way round. */
  private bothDirections(): Node | undefined {
    const [first, how, second, ...rest] = this.cursor.words(PHRASE_WORDS + 2)
    const join = how?.text.toLowerCase()
    if ((join !== 'and' && join !== 'or') || !second) return undefined
    const pair = lower([first, second])
    if (pair !== 'src dst' && pair !== 'dst src') return undefined
    for (let count = rest.length; count > 0; count--) {
      const words = lower(rest.slice(0, count))
      const src = findPhrase(`src ${words}`)
      const dst = findPhrase(`dst ${words}`)
      if (!src || !dst) continue
      this.cursor.advance(rest[count - 1])
      return this.comparison([...src, ...dst], join, rest[count - 1])
    }
    this.cursor.advance(second)
    throw this.cursor.expected('what both directions have, as "port"')
  }

  /** `asa event denied ingress`, as nfdump's manual has it: why a flow was denied is the extended event. */
  private deniedEvent(): Node | undefined {
    const words = this.cursor.words(PHRASE_WORDS)
    const why = words[3]
    if (!why || !/^asa event (denied|deny)$/.test(lower(words.slice(0, 3)))) return undefined
    if (!namedValue(ID.firewallExtEvent, why.text)) return undefined
    this.cursor.advance(words[2])
    return this.comparison([ID.firewallExtEvent], 'any', words[2])
  }

  /** What the next words are about: a phrase of nfdump's, or a field by name. */
  private sources(): Node | undefined {
    const { cursor } = this
    const words = cursor.words(PHRASE_WORDS)
    for (let count = words.length; count > 0; count--) {
      const phrase = lower(words.slice(0, count))
      if (isUnknown(phrase)) throw cursor.fault(`flows have no field here for "${phrase}"`)
      const sources = findPhrase(phrase)
      if (!sources) continue
      cursor.advance(words[count - 1])
      return this.comparison(sources, 'any', words[count - 1])
    }
    const field = this.field()
    if (field !== undefined) return this.comparison([sourceOf(field)], 'any', words[0])
    if (protocolNumber(words[0].text) >= 0) return undefined
    const next = continuations(lower(words.slice(0, 1)))
    if (next.length === 0) return undefined
    cursor.advance()
    throw cursor.expected(`${next.join(' or ')} behind "${words[0].text}"`)
  }

  private field(): number | undefined {
    const { cursor } = this
    const { text, kind } = cursor.token
    if (kind !== 'word') return undefined
    const fields = findFields(text)
    if (fields.length > 1) {
      const names = fields.map((id) => FIELDS[id].name).join(' and ')
      throw cursor.fault(`"${text}" is in more than one field: ${names}`)
    }
    if (fields.length === 0 && isElement(text)) throw cursor.fault(`flows have no field here for "${text}"`)
    if (fields.length > 0) cursor.advance()
    return fields[0]
  }

  private defined(): Node {
    const { cursor } = this
    const field = this.field()
    if (field !== undefined) return { kind: 'defined', field }
    const words = cursor.words(PHRASE_WORDS)
    for (let count = words.length; count > 0; count--) {
      const sources = findPhrase(lower(words.slice(0, count))) ?? []
      const fields = sources.filter((source) => typeof source === 'number')
      if (fields.length === 0) continue
      cursor.advance(words[count - 1])
      return anyOf(fields.map((id) => ({ kind: 'defined', field: id })))
    }
    throw cursor.expected('the name of a field')
  }

  /** As in nfdump, letters without an operator are flags that must be set, and all is about TCP only. */
  private flags(): Node {
    const { cursor } = this
    const tcp: Node = { kind: 'compare', source: ID.proto, operator: '=', value: TCP }
    const letters = cursor.token.kind === 'word' ? parseFlags(cursor.token.text) : undefined
    if (letters === undefined) return allOf([tcp, this.comparison([ID.tcpFlags], 'any', cursor.token)])
    cursor.advance()
    return allOf([tcp, { kind: 'compare', source: ID.tcpFlags, operator: '&', value: letters }])
  }

  private comparison(sources: readonly Source[], join: 'and' | 'or' | 'any', last: Token): Node {
    if (sources.some((source) => TTL.includes(source)) && this.cursor.take('equal')) {
      return { kind: 'pair', left: ID.minTtl, operator: '=', right: ID.maxTtl }
    }
    const net = /^x?net$/i.test(last.text)
    return parseComparison(this.cursor, { sources, join, net, now: this.now })
  }
}

/** IPv4 or IPv6: the flow's addresses are. */
function anyAddress(v4: readonly number[], v6: readonly bigint[]): Node {
  return anyOf([ID.srcAddr, ID.dstAddr].map((field) => ({ kind: 'address', field, not: false, v4, v6 })))
}

/** The number of flows is 1 where it is absent; all other fields are themselves. */
function sourceOf(field: number): Source {
  return field === ID.flows ? 'flowCount' : field
}

function lower(words: readonly Token[]): string {
  return words.map(({ text }) => text.toLowerCase()).join(' ')
}
