import { FIELD_COUNT, fieldMask, FIELDS, ID } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../../core/flow/names.ts'
import { makeShape, VARIABLE_LENGTH, type ExtraElement, type Shape } from '../../core/flow/shape.ts'
import { OP, TO_END, type Extension, type Other, type Part } from './parts.ts'

/** What a reader keeps. */
export interface Wanted {
  /** By field id, 1 if rows shall have it. */
  readonly fields: Uint8Array
  /** By field id, 1 if its column is needed. */
  readonly columns: Uint8Array
  /** Whether elements without a column are kept. */
  readonly extras: boolean
}

/** Fields with names, and the fields of those. */
export const NAMED: readonly (readonly [number, number])[] = [
  [ID.applicationId, ID.applicationName], [ID.inIf, ID.inIfName], [ID.outIf, ID.outIfName],
  [ID.srcVrf, ID.srcVrfName], [ID.dstVrf, ID.dstVrfName],
]
const LABELS: readonly number[] = Array.from({ length: 10 }, (_, i) => ID.mplsLabel1 + i)

/** What a reader keeps that is asked for these fields, absent: for all, and for `extras` or not. */
export function wantedOf(fields: readonly number[] | undefined, extras: boolean): Wanted {
  const wanted = fields ? fieldMask(fields) : new Uint8Array(FIELD_COUNT).fill(1)
  const columns = wanted.slice()
  for (const [number, name] of NAMED) if (wanted[name] === 1) columns[number] = 1
  if ([...LABELS, ID.mplsExp].some((id) => wanted[id] === 1)) columns[ID.mplsLabel1] = 1 // all by one step
  return { fields: wanted, columns, extras }
}

/** An extension in a record. */
export interface Placed {
  readonly extension: Extension
  /** Offset of its first part in the record. */
  readonly at: number
  /** Bytes of it. */
  readonly length: number
}

/** One column that all records of a layout fill. */
export interface Step {
  readonly op: number
  /** Offset in the record. */
  readonly at: number
  readonly length: number
  readonly field: number
  /** The bit of the row's variant that says that there is no value, as a number; 0: there always is one. */
  readonly absentBit: number
}

/** One value without a column, in the record. */
export interface OtherStep extends Other {
  readonly length: number
}

/** A record layout made ready: which loops to run for which columns, and the shapes of the rows. */
export interface Plan {
  readonly steps: readonly Step[]
  /** Elements that are kept, in the order of the shapes' extras. */
  readonly extras: readonly OtherStep[]
  /** Values that have no place if they are not 0. */
  readonly lost: readonly OtherStep[]
  /** Offsets of the protocol and of the destination port, which holds type and code of ICMP; -1: none. */
  readonly protoAt: number
  readonly portAt: number
  /** Offset of what goes before that for ICMP where it is not 0; -1: there is none. */
  readonly icmpAt: number
  /** Offset of the packets, lowest byte first; -1: there are none. */
  readonly packetsAt: number
  /** Offset of the sampler's id, and its length; -1: there is none. */
  readonly samplerAt: number
  readonly samplerLength: number
  /** Whether records tell their exporter's address. */
  readonly hasExporter: boolean
  /** The bit of records that tell an observation domain but have none in it; -1: they tell none. */
  readonly domainBit: number
  /** EtherType of the addresses, or EITHER; 0: there are none. */
  readonly etype: number
  /** Whether a record may stand for several flows. */
  readonly hasFlows: boolean
  /** Whether rows may get the names of: application, input and output interface, and the VRFs of both. */
  readonly named: readonly boolean[]
  /** Fields by bit of the variant. */
  readonly optional: readonly number[]
  /** The fields that every row has. */
  readonly fields: readonly number[]
  readonly wanted: Wanted
  readonly elements: readonly ExtraElement[]
  /** Shapes by variant and by what was added, and their indices in the batch of `turn`. */
  readonly shapes: Map<number, Shape>
  readonly indices: Map<number, number>
  /** The chunk that its records were last seen in, and its place among that one's plans; for Chunk to set. */
  turn: number
  place: number
}

/** An EtherType that goes before that of the addresses, an IPv6 address that does so before an IPv4 one. */
export const OP_ETYPE = 16
export const OP_IPV6_TOO = 17
/** In place of an EtherType: records have addresses of both kinds, and one is not set. */
export const EITHER = 1

/** Bits of a variant that count the MPLS labels; the other bits are one field each. */
const LABEL_BITS = 4
/** Bits of a variant. Only made-up records need more: what has no bit counts as present. */
const VARIANT_BITS = 32

/**
 * Make the plan of the records that have these extensions.
 *
 * @param icmpAt see `Plan.icmpAt`
 */
