import { ID } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../../core/flow/names.ts'
import { makeShape, type Shape } from '../../core/flow/shape.ts'
import { GROUPS, partsOf, UPTIMES } from './groups.ts'
import { ADDRESS, ALL_FIELDS, BIT, isAmbiguous, layoutOf, type Layout } from './layout.ts'

/** A mask of fields, made ready for reading its records. */
export interface Plan {
  readonly mask: number
  /** Where that lies what is wanted. */
  readonly layout: Layout
  /** It has fields that version 3.0 does not know. */
  readonly isNewer: boolean
  readonly isAmbiguous: boolean
  /** Whether records must be looked at before they are read: for a checksum, or one of the two above. */
  readonly isChecked: boolean
  /** EtherType that goes with the addresses; 0 where there are none, or it is not wanted. */
  readonly etype: number
  /** Of rows whose times are counted back from the exporter's clock. */
  readonly timed: Shape
  /** Of rows without times, and of those whose record does not tell that clock. */
  readonly timeless: Shape
  /** Whether these have their times as extras. */
  readonly keepsUptimes: boolean
  /** Indices of the shapes in a batch, -1 until they are needed; for the reader to set. */
  timedIndex: number
  timelessIndex: number
  /** The reader's call that they are of. */
  turn: number
}

const CLOCKED = [ID.flowStart, ID.flowEnd, ID.sysUptime]

/**
 * The plan of a mask.
 *
 * @param wanted 1 for each field that is wanted, by id
 * @param extras whether elements without a column are
 */
export function makePlan(mask: number, wanted: Uint8Array, extras: boolean): Plan {
  const parts = partsOf(wanted)
  const family = mask & (mask & ADDRESS.src ? ADDRESS.src : ADDRESS.dst)
  const etype = family === 0 ? 0 : family & (BIT.src6 | BIT.dst6) ? ETYPE_IPV6 : ETYPE_IPV4
  const fields = GROUPS.filter(({ bits }) => mask & bits).flatMap((group) => group.fields)
  const shown = [...fields, ...etype > 0 ? [ID.etype] : []].filter((id) => wanted[id])
  const keepsUptimes = extras && (mask & parts & BIT.times) !== 0
  return {
    mask,
    // times are counted back from the clock
    layout: layoutOf(mask, parts & BIT.times ? parts | BIT.clock : parts),
    isNewer: (mask & ~ALL_FIELDS) !== 0,
    isAmbiguous: isAmbiguous(mask),
    isChecked: (mask & (BIT.crc | ~ALL_FIELDS)) !== 0 || isAmbiguous(mask),
    etype: wanted[ID.etype] ? etype : 0,
    timed: makeShape(shown, 3),
    timeless: makeShape(shown.filter((id) => !CLOCKED.includes(id)), -1, keepsUptimes ? UPTIMES : []),
    keepsUptimes,
    timedIndex: -1, timelessIndex: -1, turn: -1,
  }
}
