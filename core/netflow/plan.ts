import { FIELDS, ID, type Field } from '../flow/fields.ts'
import { listTypeOf, type ListType } from '../flow/list-value.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../flow/names.ts'
import { makeShape, VARIABLE_LENGTH, type ExtraElement, type Shape, type TimeDigits } from '../flow/shape.ts'
import { planSections, type SectionPlan } from './sections.ts'
import { NAME_STEPS } from './name-steps.ts'
import { OP, PACKED_LENGTH, type Step } from './steps.ts'

/** The enterprise number of a layout field that names a column, as no element does: its id is the field's. */
export const COLUMN_PEN = -1

/** One field of a record: which element, and how long it is (65535: its length stands before it). */
export interface LayoutField {
  readonly pen: number
  readonly id: number
  readonly length: number
}

/** What a decoder is asked to keep. */
export interface Wanted {
  /** By field id, 1 if wanted; absent: all. */
  readonly fields?: Uint8Array
  /** Whether elements without a column are kept. */
  readonly extras: boolean
  /** False: nobody knows when and from whom messages came, but for what their records say. */
  readonly arrival?: false
}

/** A field that is kept as an extra. */
export interface ExtraField {
  /** Offset and length, as of steps. */
  readonly at: number
  readonly length: number
  /** Undefined for what is no list. */
  readonly list: ListType | undefined
}

/** A record layout made ready: which loops to run for which columns, and the shape of the rows. */
export interface Plan {
  readonly steps: readonly Step[]
  /** Bytes of a record if all fields have fixed lengths, else the fewest it can have. */
  readonly minLength: number
  /** Bytes of a record, packed if it is not of fixed length (see `Records`). */
  readonly size: number
  /** Bytes before, between and after the variable-length fields: one element for fixed layouts. */
  readonly gaps: Uint32Array
  readonly shape: Shape
  /** Whether records tell their sampler, and their input interface. */
  readonly hasSampler: boolean
  readonly hasInterface: boolean
  /** The fields that are kept as extras. */
  readonly extras: readonly ExtraField[]
  /** Where records carry sampled packets, if they do and fields of packets are wanted. */
  readonly sections: SectionPlan | undefined
}

const SECONDS = new Set([150, 151, 322])
const MILLIS = new Set([152, 153, 258, 323])
const MICROS = new Set([154, 155, 324])
const NANOS = new Set([156, 157, 325])
const REVERSE_PEN = 29305
const SAMPLING_FIELDS = [ID.samplingRate, ID.samplingSource, ID.samplingAlgorithm]
/** The record does not tell when the exporter was started. */
const NO_INIT = -Infinity

/** For each element that fills a column: the columns, with the element's rank among those that fill it. */
const FILLS: ReadonlyMap<number, readonly { field: Field, rank: number }[]> = fillsOf(FIELDS)

function fillsOf(fields: readonly Field[]): Map<number, { field: Field, rank: number }[]> {
  const fills = new Map<number, { field: Field, rank: number }[]>()
  for (const field of fields) {
    for (const [rank, { pen, id }] of field.elements.entries()) {
      const key = elementKey(pen, id)
      fills.set(key, [...fills.get(key) ?? [], { field, rank }])
    }
  }
  return fills
}

function elementKey(pen: number, id: number): number {
  return pen * 65536 + id
}

/**
 * Make the plan of a record layout.
 *
 * Where several elements could fill one column the best by the field table does; the others, repetitions and
 * elements without a column become extras if wanted. IPv4 and IPv6 elements of one address both run. The
 * address that an exporter gives itself is that of the exporter where no other is known.
 *
 * @param canTellUptime whether the message's header or an options record gives the exporter's uptime
 */
export function makePlan(layout: readonly LayoutField[], wanted: Wanted, canTellUptime: boolean): Plan {
  const offsets = offsetsOf(layout)
  const init = layout.findIndex((f) => f.pen === 0 && f.id === 160 && f.length === 8)
  const chosen = choose(layout, canTellUptime || init >= 0)
  const all: Step[] = []
  const used = new Set<number>()
  const present = new Set<number>()
  for (const { index, field } of chosen) {
    const toInit = init < 0 ? NO_INIT : offsets[init] - offsets[index]
    const filled = wanted.arrival === false && field.id === ID.agentAddr ? FIELDS[ID.exporterAddr] : field
    const step = stepFor(layout[index], filled, index, offsets[index], toInit)
    if (!step) continue
    used.add(index)
    all.push(step)
    present.add(step.field)
    if (step.field2 >= 0) present.add(step.field2)
  }
  addDerived(layout, offsets, all, present, used)
  orderSteps(all)
  addEtype(all, present)
  const steps = wanted.fields ? neededSteps(all, wanted.fields) : all
  const shown = wanted.fields ? [...present].filter((id) => wanted.fields![id]) : present
  const extras = !wanted.extras ? [] : layout
    .map(({ pen, id, length }, index) => ({ index, at: offsets[index], length, list: listTypeOf(pen, id) }))
    .filter(({ index, length }) => !used.has(index) && length > 0 && !isPadding(layout[index]))
  const elements = extras.map(({ index, list }): ExtraElement =>
    list ? { ...layout[index], length: VARIABLE_LENGTH } : layout[index])
  const gaps = gapsOf(layout)
  const fixed = gaps.reduce((sum, gap) => sum + gap, 0)
  return {
    steps,
    minLength: fixed + gaps.length - 1,
    size: fixed + (gaps.length - 1) * PACKED_LENGTH,
    gaps,
    shape: makeShape(shown, digitsOf(layout, chosen), elements),
    hasSampler: present.has(ID.samplerId),
    hasInterface: steps.some(({ field }) => field === ID.inIf),
    extras,
    sections: planSections(layout, offsets, present, wanted.fields),
  }
}

