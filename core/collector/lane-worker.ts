import { parentPort, workerData } from 'node:worker_threads'
import type { Receiver } from '../net/receiver.ts'
import { inLane } from '../net/steering.ts'
import { adoptUdpReceiver } from '../net/udp-receiver.ts'
import {
  startCollector, type Collector, type CollectorOptions, type CollectorSettings,
} from './collector.ts'
import { packError } from '../packed-error.ts'
import type { LaneAnswer, LaneData, LaneOrder } from './lane-messages.ts'
import { inherit } from './spool-place.ts'

/** What all lanes do. */
type Common = 'listen' | 'spool' | 'naming' | 'isOwn' | 'open' | 'inherit' | 'onFile' | 'onRecovered'

/** What a lane is to do beside that. */
export interface LanePlan<Task> {
  readonly options: Omit<CollectorOptions, Common>
  /** What may be changed while it runs. */
  settingsOf(task: Task): CollectorSettings
  /** Faults that were not told. */
  silent(): number
}

/** Told of a fault that is not told by its `onFault` and `onError` otherwise; empty: of no exporter. */
export type TellFault = (exporter: string, reason: string, detail?: string) => void

/**
 * Be the thread of a lane: collect from its sockets, into a spool of its own, until the main thread stops it.
 *
 * @param planOf makes of what the main thread has given what is to be done
 */
export function serveLane<Task>(planOf: (data: LaneData<Task>, tell: TellFault) => LanePlan<Task>): void {
  const data = workerData as LaneData<Task>
  const { lane, lanes, listen, spool, naming } = data
  const port = parentPort!
  const say = (answer: LaneAnswer): void => port.postMessage(answer)
  const isOwn = inLane(lane, lanes)
  const states = Promise.withResolvers<readonly Uint8Array[]>()
  const waiting = new Map<number, () => void>() // for something to come, by descriptor

  /** Only the main thread can have its event loop watch a socket: see `Libc.watch`. It closes them, too. */
  async function adopt({ fd = -1 }: { readonly fd?: number }): Promise<Receiver> {
    const receiver = await adoptUdpReceiver(fd)
    const { endpoint, receiveBuffer, batch } = receiver
    return {
      endpoint, receiveBuffer, batch,
      receive: () => receiver.receive(),
      get hasMore() { return receiver.hasMore },
      readable: () => new Promise((resolve) => {
        waiting.set(fd, () => resolve(true))
        say({ kind: 'watch', fd })
      }),
      dropped: () => receiver.dropped(),
      close() {},
    }
  }

  async function run(): Promise<void> {
    const plan = planOf(data, (exporter, reason, detail) => {
      say({ kind: 'fault', exporter, reason, ...detail !== undefined && { detail } })
    })
    const { options } = plan
    const collector = await startCollector({
      ...options, listen, spool, naming, isOwn, open: adopt,
      async inherit(exporters, keep) {
        const former = await states.promise
        const isKept = await inherit(exporters, former, isOwn, keep, options.onError)
        say({ kind: 'inherited', isKept })
      },
      onFile: (path, rows, leftOut) => say({ kind: 'file', path, rows, leftOut }),
      onRecovered: (segments) => say({ kind: 'recovered', segments }),
    })
    obey(collector, plan)
    say({ kind: 'started' })
  }

  function obey(collector: Collector, { settingsOf, silent }: LanePlan<Task>): void {
    async function stop(): Promise<void> {
      await collector.stop()
      say({ kind: 'stopped', report: collector.report(), silent: silent() })
      port.close()
    }
    port.on('message', (order: LaneOrder<Task>) => {
      switch (order.kind) {
        case 'inherit': return states.resolve(order.states)
        case 'readable': return waiting.get(order.fd)?.()
        case 'configure': return collector.configure(settingsOf(order.task))
        case 'rotate': return collector.rotate(order.now)
        case 'report': return say({ kind: 'report', id: order.id, report: collector.report() })
        case 'pulse': return say(order)
        case 'stop': return void stop()
      }
    })
  }

  run().catch((error: unknown) => {
    say({ kind: 'failed', error: packError(error) })
    port.close()
  })
}
