import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'

/** Rows that a meter may add to a batch that is full. */
const SPARE = 1024

/** Batches of flows on their way from who makes them to who writes them. No row is copied. */
export interface FlowQueue {
  /** Batches that wait to be written. */
  readonly length: number
  /** Whether so many wait that no more should be made. */
  readonly isFull: boolean
  /** A batch without rows, to be filled. */
  empty(): FlowBatch
  /** Hand over a batch with rows. */
  put(batch: FlowBatch): void
  /** Resolves once the queue is not full. */
  room(): Promise<void>
  /** No more batches come. */
  end(): void
  /** What was put, in its order, until the end; a batch goes back to be filled when the next is asked for. */
  take(): AsyncGenerator<FlowBatch>
}

/** A queue of up to `most` batches, beyond which it is full. */
export function flowQueue(most: number): FlowQueue {
  const waiting: FlowBatch[] = []
  const free: FlowBatch[] = []
  let isEnded = false
  let more = Promise.withResolvers<void>()
  let room = Promise.withResolvers<void>()

  async function* take(): AsyncGenerator<FlowBatch> {
    for (;;) {
      const batch = waiting[0]
      if (batch) {
        yield batch
        waiting.shift()
        batch.clear()
        if (free.length < most) free.push(batch)
        room.resolve()
        room = Promise.withResolvers()
      } else if (isEnded) return
      else await more.promise
    }
  }

  function wake(): void {
    more.resolve()
    more = Promise.withResolvers()
  }

  return {
    get length() { return waiting.length },
    get isFull() { return waiting.length >= most },
    empty: () => free.pop() ?? new FlowBatch(BATCH_SIZE + SPARE),
    put(batch) {
      waiting.push(batch)
      wake()
    },
    async room() {
      while (waiting.length >= most) await room.promise
    },
    end() {
      isEnded = true
      wake()
    },
    take,
  }
}
