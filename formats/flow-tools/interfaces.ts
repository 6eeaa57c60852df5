/** Names of interfaces, which a file has in its header: one for each exporter and interface. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Loss } from '../../core/flow/loss.ts'
import { addFields } from '../../core/flow/shape.ts'
import { interfaceSize, type InterfaceName } from './header.ts'
import { isColumn, isElement, offsetOf, type RecordKind } from './layouts.ts'
import type { RecordPlan } from './records.ts'

const MAX_INDEX = 0xffff

/** Names the interfaces of the last `count` rows of `batch`, which are the records of `view` at `at`. */
export type InterfaceNamer = (view: DataView, at: number, count: number, batch: FlowBatch) => void

/**
 * Prepare to name the interfaces of records.
 *
 * @param fields ids of the fields wanted; absent: all
 * @returns undefined if there are no names, or nobody wants them
 */
export function interfaceNamer(
  names: readonly InterfaceName[], { layout }: RecordKind, { size, shape, little }: RecordPlan,
  fields: readonly number[] | undefined,
): InterfaceNamer | undefined {
  const exporterAt = offsetOf(layout, isColumn(ID.exporterAddr))
  const places = [[ID.inIfName, 10], [ID.outIfName, 14]]
    .map(([field, element]) => ({ field, at: offsetOf(layout, isElement(element)) }))
    .filter(({ field, at }) => at >= 0 && (fields?.includes(field) ?? true))
  if (names.length === 0 || exporterAt < 0 || places.length === 0) return undefined
  const texts = Buffer.concat(names.map(({ name }) => name))
  const starts = new Map<number, number>() // in texts
  const lengths = new Map<number, number>()
  let start = 0
  for (const { exporter, index, name } of names) {
    starts.set(keyOf(exporter, index), start)
    lengths.set(keyOf(exporter, index), name.length)
    start += name.length
  }
  // by the places whose names are known, a bit each
  const shapes = Array.from({ length: 1 << places.length }, (_, known) =>
    addFields(shape, places.filter((_, i) => known & 1 << i).map(({ field }) => field)))
  return (view, at, count, batch) => {
    const base = batch.addBytes(texts, 0, texts.length)
    const ids = shapes.map((each) => batch.intern(each))
    const columns = places.map(({ field }) => batch.column(field) as Uint32Array)
    for (let row = batch.length - count; row < batch.length; row++, at += size) {
      const exporter = view.getUint32(at + exporterAt, little)
      let known = 0
      for (let i = 0; i < places.length; i++) {
        const key = keyOf(exporter, view.getUint16(at + places[i].at, little))
        const from = starts.get(key)
        if (from === undefined) continue
        columns[i][row * 2] = base + from
        columns[i][row * 2 + 1] = lengths.get(key) ?? 0
        known |= 1 << i
      }
      batch.shape[row] = ids[known]
    }
  }
}

/** The names that go into the header of a file, which is written before most of its rows are known. */
export class InterfaceTable {
  private readonly names = new Map<number, InterfaceName>()

  /** Take the names of the rows of `batch` that fit into `room` bytes. */
  add(batch: FlowBatch, room: number): void {
    this.each(batch, (key, exporter, index, name) => {
      if (this.names.has(key) || index > MAX_INDEX) return
      const entry = { exporter, index, name: Buffer.from(name) }
      room -= interfaceSize(entry)
      if (room >= 0) this.names.set(key, entry)
    })
  }

  /** The names taken. */
  list(): InterfaceName[] {
    return [...this.names.values()]
  }

  /** Enter into `loss` the names of rows that were not taken. */
  countLost(batch: FlowBatch, { leftOut }: Loss): void {
    this.each(batch, (key, _exporter, _index, name, field) => {
      const kept = this.names.get(key)
      if (!kept || !Buffer.from(name).equals(kept.name)) leftOut[field]++
    })
  }

  private each(
    batch: FlowBatch,
    take: (key: number, exporter: number, index: number, name: Uint8Array, field: number) => void,
  ): void {
    const pairs = [[ID.inIfName, ID.inIf], [ID.outIfName, ID.outIf]].filter(([field]) => batch.has(field))
    if (pairs.length === 0) return
    const { heap, exporterAddr, shape, shapes } = batch
    for (let row = 0; row < batch.length; row++) {
      const { mask } = shapes[shape[row]]
      const exporter = mask[ID.exporterAddr] && exporterAddr.family[row] === 4 ? exporterAddr.v4[row] : 0
      for (const [field, number] of pairs) {
        if (mask[field] === 0) continue
        const column = batch.column(field) as Uint32Array
        const index = mask[number] ? (batch.column(number) as Uint32Array)[row] : 0
        const name = heap.subarray(column[row * 2], column[row * 2] + column[row * 2 + 1])
        take(keyOf(exporter, index), exporter, index, name, field)
      }
    }
  }
}

function keyOf(exporter: number, index: number): number {
  return exporter * (MAX_INDEX + 1) + index
}
