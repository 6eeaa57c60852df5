import { elementName } from '../../core/flow/elements.ts'
import { ID } from '../../core/flow/fields.ts'
import { VARIABLE_LENGTH, type ExtraElement, type Shape } from '../../core/flow/shape.ts'
import { GROUPS, partsOf, UPTIMES } from './groups.ts'
import { BIT } from './layout.ts'

/** What records are made of the rows of one shape. */
export interface ShapePlan {
  /** Bits of what they have; of addresses those of both families. */
  readonly parts: number
  /** Whether the row has times, which the record's are to be. */
  readonly isTimed: boolean
  /** Where among the row's extras its uptimes lie, if they are the record's times; else -1. */
  readonly startAt: number
  readonly endAt: number
  /** Fields and elements that records have no place for. */
  readonly lostFields: readonly number[]
  readonly lostElements: readonly string[]
}

const CARRIED = new Set(GROUPS.flatMap(({ fields }) => fields))
/** Fields that are looked at row by row. */
const LOOKED_AT = [ID.etype, ID.flowStartNs, ID.flowEndNs]

/**
 * The plan of a shape.
 *
 * @param wanted 1 for each field that is to be stored, by id
 */
export function planShape({ fields, extras }: Shape, wanted: Uint8Array): ShapePlan {
  const shown = fields.filter((id) => wanted[id] === 1)
  const mask = new Uint8Array(wanted.length)
  for (const id of shown) mask[id] = 1
  const parts = partsOf(mask)
  const isTimed = (parts & BIT.times) !== 0
  const wantsTimes = wanted[ID.flowStart] === 1 || wanted[ID.flowEnd] === 1
  const [startAt, endAt] = UPTIMES.map(({ id }) => isTimed || !wantsTimes ? -1 : offsetOf(extras, id))
  const hasUptimes = startAt >= 0 && endAt >= 0
  return {
    parts: isTimed ? parts | BIT.clock : hasUptimes ? parts | BIT.times : parts,
    isTimed,
    startAt: hasUptimes ? startAt : -1,
    endAt: hasUptimes ? endAt : -1,
    lostFields: shown.filter((id) => !CARRIED.has(id) && !LOOKED_AT.includes(id)),
    lostElements: extras.filter((each) => !hasUptimes || !isUptime(each))
      .map(({ pen, id }) => elementName(pen, id)),
  }
}

function isUptime({ pen, id, length }: ExtraElement): boolean {
  return UPTIMES.some((each) => each.pen === pen && each.id === id && each.length === length)
}

/** Where the uptime `id` lies among extras of fixed lengths, or -1. */
function offsetOf(extras: readonly ExtraElement[], wanted: number): number {
  let at = 0
  for (const element of extras) {
    if (element.id === wanted && isUptime(element)) return at
    if (element.length === VARIABLE_LENGTH) return -1
    at += element.length
  }
  return -1
}
