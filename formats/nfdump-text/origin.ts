/** Values that tell where a record came from. */
import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { EVENT_FIELDS, eventsOf } from './events.ts'
import type { Context, Value } from './rows.ts'
import { columnOf, computed, described, number } from './values.ts'

/** 1 where the counters are multiplied by the sampling rate. */
export const sampled: Value = number(ID.samplingApplied, 0)

const ENGINE_FIELDS = [ID.type, ID.engineType, ID.engineId, ID.observationDomainId]

/** nfpcapd's engine of flows of packets. */
const PACKET_ENGINE = 17 * 256 + 1

/**
 * The type and id of the engine as one number: of NetFlow v9, which has none in its header, the lower bytes
 * of the observation domain.
 */
function engineOf(context: Context): (row: number) => number {
  const { batch, shape: { mask } } = context
  const types = columnOf<Uint8Array>(context, ID.type)
  const domains = columnOf<Uint32Array>(context, ID.observationDomainId)
  const { engineType, engineId } = batch
  const hasType = mask[ID.engineType] === 1
  if (hasType || mask[ID.engineId]) return (row) => (hasType ? engineType[row] << 8 : 0) | engineId[row]
  return (row) => {
    const type = types ? types[row] : 0
    if (type === FLOW_TYPE.NETFLOW_V9) return domains ? domains[row] & 0xffff : 0
    return type === FLOW_TYPE.PACKETS ? PACKET_ENGINE : 0
  }
}

/** The type of the engine. */
export function engineType(width: number): Value {
  return computed(ENGINE_FIELDS, width, (context) => {
    const engine = engineOf(context)
    return (row) => engine(row) >> 8
  })
}

/** The id of the engine. */
export function engineId(width: number): Value {
  return computed(ENGINE_FIELDS, width, (context) => {
    const engine = engineOf(context)
    return (row) => engine(row) & 255
  })
}

/** `0/42` of both. */
export const engine: Value = described(ENGINE_FIELDS, 0, (context) => {
  const engine = engineOf(context)
  const [left, right] = context.style.csv ? [0, 0] : [3, 3]
  return (row) => `${String(engine(row) >> 8).padStart(left)}/${String(engine(row) & 255).padEnd(right)}`
})

/** The exporter's number. */
export function exporterId(width: number): Value {
  return computed([ID.exporterAddr, ID.observationDomainId, ID.engineType, ID.engineId], width, (context) => {
    const { out: { exporters }, batch, shape: { mask } } = context
    return (row) => exporters.idOf(batch, mask, row)
  })
}

/** Of the protocol that carried a record: in lines, in a CSV, in blocks, and its version. */
type Version = readonly [line: string, csv: string, block: string, number: number]

const NETFLOW = [
  [FLOW_TYPE.NETFLOW_V1, 1], [FLOW_TYPE.NETFLOW_V5, 5], [FLOW_TYPE.NETFLOW_V6, 6], [FLOW_TYPE.NETFLOW_V7, 7],
  [FLOW_TYPE.NETFLOW_V8, 8], [FLOW_TYPE.NETFLOW_V9, 9], [FLOW_TYPE.IPFIX, 10],
]

const VERSIONS: ReadonlyMap<number, Version> = new Map([
  ...NETFLOW.map(([type, number]): [number, Version] => [type, ['Nv', 'netflowV', 'NETFLOW', number]]),
  [FLOW_TYPE.SFLOW_5, ['Sv', 'sflowV', 'SFLOW', 5]], [FLOW_TYPE.PACKETS, ['Pv', 'pcapdV', 'PCAP', 1]],
])

/** The protocol that carried the record, and its version. */
export const version: Value = described(EVENT_FIELDS, 0, (context) => {
  const { style: { csv } } = context
  const isEvent = eventsOf(context)
  const types = columnOf<Uint8Array>(context, ID.type)
  const unknown = csv ? 'flow' : 'FLO'
  return (row) => {
    const found = VERSIONS.get(types ? types[row] : 0)
    if (isEvent?.(row)) return `${csv ? 'event' : 'EVT'}${found?.[3] ?? 0}`
    return found ? found[csv ? 1 : 0] + found[3] : unknown
  }
})

/** The version of the protocol that carried the record, or 0, and whether it is NetFlow, sFlow or packets. */
export function versionOf(type: number): { readonly name: string, readonly number: number } {
  const [, , name, number] = VERSIONS.get(type) ?? ['', '', 'FLOW', 0]
  return { name, number }
}
