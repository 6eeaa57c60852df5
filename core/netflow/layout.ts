import { COLUMN_PEN, type LayoutField } from './plan.ts'

/** An IANA element of `length` bytes, in a record layout that is written down here. */
export function iana(id: number, length: number): LayoutField {
  return { pen: 0, id, length }
}

/** A value of `length` bytes that has no element and fills the column of field `id`. */
export function column(id: number, length: number): LayoutField {
  return { pen: COLUMN_PEN, id, length }
}

/** Bytes that say nothing: paddingOctets. */
export function padding(length: number): LayoutField {
  return iana(210, length)
}
