import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS } from '../flow/fields.ts'
import { VARIABLE_LENGTH, type Shape } from '../flow/shape.ts'
import {
  countLeftOut, exportClock, newLoss, type DatagramEncoder, type Emit, type EncoderOptions, type ExportClock,
} from './encoder.ts'
import { exportLayout, type ExportLayout } from './export-layout.ts'
import { outMessage, type SetVersion } from './out-message.ts'
import { makePlan, type LayoutField } from './plan.ts'
import { OP, type Step } from './steps.ts'
import { variableSize, writeStep, writeVariable } from './write-steps.ts'

/** Options of the versions with templates. */
export interface SetEncoderOptions extends EncoderOptions {
  /** How often templates are sent again, in µs of export time. */
  readonly templateRefresh: number
}

/** A template this exporter has announced. */
interface OutTemplate extends ExportLayout {
  readonly id: number
  /** The template record, as it goes into a template set. */
  readonly record: Uint8Array
  /** What writes each field of the layout: none, one, or two columns. */
  readonly steps: readonly (readonly Step[])[]
  /** Bytes of a record if all its fields are numbers and addresses: such records are written by columns. */
  readonly columnar: number
  /** Export time at which it was last sent, µs; -Infinity never. */
  sentAt: number
}

const ENTERPRISE = 0x8000
const FIRST_TEMPLATE = 256
/** Templates kept; rows of more shapes than that announce theirs anew. */
const MAX_TEMPLATES = 1024

/** An encoder of NetFlow v9 or IPFIX: a template for each shape of row, announced before its first records. */
export function setEncoder(version: SetVersion, options: SetEncoderOptions): DatagramEncoder {
  const message = outMessage(version, options.maxSize, options.domain)
  const { bytes, view } = message
  const clocks = exportClock(true)
  const loss = newLoss()
  const templates = new Map<string, OutTemplate>()
  const one = new Uint32Array(1)
  let rows = new Uint32Array(0)
  let clock: ExportClock | undefined // of the message that is being filled

  function templateOf(batch: FlowBatch, row: number, families: number): OutTemplate {
    const shape = batch.shapes[batch.shape[row]]
    const key = `${families};${shape.key}`
    let template = templates.get(key)
    if (!template) {
      if (templates.size >= MAX_TEMPLATES) templates.clear()
      template = newTemplate(FIRST_TEMPLATE + templates.size, shape, familiesOf(batch, row), version)
      templates.set(key, template)
    }
    return template
  }

  function announce(template: OutTemplate, now: ExportClock, emit: Emit): void {
    const set = version === 9 ? 0 : 2
    if (message.room(set) < template.record.length) message.finish(now, emit)
    message.inSet(set)
    bytes.set(template.record, message.at)
    message.at += template.record.length
    message.count(1, false)
    template.sentAt = now.exportMicros
  }

  function writeRun(template: OutTemplate, batch: FlowBatch, run: Uint32Array, emit: Emit): void {
    const now = clocks.of(batch, run, run.length)
    // uptimes count from the header's clock, which is one for a message
    if (clock && clock.exportMicros !== now.exportMicros) message.finish(clock, emit)
    clock = { ...now }
    if (now.exportMicros - template.sentAt >= options.templateRefresh) announce(template, now, emit)
    for (let from = 0; from < run.length;) {
      const size = template.columnar || sizeOf(template, batch, run[from])
      const fit = Math.floor(message.room(template.id) / size)
      if (fit === 0 && message.isEmpty()) { // larger than a datagram
        loss.rows++
        from++
      } else if (fit === 0) message.finish(now, emit)
      else {
        const count = template.columnar ? Math.min(fit, run.length - from) : 1
        message.inSet(template.id)
        if (template.columnar) writeColumns(template, batch, run.subarray(from, from + count), now)
        else writeRecord(template, batch, run[from], now)
        message.count(count, true)
        from += count
      }
    }
  }

  function writeColumns({ steps, columnar }: OutTemplate, batch: FlowBatch, run: Uint32Array, now: ExportClock): void {
    const end = message.at + run.length * columnar
    bytes.fill(0, message.at, end)
    for (const field of steps) {
      for (const step of field) {
        const present = batch.present(step.field)
        writeStep(step, message.at + step.at, columnar, view, batch, run, run.length, present, now, loss.narrowed)
      }
    }
    message.at = end
  }

  function writeRecord({ layout, steps, extras }: OutTemplate, batch: FlowBatch, row: number, now: ExportClock): void {
    one[0] = row
    for (const [i, field] of steps.entries()) {
      const { length } = layout[i]
      const [step] = field
      if (step !== undefined && (step.op === OP.TEXT || step.op === OP.OCTETS)) {
        const column = batch.column(step.field) as Uint32Array
        writeBytes(length, batch, column[row * 2], column[row * 2 + 1], step.field)
      } else {
        bytes.fill(0, message.at, message.at + length)
        for (const each of field) {
          writeStep(each, message.at, 0, view, batch, one, 1, batch.present(each.field), now, loss.narrowed)
        }
        message.at += length
      }
    }
    if (extras.length > 0) eachExtra(batch, row, (index, from, length, given) => {
      if (extras.includes(index)) writeBytes(given, batch, from, length, -1)
    })
  }

  /** Write bytes of the heap into a field of `given` bytes, padded or cut to it, or of variable length. */
  function writeBytes(given: number, { heap }: FlowBatch, from: number, length: number, field: number): void {
    if (given === VARIABLE_LENGTH) {
      message.at = writeVariable(bytes, message.at, heap, from, length)
      return
    }
    if (length > given) loss.narrowed.set(field, (loss.narrowed.get(field) ?? 0) + 1)
    bytes.fill(0, message.at, message.at + given)
    bytes.set(heap.subarray(from, from + Math.min(length, given)), message.at)
    message.at += given
  }

  return {
    loss,
    encode(batch, emit) {
      if (rows.length < batch.length) rows = Uint32Array.from({ length: batch.capacity }, (_, row) => row)
      const { shape } = batch
      const families = familyBits(batch)
      for (let from = 0; from < batch.length;) {
        let to = from + 1
        while (to < batch.length && shape[to] === shape[from] && families[to] === families[from]) to++
        const template = templateOf(batch, from, families[from])
        countLeftOut(loss, batch.shapes[shape[from]], template.carried, to - from)
        writeRun(template, batch, rows.subarray(from, to), emit)
        from = to
      }
    },
    flush(emit) {
      if (clock) message.finish(clock, emit)
    },
  }
}

