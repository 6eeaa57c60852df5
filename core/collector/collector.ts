import { isIPv4 } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseIpv4, parseIpv6 } from '../flow/address.ts'
import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import type { FlowWriter } from '../flow/stream.ts'
import { listenUdp, type Endpoint, type UdpListener } from '../net/udp.ts'
import { datagramDecoder, type DatagramDecoder } from '../netflow/datagram.ts'
import { newDatagram, type Datagram } from '../netflow/message.ts'
import type { CounterSample } from '../netflow/sflow/counters.ts'

/** What a collector is to do. */
export interface CollectorOptions {
  readonly listen: readonly Endpoint[]
  /** Bytes the kernel is asked to keep a socket. */
  readonly receiveBuffer: number
  /** Takes the flows. */
  readonly writer: FlowWriter
  /** Takes the counter samples of sFlow; without it they are only counted. */
  readonly writeCounters?: (samples: readonly CounterSample[]) => Promise<void>
  /** Drops the flows that are not wanted from a batch. @returns how many it dropped */
  readonly filter?: (batch: FlowBatch) => number
  /** Told of a datagram that could not be decoded. */
  onFault(error: FlowkitError, exporter: string): void
  /** Told when rows could not be written; they are lost and counted, and collecting goes on. */
  onWriteError(error: unknown): void
}

/** What a collector has done so far. */
export interface CollectorCounters {
  datagrams: number
  /** Datagrams refused because the writer was too far behind. */
  refused: number
  /** Flow records decoded; of these dropped by the filter, written, and lost as writing failed. */
  records: number
  filtered: number
  written: number
  lost: number
  /** Counter samples taken, written, and lost as writing failed. */
  counterSamples: number
  writtenCounters: number
  lostCounters: number
}

/** A running collector. */
export interface Collector {
  readonly listeners: readonly UdpListener[]
  readonly decoder: DatagramDecoder
  readonly counters: CollectorCounters
  /** Hand all flows and counter samples decoded so far to the writer. */
  flush(): Promise<void>
  /** Take what the sockets still hold, stop listening and hand over what is left. The writer stays open. */
  stop(): Promise<void>
}

/** Batches that may wait for the writer: beyond, datagrams are refused, so that memory stays bounded. */
const MAX_QUEUED = 64
/** Counter samples that are handed on together. */
const MAX_SAMPLES = 1024
/** How long nothing must come for a socket to count as empty, in ms, and how often that is tried. */
const DRAIN_PAUSE = 20
const DRAIN_ROUNDS = 50
/** A batch that is not full waits at most this long, in ms. */
const FLUSH_EVERY = 1000

/**
 * Start to collect: sockets are open when the promise resolves.
 *
 * @throws the system error of a socket that cannot be opened; none is left open then
 */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { writer, writeCounters, filter, onFault, onWriteError } = options
  const counters: CollectorCounters = {
    datagrams: 0, refused: 0, records: 0, filtered: 0, written: 0, lost: 0,
    counterSamples: 0, writtenCounters: 0, lostCounters: 0,
  }
  let samples: CounterSample[] = []
  const decoder = datagramDecoder(undefined, writeCounters ? { onCounters } : {})
  const datagram = newDatagram()
  const spare: FlowBatch[] = []
  let batch = new FlowBatch()
  let queued = 0
  let writing: Promise<void> = Promise.resolve()

  function onDatagram(payload: Uint8Array, address: string, port: number): void {
    counters.datagrams++
    if (queued >= MAX_QUEUED) {
      counters.refused++
      return
    }
    setSource(datagram, address)
    datagram.bytes = payload
    datagram.view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
    datagram.end = payload.length
    datagram.port = port
    datagram.received = Date.now() * 1000
    const before = batch.length
    try {
      decoder.decode(datagram, batch)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      onFault(error, address)
    }
    counters.records += batch.length - before
    if (batch.length >= BATCH_SIZE || samples.length >= MAX_SAMPLES) void flush()
  }

  function onCounters(sample: CounterSample): void {
    counters.counterSamples++
    samples.push(sample)
  }

  function flush(): Promise<void> {
    if (batch.length === 0 && samples.length === 0) return writing
    const full = batch
    const taken = samples
    batch = spare.pop() ?? new FlowBatch()
    samples = []
    queued++
    writing = writing.then(() => write(full)).then(() => writeSamples(taken)).finally(() => {
      full.clear()
      spare.push(full)
      queued--
    })
    return writing
  }

  async function write(full: FlowBatch): Promise<void> {
    const filtered = filter?.(full) ?? 0
    counters.filtered += filtered
    if (full.length === 0) return
    try {
      await writer.write(full)
      counters.written += full.length
    } catch (error) {
      counters.lost += full.length
      onWriteError(error)
    }
  }

  async function writeSamples(taken: readonly CounterSample[]): Promise<void> {
    if (taken.length === 0 || !writeCounters) return
    try {
      await writeCounters(taken)
      counters.writtenCounters += taken.length
    } catch (error) {
      counters.lostCounters += taken.length
      onWriteError(error)
    }
  }

  const listeners: UdpListener[] = []
  try {
    for (const endpoint of options.listen) {
      listeners.push(await listenUdp(endpoint, options.receiveBuffer, onDatagram))
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()))
    throw error
  }
  const timer = setInterval(() => void flush(), FLUSH_EVERY)

  return {
    listeners, decoder, counters, flush,
    async stop() {
      clearInterval(timer)
      // what was sent before the end belongs to it: sockets are empty once nothing comes for a moment
      for (let seen = -1, rounds = 0; seen !== counters.datagrams && rounds < DRAIN_ROUNDS; rounds++) {
        seen = counters.datagrams
        await delay(DRAIN_PAUSE)
      }
      await Promise.all(listeners.map((listener) => listener.close()))
      await flush()
    },
  }
}

/** The source address as numbers; IPv4 that came through a socket of both families is IPv4. */
function setSource(datagram: Datagram, address: string): void {
  const text = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
  if (isIPv4(text)) {
    datagram.family = 4
    datagram.v4 = parseIpv4(text)
    return
  }
  datagram.family = 6
  const zone = text.indexOf('%')
  parseIpv6(zone < 0 ? text : text.slice(0, zone), datagram.v6, 0)
}
