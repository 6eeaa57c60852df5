import type { FlowBatch } from '../core/flow/batch.ts'
import { loseElement, type Loss } from '../core/flow/loss.ts'
import {
  makeShape, VARIABLE_LENGTH, type ExtraElement, type Shape, type TimeDigits,
} from '../core/flow/shape.ts'
import { filledFields, type Place } from './named-rows.ts'

/** Values that a row may have. */
const MOST_VALUES = 1024
/** Kinds of rows remembered, and those found at once. */
const MOST_KINDS = 4096
const SIZE = 256

/** Rows that have values of the same places. */
interface Kind {
  /** Place × 4 and what became of the value, each. */
  readonly values: Uint16Array
  readonly digits: TimeDigits
  shape: Shape
  /** The shape's place in the batch at hand, as far as it is there. */
  index: number
  /** Names of what was lost of each row. */
  readonly lost: readonly string[]
  /** How many rows there were since losses were entered. */
  rows: number
}

/** What becomes of a value: it has its field, */
export const FIELD = 0
/** is an element without one, as text */
export const AS_TEXT = 1
/** or as a number, */
export const AS_NUMBER = 2
/** or is lost. */
export const LOST = 3

/** Finds the shape of a row from the places of its values, without making anything but for the first. */
export class RowShapes {
  private readonly places: readonly Place[]
  private readonly loss: Loss | undefined
  private readonly values = new Uint16Array(MOST_VALUES)
  private count = 0
  private hash = 0
  private readonly found: (Kind | undefined)[] = new Array<Kind | undefined>(SIZE).fill(undefined)
  private readonly kinds = new Map<string, Kind>()

  constructor(places: readonly Place[], loss: Loss | undefined) {
    this.places = places
    this.loss = loss
  }

  /** Begin a row. */
  begin(): void {
    this.count = 0
    this.hash = 0
  }

  /** Enter that the row has a value of a place, and what becomes of it. */
  add(place: number, fate: number): void {
    const value = place << 2 | fate
    this.values[this.count++] = value
    this.hash = Math.imul(this.hash, 31) + value | 0
  }

  /** The index in `batch` of the row's shape. */
  index(batch: FlowBatch, digits: TimeDigits): number {
    const at = (this.hash ^ this.hash >>> 8 ^ digits) & SIZE - 1
    let kind = this.found[at]
    if (kind === undefined || kind.digits !== digits || !this.isSame(kind.values)) {
      kind = this.kindOf(digits)
      this.found[at] = kind
    }
    kind.rows++
    if (batch.shapes[kind.index] !== kind.shape) {
      kind.index = batch.intern(kind.shape)
      kind.shape = batch.shapes[kind.index]
    }
    return kind.index
  }

  private isSame(values: Uint16Array): boolean {
    const { count, values: own } = this
    if (values.length !== count) return false
    for (let i = 0; i < count; i++) if (values[i] !== own[i]) return false
    return true
  }

  private kindOf(digits: TimeDigits): Kind {
    const values = this.values.slice(0, this.count)
    const key = `${digits} ${values.join()}`
    let kind = this.kinds.get(key)
    if (kind) return kind
    if (this.kinds.size === MOST_KINDS) {
      this.settle()
      this.kinds.clear()
      this.found.fill(undefined)
    }
    const ids: number[] = []
    const extras: ExtraElement[] = []
    const lost: string[] = []
    for (const value of values) {
      const { name, target, elements } = this.places[value >> 2]
      const fate = value & 3
      if (fate === FIELD) ids.push(...filledFields(target!, digits))
      else if (fate === LOST) lost.push(name)
      else {
        const { pen, id } = elements[fate - 1]!
        extras.push({ pen, id, length: VARIABLE_LENGTH })
      }
    }
    kind = { values, digits, shape: makeShape(ids, digits, extras), index: -1, lost, rows: 0 }
    this.kinds.set(key, kind)
    return kind
  }

  /** Enter what was lost so far. */
  settle(): void {
    const { loss } = this
    for (const kind of this.kinds.values()) {
      if (loss && kind.rows > 0) for (const name of kind.lost) loseElement(loss, name, kind.rows)
      kind.rows = 0
    }
  }
}
