import type { FlowBatch } from '../../flow/batch.ts'
import { CLOCK_FIELDS, FIELDS, fieldMask, ID } from '../../flow/fields.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../flow/names.ts'
import type { Datagram } from '../message.ts'
import type { Wanted } from '../plan.ts'
import { SampleRow } from '../sample-row.ts'
import { checkSamples, SAMPLE } from './check.ts'
import { takeCounters, type CounterSample } from './counters.ts'
import { INTERFACE_FORMAT, isInternal, statusOfDiscard, STATUS_FOR_US } from './discard.ts'
import { RECORD, takeFlowRecord } from './flow.ts'
import {
  newMessage, noteSource, readSflowHeader, SOURCE_NUMBERS, type SflowMessage,
} from './message.ts'
import { clearPlaces, newPlaces, takePacket, type PacketPlaces } from './packet.ts'

/** What was not kept, counted since the start by format: enterprise * 4096 + format; -1 for further ones. */
export interface SflowCounts {
  /** Samples of unknown formats. */
  readonly samples: Map<number, number>
  /** Flow records that flowkit has no column for. */
  readonly flowRecords: Map<number, number>
  readonly counterRecords: Map<number, number>
  /** Flow records whose contents contradict their length. */
  readonly damaged: Map<number, number>
}

/** State of sFlow decoding: what is reused from datagram to datagram, and counts. */
export interface SflowContext {
  /** What the datagram decoded last said. */
  readonly message: SflowMessage
  readonly counts: SflowCounts
  readonly row: SampleRow
  readonly places: PacketPlaces
  /** The sampling rate configured for the exporter of the datagram; 0: what its samples say. */
  samplingOverride: number
  /** Takes each counter sample. */
  readonly onCounters: ((sample: CounterSample) => void) | undefined
}

/** Formats counted apart; there are about a hundred, but anybody can invent more. */
const MOST_FORMATS = 256

/** What is kept where nobody asks for certain fields. */
const WITHOUT_CLOCK = fieldMask(FIELDS.map(({ id }) => id).filter((id) => !CLOCK_FIELDS.includes(id)))

/** The state for a decoder that keeps the fields of `wanted`, and gives counter samples to `onCounters`. */
export function newSflow(wanted: Wanted, onCounters?: (sample: CounterSample) => void): SflowContext {
  return {
    message: newMessage(),
    counts: { samples: new Map(), flowRecords: new Map(), counterRecords: new Map(), damaged: new Map() },
    row: new SampleRow(wanted.fields ?? WITHOUT_CLOCK),
    places: newPlaces(),
    samplingOverride: 0,
    onCounters,
  }
}

/**
 * Append the flow samples of one sFlow version 5 datagram to `batch`, a row each.
 *
 * A sample is one packet at one instant: it begins and ends when the datagram was received, as goflow2 has it
 * too, since sFlow tells no time. `packets` is 1 and `bytes` the length of the frame (of the IP packet where
 * the frame's is not told), as goflow2 and sfcapd count; the sampling rate stands beside. The direction is
 * told by which of its interfaces the packet was sampled at. A discarded packet (format 5) has
 * dropped_packets and dropped_bytes in their place: it may be among the samples too.
 *
 * The lengths of all samples and records are checked before the first row is stored, so a bad datagram adds
 * nothing. Unknown samples and records are stepped over and counted.
 *
 * Source: sFlow version 5 (sflow_version_5.txt), sflow_drops.txt.
 *
 * @returns the number of rows appended
 * @throws FlowkitError ERR_TRUNCATED, ERR_MALFORMED or ERR_UNSUPPORTED
 */
export function decodeSflow(context: SflowContext, datagram: Datagram, batch: FlowBatch): number {
  const { message } = context
  const { view, end } = datagram
  let at = readSflowHeader(message, datagram)
  const rows = checkSamples(view, at, end)
  const samples = view.getUint32(at - 4)
  batch.reserve(rows)
  if (message.sources.length < rows * SOURCE_NUMBERS) message.sources = new Uint32Array(rows * SOURCE_NUMBERS)
  message.flowSamples = 0
  message.counterSamples = 0
  setHeaderFields(context, datagram)
  let row = batch.length
  for (let i = 0; i < samples; i++) {
    const format = view.getUint32(at)
    const body = at + 8
    const bodyEnd = body + view.getUint32(at + 4)
    switch (format) {
      case SAMPLE.flow:
      case SAMPLE.expandedFlow:
        takeFlowSample(context, datagram, body, bodyEnd, format === SAMPLE.expandedFlow, batch, row++)
        break
      case SAMPLE.discard:
        takeDiscard(context, datagram, body, bodyEnd, batch, row++)
        break
      case SAMPLE.counters:
      case SAMPLE.expandedCounters: {
        const { onCounters, counts } = context
        message.counterSamples++
        if (!onCounters) break
        onCounters(takeCounters(datagram, message, body, bodyEnd, format === SAMPLE.expandedCounters,
          (unknown) => count(counts.counterRecords, unknown)))
        break
      }
      default:
        count(context.counts.samples, format)
    }
    at = Math.min(end, body + Math.ceil((bodyEnd - body) / 4) * 4)
  }
  message.flowSamples = rows
  batch.length = row
  return rows
}

