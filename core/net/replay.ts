import { appendRows } from '../flow/append-rows.ts'
import { FlowBatch } from '../flow/batch.ts'
import type { FlowReader } from '../flow/stream.ts'
import { fillTimes } from '../netflow/encode/clock.ts'
import type { Datagram } from '../netflow/message.ts'

/** How fast flows go out: so many a second, or so many times as fast as they came (Infinity: at once). */
export type Pace = { readonly rate: number } | { readonly speed: number }

/** Rows that are due together. */
export interface Slice {
  /** Valid until the next slice. */
  readonly batch: FlowBatch
  /** When they are due, in ms from the beginning. */
  readonly due: number
}

/** Cuts batches into slices, and says when each is due. */
export interface Cutter {
  cut(batch: FlowBatch): Generator<Slice>
  /** What comes next is another round: it goes on where the last one ended. */
  again(): void
}

/** A clock and a way to wait for it. */
export interface Timer {
  /** ms from any beginning; never goes back. */
  now(): number
  /** Wait about so many ms, or until it is stopped. */
  sleep(ms: number): Promise<void>
  readonly stopped: boolean
}

/** Waits for moments of a schedule. */
export interface Pacer {
  /** Wait until `due` ms from the beginning: not at all if that has passed. */
  until(due: number): Promise<void>
  readonly stopped: boolean
}

/** Takes flows that are due. */
export interface FlowSink {
  take(batch: FlowBatch): Promise<void>
  /** Let go what waits for more flows. */
  flush(): Promise<void>
  /** How long anything may wait so, ms. */
  readonly longestWait: number
}

/** Flows due within so long go out together, ms: timers are no finer than one. */
const TICK = 2
/** How many times as fast as they are due flows go that are late, and for how long at once, ms. */
const CATCH_UP = 2
const LARGEST_BURST = 5
/** Longest timeout that Node knows, ms. */
const MAX_TIMEOUT = 2 ** 31 - 1

/**
 * A cutter for a pace.
 *
 * By speed, flows are due when they were received or had ended, whatever is later, counted from the first;
 * one that is earlier than the flow before it goes with that. By rate, the n-th is due n / rate seconds after
 * the first.
 */
export function cutter(pace: Pace): Cutter {
  const scratch = new FlowBatch()
  if ('rate' in pace) return rateCutter(pace.rate, scratch)
  return pace.speed === Infinity ? { cut: whole, again() {} } : timeCutter(pace.speed, scratch)
}

function* whole(batch: FlowBatch): Generator<Slice> {
  yield { batch, due: 0 }
}

function rateCutter(rate: number, scratch: FlowBatch): Cutter {
  const most = Math.max(1, Math.floor(rate * TICK / 1000))
  let flows = 0
  return {
    again() {},
    * cut(batch) {
      const { length } = batch
      for (let row = 0; row < length; row += most) {
        const end = Math.min(row + most, length)
        const due = flows / rate * 1000
        flows += end - row
        yield { batch: rowsOf(batch, row, end, scratch), due }
      }
    },
  }
}

function timeCutter(speed: number, scratch: FlowBatch): Cutter {
  const tick = TICK * 1000 * speed // µs of the flows' time
  let times = new Float64Array(0)
  let first = NaN
  let latest = NaN
  let passed = 0 // ms, in rounds before

  const dueAt = (time: number) => passed + (Number.isNaN(time) ? 0 : (time - first) / 1000 / speed)

  return {
    again() {
      passed = dueAt(latest)
      first = latest = NaN
    },
    * cut(batch) {
      if (times.length < batch.length) times = new Float64Array(batch.capacity)
      fillTimes(batch, times)
      const { length } = batch
      for (let row = 0; row < length;) {
        const start = row
        if (Number.isNaN(latest)) first = latest = times[row]
        else if (times[row] > latest) latest = times[row]
        const due = latest
        do row++
        while (row < length && !(times[row] >= due + tick))
        yield { batch: rowsOf(batch, start, row, scratch), due: dueAt(due) }
      }
    },
  }
}

/** Rows `row` up to `end`: `batch` itself where that is all of it. */
function rowsOf(batch: FlowBatch, row: number, end: number, scratch: FlowBatch): FlowBatch {
  if (row === 0 && end === batch.length) return batch
  scratch.clear()
  appendRows(scratch, batch, row, end)
  return scratch
}

/**
 * A pacer whose schedule begins with the first moment that is waited for, at once.
 *
 * Moments are absolute, so that being late never adds up; what is late is caught up with at twice the pace,
 * not in one burst.
 */
export function pacer(timer: Timer): Pacer {
  let begin = NaN
  let last = 0 // due before
  let earliest = -Infinity // when what was due last could go, had it been late
  return {
    get stopped() { return timer.stopped },
    async until(due) {
      if (Number.isNaN(begin)) begin = timer.now() - due
      earliest = Math.max(earliest + (due - last) / CATCH_UP, timer.now() - LARGEST_BURST)
      last = due
      for (;;) {
        const rest = Math.max(begin + due, earliest) - timer.now()
        if (!(rest > 0) || timer.stopped) return
        await timer.sleep(rest)
      }
    },
  }
}

/** The timer of this process, until `signal` stops it. */
export function processTimer(signal: AbortSignal): Timer {
  return {
    now: () => performance.now(),
    get stopped() { return signal.aborted },
    sleep: (ms) => new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const timeout = setTimeout(end, Math.min(ms, MAX_TIMEOUT))
      signal.addEventListener('abort', end)
      function end(): void {
        clearTimeout(timeout)
        signal.removeEventListener('abort', end)
        resolve()
      }
    }),
  }
}

/** Give the flows of `reader` to `sink` when they are due, until they end or the pacer is stopped. */
export async function replayFlows(
  reader: FlowReader, { cut }: Cutter, pacer: Pacer, sink: FlowSink,
): Promise<void> {
  let limit = Infinity // when what waits must go
  for await (const batch of reader) {
    for (const slice of cut(batch)) {
      if (slice.due > limit) {
        await pacer.until(limit)
        await sink.flush()
        limit = Infinity
      }
      await pacer.until(slice.due)
      if (pacer.stopped) return
      limit = Math.min(limit, slice.due + sink.longestWait)
      await sink.take(slice.batch)
    }
  }
}

/**
 * Give datagrams to `send` when they are due: `speed` times as fast as they are received.
 *
 * @param passed when the first is due, in ms
 * @returns when the last was due
 */
export async function replayDatagrams(
  datagrams: Iterable<Datagram>, speed: number, passed: number, pacer: Pacer,
  send: (datagram: Datagram) => Promise<void> | undefined,
): Promise<number> {
  let first = NaN
  let due = passed
  await pacer.until(due)
  for (const datagram of datagrams) {
    if (Number.isNaN(first)) first = datagram.received
    due = passed + (datagram.received - first) / 1000 / speed
    if (due > passed) await pacer.until(due)
    if (pacer.stopped) break
    const waits = send(datagram)
    if (waits) await waits
  }
  return due
}
