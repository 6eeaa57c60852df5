/** Records of flow-tools' files (the structures fts3rec_* and fts1rec_compat of ftlib.h). */
import { FlowkitError } from '../../core/flow/errors.ts'
import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { column, iana, padding } from '../../core/netflow/layout.ts'
import { COLUMN_PEN, type LayoutField } from '../../core/netflow/plan.ts'
import { AGGREGATION_VERSION, TLV, type Header } from './header.ts'

const SRC_ADDR = iana(8, 4), DST_ADDR = iana(12, 4), NEXT_HOP = iana(15, 4)
const SRC_PORT = iana(7, 2), DST_PORT = iana(11, 2), PROTO = iana(4, 1), TOS = iana(5, 1), FLAGS = iana(6, 1)
const IN_IF = iana(10, 2), OUT_IF = iana(14, 2), SRC_AS = iana(16, 2), DST_AS = iana(17, 2)
const SRC_MASK = iana(9, 1), DST_MASK = iana(13, 1)
const ENGINE = [iana(38, 1), iana(39, 1)]
const SECS = column(ID.exportSecs, 4), NSECS = column(ID.exportNsecs, 4), UPTIME = column(ID.sysUptime, 4)
const EXPORTER = column(ID.exporterAddr, 4)
const CLOCK = [SECS, NSECS, UPTIME, EXPORTER]
/** Schemes 3, 11 and 12 of v8 have it in this order. */
const SWAPPED_CLOCK = [SECS, NSECS, EXPORTER, UPTIME]
/** Packets, bytes, first and last uptime. */
const COUNTERS = [iana(2, 4), iana(1, 4), iana(22, 4), iana(21, 4)]
const FLOWS = iana(3, 4)
const SHORTCUT = [column(ID.extraPackets, 4), column(ID.routerSc, 4)]
const MARKED_TOS = column(ID.markedTos, 1)

const V1_START = [SRC_ADDR, DST_ADDR, NEXT_HOP, IN_IF, OUT_IF, ...COUNTERS, SRC_PORT, DST_PORT]
const START = [...CLOCK, ...V1_START, PROTO, TOS, FLAGS, padding(1)]
const V5 = [...START, ...ENGINE, SRC_MASK, DST_MASK, SRC_AS, DST_AS]

/** Records by export version, for v8 with the aggregation scheme: `5`, `8.14`. */
export const LAYOUTS: Readonly<Record<string, readonly LayoutField[]>> = {
  '1': [...START, padding(4)],
  '5': V5,
  '6': [...V5, column(ID.inEncaps, 1), column(ID.outEncaps, 1), padding(2), column(ID.peerNextHop, 4)],
  '7': [...V5, column(ID.routerSc, 4)],
  '8.1': [...CLOCK, FLOWS, ...COUNTERS, SRC_AS, DST_AS, IN_IF, OUT_IF, ...ENGINE, padding(2)],
  '8.2': [...CLOCK, FLOWS, ...COUNTERS, PROTO, padding(3), SRC_PORT, DST_PORT, ...ENGINE, padding(2)],
  '8.3': [...SWAPPED_CLOCK, FLOWS, ...COUNTERS, SRC_ADDR, SRC_MASK, padding(1), SRC_AS, IN_IF, ...ENGINE],
  '8.4': [...CLOCK, FLOWS, ...COUNTERS, DST_ADDR, DST_MASK, padding(1), ...ENGINE, DST_AS, OUT_IF],
  '8.5': [
    ...CLOCK, FLOWS, ...COUNTERS, SRC_ADDR, DST_ADDR, DST_MASK, SRC_MASK, ...ENGINE, SRC_AS, DST_AS,
    IN_IF, OUT_IF,
  ],
  '8.6': [...CLOCK, ...COUNTERS, DST_ADDR, ...SHORTCUT, OUT_IF, padding(2), TOS, MARKED_TOS, ...ENGINE],
  '8.7': [
    ...CLOCK, ...COUNTERS, DST_ADDR, SRC_ADDR, ...SHORTCUT, OUT_IF, IN_IF, TOS, MARKED_TOS, ...ENGINE,
  ],
  '8.8': [
    ...CLOCK, ...COUNTERS, DST_ADDR, SRC_ADDR, ...SHORTCUT, DST_PORT, SRC_PORT, OUT_IF, IN_IF, TOS,
    MARKED_TOS, ...ENGINE, PROTO, padding(3),
  ],
  '8.9': [...CLOCK, FLOWS, ...COUNTERS, SRC_AS, DST_AS, IN_IF, OUT_IF, ...ENGINE, TOS, padding(1)],
  '8.10': [...CLOCK, FLOWS, ...COUNTERS, SRC_PORT, DST_PORT, IN_IF, OUT_IF, ...ENGINE, PROTO, TOS],
  '8.11': [...SWAPPED_CLOCK, FLOWS, ...COUNTERS, SRC_ADDR, SRC_MASK, TOS, SRC_AS, IN_IF, ...ENGINE],
  '8.12': [...SWAPPED_CLOCK, FLOWS, ...COUNTERS, DST_ADDR, OUT_IF, DST_AS, DST_MASK, TOS, ...ENGINE],
  '8.13': [
    ...CLOCK, FLOWS, ...COUNTERS, SRC_ADDR, DST_ADDR, SRC_AS, DST_AS, IN_IF, OUT_IF, DST_MASK, SRC_MASK,
    ...ENGINE, TOS, padding(3),
  ],
  '8.14': [
    ...CLOCK, FLOWS, ...COUNTERS, SRC_ADDR, DST_ADDR, SRC_PORT, DST_PORT, IN_IF, OUT_IF, DST_MASK, SRC_MASK,
    ...ENGINE, TOS, PROTO, padding(2),
  ],
  '1005': [...V5, column(ID.srcTag, 4), column(ID.dstTag, 4)],
}

