import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'
import { parsePacket } from '../pcap/headers.ts'
import {
  BAD_HEADER, CUT_HEADER, FRAGMENT, PacketHeaders, UNKNOWN_LINK, WIRELESS_LINK,
} from '../pcap/packet-headers.ts'
import { parseInner, TUNNEL_GENEVE, TUNNEL_VXLAN } from '../pcap/tunnels.ts'
import { FlowCache } from './flow-cache.ts'
import { KEY_PORTS, KEY_PROTO, KEY_WORDS4, KEY_WORDS6, protoWord } from './flow-table.ts'
import { AWAITED, FragmentTable, PORTS_KNOWN, TUNNELLED } from './fragments.ts'
import { checkOptions, type MeterOptions, type MeterStats } from './options.ts'
import { fillKey, joinDirections, NO_PORTS, takeKey } from './packet-key.ts'

const MAX_TIME = 2 ** 53 // µs, in the year 2255
/** Flows looked at in one call of `add`, so that it never takes long. */
const WORK = 256

/**
 * The flow cache: packets in, flows out.
 *
 * ```ts
 * const meter = new FlowMeter({ biflow: true })
 * for (const { bytes, start, end, wireLength, time } of packets) {
 *   meter.add(bytes, start, end, wireLength, time, LINK_ETHERNET, 2)
 *   if (meter.finished.length >= BATCH_SIZE) give()
 * }
 * while (meter.flush()) give()
 *
 * function give() {
 *   write(meter.finished)
 *   meter.finished.clear()
 * }
 * ```
 *
 * A flow is the packets of the same source and destination address, protocol, source and destination port
 * (type and code of ICMP), interface they came in by, and VLAN (that of the outermost tag; of the innermost
 * packet the identifier of the VXLAN or Geneve network it is in). softflowd, nfpcapd and pmacctd's nfprobe,
 * of which each has one interface, agree on the first five; VLANs and virtual networks may use the same
 * addresses for different hosts. Type of service, MAC addresses, labels and flow label are not part of the
 * key: flows carry their first packet's.
 *
 * `bytes` are those of IP packets by their header's length, without padding and with what the capture left
 * out; where the header says 0 (segmentation offload, jumbograms without their option) by the wire's.
 *
 * A flow ends after the idle timeout without a packet (reason 1); when a packet comes later than the active
 * timeout after its first (2); two seconds after the last packet behind RST or FIN, or at once with the SYN
 * of the next connection (3): its last acknowledgements are still part of it, as in softflowd. A flow of both
 * directions takes FIN of both. When there is no room the idlest of some ends (5).
 *
 * The clock is that of the packets. If it goes back by more than the idle timeout, flows end as if they were
 * idle; by less, they go on, and begin with their earliest packet.
 *
 * Later fragments count in the flow of the first one's ports if that was seen in the last 30 s or comes
 * within 30 s, otherwise in a flow without ports.
 */
export class FlowMeter {
  /** What became of packets and flows. */
  readonly stats: MeterStats = {
    packets: 0, bytes: 0, skipped: 0, metered: 0, tunnelFragments: 0, unknownLink: 0, wireless: 0, notIp: 0,
    damaged: 0, cut: 0, fragmentsJoined: 0, fragmentsAlone: 0, endedIdle: 0, endedActive: 0, endedClosed: 0,
    endedForced: 0, endedForRoom: 0,
  }
  private readonly cache: FlowCache
  private readonly fragments: FragmentTable
  private readonly isBiflow: boolean
  private readonly isInner: boolean
  private readonly threshold: number // of random 32-bit numbers, those below it are metered
  private random: number
  private outermost = new PacketHeaders()
  private other = new PacketHeaders()
  private network = 0 // word of the key, of the packet at hand

