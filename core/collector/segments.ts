import { saveExporters } from '../netflow/snapshot.ts'
import { setRules, type Exporters } from '../netflow/exporters.ts'
import type { Backlog, Blocks, Cut } from './backlog.ts'
import { newDecoding } from './decoding.ts'
import type { Ended } from './feed.ts'
import { closeLedger } from './ledger.ts'
import type { Former, ReplayOptions, SegmentSettings } from './replay.ts'
import type { CollectorCounters, SinkReport } from './report.ts'
import { newShelf } from './shelf.ts'
import type { Sink } from '../sinks/sink.ts'
import type { Spool } from '../spool/spool.ts'

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
  /** What holds for that one, and for former ones. */
  readonly settings: SegmentSettings
  /** Other settings that hold from a segment on. */
  settingsFrom(segment: string): SegmentSettings | undefined
  /** Segments of former processes that sinks may lack. */
  readonly formers: readonly Former[]
  readonly counters: CollectorCounters
  /** Told how many former segments were decoded again, once all are in the sinks. */
  onRecovered(segments: number): void
  /** Told that `decode` can go on. */
  onReady(): void
}

/** Decodes what comes, and brings segments into the sinks: those that fail or hang get them later. */
export interface Segments {
  readonly exporters: Exporters
  readonly sinks: readonly Readonly<SinkReport>[]
  /** Segments that have ended, but are not in all sinks yet. */
  readonly waiting: number
  /** Decode some of what waits. @returns whether there was something that could be done */
  decode(backlog: Backlog): boolean
  /** Let go of the oldest segment that sinks lack, for room in the spool. @returns whether there was one */
  makeRoom(): boolean
  /** Wait until all segments that have ended are in the sinks, or have failed once more, or hang. */
  stop(): Promise<void>
}

/** Datagrams decoded at a time, before the sockets are looked after. */
const TURN = 256

/** Begin with a segment of the spool. */
export function startSegments(options: SegmentsOptions): Segments {
  const { spool, exporters, counters, onError, onReady } = options
  let { settings } = options
  let cutting: Promise<void> | undefined
  let hasDatagrams = false // in the segment that is decoded
  let isSpooled = true // so far
  let rowsBefore = 0
  const shelf = newShelf({
    ...options, isHeldUp: () => !decoding.isFree,
    onFormersGone(recovered) { if (recovered > 0) options.onRecovered(recovered) },
  })
  const { feeds } = shelf
  const decoding = newDecoding(exporters, {
    ...options, get filter() { return settings.filter },
  }, counters, feeds, onReady)
  for (const feed of feeds) feed.begin(options.first)
  shelf.putFormers(options.formers, settings)

  function decodeBlocks({ chunk, start, end, offset }: Blocks): number {
    hasDatagrams = true
    if (offset < 0) isSpooled = false
    return decoding.decode(chunk!.bytes, chunk!.view, start, end, TURN)
  }

  /** All of a segment is decoded: keep the state that the next begins with, and let the sinks finish it. */
  async function cut({ ended: segment, next, isWhole }: Cut): Promise<void> {
    void decoding.flush() // the feeds have it before they hear of the end
    const isEmpty = !hasDatagrams && isWhole
    const ledger = hasDatagrams ? closeLedger(exporters) : []
    const rows = counters.records - counters.filtered
    const ended: Ended = { segment, next, rows: rows - rowsBefore, isSpooled, settings }
    rowsBefore = rows
    hasDatagrams = false
    isSpooled = true
    const state = saveExporters(exporters)
    let isKept = true
    try {
      await spool.writeState(next, state)
    } catch (error) {
      isKept = false
      onError(error)
    }
    changeSettings(next)
    shelf.put(ended, isEmpty ? [] : feeds, isKept ? undefined : state)
    for (const feed of feeds) {
      if (isWhole && !isEmpty) feed.end(ended, ledger)
      else feed.skip(next)
      if (!isWhole) feed.lack(ended)
    }
  }

  function changeSettings(segment: string): void {
    const changed = options.settingsFrom(segment)
    if (!changed) return
    settings = changed
    setRules(exporters, changed.sampling)
  }

  return {
    exporters,
    get sinks() { return feeds.map(({ report }) => report) },
    get waiting() { return (cutting ? 1 : 0) + shelf.waiting },
    decode(backlog) {
      if (cutting || !decoding.isFree) return false
      const item = backlog.next()
      if (!item) {
        if (backlog.isEmpty) for (const feed of feeds) feed.catchUp()
        return false
      }
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
    makeRoom() {
      const segment = shelf.letGo()
      if (segment !== undefined) spool.discard(segment)
      return segment !== undefined
    },
    async stop() {
      await cutting
      await shelf.stop()
    },
  }
}