export function makePlan(placed: readonly Placed[], wanted: Wanted, icmpAt: number = -1): Plan {
  const parts = placed.flatMap(({ extension, at, length }) => extension.parts.map((each) => ({
    each, at: at + each.at, length: each.length === TO_END ? length - each.at : each.length, extension,
  })))
  const best = new Map<number, Part>()
  const best6 = new Map<number, Part>()
  for (const { each } of parts) {
    if (each.op !== OP.IPV6) best.set(each.field, betterOf(best.get(each.field), each))
    else if (!best6.has(each.field)) best6.set(each.field, each)
  }
  const isChosen = (each: Part) => best.get(each.field) === each || best6.get(each.field) === each
  const has = (field: number) => best.has(field) || best6.has(field)
  const chosen = parts.filter(({ each }) => isChosen(each))
    .sort((a, b) => Number(a.each.op === OP.IPV6) - Number(b.each.op === OP.IPV6))
  const address = [ID.srcAddr, ID.dstAddr].find(has)
  const etype = address === undefined ? 0
    : !best6.has(address) ? ETYPE_IPV4
    : best.has(address) ? EITHER : ETYPE_IPV6

  const steps: Step[] = []
  const optional: number[] = []
  const fields = new Set<number>(etype > 0 ? [ID.etype] : [])
  for (const { each, at, length } of chosen) {
    const { field, op } = each
    if (wanted.columns[field] === 0) continue
    const isEtype = field === ID.etype && etype > 0
    const bits = op === OP.MPLS ? LABEL_BITS : each.isOptional && !isEtype ? 1 : 0
    let absentBit = 0
    if (bits > 0 && optional.length + bits <= VARIANT_BITS) {
      absentBit = 2 ** optional.length
      for (let i = 0; i < bits; i++) optional.push(field)
    } else fields.add(field)
    const isSecond = op === OP.IPV6 && best.has(field)
    steps.push({ op: isEtype ? OP_ETYPE : isSecond ? OP_IPV6_TOO : op, at, length, field, absentBit })
  }
  const losers = parts.filter(({ each }) => !isChosen(each) && !each.isFormer)
  const others = placed.flatMap(({ extension, at, length }) => extension.others.map((each) => ({
    ...each, at: at + each.at, length: each.length === TO_END ? length - each.at : each.length,
  })))
  const extras = wanted.extras ? others.filter(({ pen }) => pen >= 0) : []
  const sampler = chosen.find(({ each }) => each.field === ID.samplerId)
  const placeOf = (id: number) => chosen.find(({ each }) => each.field === id)?.at ?? -1
  const domain = steps.find(({ field }) => field === ID.observationDomainId)
  return {
    steps, extras, optional, etype: wanted.fields[ID.etype] === 1 ? etype : 0,
    lost: [
      ...others.filter(({ pen }) => pen < 0),
      ...losers.map(({ each, at, length, extension }): OtherStep => ({
        at, length, kind: 'bytes', pen: -1, id: -1,
        name: `nfdump ${extension.name} ${FIELDS[each.field].name}`,
      })),
    ],
    protoAt: placeOf(ID.proto),
    portAt: placeOf(ID.dstPort),
    icmpAt,
    packetsAt: placeOf(ID.packets),
    samplerAt: placeOf(ID.samplerId),
    samplerLength: sampler ? sampler.length : 0,
    hasExporter: has(ID.exporterAddr),
    domainBit: domain ? domain.absentBit : -1,
    hasFlows: has(ID.flows),
    named: NAMED.map(([number, name]) => has(number) && !has(name) && wanted.fields[name] === 1),
    fields: [...fields],
    wanted,
    elements: extras.map(({ pen, id, length, kind }) => (
      { pen, id, length: kind === 'number' ? length : VARIABLE_LENGTH }
    )),
    shapes: new Map(),
    indices: new Map(),
    turn: -1,
    place: 0,
  }
}

/** The shape of rows of a plan that lack the optional fields of `variant` and have `added` beside. */
export function variantShape(
  { fields, optional, elements, steps, wanted }: Plan, variant: number, added: readonly number[],
): Shape {
  const present = [...fields, ...added]
  for (const [bit, field] of optional.entries()) {
    if (field !== ID.mplsLabel1 && Math.floor(variant / 2 ** bit) % 2 === 0) present.push(field)
  }
  const mpls = steps.find(({ op }) => op === OP.MPLS)
  if (mpls) {
    const labels = Math.floor(variant / mpls.absentBit) % 2 ** LABEL_BITS
    present.push(...LABELS.slice(0, labels))
    if (labels > 0) present.push(ID.mplsExp)
  }
  return makeShape(present.filter((id) => wanted.fields[id] === 1), 3, elements)
}

/** Of two parts for one field the one that always has a value, else the first. */
function betterOf(a: Part | undefined, b: Part): Part {
  return a === undefined || (a.isOptional && !b.isOptional) ? b : a
}
