import type { FlowBatch } from '../flow/batch.ts'
import type { PacketHeaders } from '../pcap/packet-headers.ts'
import { FLOW_LABEL, takeDetails, takeTunnel, TOS } from './details.ts'
import { CLOSED, FIN, FIN_REVERSE, FlowRows, FROM_REVERSE, HAS_FLAGS, TURNED } from './flow-rows.ts'
import {
  BYTES, DETAIL_WORDS, END, FLOW_COUNTERS, FLOW_WORDS, FlowTable, KEY_PROTO, kindOf, PACKETS, REVERSE, START,
  STATE, TCP_FLAGS,
} from './flow-table.ts'
import type { MeterStats } from './options.ts'
import { ICMP } from './packet-key.ts'
import { Wheel } from './wheel.ts'

/** Why a flow ended: values of flowEndReason (IE 136). */
const IDLE = 1, ACTIVE = 2, END_OF_FLOW = 3, FORCED = 4, LACK_OF_RESOURCES = 5

const LINGER = 2e6 // µs from the last packet of a connection that is over to the flow's end
const TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ANSWER = 18 // SYN and ACK
const TURNS_OF_IDLE = 128 // turns of the wheel in the idle timeout
const CANDIDATES = 8 // flows looked at to find one that makes room

/** What a cache is made for. */
export interface CacheOptions {
  /** µs. */
  readonly activeTimeout: number
  /** µs. */
  readonly idleTimeout: number
  readonly maxFlows: number
  readonly biflow: boolean
  /** One packet in so many is counted. */
  readonly sample: number
  /** See `FlowTable`. */
  readonly scatter: number
}

/** The flows that go on, by key, and when they end. */
export class FlowCache {
  /** Whether the packet at hand is in a tunnel, which `takeTunnel` has then told of. */
  hasTunnel = false
  /** The key of the packet at hand. */
  readonly key: Int32Array
  private readonly table: FlowTable
  private readonly wheel: Wheel
  private readonly rows: FlowRows
  private readonly stats: MeterStats
  private readonly activeTimeout: number
  private readonly idleTimeout: number
  private readonly linger: number
  private readonly isBiflow: boolean
  private readonly tunnel: Int32Array = new Int32Array(9)
  private readonly stretch: number // µs of a turn of the wheel
  private readonly times = new Float64Array(3) // see below: doubles in fields of their own are boxed
  private at = 0 // counters that the last packet was counted in

  /** @param ended takes the flows that end. @param stats counts them */
  constructor(options: CacheOptions, ended: FlowBatch, stats: MeterStats) {
    const { activeTimeout, idleTimeout, maxFlows, biflow, sample, scatter } = options
    this.table = new FlowTable(maxFlows, scatter)
    this.key = this.table.key
    this.wheel = new Wheel(this.table.words)
    this.rows = new FlowRows(this.table, ended, sample)
    this.stats = stats
    this.activeTimeout = activeTimeout
    this.idleTimeout = idleTimeout
    this.linger = Math.min(LINGER, idleTimeout)
    this.isBiflow = biflow
    this.stretch = Math.ceil(idleTimeout / TURNS_OF_IDLE)
  }

  /** Takes the flows that end. */
  get ended(): FlowBatch {
    return this.rows.batch
  }

  set ended(batch: FlowBatch) {
    this.rows.batch = batch
  }

  /** Flows that go on. */
  get size(): number {
    return this.table.size
  }

  /**
   * Set the clock, and look at up to `work` flows of which the time may be over.
   *
   * @returns whether there are no more of them
   */
  setTime(now: number, work: number): boolean {
    const { times } = this
    times[NOW] = now
    return (now < times[DUE] && now >= times[BACK]) || this.turn(work)
  }

  /** Note the tunnel that the packet at hand is in. */
  takeTunnel(bytes: Uint8Array, outer: PacketHeaders): void {
    this.hasTunnel = true
    takeTunnel(bytes, outer, this.tunnel)
  }

  /**
   * Count a packet in the flow of `key`.
   *
   * @param words of the key
   * @param turned whether source and destination of the key have changed places
   * @param length bytes to count
   */
  count(bytes: Uint8Array, h: PacketHeaders, words: number, turned: boolean, length: number): void {
    const { table } = this
    const { words: records, counters } = table
    const { tcpFlags } = h
    let slot = table.find(words)
    if (slot < 0) {
      slot = table.insert(words)
      if (slot < 0) {
        this.makeRoom()
        slot = table.insert(words)
      }
      this.begin(bytes, h, slot, turned)
      this.wheel.add(slot, this.turnOfEnd(slot))
    } else {
      const reason = this.reasonToEnd(slot, tcpFlags)
      if (reason !== 0) {
        this.tell(slot, reason)
        this.begin(bytes, h, slot, turned)
      }
    }

    const time = this.times[NOW]
    const flow = slot * FLOW_WORDS
    let state = records[flow + STATE]
    const isReverse = turned !== ((state & TURNED) !== 0)
    const forward = slot * FLOW_COUNTERS
    const at = isReverse ? forward + REVERSE : forward
    this.at = at
    const isFirst = counters[at + PACKETS] === 0
    if (isFirst) {
      counters[at + START] = time
      counters[at + END] = time
      this.beginDirection(h, slot, isReverse)
    } else {
      if (time > counters[at + END]) counters[at + END] = time
      if (time < counters[at + START]) counters[at + START] = time
    }
    counters[at + PACKETS]++
    counters[at + BYTES] += length
    if (!isReverse || counters[forward + PACKETS] === 0) state = addTtl(state, h.ttl, isFirst)
    records[flow + STATE] = state
    if (tcpFlags >= 0) this.takeFlags(slot, tcpFlags, isReverse)
  }

