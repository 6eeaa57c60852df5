import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { newLoss, type Loss } from '../../core/flow/loss.ts'
import { exportClocks, type ExportClock } from '../../core/netflow/encode/clock.ts'
import { lostFields } from '../../core/netflow/encode/encoder.ts'
import { writeIcmpPorts } from '../../core/netflow/encode/icmp-port.ts'
import { endOfRun, familyOf, markRuns, shapeOf } from '../../core/netflow/encode/row-runs.ts'
import { writeStep } from '../../core/netflow/encode/write-steps.ts'
import { makePlan, type LayoutField } from '../../core/netflow/plan.ts'
import { OP, type Step } from '../../core/netflow/steps.ts'
import { isColumn, LAYOUTS, offsetOf } from './layouts.ts'

const CLOCK = [ID.exportSecs, ID.exportNsecs, ID.sysUptime]
/** How far a flow's time may lie from the export clock: signed 32 bits of milliseconds. */
const MAX_AGE = 2 ** 31 - 1
const MAX_U32 = 2 ** 32 - 1

/** Makes rows into records of one export version. */
export class RecordEncoder {
  readonly loss: Loss = newLoss()
  /** Records written. */
  count = 0
  /** Seconds of the first and the last export; Infinity and 0 while there is none. */
  firstExport: number = Infinity
  lastExport = 0

  private readonly layout: readonly LayoutField[]
  private readonly size: number
  private readonly steps: readonly Step[]
  private readonly times: readonly Step[]
  /** Offsets of the clock. */
  private readonly clockAt: readonly number[]
  private readonly carried: ReadonlySet<number>
  private readonly clocks = exportClocks(false)
  private begins = new Uint8Array(0)
  private bytes = new Uint8Array(0)
  private view = new DataView(this.bytes.buffer)

  /** @param version of LAYOUTS */
  constructor(version: string) {
    this.layout = LAYOUTS[version]
    const { steps, size } = makePlan(this.layout, { extras: false }, true)
    this.size = size
    this.times = steps.filter(({ op }) => op === OP.UPTIME)
    this.steps = steps.filter(({ op, index, field }) =>
      index >= 0 && op !== OP.UPTIME && !CLOCK.includes(field))
    this.clockAt = CLOCK.map((id) => offsetOf(this.layout, isColumn(id)))
    this.carried = new Set([
      ...steps.map(({ field }) => field), ID.etype,
      ID.inIfName, ID.outIfName, // see InterfaceTable
      ...version.startsWith('8.') ? [ID.aggregation] : [],
      ...steps.some(({ field }) => field === ID.dstPort) ? [ID.icmpType, ID.icmpCode] : [], // see writeIcmpPorts
    ])
  }

  /**
   * The records of all rows of `batch` that can be written, valid until the next call. Fields that a row
   * lacks are 0 in its record. Flows between IPv6 addresses are left out where the record has addresses.
   */
  encode(batch: FlowBatch): Uint8Array {
    const { layout, size, loss, clocks, carried } = this
    const { length, shapes } = batch
    if (this.begins.length < length) this.begins = new Uint8Array(batch.capacity)
    const room = length * size
    if (this.bytes.length < room) {
      this.bytes = new Uint8Array(batch.capacity * size)
      this.view = new DataView(this.bytes.buffer)
    }
    this.bytes.fill(0, 0, room)
    markRuns(batch, [], this.begins)
    clocks.begin(batch)
    const written = new Uint32Array(shapes.length)
    let at = 0
    for (let row = 0; row < length;) {
      const end = endOfRun(this.begins, row, length)
      const isV6 = [ID.srcAddr, ID.dstAddr].some((id) => carried.has(id) && familyOf(batch, id, row) === 6)
      if (isV6) loss.rows.ipv6 += end - row
      else {
        this.run(batch, row, end, at)
        written[batch.shape[row]] += end - row
        at += (end - row) * size
      }
      row = end
    }
    for (const [index, each] of shapes.entries()) {
      if (written[index] > 0) for (const id of lostFields(each, carried)) loss.leftOut[id] += written[index]
    }
    this.count += at / size
    const records = this.bytes.subarray(0, at)
    toLittleEndian(records, this.view, layout, size)
    return records
  }

  /** Write rows of one shape, and of addresses of the same families. */
  private run(batch: FlowBatch, row: number, end: number, at: number): void {
    const { size, steps, view, bytes, clocks, loss } = this
    const { mask } = shapeOf(batch, row)
    for (const step of steps) {
      const { field, op } = step
      if (mask[field] === 0) continue
      const family = op === OP.IPV4 ? familyOf(batch, field, row) : 4
      if (family === 6) loss.leftOut[field] += end - row
      else if (family === 4) {
        const place = at + step.at
        loss.narrowed[field] += writeStep(step, place, size, view, bytes, batch, row, end, clocks.now)
      }
    }
    const port = steps.find(({ field }) => field === ID.dstPort)
    if (port) writeIcmpPorts(batch, row, end, view, at + port.at, size, loss)
    while (row < end) {
      const next = clocks.span(batch, row, end)
      this.span(batch, row, next, at, clocks.now)
      at += (next - row) * size
      row = next
    }
  }

  /** Write the clock that rows share, and their times by it. */
  private span(batch: FlowBatch, row: number, end: number, at: number, clock: ExportClock): void {
    const { size, view, times, loss } = this
    const { exportSecs, exportNsecs, sysUptime } = clock
    const [secsAt, nsecsAt, uptimeAt] = this.clockAt
    const { mask } = shapeOf(batch, row)
    this.firstExport = Math.min(this.firstExport, exportSecs)
    this.lastExport = Math.max(this.lastExport, exportSecs)
    for (let i = row, record = at; i < end; i++, record += size) {
      view.setUint32(record + secsAt, exportSecs)
      view.setUint32(record + nsecsAt, exportNsecs)
      view.setUint32(record + uptimeAt, sysUptime)
    }
    for (const step of times) {
      if (mask[step.field] === 0) continue
      const column = batch.column(step.field) as Float64Array
      loss.narrowed[step.field] += writeUptimes(column, row, end, clock, view, at + step.at, size)
    }
  }
}

/**
 * Write times as uptimes, by the clock of their export.
 *
 * @returns how many could not be written as they are
 */
function writeUptimes(
  column: Float64Array, row: number, end: number, { exportMicros, sysUptime }: ExportClock, view: DataView,
  at: number, size: number,
): number {
  // an uptime of 0 says that the clock tells when the exporter was started
  const [youngest, oldest] = sysUptime === 0 ? [-MAX_U32, 0] : [-MAX_AGE, MAX_AGE]
  let cut = 0
  for (; row < end; row++, at += size) {
    const age = (exportMicros - column[row]) / 1000
    const whole = Math.max(youngest, Math.min(Math.round(age), oldest))
    if (whole !== age) cut++
    view.setUint32(at, sysUptime - whole)
  }
  return cut
}

/**
 * Turn all numbers of records round. flow-tools reads either byte order, but of the one that is not its
 * machine's it forgets some fields of versions 1005 and 8.12.
 */
function toLittleEndian(
  { length }: Uint8Array, view: DataView, layout: readonly LayoutField[], size: number,
): void {
  let offset = 0
  for (const field of layout) {
    const width = field.length
    for (let at = offset; at < length && width === 2; at += size) view.setUint16(at, view.getUint16(at), true)
    for (let at = offset; at < length && width === 4; at += size) view.setUint32(at, view.getUint32(at), true)
    offset += width
  }
}
