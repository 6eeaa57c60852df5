/**
 * Packets by the ring that the kernel and this process share: TPACKET_V3 of packet(7).
 *
 * The kernel fills blocks one after the other and gives each out when it is full or its time is over; it goes
 * back when its packets are done with. Source: linux/if_packet.h; offsets in bytes.
 *
 * - struct tpacket_block_desc: u32 block_status 8, num_pkts 12, offset_to_first_pkt 16
 * - struct tpacket3_hdr: u32 tp_next_offset 0, tp_sec 4, tp_nsec 8, tp_snaplen 12, tp_len 16, tp_status 20,
 *   u16 tp_mac 24, tp_net 26, u32 tp_rxhash 28, tp_vlan_tci 32, u16 tp_vlan_tpid 36;
 *   then a struct sockaddr_ll: u16 sll_family 48, sll_protocol 50, int sll_ifindex 52, u16 sll_hatype 56,
 *   u8 sll_pkttype 58
 */
import type { Libc } from '../net/ffi.ts'
import { BATCH_ROWS, INCOMING, OUTGOING, type PacketBatch } from './batch.ts'
import { innerLinkType } from './interfaces.ts'
import { PACKET_OUTGOING, mapRing, type RingMemory } from './packet-socket.ts'

const TP_STATUS_USER = 1
const TP_STATUS_VLAN_VALID = 0x10
const TP_STATUS_VLAN_TPID_VALID = 0x40
const ETYPE_VLAN = 0x8100
const MAC_ADDRESSES = 12 // bytes: what goes before a tag
const TAG = 4
const PACKET_TYPE_AT = 58

/** Bytes of a block, room for the longest packet: who reads is woken for each, so the larger the cheaper. */
const BLOCK_SIZE = 2 ** 20
const SMALL_BLOCK_SIZE = 2 ** 18
/** With fewer blocks, smaller ones are made. */
const ENOUGH_BLOCKS = 4
const LEAST_BLOCKS = 2

/** A ring, and how far it has been read. */
export interface Ring {
  readonly fd: number
  readonly memory: RingMemory
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  readonly states: Int32Array
  /** Bytes. */
  readonly blockSize: number
  readonly blocks: number
  /** The block that is read, or comes next. */
  block: number
  /** Whether the kernel has given it out. */
  isHeld: boolean
  /** Packets of it that were not yet read, and where the next one begins. */
  left: number
  at: number
}

/** Give a socket a ring of `size` bytes or a little more. @throws the system error */
export function openRing(libc: Libc, fd: number, size: number, blockTimeout: number): Ring {
  const blockSize = size < BLOCK_SIZE * ENOUGH_BLOCKS ? SMALL_BLOCK_SIZE : BLOCK_SIZE
  const blocks = Math.max(LEAST_BLOCKS, Math.ceil(size / blockSize))
  const memory = mapRing(libc, fd, { blockSize, blocks, blockTimeout })
  return {
    fd, memory, blockSize, blocks, block: 0, isHeld: false, left: 0, at: 0,
    bytes: new Uint8Array(memory.buffer),
    words: new Uint32Array(memory.buffer),
    states: new Int32Array(memory.buffer),
  }
}

/** Let go of a ring and its socket: its memory is not to be touched any more. */
export function closeRing(libc: Libc, { fd, memory: { address, buffer } }: Ring): void {
  libc.munmap(address, buffer.byteLength)
  libc.close(fd)
}

/** Where the words of the header of the block that is read lie. */
function headerOf({ block, blockSize }: Ring): number {
  return block * blockSize >>> 2
}

/** Whether all that the kernel has written was read, also what it has not yet given out. */
export function isRingEmpty(ring: Ring): boolean {
  const { states, words, left } = ring
  const header = headerOf(ring)
  const isOut = (Atomics.load(states, header + 2) & TP_STATUS_USER) > 0
  return left === 0 && !isOut && words[header + 3] === 0
}

/** Give a block that was read to its end back to the kernel. */
export function releaseBlock(ring: Ring): void {
  if (!ring.isHeld || ring.left > 0) return
  const header = headerOf(ring)
  ring.words[header + 3] = 0 // until the kernel writes here again, nothing waits
  Atomics.store(ring.states, header + 2, 0)
  ring.isHeld = false
  ring.block = (ring.block + 1) % ring.blocks
}

/**
 * Fill a batch with packets of one block, and of one link type.
 *
 * @param linkType of frames; of what has no link header, -1: each packet says itself what it is
 * @returns how many
 */
export function fillFromRing(ring: Ring, batch: PacketBatch, linkType: number): number {
  if (ring.left === 0) {
    releaseBlock(ring)
    const header = headerOf(ring)
    if ((Atomics.load(ring.states, header + 2) & TP_STATUS_USER) === 0) return 0
    ring.isHeld = true
    ring.left = ring.words[header + 3]
    ring.at = header * 4 + ring.words[header + 4]
  }
  batch.bytes = ring.bytes
  return walk(ring, batch, linkType)
}

function walk(ring: Ring, batch: PacketBatch, linkType: number): number {
  const { bytes, words } = ring
  const { start, end, wireLength, time, nanos, direction } = batch
  const isFramed = linkType >= 0
  let { at, left } = ring
  let row = 0
  for (; left > 0 && row < BATCH_ROWS; row++, left--) {
    const word = at >>> 2
    if (!isFramed) {
      const type = innerLinkType(words[word + 12] >>> 16)
      if (row === 0) linkType = type
      else if (type !== linkType) break
    }
    const nanoseconds = words[word + 2]
    const micros = nanoseconds / 1000 | 0
    const status = words[word + 5]
    let begin = at + (words[word + 6] & 0xffff)
    let length = words[word + 4]
    const captured = words[word + 3]
    end[row] = begin + captured
    if ((status & TP_STATUS_VLAN_VALID) !== 0 && isFramed && captured >= MAC_ADDRESSES) {
      const tpid = (status & TP_STATUS_VLAN_TPID_VALID) === 0 ? ETYPE_VLAN : words[word + 9] & 0xffff
      begin = insertTag(bytes, begin, tpid, words[word + 8])
      length += TAG
    }
    start[row] = begin
    wireLength[row] = length
    time[row] = words[word + 1] * 1e6 + micros
    nanos[row] = nanoseconds - micros * 1000
    direction[row] = bytes[at + PACKET_TYPE_AT] === PACKET_OUTGOING ? OUTGOING : INCOMING
    at += words[word]
  }
  ring.at = at
  ring.left = left
  batch.linkType = linkType
  return row
}

/** Put a VLAN tag where it was; bytes are reserved for that before each frame. @returns where it begins */
function insertTag(bytes: Uint8Array, at: number, tpid: number, tci: number): number {
  const begin = at - TAG
  for (let i = 0; i < MAC_ADDRESSES; i++) bytes[begin + i] = bytes[at + i]
  const tag = begin + MAC_ADDRESSES
  bytes[tag] = tpid >> 8
  bytes[tag + 1] = tpid
  bytes[tag + 2] = tci >> 8
  bytes[tag + 3] = tci
  return begin
}
