import { BATCH_SIZE, FlowBatch } from './batch.ts'
import { FlowkitError, type ErrorCode } from './errors.ts'
import type { Loss } from './loss.ts'

/** A stream of batches. The reader owns the batch and reuses it: rows are valid until its next step. */
export type FlowReader = AsyncIterable<FlowBatch>

/** Where batches end: a file, an archive, a socket. */
export interface FlowWriter {
  /** Take all rows of `batch`; it may be reused once the promise resolves. */
  write(batch: FlowBatch): Promise<void>
  /** Make what was written durable and visible. */
  close(): Promise<void>
  /** Give up, leaving nothing half-written behind; what `sync` has made durable stays. */
  abort(): Promise<void>
  /** Make what was written so far durable, and go on; only where it is visible at once. */
  sync?(): Promise<void>
  /** What the format had no place for so far; absent: it has one for everything. */
  loss?(): Loss
}

/** Something in the input that could not be read, and was stepped over. */
export interface Fault {
  readonly code: ErrorCode
  /** A sentence without the place: `Cannot decode NetFlow v5 datagram: …`. */
  readonly reason: string
  /** Byte offset in the input where the damage lies, if it has one. */
  readonly offset?: number
}

/** A fault and the input it is in. */
export interface InputFault extends Fault {
  /** As the user named it, or the file found there. */
  readonly input: string
}

/** Turns the bytes of one stream format into rows of any kind. Pure: no I/O, no clock, no logging. */
export interface RowDecoder<Rows> {
  /**
   * Append rows from `bytes`, starting at `at`, until the bytes run out or there are BATCH_SIZE rows.
   *
   * On a record that ends the reading it throws FlowkitError, with those before it already in `rows`.
   *
   * @returns the offset of the first byte not consumed: a record cut short by the end of `bytes` is left
   * alone, and comes back whole in the next call
   */
  decode(bytes: Uint8Array, at: number, rows: Rows): number
  /**
   * The input has ended: append what was waiting.
   *
   * @param rest what `decode` has left alone; unless it is taken here, as a last line without its end, the
   *   input was cut short
   * @returns how many bytes of it were taken, nothing for none
   */
  end?(rows: Rows, rest?: Uint8Array): number | void
}

/** Turns the bytes of one stream format into flows. */
export type FlowDecoder = RowDecoder<FlowBatch>

/** Turns rows into the bytes of one format. Pure, as above. */
export interface FlowEncoder {
  /** The bytes of all rows of `batch`, valid until the next call. */
  encode(batch: FlowBatch): Uint8Array
  /** What ends the output. */
  finish?(): Uint8Array
  /** As `FlowWriter.loss`. */
  loss?(): Loss
}

/** Drive a decoder of flows over chunks of any size. */
export function readFlows(
  source: AsyncIterable<Uint8Array>, decoder: FlowDecoder, batch: FlowBatch = new FlowBatch(),
): FlowReader {
  return readRows(source, decoder, batch, () => batch.clear())
}

/** Drive a decoder over chunks of any size. `rows` and `clear` are those of `rowFeed`. */
export async function* readRows<Rows extends { readonly length: number }>(
  source: AsyncIterable<Uint8Array>, decoder: RowDecoder<Rows>, rows: Rows, clear: () => void,
): AsyncGenerator<Rows> {
  const feed = rowFeed(decoder, rows, clear)
  for await (const chunk of source) yield* feed.take(chunk)
  yield* feed.end()
}

/** Makes rows of chunks as they come. What it gives out is valid until its next step. */
export interface RowFeed<Rows> {
  /** Take the next chunk. Throws what the decoder throws, behind the rows before it. */
  take(chunk: Uint8Array): Generator<Rows>
  /** Give out what rows there are. */
  flush(): Generator<Rows>
  /** The input has ended. Throws FlowkitError ERR_TRUNCATED, behind the last rows, if it was cut short. */
  end(): Generator<Rows>
}

/**
 * Drive a decoder over chunks of any size: the only place that deals with a record split between chunks.
 *
 * @param rows what it fills and what is given out, each time it is full and at the end; `clear` empties it
 */
export function rowFeed<Rows extends { readonly length: number }>(
  decoder: RowDecoder<Rows>, rows: Rows, clear: () => void,
): RowFeed<Rows> {
  let rest: Uint8Array = new Uint8Array(0)
  let room = new Uint8Array(0) // what is left and the next chunk are put together in, again and again
  let offset = 0 // of rest in the input

  function join(chunk: Uint8Array): Uint8Array {
    const size = rest.length + chunk.length
    const place = room.length >= size ? room : new Uint8Array(size + (size >> 2))
    place.set(rest)
    place.set(chunk, rest.length)
    room = place
    return room.subarray(0, size)
  }

  function* take(chunk: Uint8Array): Generator<Rows> {
    const bytes = rest.length === 0 ? chunk : join(chunk)
    let at = 0
    for (;;) {
      try {
        at = decoder.decode(bytes, at, rows)
      } catch (error) {
        if (rows.length > 0) yield rows // what came before the bad record is still good
        throw error
      }
      if (rows.length < BATCH_SIZE) break // the bytes ran out first
      yield rows
      clear()
    }
    rest = bytes.subarray(at)
    offset += at
  }

  function* flush(): Generator<Rows> {
    if (rows.length === 0) return
    yield rows
    clear()
  }

  function* end(): Generator<Rows> {
    let failure: unknown
    let taken = 0
    try {
      taken = decoder.end?.(rows, rest) ?? 0
    } catch (error) {
      failure = error
    }
    if (rows.length > 0) yield rows
    if (rest.length > taken) {
      const found = `the input ends ${rest.length} bytes into it`
      throw new FlowkitError('ERR_TRUNCATED', `Cannot read the record at byte ${offset}: ${found}`)
    }
    if (failure !== undefined) throw failure
  }

  return { take, flush, end }
}