function newTemplate(id: number, shape: Shape, families: ReadonlyMap<number, number>, version: SetVersion): OutTemplate {
  const exported = exportLayout(shape, families, version)
  const { layout } = exported
  const inColumns = layout.length - exported.extras.length
  // a variable layout has no offsets: steps are looked up by the place of their field
  const { steps: all, minLength, lengths } = makePlan(layout.slice(0, inColumns), { extras: false }, true)
  const steps = Array.from({ length: inColumns }, (_, index) => all.filter((step) => step.index === index))
  const plain = !lengths && exported.extras.length === 0 && all.every(({ op }) => op !== OP.TEXT && op !== OP.OCTETS)
  return { ...exported, id, record: templateRecord(id, layout), steps, columnar: plain ? minLength : 0, sentAt: -Infinity }
}

/** RFC 3954 §5.2, RFC 7011 §3.4.1. */
function templateRecord(id: number, layout: readonly LayoutField[]): Uint8Array {
  const words = [id, layout.length]
  for (const { pen, id: element, length } of layout) {
    if (pen === 0) words.push(element, length)
    else words.push(element | ENTERPRISE, length, pen >>> 16, pen & 0xffff)
  }
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255]))
}

/** Bytes of a record that is not columnar. */
function sizeOf({ layout, steps, extras }: OutTemplate, batch: FlowBatch, row: number): number {
  let size = 0
  for (const [i, [step]] of steps.entries()) {
    const { length } = layout[i]
    size += length === VARIABLE_LENGTH ? variableSize((batch.column(step.field) as Uint32Array)[row * 2 + 1]) : length
  }
  if (extras.length > 0) eachExtra(batch, row, (index, _from, length, given) => {
    if (extras.includes(index)) size += given === VARIABLE_LENGTH ? variableSize(length) : length
  })
  return size
}

/** Go through the elements without a column of a row: place, where in the heap, length, and length in the layout. */
function eachExtra(
  batch: FlowBatch, row: number, use: (index: number, from: number, length: number, given: number) => void,
): void {
  const { heap } = batch
  let from = batch.extras[row * 2]
  for (const [index, { length: given }] of batch.shapes[batch.shape[row]].extras.entries()) {
    let length = given
    if (given === VARIABLE_LENGTH) {
      length = heap[from] << 8 | heap[from + 1]
      from += 2
    }
    use(index, from, length, given)
    from += length
  }
}

/** The address fields, by whose families rows of one shape differ. */
const ADDRESSES = FIELDS.filter((field) => field.type === 'addr').map((field) => field.id)

/** For each row two bits for each address field: 0 absent or none, 1 IPv4, 2 IPv6; as doubles, since there are many. */
function familyBits(batch: FlowBatch): Float64Array {
  const bits = new Float64Array(batch.length)
  for (const [place, id] of ADDRESSES.entries()) {
    if (!batch.has(id)) continue
    const present = batch.present(id)
    const { family } = batch.column(id) as AddressColumn
    const unit = 3 ** place
    for (let row = 0; row < bits.length; row++) {
      if (present[batch.shape[row]] && family[row] !== 0) bits[row] += family[row] === 6 ? 2 * unit : unit
    }
  }
  return bits
}

function familiesOf(batch: FlowBatch, row: number): Map<number, number> {
  const { mask } = batch.shapes[batch.shape[row]]
  return new Map(ADDRESSES.filter((id) => mask[id]).map((id) => [id, (batch.column(id) as AddressColumn).family[row]]))
}
