/**
 * Datagrams that come from their exporters' addresses.
 *
 * Structures as 64-bit little-endian Linux lays them out, offsets and sizes in bytes:
 *
 * - struct cmsghdr, 16: see udp-socket.ts
 * - struct in_pktinfo, 12 (bits/in.h, linux/in.h): int ipi_ifindex 0, struct in_addr ipi_spec_dst 4 and
 *   ipi_addr 8
 * - struct in6_pktinfo, 20 (netinet/in.h, linux/ipv6.h): struct in6_addr ipi6_addr 0, int ipi6_ifindex 16
 */
import { lookup } from 'node:dns/promises'
import { getSystemErrorMessage } from 'node:util'
import { FlowkitError } from '../flow/errors.ts'
import type { Source } from '../pcap/write.ts'
import type { Endpoint } from './endpoint.ts'
import { loadLibc, type Libc } from './ffi.ts'
import { openSender, type Destination, type UdpSender } from './send.ts'
import { newSendVector, setDatagram } from './send-vector.ts'
import {
  EAGAIN, EINTR, MMSGHDR_SIZE, MSG_DONTWAIT, POLLOUT, SO_SNDBUF, SO_SNDBUFFORCE, createSocket,
  encodeAddress, pollDescriptors, setBufferSize, setOption,
} from './udp-socket.ts'

/** Datagrams given to the kernel at once, and the bytes they may have together. */
const VECTOR = 256
const ARENA = 1 << 20
/** Bytes that the kernel is asked to keep of what was sent. */
const SEND_BUFFER = 4 << 20
/** ms that the kernel may take to make room for more. */
const DEADLINE = 1000

/** Options of sockets of each family (linux/in.h, linux/in6.h), and the control message with the source. */
const FAMILIES: Readonly<Record<number, Family>> = {
  4: { level: 0, transparent: 19, mtuDiscover: 10, pktinfo: 8, infoSize: 12, sourceAt: 4, controlSize: 32 },
  6: { level: 41, transparent: 75, mtuDiscover: 23, pktinfo: 50, infoSize: 20, sourceAt: 0, controlSize: 40 },
}
const CMSG_HEADER = 16
const PMTUDISC_DONT = 0 // IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT: routers may cut what is too long

interface Family {
  readonly level: number
  readonly transparent: number
  readonly mtuDiscover: number
  readonly pktinfo: number
  readonly infoSize: number
  /** Where the source address stands in the information. */
  readonly sourceAt: number
  /** CMSG_SPACE of it. */
  readonly controlSize: number
}

/**
 * Open a sender whose `sendFrom` sends from the exporter's own address, as far as that is of the
 * destination's family; all else, and `send`, goes as `openSender` has it.
 *
 * One socket is enough: it may take any address as its own (IP_TRANSPARENT), and each datagram names its
 * source (IP_PKTINFO). The kernel makes headers and checksums, and cuts what is longer than the MTU. All
 * exporters have the same source port, as long as the sender is open.
 *
 * @throws FlowkitError ERR_OPTION without CAP_NET_RAW; ERR_UNSUPPORTED where this cannot be done; else as
 *   `openSender`
 */
export async function openSpoofer(destination: Destination): Promise<UdpSender> {
  const libc = await loadLibc().catch((error: Error) => {
    const message = error.message.replace('call the C library', "send from the exporters' addresses")
    throw new FlowkitError('ERR_UNSUPPORTED', message)
  })
  const { address } = await lookup(destination.host)
  // of the address that was found, so that both send to the same
  const own = await openSender({ ...destination, host: address })
  try {
    return spooferOf(libc, own, destination, { address, port: destination.port })
  } catch (error) {
    await own.close()
    throw error
  }
}

function spooferOf(
  libc: Libc, own: UdpSender, destination: Destination, endpoint: Endpoint,
): UdpSender {
  const { family } = own
  const { pktinfo, level, infoSize, sourceAt, controlSize } = FAMILIES[family]
  const target = encodeAddress(libc, endpoint)
  const vector = newSendVector(libc, VECTOR, target, controlSize)
  const control = new DataView(vector.control.buffer, vector.control.byteOffset)
  for (let i = 0; i < VECTOR; i++) {
    const at = i * controlSize
    control.setBigUint64(at, BigInt(CMSG_HEADER + infoSize), true)
    control.setInt32(at + 8, level, true)
    control.setInt32(at + 12, pktinfo, true)
  }
  const arena = new Uint8Array(ARENA)
  const base = libc.addressOf(arena.buffer)
  const fd = openTransparent(libc, family, target.family)
  const writable = Int32Array.of(fd, POLLOUT)
  const counts = { sent: 0, failed: 0 }
  let reason = ''
  let next = 0 // datagrams that were sent
  let filled = 0
  let used = 0 // bytes

  function fail(errno: number, datagrams: number): void {
    reason ||= getSystemErrorMessage(-errno)
    counts.failed += datagrams
    next += datagrams
  }

  /** Send as many as the kernel takes. @returns whether none waits */
  function flush(): boolean {
    while (next < filled) {
      const sent = libc.sendmmsg(fd, vector.address + next * MMSGHDR_SIZE, filled - next, MSG_DONTWAIT)
      if (sent > 0) {
        counts.sent += sent
        next += sent
        continue
      }
      const errno = libc.errno()
      if (errno === EAGAIN) return false
      if (errno !== EINTR) fail(errno, 1) // an address that none can have, or no route
    }
    next = filled = used = 0
    return true
  }

  function makeRoom(): void {
    while (!flush()) if (!pollDescriptors(libc, writable, DEADLINE)) fail(EAGAIN, filled - next)
  }

  return {
    destination, family,
    address: own.address,
    get counts() {
      return { sent: own.counts.sent + counts.sent, failed: own.counts.failed + counts.failed }
    },
    get reason() { return own.reason || reason },
    send: (datagram) => own.send(datagram),
    sendFrom(source, datagram) {
      if (source.family !== family) return own.sendFrom(source, datagram)
      if (filled === VECTOR || used + datagram.length > ARENA) makeRoom()
      arena.set(datagram, used)
      setDatagram(vector, filled, base + used, datagram.length)
      setAddress(source, filled * controlSize + CMSG_HEADER + sourceAt)
      filled++
      used += datagram.length
      return undefined
    },
    async ready() {
      do await own.ready()
      while (!flush())
    },
    async close() {
      makeRoom()
      libc.close(fd)
      await own.close()
    },
  }

  function setAddress({ v4, v6 }: Source, at: number): void {
    if (family === 6) vector.control.set(v6, at)
    else control.setUint32(at, v4)
  }
}

function openTransparent(libc: Libc, family: number, domain: number): number {
  const { level, transparent, mtuDiscover } = FAMILIES[family]
  const fd = createSocket(libc, domain)
  try {
    setOption(libc, fd, level, transparent, 1)
    setOption(libc, fd, level, mtuDiscover, PMTUDISC_DONT)
    setBufferSize(libc, fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER)
    return fd
  } catch (error) {
    libc.close(fd)
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    const advice = 'run it as root, or give it the right by setcap cap_net_raw+ep'
    const wanted = `CAP_NET_RAW is needed: ${advice} ${process.execPath}`
    throw new FlowkitError('ERR_OPTION', `Cannot send from the exporters' addresses: ${wanted}`)
  }
}
