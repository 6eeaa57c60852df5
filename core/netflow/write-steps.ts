import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { OP, type Clock, type Step } from './steps.ts'

/** What did not fit: values cut to the width of their field, by field id. */
export type Narrowed = Map<number, number>

const TWO_32 = 4_294_967_296
const NTP_EPOCH = 2_208_988_800
/** AS number that stands for one of more than 16 bits (RFC 6793). */
const AS_TRANS = 23_456

/**
 * Write one field of `count` records: the inverse of `runStep`.
 *
 * Rows whose shape lacks the field are written as zeros, which the caller has put there.
 *
 * @param rows indices of the rows, in the order of the records
 * @param at where the field lies in the first record; the others follow `stride` bytes apart
 * @param present by shape index, whether the field is there
 */
export function writeStep(
  step: Step, at: number, stride: number, view: DataView, batch: FlowBatch, rows: Uint32Array, count: number,
  present: Uint8Array, clock: Clock, narrowed: Narrowed,
): void {
  const { shape } = batch
  const { op, length } = step
  let cut = 0
  if (op === OP.IPV4 || op === OP.IPV6) return writeAddresses(step, at, stride, view, batch, rows, count, present)
  if (op === OP.CONST || op === OP.ETYPE) return
  const column = batch.column(step.field) as Uint32Array | Float64Array
  const second = step.field2 < 0 ? undefined : batch.column(step.field2) as Uint32Array | Float64Array
  for (let i = 0; i < count; i++, at += stride) {
    const row = rows[i]
    if (present[shape[row]] === 0) continue
    switch (op) {
      case OP.U64:
        if (length === 8) view.setUint32(at, column[row * 2 + 1])
        cut += writeUint(view, at + length - Math.min(length, 4), Math.min(length, 4), column[row * 2])
        if (length < 8 && column[row * 2 + 1] !== 0) cut++
        break
      case OP.MAC:
        view.setUint16(at, column[row] / TWO_32)
        view.setUint32(at + 2, column[row] % TWO_32)
        break
      case OP.UPTIME:
        view.setUint32(at, clock.sysUptime - Math.round((clock.exportMicros - column[row]) / 1000))
        break
      case OP.DELTA:
        cut += writeUint(view, at, 4, Math.max(0, clock.exportMicros - column[row]))
        break
      case OP.SECONDS:
        cut += writeUint(view, at, length, Math.floor(column[row] / 1e6))
        break
      case OP.MILLIS:
        cut += writeUint(view, at, length, Math.floor(column[row] / 1000))
        break
      case OP.NTP: {
        const seconds = Math.floor(column[row] / 1e6)
        const nanos = (column[row] - seconds * 1e6) * 1000 + (second ? second[row] : 0)
        view.setUint32(at, seconds + NTP_EPOCH)
        view.setUint32(at + 4, Math.ceil(nanos * TWO_32 / 1e9)) // up, so that cutting off gives the same nanosecond
        break
      }
      case OP.ICMP:
        view.setUint8(at, column[row])
        view.setUint8(at + 1, second![row])
        break
      case OP.MPLS: {
        const exp = Math.floor(second![row] / 16 ** Math.abs(step.value)) % 16
        view.setUint16(at, column[row] >> 4)
        view.setUint8(at + 2, (column[row] & 15) << 4 | exp)
        break
      }
      default:
        cut += writeUint(view, at, length, column[row])
    }
  }
  if (cut > 0) narrowed.set(step.field, (narrowed.get(step.field) ?? 0) + cut)
}

/** Write an unsigned number of 1 to 8 bytes; one that is too large becomes the largest. @returns 1 if it was */
export function writeUint(view: DataView, at: number, length: number, value: number): number {
  const over = length < 7 && value >= 256 ** length
  if (over) value = 256 ** length - 1
  switch (length) {
    case 1: view.setUint8(at, value); break
    case 2: view.setUint16(at, value); break
    case 4: view.setUint32(at, value); break
    case 8:
      view.setUint32(at, value / TWO_32)
      view.setUint32(at + 4, value % TWO_32)
      break
    default:
      for (let i = length - 1; i >= 0; i--) {
        view.setUint8(at + i, value % 256)
        value = Math.floor(value / 256)
      }
  }
  return over ? 1 : 0
}

/** Cut AS numbers over 16 bits to AS_TRANS, as routers do, where a layout has 2 bytes for them. */
export function writeShortAs(
  { field }: Step, at: number, stride: number, view: DataView, batch: FlowBatch, rows: Uint32Array, count: number,
  present: Uint8Array, narrowed: Narrowed,
): void {
  const column = batch.column(field) as Uint32Array
  let cut = 0
  for (let i = 0; i < count; i++, at += stride) {
    if (present[batch.shape[rows[i]]] === 0) continue
    const value = column[rows[i]]
    if (value > 0xffff) cut++
    view.setUint16(at, value > 0xffff ? AS_TRANS : value)
  }
  if (cut > 0) narrowed.set(field, (narrowed.get(field) ?? 0) + cut)
}

/** Bytes that a value of variable length takes with its length before it (RFC 7011 §7). */
export function variableSize(length: number): number {
  return length < 255 ? length + 1 : length + 3
}

/** Write a value of variable length with its length before it. @returns the offset behind it */
export function writeVariable(out: Uint8Array, at: number, heap: Uint8Array, from: number, length: number): number {
  if (length < 255) out[at++] = length
  else {
    out[at] = 255
    out[at + 1] = length >> 8
    out[at + 2] = length & 255
    at += 3
  }
  out.set(heap.subarray(from, from + length), at)
  return at + length
}

function writeAddresses(
  { op, field }: Step, at: number, stride: number, view: DataView, batch: FlowBatch, rows: Uint32Array, count: number,
  present: Uint8Array,
): void {
  const { family, v4, v6 } = batch.column(field) as AddressColumn
  for (let i = 0; i < count; i++, at += stride) {
    const row = rows[i]
    if (present[batch.shape[row]] === 0) continue
    if (op === OP.IPV4) {
      if (family[row] === 4) view.setUint32(at, v4[row])
    } else if (family[row] === 6) for (let b = 0; b < 16; b++) view.setUint8(at + b, v6[row * 16 + b])
  }
}
