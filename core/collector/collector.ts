import { setTimeout as delay } from 'node:timers/promises'
import { FlowkitError } from '../flow/errors.ts'
import { hasPrefix, mapIpv4, type Prefix } from '../flow/prefix.ts'
import { formatEndpoint, type Endpoint, type ListenAt, type Protocol } from '../net/endpoint.ts'
import { listenIpfix, STREAM_LIMITS, type IpfixListener, type StreamEvents } from '../net/ipfix-stream.ts'
import { alignedMemory } from '../net/aligned.ts'
import { openReceiver, type Receiver } from '../net/receiver.ts'
import type { Destination } from '../net/send.ts'
import type { SourceAddress, StreamPeer } from '../net/source.ts'
import type { TlsIdentity } from '../net/tls-acceptor.ts'
import { leadsBack, openForwarder, type Forwarder } from '../net/udp-forward.ts'
import { groupsFor, type MulticastGroup } from '../net/udp-socket.ts'
import { forgetSessions, newExporters, type Exporters } from '../netflow/exporters.ts'
import { newDatagram } from '../netflow/message.ts'
import { saveExporters } from '../netflow/snapshot.ts'
import { newBacklog } from './backlog.ts'
import { MAX_PAYLOAD } from '../spool/datagram-block.ts'
import { ledgerOf } from './ledger.ts'
import { newLoad } from './load.ts'
import { recover, type ReplayOptions, type SegmentSettings } from './replay.ts'
import type { CollectorCounters, CollectorReport } from './report.ts'
import { PAGE } from '../spool/segment-file.ts'
import { startSegments, type Segments } from './segments.ts'
import type { Sink } from '../sinks/sink.ts'
import { listSegments } from '../spool/files.ts'
import { openSpool, type SegmentNaming, type Spool } from '../spool/spool.ts'

/** What may be changed while a collector runs. */
export interface CollectorSettings extends SegmentSettings {
  /** Exporters that are listened to; all if there is none. */
  readonly allow: readonly Prefix[]
}

/** What a collector is to do. */
export interface CollectorOptions extends ReplayOptions, CollectorSettings {
  readonly listen: readonly ListenAt[]
  /** Who it is to exporters that connect by TLS. */
  readonly tls?: TlsIdentity
  /** Multicast groups to join, on the sockets of their family. */
  readonly groups: readonly MulticastGroup[]
  /** Bytes that the kernel is asked to keep for each socket. */
  readonly receiveBuffer: number
  /** Collectors that datagrams of the sockets are sent on to, as they came; those refused are not. */
  readonly forward?: readonly Destination[]
  /** Where flows go to. */
  readonly sinks: readonly Sink[]
  /** The folder of the spool, the bytes it may have, and how often it is made durable, in ms. */
  readonly spool: string
  readonly spoolSize: number
  readonly spoolSync: number
  /** Whether room for all of it is kept on the disk, from the beginning. */
  readonly isSpoolReserved?: boolean
  readonly naming?: SegmentNaming
  /** Opens a socket; core/net/receiver.ts unless told. */
  readonly open?: typeof openReceiver
  /** Of several collectors at the same ports: whether datagrams of an address are for this one. */
  isOwn?(source: Readonly<SourceAddress>): boolean
  /**
   * Adds to what is known of exporters what others knew, once the spool is recovered.
   *
   * @param keep makes a snapshot durable, with the spool
   */
  inherit?(exporters: Exporters, keep: (state: Uint8Array) => Promise<void>): Promise<void>
  /** Told of files that have their names now. */
  onFile(path: string, rows: number, leftOut?: readonly string[]): void
  /** Told of segments of the spool that were decoded again at the beginning. */
  onRecovered(segments: number): void
}

/** A running collector. */
export interface Collector {
  report(): CollectorReport
  /**
   * Go on with other settings: `allow` holds at once, the others for what is received after the next call of
   * `rotate`.
   */
  configure(settings: CollectorSettings): void
  /** End the segment that is written to: its files appear soon. The next one begins at `now`, ms. */
  rotate(now?: number): void
  /**
   * Take what the sockets still hold, decode it, and wait for the sinks, but not for long for one that hangs:
   * what they do not take is spooled.
   */
  stop(): Promise<void>
}

/** Memory for datagrams that wait to be decoded. */
const BACKLOG_MEMORY = 64 * 2 ** 20
/** Batches of datagrams that are taken from one socket before it is the turn of others. */
const ROUNDS = 4
/** ms between looks at the sockets. */
const TURN = 2
/** How long nothing must come for the sockets to count as empty, in ms, and how often that is tried. */
const DRAIN_PAUSE = 20
const DRAIN_ROUNDS = 50

