import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { ADDRESS, BIT } from './layout.ts'

/** Which fields of the table each part of a record holds, by the bits of the part. */
export const GROUPS: readonly { readonly bits: number, readonly fields: readonly number[] }[] = [
  { bits: BIT.tag, fields: [ID.tag] },
  { bits: BIT.received, fields: [ID.received] },
  { bits: BIT.proto, fields: [ID.tcpFlags, ID.proto, ID.tos] },
  { bits: ADDRESS.exporter, fields: [ID.exporterAddr] },
  { bits: ADDRESS.src, fields: [ID.srcAddr] },
  { bits: ADDRESS.dst, fields: [ID.dstAddr] },
  { bits: ADDRESS.nextHop, fields: [ID.nextHop] },
  { bits: BIT.ports, fields: [ID.srcPort, ID.dstPort] },
  { bits: BIT.packets, fields: [ID.packets] },
  { bits: BIT.bytes, fields: [ID.bytes] },
  { bits: BIT.interfaces, fields: [ID.inIf, ID.outIf] },
  { bits: BIT.clock, fields: [ID.sysUptime, ID.exportSecs, ID.exportNsecs, ID.type] },
  { bits: BIT.times, fields: [ID.flowStart, ID.flowEnd] },
  { bits: BIT.routing, fields: [ID.srcAs, ID.dstAs, ID.srcMask, ID.dstMask] },
  { bits: BIT.engine, fields: [ID.engineType, ID.engineId, ID.sequenceNum, ID.observationDomainId] },
]

/** The parts that hold one of the fields (1 in `wanted`, by id). */
export function partsOf(wanted: Uint8Array): number {
  let mask = 0
  for (const { bits, fields } of GROUPS) if (fields.some((id) => wanted[id] === 1)) mask |= bits
  return mask
}

/**
 * Elements flowStartSysUpTime and flowEndSysUpTime, as which the times of a record are kept that does not
 * tell its exporter's clock; records have them in this order.
 */
export const UPTIMES = [{ pen: 0, id: 22, length: 4 }, { pen: 0, id: 21, length: 4 }] as const

/** NetFlow v5, whose engine type and id flowd stores in the machine's byte order: mostly 1 as 256. */
export const SWAPPING_VERSION = 5
/** IPFIX: its messages tell no uptime, and flowd stores 0 for it. */
export const IPFIX_VERSION = 10

/** NetFlow version by the value of the field `type`; 0 where there is none. */
export const VERSION_OF_TYPE: Uint8Array = new Uint8Array(256)
for (const version of [1, 5, 6, 7, 8, 9] as const) {
  VERSION_OF_TYPE[FLOW_TYPE[`NETFLOW_V${version}`]] = version
}
VERSION_OF_TYPE[FLOW_TYPE.IPFIX] = IPFIX_VERSION

/** The value of the field `type` by NetFlow version, up to 255. */
export const TYPE_OF_VERSION: Uint8Array = new Uint8Array(256)
for (const [type, version] of VERSION_OF_TYPE.entries()) if (version > 0) TYPE_OF_VERSION[version] = type
