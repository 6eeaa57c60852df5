import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { VARIABLE_LENGTH, type Shape } from '../../flow/shape.ts'
import { exportLayout, writingPlan, type LayoutOptions, type SetVersion } from './layout.ts'
import { lostFields } from './encoder.ts'
import type { OutMessage } from './out-message.ts'
import { RATE } from './out-sampling.ts'
import type { LayoutField } from '../plan.ts'
import type { Clock, Step } from '../steps.ts'
import { variableSize, writeStep, writeVariable } from './write-steps.ts'

/** A template this exporter has announced, and how its records are written. */
export interface OutTemplate {
  readonly id: number
  /** The template record, as it goes into a template set; empty if the records would be. */
  readonly record: Uint8Array
  readonly layout: readonly LayoutField[]
  /** What fills the fields of the layout, those without a column left out. */
  readonly steps: readonly Step[]
  /** Bytes of a record; 0 if they differ. */
  readonly size: number
  /** The fewest bytes of a record. */
  readonly least: number
  /** By place in the shape's extras, the offset in the record, which counts where `size` does; -1: left out. */
  readonly extrasAt: Int32Array
  /** Offset and place of the sampling rate of records that say 1; -1 of others. */
  readonly oneAt: number
  readonly oneField: number
  /** Fields and elements that the records have not. */
  readonly lost: readonly number[]
  readonly lostElements: readonly string[]
  /** Rows encoded that are not in the encoder's loss yet. */
  rows: number
  /** The refresh at which it was last announced. */
  sentIn: number
}

const ENTERPRISE = 0x8000

/**
 * The template of rows of one shape.
 *
 * @param forms see `exportLayout`
 */
export function outTemplate(
  id: number, shape: Shape, forms: ReadonlyMap<number, number>, version: SetVersion, options: LayoutOptions,
): OutTemplate {
  const exported = exportLayout(shape, forms, version, options)
  const { layout, carried, extras, lostElements } = exported
  const { steps } = writingPlan(exported)
  const one = options.rate === RATE.one ? steps.find(({ field }) => field === ID.samplingRate) : undefined
  const extrasAt = new Int32Array(shape.extras.length).fill(-1)
  for (const { index, field } of extras) extrasAt[index] = lengthOf(layout.slice(0, field))
  const variable = layout.some(({ length }) => length === VARIABLE_LENGTH)
  return {
    id, layout, extrasAt, lostElements,
    record: layout.length > 0 ? templateRecord(id, layout) : new Uint8Array(0),
    steps: steps.filter((step) => step !== one).map((step) => withField(step, shape))
      // an element may fill other columns too, which these rows do not have
      .filter(({ index, field }) => index >= 0 && shape.mask[field] === 1).sort((a, b) => a.index - b.index),
    size: variable ? 0 : lengthOf(layout),
    least: lengthOf(layout),
    oneAt: one?.at ?? -1,
    oneField: one?.index ?? -1,
    lost: lostFields(shape, carried),
    rows: 0, sentIn: -1,
  }
}

/** The address that an exporter gives itself stands for the one it was known by. */
function withField(step: Step, { mask }: Shape): Step {
  return step.field === ID.agentAddr && mask[ID.exporterAddr] === 1 ? { ...step, field: ID.exporterAddr } : step
}

/** RFC 3954 §5.2, RFC 7011 §3.4.1. */
function templateRecord(id: number, layout: readonly LayoutField[]): Uint8Array {
  const words = [id, layout.length]
  for (const { pen, id: element, length } of layout) {
    if (pen === 0) words.push(element, length)
    else words.push(element | ENTERPRISE, length, pen >>> 16, pen & 0xffff)
  }
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255]))
}

/** Bytes of fields, at least: a variable length takes one byte. */
function lengthOf(layout: readonly LayoutField[]): number {
  return layout.reduce((sum, { length }) => sum + (length === VARIABLE_LENGTH ? 1 : length), 0)
}

/**
 * Write the records of rows `row` up to `end` into the message, for templates whose records are of one size.
 *
 * @param narrowed counts values that did not fit, by field id
 */
