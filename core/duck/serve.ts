import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { DataChunk, TableFunctionInfo } from '@duckdb/node-bindings'
import type { SqlColumn } from '../flow/sql.ts'
import type { Bindings } from './bindings.ts'
import { WIDTHS } from './columns.ts'
import { openDuck, type Duck } from './duck.ts'
import { ABSENT, ALL_VALID, type Block } from './pack.ts'
import { BUSY, SENT, STOPPED, type Answer, type Delivery, type FeedData, type Order } from './protocol.ts'

/** Rows of DuckDB's vectors. */
const VECTOR_ROWS = 2048
const VALIDITY_BYTES = VECTOR_ROWS / 8

/** The validity of a vector without values. */
const NONE_VALID = new ArrayBuffer(VALIDITY_BYTES)

/** Be the thread of a `Feed`: run statements over the rows it sends, until it is closed. */
export function serveFeed(): void {
  const { settings, port, state } = workerData as FeedData
  const answer = (message: Answer) => parentPort!.postMessage(message)
  const giveBack = (id: number, buffer: ArrayBuffer) => {
    parentPort!.postMessage({ kind: 'free', id, buffer } satisfies Answer, [buffer])
  }
  const opening = openDuck(settings)
  opening.catch(() => {}) // the first statement tells
  let duck: Duck | undefined
  let id = 0
  let columns: readonly SqlColumn[] = []
  let block: Block | undefined
  let at = 0

  /** Wait for what is sent next for this statement. Nothing else happens in this thread meanwhile. */
  function next(): Delivery['content'] {
    for (;;) {
      const seen = Atomics.load(state, SENT)
      if (Atomics.load(state, STOPPED) === 1) return 'abandon'
      const received = receiveMessageOnPort(port) as { message: Delivery } | undefined
      if (!received) {
        Atomics.wait(state, SENT, seen)
        continue
      }
      const { id: to, content } = received.message
      if (to === id) return content
      if (typeof content !== 'string') giveBack(to, content.buffer)
    }
  }

  function settle(): void {
    Atomics.store(state, BUSY, 0)
    Atomics.notify(state, BUSY)
  }

  /** DuckDB's call for the next vectors. */
  function fill(api: Bindings, info: TableFunctionInfo, chunk: DataChunk): void {
    if (!block) {
      const content = next()
      if (content === 'abandon') api.function_set_error(info, 'abandoned')
      if (typeof content === 'string') return api.data_chunk_set_size(chunk, 0)
      block = content
      at = 0
    }
    const rows = Math.min(VECTOR_ROWS, block.rows - at)
    api.data_chunk_set_size(chunk, rows)
    for (const [i, column] of columns.entries()) fillColumn(api, chunk, i, column, block, at, rows)
    at += rows
    if (at < block.rows) return
    giveBack(id, block.buffer)
    block = undefined
  }

  async function open(): Promise<Duck> {
    const opened = await opening
    const { api, connection } = opened
    const table = api.create_table_function()
    api.table_function_set_name(table, 'batches')
    api.table_function_set_bind(table, (info) => {
      for (const { name, type } of columns) {
        api.bind_add_result_column(info, name, api.create_logical_type(api.Type[type]))
      }
    })
    api.table_function_set_init(table, (info) => api.init_set_max_threads(info, 1))
    api.table_function_set_function(table, (info, chunk) => fill(api, info, chunk))
    api.register_table_function(connection, table)
    return opened
  }

  parentPort!.on('message', async (order: Order) => {
    if (order.kind === 'close') {
      parentPort!.close()
      await duck?.close()
      return
    }
    id = order.id
    columns = order.columns
    block = undefined
    try {
      duck ??= await open()
      const rows = await duck.rows(order.sql)
      settle()
      answer({ kind: 'done', id, rows })
    } catch (error) {
      settle()
      answer({ kind: 'failed', id, message: error instanceof Error ? error.message : String(error) })
    }
  })
}

/** Copy rows `at` up to `at + rows` of one column of a block. */
function fillColumn(
  api: Bindings, chunk: DataChunk, i: number, { type }: SqlColumn, block: Block, at: number, rows: number,
): void {
  const vector = api.data_chunk_get_vector(chunk, i)
  const { buffer } = block
  const data = block.data[i]
  const validity = block.validity[i]
  if (data === ABSENT) {
    api.vector_ensure_validity_writable(vector)
    api.copy_data_to_vector_validity(vector, 0, NONE_VALID, 0, VALIDITY_BYTES)
    return
  }
  if (validity !== ALL_VALID) {
    api.vector_ensure_validity_writable(vector)
    api.copy_data_to_vector_validity(vector, 0, buffer, validity + at / 8, Math.ceil(rows / 8))
  }
  if (type !== 'VARCHAR' && type !== 'BLOB') {
    api.copy_data_to_vector(vector, 0, buffer, data + at * WIDTHS[type], rows * WIDTHS[type])
    return
  }
  const pairs = new Uint32Array(buffer, data + at * 8, rows * 2)
  const bits = validity === ALL_VALID ? undefined : new Uint8Array(buffer, validity + at / 8)
  for (let row = 0; row < rows; row++) {
    if (bits && (bits[row >> 3] >> (row & 7) & 1) === 0) continue
    const value = new Uint8Array(buffer, pairs[row * 2], pairs[row * 2 + 1])
    api.vector_assign_string_element_len(vector, row, value)
  }
}
