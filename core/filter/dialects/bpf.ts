import type { FlowkitError } from '../../flow/errors.ts'
import { ID } from '../../flow/fields.ts'
import { parseIpv4, parseMac } from '../../flow/address.ts'
import { equals, inRanges, inSet, ofFamily } from '../build.ts'
import { addressList } from '../evaluate/address-set.ts'
import { addRange, parseAddresses, parseNetmask, type AddressRange } from '../language/addresses.ts'
import { Cursor } from '../language/cursor.ts'
import { tokenize, type SourceText } from '../language/lexer.ts'
import { servicePort } from '../language/services.ts'
import { addressesOf, isHostName, type FindHost } from '../language/value-set.ts'
import { allOf, anyOf, EVERY, noneOf, type Node } from '../node.ts'
import { parseRelation } from './bpf-relation.ts'
import {
  ETHER_TYPES, fieldsOf, ipProtocol, LENGTHS, PORT_PROTOCOLS, portOf, PROTOCOLS, TYPES, UNKNOWN, wanted,
  type Qualifiers,
} from './bpf-words.ts'

/** Parentheses within each other that a filter may have. */
const MAX_DEPTH = 200
/** Changes between `and` and `or` that a filter may have: so much deeper its tree becomes. */
const MAX_TURNS = 500
const BROADCAST = 0xffffffffffff

/**
 * The tree of a packet filter expression, as far as flows have what it is about: pcap-filter(7).
 *
 * `and` and `or` bind alike, from left to right. Empty text is true of every row.
 *
 * @param hosts undefined where names may not be looked up
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault
 */
export function parseBpf(source: SourceText, hosts?: FindHost): Node {
  const parser = new Parser(new Cursor(tokenize(source, undefined), () => undefined), hosts)
  return parser.parse()
}

class Parser {
  private readonly cursor: Cursor
  private readonly hosts: FindHost | undefined
  private last: Qualifiers | undefined
  private depth = 0
  private turns = 0

  constructor(cursor: Cursor, hosts: FindHost | undefined) {
    this.cursor = cursor
    this.hosts = hosts
  }

  parse(): Node {
    if (this.cursor.atEnd()) return EVERY
    const node = this.expression()
    if (!this.cursor.atEnd()) throw this.cursor.expected('"and" or "or"')
    return node
  }

  private expression(): Node {
    const { cursor } = this
    let nodes = [this.term()]
    let kind: 'and' | 'or' | undefined
    for (;;) {
      const next = cursor.take('and', '&&') ? 'and' : cursor.take('or', '||') ? 'or' : undefined
      if (next === undefined) return kind === undefined ? nodes[0] : { kind, nodes }
      if (kind !== undefined && next !== kind) {
        if (++this.turns > MAX_TURNS) {
          throw cursor.fault(`expected no more than ${MAX_TURNS} turns from and to or`)
        }
        nodes = [{ kind, nodes }]
      }
      kind = next
      nodes.push(this.term())
    }
  }

  private term(): Node {
    let not = false
    while (this.cursor.take('not', '!')) not = !not
    const node = this.cursor.at('(') ? this.parentheses() : this.primitive()
    return not ? noneOf(node) : node
  }

  private parentheses(): Node {
    const { cursor } = this
    if (++this.depth > MAX_DEPTH) throw cursor.fault(`expected no more than ${MAX_DEPTH} nested parentheses`)
    cursor.advance()
    const node = this.expression()
    if (!cursor.take(')')) throw cursor.expected('"and", "or" or ")"')
    this.depth--
    return node
  }

  private primitive(): Node {
    const { cursor } = this
    const { kind, text } = cursor.token
    if (kind !== 'word') throw cursor.expected('a test')
    const word = text.toLowerCase()
    if (LENGTHS.includes(word)) {
      throw cursor.fault(`cannot test "${text}": flows have no length of one packet`)
    }
    if (UNKNOWN.includes(word)) throw this.unknown()
    if (cursor.take('inbound')) return equals(ID.direction, 0)
    if (cursor.take('outbound')) return equals(ID.direction, 1)
    if (cursor.take('vlan')) return this.numbered(ID.vlanId, 4095)
    if (cursor.take('mpls')) return this.numbered(ID.mplsLabel1, 0xfffff)
    if (PROTOCOLS.includes(word)) {
      cursor.advance()
      if (cursor.at('[')) return allOf([...this.protocol(word), parseRelation(cursor, word)])
      const own = this.ownTest(word)
      if (own) return own
      if (!this.atQualifier()) return allOf(this.protocol(word))
      return this.qualified(word)
    }
    if (this.atQualifier()) return this.qualified(undefined)
    if (!this.last && !parseAddresses(text, false)) throw cursor.expected('a test')
    return this.identifier(this.last ?? { join: 'or', type: 'host' })
  }

