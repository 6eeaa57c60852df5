/**
 * Lanes: a collector for each of several threads. An exporter always belongs to the same lane, which has its
 * templates, sampling rates and sequence numbers; steering.ts sees to that. The lanes share ports and
 * archive; each has its own spool, and what their reports say is summed up.
 *
 * The main thread opens and watches the sockets, and brings in what collectors with another number of lanes
 * have left; of datagrams it sees nothing.
 */
import type { Worker } from 'node:worker_threads'
import { loadLibc, type FdWatch } from '../net/ffi.ts'
import type { ListenAt } from '../net/endpoint.ts'
import { unpackError } from '../packed-error.ts'
import { startWorker } from '../worker.ts'
import type { LaneAnswer, LaneData, LaneOrder } from './lane-messages.ts'
import type { CollectorReport } from './report.ts'
import { openSpoolPlace, type FormerOptions, type FormerSpools } from './spool-place.ts'
import { sumReports } from './sum-reports.ts'

/** What lanes are to do. */
export interface LanesOptions<Task> extends FormerOptions {
  /** The thread of a lane, as `startWorker` calls it: it calls `serveLane`. */
  readonly lane: string
  /** The sockets of each lane: `udp` ones are closed here, in the end. */
  readonly sockets: readonly (readonly ListenAt[])[]
  /** The place of their spools. */
  readonly spool: string
  /** What they are told, by structured clone: they make of it what they do. */
  readonly task: Task
  /** Told of what went wrong in a lane; empty: it is about no exporter. */
  onLaneFault(exporter: string, reason: string, detail?: string): void
}

/** Running lanes. */
export interface Lanes<Task> {
  report(): Promise<CollectorReport>
  /** Resolves once each lane has had a turn of its event loop. */
  pulse(): Promise<void>
  /** Go on with other settings, as `Collector.configure` does. */
  configure(task: Task): void
  /** End the segments that are written to: their files appear soon. */
  rotate(): void
  /** As `Collector.stop`, of all at the same time. @returns faults that were not told */
  stop(): Promise<number>
}

/** The main thread's end of a lane. */
interface Lane<Task> {
  readonly started: Promise<void>
  /** Whether it has made what it inherits durable. */
  readonly inherited: Promise<boolean>
  /** Its last report, and faults that were not told. */
  readonly stopped: Promise<{ readonly report: CollectorReport, readonly silent: number }>
  /** Its thread has ended. */
  readonly ended: Promise<void>
  tell(order: LaneOrder<Task>): void
  report(): Promise<CollectorReport>
  pulse(): Promise<void>
  /** End it as if the process were killed; not while it writes. */
  kill(): void
}

/**
 * Start the lanes: all of them collect when the promise resolves, and what spools hold is brought into the
 * sinks meanwhile.
 *
 * @throws what a lane fails with, or `openSpoolPlace`; the sockets are closed then
 */
