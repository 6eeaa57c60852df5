import { FIELDS, ID } from '../../flow/fields.ts'
import { protocolNumber } from '../../flow/names.ts'
import { equals, ofFamily, sourceOf } from '../build.ts'
import { allOf, anyOf, EVERY, type Node, type Source } from '../node.ts'
import { namedValue, parseFlags } from '../value-names.ts'
import { parseComparison } from './comparison.ts'
import { Cursor } from './cursor.ts'
import { tokenize, type ReadFile, type SourceText } from './lexer.ts'
import type { FindHost, ParseContext } from './value-set.ts'
import { continuations, findFields, findPhrase, isElement, missing, nearest, PHRASE_WORDS } from './words.ts'

/** Parentheses and nots within each other that a filter may have: so deep may what walks its tree recurse. */
const MAX_DEPTH = 200

const TCP = 6
/** Value of `firewall_event`. */
const DENIED = 3
const TTL: readonly Source[] = [ID.ipTtl, ID.minTtl, ID.maxTtl]

/**
 * The tree of a filter's text. Empty text is true of every row.
 *
 * @param now µs since the epoch, which times like `-1h` count from
 * @param read undefined where files may not be read
 * @param hosts undefined where names may not be looked up
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault
 */
export function parseNode(source: SourceText, now: number, read?: ReadFile, hosts?: FindHost): Node {
  const cursor = new Cursor(tokenize(source, read), nearest)
  const parser = new Parser(cursor, { now, read, hosts, sets: new Map() })
  return parser.parse()
}

class Parser {
  private readonly cursor: Cursor
  private readonly context: ParseContext
  private depth = 0

  constructor(cursor: Cursor, context: ParseContext) {
    this.cursor = cursor
    this.context = context
  }

  parse(): Node {
    if (this.cursor.atEnd()) return EVERY
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
    if (not && this.cursor.at('flags')) return this.notFlags()
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
    if (cursor.take('any')) return EVERY
    if (cursor.take('ipv4', 'inet')) return ofFamily(4)
    if (cursor.take('ipv6', 'inet6')) return ofFamily(6)
    if (cursor.take('defined')) return this.defined()
    if (cursor.take('flags')) return this.flags()
    const phrase = this.bothDirections() ?? this.deniedEvent()
    if (phrase) return phrase
    const node = this.sources()
    if (node) return node
    const proto = protocolNumber(start.text)
    if (proto < 0) throw cursor.expected('a test')
    cursor.advance()
    return equals(ID.proto, proto)
  }

  /** `src and dst …` and `src or dst …`, either way round. */
  private bothDirections(): Node | undefined {
    const [first, how, second, ...rest] = lower(this.cursor.words(PHRASE_WORDS + 2))
    if ((how !== 'and' && how !== 'or') || second === undefined) return undefined
    const pair = `${first} ${second}`
    if (pair !== 'src dst' && pair !== 'dst src') return undefined
    for (let count = rest.length; count > 0; count--) {
      const words = rest.slice(0, count).join(' ')
      const src = findPhrase(`src ${words}`)
      const dst = findPhrase(`dst ${words}`)
      if (!src || !dst) continue
      this.cursor.advance(count + 3)
      return this.comparison([...src, ...dst], how, rest[count - 1])
    }
    this.cursor.advance(3)
    throw this.cursor.expected('what both directions have, as "port"')
  }

  /** `asa event denied ingress`, as 1.7.1 has it: why a flow was denied is the extended event. */
  private deniedEvent(): Node | undefined {
    const words = lower(this.cursor.words(4))
    if (words.length < 4 || !/^asa event (denied|deny)$/.test(words.slice(0, 3).join(' '))) return undefined
    if (!namedValue(ID.firewallExtEvent, words[3])) return undefined
    this.cursor.advance(3)
    const why = this.comparison([ID.firewallExtEvent], 'any', words[2])
    return allOf([equals(ID.firewallEvent, DENIED), why])
  }

  /** What the next words are about: a phrase of nfdump's, or a field by name. */
  private sources(): Node | undefined {
    const { cursor } = this
    const words = lower(cursor.words(PHRASE_WORDS))
    for (let count = words.length; count > 0; count--) {
      const phrase = words.slice(0, count).join(' ')
      const what = missing(phrase)
      if (what !== undefined) throw cursor.fault(`cannot test "${phrase}": ${what}`)
      const sources = findPhrase(phrase)
      if (!sources) continue
      cursor.advance(count)
      return this.comparison(sources, 'any', words[count - 1])
    }
    const field = this.field()
    if (field !== undefined) return this.comparison([sourceOf(field)], 'any', words[0])
    if (protocolNumber(words[0]) >= 0) return undefined
    const next = continuations(words[0])
    if (next.length === 0) return undefined
    cursor.advance()
    throw cursor.expected(`${next.join(' or ')} behind "${words[0]}"`)
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
    const words = lower(cursor.words(PHRASE_WORDS))
    for (let count = words.length; count > 0; count--) {
      const sources = findPhrase(words.slice(0, count).join(' ')) ?? []
      const fields = sources.filter((source) => typeof source === 'number')
      if (fields.length === 0) continue
      cursor.advance(count)
      return anyOf(fields.map((id) => ({ kind: 'defined', field: id })))
    }
    throw cursor.expected('the name of a field')
  }

  /**
   * `not flags AF` is none of them, as nfdump's manual has it, and 1.7.1 too: `flags S and not flags AFRPU`
   * are the flows of which no more than SYN was seen.
   */
  private notFlags(): Node {
    const { kind, text } = this.cursor.peek(1)
    const letters = kind === 'word' ? parseFlags(text) : undefined
    if (letters === undefined) return { kind: 'not', node: this.test() }
    this.cursor.advance(2)
    const some: Node = { kind: 'bits', field: ID.tcpFlags, not: true, mask: letters, bits: 0 }
    return { kind: 'not', node: allOf([equals(ID.proto, TCP), some]) }
  }

  /** As in nfdump, letters without an operator are flags that must be set, and all is about TCP only. */
  private flags(): Node {
    const { cursor } = this
    const tcp = equals(ID.proto, TCP)
    const letters = cursor.token.kind === 'word' ? parseFlags(cursor.token.text) : undefined
    if (letters === undefined) return allOf([tcp, this.comparison([ID.tcpFlags], 'any', 'flags')])
    cursor.advance()
    return allOf([tcp, { kind: 'bits', field: ID.tcpFlags, not: false, mask: letters, bits: letters }])
  }

  /** @param last word before the comparison, in lower case */
  private comparison(sources: readonly Source[], join: 'and' | 'or' | 'any', last: string): Node {
    if (sources.some((source) => TTL.includes(source)) && this.cursor.take('equal')) {
      return { kind: 'pair', left: ID.minTtl, operator: '=', right: ID.maxTtl }
    }
    const net = last === 'net' || last === 'xnet'
    return parseComparison(this.cursor, { sources, join, net, context: this.context })
  }
}

function lower(words: readonly string[]): string[] {
  return words.map((word) => word.toLowerCase())
}
