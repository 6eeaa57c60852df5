import { ipv6Storage, type AddressColumn } from '../../core/flow/address.ts'
import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { CLOCK_FIELDS, fieldMask, FIELDS, ID } from '../../core/flow/fields.ts'
import type { Loss } from '../../core/flow/loss.ts'
import type { Fault } from '../../core/flow/stream.ts'
import { exportMicros } from '../../core/netflow/message.ts'
import { IPFIX_VERSION, TYPE_OF_VERSION } from './groups.ts'
import { checksum, HEADER_SIZE, VERSION_3 } from './layout.ts'
import { makePlan, type Plan } from './plan.ts'

/** Masks whose plans are kept: a log has a few, and a damaged one shall not pile them up. */
const MAX_PLANS = 256
/** Largest high half of a counter that a column holds. */
const MAX_HIGH = 0x1fffff

/** What is wanted of records. */
export interface RecordRequest {
  /** Ids of fields; absent: all but the exporter's clock. */
  readonly fields?: readonly number[]
  /** Whether elements without a column are wanted: uptimes that nothing makes times of. */
  readonly extras?: boolean
  onFault(fault: Fault): void
  readonly loss?: Loss
}

/** Reads records of version 3. */
export interface RecordReader {
  /**
   * Append rows from `bytes[at..end)` until there are BATCH_SIZE, or less is left than a record has.
   *
   * @param position of `bytes[at]` in the input
   * @returns the offset of the first byte not consumed
   * @throws FlowkitError at a record that ends the reading, with those before it in `batch`
   */
  read(bytes: Uint8Array, at: number, end: number, position: number, batch: FlowBatch): number
}

/**
 * A reader of records.
 *
 * One whose checksum is wrong, or whose fields version 3.0 does not have, is reported and stepped over. One
 * of a newer minor version is read as far as its fields are known. Another major version, or a length that is
 * not that of the fields, ends the reading, for nothing tells where the next record begins.
 */