  private unknown(): FlowkitError {
    return this.cursor.fault(`flows have no field here for "${this.cursor.token.text}"`)
  }

  /** What may follow one protocol alone. */
  private ownTest(proto: string): Node | undefined {
    const { cursor } = this
    if (proto === 'ether' && cursor.take('broadcast')) return equals(ID.dstMac, BROADCAST)
    if (cursor.at(...UNKNOWN) && !cursor.at('multicast')) throw this.unknown()
    if (!cursor.at('multicast')) return undefined
    if (proto !== 'ip' && proto !== 'ip6') throw this.unknown()
    cursor.advance()
    const list = addressList()
    addRange(list, parseAddresses(proto === 'ip' ? '224.0.0.0/4' : 'ff00::/8', false)!)
    return inSet(ID.dstAddr, list.toSet())
  }

  private atQualifier(): boolean {
    return this.cursor.at('src', 'dst', 'protochain', ...TYPES)
  }

  private qualified(proto: string | undefined): Node {
    const { cursor } = this
    let join: Qualifiers['join'] = 'or'
    const first = cursor.words(3).map((word) => word.toLowerCase())
    if (first[0] === 'src' || first[0] === 'dst') {
      const other = first[0] === 'src' ? 'dst' : 'src'
      const pair = first[2] === other && (first[1] === 'or' || first[1] === 'and')
      join = pair ? first[1] as 'or' | 'and' : first[0]
      cursor.advance(pair ? 3 : 1)
    }
    const type = TYPES.find((one) => cursor.at(one))
    if (type) cursor.advance()
    else if (cursor.at(...UNKNOWN)) throw this.unknown()
    const qualifiers: Qualifiers = { ...proto !== undefined && { proto }, join, type: type ?? 'host' }
    if (cursor.at('(')) {
      this.last = qualifiers
      return this.parentheses()
    }
    return this.identifier(qualifiers)
  }

  private identifier(qualifiers: Qualifiers): Node {
    const { cursor } = this
    this.last = qualifiers
    const { proto, type } = qualifiers
    if (cursor.token.kind !== 'word') throw cursor.expected(wanted(qualifiers))
    switch (type) {
      case 'proto': return this.protoNumber(proto)
      case 'port': case 'portrange': return this.ports(qualifiers)
      default: return proto === 'ether' ? this.mac(qualifiers) : this.addresses(qualifiers)
    }
  }

  private addresses(qualifiers: Qualifiers): Node {
    const { cursor } = this
    const { proto, join, type } = qualifiers
    if (proto === 'arp' || proto === 'rarp') throw cursor.fault(`flows have no addresses of ${proto}`)
    const [text, mask, bits] = cursor.words(3)
    const list = addressList()
    const fields = fieldsOf(qualifiers, ID.srcAddr, ID.dstAddr)
    if (type === 'net' && mask?.toLowerCase() === 'mask' && bits !== undefined) {
      const [v4, v4Mask] = [parseIpv4(text), parseIpv4(bits)]
      if (v4 < 0) throw cursor.expected('an IPv4 address before "mask"')
      cursor.advance(2)
      if (v4Mask < 0) throw cursor.expected('a netmask')
      cursor.advance()
      const range = parseNetmask(text, bits)
      if (!range) {
        return this.joined(proto, join, fields.map((field) => (
          { kind: 'bits', field, not: false, mask: v4Mask, bits: (v4 & v4Mask) >>> 0 }
        )))
      }
      addRange(list, range)
    } else {
      for (const range of this.ranges(qualifiers, text)) addRange(list, range)
      cursor.advance()
    }
    const set = list.toSet()
    return this.joined(proto, join, fields.map((field) => inSet(field, set)))
  }

