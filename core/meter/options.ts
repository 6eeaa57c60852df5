/** What a meter is to do; what is left out has the default that is named. */
export interface MeterOptions {
  /** µs after which a flow that goes on is given out and begun anew (5 minutes). */
  readonly activeTimeout?: number
  /** µs without a packet after which a flow ends (15 s). */
  readonly idleTimeout?: number
  /** Flows held at one time, at most (524,288); the idlest goes to make room. */
  readonly maxFlows?: number
  /** Make one flow of both directions, with the responder's in the fields `rev_*` (RFC 5103). */
  readonly biflow?: boolean
  /** Of a tunnelled packet meter the innermost IP packet, instead of the outermost. */
  readonly inner?: boolean
  /** Meter one packet of so many, chosen at random; flows carry it as `sampling_rate` (1: all). */
  readonly sample?: number
  /** Where the random choice of packets begins, any 32-bit number; the same gives the same choice (1). */
  readonly seed?: number
}

/** What became of packets and flows so far; each packet is in one of the counts from `skipped` to `cut`. */
export interface MeterStats {
  /** Packets given to `add`. */
  packets: number
  /** Bytes of them on the wire, with the link's headers. */
  bytes: number
  /** Left out by sampling. */
  skipped: number
  /** Counted in a flow. */
  metered: number
  /** Later fragments of tunnel packets that were metered, with their whole length, by what is in them. */
  tunnelFragments: number
  /** Of link types that flowkit does not read. */
  unknownLink: number
  /** Of IEEE 802.11, which flowkit does not read. */
  wireless: number
  /** Not IP. */
  notIp: number
  /** With an IP header that contradicts itself, or a time before 1970 or after 2255. */
  damaged: number
  /** Captured only up to somewhere before the end of their IP addresses. */
  cut: number
  /** Of those metered: later fragments whose first was known, and which count in the flow of its ports. */
  fragmentsJoined: number
  /** Of those metered: later fragments without their first, in a flow without ports unless it comes late. */
  fragmentsAlone: number
  /** Flows ended by the idle timeout. */
  endedIdle: number
  /** Flows ended by the active timeout. */
  endedActive: number
  /** Flows ended by FIN or RST. */
  endedClosed: number
  /** Flows ended by `flush`. */
  endedForced: number
  /** Flows ended to make room for others. */
  endedForRoom: number
}

/** Options with what is not said. */
export type FullMeterOptions = Required<MeterOptions>

const MAX_FLOWS = 1 << 24 // 2.7 GB
const MAX_SAMPLE = 2 ** 32 - 1 // sampling_rate has 32 bits

/** Options with their defaults. @throws RangeError if one is out of its range */
export function checkOptions({
  activeTimeout = 300e6, idleTimeout = 15e6, maxFlows = 1 << 19, biflow = false, inner = false, sample = 1,
  seed = 1,
}: MeterOptions): FullMeterOptions {
  checkRange('active timeout', activeTimeout, 1, Number.MAX_SAFE_INTEGER)
  checkRange('idle timeout', idleTimeout, 1, Number.MAX_SAFE_INTEGER)
  checkRange('flows', maxFlows, 1, MAX_FLOWS)
  checkRange('sampling rate', sample, 1, MAX_SAMPLE)
  return { activeTimeout, idleTimeout, maxFlows, biflow, inner, sample, seed }
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`Cannot meter with ${name} ${value}: an integer from ${least} to ${most} wanted`)
}
