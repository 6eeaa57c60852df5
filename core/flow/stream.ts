import { BATCH_SIZE, FlowBatch } from './batch.ts'
import { FlowkitError, type ErrorCode } from './errors.ts'

/** A stream of batches. The reader owns the batch and reuses it: rows are valid until its next step. */
export type FlowReader = AsyncIterable<FlowBatch>

/** Where batches end: a file, an archive, a socket. */
export interface FlowWriter {
  /** Take all rows of `batch`; it may be reused once the promise resolves. */
  write(batch: FlowBatch): Promise<void>
  /** Make what was written durable and visible. */
  close(): Promise<void>
  /** Give up, leaving nothing half-written behind. */
  abort(): Promise<void>
}

/** Something in the input that could not be read, and was stepped over. */
export interface Fault {
  readonly code: ErrorCode
  /** A sentence without the place: `Cannot decode NetFlow v5 datagram: …`. */
  readonly reason: string
  /** Byte offset in the input where the damage lies, if it has one. */
  readonly offset?: number
}

/** Turns the bytes of one stream format into rows. Pure: no I/O, no clock, no logging. */
export interface FlowDecoder {
  /**
   * Append flows from `bytes`, starting at `at`, until the bytes run out or the batch holds BATCH_SIZE rows.
   *
   * On a record that ends the reading it throws FlowkitError, with the records before it already in `batch`.
   *
   * @returns the offset of the first byte not consumed: a record cut short by the end of `bytes` is left
   * alone, and comes back whole in the next call
   */
  decode(bytes: Uint8Array, at: number, batch: FlowBatch): number
  /** The input has ended: append what was waiting. */
  end?(batch: FlowBatch): void
}

/** Turns rows into the bytes of one format. Pure, as above. */
export interface FlowEncoder {
  /** The bytes of all rows of `batch`, valid until the next call. */
  encode(batch: FlowBatch): Uint8Array
  /** What ends the output. */
  finish?(): Uint8Array
}

/** Drive a decoder over chunks of any size: the only place that deals with a record split between chunks. */
export async function* readFlows(
  source: AsyncIterable<Uint8Array>, decoder: FlowDecoder, batch: FlowBatch = new FlowBatch(),
): FlowReader {
  let rest: Uint8Array = new Uint8Array(0)
  let offset = 0 // of rest in the input
  for await (const chunk of source) {
    const bytes = rest.length === 0 ? chunk : concat(rest, chunk)
    let at = 0
    for (;;) {
      try {
        at = decoder.decode(bytes, at, batch)
      } catch (error) {
        if (batch.length > 0) yield batch // what came before the bad record is still good
        throw error
      }
      if (batch.length < BATCH_SIZE) break // the bytes ran out first
      yield batch
      batch.clear()
    }
    rest = bytes.subarray(at)
    offset += at
  }
  let failure: unknown
  try {
    decoder.end?.(batch)
  } catch (error) {
    failure = error
  }
  if (batch.length > 0) yield batch
  if (rest.length > 0) {
    const found = `the input ends ${rest.length} bytes into it`
    throw new FlowkitError('ERR_TRUNCATED', `Cannot read the record at byte ${offset}: ${found}`)
  }
  if (failure !== undefined) throw failure
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
