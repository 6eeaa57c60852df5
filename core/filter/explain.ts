import { formatMac } from '../flow/address.ts'
import { FIELDS } from '../flow/fields.ts'
import { formatTime } from '../flow/time.ts'
import { formatRange, MAPPED_HIGH, MAPPED_LOW } from './addresses.ts'
import { DERIVED } from './derived.ts'
import type { AddressLeaf, BytesLeaf, Leaf, Node, Source } from './node.ts'
import { nameOf } from './value-names.ts'
import { typeOf } from './values.ts'

/** A filter as text that says the same with the names of fields and every parenthesis. */
export function nodeToText(node: Node): string {
  const text = toText(node)
  return 'nodes' in node ? text.slice(1, -1) : text
}

function toText(node: Node): string {
  switch (node.kind) {
    case 'all': return 'any'
    case 'and': case 'or': return `(${node.nodes.map(toText).join(` ${node.kind} `)})`
    case 'not': return `not ${'nodes' in node.node ? toText(node.node) : `(${toText(node.node)})`}`
    case 'defined': return `defined ${FIELDS[node.field].name}`
    case 'pair': return `${FIELDS[node.left].name} ${node.operator} ${FIELDS[node.right].name}`
    case 'compare': {
      const show = /[<>]/.test(node.operator) ? orderedText : valueText
      return `${wordsOf(node.source)} ${node.operator} ${show(node.source, node.value)}`
    }
    default: return leafToText(node)
  }
}

function leafToText(node: Leaf): string {
  const values = valuesOf(node)
  const words = wordsOf('field' in node ? node.field : node.source)
  if (values.length === 0) return `${words} < 0` // what is left of a comparison that nothing meets
  const one = values.length === 1 && !/^\d+-\d+$/.test(values[0])
  if (one) return `${words} ${node.not ? '!=' : '='} ${values[0]}`
  return `${words} ${node.not ? 'not in' : 'in'} [${values.join(' ')}]`
}

function valuesOf(node: Leaf): string[] {
  switch (node.kind) {
    case 'number': return pairs(node.ranges, (low, high) => rangeText(node.source, low, high))
    case 'wide': return pairs(node.ranges, (low, high) => low === high ? String(low) : `${low}-${high}`)
    case 'address': return addressTexts(node)
    case 'bytes': return bytesTexts(node)
  }
}

function rangeText(source: Source, low: number, high: number): string {
  if (typeOf(source) === 'clock') return `${valueText(source, low)}-${valueText(source, high + 1)}`
  return low === high ? valueText(source, low) : `${low}-${high}`
}

/** A value whose place among others counts, so that a name would say nothing. */
function orderedText(source: Source, value: number): string {
  const named = typeof source === 'number' && nameOf(source, value) !== undefined
  return named ? String(value) : valueText(source, value)
}

function valueText(source: Source, value: number): string {
  switch (typeOf(source)) {
    case 'time': return formatTime(value)
    case 'mac': return formatMac(value)
    case 'clock': return [value / 3600, value / 60 % 60, value % 60].map(twoDigits).join(':')
    default: return (typeof source === 'number' ? nameOf(source, value) : undefined) ?? String(value)
  }
}

function twoDigits(value: number): string {
  return String(Math.floor(value)).padStart(2, '0')
}

function addressTexts({ v4, v6 }: AddressLeaf): string[] {
  const whole: bigint[] = [] // IPv6 as it was written, with the mapped addresses inside it
  for (let i = 0; i < v6.length; i += 2) {
    if (v6[i] === MAPPED_HIGH + 1n && whole.at(-1) === MAPPED_LOW - 1n) whole[whole.length - 1] = v6[i + 1]
    else whole.push(v6[i], v6[i + 1])
  }
  return [
    ...pairs(v4, (low, high) => formatRange({ family: 4, low, high })),
    ...pairs(whole, (low, high) => formatRange({ family: 6, low, high })),
  ]
}

function bytesTexts({ field, values }: BytesLeaf): string[] {
  if (FIELDS[field].type === 'octets') return values.map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
  return values.map((bytes) => `"${new TextDecoder().decode(bytes).replace(/["\\]/g, '\\$&')}"`)
}

function pairs<T>(ranges: readonly T[], show: (low: T, high: T) => string): string[] {
  const texts: string[] = []
  for (let i = 0; i < ranges.length; i += 2) texts.push(show(ranges[i], ranges[i + 1]))
  return texts
}

function wordsOf(source: Source): string {
  return typeof source === 'number' ? FIELDS[source].name : DERIVED[source].words
}
