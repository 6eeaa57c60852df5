import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'

/**
 * What a decoder does with one field of all records of a set: a loop of its own per kind of value, so that
 * each is a few instructions a record and nothing is decided inside it.
 */
export const OP = {
  U8: 0, U16: 1, U32: 2, U16_TO_U32: 3, U32_TO_F64: 4, U64_TO_F64: 5, UINT: 6, U64: 7, IPV4: 8, IPV6: 9, MAC: 10,
  UPTIME: 11, SECONDS: 12, MILLIS: 13, NTP: 14, DELTA: 15, DURATION_MS: 16, DURATION_US: 17, ICMP: 18, MPLS: 19,
  TEXT: 20, OCTETS: 21, CONST: 22, ETYPE: 23, UPTIME_INIT: 24, SPACE: 25,
} as const

/** One field of a record layout, ready to run. */
export interface Step {
  readonly op: number
  /** Id of the column filled. */
  readonly field: number
  /** Offset in the record. */
  readonly at: number
  /** Bytes of the value. */
  readonly length: number
  /** Place among the template's fields, for records whose fields have no fixed offset. */
  readonly index: number
  /** A second column: nanoseconds, the ICMP code, the start of a duration. -1: none. */
  readonly field2: number
  /**
   * CONST: the value; MPLS: the label's place from 0, negative for the first of a record; IPV6: 1 if the record
   * has an IPv4 address too; UPTIME_INIT: where systemInitTimeMilliseconds lies from here, or its place among the
   * fields where they have no fixed offset; DURATION: 1 or -1.
   */
  readonly value: number
}

/** The exporter's clock when it sent a message. */
export interface Clock {
  /** Export time, µs since the epoch. */
  exportMicros: number
  /** Milliseconds since the exporter's start, 32 bits; -1 if not known. */
  sysUptime: number
}

/** Largest integer that a double holds with all below it: the latest time (in 2255) and the largest counter. */
const MAX_EXACT = 2 ** 53
const TWO_32 = 4_294_967_296
const NTP_EPOCH = 2_208_988_800 // seconds from 1900 to 1970

/**
 * Run one step over `count` records, into rows from `row` on.
 *
 * @param at where the field lies in the first record; the others follow `stride` bytes apart, and the caller
 * has checked that all lie inside `view`
 * @param length of the value, in bytes
 */
export function runStep(
  step: Step, at: number, length: number, view: DataView, bytes: Uint8Array, stride: number, count: number,
  batch: FlowBatch, row: number, clock: Clock,
): void {
  const end = row + count
  switch (step.op) {
    case OP.U8: {
      const column = batch.column(step.field) as Uint8Array
      for (; row < end; row++, at += stride) column[row] = bytes[at]
      return
    }
    case OP.U16: {
      const column = batch.column(step.field) as Uint16Array
      for (; row < end; row++, at += stride) column[row] = view.getUint16(at)
      return
    }
    case OP.U32: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += stride) column[row] = view.getUint32(at)
      return
    }
    case OP.U16_TO_U32: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += stride) column[row] = view.getUint16(at)
      return
    }
    case OP.U32_TO_F64: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) column[row] = view.getUint32(at)
      return
    }
    case OP.U64_TO_F64: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) {
        const value = view.getUint32(at) * TWO_32 + view.getUint32(at + 4)
        column[row] = value
        if (value > MAX_EXACT) {
          column[row] = MAX_EXACT
          batch.saturated++
        }
      }
      return
    }
    case OP.UINT: return uints(step, length, bytes, at, stride, end, batch, row)
    case OP.U64: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += stride) {
        column[row * 2] = readUint(bytes, at + Math.max(0, length - 4), Math.min(4, length))
        column[row * 2 + 1] = length > 4 ? readUint(bytes, at, length - 4) : 0
      }
      return
    }
    case OP.IPV4: {
      const { family, v4 } = batch.column(step.field) as AddressColumn
      for (; row < end; row++, at += stride) {
        family[row] = 4
        v4[row] = view.getUint32(at)
      }
      return
    }
    case OP.IPV6: return ipv6(step, bytes, at, stride, end, batch, row)
    case OP.MAC: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) column[row] = view.getUint16(at) * TWO_32 + view.getUint32(at + 2)
      return
    }
    case OP.UPTIME: {
      const column = batch.column(step.field) as Float64Array
      const { exportMicros, sysUptime } = clock
      // the age as a signed 32-bit number: right across the 49.7-day wrap and for small clock skew
      for (; row < end; row++, at += stride) column[row] = exportMicros - ((sysUptime - view.getUint32(at)) | 0) * 1000
      return
    }
    case OP.UPTIME_INIT: {
      const column = batch.column(step.field) as Float64Array
      for (let init = at + step.value; row < end; row++, at += stride, init += stride) {
        const started = (view.getUint32(init) * TWO_32 + view.getUint32(init + 4)) % MAX_EXACT
        const uptime = (clock.exportMicros / 1000 - started) % TWO_32
        column[row] = clock.exportMicros - ((uptime - view.getUint32(at)) | 0) * 1000
      }
      return
    }
    case OP.DELTA: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) column[row] = clock.exportMicros - view.getUint32(at)
      return
    }
    case OP.SECONDS: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) column[row] = Math.min(readUint(bytes, at, length) * 1e6, MAX_EXACT)
      return
    }
    case OP.MILLIS: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) column[row] = Math.min(readUint(bytes, at, length) * 1000, MAX_EXACT)
      return
    }
    case OP.NTP: return ntp(step, view, at, stride, end, batch, row)
    case OP.DURATION_MS: case OP.DURATION_US: {
      const column = batch.column(step.field) as Float64Array
      const base = batch.column(step.field2) as Float64Array
      const unit = (step.op === OP.DURATION_MS ? 1000 : 1) * step.value
      for (; row < end; row++, at += stride) column[row] = Math.min(base[row] + view.getUint32(at) * unit, MAX_EXACT)
      return
    }
    case OP.SPACE: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += stride) {
        if (column[row] > 0) column[row] = Math.min(Math.round((column[row] + view.getUint32(at)) / column[row]), 0xffffffff)
      }
      return
    }
    case OP.ICMP: {
      const types = batch.column(step.field) as Uint8Array
      const codes = batch.column(step.field2) as Uint8Array
      for (; row < end; row++, at += stride) {
        types[row] = bytes[at]
        codes[row] = bytes[at + 1]
      }
      return
    }
    case OP.MPLS: {
      const labels = batch.column(step.field) as Uint32Array
      const exps = batch.column(step.field2) as Float64Array
      const unit = 16 ** Math.abs(step.value)
      const first = step.value <= 0 // the first label of the record clears what the row held before
      for (; row < end; row++, at += stride) {
        labels[row] = bytes[at] << 12 | bytes[at + 1] << 4 | bytes[at + 2] >> 4
        exps[row] = (first ? 0 : exps[row]) + (bytes[at + 2] & 15) * unit
      }
      return
    }
    case OP.TEXT: case OP.OCTETS: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += stride) {
        let stop = at + length
        if (step.op === OP.TEXT) while (stop > at && bytes[stop - 1] === 0) stop-- // fixed-length names are padded
        column[row * 2] = batch.addBytes(bytes, at, stop)
        column[row * 2 + 1] = stop - at
      }
      return
    }
    case OP.CONST:
      (batch.column(step.field) as Uint16Array).fill(step.value, row, end)
      return
    case OP.ETYPE: {
      const column = batch.column(step.field) as Uint16Array
      const { family } = batch.column(step.field2) as AddressColumn
      for (; row < end; row++) column[row] = family[row] === 6 ? 0x86dd : 0x0800
      return
    }
  }
}

