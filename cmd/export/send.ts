import { newLoss, rowsLost } from '../../core/flow/loss.ts'
import type { FlowReader } from '../../core/flow/stream.ts'
import { receiverOf } from '../../core/net/balance.ts'
import { allReady } from '../../core/net/lanes.ts'
import { readAhead } from '../../core/net/read-ahead.ts'
import {
  cutter, pacer, processTimer, replayDatagrams, replayFlows, type FlowSink, type Pace,
} from '../../core/net/replay.ts'
import { openSender, type Destination } from '../../core/net/send.ts'
import { openSpoofer } from '../../core/net/spoof.ts'
import { openStreamFan, type TrafficSender } from '../../core/net/stream-fan.ts'
import { setSampling } from '../../core/netflow/encode/set-sampling.ts'
import { generateDatagrams } from '../../core/netflow/generate/datagrams.ts'
import type { TrafficOptions } from '../../core/netflow/generate/options.ts'
import { openLanes, undeliveredBy, type SendEncoding, type Ways } from './lanes.ts'
import type { Exported, Undelivered } from './report.ts'
import { dial } from './targets.ts'
import type { Io } from '../io.ts'

/** Datagrams sent before events get a turn. */
const BURST = 64
/** How long a datagram waits for more flows by rate, and by speed, which keeps their distances, ms. */
const LONGEST_WAIT = 1000
const SHORT_WAIT = 20
/** How long NetFlow v8 aggregates flows, ms. */
const AGGREGATION = 60_000

/** Where, and how fast, flows are sent. */
export interface SendOptions extends Ways {
  readonly pace: Pace
  /** Begin again at the end. */
  readonly loop: boolean
}

/** What was sent, and what of it did not arrive. */
export interface Sent extends Exported {
  readonly undelivered: readonly Undelivered[]
}

/** Send flows: those of `open`, which is called once a round. */
export async function sendFlows(
  open: () => FlowReader, encoding: SendEncoding, how: SendOptions, io: Io,
): Promise<Sent> {
  const { pace, loop, balance, targets } = how
  const { version: usual, sampling } = encoding
  const lanes = await openLanes(encoding, how, io)
  const aggregates = targets.every(({ version = usual }) => version !== 'sflow' && version.version === 8)
  let read = 0

  const sink: FlowSink = {
    longestWait: aggregates ? AGGREGATION : 'speed' in pace ? SHORT_WAIT : LONGEST_WAIT,
    async take(batch) {
      read += batch.length
      if (sampling !== undefined) setSampling(batch, sampling)
      await lanes.ready()
      lanes.encode(batch)
    },
    async flush() {
      await lanes.ready()
      lanes.flush()
    },
  }

  const done = io.talk.progress(() => `${read} flows sent`)
  const cut = cutter(pace)
  const schedule = pacer(processTimer(io.signal))
  try {
    for (let before = -1; read > before && (loop || before < 0) && !schedule.stopped; cut.again()) {
      before = read // a round without flows is the last
      await replayFlows(readAhead(open()), cut, schedule, sink)
    }
    await sink.flush()
  } finally {
    await lanes.close()
    done()
  }
  const { messages } = lanes
  const loss = lanes.loss()
  const losses = lanes.losses()
  const nowhere = balance ? rowsLost(loss) : Math.min(...Array.from(losses.values(), rowsLost))
  return { read, flows: read - nowhere, messages, loss, losses, undelivered: lanes.undelivered() }
}

/** Send generated traffic; each round is the same, as of exporters that were restarted. */
export async function sendTraffic(traffic: TrafficOptions, how: SendOptions, io: Io): Promise<Sent> {
  const { targets, pace, loop, balance } = how
  const speed = 'speed' in pace ? pace.speed : pace.rate * traffic.span / 1e6 / traffic.flows
  const schedule = pacer(processTimer(io.signal))
  const senders: TrafficSender[] = []
  let flows = 0
  let messages = 0
  const done = io.talk.progress(() => `${messages} messages sent`)
  try {
    for (const { destination } of targets) senders.push(await openTrafficSender(destination, how, io))
    let due = 0
    do {
      const source = generateDatagrams(traffic)
      due = await replayDatagrams(source, speed, due, schedule, (datagram) => {
        const message = datagram.bytes.subarray(datagram.start, datagram.end)
        const chosen = balance ? [senders[receiverOf(datagram, senders.length)]] : senders
        const started = chosen.map((sender) => sender.sendFrom(datagram, message))
        const waits = started.filter((wait) => wait !== undefined)
        if (++messages % BURST === 0) waits.push(allReady(senders))
        return waits.length > 0 ? Promise.all(waits).then(() => {}) : undefined
      })
      flows += source.expected.reduce((sum, { records }) => sum + records, 0)
    } while (loop && !schedule.stopped)
  } finally {
    await Promise.all(senders.map((sender) => sender.close()))
    done()
  }
  return { read: flows, flows, messages, loss: newLoss(), undelivered: undeliveredBy(senders) }
}

function openTrafficSender(
  destination: Destination, { tls, spoof }: SendOptions, io: Io,
): Promise<TrafficSender> {
  if (destination.protocol === 'udp') return (spoof ? openSpoofer : openSender)(destination)
  return openStreamFan(destination, (from) => dial(destination, tls, from), io.signal)
}
