import { ID } from '../../flow/fields.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { ETYPE_IPV4 } from '../../flow/names.ts'
import { newLoss } from '../../flow/loss.ts'
import { lostFields, type DatagramEncoder, type Emit, type EncoderOptions } from './encoder.ts'
import { exportClocks, isReplayed } from './clock.ts'
import { writeIcmpPorts } from './icmp-port.ts'
import { fixedVersion } from '../fixed.ts'
import { makePlan } from '../plan.ts'
import { endOfRun, familyOf, markRuns, shapeOf } from './row-runs.ts'
import { OP } from '../steps.ts'
import { writeStep } from './write-steps.ts'

/** Records a datagram gets where that is fewer than decoders take: flowd and flow-tools refuse more. */
const MOST_RECORDS: Readonly<Record<number, number>> = { 1: 24, 7: 27 }
/** Header fields by which rows go into datagrams of their own. */
const HEADER_FIELDS: Readonly<Record<number, readonly number[]>> = {
  1: [],
  5: [ID.engineType, ID.engineId, ID.samplingRate, ID.samplingAlgorithm],
  6: [ID.engineType, ID.engineId],
  7: [],
  8: [ID.engineType, ID.engineId],
}
const V8_FORMAT = 2
/** The sampling word of a v5 header: two bits of mode, 14 of interval. */
const MAX_MODE = 3
const MAX_RATE = 0x3fff

/**
 * An encoder of NetFlow v1, v5, v6, v7, or one scheme of v8, whose rows are aggregated already.
 *
 * Fields that a row lacks are 0 in its record, as these versions have it. IPv6 flows are left out where the record
 * has addresses. ICMP type and code go into the destination port, if that is free, as routers send them.
 *
 * @param scheme of v8, 1 to 14
 * @throws RangeError if there is no such version or scheme, or `maxSize` has no room for a record
 */
