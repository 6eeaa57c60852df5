/** Where captured flows go, for as long as packets come. */
import { newSegment } from '../../core/archive/names.ts'
import type { SegmentWriter, Sink } from '../../core/collector/sink.ts'
import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import type { Loss } from '../../core/flow/loss.ts'
import { DEFAULT_EXPORT } from '../../core/netflow/encode/export-streams.ts'
import { newTurns } from '../../core/turns.ts'
import { openOutput } from '../../formats/outputs.ts'
import { openLanes } from '../export/lanes.ts'
import type { WireTarget } from '../export/targets.ts'
import type { Io } from '../io.ts'
import { amount } from '../loss-report.ts'
import type { SingleFile } from './plan.ts'

/** An output that flows are given to as they come. */
export interface LiveOutput {
  /** Flows that it will never have. */
  readonly lost: number
  /**
   * Take all rows of `batch`, which stays as it is.
   *
   * @throws where it can never be written to again
   */
  write(batch: FlowBatch): Promise<void>
  /**
   * Finish files, and begin others.
   *
   * @param time when the next begin, ms since the epoch
   * @param ledger what goes into the archive beside the flows
   */
  rotate(time: number, ledger: readonly object[]): Promise<void>
  /** End with everything written. */
  close(ledger?: readonly object[]): Promise<void>
  /** Leave nothing half-written. */
  abort(): Promise<void>
  /** What it had no place for so far; absent: that is not told. */
  loss?(): Loss
}

/** What an output of files tells. */
export interface FileEvents {
  onFile(path: string, rows: number): void
  onError(error: unknown): void
}

/**
 * Files in a folder, which begin anew at each rotation. What cannot be written is lost up to the next
 * rotation, and counted; then it is tried again.
 *
 * @throws the system error where nothing can be written to begin with
 */
export async function sinkOutput(sink: Sink, { onFile, onError }: FileEvents): Promise<LiveOutput> {
  const inTurn = newTurns()
  let next = newSegment(Date.now())
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
  async function finish(segment: string, ledger: readonly object[]): Promise<void> {
    isBroken = false
    next = segment
    try {
      for (const { path, rows } of await writer?.rotate({ next: segment, ledger }) ?? []) onFile(path, rows)
      rows = 0
    } catch (error) {
      await fail(error)
      isBroken = false
    }
  }
  return {
    get lost() { return lost },
    write: (batch) => inTurn(() => write(batch)),
    rotate: (time, ledger) => inTurn(() => finish(newSegment(time), ledger)),
    close: (ledger = []) => inTurn(async () => {
      await finish(newSegment(Date.now()), ledger)
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
  { path, format, compression }: SingleFile, force: boolean, io: Io,
): Promise<LiveOutput> {
  const { writer } = await openOutput(path, {
    ...format !== undefined && { format }, ...compression !== undefined && { compression }, force,
    extras: true, print: (bytes) => io.write(bytes),
  })
  return {
    lost: 0,
    write: (batch) => writer.write(batch),
    async rotate() {},
    close: () => writer.close(),
    abort: () => writer.abort(),
  }
}

/**
 * Collectors, each of which gets all flows.
 *
 * @throws FlowkitError, or the system error, about the first that cannot be sent to
 */
export async function wireOutput(targets: readonly WireTarget[], io: Io): Promise<LiveOutput> {
  const { version, domain, templateRefresh, agent } = DEFAULT_EXPORT
  const ways = { targets, tls: {}, balance: false, spoof: false }
  const lanes = await openLanes({ version, domain, templateRefresh, agent }, ways, io)

  async function end(): Promise<void> {
    lanes.flush()
    await lanes.close()
    for (const { place, count, unit, reason } of lanes.undelivered()) {
      io.talk.warn(`${place}: ${amount(count, unit)} or more did not arrive: ${reason}`)
    }
  }
  return {
    lost: 0,
    async write(batch) {
      await lanes.ready()
      lanes.encode(batch)
      if (batch.length < BATCH_SIZE) lanes.flush() // few come at a time
    },
    async rotate() {},
    close: end,
    abort: () => lanes.close(),
    loss: () => lanes.loss(),
  }
}
