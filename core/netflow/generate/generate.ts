import { BATCH_SIZE, FlowBatch } from '../../flow/batch.ts'
import type { TrafficOptions } from './options.ts'
import { appendRows, draw } from './rows.ts'
import { KIND, makeStreams, type RecordKind, type Stream } from './streams.ts'

/** How long templates hold before they are sent again, µs. */
const TEMPLATE_REFRESH = 60e6

/** 1.5 % of flows are ICMP. */
const ICMP_SHARE = 0.015
const TWO_32 = 4_294_967_296

/** Datagrams as they are exported: what comes next, and when. */
export interface Schedule {
  /** The stream whose next datagram is planned, or undefined when all is sent. */
  readonly next: Stream | undefined
  /** When the collector receives that datagram, µs. */
  readonly received: number
  /** Whether the stream's templates go before it. */
  readonly announces: boolean
  /** Go on to the datagram after it. */
  advance(): void
}

/**
 * Rows as a collector would make them of the traffic of `options`, in the order they are received.
 *
 * Most come from conversations of both directions between few busy and many quiet hosts; long flows are told
 * of in parts. Each exporter has its own hosts, interfaces, AS, version and sampling, and its rows have the
 * fields of its version. Faults of the export (loss, reorder, late templates) are left to `generateDatagrams`.
 * Equal options give equal rows, everywhere. The batch is reused.
 */
export function* generateFlows(options: TrafficOptions): Generator<FlowBatch> {
  const schedule = scheduleOf(options)
  const batch = new FlowBatch()
  for (;;) {
    const { next } = schedule
    if (!next || batch.length + next.rows > BATCH_SIZE) {
      if (batch.length > 0) yield batch
      if (!next) return
      batch.clear()
    }
    appendRows(next, schedule.received, batch, false)
    schedule.advance()
  }
}

/** The datagrams of all streams in the order they are exported. */
export function scheduleOf(options: TrafficOptions): Schedule {
  const streams = makeStreams(options) // a heap: the stream of the earliest datagram is first
  for (const stream of streams) plan(stream, options)
  for (let i = streams.length >> 1; i >= 0; i--) sink(streams, i)
  const schedule = { next: undefined as Stream | undefined, received: 0, announces: false, advance }

  function take(): void {
    const next = schedule.next = streams[0]
    if (!next) return
    // at least the time of the datagram before, though some take longer on their way than others
    schedule.received = Math.max(schedule.received, next.time + 200 + draw(next) % 700)
    schedule.announces = next.profile.hasTemplates && next.datagrams >= options.lateTemplates &&
      next.time - next.announcedAt >= TEMPLATE_REFRESH
    if (!schedule.announces) return
    next.announcedAt = next.time
    if (next.profile.version === 9) next.sequence = (next.sequence + 1) >>> 0 // it counts messages
  }

  function advance(): void {
    const [stream] = streams
    const { rows, profile } = stream
    stream.datagrams++
    stream.done += rows
    stream.sequence = (stream.sequence + (profile.version === 9 ? 1 : rows)) >>> 0
    if (stream.done < stream.quota) plan(stream, options)
    else {
      const last = streams.pop()!
      if (last !== stream) streams[0] = last
    }
    sink(streams, 0)
    take()
  }

  take()
  return schedule
}

/** Choose the records of a stream's next datagram, as many as it holds, and its time. */
function plan(stream: Stream, { v6, nat, mtu, from, span }: TrafficOptions): void {
  const { profile: { kinds, headerSize, setSize, maxRecords, hasTemplates }, counts, quota, done } = stream
  const most = Math.min(maxRecords, quota - done)
  let used = headerSize
  let rows = 0
  counts.fill(0)
  for (; rows < most; rows++) {
    const kind = stream.carried >= 0 ? stream.carried
      : hasTemplates ? drawKind(stream, v6, nat) : drawKind(stream, 0, 0)
    const { size } = kinds[kind] as RecordKind
    used += counts[kind] === 0 ? size + setSize : size
    // kept for the next datagram, lest large records become rarer
    stream.carried = used > mtu ? kind : -1
    if (used > mtu) break
    counts[kind]++
  }
  stream.rows = rows
  // exports are spread evenly, but for up to half of the time since the one before
  const progress = (done + rows * (1 - draw(stream) / TWO_32 / 2)) / quota
  stream.time = from + Math.floor(span * progress / 1000) * 1000
}

function drawKind(stream: Stream, v6: number, nat: number): number {
  const chance = draw(stream) / TWO_32
  if (chance < nat) return KIND.nat
  const icmp = draw(stream) / TWO_32 < ICMP_SHARE
  // what is left of the chance when there are no NAT events is even from 0 to 1
  if ((chance - nat) / (1 - nat) < v6) return icmp ? KIND.v6Icmp : KIND.v6
  return icmp ? KIND.v4Icmp : KIND.v4
}

/** Move stream `i` of a heap down to where neither of the two below it is earlier. */
function sink(heap: Stream[], i: number): void {
  for (;;) {
    let first = i
    for (let child = 2 * i + 1; child <= 2 * i + 2 && child < heap.length; child++) {
      if (isBefore(heap[child], heap[first])) first = child
    }
    if (first === i) return
    const moved = heap[i]
    heap[i] = heap[first]
    heap[first] = moved
    i = first
  }
}

function isBefore(a: Stream, b: Stream): boolean {
  if (a.time !== b.time) return a.time < b.time
  return a.exporter !== b.exporter ? a.exporter < b.exporter : a.port < b.port
}
