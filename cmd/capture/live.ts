import { unlink, writeFile } from 'node:fs/promises'
import type { InterfaceReport } from '../../core/capture/options.ts'
import { captureLedger } from '../../core/collector/ledger.ts'
import type { Inheritance } from '../../core/net/monitor.ts'
import { openNotifier } from '../../core/net/systemd.ts'
import type { ExitCode } from '../command.ts'
import type { Io } from '../io.ts'
import { amount, leftOutLog } from '../loss-report.ts'
import { runHook, untilAborted } from '../running.ts'
import { preparedBy } from './monitor.ts'
import { describeOutputs, interfacesOf, type CaptureOptions, type CapturePlan } from './plan.ts'
import { reportText, type CaptureReport } from './report.ts'
import { captureAlone, captureInLanes } from './threads.ts'

/**
 * Capture until a signal ends it.
 *
 * @param child what the monitor gave, if there is one
 */
export async function captureLive(
  plan: CapturePlan, options: CaptureOptions, io: Io, child: Inheritance | undefined,
): Promise<ExitCode> {
  for (const note of child?.notes ?? []) io.talk.debug(note)
  const source = child ? preparedBy(child) : { interfaces: interfacesOf(plan), prepared: undefined }
  const { workers, onRotate, pidFile } = options

  const sayLeftOut = leftOutLog(plan.places, io.talk.info)
  function onFile(path: string, rows: number, leftOut?: readonly string[]): void {
    io.talk.debug(`${rows} flows written to ${path}`)
    sayLeftOut(path, leftOut)
    if (onRotate !== undefined) runHook(onRotate, path, io)
  }
  const start = workers === 1 ? captureAlone : captureInLanes
  const capturing = await start(plan, options, source, onFile, io)
  const notifier = child?.notifier ?? await openNotifier(io.env)
  if (pidFile !== undefined && !child) await writeFile(pidFile, `${process.pid}\n`)
  let known = 0 // drops that were told

  function tellDrops({ interfaces }: CaptureReport): void {
    const { dropped } = sumOf(interfaces)
    if (dropped > known) {
      const count = amount(dropped - known, 'packet')
      io.talk.warn(`${count} dropped by the kernel: they came faster than they were read`)
    }
    known = dropped
  }
  async function rotate(): Promise<void> {
    const report = await capturing.report()
    tellDrops(report)
    capturing.rotate(captureLedger(report.interfaces, Date.now()))
  }
  async function tellReport(): Promise<void> {
    io.talk.info(`capture\n${reportText(await capturing.report())}`)
  }

  const stopped = untilAborted(io, () => plan.retention.rotate, {
    SIGHUP: () => void rotate(), SIGUSR1: () => void rotate(), SIGUSR2: () => void tellReport(),
  }, () => void rotate()).then(() => {
    notifier.stopping()
    capturing.stop()
  })
  const threads = workers === 1 ? '' : ` by ${workers} workers`
  io.talk.info(`capturing from ${source.interfaces.join(', ')} into ${describeOutputs(plan)}${threads}`)
  notifier.ready()
  try {
    await capturing.finished
    await stopped
    const { interfaces } = await capturing.report()
    return summarize(await capturing.close(captureLedger(interfaces, Date.now())), io)
  } finally {
    if (pidFile !== undefined && !child) await unlink(pidFile).catch(() => {})
    notifier.close()
  }
}

function sumOf(reports: readonly InterfaceReport[]): { readonly received: number, readonly dropped: number } {
  return {
    received: reports.reduce((sum, { received }) => sum + received, 0),
    dropped: reports.reduce((sum, { dropped }) => sum + dropped, 0),
  }
}

function summarize(
  { interfaces, meter, flows, wanted, lost: each, undelivered }: CaptureReport, io: Io,
): ExitCode {
  const { received, dropped } = sumOf(interfaces)
  const others = meter.unknownLink + meter.wireless + meter.notIp + meter.damaged + meter.cut
  const lost = Math.max(0, ...each)
  io.talk.info(`${amount(received, 'packet')} received, ${dropped.toLocaleString('en-US')} dropped by the kernel, `
    + `${others.toLocaleString('en-US')} without a flow, ${amount(flows, 'flow')}`
    + (wanted < flows ? `, ${wanted.toLocaleString('en-US')} wanted` : ''))
  if (lost > 0) io.talk.error(`${amount(lost, 'flow')} lost: they could not be written`)
  return dropped + lost + undelivered > 0 ? 3 : 0
}
