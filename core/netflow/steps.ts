/**
 * What a decoder does with one field of all records of a set: a loop of its own per kind of value, so that
 * each is a few instructions a record and nothing is decided inside it.
 */
export const OP = {
  U8: 0, U16: 1, U32: 2, U16_TO_U32: 3, U32_TO_F64: 4, U64_TO_F64: 5, UINT: 6, U64: 7, IPV4: 8, IPV6: 9,
  MAC: 10, UPTIME: 11, SECONDS: 12, MILLIS: 13, NTP: 14, DELTA: 15, DURATION_MS: 16, DURATION_US: 17,
  ICMP: 18, MPLS: 19, TEXT: 20, OCTETS: 21, CONST: 22, ETYPE: 23, UPTIME_INIT: 24, SPACE: 25,
} as const

/** One field of a record layout, ready to run. */
export interface Step {
  readonly op: number
  /** Id of the column filled. */
  readonly field: number
  /** Offset in the record, packed if it is not of fixed length. */
  readonly at: number
  /** Bytes of the value, or 65535: the packed record tells where it lies. */
  readonly length: number
  /** Place among the template's fields; -1 for what follows from others. */
  readonly index: number
  /** A second column: nanoseconds, the ICMP code, the start of a duration. -1: none. */
  readonly field2: number
  /**
   * CONST: the value; MPLS: the label's place from 0, negative for the first of a record; IPV6: 1 if the
   * record has an IPv4 address too; UPTIME_INIT: where systemInitTimeMilliseconds lies from here;
   * DURATION: 1 or -1.
   */
  readonly value: number
}

/** Bytes of a variable-length field in a packed record. */
export const PACKED_LENGTH = 8

/**
 * The records of a set, back to back and of one size: as they came, or packed.
 *
 * A packed record has the fixed-length fields as they came, and for each of variable length where the value
 * begins in `source` and its length, 32 bits each.
 */
export interface Records {
  readonly bytes: Uint8Array
  /** Of `bytes`. */
  readonly view: DataView
  /** Where the first record begins. */
  readonly at: number
  /** Bytes of a record. */
  readonly size: number
  /** How many records; the caller has checked that all lie inside `bytes`. */
  readonly count: number
  /** What the records came in; `bytes` itself where they are not packed. */
  readonly source: Uint8Array
}

/** The exporter's clock when it sent a message. */
export interface Clock {
  /** Export time, µs since the epoch. */
  exportMicros: number
  /** Milliseconds since the exporter's start, 32 bits; -1 if not known. */
  sysUptime: number
}

/** The unsigned number of 1 to 8 bytes at `at`, most significant first; a double, so inexact over 2^53. */
export function readUint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (const end = at + length; at < end; at++) value = value * 256 + bytes[at]
  return value
}