export function recordReader({ fields, extras = false, onFault, loss }: RecordRequest): RecordReader {
  const wanted = fieldMask(fields ?? FIELDS.keys().filter((id) => !CLOCK_FIELDS.includes(id)))
  const plans = new Map<number, Plan>()
  let turn = 0

  function planOf(mask: number): Plan {
    let plan = plans.get(mask)
    if (!plan) {
      if (plans.size === MAX_PLANS) plans.clear()
      plans.set(mask, plan = makePlan(mask, wanted, extras))
    }
    if (plan.turn === turn) return plan
    plan.turn = turn
    plan.timedIndex = plan.timelessIndex = -1
    return plan
  }

  /** @throws FlowkitError at a header behind which nothing can be found */
  function checkHeader(version: number, size: number, { layout, isNewer }: Plan, position: number): void {
    const place = `Cannot read the record at byte ${position}`
    const major = version >> 5
    if (major !== VERSION_3 >> 5) {
      throw new FlowkitError('ERR_UNSUPPORTED', `${place}: flowd's version 3 wanted, ${major} found`)
    }
    const isOpen = isNewer || version > VERSION_3 // there may be more in it than is known
    if (isOpen ? size >= layout.size : size === layout.size) return
    throw new FlowkitError('ERR_MALFORMED', `${place}: its fields need ${layout.size} bytes, it has ${size}`)
  }

  /** Whether a record has fields that can be told apart, and its right checksum. */
  function isGood(view: DataView, at: number, size: number, plan: Plan, position: number): boolean {
    const { layout: { crc }, mask, isAmbiguous, isNewer } = plan
    if (isAmbiguous) onFault(familyFault(position))
    else if (isNewer && view.getUint8(at) === VERSION_3) onFault(newerFault(mask, position))
    else if (crc === 0) return true
    else {
      const end = isNewer ? size - 4 : crc
      const found = view.getInt32(at + end)
      const right = checksum(view, at, at + end)
      // a newer version may sum up all, or what is known
      if (right === found || (isNewer && checksum(view, at, at + crc) === found)) return true
      onFault(checksumFault(right, found, position))
    }
    return false
  }

  function narrow(id: number): void {
    if (loss) loss.narrowed[id]++
  }

  function read(bytes: Uint8Array, at: number, end: number, position: number, batch: FlowBatch): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const origin = position - at
    batch.reserve(BATCH_SIZE - batch.length)
    const { shape, etype, tag, received, proto, tcpFlags, tos, exporterAddr, srcAddr, dstAddr } = batch
    const { nextHop, srcPort, dstPort, packets, bytes: octets, inIf, outIf, sysUptime, exportSecs } = batch
    const { exportNsecs, type, flowStart, flowEnd, srcAs, dstAs, srcMask, dstMask, engineType } = batch
    const { engineId, sequenceNum, observationDomainId } = batch
    let exporter6: DataView | undefined
    let src6: DataView | undefined
    let dst6: DataView | undefined
    let nextHop6: DataView | undefined
    let row = batch.length
    let plan: Plan | undefined
    turn++
    while (row < BATCH_SIZE && end - at >= HEADER_SIZE) {
      const mask = view.getUint32(at + 4)
      if (plan?.mask !== mask) plan = planOf(mask)
      const { layout } = plan
      const size = HEADER_SIZE + bytes[at + 1] * 4
      if (bytes[at] !== VERSION_3 || size !== layout.size) {
        batch.length = row // what this throws leaves the rows before
        checkHeader(bytes[at], size, plan, origin + at)
      }
      if (end - at < size) break
      if (plan.isChecked && !isGood(view, at, size, plan, origin + at)) {
        at += size
        continue
      }

      let isTimed = false
      if (layout.clock > 0) {
        const from = at + layout.clock
        const uptime = view.getUint32(from)
        const secs = view.getUint32(from + 4)
        const nsecs = view.getUint32(from + 8)
        const version = view.getUint16(from + 12)
        sysUptime[row] = uptime
        exportSecs[row] = secs
        exportNsecs[row] = nsecs
        type[row] = version < 256 ? TYPE_OF_VERSION[version] : 0
        if (version > 0 && type[row] === 0) narrow(ID.type)
        isTimed = uptime > 0 || version !== IPFIX_VERSION
        if (isTimed && layout.times > 0) {
          const micros = exportMicros(secs, nsecs)
          // signed, so that it is right where the uptime came round, and for clocks that are a little off
          flowStart[row] = micros - (uptime - view.getUint32(at + layout.times) | 0) * 1000
          flowEnd[row] = micros - (uptime - view.getUint32(at + layout.times + 4) | 0) * 1000
        }
      }
      if (isTimed) {
        if (plan.timedIndex < 0) plan.timedIndex = batch.intern(plan.timed)
        shape[row] = plan.timedIndex
      } else {
        if (plan.timelessIndex < 0) plan.timelessIndex = batch.intern(plan.timeless)
        shape[row] = plan.timelessIndex
        if (plan.keepsUptimes) keepUptimes(batch, row, bytes, at + layout.times)
      }
      if (plan.etype > 0) etype[row] = plan.etype
      if (layout.tag > 0) tag[row] = view.getUint32(at + layout.tag)
      if (layout.received > 0) {
        const from = at + layout.received
        received[row] = view.getUint32(from) * 1e6 + view.getUint32(from + 4)
      }
      if (layout.proto > 0) {
        const from = at + layout.proto
        tcpFlags[row] = bytes[from]
        proto[row] = bytes[from + 1]
        tos[row] = bytes[from + 2]
      }
      if (layout.exporter4 > 0) setIpv4(exporterAddr, row, view, at + layout.exporter4)
      if (layout.exporter6 > 0) {
        setIpv6(exporterAddr, exporter6 ??= viewOf(exporterAddr), row, view, at + layout.exporter6)
      }
      if (layout.src4 > 0) setIpv4(srcAddr, row, view, at + layout.src4)
      if (layout.src6 > 0) setIpv6(srcAddr, src6 ??= viewOf(srcAddr), row, view, at + layout.src6)
      if (layout.dst4 > 0) setIpv4(dstAddr, row, view, at + layout.dst4)
      if (layout.dst6 > 0) setIpv6(dstAddr, dst6 ??= viewOf(dstAddr), row, view, at + layout.dst6)
      if (layout.nextHop4 > 0) setIpv4(nextHop, row, view, at + layout.nextHop4)
      if (layout.nextHop6 > 0) setIpv6(nextHop, nextHop6 ??= viewOf(nextHop), row, view, at + layout.nextHop6)
      if (layout.ports > 0) {
        srcPort[row] = view.getUint16(at + layout.ports)
        dstPort[row] = view.getUint16(at + layout.ports + 2)
      }
      if (layout.packets > 0) setCount(packets, row, view, at + layout.packets, batch)
      if (layout.bytes > 0) setCount(octets, row, view, at + layout.bytes, batch)
      if (layout.interfaces > 0) {
        inIf[row] = view.getUint32(at + layout.interfaces)
        outIf[row] = view.getUint32(at + layout.interfaces + 4)
      }
      if (layout.routing > 0) {
        const from = at + layout.routing
        srcAs[row] = view.getUint32(from)
        dstAs[row] = view.getUint32(from + 4)
        srcMask[row] = bytes[from + 8]
        dstMask[row] = bytes[from + 9]
      }
      if (layout.engine > 0) {
        const from = at + layout.engine
        // a number of 8 bits, in either byte: see SWAPPING_VERSION
        engineType[row] = bytes[from + 1] || bytes[from]
        engineId[row] = bytes[from + 3] || bytes[from + 2]
        if (bytes[from] > 0 && bytes[from + 1] > 0) narrow(ID.engineType)
        if (bytes[from + 2] > 0 && bytes[from + 3] > 0) narrow(ID.engineId)
        sequenceNum[row] = view.getUint32(from + 4)
        observationDomainId[row] = view.getUint32(from + 8)
      }
      at += size
      row++
    }
    batch.length = row
    return at
  }
  return { read }
}

