import { ID } from '../../core/flow/fields.ts'
import { RECORD } from './exporters.ts'
import { EXT, EXTENSIONS, EXTENSIONS_171 } from './extensions.ts'
import { FLAG, FORMER, FORMER_RECORDS, FORMER_WRITTEN, formerBeginning } from './former-extensions.ts'
import { EXTENSION_HEADER, FLOW_HEADER } from './layouts.ts'
import type { Extension } from './parts.ts'
import { BLOCK } from './records.ts'
import { addressKind, isLarge, PAIRS } from './write-kinds.ts'

/** How a version of nfdump lays out flow records, and which records it has beside them. */
export interface RecordScheme {
  /** Type of the blocks, of flow records, and of those of samplers. */
  readonly block: number
  readonly type: number
  readonly samplerType: number
  /** Bytes before the first extension, and before each. */
  readonly headerSize: number
  readonly extensionHeader: number
  /** Offsets of the flags, the exporter's version and its number. */
  readonly flagsAt: number
  readonly versionAt: number
  readonly sysidAt: number
  /** Offset of type and id of the engine; -1: they may be in an extension. */
  readonly engineAt: number
  /** Offset of the number of extensions; -1: there is none. */
  readonly countAt: number
  /** Offset of the number of a map that tells the ids of the extensions; -1: each has its own. */
  readonly mapAt: number
  readonly eventFlag: number
  readonly sampledFlag: number
  /** Fields that lie otherwise from 2^32 on. */
  readonly counters: readonly number[]
  /** The flags of records of certain kinds, see `kindsOf`. */
  flagsOf(kinds: number): number
  /** What records begin with that have these flags. */
  beginning(flags: number): readonly Extension[]
  /** What they may have beside, in the order in which it is written. */
  readonly extensions: readonly Extension[]
  /** Extensions that are written only for certain fields of theirs, by id. */
  readonly keys: Readonly<Record<number, readonly number[]>>
  /** Whether records tell the names of interfaces, VRFs and applications. */
  readonly hasNames: boolean
}

/** Whether flow records may have a field. */
export function hasPlace({ extensions }: RecordScheme, field: number): boolean {
  return extensions.some(({ parts }) => parts.some((part) => part.field === field))
}

/** Records of layout 2. */
function newRecords(extensions: readonly Extension[]): RecordScheme {
  const [first, ...others] = extensions
  return {
    block: BLOCK.records, type: RECORD.flow, samplerType: RECORD.sampler,
    headerSize: FLOW_HEADER, extensionHeader: EXTENSION_HEADER,
    flagsAt: 10, versionAt: 11, sysidAt: 8, engineAt: 6, countAt: 4, mapAt: -1,
    eventFlag: 1, sampledFlag: 2, counters: [],
    flagsOf: () => 0,
    beginning: () => [first],
    extensions: others,
    keys: {
      [EXT.firewall]: [ID.firewallEvent, ID.firewallExtEvent],
      37: [ID.pfAction, ID.pfReason, ID.pfDirection, ID.pfRule],
      [EXT.frame]: [],
    },
    hasNames: true,
  }
}

/** Of nfdump 1.7.1. */
export const RECORDS_171: RecordScheme = newRecords(EXTENSIONS_171)
/** Of nfdump 1.7.8. */
export const RECORDS_178: RecordScheme = newRecords(EXTENSIONS)

/** The flag of addresses of IPv6 by their place among PAIRS. */
const IPV6_FLAGS = [FLAG.ipv6, FLAG.ipv6BgpNextHop, FLAG.ipv6NextHop, FLAG.ipv6Exporter, 0, 0]

/** Of nfdump 1.6: records of type 10 in layout 1. */
export const RECORDS_16: RecordScheme = {
  block: BLOCK.former, type: RECORD.formerFlow, samplerType: RECORD.formerSampler,
  headerSize: 0, extensionHeader: 0,
  flagsAt: 4, versionAt: 5, sysidAt: FORMER_RECORDS[RECORD.formerFlow].sysidAt, engineAt: -1, countAt: -1,
  mapAt: 6,
  eventFlag: FLAG.event, sampledFlag: FLAG.sampled, counters: [ID.packets, ID.bytes],
  flagsOf: (kinds) => PAIRS.reduce(
    (flags, _, i) => flags | (addressKind(kinds, i) === 2 ? IPV6_FLAGS[i] : 0),
    (isLarge(kinds, 0) ? FLAG.packets64 : 0) | (isLarge(kinds, 1) ? FLAG.bytes64 : 0),
  ),
  beginning: (flags) => formerBeginning(FORMER_RECORDS[RECORD.formerFlow], flags),
  extensions: FORMER_WRITTEN,
  keys: {
    [FORMER.firewall]: [ID.firewallEvent, ID.firewallExtEvent],
    [FORMER.natEvent]: [ID.natEvent], // all that have it are read as events
  },
  hasNames: false,
}
