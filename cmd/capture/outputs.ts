/** Where captured flows go, for as long as packets come. */
import { newSegment } from '../../core/archive/names.ts'
import type { SegmentWriter, Sink } from '../../core/sinks/sink.ts'
import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { DEFAULT_EXPORT } from '../../core/netflow/encode/export-streams.ts'
import { newTurns } from '../../core/turns.ts'
import { openOutput } from '../../formats/outputs.ts'
import { openLanes } from '../export/lanes.ts'
import type { WireTarget } from '../export/targets.ts'
import type { Io } from '../io.ts'
import { amount, lossSection } from '../loss-report.ts'
import type { Place } from '../sinks.ts'
import type { CapturePlan, SingleFile } from './plan.ts'

/** An output that flows are given to as they come. */
export interface LiveOutput {
  /** Flows that it will never have. */
  readonly lost: number
  /** Datagrams, and flows by connections, that collectors did not get; they are told in the end. */
  readonly undelivered: number
  /**
   * Take all rows of `batch`, which stays as it is.
   *
   * @throws where it can never be written to again
   */
  write(batch: FlowBatch): Promise<void>
  /**
   * Finish files, and begin others.
   *
   * @param ledger what goes into the archive beside the flows
   */
  rotate(ledger: readonly object[]): Promise<void>
  /** End with everything written. */
  close(ledger?: readonly object[]): Promise<void>
  /** Leave nothing half-written. */
  abort(): Promise<void>
}

/** What an output of files tells. */
export interface FileEvents {
  onFile(path: string, rows: number, leftOut?: readonly string[]): void
  onError(error: unknown): void
}

/** Open outputs, in their order. @throws what the first one fails with that does; none is open then */
export async function openOutputs(openers: readonly (() => Promise<LiveOutput>)[]): Promise<LiveOutput[]> {
  const outputs: LiveOutput[] = []
  try {
    for (const open of openers) outputs.push(await open())
  } catch (error) {
    await Promise.all(outputs.map((output) => output.abort()))
    throw error
  }
  return outputs
}

/**
 * What opens the outputs that each of several workers has: to collectors, and into folders.
 *
 * @param worker which one, from 0 on; undefined where there are no others
 * @param open gives the sink of a place
 */
export function workerOutputs(
  { targets, places }: CapturePlan, worker: number | undefined, open: (place: Place) => Sink,
  events: FileEvents, io: Pick<Io, 'talk' | 'signal'>,
): (() => Promise<LiveOutput>)[] {
  // its sequence numbers are its own, so each is an observation domain
  const domain = worker === undefined ? undefined : worker + 1
  return [
    ...targets.length > 0 ? [() => wireOutput(targets, io, domain)] : [],
    ...places.map((place) => () => sinkOutput(open(place), worker, events)),
  ]
}

/**
 * Files in a folder, which begin anew at each rotation. What cannot be written is lost up to the next
 * rotation, and counted; then it is tried again.
 *
 * @param worker as of `newSegment`
 * @throws the system error where nothing can be written to begin with
 */
async function sinkOutput(
  sink: Sink, worker: number | undefined, { onFile, onError }: FileEvents,
): Promise<LiveOutput> {
  const inTurn = newTurns()
  let next = newSegment(Date.now(), worker)
  let writer: SegmentWriter | undefined = await sink.open(next)
  let isBroken = false
  let rows = 0 // since the last rotation
  let lost = 0

  async function fail(error: unknown): Promise<void> {
    onError(error)
    isBroken = true
    lost += rows
    rows = 0
    await writer?.abort().catch(onError)
    writer = undefined
  }
  async function write(batch: FlowBatch): Promise<void> {
    if (isBroken) {
      lost += batch.length
      return
    }
    rows += batch.length
    try {
      writer ??= await sink.open(next)
      await writer.write(batch)
    } catch (error) {
      await fail(error)
    }
  }
  async function finish(ledger: readonly object[]): Promise<void> {
    isBroken = false
    next = newSegment(Date.now(), worker)
    try {
      const files = await writer?.rotate({ next, ledger }) ?? []
      for (const { path, rows, leftOut } of files) onFile(path, rows, leftOut)
      rows = 0
    } catch (error) {
      await fail(error)
      isBroken = false
    }
  }
  return {
    get lost() { return lost },
    undelivered: 0,
    write: (batch) => inTurn(() => write(batch)),
    rotate: (ledger) => inTurn(() => finish(ledger)),
    close: (ledger = []) => inTurn(async () => {
      await finish(ledger)
      await writer?.abort()
    }),
    abort: () => inTurn(async () => writer?.abort()),
  }
}

/**
 * One file, which has its name in the end, or standard output.
 *
 * @throws FlowkitError ERR_OPTION about what cannot be written so; the system error
 */
export async function singleOutput(
  { path, format, compression }: SingleFile, force: boolean, io: Pick<Io, 'write'>,
): Promise<LiveOutput> {
  const { writer } = await openOutput(path, {
    ...format !== undefined && { format }, ...compression !== undefined && { compression }, force,
    extras: true, print: (bytes) => io.write(bytes),
  })
  return {
    lost: 0, undelivered: 0,
    write: (batch) => writer.write(batch),
    async rotate() {},
    close: () => writer.close(),
    abort: () => writer.abort(),
  }
}

/**
 * Collectors, each of which gets all flows.
 *
 * @param domain as of EncoderOptions
 * @throws FlowkitError, or the system error, about the first that cannot be sent to
 */
export async function wireOutput(
  targets: readonly WireTarget[], io: Pick<Io, 'talk' | 'signal'>, domain: number = DEFAULT_EXPORT.domain,
): Promise<LiveOutput> {
  const { version, templateRefresh, agent } = DEFAULT_EXPORT
  const ways = { targets, tls: {}, balance: false, spoof: false }
  const lanes = await openLanes({ version, domain, templateRefresh, agent }, ways, io)
  let undelivered = 0

  async function end(): Promise<void> {
    lanes.flush()
    await lanes.close()
    for (const { place, count, unit, reason } of lanes.undelivered()) {
      io.talk.warn(`${place}: ${amount(count, unit)} or more did not arrive: ${reason}`)
      undelivered += count
    }
    for (const [name, loss] of lanes.losses()) {
      const lines = lossSection(`${name} could not carry`, loss)
      if (lines.length > 0) io.talk.info(lines.join('\n'))
    }
  }
  return {
    lost: 0,
    get undelivered() { return undelivered },
    async write(batch) {
      await lanes.ready()
      lanes.encode(batch)
      if (batch.length < BATCH_SIZE) lanes.flush() // few come at a time
    },
    async rotate() {},
    close: end,
    abort: () => lanes.close(),
  }
}