export function fixedEncoder(version: number, options: EncoderOptions, scheme: number = 0): DatagramEncoder {
  const fixed = fixedVersion(version, scheme)
  if (!fixed) throw new RangeError(`no NetFlow version ${version} scheme ${scheme}`)
  const { headerSize } = fixed
  const { steps: all, minLength: recordSize } = makePlan(fixed.layout, { extras: false }, true)
  const steps = all.filter(({ index }) => index >= 0)
  const carried = new Set(steps.map(({ field }) => field))
  const addresses = [ID.srcAddr, ID.dstAddr].filter((id) => carried.has(id))
  const dstPort = steps.find(({ field }) => field === ID.dstPort)
  // these are looked at row by row
  const looked = [ID.etype, ...HEADER_FIELDS[version], ...dstPort ? [ID.icmpType, ID.icmpCode] : []]
  for (const id of looked) carried.add(id)
  if (version === 8) carried.add(ID.aggregation)
  const fit = Math.floor((options.maxSize - headerSize) / recordSize)
  const limit = Math.min(fixed.maxRecords, fit)
  const most = Math.min(MOST_RECORDS[version] ?? limit, limit)
  if (most < 1) throw new RangeError(`no record of ${recordSize} bytes fits into a datagram of ${options.maxSize}`)

  const bytes = new Uint8Array(headerSize + limit * recordSize)
  const view = new DataView(bytes.buffer)
  const clocks = exportClocks(false)
  const { now } = clocks
  const loss = newLoss()
  let begins = new Uint8Array(0)
  let count = 0 // records in the datagram
  let room = most // for so many: those that were one datagram stay one
  let clockNumber = -1 // of the datagram
  let sequence = 0

  function finish(emit: Emit): void {
    if (count === 0) return
    view.setUint16(2, count)
    emit(bytes.subarray(0, headerSize + count * recordSize))
    sequence = (sequence + count) >>> 0
    count = 0
  }

  /** Begin a datagram with row `row`: its header says what its records have in common. */
  function begin(batch: FlowBatch, row: number): void {
    const { mask } = shapeOf(batch, row)
    const isOther = clocks.number !== clockNumber && isReplayed(batch, row)
    if (isOther && mask[ID.sequenceNum]) sequence = batch.sequenceNum[row]
    clockNumber = clocks.number
    room = isReplayed(batch, row) ? limit : most
    bytes.fill(0)
    view.setUint16(0, version)
    view.setUint32(4, now.sysUptime)
    view.setUint32(8, now.exportSecs)
    view.setUint32(12, now.exportNsecs)
    if (version === 1) return
    view.setUint32(16, sequence)
    if (version === 7) return
    view.setUint16(20, engineOf(batch, row))
    if (version === 5) view.setUint16(22, samplingOf(batch, row))
    if (version === 8) view.setUint16(22, scheme << 8 | V8_FORMAT)
  }

  /** Whether the datagram that is being filled can go on with row `row`. */
  function continues(batch: FlowBatch, row: number): boolean {
    if (count === 0 || count === room || clocks.number !== clockNumber) return false
    return HEADER_FIELDS[version].length === 0 ||
      view.getUint16(20) === engineOf(batch, row) && (version !== 5 || view.getUint16(22) === samplingOf(batch, row))
  }

  function engineOf(batch: FlowBatch, row: number): number {
    const { mask } = shapeOf(batch, row)
    const type = mask[ID.engineType] ? batch.engineType[row] : options.domain >> 8 & 255
    return type << 8 | (mask[ID.engineId] ? batch.engineId[row] : options.domain & 255)
  }

  /** Append the rows from `row` up to `end`, one run, for which the datagram has room. */
  function append(batch: FlowBatch, row: number, end: number): void {
    const { mask } = shapeOf(batch, row)
    const at = headerSize + count * recordSize
    for (const step of steps) {
      if (mask[step.field] === 0) continue
      if (step.op === OP.IPV4 && familyOf(batch, step.field, row) !== 4) {
        loss.leftOut[step.field] += end - row // a next hop; flows between IPv6 addresses do not come here
        continue
      }
      loss.narrowed[step.field] += writeStep(step, at + step.at, recordSize, view, bytes, batch, row, end, now)
    }
    if (dstPort) writeIcmpPorts(batch, row, end, view, at + dstPort.at, recordSize, loss)
    count += end - row
  }

  function countLost(batch: FlowBatch, row: number, rows: number): void {
    const { mask } = shapeOf(batch, row)
    if (mask[ID.etype] && batch.etype[row] !== ETYPE_IPV4) loss.leftOut[ID.etype] += rows
    if (version !== 5) return
    const told = samplingOf(batch, row)
    const { leftOut, narrowed } = loss
    if (mask[ID.samplingRate] && (told & MAX_RATE) === 0) leftOut[ID.samplingRate] += rows
    else if (mask[ID.samplingRate] && (told & MAX_RATE) !== batch.samplingRate[row]) narrowed[ID.samplingRate] += rows
    if (mask[ID.samplingAlgorithm] && told >> 14 === 0) leftOut[ID.samplingAlgorithm] += rows
  }

  return {
    loss,
    encode(batch, emit) {
      if (begins.length < batch.length) begins = new Uint8Array(batch.capacity)
      markRuns(batch, [...HEADER_FIELDS[version], ID.samplingApplied], begins)
      const encoded = new Uint32Array(batch.shapes.length)
      clocks.begin(batch)
      for (let row = 0; row < batch.length;) {
        const runEnd = endOfRun(begins, row, batch.length)
        if (addresses.some((id) => familyOf(batch, id, row) === 6)) {
          loss.rows.ipv6 += runEnd - row
          row = runEnd
          continue
        }
        encoded[batch.shape[row]] += runEnd - row
        countLost(batch, row, runEnd - row)
        while (row < runEnd) {
          const spanEnd = clocks.span(batch, row, runEnd)
          while (row < spanEnd) {
            if (!continues(batch, row)) {
              finish(emit)
              begin(batch, row)
            }
            const end = Math.min(spanEnd, row + room - count)
            append(batch, row, end)
            row = end
          }
        }
      }
      for (const [index, shape] of batch.shapes.entries()) {
        if (encoded[index] > 0) for (const id of lostFields(shape, carried)) loss.leftOut[id] += encoded[index]
      }
    },
    flush: finish,
  }
}

/** Whether the counters of a row are multiplied by its sampling rate: then a collector must not be told to do it. */
function isScaled(batch: FlowBatch, row: number): boolean {
  return shapeOf(batch, row).mask[ID.samplingApplied] === 1 && batch.samplingApplied[row] === 1
}

function samplingOf(batch: FlowBatch, row: number): number {
  const { mask } = shapeOf(batch, row)
  if (mask[ID.samplingRate] === 0 || isScaled(batch, row)) return 0
  const mode = mask[ID.samplingAlgorithm] ? batch.samplingAlgorithm[row] : 0
  return (mode > MAX_MODE ? 0 : mode) << 14 | Math.min(batch.samplingRate[row], MAX_RATE)
}