  /** Add fragments that came before to what the last packet was counted in. */
  addEarly(packets: number, bytes: number, start: number, end: number): void {
    const { at, table: { counters } } = this
    counters[at + PACKETS] += packets
    counters[at + BYTES] += bytes
    counters[at + START] = Math.min(counters[at + START], start)
    counters[at + END] = Math.max(counters[at + END], end)
  }

  /**
   * Take fragments out of the flow of `key` again.
   *
   * @param start time of the first of them
   * @returns whether they could be: the flow may have ended, and is another now
   */
  takeBack(words: number, turned: boolean, packets: number, bytes: number, start: number): boolean {
    const { table } = this
    const slot = table.find(words)
    if (slot < 0) return false
    const { counters } = table
    const forward = slot * FLOW_COUNTERS
    const isReverse = turned !== ((table.words[slot * FLOW_WORDS + STATE] & TURNED) !== 0)
    const at = isReverse ? forward + REVERSE : forward
    if (counters[at + PACKETS] < packets || counters[at + START] > start) return false
    counters[at + PACKETS] -= packets
    counters[at + BYTES] -= bytes
    if (counters[forward + PACKETS] + counters[forward + REVERSE + PACKETS] === 0) this.remove(slot)
    return true
  }

  /** End the flow that would end next, before its time. @returns whether there was one */
  endOne(): boolean {
    const turn = this.wheel.next(this.wheel.turn)
    if (turn === undefined) return false
    const slot = this.wheel.first(turn)
    this.tell(slot, FORCED)
    this.remove(slot)
    return true
  }

  /** Begin a flow with its first packet, which is not yet counted. */
  private begin(bytes: Uint8Array, h: PacketHeaders, slot: number, turned: boolean): void {
    const { table, times } = this
    const { words, counters } = table
    // who answers did not begin
    const isAnswer = this.isBiflow && h.tcpFlags >= 0 && (h.tcpFlags & TCP_ANSWER) === TCP_ANSWER
    const flow = slot * FLOW_WORDS
    // of ICMP the request is forward, whichever comes first
    const isTurned = kindOf(words[flow + KEY_PROTO]) !== ICMP && turned !== isAnswer
    words[flow + STATE] = (isTurned ? TURNED : 0) | (turned !== isTurned ? FROM_REVERSE : 0)
    words[flow + TCP_FLAGS] = 0
    const at = slot * FLOW_COUNTERS
    for (let i = 0; i < 2 * REVERSE; i += REVERSE) {
      counters[at + i + PACKETS] = 0
      counters[at + i + BYTES] = 0
      counters[at + i + START] = times[NOW]
      counters[at + i + END] = times[NOW]
    }
    takeDetails(bytes, h, this.hasTunnel ? this.tunnel : undefined, table, slot)
    const detail = slot * DETAIL_WORDS
    table.details[detail + TOS] = 0
    table.details[detail + FLOW_LABEL] = h.flowLabel
  }

  /** Take what a flow is told of by the first packet of a direction. */
  private beginDirection(h: PacketHeaders, slot: number, isReverse: boolean): void {
    const { details } = this.table
    const detail = slot * DETAIL_WORDS
    details[detail + TOS] |= isReverse ? h.tos << 8 : h.tos
    if (!isReverse) details[detail + FLOW_LABEL] = h.flowLabel
  }

  private takeFlags(slot: number, flags: number, isReverse: boolean): void {
    const { table: { words, counters }, wheel } = this
    const flow = slot * FLOW_WORDS
    words[flow + TCP_FLAGS] |= isReverse ? flags << 16 : flags
    const before = words[flow + STATE]
    let state = before | HAS_FLAGS
    if ((flags & TCP_FIN) !== 0) state |= isReverse ? FIN_REVERSE : FIN
    const fins = state & (FIN | FIN_REVERSE)
    const at = slot * FLOW_COUNTERS
    const isAlone = counters[at + PACKETS] === 0 || counters[at + REVERSE + PACKETS] === 0
    if ((flags & TCP_RST) !== 0 || (isAlone ? fins !== 0 : fins === (FIN | FIN_REVERSE))) state |= CLOSED
    words[flow + STATE] = state
    if ((before & CLOSED) !== 0 || (state & CLOSED) === 0) return
    wheel.remove(slot)
    wheel.add(slot, this.turnOfEnd(slot))
  }