  /** @throws RangeError if an option is out of its range */
  constructor(options: MeterOptions = {}) {
    const { biflow, inner, sample, seed, ...bounds } = checkOptions(options)
    // another for each meter, so that nobody can send packets whose keys meet in one place
    const scatter = Math.floor(Math.random() * 2 ** 32) | 0
    const finished = new FlowBatch(BATCH_SIZE + 4 * WORK)
    this.cache = new FlowCache({ ...bounds, biflow, sample, scatter }, finished, this.stats)
    this.fragments = new FragmentTable(scatter)
    this.isBiflow = biflow
    this.isInner = inner
    this.threshold = 2 ** 32 / sample
    this.random = seed | 0
  }

  /**
   * Flows that ended and were not yet taken: read them, then `clear` it, or `exchange` it for another.
   *
   * `add` appends few at a time, `expire` and `flush` stop at BATCH_SIZE.
   */
  get finished(): FlowBatch {
    return this.cache.ended
  }

  /**
   * Take the batch of flows that ended, and give another, of which the meter makes its `finished`.
   *
   * @param batch without rows; what it was used for before does not matter
   * @returns what was `finished`, from now on the caller's
   * @throws RangeError if it has rows
   */
  exchange(batch: FlowBatch): FlowBatch {
    if (batch.length > 0) throw new RangeError(`Cannot go on with a batch of ${batch.length} rows: 0 wanted`)
    const { finished } = this
    this.cache.ended = batch
    return finished
  }

  /** Flows that go on. */
  get active(): number {
    return this.cache.size
  }

  /**
   * Meter the packet in `bytes` from `start` to `end`. Nothing of it is kept, nothing is allocated, and
   * nothing is thrown however damaged it is.
   *
   * @param wireLength length of the packet on the wire, of which the capture may have only a part
   * @param time when it was seen, µs since the epoch; the clock by which flows end
   * @param linkType LINKTYPE_ number, as `parsePacket` takes it
   * @param interfaceIndex of the interface it came in by, part of the flow key and its `in_if`; 0: not known
   */
  add(
    bytes: Uint8Array, start: number, end: number, wireLength: number, time: number, linkType: number,
    interfaceIndex: number,
  ): void {
    const { stats, cache } = this
    stats.packets++
    stats.bytes += wireLength
    if (!(time >= 0 && time < MAX_TIME)) {
      stats.damaged++
      return
    }
    cache.setTime(time, WORK)
    if (this.threshold < 2 ** 32 && !this.draw()) {
      stats.skipped++
      return
    }
    let headers = this.outermost
    if (!parsePacket(bytes, start, end, linkType, headers)) {
      this.refuse(headers.flags)
      return
    }
    this.network = headers.vlanId + 1
    cache.hasTunnel = false
    if (this.isInner) headers = this.descend(bytes, interfaceIndex, time)
    const rest = start + wireLength - headers.ip
    const length = headers.ipLength > 0 ? headers.ipLength : Math.max(rest, headers.end - headers.ip)
    if ((headers.flags & FRAGMENT) !== 0) {
      this.addFragment(bytes, headers, interfaceIndex, length, time)
      return
    }
    const six = takeKey(bytes, headers, interfaceIndex, this.network, cache.key)
    const turned = this.isBiflow && joinDirections(cache.key)
    stats.metered++
    cache.count(bytes, headers, six ? KEY_WORDS6 : KEY_WORDS4, turned, length)
  }

  /**
   * End the flows whose time is over at `now`, for times without packets: a live source calls it some times
   * a second.
   *
   * @param now µs since the epoch, of the same clock as the packets' times
   * @returns whether it stopped because `finished` has BATCH_SIZE rows: then take them, and call it again
   */
  expire(now: number): boolean {
    const { cache } = this
    while (cache.ended.length < BATCH_SIZE) if (cache.setTime(now, WORK)) return false
    return true
  }

  /**
   * End all flows (reason 4, forced).
   *
   * @returns whether there are flows in `finished`: take them, and call it again until there are none
   */
  flush(): boolean {
    const { cache } = this
    while (cache.ended.length < BATCH_SIZE && cache.endOne()) continue
    return cache.ended.length > 0
  }

