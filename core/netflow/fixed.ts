import type { FlowBatch } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import { ID } from '../flow/fields.ts'
import { column, iana, padding } from './layout.ts'
import { fillHeader, headerFields, rowShape, type MessageHeader } from './message.ts'
import { makePlan, type LayoutField, type Wanted } from './plan.ts'
import { runPlan } from './records.ts'
import { fillSampling, samplingFields } from './sampling.ts'
import type { Ready } from './templates.ts'
import { V8_HEADER_SIZE, V8_SCHEMES } from './v8.ts'

/** A version, or scheme of v8, whose records have one layout. */
interface Version {
  readonly headerSize: number
  readonly maxRecords: number
  readonly layout: readonly LayoutField[]
}

/** Addresses, interfaces, counters, times and ports: the first 36 bytes of every record. */
const START = [
  iana(8, 4), iana(12, 4), iana(15, 4), iana(10, 2), iana(14, 2), iana(2, 4), iana(1, 4), iana(22, 4),
  iana(21, 4), iana(7, 2), iana(11, 2),
]
/** What v5, v6 and v7 go on with: flags, protocol, tos, AS numbers and prefix lengths, 9 bytes. */
const MIDDLE = [iana(6, 1), iana(4, 1), iana(5, 1), iana(16, 2), iana(17, 2), iana(9, 1), iana(13, 1)]

/**
 * The versions whose records have one layout, written as templates: element and length, in order.
 *
 * Sources: Cisco's "NetFlow Export Datagram Format" tables for v1, v5 and v7; flow-tools' ftlib.h for v6.
 */
export const FIXED_VERSIONS: Readonly<Record<number, Version>> = {
  1: {
    headerSize: 16, maxRecords: 30, // Cisco sends 24, softflowd 29
    layout: [...START, padding(2), iana(4, 1), iana(5, 1), iana(6, 1), padding(7)],
  },
  5: { headerSize: 24, maxRecords: 30, layout: [...START, padding(1), ...MIDDLE, padding(2)] },
  6: {
    headerSize: 24, maxRecords: 27,
    layout: [
      ...START, padding(1), ...MIDDLE,
      column(ID.inEncaps, 1), column(ID.outEncaps, 1), column(ID.peerNextHop, 4),
    ],
  },
  7: {
    headerSize: 24, maxRecords: 30, // flow-tools sends 27, Catalyst switches up to 30
    layout: [
      ...START, column(ID.shortcutMode, 1), ...MIDDLE, column(ID.validFlags, 2), column(ID.routerSc, 4),
    ],
  },
}

/** Plans by version and scheme, made for one set of wanted fields. */
export type FixedPlans = Map<number, Ready>

/** What is fixed of a version, and for v8 of a scheme; undefined if it is none of them. */
export function fixedVersion(version: number, scheme: number): Version | undefined {
  if (version !== 8) return FIXED_VERSIONS[version]
  return V8_SCHEMES[scheme] && { headerSize: V8_HEADER_SIZE, ...V8_SCHEMES[scheme] }
}

/** Bytes of a record of a layout. */
export function recordSize(layout: readonly LayoutField[]): number {
  return layout.reduce((sum, { length }) => sum + length, 0)
}

/**
 * Append the records of a NetFlow v1, v5, v6, v7 or v8 datagram, `bytes[at..end)`, to `batch`.
 *
 * The whole datagram is checked before the first row is written, so a bad one adds nothing.
 *
 * @returns the number of records
 */
export function decodeFixed(
  header: MessageHeader, fixed: Version, bytes: Uint8Array, view: DataView, at: number, end: number,
  plans: FixedPlans, wanted: Wanted, batch: FlowBatch,
): number {
  const { version, aggregation } = header
  const { headerSize, maxRecords } = fixed
  const count = view.getUint16(at + 2)
  const ready = plans.get(version << 8 | aggregation) ?? prepare(plans, header, fixed, wanted)
  const expected = headerSize + count * ready.plan.minLength
  if (count === 0 || count > maxRecords || end - at !== expected) {
    const why = count === 0 || count > maxRecords
      ? `1 to ${maxRecords} records wanted, ${count}`
      : `${count} records need ${expected} bytes, ${end - at}`
    throw new FlowkitError('ERR_MALFORMED', `Cannot decode NetFlow v${version} datagram: ${why} found`)
  }
  batch.reserve(count)
  const row = batch.length
  const { plan } = ready
  const { samplingRate: rate, samplingAlgorithm: algorithm, samplingSource: source } = header
  const records = { bytes, view, at: at + headerSize, size: plan.size, count, source: bytes }
  runPlan(plan, records, batch, row, header)
  fillSampling({ rate, algorithm }, source, 0, ready, batch, row, row + count)
  fillHeader(header, ready.header, batch, row, count)
  batch.length = row + count
  return count
}

function prepare(
  plans: FixedPlans, { version, aggregation }: MessageHeader, fixed: Version, wanted: Wanted,
): Ready {
  const plan = makePlan(fixed.layout, { ...wanted, extras: false }, true)
  const header = headerFields(version, wanted)
  const plain = rowShape(plan.shape, header, [])
  const ready = {
    plan, header, canTellUptime: true, names: [], plain, bare: plain,
    sampled: rowShape(plan.shape, header, samplingFields(wanted, false)),
    sampledHow: rowShape(plan.shape, header, samplingFields(wanted, true)),
  }
  plans.set(version << 8 | aggregation, ready)
  return ready
}
