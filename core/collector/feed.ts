import type { ArchiveFile } from '../archive/writer.ts'
import { FlowkitError } from '../flow/errors.ts'
import { newTurns, type Turns } from '../turns.ts'
import type { Taker } from './decoding.ts'
import type { SegmentSettings } from './replay.ts'
import type { SinkReport } from './report.ts'
import type { SegmentWriter, Sink } from '../sinks/sink.ts'

/** A segment of the spool that has ended. */
export interface Ended {
  readonly segment: string
  /** The one behind it. */
  readonly next: string
  /** Rows that this process has decoded of it for each sink; undefined: another process has. */
  readonly rows: number | undefined
  /** Whether the spool has all of it; if not, decoding it again tells less than is known at its end. */
  readonly isSpooled: boolean
  /** With what it is to be decoded again. */
  readonly settings: SegmentSettings
}

/**
 * Brings segments into a sink, each once, at the pace of that sink.
 *
 * As long as it keeps up it takes what is decoded, as all others do. Where it fails, hangs or holds up the
 * others it is left behind: what it lacks is decoded again for it alone, out of the spool, until nothing is
 * lacking; then it takes what is decoded again.
 */
export interface Feed extends Taker {
  readonly report: Readonly<SinkReport>
  /** Whether it takes what is decoded, and has taken all that it was given. */
  readonly keepsUp: boolean
  /** Take what is decoded from now on, which is of this segment. */
  begin(segment: string): void
  /** All of a segment was decoded; what comes is of the next. */
  end(ended: Ended, ledger: readonly object[]): void
  /** What was decoded of a segment is not wanted; what comes is of the next. */
  skip(next: string): void
  /** Bring a segment into the sink that is in the spool only. */
  lack(ended: Ended): void
  /** Whether a segment is lacking, and not on its way. */
  lacks(ended: Ended): boolean
  /** It will not get a segment that it lacks. */
  lose(ended: Ended): void
  /**
   * Look at how it goes; called every TICK.
   *
   * @param isHeldUp whether decoding waits for sinks
   * @param othersKeepUp whether it waits for some only
   */
  tick(isHeldUp: boolean, othersKeepUp: boolean): void
  /** Nothing waits to be decoded: it holds up nobody. */
  catchUp(): void
  /**
   * Wait until it has taken what it was given, and try once more to bring what it lacks.
   *
   * What it has not taken after GIVE_UP ms without any progress stays in the spool, and so does what cannot
   * be brought in that time; it is told.
   */
  stop(): Promise<void>
}

/** The files of a segment; or that the sink has it already, or that it cannot be read now, which was told. */
export type Brought = readonly ArchiveFile[] | 'there' | 'unreadable'

/** What a feed is made with. */
export interface FeedOptions {
  readonly sink: Sink
  /**
   * Decode a segment again, into the sink.
   *
   * @param onProgress called whenever the sink has taken something
   * @param isOver whether nobody waits for it any more
   * @throws what the sink does
   */
  bring(ended: Ended, onProgress: () => void, isOver: () => boolean): Promise<Brought>
  /** Told that the sink has a segment, or will never have it. */
  onDone(ended: Ended): void
  onFile(path: string, rows: number, leftOut?: readonly string[]): void
  onError(error: unknown): void
}

/** ms between calls of `tick`. */
export const TICK = 500
/** ms for which a sink may take nothing while others wait for it, and when the process ends. */
const GIVE_UP = 10_000
/** ms for which a sink may hold up others that keep up, since nothing waited to be decoded. */
const PATIENCE = 5000
/** How long a sink that failed is left alone, in ms: doubled each time. */
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 60_000

/** A writer that takes what is decoded. */
interface Live {
  readonly inTurn: Turns
  /** Undefined while it is opened. */
  writer: SegmentWriter | undefined
  /** Whether it has failed or was left behind. */
  isOver: boolean
  /** Segments that it has all of, but has not begun to finish. */
  readonly ending: Set<Ended>
}

