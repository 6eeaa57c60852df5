import { furtherName } from '../core/archive/file-names.ts'
import { rowTimes } from '../core/archive/hours.ts'
import { BATCH_SIZE, FlowBatch } from '../core/flow/batch.ts'
import { addLoss, newLoss } from '../core/flow/loss.ts'
import type { FlowWriter } from '../core/flow/stream.ts'

/** How flows are split. */
export interface SplitOptions {
  /** µs of flows that go into one file. */
  readonly length: number
  /** What the file of flows from `start` (µs) on is called. */
  nameOf(start: number): string
  open(name: string): Promise<FlowWriter>
  /** Remove what was written and closed. */
  remove(name: string): Promise<void>
  /** Whether a name is that of something else already, so that another is taken. */
  isTaken?(name: string): boolean
}

/** A writer of several files, of which those that are open can be finished at any time. */
export interface SplitWriter extends FlowWriter {
  /** Names of the files that are not finished, or were since the last `rotate`. */
  names(): string[]
  /** Finish all files that are open; `abort` does not remove them any more. */
  rotate(): Promise<void>
}

/** Files that are open at a time. */
const MOST_OPEN = 64

/** A file that takes the flows of a time. */
interface Part {
  readonly name: string
  readonly writer: FlowWriter
  /** Rows of the batch at hand. */
  readonly rows: FlowBatch
}

/**
 * A writer of one file for each length of time, by when flows were received, or failing that began.
 *
 * Flows whose file is closed already, since there were many at a time, go into another of that time, `NAME-2`.
 */
export function splitWriter({ length, nameOf, open, remove, isTaken }: SplitOptions): SplitWriter {
  const parts = new Map<number, Part>() // by slot, the one opened first in front
  const counts = new Map<number, number>() // by slot, how many files it has had
  const closed: string[] = []
  const lost = newLoss()
  let slots = new Float64Array(BATCH_SIZE)

  async function partOf(slot: number): Promise<Part> {
    const found = parts.get(slot)
    if (found) return found
    if (parts.size >= MOST_OPEN) await closeFirst()
    const first = nameOf(slot * length)
    let count = (counts.get(slot) ?? 0) + 1
    while (isTaken?.(furtherName(first, count))) count++
    const name = furtherName(first, count)
    const part = { name, writer: await open(name), rows: new FlowBatch(256) }
    counts.set(slot, count)
    parts.set(slot, part)
    return part
  }

  async function flush({ writer, rows }: Part): Promise<void> {
    if (rows.length > 0) await writer.write(rows)
    rows.clear()
  }

  async function closeFirst(): Promise<void> {
    const [slot, part] = parts.entries().next().value!
    await flush(part)
    parts.delete(slot)
    if (part.writer.loss) addLoss(lost, part.writer.loss())
    await part.writer.close()
    closed.push(part.name)
  }

  return {
    async write(batch) {
      if (slots.length < batch.length) slots = new Float64Array(batch.capacity)
      rowTimes(batch, 0, slots)
      let isOne = batch.length > 0
      for (let row = 0; row < batch.length; row++) {
        slots[row] = Math.floor(slots[row] / length)
        isOne &&= slots[row] === slots[0]
      }
      if (isOne) return (await partOf(slots[0])).writer.write(batch)
      for (let row = 0; row < batch.length; row++) (await partOf(slots[row])).rows.append(batch, row)
      for (const part of parts.values()) await flush(part)
    },
    names: () => [...closed, ...parts.values().map(({ name }) => name)],
    async rotate() {
      while (parts.size > 0) await closeFirst()
      closed.length = 0
    },
    async close() {
      while (parts.size > 0) await closeFirst()
    },
    async abort() {
      for (const { writer } of parts.values()) await writer.abort()
      parts.clear()
      for (const name of closed.splice(0)) await remove(name)
    },
    loss() {
      const sum = addLoss(newLoss(), lost)
      for (const { writer } of parts.values()) if (writer.loss) addLoss(sum, writer.loss())
      return sum
    },
  }
}
