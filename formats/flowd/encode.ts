import type { AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ByteWriter } from '../../core/flow/byte-writer.ts'
import { fieldMask, FIELDS, ID } from '../../core/flow/fields.ts'
import { loseElement, newLoss, type Loss } from '../../core/flow/loss.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { exportMicros } from '../../core/netflow/message.ts'
import { planShape, type ShapePlan } from './encode-plan.ts'
import { SWAPPING_VERSION, VERSION_OF_TYPE } from './groups.ts'
import { ADDRESS, BIT, checksum, HEADER_SIZE, MAX_RECORD, VERSION_3 } from './layout.ts'

/** How long an exporter whose clock is not known has been up when its first flow ends. */
const FIRST_UPTIME = 604_800_000_000 // µs, a week
const MAX_MILLIS = 2 ** 32 * 1000 - 1

/** NetFlow v9, from which on records have templates. */
const FIRST_TEMPLATE_VERSION = 9
const MAX_MICROS = MAX_MILLIS * 1000 + 999
const ANY_ADDRESS = ADDRESS.exporter | ADDRESS.src | ADDRESS.dst | ADDRESS.nextHop
const IPV4_BITS = BIT.exporter4 | BIT.src4 | BIT.dst4 | BIT.nextHop4
/** The bits of addresses, by family. */
const FAMILY_BITS = [0, 0, 0, 0, IPV4_BITS, 0, ANY_ADDRESS & ~IPV4_BITS]

/** How records are made. */
export interface RecordOptions {
  /** Ids of the fields to store; absent: all that a flow has. */
  readonly fields?: readonly number[]
  /** Which records end in a checksum: all; but those of v9 and IPFIX (`fixed`), as in flowd's logs; none. */
  readonly checksums: 'all' | 'fixed' | 'none'
}

/**
 * Writes rows as records of version 3.
 *
 * A record has the parts of which the row has a field that is to be stored; what else is in them is 0. Times
 * become uptimes, counted back from the exporter's clock: the one that the row carries, else that of an
 * exporter which sends each flow when it has ended.
 */
export class RecordWriter extends ByteWriter {
  /** What records had no place for so far. */
  readonly loss: Loss = newLoss()
  private readonly wanted: Uint8Array
  private readonly checksums: RecordOptions['checksums']
  private readonly plans = new WeakMap<Shape, ShapePlan>()
  /** When the exporter whose clock is not known was started, µs. */
  private boot = NaN
  /** The clock of the record that is being written: export time and uptime (ms) then. */
  private secs = 0
  private nsecs = 0
  private uptime = 0
  /** Export time as times are counted from, µs. */
  private micros = 0
  /** Whether the last uptime was not just the time. */
  private isInexact = false

  constructor({ fields, checksums }: RecordOptions) {
    super()
    this.wanted = fieldMask(fields ?? FIELDS.keys())
    this.checksums = checksums
  }