/** Records of stream version 1, whose time has milliseconds and whose uptimes count from it. */
const STREAM1_START = [SECS, NSECS, ...V1_START, padding(2), PROTO, TOS, FLAGS, padding(3)]
const STREAM1_LAYOUTS: Readonly<Record<string, readonly LayoutField[]>> = {
  '1': [...STREAM1_START, padding(8)],
  '5': [...STREAM1_START, SRC_AS, DST_AS, SRC_MASK, DST_MASK, padding(2)],
}

/** The protocol that the records of an export version come from: 1005 is v5 with tags. */
const TYPES: Readonly<Record<number, number>> = {
  1: FLOW_TYPE.NETFLOW_V1, 5: FLOW_TYPE.NETFLOW_V5, 6: FLOW_TYPE.NETFLOW_V6, 7: FLOW_TYPE.NETFLOW_V7,
  8: FLOW_TYPE.NETFLOW_V8, 1005: FLOW_TYPE.NETFLOW_V5,
}

/** What a file's records are. */
export interface RecordKind {
  readonly layout: readonly LayoutField[]
  /** A value of FLOW_TYPE. */
  readonly type: number
  /** Aggregation scheme of v8, else 0. */
  readonly aggregation: number
}

/**
 * The records behind a header.
 *
 * @throws FlowkitError ERR_UNSUPPORTED if they are of a version that flow-tools does not have
 */
export function recordsBehind({ stream, numbers }: Header): RecordKind {
  const version = numbers.get(TLV.version) ?? 0
  const aggregation = version === 8 ? numbers.get(TLV.aggregation) ?? 0 : 0
  const name = version === 8 ? `8.${aggregation}` : `${version}`
  const layout = (stream === 1 ? STREAM1_LAYOUTS : LAYOUTS)[name]
  const isKnown = version !== 8 || numbers.get(TLV.aggregationVersion) === AGGREGATION_VERSION
  if (layout && isKnown) return { layout, type: TYPES[version], aggregation }
  const found = isKnown ? name : `aggregation version ${numbers.get(TLV.aggregationVersion) ?? 0}`
  const wanted = stream === 1 ? '1 or 5' : '1, 5, 6, 7, 8.1 to 8.14 or 1005'
  const message = `Cannot read flow-tools records: export version ${wanted} wanted, ${found} found`
  throw new FlowkitError('ERR_UNSUPPORTED', message)
}

/** Where the first field that `isIt` accepts lies in a record, or -1. */
export function offsetOf(layout: readonly LayoutField[], isIt: (field: LayoutField) => boolean): number {
  const index = layout.findIndex(isIt)
  return layout.slice(0, Math.max(index, 0)).reduce((sum, { length }) => sum + length, Math.min(index, 0))
}

/** Whether a field is the one that fills the column of field `id` and has no element. */
export function isColumn(id: number): (field: LayoutField) => boolean {
  return (field) => field.pen === COLUMN_PEN && field.id === id
}

/** Whether a field is an IANA element. */
export function isElement(id: number): (field: LayoutField) => boolean {
  return (field) => field.pen === 0 && field.id === id
}
