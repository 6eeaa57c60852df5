import { elementName } from '../../core/flow/elements.ts'
import { FIELD_COUNT, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { OP, TO_END, type Extension, type Other } from './parts.ts'
import { NAMED } from './plan.ts'
import { addressKind, PAIRS } from './write-kinds.ts'
import type { RecordScheme } from './write-scheme.ts'
import { hasDomain } from './written-exporters.ts'

/** One field of the records of a layout. */
export interface WriteStep {
  readonly op: number
  readonly field: number
  /** Offset in the record. */
  readonly at: number
  readonly length: number
}

/** An extension whose length differs, behind those of fixed length. */
export interface VariablePart {
  /** Header and fixed part of the extension. */
  readonly head: Uint8Array
  /** Steps of the fixed part; offsets from its header. */
  readonly steps: readonly WriteStep[]
  /** The field whose value follows, with a 0 behind if it is text; -1: it is an element's. */
  readonly field: number
  readonly isText: boolean
  /** Place of that element in the shape's extras. */
  readonly extra: number
  /** Bytes of the longest value that it is written for. */
  readonly most: number
}

/** The records that rows of one shape and of the same kinds become. */
export interface WritePlan {
  readonly shape: Shape
  /** Header and headers of extensions, all else 0. */
  readonly template: Uint8Array
  /** Its extensions, where a map tells them. */
  readonly map: readonly Extension[] | undefined
  readonly steps: readonly WriteStep[]
  /** Numbers of elements: offset in the record, and place in the shape's extras. */
  readonly numbers: readonly { readonly at: number, readonly length: number, readonly extra: number }[]
  readonly variable: readonly VariablePart[]
  /** Whether rows have elements that records carry. */
  readonly hasExtras: boolean
  /** Offset of type and id of the engine; -1: there is none. */
  readonly engineAt: number
  /** Offsets of the destination port, where type and code of ICMP go. */
  readonly portAts: readonly number[]
  /** Fields of the shape that records do not carry, and elements. */
  readonly lostFields: readonly number[]
  readonly lostElements: readonly string[]
  /** The turn in which it was used last, and its place among the plans of that; for BlockWriter to set. */
  turn: number
  place: number
  /** The turn of WrittenMaps in which its map was told; for that to set. */
  mapTurn: number
}

/** Fields that the header of a record or the record of its exporter tells. */
const TOLD: readonly number[] = [
  ID.type, ID.samplingRate, ID.samplingSource, ID.samplingAlgorithm, ID.samplingApplied,
]

/**
 * The plan of rows of a shape.
 *
 * @param kinds see `kindsOf`
 * @param type their field of that name, or 0
 */
export function makeWritePlan(
  shape: Shape, kinds: number, type: number, scheme: RecordScheme,
): WritePlan {
  const has = (field: number) => shape.mask[field] === 1
  const carried = new Uint8Array(FIELD_COUNT)
  for (const field of TOLD) carried[field] = 1
  if (scheme.engineAt >= 0) carried[ID.engineType] = carried[ID.engineId] = 1
  if (scheme.hasNames) for (const [number, name] of NAMED) if (has(number)) carried[name] = 1
  if (hasDomain(type, scheme)) carried[ID.observationDomainId] = 1
  if (type === FLOW_TYPE.SFLOW_5) carried[ID.subAgentId] = 1
  if (addressKind(kinds, 0) > 0) carried[ID.etype] = carried[ID.ipVersion] = 1
  if (has(ID.proto)) carried[ID.icmpType] = carried[ID.icmpCode] = 1

  const flags = scheme.flagsOf(kinds)
  const chosen: Extension[] = []
  const choose = (each: Extension) => {
    chosen.push(each)
    if (each.engineAt !== undefined) carried[ID.engineType] = carried[ID.engineId] = 1
    for (const { field, isFormer } of each.parts) {
      if (!isFormer) carried[field] = carried[sourceOf(field, shape)] = 1
    }
  }
  for (const each of scheme.beginning(flags)) choose(each)
  const { length: begun } = chosen
  const hasEngine = has(ID.engineType) || has(ID.engineId) ||
    (type === FLOW_TYPE.NETFLOW_V9 && has(ID.observationDomainId)) // as nfcapd has it
  for (const each of scheme.extensions) {
    if (each.engineAt === undefined ? isNeeded(each, shape, kinds, carried, scheme) : hasEngine) choose(each)
  }
  if (carried[ID.mplsLabel1] === 1) carried.fill(1, ID.mplsLabel1, ID.mplsExp + 1)
  const map = scheme.mapAt < 0 ? undefined : chosen.slice(begun)
  return layOut({ chosen, flags, map }, shape, carried, scheme)
}

function isNeeded(
  { id, parts, others }: Extension, shape: Shape, kinds: number, carried: Uint8Array, scheme: RecordScheme,
): boolean {
  const pair = PAIRS.findIndex((fields) => parts.some(({ field }) => fields.includes(field)))
  if (pair >= 0) return addressKind(kinds, pair) === (parts.some(({ op }) => op === OP.IPV6) ? 2 : 1)
  if (others.some((other) => extraOf(other, shape) >= 0)) return true
  const keys = scheme.keys[id] ?? parts.filter(({ isFormer }) => !isFormer).map(({ field }) => field)
  return keys.some((field) => carried[field] === 0 && shape.mask[sourceOf(field, shape)] === 1)
}

/** The field that a part is written from: reverse counters go where outgoing ones do, as nfcapd has it. */
function sourceOf(field: number, { mask }: Shape): number {
  const hasOut = mask[ID.outBytes] === 1 || mask[ID.outPackets] === 1
  if (field === ID.outBytes && !hasOut) return ID.revBytes
  if (field === ID.outPackets && !hasOut) return ID.revPackets
  return field === ID.mplsLabel1 ? firstLabel(mask) : field
}

function firstLabel(mask: Uint8Array): number {
  const label = mask.indexOf(1, ID.mplsLabel1)
  return label >= 0 && label <= ID.mplsLabel10 ? label : ID.mplsLabel1
}

function extraOf({ pen, id }: Other, { extras }: Shape): number {
  return pen < 0 ? -1 : extras.findIndex((extra) => extra.pen === pen && extra.id === id)
}

/** What records consist of. */
interface Contents {
  readonly chosen: readonly Extension[]
  readonly flags: number
  readonly map: readonly Extension[] | undefined
}

function layOut(
  { chosen, flags, map }: Contents, shape: Shape, carried: Uint8Array, scheme: RecordScheme,
): WritePlan {
  const { headerSize, extensionHeader, flagsAt, countAt } = scheme
  const fixed = chosen.filter(({ isVariable }) => !isVariable)
  const size = fixed.reduce((sum, each) => sum + extensionHeader + each.size, headerSize)
  const template = new Uint8Array(size)
  const view = new DataView(template.buffer)
  const steps: WriteStep[] = []
  const numbers: { at: number, length: number, extra: number }[] = []
  const usedExtras = new Set<number>()
  const portAts: number[] = []
  let { engineAt } = scheme
  const isEvent = shape.mask[ID.natEvent] === 1 || shape.mask[ID.firewallEvent] === 1
  let at = headerSize
  for (const each of fixed) {
    if (extensionHeader > 0) {
      view.setUint16(at, each.id, true)
      view.setUint16(at + 2, each.size + extensionHeader, true)
      at += extensionHeader
    }
    steps.push(...stepsOf(each, shape, at))
    for (const part of each.parts) if (part.field === ID.dstPort) portAts.push(at + part.at)
    if (each.engineAt !== undefined) engineAt = at + each.engineAt
    if (each.icmpAt !== undefined) portAts.push(at + each.icmpAt)
    for (const other of each.others) {
      const extra = extraOf(other, shape)
      if (extra < 0) continue
      usedExtras.add(extra)
      numbers.push({ at: at + other.at, length: other.length, extra })
    }
    at += each.size
  }
  view.setUint16(0, scheme.type, true)
  view.setUint16(2, size, true)
  if (countAt >= 0) view.setUint16(countAt, chosen.length, true)
  view.setUint8(flagsAt, flags | (isEvent ? scheme.eventFlag : 0))
  if (shape.mask[ID.dstPort] === 1) {
    // readers take it from the second place, if there is one
    for (const place of portAts.slice(1)) steps.push({ op: OP.U16, field: ID.dstPort, at: place, length: 2 })
  }
  const variable = chosen.filter(({ isVariable }) => isVariable).map((each): VariablePart => {
    const head = new Uint8Array(extensionHeader + each.size)
    new DataView(head.buffer).setUint16(0, each.id, true)
    const last = each.parts.find(({ length }) => length === TO_END)
    const other = each.others.find(({ length }) => length === TO_END)
    const extra = other ? extraOf(other, shape) : -1
    if (extra >= 0) usedExtras.add(extra)
    return {
      head, extra, field: last && shape.mask[last.field] === 1 ? last.field : -1,
      isText: last?.op === OP.TEXT || other?.kind === 'text', most: each.most ?? Infinity,
      steps: stepsOf(each, shape, extensionHeader),
    }
  })
  return {
    shape, template, map, steps, numbers, variable, hasExtras: usedExtras.size > 0,
    engineAt, portAts,
    lostFields: shape.fields.filter((field) => carried[field] === 0),
    lostElements: shape.extras.filter((_, i) => !usedExtras.has(i))
      .map(({ pen, id }) => elementName(pen, id)),
    turn: -1,
    place: 0,
    mapTurn: -1,
  }
}

function stepsOf({ parts }: Extension, shape: Shape, at: number): WriteStep[] {
  return parts.filter(({ isFormer, length, field }) => (
    !isFormer && length !== TO_END && shape.mask[sourceOf(field, shape)] === 1
  )).map((part) => ({
    op: part.op, length: part.length, at: at + part.at,
    field: part.op === OP.MPLS ? part.field : sourceOf(part.field, shape),
  }))
}
