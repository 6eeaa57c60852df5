import { setTimeout as sleep } from 'node:timers/promises'
import { FlowkitError } from '../flow/errors.ts'
import { addLoss, newLoss, rowsLost } from '../flow/loss.ts'
import { exportStreams, type EmitFrom, type ExportStreams } from '../netflow/encode/export-streams.ts'
import { FIRST_TEMPLATE } from '../netflow/encode/out-options.ts'
import type { Lane, LaneOptions } from './lanes.ts'
import { connectionFault } from './stream-faults.ts'
import type { StreamSender } from './stream-sender.ts'

/** How long a collector that has gone away is waited for, ms. */
export interface Patience {
  /** Until the first attempt to connect again; each next one waits twice as long, up to `longest`. */
  readonly first: number
  readonly longest: number
  /** For so long flows wait for it, or for one that takes nothing; then they are lost, until it is back. */
  readonly held: number
}

/** What is waited unless told: a collector that is restarted misses nothing that it had not been sent. */
export const PATIENCE: Patience = { first: 500, longest: 30_000, held: 60_000 }

/** Told that a connection is lost, and why, and that there is one again. */
export interface StreamLaneEvents {
  onLost(reason: string): void
  onBack(): void
}

/** A lane by connections, one after the other. */
export interface StreamLane extends Lane {
  /** Connections that were lost. */
  readonly breaks: number
  /** Flows that have certainly not arrived. */
  readonly lost: number
  /** Why the first connection was lost, or could not be had again. */
  readonly reason: string
  /** Send what waits, and end. */
  close(): Promise<void>
}

/** What goes by one connection: a transport session of IPFIX, in which templates come first. */
interface Session {
  readonly sender: StreamSender
  readonly streams: ExportStreams
  /** Rows it was given. */
  given: number
  /** Flows sent before each message that the system may not have taken; the first is number `base`. */
  readonly before: number[]
  base: number
  /** The sequence number of the last message, and what counts up to it: flows, and records of options. */
  sequence: number
  records: number
  options: number
}

const MESSAGE_HEADER = 16
/** Messages after which those that were taken are forgotten. */
const MOST_KEPT = 1024

/**
 * A lane of IPFIX by a connection (RFC 7011 §10.4): templates are sent once.
 *
 * When it is lost, or its collector has taken nothing for long, another is opened, from time to time, and
 * begins with its templates and sequence numbers anew. What the lost one had not given to the system is lost.
 *
 * @param first an open connection
 * @param open opens the next
 * @param signal ends all waiting
 */
export function streamLane(
  first: StreamSender, open: () => Promise<StreamSender>, options: LaneOptions, signal: AbortSignal,
  { onLost, onBack }: StreamLaneEvents, patience: Patience = PATIENCE,
): StreamLane {
  const ended = new AbortController()
  const stop = AbortSignal.any([signal, ended.signal])
  const stopped = new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve()))
  const lossBefore = newLoss()
  let session: Session | undefined = newSession(first)
  let fault: unknown // of a connection that has just been found lost
  let returned = Promise.resolve() // when there is a connection again, or flows wait no more
  let messages = 0
  let lost = 0
  let breaks = 0
  let reason = ''

  function newSession(sender: StreamSender): Session {
    const streams = exportStreams({ ...options, templateRefresh: Infinity, byExporter: false })
    return { sender, streams, given: 0, before: [], base: 0, sequence: 0, records: 0, options: 0 }
  }

  const emit: EmitFrom = (message) => {
    const current = session! // there is one whenever something is encoded
    count(current, message)
    messages++
    if (fault !== undefined) return
    try {
      current.sender.send(message)
    } catch (error) {
      fault = error
    }
  }

  function end(error: unknown): void {
    if (!session) return // it was found lost in two ways
    fault = error
    const { sender, streams, given, before, base } = session
    streams.flush(emit) // so that all is counted
    const loss = streams.addLoss(newLoss())
    const flows = given - rowsLost(loss)
    lost += flows - (before[sender.taken - base] ?? flows)
    addLoss(lossBefore, loss)
    breaks++
    session = fault = undefined
    const why = connectionFault(error)
    reason ||= why
    if (stop.aborted) return
    onLost(why)
    returned = reconnect()
  }

  /** Wait until there is room for more, or the connection is found lost. */
  async function room(sender: StreamSender): Promise<void> {
    const limit = Promise.withResolvers<void>()
    const lose = (error: unknown) => {
      if (session?.sender === sender) end(error) // else it has been given up
    }
    const timer = setTimeout(() => {
      lose(new FlowkitError('ERR_INPUT', 'Cannot send: the collector takes nothing'))
      void sender.close().catch(() => {})
      limit.resolve()
    }, patience.held)
    await Promise.race([sender.ready().catch(lose), stopped, limit.promise])
    clearTimeout(timer)
  }

  function reconnect(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patience.held)
      void tryAgain().finally(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  async function tryAgain(): Promise<void> {
    for (let wait = patience.first; ; wait = Math.min(wait * 2, patience.longest)) {
      await sleep(wait, undefined, { signal: stop }).catch(() => {})
      if (stop.aborted) return
      const sender = await open().catch(() => undefined)
      if (!sender) continue
      if (stop.aborted) return void sender.close().catch(() => {})
      session = newSession(sender)
      return onBack()
    }
  }

  return {
    get messages() { return messages },
    get breaks() { return breaks },
    get lost() { return lost },
    get reason() { return reason },
    async ready() {
      if (session) await room(session.sender)
      if (!session) await Promise.race([returned, stopped])
    },
    encode(batch) {
      if (!session) return void (lost += batch.length)
      session.given += batch.length
      session.streams.encode(batch, emit)
      if (fault !== undefined) end(fault)
    },
    flush() {
      session?.streams.flush(emit)
      if (fault !== undefined) end(fault)
    },
    addLoss(sum) {
      addLoss(sum, lossBefore)
      return session ? session.streams.addLoss(sum) : sum
    },
    async close() {
      ended.abort()
      await session?.sender.close().catch(end)
    },
  }
}

/** Note how many flows were sent before a message: its sequence number counts data records. */
function count(session: Session, message: Uint8Array): void {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const sequence = view.getUint32(8)
  session.records += sequence - session.sequence >>> 0
  session.sequence = sequence
  if (session.before.length >= MOST_KEPT) {
    const taken = session.sender.taken - session.base
    session.before.splice(0, taken)
    session.base += taken
  }
  session.before.push(session.records - session.options)
  for (let at = MESSAGE_HEADER; at < message.length; at += view.getUint16(at + 2)) {
    // options have a set for each record
    const id = view.getUint16(at)
    if (id >= 256 && id < FIRST_TEMPLATE) session.options++
  }
}