/** The unsigned number of 1 to 8 bytes at `at`, most significant first; a double, so inexact over 2^53. */
export function readUint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (const end = at + length; at < end; at++) value = value * 256 + bytes[at]
  return value
}

function uints(
  { field }: Step, length: number, bytes: Uint8Array, at: number, stride: number, end: number,
  batch: FlowBatch, row: number,
): void {
  const column = batch.column(field) as Uint8Array | Uint16Array | Uint32Array | Float64Array
  const max = column instanceof Float64Array ? MAX_EXACT : 2 ** (column.BYTES_PER_ELEMENT * 8) - 1
  for (; row < end; row++, at += stride) {
    const value = readUint(bytes, at, length)
    column[row] = value
    if (value > max) {
      column[row] = max
      batch.saturated++
    }
  }
}

function ipv6(
  step: Step, bytes: Uint8Array, at: number, stride: number, end: number, batch: FlowBatch, row: number,
): void {
  const column = batch.column(step.field) as AddressColumn
  const { family, v4 } = column
  const v6 = ipv6Storage(column)
  for (; row < end; row++, at += stride) {
    let any = 0
    for (let i = 0, to = row * 16; i < 16; i++) any |= v6[to + i] = bytes[at + i]
    // value 1: the record has an IPv4 address too, and an exporter leaves the unused one of the two zero
    if (step.value === 1 && any === 0) continue
    family[row] = 6
    v4[row] = 0
  }
}

function ntp(
  { field, field2 }: Step, view: DataView, at: number, stride: number, end: number, batch: FlowBatch, row: number,
): void {
  const column = batch.column(field) as Float64Array
  const nanos = field2 < 0 ? undefined : batch.column(field2) as Uint16Array
  for (; row < end; row++, at += stride) {
    const seconds = view.getUint32(at)
    // before 1970 it can only be the era that begins in 2036
    const epoch = seconds >= NTP_EPOCH ? seconds - NTP_EPOCH : seconds + TWO_32 - NTP_EPOCH
    const fraction = view.getUint32(at + 4)
    if (seconds === 0 && fraction === 0) { // not set
      column[row] = 0
      if (nanos) nanos[row] = 0
      continue
    }
    // fraction * 10^9 / 2^32, rounded: exporters floor when they make it, so that 1 ns may be missing
    const below = Math.min(999_999_999, Math.round(fraction * 1e9 / TWO_32))
    if (nanos) {
      const micros = Math.floor(below / 1000)
      column[row] = epoch * 1e6 + micros
      nanos[row] = below - micros * 1000
    } else column[row] = epoch * 1e6 + Math.min(999_999, Math.round(below / 1000))
  }
}
