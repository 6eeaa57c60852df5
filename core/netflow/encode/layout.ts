import { elementName, findElement, type ElementType } from '../../flow/elements.ts'
import { FIELD_COUNT, FIELDS, ID, type Field } from '../../flow/fields.ts'
import { listTypeOf } from '../../flow/list-value.ts'
import { VARIABLE_LENGTH, type ExtraElement, type Shape, type TimeDigits } from '../../flow/shape.ts'
import { LIST } from './out-lists.ts'
import { RATE } from './out-sampling.ts'
import { makePlan, type LayoutField, type Plan } from '../plan.ts'

/** The versions that have templates. */
export type SetVersion = 9 | 10

/** The records that rows of one shape and address families become. */
export interface ExportLayout {
  readonly layout: readonly LayoutField[]
  /** Fields that the records carry, or that follow from what they carry. */
  readonly carried: ReadonlySet<number>
  /** The layout's last fields: elements without a column, by their place in `shape.extras`. */
  readonly extras: readonly { readonly index: number, readonly field: number }[]
  /** Names of elements without a column that the version cannot carry. */
  readonly lostElements: readonly string[]
}

/** What a layout depends on beside the shape of its rows. */
export interface LayoutOptions {
  /** How records tell the sampling rate: a value of RATE. */
  readonly rate: number
  /** Whether records tell their EtherType, which else follows from their addresses. */
  readonly etype: boolean
  /** Most digits of a second that flow times are told with. */
  readonly timeDigits: TimeDigits
  /** Whether records tell when and from whom they came; see `SetEncoderOptions`. */
  readonly arrival?: boolean
}

/** Bytes of text in NetFlow v9, which has no variable length. */
const V9_TEXT_LENGTH = 64
const CISCO_PEN = 9
const CISCO_BIT = 0x8000

const LENGTHS: Partial<Record<ElementType, number>> = {
  unsigned8: 1, unsigned16: 2, unsigned32: 4, unsigned64: 8, ipv4Address: 4, ipv6Address: 16, macAddress: 6,
  dateTimeSeconds: 4, dateTimeMilliseconds: 8, dateTimeMicroseconds: 8, dateTimeNanoseconds: 8,
  string: VARIABLE_LENGTH, octetArray: VARIABLE_LENGTH,
}
/** Bytes that the values of a column need at most: elements may be shorter than registered (RFC 7011 §6.2). */
const WIDTHS: Partial<Record<Field['type'], number>> = { u8: 1, u16: 2, u32: 4, u64: 8, count: 8 }

/** One packet in N; deprecated in IPFIX, but 305 without 306 says it to some collectors only. */
const SAMPLING_INTERVAL = iana(34, 4)

/** Type of the elements that tell times with so many digits. */
const TIME_TYPES: Readonly<Record<number, ElementType>> = {
  0: 'dateTimeSeconds', 3: 'dateTimeMilliseconds', 6: 'dateTimeMicroseconds', 9: 'dateTimeNanoseconds',
}

/** Fields that the header says, or that follow from others. */
const NOT_IN_RECORDS = new Set([
  ID.type, ID.received, ID.sequenceNum, ID.observationDomainId, ID.exportSecs, ID.exportNsecs, ID.sysUptime,
  ID.samplingSource, ID.flowStartNs, ID.flowEndNs, ID.mplsExp,
])

const PLAIN: LayoutOptions = { rate: RATE.record, etype: false, timeDigits: 9 }

/**
 * Choose an element for each field of a shape that the version can carry.
 *
 * NetFlow v9 has flow times as uptimes, no enterprise elements but Cisco's, and no variable length; IPFIX has times
 * as they are, in milliseconds where the rows do not say how exact they are. Lists that name templates of another
 * exporter cannot be sent.
 *
 * @param forms by field id, the family of an address (4, 6, 0), and for v9 the length of octets; by FIELD_COUNT and
 *   the place of a basicList in `shape.extras`, a value of LIST
 */
export function exportLayout(
  shape: Shape, forms: ReadonlyMap<number, number>, version: SetVersion, options: LayoutOptions = PLAIN,
): ExportLayout {
  const layout: LayoutField[] = []
  const carried = new Set<number>()
  const timeDigits = Math.min(shape.timeDigits < 0 ? 3 : shape.timeDigits, options.timeDigits)
  const { arrival = false } = options
  const context = { shape, forms, version, timeDigits, arrival }
  for (const id of shape.fields) {
    if (NOT_IN_RECORDS.has(id) && !(arrival && id === ID.received)) continue
    if (id === ID.samplingRate && options.rate !== RATE.record) continue
    if (id === ID.etype && !options.etype) {
      carried.add(id)
      continue
    }
    const element = elementFor(FIELDS[id], context)
    if (!element || element.length === 0) continue
    carried.add(id)
    // ICMP type and code are one element
    if (!layout.some(({ pen, id }) => pen === element.pen && id === element.id)) layout.push(element)
  }
  if (options.rate === RATE.options) carried.add(ID.samplingRate)
  if (options.rate === RATE.one) layout.push(SAMPLING_INTERVAL)
  if (carried.has(ID.mplsLabel1)) carried.add(ID.mplsExp)
  if (version === 10 && timeDigits === 9) {
    if (carried.has(ID.flowStart)) carried.add(ID.flowStartNs)
    if (carried.has(ID.flowEnd)) carried.add(ID.flowEndNs)
  }
  return { ...addExtras(shape.extras, layout, forms, version), carried }
}

