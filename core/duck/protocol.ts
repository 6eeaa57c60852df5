/** What a `Feed` and its thread say to each other. */
import type { MessagePort } from 'node:worker_threads'
import type { SqlColumn } from '../flow/sql.ts'
import type { DuckSettings } from './duck.ts'
import type { Block } from './pack.ts'
import type { SqlValue } from './values.ts'

/** What the thread is started with. */
export interface FeedData {
  readonly settings: DuckSettings
  /** Where deliveries come from. */
  readonly port: MessagePort
  /** See SENT, STOPPED and BUSY. */
  readonly state: Int32Array<SharedArrayBuffer>
}

/** Places in `state`: deliveries so far; 1 once the process ends; 1 while a statement is under way. */
export const SENT = 0
export const STOPPED = 1
export const BUSY = 2

/** To the thread, as events. */
export type Order =
  | { readonly kind: 'run', readonly id: number, readonly sql: string, readonly columns: SqlColumns }
  | { readonly kind: 'close' }

/** The columns of `batches()`. */
export type SqlColumns = readonly SqlColumn[]

/** To the thread, through `port`: taken from inside DuckDB's call, when no event can arrive. */
export interface Delivery {
  /** The statement it is for. */
  readonly id: number
  readonly content: Block | 'end' | 'abandon'
}

/** From the thread. */
export type Answer =
  | { readonly kind: 'free', readonly id: number, readonly buffer: ArrayBuffer }
  | { readonly kind: 'done', readonly id: number, readonly rows: SqlValue[][] }
  | { readonly kind: 'failed', readonly id: number, readonly message: string }
