/** What captures: this thread, or several others. */
import { randomInt } from 'node:crypto'
import type { LiveCaptureOptions, PreparedCapture } from '../../core/capture/options.ts'
import type { Filter } from '../../core/filter/filter.ts'
import { loadLibc, type FdWatch, type Libc } from '../../core/net/ffi.ts'
import { unpackError, type PackedError } from '../../core/packed-error.ts'
import { startWorker } from '../../core/worker.ts'
import { explain } from '../errors.ts'
import type { Io } from '../io.ts'
import type { LogLevel } from '../progress.ts'
import { expiryOf, openSink, type SinkEvents } from '../sinks.ts'
import { openOutputs, singleOutput, workerOutputs, type FileEvents } from './outputs.ts'
import type { CaptureOptions, CapturePlan } from './plan.ts'
import { sumReports, type CaptureReport } from './report.ts'
import { startRun, type Capturing } from './run.ts'

/** What to capture from. */
export interface CaptureSource extends Pick<LiveCaptureOptions, 'interfaces'> {
  /** What a privileged process has opened for each worker, if there is one. */
  readonly prepared: readonly PreparedCapture[] | undefined
}

/** What a worker begins with. */
export interface LaneTask {
  /** Which it is, from 0 on. */
  readonly worker: number
  readonly options: CaptureOptions
  readonly filter: Filter | undefined
  readonly interfaces: readonly string[]
  readonly prepared: PreparedCapture | undefined
  /** By which it shares packets with the others. */
  readonly fanout: number
}

/** What a worker is told: to do what `Capturing` does. */
export type LaneOrder =
  /** The descriptor that it has asked about is readable. */
  | { readonly kind: 'readable' }
  | { readonly kind: 'report', readonly id: number }
  | { readonly kind: 'rotate', readonly ledger: readonly object[] }
  | { readonly kind: 'stop' }
  | { readonly kind: 'close', readonly ledger: readonly object[] }

/** What a worker says. */
export type LaneAnswer =
  | { readonly kind: 'started' }
  /** It waits for a descriptor, always the same, until that is readable. */
  | { readonly kind: 'watch', readonly fd: number }
  /** It can never go on, and ends. */
  | { readonly kind: 'failed', readonly error: PackedError }
  | { readonly kind: 'say', readonly level: LogLevel, readonly text: string }
  /** What `openLiveCapture` notes: all workers may say the same. */
  | { readonly kind: 'note', readonly text: string }
  | {
    readonly kind: 'file', readonly path: string, readonly rows: number,
    readonly leftOut: readonly string[] | undefined,
  }
  | { readonly kind: 'report', readonly id: number, readonly report: CaptureReport }
  | { readonly kind: 'finished' }
  /** It ends. */
  | { readonly kind: 'closed', readonly report: CaptureReport }

/** Capture in this thread. @throws what an output cannot be opened for, or as openLiveCapture does */
export async function captureAlone(
  plan: CapturePlan, options: CaptureOptions, { interfaces, prepared }: CaptureSource,
  onFile: FileEvents['onFile'], io: Io,
): Promise<Capturing> {
  const about = aboutSinks(plan, io)
  const events = { onFile, onError: about.onError }
  const outputs = await openOutputs([
    ...plan.singles.map((single) => () => singleOutput(single, options.force, io)),
    ...workerOutputs(plan, undefined, (place) => openSink(place, about), events, io),
  ])
  const part = { interfaces, worker: 0, onNote: io.talk.info, ...prepared && { prepared: prepared[0] } }
  return startRun(plan, options, part, outputs)
}

/**
 * Capture in `options.workers` other threads, of which each gets a part of the packets, and has outputs of
 * its own.
 *
 * @throws what one of them fails with
 */
