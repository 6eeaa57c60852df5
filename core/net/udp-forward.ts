import { createSocket as createNodeSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc, type Libc } from './ffi.ts'
import type { Destination } from './send.ts'
import { newSendVector, setDatagram } from './send-vector.ts'
import type { DatagramBatch } from './udp-receiver.ts'
import {
  EAGAIN, EMSGSIZE, ENOBUFS, MMSGHDR_SIZE, MSG_DONTWAIT, SO_SNDBUF, SO_SNDBUFFORCE, createSocket,
  encodeAddress, setBufferSize, systemError,
} from './udp-socket.ts'
import type { Endpoint } from './endpoint.ts'

/** Sends datagrams that were received on to another collector, as they came. */
export interface Forwarder {
  readonly destination: Destination
  /** Where that is. */
  readonly endpoint: Endpoint
  /** Datagrams that the system has taken, and those that it has not taken at once. */
  readonly counts: Readonly<ForwardCounts>
  /**
   * Send some of a batch, and wait for nothing.
   *
   * @param rows which: the first `count` of these
   */
  forward(batch: DatagramBatch, rows: Uint32Array, count: number): void
  close(): void
}

/** What became of the datagrams. */
export interface ForwardCounts {
  sent: number
  dropped: number
}

/** Told why datagrams are dropped, once for each reason; that the system has no room for them is none. */
export type OnForwardError = (error: Error) => void

/** Datagrams given to the kernel at once. */
const VECTOR = 256
/** Datagrams that Node's own sockets may hold. */
const MOST_WAITING = 1024
/** Bytes that the kernel is asked to keep of what was sent. */
const SEND_BUFFER = 4 << 20

/**
 * Open a socket to send from: by sendmmsg(2) where that can be had, else by Node's own.
 *
 * It is not connected: one that is would fail each time the other collector is not there.
 *
 * @throws the system error when the host is not found or the socket cannot be opened
 */
export async function openForwarder(destination: Destination, onError: OnForwardError): Promise<Forwarder> {
  const { address } = await lookup(destination.host)
  const endpoint = { address, port: destination.port }
  try {
    return vectorForwarder(await loadLibc(), destination, endpoint, onError)
  } catch (error) {
    if (!(error instanceof FlowkitError) || error.code !== 'ERR_UNSUPPORTED') throw error
    return nodeForwarder(destination, endpoint, onError)
  }
}

function vectorForwarder(
  libc: Libc, destination: Destination, endpoint: Endpoint, onError: OnForwardError,
): Forwarder {
  const target = encodeAddress(libc, endpoint)
  const vector = newSendVector(libc, VECTOR, target)
  const fd = createSocket(libc, target.family)
  setBufferSize(libc, fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER)
  const counts: ForwardCounts = { sent: 0, dropped: 0 }
  const say = sayOnce(onError)

  function send(count: number): void {
    for (let at = 0; at < count;) {
      const sent = libc.sendmmsg(fd, vector.address + at * MMSGHDR_SIZE, count - at, MSG_DONTWAIT)
      if (sent > 0) {
        counts.sent += sent
        at += sent
        continue
      }
      const errno = libc.errno()
      // what is too long for IPv4 or the route is no reason to leave out the others
      const lost = errno === EMSGSIZE ? 1 : count - at
      counts.dropped += lost
      at += lost
      if (errno !== EAGAIN && errno !== ENOBUFS) say(systemError(libc, 'sendmmsg', ''), endpoint)
    }
  }

  return {
    destination, endpoint, counts,
    forward({ bytes, start, end }, rows, count) {
      const base = libc.addressOf(bytes.buffer) + bytes.byteOffset
      for (let from = 0; from < count; from += VECTOR) {
        const some = Math.min(count - from, VECTOR)
        for (let i = 0; i < some; i++) {
          const row = rows[from + i]
          setDatagram(vector, i, base + start[row], end[row] - start[row])
        }
        send(some)
      }
    },
    close: () => void libc.close(fd),
  }
}

/** A forwarder by a socket of node:dgram. */
export function nodeForwarder(
  destination: Destination, endpoint: Endpoint, onError: OnForwardError,
): Forwarder {
  const { address, port } = endpoint
  const counts: ForwardCounts = { sent: 0, dropped: 0 }
  const socket = createNodeSocket(address.includes(':') ? 'udp6' : 'udp4')
  const say = sayOnce(onError)
  let waiting = 0
  socket.on('error', (error) => say(error, endpoint))

  const done = (error: Error | null): void => {
    waiting--
    if (!error) return void counts.sent++
    counts.dropped++
    say(error, endpoint)
  }

  return {
    destination, endpoint, counts,
    forward({ bytes, start, end }, rows, count) {
      for (let i = 0; i < count; i++) {
        if (waiting >= MOST_WAITING) {
          counts.dropped += count - i
          return
        }
        const row = rows[i]
        waiting++
        socket.send(bytes.slice(start[row], end[row]), port, address, done)
      }
    },
    close: () => socket.close(),
  }
}

/** Tells of a system error, with the place it is about, unless it has told of one of its kind. */
function sayOnce(onError: OnForwardError): (error: NodeJS.ErrnoException, endpoint: Endpoint) => void {
  const said = new Set<string | undefined>()
  return (error, endpoint) => {
    if (said.has(error.code)) return
    said.add(error.code)
    onError(Object.assign(error, endpoint))
  }
}

/** Whether what is sent there comes back to one of the endpoints that this machine listens at. */
export async function leadsBack(
  { address, port }: Endpoint, listening: readonly Endpoint[],
): Promise<boolean> {
  const own = listening.filter((at) => at.port === port)
  if (own.some((at) => at.address === address)) return true
  return own.some((at) => at.address === '::' || at.address === '0.0.0.0') && await isOwn(address)
}

/** Whether an address is one of this machine: a socket can be bound to it. */
function isOwn(address: string): Promise<boolean> {
  const socket = createNodeSocket(address.includes(':') ? 'udp6' : 'udp4')
  return new Promise<boolean>((resolve) => {
    socket.once('error', () => resolve(false))
    socket.bind({ address }, () => resolve(true))
  }).finally(() => socket.close())
}
