import { unlink, writeFile } from 'node:fs/promises'
import type { CollectorReport } from '../../core/collector/report.ts'
import { formatEndpoint, type ListenAt } from '../../core/net/endpoint.ts'
import { loadLibc } from '../../core/net/ffi.ts'
import type { Inheritance } from '../../core/net/monitor.ts'
import type { UdpReceiver } from '../../core/net/udp-receiver.ts'
import { openNotifier, watchdogInterval, type Notifier } from '../../core/net/systemd.ts'
import type { MetricsServer } from '../../core/metrics/server.ts'
import { faultLog, reportText } from './log.ts'
import { notBelow, rereadFilter, type CollectOptions, type Plan } from './plan.ts'
import { collectAlone, collectInLanes, type CollectEvents, type Collecting } from './threads.ts'
import { kebab, type Configuration, type ExitCode } from '../command.ts'
import { explain } from '../errors.ts'
import type { Io } from '../io.ts'
import { leftOutLog } from '../loss-report.ts'
import { runHook, untilAborted } from '../running.ts'
import { describePlace } from '../sinks.ts'

/** Options that take effect when the configuration is read again; the others want a restart. */
const CHANGEABLE = [
  'filter', 'filterFile', 'filterDialect', 'allow', 'samplingDefault', 'samplingOverride', 'rotate',
  'onRotate', 'maxAge', 'maxSize',
] as const

/**
 * Collect until a signal ends it.
 *
 * @param lanes the sockets of each thread that collects; undefined: this one does
 * @param child what the monitor gave, if there is one
 */
export async function runCollector(
  plan: Plan, lanes: readonly (readonly ListenAt[])[] | undefined, options: CollectOptions,
  configuration: Configuration<CollectOptions>, io: Io, child: Inheritance | undefined,
): Promise<ExitCode> {
  let current = options
  const faults = faultLog((exporter, reason, detail) => {
    io.talk.warn(exporter === '' ? reason : `${exporter}: ${reason}`)
    if (detail !== undefined) io.talk.debug(detail)
  })
  for (const note of child?.notes ?? []) io.talk.debug(note)
  const sayLeftOut = leftOutLog(plan.places, io.talk.info)
  const events: CollectEvents = {
    retention: () => current,
    onExpired(paths) {
      for (const path of paths) io.talk.debug(`${path} removed`)
    },
    onFault: (exporter, reason, detail) => faults.say(exporter, reason, detail),
    onFile(path, rows, leftOut) {
      io.talk.debug(`${rows} rows written to ${path}`)
      sayLeftOut(path, leftOut)
      const { onRotate } = current
      if (onRotate !== undefined) runHook(onRotate, path, io)
    },
    onRecovered(segments) {
      io.talk.info(`${segments} ${segments === 1 ? 'segment' : 'segments'} of the spool recovered`)
    },
  }
  const collector = lanes ? await collectInLanes(plan, lanes, options, events)
    : await collectAlone(plan, options, events, child && await adoptSocket())
  const metrics = await serveReport(collector, options)
  const notifier = child?.notifier ?? await openNotifier(io.env)
  if (options.pidFile !== undefined && !child) await writeFile(options.pidFile, `${process.pid}\n`)

  /** Read the configuration again; a bad one changes nothing. */
  async function reload(): Promise<void> {
    notifier.reloading()
    try {
      if (options.config !== undefined && plan.config === undefined) {
        throw notBelow(options.config, plan.chroot)
      }
      const { options: next, warnings } = await configuration.reread(plan.config)
      for (const warning of warnings) io.talk.warn(warning)
      collector.configure(next, await rereadFilter(plan, next))
      sayFixed(current, next, io)
      current = next
    } catch (error) {
      io.talk.error(`the configuration stays as it was: ${explain(error, '').message}`)
    }
    collector.rotate()
    io.talk.debug('the configuration was read again')
    notifier.ready()
  }

  const ended = untilAborted(io, () => current.rotate, {
    SIGHUP: () => void reload(),
    SIGUSR1: () => collector.rotate(),
    SIGUSR2: () => void collector.report().then((report) => io.talk.info(`ledger\n${reportText(report)}`)),
  }, () => collector.rotate())
  const watchdog = startWatchdog(collector, notifier, io, child ? process.ppid : process.pid)
  sayReady(await collector.report(), plan, metrics, options.receiveBuffer * (lanes?.length ?? 1), io)
  notifier.ready()
  await ended
  notifier.stopping()
  clearInterval(watchdog)
  const silent = await collector.stop()
  await metrics?.close()
  if (options.pidFile !== undefined && !child) await unlink(options.pidFile).catch(() => {})
  notifier.close()
  if (faults.silent + silent > 0) io.talk.warn(`${faults.silent + silent} more such faults`)
  const report = await collector.report()
  if (report.sinks.some(({ hanging }) => hanging > 0)) await exitAtOnce()
  return summarize(report, io)
}

