/** How to read the words of a VPC flow log's lines: made once for each list of names. */
import { foreignElement, type Element } from '../flow/elements.ts'
import { FIELDS, ID } from '../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../flow/names.ts'
import { makeShape, VARIABLE_LENGTH, type ExtraElement, type Shape } from '../flow/shape.ts'
import {
  VPC_ACTIONS, VPC_DIRECTIONS, VPC_FIELDS, VPC_KEYS, VPC_NUMBERS, vpcElementName,
} from './vpc-fields.ts'
import type { WordValue } from './words.ts'

/** What is done with a word: `OP.address` and so on. */
export const OP = {
  skip: 0, address: 1, integer: 2, count: 3, time: 4, word: 5, status: 6, text: 7, number: 8,
} as const

/** What became of a word: it is absent, in its field, text or a number without a field, or lost. */
export const FATE = { absent: 0, field: 1, text: 2, number: 3, lost: 4 } as const

/** Values of fields that are words; any other word is an element without a field. */
const WORDS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'action': VPC_ACTIONS, 'flow-direction': VPC_DIRECTIONS, 'type': { IPv4: ETYPE_IPV4, IPv6: ETYPE_IPV6 },
}

/** What is wanted of records. */
export interface VpcWanted {
  /** By field id, 1 for those wanted. */
  readonly fields: Uint8Array
  /** Whether elements without a field are wanted. */
  readonly extras: boolean
  /** Whether those that are not are counted. */
  readonly losses: boolean
}

/** How to read the words of a line, each by its place. */
export interface Plan {
  readonly names: readonly string[]
  /** One of OP each. */
  readonly ops: Uint8Array
  /** Id of the field that a word fills, also where it is not wanted; -1 for none. */
  readonly ids: Int16Array
  /** Largest value of an integer. */
  readonly most: Uint16Array
  /** 1 where a word tells that there is a flow. */
  readonly keys: Uint8Array
  readonly values: readonly (readonly WordValue[] | undefined)[]
  /** Elements for what fills no field. */
  readonly texts: readonly (Element | undefined)[]
  readonly numbers: readonly (Element | undefined)[]
  /** Places of the addresses that tell the EtherType where no word does. */
  readonly families: readonly number[]
  /** Whether records have the time of their start, or nobody wants it. */
  readonly hasStart: boolean
  /** One of FATE for each word of the record at hand; then for the EtherType, and a time before it. */
  readonly fates: Uint8Array
  /** By what became of the words. */
  readonly kinds: Map<string, Kind>
}

/** Records whose words became the same. */
export interface Kind {
  readonly fates: Uint8Array
  readonly shape: Shape
  /** Names of what was lost of each. */
  readonly lost: readonly string[]
  /** How many there were. */
  rows: number
}

/** How to read lines of fields with these names. */
export function planOf(names: readonly string[], wanted: VpcWanted): Plan {
  const { fields, extras } = wanted
  const ids = names.map((name) => VPC_FIELDS.get(name) ?? -1)
  const ops = names.map((name, i) => opOf(name, ids[i], wanted))
  const tellsFamily = fields[ID.etype] === 1 && !names.includes('type')
  const families = ['srcaddr', 'dstaddr'].map((name) => names.indexOf(name))
    .filter((i) => tellsFamily && i >= 0)
  for (const i of families) ops[i] = OP.address
  const elements = (type: 'string' | 'float64', which: readonly number[]) => names.map((name, i) => (
    extras && which.includes(ops[i]) ? foreignElement(vpcElementName(name), type) : undefined
  ))
  return {
    names, families,
    ops: Uint8Array.from(ops),
    ids: Int16Array.from(ids),
    most: Uint16Array.from(ids, (id) => id >= 0 && FIELDS[id].type === 'u8' ? 0xff : 0xffff),
    keys: Uint8Array.from(names, (name) => VPC_KEYS.has(name) ? 1 : 0),
    values: names.map((name) => WORDS[name] && wordValues(WORDS[name])),
    texts: elements('string', [OP.text, OP.number, OP.word, OP.status]),
    numbers: elements('float64', [OP.number]),
    hasStart: names.includes('start') || fields[ID.flowStart] === 0,
    fates: new Uint8Array(names.length + 2),
    kinds: new Map(),
  }
}

function wordValues(values: Readonly<Record<string, number>>): WordValue[] {
  return Object.entries(values).map(([word, value]) => ({ word: Buffer.from(word), value }))
}

function opOf(name: string, id: number, { fields, extras, losses }: VpcWanted): number {
  const isKept = extras || losses
  if (name === 'version') return OP.skip
  if (name === 'log-status') return isKept ? OP.status : OP.skip
  if (id < 0) return !isKept ? OP.skip : VPC_NUMBERS.has(name) ? OP.number : OP.text
  if (fields[id] === 0) return OP.skip
  switch (FIELDS[id].type) {
    case 'addr': return OP.address
    case 'count': return OP.count
    case 'time': return OP.time
    default: return name in WORDS ? OP.word : OP.integer
  }
}

/** What records have in common whose words became what those of the record at hand became. */
export function kindOf({ names, ids, fates, texts, numbers }: Plan, { fields }: VpcWanted): Kind {
  const found: number[] = [ID.type]
  const extras: ExtraElement[] = []
  const lost: string[] = []
  for (const [i, name] of names.entries()) {
    const element = fates[i] === FATE.text ? texts[i] : fates[i] === FATE.number ? numbers[i] : undefined
    if (fates[i] === FATE.field) found.push(ids[i])
    else if (element) extras.push({ pen: element.pen, id: element.id, length: VARIABLE_LENGTH })
    else if (fates[i] === FATE.lost) lost.push(vpcElementName(name))
  }
  if (fates[names.length] === FATE.field) found.push(ID.etype)
  const hasTime = fates[names.length + 1] === FATE.field
  if (hasTime) found.push(ID.flowStart)
  const shape = makeShape(found.filter((id) => fields[id] === 1), hasTime ? 3 : 0, extras)
  return { fates: fates.slice(), shape, lost, rows: 0 }
}
