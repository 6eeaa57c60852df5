import type { FlowReader } from '../core/flow/stream.ts'
import { balancer, receiverOf } from '../core/net/balance.ts'
import {
  cutter, pacer, processTimer, replayDatagrams, replayFlows, type FlowSink, type Pace,
} from '../core/net/replay.ts'
import type { UdpSender } from '../core/net/send.ts'
import { newLoss, rowsLost } from '../core/flow/loss.ts'
import { exportStreams, type EmitFrom, type ExportOptions } from '../core/netflow/encode/export-streams.ts'
import { setSampling } from '../core/netflow/encode/set-sampling.ts'
import { generateDatagrams } from '../core/netflow/generate/datagrams.ts'
import type { TrafficOptions } from '../core/netflow/generate/options.ts'
import { type Exported, type ExportedFlows } from './export-report.ts'
import type { Io } from './io.ts'

/** Datagrams sent before events get a turn. */
const BURST = 64
/** How long a datagram waits for more flows, and how long NetFlow v8 aggregates them, ms. */
const LONGEST_WAIT = 1000
const AGGREGATION = 60_000

/** How datagrams are sent. */
export interface SendOptions {
  readonly senders: readonly UdpSender[]
  readonly pace: Pace
  /** Begin again at the end. */
  readonly loop: boolean
  /** Share the flows among the senders, instead of giving all to each. */
  readonly balance: boolean
}

/** Send flows: those of `open`, which is called once a round. */
export async function sendFlows(
  open: () => FlowReader, options: ExportOptions, sampling: number | undefined, how: SendOptions, io: Io,
): Promise<ExportedFlows> {
  const { senders, pace, loop, balance } = how
  const { version } = options
  const groups = balance ? senders.map((sender) => [sender]) : [senders]
  const split = balancer(groups.length)
  let flows = 0
  let datagrams = 0
  const lanes = groups.map((group) => {
    const emit: EmitFrom = (datagram) => {
      datagrams++
      for (const sender of group) sender.send(datagram)
    }
    return { streams: exportStreams(options), emit }
  })

  const sink: FlowSink = {
    longestWait: version !== 'sflow' && version.version === 8 ? AGGREGATION : LONGEST_WAIT,
    async take(batch) {
      flows += batch.length
      if (sampling !== undefined) setSampling(batch, sampling)
      const parts = lanes.length === 1 ? [batch] : split(batch)
      for (const [i, { streams, emit }] of lanes.entries()) streams.encode(parts[i], emit)
      await allReady(senders)
    },
    async flush() {
      for (const { streams, emit } of lanes) streams.flush(emit)
      await allReady(senders)
    },
  }

  const done = io.talk.progress(() => `${flows} flows sent`)
  const cut = cutter(pace)
  const schedule = pacer(processTimer(io.signal))
  for (let before = -1; flows > before && (loop || before < 0) && !schedule.stopped; cut.again()) {
    before = flows // a round without flows is the last
    await replayFlows(open(), cut, schedule, sink)
  }
  await sink.flush()
  done()
  const loss = newLoss()
  for (const { streams } of lanes) streams.addLoss(loss)
  return { flows: flows - rowsLost(loss), datagrams, loss }
}

/** Send generated traffic; each round is the same, as of exporters that were restarted. */
export async function sendTraffic(traffic: TrafficOptions, how: SendOptions, io: Io): Promise<Exported> {
  const { senders, pace, loop, balance } = how
  const speed = 'speed' in pace ? pace.speed : pace.rate * traffic.span / 1e6 / traffic.flows
  const schedule = pacer(processTimer(io.signal))
  let flows = 0
  let datagrams = 0
  const done = io.talk.progress(() => `${datagrams} datagrams sent`)
  let due = 0
  do {
    const source = generateDatagrams(traffic)
    due = await replayDatagrams(source, speed, due, schedule, (datagram) => {
      const message = datagram.bytes.subarray(datagram.start, datagram.end)
      const chosen = balance ? [senders[receiverOf(datagram, senders.length)]] : senders
      const started = chosen.map((sender) => sender.sendFrom(datagram, message))
      const waits = started.filter((wait) => wait !== undefined)
      if (++datagrams % BURST === 0) waits.push(allReady(senders))
      return waits.length > 0 ? Promise.all(waits).then(() => {}) : undefined
    })
    flows += source.expected.reduce((sum, { records }) => sum + records, 0)
  } while (loop && !schedule.stopped)
  done()
  return { flows, datagrams }
}

async function allReady(senders: readonly UdpSender[]): Promise<void> {
  for (const sender of senders) await sender.ready()
}
