import { spoofLane, udpLane, type Lane, type LaneOptions, type SpoofLane } from '../../core/net/lanes.ts'
import { openSender, type Destination, type UdpSender } from '../../core/net/send.ts'
import { openSpoofer } from '../../core/net/spoof.ts'
import { streamLane, type StreamLane } from '../../core/net/stream-lane.ts'
import type { TlsTrust } from '../../core/net/stream-sender.ts'
import type { Undelivered } from './report.ts'
import { dial } from './targets.ts'
import type { Io } from '../io.ts'
import { amount } from '../loss-report.ts'

/** Most bytes of a datagram, and of a message by a connection, which no packet must hold. */
const DATAGRAM = 1400
const STREAM_MESSAGE = 16_384

/** Where flows go. */
export interface Ways {
  readonly destinations: readonly Destination[]
  readonly tls: TlsTrust
  /** Share the flows among the destinations, instead of giving all to each. */
  readonly balance: boolean
  /** Send from the exporters' addresses. */
  readonly spoof: boolean
}

/** How flows are encoded. */
export interface SendEncoding extends Omit<LaneOptions, 'maxSize'> {
  /** Most bytes of a datagram, and of a message by a connection; unless told, what suits either. */
  readonly maxSize: number | undefined
  /** Sampling rate of flows that tell none. */
  readonly sampling: number | undefined
}

/** Open ways to all destinations. */
export interface Lanes {
  readonly lanes: readonly Lane[]
  /** Send what waits, and end. */
  close(): Promise<void>
  /** What did not arrive. */
  undelivered(): Undelivered[]
}

/**
 * Open ways to all destinations: what goes to several as the same datagrams shares one.
 *
 * @throws FlowkitError, or the system error, about the first destination that cannot be sent to
 */
export async function openLanes(
  { maxSize, ...encoding }: SendEncoding, { destinations, tls, balance, spoof }: Ways, io: Io,
): Promise<Lanes> {
  const senders: UdpSender[] = []
  const streams: (readonly [name: string, lane: StreamLane])[] = []
  const spoofed: SpoofLane[] = []
  const close = async () => {
    await Promise.all([...senders, ...streams.map(([, lane]) => lane)].map((each) => each.close()))
  }

  async function openStream(destination: Destination): Promise<StreamLane> {
    const { name } = destination
    const open = () => dial(destination, tls)
    return streamLane(await open(), open, { ...encoding, maxSize: maxSize ?? STREAM_MESSAGE }, io.signal, {
      onLost: (reason) => io.talk.warn(`${name}: the connection is lost, trying again: ${reason}`),
      onBack: () => io.talk.info(`${name}: connected again`),
    })
  }

  function datagramLane(group: readonly UdpSender[]): Lane {
    const options = { ...encoding, maxSize: maxSize ?? DATAGRAM, agent: group[0].address }
    if (!spoof) return udpLane(group, options)
    const lane = spoofLane(group, options)
    spoofed.push(lane)
    return lane
  }

  try {
    for (const destination of destinations) {
      if (destination.protocol !== 'udp') streams.push([destination.name, await openStream(destination)])
      else senders.push(await (spoof ? openSpoofer : openSender)(destination))
    }
  } catch (error) {
    await close()
    throw error
  }
  const groups = balance ? senders.map((sender) => [sender]) : copies(senders, spoof)
  return {
    lanes: [...groups.map(datagramLane), ...streams.map(([, lane]) => lane)],
    async close() {
      await close()
      const others = spoofed.reduce((sum, lane) => sum + lane.others, 0)
      const how = "sent from this machine's own address: their exporters have one of another family"
      if (others > 0) io.talk.warn(`${amount(others, 'flow')} ${how}`)
    },
    undelivered: () => [
      ...undeliveredBy(senders),
      ...streams.filter(([, { breaks }]) => breaks > 0).map(([place, { lost, reason }]) => {
        return { place, count: lost, unit: 'flow' as const, reason }
      }),
    ],
  }
}

/** Senders that may be sent the same datagrams. */
function copies(senders: readonly UdpSender[], spoof: boolean): UdpSender[][] {
  const families = () => [4, 6].map((each) => senders.filter(({ family }) => family === each))
  const groups = spoof ? families() : [[...senders]]
  return groups.filter((group) => group.length > 0)
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
