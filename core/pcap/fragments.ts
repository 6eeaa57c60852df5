import { MORE_FRAGMENTS, type PacketHeaders } from './packet-headers.ts'

/** Bounds of a `FragmentJoiner`. */
export interface FragmentLimits {
  /** Datagrams that may wait for fragments at one time; the oldest goes first. */
  datagrams: number
  /** Memory for the data of all of them, bytes. */
  bytes: number
  /** Microseconds from the first fragment seen to the last. */
  timeout: number
}

/** What became of the datagrams that came in fragments; each datagram is counted once. */
export interface FragmentCounts {
  /** Joined. */
  joined: number
  /** Given up because fragments overlap (RFC 5722). */
  overlapping: number
  /** Given up because a fragment contradicts the rules, or was captured only in part. */
  damaged: number
  /** Given up because no fragment came in time. */
  expired: number
  /** Given up to stay within the limits. */
  evicted: number
}

// the timeout is Linux's
const DEFAULT_LIMITS: FragmentLimits = { datagrams: 4096, bytes: 32 * 1024 * 1024, timeout: 30e6 }
const EMPTY = new Uint8Array(0)
const MAX_DATAGRAM_SIZE = 65535
const SMALLEST_STORE = 4096 // bytes, for a first fragment of a common MTU and its successor
const MAX_FRAGMENTS = 256 // of one datagram: 65,535 bytes over an MTU of 276

interface Pending {
  time: number // of the first fragment seen, µs
  data: Uint8Array
  starts: number[] // of the fragments seen, ascending
  ends: number[]
  received: number // bytes
  total: number // bytes, -1 until the last fragment was seen
  proto: number // of the fragment with offset 0
  refused: boolean // given up; what still arrives is dropped
}

/**
 * Joins IPv4 and IPv6 fragments to whole payloads, within limits.
 *
 * An exact duplicate of a fragment is dropped; any other overlap gives up the datagram (RFC 5722, RFC 8200
 * section 4.5). After `add` returned true, `bytes`, `length` and `proto` are the payload joined.
 */
export class FragmentJoiner {
  /** The joined payload, from 0 to `length`. */
  bytes: Uint8Array = EMPTY
  /** Length of the joined payload in bytes. */
  length = 0
  /** IP protocol with which the joined payload begins. */
  proto = 0
  /** What became of the datagrams so far. */
  readonly counts: FragmentCounts = { joined: 0, overlapping: 0, damaged: 0, expired: 0, evicted: 0 }
  private readonly limits: FragmentLimits
  private readonly pending: Map<string, Pending> = new Map()
  private held = 0 // bytes of data in pending

  constructor(limits: FragmentLimits = DEFAULT_LIMITS) {
    this.limits = limits
  }

  /** Datagrams that wait for fragments. */
  get waiting(): number {
    let count = 0
    for (const pending of this.pending.values()) if (!pending.refused) count++
    return count
  }

  /**
   * Add the fragment that `headers`, parsed from `bytes`, describe (their flag FRAGMENT is set).
   *
   * @param time of the packet, µs since the epoch
   * @returns whether it was the last one missing
   */
  add(bytes: Uint8Array, headers: PacketHeaders, time: number): boolean {
    this.expire(time)
    const key = keyOf(bytes, headers)
    let pending = this.pending.get(key)
    if (pending === undefined) {
      pending = newPending(time)
      this.pending.set(key, pending)
      this.makeRoom(pending)
    }
    if (pending.refused) return false

    const { starts, ends, total } = pending
    const at = headers.fragment
    const length = (headers.ipLength === 0 ? headers.end : headers.ip + headers.ipLength) - at
    const start = headers.fragmentOffset
    const end = start + length
    const last = (headers.flags & MORE_FRAGMENTS) === 0
    const highest = ends.length === 0 ? 0 : ends[ends.length - 1]
    const contradicts = last ? (total >= 0 && total !== end) || highest > end : total >= 0 && end > total
    const tooMuch = end > MAX_DATAGRAM_SIZE || starts.length === MAX_FRAGMENTS
    if (length <= 0 || at + length > headers.end || (!last && length % 8 !== 0) || tooMuch || contradicts) {
      this.refuse(pending)
      this.counts.damaged++
      return false
    }

    let place = starts.length
    while (place > 0 && starts[place - 1] > start) place--
    if (place > 0 && ends[place - 1] > start) {
      const same = starts[place - 1] === start && ends[place - 1] === end
      if (same && sameBytes(pending.data, start, bytes, at, length)) return false
      return this.refuseOverlap(pending)
    }
    if (place < starts.length && starts[place] < end) return this.refuseOverlap(pending)

    this.reserve(pending, end)
    pending.data.set(bytes.subarray(at, at + length), start)
    starts.splice(place, 0, start)
    ends.splice(place, 0, end)
    pending.received += length
    if (last) pending.total = end
    if (start === 0) pending.proto = headers.fragmentProto
    if (pending.received !== pending.total) {
      this.makeRoom(pending)
      return false
    }
    this.drop(key, pending)
    this.bytes = pending.data
    this.length = pending.total
    this.proto = pending.proto
    this.counts.joined++
    return true
  }

  private refuseOverlap(pending: Pending): false {
    this.refuse(pending)
    this.counts.overlapping++
    return false
  }

  /** Give up a datagram, and keep its key to know its other fragments by. */
  private refuse(pending: Pending): void {
    this.held -= pending.data.length
    pending.data = EMPTY
    pending.refused = true
  }

  private drop(key: string, pending: Pending): void {
    this.pending.delete(key)
    this.held -= pending.data.length
  }

  private reserve(pending: Pending, size: number): void {
    const { data } = pending
    if (size <= data.length) return
    const grown = new Uint8Array(Math.min(MAX_DATAGRAM_SIZE, Math.max(SMALLEST_STORE, 2 * size)))
    grown.set(data)
    this.held += grown.length - data.length
    pending.data = grown
  }

  /** Drop what waited too long; the map is in the order of the first fragments. */
  private expire(now: number): void {
    for (const [key, pending] of this.pending) {
      if (now - pending.time <= this.limits.timeout) break
      if (!pending.refused) this.counts.expired++
      this.drop(key, pending)
    }
  }

  /** Drop the oldest until the limits hold. */
  private makeRoom(current: Pending): void {
    const { datagrams, bytes } = this.limits
    for (const [key, pending] of this.pending) {
      if (this.pending.size <= datagrams && this.held <= bytes) break
      if (pending === current) continue
      if (!pending.refused) this.counts.evicted++
      this.drop(key, pending)
    }
  }
}

function newPending(time: number): Pending {
  return {
    time, data: EMPTY, starts: [], ends: [], received: 0, total: -1, proto: 0, refused: false,
  }
}

function sameBytes(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false
  return true
}

/** RFC 791: source, destination, identification, protocol; RFC 8200: without the protocol. */
function keyOf(bytes: Uint8Array, headers: PacketHeaders): string {
  const size = headers.ipVersion === 4 ? 8 : 32 // the addresses follow each other
  const addresses = Buffer.from(bytes.buffer, bytes.byteOffset + headers.srcAddr, size).toString('latin1')
  const proto = headers.ipVersion === 4 ? headers.fragmentProto : 0
  return `${addresses}${headers.ipId} ${proto}`
}
