/**
 * Lanes: several sockets at one port, each for a thread of its own, and a program in the kernel that gives
 * all datagrams and connections of an address to the same of them, whatever port they come from or go to.
 *
 * Sources: socket(7), SO_ATTACH_REUSEPORT_CBPF; linux/filter.h, linux/bpf_common.h; RFC 791 §3.1, RFC 8200 §3.
 */
import { FlowkitError } from '../flow/errors.ts'
import { PROGRAM_HEADER, encodeProgram, type Instruction } from './bpf.ts'
import type { Endpoint, ListenAt } from './endpoint.ts'
import { loadLibc, type Libc } from './ffi.ts'
import type { SourceAddress } from './source.ts'
import { openUdpSocket, type UdpReceiverOptions } from './udp-receiver.ts'
import {
  SOCK_STREAM, SOL_SOCKET, SO_REUSEPORT, bindSocket, createSocket, encodeAddress, groupsFor, localEndpoint,
  setOption, systemError, type MulticastGroup,
} from './udp-socket.ts'

const SO_REUSEADDR = 2 // asm-generic/socket.h, as is the next one
const SO_ATTACH_REUSEPORT_CBPF = 51
/** Connections that wait to be accepted: what Node asks for. */
const BACKLOG = 511

/** Odd numbers that mix well; the latter two are those of Wellons' lowbias32. */
const MIX_WORDS = 0x9e3779b1
const MIX_FIRST = 0x7feb352d
const MIX_LAST = 0x846ca68b

/**
 * The lane of an address, of `lanes`: what the kernel computes too.
 *
 * @param v4 IPv4, host order
 * @param v6 the 16 bytes of IPv6, where `family` is 6
 */
export function laneOf(family: number, v4: number, v6: Uint8Array, lanes: number): number {
  let hash = v4
  if (family === 6) {
    hash = wordAt(v6, 0)
    for (let at = 4; at < 16; at += 4) hash = Math.imul(hash, MIX_WORDS) ^ wordAt(v6, at)
  }
  hash = Math.imul(hash ^ hash >>> 16, MIX_FIRST)
  hash = Math.imul(hash ^ hash >>> 15, MIX_LAST)
  return ((hash ^ hash >>> 16) >>> 0) % lanes
}

/** Whether an address belongs to a lane, of `lanes`. */
export function inLane(lane: number, lanes: number): (source: Readonly<SourceAddress>) => boolean {
  return ({ family, v4, v6 }) => laneOf(family, v4, v6, lanes) === lane
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]
}

/** Offsets from here on are of the network header: SKF_NET_OFF. */
const NETWORK = 0x100000000 - 0x100000
const SOURCE_V4 = NETWORK + 12
const SOURCE_V6 = NETWORK + 8

const TO_X: Instruction = [0x07, 0, 0, 0] // BPF_MISC | BPF_TAX
const XOR_X: Instruction = [0xac, 0, 0, 0] // BPF_ALU | BPF_XOR | BPF_X

function loadWord(at: number): Instruction {
  return [0x20, 0, 0, at] // BPF_LD | BPF_W | BPF_ABS
}

function multiply(by: number): Instruction {
  return [0x24, 0, 0, by] // BPF_ALU | BPF_MUL | BPF_K
}

function shiftRight(bits: number): Instruction {
  return [0x74, 0, 0, bits] // BPF_ALU | BPF_RSH | BPF_K
}

/** The program that the kernel runs for each packet: `laneOf` its source. */
export function steeringProgram(lanes: number): Instruction[] {
  const v4 = [loadWord(SOURCE_V4)]
  const v6 = [
    loadWord(SOURCE_V6),
    ...[4, 8, 12].flatMap((at) => [multiply(MIX_WORDS), TO_X, loadWord(SOURCE_V6 + at), XOR_X]),
  ]
  return [
    [0x30, 0, 0, NETWORK], shiftRight(4), // BPF_LD | BPF_B | BPF_ABS: the version
    [0x15, 0, v4.length + 1, 4], // BPF_JMP | BPF_JEQ | BPF_K
    ...v4, [0x05, 0, 0, v6.length], // BPF_JMP | BPF_JA
    ...v6,
    TO_X, shiftRight(16), XOR_X, multiply(MIX_FIRST),
    TO_X, shiftRight(15), XOR_X, multiply(MIX_LAST),
    TO_X, shiftRight(16), XOR_X,
    [0x94, 0, 0, lanes], [0x16, 0, 0, 0], // BPF_ALU | BPF_MOD | BPF_K, BPF_RET | BPF_A
  ]
}

