/**
 * Kinds of values: one for each type of array, so that each place in a row loop sees one type only. Formats
 * have further ones of their own, from FIRST_FREE_KIND on.
 */
import type { FieldType } from '../core/flow/fields.ts'

export const UINT8 = 0
export const UINT16 = 1
export const UINT32 = 2
export const COUNT = 3
export const UINT64 = 4
export const TIME = 5
export const ADDRESS = 6
export const MAC = 7
export const TEXT = 8
export const OCTETS = 9
export const FIRST_FREE_KIND = 10

/** The kind of a field's values by its type. */
export const KINDS: Readonly<Record<FieldType, number>> = {
  u8: UINT8, u16: UINT16, u32: UINT32, u64: UINT64, count: COUNT, time: TIME, addr: ADDRESS, mac: MAC,
  text: TEXT, octets: OCTETS,
}
