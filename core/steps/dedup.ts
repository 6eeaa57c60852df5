import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import type { FlowReader } from '../flow/stream.ts'
import { flowKeys, flowSpans } from './flow-key.ts'
import type { FlowStep } from './step.ts'

/** What is remembered of a conversation in one direction. */
interface Seen {
  /** Who reported it first: only its records count. */
  readonly exporter: string
  /** From when to when it reported it, µs. */
  start: number
  end: number
  /** Its latest records: one that says the same again says nothing. */
  readonly records: Set<string>
}

/** Conversations that are remembered. */
const MOST_SEEN = 1 << 19
/** Records of each that are. */
const MOST_RECORDS = 64
/** µs by which clocks and timeouts of exporters may differ. */
const TOLERANCE = 15e6

/**
 * Remove flows that were reported more than once: by another exporter than the first that reported the
 * conversation, while that one reports it too; or twice by the same, in all that they say.
 *
 * Half a million conversations are remembered, those of which nothing was heard the longest are forgotten.
 */
export function deduplicator(): FlowStep {
  const counts = new Map<string, number>()
  let recent = new Map<string, Seen>()
  let older = new Map<string, Seen>()

  function find(key: string): Seen | undefined {
    const seen = recent.get(key)
    if (seen) return seen
    const old = older.get(key)
    if (old) remember(key, old)
    return old
  }

  function remember(key: string, seen: Seen): void {
    if (recent.size >= MOST_SEEN / 2) {
      older = recent
      recent = new Map()
    }
    recent.set(key, seen)
  }

  async function* run(reader: FlowReader): FlowReader {
    let kept = new Uint8Array(0)
    for await (const batch of reader) {
      if (kept.length < batch.length) kept = new Uint8Array(batch.capacity)
      const keys = flowKeys(batch)
      const spans = flowSpans(batch)
      for (let row = 0; row < batch.length; row++) {
        const key = keys.forward(row)
        kept[row] = 1
        if (key === undefined) continue
        const exporter = keys.exporter(row)
        const start = spans.start(row)
        const end = spans.end(row)
        const record = recordOf(batch, row, start, end)
        const seen = find(key)
        const isNear = seen !== undefined && start <= seen.end + TOLERANCE && end >= seen.start - TOLERANCE
        if (seen?.exporter === exporter) {
          if (seen.records.has(record)) {
            kept[row] = 0
            count('repeated flows removed')
            continue
          }
          if (seen.records.size >= MOST_RECORDS) seen.records.delete(seen.records.values().next().value!)
          seen.records.add(record)
          seen.start = isNear ? Math.min(seen.start, start) : start
          seen.end = isNear ? Math.max(seen.end, end) : end
        } else if (isNear) {
          kept[row] = 0
          count(removedOf(batch, row))
        } else remember(key, { exporter, start, end, records: new Set([record]) })
      }
      batch.keep(kept)
      if (batch.length > 0) yield batch
    }
  }

  function count(what: string): void {
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }

  return { run, counts }
}

/** What tells one record of a conversation from the next. */
function recordOf(batch: FlowBatch, row: number, start: number, end: number): string {
  const { bytes, packets, inIf, outIf, direction, sequenceNum, shape, shapes } = batch
  const { mask } = shapes[shape[row]]
  const of = (id: number, column: ArrayLike<number>) => mask[id] === 1 ? column[row] : ''
  return [
    start, end, of(ID.bytes, bytes), of(ID.packets, packets), of(ID.inIf, inIf), of(ID.outIf, outIf),
    of(ID.direction, direction), of(ID.sequenceNum, sequenceNum),
  ].join()
}

function removedOf({ exporterAddr: { family, v4, v6 }, shape, shapes }: FlowBatch, row: number): string {
  if (shapes[shape[row]].mask[ID.exporterAddr] === 0) return 'flows removed that others reported too'
  const address = family[row] === 4 ? formatIpv4(v4[row]) : formatIpv6(v6, row * 16)
  return `flows of ${address} removed that others reported too`
}