/** What sockets of UDP are opened with. */
export interface LaneSocketOptions {
  /** Bytes that the kernel is asked to keep for each. */
  readonly receiveBuffer: number
  /** Multicast groups that all join, on the sockets of their family: what comes by them, all lanes get. */
  readonly groups: readonly MulticastGroup[]
}

/**
 * Open sockets for each lane at several places, by `openSteeredSockets` and `openSteeredListeners`.
 *
 * @returns those of each lane, that of lane 0 first; those of UDP are the caller's to close
 * @throws as they do; none is left open then
 */
export async function openLanes(
  listen: readonly ListenAt[], lanes: number, { receiveBuffer, groups }: LaneSocketOptions,
): Promise<ListenAt[][]> {
  const sockets = Array.from({ length: lanes }, (): ListenAt[] => [])
  try {
    for (const { protocol, address, port } of listen) {
      const endpoint = { address, port }
      const options = { ...endpoint, receiveBuffer, groups: groupsFor(endpoint, groups) }
      const fds = await (protocol === 'udp' ? openSteeredSockets(options, lanes)
        : openSteeredListeners(endpoint, lanes))
      for (const [lane, fd] of fds.entries()) sockets[lane].push({ protocol, ...endpoint, fd })
    }
    return sockets
  } catch (error) {
    const libc = await loadLibc()
    for (const { fd = -1 } of sockets.flat()) libc.close(fd)
    throw error
  }
}

/**
 * Open a UDP socket for each lane, as `openUdpSocket` does, at a port that no other process has or can share.
 *
 * @param lanes at least 2
 * @returns the descriptors, that of lane 0 first, for the caller to close
 * @throws FlowkitError ERR_UNSUPPORTED where the kernel cannot steer, or the C library cannot be called;
 *   ERR_OPTION for what is no address or interface; the system error. None is left open then
 */
export async function openSteeredSockets(options: UdpReceiverOptions, lanes: number): Promise<number[]> {
  const libc = await loadLibc()
  return openAll(libc, lanes, options.port, async (port, isFirst) => {
    return openUdpSocket({ ...options, port, reusePort: !isFirst })
  }, (fds) => attach(libc, fds[0], lanes))
}

/**
 * Open a TCP socket that listens for each lane; the rest is as for `openSteeredSockets`. Where the machine
 * has no IPv6, `::` becomes `0.0.0.0`.
 */
export async function openSteeredListeners(endpoint: Endpoint, lanes: number): Promise<number[]> {
  const libc = await loadLibc()
  function open(address: string): Promise<number[]> {
    return openAll(libc, lanes, endpoint.port, (port, isFirst) => {
      return bindListener(libc, { address, port }, isFirst)
    }, (fds) => {
      attach(libc, fds[0], lanes)
      for (const fd of fds) if (libc.listen(fd, BACKLOG) < 0) throw systemError(libc, 'listen', '')
    })
  }
  try {
    return await open(endpoint.address)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (endpoint.address !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    return open('0.0.0.0')
  }
}

/** @param open opens the next at a port; the first one as if it were alone, so that nobody else has it */
async function openAll(
  libc: Libc, lanes: number, wanted: number, open: (port: number, isFirst: boolean) => Promise<number>,
  finish: (fds: readonly number[]) => void,
): Promise<number[]> {
  const fds: number[] = []
  try {
    const first = await open(wanted, true)
    fds.push(first)
    setOption(libc, first, SOL_SOCKET, SO_REUSEPORT, 1)
    const { port } = localEndpoint(libc, first)
    while (fds.length < lanes) fds.push(await open(port, false))
    finish(fds)
    return fds
  } catch (error) {
    for (const fd of fds) libc.close(fd)
    throw error
  }
}

async function bindListener(libc: Libc, endpoint: Endpoint, isFirst: boolean): Promise<number> {
  const fd = createSocket(libc, encodeAddress(libc, endpoint).family, SOCK_STREAM)
  try {
    setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1) // as Node does: connections that have ended do not count
    if (!isFirst) setOption(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1)
    bindSocket(libc, fd, endpoint)
    return fd
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

function attach(libc: Libc, fd: number, lanes: number): void {
  const program = encodeProgram(libc, steeringProgram(lanes))
  if (libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, PROGRAM_HEADER) === 0) return
  const { code } = systemError(libc, 'setsockopt', '')
  const reason = `the kernel refuses the program that does it (${code})`
  throw new FlowkitError('ERR_UNSUPPORTED', `Cannot spread exporters over threads: ${reason}`)
}