  /**
   * Why a flow has ended at the time of the clock, 0 if it has not.
   *
   * @param flags of a packet that has its key; -1 for none
   */
  private reasonToEnd(slot: number, flags: number): number {
    const { table: { words, counters } } = this
    const time = this.times[NOW]
    const at = slot * FLOW_COUNTERS
    const gap = time - Math.max(counters[at + END], counters[at + REVERSE + END])
    const age = time - Math.min(counters[at + START], counters[at + REVERSE + START])
    if ((words[slot * FLOW_WORDS + STATE] & CLOSED) !== 0) {
      if (gap > this.linger || (flags >= 0 && (flags & TCP_SYN) !== 0)) return END_OF_FLOW
    }
    if (gap > this.idleTimeout || -age > this.idleTimeout) return IDLE
    return age > this.activeTimeout ? ACTIVE : 0
  }

  /** The turn of the wheel in which a flow ends if no packet comes. */
  private turnOfEnd(slot: number): number {
    const { table: { words, counters } } = this
    const at = slot * FLOW_COUNTERS
    const isClosed = (words[slot * FLOW_WORDS + STATE] & CLOSED) !== 0
    const last = Math.max(counters[at + END], counters[at + REVERSE + END])
    const first = Math.min(counters[at + START], counters[at + REVERSE + START])
    const end = Math.min(last + (isClosed ? this.linger : this.idleTimeout), first + this.activeTimeout)
    return Math.floor(end / this.stretch)
  }

  /** Look at up to `work` flows of the turns that are over; @returns whether no more are to be looked at. */
  private turn(work: number): boolean {
    const { times, wheel, stretch } = this
    const turn = Math.floor(times[NOW] / stretch)
    wheel.moveTo(turn)
    times[DUE] = times[BACK] = 0 // not before this is done
    while (wheel.turn < turn) {
      const slot = wheel.first(wheel.turn)
      if (slot < 0) wheel.turn++
      else if (work-- === 0) return false
      else this.look(slot)
    }
    times[DUE] = (turn + 1) * stretch
    times[BACK] = turn * stretch - this.idleTimeout
    return true
  }

  /** End a flow if its time is over, otherwise put it where it will be. */
  private look(slot: number): void {
    const reason = this.reasonToEnd(slot, -1)
    if (reason !== 0) {
      this.tell(slot, reason)
      this.remove(slot)
    } else {
      this.wheel.remove(slot)
      this.wheel.add(slot, this.turnOfEnd(slot))
    }
  }

  /** End one flow: of a few that may end soon the one that has been idle for longest. */
  private makeRoom(): void {
    const { table: { counters }, wheel } = this
    let idlest = -1
    let since = Infinity
    let turn = wheel.turn
    for (let i = 0; i < CANDIDATES; i++) {
      const next = wheel.next(turn)
      if (next === undefined) break
      turn = next
      const slot = wheel.first(turn)
      const reason = this.reasonToEnd(slot, -1)
      if (reason !== 0) {
        this.tell(slot, reason)
        this.remove(slot)
        return
      }
      const at = slot * FLOW_COUNTERS
      const last = Math.max(counters[at + END], counters[at + REVERSE + END])
      if (last < since) {
        idlest = slot
        since = last
      }
      wheel.remove(slot)
      wheel.add(slot, this.turnOfEnd(slot))
    }
    this.tell(idlest, LACK_OF_RESOURCES)
    this.remove(idlest)
  }

  /** Give a flow out. */
  private tell(slot: number, reason: number): void {
    this.rows.add(slot, reason)
    const { stats } = this
    if (reason === IDLE) stats.endedIdle++
    else if (reason === ACTIVE) stats.endedActive++
    else if (reason === END_OF_FLOW) stats.endedClosed++
    else if (reason === FORCED) stats.endedForced++
    else stats.endedForRoom++
  }

  private remove(slot: number): void {
    this.wheel.remove(slot)
    this.table.remove(slot)
  }
}

/** Places in `times`: the clock. */
const NOW = 0
/** When flows are to be looked at next. */
const DUE = 1
/** Before this the clock has gone back. */
const BACK = 2

/** A state with one more time to live. */
function addTtl(state: number, ttl: number, isFirst: boolean): number {
  const least = state & 255
  const most = (state >> 8) & 255
  if (isFirst) return (state & ~0xffff) | (ttl << 8) | ttl
  if (ttl < least) return (state & ~255) | ttl
  return ttl > most ? (state & ~0xff00) | (ttl << 8) : state
}
