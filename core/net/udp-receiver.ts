import { markAsUntransferable } from 'node:worker_threads'
import type { AddressColumn } from '../flow/address.ts'
import { loadLibc, type FdWatch, type Libc } from './ffi.ts'
import {
  AF_INET, AF_INET6, EAGAIN, EINTR, IOVEC_SIZE, MMSGHDR_SIZE, MSG_DONTWAIT, MSG_TRUNC, POLLIN, SO_MEMINFO,
  SO_RCVBUF, SO_RCVBUFFORCE, SO_REUSEPORT, SO_TIMESTAMPNS, SOCKADDR_SIZE, SOL_SOCKET, SOL_UDP, UDP_GRO,
  bindSocket, bufferSize, createSocket, encodeAddress, joinGroup, localEndpoint, pollDescriptors,
  setBufferSize, setOption, systemError, type MulticastGroup,
} from './udp-socket.ts'
import type { Endpoint } from './endpoint.ts'

/** How much memory to receive into. */
export interface BatchSizes {
  /** Datagrams in a batch, at most; 256 unless told. */
  readonly batch?: number
  /** Bytes kept of a datagram; all of the longest unless told. */
  readonly slot?: number
}

/** How to receive. */
export interface UdpReceiverOptions extends Endpoint, BatchSizes {
  /** Bytes that the kernel is asked to keep for the socket. */
  readonly receiveBuffer: number
  /** Share the port with other sockets that say so: the kernel spreads the senders over them. */
  readonly reusePort?: boolean
  /** Multicast groups to join. */
  readonly groups?: readonly MulticastGroup[]
  /** A socket that is bound there already. */
  readonly fd?: number
}

/** A batch of datagrams, one a row: what `receive` fills, valid until it is called again. */
export interface DatagramBatch {
  /** What the datagrams lie in. */
  readonly bytes: Uint8Array
  /** Where each begins in `bytes`. */
  readonly start: Uint32Array
  /** The offset behind it. */
  readonly end: Uint32Array
  /** Who sent it; an IPv4 address also where the socket is one of IPv6. */
  readonly source: AddressColumn
  readonly sourcePort: Uint16Array
  /** When the kernel took it: µs since the epoch. */
  readonly received: Float64Array
  /** 1 where it was longer than a slot, and its end is lost. */
  readonly truncated: Uint8Array
}

/** An open UDP socket of which datagrams are taken in batches. */
export interface UdpReceiver {
  /** Its descriptor; -1 once it is closed. */
  readonly fd: number
  /** Where it really listens. */
  readonly endpoint: Endpoint
  /** Bytes that the kernel keeps for it, in its own count: twice what it granted, overhead included. */
  readonly receiveBuffer: number
  readonly batch: DatagramBatch
  /**
   * Fill the batch with what has arrived; where nothing has, block the thread for `timeout` ms at most.
   *
   * A thread that has other things to do, such as to hear that it must stop, gives a short timeout.
   *
   * @returns how many datagrams there are, 0 after the timeout or a signal
   * @throws the system error
   */
  receive(timeout?: number): number
  /** Whether the last call of `receive` may have left something behind. */
  readonly hasMore: boolean
  /**
   * Wait, while the event loop goes on, until there is something to receive or the socket is closed. For the
   * main thread only: worker threads block in `receive` or `createWait`.
   *
   * @returns whether it is still open
   */
  readable(): Promise<boolean>
  /**
   * What the kernel has dropped for this socket so far, most of it since its buffer was full: datagrams, or
   * runs of them that would have come as one.
   */
  dropped(): number
  /** Every thread that opens a socket closes it, also when it is about to be terminated. */
  close(): void
}

/** Messages that are taken in one call: datagrams, or runs of them that the kernel has put together. */
const MAX_MESSAGES = 64
const CONTROL_SIZE = 56 // CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(int)): what is asked for
const CONTROL_HEADER = 16 // sizeof(struct cmsghdr)
const NAME_SIZE = 32 // SOCKADDR_SIZE, aligned
const LONGEST = 65_536 // bytes, more than a UDP datagram can have without jumbograms
const LINE = 64 // bytes of a cache line