/** The steps that fill wanted columns, or columns that those are computed from. */
function neededSteps(steps: readonly Step[], wanted: Uint8Array): Step[] {
  const needed = wanted.slice()
  if (SAMPLING_FIELDS.some((id) => wanted[id])) needed[ID.samplerId] = needed[ID.inIf] = 1
  for (const { number, name } of NAME_STEPS) if (wanted[name]) needed[number] = 1
  for (const { op, field, field2 } of steps) {
    if (!needed[field]) continue
    // a duration is added to the other time, and an EtherType is that of an address
    if (op === OP.DURATION_MS || op === OP.DURATION_US || op === OP.ETYPE) needed[field2] = 1
  }
  return steps.filter(({ field, field2 }) => needed[field] || (field2 >= 0 && needed[field2]))
}

/** paddingOctets (IE 210). */
function isPadding({ pen, id }: LayoutField): boolean {
  return pen === 0 && id === 210
}

/** Offsets in the record, packed if it is not of fixed length. */
function offsetsOf(layout: readonly LayoutField[]): number[] {
  let at = 0
  return layout.map(({ length }) => {
    const offset = at
    at += length === VARIABLE_LENGTH ? PACKED_LENGTH : length
    return offset
  })
}

function gapsOf(layout: readonly LayoutField[]): Uint32Array {
  const gaps = [0]
  for (const { length } of layout) {
    if (length === VARIABLE_LENGTH) gaps.push(0)
    else gaps[gaps.length - 1] += length
  }
  return Uint32Array.from(gaps)
}

/**
 * Which field of the layout fills which columns: the best element by rank, the first of equals.
 *
 * A record with two IP protocols tells of a packet in a packet, the outer first: its addresses are the first.
 */
function choose(layout: readonly LayoutField[], canTellUptime: boolean): { index: number, field: Field }[] {
  const nested = layout.filter(({ pen, id }) => pen === 0 && id === 4).length > 1
  const best = new Map<string, { index: number, field: Field, rank: number }>()
  for (const [index, { pen, id, length }] of layout.entries()) {
    if (length === 0) continue
    if (pen === 0 && (id === 21 || id === 22) && !canTellUptime) continue
    const fills = pen === COLUMN_PEN ? [{ field: FIELDS[id], rank: 0 }] : FILLS.get(elementKey(pen, id)) ?? []
    for (const { field, rank } of fills) {
      const address = field.type === 'addr'
      // an address may come as IPv4 and IPv6 in one record: each has a place of its own
      const slot = address && !nested ? `${field.id}/${length}` : `${field.id}`
      const rival = best.get(slot)
      if (!rival || (rank < rival.rank && !(address && nested))) best.set(slot, { index, field, rank })
    }
  }
  return [...best.values()]
}

function stepFor(
  { pen, id, length }: LayoutField, field: Field, index: number, at: number, init: number,
): Step | undefined {
  const base = { field: field.id, at, length, index, field2: -1, value: 0 }
  const element = pen === 0 || pen === REVERSE_PEN ? id : -1 // of columns named directly: none
  switch (field.type) {
    case 'text': return { ...base, op: OP.TEXT }
    case 'octets': return { ...base, op: OP.OCTETS }
  }
  if (length === VARIABLE_LENGTH) return undefined // numbers and addresses of no fixed length: kept as extras
  switch (field.type) {
    case 'addr':
      if (length === 4) return { ...base, op: OP.IPV4 }
      return length === 16 ? { ...base, op: OP.IPV6 } : undefined
    case 'mac': return length === 6 ? { ...base, op: OP.MAC } : undefined
    case 'u64': return length <= 8 ? { ...base, op: OP.U64 } : undefined
    case 'time': return timeStep(element, base, init)
  }
  if (element === 32 || element === 139) {
    if (length !== 2 || field.id !== ID.icmpType) return undefined
    return { ...base, op: OP.ICMP, field2: ID.icmpCode }
  }
  if (element >= 70 && element <= 79 && length === 3) {
    return { ...base, op: OP.MPLS, field2: ID.mplsExp, value: element - 70 }
  }
  if (length > 8) return undefined
  if (length === 1 && field.type === 'u8') return { ...base, op: OP.U8 }
  if (length === 2 && field.type === 'u16') return { ...base, op: OP.U16 }
  if (length === 2 && field.type === 'u32') return { ...base, op: OP.U16_TO_U32 }
  if (length === 4 && field.type === 'u32') return { ...base, op: OP.U32 }
  if (length === 4 && field.type === 'count') return { ...base, op: OP.U32_TO_F64 }
  if (length === 8 && field.type === 'count') return { ...base, op: OP.U64_TO_F64 }
  return { ...base, op: OP.UINT }
}

