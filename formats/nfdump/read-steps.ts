import { ipv6Storage, type AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID, type FieldType } from '../../core/flow/fields.ts'
import { OP } from './parts.ts'
import { OP_ETYPE, OP_IPV6_TOO, type Step } from './plan.ts'

const TWO_32 = 4_294_967_296
/** Largest integer that a double holds with all below it. */
const MAX_EXACT = 2 ** 53
/** Upper 32 bits of the numbers from there on. */
const EXACT_HIGH = 0x200000
/** Latest time in ms whose µs are exact: in 2255. */
const MAX_MILLIS = Math.floor(MAX_EXACT / 1000)

const MAXIMA: Partial<Record<FieldType, number>> = { u8: 0xff, u16: 0xffff, u32: 0xffffffff }

/** Records of one layout: where they lie and which rows they become, in the places `from` to `to`. */
export interface Records {
  readonly bytes: Uint8Array
  /** Of `bytes`. */
  readonly view: DataView
  readonly ats: Uint32Array
  readonly rows: Uint32Array
  readonly from: number
  readonly to: number
  /** What rows lack, see `Plan.optional`. */
  readonly variants: Uint32Array
}

/**
 * Run one step over `records`; the caller has checked that they reach to its end, and made room for the rows.
 *
 * @returns how many values did not fit their column
 */
export function readStep(step: Step, records: Records, batch: FlowBatch): number {
  let cut = 0
  switch (step.op) {
    case OP.U8: bytes8(step, records, batch); break
    case OP.U16: words16(step, records, batch); break
    case OP.U32: words32(step, records, batch); break
    case OP.NARROW: cut = narrow(step, records, batch); break
    case OP.ID32: case OP.U64: identifiers(step, records, batch); break
    case OP.COUNT: counts(step, records, batch); break
    case OP.MILLIS: cut = millis(step, records, batch); break
    case OP.SECONDS: seconds(step, records, batch); break
    case OP.IPV4: ipv4(step, records, batch); break
    case OP.IPV6: case OP_IPV6_TOO: ipv6(step, records, batch); break
    case OP.MAC: macs(step, records, batch); break
    case OP.MPLS: mpls(step, records, batch); break
    case OP_ETYPE: etypes(step, records, batch); break
    default: octets(step, records, batch)
  }
  const isMarked = step.op === OP.MPLS || step.op === OP.MILLIS
  if (step.absentBit > 0 && !isMarked) markAbsent(step, records)
  return cut
}

