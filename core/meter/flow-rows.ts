import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE, SAMPLING_SOURCE } from '../flow/names.ts'
import { makeShape, type Shape } from '../flow/shape.ts'
import {
  DST_MAC, FLOW_LABEL, HAS_DST_MAC, HAS_SRC_MAC, HAS_TUNNEL, LABELS, MAC_HIGH, NO_VLAN, PRESENT, SRC_MAC, TOS,
  TUNNEL, TUNNEL_DST, TUNNEL_SRC, VLANS,
} from './details.ts'
import {
  BYTES, DETAIL_WORDS, END, EXTRA_WORDS, FLOW_COUNTERS, FLOW_WORDS, type FlowTable, isIpv6, KEY_DST, KEY_DST6,
  KEY_INTERFACE, KEY_PORTS, KEY_PROTO, KEY_SRC, KEY_SRC6, kindOf, PACKETS, protoOf, REVERSE, START, STATE,
  TCP_FLAGS,
} from './flow-table.ts'
import { ICMP, PORTS, replyTo } from './packet-key.ts'

/** Bits of the state above the times to live. The forward direction is from the key's destination. */
export const TURNED: number = 1 << 16
/** The forward direction has sent FIN. */
export const FIN: number = 1 << 17
/** The reverse direction has. */
export const FIN_REVERSE: number = 1 << 18
/** The connection is over: RST, or FIN of all directions that the flow has. */
export const CLOSED: number = 1 << 19
/** TCP flags were read. */
export const HAS_FLAGS: number = 1 << 20

/** The details are of a packet of the reverse direction. */
export const FROM_REVERSE: number = 1 << 21

const PROTO_UNKNOWN = 511
const MAX_LABELS = 10
const RANDOM = 2 // sampling_algorithm
const MICROSECONDS = 6
const INITIATOR = 1 // biflow_direction, RFC 5103 section 6.3

/** Bits of a row's layout, above those of PRESENT. */
const SIX = 1 << 7, WITH_PORTS = 1 << 8, WITH_ICMP = 1 << 9, WITH_FLAGS = 1 << 10, VLAN = 1 << 11
const INNER_VLAN = 1 << 12, INTERFACE = 1 << 13, BOTH = 1 << 14, NO_PROTO = 1 << 15

const ALWAYS = [
  ID.type, ID.flowStart, ID.flowEnd, ID.bytes, ID.packets, ID.srcAddr, ID.dstAddr, ID.tos, ID.etype,
  ID.endReason, ID.minTtl, ID.maxTtl,
]
const SAMPLING = [ID.samplingRate, ID.samplingAlgorithm, ID.samplingSource]
const REVERSED = [
  ID.revBytes, ID.revPackets, ID.revTos, ID.revFlowStart, ID.revFlowEnd, ID.biflowDirection,
]
const TUNNEL_FIELDS = [ID.tunSrcAddr, ID.tunDstAddr, ID.tunProto]

/** Makes rows of flows that ended. */
export class FlowRows {
  /** Takes the rows. */
  batch: FlowBatch
  private readonly table: FlowTable
  private readonly sampling: number
  private readonly shapes: Map<number, Shape> = new Map()
  private readonly indices: Map<number, number> = new Map() // of shapes in the batch
  private known: readonly Shape[] // the batch's shapes that the indices are about

  /** @param sampling one packet in so many was metered */
  constructor(table: FlowTable, batch: FlowBatch, sampling: number) {
    this.table = table
    this.batch = batch
    this.sampling = sampling
    this.known = batch.shapes
  }

