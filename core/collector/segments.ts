import { saveExporters } from '../netflow/snapshot.ts'
import { newExporters, type Exporters } from '../netflow/exporters.ts'
import type { Backlog, Blocks, Cut } from './backlog.ts'
import { newDecoding } from './decoding.ts'
import { ledgerOf } from './ledger.ts'
import { readExporters, replaySegment, type ReplayOptions, type Unfinished } from './replay.ts'
import type { CollectorCounters, SinkReport } from './report.ts'
import type { SegmentWriter, Sink } from './sink.ts'
import { listSegments } from './spool-files.ts'
import type { Spool } from './spool.ts'

/** What the segments of a collector are brought into sinks with. */
export interface SegmentsOptions extends ReplayOptions {
  readonly spool: Spool
  /** Their folder. */
  readonly directory: string
  readonly sinks: readonly Sink[]
  /** The segment to begin with. */
  readonly first: string
  /** As they are at its beginning. */
  readonly exporters: Exporters
  /** Segments that some sinks lack. */
  readonly unfinished: readonly Unfinished[]
  readonly counters: CollectorCounters
  onFile(path: string, rows: number): void
  /** Told that `decode` can go on. */
  onReady(): void
}

/** Decodes what comes, and brings segments into the sinks: those that fail get them later. */
export interface Segments {
  readonly exporters: Exporters
  readonly sinks: readonly SinkReport[]
  /** Segments that have ended, but are not in all sinks yet. */
  readonly waiting: number
  /** Decode some of what waits. @returns whether there was something that could be done */
  decode(backlog: Backlog): boolean
  /** Wait until all segments that have ended are in the sinks, or have failed once more. */
  stop(): Promise<void>
}

/** Datagrams decoded at a time, before the sockets are looked after. */
const TURN = 1024
/** How long a sink that failed is left alone, in ms: doubled each time. */
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 60_000

/** A sink that segments are written to as they come. */
interface Slot {
  readonly sink: Sink
  readonly report: SinkReport
  writer: SegmentWriter | undefined
  /** Whether it failed to take some of the segment. */
  isBroken: boolean
}

/** Begin with a segment of the spool. */
export async function startSegments(options: SegmentsOptions): Promise<Segments> {
  const { spool, directory, exporters, counters, onError, onFile, onReady } = options
  const slots: Slot[] = options.sinks.map((sink) => ({
    sink, writer: undefined, isBroken: false,
    report: { name: sink.name, rows: 0, counterSamples: 0, files: 0, bytes: 0, failures: 0 },
  }))
  for (const slot of slots) await openSlot(slot, options.first)
  const decoding = newDecoding(exporters, options, counters,
    () => slots.flatMap(({ writer, isBroken }) => writer && !isBroken ? [writer] : []),
    (writer, error) => fail(slots.find((slot) => slot.writer === writer)!, error), onReady)
  const unfinished: Unfinished[] = [...options.unfinished]
  const finishing = new Set<Promise<void>>()
  let isCutting = false
  let isStopping = false
  let hasDatagrams = false // in the segment that is decoded
  let pause = FIRST_PAUSE
  let timer: NodeJS.Timeout | undefined
  let retrying: Promise<void> | undefined
  if (unfinished.length > 0) retryLater()

  async function openSlot(slot: Slot, segment: string): Promise<void> {
    try {
      slot.writer = await slot.sink.open(segment)
    } catch (error) {
      fail(slot, error)
    }
  }

  function fail(slot: Slot, error: unknown): void {
    slot.isBroken = true
    slot.report.failures++
    onError(error)
  }

  function decodeBlocks({ chunk, start, end }: Blocks): number {
    hasDatagrams = true
    return decoding.decode(chunk!.bytes, chunk!.view, start, end, TURN)
  }

  /** All of a segment is decoded: keep the state that the next begins with, then let the sinks finish it. */
  async function cut({ ended, next }: Cut): Promise<void> {
    await decoding.flush()
    const ledger = hasDatagrams ? ledgerOf(exporters) : []
    try {
      await spool.writeState(next, saveExporters(exporters))
    } catch (error) {
      onError(error)
    }
    const isEmpty = !hasDatagrams
    hasDatagrams = false
    const work = Promise.all(slots.map((slot) => endSegment(slot, next, ledger))).then(async (done) => {
      const failed = slots.filter((_, i) => !done[i] && !isEmpty).map(({ sink }) => sink)
      await finish(ended, failed)
    }).finally(() => finishing.delete(work))
    finishing.add(work)
  }

  /** @returns whether all of the segment is in the sink */
  async function endSegment(slot: Slot, next: string, ledger: readonly object[]): Promise<boolean> {
    const { report, isBroken, writer } = slot
    slot.isBroken = false // of the next
    if (!writer) {
      await openSlot(slot, next)
      return false
    }
    try {
      if (isBroken) {
        await writer.skip(next)
        return false
      }
      const files = await writer.rotate({ next, ledger })
      for (const { table, path, rows, bytes } of files) {
        if (table === 'flows') report.rows += rows
        else report.counterSamples += rows
        report.files++
        report.bytes += bytes
        onFile(path, rows)
      }
      return true
    } catch (error) {
      fail(slot, error)
      slot.isBroken = false
      return false
    }
  }

  async function finish(segment: string, failed: readonly Sink[]): Promise<void> {
    if (failed.length > 0) {
      unfinished.push({ segment, sinks: failed })
      return retryLater()
    }
    try {
      await spool.remove(segment)
    } catch (error) {
      onError(error)
    }
  }

  function retryLater(): void {
    timer ??= setTimeout(() => {
      timer = undefined
      retrying = retry().then(() => {
        retrying = undefined
        if (unfinished.length > 0 && !isStopping) retryLater()
      })
    }, pause)
  }

  /** Bring the oldest segment that sinks lack into them. @returns whether they all took it */
  async function retry(): Promise<boolean> {
    const { segment, sinks } = unfinished[0]
    const found = (await listSegments(directory)).find(({ id }) => id === segment)
    const state = found?.hasState ? await readExporters(spool, segment, options.sampling, onError) : undefined
    const failed = found && found.size > 0
      ? await replaySegment(segment, found.path, state ?? newExporters(options.sampling), sinks, options, async () => {})
      : []
    unfinished.shift()
    if (failed.length > 0) {
      unfinished.unshift({ segment, sinks: failed })
      pause = Math.min(pause * 2, LONGEST_PAUSE)
      return false
    }
    pause = FIRST_PAUSE
    await finish(segment, [])
    return true
  }

  return {
    exporters,
    sinks: slots.map(({ report }) => report),
    get waiting() { return finishing.size + unfinished.length },
    decode(backlog) {
      if (isCutting || !decoding.isFree) return false
      const item = backlog.next()
      if (!item) return false
      if (item.kind === 'blocks') {
        item.start = decodeBlocks(item)
        if (item.start >= item.end) backlog.done()
        return true
      }
      isCutting = true
      backlog.done()
      void cut(item).finally(() => {
        isCutting = false
        onReady()
      })
      return true
    },
    async stop() {
      while (isCutting) await new Promise(setImmediate)
      await Promise.all(finishing)
      isStopping = true
      clearTimeout(timer)
      await retrying
      while (unfinished.length > 0 && await retry()); // once more
      for (const { writer } of slots) await writer?.abort().catch(onError)
    },
  }
}