export function writeRecords(
  { steps, size, extrasAt, oneAt }: OutTemplate, message: OutMessage, batch: FlowBatch, row: number, end: number,
  clock: Clock, narrowed: Float64Array,
): void {
  const { bytes, view, at } = message
  const next = at + (end - row) * size
  bytes.fill(0, at, next)
  for (const step of steps) {
    narrowed[step.field] += writeStep(step, at + step.at, size, view, bytes, batch, row, end, clock)
  }
  if (oneAt >= 0) for (let one = at + oneAt; one < next; one += size) view.setUint32(one, 1)
  if (extrasAt.length > 0) {
    for (let i = row; i < end; i++) writeExtras(extrasAt, bytes, at + (i - row) * size, batch, i)
  }
  message.at = next
}

function writeExtras(extrasAt: Int32Array, bytes: Uint8Array, at: number, batch: FlowBatch, row: number): void {
  const { heap } = batch
  const { extras } = batch.shapes[batch.shape[row]]
  let from = batch.extras[row * 2]
  for (let i = 0; i < extras.length; i++) {
    let { length } = extras[i]
    if (length === VARIABLE_LENGTH) { // left out by this template
      length = heap[from] << 8 | heap[from + 1]
      from += 2
    } else if (extrasAt[i] >= 0) for (let b = 0; b < length; b++) bytes[at + extrasAt[i] + b] = heap[from + b]
    from += length
  }
}

/** Bytes of a row's record, for templates whose records differ in size. */
export function recordSize({ layout, steps, extrasAt, least }: OutTemplate, batch: FlowBatch, row: number): number {
  let size = least
  for (const { field, index } of steps) {
    if (layout[index].length !== VARIABLE_LENGTH) continue
    size += variableSize((batch.column(field) as Uint32Array)[row * 2 + 1]) - 1
  }
  if (extrasAt.length === 0) return size
  const { heap } = batch
  let from = batch.extras[row * 2]
  for (const [i, { length }] of batch.shapes[batch.shape[row]].extras.entries()) {
    let actual = length
    if (length === VARIABLE_LENGTH) {
      actual = heap[from] << 8 | heap[from + 1]
      from += 2
      if (extrasAt[i] >= 0) size += variableSize(actual) - 1
    }
    from += actual
  }
  return size
}

/** Write one record, for templates whose records differ in size; the message has room for it. */
export function writeRecord(
  { layout, steps, extrasAt, oneField }: OutTemplate, message: OutMessage, batch: FlowBatch, row: number,
  clock: Clock, narrowed: Float64Array,
): void {
  const { bytes, view } = message
  const { heap } = batch
  let done = 0 // fields of the layout
  let next = 0 // steps
  for (; next < steps.length || done === oneField; done++) {
    const { length } = layout[done]
    if (done === oneField) view.setUint32(message.at, 1)
    else if (length === VARIABLE_LENGTH) {
      const column = batch.column(steps[next].field) as Uint32Array
      message.at = writeVariable(bytes, message.at, heap, column[row * 2], column[row * 2 + 1])
      next++
      continue
    } else {
      bytes.fill(0, message.at, message.at + length)
      for (; next < steps.length && steps[next].index === done; next++) {
        const step = steps[next]
        narrowed[step.field] += writeStep(step, message.at, 0, view, bytes, batch, row, row + 1, clock)
      }
    }
    message.at += length
  }
  let from = batch.extras[row * 2]
  for (let i = 0; i < extrasAt.length; i++) {
    const { length } = batch.shapes[batch.shape[row]].extras[i]
    let actual = length
    if (length === VARIABLE_LENGTH) {
      actual = heap[from] << 8 | heap[from + 1]
      from += 2
      if (extrasAt[i] >= 0) message.at = writeVariable(bytes, message.at, heap, from, actual)
    } else if (extrasAt[i] >= 0) {
      for (let b = 0; b < length; b++) bytes[message.at + b] = heap[from + b]
      message.at += length
    }
    from += actual
  }
}
