/**
 * Packet sockets of Linux, packet(7). Only to make one needs a capability (CAP_NET_RAW); whoever has it binds
 * it to an interface, filters and maps it.
 *
 * Structures as 64-bit little-endian Linux lays them out; offsets and sizes in bytes. Sources:
 * linux/if_packet.h, linux/if.h, linux/sockios.h, linux/if_arp.h, linux/filter.h.
 *
 * - struct sockaddr_ll, 20: u16 sll_family 0; in network order sll_protocol 2; int sll_ifindex 4,
 *   u16 sll_hatype 8, u8 sll_pkttype 10, u8 sll_halen 11, sll_addr 12
 * - struct packet_mreq, 16: int mr_ifindex 0, u16 mr_type 4, u16 mr_alen 6, mr_address 8
 * - struct tpacket_req3, 28: unsigned int tp_block_size, tp_block_nr, tp_frame_size, tp_frame_nr,
 *   tp_retire_blk_tov, tp_sizeof_priv, tp_feature_req_word
 * - struct tpacket_stats_v3, 12: unsigned int tp_packets, tp_drops, tp_freeze_q_cnt
 * - struct ifreq, 40: name 0, what is asked about it 16
 */
import { FlowkitError } from '../flow/errors.ts'
import { PROGRAM_HEADER, encodeProgram, type Instruction } from '../net/bpf.ts'
import type { Libc } from '../net/ffi.ts'
import { SOL_SOCKET, setOption, systemError } from '../net/udp-socket.ts'

const AF_PACKET = 17 // bits/socket.h
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SO_TYPE = 3 // asm-generic/socket.h, as are the next two
const SO_ERROR = 4
const SO_ATTACH_FILTER = 26

const SOL_PACKET = 263
const PACKET_ADD_MEMBERSHIP = 1
const PACKET_DROP_MEMBERSHIP = 2
const PACKET_RX_RING = 5
const PACKET_STATISTICS = 6
const PACKET_VERSION = 10
const PACKET_RESERVE = 12
const PACKET_FANOUT = 18
const PACKET_MR_PROMISC = 1
const TPACKET_V3 = 2
const ETH_P_ALL = 3 // linux/if_ether.h

const SMALLEST_FRAME = 128 // bytes: only asked for, the third version packs packets as they come
const PROT_READ_WRITE = 3 // sys/mman.h
const MAP_SHARED = 1
const HIGHEST_ADDRESS = 2 ** 56

/** Bytes before each packet: room for a VLAN tag. */
const RESERVED = 4
/** The value of sll_pkttype for what this machine sends. */
export const PACKET_OUTGOING = 4

/** Kinds of sockets: with the link's header, or without it. */
export const SOCK_RAW = 3
export const SOCK_DGRAM = 2

/**
 * A packet socket that gives nothing before it is bound.
 *
 * @param kind SOCK_RAW or SOCK_DGRAM
 * @throws the system error, EPERM where the process may not
 */
export function createPacketSocket(libc: Libc, kind: number): number {
  const fd = libc.socket(AF_PACKET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd < 0) throw systemError(libc, 'socket', 'AF_PACKET')
  return fd
}

/** SOCK_RAW or SOCK_DGRAM. @throws the system error */
export function kindOf(libc: Libc, fd: number): number {
  return readOption(libc, fd, SO_TYPE)
}

/** Take the error that waits at a socket. @returns its number, 0 if there is none */
export function takeError(libc: Libc, fd: number): number {
  return readOption(libc, fd, SO_ERROR)
}

function readOption(libc: Libc, fd: number, option: number): number {
  const value = new Int32Array(1)
  if (libc.getsockopt(fd, SOL_SOCKET, option, value, Uint32Array.of(4)) < 0) {
    throw systemError(libc, 'getsockopt', `${option}`)
  }
  return value[0]
}

/** Memory that the kernel writes packets to. */
export interface RingMemory {
  readonly address: number
  readonly buffer: ArrayBuffer
}

/** What a ring consists of. */
export interface RingLayout {
  /** Bytes of a block, a power of 2 and a multiple of a page's size. */
  readonly blockSize: number
  readonly blocks: number
  /** ms after which the kernel gives out a block that is not full. */
  readonly blockTimeout: number
}

