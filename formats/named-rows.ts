/** Rows whose values come by name, as in JSON, CSV and CBOR. */
import { BATCH_SIZE, type FlowBatch } from '../core/flow/batch.ts'
import { findElement, findElementByName, foreignElement, type Element } from '../core/flow/elements.ts'
import { FIELDS, findField, ID, type Field } from '../core/flow/fields.ts'
import { fieldLabel, NAME_SETS, rawLabel } from '../core/flow/labels.ts'
import { loseElement, type Loss } from '../core/flow/loss.ts'
import { parseScalar } from '../core/flow/parse-scalar.ts'
import {
  makeShape, VARIABLE_LENGTH, type ExtraElement, type Shape, type TimeDigits,
} from '../core/flow/shape.ts'
import { lastTime, namedValue, storeValue } from '../core/flow/store-value.ts'
import { FIRST_FREE_KIND, KINDS } from './kinds.ts'

/** Kinds of values that row-reader.ts knows beside those of fields: flow times, whose ns have a field too, */
export const FLOW_TIME: number = FIRST_FREE_KIND
/** integers that count µs, */
export const MICROS: number = FIRST_FREE_KIND + 1
/** networks, whose prefix length counts, */
export const PREFIX_LENGTH: number = FIRST_FREE_KIND + 2
/** elements without a field, */
export const EXTRA: number = FIRST_FREE_KIND + 3
/** and what only `store` can take. */
export const ANY: number = FIRST_FREE_KIND + 4

/** Digits of a time that is a number, from which on it counts ns. */
export const NANOS_DIGITS: number = 18

/** What becomes of the values of one name. */
export interface Target {
  /** Fields that it fills. */
  readonly ids: readonly number[]
  /** How row-reader.ts reads them. */
  readonly kind: number
  /** Whether 0 stands for no value. */
  readonly zeroIsNothing?: boolean
  /** Whether a value that it does not take is lost, and does not stand for none. */
  readonly isExact?: boolean
  /** Whether a time that is a number counts ns, however few. */
  readonly isNanos?: boolean
  /** How many values of a list it takes: more are lost. */
  readonly most?: number
  /** The number that a word stands for, -1 if it is none. */
  named?(text: string): number
  /** @returns whether the row has them, or how many of the first; nothing else was stored */
  store(batch: FlowBatch, row: number, value: unknown): boolean | number
}

/** What becomes of names. */
export interface NamedRowsOptions {
  /** What a name is for: a field's own, as a rule. Undefined: an element without a field, or nobody's. */
  target(name: string): Target | undefined
  /** Whether elements without a field are kept. */
  readonly extras: boolean
  /** Takes what is not. */
  readonly loss?: Loss | undefined
}

/** Appends rows of the same names. */
export type StoreRow = (batch: FlowBatch, values: readonly unknown[]) => void

/** The fields that a value fills: of a time its nanoseconds only if it has digits of them. */
export function filledFields({ kind, ids }: Target, digits: TimeDigits): readonly number[] {
  return kind === FLOW_TIME && digits >= 0 && digits <= 6 ? ids.slice(0, 1) : ids
}

/** The target of a field by its own type. */
export function fieldTarget(field: Field): Target {
  const nanos = field.id === ID.flowStart ? ID.flowStartNs : field.id === ID.flowEnd ? ID.flowEndNs : -1
  if (nanos < 0) {
    return {
      ids: [field.id],
      kind: KINDS[field.type],
      isExact: true,
      named: (text) => namedValue(field, text),
      store: field.type === 'time'
        ? (batch, row, value) => storeTime(batch, field, row, value)
        : (batch, row, value) => storeValue(batch, field, row, value),
    }
  }
  return {
    ids: [field.id, nanos],
    kind: FLOW_TIME,
    isExact: true,
    store(batch, row, value) {
      if (!storeTime(batch, field, row, value)) return false
      const below = batch.column(nanos) as Uint16Array
      below[row] = lastTime.nanos
      return true
    },
  }
}

/** A time, of the years up to 2255, whose µs are exact. */
function storeTime(batch: FlowBatch, field: Field, row: number, value: unknown): boolean {
  return storeValue(batch, field, row, value) && Number.isSafeInteger(lastTime.micros)
}

const byAnyName = new Map<string, Field>()

/** The field that any of the sets of names calls so, flowkit's own first. */
export function fieldByAnyName(name: string): Field | undefined {
  if (byAnyName.size === 0) {
    for (const set of NAME_SETS) {
      for (const field of FIELDS) {
        for (const family of [undefined, 4, 6] as const) {
          const label = fieldLabel(field, set, family)
          if (!byAnyName.has(label)) byAnyName.set(label, field)
        }
        const raw = rawLabel(field, set) // which the address stands beside
        if (raw !== undefined) byAnyName.set(raw, field)
      }
    }
  }
  return byAnyName.get(name)
}