/**
 * Start to collect: sockets are open when the promise resolves, and what the spool holds is brought into the
 * sinks meanwhile.
 *
 * @throws the system error of a socket or folder that cannot be opened; none is left open then
 */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { isOwn, onError } = options
  let settings: CollectorSettings = options
  let isChanged = false // since the segment began
  const changes = new Map<string, SegmentSettings>() // by the segments that begin with them
  const started = Date.now() * 1000
  const counters: CollectorCounters = {
    datagrams: 0, refused: 0, dropped: 0, unspooled: 0, records: 0, filtered: 0, counterSamples: 0,
  }
  const spool = await openSpool(options.spool, options.spoolSize, options.naming, options.isSpoolReserved)
  if (spool.unreserved > 0) onError(notReserved(options, spool))
  const first = spool.segment
  const older = (await listSegments(options.spool)).filter(({ id }) => id !== first)
  let wake: () => void = () => {}
  const backlog = newBacklog({
    spool, counters, memory: BACKLOG_MEMORY, allocate: await alignedMemory(PAGE), onError,
    makeRoom: () => segments?.makeRoom() ?? false,
    onReady: () => wake(),
  })
  const receivers: Receiver[] = []
  const watched = new Set<Receiver>()
  const forwarders: Forwarder[] = []
  let forwarded = new Uint32Array(256) // rows of a batch
  const streams: { readonly listener: IpfixListener, readonly protocol: Protocol }[] = []
  let segments: Segments | undefined // once what was in the spool is recovered
  let isListening = true
  let isBehind = false // a socket may have more than was taken
  let lastHeard = 0
  const datagram = newDatagram()
  const mapped = new Uint8Array(16)

  const events: StreamEvents = {
    onMessage(bytes, start, end, peer, received) {
      counters.datagrams++
      setSession(peer, received)
      datagram.bytes = bytes
      datagram.start = start
      datagram.end = end
      if (end - start > MAX_PAYLOAD) throw tooLong(end - start)
      if (!isAllowed()) counters.refused++
      else backlog.put(datagram, 0)
      wake()
    },
    onFault: (error, { address }) => options.onFault(error, address),
    onClose(peer) {
      setSession(peer, Date.now() * 1000)
      datagram.start = datagram.end = 0
      backlog.put(datagram, 0)
      wake()
    },
  }

  function setSession({ family, v4, v6, port }: StreamPeer, received: number): void {
    datagram.session = true
    datagram.family = family
    datagram.v4 = v4
    datagram.v6.set(v6)
    datagram.port = port
    datagram.received = received
  }

  try {
    for (const endpoint of options.listen) {
      const { protocol, ...at } = endpoint
      if (protocol === 'udp') receivers.push(await openSocket(options, at))
      else {
        const identity = protocol === 'tls' ? { tls: options.tls! } : {}
        streams.push({ protocol, listener: await listenIpfix({ ...at, ...identity }, STREAM_LIMITS, events) })
      }
    }
    for (const destination of options.forward ?? []) {
      forwarders.push(await openForwarder(destination, onError))
      await checkForward(forwarders.at(-1)!, receivers)
    }
  } catch (error) {
    for (const each of [...receivers, ...forwarders]) each.close()
    for (const { listener } of streams) await listener.close()
    await spool.close()
    throw error
  }

  /** Take what has arrived. @returns how many datagrams */
  function receive(): number {
    let count = 0
    isBehind = false
    for (const receiver of receivers) {
      for (let round = 0; round < ROUNDS && (round === 0 || receiver.hasMore); round++) {
        const got = receiver.receive()
        if (got > 0) take(receiver, got)
        count += got
      }
      if (receiver.hasMore) isBehind = true
    }
    if (count > 0) lastHeard = performance.now()
    backlog.commit()
    return count
  }

  function take({ batch, endpoint }: Receiver, count: number): void {
    const { source: { family, v4, v6 } } = batch
    counters.datagrams += count
    datagram.bytes = batch.bytes
    datagram.session = false
    let allowed = 0
    if (forwarded.length < count) forwarded = new Uint32Array(count)
    for (let row = 0; row < count; row++) {
      datagram.start = batch.start[row]
      datagram.end = batch.end[row]
      datagram.family = family[row]
      datagram.v4 = v4[row]
      if (family[row] === 6) for (let i = 0; i < 16; i++) datagram.v6[i] = v6[row * 16 + i]
      datagram.port = batch.sourcePort[row]
      datagram.received = batch.received[row]
      if (isOwn && !isOwn(datagram)) counters.datagrams-- // it came to all of them, by a multicast group, say
      else if (isAllowed()) {
        backlog.put(datagram, endpoint.port)
        forwarded[allowed++] = row
      } else counters.refused++
    }
    for (const forwarder of forwarders) forwarder.forward(batch, forwarded, allowed)
  }

  function isAllowed(): boolean {
    const { allow } = settings
    if (allow.length === 0) return true
    const address = datagram.family === 4 ? mapIpv4(datagram.v4, mapped) : datagram.v6
    return allow.some((prefix) => hasPrefix(address, prefix))
  }

  async function run(): Promise<void> {
    const load = newLoad()
    let received = -Infinity
    while (isListening || !backlog.isEmpty) {
      const begun = performance.now()
      let count = 0
      // not too often: what comes together costs less to take, and to spool
      const isEarly = begun - received < TURN && !isBehind
      if (isListening && !isEarly) {
        count = receive()
        received = performance.now()
        load.add(begun, received)
      }
      // what the spool has can wait, what the sockets have cannot
      const canDecode = !isBehind && (!load.isHigh || count === 0)
      const hasRun = canDecode && segments?.decode(backlog) || false
      if (hasRun || isBehind) await new Promise(setImmediate)
      else if (count > 0 || isEarly) await delay(TURN)
      else await idle()
    }
  }

  function rotate(now?: number): void {
    backlog.cut(now)
    if (isChanged) changes.set(spool.segment, settings)
    isChanged = false
    wake()
  }

  /** Wait until a socket has something, there is something to decode, or room to decode it into. */
  function idle(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve
      if (isListening) for (const receiver of receivers) watch(receiver)
    })
  }

  /** Be woken once the socket has something; asked once, for others may wake many times before. */
  function watch(receiver: Receiver): void {
    if (watched.has(receiver)) return
    watched.add(receiver)
    void receiver.readable().then(() => {
      watched.delete(receiver)
      wake()
    })
  }

  const settled: SegmentSettings = settings // of what was received before
  const recovered = recover(spool, older, first, settled, options).catch((error: unknown) => {
    onError(error)
    return { exporters: newExporters(settled.sampling), formers: [] }
  }).then(async ({ exporters, formers }) => {
    await options.inherit?.(exporters, async () => {
      forgetSessions(exporters) // connections ended with the process that had them
      await spool.writeState(first, saveExporters(exporters))
    })
    segments = startSegments({
      ...options, directory: options.spool, settings: settled, spool, first, exporters, formers, counters,
      settingsFrom(segment) {
        const changed = changes.get(segment)
        changes.delete(segment)
        return changed
      },
      onReady: () => wake(),
    })
    wake()
  })
  const running = run()
  const syncing = setInterval(() => void spool.sync().catch(onError), options.spoolSync)

  return {
    report: () => ({
      started, counters,
      sockets: receivers.map((receiver) => ({
        endpoint: formatEndpoint(receiver.endpoint), receiveBuffer: receiver.receiveBuffer,
        dropped: receiver.dropped(),
      })),
      streams: streams.map(({ protocol, listener: { endpoint, connections, counters: stream } }) => ({
        endpoint: formatEndpoint(endpoint, protocol), connections, accepted: stream.accepted,
        refused: stream.refused, faults: stream.faults,
      })),
      forwards: forwarders.map(({ destination, counts }) => ({ endpoint: destination.name, ...counts })),
      sinks: segments?.sinks ?? [],
      exporters: segments ? ledgerOf(segments.exporters) : [],
      spool: {
        bytes: spool.size, limit: options.spoolSize, reserved: spool.reserved,
        waiting: backlog.ended + (segments?.waiting ?? 0),
      },
    }),
    configure(changed) {
      settings = changed
      isChanged = true
    },
    rotate,
    async stop() {
      await recovered
      // what was sent before the end belongs to it: sockets are empty once nothing comes for a moment
      for (let round = 0; round < DRAIN_ROUNDS; round++) {
        await delay(DRAIN_PAUSE)
        // asked here, since on a busy machine nobody may have looked for longer than that
        if (receive() === 0 && performance.now() - lastHeard >= DRAIN_PAUSE) break
      }
      for (const { listener } of streams) await listener.close()
      isListening = false
      backlog.cut()
      wake()
      await running
      await segments!.stop()
      clearInterval(syncing)
      for (const each of [...receivers, ...forwarders]) each.close()
      await spool.close()
    },
  }
}

async function checkForward(
  { destination: { name }, endpoint }: Forwarder, receivers: readonly Receiver[],
): Promise<void> {
  if (!await leadsBack(endpoint, receivers.map((receiver) => receiver.endpoint))) return
  throw new FlowkitError('ERR_OPTION', `Cannot forward to ${name}: this collector listens there itself`)
}

/** Told at the beginning: what others take of the disk later is not there for the spool. */
function notReserved({ spool: folder, spoolSize }: CollectorOptions, { unreserved }: Spool): FlowkitError {
  const found = `${spoolSize} bytes wanted, the disk cannot give ${unreserved} of them now`
  return new FlowkitError('ERR_LIMIT', `Cannot reserve spool "${folder}": ${found}`)
}

function tooLong(size: number): FlowkitError {
  const found = `${MAX_PAYLOAD} bytes allowed, ${size} found`
  return new FlowkitError('ERR_LIMIT', `Cannot take IPFIX message: ${found}`)
}

function openSocket(options: CollectorOptions, endpoint: Endpoint): Promise<Receiver> {
  const { receiveBuffer, groups, open = openReceiver } = options
  return open({ ...endpoint, receiveBuffer, groups: groupsFor(endpoint, groups) })
}