/** Give a socket its ring. @throws the system error */
export function mapRing(libc: Libc, fd: number, { blockSize, blocks, blockTimeout }: RingLayout): RingMemory {
  setOption(libc, fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3)
  setOption(libc, fd, SOL_PACKET, PACKET_RESERVE, RESERVED)
  const frames = blockSize / SMALLEST_FRAME * blocks
  const request = Uint32Array.of(blockSize, blocks, SMALLEST_FRAME, frames, blockTimeout, 0, 0)
  if (libc.setsockopt(fd, SOL_PACKET, PACKET_RX_RING, request, request.byteLength) < 0) {
    throw systemError(libc, 'setsockopt', 'PACKET_RX_RING')
  }
  const length = blockSize * blocks
  const address = Number(libc.mmap(0, length, PROT_READ_WRITE, MAP_SHARED, fd, 0))
  if (address > HIGHEST_ADDRESS) throw systemError(libc, 'mmap', `of ${length} bytes`)
  return { address, buffer: libc.memoryAt(address, length) }
}

/** Have the packets of an interface given to a socket, from now on. @throws the system error */
export function bindPacketSocket(libc: Libc, fd: number, index: number): void {
  const address = new DataView(new ArrayBuffer(20))
  address.setUint16(0, AF_PACKET, true)
  address.setUint16(2, ETH_P_ALL)
  address.setInt32(4, index, true)
  if (libc.bind(fd, new Uint8Array(address.buffer), 20) < 0) throw systemError(libc, 'bind', `${index}`)
}

/** Have an interface take packets to all, as long as the socket is open. @returns whether it does */
export function setPromiscuous(libc: Libc, fd: number, index: number, isOn: boolean): boolean {
  const request = new DataView(new ArrayBuffer(16))
  request.setInt32(0, index, true)
  request.setUint16(4, PACKET_MR_PROMISC, true)
  const option = isOn ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP
  return libc.setsockopt(fd, SOL_PACKET, option, request, request.byteLength) === 0
}

/** Share the packets of an interface with the others of a group, by connection. @throws the system error */
export function joinFanout(libc: Libc, fd: number, group: number): void {
  setOption(libc, fd, SOL_PACKET, PACKET_FANOUT, group & 0xffff) // PACKET_FANOUT_HASH, above, is 0
}

/** What the kernel counted since it was last asked: packets that passed the filter, lost ones, freezes. */
export function readStatistics(libc: Libc, fd: number, counts: Uint32Array): void {
  if (libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, counts, Uint32Array.of(12)) < 0) {
    throw systemError(libc, 'getsockopt', 'PACKET_STATISTICS')
  }
}

/** A program that takes no packet. */
export const TAKE_NONE: readonly Instruction[] = [[0x06, 0, 0, 0]] // BPF_RET | BPF_K

/** A program that takes so many bytes of each packet. */
export function takeAll(snaplen: number): Instruction[] {
  return [[0x06, 0, 0, snaplen]]
}

/** What goes before a program to refuse what this machine sends: where it also comes back. */
export const REFUSE_OUTGOING: readonly Instruction[] = [
  [0x30, 0, 0, 0x100000000 - 0x1000 + 4], // BPF_LD | BPF_B | BPF_ABS: SKF_AD_PKTTYPE
  [0x15, 0, 1, PACKET_OUTGOING], // BPF_JMP | BPF_JEQ | BPF_K
  ...TAKE_NONE,
]

/** Have the kernel run a program for each packet. @throws FlowkitError ERR_UNSUPPORTED if it refuses it */
export function attachFilter(libc: Libc, fd: number, program: readonly Instruction[]): void {
  const encoded = encodeProgram(libc, program)
  if (libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, encoded, PROGRAM_HEADER) === 0) return
  const { code } = systemError(libc, 'setsockopt', '')
  const reason = `the kernel refuses its program of ${program.length} instructions (${code})`
  throw new FlowkitError('ERR_UNSUPPORTED', `Cannot use BPF expression: ${reason}`)
}
