import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import {
  countLeftOut, exportClock, newLoss, sameDatagram, hasClock, type DatagramEncoder, type EncoderOptions, type ExportClock,
} from './encoder.ts'
import { FIXED_VERSIONS } from './fixed.ts'
import { makePlan } from './plan.ts'
import { OP, type Step } from './steps.ts'
import { V8_HEADER_SIZE, V8_SCHEMES } from './v8.ts'
import { writeShortAs, writeStep } from './write-steps.ts'

/** The fields of every fixed layout hold IPv4 only. */
const ADDRESSES = [ID.srcAddr, ID.dstAddr]

/**
 * An encoder of NetFlow v1, v5, v6, v7, or one scheme of v8 (whose rows are aggregated already).
 *
 * IPv6 flows are left out and counted; counters, interfaces and AS numbers that are too large are cut and counted.
 *
 * @param scheme of v8, 1 to 14
 */
export function fixedEncoder(version: number, options: EncoderOptions, scheme: number = 0): DatagramEncoder {
  const fixed = version === 8
    ? { headerSize: V8_HEADER_SIZE, ...V8_SCHEMES[scheme] }
    : FIXED_VERSIONS[version]
  const { steps, minLength: recordSize, shape: carriedShape } = makePlan(fixed.layout, { extras: false }, true)
  const carried = new Set([...carriedShape.fields, ID.engineType, ID.engineId, ID.aggregation])
  if (version === 5) for (const id of [ID.samplingRate, ID.samplingAlgorithm]) carried.add(id)
  const most = Math.max(1, Math.min(fixed.maxRecords, Math.floor((options.maxSize - fixed.headerSize) / recordSize)))
  const bytes = new Uint8Array(fixed.headerSize + most * recordSize)
  const view = new DataView(bytes.buffer)
  const clocks = exportClock()
  const loss = newLoss()
  let rows = new Uint32Array(0)
  let sequence = 0

  function write(batch: FlowBatch, run: Uint32Array, count: number): Uint8Array {
    const clock = clocks.of(batch, run, count)
    const end = fixed.headerSize + count * recordSize
    bytes.fill(0, 0, end)
    writeHeader(batch, run[0], count, clock)
    for (const step of steps) {
      const at = fixed.headerSize + step.at
      const present = batch.present(step.field)
      if (isShortAs(step)) writeShortAs(step, at, recordSize, view, batch, run, count, present, loss.narrowed)
      else writeStep(step, at, recordSize, view, batch, run, count, present, clock, loss.narrowed)
    }
    sequence = (sequence + count) >>> 0
    return bytes.subarray(0, end)
  }

  function writeHeader(batch: FlowBatch, row: number, count: number, clock: ExportClock): void {
    const { mask } = batch.shapes[batch.shape[row]]
    const replayed = hasClock(batch, row)
    view.setUint16(0, version)
    view.setUint16(2, count)
    view.setUint32(4, clock.sysUptime)
    view.setUint32(8, clock.exportSecs)
    view.setUint32(12, clock.exportNsecs)
    if (version === 1) return
    view.setUint32(16, replayed && mask[ID.sequenceNum] ? batch.sequenceNum[row] : sequence)
    if (version === 7) return
    view.setUint8(20, mask[ID.engineType] ? batch.engineType[row] : options.domain >> 8)
    view.setUint8(21, mask[ID.engineId] ? batch.engineId[row] : options.domain)
    if (version === 8) {
      view.setUint8(22, scheme)
      view.setUint8(23, 2)
    } else if (version === 5 && mask[ID.samplingRate]) {
      const mode = mask[ID.samplingAlgorithm] ? batch.samplingAlgorithm[row] : batch.samplingRate[row] > 1 ? 1 : 0
      view.setUint16(22, mode << 14 | Math.min(batch.samplingRate[row], 0x3fff))
      if (batch.samplingRate[row] > 0x3fff) loss.narrowed.set(ID.samplingRate, (loss.narrowed.get(ID.samplingRate) ?? 0) + count)
    }
  }

  return {
    loss,
    encode(batch, emit) {
      if (rows.length < batch.length) rows = new Uint32Array(batch.capacity)
      const kept = selectIpv4(batch, rows)
      loss.rows += batch.length - kept
      const counts = new Uint32Array(batch.shapes.length)
      for (let i = 0; i < kept; i++) counts[batch.shape[rows[i]]]++
      for (const [index, shape] of batch.shapes.entries()) if (counts[index] > 0) countLeftOut(loss, shape, carried, counts[index])
      for (let from = 0; from < kept;) {
        let to = from + 1
        while (to < kept && to - from < most && sameHeader(batch, rows[from], rows[to], version)) to++
        emit(write(batch, rows.subarray(from, to), to - from))
        from = to
      }
    },
    flush() {}, // records of one batch never wait for those of the next
  }
}

function isShortAs({ op, field }: Step): boolean {
  return op === OP.U16_TO_U32 && (field === ID.srcAs || field === ID.dstAs)
}

/** Rows that go into one datagram have what its header holds in common. */
function sameHeader(batch: FlowBatch, a: number, b: number, version: number): boolean {
  if (!sameDatagram(batch, a, b)) return false
  if (version !== 5) return true
  const rate = (row: number) => batch.shapes[batch.shape[row]].mask[ID.samplingRate] ? batch.samplingRate[row] : 0
  return rate(a) === rate(b)
}

/** Put the indices of the rows without IPv6 addresses into `rows`. @returns how many */
function selectIpv4(batch: FlowBatch, rows: Uint32Array): number {
  const { length, shape } = batch
  const checks = ADDRESSES.filter((id) => batch.has(id))
    .map((id) => ({ present: batch.present(id), family: (batch.column(id) as AddressColumn).family }))
  let count = 0
  for (let row = 0; row < length; row++) {
    let six = false
    for (const { present, family } of checks) six ||= present[shape[row]] === 1 && family[row] === 6
    if (!six) rows[count++] = row
  }
  return count
}
