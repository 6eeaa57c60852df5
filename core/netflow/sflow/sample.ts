import type { AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE } from '../../flow/names.ts'
import type { Loss } from '../../flow/loss.ts'
import {
  INTERFACE_FORMAT, INTERNAL_INTERFACE, reasonOfStatus, STATUS_FOR_US, statusOfDiscard,
} from './discard.ts'
import { writeExtended, writeLabels, type ExtendedRecords } from './extended.ts'
import { frameSize, ipSize, writeFrame, writeIpPacket } from './frame.ts'
import { XdrWriter } from './xdr.ts'

/** Fields that samples and the records of their packets carry. */
export const SAMPLE_FIELDS: readonly number[] = [
  ID.packets, ID.bytes, ID.droppedPackets, ID.droppedBytes, ID.samplingRate, ID.samplingApplied,
  ID.samplePool, ID.sampleDrops, ID.inIf, ID.outIf, ID.direction, ID.forwardingStatus, ID.observationPointId,
  ID.frameLength, ID.proto, ID.srcAddr, ID.dstAddr, ID.srcPort, ID.dstPort, ID.tcpFlags, ID.tos, ID.icmpType,
  ID.icmpCode, ID.etype, ID.srcMac, ID.dstMac,
]

const MAX_U32 = 0xffffffff
const ICMP = 1, ICMPV6 = 58
const HEADER_PROTOCOL = { ethernet: 1, ipv4: 11, ipv6: 12 } as const
/** Bytes of a sample with every record, whose lists are empty; the rest of a datagram is for lists. */
const WITHOUT_LISTS = 720
const MOST_LIST = 4000 // bytes
const BUFFER_SIZE = 16_384

/** What one source of samples has counted. */
export interface Source {
  sequence: number
  pool: number
}

/** The sources of an agent, by type * 2^32 + index. */
export type Sources = Map<number, Source>

/** Whether a sample can tell of a row: of its packet, or of no packet where it was a sample without one. */
export function isTold({ type }: FlowBatch, row: number, mask: Uint8Array): boolean {
  if (mask[ID.srcAddr] || mask[ID.dstAddr] || mask[ID.srcMac] || mask[ID.dstMac]) return true
  return mask[ID.type] === 1 && type[row] === FLOW_TYPE.SFLOW_5 && !mask[ID.bytes] && !mask[ID.droppedBytes]
}

/** How a sample tells of its packet: addresses and ports only, also its IP header, or the frame's header. */
export const TOLD_BY = { records: 0, packet: 1, frame: 2 } as const

/** Writes samples. */
export class SampleWriter {
  /** The last sample: `bytes[0..at)`. */
  readonly out: XdrWriter = new XdrWriter(BUFFER_SIZE)
  /** Sources that rows have made. */
  made = 0
  private readonly loss: Loss
  private readonly extended: ExtendedRecords
  private sourceType = 0
  private sourceIndex = 0

  /** @param room bytes that a sample may take */
  constructor(room: number, loss: Loss) {
    this.loss = loss
    const listSize = Math.min(MOST_LIST, Math.floor((room - WITHOUT_LISTS) / 2))
    this.extended = { out: this.out, narrowed: loss.narrowed, listSize }
  }

  /**
   * Write the sample of a row, over the last one.
   *
   * @param sources of the row's agent
   * @returns a value of TOLD_BY
   */
  write(batch: FlowBatch, row: number, mask: Uint8Array, sources: Sources): number {
    const { out } = this
    out.at = 0
    const dropped = mask[ID.droppedPackets] === 1 && mask[ID.packets] === 0
    const source = this.sourceOf(batch, row, mask, sources)
    source.sequence = source.sequence % MAX_U32 + 1
    const length = dropped ? this.writeDiscard(batch, row, mask, source)
      : this.writeFlowSample(batch, row, mask, source)
    const place = out.at - 4 // the number of records
    const toldBy = this.toldBy(batch, row, mask, length)
    let records = 0
    if (toldBy === TOLD_BY.frame) records += this.writeHeader(TOLD_BY.frame, batch, row, mask, length)
    else {
      records += writeLabels(out, batch, row, mask)
      records += this.writePacket(toldBy, batch, row, mask, length)
    }
    out.view.setUint32(place, records + writeExtended(this.extended, batch, row, mask))
    out.end(8)
    return toldBy
  }