/** A feed that has nothing to do. */
export function newFeed({ sink, bring, onDone, onFile, onError }: FeedOptions): Feed {
  const report: SinkReport = {
    name: sink.name, rows: 0, counterSamples: 0, files: 0, bytes: 0, lost: 0, failures: 0, waiting: 0,
    hanging: 0,
  }
  let live: Live | undefined
  let isBehind = false // since it failed or was left, until nothing is lacking
  const lacking = new Set<Ended>()
  let bringing: Ended | undefined
  const held = new Set<(isFree: boolean) => void>() // who waits for a batch
  let calls = 0 // that the live writer, or the one before, has not returned from
  let taken = 0 // counts whatever the sink has taken
  let takenBefore = 0
  let still = 0 // ms without anything taken, though something was given
  let heldUp = 0 // ms
  let closing: Promise<void> | undefined
  let running: Promise<void> | undefined // the work on what is lacking
  let timer: NodeJS.Timeout | undefined
  let pause = FIRST_PAUSE
  let isStopping = false
  let rest = Infinity // ms for which what is lacking is still tried
  const over = Promise.withResolvers<void>()
  let isOver = false

  /** Call the live writer in its turn. */
  async function call(it: Live, task: () => Promise<void>): Promise<void> {
    calls++
    try {
      await it.inTurn(async () => { if (!it.isOver) await task() })
    } catch (error) {
      leave(it, error)
    } finally {
      calls--
      taken++
    }
  }

  /** Nothing more goes to a writer: it is closed once it returns, and what it has not finished is lacking. */
  function leave(it: Live, error: unknown): void {
    if (it.isOver) return // that was told
    it.isOver = true
    if (live === it) live = undefined
    isBehind = true
    report.failures++
    onError(error)
    for (const ended of it.ending) lacking.add(ended)
    closing = close(it)
  }

  async function close(it: Live): Promise<void> {
    calls++
    try {
      await it.inTurn(async () => it.writer?.abort())
    } catch (error) {
      onError(error)
    }
    calls--
    closing = undefined
    workLater(pause)
  }

  /** The sink holds up others: they go on without it. */
  function leaveBehind(it: Live, reason: string): void {
    const message = `Cannot keep up with ${sink.name}: ${reason}, what it lacks waits in the spool`
    leave(it, new FlowkitError('ERR_LIMIT', message))
    for (const resolve of held) resolve(false)
    held.clear()
  }

  function hand(task: (writer: SegmentWriter) => Promise<void>): Promise<boolean> {
    const it = live
    if (!it) return Promise.resolve(true)
    return new Promise((resolve) => {
      held.add(resolve)
      void call(it, () => task(it.writer!)).then(() => {
        held.delete(resolve)
        resolve(true)
      })
    })
  }

  async function finish(it: Live, ended: Ended, ledger: readonly object[]): Promise<void> {
    it.ending.delete(ended)
    try {
      count(await it.writer!.rotate({ next: ended.next, ledger }))
    } catch (error) {
      lacking.add(ended)
      throw error
    }
    done(ended)
  }

  function done(ended: Ended): void {
    report.waiting--
    onDone(ended)
  }

  /** Count files. @returns how many flows are in them */
  function count(files: readonly ArchiveFile[]): number {
    let flows = 0
    for (const { table, path, rows, bytes, leftOut } of files) {
      if (table === 'flows') flows += rows
      else report.counterSamples += rows
      report.files++
      report.bytes += bytes
      onFile(path, rows, leftOut)
    }
    report.rows += flows
    return flows
  }

  function workLater(ms: number): void {
    if (isStopping || running || timer || closing || lacking.size === 0) return
    timer = setTimeout(() => {
      timer = undefined
      void work()
    }, ms)
  }

  /** Bring what is lacking, until it fails. */
  async function work(): Promise<void> {
    // where a sink hangs, no more calls than needed
    const opened = live?.inTurn(async () => {}) ?? Promise.resolve()
    running = opened.then(bringAll).finally(() => {
      running = undefined
      workLater(pause)
    })
    await running
  }

  async function bringAll(): Promise<void> {
    for (const ended of lacking) {
      bringing = ended
      try {
        const brought = await bring(ended, () => taken++, () => isOver)
        if (isOver) return // it may be in the hands of another process
        if (brought === 'unreadable') continue
        lacking.delete(ended)
        if (brought !== 'there') enter(ended, brought)
        done(ended)
      } catch (error) {
        report.failures++
        onError(error)
        pause = Math.min(pause * 2, LONGEST_PAUSE)
        return
      } finally {
        bringing = undefined
      }
    }
    isBehind = false
    pause = lacking.size === 0 ? FIRST_PAUSE : Math.min(pause * 2, LONGEST_PAUSE)
  }

  /** Enter what was brought; what another process has decoded is not in our counts. */
  function enter({ rows }: Ended, files: readonly ArchiveFile[]): void {
    if (rows !== undefined) report.lost += Math.max(0, rows - count(files))
    else for (const { path, rows, leftOut } of files) onFile(path, rows, leftOut)
  }

  async function stopWork(): Promise<void> {
    const it = live
    await it?.inTurn(async () => {})
    await closing
    rest = GIVE_UP
    await running
    if (lacking.size > 0) await work()
    if (it && !it.isOver) await call(it, async () => it.writer?.abort())
    isOver = true
  }

  function giveUp(): void {
    if (isOver) return
    isOver = true
    report.hanging = 1
    const found = `after ${GIVE_UP / 1000} s it still lacks ${segmentsOf(report.waiting)} of the spool`
    onError(new FlowkitError('ERR_LIMIT', `Cannot finish writing to ${sink.name}: ${found}`))
    over.resolve()
  }

  function begin(segment: string): void {
    const it: Live = { inTurn: newTurns(), writer: undefined, isOver: false, ending: new Set() }
    live = it
    void call(it, async () => { it.writer = await sink.open(segment) })
  }

  function goOn(next: string): void {
    if (!live && !isBehind && !closing && !isStopping) begin(next)
  }

  return {
    get report() { return report },
    get keepsUp() { return live !== undefined && calls === 0 },
    begin,
    write: (batch) => hand((writer) => writer.write(batch)),
    writeCounters: (samples) => hand((writer) => writer.writeCounters(samples)),
    end(ended, ledger) {
      const it = live
      report.waiting++
      if (it) {
        it.ending.add(ended)
        void call(it, () => finish(it, ended, ledger))
        return
      }
      lacking.add(ended)
      workLater(0)
      goOn(ended.next)
    },
    skip(next) {
      const it = live
      if (it) void call(it, async () => it.writer!.skip(next))
      else goOn(next)
    },
    lack(ended) {
      report.waiting++
      lacking.add(ended)
      workLater(0)
    },
    lacks: (ended) => ended !== bringing && lacking.has(ended),
    lose(ended) {
      lacking.delete(ended)
      report.lost += ended.rows ?? 0
      report.waiting--
    },
    tick(isHeldUp, othersKeepUp) {
      const isBusy = calls > 0 || bringing !== undefined
      still = isBusy && taken === takenBefore ? still + TICK : 0
      takenBefore = taken
      report.hanging = still >= GIVE_UP ? 1 : 0
      if (live && calls > 0 && isHeldUp) {
        if (othersKeepUp) heldUp += TICK
        if (still >= GIVE_UP) leaveBehind(live, `it has taken nothing for ${GIVE_UP / 1000} s`)
        else if (heldUp >= PATIENCE) leaveBehind(live, `others have waited ${PATIENCE / 1000} s for it`)
      }
      rest -= TICK
      if (isStopping && (still >= GIVE_UP || rest <= 0)) giveUp()
    },
    catchUp() { heldUp = 0 },
    async stop() {
      isStopping = true
      clearTimeout(timer)
      await Promise.race([stopWork(), over.promise])
    },
  }
}

function segmentsOf(count: number): string {
  return count === 1 ? '1 segment' : `${count} segments`
}