  /** What an address, network or host stands for. */
  private ranges(qualifiers: Qualifiers, text: string): readonly AddressRange[] {
    const { cursor, hosts } = this
    const { proto, type } = qualifiers
    const range = parseAddresses(text, type === 'net')
    const family = proto === 'ip' ? 4 : proto === 'ip6' ? 6 : undefined
    if (!range && hosts && type === 'host' && isHostName(text)) {
      return addressesOf(cursor, hosts, text).filter((one) => family === undefined || one.family === family)
    }
    const network = type === 'net' || !text.includes('/')
    if (!range || range.family !== (family ?? range.family) || !network || text.includes('-')) {
      throw cursor.expected(wanted(qualifiers))
    }
    return [range]
  }

  private mac(qualifiers: Qualifiers): Node {
    const { cursor } = this
    const mac = parseMac(cursor.token.text)
    if (mac < 0) throw cursor.expected('a MAC address')
    cursor.advance()
    const fields = fieldsOf(qualifiers, ID.srcMac, ID.dstMac)
    return this.joined(undefined, qualifiers.join, fields.map((field) => equals(field, mac)))
  }

  private ports(qualifiers: Qualifiers): Node {
    const { cursor } = this
    const { proto, join, type } = qualifiers
    if (proto !== undefined && !PORT_PROTOCOLS.includes(proto)) throw cursor.fault(`${proto} has no ports`)
    const { text } = cursor.token
    const [first, second, ...rest] = servicePort(text) === undefined ? text.split('-') : [text]
    const [low, high] = [portOf(first), portOf(second ?? first)]
    const isRange = type === 'portrange' || second === undefined
    if (rest.length > 0 || !isRange || low === undefined || high === undefined) {
      throw cursor.expected(wanted(qualifiers))
    }
    cursor.advance()
    const ranges = [Math.min(low, high), Math.max(low, high)]
    const tests = fieldsOf(qualifiers, ID.srcPort, ID.dstPort).map((field) => inRanges(field, ranges))
    const protocols = proto === undefined ? PORT_PROTOCOLS : [proto]
    return allOf([anyOf(protocols.map(protocolTest)), join === 'and' ? allOf(tests) : anyOf(tests)])
  }

  private protoNumber(proto: string | undefined): Node {
    const { cursor } = this
    const name = cursor.token.text.toLowerCase().replace(/^\\/, '')
    const isEther = proto === 'ether'
    const max = isEther ? 0xffff : 255
    const known = isEther ? ETHER_TYPES[name] ?? -1 : ipProtocol(name)
    const number = known >= 0 ? known : /^(0x[\da-f]+|\d+)$/i.test(name) ? Number(name) : -1
    if (number < 0 || number > max) {
      throw cursor.expected(isEther ? 'an EtherType' : 'a protocol name or number')
    }
    cursor.advance()
    if (isEther) return equals(ID.etype, number)
    return allOf([...proto === undefined ? [] : this.protocol(proto), equals(ID.proto, number)])
  }

  /** A test of whether a field is there, or with a number behind it of its value. */
  private numbered(field: number, max: number): Node {
    const { cursor } = this
    const { kind, text } = cursor.token
    if (kind !== 'word' || !/^(0x[\da-f]+|\d+)$/i.test(text)) return { kind: 'defined', field }
    if (Number(text) > max) throw cursor.expected(`a number (0 to ${max})`)
    cursor.advance()
    return equals(field, Number(text))
  }

  private joined(proto: string | undefined, join: Qualifiers['join'], tests: readonly Node[]): Node {
    const test = join === 'and' ? allOf(tests) : anyOf(tests)
    // an address of IPv4 or IPv6 says so itself
    const isIp = proto === undefined || proto === 'ip' || proto === 'ip6'
    return isIp ? test : allOf([...this.protocol(proto), test])
  }

  private protocol(proto: string): readonly Node[] {
    switch (proto) {
      case 'ether': return []
      case 'ip': return [ofFamily(4)]
      case 'ip6': return [ofFamily(6)]
      case 'arp': case 'rarp': return [equals(ID.etype, ETHER_TYPES[proto])]
      default: return [protocolTest(proto)]
    }
  }
}

function protocolTest(proto: string): Node {
  return equals(ID.proto, ipProtocol(proto))
}
