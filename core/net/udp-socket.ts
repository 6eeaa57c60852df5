/**
 * UDP sockets of Linux by their descriptors, for udp-receiver.ts and udp-sender.ts.
 *
 * Structures as 64-bit little-endian Linux lays them out (LP64: the same on x86_64 and aarch64); offsets and
 * sizes in bytes. Sources: glibc's headers, and for the last four the kernel's that they repeat.
 *
 * - struct mmsghdr, 64 (sys/socket.h): msg_hdr 0, unsigned int msg_len 56
 * - struct msghdr, 56 (bits/socket.h): void *msg_name 0, socklen_t msg_namelen 8, struct iovec *msg_iov 16,
 *   size_t msg_iovlen 24, void *msg_control 32, size_t msg_controllen 40, int msg_flags 48
 * - struct iovec, 16 (bits/types/struct_iovec.h): void *iov_base 0, size_t iov_len 8
 * - struct cmsghdr, 16 (bits/socket.h): size_t cmsg_len 0, int cmsg_level 8, int cmsg_type 12; then the data,
 *   padded to a multiple of 8
 * - struct timespec, 16 (bits/types/struct_timespec.h): time_t tv_sec 0, long tv_nsec 8
 * - what UDP_GRO tells, 4: int, bytes of each datagram but the last
 * - struct pollfd, 8 (sys/poll.h): int fd 0, short events 4, short revents 6
 * - struct sockaddr_in, 16 (netinet/in.h, linux/in.h): u16 sin_family 0; in network order sin_port 2 and
 *   sin_addr 4
 * - struct sockaddr_in6, 28 (netinet/in.h, linux/in6.h): u16 sin6_family 0; in network order sin6_port 2,
 *   sin6_flowinfo 4 and sin6_addr 8; u32 sin6_scope_id 24
 * - struct ip_mreqn, 12 (bits/in.h, linux/in.h): imr_multiaddr 0, imr_address 4, int imr_ifindex 8
 * - struct ipv6_mreq, 20 (netinet/in.h, linux/in6.h): ipv6mr_multiaddr 0, unsigned int ipv6mr_interface 16
 */
import { getSystemErrorName } from 'node:util'
import { FlowkitError } from '../flow/errors.ts'
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../flow/address.ts'
import type { Libc } from './ffi.ts'
import { formatEndpoint, type Endpoint } from './endpoint.ts'

/** sizeof(struct mmsghdr). */
export const MMSGHDR_SIZE = 64
/** sizeof(struct iovec). */
export const IOVEC_SIZE = 16
/** sizeof(struct sockaddr_in6), the longer of the two. */
export const SOCKADDR_SIZE = 28

/** Address families: bits/socket.h. */
export const AF_INET = 2
export const AF_INET6 = 10

/** Flags of messages: bits/socket.h. */
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40

/** Events of poll(): bits/poll.h. */
export const POLLIN = 1
export const POLLOUT = 4

/** Errors that are no failure: asm-generic/errno-base.h, asm-generic/errno.h. */
export const EINTR = 4
export const EAGAIN = 11
export const EMSGSIZE = 90
export const ENOBUFS = 105
export const ECONNREFUSED = 111

/** Options of sockets: asm-generic/socket.h. */
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_REUSEPORT = 15
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_TIMESTAMPNS = 35
export const SO_MEMINFO = 55

/** Options of UDP: linux/udp.h. */
export const SOL_UDP = 17
export const UDP_SEGMENT = 103
export const UDP_GRO = 104

/** Types of sockets: bits/socket_type.h. */
export const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const IPPROTO_IP = 0 // netinet/in.h
const IPPROTO_IPV6 = 41
const IP_ADD_MEMBERSHIP = 35 // bits/in.h, as are the next two
const IPV6_JOIN_GROUP = 20
const IPV6_V6ONLY = 26

/** The error that a call has just left in `errno`, in Node's form. */
export function systemError(libc: Libc, syscall: string, what: string): NodeJS.ErrnoException {
  const errno = -libc.errno()
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`${syscall} ${code} ${what}`), { errno, code, syscall })
}

/**
 * A socket, of UDP unless told, that does not block and that programs started from here do not inherit. One
 * of IPv6 takes IPv4 as well, where it is bound to `::`.
 *
 * @throws the system error
 */
export function createSocket(libc: Libc, family: number, type: number = SOCK_DGRAM): number {
  const fd = libc.socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd < 0) throw systemError(libc, 'socket', family === AF_INET6 ? 'of IPv6' : 'of IPv4')
  if (family === AF_INET6) setOption(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)
  return fd
}

/** Set an option that is an int. @throws the system error */
export function setOption(libc: Libc, fd: number, level: number, name: number, value: number): void {
  if (libc.setsockopt(fd, level, name, Int32Array.of(value), 4) < 0) {
    throw systemError(libc, 'setsockopt', `${level} ${name}`)
  }
}

