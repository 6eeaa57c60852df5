import type { AddressColumn } from '../../flow/address.ts'
import { FlowBatch, isAddress } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { makeShape } from '../../flow/shape.ts'
import { makePlan } from '../plan.ts'
import { V8_SCHEMES } from '../v8.ts'

/** Takes aggregated rows; they are valid during the call. */
export type TakeRows = (rows: FlowBatch) => void

/** Aggregates flows by the keys of a scheme of NetFlow v8, in bounded memory. */
export interface Aggregator {
  /** Fields of the scheme. */
  readonly fields: readonly number[]
  /**
   * Add the rows of `batch` to the table, and give it out whenever it is full.
   *
   * @param added counts the rows of each shape, by its index; the others are left out, because the scheme has
   * addresses and theirs are IPv6
   */
  add(batch: FlowBatch, added: Uint32Array, take: TakeRows): void
  /** Give the table out, and begin anew. */
  flush(take: TakeRows): void
}

/** Rows a table holds: with keys and slots about 7 MB. */
const MAX_ROWS = 65_536
const SLOTS = MAX_ROWS * 2

/** Fields that are summed or widened; the other fields of a scheme are its key. */
const SUMS = [ID.flows, ID.packets, ID.bytes, ID.extraPackets]
const TIMES = [ID.flowStart, ID.flowEnd]
const PREFIX_LENGTHS = new Map([[ID.srcAddr, ID.srcMask], [ID.dstAddr, ID.dstMask]])

/**
 * An aggregator of scheme `scheme`, 1 to 14.
 *
 * What has the same key becomes one row: flows, packets and bytes are summed, the first start and the last end
 * hold. The key is every other field of the scheme, 0 where a flow lacks it. Schemes with prefix lengths have
 * prefixes for addresses; an address whose length is not known is a prefix of 32 bits. Rows are said to be `received`
 * when the last flow was, which is when a router would export them.
 *
 * Source: Cisco's "NetFlow Aggregation" (router-based schemes 1 to 5 and 9 to 14, Catalyst schemes 6 to 8).
 */
export function aggregator(scheme: number): Aggregator {
  const { steps } = makePlan(V8_SCHEMES[scheme].layout, { extras: false }, true)
  const fields = steps.filter(({ index }) => index >= 0).map(({ field }) => field)
  const keys = fields.filter((id) => !SUMS.includes(id) && !TIMES.includes(id))
  const sums = SUMS.filter((id) => fields.includes(id))
  const addresses = keys.filter((id) => id === ID.srcAddr || id === ID.dstAddr)
  const width = keys.length
  const shape = makeShape([...fields, ID.aggregation, ID.received], 3)
  const table = new FlowBatch(MAX_ROWS)
  const tableKeys = new Uint32Array(MAX_ROWS * width)
  const slots = new Uint32Array(SLOTS) // row + 1, or 0
  const keyColumns = keys.map((id) => keyColumn(table, id))
  const totals = sums.map((id) => table.column(id) as Float64Array)
  const { flowStart, flowEnd } = table
  let batchKeys = new Uint32Array(0)
  let skipped = new Uint8Array(0)
  let latest = 0 // µs

  /** Find the row of the key at `batchKeys[at]`, or make it. */
  function rowOf(at: number): number {
    let hash = 0
    for (let i = at; i < at + width; i++) {
      hash = Math.imul(hash ^ batchKeys[i], 0x9e3779b1)
      hash ^= hash >>> 15
    }
    for (let slot = hash & SLOTS - 1; ; slot = slot + 1 & SLOTS - 1) {
      const row = slots[slot] - 1
      if (row < 0) {
        slots[slot] = table.length + 1
        return newRow(at)
      }
      let i = 0
      while (i < width && tableKeys[row * width + i] === batchKeys[at + i]) i++
      if (i === width) return row
    }
  }

  function newRow(at: number): number {
    const row = table.length++
    table.shape[row] = table.intern(shape)
    table.aggregation[row] = scheme
    for (let i = 0; i < width; i++) keyColumns[i][row] = tableKeys[row * width + i] = batchKeys[at + i]
    for (let i = 0; i < totals.length; i++) totals[i][row] = 0
    flowStart[row] = Infinity
    flowEnd[row] = -Infinity
    return row
  }

  function flush(take: TakeRows): void {
    if (table.length === 0) return
    table.received.fill(latest, 0, table.length)
    take(table)
    table.clear()
    slots.fill(0)
    latest = 0
  }

  function prepare(batch: FlowBatch): void {
    const { length, capacity, shape } = batch
    if (skipped.length < length) {
      skipped = new Uint8Array(capacity)
      batchKeys = new Uint32Array(capacity * width)
    }
    for (const [i, id] of keys.entries()) {
      const isPrefix = keys.includes(PREFIX_LENGTHS.get(id) ?? -1)
      readKey(batch, id, batchKeys, i, width, isPrefix)
    }
    skipped.fill(0)
    for (const id of addresses) {
      const { family } = batch.column(id) as AddressColumn
      const present = batch.present(id)
      for (let row = 0; row < length; row++) if (family[row] === 6 && present[shape[row]] === 1) skipped[row] = 1
    }
  }

  return {
    fields, flush,
    add(batch, added, take) {
      prepare(batch)
      const { length, shape, shapes, received } = batch
      const counters = sums.map((id) => batch.column(id) as Float64Array)
      for (let row = 0; row < length; row++) {
        if (skipped[row] === 1) continue
        added[shape[row]]++
        if (table.length === MAX_ROWS) flush(take)
        const to = rowOf(row * width)
        const { mask } = shapes[shape[row]]
        for (let i = 0; i < sums.length; i++) {
          if (mask[sums[i]] === 1) totals[i][to] += counters[i][row]
          else if (sums[i] === ID.flows) totals[i][to]++
        }
        const came = mask[ID.received] ? received[row] : 0
        const end = mask[ID.flowEnd] ? batch.flowEnd[row] : mask[ID.flowStart] ? batch.flowStart[row] : came
        const start = mask[ID.flowStart] ? batch.flowStart[row] : end
        if (start < flowStart[to]) flowStart[to] = start
        if (end > flowEnd[to]) flowEnd[to] = end
        latest = Math.max(latest, end, came)
      }
    },
  }
}

/** The numbers of a key field; addresses are IPv4. */
function keyColumn(table: FlowBatch, id: number): Uint8Array | Uint16Array | Uint32Array {
  const column = table.column(id)
  if (!isAddress(column)) return column as Uint32Array
  column.family.fill(4)
  return column.v4
}

/** Put the values of field `id` of all rows into every `width`th place of `into`, from `at` on. */
function readKey(
  batch: FlowBatch, id: number, into: Uint32Array, at: number, width: number, isPrefix: boolean,
): void {
  const { length, shape } = batch
  const present = batch.present(id)
  const column = batch.column(id)
  const values = isAddress(column) ? column.v4 : column as Uint32Array
  const absent = id === ID.srcMask || id === ID.dstMask ? 32 : 0
  for (let row = 0; row < length; row++, at += width) into[at] = present[shape[row]] === 1 ? values[row] : absent
  if (!isPrefix) return
  at -= length * width
  const maskId = PREFIX_LENGTHS.get(id)!
  const bits = batch.column(maskId) as Uint8Array
  const hasBits = batch.present(maskId)
  for (let row = 0; row < length; row++, at += width) {
    const size = hasBits[shape[row]] === 1 ? Math.min(bits[row], 32) : 32
    into[at] = size === 0 ? 0 : into[at] & -1 << 32 - size
  }
}
