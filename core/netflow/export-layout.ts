import { findElement, type ElementType } from '../flow/elements.ts'
import { FIELDS, ID, type Field } from '../flow/fields.ts'
import { VARIABLE_LENGTH, type Shape } from '../flow/shape.ts'
import type { LayoutField } from './plan.ts'

/** The records that rows of one shape and address families become. */
export interface ExportLayout {
  readonly layout: readonly LayoutField[]
  /** Fields that the records carry. */
  readonly carried: ReadonlySet<number>
  /** Places in `shape.extras` of the layout's last fields. */
  readonly extras: readonly number[]
}

/** Bytes of text in NetFlow v9, which has no variable length. */
const V9_TEXT_LENGTH = 64

const LENGTHS: Partial<Record<ElementType, number>> = {
  unsigned8: 1, unsigned16: 2, unsigned32: 4, unsigned64: 8, ipv4Address: 4, ipv6Address: 16, macAddress: 6,
  dateTimeSeconds: 4, dateTimeMilliseconds: 8, dateTimeMicroseconds: 8, dateTimeNanoseconds: 8,
  string: VARIABLE_LENGTH, octetArray: VARIABLE_LENGTH,
}

/** Elements of the start and end of a flow by the digits that the shape declares; -1: as exact as a column is. */
const TIME_ELEMENTS: Readonly<Record<number, readonly [number, number]>> = {
  0: [150, 151], 3: [152, 153], 6: [154, 155], 9: [156, 157], [-1]: [154, 155],
}

/** Fields that the header says, or that follow from others. */
const NOT_IN_RECORDS = new Set([
  ID.type, ID.received, ID.sequenceNum, ID.observationDomainId, ID.exportSecs, ID.exportNsecs, ID.sysUptime, ID.etype,
  ID.samplingSource, ID.flowStartNs, ID.flowEndNs, ID.mplsExp,
])

/**
 * Choose an element for each field of a shape that the version can carry.
 *
 * NetFlow v9 has times as uptimes, no enterprise elements and no variable length; IPFIX has times as they are.
 *
 * @param families by field id, the family of an address: 4, 6 or 0
 */
export function exportLayout(shape: Shape, families: ReadonlyMap<number, number>, version: 9 | 10): ExportLayout {
  const layout: LayoutField[] = []
  const carried = new Set<number>()
  for (const id of shape.fields) {
    if (NOT_IN_RECORDS.has(id)) continue
    const element = elementFor(FIELDS[id], shape, families.get(id) ?? 0, version)
    if (!element) continue
    carried.add(id)
    // ICMP type and code are one element
    if (layout.some((other) => other.pen === element.pen && other.id === element.id)) continue
    layout.push(element)
  }
  if (shape.mask[ID.mplsExp]) carried.add(ID.mplsExp)
  if (version === 10 && shape.timeDigits === 9) for (const id of [ID.flowStartNs, ID.flowEndNs]) carried.add(id)
  const extras: number[] = []
  for (const [index, { pen, id, length }] of shape.extras.entries()) {
    if (version === 9 && (pen !== 0 || length === VARIABLE_LENGTH)) continue
    layout.push({ pen, id, length })
    extras.push(index)
  }
  return { layout, carried, extras }
}

function elementFor(field: Field, shape: Shape, family: number, version: 9 | 10): LayoutField | undefined {
  const { id } = field
  if (id === ID.exporterAddr) return family === 6 ? iana(131, 16) : iana(130, 4)
  if (id === ID.agentAddr && shape.mask[ID.exporterAddr]) return undefined // the same element
  if (field.type === 'addr') return addressElement(field, family, version)
  if (id === ID.flowStart || id === ID.flowEnd) {
    const end = id === ID.flowEnd ? 1 : 0
    return version === 9 ? iana(22 - end, 4) : lengthOf(0, TIME_ELEMENTS[shape.timeDigits][end])
  }
  if ((id === ID.icmpType || id === ID.icmpCode) && shape.mask[ID.icmpType] && shape.mask[ID.icmpCode]) {
    return iana(shape.mask[ID.proto] && family === 6 ? 139 : 32, 2)
  }
  if (id >= ID.mplsLabel1 && id <= ID.mplsLabel10) return iana(70 + id - ID.mplsLabel1, 3)
  // 34 in v9, 305 in IPFIX: 34 is deprecated there
  if (id === ID.samplingRate) return version === 9 ? iana(34, 4) : iana(305, 4)
  for (const { pen, id: element } of field.elements) {
    if (version === 9 ? pen !== 0 : pen === 0 && element >= 0x8000) continue
    const chosen = lengthOf(pen, element)
    if (!chosen) continue
    if (version === 9 && chosen.length === VARIABLE_LENGTH) return { ...chosen, length: V9_TEXT_LENGTH }
    return chosen
  }
  return undefined
}

function addressElement(field: Field, family: number, version: 9 | 10): LayoutField | undefined {
  if (family === 0) return undefined
  for (const { pen, id } of field.elements) {
    if (version === 10 && pen === 0 && id >= 0x8000) continue
    const chosen = lengthOf(pen, id)
    if (chosen?.length === (family === 6 ? 16 : 4)) return chosen
  }
  return undefined
}

function lengthOf(pen: number, id: number): LayoutField | undefined {
  const element = findElement(pen, id)
  const length = element && LENGTHS[element.type]
  return length === undefined ? undefined : { pen, id, length }
}

function iana(id: number, length: number): LayoutField {
  return { pen: 0, id, length }
}
