import { unlink, writeFile } from 'node:fs/promises'
import { flowQueue } from '../../core/capture/flow-queue.ts'
import { openLiveCapture } from '../../core/capture/live.ts'
import { meterLive } from '../../core/capture/meter-live.ts'
import type { InterfaceReport, LiveCapture, PreparedCapture } from '../../core/capture/options.ts'
import { captureLedger } from '../../core/collector/ledger.ts'
import { filterFlows } from '../../core/filter/filter.ts'
import type { FlowReader } from '../../core/flow/stream.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import type { Inheritance } from '../../core/net/monitor.ts'
import { openNotifier } from '../../core/net/systemd.ts'
import type { ExitCode } from '../command.ts'
import { explain } from '../errors.ts'
import type { Io } from '../io.ts'
import { amount } from '../loss-report.ts'
import { runHook, untilAborted } from '../running.ts'
import { openSink } from '../sinks.ts'
import type { Told } from './monitor.ts'
import { singleOutput, sinkOutput, wireOutput, type LiveOutput } from './outputs.ts'
import { describeOutputs, interfacesOf, type CaptureOptions, type CapturePlan } from './plan.ts'
import { meterText } from './report.ts'

/** Batches of flows that wait for the outputs, at most: a million flows. */
const MOST_WAITING = 128

/**
 * Capture until a signal ends it.
 *
 * @param child what the monitor gave, if there is one
 */
export async function captureLive(
  plan: CapturePlan, options: CaptureOptions, io: Io, child: Inheritance | undefined,
): Promise<ExitCode> {
  for (const note of child?.notes ?? []) io.talk.debug(note)
  const told = child?.told as Told | undefined
  const interfaces = told?.interfaces ?? interfacesOf(plan)
  const prepared = child && told && { ...told.prepared, descriptors: child.descriptors }
  const outputs = await openOutputs(plan, options, io)
  const capture = await openCapture(interfaces, options, io, prepared).catch(async (error: unknown) => {
    await Promise.all(outputs.map((output) => output.abort()))
    throw error
  })
  const notifier = child?.notifier ?? await openNotifier(io.env)
  if (options.pidFile !== undefined && !child) await writeFile(options.pidFile, `${process.pid}\n`)
  const meter = new FlowMeter(plan.meter)
  const queue = flowQueue(MOST_WAITING)
  const counts = { flows: 0, wanted: 0 }
  let known = 0 // drops that were told

  async function* finished(): FlowReader {
    for await (const batch of queue.take()) {
      counts.flows += batch.length
      yield batch
    }
  }
  async function writeAll(): Promise<void> {
    for await (const batch of plan.filter ? filterFlows(finished(), plan.filter) : finished()) {
      counts.wanted += batch.length
      await Promise.all(outputs.map((output) => output.write(batch)))
    }
  }
  function ledger(): object[] {
    return captureLedger(capture.report(), Date.now())
  }
  function tellDrops(): void {
    const { dropped } = sumOf(capture.report())
    if (dropped > known) {
      const count = amount(dropped - known, 'packet')
      io.talk.warn(`${count} dropped by the kernel: they came faster than they were read`)
    }
    known = dropped
  }
  function rotate(): void {
    tellDrops()
    const { rotate: every } = plan.retention
    const now = Date.now()
    const begin = Math.max(now, Math.round(now / every) * every) // timers may be early
    for (const output of outputs) void output.rotate(begin, ledger()).catch(() => {}) // a write tells it
  }

  const stopped = untilAborted(io, () => plan.retention.rotate, {
    SIGHUP: rotate, SIGUSR1: rotate,
    SIGUSR2: () => io.talk.info(`capture\n${meterText(capture.report(), meter, counts)}`),
  }, rotate).then(() => {
    notifier.stopping()
    capture.stop()
  })
  io.talk.info(`capturing from ${interfaces.join(', ')} into ${describeOutputs(plan)}`)
  notifier.ready()
  const writing = writeAll().catch((error: unknown) => {
    capture.close() // nothing can come of it any more
    throw error
  })
  try {
    await Promise.race([meterLive(capture, meter, queue), writing])
    queue.end()
    await writing
    await Promise.all(outputs.map((output) => output.close(ledger())))
    await stopped
  } catch (error) {
    await Promise.all(outputs.map((output) => output.abort().catch(() => {})))
    throw error
  } finally {
    if (options.pidFile !== undefined && !child) await unlink(options.pidFile).catch(() => {})
    notifier.close()
  }
  const report = capture.report()
  capture.close()
  return summarize(report, meter, { ...counts, lost: Math.max(0, ...outputs.map(({ lost }) => lost)) }, io)
}

async function openOutputs(plan: CapturePlan, options: CaptureOptions, io: Io): Promise<LiveOutput[]> {
  const { retention, places, singles, targets } = plan
  const onError = (error: unknown): void => io.talk.error(explain(error, '').message)
  const events = {
    onError,
    onFile(path: string, rows: number): void {
      io.talk.debug(`${rows} flows written to ${path}`)
      if (options.onRotate !== undefined) runHook(options.onRotate, path, io)
    },
  }
  function onExpired(paths: readonly string[]): void {
    for (const path of paths) io.talk.debug(`${path} removed`)
  }
  const outputs: LiveOutput[] = []
  try {
    if (targets.length > 0) outputs.push(await wireOutput(targets, io))
    for (const single of singles) outputs.push(await singleOutput(single, options.force, io))
    for (const place of places) {
      const sink = openSink(place, { retention: () => retention, onExpired, onError })
      outputs.push(await sinkOutput(sink, events))
    }
  } catch (error) {
    await Promise.all(outputs.map((output) => output.abort()))
    throw error
  }
  return outputs
}

function openCapture(
  interfaces: readonly string[], { snaplen, promiscuous, bpf, ringSize }: CaptureOptions, io: Io,
  prepared: PreparedCapture | undefined,
): Promise<LiveCapture> {
  return openLiveCapture({
    interfaces, snaplen, promiscuous, ringSize, onNote: (text) => io.talk.info(text),
    ...bpf !== undefined && { filter: bpf }, ...prepared && { prepared },
  })
}

function sumOf(reports: readonly InterfaceReport[]): { readonly received: number, readonly dropped: number } {
  return {
    received: reports.reduce((sum, { received }) => sum + received, 0),
    dropped: reports.reduce((sum, { dropped }) => sum + dropped, 0),
  }
}

function summarize(
  reports: readonly InterfaceReport[], { stats }: FlowMeter,
  { flows, wanted, lost }: Readonly<Record<'flows' | 'wanted' | 'lost', number>>, io: Io,
): ExitCode {
  const { received, dropped } = sumOf(reports)
  const others = stats.unknownLink + stats.wireless + stats.notIp + stats.damaged + stats.cut
  io.talk.info(`${amount(received, 'packet')} received, ${dropped.toLocaleString('en-US')} dropped by the kernel, `
    + `${others.toLocaleString('en-US')} without a flow, ${amount(flows, 'flow')}`
    + (wanted < flows ? `, ${wanted.toLocaleString('en-US')} wanted` : ''))
  if (lost > 0) io.talk.error(`${amount(lost, 'flow')} lost: they could not be written`)
  return dropped + lost > 0 ? 3 : 0
}