  /** Begin a flow_sample_expanded. @returns the packet's length */
  private writeFlowSample(batch: FlowBatch, row: number, mask: Uint8Array, source: Source): number {
    const { out, loss: { leftOut, narrowed } } = this
    const told = mask[ID.packets] ? batch.packets[row] : 0
    const packets = told === 0 && mask[ID.bytes] && batch.bytes[row] > 0 ? 1 : told
    const scaled = mask[ID.samplingApplied] === 1 && batch.samplingApplied[row] === 1
    if (scaled && mask[ID.samplingRate]) leftOut[ID.samplingRate]++
    const stands = packets * (mask[ID.samplingRate] && !scaled ? batch.samplingRate[row] : 1)
    const rate = Math.min(stands, MAX_U32)
    if (rate < stands) narrowed[ID.packets]++
    source.pool = (source.pool + rate) % 2 ** 32
    out.begin(3)
    out.u32(source.sequence)
    out.u32(this.sourceType)
    out.u32(this.sourceIndex)
    out.u32(rate)
    out.u32(mask[ID.samplePool] ? batch.samplePool[row] : source.pool)
    out.u32(mask[ID.sampleDrops] ? batch.sampleDrops[row] : 0)
    out.u32(INTERFACE_FORMAT.single)
    out.u32(mask[ID.inIf] ? batch.inIf[row] : 0)
    this.writeOutput(batch, row, mask)
    out.u32(0)
    return this.meanLength(ID.bytes, batch, row, mask, packets)
  }

  /** The output interface, or why there is none. */
  private writeOutput(batch: FlowBatch, row: number, mask: Uint8Array): void {
    const { out, loss: { leftOut, narrowed } } = this
    const status = mask[ID.forwardingStatus] ? batch.forwardingStatus[row] : -1
    const reason = status < 0 ? -1 : reasonOfStatus(status)
    const internal = status === STATUS_FOR_US && mask[ID.outIf] === 0
    if (reason >= 0) {
      if (mask[ID.outIf]) leftOut[ID.outIf]++
      if (statusOfDiscard(reason) !== status) narrowed[ID.forwardingStatus]++
    } else if (status >= 0 && !internal) leftOut[ID.forwardingStatus]++
    out.u32(reason >= 0 ? INTERFACE_FORMAT.discarded : INTERFACE_FORMAT.single)
    out.u32(reason >= 0 ? reason : internal ? INTERNAL_INTERFACE : mask[ID.outIf] ? batch.outIf[row] : 0)
  }

  /** Begin a discarded packet. @returns its length */
  private writeDiscard(batch: FlowBatch, row: number, mask: Uint8Array, source: Source): number {
    const { out, loss: { narrowed } } = this
    const packets = batch.droppedPackets[row]
    const status = mask[ID.forwardingStatus] ? batch.forwardingStatus[row] : -1
    const reason = Math.max(reasonOfStatus(Math.max(status, 128)), 0)
    if (packets > 1) narrowed[ID.droppedPackets]++
    if (status >= 0 && statusOfDiscard(reason) !== status) narrowed[ID.forwardingStatus]++
    out.begin(5)
    out.u32(source.sequence)
    out.u32(this.sourceType)
    out.u32(this.sourceIndex)
    out.u32(mask[ID.sampleDrops] ? batch.sampleDrops[row] : 0)
    out.u32(mask[ID.inIf] ? batch.inIf[row] : 0)
    out.u32(mask[ID.outIf] ? batch.outIf[row] : 0)
    out.u32(reason)
    out.u32(0)
    return this.meanLength(ID.droppedBytes, batch, row, mask, packets)
  }

  /** Find the source of a sample: the one it came from, or the interface it was metered at. */
  private sourceOf(batch: FlowBatch, row: number, mask: Uint8Array, sources: Sources): Source {
    const { leftOut } = this.loss
    const { type, observationPointId } = batch
    const isSample = mask[ID.type] === 1 && type[row] === FLOW_TYPE.SFLOW_5
    const sampled = isSample && mask[ID.observationPointId] === 1
    if (!sampled && mask[ID.observationPointId]) leftOut[ID.observationPointId]++
    const input = mask[ID.inIf] ? batch.inIf[row] : 0
    const output = mask[ID.outIf] ? batch.outIf[row] : 0
    const metered = mask[ID.direction] && batch.direction[row] === 1 ? output : input
    this.sourceType = sampled ? observationPointId[row * 2 + 1] : 0
    this.sourceIndex = sampled ? observationPointId[row * 2] : metered
    if (mask[ID.direction] && (this.sourceIndex === 0 || input === output)) leftOut[ID.direction]++
    const key = this.sourceType * 2 ** 32 + this.sourceIndex
    let source = sources.get(key)
    if (!source) {
      sources.set(key, source = { sequence: 0, pool: 0 })
      this.made++
    }
    return source
  }

  /** The mean length of a row's packets. */
  private meanLength(id: number, batch: FlowBatch, row: number, mask: Uint8Array, packets: number): number {
    const { loss: { narrowed } } = this
    const octets = mask[id] ? (batch.column(id) as Float64Array)[row] : 0
    const length = Math.min(Math.round(octets / Math.max(packets, 1)), MAX_U32)
    if (length * Math.max(packets, 1) !== octets) narrowed[id]++
    if (mask[ID.frameLength] && batch.frameLength[row] !== length) narrowed[ID.frameLength]++
    return length
  }