/** Set what all rows of a datagram have in common. */
function setHeaderFields({ row, message }: SflowContext, { received, family, v4, v6 }: Datagram): void {
  row.clear()
  row.set(ID.type, FLOW_TYPE.SFLOW_5)
  row.set(ID.received, received)
  row.set(ID.flowStart, received)
  row.set(ID.flowEnd, received)
  if (family === 4) row.setIpv4(ID.exporterAddr, v4)
  else if (family === 6) row.setIpv6(ID.exporterAddr, v6, 0)
  if (message.agentFamily === 4) row.setIpv4(ID.agentAddr, message.agentV4)
  else if (message.agentFamily === 6) row.setIpv6(ID.agentAddr, message.agentV6, 0)
  row.set(ID.subAgentId, message.subAgentId)
  row.set(ID.sequenceNum, message.sequence)
  row.set(ID.sysUptime, message.uptime)
  row.keep()
}

/** Take a flow_sample or flow_sample_expanded, `bytes[at..end)`. */
function takeFlowSample(
  context: SflowContext, datagram: Datagram, at: number, end: number, expanded: boolean, batch: FlowBatch,
  to: number,
): void {
  const { row, places } = context
  const { bytes, view } = datagram
  row.begin()
  const source = expanded ? view.getUint32(at + 4) : bytes[at + 4]
  const index = expanded ? view.getUint32(at + 8) : view.getUint32(at + 4) & 0xffffff
  const numbers = at + (expanded ? 12 : 8)
  const rate = view.getUint32(numbers)
  const pool = view.getUint32(numbers + 4)
  const drops = view.getUint32(numbers + 8)
  noteSource(context.message, source, index, view.getUint32(at), pool, drops, rate)
  row.setPair(ID.observationPointId, index, source)
  row.set(ID.samplePool, pool)
  row.set(ID.sampleDrops, drops)
  const { samplingOverride } = context
  if (samplingOverride > 0 || rate > 0) {
    row.set(ID.samplingRate, samplingOverride || rate)
    row.set(ID.samplingSource, samplingOverride > 0 ? SAMPLING_SOURCE.config : SAMPLING_SOURCE.header)
  }
  const ports = numbers + 12
  const input = view.getUint32(expanded ? ports + 4 : ports)
  const output = view.getUint32(expanded ? ports + 12 : ports + 4)
  if (expanded) {
    takeInterfaces(row, source, index, view.getUint32(ports), input, view.getUint32(ports + 8), output)
  } else {
    takeInterfaces(row, source, index, input >>> 30, input & 0x3fffffff, output >>> 30, output & 0x3fffffff)
  }
  takeRecords(context, datagram, ports + (expanded ? 16 : 8), end, batch)
  const length = takePacket(bytes, view, places, row)
  row.set(ID.packets, 1)
  if (length >= 0) row.set(ID.bytes, length)
  row.store(batch, to)
}

/** Take a discarded packet, `bytes[at..end)`: sequence, source, drops, interfaces, reason. */
function takeDiscard(
  context: SflowContext, datagram: Datagram, at: number, end: number, batch: FlowBatch, to: number,
): void {
  const { row, places } = context
  const { bytes, view } = datagram
  row.begin()
  const source = view.getUint32(at + 4)
  const index = view.getUint32(at + 8)
  const drops = view.getUint32(at + 12)
  noteSource(context.message, source, index, view.getUint32(at), 0, drops, 0)
  row.setPair(ID.observationPointId, index, source)
  row.set(ID.sampleDrops, drops)
  takeInterfaces(row, source, index, 0, view.getUint32(at + 16), 0, view.getUint32(at + 20))
  row.set(ID.forwardingStatus, statusOfDiscard(view.getUint32(at + 24)))
  takeRecords(context, datagram, at + 28, end, batch)
  const length = takePacket(bytes, view, places, row)
  row.set(ID.droppedPackets, 1)
  if (length >= 0) row.set(ID.droppedBytes, length)
  row.store(batch, to)
}

/** Take the flow records at `at`, which their number stands before. */
function takeRecords(
  { row, places, counts }: SflowContext, { bytes, view }: Datagram, at: number, end: number, batch: FlowBatch,
): void {
  clearPlaces(places)
  const records = view.getUint32(at)
  at += 4
  for (let i = 0; i < records; i++) {
    const format = view.getUint32(at)
    const body = at + 8
    const bodyEnd = body + view.getUint32(at + 4)
    const result = takeFlowRecord(format, bytes, view, body, bodyEnd, row, places, batch)
    if (result === RECORD.skipped) count(counts.flowRecords, format)
    else if (result === RECORD.damaged) count(counts.damaged, format)
    at = Math.min(end, body + Math.ceil((bodyEnd - body) / 4) * 4)
  }
}

/**
 * Take the interfaces: 0 is unknown; the largest number is the device itself, which is no interface; of
 * several output interfaces only their number is told, and of a discarded packet the reason.
 */
function takeInterfaces(
  row: SampleRow, source: number, index: number, inFormat: number, input: number, outFormat: number,
  output: number,
): void {
  const enters = inFormat === INTERFACE_FORMAT.single && input > 0 && !isInternal(input)
  const leaves = outFormat === INTERFACE_FORMAT.single && output > 0 && !isInternal(output)
  if (enters) row.set(ID.inIf, input)
  if (leaves) row.set(ID.outIf, output)
  const consumed = outFormat === INTERFACE_FORMAT.single && isInternal(output)
  if (outFormat === INTERFACE_FORMAT.discarded) row.set(ID.forwardingStatus, statusOfDiscard(output))
  else if (consumed) row.set(ID.forwardingStatus, STATUS_FOR_US)
  const entersHere = enters && source === 0 && index === input // only sources of type 0 are interfaces
  const leavesHere = leaves && source === 0 && index === output
  if (entersHere !== leavesHere) row.set(ID.direction, entersHere ? 0 : 1)
}

function count(counts: Map<number, number>, format: number): void {
  const key = counts.size < MOST_FORMATS || counts.has(format) ? format : -1
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