export async function startLanes<Task>(options: LanesOptions<Task>): Promise<Lanes<Task>> {
  const { sockets, spool, task, onError } = options
  const libc = await loadLibc()
  const began = Date.now()
  const watches = new Map<number, FdWatch>()
  let former: FormerSpools | undefined
  let lanes: readonly Lane<Task>[] = []
  let isHandedOver = false

  function watch(fd: number, onReadable: () => void): void {
    const known = watches.get(fd)
    if (known) return known.start()
    const fresh = libc.watch(fd, () => {
      fresh.stop() // until the lane asks again
      onReadable()
    })
    watches.set(fd, fresh)
  }

  /** Give the lanes what former collectors knew. */
  function handOver(states: readonly Uint8Array[]): void {
    isHandedOver = true
    for (const { tell } of lanes) tell({ kind: 'inherit', states })
  }

  /** Have all written that can be, and end. Lanes that wait for what they inherit keep what they took. */
  async function endAll(): Promise<void> {
    if (!isHandedOver && former?.isEmpty) handOver([])
    for (const { tell, kill } of lanes) {
      if (isHandedOver) tell({ kind: 'stop' })
      else kill()
    }
    await Promise.all(lanes.map(({ ended }) => ended))
  }

  /** A lane has a bug and is gone: the others must not go on as if nothing had happened. */
  async function abandon(error: unknown): Promise<void> {
    await endAll()
    throw error
  }

  function closeSockets(): void {
    for (const each of watches.values()) each.close()
    for (const { protocol, fd } of sockets.flat()) if (protocol === 'udp' && fd !== undefined) libc.close(fd)
  }

  try {
    const place = await openSpoolPlace(spool, sockets.length, options)
    former = place.former
    lanes = sockets.map((listen, lane) => {
      const naming = { lane, began, after: place.after }
      const data = { lane, lanes: sockets.length, listen, spool: place.own[lane], naming, task }
      return startLane<Task>(data, watch, (error) => void abandon(error), options)
    })
    await Promise.all(lanes.map(({ started }) => started))
  } catch (error) {
    await endAll()
    await former?.stop()
    closeSockets()
    throw error
  }

  async function recover({ recover, release }: FormerSpools): Promise<void> {
    handOver(await recover())
    const kept = await Promise.all(lanes.map(({ inherited }) => inherited))
    if (!kept.includes(false)) await release()
  }
  const recovered = recover(former).catch(onError)
  let last: CollectorReport | undefined

  /** With what the spools of others hold. */
  function total(reports: readonly CollectorReport[]): CollectorReport {
    const { spool, ...sum } = sumReports(reports)
    const { bytes, waiting } = former!
    return { ...sum, spool: { ...spool, bytes: spool.bytes + bytes, waiting: spool.waiting + waiting } }
  }

  return {
    report: async () => last ?? total(await Promise.all(lanes.map((lane) => lane.report()))),
    async pulse() {
      await Promise.all(lanes.map((lane) => lane.pulse()))
    },
    configure(changed) {
      for (const { tell } of lanes) tell({ kind: 'configure', task: changed })
    },
    rotate() {
      const now = Date.now()
      for (const { tell } of lanes) tell({ kind: 'rotate', now })
    },
    async stop() {
      for (const { tell } of lanes) tell({ kind: 'stop' })
      await recovered
      const ends = await Promise.all(lanes.map(({ stopped }) => stopped))
      // a thread in which a call does not return does not end: the process has to
      const hangs = ends.map(({ report: { sinks } }) => sinks.some(({ hanging }) => hanging > 0))
      await Promise.all(lanes.map(({ ended }, i) => hangs[i] ? undefined : ended))
      await former.stop()
      closeSockets()
      last = total(ends.map(({ report }) => report))
      return ends.reduce((sum, { silent }) => sum + silent, 0)
    },
  }
}

function startLane<Task>(
  data: LaneData<Task>, watch: (fd: number, onReadable: () => void) => void, onBug: (error: unknown) => void,
  { lane, onLaneFault, onFile, onRecovered }: LanesOptions<Task>,
): Lane<Task> {
  const worker: Worker = startWorker(lane, { workerData: data })
  const started = Promise.withResolvers<void>()
  const inherited = Promise.withResolvers<boolean>()
  const stopped = Promise.withResolvers<{ report: CollectorReport, silent: number }>()
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const asked = new Map<number, (answer: LaneAnswer) => void>()
  let last = 0
  const tell = (order: LaneOrder<Task>): void => worker.postMessage(order)

  worker.on('message', (answer: LaneAnswer) => {
    switch (answer.kind) {
      case 'started': return started.resolve()
      case 'failed': return started.reject(unpackError(answer.error))
      case 'watch': return watch(answer.fd, () => tell({ kind: 'readable', fd: answer.fd }))
      case 'inherited': return inherited.resolve(answer.isKept)
      case 'fault': return onLaneFault(answer.exporter, answer.reason, answer.detail)
      case 'file': return onFile(answer.path, answer.rows, answer.leftOut)
      case 'recovered': return onRecovered(answer.segments)
      case 'report':
      case 'pulse':
        asked.get(answer.id)?.(answer)
        asked.delete(answer.id)
        return
      case 'stopped': return stopped.resolve(answer)
    }
  })
  worker.on('error', onBug)

  /** Ask for an answer. What has stopped gives none. */
  function ask(kind: 'report' | 'pulse'): Promise<LaneAnswer> {
    return new Promise((resolve) => {
      asked.set(++last, resolve)
      tell({ kind, id: last })
    })
  }

  return {
    started: started.promise, inherited: inherited.promise, stopped: stopped.promise, ended, tell,
    async report() {
      const answer = await Promise.race([ask('report'), stopped.promise])
      return (answer as { readonly report: CollectorReport }).report
    },
    async pulse() {
      await Promise.race([ask('pulse'), stopped.promise])
    },
    kill: () => void worker.terminate(),
  }
}