/** The target of a name: by a map of names to fields' own, else by any name that flowkit knows. */
export function targetOf(name: string, map?: ReadonlyMap<string, string>): Target | undefined {
  const field = findField(map?.get(name) ?? name) ?? fieldByAnyName(name)
  return field && fieldTarget(field)
}

/** Shapes remembered of one list of names. */
const MOST_SHAPES = 4096

/** What the values of one name fill: a field, or an element that has none. */
export interface Place {
  readonly name: string
  readonly target: Target | undefined
  /** By the kind of value, text or number. */
  readonly elements: readonly [text: Element | undefined, number: Element | undefined]
}

/** What a row has of an element's value: none, text, or a number. Of a target's, it is how many fields. */
const NONE = 0
const TEXT = 1
const NUMBER = 2

/** How to append rows whose values have these names, in this order. */
export function namedRows(names: readonly string[], options: NamedRowsOptions): StoreRow {
  const { extras, loss } = options
  const places = names.map((name) => placeOf(name, options))
  const shapes = new Map<string, Shape>()
  const present = new Uint8Array(names.length)

  function storeFields(batch: FlowBatch, row: number, values: readonly unknown[]): TimeDigits {
    let digits: TimeDigits = -1
    for (let i = 0; i < places.length; i++) {
      const { target } = places[i]
      const value = values[i]
      present[i] = NONE
      if (!target || value === null || value === undefined) continue
      lastTime.digits = -1
      const stored = target.store(batch, row, value)
      if (stored === false) {
        if (loss && target.isExact && !isNothing(target, value)) loseElement(loss, places[i].name, 1)
        continue
      }
      if (loss && Array.isArray(value) && value.length > (target.most ?? Infinity)) {
        loseElement(loss, places[i].name, 1)
      }
      present[i] = stored === true ? target.ids.length : stored
      if (lastTime.digits > digits && target.ids.length === 2) digits = lastTime.digits
    }
    return digits
  }

  function storeExtras(batch: FlowBatch, row: number, values: readonly unknown[]): void {
    const start = batch.heapLength
    for (let i = 0; i < places.length; i++) {
      const { name, target, elements } = places[i]
      const value = values[i]
      if (target || value === null || value === undefined || isEmpty(value)) continue
      const kind = typeof value === 'number' ? NUMBER : TEXT
      const plain = typeof value === 'object' ? JSON.stringify(value) : value
      const bytes = extras ? parseScalar(elements[kind - 1]?.type, plain) : undefined
      if (bytes && elements[kind - 1] && bytes.length < VARIABLE_LENGTH) {
        batch.addBytes(Uint8Array.of(bytes.length >> 8, bytes.length), 0, 2)
        batch.addBytes(bytes, 0, bytes.length)
        present[i] = kind
      } else if (loss) loseElement(loss, name, 1)
    }
    const pairs = batch.useExtras()
    pairs[row * 2] = start
    pairs[row * 2 + 1] = batch.heapLength - start
  }

  function shapeFor(digits: TimeDigits): Shape {
    const key = `${digits}${Buffer.from(present.buffer).toString('latin1')}`
    const known = shapes.get(key)
    if (known) return known
    const ids: number[] = []
    const found: ExtraElement[] = []
    for (const [i, { target, elements }] of places.entries()) {
      if (present[i] === NONE) continue
      if (target) ids.push(...filledFields(target, digits).slice(0, present[i]))
      else {
        const { pen, id } = elements[present[i] - 1]!
        found.push({ pen, id, length: VARIABLE_LENGTH })
      }
    }
    const shape = makeShape(ids, digits, found)
    if (shapes.size < MOST_SHAPES) shapes.set(key, shape)
    return shape
  }

  const hasExtras = places.some(({ target }) => !target)
  return (batch, values) => {
    const row = batch.length
    batch.reserve(1)
    const digits = storeFields(batch, row, values)
    if (hasExtras) storeExtras(batch, row, values)
    batch.shape[row] = batch.intern(shapeFor(digits))
    batch.length = row + 1
  }
}

/** 0 as a number, a MAC address, a time. */
const ZERO = /^(1970-01-01T)?[0:.]*Z?$/

/** Whether a value says that there is none: no text, or 0 where that is so. */
function isNothing({ zeroIsNothing = false }: Target, value: unknown): boolean {
  return value === '' || isEmpty(value) || (zeroIsNothing && ZERO.test(String(value)))
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Whether a batch takes no more rows for now. */
export function isFull({ length }: FlowBatch): boolean {
  return length >= BATCH_SIZE
}

/** Where the values of a name go. */
export function placeOf(name: string, { target }: NamedRowsOptions): Place {
  const found = target(name)
  if (found) return { name, target: found, elements: [undefined, undefined] }
  const [, pen, id] = /^en(\d+)id(\d+)$/.exec(name) ?? []
  const known = id === undefined ? findElementByName(name) : findElement(Number(pen), Number(id))
  if (known) return { name, target: undefined, elements: [known, known] }
  const elements = [foreignElement(name, 'string'), foreignElement(name, 'float64')] as const
  return { name, target: undefined, elements }
}
