import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { elementName } from '../../core/flow/elements.ts'
import { ID } from '../../core/flow/fields.ts'
import { loseElement, newLoss, type Loss } from '../../core/flow/loss.ts'
import { VARIABLE_LENGTH, type Shape } from '../../core/flow/shape.ts'
import { Statistics } from './statistics.ts'
import { kindColumns, KINDS, kindsOf, type KindColumns } from './write-kinds.ts'
import { makeWritePlan, type VariablePart, type WritePlan } from './write-plan.ts'
import type { RecordScheme } from './write-scheme.ts'
import { writeStep, type WrittenRecords } from './write-steps.ts'
import { WrittenExporters } from './written-exporters.ts'
import { WrittenMaps } from './written-maps.ts'
import { WrittenNames } from './written-names.ts'

/** Bytes of records in a block at most: nfdump 1.7.1 has that much room. */
export const BLOCK_SIZE: number = 1_048_576
/** Longest value of no fixed length: a record has at most 65,535 bytes. */
const MOST_OCTETS = 16_384
const ICMP = 1
const ICMP6 = 58
/** Plans that are remembered. */
const MOST_PLANS = 4096

/** Records that are whole, to be packed: how many, and their bytes, which are used again. */
export type BlockSink = (records: number, bytes: Uint8Array) => void

/** What rows of one shape in a batch have in common. */
interface Rows {
  readonly shape: Shape
  readonly columns: KindColumns
  readonly hasNames: boolean
  /** By their kinds and their type. */
  readonly plans: Map<number, WritePlan>
}

/** Makes blocks of records of the rows of batches, in their order. */
export class BlockWriter {
  readonly loss: Loss = newLoss()
  readonly statistics: Statistics = new Statistics()
  private readonly sink: BlockSink
  private readonly scheme: RecordScheme
  private readonly exporters: WrittenExporters
  private readonly names: WrittenNames
  private readonly maps: WrittenMaps
  private readonly plans = new Map<string, WritePlan>()

  private readonly bytes = new Uint8Array(BLOCK_SIZE)
  private readonly view = new DataView(this.bytes.buffer)
  private used = 0
  private records = 0

  // rows that have a place in the block and are not written
  private pending = 0
  private turn = 0
  private readonly turnPlans: WritePlan[] = []
  private readonly planOf = new Uint16Array(BATCH_SIZE)
  private readonly rowOf = new Uint32Array(BATCH_SIZE)
  private readonly atOf = new Uint32Array(BATCH_SIZE)
  private readonly ends = new Uint32Array(BATCH_SIZE)
  private readonly rows = new Uint32Array(BATCH_SIZE)
  private readonly ats = new Uint32Array(BATCH_SIZE)
  private batch: FlowBatch | undefined
  /** Where the elements of a row lie in the heap: pairs (start, length). */
  private elements = new Uint32Array(0)

  /** @param sink is given each block that is full */
  constructor(sink: BlockSink, scheme: RecordScheme) {
    this.sink = sink
    this.scheme = scheme
    const emit = (record: Uint8Array) => this.emit(record)
    this.exporters = new WrittenExporters(emit, scheme)
    this.names = new WrittenNames(emit, this.loss)
    this.maps = new WrittenMaps(emit, scheme.mapAt)
  }

  /** Write all rows of `batch`. */
  write(batch: FlowBatch): void {
    this.batch = batch
    const { counters, hasNames: tellsNames } = this.scheme
    const all = batch.shapes.map((shape): Rows => ({
      shape, columns: kindColumns(batch, shape, counters),
      hasNames: tellsNames && WrittenNames.has(shape.mask), plans: new Map(),
    }))
    const { type: types } = batch
    let last: Rows | undefined // of the row before, with its key and plan
    let lastKey = -1
    let plan!: WritePlan
    for (let row = 0; row < batch.length; row++) {
      const rows = all[batch.shape[row]]
      const { shape, columns, hasNames } = rows
      const type = shape.mask[ID.type] === 1 ? types[row] : 0
      const kinds = kindsOf(columns, row)
      const key = type * KINDS + kinds
      if (rows !== last || key !== lastKey) {
        last = rows
        lastKey = key
        plan = this.planOfKey(rows, key, kinds, type)
        this.maps.tell(plan)
      }
      this.exporters.learn(batch, shape.mask, row)
      if (hasNames) this.names.learn(batch, shape.mask, row)
      if (plan.hasExtras) this.findElements(shape, batch, row)
      this.place(plan, batch, row)
    }
    this.fill()
  }