/**
 * Open a socket that takes datagrams by recvmmsg(2): many in one call, into memory that is used again.
 *
 * An address of `::` receives IPv4 too; where the machine has no IPv6, it becomes `0.0.0.0`.
 *
 * @throws FlowkitError ERR_UNSUPPORTED where this cannot be done, and udp.ts can; ERR_OPTION for what is no
 *   address or interface; the system error when the socket cannot be opened there
 */
export async function openUdpReceiver(options: UdpReceiverOptions): Promise<UdpReceiver> {
  const libc = await loadLibc()
  return receiveFrom(libc, openSocket(libc, options), options)
}

/**
 * Open only the socket, for another process to receive from: one that inherits the descriptor and gives it
 * to `adoptUdpReceiver`.
 *
 * @returns the descriptor, for the caller to close
 * @throws as openUdpReceiver does
 */
export async function openUdpSocket(options: UdpReceiverOptions): Promise<number> {
  return openSocket(await loadLibc(), options)
}

/**
 * Receive from a socket of `openUdpSocket`, which is closed with the receiver.
 *
 * @throws FlowkitError ERR_UNSUPPORTED as openUdpReceiver does; the system error when `fd` is no such socket
 */
export async function adoptUdpReceiver(fd: number, sizes: BatchSizes = {}): Promise<UdpReceiver> {
  return receiveFrom(await loadLibc(), fd, sizes)
}

/**
 * A function that blocks the thread until one of the receivers has datagrams, for `timeout` ms at most, and
 * says whether one has; for a thread with several of them, none of which `hasMore`: it may be taken already.
 *
 * @throws FlowkitError ERR_UNSUPPORTED as openUdpReceiver does
 */
export async function createWait(receivers: readonly UdpReceiver[]): Promise<(timeout: number) => boolean> {
  const libc = await loadLibc()
  const descriptors = new Int32Array(receivers.length * 2).fill(POLLIN)
  return (timeout) => {
    for (const [i, { fd }] of receivers.entries()) descriptors[i * 2] = fd // poll() leaves out what is closed
    return pollDescriptors(libc, descriptors, timeout)
  }
}