function setIpv4({ family, v4 }: AddressColumn, row: number, view: DataView, at: number): void {
  family[row] = 4
  v4[row] = view.getUint32(at)
}

/** The IPv6 storage of a column, to be written by words. */
function viewOf(column: AddressColumn): DataView {
  const { buffer, byteOffset, byteLength } = ipv6Storage(column)
  return new DataView(buffer, byteOffset, byteLength)
}

function setIpv6(column: AddressColumn, target: DataView, row: number, view: DataView, at: number): void {
  column.family[row] = 6
  column.v4[row] = 0
  const to = row * 16
  target.setUint32(to, view.getUint32(at))
  target.setUint32(to + 4, view.getUint32(at + 4))
  target.setUint32(to + 8, view.getUint32(at + 8))
  target.setUint32(to + 12, view.getUint32(at + 12))
}

function setCount(column: Float64Array, row: number, view: DataView, at: number, batch: FlowBatch): void {
  const high = view.getUint32(at)
  if (high <= MAX_HIGH) column[row] = high * 0x100000000 + view.getUint32(at + 4)
  else {
    column[row] = 2 ** 53
    batch.saturated++
  }
}

/** Keep the 8 bytes of the two uptimes as the row's extras. */
function keepUptimes(batch: FlowBatch, row: number, bytes: Uint8Array, at: number): void {
  const pairs = batch.useExtras()
  pairs[row * 2] = batch.addBytes(bytes, at, at + 8)
  pairs[row * 2 + 1] = 8
}

/** A record at `offset` has an address in both families. */
export function familyFault(offset: number): Fault {
  const reason = 'Cannot read flowd record: addresses of one family wanted, of both found'
  return { code: 'ERR_MALFORMED', reason, offset }
}

/** A record at `offset` has another checksum, `found`, than the right one. */
export function checksumFault(right: number, found: number, offset: number): Fault {
  const reason = `Cannot read flowd record: checksum ${hex(right)} wanted, ${hex(found)} found`
  return { code: 'ERR_CHECKSUM', reason, offset }
}

function newerFault(mask: number, offset: number): Fault {
  const reason = `Cannot read flowd record: fields of version 3.0 wanted, others (${hex(mask)}) found`
  return { code: 'ERR_MALFORMED', reason, offset }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
