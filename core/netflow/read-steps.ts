import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { VARIABLE_LENGTH } from '../flow/shape.ts'
import { OP, readUint, type Clock, type Records, type Step } from './steps.ts'

/** Largest integer that a double holds with all below it: the latest time (in 2255), the largest counter. */
const MAX_EXACT = 2 ** 53
const TWO_32 = 4_294_967_296
const MAX_U32 = TWO_32 - 1
const NTP_EPOCH = 2_208_988_800 // seconds from 1900 to 1970

/** Run one step over `records`, into rows from `row` on, for which there is room. */
export function runStep(step: Step, records: Records, batch: FlowBatch, row: number, clock: Clock): void {
  const { length } = step
  const { bytes, view, size } = records
  const end = row + records.count
  let at = records.at + step.at
  switch (step.op) {
    case OP.U8: {
      const column = batch.column(step.field) as Uint8Array
      for (; row < end; row++, at += size) column[row] = bytes[at]
      return
    }
    case OP.U16: {
      const column = batch.column(step.field) as Uint16Array
      for (; row < end; row++, at += size) column[row] = view.getUint16(at)
      return
    }
    case OP.U32: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += size) column[row] = view.getUint32(at)
      return
    }
    case OP.U16_TO_U32: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += size) column[row] = view.getUint16(at)
      return
    }
    case OP.U32_TO_F64: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += size) column[row] = view.getUint32(at)
      return
    }
    case OP.U64_TO_F64: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += size) {
        const value = view.getUint32(at) * TWO_32 + view.getUint32(at + 4)
        column[row] = value
        if (value > MAX_EXACT) {
          column[row] = MAX_EXACT
          batch.saturated++
        }
      }
      return
    }
    case OP.UINT: return uints(step, records, batch, row)
    case OP.U64: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += size) {
        column[row * 2] = readUint(bytes, at + Math.max(0, length - 4), Math.min(4, length))
        column[row * 2 + 1] = length > 4 ? readUint(bytes, at, length - 4) : 0
      }
      return
    }
    case OP.IPV4: {
      const { family, v4 } = batch.column(step.field) as AddressColumn
      for (; row < end; row++, at += size) {
        family[row] = 4
        v4[row] = view.getUint32(at)
      }
      return
    }
    case OP.IPV6: return ipv6(step, records, batch, row)
    case OP.MAC: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += size) column[row] = view.getUint16(at) * TWO_32 + view.getUint32(at + 2)
      return
    }
    case OP.UPTIME: {
      const column = batch.column(step.field) as Float64Array
      const { exportMicros, sysUptime } = clock
      // the age as a signed 32-bit number: right across the 49.7-day wrap and for small clock skew
      for (; row < end; row++, at += size) {
        column[row] = exportMicros - ((sysUptime - view.getUint32(at)) | 0) * 1000
      }
      return
    }
    case OP.UPTIME_INIT: {
      const column = batch.column(step.field) as Float64Array
      for (let init = at + step.value; row < end; row++, at += size, init += size) {
        const started = (view.getUint32(init) * TWO_32 + view.getUint32(init + 4)) % MAX_EXACT
        const uptime = (clock.exportMicros / 1000 - started) % TWO_32
        column[row] = clock.exportMicros - ((uptime - view.getUint32(at)) | 0) * 1000
      }
      return
    }
    case OP.DELTA: {
      const column = batch.column(step.field) as Float64Array
      for (; row < end; row++, at += size) column[row] = clock.exportMicros - view.getUint32(at)
      return
    }
    case OP.SECONDS: return times(step, 1e6, records, batch, row)
    case OP.MILLIS: return times(step, 1000, records, batch, row)
    case OP.NTP: return ntp(step, records, batch, row)
    case OP.DURATION_MS: case OP.DURATION_US: {
      const column = batch.column(step.field) as Float64Array
      const base = batch.column(step.field2) as Float64Array
      const unit = (step.op === OP.DURATION_MS ? 1000 : 1) * step.value
      for (; row < end; row++, at += size) {
        column[row] = Math.min(base[row] + view.getUint32(at) * unit, MAX_EXACT)
      }
      return
    }
    case OP.SPACE: {
      const column = batch.column(step.field) as Uint32Array
      for (; row < end; row++, at += size) {
        const sampled = column[row]
        if (sampled === 0) continue
        column[row] = Math.min(Math.round((sampled + view.getUint32(at)) / sampled), MAX_U32)
      }
      return
    }
    case OP.ICMP: {
      const types = batch.column(step.field) as Uint8Array
      const codes = batch.column(step.field2) as Uint8Array
      for (; row < end; row++, at += size) {
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
      for (; row < end; row++, at += size) {
        labels[row] = bytes[at] << 12 | bytes[at + 1] << 4 | bytes[at + 2] >> 4
        exps[row] = (first ? 0 : exps[row]) + (bytes[at + 2] & 15) * unit
      }
      return
    }
    case OP.TEXT: case OP.OCTETS: return texts(step, records, batch, row)
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

/** Copy `bytes[start..stop)` into the heap, a byte at a time, since a view of them would be an allocation. */
export function copyToHeap(batch: FlowBatch, bytes: Uint8Array, start: number, stop: number): void {
  batch.reserveHeap(stop - start)
  const { heap, heapLength } = batch
  for (let i = start, to = heapLength; i < stop; i++, to++) heap[to] = bytes[i]
  batch.heapLength = heapLength + stop - start
}

function uints(step: Step, { bytes, at: first, size, count }: Records, batch: FlowBatch, row: number): void {
  const { length } = step
  const column = batch.column(step.field) as Uint8Array | Uint16Array | Uint32Array | Float64Array
  const max = column instanceof Float64Array ? MAX_EXACT : 2 ** (column.BYTES_PER_ELEMENT * 8) - 1
  for (let at = first + step.at, end = row + count; row < end; row++, at += size) {
    const value = readUint(bytes, at, length)
    column[row] = value
    if (value > max) {
      column[row] = max
      batch.saturated++
    }
  }
}

/** Times in units of `unit` µs. */
function times(step: Step, unit: number, records: Records, batch: FlowBatch, row: number): void {
  const { length } = step
  const { bytes, view, size } = records
  const column = batch.column(step.field) as Float64Array
  const end = row + records.count
  let at = records.at + step.at
  if (length === 8) { // as nearly all milliseconds come
    for (; row < end; row++, at += size) {
      column[row] = Math.min((view.getUint32(at) * TWO_32 + view.getUint32(at + 4)) * unit, MAX_EXACT)
    }
  } else {
    for (; row < end; row++, at += size) column[row] = Math.min(readUint(bytes, at, length) * unit, MAX_EXACT)
  }
}

function texts(step: Step, records: Records, batch: FlowBatch, row: number): void {
  const { op } = step
  const { view, size } = records
  const variable = step.length === VARIABLE_LENGTH
  const bytes = variable ? records.source : records.bytes
  const column = batch.column(step.field) as Uint32Array
  for (let at = records.at + step.at, end = row + records.count; row < end; row++, at += size) {
    const start = variable ? view.getUint32(at) : at
    let stop = start + (variable ? view.getUint32(at + 4) : step.length)
    if (op === OP.TEXT) while (stop > start && bytes[stop - 1] === 0) stop-- // fixed-length names are padded
    column[row * 2] = batch.heapLength
    column[row * 2 + 1] = stop - start
    copyToHeap(batch, bytes, start, stop)
  }
}

function ipv6(step: Step, { bytes, at: first, size, count }: Records, batch: FlowBatch, row: number): void {
  const column = batch.column(step.field) as AddressColumn
  const { family, v4 } = column
  const v6 = ipv6Storage(column)
  for (let at = first + step.at, end = row + count; row < end; row++, at += size) {
    let any = 0
    for (let i = 0, to = row * 16; i < 16; i++) any |= v6[to + i] = bytes[at + i]
    // value 1: the record has an IPv4 address too, and an exporter leaves the unused one of the two zero
    if (step.value === 1 && any === 0) continue
    family[row] = 6
    v4[row] = 0
  }
}

function ntp(step: Step, { view, at: first, size, count }: Records, batch: FlowBatch, row: number): void {
  const { field2 } = step
  const column = batch.column(step.field) as Float64Array
  const nanos = field2 < 0 ? undefined : batch.column(field2) as Uint16Array
  for (let at = first + step.at, end = row + count; row < end; row++, at += size) {
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