function timeStep(element: number, base: Omit<Step, 'op'>, init: number): Step | undefined {
  const { length } = base
  if (element === 21 || element === 22) {
    if (length !== 4) return undefined
    return init === NO_INIT ? { ...base, op: OP.UPTIME } : { ...base, op: OP.UPTIME_INIT, value: init }
  }
  if (element === 158 || element === 159) return length === 4 ? { ...base, op: OP.DELTA } : undefined
  if (SECONDS.has(element)) return length <= 8 ? { ...base, op: OP.SECONDS } : undefined
  if (MILLIS.has(element)) return length <= 8 ? { ...base, op: OP.MILLIS } : undefined
  if (length !== 8) return undefined
  if (MICROS.has(element)) return { ...base, op: OP.NTP }
  if (!NANOS.has(element)) return undefined
  const nanos = base.field === ID.flowStart ? ID.flowStartNs : base.field === ID.flowEnd ? ID.flowEndNs : -1
  return { ...base, op: OP.NTP, field2: nanos }
}

/**
 * A flow that tells one of its times and its duration (IE 161, 162) has both times; N packets sampled, then M
 * skipped (IE 305, 306) are a rate.
 */
function addDerived(
  layout: readonly LayoutField[], offsets: readonly number[], steps: Step[], present: Set<number>,
  used: Set<number>,
): void {
  const space = layout.findIndex((f) => f.pen === 0 && f.id === 306 && f.length === 4)
  if (space >= 0 && layout.some((f) => f.pen === 0 && f.id === 305)) {
    const own = { at: offsets[space], length: 4, index: space }
    steps.push({ ...own, op: OP.SPACE, field: ID.samplingRate, field2: -1, value: 0 })
    used.add(space)
  }
  const index = layout.findIndex((f) => f.pen === 0 && (f.id === 161 || f.id === 162) && f.length === 4)
  if (index < 0 || present.has(ID.flowStart) === present.has(ID.flowEnd)) return
  const [field, field2, value] = present.has(ID.flowStart)
    ? [ID.flowEnd, ID.flowStart, 1]
    : [ID.flowStart, ID.flowEnd, -1]
  const op = layout[index].id === 161 ? OP.DURATION_MS : OP.DURATION_US
  steps.push({ op, field, field2, value, at: offsets[index], length: 4, index })
  present.add(field)
  used.add(index)
}

/** Steps that change what others have stored. */
const LATE: ReadonlySet<number> = new Set([OP.DURATION_MS, OP.DURATION_US, OP.SPACE])

/** MPLS labels first, in order, the first clearing what the row held; IPv6 after IPv4; late steps last. */
function orderSteps(steps: Step[]): void {
  const rank = ({ op, field }: Step) =>
    op === OP.MPLS ? field - FIELDS.length : op === OP.IPV6 ? 1 : LATE.has(op) ? 2 : 0
  steps.sort((a, b) => rank(a) - rank(b))
  let firstLabel = true
  for (const [i, step] of steps.entries()) {
    if (step.op === OP.IPV6 && steps.some((s) => s.op === OP.IPV4 && s.field === step.field)) {
      steps[i] = { ...step, value: 1 }
    }
    if (step.op === OP.MPLS && firstLabel) {
      steps[i] = { ...step, value: -step.value }
      firstLabel = false
    }
  }
}

/** The EtherType follows from the family of the addresses where the exporter does not send it. */
function addEtype(steps: Step[], present: Set<number>): void {
  if (present.has(ID.etype)) return
  const key = present.has(ID.srcAddr) ? ID.srcAddr : present.has(ID.dstAddr) ? ID.dstAddr : -1
  if (key < 0) return
  const ops = steps.filter((step) => step.field === key).map((step) => step.op)
  const none = { field: ID.etype, at: 0, length: 0, index: -1, field2: -1, value: 0 }
  if (ops.length > 1) steps.push({ ...none, op: OP.ETYPE, field2: key })
  else steps.push({ ...none, op: OP.CONST, value: ops[0] === OP.IPV6 ? ETYPE_IPV6 : ETYPE_IPV4 })
  present.add(ID.etype)
}

function digitsOf(
  layout: readonly LayoutField[], chosen: readonly { index: number, field: Field }[],
): TimeDigits {
  let digits: TimeDigits = -1
  for (const { index, field } of chosen) {
    if (field.id !== ID.flowStart && field.id !== ID.flowEnd && field.id !== ID.eventTime) continue
    const { id } = layout[index]
    const own = SECONDS.has(id) ? 0 : MICROS.has(id) || id === 158 || id === 159 ? 6 : NANOS.has(id) ? 9 : 3
    if (own > digits) digits = own
  }
  return digits
}
