import { appendRows } from '../flow/append-rows.ts'
import { FlowBatch } from '../flow/batch.ts'
import type { FlowReader } from '../flow/stream.ts'

/**
 * The flows of `reader`, of which more are read while a batch is in use: sending them at a pace is not held up by
 * reading. Who ends it early does not wait for what is being read.
 */
export async function* readAhead(reader: FlowReader): AsyncGenerator<FlowBatch> {
  const iterator = reader[Symbol.asyncIterator]()
  const batch = new FlowBatch()
  try {
    for (let next = iterator.next(); ;) {
      const { done, value } = await next
      if (done === true) return
      batch.clear()
      appendRows(batch, value, 0, value.length)
      next = iterator.next()
      next.catch(() => {}) // it is thrown behind this batch
      yield batch
    }
  } finally {
    void iterator.return?.().catch(() => {})
  }
}