  /** Count a packet of which no addresses could be read. */
  private refuse(flags: number): void {
    const { stats } = this
    if ((flags & UNKNOWN_LINK) !== 0) stats.unknownLink++
    else if ((flags & WIRELESS_LINK) !== 0) stats.wireless++
    else if ((flags & BAD_HEADER) !== 0) stats.damaged++
    else if ((flags & CUT_HEADER) !== 0) stats.cut++
    else stats.notIp++
  }

  /** Whether the packet is one of the sample: independent random choice, by splitmix32. */
  private draw(): boolean {
    this.random = (this.random + 0x9e3779b9) | 0
    let z = this.random
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) < this.threshold
  }

  /** Go to the innermost IP packet of which the addresses can be read. */
  private descend(bytes: Uint8Array, interfaceIndex: number, time: number): PacketHeaders {
    const { cache } = this
    let outer = this.outermost
    let inner = this.other
    while (parseInner(bytes, outer, inner) && inner.ipVersion !== 0) {
      if ((outer.flags & FRAGMENT) !== 0) {
        this.takeFragment(bytes, outer, interfaceIndex, time)
        this.fragments.learn(TUNNELLED, 0, 0, time)
      }
      if (inner.srcMac < 0) {
        inner.srcMac = outer.srcMac
        inner.dstMac = outer.dstMac
        inner.vlanId = outer.vlanId
        inner.innerVlanId = outer.innerVlanId
      }
      if (inner.tunnel === TUNNEL_VXLAN || inner.tunnel === TUNNEL_GENEVE) this.network = ~inner.tunnelId
      else this.network = inner.vlanId + 1
      cache.takeTunnel(bytes, outer)
      const swapped = outer
      outer = inner
      inner = swapped
    }
    return outer
  }

  /** Find what is known of the datagram that a fragment is of. */
  private takeFragment(bytes: Uint8Array, h: PacketHeaders, interfaceIndex: number, time: number): void {
    const { fragments } = this
    const { key } = fragments
    if (!takeKey(bytes, h, interfaceIndex, this.network, key)) fillKey(key)
    key[KEY_PORTS] = h.ipId
    key[KEY_PROTO] = protoWord(h.fragmentProto, NO_PORTS, h.ipVersion)
    fragments.take(time)
  }

  private addFragment(
    bytes: Uint8Array, h: PacketHeaders, interfaceIndex: number, length: number, time: number,
  ): void {
    const { stats, cache, fragments, isBiflow } = this
    const { key } = cache
    this.takeFragment(bytes, h, interfaceIndex, time)
    const words = takeKey(bytes, h, interfaceIndex, this.network, key) ? KEY_WORDS6 : KEY_WORDS4
    const isFirst = h.fragmentOffset === 0
    if (isFirst) {
      const { packets, bytes: early, start, end } = fragments
      const ports = key[KEY_PORTS]
      const proto = key[KEY_PROTO]
      if (packets > 0) {
        key[KEY_PORTS] = 0
        key[KEY_PROTO] = fragments.key[KEY_PROTO]
        const taken = cache.takeBack(words, isBiflow && joinDirections(key), packets, early, start)
        takeKey(bytes, h, interfaceIndex, this.network, key)
        if (taken) {
          stats.fragmentsAlone -= packets
          stats.fragmentsJoined += packets
        }
        cache.count(bytes, h, words, isBiflow && joinDirections(key), length)
        if (taken) cache.addEarly(packets, early, start, end)
      } else cache.count(bytes, h, words, isBiflow && joinDirections(key), length)
      fragments.learn(PORTS_KNOWN, ports, proto, time)
      stats.metered++
      return
    }
    const { known } = fragments
    if (known === TUNNELLED) {
      stats.tunnelFragments++
      return
    }
    stats.metered++
    if (known === AWAITED) {
      key[KEY_PROTO] = fragments.key[KEY_PROTO]
      fragments.count(length, time)
      stats.fragmentsAlone++
    } else {
      fragments.tell(key)
      stats.fragmentsJoined++
    }
    cache.count(bytes, h, words, isBiflow && joinDirections(key), length)
  }
}