  /** The records of all rows of `batch`, valid until the next call. */
  records(batch: FlowBatch): Uint8Array {
    const { length, shape, shapes, etype, tag, received, proto, tcpFlags, tos, exporterAddr, srcAddr } = batch
    const { dstAddr, nextHop, srcPort, dstPort, packets, bytes: octets, inIf, outIf, type } = batch
    const { srcAs, dstAs, srcMask, dstMask, engineType, engineId, sequenceNum, observationDomainId } = batch
    const { wanted, checksums, loss: { narrowed, leftOut } } = this
    const plans = shapes.map((each) => this.planOf(each))
    const rows = new Uint32Array(shapes.length)
    this.room(0, length * MAX_RECORD)
    const { bytes, view } = this
    let at = 0
    for (let row = 0; row < length; row++) {
      const plan = plans[shape[row]]
      const has = shapes[shape[row]].mask
      const start = at
      let mask = plan.parts
      rows[shape[row]]++
      at += HEADER_SIZE
      if (mask & BIT.tag) {
        view.setUint32(at, tag[row])
        at += 4
      }
      if (mask & BIT.received) {
        const micros = clamp(received[row], MAX_MICROS)
        if (micros !== received[row]) narrowed[ID.received]++
        const secs = Math.floor(micros / 1e6)
        view.setUint32(at, secs)
        view.setUint32(at + 4, micros - secs * 1e6)
        at += 8
      }
      if (mask & BIT.proto) {
        const flags = has[ID.tcpFlags] ? tcpFlags[row] : 0
        if (flags > 255) narrowed[ID.tcpFlags]++
        bytes[at] = flags
        bytes[at + 1] = has[ID.proto] ? proto[row] : 0
        bytes[at + 2] = has[ID.tos] ? tos[row] : 0
        bytes[at + 3] = 0
        at += 4
      }
      // an address has the bit of its family, or none if the row has it not
      const addresses = mask & ANY_ADDRESS
      mask &= ~ANY_ADDRESS
      if (addresses & ADDRESS.exporter) {
        mask |= ADDRESS.exporter & FAMILY_BITS[exporterAddr.family[row]]
        at = putAddress(exporterAddr, row, bytes, view, at)
      }
      if (addresses & ADDRESS.src) {
        mask |= ADDRESS.src & FAMILY_BITS[srcAddr.family[row]]
        at = putAddress(srcAddr, row, bytes, view, at)
      }
      if (addresses & ADDRESS.dst) {
        mask |= ADDRESS.dst & FAMILY_BITS[dstAddr.family[row]]
        at = putAddress(dstAddr, row, bytes, view, at)
      }
      if (addresses & ADDRESS.nextHop) {
        mask |= ADDRESS.nextHop & FAMILY_BITS[nextHop.family[row]]
        at = putAddress(nextHop, row, bytes, view, at)
      }
      if (has[ID.etype] && wanted[ID.etype] && etype[row] !== etypeOf(mask)) leftOut[ID.etype]++
      if (mask & BIT.ports) {
        view.setUint16(at, has[ID.srcPort] ? srcPort[row] : 0)
        view.setUint16(at + 2, has[ID.dstPort] ? dstPort[row] : 0)
        at += 4
      }
      if (mask & BIT.packets) {
        putCount(packets, row, view, at)
        at += 8
      }
      if (mask & BIT.bytes) {
        putCount(octets, row, view, at)
        at += 8
      }
      if (mask & BIT.interfaces) {
        view.setUint32(at, has[ID.inIf] ? inIf[row] : 0)
        view.setUint32(at + 4, has[ID.outIf] ? outIf[row] : 0)
        at += 8
      }
      const version = has[ID.type] ? VERSION_OF_TYPE[type[row]] : 0
      if (mask & BIT.clock) {
        this.setClock(batch, row, has, plan.isTimed)
        view.setUint32(at, this.uptime)
        view.setUint32(at + 4, this.secs)
        view.setUint32(at + 8, this.nsecs)
        view.setUint32(at + 12, version << 16)
        if (version === 0 && has[ID.type] && type[row] !== FLOW_TYPE.UNKNOWN) leftOut[ID.type]++
        at += 16
      }
      if (mask & BIT.times) {
        if (plan.isTimed) this.putTimes(batch, row, has, at)
        if (plan.isTimed || copyUptimes(batch, row, plan, bytes, at)) at += 8
        else mask &= ~BIT.times
      }
      if (mask & BIT.routing) {
        view.setUint32(at, has[ID.srcAs] ? srcAs[row] : 0)
        view.setUint32(at + 4, has[ID.dstAs] ? dstAs[row] : 0)
        bytes[at + 8] = has[ID.srcMask] ? srcMask[row] : 0
        bytes[at + 9] = has[ID.dstMask] ? dstMask[row] : 0
        bytes[at + 10] = bytes[at + 11] = 0
        at += 12
      }
      if (mask & BIT.engine) {
        const isSwapped = version === SWAPPING_VERSION
        view.setUint16(at, has[ID.engineType] ? engineType[row] : 0, isSwapped)
        view.setUint16(at + 2, has[ID.engineId] ? engineId[row] : 0, isSwapped)
        view.setUint32(at + 4, has[ID.sequenceNum] ? sequenceNum[row] : 0)
        view.setUint32(at + 8, has[ID.observationDomainId] ? observationDomainId[row] : 0)
        at += 12
      }
      const isChecked = checksums === 'all' || (checksums === 'fixed' && version < FIRST_TEMPLATE_VERSION)
      const words = (at - start - HEADER_SIZE) / 4 + (isChecked ? 1 : 0)
      view.setUint32(start, VERSION_3 << 24 | words << 16)
      view.setUint32(start + 4, isChecked ? mask | BIT.crc : mask)
      if (isChecked) {
        view.setInt32(at, checksum(view, start, at))
        at += 4
      }
    }
    this.addLoss(plans, rows)
    return this.take(at)
  }

  private planOf(shape: Shape): ShapePlan {
    let plan = this.plans.get(shape)
    if (!plan) this.plans.set(shape, plan = planShape(shape, this.wanted))
    return plan
  }

