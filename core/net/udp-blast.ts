import { markAsUntransferable } from 'node:worker_threads'
import { loadLibc, type Libc } from './ffi.ts'
import {
  EAGAIN, ECONNREFUSED, EINTR, ENOBUFS, MMSGHDR_SIZE, MSG_DONTWAIT, POLLOUT, SO_SNDBUF, SO_SNDBUFFORCE,
  bindSocket, createSocket, encodeAddress, localEndpoint, pollDescriptors, setBufferSize, systemError,
} from './udp-socket.ts'
import { newSendVector, setDatagram, type SendVector } from './send-vector.ts'
import { formatEndpoint, type Endpoint } from './endpoint.ts'

/** What to send, and where. */
export interface UdpBlastOptions extends Endpoint {
  /** Address to send from, such as one of 127.0.0.x; the one that the routing table gives unless told. */
  readonly source?: string
  /** Bytes that the kernel is asked to keep for the socket; its default unless told. */
  readonly sendBuffer?: number
  /** The datagrams; their bytes may be changed between two calls of `send`. */
  readonly bytes: Uint8Array
  /** Where each begins in `bytes`, in order, and where the last ends: one more than there are datagrams. */
  readonly offsets: Uint32Array
}

/** How sending went. */
export interface BlastCounts {
  /** Datagrams taken by the kernel. */
  sent: number
  /** System calls. */
  calls: number
  /** Calls that took fewer datagrams than they were given. */
  partial: number
  /** Calls that took none for want of room: EAGAIN, ENOBUFS. */
  full: number
  /** Calls that took none since nobody had listened to an earlier datagram: ECONNREFUSED. */
  refused: number
}

/** An open socket that sends prepared datagrams. */
export interface UdpBlaster {
  /** Where it sends from. */
  readonly endpoint: Endpoint
  readonly counts: Readonly<BlastCounts>
  /**
   * Send the datagrams from number `from` up to, but without, `to`: as many as the kernel takes at once.
   *
   * @returns how many it has taken, maybe none
   * @throws RangeError for numbers of no datagrams, or the system error
   */
  send(from: number, to: number): number
  /** Block the thread until there is room again, for `timeout` ms at most. @returns whether there is */
  wait(timeout: number): boolean
  close(): void
}

const MAX_VECTOR = 1024 // UIO_MAXIOV: sendmmsg(2) takes no more at once

/**
 * Open a socket that sends by sendmmsg(2), for benches and tests: a call sends up to 1024 datagrams, without
 * any work for each.
 *
 * @throws FlowkitError ERR_UNSUPPORTED where this cannot be done; ERR_OPTION for what is no address;
 *   RangeError for offsets that do not fit; the system error when the socket cannot be opened there
 */
export async function openUdpBlaster(options: UdpBlastOptions): Promise<UdpBlaster> {
  const libc = await loadLibc()
  const { address, port, source, sendBuffer, bytes, offsets } = options
  const prepared = prepare(libc, bytes, offsets)
  const target = encodeAddress(libc, { address, port })
  const fd = createSocket(libc, target.family)
  try {
    if (sendBuffer !== undefined) setBufferSize(libc, fd, SO_SNDBUFFORCE, SO_SNDBUF, sendBuffer)
    if (source !== undefined) bindSocket(libc, fd, { address: source, port: 0 })
    if (libc.connect(fd, target.bytes, target.length) < 0) {
      throw systemError(libc, 'connect', formatEndpoint(options))
    }
    return blasterOf(libc, fd, localEndpoint(libc, fd), prepared)
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

/** What is sent, and what that points to. */
interface Prepared {
  readonly vector: SendVector
  readonly bytes: Uint8Array
}

function prepare(libc: Libc, bytes: Uint8Array, offsets: Uint32Array): Prepared {
  const count = offsets.length - 1
  if (count < 0 || offsets.some((end, i) => end > bytes.length || end < offsets[Math.max(i - 1, 0)])) {
    throw new RangeError(`Cannot prepare datagrams: expected offsets that rise up to ${bytes.length} at most`)
  }
  markAsUntransferable(bytes.buffer)
  const vector = newSendVector(libc, count)
  const base = libc.addressOf(bytes.buffer) + bytes.byteOffset
  for (let i = 0; i < count; i++) setDatagram(vector, i, base + offsets[i], offsets[i + 1] - offsets[i])
  return { vector, bytes }
}

function blasterOf(libc: Libc, socket: number, endpoint: Endpoint, prepared: Prepared): UdpBlaster {
  const counts = { sent: 0, calls: 0, partial: 0, full: 0, refused: 0 }
  const descriptor = Int32Array.of(socket, POLLOUT)
  let fd = socket
  return {
    endpoint,
    counts,
    send(from, to) {
      if (fd < 0) throw new TypeError('Cannot send: the socket is closed')
      const { vector } = prepared // looked up here, so that the bytes live on
      if (!(from >= 0 && from <= to && to <= vector.count)) {
        throw new RangeError(`Cannot send datagrams ${from} to ${to}: there are ${vector.count}`)
      }
      const wanted = Math.min(to - from, MAX_VECTOR)
      counts.calls++
      const sent = libc.sendmmsg(fd, vector.address + from * MMSGHDR_SIZE, wanted, MSG_DONTWAIT)
      if (sent >= 0) {
        counts.sent += sent
        if (sent < wanted) counts.partial++
        return sent
      }
      const errno = libc.errno()
      if (errno === EAGAIN || errno === ENOBUFS) counts.full++
      else if (errno === ECONNREFUSED) counts.refused++
      else if (errno !== EINTR) throw systemError(libc, 'sendmmsg', `from ${formatEndpoint(endpoint)}`)
      return 0
    },
    wait: (timeout) => pollDescriptors(libc, descriptor, timeout),
    close() {
      if (fd >= 0) libc.close(fd)
      fd = descriptor[0] = -1
    },
  }
}