  /** Append the flow in `slot`, which has a packet, as ended for `reason` (IE 136). */
  add(slot: number, reason: number): void {
    const { batch, table: { words, counters, details } } = this
    batch.reserve(1)
    const row = batch.length
    const key = slot * FLOW_WORDS
    const count = slot * FLOW_COUNTERS
    const detail = slot * DETAIL_WORDS
    const state = words[key + STATE]
    const proto = words[key + KEY_PROTO]
    const six = isIpv6(proto)
    const kind = kindOf(proto)
    // a flow of the reverse direction alone is not told as a reverse one
    const alone = counters[count + PACKETS] === 0
    const turned = ((state & TURNED) !== 0) !== alone
    const forward = alone ? count + REVERSE : count
    const both = !alone && counters[count + REVERSE + PACKETS] > 0

    const present = details[detail + PRESENT]
    // the reverse direction's first packet may have told the addresses of the link
    const crossed = (state & FROM_REVERSE) !== 0 && !alone
    let layout = (crossed ? crossMacs(present) : present) | (six ? SIX : 0) | (both ? BOTH : 0)
    if (kind === PORTS) layout |= WITH_PORTS
    else if (kind === ICMP) layout |= WITH_ICMP
    if ((state & HAS_FLAGS) !== 0) layout |= WITH_FLAGS
    if (words[key + KEY_INTERFACE] !== 0) layout |= INTERFACE
    if (protoOf(proto) === PROTO_UNKNOWN) layout |= NO_PROTO
    const vlans = details[detail + VLANS]
    if (vlans >>> 16 !== NO_VLAN) layout |= VLAN
    if ((vlans & 0xffff) !== NO_VLAN) layout |= INNER_VLAN
    batch.shape[row] = this.shapeOf(layout)

    batch.type[row] = FLOW_TYPE.PACKETS
    batch.flowStart[row] = counters[forward + START]
    batch.flowEnd[row] = counters[forward + END]
    batch.bytes[row] = counters[forward + BYTES]
    batch.packets[row] = counters[forward + PACKETS]
    batch.proto[row] = protoOf(proto)
    batch.etype[row] = six ? ETYPE_IPV6 : ETYPE_IPV4
    batch.endReason[row] = reason
    batch.minTtl[row] = state & 255
    batch.maxTtl[row] = (state >> 8) & 255
    const tos = details[detail + TOS]
    batch.tos[row] = alone ? tos >> 8 : tos & 255
    const source = turned ? KEY_DST : KEY_SRC
    const source6 = turned ? KEY_DST6 : KEY_SRC6
    setAddress(batch.srcAddr, row, six, words, key + source, key + source6)
    const target = turned ? KEY_SRC : KEY_DST
    const target6 = turned ? KEY_SRC6 : KEY_DST6
    setAddress(batch.dstAddr, row, six, words, key + target, key + target6)
    const ports = words[key + KEY_PORTS]
    if (kind === PORTS) {
      batch.srcPort[row] = turned ? ports : ports >>> 16
      batch.dstPort[row] = turned ? ports >>> 16 : ports
    } else if (kind === ICMP) {
      batch.icmpType[row] = alone ? replyTo(ports >> 8) : ports >> 8
      batch.icmpCode[row] = ports
    }
    const flags = words[key + TCP_FLAGS]
    if ((layout & WITH_FLAGS) !== 0) batch.tcpFlags[row] = alone ? flags >>> 16 : flags
    if (six) batch.ipv6FlowLabel[row] = details[detail + FLOW_LABEL]
    if ((layout & INTERFACE) !== 0) batch.inIf[row] = words[key + KEY_INTERFACE]
    if ((layout & VLAN) !== 0) batch.vlanId[row] = vlans >>> 16
    if ((layout & INNER_VLAN) !== 0) batch.customerVlanId[row] = vlans
    if ((present & (HAS_SRC_MAC | HAS_DST_MAC)) !== 0) this.addMacs(row, detail, crossed)
    if ((present & (LABELS | HAS_TUNNEL)) !== 0) this.addExtras(row, slot, present, crossed)
    if (both) {
      batch.revBytes[row] = counters[count + REVERSE + BYTES]
      batch.revPackets[row] = counters[count + REVERSE + PACKETS]
      batch.revFlowStart[row] = counters[count + REVERSE + START]
      batch.revFlowEnd[row] = counters[count + REVERSE + END]
      batch.revTos[row] = tos >> 8
      if ((layout & WITH_FLAGS) !== 0) batch.revTcpFlags[row] = flags >>> 16
      batch.biflowDirection[row] = INITIATOR
    }
    if (this.sampling > 1) {
      batch.samplingRate[row] = this.sampling
      batch.samplingAlgorithm[row] = RANDOM
      batch.samplingSource[row] = SAMPLING_SOURCE.config
    }
    batch.length = row + 1
  }