function bytes8({ field, at }: Step, { bytes, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.column(field) as Uint8Array
  for (let k = from; k < to; k++) column[rows[k]] = bytes[ats[k] + at]
}

function words16({ field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.column(field) as Uint16Array
  for (let k = from; k < to; k++) column[rows[k]] = view.getUint16(ats[k] + at, true)
}

function words32({ field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.column(field) as Uint32Array
  for (let k = from; k < to; k++) column[rows[k]] = view.getUint32(ats[k] + at, true)
}

function narrow(step: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): number {
  const { at, length } = step
  const column = batch.column(step.field) as Uint32Array
  const most = MAXIMA[FIELDS[step.field].type]!
  let cut = 0
  for (let k = from; k < to; k++) {
    let value = view.getUint32(ats[k] + at, true)
    if (length === 8) value += view.getUint32(ats[k] + at + 4, true) * TWO_32
    if (value > most) cut++
    column[rows[k]] = Math.min(value, most)
  }
  return cut
}

function identifiers(
  { op, field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch,
): void {
  const column = batch.column(field) as Uint32Array
  for (let k = from; k < to; k++) {
    column[rows[k] * 2] = view.getUint32(ats[k] + at, true)
    column[rows[k] * 2 + 1] = op === OP.U64 ? view.getUint32(ats[k] + at + 4, true) : 0
  }
}

function counts({ field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.column(field) as Float64Array
  for (let k = from; k < to; k++) {
    const high = view.getUint32(ats[k] + at + 4, true)
    column[rows[k]] = high * TWO_32 + view.getUint32(ats[k] + at, true)
    if (high < EXACT_HIGH) continue
    column[rows[k]] = MAX_EXACT
    batch.saturated++
  }
}

function millis(
  { field, at, absentBit }: Step, { view, ats, rows, from, to, variants }: Records, batch: FlowBatch,
): number {
  const column = batch.column(field) as Float64Array
  let cut = 0
  for (let k = from; k < to; k++) {
    let time = view.getUint32(ats[k] + at + 4, true) * TWO_32 + view.getUint32(ats[k] + at, true)
    if (time === 0) variants[k] |= absentBit
    if (time > MAX_MILLIS) {
      time = MAX_MILLIS
      cut++
    }
    column[rows[k]] = time * 1000
  }
  return cut
}

/** Seconds, and their milliseconds in 16 bits `length` bytes behind. */
function seconds({ field, at, length }: Step, records: Records, batch: FlowBatch): void {
  const { view, ats, rows, from, to } = records
  const column = batch.column(field) as Float64Array
  for (let k = from; k < to; k++) {
    const first = ats[k] + at
    column[rows[k]] = view.getUint32(first, true) * 1e6 + view.getUint16(first + length, true) * 1000
  }
}

function ipv4({ field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const { family, v4 } = batch.column(field) as AddressColumn
  for (let k = from; k < to; k++) {
    family[rows[k]] = 4
    v4[rows[k]] = view.getUint32(ats[k] + at, true)
  }
}

/** Two numbers of 64 bits, the higher one first. One that is 0 does not go before an IPv4 address. */
function ipv6({ op, field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const address = batch.column(field) as AddressColumn
  const { family, v4 } = address
  const v6 = ipv6Storage(address)
  const out = new DataView(v6.buffer, v6.byteOffset, v6.byteLength)
  for (let k = from; k < to; k++) {
    const row = rows[k]
    const place = ats[k] + at
    const a = view.getUint32(place + 4, true)
    const b = view.getUint32(place, true)
    const c = view.getUint32(place + 12, true)
    const d = view.getUint32(place + 8, true)
    if (op === OP_IPV6_TOO && (a | b | c | d) === 0) continue
    family[row] = 6
    v4[row] = 0
    out.setUint32(row * 16, a)
    out.setUint32(row * 16 + 4, b)
    out.setUint32(row * 16 + 8, c)
    out.setUint32(row * 16 + 12, d)
  }
}

function macs({ field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.column(field) as Float64Array
  for (let k = from; k < to; k++) {
    column[rows[k]] = view.getUint16(ats[k] + at + 4, true) * TWO_32 + view.getUint32(ats[k] + at, true)
  }
}

/** Ten numbers of label, class and bottom bit as in RFC 3032; present up to the last that is not 0. */
function mpls(
  { at, absentBit }: Step, { view, ats, rows, from, to, variants }: Records, batch: FlowBatch,
): void {
  const labels = Array.from({ length: 10 }, (_, i) => batch.column(ID.mplsLabel1 + i) as Uint32Array)
  const { mplsExp } = batch
  for (let k = from; k < to; k++) {
    const row = rows[k]
    let below = 0
    let count = 0
    for (let i = 9; i >= 0; i--) {
      const entry = view.getUint32(ats[k] + at + i * 4, true)
      if (entry !== 0 && count === 0) count = i + 1
      labels[i][row] = entry >>> 4
      below = below * 16 + (entry & 15)
    }
    mplsExp[row] = below
    variants[k] |= count * absentBit
  }
}

function etypes({ field, at }: Step, { view, ats, rows, from, to }: Records, batch: FlowBatch): void {
  const column = batch.column(field) as Uint16Array
  for (let k = from; k < to; k++) {
    const etype = view.getUint16(ats[k] + at, true)
    if (etype !== 0) column[rows[k]] = etype
  }
}

/** Bytes as they are; of numbers of 32 bits, turned round; of text, up to the first 0. */
function octets(
  { op, field, at, length }: Step, { bytes, ats, rows, from, to }: Records, batch: FlowBatch,
): void {
  const column = batch.column(field) as Uint32Array
  for (let k = from; k < to; k++) {
    const begin = ats[k] + at
    let end = begin + length
    if (op === OP.TEXT) {
      end = begin
      while (end < begin + length && bytes[end] !== 0) end++
    }
    const start = batch.addBytes(bytes, begin, end)
    if (op === OP.WORDS) turnWords(batch.heap, start, length)
    column[rows[k] * 2] = start
    column[rows[k] * 2 + 1] = end - begin
  }
}

function turnWords(bytes: Uint8Array, at: number, length: number): void {
  for (let i = at; i < at + length; i += 4) bytes.subarray(i, i + 4).reverse()
}

/** Set the step's bit in the variants of rows whose value is 0. */
function markAbsent({ at, length, op, absentBit }: Step, records: Records): void {
  const { bytes, view, ats, from, to, variants } = records
  if (length === 8) {
    for (let k = from; k < to; k++) {
      const any = view.getInt32(ats[k] + at, true) | view.getInt32(ats[k] + at + 4, true)
      if (any === 0) variants[k] |= absentBit
    }
    return
  }
  const width = op === OP.SECONDS ? 4 : op === OP.TEXT ? Math.min(length, 1) : length
  for (let k = from; k < to; k++) {
    let any = 0
    for (let i = ats[k] + at, end = i + width; i < end; i++) any |= bytes[i]
    if (any === 0) variants[k] |= absentBit
  }
}
