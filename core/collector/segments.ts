import type { ArchiveFile } from '../archive/writer.ts'
import { FlowkitError } from '../flow/errors.ts'
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
const TURN = 256
/** How long a sink that failed is left alone, in ms: doubled each time. */
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 60_000

/** A sink that segments are written to as they come. */
interface Slot {
  readonly sink: Sink
  readonly report: SinkReport
  /** Undefined where it failed, until there is another. */
  writer: SegmentWriter | undefined
  /** Whether it has missed some of the segment that is decoded. */
  isBroken: boolean
  opening: Promise<void> | undefined
}

/** Begin with a segment of the spool. */
export async function startSegments(options: SegmentsOptions): Promise<Segments> {
  const { spool, directory, exporters, counters, onError, onFile, onReady } = options
  const slots: Slot[] = options.sinks.map((sink) => ({
    sink, writer: undefined, isBroken: false, opening: undefined,
    report: { name: sink.name, rows: 0, counterSamples: 0, files: 0, bytes: 0, lost: 0, failures: 0 },
  }))
  let current = options.first // the segment that is decoded
  for (const slot of slots) await openSlot(slot)
  const decoding = newDecoding(exporters, options, counters,
    () => slots.flatMap(({ writer, isBroken }) => writer && !isBroken ? [writer] : []),
    fail, onReady)
  const unfinished: Unfinished[] = [...options.unfinished]
  const finishing = new Set<Promise<void>>()
  let cutting: Promise<void> | undefined
  let isStopping = false
  let hasDatagrams = false // in the segment that is decoded
  let rowsBefore = 0
  let pause = FIRST_PAUSE
  let timer: NodeJS.Timeout | undefined
  let retrying: Promise<void> | undefined
  if (unfinished.length > 0) retryLater()

  async function openSlot(slot: Slot): Promise<void> {
    try {
      slot.writer = await slot.sink.open(current)
    } catch (error) {
      slot.report.failures++
      slot.isBroken = true
      onError(error)
    }
  }

  /** Go on with another writer: the segment that is decoded comes later. */
  function reopen(slot: Slot): void {
    const { writer } = slot
    slot.writer = undefined
    slot.isBroken = true
    slot.opening = (async () => {
      await writer?.abort().catch(onError)
      await openSlot(slot)
      slot.opening = undefined
    })()
  }

  function fail(writer: SegmentWriter, error: unknown): void {
    const slot = slots.find((each) => each.writer === writer)
    if (!slot) return // it has failed before
    slot.report.failures++
    onError(error)
    reopen(slot)
  }

  function decodeBlocks({ chunk, start, end }: Blocks): number {
    hasDatagrams = true
    return decoding.decode(chunk!.bytes, chunk!.view, start, end, TURN)
  }

  /** All of a segment is decoded: keep the state that the next begins with, then let the sinks finish it. */
  async function cut({ ended, next, isWhole }: Cut): Promise<void> {
    await decoding.flush()
    const isEmpty = !hasDatagrams && isWhole
    const ledger = hasDatagrams ? ledgerOf(exporters) : []
    const rows = counters.records - counters.filtered
    const owed = rows - rowsBefore
    let isKept = true
    try {
      await spool.writeState(next, saveExporters(exporters))
    } catch (error) {
      isKept = false
      onError(error)
    }
    rowsBefore = rows
    hasDatagrams = false
    current = next
    const ends = slots.map((slot) => endSegment(slot, isWhole, next, ledger))
    const work = Promise.all(ends).then(async (done) => {
      const sinks = slots.filter((_, i) => !done[i] && !isEmpty).map(({ sink }) => sink)
      if (sinks.length === 0 && isKept) return remove(ended)
      unfinished.push({ segment: ended, next, sinks, owed })
      retryLater()
    }).finally(() => finishing.delete(work))
    finishing.add(work)
  }

  /** @returns whether all of the segment is in the sink */
  async function endSegment(
    slot: Slot, isWhole: boolean, next: string, ledger: readonly object[],
  ): Promise<boolean> {
    const { isBroken, writer } = slot
    if (!writer) {
      if (!slot.opening) reopen(slot)
      return false
    }
    slot.isBroken = false // of the next
    try {
      if (isBroken || !isWhole) {
        await writer.skip(next)
        return false
      }
      const files = await writer.rotate({ next, ledger })
      count(slot.report, files)
      for (const { path, rows } of files) onFile(path, rows)
      return true
    } catch (error) {
      fail(writer, error)
      return false
    }
  }

  async function remove(segment: string): Promise<void> {
    try {
      await spool.remove(segment)
    } catch (error) {
      onError(error)
    }
  }

  function retryLater(): void {
    timer ??= setTimeout(() => {
      timer = undefined
      retrying = retryAll().then(() => {
        retrying = undefined
        if (unfinished.length > 0 && !isStopping) retryLater()
      })
    }, pause)
  }

  async function retryAll(): Promise<void> {
    while (unfinished.length > 0 && await retry());
  }

  /** Try the oldest unfinished segment once more. @returns whether it is finished now */
  async function retry(): Promise<boolean> {
    const item = unfinished[0]
    try {
      const failed = await bring(item)
      if (failed.length === 0) {
        unfinished.shift()
        pause = FIRST_PAUSE
        await remove(item.segment)
        return true
      }
      unfinished[0] = { ...item, sinks: failed }
    } catch (error) {
      onError(error)
    }
    pause = Math.min(pause * 2, LONGEST_PAUSE)
    return false
  }

  /** Decode a segment again, for sinks, or a next one, that lack it or its state. @returns who failed */
  async function bring({ segment, next, sinks, owed }: Unfinished): Promise<readonly Sink[]> {
    const all = await listSegments(directory)
    const found = all.find(({ id }) => id === segment)
    if (!found) {
      for (const { sink, report } of slots) if (sinks.includes(sink)) report.lost += owed ?? 0
      const message = `Cannot find segment ${segment} in "${directory}": it was removed`
      onError(new FlowkitError('ERR_INPUT', message))
      return []
    }
    const state = found.hasState ? await readExporters(spool, segment, options.sampling, onError) : undefined
    const restored = state ?? newExporters(options.sampling)
    const lacksState = spool.has(next) && !all.find(({ id }) => id === next)?.hasState
    return replaySegment(found, restored, sinks, options, {
      async beforeEnd() { if (lacksState) await spool.writeState(next, saveExporters(restored)) },
      onFiles(sink, files) {
        if (owed === undefined) return
        const { report } = slots.find((slot) => slot.sink === sink)!
        report.lost += Math.max(0, owed - count(report, files))
      },
    })
  }

  return {
    exporters,
    sinks: slots.map(({ report }) => report),
    get waiting() { return (cutting ? 1 : 0) + finishing.size + unfinished.length },
    decode(backlog) {
      if (cutting || !decoding.isFree) return false
      const item = backlog.next()
      if (!item) return false
      if (item.kind === 'blocks') {
        item.start = decodeBlocks(item)
        if (item.start >= item.end) backlog.done()
        return true
      }
      backlog.done()
      cutting = cut(item).finally(() => {
        cutting = undefined
        onReady()
      })
      return true
    },
    async stop() {
      await cutting
      await Promise.all(finishing)
      isStopping = true
      clearTimeout(timer)
      await retrying
      await retryAll() // once more
      for (const slot of slots) {
        await slot.opening
        await slot.writer?.abort().catch(onError)
      }
    },
  }
}

/** Count files with their sink. @returns how many flows are in them */
function count(report: SinkReport, files: readonly ArchiveFile[]): number {
  let flows = 0
  for (const { table, rows, bytes } of files) {
    if (table === 'flows') flows += rows
    else report.counterSamples += rows
    report.files++
    report.bytes += bytes
  }
  report.rows += flows
  return flows
}