  private addMacs(row: number, detail: number, crossed: boolean): void {
    const { batch, table: { details } } = this
    const high = details[detail + MAC_HIGH]
    const dst = (high >>> 16) * 2 ** 32 + (details[detail + DST_MAC] >>> 0)
    const src = (high & 0xffff) * 2 ** 32 + (details[detail + SRC_MAC] >>> 0)
    batch.dstMac[row] = crossed ? src : dst
    batch.srcMac[row] = crossed ? dst : src
  }

  private addExtras(row: number, slot: number, present: number, crossed: boolean): void {
    const { batch, table: { extras } } = this
    const at = slot * EXTRA_WORDS
    const labels = present & LABELS
    let classes = 0
    for (let i = 0; i < labels; i++) {
      const column = batch.column(ID.mplsLabel1 + i) as Uint32Array
      column[row] = extras[at + i] >>> 12
      classes += ((extras[at + i] >>> 8) & 15) * 16 ** i
    }
    if (labels > 0) {
      batch.mplsExp[row] = classes
      batch.mplsTtl[row] = extras[at]
    }
    if ((present & HAS_TUNNEL) === 0) return
    const word = extras[at + TUNNEL]
    batch.tunProto[row] = protoOf(word)
    const [source, target] = crossed ? [TUNNEL_DST, TUNNEL_SRC] : [TUNNEL_SRC, TUNNEL_DST]
    setAddress(batch.tunSrcAddr, row, isIpv6(word), extras, at + source, at + source + 1)
    setAddress(batch.tunDstAddr, row, isIpv6(word), extras, at + target, at + target + 1)
  }

  private shapeOf(layout: number): number {
    const { batch } = this
    if (this.known !== batch.shapes) {
      this.known = batch.shapes
      this.indices.clear()
    }
    let index = this.indices.get(layout)
    if (index === undefined) {
      let shape = this.shapes.get(layout)
      if (shape === undefined) this.shapes.set(layout, shape = makeShape(this.fieldsOf(layout), MICROSECONDS))
      index = batch.intern(shape)
      this.indices.set(layout, index)
    }
    return index
  }

  private fieldsOf(layout: number): number[] {
    const fields = [...ALWAYS]
    const add = (bit: number, ...ids: number[]): void => void ((layout & bit) !== 0 && fields.push(...ids))
    const labels = Math.min(layout & LABELS, MAX_LABELS)
    for (let i = 0; i < labels; i++) fields.push(ID.mplsLabel1 + i)
    if (labels > 0) fields.push(ID.mplsExp, ID.mplsTtl)
    if ((layout & NO_PROTO) === 0) fields.push(ID.proto)
    if (this.sampling > 1) fields.push(...SAMPLING)
    add(SIX, ID.ipv6FlowLabel)
    add(WITH_PORTS, ID.srcPort, ID.dstPort)
    add(WITH_ICMP, ID.icmpType, ID.icmpCode)
    add(WITH_FLAGS, ID.tcpFlags)
    add(HAS_SRC_MAC, ID.srcMac)
    add(HAS_DST_MAC, ID.dstMac)
    add(VLAN, ID.vlanId)
    add(INNER_VLAN, ID.customerVlanId)
    add(INTERFACE, ID.inIf)
    add(HAS_TUNNEL, ...TUNNEL_FIELDS)
    add(BOTH, ...REVERSED)
    if ((layout & BOTH) !== 0) add(WITH_FLAGS, ID.revTcpFlags)
    return fields
  }
}

/** What there is of MAC addresses, with source and destination exchanged. */
function crossMacs(present: number): number {
  const crossed = present & ~(HAS_SRC_MAC | HAS_DST_MAC)
  return crossed | ((present & HAS_SRC_MAC) << 1) | ((present & HAS_DST_MAC) >> 1)
}

/** Set an address of which the first word is at `at`, the others of IPv6 from `rest` on. */
function setAddress(
  column: AddressColumn, row: number, six: boolean, words: Int32Array, at: number, rest: number,
): void {
  if (!six) {
    column.family[row] = 4
    column.v4[row] = words[at]
    return
  }
  const v6 = ipv6Storage(column)
  column.family[row] = 6
  column.v4[row] = 0
  setWord(v6, row * 16, words[at])
  for (let i = 0; i < 3; i++) setWord(v6, row * 16 + 4 + i * 4, words[rest + i])
}

function setWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24
  bytes[at + 1] = word >>> 16
  bytes[at + 2] = word >>> 8
  bytes[at + 3] = word
}
