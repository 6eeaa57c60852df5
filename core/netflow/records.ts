import type { FlowBatch } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import { VARIABLE_LENGTH } from '../flow/shape.ts'
import { keepList, type Templates } from './lists.ts'
import type { Plan } from './plan.ts'
import { copyToHeap, runStep } from './read-steps.ts'
import { PACKED_LENGTH, type Clock, type Records } from './steps.ts'

/**
 * The packed records of the set that is decoded now.
 *
 * A variable-length field takes a byte at least and 8 packed, so a set needs 8 times its bytes at most.
 */
let packed = new DataView(new ArrayBuffer(16_384))
let packedBytes = new Uint8Array(packed.buffer)

/**
 * Find the records of data set `id`, which is `bytes[at..end)`; those not of fixed length are packed.
 *
 * Zeros at its end that are no whole record are padding.
 *
 * @returns the records; packed ones are valid until the next call
 * @throws FlowkitError ERR_MALFORMED when a record passes the end of the set, or records have no bytes
 */
export function findRecords(
  { gaps, minLength, size }: Plan, id: number, bytes: Uint8Array, view: DataView, at: number, end: number,
): Records {
  if (minLength === 0) {
    throw new FlowkitError('ERR_MALFORMED', `Cannot decode data set ${id}: its records have no bytes`)
  }
  const most = Math.floor((end - at) / minLength)
  if (gaps.length === 1) return { bytes, view, at, size, count: most, source: bytes }
  reservePacked(most * size)
  let count = 0
  for (; end - at >= minLength; count++) {
    const next = packRecord(gaps, bytes, view, at, end, count * size)
    if (next < 0) {
      if (isZero(bytes, at, end)) break // padding
      const which = `record ${count + 1}`
      throw new FlowkitError('ERR_MALFORMED', `Cannot decode data set ${id}: ${which} passes its end`)
    }
    at = next
  }
  return { bytes: packedBytes, view: packed, at: 0, size, count, source: bytes }
}

function reservePacked(length: number): void {
  if (length <= packedBytes.length) return
  packedBytes = new Uint8Array(Math.max(length, packedBytes.length * 2))
  packed = new DataView(packedBytes.buffer)
}

/**
 * Pack the record at `at` to `to`.
 *
 * @returns where the record ends; -1 if that is behind `end`
 */
function packRecord(
  gaps: Uint32Array, bytes: Uint8Array, view: DataView, at: number, end: number, to: number,
): number {
  const last = gaps.length - 1
  for (let i = 0; ; i++) {
    const gap = gaps[i]
    if (gap > end - at) return -1
    copyFields(view, at, packed, to, gap)
    at += gap
    to += gap
    if (i === last) return at
    if (at === end) return -1
    let length = bytes[at++] // RFC 7011 §7: one byte, or 255 and two bytes
    if (length === 255) {
      if (end - at < 2) return -1
      length = view.getUint16(at)
      at += 2
    }
    if (length > end - at) return -1
    packed.setUint32(to, at)
    packed.setUint32(to + 4, length)
    at += length
    to += PACKED_LENGTH
  }
}

/** Copy `length` bytes, four at a time: a call of `set` would take longer, and an allocation. */
function copyFields(view: DataView, at: number, target: DataView, to: number, length: number): void {
  const end = at + length
  const whole = end - 3
  for (; at < whole; at += 4, to += 4) target.setUint32(to, view.getUint32(at, true), true)
  for (; at < end; at++, to++) target.setUint8(to, view.getUint8(at))
}

const NO_TEMPLATES: Templates = new Map()

/**
 * Run a plan over `records`, into rows from `row` on, for which there is room.
 *
 * @param templates those that lists in the records may name
 */
export function runPlan(
  plan: Plan, records: Records, batch: FlowBatch, row: number, clock: Clock,
  templates: Templates = NO_TEMPLATES,
): void {
  for (const step of plan.steps) runStep(step, records, batch, row, clock)
  if (plan.extras.length > 0) keepExtras(plan, records, batch, row, templates)
}

/** Put the values of the fields without a column into the heap, those of a row side by side. */
function keepExtras(
  { extras }: Plan, records: Records, batch: FlowBatch, row: number, templates: Templates,
): void {
  const { bytes, view, size, source } = records
  const pairs = batch.useExtras()
  const end = row + records.count
  for (let first = records.at; row < end; row++, first += size) {
    const from = batch.heapLength
    for (const { at: offset, length, list } of extras) {
      const at = first + offset
      if (length === VARIABLE_LENGTH) {
        const start = view.getUint32(at)
        const stop = start + view.getUint32(at + 4)
        if (list) keepList(batch, list, source, start, stop, templates)
        else {
          copyToHeap(batch, bytes, at + 6, at + 8) // the length, which is never over 65535
          copyToHeap(batch, source, start, stop)
        }
      } else if (list) keepList(batch, list, bytes, at, at + length, templates)
      else copyToHeap(batch, bytes, at, at + length)
    }
    pairs[row * 2] = from
    pairs[row * 2 + 1] = batch.heapLength - from
  }
}

/** Whether all of `bytes[at..end)` are zero. */
export function isZero(bytes: Uint8Array, at: number, end: number): boolean {
  for (; at < end; at++) if (bytes[at] !== 0) return false
  return true
}
