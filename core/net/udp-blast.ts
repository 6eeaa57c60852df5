import { markAsUntransferable } from 'node:worker_threads'
import { loadLibc, type Libc } from './ffi.ts'
import {
  EAGAIN, ECONNREFUSED, EINTR, ENOBUFS, MSG_DONTWAIT, POLLOUT, SOL_UDP, SO_SNDBUF, SO_SNDBUFFORCE,
  UDP_SEGMENT, bindSocket, createSocket, encodeAddress, localEndpoint, pollDescriptors, setBufferSize,
  setOption, systemError,
} from './udp-socket.ts'
import { newSendVector, setDatagram, type SendVector } from './send-vector.ts'
import { formatEndpoint, type Endpoint } from './endpoint.ts'

/** What to send, and where. */
export interface UdpBlastOptions extends Endpoint {
  /** Address to send from, such as one of 127.0.0.x; the one that the routing table gives unless told. */
  readonly source?: string
  /** Bytes that the kernel is asked to keep for the socket; its default unless told. */
  readonly sendBuffer?: number
  /** Hand runs of datagrams to the kernel as one, which it cuts itself; all must be of one size then. */
  readonly inRuns?: boolean
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
const MAX_RUN = 64 // UDP_MAX_SEGMENTS of kernels before 6.9: datagrams that the kernel cuts from one message
const MAX_MESSAGE = 65_507 // bytes: payload of the longest packet of IPv4

/**
 * Open a socket that sends by sendmmsg(2), for benches and tests: a call sends up to 1024 datagrams, or runs
 * of them.
 *
 * @throws FlowkitError ERR_UNSUPPORTED where this cannot be done; ERR_OPTION for what is no address;
 *   RangeError for offsets that do not fit; the system error when the socket cannot be opened there
 */
export async function openUdpBlaster(options: UdpBlastOptions): Promise<UdpBlaster> {
  const libc = await loadLibc()
  const { address, port, source, sendBuffer, inRuns = false } = options
  const prepared = prepare(libc, options)
  const target = encodeAddress(libc, { address, port })
  const fd = createSocket(libc, target.family)
  try {
    if (sendBuffer !== undefined) setBufferSize(libc, fd, SO_SNDBUFFORCE, SO_SNDBUF, sendBuffer)
    if (source !== undefined) bindSocket(libc, fd, { address: source, port: 0 })
    if (inRuns) setOption(libc, fd, SOL_UDP, UDP_SEGMENT, prepared.size)
    if (libc.connect(fd, target.bytes, target.length) < 0) {
      throw systemError(libc, 'connect', formatEndpoint(options))
    }
    return blasterOf(libc, fd, localEndpoint(libc, fd), prepared)
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

/** What is sent, and the messages that it is sent in. */
interface Prepared {
  readonly bytes: Uint8Array
  readonly offsets: Uint32Array
  /** The address of `bytes`. */
  readonly base: number
  /** How many datagrams a message holds, and where they are cut, if there are several. */
  readonly run: number
  readonly size: number
  readonly vector: SendVector
}

function prepare(libc: Libc, { bytes, offsets, inRuns = false }: UdpBlastOptions): Prepared {
  const count = offsets.length - 1
  if (count < 0 || offsets.some((end, i) => end > bytes.length || end < offsets[Math.max(i - 1, 0)])) {
    throw new RangeError(`Cannot prepare datagrams: expected offsets that rise up to ${bytes.length} at most`)
  }
  const size = offsets[1] - offsets[0]
  if (inRuns && (!(size > 0) || offsets.some((end, i) => i > 0 && end - offsets[i - 1] !== size))) {
    throw new RangeError('Cannot send datagrams in runs: expected all of one size')
  }
  markAsUntransferable(bytes.buffer)
  const run = inRuns ? Math.max(1, Math.min(MAX_RUN, Math.floor(MAX_MESSAGE / size))) : 1
  const base = libc.addressOf(bytes.buffer) + bytes.byteOffset
  return { bytes, offsets, base, run, size, vector: newSendVector(libc, MAX_VECTOR) }
}

/** Let the vector's messages be the datagrams from one up to, but without, another. @returns how many */
function setMessages({ vector, offsets, base, run }: Prepared, from: number, to: number): number {
  let messages = 0
  for (let at = from; at < to && messages < MAX_VECTOR; at += run) {
    const start = offsets[at]
    setDatagram(vector, messages++, base + start, offsets[Math.min(at + run, to)] - start)
  }
  return messages
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
      const { vector, offsets, run } = prepared // looked up here, so that the bytes live on
      if (!(from >= 0 && from <= to && to < offsets.length)) {
        throw new RangeError(`Cannot send datagrams ${from} to ${to}: there are ${offsets.length - 1}`)
      }
      const wanted = setMessages(prepared, from, to)
      counts.calls++
      const taken = libc.sendmmsg(fd, vector.address, wanted, MSG_DONTWAIT)
      if (taken >= 0) {
        const sent = Math.min(taken * run, to - from)
        counts.sent += sent
        if (taken < wanted) counts.partial++
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