export async function captureInLanes(
  plan: CapturePlan, options: CaptureOptions, { interfaces, prepared }: CaptureSource,
  onFile: FileEvents['onFile'], io: Io,
): Promise<Capturing> {
  const expiries = plan.places.map((place) => expiryOf(place, aboutSinks(plan, io)))
  let expiring: Promise<void> | undefined
  let nextId = 0

  /** Only here: threads would remove the same files, and each would count them. */
  function expire(): void {
    expiring ??= Promise.all(expiries.map((each) => each())).then(() => { expiring = undefined })
  }

  const libc = await loadLibc()
  const note = onceOfAll(io.talk.info)
  const fanout = randomInt(2 ** 16) // process ids are the same in several containers
  const lanes = Array.from({ length: options.workers }, (_, worker) => {
    const task = { worker, options, filter: plan.filter, interfaces, prepared: prepared?.[worker], fanout }
    return startLane(task, libc, {
      onSay: (level, text) => io.talk[level](text),
      onNote: (text) => note(worker, text),
      onFile(path, rows, leftOut) {
        onFile(path, rows, leftOut)
        expire()
      },
    })
  })

  /** One of them has failed: end the others, with everything written. */
  async function abandon(error: unknown): Promise<never> {
    for (const { tell } of lanes) tell({ kind: 'stop' })
    await Promise.all(lanes.map(async ({ finished, tell, ended }) => {
      await finished.then(() => tell({ kind: 'close', ledger: [] }), () => {})
      await ended
    }))
    throw error
  }
  await Promise.all(lanes.map(({ started }) => started)).catch(abandon)
  const finished = Promise.all(lanes.map((lane) => lane.finished)).then(() => {}, abandon)
  finished.catch(() => {}) // whoever waits for it may come later

  return {
    finished,
    report: async () => sumReports(await Promise.all(lanes.map(({ report }) => report(nextId++)))),
    rotate(ledger) {
      lanes.forEach(({ tell }, i) => tell({ kind: 'rotate', ledger: i === 0 ? ledger : [] }))
      expire()
    },
    stop() {
      for (const { tell } of lanes) tell({ kind: 'stop' })
    },
    async close(ledger) {
      lanes.forEach(({ tell }, i) => tell({ kind: 'close', ledger: i === 0 ? ledger : [] }))
      await Promise.all(lanes.map(({ ended }) => ended))
      await expiring
      return sumReports(await Promise.all(lanes.map(({ closed }) => closed)))
    },
  }
}

function aboutSinks({ retention }: CapturePlan, { talk }: Io): SinkEvents {
  return {
    retention: () => retention,
    onExpired(paths) {
      for (const path of paths) talk.debug(`${path} removed`)
    },
    onError: (error) => talk.error(explain(error, '').message),
  }
}

/** Say what several workers say, each for itself, as often as one of them does. */
function onceOfAll(say: (text: string) => void): (worker: number, text: string) => void {
  const times = new Map<string, number[]>()
  return (worker, text) => {
    let each = times.get(text)
    if (each === undefined) times.set(text, each = [])
    const said = each[worker] ??= 0
    if (Math.max(...each.filter((count) => count !== undefined)) === said) say(text)
    each[worker]++
  }
}

/** The main thread's end of a worker. Its promises are rejected when it fails. */
interface Lane {
  readonly started: Promise<void>
  readonly finished: Promise<void>
  /** Its last report. */
  readonly closed: Promise<CaptureReport>
  /** Its thread has ended, whatever came of it. */
  readonly ended: Promise<void>
  tell(order: LaneOrder): void
  /** @param id another one each time */
  report(id: number): Promise<CaptureReport>
}

/** What a worker says meanwhile. */
interface LaneEvents extends Pick<FileEvents, 'onFile'> {
  onSay(level: LogLevel, text: string): void
  onNote(text: string): void
}

function startLane(task: LaneTask, libc: Libc, { onSay, onNote, onFile }: LaneEvents): Lane {
  const thread = startWorker('cmd/capture/lane', { workerData: task })
  const started = Promise.withResolvers<void>()
  const finished = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<CaptureReport>()
  const steps = [started, finished, closed]
  for (const { promise } of steps) promise.catch(() => {}) // not all of them are waited for
  const asked = new Map<number, (report: CaptureReport) => void>()

  let watching: FdWatch | undefined

  /** In its place: only the main thread can have its event loop watch a descriptor, see `Libc.watch`. */
  function watch(fd: number): void {
    if (watching) return watching.start()
    const fresh = libc.watch(fd, () => {
      fresh.stop() // until it asks again
      tell({ kind: 'readable' })
    })
    watching = fresh
  }
  function endWatch(): void {
    watching?.close()
    watching = undefined
  }
  function fail(error: unknown): void {
    endWatch()
    for (const { reject } of steps) reject(error)
  }
  thread.on('message', (answer: LaneAnswer) => {
    switch (answer.kind) {
      case 'started': return started.resolve()
      case 'watch': return watch(answer.fd)
      case 'failed': return fail(unpackError(answer.error))
      case 'say': return onSay(answer.level, answer.text)
      case 'note': return onNote(answer.text)
      case 'file': return onFile(answer.path, answer.rows, answer.leftOut)
      case 'report':
        asked.get(answer.id)?.(answer.report)
        asked.delete(answer.id)
        return
      case 'finished':
        endWatch() // before it closes what is watched
        return finished.resolve()
      case 'closed': return closed.resolve(answer.report)
    }
  })
  thread.on('error', fail)
  const tell = (order: LaneOrder): void => thread.postMessage(order)
  return {
    started: started.promise, finished: finished.promise, closed: closed.promise,
    ended: new Promise((resolve) => thread.once('exit', () => resolve())),
    tell,
    report(id) {
      tell({ kind: 'report', id })
      return new Promise((resolve) => asked.set(id, resolve))
    },
  }
}
