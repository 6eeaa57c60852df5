/** What collects: this thread, or several others. */
import { join } from 'node:path'
import { badDatagrams } from '../../core/collector/bad-datagrams.ts'
import { startCollector, type CollectorOptions } from '../../core/collector/collector.ts'
import { startLanes } from '../../core/collector/lanes.ts'
import type { CollectorReport } from '../../core/collector/report.ts'
import { inherit, openSpoolPlace, type FormerOptions } from '../../core/collector/spool-place.ts'
import type { Filter } from '../../core/filter/filter.ts'
import type { ListenAt } from '../../core/net/endpoint.ts'
import type { TlsIdentity } from '../../core/net/tls-acceptor.ts'
import { settingsOf, spoolOptions, type CollectOptions, type Plan } from './plan.ts'
import { stackOf, type FaultLog } from './log.ts'
import { explain } from '../errors.ts'
import { expiryOf, openSink, sinkOf, type Place, type Retention, type SinkEvents } from '../sinks.ts'

/** A running collector, of one thread or several. */
export interface Collecting {
  report(): Promise<CollectorReport>
  /** Resolves while all threads do their work; one that hangs has it wait. */
  pulse(): Promise<void>
  /** Go on with what can be changed of these options. */
  configure(options: CollectOptions, filter: Filter | undefined): void
  rotate(): void
  /** End with everything written. @returns faults that were not told */
  stop(): Promise<number>
}

/** What is told of what goes on. */
export interface CollectEvents {
  onFault: FaultLog['say']
  onFile(path: string, rows: number, leftOut?: readonly string[]): void
  onRecovered(segments: number): void
  onExpired(paths: readonly string[]): void
  /** Asked whenever there are new files. */
  retention(): Retention
}

/** What lanes are told. */
export interface LaneTask {
  readonly options: CollectOptions
  readonly filter: Filter | undefined
  readonly places: readonly Place[]
  readonly tls: TlsIdentity | undefined
  /** The folder for datagrams that show bugs. */
  readonly bad: string
}

/** Collect in this thread. @param open opens sockets in another way than usual */
export async function collectAlone(
  plan: Plan, options: CollectOptions, events: CollectEvents, open: CollectorOptions['open'],
): Promise<Collecting> {
  const formerOptions = whatFor(plan, events, (place, about) => openSink(place, about))
  const { sinks, onFault, onError, onFile, onRecovered } = formerOptions
  const { own: [spool], after, former } = await openSpoolPlace(join(plan.state, 'spool'), 1, formerOptions)
  const collector = await startCollector({
    ...plan.settings,
    ...plan.tls && { tls: plan.tls },
    listen: plan.listen,
    groups: options.join ?? [],
    forward: options.forward ?? [],
    sinks, spool,
    naming: { after },
    ...spoolOptions(options, 1),
    receiveBuffer: options.receiveBuffer,
    ...open && { open },
    async inherit(exporters, keep) {
      const states = await former.recover()
      const isKept = await inherit(exporters, states, () => true, keep, onError)
      if (isKept) await former.release().catch(onError)
    },
    keep: badDatagrams(badFolder(plan.state)),
    onFault, onError, onFile, onRecovered,
  }).catch(async (error: unknown) => {
    await former.stop()
    throw error
  })
  return {
    async report() {
      const report = collector.report()
      const { waiting, bytes } = former
      const { spool: own } = report
      return { ...report, spool: { ...own, bytes: own.bytes + bytes, waiting: own.waiting + waiting } }
    },
    async pulse() {},
    configure: (changed, filter) => collector.configure(settingsOf(changed, filter)),
    rotate: () => collector.rotate(),
    async stop() {
      await collector.stop()
      await former.stop()
      return 0
    },
  }
}

/** Collect in a thread for each of `sockets`. */
export async function collectInLanes(
  plan: Plan, sockets: readonly (readonly ListenAt[])[], options: CollectOptions, events: CollectEvents,
): Promise<Collecting> {
  const expiries: (() => Promise<void>)[] = []
  const former = whatFor(plan, events, (place, about) => {
    expiries.push(expiryOf(place, about))
    return sinkOf(place, () => events.retention().rotate)
  })
  const places = plan.places
  const tls = plan.tls && asText(plan.tls)
  let expiring: Promise<void> | undefined

  /** Only here: threads would remove the same files, and each would count them. */
  function expire(): void {
    expiring ??= Promise.all(expiries.map((each) => each())).then(() => { expiring = undefined })
  }

  const lanes = await startLanes<LaneTask>({
    ...former,
    lane: 'cmd/collect/lane',
    onFile(path, rows, leftOut) {
      former.onFile(path, rows, leftOut)
      expire()
    },
    onLaneFault: events.onFault,
    sockets, spool: join(plan.state, 'spool'),
    task: { options, filter: plan.filter, places, tls, bad: badFolder(plan.state) },
  })
  return {
    report: () => lanes.report(),
    pulse: () => lanes.pulse(),
    configure(changed, filter) {
      settingsOf(changed, filter) // throws, which the lanes could not
      lanes.configure({ options: changed, filter, places, tls, bad: badFolder(plan.state) })
    },
    rotate() {
      lanes.rotate()
      expire()
    },
    async stop() {
      const silent = await lanes.stop()
      await expiring
      return silent
    },
  }
}

/** Where datagrams go that show bugs. */
function badFolder(state: string): string {
  return join(state, 'bad')
}

/** PEM as text, since what other threads get are no Buffers any more. */
function asText({ key, cert, ca }: TlsIdentity): TlsIdentity {
  return { key: String(key), cert: String(cert), ...ca !== undefined && { ca: String(ca) } }
}

/** What the spools of former collectors are brought into sinks with. */
function whatFor(
  plan: Plan, { onFault, onFile, onRecovered, onExpired, retention }: CollectEvents,
  open: (place: Place, events: SinkEvents) => FormerOptions['sinks'][number],
): FormerOptions {
  const onError = (error: unknown): void => onFault('', explain(error, '').message)
  return {
    settings: plan.settings,
    sinks: plan.places.map((place) => open(place, { retention, onExpired, onError })),
    onFault: (error, exporter) => onFault(exporter, error.message, stackOf(error)),
    onError, onFile, onRecovered,
  }
}
