import type { AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { elementName } from '../../core/flow/elements.ts'
import { FIELD_COUNT, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { EXT, EXTENSIONS } from './extensions.ts'
import { EXTENSION_HEADER, FLOW_HEADER } from './layouts.ts'
import { OP, TO_END, type Extension, type Other } from './parts.ts'
import { NAMED } from './plan.ts'

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

/** The records that rows of one shape and of the same kinds of addresses become. */
export interface WritePlan {
  readonly shape: Shape
  /** Header and headers of extensions, all else 0. */
  readonly template: Uint8Array
  readonly steps: readonly WriteStep[]
  /** Numbers of elements: offset in the record, and place in the shape's extras. */
  readonly numbers: readonly { readonly at: number, readonly length: number, readonly extra: number }[]
  readonly variable: readonly VariablePart[]
  /** Whether rows have elements that records carry. */
  readonly hasExtras: boolean
  /** Offset of the destination port, where type and code of ICMP go. */
  readonly portAt: number
  /** Fields of the shape that records do not carry, and elements. */
  readonly lostFields: readonly number[]
  readonly lostElements: readonly string[]
  /** The turn in which it was used last, and its place among the plans of that; for BlockWriter to set. */
  turn: number
  place: number
}

/** Fields that the header of a record or the record of its exporter tells. */
const TOLD: readonly number[] = [
  ID.type, ID.engineType, ID.engineId, ID.samplingRate, ID.samplingSource, ID.samplingAlgorithm,
  ID.samplingApplied,
]

/** Addresses by pairs of extensions, for IPv4 and IPv6, and the fields that have the same kind. */
const PAIRS: readonly { readonly v4: number, readonly fields: readonly number[] }[] = [
  { v4: 2, fields: [ID.srcAddr, ID.dstAddr] }, { v4: 8, fields: [ID.bgpNextHop] },
  { v4: 10, fields: [ID.nextHop] }, { v4: 12, fields: [ID.exporterAddr] },
  { v4: 20, fields: [ID.postNatSrcAddr, ID.postNatDstAddr] },
  { v4: 31, fields: [ID.tunSrcAddr, ID.tunDstAddr] },
]
/** How many combinations of kinds of addresses there are. */
export const KINDS: number = 3 ** PAIRS.length

/** Extensions that are written only for a certain field of theirs. */
const KEYS: Readonly<Record<number, readonly number[]>> = {
  [EXT.firewall]: [ID.firewallEvent, ID.firewallExtEvent],
  37: [ID.pfAction, ID.pfReason, ID.pfDirection, ID.pfRule],
  [EXT.frame]: [],
}

const RECORD_TYPE = 11
const EVENT_FLAG = 1
const FLAGS_AT = 10
/** Offset in a record of the destination port. */
const PORT_AT =
  FLOW_HEADER + EXTENSION_HEADER + EXTENSIONS[0].parts.find(({ field }) => field === ID.dstPort)!.at

/** The families of a pair of addresses, or one twice, and what their kind counts in the number of kinds. */
interface Pair {
  readonly first: Uint8Array
  readonly second: Uint8Array
  readonly weight: number
}

/** Of the addresses that a shape's rows have. */
export type Families = readonly Pair[]

/** The address columns of `batch` that rows of a shape have. */
export function familiesOf(batch: FlowBatch, { mask }: Shape): Families {
  const pairs: Pair[] = []
  for (const [i, { fields }] of PAIRS.entries()) {
    const known = fields.filter((field) => mask[field] === 1)
      .map((field) => (batch.column(field) as AddressColumn).family)
    if (known.length > 0) pairs.push({ first: known[0], second: known.at(-1)!, weight: 3 ** i })
  }
  return pairs
}

/** The kind of an address by its family: 0 none, 1 IPv4, 2 IPv6. */
const KIND = Uint8Array.of(0, 0, 0, 0, 1, 0, 2)

/** Which kinds of addresses a row has, as a number below KINDS: a pair with one of IPv6 is of IPv6. */
export function kindsOf(families: Families, row: number): number {
  let kinds = 0
  for (let i = 0; i < families.length; i++) {
    const { first, second, weight } = families[i]
    const a = KIND[first[row]]
    const b = KIND[second[row]]
    kinds += (a > b ? a : b) * weight
  }
  return kinds
}

/**
 * The plan of rows of a shape.
 *
 * @param kinds of their addresses
 * @param type their field of that name, or 0
 * @param extensions that may be written, by ascending id
 */
export function makeWritePlan(
  shape: Shape, kinds: number, type: number, extensions: readonly Extension[],
): WritePlan {
  const has = (field: number) => shape.mask[field] === 1
  const carried = new Uint8Array(FIELD_COUNT)
  for (const field of TOLD) carried[field] = 1
  for (const [number, name] of NAMED) if (has(number)) carried[name] = 1
  if (type === FLOW_TYPE.NETFLOW_V9 || type === FLOW_TYPE.IPFIX) carried[ID.observationDomainId] = 1
  if (type === FLOW_TYPE.SFLOW_5) carried[ID.subAgentId] = 1
  if (kinds % 3 > 0) carried[ID.etype] = carried[ID.ipVersion] = 1
  if (has(ID.proto)) carried[ID.icmpType] = carried[ID.icmpCode] = 1

  const chosen = extensions.filter((each) => {
    if (!isNeeded(each, shape, kinds, carried)) return false
    for (const part of each.parts) {
      if (part.isFormer) continue
      carried[part.field] = 1
      const source = sourceOf(part.field, shape)
      carried[source] = 1
    }
    return true
  })
  if (carried[ID.mplsLabel1] === 1) carried.fill(1, ID.mplsLabel1, ID.mplsExp + 1)
  return layOut(chosen, shape, carried)
}

function isNeeded(each: Extension, shape: Shape, kinds: number, carried: Uint8Array): boolean {
  const { id, parts, others } = each
  if (id === 1) return true
  const pair = PAIRS.findIndex(({ v4 }) => v4 === id || v4 + 1 === id)
  if (pair >= 0) {
    const kind = Math.floor(kinds / 3 ** pair) % 3
    return kind === id - PAIRS[pair].v4 + 1
  }
  if (others.some((other) => extraOf(other, shape) >= 0)) return true
  const keys = KEYS[id] ?? parts.filter(({ isFormer }) => !isFormer).map(({ field }) => field)
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

function layOut(chosen: readonly Extension[], shape: Shape, carried: Uint8Array): WritePlan {
  const fixed = chosen.filter(({ isVariable }) => !isVariable)
  const size = fixed.reduce((sum, each) => sum + EXTENSION_HEADER + each.size, FLOW_HEADER)
  const template = new Uint8Array(size)
  const view = new DataView(template.buffer)
  const steps: WriteStep[] = []
  const numbers: { at: number, length: number, extra: number }[] = []
  const usedExtras = new Set<number>()
  view.setUint16(0, RECORD_TYPE, true)
  view.setUint16(2, size, true)
  view.setUint16(4, chosen.length, true)
  const isEvent = shape.mask[ID.natEvent] === 1 || shape.mask[ID.firewallEvent] === 1
  if (isEvent) view.setUint8(FLAGS_AT, EVENT_FLAG)
  let at = FLOW_HEADER
  for (const each of fixed) {
    view.setUint16(at, each.id, true)
    view.setUint16(at + 2, each.size + EXTENSION_HEADER, true)
    steps.push(...stepsOf(each, shape, at + EXTENSION_HEADER))
    for (const other of each.others) {
      const extra = extraOf(other, shape)
      if (extra < 0) continue
      usedExtras.add(extra)
      numbers.push({ at: at + EXTENSION_HEADER + other.at, length: other.length, extra })
    }
    at += EXTENSION_HEADER + each.size
  }
  const variable = chosen.filter(({ isVariable }) => isVariable).map((each): VariablePart => {
    const head = new Uint8Array(EXTENSION_HEADER + each.size)
    new DataView(head.buffer).setUint16(0, each.id, true)
    const last = each.parts.find(({ length }) => length === TO_END)
    const other = each.others.find(({ length }) => length === TO_END)
    const extra = other ? extraOf(other, shape) : -1
    if (extra >= 0) usedExtras.add(extra)
    return {
      head, extra, field: last && shape.mask[last.field] === 1 ? last.field : -1,
      isText: last?.op === OP.TEXT || other?.kind === 'text', most: each.most ?? Infinity,
      steps: stepsOf(each, shape, EXTENSION_HEADER),
    }
  })
  return {
    shape, template, steps, numbers, variable, hasExtras: usedExtras.size > 0,
    portAt: PORT_AT,
    lostFields: shape.fields.filter((field) => carried[field] === 0),
    lostElements: shape.extras.filter((_, i) => !usedExtras.has(i))
      .map(({ pen, id }) => elementName(pen, id)),
    turn: -1,
    place: 0,
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
