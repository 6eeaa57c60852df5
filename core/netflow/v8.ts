import { ID } from '../flow/fields.ts'
import { column, iana, padding } from './layout.ts'
import type { LayoutField } from './plan.ts'

/** A router-based aggregation scheme of NetFlow v8. */
export interface Scheme {
  readonly name: string
  readonly maxRecords: number
  readonly layout: readonly LayoutField[]
}

const FLOWS = iana(3, 4)
/** Packets, bytes, first and last. */
const COUNTERS = [iana(2, 4), iana(1, 4), iana(22, 4), iana(21, 4)]
const SRC_ADDR = iana(8, 4), DST_ADDR = iana(12, 4), SRC_MASK = iana(9, 1), DST_MASK = iana(13, 1)
const SRC_AS = iana(16, 2), DST_AS = iana(17, 2), IN_IF = iana(10, 2), OUT_IF = iana(14, 2)
const SRC_PORT = iana(7, 2), DST_PORT = iana(11, 2), PROTO = iana(4, 1), TOS = iana(5, 1)
/** What a Catalyst adds: packets over the contract, and the router that the shortcut bypasses. */
const SHORTCUT = [column(ID.extraPackets, 4), column(ID.routerSc, 4)]
const MARKED_TOS = column(ID.markedTos, 1)

/**
 * The schemes by number, which is the header's `aggregation`. Prefixes are in the address columns, beside
 * their length. Source: Cisco's v8 tables and flow-tools' ftlib.h, which agree.
 */
export const V8_SCHEMES: Readonly<Record<number, Scheme>> = {
  1: { name: 'AS', maxRecords: 51, layout: [FLOWS, ...COUNTERS, SRC_AS, DST_AS, IN_IF, OUT_IF] },
  2: {
    name: 'protocol-port', maxRecords: 51,
    layout: [FLOWS, ...COUNTERS, PROTO, padding(3), SRC_PORT, DST_PORT],
  },
  3: {
    name: 'source prefix', maxRecords: 44,
    layout: [FLOWS, ...COUNTERS, SRC_ADDR, SRC_MASK, padding(1), SRC_AS, IN_IF, padding(2)],
  },
  4: {
    name: 'destination prefix', maxRecords: 44,
    layout: [FLOWS, ...COUNTERS, DST_ADDR, DST_MASK, padding(1), DST_AS, OUT_IF, padding(2)],
  },
  5: {
    name: 'prefix', maxRecords: 35,
    layout: [
      FLOWS, ...COUNTERS, SRC_ADDR, DST_ADDR, DST_MASK, SRC_MASK, padding(2), SRC_AS, DST_AS, IN_IF, OUT_IF,
    ],
  },
  6: {
    name: 'destination', maxRecords: 44,
    layout: [DST_ADDR, ...COUNTERS, OUT_IF, TOS, MARKED_TOS, ...SHORTCUT],
  },
  7: {
    name: 'source-destination', maxRecords: 35,
    layout: [DST_ADDR, SRC_ADDR, ...COUNTERS, OUT_IF, IN_IF, TOS, MARKED_TOS, padding(2), ...SHORTCUT],
  },
  8: {
    name: 'full flow', maxRecords: 32,
    layout: [
      DST_ADDR, SRC_ADDR, DST_PORT, SRC_PORT, ...COUNTERS, OUT_IF, IN_IF, TOS, PROTO, MARKED_TOS, padding(1),
      ...SHORTCUT,
    ],
  },
  9: {
    name: 'AS-ToS', maxRecords: 44,
    layout: [FLOWS, ...COUNTERS, SRC_AS, DST_AS, IN_IF, OUT_IF, TOS, padding(3)],
  },
  10: {
    name: 'protocol-port-ToS', maxRecords: 44,
    layout: [FLOWS, ...COUNTERS, PROTO, TOS, padding(2), SRC_PORT, DST_PORT, IN_IF, OUT_IF],
  },
  11: {
    name: 'source prefix-ToS', maxRecords: 44,
    layout: [FLOWS, ...COUNTERS, SRC_ADDR, SRC_MASK, TOS, SRC_AS, IN_IF, padding(2)],
  },
  12: {
    name: 'destination prefix-ToS', maxRecords: 44,
    layout: [FLOWS, ...COUNTERS, DST_ADDR, DST_MASK, TOS, DST_AS, OUT_IF, padding(2)],
  },
  13: {
    name: 'prefix-ToS', maxRecords: 35,
    layout: [
      FLOWS, ...COUNTERS, SRC_ADDR, DST_ADDR, DST_MASK, SRC_MASK, TOS, padding(1), SRC_AS, DST_AS,
      IN_IF, OUT_IF,
    ],
  },
  14: {
    name: 'prefix-port-ToS', maxRecords: 35,
    layout: [
      FLOWS, ...COUNTERS, SRC_ADDR, DST_ADDR, DST_MASK, SRC_MASK, TOS, PROTO, SRC_PORT, DST_PORT,
      IN_IF, OUT_IF,
    ],
  },
}

/** Bytes of a v8 header. */
export const V8_HEADER_SIZE = 28
