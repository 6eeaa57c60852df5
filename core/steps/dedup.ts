import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import type { FlowReader } from '../flow/stream.ts'
import { flowKeys, flowSpans, KEY_WORDS } from './flow-key.ts'
import { RecentTable } from './recent-table.ts'
import type { FlowStep } from './step.ts'

/** µs by which clocks and timeouts of exporters may differ. */
const TOLERANCE = 15e6
/** Numbers that are remembered of a conversation: */
const CONVERSATION = 3
/** the number of who reported it first, whose records alone count, */
const EXPORTER = 0
/** and from when to when it reported it, µs. */
const START = 1
const END = 2

/**
 * Remove flows that were reported more than once: by another exporter than the first that reported the
 * conversation, while that one reports it too; or twice by the same, in all that they say.
 *
 * A quarter of a million conversations at least are remembered, and as many records; those of which nothing
 * was heard the longest are forgotten.
 */
export function deduplicator(): FlowStep {
  const counts = new Map<string, number>()
  const conversations = new RecentTable(CONVERSATION)
  const records = new RecentTable(0)
  const exporters = new Map<string, number>()
  const hash = new Hash()

  function count(what: string): void {
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }

  function numberOf(exporter: string): number {
    let number = exporters.get(exporter)
    if (number === undefined) exporters.set(exporter, number = exporters.size)
    return number
  }

  /** Whether the exporter has said the same of the conversation before. */
  function isRepeated(batch: FlowBatch, row: number, exporter: number, start: number, end: number): boolean {
    putRecord(hash.record, batch, row, exporter, start, end)
    hash.make(hash.words.length)
    if (records.find(hash.high, hash.low) >= 0) return true
    records.add(hash.high, hash.low)
    return false
  }

  async function* run(reader: FlowReader): FlowReader {
    let kept = new Uint8Array(0)
    for await (const batch of reader) {
      if (kept.length < batch.length) kept = new Uint8Array(batch.capacity)
      const keys = flowKeys(batch)
      const spans = flowSpans(batch)
      for (let row = 0; row < batch.length; row++) {
        kept[row] = 1
        if (!keys.forwardWords(row, hash.words)) continue
        const exporter = numberOf(keys.exporter(row))
        const start = spans.start(row)
        const end = spans.end(row)
        hash.make(KEY_WORDS)
        let at = conversations.find(hash.high, hash.low)
        if (at < 0) {
          at = conversations.add(hash.high, hash.low)
          remember(conversations.values, at, exporter, start, end)
        }
        const { values } = conversations
        const isNear = start <= values[at + END] + TOLERANCE && end >= values[at + START] - TOLERANCE
        if (isNear && values[at + EXPORTER] !== exporter) {
          kept[row] = 0
          count(removedOf(batch, row))
        } else if (isRepeated(batch, row, exporter, start, end)) {
          kept[row] = 0
          count('repeated flows removed')
        } else {
          const from = isNear ? Math.min(values[at + START], start) : start
          remember(values, at, exporter, from, isNear ? Math.max(values[at + END], end) : end)
        }
      }
      batch.keep(kept)
      if (batch.length > 0) yield batch
    }
  }

  return { run, counts }
}

function remember(values: Float64Array, at: number, exporter: number, start: number, end: number): void {
  values[at + EXPORTER] = exporter
  values[at + START] = start
  values[at + END] = end
}

/** Numbers that tell one record of a conversation from the next. */
const RECORD = 9

/** Makes hashes of 64 bits of the words of a conversation's key, and of what a record of it says. */
class Hash {
  /** Those of the key, and behind it of the record. */
  readonly words: Uint32Array = new Uint32Array(KEY_WORDS + RECORD * 2)
  readonly record: Float64Array = new Float64Array(this.words.buffer, KEY_WORDS * 4, RECORD)
  private readonly seeds: Uint32Array = crypto.getRandomValues(new Uint32Array(2))
  high: number = 0
  low: number = 0

  /** Make `high` and `low`, never 0, of so many words by MurmurHash3's rounds with two sets of factors. */
  make(length: number): void {
    const { words } = this
    let [a, b] = this.seeds
    for (let i = 0; i < length; i++) {
      const word = words[i]
      a ^= Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593)
      a = Math.imul(rotate(a, 13), 5) + 0xe6546b64 | 0
      b ^= Math.imul(rotate(Math.imul(word, 0x239b961b), 17), 0xab0e9789)
      b = Math.imul(rotate(b, 19), 5) + 0x561ccd1b | 0
    }
    this.high = finish(a)
    this.low = finish(b) || 1
  }
}

function rotate(word: number, bits: number): number {
  return word << bits | word >>> 32 - bits
}

function finish(word: number): number {
  word = Math.imul(word ^ word >>> 16, 0x85ebca6b)
  word = Math.imul(word ^ word >>> 13, 0xc2b2ae35)
  return (word ^ word >>> 16) >>> 0
}

function putRecord(
  record: Float64Array, batch: FlowBatch, row: number, exporter: number, start: number, end: number,
): void {
  const { bytes, packets, inIf, outIf, direction, sequenceNum, shape, shapes } = batch
  const { mask } = shapes[shape[row]]
  record[0] = exporter
  record[1] = start
  record[2] = end
  record[3] = mask[ID.bytes] === 1 ? bytes[row] : -1
  record[4] = mask[ID.packets] === 1 ? packets[row] : -1
  record[5] = mask[ID.inIf] === 1 ? inIf[row] : -1
  record[6] = mask[ID.outIf] === 1 ? outIf[row] : -1
  record[7] = mask[ID.direction] === 1 ? direction[row] : -1
  record[8] = mask[ID.sequenceNum] === 1 ? sequenceNum[row] : -1
}

function removedOf({ exporterAddr: { family, v4, v6 }, shape, shapes }: FlowBatch, row: number): string {
  if (shapes[shape[row]].mask[ID.exporterAddr] === 0) return 'flows removed that others reported too'
  const address = family[row] === 4 ? formatIpv4(v4[row]) : formatIpv6(v6, row * 16)
  return `flows of ${address} removed that others reported too`
}