function openSocket(libc: Libc, options: UdpReceiverOptions): number {
  try {
    return openAt(libc, options)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (options.address !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    return openAt(libc, { ...options, address: '0.0.0.0' })
  }
}

function openAt(libc: Libc, options: UdpReceiverOptions): number {
  const { receiveBuffer, reusePort = false, groups = [] } = options
  const fd = options.fd ?? createSocket(libc, encodeAddress(libc, options).family)
  try {
    if (reusePort) setOption(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1)
    setOption(libc, fd, SOL_SOCKET, SO_TIMESTAMPNS, 1)
    // whoever has opened a socket may have given it more than this process is allowed to ask for
    const unforced = options.fd === undefined ? SO_RCVBUF : SO_RCVBUFFORCE
    setBufferSize(libc, fd, SO_RCVBUFFORCE, unforced, receiveBuffer)
    readDrops(libc, fd, new Uint32Array(9)) // fails here where the kernel cannot tell them
    if (options.fd === undefined) bindSocket(libc, fd, options)
    for (const group of groups) joinGroup(libc, fd, group)
    return fd
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

function receiveFrom(libc: Libc, fd: number, { batch = 256, slot = LONGEST }: BatchSizes): UdpReceiver {
  try {
    const endpoint = localEndpoint(libc, fd)
    const family = endpoint.address.includes(':') ? AF_INET6 : AF_INET
    const granted = bufferSize(libc, fd, SO_RCVBUF)
    // datagrams of one size and source come as one message, if there is room for it: at a fifth of the cost
    libc.setsockopt(fd, SOL_UDP, UDP_GRO, Int32Array.of(slot < LONGEST ? 0 : 1), 4)
    return receiverOf(libc, fd, allocate(libc, batch, slot, family), endpoint, granted)
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

/** A batch, and the messages that it comes from; apart, since addresses are in these. */
interface Memory {
  readonly batch: DatagramBatch
  readonly rows: number
  readonly messages: number
  /** Bytes from one message's slot to the next. */
  readonly stride: number
  /** struct mmsghdr, then what they point to: struct iovec, names, control messages. */
  readonly words: Uint32Array
  readonly v6Words: Uint32Array // of the batch's sources
  readonly headers: number // the address of `words`
  readonly namesAt: number // words
  readonly controlsAt: number // words
}

function allocate(libc: Libc, rows: number, slot: number, family: number): Memory {
  const messages = Math.min(rows, MAX_MESSAGES)
  // slots begin on different cache lines of their pages: on the same ones, they would push each other out
  const stride = Math.ceil(slot / LINE) * LINE + LINE
  const data = new ArrayBuffer(messages * stride)
  markAsUntransferable(data)
  const iovecsAt = messages * MMSGHDR_SIZE
  const namesAt = iovecsAt + messages * IOVEC_SIZE
  const controlsAt = namesAt + messages * NAME_SIZE
  const structures = new ArrayBuffer(controlsAt + messages * CONTROL_SIZE)
  const dataAddress = libc.addressOf(data)
  const headers = libc.addressOf(structures)
  const view = new DataView(structures)
  function setLong(at: number, value: number): void {
    view.setBigUint64(at, BigInt(value), true)
  }
  for (let message = 0; message < messages; message++) {
    const header = message * MMSGHDR_SIZE
    const iovec = iovecsAt + message * IOVEC_SIZE
    setLong(header, headers + namesAt + message * NAME_SIZE)
    setLong(header + 8, SOCKADDR_SIZE)
    setLong(header + 16, headers + iovec)
    setLong(header + 24, 1)
    setLong(header + 32, headers + controlsAt + message * CONTROL_SIZE)
    setLong(header + 40, CONTROL_SIZE)
    setLong(iovec, dataAddress + message * stride)
    setLong(iovec + 8, slot)
  }
  const batch: DatagramBatch = {
    bytes: new Uint8Array(data),
    start: new Uint32Array(rows),
    end: new Uint32Array(rows),
    source: {
      family: new Uint8Array(rows),
      v4: new Uint32Array(rows),
      v6: new Uint8Array(family === AF_INET6 ? rows * 16 : 0),
    },
    sourcePort: new Uint16Array(rows),
    received: new Float64Array(rows),
    truncated: new Uint8Array(rows),
  }
  return {
    batch, rows, messages, stride, headers, words: new Uint32Array(structures),
    v6Words: new Uint32Array(batch.source.v6.buffer), namesAt: namesAt / 4, controlsAt: controlsAt / 4,
  }
}

/** sk_drops, which SO_RXQ_OVFL tells too, but only with the next datagram that is not dropped. */
function readDrops(libc: Libc, fd: number, info: Uint32Array): number {
  const length = Uint32Array.of(info.byteLength)
  if (libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, length) < 0) {
    throw systemError(libc, 'getsockopt', 'SO_MEMINFO')
  }
  return info[8] // SK_MEMINFO_DROPS: linux/sock_diag.h
}

function receiverOf(
  libc: Libc, socket: number, memory: Memory, endpoint: Endpoint, receiveBuffer: number,
): UdpReceiver {
  const { batch, messages, words, headers } = memory
  const place: Place = { used: 0, message: 0, at: 0 }
  const descriptor = Int32Array.of(socket, POLLIN)
  const info = new Uint32Array(9) // SK_MEMINFO_VARS
  let fd = socket
  let dropped = 0
  let lastDrops = 0
  let watch: FdWatch | undefined
  let watching = false
  let waiting: PromiseWithResolvers<boolean> | undefined

  function take(): number {
    if (place.message === place.used) place.used = receiveMessages()
    return readRows(memory, place)
  }

  function receiveMessages(): number {
    for (let header = 0; place.message > 0; place.message--, header += MMSGHDR_SIZE / 4) {
      words[header + 2] = SOCKADDR_SIZE
      words[header + 10] = CONTROL_SIZE
    }
    place.used = 0
    const count = libc.recvmmsg(fd, headers, messages, MSG_DONTWAIT, 0)
    if (count >= 0) return count
    const errno = libc.errno()
    if (errno === EAGAIN || errno === EINTR) return 0
    throw systemError(libc, 'recvmmsg', '')
  }

  function countDrops(): number {
    if (fd < 0) return dropped
    const drops = readDrops(libc, fd, info)
    dropped += drops - lastDrops >>> 0 // the kernel's counter has 32 bits
    lastDrops = drops
    return dropped
  }

  function onReady(): void {
    if (waiting === undefined) { // whoever receives is late: not to be told again and again
      watch?.stop()
      watching = false
    }
    waiting?.resolve(true)
    waiting = undefined
  }

  return {
    get fd() { return fd },
    endpoint,
    receiveBuffer,
    batch,
    receive(timeout = 0) {
      if (fd < 0) throw new TypeError('Cannot receive: the socket is closed')
      const count = take()
      return count === 0 && timeout > 0 && pollDescriptors(libc, descriptor, timeout) ? take() : count
    },
    get hasMore() { return place.used === messages || place.message < place.used },
    readable() {
      if (fd < 0 || place.message < place.used) return Promise.resolve(fd >= 0)
      if (watch === undefined) watch = libc.watch(fd, onReady)
      else if (!watching) watch.start()
      watching = true
      waiting ??= Promise.withResolvers()
      return waiting.promise
    },
    dropped: countDrops,
    close() {
      if (fd < 0) return
      countDrops()
      watch?.close()
      libc.close(fd)
      fd = -1
      waiting?.resolve(false)
    },
  }
}

/** How far the messages of a call have become rows. */
interface Place {
  /** Messages there are. */
  used: number
  /** The next of them, and where in it the next row begins. */
  message: number
  at: number
}

/** Turn what the kernel has written into rows, as many as there is room for. @returns how many */
function readRows(memory: Memory, place: Place): number {
  const { batch: { start, end, truncated }, rows, stride, words } = memory
  let row = 0
  while (place.message < place.used && row < rows) {
    const { message, at } = place
    const header = message * (MMSGHDR_SIZE / 4)
    const length = words[header + 14]
    const control = memory.controlsAt + message * (CONTROL_SIZE / 4)
    const size = readControl(memory, control, words[header + 10], row) || length
    const first = row
    const slot = message * stride
    let next = at
    do {
      start[row] = slot + next
      next = Math.min(next + size, length)
      end[row] = slot + next
      truncated[row++] = 0
    } while (next < length && row < rows)
    readSource(memory, memory.namesAt + message * (NAME_SIZE / 4), first, row)
    if (next < length) place.at = next
    else {
      if (words[header + 12] & MSG_TRUNC) truncated[row - 1] = 1
      place.message++
      place.at = 0
    }
  }
  return row
}

/** Let `received[row]` be when a message came. @returns how long its datagrams are, 0 if it is only one */
function readControl({ words, batch }: Memory, control: number, length: number, row: number): number {
  let size = 0
  const controlEnd = control + length / 4
  for (let at = control; at + CONTROL_HEADER / 4 < controlEnd;) {
    const level = words[at + 2]
    const type = words[at + 3]
    const data = at + CONTROL_HEADER / 4
    if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
      const seconds = words[data] + words[data + 1] * 2 ** 32
      batch.received[row] = seconds * 1e6 + Math.floor(words[data + 2] / 1e3)
    } else if (level === SOL_UDP && type === UDP_GRO) size = words[data]
    at += Math.max(CONTROL_HEADER, words[at] + 7 & ~7) / 4
  }
  return size
}

/** Let the rows from `row` on have the source at `name`, and the time of the first of them. */
function readSource({ words, v6Words, batch }: Memory, name: number, row: number, rowsEnd: number): void {
  const { source: { family, v4 }, sourcePort, received } = batch
  const port = swap(words[name]) // of which the lower half stays
  let version = 4
  let address = 0
  if ((words[name] & 0xffff) === AF_INET) address = swap(words[name + 1])
  else if (words[name + 2] === 0 && words[name + 3] === 0 && words[name + 4] === 0xffff0000) {
    address = swap(words[name + 5]) // ::ffff:0:0/96, as a socket of IPv6 sees IPv4
  } else version = 6
  const time = received[row]
  for (; row < rowsEnd; row++) {
    family[row] = version
    v4[row] = address
    sourcePort[row] = port
    received[row] = time
    if (version === 6) for (let i = 0; i < 4; i++) v6Words[row * 4 + i] = words[name + 2 + i]
  }
}

/** From network to host order. */
function swap(word: number): number {
  return word << 24 | word << 8 & 0xff0000 | word >>> 8 & 0xff00 | word >>> 24
}
