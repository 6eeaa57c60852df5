/**
 * Information elements: what (enterprise number, id) means, for fields that flowkit has no column for too.
 *
 * The lists are text, parsed at the first question and not before. Three sorts of element follow by rule and
 * are in no list: reverse elements of IANA's (RFC 5103 §6.1: enterprise number 29305, the id of the forward
 * element) and of CERT's (bit 0x4000 of the id, as libfixbuf sets it), and Cisco's as NetFlow v9 numbers them
 * (32768 + id). RFC 5103 calls some elements not reversible; they are reversed here all the same, since a
 * name is asked for what an exporter has sent.
 */
import { IANA_ELEMENTS } from './element-list-iana.ts'
import { NETFLOW9_ELEMENTS } from './element-list-netflow9.ts'
import { VENDOR_ELEMENTS } from './element-list-vendors.ts'

/** The codes of the lists. */
const TYPES = {
  'oct': 'octetArray',
  'u8': 'unsigned8',
  'u16': 'unsigned16',
  'u32': 'unsigned32',
  'u64': 'unsigned64',
  'u256': 'unsigned256',
  'i8': 'signed8',
  'i16': 'signed16',
  'i32': 'signed32',
  'i64': 'signed64',
  'f32': 'float32',
  'f64': 'float64',
  'bool': 'boolean',
  'mac': 'macAddress',
  'str': 'string',
  'dt-s': 'dateTimeSeconds',
  'dt-ms': 'dateTimeMilliseconds',
  'dt-us': 'dateTimeMicroseconds',
  'dt-ns': 'dateTimeNanoseconds',
  'ip4': 'ipv4Address',
  'ip6': 'ipv6Address',
  'list': 'basicList',
  'stl': 'subTemplateList',
  'stml': 'subTemplateMultiList',
} as const

/** Abstract data types: RFC 7012 §3.1, RFC 6313 (the lists) and RFC 9740 (`unsigned256`). */
export type ElementType = (typeof TYPES)[keyof typeof TYPES]

/**
 * One information element. In the lists it is `id name type units`, a comma between two elements, the type
 * by its code and the units left out where there are none.
 */
export interface Element {
  /** Private enterprise number: 0 for IANA and for fields of NetFlow v9. */
  readonly pen: number
  /** Below 32768; up to 65535 in NetFlow v9. */
  readonly id: number
  readonly name: string
  readonly type: ElementType
  /** The registry's word, as `octets` or `milliseconds`; empty where it has none. */
  readonly units: string
}

/** Enterprise number of reverse elements (RFC 5103 §6.1). */
export const REVERSE_PEN = 29305
const CISCO_PEN = 9
const CERT_PEN = 6871
const CERT_REVERSE_BIT = 0x4000
const NETFLOW9_CISCO_BIT = 0x8000

interface Index {
  /** In the order of the lists. */
  readonly listed: readonly Element[]
  readonly byKey: Map<number, Element>
  readonly byName: ReadonlyMap<string, Element>
}

let index: Index | undefined

/** The element `id` of enterprise `pen`, or undefined where no registry and no rule knows it. */
export function findElement(pen: number, id: number): Element | undefined {
  index ??= buildIndex()
  return index.byKey.get(keyOf(pen, id))
}

/**
 * The element called `name`, in any case.
 *
 * Of several with the name it is IANA's, failing that the lowest enterprise number's, then NetFlow v9's.
 */
export function findElementByName(name: string): Element | undefined {
  index ??= buildIndex()
  return index.byName.get(name.toLowerCase())
}

/** Name of an element, `en<PEN>id<ID>` where it has none that is known (as ipfixcol2 writes it). */
export function elementName(pen: number, id: number): string {
  return findElement(pen, id)?.name ?? `en${pen}id${id}`
}

/** The enterprise number of what other tools' files have and no registry: IANA has none so large. */
export const FOREIGN_PEN = 0xffffffff
const MOST_FOREIGN = 0x8000
const foreign = new Map<string, number>()

/**
 * An element that stands for a key of another tool's file, by its name, as text or as a number.
 *
 * @returns undefined once there are too many names
 */
export function foreignElement(name: string, type: 'string' | 'float64'): Element | undefined {
  let number = foreign.get(name)
  if (number === undefined) {
    if (foreign.size === MOST_FOREIGN) return undefined
    foreign.set(name, number = foreign.size)
  }
  index ??= buildIndex()
  const id = number * 2 + (type === 'string' ? 0 : 1)
  const known = index.byKey.get(keyOf(FOREIGN_PEN, id))
  if (known) return known
  const element: Element = { pen: FOREIGN_PEN, id, name, type, units: '' }
  index.byKey.set(keyOf(FOREIGN_PEN, id), element)
  return element
}

/** Every element of the lists: IANA's, each enterprise's, then NetFlow v9's. */
export function elements(): Iterable<Element> {
  index ??= buildIndex()
  return index.listed
}

function buildIndex(): Index {
  const iana = parseElements(0, IANA_ELEMENTS)
  const vendors = VENDOR_ELEMENTS.flatMap(([pen, text]) => parseElements(pen, text))
  const listed = [...iana, ...vendors, ...parseElements(0, NETFLOW9_ELEMENTS)]
  const cert = vendors.filter(({ pen, name }) => pen === CERT_PEN && !/reverse/i.test(name))
  const byRule = [
    ...iana.map((element) => reverse(element, REVERSE_PEN, element.id)),
    ...cert.map((element) => reverse(element, CERT_PEN, element.id | CERT_REVERSE_BIT)),
    ...vendors.filter(({ pen }) => pen === CISCO_PEN)
      .map((element) => ({ ...element, pen: 0, id: element.id | NETFLOW9_CISCO_BIT })),
  ]
  const byKey = new Map<number, Element>()
  const byName = new Map<string, Element>()
  for (const element of [...listed, ...byRule]) {
    byKey.set(keyOf(element.pen, element.id), element)
    const name = element.name.toLowerCase()
    if (!byName.has(name)) byName.set(name, element)
  }
  return { listed, byKey, byName }
}

function parseElements(pen: number, text: string): Element[] {
  return text.trim().split(/,\s+/).map((entry) => {
    const [id, name, code, ...units] = entry.split(' ')
    return { pen, id: Number(id), name, type: TYPES[code as keyof typeof TYPES], units: units.join(' ') }
  })
}

function reverse(element: Element, pen: number, id: number): Element {
  return { ...element, pen, id, name: `reverse${element.name[0].toUpperCase()}${element.name.slice(1)}` }
}

function keyOf(pen: number, id: number): number {
  return pen * 0x10000 + id
}
