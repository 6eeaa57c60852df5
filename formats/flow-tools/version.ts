import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { LAYOUTS } from './layouts.ts'

/** Versions that hold all that v5 does, by the fields that they add. */
const LARGER = [
  ['1005', [ID.srcTag, ID.dstTag]], ['7', [ID.routerSc]], ['6', [ID.peerNextHop, ID.inEncaps, ID.outEncaps]],
] as const

/**
 * The export version, as LAYOUTS calls it, whose records suit the flows of `batch`: the one that they came
 * in, if that was v1 or a scheme of v8, else one that has the fields that they have.
 */
export function versionFor(batch: FlowBatch): string {
  const { length, shape, shapes } = batch
  const used = new Uint8Array(shapes.length)
  for (let row = 0; row < length; row++) used[shape[row]] = 1
  const present = shapes.filter((_, i) => used[i] === 1)
  const scheme = only(batch, present, ID.aggregation)
  if (scheme !== undefined && LAYOUTS[`8.${scheme}`]) return `8.${scheme}`
  if (only(batch, present, ID.type) === FLOW_TYPE.NETFLOW_V1) return '1'
  const larger = LARGER.find(([, ids]) => ids.some((id) => present.some(({ mask }) => mask[id] === 1)))
  return larger ? larger[0] : '5'
}

/** The value of a field that all rows have, if it is the same in all. */
function only(batch: FlowBatch, shapes: readonly Shape[], id: number): number | undefined {
  if (!shapes.every(({ mask }) => mask[id] === 1)) return undefined
  const column = batch.column(id) as Uint8Array
  const first = column[0]
  return column.subarray(0, batch.length).every((value) => value === first) ? first : undefined
}
