/** A capture of interfaces in one thread. */
import { flowQueue } from '../../core/capture/flow-queue.ts'
import { openLiveCapture } from '../../core/capture/live.ts'
import { meterLive } from '../../core/capture/meter-live.ts'
import type { LiveCapture, LiveCaptureOptions } from '../../core/capture/options.ts'
import { filterFlows } from '../../core/filter/filter.ts'
import type { FlowReader } from '../../core/flow/stream.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import type { LiveOutput } from './outputs.ts'
import type { CaptureOptions, CapturePlan } from './plan.ts'
import type { CaptureReport } from './report.ts'

/** Batches of flows that wait for the outputs, at most, of all workers together: a million flows. */
const MOST_WAITING = 128

/** A capture that runs, in this thread or in several others. */
export interface Capturing {
  report(): Promise<CaptureReport>
  /**
   * Finish files, and begin others.
   *
   * @param ledger what goes into archives beside the flows
   */
  rotate(ledger: readonly object[]): void
  /** Take no more packets. */
  stop(): void
  /** Resolves once the flows of all packets were given to the outputs. @throws why that cannot be */
  readonly finished: Promise<void>
  /** When it is finished, end with everything written. @returns what became of it all */
  close(ledger: readonly object[]): Promise<CaptureReport>
}

/** Packets to take: all, or a worker's part of them. */
export interface CapturePart
  extends Pick<LiveCaptureOptions, 'interfaces' | 'fanout' | 'prepared' | 'onNote'> {
  /** Which worker it is for, from 0 on. */
  readonly worker: number
  /** For a thread that cannot wait for that itself: resolves once a descriptor is readable. */
  readable?(fd: number): Promise<void>
}

/**
 * Capture, meter, and write to `outputs`.
 *
 * @throws as openLiveCapture does; the outputs are aborted then, and when `finished` fails
 */
export async function startRun(
  plan: CapturePlan, options: CaptureOptions, { worker, readable, ...part }: CapturePart,
  outputs: readonly LiveOutput[],
): Promise<Capturing> {
  const { filter } = plan
  const { workers } = options
  const capture = await openCapture(options, part).catch(async (error: unknown) => {
    await abortAll(outputs)
    throw error
  })
  const meter = new FlowMeter({ ...plan.meter, seed: worker + 1 })
  const queue = flowQueue(Math.ceil(MOST_WAITING / workers))
  let flows = 0
  let wanted = 0

  async function* ended(): FlowReader {
    for await (const batch of queue.take()) {
      flows += batch.length
      yield batch
    }
  }
  async function writeAll(): Promise<void> {
    for await (const batch of filter ? filterFlows(ended(), filter) : ended()) {
      wanted += batch.length
      await Promise.all(outputs.map((output) => output.write(batch)))
    }
  }
  /** @returns whether more packets may come */
  async function wait(): Promise<boolean> {
    if (readable === undefined) return capture.readable()
    if (!capture.isDone) await readable(capture.fd)
    return !capture.isDone
  }
  async function run(): Promise<void> {
    const writing = writeAll()
    try {
      await Promise.race([meterLive(capture, meter, queue, wait), writing])
      queue.end()
      await writing
    } catch (error) {
      capture.close() // nothing can come of it any more
      await abortAll(outputs)
      throw error
    }
  }
  function report(): CaptureReport {
    return {
      interfaces: capture.report(), active: meter.active, meter: { ...meter.stats }, flows, wanted,
      lost: outputs.map(({ lost }) => lost),
      undelivered: outputs.reduce((sum, { undelivered }) => sum + undelivered, 0),
    }
  }

  const finished = run()
  finished.catch(() => {}) // whoever waits for it may come later
  return {
    finished,
    report: async () => report(),
    rotate(ledger) {
      for (const output of outputs) void output.rotate(ledger).catch(() => {}) // a write tells it
    },
    stop: () => capture.stop(),
    async close(ledger) {
      try {
        await Promise.all(outputs.map((output) => output.close(ledger)))
      } catch (error) {
        await abortAll(outputs)
        throw error
      } finally {
        capture.close()
      }
      return report()
    },
  }
}

async function abortAll(outputs: readonly LiveOutput[]): Promise<void> {
  await Promise.all(outputs.map((output) => output.abort().catch(() => {})))
}

function openCapture(
  { snaplen, promiscuous, bpf, ringSize, workers }: CaptureOptions, part: Omit<CapturePart, 'worker' | 'readable'>,
): Promise<LiveCapture> {
  return openLiveCapture({
    ...part, snaplen, promiscuous, ringSize: Math.ceil(ringSize / workers),
    ...bpf !== undefined && { filter: bpf },
  })
}
