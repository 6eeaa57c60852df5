import type { FlowBatch } from '../../core/flow/batch.ts'
import { newLoss, type Loss } from '../../core/flow/loss.ts'
import { balancer } from '../../core/net/balance.ts'
import { spoofLane, udpLane, type Lane, type LaneOptions, type SpoofLane } from '../../core/net/lanes.ts'
import { openSender, type Destination, type UdpSender } from '../../core/net/send.ts'
import { openSpoofer } from '../../core/net/spoof.ts'
import { streamLane, type StreamLane } from '../../core/net/stream-lane.ts'
import type { TlsTrust } from '../../core/net/stream-sender.ts'
import { totalLoss, type Undelivered } from './report.ts'
import { dial, type WireTarget } from './targets.ts'
import { versionName, type SendVersion } from './version.ts'
import type { Io } from '../io.ts'
import { amount } from '../loss-report.ts'

/** Most bytes of a datagram, and of a message by a connection, which no packet must hold. */
const DATAGRAM = 1400
const STREAM_MESSAGE = 16_384
/** What goes by connections. */
const IPFIX = versionName({ version: 10 })

/** Where flows go. */
export interface Ways {
  readonly targets: readonly WireTarget[]
  readonly tls: TlsTrust
  /** Share the flows among the targets, instead of giving all to each. */
  readonly balance: boolean
  /** Send from the exporters' addresses. */
  readonly spoof: boolean
}

/** How flows are encoded; the version is that of targets that tell none. */
export interface SendEncoding extends Omit<LaneOptions, 'maxSize'> {
  /** Most bytes of a datagram, and of a message by a connection; unless told, what suits either. */
  readonly maxSize?: number | undefined
  /** Sampling rate of flows that tell none. */
  readonly sampling?: number | undefined
}

/**
 * Ways to all targets.
 *
 * For each batch, wait until they are `ready`, then `encode` it. What does not fill a datagram waits for
 * more, so `flush` them once a second or so (v8 aggregates until then), and before `close`.
 */
export interface Lanes {
  /** Datagrams and messages so far; those that several targets get count once. */
  readonly messages: number
  /** Wait until there is room for more; lets events happen meanwhile. */
  ready(): Promise<void>
  /** Encode and send all rows of `batch`, which stays as it is. */
  encode(batch: FlowBatch): void
  /** Send what waits for more flows. */
  flush(): void
  /** What the versions could not carry so far; of copies, as much as the one that lost most. */
  loss(): Loss
  /** The same of each version, by its name. */
  losses(): Map<string, Loss>
  /** Send what the system has not taken yet, and end. */
  close(): Promise<void>
  /** What did not arrive, so far. */
  undelivered(): Undelivered[]
}

/** A lane, and what its messages are called. */
interface NamedLane {
  readonly format: string
  readonly lane: Lane
}

/** A sender of datagrams, and what they are. */
interface Datagrams {
  readonly sender: UdpSender
  readonly version: SendVersion
}

/**
 * Open ways to all targets: what goes to several as the same datagrams is encoded once.
 *
 * @throws FlowkitError, or the system error, about the first target that cannot be sent to
 */
export async function openLanes(
  { maxSize, version: usual, ...encoding }: SendEncoding, { targets, tls, balance, spoof }: Ways,
  io: Pick<Io, 'talk' | 'signal'>,
): Promise<Lanes> {
  const senders: Datagrams[] = []
  const streams: (readonly [name: string, lane: StreamLane])[] = []
  const spoofed: SpoofLane[] = []
  const end = async () => {
    await Promise.all([...senders.map(({ sender }) => sender), ...streams.map(([, lane]) => lane)]
      .map((each) => each.close()))
  }

  async function openStream(destination: Destination, version: SendVersion): Promise<StreamLane> {
    const { name } = destination
    const open = () => dial(destination, tls)
    const options = { ...encoding, version, maxSize: maxSize ?? STREAM_MESSAGE }
    return streamLane(await open(), open, options, io.signal, {
      onLost: (reason) => io.talk.warn(`${name}: the connection is lost, trying again: ${reason}`),
      onBack: () => io.talk.info(`${name}: connected again`),
    })
  }

  function datagramLane(group: readonly Datagrams[]): NamedLane {
    const [{ version, sender: { address: agent } }] = group
    const options = { ...encoding, version, maxSize: maxSize ?? DATAGRAM, agent }
    const all = group.map(({ sender }) => sender)
    if (!spoof) return { format: versionName(version), lane: udpLane(all, options) }
    const lane = spoofLane(all, options)
    spoofed.push(lane)
    return { format: versionName(version), lane }
  }

  try {
    for (const { destination, version = usual } of targets) {
      const { name, protocol } = destination
      if (protocol !== 'udp') streams.push([name, await openStream(destination, version)])
      else senders.push({ sender: await (spoof ? openSpoofer : openSender)(destination), version })
    }
  } catch (error) {
    await end()
    throw error
  }
  const groups = balance ? senders.map((each) => [each]) : copies(senders, spoof)
  const named = [...groups.map(datagramLane), ...streams.map(([, lane]) => ({ format: IPFIX, lane }))]
  const lanes = named.map(({ lane }) => lane)
  const split = balance ? balancer(lanes.length) : undefined

  function losses(): Map<string, Loss> {
    const all = Map.groupBy(named, ({ format }) => format).entries()
    return new Map(Array.from(all, ([format, group]) => {
      return [format, totalLoss(group.map(({ lane }) => lane.addLoss(newLoss())), balance)]
    }))
  }

  return {
    losses,
    loss: () => totalLoss([...losses().values()], balance),
    get messages() { return lanes.reduce((sum, lane) => sum + lane.messages, 0) },
    async ready() {
      for (const lane of lanes) await lane.ready()
    },
    encode(batch) {
      const parts = split?.(batch)
      for (let i = 0; i < lanes.length; i++) lanes[i].encode(parts?.[i] ?? batch)
    },
    flush() {
      for (const lane of lanes) lane.flush()
    },
    async close() {
      await end()
      const others = spoofed.reduce((sum, lane) => sum + lane.others, 0)
      const how = "sent from this machine's own address: their exporters have one of another family"
      if (others > 0) io.talk.warn(`${amount(others, 'flow')} ${how}`)
    },
    undelivered: () => [
      ...undeliveredBy(senders.map(({ sender }) => sender)),
      ...streams.filter(([, { breaks }]) => breaks > 0).map(([place, { lost, reason }]) => {
        return { place, count: lost, unit: 'flow' as const, reason }
      }),
    ],
  }
}

/** Senders that may be sent the same datagrams: of one version, and from exporters of one family to spoof. */
function copies(senders: readonly Datagrams[], spoof: boolean): Datagrams[][] {
  const groups = Map.groupBy(senders, ({ version, sender }) => {
    return versionName(version) + (spoof ? ` ${sender.family}` : '')
  })
  return [...groups.values()]
}

/** What senders could not send, or learned to be lost. */
export function undeliveredBy(
  senders: readonly Pick<UdpSender, 'destination' | 'counts' | 'reason'>[],
): Undelivered[] {
  return senders.filter(({ counts }) => counts.failed > 0).map(({ destination, counts, reason }) => {
    const unit = destination.protocol === 'udp' ? 'datagram' : 'message'
    return { place: destination.name, count: counts.failed, unit, reason }
  })
}
