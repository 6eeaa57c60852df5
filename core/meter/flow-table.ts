/** Words of 32 bits that a flow has in `FlowTable.words`, two cache lines; see the places below. */
export const FLOW_WORDS = 32
/** Doubles that a flow has in `FlowTable.counters`, the same memory. */
export const FLOW_COUNTERS = 16
/** Words that a flow has in `FlowTable.details`. */
export const DETAIL_WORDS = 8
/** Words that a flow has in `FlowTable.extras`. */
export const EXTRA_WORDS = 20

/** Words of the key of an IPv4 flow. */
export const KEY_WORDS4 = 6
/** Words of the key of an IPv6 flow, which are all of it. */
export const KEY_WORDS6 = 12

/** Places of the key's words: ports, or ICMP type and code. */
export const KEY_PORTS = 0
/** Protocol, what the ports are, IP version. */
export const KEY_PROTO = 1
/** Interface. */
export const KEY_INTERFACE = 2
/** VLAN or virtual network. */
export const KEY_NETWORK = 3
/** Source address: its first word, and the other three of IPv6 behind the destination's first. */
export const KEY_SRC = 4
/** First word of the destination address. */
export const KEY_DST = 5
/** The other three words of an IPv6 source. */
export const KEY_SRC6 = 6
/** The other three words of an IPv6 destination. */
export const KEY_DST6 = 9

/** TCP flags: forward, and reverse above bit 16. */
export const TCP_FLAGS = 28
/** Least and greatest time to live, 8 bits each, and the bits of the flow's state. */
export const STATE = 29
/** Next flow of the same turn of the wheel. */
export const NEXT = 30
/** The one before it. */
export const PREVIOUS = 31

/** Places of the counters: four forward, four reverse. */
export const PACKETS = 6
/** Bytes. */
export const BYTES = 7
/** Time of the first packet; of a direction without packets, of the flow's first. */
export const START = 8
/** Time of the last packet. */
export const END = 9
/** From the counters of the forward direction to those of the reverse. */
export const REVERSE = 4

const FIRST_INDEX = 1024 // entries
const MULTIPLIER = 0x9e3779b1 | 0

/**
 * Flows by key: open addressing over records in typed arrays.
 *
 * Memory of the records is reserved for all flows at once, and used as far as there are flows: the system
 * gives pages when they are first touched. The index doubles when it is half full, the only pause that grows
 * with the number of flows: some 10 ms at a million.
 */
export class FlowTable {
  /** Most flows there can be. */
  readonly capacity: number
  /** Key, flags, state and links of each flow. */
  readonly words: Int32Array
  /** Counters and times of each flow. */
  readonly counters: Float64Array
  /** What is read only when a flow ends. */
  readonly details: Int32Array
  /** What few flows have, made on first use: see `useExtras`. */
  extras: Int32Array = new Int32Array(0)
  /** The key that `find` and `insert` are about. */
  readonly key: Int32Array = new Int32Array(KEY_WORDS6)
  /** Flows in the table. */
  size = 0
  private readonly seed: number
  private hash = 0 // of the key last looked for
  private index: Int32Array // pairs (hash, slot + 1), 0 where it is free
  private mask: number // entries less one
  private free: Int32Array // slots that were used
  private freed = 0
  private used = 0 // slots ever used

  /** @param seed makes the places of keys unforeseeable, any 32-bit number */
  constructor(capacity: number, seed: number) {
    const records = new ArrayBuffer(capacity * FLOW_WORDS * 4)
    this.capacity = capacity
    this.words = new Int32Array(records)
    this.counters = new Float64Array(records)
    this.details = new Int32Array(capacity * DETAIL_WORDS)
    this.free = new Int32Array(capacity)
    this.seed = seed
    this.index = new Int32Array(FIRST_INDEX * 2)
    this.mask = FIRST_INDEX - 1
  }

  /** The words for labels and tunnels, made on first use. */
  useExtras(): Int32Array {
    if (this.extras.length === 0) this.extras = new Int32Array(this.capacity * EXTRA_WORDS)
    return this.extras
  }

  /** The slot of the flow with the first `count` words of `key`, or -1. */
  find(count: number): number {
    const { key, words, index, mask } = this
    const hash = this.hash = hashOf(key, 0, count, this.seed)
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const slot = index[i * 2 + 1] - 1
      if (slot < 0) return -1
      if (index[i * 2] !== hash) continue
      const at = slot * FLOW_WORDS
      let same = 0
      while (same < count && words[at + same] === key[same]) same++
      if (same === count) return slot
    }
  }

  /** Add the key that `find` has just not found. @returns its slot, -1 if the table is full */
  insert(count: number): number {
    if (this.size === this.capacity) return -1
    const slot = this.freed > 0 ? this.free[--this.freed] : this.used++
    const { key, words } = this
    const at = slot * FLOW_WORDS
    for (let i = 0; i < count; i++) words[at + i] = key[i]
    if (++this.size * 2 > this.mask) this.grow()
    this.enter(this.hash, slot)
    return slot
  }

  /** Remove the flow in `slot`. */
  remove(slot: number): void {
    const { index, mask, words } = this
    const at = slot * FLOW_WORDS
    let hole = hashOf(words, at, keyWords(words[at + KEY_PROTO]), this.seed) & mask
    while (index[hole * 2 + 1] !== slot + 1) hole = (hole + 1) & mask
    // what follows moves up, unless it would come before the place of its hash
    for (let i = (hole + 1) & mask; index[i * 2 + 1] !== 0; i = (i + 1) & mask) {
      const home = index[i * 2] & mask
      if (((i - home) & mask) < ((i - hole) & mask)) continue
      index[hole * 2] = index[i * 2]
      index[hole * 2 + 1] = index[i * 2 + 1]
      hole = i
    }
    index[hole * 2 + 1] = 0
    this.free[this.freed++] = slot
    this.size--
  }

  private enter(hash: number, slot: number): void {
    const { index, mask } = this
    let i = hash & mask
    while (index[i * 2 + 1] !== 0) i = (i + 1) & mask
    index[i * 2] = hash
    index[i * 2 + 1] = slot + 1
  }

  private grow(): void {
    const old = this.index
    this.index = new Int32Array(old.length * 2)
    this.mask = old.length - 1
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) this.enter(old[i], old[i + 1] - 1)
  }
}

/** The word of a key for protocol (-1: not known), kind of ports and IP version. */
export function protoWord(proto: number, kind: number, ipVersion: number): number {
  return (proto & 0x1ff) | (kind << 9) | (ipVersion << 12)
}

/** Protocol of such a word, 511 where it is not known. */
export function protoOf(word: number): number {
  return word & 0x1ff
}

/** Kind of ports of such a word. */
export function kindOf(word: number): number {
  return (word >> 9) & 3
}

/** Whether such a word is of IPv6. */
export function isIpv6(word: number): boolean {
  return word >> 12 === 6
}

/** Words of the key that has such a word. */
export function keyWords(word: number): number {
  return isIpv6(word) ? KEY_WORDS6 : KEY_WORDS4
}

/** Number of 32 bits that scatters `count` words of a key from `at` on. */
export function hashOf(words: Int32Array, at: number, count: number, seed: number): number {
  let hash = seed
  for (let i = 0; i < count; i++) {
    hash = Math.imul(hash ^ words[at + i], MULTIPLIER)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 16)
}