  /** A header must fit into the packet's length, and there must be what makes it. */
  private toldBy(batch: FlowBatch, row: number, mask: Uint8Array, length: number): number {
    if (!mask[ID.srcAddr] || !mask[ID.dstAddr] || !mask[ID.proto]) return TOLD_BY.records
    if (batch.srcAddr.family[row] !== batch.dstAddr.family[row]) return TOLD_BY.records
    if ((mask[ID.srcMac] || mask[ID.dstMac]) && length >= frameSize(batch, row, mask)) return TOLD_BY.frame
    return length >= ipSize(batch, row, mask) ? TOLD_BY.packet : TOLD_BY.records
  }

  /** A sampled_header of an Ethernet frame, or of an IP packet. @returns the number of records */
  private writeHeader(
    toldBy: number, batch: FlowBatch, row: number, mask: Uint8Array, length: number,
  ): number {
    const { out } = this
    const framed = toldBy === TOLD_BY.frame
    const start = out.begin(1)
    if (framed) out.u32(HEADER_PROTOCOL.ethernet)
    else out.u32(batch.srcAddr.family[row] === 6 ? HEADER_PROTOCOL.ipv6 : HEADER_PROTOCOL.ipv4)
    out.u32(length)
    out.u32(0)
    out.u32(framed ? frameSize(batch, row, mask) : ipSize(batch, row, mask))
    if (framed) writeFrame(out, batch, row, mask, length)
    else writeIpPacket(out, batch, row, mask, length)
    out.pad()
    out.end(start)
    return 1
  }

  /**
   * What the row has of a sampled_ethernet, a sampled_header of the IP packet, and a sampled_ipv4 or
   * sampled_ipv6: goflow2 reads no headers but of frames, and nfdump 1.7.1 no addresses but in headers.
   *
   * @returns how many
   */
  private writePacket(
    toldBy: number, batch: FlowBatch, row: number, mask: Uint8Array, length: number,
  ): number {
    const { out, loss: { leftOut } } = this
    const hasMac = mask[ID.srcMac] === 1 || mask[ID.dstMac] === 1
    const hasIp = mask[ID.srcAddr] === 1 || mask[ID.dstAddr] === 1
    let records = 0
    if (hasMac) {
      const start = out.begin(2)
      out.u32(length)
      out.mac(mask[ID.srcMac] ? batch.srcMac[row] : 0)
      out.pad()
      out.mac(mask[ID.dstMac] ? batch.dstMac[row] : 0)
      out.pad()
      out.u32(mask[ID.etype] ? batch.etype[row] : 0)
      out.end(start)
      records++
    } else if (mask[ID.frameLength]) leftOut[ID.frameLength]++
    if (toldBy === TOLD_BY.packet) records += this.writeHeader(toldBy, batch, row, mask, length)
    if (!hasIp) return records
    this.writeIp(batch, row, mask, length)
    return records + 1
  }

  private writeIp(batch: FlowBatch, row: number, mask: Uint8Array, length: number): void {
    const { out, loss: { leftOut } } = this
    const six = (mask[ID.srcAddr] ? batch.srcAddr : batch.dstAddr).family[row] === 6
    const etype = six ? ETYPE_IPV6 : ETYPE_IPV4
    if (mask[ID.etype] && batch.etype[row] !== etype) leftOut[ID.etype]++
    const start = out.begin(six ? 4 : 3)
    out.u32(length)
    out.u32(mask[ID.proto] ? batch.proto[row] : 0)
    this.writeIpAddress(batch, ID.srcAddr, row, mask, six)
    this.writeIpAddress(batch, ID.dstAddr, row, mask, six)
    out.u32(mask[ID.srcPort] ? batch.srcPort[row] : 0)
    out.u32(this.targetPort(batch, row, mask))
    out.u32(mask[ID.tcpFlags] ? batch.tcpFlags[row] : 0)
    out.u32(mask[ID.tos] ? batch.tos[row] : 0)
    out.end(start)
  }

  private writeIpAddress(batch: FlowBatch, id: number, row: number, mask: Uint8Array, six: boolean): void {
    const { out, loss: { leftOut } } = this
    const { family, v4, v6 } = batch.column(id) as AddressColumn
    const fits = mask[id] === 1 && family[row] === (six ? 6 : 4)
    if (mask[id] && !fits) leftOut[id]++
    if (fits && six) out.copy(v6, row * 16, row * 16 + 16)
    else if (six) for (let i = 0; i < 4; i++) out.u32(0)
    else out.u32(fits ? v4[row] : 0)
  }

  /** The destination port, or where that is free the ICMP type and code, as NetFlow has them. */
  private targetPort(batch: FlowBatch, row: number, mask: Uint8Array): number {
    const { leftOut } = this.loss
    const port = mask[ID.dstPort] ? batch.dstPort[row] : 0
    if (!mask[ID.icmpType]) return port
    const told = batch.icmpType[row] << 8 | (mask[ID.icmpCode] ? batch.icmpCode[row] : 0)
    const isIcmp = mask[ID.proto] === 1 && (batch.proto[row] === ICMP || batch.proto[row] === ICMPV6)
    if (port === 0 && isIcmp) return told
    if (port !== told) {
      leftOut[ID.icmpType]++
      if (mask[ID.icmpCode]) leftOut[ID.icmpCode]++
    }
    return port
  }
}
