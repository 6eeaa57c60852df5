import { MessageChannel } from 'node:worker_threads'
import type { FlowBatch } from '../flow/batch.ts'
import type { Field } from '../flow/fields.ts'
import { startWorker } from '../worker.ts'
import { columnsOf } from './columns.ts'
import type { DuckSettings } from './duck.ts'
import { packBlock } from './pack.ts'
import { BUSY, SENT, STOPPED, type Answer, type Delivery, type FeedData, type Order } from './protocol.ts'
import type { SqlValue } from './values.ts'

/** Blocks on their way to DuckDB, of 0.5 or 1 MB: most of a row group, to work on while it compresses. */
const BLOCKS_UNDER_WAY = 12
/** Rows of a block at most. */
const BLOCK_ROWS = 4096
/** Buffers are made in multiples of this many bytes, so that they fit again. */
const BUFFER_UNIT = 2 ** 18

/** A DuckDB in a thread of its own, to which rows are sent. */
export interface Feed {
  /** Begin a statement. One at a time: the one before has ended or was abandoned. */
  run(statement: Statement): Run
  /** End the thread. */
  close(): Promise<void>
}

/** One SQL statement over rows that are sent to it. */
export interface Statement {
  /** The rows are what the table function `batches()` gives. */
  readonly sql: string
  /** What columns it has: those of these fields, and `extra`. */
  readonly fields: readonly Field[]
  readonly extras: boolean
}

/** A statement under way. */
export interface Run {
  /**
   * Send rows `start` up to `end`; the batch may be reused when it resolves, which is when there is room.
   *
   * @throws Error with DuckDB's message once the statement has failed
   */
  send(batch: FlowBatch, start: number, end: number): Promise<void>
  /** There are no more rows. @returns the rows of the result @throws as `send` */
  end(): Promise<SqlValue[][]>
  /** Let the statement fail, and resolve when it has. */
  abandon(): Promise<void>
}

/** ms that the end of the process waits for a statement to stop. */
const STOP_PATIENCE = 5000

/** Start the thread. */
export function openFeed(settings: DuckSettings): Feed {
  const { port1: port, port2 } = new MessageChannel()
  const state = new Int32Array(new SharedArrayBuffer(12))
  const data: FeedData = { settings, port: port2, state }
  const worker = startWorker('core/archive/write-worker', { workerData: data, transferList: [port2] })
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const pool: ArrayBuffer[] = []
  let last = 0
  let hear: (answer: Answer) => void = () => {}
  let broken: Error | undefined
  let breakRun: () => void = () => {}

  worker.on('message', (answer: Answer) => {
    if (answer.kind === 'free') pool.push(answer.buffer)
    hear(answer)
  })
  worker.on('error', (error) => {
    broken = error instanceof Error ? error : new Error(String(error))
    breakRun()
  })
  worker.on('exit', () => {
    broken ??= new Error('Cannot write: the thread of DuckDB has ended')
    Atomics.store(state, BUSY, 0)
    breakRun()
  })

  function take(size: number): ArrayBuffer {
    const found = pool.findLastIndex(({ byteLength }) => byteLength >= size)
    if (found >= 0) return pool.splice(found, 1)[0]
    pool.shift() // the smallest ones make way
    return new ArrayBuffer(Math.max(1, Math.ceil(size / BUFFER_UNIT)) * BUFFER_UNIT)
  }

  function deliver(delivery: Delivery): void {
    const { content } = delivery
    port.postMessage(delivery, typeof content === 'string' ? [] : [content.buffer])
    Atomics.add(state, SENT, 1)
    Atomics.notify(state, SENT)
  }

  // a thread that is ended inside DuckDB's call takes the process down with a crash
  function stop(): void {
    if (Atomics.load(state, BUSY) === 0) return
    Atomics.store(state, STOPPED, 1)
    Atomics.add(state, SENT, 1)
    Atomics.notify(state, SENT)
    Atomics.wait(state, BUSY, 1, STOP_PATIENCE)
  }
  process.on('exit', stop)

  function run({ sql, fields, extras }: Statement): Run {
    const id = ++last
    let underWay = 0
    let ended = false
    let wake: () => void = () => {}
    const result = new Promise<SqlValue[][]>((resolve, reject) => {
      hear = (answer) => {
        if (answer.id !== id) return
        if (answer.kind === 'free') underWay--
        else {
          ended = true
          if (answer.kind === 'done') resolve(answer.rows)
          else reject(new Error(answer.message))
        }
        wake()
      }
      breakRun = () => {
        ended = true
        reject(broken!)
        wake()
      }
    })
    result.catch(() => {}) // whoever sends or ends hears of it
    if (broken) breakRun()
    else {
      Atomics.store(state, BUSY, 1)
      worker.postMessage({ kind: 'run', id, sql, columns: columnsOf(fields, extras) } satisfies Order)
    }

    async function send(batch: FlowBatch, start: number, end: number): Promise<void> {
      for (let at = start; at < end; at += BLOCK_ROWS) {
        while (underWay >= BLOCKS_UNDER_WAY && !ended) {
          await new Promise<void>((resolve) => { wake = resolve })
        }
        if (ended) return void await result // it failed, or wants no more
        underWay++
        deliver({ id, content: packBlock(batch, at, Math.min(end, at + BLOCK_ROWS), fields, extras, take) })
      }
    }
    function end(): Promise<SqlValue[][]> {
      if (!ended) deliver({ id, content: 'end' })
      return result
    }
    async function abandon(): Promise<void> {
      if (!ended) deliver({ id, content: 'abandon' })
      await result.catch(() => {})
    }
    return { send, end, abandon }
  }

  async function close(): Promise<void> {
    if (!broken) worker.postMessage({ kind: 'close' } satisfies Order)
    await exited
    process.off('exit', stop)
  }

  return { run, close }
}
