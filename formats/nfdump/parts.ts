import { ID, type ColumnName } from '../../core/flow/fields.ts'

/** How a value lies in a record of an nfdump file: all numbers have their lowest byte first. */
export const OP = {
  U8: 0, U16: 1, U32: 2, NARROW: 3, ID32: 4, U64: 5, COUNT: 6, MILLIS: 7, SECONDS: 8, IPV4: 9, IPV6: 10,
  MAC: 11, MPLS: 12, OCTETS: 13, WORDS: 14, TEXT: 15,
} as const

/** Length of a part that reaches to the end of its extension. */
export const TO_END = -1

/** One value that has a column. */
export interface Part {
  readonly op: number
  /** Offset in the extension, behind its header. */
  readonly at: number
  /** Bytes, or TO_END. */
  readonly length: number
  readonly field: number
  /** Whether 0 says that there is no value: nfdump's extensions hold more fields than every flow has. */
  readonly isOptional: boolean
  /** Whether only older versions had it there: it is read, but not written. */
  readonly isFormer: boolean
}

/** One value without a column: an information element, as which it is kept, or what is lost. */
export interface Other {
  readonly at: number
  /** Bytes, or TO_END. */
  readonly length: number
  /** Numbers of elements have their highest byte first; text ends before the zeros behind it. */
  readonly kind: 'number' | 'bytes' | 'text'
  /** Enterprise number and id of the element; -1: there is none, the value is lost. */
  readonly pen: number
  readonly id: number
  /** What it is called where it is lost. */
  readonly name: string
}

/** An extension of one size. */
export interface Extension {
  readonly id: number
  readonly name: string
  /** Bytes without its header; if the last part reaches to the end: the fewest. */
  readonly size: number
  readonly isVariable: boolean
  /** Bytes of the last part that its readers take at most, where they have a limit of their own. */
  readonly most?: number
  /** Offset of type and code of ICMP, where it has them beside the destination port. */
  readonly icmpAt?: number
  /** Offset of type and id of the engine. */
  readonly engineAt?: number
  readonly parts: readonly Part[]
  readonly others: readonly Other[]
}

/** An extension of which all that is known follows. */
export function extension(
  id: number, name: string, size: number, parts: readonly Part[], others: readonly Other[] = [],
): Extension {
  const isVariable = [...parts, ...others].some(({ length }) => length === TO_END)
  return { id, name, size, isVariable, parts, others }
}

/** A number of 1, 2 or 4 bytes. */
export function number(at: number, length: 1 | 2 | 4, column: ColumnName, absentIf?: 0): Part {
  const op = length === 1 ? OP.U8 : length === 2 ? OP.U16 : OP.U32
  return part(op, at, length, column, absentIf)
}

/** A number of 4 or 8 bytes whose column has fewer. */
export function narrow(at: number, length: 4 | 8, column: ColumnName, absentIf?: 0): Part {
  return part(OP.NARROW, at, length, column, absentIf)
}

/** An identifier of 4 or 8 bytes. */
export function identifier(at: number, length: 4 | 8, column: ColumnName, absentIf?: 0): Part {
  return part(length === 4 ? OP.ID32 : OP.U64, at, length, column, absentIf)
}

/** A counter of 8 bytes. */
export function counter(at: number, column: ColumnName, absentIf?: 0): Part {
  return part(OP.COUNT, at, 8, column, absentIf)
}

/** A time of 8 bytes, ms since the epoch; 0 is none. */
export function time(at: number, column: ColumnName): Part {
  return part(OP.MILLIS, at, 8, column, 0)
}

/** An IPv4 address. */
export function ipv4(at: number, column: ColumnName): Part {
  return part(OP.IPV4, at, 4, column)
}

/** An IPv6 address: the higher 64 bits, then the lower. */
export function ipv6(at: number, column: ColumnName): Part {
  return part(OP.IPV6, at, 16, column)
}

/** A MAC address in 8 bytes; 0 is none. */
export function mac(at: number, column: ColumnName): Part {
  return part(OP.MAC, at, 8, column, 0)
}

/** Bytes in their order. */
export function octets(at: number, length: number, column: ColumnName): Part {
  return part(OP.OCTETS, at, length, column)
}

/** Text that ends before its first 0. */
export function text(at: number, length: number, column: ColumnName): Part {
  return part(OP.TEXT, at, length, column, 0)
}

/** A part of another kind. */
export function part(op: number, at: number, length: number, column: ColumnName, absentIf?: 0): Part {
  return { op, at, length, field: ID[column], isOptional: absentIf === 0, isFormer: false }
}

/** A part that newer versions do not have. */
export function former(old: Part): Part {
  return { ...old, isFormer: true }
}

/** A value that has no column, but is that of an information element. */
export function element(at: number, length: number, kind: Other['kind'], pen: number, id: number): Other {
  return { at, length, kind, pen, id, name: '' }
}

/** A value that has neither. */
export function lost(at: number, length: number, name: string): Other {
  return { at, length, kind: 'bytes', pen: -1, id: -1, name }
}
