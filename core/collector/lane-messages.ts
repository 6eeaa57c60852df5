/** What the main thread and the lanes of a collector say to each other. */
import type { ListenAt } from '../net/endpoint.ts'
import type { PackedError } from '../packed-error.ts'
import type { CollectorReport } from './report.ts'
import type { SegmentNaming } from '../spool/spool.ts'

/** What a lane begins with. */
export interface LaneData<Task> {
  /** Which it is, from 0 on, and how many there are. */
  readonly lane: number
  readonly lanes: number
  /** Its sockets, which are open. */
  readonly listen: readonly ListenAt[]
  /** The folder of its spool, and how its segments are named. */
  readonly spool: string
  readonly naming: SegmentNaming
  readonly task: Task
}

/** What a lane is told. */
export type LaneOrder<Task> =
  /** Snapshots of what former collectors knew; once, after the beginning. */
  | { readonly kind: 'inherit', readonly states: readonly Uint8Array[] }
  /** A socket that it has asked about has something. */
  | { readonly kind: 'readable', readonly fd: number }
  | { readonly kind: 'configure', readonly task: Task }
  | { readonly kind: 'rotate', readonly now: number }
  | { readonly kind: 'report', readonly id: number }
  /** Say that you are alive. */
  | { readonly kind: 'pulse', readonly id: number }
  | { readonly kind: 'stop' }

/** What a lane says. */
export type LaneAnswer =
  | { readonly kind: 'started' }
  /** It could not start, and ends. */
  | { readonly kind: 'failed', readonly error: PackedError }
  /** It waits for something to come by a socket. */
  | { readonly kind: 'watch', readonly fd: number }
  /** What it was to inherit is its own now, and durable; or is not. */
  | { readonly kind: 'inherited', readonly isKept: boolean }
  | { readonly kind: 'fault', readonly exporter: string, readonly reason: string, readonly detail?: string }
  | {
    readonly kind: 'file', readonly path: string, readonly rows: number,
    readonly leftOut: readonly string[] | undefined,
  }
  | { readonly kind: 'recovered', readonly segments: number }
  | { readonly kind: 'report', readonly id: number, readonly report: CollectorReport }
  | { readonly kind: 'pulse', readonly id: number }
  /** It has ended; so many faults were not told. */
  | { readonly kind: 'stopped', readonly report: CollectorReport, readonly silent: number }
