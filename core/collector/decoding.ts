import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'
import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import { FlowkitError } from '../flow/errors.ts'
import { datagramDecoder, type DatagramDecoder } from '../netflow/datagram.ts'
import { forgetSession, type Exporters } from '../netflow/exporters.ts'
import { newDatagram } from '../netflow/message.ts'
import type { CounterSample } from '../netflow/sflow/counters.ts'
import { readDatagram } from './datagram-block.ts'
import type { SegmentWriter } from './sink.ts'

/** Drops rows of a batch, and counts them with their exporters. @returns how many */
export type RowFilter = (batch: FlowBatch, exporters: Exporters) => number

/** How datagrams become rows. */
export interface DecodingOptions {
  /** Looked up for each batch, since it may be changed. */
  readonly filter?: RowFilter | undefined
  /** Told of a datagram that could not be decoded. */
  onFault(error: FlowkitError, exporter: string): void
}

/** Rows and counter samples since the beginning. */
export interface DecodingCounts {
  records: number
  filtered: number
  counterSamples: number
}

/** Turns blocks of a spool into batches for writers. */
export interface Decoding {
  readonly decoder: DatagramDecoder
  /** Whether there is a batch to decode into; if not, `onFree` tells when there is one. */
  readonly isFree: boolean
  /**
   * Decode the blocks `bytes[at..end)` until they end, or `count` datagrams, or there is no batch.
   *
   * @returns where it stopped
   */
  decode(bytes: Uint8Array, view: DataView, at: number, end: number, count: number): number
  /** Hand what was decoded so far to the writers. @returns resolved when they have it */
  flush(): Promise<void>
}

/** A batch with less room than this, in rows, goes to the writers: it would grow, and go as two blocks. */
const ROOM = 128
/** Batches that writers may have at a time. */
const BATCHES = 16
/** Counter samples that are handed on together. */
const MAX_SAMPLES = 1024

/**
 * A decoding stage.
 *
 * @param exporters what is known of them
 * @param writers who gets the rows: asked for each batch, since there may be none for a while
 * @param onError told of a writer that failed
 */
export function newDecoding(
  exporters: Exporters, options: DecodingOptions, counts: DecodingCounts,
  writers: () => readonly SegmentWriter[], onError: (writer: SegmentWriter, error: unknown) => void,
  onFree: () => void = () => {},
): Decoding {
  let samples: CounterSample[] = []
  const decoder = datagramDecoder(undefined, {
    exporters, onCounters: (sample) => void samples.push(sample),
  })
  const datagram = newDatagram()
  const free: FlowBatch[] = []
  let made = 0
  let batch: FlowBatch | undefined = takeBatch()
  const underWay = new Set<Promise<void>>()

  function takeBatch(): FlowBatch | undefined {
    return free.pop() ?? (made++ < BATCHES ? new FlowBatch() : undefined)
  }

  function begin(work: Promise<void>): void {
    const done = work.finally(() => underWay.delete(done))
    underWay.add(done)
  }

  async function write(full: FlowBatch): Promise<void> {
    const dropped = options.filter?.(full, exporters) ?? 0
    counts.filtered += dropped
    if (full.length > 0) await toAll((writer) => writer.write(full))
    full.clear()
    free.push(full)
    if (batch) return
    batch = takeBatch()
    onFree()
  }

  async function toAll(task: (writer: SegmentWriter) => Promise<void>): Promise<void> {
    await Promise.all(writers().map((writer) => {
      return task(writer).catch((error: unknown) => onError(writer, error))
    }))
  }

  function handBatch(): void {
    if (!batch || batch.length === 0) return
    counts.records += batch.length
    begin(write(batch))
    batch = takeBatch()
  }

  function handSamples(): void {
    if (samples.length === 0) return
    const taken = samples
    samples = []
    counts.counterSamples += taken.length
    begin(toAll((writer) => writer.writeCounters(taken)))
  }

  return {
    decoder,
    get isFree() { return batch !== undefined },
    decode(bytes, view, at, end, count) {
      for (; batch && at < end && count > 0; count--) {
        const next = readDatagram(bytes, view, at, end, datagram)
        if (next < 0) return end
        at = next
        if (datagram.session && datagram.start === datagram.end) { // its end
          forgetSession(exporters, datagram.family, datagram.v4, datagram.v6, datagram.port)
          continue
        }
        try {
          decoder.decode(datagram, batch)
        } catch (error) {
          if (!(error instanceof FlowkitError)) throw error
          const { family, v4, v6 } = datagram
          options.onFault(error, family === 4 ? formatIpv4(v4) : formatIpv6(v6, 0))
        }
        if (batch.length > BATCH_SIZE - ROOM) handBatch()
        if (samples.length >= MAX_SAMPLES) handSamples()
      }
      return at
    },
    async flush() {
      handBatch()
      handSamples()
      await Promise.all(underWay)
    },
  }
}
