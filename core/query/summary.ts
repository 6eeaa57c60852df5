import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { FLOW_TYPES } from '../flow/names.ts'

/** Counts of the flows that have gone by. */
export interface Summary {
  records: number
  /** Flows the records stand for. */
  flows: number
  bytes: number
  packets: number
  /** µs since the epoch; Infinity and -Infinity before the first flow with a time. */
  firstSeen: number
  lastSeen: number
  /** Records by exporter address and by protocol that carried them. */
  readonly exporters: Map<string, number>
  readonly types: Map<string, number>
}

/** Exporters told apart; the others are counted as one. */
const MAX_EXPORTERS = 10_000
const OTHERS = 'others'

/** A summary of no flows. */
export function newSummary(): Summary {
  return {
    records: 0, flows: 0, bytes: 0, packets: 0, firstSeen: Infinity, lastSeen: -Infinity,
    exporters: new Map(), types: new Map(),
  }
}

/** Add the rows of a batch to a summary. */
export function addToSummary(summary: Summary, batch: FlowBatch): void {
  const { length } = batch
  summary.records += length
  summary.bytes += sum(batch, ID.bytes, 0)
  summary.packets += sum(batch, ID.packets, 0)
  summary.flows += sum(batch, ID.flows, 1)
  summary.firstSeen = extreme(batch, ID.flowStart, Math.min, summary.firstSeen)
  summary.lastSeen = extreme(batch, ID.flowEnd, Math.max, summary.lastSeen)
  countExporters(summary.exporters, batch)
  countTypes(summary.types, batch)
}

/** The sum of a field; rows without it count as `absent`. */
function sum(batch: FlowBatch, id: number, absent: number): number {
  const { length, shape } = batch
  if (!batch.has(id)) return absent * length
  const present = batch.present(id)
  const column = batch.column(id) as Float64Array
  let total = 0
  for (let row = 0; row < length; row++) total += present[shape[row]] ? column[row] : absent
  return total
}

/** The smallest or largest value of a field, and of `best`. */
function extreme(
  batch: FlowBatch, id: number, better: (a: number, b: number) => number, best: number,
): number {
  if (!batch.has(id)) return best
  const present = batch.present(id)
  const { length, shape } = batch
  const column = batch.column(id) as Float64Array
  for (let row = 0; row < length; row++) if (present[shape[row]]) best = better(best, column[row])
  return best
}

function countExporters(counts: Map<string, number>, batch: FlowBatch): void {
  if (!batch.has(ID.exporterAddr)) return
  const present = batch.present(ID.exporterAddr)
  const { length, shape } = batch
  const { family, v4, v6 } = batch.exporterAddr
  // rows of one exporter come in runs, a datagram each
  for (let row = 0; row < length;) {
    const first = row++
    if (!present[shape[first]]) continue
    while (row < length && present[shape[row]] && family[row] === family[first] && v4[row] === v4[first] &&
      (family[row] === 4 || sameV6(v6, row, first))) row++
    const name = family[first] === 6 ? formatIpv6(v6, first * 16) : formatIpv4(v4[first])
    add(counts, counts.has(name) || counts.size < MAX_EXPORTERS ? name : OTHERS, row - first)
  }
}

function countTypes(counts: Map<string, number>, batch: FlowBatch): void {
  if (!batch.has(ID.type)) return
  const present = batch.present(ID.type)
  const { length, shape, type } = batch
  const byType = new Uint32Array(256)
  for (let row = 0; row < length; row++) if (present[shape[row]]) byType[type[row]]++
  for (const [value, count] of byType.entries()) {
    if (count > 0) add(counts, FLOW_TYPES[value] ?? `type ${value}`, count)
  }
}

function add(counts: Map<string, number>, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count)
}

function sameV6(v6: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < 16; i++) if (v6[a * 16 + i] !== v6[b * 16 + i]) return false
  return true
}
