import { ID } from '../../flow/fields.ts'
import { fault, type SourceText } from '../language/lexer.ts'
import { allOf, anyOf, noneOf, type Node, type Source } from '../node.ts'
import { readLines, type NfilterLine, type Word } from './nfilter-lines.ts'
import { addRules, isType, permitted, type Primitive } from './nfilter-primitives.ts'

/** What a `match` is about: what flows have of it, by the type of primitive that it takes. */
const MATCHES: Readonly<Record<string, Readonly<Record<string, Source>>>> = {
  'source-as': { as: ID.srcAs },
  'destination-as': { as: ID.dstAs },
  'ip-source-address': addresses(ID.srcAddr),
  'ip-destination-address': addresses(ID.dstAddr),
  'ip-exporter-address': addresses(ID.exporterAddr),
  'ip-nexthop-address': addresses(ID.nextHop),
  'ip-shortcut-address': addresses(ID.routerSc),
  'ip-protocol': { 'ip-protocol': ID.proto },
  'ip-source-address-prefix-len': { 'ip-address-prefix-len': ID.srcMask },
  'ip-destination-address-prefix-len': { 'ip-address-prefix-len': ID.dstMask },
  'ip-tos': { 'ip-tos': ID.tos },
  'ip-marked-tos': { 'ip-tos': ID.markedTos },
  'ip-tcp-flags': { 'ip-tcp-flags': ID.tcpFlags },
  'ip-source-port': { 'ip-port': ID.srcPort },
  'ip-destination-port': { 'ip-port': ID.dstPort },
  'input-interface': { ifindex: ID.inIf },
  'output-interface': { ifindex: ID.outIf },
  'start-time': { 'time': 'timeOfDay', 'time-date': ID.flowStart },
  'end-time': { 'time': 'lastTimeOfDay', 'time-date': ID.flowEnd },
  'flows': { counter: 'flowCount' },
  'octets': { counter: ID.bytes },
  'packets': { counter: ID.packets },
  'extra-packets': { counter: ID.extraPackets },
  'duration': { counter: 'duration' },
  'engine-id': { engine: ID.engineId },
  'engine-type': { engine: ID.engineType },
  'source-tag': { 'tag': ID.srcTag, 'tag-mask': ID.srcTag },
  'destination-tag': { 'tag': ID.dstTag, 'tag-mask': ID.dstTag },
  'pps': { double: 'exactPps' },
  'bps': { double: 'exactBps' },
}

/** Older names. */
const ALIASES: Readonly<Record<string, string>> = {
  'src-as': 'source-as', 'dst-as': 'destination-as', 'src-ip-addr': 'ip-source-address',
  'dst-ip-addr': 'ip-destination-address', 'exporter-ip-addr': 'ip-exporter-address',
  'nexthop-ip-addr': 'ip-nexthop-address', 'shortcut-ip-addr': 'ip-shortcut-address',
  'src-ip-addr-prefix-len': 'ip-source-address-prefix-len',
  'dst-ip-addr-prefix-len': 'ip-destination-address-prefix-len',
  'src-ip-port': 'ip-source-port', 'dst-ip-port': 'ip-destination-port', 'src-ifindex': 'input-interface',
  'dst-ifindex': 'output-interface', 'src-tag': 'source-tag', 'dst-tag': 'destination-tag',
}
const SAMPLE = 'filters take no random samples'

/** A `filter-definition`. */
interface Definition {
  readonly name: Word
  invert: boolean
  /** What the lines of each part between two `or` match. */
  readonly parts: { readonly what: Word, readonly primitive: Word }[][]
  /** Whether a part begins with the next `match`. */
  open: boolean
}

/**
 * The tree of a definition in a file of flow-nfilter.
 *
 * What a flow does not have is not permitted. Source: flow-nfilter(1).
 *
 * @param choice name of the definition, and values `NAME=VALUE` for variables, with spaces between; without a
 *   name it is the only definition, or the one called `default`
 * @param now µs since the epoch, which dates like `2 hours ago` count from
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault
 */
export function parseNfilter(source: SourceText, choice: string, now: number): Node {
  const words = choice.split(/\s+/).filter(Boolean)
  const bindings = words.filter((word) => word.includes('='))
    .map((word) => word.split(/=(.*)/s, 2) as [string, string])
  const { primitives, definitions } = parseFile(readLines(source, new Map(bindings)), now)
  const [wanted, ...more] = words.filter((word) => !word.includes('='))
  const whole = { source: { text: choice }, start: 0 }
  if (more.length > 0) {
    throw fault(whole, `expected the name of one definition, and NAME=VALUE, found "${more[0]}"`)
  }
  const name = wanted ?? (definitions.size === 1 ? [...definitions.keys()][0] : 'default')
  const definition = definitions.get(name.toLowerCase())
  if (!definition) {
    const known = Array.from(definitions.values(), ({ name: { text } }) => text).join(' ') || 'none'
    throw fault(whole, `expected the name of a definition (there are: ${known}), found "${name}"`)
  }
  const parts = definition.parts.map((part) => allOf(part.map(({ what, primitive }) => (
    matchOf(what, primitive, primitives)
  ))))
  return definition.invert ? noneOf(anyOf(parts)) : anyOf(parts)
}