/** Ask for a buffer: beyond the kernel's limit where the process may (CAP_NET_ADMIN), else up to it. */
export function setBufferSize(libc: Libc, fd: number, force: number, option: number, size: number): void {
  const value = Int32Array.of(Math.min(size, 0x7fffffff))
  if (libc.setsockopt(fd, SOL_SOCKET, force, value, 4) < 0) libc.setsockopt(fd, SOL_SOCKET, option, value, 4)
}

/** What a buffer is in the kernel's count: with its overhead, so twice what was asked for. */
export function bufferSize(libc: Libc, fd: number, option: number): number {
  const value = Int32Array.of(0)
  libc.getsockopt(fd, SOL_SOCKET, option, value, Uint32Array.of(4))
  return value[0]
}

/** A sockaddr_in or sockaddr_in6. */
export interface SocketAddress {
  readonly family: number
  readonly bytes: Uint8Array
  /** Of `bytes`. */
  readonly length: number
}

/**
 * Lay out an address, which may name its interface: `fe80::1%eth0`.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function encodeAddress(libc: Libc, { address, port }: Endpoint): SocketAddress {
  const bytes = new Uint8Array(SOCKADDR_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint16(2, port)
  const v4 = parseIpv4(address)
  if (v4 >= 0) {
    view.setUint16(0, AF_INET, true)
    view.setUint32(4, v4)
    return { family: AF_INET, bytes, length: 16 }
  }
  const [plain, zone] = address.split('%')
  if (!parseIpv6(plain, bytes, 8)) {
    throw new FlowkitError('ERR_OPTION', `Cannot use address "${address}": expected one of IPv4 or IPv6`)
  }
  view.setUint16(0, AF_INET6, true)
  view.setUint32(24, zone === undefined ? 0 : interfaceIndex(libc, zone), true)
  return { family: AF_INET6, bytes, length: SOCKADDR_SIZE }
}

function interfaceIndex(libc: Libc, name: string): number {
  const index = /^\d+$/.test(name) ? Number(name) : libc.if_nametoindex(name)
  if (index > 0) return index
  throw new FlowkitError('ERR_OPTION', `Cannot use interface "${name}": there is none of that name`)
}

/** Where a socket is bound. @throws the system error */
export function localEndpoint(libc: Libc, fd: number): Endpoint {
  const bytes = new Uint8Array(SOCKADDR_SIZE)
  const length = Uint32Array.of(SOCKADDR_SIZE)
  if (libc.getsockname(fd, bytes, length) < 0) throw systemError(libc, 'getsockname', '')
  const view = new DataView(bytes.buffer)
  const v4 = view.getUint16(0, true) === AF_INET
  return { address: v4 ? formatIpv4(view.getUint32(4)) : formatIpv6(bytes, 8), port: view.getUint16(2) }
}

/** Bind a socket to an endpoint. @throws FlowkitError ERR_OPTION, or the system error */
export function bindSocket(libc: Libc, fd: number, endpoint: Endpoint): void {
  const { bytes, length } = encodeAddress(libc, endpoint)
  if (libc.bind(fd, bytes, length) < 0) {
    const { address, port } = endpoint // as Node's own errors have them
    throw Object.assign(systemError(libc, 'bind', formatEndpoint(endpoint)), { address, port })
  }
}

/** A multicast group. */
export interface MulticastGroup {
  readonly address: string
  /** Name or index of the interface; the one that the routing table gives unless told. */
  readonly interface?: string
}

/** The groups that a socket joins: those of its family, or all if it takes both. */
export function groupsFor({ address }: Endpoint, groups: readonly MulticastGroup[]): MulticastGroup[] {
  return groups.filter((group) => address === '::' || group.address.includes(':') === address.includes(':'))
}

/** Become a member of a group. @throws FlowkitError ERR_OPTION, or the system error */
export function joinGroup(libc: Libc, fd: number, group: MulticastGroup): void {
  const index = group.interface === undefined ? 0 : interfaceIndex(libc, group.interface)
  const { family, bytes } = encodeAddress(libc, { address: group.address, port: 0 })
  const v6 = family === AF_INET6
  const request = new Uint8Array(v6 ? 20 : 12) // ipv6_mreq or ip_mreqn
  request.set(v6 ? bytes.subarray(8, 24) : bytes.subarray(4, 8))
  new DataView(request.buffer).setUint32(v6 ? 16 : 8, index, true)
  const [level, name] = v6 ? [IPPROTO_IPV6, IPV6_JOIN_GROUP] : [IPPROTO_IP, IP_ADD_MEMBERSHIP]
  if (libc.setsockopt(fd, level, name, request, request.length) < 0) {
    throw systemError(libc, 'setsockopt', `joining ${group.address}`)
  }
}

/**
 * Block the thread until one of the descriptors is ready or broken.
 *
 * @param descriptors struct pollfd, two words each
 * @param timeout ms
 * @returns whether one is; false also where a signal came
 */
export function pollDescriptors(libc: Libc, descriptors: Int32Array, timeout: number): boolean {
  const ready = libc.poll(descriptors, descriptors.length / 2, timeout)
  if (ready < 0 && libc.errno() !== EINTR) throw systemError(libc, 'poll', '')
  return ready > 0
}
