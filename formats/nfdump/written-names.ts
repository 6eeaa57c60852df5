import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Loss } from '../../core/flow/loss.ts'
import { RECORD } from './exporters.ts'

const ARRAY_HEADER = 8
/** Longest name that nfdump prints. */
const MOST_NAME = 250
const TWO_32 = 4_294_967_296

/** Numbers with names, the names, and the records that tell them. */
const NUMBERED: readonly (readonly [number, number, number])[] = [
  [ID.inIf, ID.inIfName, RECORD.interfaces], [ID.outIf, ID.outIfName, RECORD.interfaces],
  [ID.srcVrf, ID.srcVrfName, RECORD.vrfs], [ID.dstVrf, ID.dstVrfName, RECORD.vrfs],
]

/** Writes records that tell the names of applications, interfaces and VRFs. */
export class WrittenNames {
  private readonly emit: (record: Uint8Array) => void
  private readonly loss: Loss
  /** The names told last, by number with the record's type above its 32 bits, and by application id. */
  private readonly numbered = new Map<number, Uint8Array>()
  private readonly applications = new Map<string, Uint8Array>()

  /** @param emit is given the records, in their place before the row's */
  constructor(emit: (record: Uint8Array) => void, loss: Loss) {
    this.emit = emit
    this.loss = loss
  }

  /** Whether rows with the fields of `mask` have names that can be told. */
  static has(mask: Uint8Array): boolean {
    return NUMBERED.some(([number, name]) => mask[number] === 1 && mask[name] === 1) ||
      (mask[ID.applicationId] === 1 && mask[ID.applicationName] === 1)
  }

  /** Tell the names of row `row`, unless its reader knows them. */
  learn(batch: FlowBatch, mask: Uint8Array, row: number): void {
    for (const [number, name, type] of NUMBERED) {
      if (mask[number] === 0 || mask[name] === 0) continue
      const value = (batch.column(number) as Uint32Array)[row]
      const text = bytesOf(batch, name, row)
      const key = type * TWO_32 + value
      if (!this.isNew(this.numbered.get(key), text, name)) continue
      this.numbered.set(key, text.slice())
      const { record, view, at } = newArray(type, 4, 4 + text.length + 1)
      view.setUint32(ARRAY_HEADER, text.length + 1, true) // the name and a 0 behind
      view.setUint32(at, value, true)
      record.set(text, at + 4)
      this.emit(record)
    }
    if (mask[ID.applicationId] === 1 && mask[ID.applicationName] === 1) this.learnApplication(batch, row)
  }

  private learnApplication(batch: FlowBatch, row: number): void {
    const id = bytesOf(batch, ID.applicationId, row)
    const text = bytesOf(batch, ID.applicationName, row)
    const key = id.join()
    if (!this.isNew(this.applications.get(key), text, ID.applicationName)) return
    this.applications.set(key, text.slice())
    const { record, view, at } = newArray(RECORD.applications, 6, id.length + text.length + 1)
    view.setUint16(ARRAY_HEADER, id.length, true)
    view.setUint16(ARRAY_HEADER + 2, text.length + 1, true)
    record.set(id, at)
    record.set(text, at + id.length)
    this.emit(record)
  }

  private isNew(told: Uint8Array | undefined, text: Uint8Array, field: number): boolean {
    if (text.length === 0) return false
    if (text.length > MOST_NAME) {
      this.loss.leftOut[field]++
      return false
    }
    if (!told || told.length !== text.length) return true
    for (let i = 0; i < text.length; i++) if (told[i] !== text[i]) return true
    return false
  }
}

function bytesOf(batch: FlowBatch, field: number, row: number): Uint8Array {
  const column = batch.column(field) as Uint32Array
  return batch.heap.subarray(column[row * 2], column[row * 2] + column[row * 2 + 1])
}

/** An array of one element, which is filled up to a multiple of 4 bytes, behind `head` bytes. */
function newArray(
  type: number, head: number, elementSize: number,
): { record: Uint8Array, view: DataView, at: number } {
  const padded = elementSize + 3 & ~3
  const record = new Uint8Array(ARRAY_HEADER + head + padded)
  const view = new DataView(record.buffer)
  view.setUint16(0, type, true)
  view.setUint16(2, record.length, true)
  view.setUint16(4, 1, true)
  view.setUint16(6, padded, true)
  return { record, view, at: ARRAY_HEADER + head }
}