function parseFile(lines: readonly NfilterLine[], now: number): {
  readonly primitives: ReadonlyMap<string, Primitive>
  readonly definitions: ReadonlyMap<string, Definition>
} {
  const primitives = new Map<string, Primitive>()
  const definitions = new Map<string, Definition>()
  let primitive: Primitive | undefined
  let definition: Definition | undefined
  for (const line of lines) {
    const word = line.word('a word')
    const command = word.text.toLowerCase()
    if (command === 'filter-primitive') {
      const name = newName(line, primitives)
      primitive = { name, type: undefined, rules: [], permits: false, mask: 255, now }
      primitives.set(name.text.toLowerCase(), primitive)
      definition = undefined
    } else if (command === 'filter-definition') {
      const name = newName(line, definitions)
      definition = { name, invert: false, parts: [], open: true }
      definitions.set(name.text.toLowerCase(), definition)
      primitive = undefined
    } else if (primitive) parsePrimitive(line, word, primitive)
    else if (definition) parseDefinition(line, word, definition)
    else throw fault(word, `expected filter-primitive or filter-definition, found "${word.text}"`)
    if (!line.atEnd()) throw line.expected('the end of the line')
  }
  return { primitives, definitions }
}

function newName(line: NfilterLine, known: ReadonlyMap<string, unknown>): Word {
  const name = line.word('a name')
  if (!known.has(name.text.toLowerCase())) return name
  throw fault(name, `expected a new name, "${name.text}" is defined above`)
}

function parsePrimitive(line: NfilterLine, command: Word, primitive: Primitive): void {
  switch (command.text.toLowerCase()) {
    case 'type': {
      const type = line.word('a type')
      const name = type.text.toLowerCase()
      if (name === 'rate') throw fault(type, SAMPLE)
      if (!isType(name)) {
        throw fault(type, `expected the type of a primitive, as ip-port, found "${type.text}"`)
      }
      if (primitive.rules.length > 0) throw fault(command, 'expected "type" before "permit" and "deny"')
      primitive.type = name
      return
    }
    case 'permit': case 'deny': return addRules(primitive, line, command.text.toLowerCase() === 'permit')
    case 'default': {
      const mode = line.word('permit or deny')
      if (!/^(permit|deny)$/i.test(mode.text)) {
        throw fault(mode, `expected permit or deny, found "${mode.text}"`)
      }
      primitive.permits = mode.text.toLowerCase() === 'permit'
      return
    }
    case 'mask': {
      const mask = line.word('a mask')
      const masked = primitive.type === 'ip-tos' || primitive.type === 'ip-tcp-flags'
      if (!masked) throw fault(command, 'only primitives of type ip-tos and ip-tcp-flags have a mask')
      const value = /^(0x[\da-f]+|\d+)$/i.test(mask.text) ? Number(mask.text) : NaN
      if (!(value <= 255)) throw fault(mask, `expected a mask (0 to 255), found "${mask.text}"`)
      primitive.mask = value
      return
    }
    default: throw fault(command, `expected type, permit, deny, default or mask, found "${command.text}"`)
  }
}

function parseDefinition(line: NfilterLine, command: Word, definition: Definition): void {
  switch (command.text.toLowerCase()) {
    case 'match': {
      const item = { what: line.word('what to match'), primitive: line.word('the name of a primitive') }
      if (definition.open) definition.parts.push([item])
      else definition.parts.at(-1)!.push(item)
      definition.open = false
      return
    }
    case 'or': definition.open = true; return
    case 'invert': definition.invert = true; return
    default: throw fault(command, `expected match, or, or invert, found "${command.text}"`)
  }
}

function matchOf(what: Word, name: Word, primitives: ReadonlyMap<string, Primitive>): Node {
  const word = what.text.toLowerCase()
  if (word === 'random-sample') throw fault(what, SAMPLE)
  const key = Object.hasOwn(ALIASES, word) ? ALIASES[word] : word
  if (!Object.hasOwn(MATCHES, key)) {
    throw fault(what, `expected what to match, as ip-source-port, found "${what.text}"`)
  }
  const primitive = primitives.get(name.text.toLowerCase())
  if (!primitive) throw fault(name, `expected the name of a primitive, found "${name.text}"`)
  const sources = MATCHES[key]
  if (primitive.type !== undefined && !Object.hasOwn(sources, primitive.type)) {
    const types = Object.keys(sources).join(' or ')
    throw fault(name, `expected a primitive of type ${types}, "${name.text}" is ${primitive.type}`)
  }
  return permitted(primitive, sources[primitive.type ?? ''])
}

function addresses(field: number): Readonly<Record<string, Source>> {
  return { 'ip-address': field, 'ip-address-mask': field, 'ip-address-prefix': field }
}