  /** Set the clock of a record: what the row tells of it, and the rest made up. */
  private setClock(batch: FlowBatch, row: number, has: Uint8Array, isTimed: boolean): void {
    if (has[ID.exportSecs]) {
      this.secs = batch.exportSecs[row]
      this.nsecs = has[ID.exportNsecs] ? batch.exportNsecs[row] : 0
    } else {
      const end = has[ID.flowEnd] ? batch.flowEnd[row] : 0
      const start = has[ID.flowStart] ? batch.flowStart[row] : 0
      const time = isTimed ? Math.max(start, end) : has[ID.received] ? batch.received[row] : 0
      const millis = clamp(Math.ceil(time / 1000), MAX_MILLIS)
      this.secs = Math.floor(millis / 1000)
      this.nsecs = (millis - this.secs * 1000) * 1e6
      if (has[ID.exportNsecs]) this.loss.leftOut[ID.exportNsecs]++
    }
    this.micros = exportMicros(this.secs, this.nsecs)
    if (has[ID.sysUptime]) this.uptime = batch.sysUptime[row]
    else if (!isTimed) this.uptime = 0
    else {
      if (!(this.micros >= this.boot)) this.boot = this.micros - FIRST_UPTIME
      // never 0, which in a record of IPFIX means that it is not known
      this.uptime = Math.floor((this.micros - this.boot) / 1000) % 2 ** 32 || 1
    }
  }

  /** Write the uptimes of a row's times; if it has one only, that is both. */
  private putTimes(batch: FlowBatch, row: number, has: Uint8Array, at: number): void {
    const { flowStart, flowEnd, flowStartNs, flowEndNs } = batch
    const start = this.uptimeOf(has[ID.flowStart] ? flowStart[row] : flowEnd[row])
    if (has[ID.flowStart] && (this.isInexact || (has[ID.flowStartNs] && flowStartNs[row] > 0))) {
      this.loss.narrowed[ID.flowStart]++
    }
    const end = this.uptimeOf(has[ID.flowEnd] ? flowEnd[row] : flowStart[row])
    if (has[ID.flowEnd] && (this.isInexact || (has[ID.flowEndNs] && flowEndNs[row] > 0))) {
      this.loss.narrowed[ID.flowEnd]++
    }
    this.view.setUint32(at, start)
    this.view.setUint32(at + 4, end)
  }

  /** What the record's clock said at `time`, ms. */
  private uptimeOf(time: number): number {
    const millis = Math.floor(time / 1000)
    const age = this.micros / 1000 - millis
    this.isInexact = millis * 1000 !== time || (age | 0) !== age // readers take 32 bits, with sign
    return (this.uptime - age) >>> 0
  }

  /** Enter what rows had that records have no place for: `rows` of them, by shape. */
  private addLoss(plans: readonly ShapePlan[], rows: Uint32Array): void {
    for (const [index, { lostFields, lostElements }] of plans.entries()) {
      if (rows[index] === 0) continue
      for (const id of lostFields) this.loss.leftOut[id] += rows[index]
      for (const name of lostElements) loseElement(this.loss, name, rows[index])
    }
  }
}

function clamp(value: number, largest: number): number {
  return Math.min(Math.max(value, 0), largest)
}

/** The EtherType of a record's addresses, the source's if it has one; 0 if it has none. */
function etypeOf(mask: number): number {
  const family = mask & (mask & ADDRESS.src ? ADDRESS.src : ADDRESS.dst)
  return family === 0 ? 0 : family & (BIT.src6 | BIT.dst6) ? ETYPE_IPV6 : ETYPE_IPV4
}

/** @returns the offset behind the address */
function putAddress(
  { family, v4, v6 }: AddressColumn, row: number, bytes: Uint8Array, view: DataView, at: number,
): number {
  if (family[row] === 4) {
    view.setUint32(at, v4[row])
    return at + 4
  }
  if (family[row] !== 6) return at
  for (let i = 0; i < 16; i++) bytes[at + i] = v6[row * 16 + i]
  return at + 16
}

function putCount(column: Float64Array, row: number, view: DataView, at: number): void {
  const value = column[row]
  const high = Math.floor(value / 0x100000000)
  view.setUint32(at, high)
  view.setUint32(at + 4, value - high * 0x100000000)
}

/** Write the uptimes that a row has as extras. @returns whether it has */
function copyUptimes(batch: FlowBatch, row: number, plan: ShapePlan, bytes: Uint8Array, at: number): boolean {
  const { heap, extras } = batch
  const { startAt, endAt } = plan
  const from = extras[row * 2]
  if (Math.max(startAt, endAt) + 4 > extras[row * 2 + 1]) return false
  for (let i = 0; i < 4; i++) {
    bytes[at + i] = heap[from + startAt + i]
    bytes[at + 4 + i] = heap[from + endAt + i]
  }
  return true
}
