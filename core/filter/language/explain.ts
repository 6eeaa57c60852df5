import { formatIpv4, formatMac } from '../../flow/address.ts'
import { FIELDS } from '../../flow/fields.ts'
import { formatTime } from '../../flow/time.ts'
import { DERIVED } from '../evaluate/derived.ts'
import type { BitsLeaf, Node, PatternLeaf, SetLeaf, Source } from '../node.ts'
import { nameOf } from '../value-names.ts'
import { formatSet } from './addresses.ts'
import { dayName, typeOf } from './values.ts'

const TEXT = new TextDecoder('utf-8', { ignoreBOM: true })

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
    case 'bits': return bitsToText(node)
    case 'pattern': return patternToText(node)
    default: return setToText(node)
  }
}

function setToText(node: SetLeaf): string {
  const words = wordsOf('field' in node ? node.field : node.source)
  const values = node.file === undefined ? valuesOf(node) : [`@${fileName(node.file)}`]
  if (values.length === 0) return `${words} < 0` // what is left of a comparison that nothing meets
  const one = values.length === 1 && !/^\w+-\w+$|^@/.test(values[0])
  if (one) return `${words} ${node.not ? '!=' : '='} ${values[0]}`
  return `${words} ${node.not ? 'not in' : 'in'} [${values.join(' ')}]`
}

function fileName(path: string): string {
  return /^[^\s()[\],!=<>&|'"#]+$/.test(path) ? path : quoted(path)
}

function valuesOf(node: SetLeaf): string[] {
  switch (node.kind) {
    case 'number': return pairs(node.ranges, (low, high) => rangeText(node.source, low, high))
    case 'wide': return pairs(node.ranges, (low, high) => low === high ? String(low) : `${low}-${high}`)
    case 'address': return formatSet(node.set)
    case 'bytes': {
      const isText = FIELDS[node.field].type === 'text'
      return node.values.map((bytes) => (
        isText ? quoted(TEXT.decode(bytes)) : `0x${Buffer.from(bytes).toString('hex')}`
      ))
    }
  }
}

function bitsToText({ field, not, mask, bits }: BitsLeaf): string {
  const words = `${FIELDS[field].name} & ${bitsText(field, mask)}`
  return bits === mask && !not ? words : `${words} ${not ? '!=' : '='} ${bitsText(field, bits)}`
}

function bitsText(field: number, value: number): string {
  return FIELDS[field].type === 'addr' ? formatIpv4(value) : valueText(field, value)
}

function patternToText({ field, not, pieces }: PatternLeaf): string {
  const texts = pieces.map((piece) => TEXT.decode(piece))
  const anywhere = texts.length === 3 && texts[0] === '' && texts[2] === ''
  const test = anywhere ? `contains ${quoted(texts[1])}` : `like ${quoted(texts.join('*'))}`
  return `${FIELDS[field].name} ${not ? 'not ' : ''}${test}`
}

function rangeText(source: Source, low: number, high: number): string {
  const [first, last] = [valueText(source, low), valueText(source, high)]
  switch (typeOf(source)) {
    case 'clock': return `${first}-${valueText(source, high + 1)}`
    case 'day': return low === high ? first : `${first}-${last}`
    default: return low === high ? first : `${low}-${high}`
  }
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
    case 'day': return dayName(value)
    default: return (typeof source === 'number' ? nameOf(source, value) : undefined) ?? String(value)
  }
}

function twoDigits(value: number): string {
  return String(Math.floor(value)).padStart(2, '0')
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

function pairs<T>(ranges: readonly T[], show: (low: T, high: T) => string): string[] {
  const texts: string[] = []
  for (let i = 0; i < ranges.length; i += 2) texts.push(show(ranges[i], ranges[i + 1]))
  return texts
}

function wordsOf(source: Source): string {
  return typeof source === 'number' ? FIELDS[source].name : DERIVED[source].words
}
