import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'
import { formatIpv4, formatIpv6 } from '../flow/address.ts'
import { FlowkitError } from '../flow/errors.ts'
import { datagramDecoder } from '../netflow/datagram.ts'
import { addressKey, forgetSession, type Exporters } from '../netflow/exporters.ts'
import { newDatagram, type Datagram } from '../netflow/message.ts'
import type { CounterSample } from '../netflow/sflow/counters.ts'
import { readDatagram } from '../spool/datagram-block.ts'

/** Drops rows of a batch, counts them with their exporters, and may mark the others. @returns how many */
export type RowFilter = (batch: FlowBatch, exporters: Exporters) => number

/** How datagrams become rows. */
export interface DecodingOptions {
  /** Looked up for each batch, since it may be changed. */
  readonly filter?: RowFilter | undefined
  /** Told of a datagram that could not be decoded. */
  onFault(error: FlowkitError, exporter: string): void
  /** Keeps a datagram that shows a bug of flowkit, to be looked into. @returns where; undefined: nowhere */
  keep?(datagram: Readonly<Datagram>): string | undefined
}

/** Rows and counter samples since the beginning: decoded, and of the rows those that the filter left out. */
export interface DecodingCounts {
  records: number
  filtered: number
  counterSamples: number
}

/** Takes what was decoded; how it fails is its own affair. */
export interface Taker {
  /**
   * Take the rows of a batch.
   *
   * @returns whether the batch may be used again; otherwise nobody knows when it will be let go of
   */
  write(batch: FlowBatch): Promise<boolean>
  writeCounters(samples: readonly CounterSample[]): Promise<unknown>
}

/** Turns blocks of a spool into batches. */
export interface Decoding {
  /** Whether there is room for what is decoded; if not, `onFree` tells when there is. */
  readonly isFree: boolean
  /**
   * Decode the blocks `bytes[at..end)` until they end, or `count` datagrams, or there is no room.
   *
   * @returns where it stopped
   */
  decode(bytes: Uint8Array, view: DataView, at: number, end: number, count: number): number
  /** Hand on what was decoded so far: at once, in this call. @returns resolved when all have taken it */
  flush(): Promise<void>
}

/** A batch with less room than this, in rows, is handed on: it would grow, and go as two blocks. */
const ROOM = 128
/** Batches that takers may have at a time. */
const BATCHES = 16
/** Counter samples that are handed on together, and how often that may be so at a time. */
const MAX_SAMPLES = 1024
const HANDFULS = 16

/**
 * A decoding stage.
 *
 * @param exporters what is known of them
 * @param takers each gets everything, in order
 */
export function newDecoding(
  exporters: Exporters, options: DecodingOptions, counts: DecodingCounts, takers: readonly Taker[],
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
  let handfuls = 0 // of samples, that are not taken yet
  const underWay = new Set<Promise<void>>()

  function takeBatch(): FlowBatch | undefined {
    if (free.length > 0 || made === BATCHES) return free.pop()
    made++
    return new FlowBatch()
  }

  function hasRoom(): boolean {
    return batch !== undefined && handfuls < HANDFULS
  }

  function begin(work: Promise<void>): void {
    const done = work.finally(() => {
      underWay.delete(done)
      onFree()
    })
    underWay.add(done)
  }

  async function write(full: FlowBatch): Promise<void> {
    counts.filtered += options.filter?.(full, exporters) ?? 0
    const taken = full.length > 0 ? await Promise.all(takers.map((taker) => taker.write(full))) : []
    if (taken.includes(false)) made-- // another takes its place
    else {
      full.clear()
      free.push(full)
    }
    batch ??= takeBatch()
  }

  function handBatch(): void {
    if (!batch || batch.length === 0) return
    begin(write(batch))
    batch = takeBatch()
  }

  async function writeSamples(taken: readonly CounterSample[]): Promise<void> {
    handfuls++
    await Promise.all(takers.map((taker) => taker.writeCounters(taken)))
    handfuls--
  }

  function handSamples(): void {
    if (samples.length === 0) return
    begin(writeSamples(samples))
    samples = []
  }

  function decodeOne(into: FlowBatch): void {
    const before = into.length
    const samplesBefore = samples.length
    try {
      decoder.decode(datagram, into)
    } catch (error) {
      note(error)
    }
    counts.records += into.length - before
    counts.counterSamples += samples.length - samplesBefore
  }

  function note(error: unknown): void {
    const { family, v4, v6 } = datagram
    const exporter = family === 4 ? formatIpv4(v4) : formatIpv6(v6, 0)
    if (error instanceof FlowkitError) return options.onFault(error, exporter)
    // a bug in a decoder: what anybody may send must not end the process
    const faults = exporters.byKey.get(addressKey(family, v4, v6))?.counters.faults
    if (faults) faults.ERR_MALFORMED = (faults.ERR_MALFORMED ?? 0) + 1
    const kept = options.keep?.(datagram)
    const where = kept === undefined ? '' : `; please report it with ${kept}`
    const message = `Cannot decode datagram, which is a bug of flowkit: ${String(error)}${where}`
    options.onFault(new FlowkitError('ERR_MALFORMED', message, { cause: error }), exporter)
  }

  return {
    get isFree() { return hasRoom() },
    decode(bytes, view, at, end, count) {
      for (; hasRoom() && at < end && count > 0; count--) {
        const next = readDatagram(bytes, view, at, end, datagram)
        if (next < 0) return end
        at = next
        if (datagram.session && datagram.start === datagram.end) { // its end
          forgetSession(exporters, datagram.family, datagram.v4, datagram.v6, datagram.port)
          continue
        }
        decodeOne(batch!)
        if (batch!.length > BATCH_SIZE - ROOM) handBatch()
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
