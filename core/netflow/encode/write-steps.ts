import type { AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { OP, type Clock, type Step } from '../steps.ts'

const TWO_32 = 4_294_967_296
const MAX_U32 = TWO_32 - 1
/** Seconds from 1900 to 1970. */
const NTP_EPOCH = 2_208_988_800
/** How far a time may lie from the export clock to be told as uptime: signed 32 bits of milliseconds. */
const MAX_AGE = 2 ** 31 - 1
/** AS number that stands for one of more than 16 bits (RFC 6793 §9). */
const AS_TRANS = 23_456

/**
 * Write one field of the rows from `row` up to `end`, which all have it and are of one shape: the inverse of
 * `runStep`, a loop of its own per kind of value as well.
 *
 * Numbers that are too large become the largest, AS numbers AS_TRANS, flags lose their upper bits.
 *
 * @param at where the field lies in the first record; the others follow `stride` bytes apart, and the caller
 * has checked that all lie inside `view` and filled them with zeros
 * @returns the number of values that could not be written as they are
 */
export function writeStep(
  step: Step, at: number, stride: number, view: DataView, bytes: Uint8Array, batch: FlowBatch,
  row: number, end: number, clock: Clock,
): number {
  switch (step.op) {
    case OP.U8: {
      const column = batch.column(step.field) as Uint8Array
      for (; row < end; row++, at += stride) bytes[at] = column[row]
      return 0
    }
    case OP.U16: {
      const column = batch.column(step.field) as Uint16Array
      for (; row < end; row++, at += stride) view.setUint16(at, column[row])
      return 0
    }
    case OP.U32: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += stride) view.setUint32(at, column[row])
      return 0
    }
    case OP.U16_TO_U32: {
      const column = batch.column(step.field) as Uint32Array
      const largest = step.field === ID.srcAs || step.field === ID.dstAs ? AS_TRANS : 0xffff
      let cut = 0
      for (; row < end; row++, at += stride) {
        const value = column[row]
        if (value > 0xffff) cut++
        view.setUint16(at, value > 0xffff ? largest : value)
      }
      return cut
    }
    case OP.U32_TO_F64: {
      const column = batch.column(step.field) as Float64Array
      let cut = 0
      for (; row < end; row++, at += stride) {
        const value = column[row]
        if (value > MAX_U32) cut++
        view.setUint32(at, value > MAX_U32 ? MAX_U32 : value)
      }
      return cut
    }
    case OP.U64_TO_F64: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) {
        const value = column[row]
        view.setUint32(at, value / TWO_32)
        view.setUint32(at + 4, value)
      }
      return 0
    }
    case OP.UINT: return uints(step, bytes, at, stride, batch, row, end)
    case OP.U64: return pairs(step, bytes, at, stride, batch, row, end)
    case OP.IPV4: {
      const { v4 } = batch.column(step.field) as AddressColumn
      for (; row < end; row++, at += stride) view.setUint32(at, v4[row])
      return 0
    }
    case OP.IPV6: {
      const { v6 } = batch.column(step.field) as AddressColumn
      const from = new DataView(v6.buffer, v6.byteOffset)
      for (; row < end; row++, at += stride) {
        for (let i = 0; i < 16; i += 4) view.setUint32(at + i, from.getUint32(row * 16 + i))
      }
      return 0
    }
    case OP.MAC: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += stride) {
        view.setUint16(at, column[row] / TWO_32)
        view.setUint32(at + 2, column[row])
      }
      return 0
    }
    case OP.UPTIME: {
      const column = batch.column(step.field) as Float64Array
      const { exportMicros, sysUptime } = clock
      let cut = 0
      for (; row < end; row++, at += stride) {
        const age = (exportMicros - column[row]) / 1000
        const whole = Math.max(-MAX_AGE, Math.min(Math.round(age), MAX_AGE))
        if (whole !== age) cut++
        view.setUint32(at, sysUptime - whole)
      }
      return cut
    }
    case OP.SECONDS: return times(step, 1e6, view, at, stride, batch, row, end)
    case OP.MILLIS: return times(step, 1000, view, at, stride, batch, row, end)
    case OP.NTP: return ntp(step, view, at, stride, batch, row, end)
    case OP.ICMP: {
      const types = batch.column(step.field) as Uint8Array
      const codes = batch.column(step.field2) as Uint8Array
      for (; row < end; row++, at += stride) {
        bytes[at] = types[row]
        bytes[at + 1] = codes[row]
      }
      return 0
    }
    case OP.MPLS: return mpls(step, view, at, stride, batch, row, end)
    case OP.TEXT: case OP.OCTETS: {
      const column = batch.column(step.field) as Uint32Array
      let cut = 0
      for (; row < end; row++, at += stride) {
        const from = column[row * 2]
        const length = step.op === OP.TEXT
          ? fitText(batch.heap, from, column[row * 2 + 1], step.length)
          : Math.min(column[row * 2 + 1], step.length)
        if (length < column[row * 2 + 1]) cut++
        for (let i = 0; i < length; i++) bytes[at + i] = batch.heap[from + i]
      }
      return cut
    }
    default: throw new RangeError(`no layout that is written has operation ${step.op}`)
  }
}

/** Bytes that a value of variable length takes with its length before it (RFC 7011 §7). */
export function variableSize(length: number): number {
  return length < 255 ? length + 1 : length + 3
}

