import type { AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { OP } from './parts.ts'
import type { WriteStep } from './write-plan.ts'

const TWO_32 = 4_294_967_296
const MAX_U32 = TWO_32 - 1

/** Records that rows become: which rows, and where their records lie, in the places `from` to `to`. */
export interface WrittenRecords {
  readonly bytes: Uint8Array
  /** Of `bytes`. */
  readonly view: DataView
  readonly ats: Uint32Array
  readonly rows: Uint32Array
  readonly from: number
  readonly to: number
}

/**
 * Write one field of the rows, which all have it; their records are zero there.
 *
 * @param mask of the rows' shape
 * @returns how many values are not written as they are: larger than their place, or more exact
 */
export function writeStep(
  step: WriteStep, records: WrittenRecords, batch: FlowBatch, mask: Uint8Array,
): number {
  const { bytes, view, ats, rows, from, to } = records
  const { at, field } = step
  let cut = 0
  switch (step.op) {
    case OP.U8: {
      const column = batch.column(field) as Uint16Array
      for (let k = from; k < to; k++) {
        const value = column[rows[k]]
        if (value > 0xff) cut++
        bytes[ats[k] + at] = value
      }
      return cut
    }
    case OP.U16: {
      const column = batch.column(field) as Uint32Array
      for (let k = from; k < to; k++) {
        const value = column[rows[k]]
        if (value > 0xffff) cut++
        view.setUint16(ats[k] + at, Math.min(value, 0xffff), true)
      }
      return cut
    }
    case OP.U32: case OP.NARROW: { // of 8 bytes the upper ones stay 0
      const column = batch.column(field) as Uint32Array
      for (let k = from; k < to; k++) view.setUint32(ats[k] + at, column[rows[k]], true)
      return 0
    }
    case OP.ID32: {
      const column = batch.column(field) as Uint32Array
      for (let k = from; k < to; k++) {
        const isTooLarge = column[rows[k] * 2 + 1] > 0
        if (isTooLarge) cut++
        view.setUint32(ats[k] + at, isTooLarge ? MAX_U32 : column[rows[k] * 2], true)
      }
      return cut
    }
    case OP.U64: {
      const column = batch.column(field) as Uint32Array
      for (let k = from; k < to; k++) {
        view.setUint32(ats[k] + at, column[rows[k] * 2], true)
        view.setUint32(ats[k] + at + 4, column[rows[k] * 2 + 1], true)
      }
      return 0
    }
    case OP.COUNT: case OP.MAC: {
      const column = batch.column(field) as Float64Array
      for (let k = from; k < to; k++) {
        const value = column[rows[k]]
        view.setUint32(ats[k] + at, value, true)
        view.setUint32(ats[k] + at + 4, value / TWO_32, true)
      }
      return 0
    }
    case OP.MILLIS: {
      const column = batch.column(field) as Float64Array
      for (let k = from; k < to; k++) {
        const micros = column[rows[k]]
        const millis = Math.max(Math.floor(micros / 1000), 0)
        if (millis * 1000 !== micros) cut++
        view.setUint32(ats[k] + at, millis, true)
        view.setUint32(ats[k] + at + 4, millis / TWO_32, true)
      }
      return cut
    }
    case OP.SECONDS: return seconds(step, records, batch)
    case OP.IPV4: {
      const { v4 } = batch.column(field) as AddressColumn
      for (let k = from; k < to; k++) view.setUint32(ats[k] + at, v4[rows[k]], true)
      return 0
    }
    case OP.IPV6: return ipv6(step, records, batch)
    case OP.MPLS: mpls(step, records, batch, mask); return 0
    default: return octets(step, records, batch)
  }
}

/** Seconds, and their milliseconds in 16 bits `length` bytes behind. */
function seconds({ field, at, length }: WriteStep, records: WrittenRecords, batch: FlowBatch): number {
  const { view, ats, rows, from, to } = records
  const column = batch.column(field) as Float64Array
  let cut = 0
  for (let k = from; k < to; k++) {
    const micros = column[rows[k]]
    const millis = Math.min(Math.max(Math.floor(micros / 1000), 0), MAX_U32 * 1000 + 999)
    if (millis * 1000 !== micros || (millis > 0 && millis < 1000)) cut++ // without seconds there is no time
    view.setUint32(ats[k] + at, millis / 1000, true)
    view.setUint16(ats[k] + at + length, millis % 1000, true)
  }
  return cut
}

/** The higher 64 bits as a number, then the lower. An IPv4 address beside an IPv6 one is mapped into IPv6. */
function ipv6({ field, at }: WriteStep, records: WrittenRecords, batch: FlowBatch): number {
  const { view, ats, rows, from, to } = records
  const { family, v4, v6 } = batch.column(field) as AddressColumn
  const source = new DataView(v6.buffer, v6.byteOffset, v6.byteLength)
  let cut = 0
  for (let k = from; k < to; k++) {
    const row = rows[k]
    if (family[row] === 6) {
      view.setUint32(ats[k] + at + 4, source.getUint32(row * 16), true)
      view.setUint32(ats[k] + at, source.getUint32(row * 16 + 4), true)
      view.setUint32(ats[k] + at + 12, source.getUint32(row * 16 + 8), true)
      view.setUint32(ats[k] + at + 8, source.getUint32(row * 16 + 12), true)
    } else if (family[row] === 4) {
      view.setUint32(ats[k] + at + 12, 0xffff, true)
      view.setUint32(ats[k] + at + 8, v4[row], true)
      cut++
    }
  }
  return cut
}

function mpls(
  { at }: WriteStep, { view, ats, rows, from, to }: WrittenRecords, batch: FlowBatch, mask: Uint8Array,
): void {
  const below = mask[ID.mplsExp] === 1 ? batch.mplsExp : undefined
  for (let i = 0; i < 10; i++) {
    if (mask[ID.mplsLabel1 + i] === 0) continue
    const labels = batch.column(ID.mplsLabel1 + i) as Uint32Array
    for (let k = from; k < to; k++) {
      const rest = below ? Math.floor(below[rows[k]] / 16 ** i) % 16 : 0
      view.setUint32(ats[k] + at + i * 4, labels[rows[k]] << 4 | rest, true)
    }
  }
}

/** Bytes from the beginning of their place, as numbers of 32 bits turned round; text ends with a 0. */
function octets(
  { op, at, field, length }: WriteStep, { bytes, ats, rows, from, to }: WrittenRecords, batch: FlowBatch,
): number {
  const column = batch.column(field) as Uint32Array
  const most = op === OP.TEXT ? length - 1 : length
  let cut = 0
  for (let k = from; k < to; k++) {
    const start = column[rows[k] * 2]
    const size = column[rows[k] * 2 + 1]
    if (op === OP.TEXT ? size > most : size !== most) cut++
    const place = ats[k] + at
    bytes.set(batch.heap.subarray(start, start + Math.min(size, most)), place)
    if (op === OP.WORDS) for (let i = place; i < place + length; i += 4) bytes.subarray(i, i + 4).reverse()
  }
  return cut
}
