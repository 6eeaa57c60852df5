import { FIELD_COUNT } from './fields.ts'

/** An element that a record carried and flowkit has no column for. */
export interface ExtraElement {
  readonly pen: number
  readonly id: number
  /** Bytes of the value, or 65535: a 16-bit length stands before each value in the heap. */
  readonly length: number
}

/** Length of an extra element whose values differ in length, as in RFC 7011 §7. */
export const VARIABLE_LENGTH = 65535

/** Digits of a second that flow times were exported with; -1 where the source does not say. */
export type TimeDigits = -1 | 0 | 3 | 6 | 9

/**
 * Which fields a row has. Every row of a batch refers to one, so that an absent field is absent and never 0.
 *
 * A shape is immutable; all rows of a version or template share one.
 */
export interface Shape {
  /** Ids of the fields present, ascending. */
  readonly fields: readonly number[]
  /** 1 where the field of that id is present; FIELD_COUNT long. */
  readonly mask: Uint8Array
  readonly timeDigits: TimeDigits
  /** Elements without a column, in the order their values lie in the row's part of the heap. */
  readonly extras: readonly ExtraElement[]
  /** Equal for equal shapes. */
  readonly key: string
}

/** The shape of rows that have `fields` (ids, in any order, repetitions allowed) and `extras`. */
export function makeShape(
  fields: Iterable<number>, timeDigits: TimeDigits = -1, extras: readonly ExtraElement[] = [],
): Shape {
  const mask = new Uint8Array(FIELD_COUNT)
  for (const id of fields) mask[id] = 1
  const ids: number[] = []
  for (let id = 0; id < FIELD_COUNT; id++) if (mask[id]) ids.push(id)
  const extraKey = extras.map(({ pen, id, length }) => `${pen}/${id}:${length}`).join()
  return { fields: ids, mask, timeDigits, extras, key: `${ids.join()};${timeDigits};${extraKey}` }
}

/** `shape` with `fields` added. */
export function addFields(shape: Shape, fields: Iterable<number>): Shape {
  return makeShape([...shape.fields, ...fields], shape.timeDigits, shape.extras)
}

const wider = new WeakMap<Shape, Map<number, Shape>>()

/** `shape` with the field of that id, made once. */
export function withField(shape: Shape, id: number): Shape {
  if (shape.mask[id] === 1) return shape
  let known = wider.get(shape)
  if (!known) wider.set(shape, known = new Map())
  let result = known.get(id)
  if (!result) known.set(id, result = addFields(shape, [id]))
  return result
}

/** `shape` without the field of that id. */
export function withoutField(shape: Shape, id: number): Shape {
  return makeShape(shape.fields.filter((each) => each !== id), shape.timeDigits, shape.extras)
}

/** The shape of a row with nothing in it. */
export const EMPTY_SHAPE: Shape = makeShape([])