  /** Give out what is left. */
  finish(): void {
    this.exporters.finish()
    if (this.records > 0) this.flush()
  }

  private planOfKey({ shape, plans }: Rows, key: number, kinds: number, type: number): WritePlan {
    let plan = plans.get(key)
    if (!plan) plans.set(key, plan = this.planFor(shape, kinds, type))
    return plan
  }

  private planFor(shape: Shape, kinds: number, type: number): WritePlan {
    const key = `${shape.key}|${kinds}|${type}`
    let plan = this.plans.get(key)
    if (plan) return plan
    if (this.plans.size >= MOST_PLANS) this.plans.clear()
    plan = makeWritePlan(shape, kinds, type, this.scheme)
    this.plans.set(key, plan)
    return plan
  }

  /** Write a record that is no flow's. */
  private emit(record: Uint8Array): void {
    this.makeRoom(record.length)
    this.bytes.set(record, this.used)
    this.used += record.length
    this.records++
  }

  /** Make room in the block for `size` bytes. */
  private makeRoom(size: number): void {
    if (this.used + size > BLOCK_SIZE) this.flush()
  }

  private flush(): void {
    this.fill()
    this.sink(this.records, this.bytes.subarray(0, this.used))
    this.used = this.records = 0
  }

  /** Give a row its place, with what does not go by columns: header, elements, variable extensions. */
  private place(plan: WritePlan, batch: FlowBatch, row: number): void {
    const { template, variable, shape, engineAt } = plan
    let size = template.length
    let missing = 0
    for (const part of variable) {
      const partSize = this.sizeOf(part, batch, row)
      size += partSize
      if (partSize === 0) missing++
    }
    this.makeRoom(size)
    if (this.pending === BATCH_SIZE) this.fill()
    const { bytes, view, used: at, pending: i } = this
    const { sysidAt, versionAt, flagsAt, countAt, sampledFlag } = this.scheme
    const { sysid, version, engineType, engineId, isOtherSource } = this.exporters.origin
    bytes.set(template, at)
    view.setUint16(at + 2, size, true)
    if (missing > 0) view.setUint16(at + countAt, view.getUint16(at + countAt, true) - missing, true)
    if (engineAt >= 0) {
      bytes[at + engineAt] = engineType
      bytes[at + engineAt + 1] = engineId
    }
    view.setUint16(at + sysidAt, sysid, true)
    const isScaled = shape.mask[ID.samplingApplied] === 1 && batch.samplingApplied[row] === 1
    if (isScaled) bytes[at + flagsAt] |= sampledFlag
    bytes[at + versionAt] = version
    if (isOtherSource) this.loss.narrowed[ID.samplingSource]++
    for (const { at: numberAt, length, extra } of plan.numbers) {
      const start = this.elements[extra * 2]
      for (let k = 0; k < length; k++) bytes[at + numberAt + k] = batch.heap[start + length - 1 - k]
    }
    let end = at + template.length
    for (const part of variable) end = this.putVariable(part, plan, batch, row, end)
    if (plan.turn !== this.turn) {
      plan.turn = this.turn
      plan.place = this.turnPlans.push(plan) - 1
      this.ends[plan.place] = 0
    }
    this.ends[plan.place]++
    this.planOf[i] = plan.place
    this.rowOf[i] = row
    this.atOf[i] = at
    this.pending++
    this.records++
    this.used += size
  }

  /**
   * Bytes of an extension that has no fixed length, of its value at most MOST_OCTETS; text is filled up with
   * zeros. 0: the row is without it, since nfdump 1.7.1 complains of payloads of no bytes too.
   */
  private sizeOf({ head, field, extra, isText, most }: VariablePart, batch: FlowBatch, row: number): number {
    const length = field >= 0 ? (batch.column(field) as Uint32Array)[row * 2 + 1]
      : extra >= 0 ? this.elements[extra * 2 + 1] : 0
    if (length > most || (length === 0 && extra >= 0 && !isText)) return 0
    return head.length + Math.min(isText ? length + 4 & ~3 : length, MOST_OCTETS)
  }