/** Write a value of variable length with its length before it. @returns the offset behind it */
export function writeVariable(bytes: Uint8Array, at: number, heap: Uint8Array, from: number, length: number): number {
  if (length < 255) bytes[at++] = length
  else {
    bytes[at] = 255
    bytes[at + 1] = length >> 8
    bytes[at + 2] = length & 255
    at += 3
  }
  for (let i = 0; i < length; i++) bytes[at + i] = heap[from + i]
  return at + length
}

/** Write the number `value`, up to 2^53, into `length` bytes. */
function putUint(bytes: Uint8Array, at: number, length: number, value: number): void {
  for (let i = at + length - 1; i >= at; i--) {
    bytes[i] = value // modulo 256
    value = Math.floor(value / 256)
  }
}

function uints(
  { field, length }: Step, bytes: Uint8Array, at: number, stride: number, batch: FlowBatch, row: number, end: number,
): number {
  const column = batch.column(field) as Uint8Array | Uint16Array | Uint32Array | Float64Array
  const flags = field === ID.tcpFlags || field === ID.revTcpFlags
  const max = 256 ** length - 1 // over 2^53 nothing is too large
  let cut = 0
  for (; row < end; row++, at += stride) {
    const value = column[row]
    if (value > max) cut++
    putUint(bytes, at, length, value > max && !flags ? max : value)
  }
  return cut
}

function pairs(
  { field, length }: Step, bytes: Uint8Array, at: number, stride: number, batch: FlowBatch, row: number, end: number,
): number {
  const column = batch.column(field) as Uint32Array
  const low = Math.min(length, 4)
  const maxLow = 256 ** low - 1
  const maxHigh = 256 ** (length - low) - 1
  let cut = 0
  for (; row < end; row++, at += stride) {
    const fits = column[row * 2] <= maxLow && column[row * 2 + 1] <= maxHigh
    if (!fits) cut++
    putUint(bytes, at, length - low, fits ? column[row * 2 + 1] : maxHigh)
    putUint(bytes, at + length - low, low, fits ? column[row * 2] : maxLow)
  }
  return cut
}

/** Times in units of `unit` µs, in 4 or 8 bytes; what is below the unit is cut off. */
function times(
  { field, length }: Step, unit: number, view: DataView, at: number, stride: number, batch: FlowBatch,
  row: number, end: number,
): number {
  const column = batch.column(field) as Float64Array
  const max = 256 ** length - 1
  let cut = 0
  for (; row < end; row++, at += stride) {
    const whole = Math.max(0, Math.min(Math.floor(column[row] / unit), max))
    if (whole * unit !== column[row]) cut++
    if (length === 8) {
      view.setUint32(at, whole / TWO_32)
      view.setUint32(at + 4, whole)
    } else view.setUint32(at, whole)
  }
  return cut
}

/**
 * NTP times (RFC 7011 §6.1.9 and §6.1.10). The fraction is rounded up, so that a reader who cuts off and one who
 * rounds get the same digits back; of microseconds the lowest 11 bits are zero.
 */
function ntp(
  { field, field2 }: Step, view: DataView, at: number, stride: number, batch: FlowBatch, row: number, end: number,
): number {
  const column = batch.column(field) as Float64Array
  const below = field2 < 0 || batch.shapes[batch.shape[row]].mask[field2] === 0
    ? undefined
    : batch.column(field2) as Uint16Array
  const unit = field2 < 0 ? 2048 : 1 // of the fraction
  let cut = 0
  for (; row < end; row++, at += stride) {
    let seconds = Math.floor(column[row] / 1e6)
    let nanos = (column[row] - seconds * 1e6) * 1000 + (below ? below[row] : 0)
    if (seconds < 0 || seconds > MAX_U32) { // 32 bits of seconds tell the time from 1970 to 2106
      cut++
      seconds = seconds < 0 ? 0 : MAX_U32
      nanos = seconds === 0 ? 0 : 999_999_000
    }
    view.setUint32(at, seconds + NTP_EPOCH) // modulo 2^32, which is the era
    view.setUint32(at + 4, Math.ceil(nanos * TWO_32 / 1e9 / unit) * unit)
  }
  return cut
}

/** Label, traffic class and bottom bit of one place in the stack (RFC 3032 §2.1). */
function mpls(
  { field, field2, value }: Step, view: DataView, at: number, stride: number, batch: FlowBatch,
  row: number, end: number,
): number {
  const labels = batch.column(field) as Uint32Array
  const exps = batch.shapes[batch.shape[row]].mask[field2] === 1 ? batch.column(field2) as Float64Array : undefined
  const unit = 16 ** Math.abs(value)
  let cut = 0
  for (; row < end; row++, at += stride) {
    const label = labels[row]
    if (label > 0xfffff) cut++
    const exp = exps ? Math.floor(exps[row] / unit) & 15 : 0
    view.setUint16(at, label >> 4)
    view.setUint8(at + 2, label << 4 | exp)
  }
  return cut
}

/** How many bytes of a UTF-8 text go into `room` without splitting a character. */
function fitText(heap: Uint8Array, from: number, length: number, room: number): number {
  if (length <= room) return length
  while (room > 0 && (heap[from + room] & 0xc0) === 0x80) room--
  return room
}
