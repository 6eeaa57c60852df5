/** What collects: this thread, or several others. */
import { join } from 'node:path'
import type { Limits } from '../core/archive/expire.ts'
import { startCollector, type CollectorOptions } from '../core/collector/collector.ts'
import { startLanes } from '../core/collector/lanes.ts'
import type { CollectorReport } from '../core/collector/report.ts'
import { inherit, openSpoolPlace, type FormerOptions } from '../core/collector/spool-place.ts'
import type { ListenAt } from '../core/net/endpoint.ts'
import type { TlsIdentity } from '../core/net/tls-acceptor.ts'
import { settingsOf, type CollectOptions, type Plan } from './collect-plan.ts'
import { expiryOf, openSink, sinkOf, type Place, type SinkEvents } from './collect-sinks.ts'
import { explain } from './errors.ts'

/** A running collector, of one thread or several. */
export interface Collecting {
  report(): Promise<CollectorReport>
  /** Resolves while all threads do their work; one that hangs has it wait. */
  pulse(): Promise<void>
  /** Go on with what can be changed of these options. */
  configure(options: CollectOptions): void
  rotate(): void
  /** End with everything written. @returns faults that were not told */
  stop(): Promise<number>
}

/** What is told of what goes on. */
export interface CollectEvents {
  /** @param exporter empty: it is not about one */
  onFault(exporter: string, reason: string): void
  onFile(path: string, rows: number): void
  onRecovered(segments: number): void
  onExpired(paths: readonly string[]): void
  /** What may stay of files, asked whenever there are new ones. */
  limits(): Limits
}

/** What lanes are told. */
export interface LaneTask {
  readonly options: CollectOptions
  readonly places: readonly Place[]
  readonly tls: TlsIdentity | undefined
}

/** Collect in this thread. @param open opens sockets in another way than usual */
export async function collectAlone(
  plan: Plan, options: CollectOptions, events: CollectEvents, open: CollectorOptions['open'],
): Promise<Collecting> {
  const { former: formerOptions, change } = whatFor(plan, events, (place, about) => openSink(place, about))
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
    spoolSize: options.spoolSize,
    spoolSync: options.spoolSync,
    receiveBuffer: options.receiveBuffer,
    ...open && { open },
    async inherit(exporters, keep) {
      const states = await former.recover()
      const isKept = await inherit(exporters, states, () => true, keep, onError)
      if (isKept) await former.release().catch(onError)
    },
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
    configure(changed) {
      change(changed)
      collector.configure(settingsOf(changed))
    },
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
  const { former, change } = whatFor(plan, events, (place, about) => {
    expiries.push(expiryOf(place, about))
    return sinkOf(place)
  })
  const places = plan.places
  const tls = plan.tls && asText(plan.tls)
  let expiring: Promise<void> | undefined

  /** Only here: threads would remove the same files, and each would count them. */
  function expire(): void {
    expiring ??= Promise.all(expiries.map((each) => each())).then(() => { expiring = undefined })
  }

  const lanes = await startLanes<LaneTask>({
    // these are asked for when they are needed, since they may change
    get filter() { return former.filter },
    get sampling() { return former.sampling },
    sinks: former.sinks, onFault: former.onFault, onError: former.onError, onRecovered: former.onRecovered,
    onFile(path, rows) {
      former.onFile(path, rows)
      expire()
    },
    onLaneFault: events.onFault,
    sockets, spool: join(plan.state, 'spool'),
    task: { options, places, tls },
  })
  return {
    report: () => lanes.report(),
    pulse: () => lanes.pulse(),
    configure(changed) {
      change(changed)
      lanes.configure({ options: changed, places, tls })
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

/** PEM as text, since what other threads get are no Buffers any more. */
function asText({ key, cert, ca }: TlsIdentity): TlsIdentity {
  return { key: String(key), cert: String(cert), ...ca !== undefined && { ca: String(ca) } }
}

/** What spools are brought into sinks with, by settings that may be changed. */
function whatFor(
  plan: Plan, { onFault, onFile, onRecovered, onExpired, limits }: CollectEvents,
  open: (place: Place, events: SinkEvents) => FormerOptions['sinks'][number],
): { readonly former: FormerOptions, change(options: CollectOptions): void } {
  let { settings } = plan
  const onError = (error: unknown): void => onFault('', explain(error, '').message)
  const former: FormerOptions = {
    get filter() { return settings.filter },
    get sampling() { return settings.sampling },
    sinks: plan.places.map((place) => open(place, { limits, onExpired, onError })),
    onFault: (error, exporter) => onFault(exporter, error.message),
    onError, onFile, onRecovered,
  }
  return { former, change(options) { settings = settingsOf(options) } }
}