  private putVariable(
    part: VariablePart, { shape }: WritePlan, batch: FlowBatch, row: number, at: number,
  ): number {
    const { bytes, view, loss, elements } = this
    const { head, steps, field, extra, isText } = part
    const size = this.sizeOf(part, batch, row)
    if (size === 0) {
      if (field >= 0) loss.leftOut[field]++
      else this.loseElementOf(shape, extra)
      return at
    }
    const room = size - head.length
    bytes.set(head, at)
    view.setUint16(at + 2, size, true)
    const single = { bytes, view, ats: Uint32Array.of(at), rows: Uint32Array.of(row), from: 0, to: 1 }
    for (const step of steps) loss.narrowed[step.field] += writeStep(step, single, batch, shape.mask)
    const column = field >= 0 ? batch.column(field) as Uint32Array : elements
    const place = field >= 0 ? row : extra
    const length = place < 0 ? 0 : column[place * 2 + 1]
    const kept = Math.min(length, isText ? room - 1 : room)
    const from = at + head.length
    if (kept > 0) bytes.set(batch.heap.subarray(column[place * 2], column[place * 2] + kept), from)
    bytes.fill(0, from + kept, from + room)
    if (kept < length && field >= 0) loss.narrowed[field]++
    else if (kept < length) this.loseElementOf(shape, extra)
    return from + room
  }

  private loseElementOf({ extras }: Shape, extra: number): void {
    loseElement(this.loss, elementName(extras[extra].pen, extras[extra].id), 1)
  }

  private findElements({ extras }: Shape, batch: FlowBatch, row: number): void {
    if (this.elements.length < extras.length * 2) this.elements = new Uint32Array(extras.length * 2)
    const { heap, extras: places } = batch
    let at = places[row * 2]
    for (const [i, { length }] of extras.entries()) {
      const isVariable = length === VARIABLE_LENGTH
      const size = isVariable ? heap[at] << 8 | heap[at + 1] : length
      if (isVariable) at += 2
      this.elements[i * 2] = at
      this.elements[i * 2 + 1] = size
      at += size
    }
  }

  /** Write the fields of the rows that have places. */
  private fill(): void {
    const { pending, turnPlans, ends, planOf, rowOf, atOf, rows, ats, batch, bytes, view, loss } = this
    if (pending === 0 || !batch) return
    let end = 0
    for (let i = 0; i < turnPlans.length; i++) {
      end += ends[i]
      ends[i] = end - ends[i] // where its rows begin, for now
    }
    for (let i = 0; i < pending; i++) {
      const k = ends[planOf[i]]++
      rows[k] = rowOf[i]
      ats[k] = atOf[i]
    }
    let from = 0
    for (const [i, plan] of turnPlans.entries()) {
      const to = ends[i]
      const { mask } = plan.shape
      const records = { bytes, view, ats, rows, from, to }
      for (const step of plan.steps) loss.narrowed[step.field] += writeStep(step, records, batch, mask)
      if (mask[ID.icmpType] === 1 && mask[ID.proto] === 1) this.putIcmp(plan, records, batch)
      for (const field of plan.lostFields) loss.leftOut[field] += to - from
      for (const name of plan.lostElements) loseElement(loss, name, to - from)
      this.statistics.add(batch, mask, rows, from, to)
      from = to
    }
    this.pending = 0
    this.turn++
    turnPlans.length = 0
  }

  /** Type and code of ICMP lie where other protocols have the destination port. */
  private putIcmp(
    { portAts, shape }: WritePlan, { view, ats, rows, from, to }: WrittenRecords, batch: FlowBatch,
  ): void {
    const { proto, icmpType, icmpCode } = batch
    const codes = shape.mask[ID.icmpCode] === 1 ? icmpCode : undefined
    const ports = shape.mask[ID.dstPort] === 1 ? batch.dstPort : undefined
    for (let k = from; k < to; k++) {
      const row = rows[k]
      if (proto[row] !== ICMP && proto[row] !== ICMP6) {
        this.loss.leftOut[ID.icmpType]++
        continue
      }
      const told = icmpType[row] << 8 | (codes ? codes[row] : 0)
      if (ports && ports[row] !== 0 && ports[row] !== told) this.loss.narrowed[ID.dstPort]++
      for (const portAt of portAts) view.setUint16(ats[k] + portAt, told, true)
    }
  }
}
