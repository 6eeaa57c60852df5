/** Records of flow-tools' files into rows, a loop per field over some hundred records at a time. */
import type { AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { CLOCK_FIELDS, FIELDS, ID } from '../../core/flow/fields.ts'
import { addFields, type Shape } from '../../core/flow/shape.ts'
import { makePlan } from '../../core/netflow/plan.ts'
import { OP, type Step } from '../../core/netflow/steps.ts'
import { isColumn, offsetOf, type RecordKind } from './layouts.ts'

/** Records of a strip: what its loops read stays in the fastest cache. */
const STRIP = 256

/** A value that all rows have in a field. */
interface Constant {
  readonly id: number
  readonly value: number
}

/** How the records of one file become rows. */
export interface RecordPlan {
  /** Bytes of a record. */
  readonly size: number
  readonly shape: Shape
  readonly steps: readonly Step[]
  readonly constants: readonly Constant[]
  /** Byte order of the records. */
  readonly little: boolean
  readonly clock: ClockPlace
}

/** Where a record tells when it was exported. */
interface ClockPlace {
  readonly secs: number
  readonly nsecs: number
  /** Nanoseconds of the unit that stands in the place of nanoseconds. */
  readonly unit: number
  /** -1: there is no uptime, flows count from the time. */
  readonly uptime: number
}

/**
 * Make the plan for the records of a file.
 *
 * @param stream version of the file
 * @param fields ids of the fields wanted; absent: all but the exporter's clock
 */
export function planRecords(
  { layout, type, aggregation }: RecordKind, stream: number, little: boolean,
  fields: readonly number[] | undefined,
): RecordPlan {
  const ids = fields ?? FIELDS.map(({ id }) => id).filter((id) => !CLOCK_FIELDS.includes(id))
  const wanted = new Uint8Array(FIELDS.length)
  for (const id of ids) wanted[id] = 1
  const { steps, shape, size } = makePlan(layout, { fields: wanted, extras: false }, true)
  const constants = [
    { id: ID.type, value: type },
    ...aggregation > 0 ? [{ id: ID.aggregation, value: aggregation }] : [],
    ...stream === 1 ? [{ id: ID.sysUptime, value: 0 }] : [],
  ].filter(({ id }) => wanted[id] === 1)
  return {
    size,
    shape: addFields(shape, constants.map(({ id }) => id)),
    steps,
    constants,
    little,
    clock: {
      secs: offsetOf(layout, isColumn(ID.exportSecs)),
      nsecs: offsetOf(layout, isColumn(ID.exportNsecs)),
      unit: stream === 1 ? 1e6 : 1,
      uptime: offsetOf(layout, isColumn(ID.sysUptime)),
    },
  }
}

/**
 * Append `count` records to `batch`.
 *
 * @param view of which the records lie at `at`; the caller has checked that all lie inside it
 */
export function appendRecords(
  plan: RecordPlan, view: DataView, at: number, count: number, batch: FlowBatch,
): void {
  const { size, shape, steps, constants } = plan
  batch.reserve(count)
  const first = batch.length
  const end = first + count
  for (let row = first; row < end; row += STRIP, at += STRIP * size) {
    const rows = Math.min(STRIP, end - row)
    for (const step of steps) runStep(step, plan, view, at, batch, row, row + rows)
  }
  for (const { id, value } of constants) {
    const column = batch.column(id) as Uint8Array | Uint32Array
    column.fill(value, first, end)
  }
  batch.shape.fill(batch.intern(shape), first, end)
  batch.length = end
}

function runStep(
  step: Step, plan: RecordPlan, view: DataView, at: number, batch: FlowBatch, row: number, end: number,
): void {
  const { size, little, clock } = plan
  const { op, field } = step
  const base = at
  at += step.at
  switch (op) {
    case OP.U8: {
      const column = batch.column(field) as Uint8Array
      for (; row < end; row++, at += size) column[row] = view.getUint8(at)
      return
    }
    case OP.UINT: { // TCP flags, which are one byte here
      const column = batch.column(field) as Uint16Array
      for (; row < end; row++, at += size) column[row] = view.getUint8(at)
      return
    }
    case OP.U16: {
      const column = batch.column(field) as Uint16Array
      for (; row < end; row++, at += size) column[row] = view.getUint16(at, little)
      return
    }
    case OP.U16_TO_U32: {
      const column = batch.column(field) as Uint32Array
      for (; row < end; row++, at += size) column[row] = view.getUint16(at, little)
      return
    }
    case OP.U32: {
      const column = batch.column(field) as Uint32Array
      const unit = field === ID.exportNsecs ? clock.unit : 1
      for (; row < end; row++, at += size) column[row] = view.getUint32(at, little) * unit
      return
    }
    case OP.U32_TO_F64: {
      const column = batch.column(field) as Float64Array
      for (; row < end; row++, at += size) column[row] = view.getUint32(at, little)
      return
    }
    case OP.IPV4: {
      const { family, v4 } = batch.column(field) as AddressColumn
      family.fill(4, row, end)
      for (; row < end; row++, at += size) v4[row] = view.getUint32(at, little)
      return
    }
    case OP.UPTIME: return times(batch.column(field) as Float64Array, step.at, plan, view, base, row, end)
    case OP.CONST:
      (batch.column(field) as Uint16Array).fill(step.value, row, end)
      return
    default: throw new RangeError(`no record of flow-tools has operation ${op}`)
  }
}

/** Times of flows, `place` bytes into each record: uptimes counted from the record's clock. */
function times(
  column: Float64Array, place: number, { size, little, clock }: RecordPlan, view: DataView, at: number,
  row: number, end: number,
): void {
  const { secs, nsecs, unit, uptime } = clock
  const perMillisecond = 1e6 / unit
  for (; row < end; row++, at += size) {
    const millis = Math.floor(view.getUint32(at + nsecs, little) / perMillisecond)
    const up = uptime < 0 ? 0 : view.getUint32(at + uptime, little)
    const time = view.getUint32(at + place, little)
    // without an uptime the clock tells when the exporter was started; else the age is a signed 32-bit
    // number: right across the 49.7-day wrap and for small clock skew
    const age = up === 0 ? -time : (up - time) | 0
    column[row] = view.getUint32(at + secs, little) * 1e6 + (millis - age) * 1000
  }
}