/**
 * The plan that writes a layout: steps in the order of the layout's fields.
 *
 * Elements without a column have no steps.
 */
export function writingPlan({ layout, extras }: ExportLayout): Plan {
  return makePlan(layout.slice(0, layout.length - extras.length), { extras: false }, true)
}

interface Context {
  readonly shape: Shape
  readonly forms: ReadonlyMap<number, number>
  readonly version: SetVersion
  readonly timeDigits: number
  readonly arrival: boolean
}

function elementFor(
  field: Field, { shape, forms, version, timeDigits, arrival }: Context,
): LayoutField | undefined {
  const { id, type } = field
  const family = forms.get(ID.srcAddr) || forms.get(ID.dstAddr)
  switch (id) {
    case ID.exporterAddr: return addressElement(FIELDS[ID.agentAddr], forms.get(id) ?? 0, version)
    case ID.agentAddr: // the same element
      if (arrival || shape.mask[ID.exporterAddr] === 1) return undefined
      break
    case ID.received: return iana(258, 8)
    case ID.flowStart: if (version === 9) return iana(22, 4)
      break
    case ID.flowEnd: if (version === 9) return iana(21, 4)
      break
    case ID.icmpType: case ID.icmpCode:
      if (shape.mask[ID.icmpType] === 1 && shape.mask[ID.icmpCode] === 1) {
        return iana(version === 10 && family === 6 ? 139 : 32, 2)
      }
      return iana((id === ID.icmpType ? 176 : 177) + (family === 6 ? 2 : 0), 1)
    case ID.srcMask: return iana(family === 6 ? 29 : 9, 1)
    case ID.dstMask: return iana(family === 6 ? 30 : 13, 1)
    case ID.samplingRate: return SAMPLING_INTERVAL
    case ID.samplerId: return version === 9 ? iana(48, 4) : iana(302, 8)
    case ID.userName: if (version === 9) return iana(40_000, V9_TEXT_LENGTH) // as firewalls send it
      break
  }
  if (id >= ID.mplsLabel1 && id <= ID.mplsLabel10) return iana(70 + id - ID.mplsLabel1, 3)
  if (type === 'addr') return addressElement(field, forms.get(id) ?? 0, version)
  const possible = field.elements.filter(({ pen, id }) => version === 9 ? pen === 0 : pen !== 0 || id < CISCO_BIT)
  if (type === 'time') {
    const wanted = TIME_TYPES[timeDigits]
    const found = possible.find(({ pen, id }) => findElement(pen, id)?.type === wanted)
    return found && { ...found, length: LENGTHS[wanted]! }
  }
  if (possible.length === 0) return undefined
  const length = LENGTHS[findElement(possible[0].pen, possible[0].id)!.type]!
  if (length !== VARIABLE_LENGTH) return { ...possible[0], length: Math.min(length, WIDTHS[type] ?? length) }
  if (version === 10) return { ...possible[0], length }
  return { ...possible[0], length: type === 'text' ? V9_TEXT_LENGTH : forms.get(id) ?? 0 }
}

function addressElement(field: Field, family: number, version: SetVersion): LayoutField | undefined {
  if (family === 0) return undefined
  const type = family === 6 ? 'ipv6Address' : 'ipv4Address'
  const possible = field.elements.filter(({ id }) => version === 9 || id < CISCO_BIT)
  const found = possible.find(({ pen, id }) => findElement(pen, id)?.type === type)
  return found && { ...found, length: LENGTHS[type]! }
}

/** Append the elements without a column that the version can carry. */
function addExtras(
  elements: readonly ExtraElement[], layout: LayoutField[], forms: ReadonlyMap<number, number>,
  version: SetVersion,
): Omit<ExportLayout, 'carried'> {
  const extras: { index: number, field: number }[] = []
  const lostElements: string[] = []
  for (const [index, element] of elements.entries()) {
    const sent = version === 9 ? inV9(element) : inIpfix(element)
    const isLost = forms.get(FIELD_COUNT + index) === LIST.lost
    if (sent && !isLost) extras.push({ index, field: layout.push({ ...sent, length: element.length }) - 1 })
    else lostElements.push(elementName(element.pen, element.id))
  }
  return { layout, extras, lostElements }
}

/**
 * NetFlow v9 has Cisco's elements from 32768 on, no other enterprise's, and no variable length. Uptimes that nobody
 * could resolve would count from another exporter's start.
 */
function inV9({ pen, id, length }: ExtraElement): { pen: number, id: number } | undefined {
  if (length === VARIABLE_LENGTH || pen === 0 && (id === 21 || id === 22)) return undefined
  if (pen === CISCO_PEN) return { pen: 0, id: id | CISCO_BIT }
  return pen === 0 ? { pen, id } : undefined
}

/**
 * What v9 numbers from 32768 on is Cisco's in IPFIX, but for those that v9 alone has. Lists of records name the
 * templates of whoever sent them.
 */
function inIpfix({ pen, id }: ExtraElement): { pen: number, id: number } | undefined {
  const list = listTypeOf(pen, id)
  if (list && list !== 'basicList') return undefined
  if (pen !== 0 || id < CISCO_BIT) return pen < 0 ? undefined : { pen, id }
  const known = findElement(pen, id) !== undefined && findElement(CISCO_PEN, id - CISCO_BIT) === undefined
  return known ? undefined : { pen: CISCO_PEN, id: id - CISCO_BIT }
}

function iana(id: number, length: number): LayoutField {
  return { pen: 0, id, length }
}