/** In the end, do not wait for threads: a call that does not return keeps its thread, and the process. */
async function exitAtOnce(): Promise<void> {
  const libc = await loadLibc().catch(() => undefined)
  process.on('exit', (code) => libc ? libc.exit(code) : process.kill(process.pid, 'SIGKILL'))
}

/** For sockets that a monitor has opened: nothing can be set any more. */
async function adoptSocket(): Promise<(at: { readonly fd?: number }) => Promise<UdpReceiver>> {
  const { adoptUdpReceiver } = await import('../../core/net/udp-receiver.ts')
  return ({ fd = -1 }) => adoptUdpReceiver(fd)
}

async function serveReport(
  collector: Collecting, { metrics }: CollectOptions,
): Promise<MetricsServer | undefined> {
  if (metrics === undefined) return undefined
  try {
    const [{ collectorMetrics }, { serveMetrics }] = await Promise.all([
      import('../../core/metrics/collector-metrics.ts'), import('../../core/metrics/server.ts'),
    ])
    return await serveMetrics(metrics, await collectorMetrics(() => collector.report()), () => true)
  } catch (error) {
    await collector.stop()
    throw error
  }
}

/** Say which changes of the configuration want a restart. */
function sayFixed(before: CollectOptions, after: CollectOptions, io: Io): void {
  const changed = Object.keys({ ...before, ...after }).filter((key) => {
    const name = key as keyof CollectOptions
    return !CHANGEABLE.includes(name as (typeof CHANGEABLE)[number])
      && JSON.stringify(before[name]) !== JSON.stringify(after[name])
  })
  const names = changed.map((key) => `--${kebab(key)}`)
  if (names.length > 0) io.talk.warn(`a restart is needed for the changes of ${names.join(', ')}`)
}

/**
 * Said last: from here on datagrams and signals count.
 *
 * @param receiveBuffer what the kernel was asked to keep at each place
 */
function sayReady(
  { sockets, streams }: CollectorReport, { places }: Plan, metrics: MetricsServer | undefined,
  receiveBuffer: number, io: Io,
): void {
  const smallest = Math.min(...sockets.map((socket) => socket.receiveBuffer))
  if (smallest < receiveBuffer) {
    io.talk.debug(`the kernel keeps ${smallest} bytes a socket; net.core.rmem_max allows no more`)
  }
  const names = [...sockets, ...streams].map(({ endpoint }) => endpoint)
  if (metrics) io.talk.info(`metrics on ${formatEndpoint(metrics.endpoint, 'http')}/metrics`)
  io.talk.info(`collecting on ${names.join(', ')} into ${places.map(describePlace).join(', ')}`)
}

function summarize({ counters, sinks, spool, forwards }: CollectorReport, io: Io): ExitCode {
  const { datagrams, records, filtered, refused, dropped, counterSamples } = counters
  const written = Math.min(...sinks.map(({ rows }) => rows))
  io.talk.info(`${datagrams} datagrams received, ${refused} refused, ${records} flows decoded, `
    + `${filtered} filtered, ${written} written`)
  if (counterSamples > 0) io.talk.info(`${counterSamples} counter samples decoded`)
  for (const { endpoint, sent, dropped: lost } of forwards) {
    io.talk.info(`${sent} datagrams forwarded to ${endpoint}, ${lost} dropped`)
  }
  if (dropped > 0) io.talk.error(`${dropped} datagrams lost: there was no room in the spool nor in memory`)
  const unwritten = Math.max(...sinks.map((sink) => sink.lost))
  if (unwritten > 0) {
    io.talk.error(`${unwritten} flows lost: neither the spool nor the archive had room for them`)
  }
  if (spool.waiting > 0) {
    const [what, it] = spool.waiting === 1 ? ['1 segment stays', 'it is']
      : [`${spool.waiting} segments stay`, 'they are']
    io.talk.warn(`${what} in the spool, ${spool.bytes} bytes: ${it} written at the next start`)
  }
  return dropped + unwritten + spool.waiting > 0 ? 3 : 0
}

function startWatchdog(
  collector: Collecting, notifier: Notifier, io: Io, service: number,
): NodeJS.Timeout | undefined {
  const every = watchdogInterval(io.env, service)
  if (every === undefined) return undefined
  return setInterval(() => void collector.pulse().then(() => notifier.watchdog()), every)
}
