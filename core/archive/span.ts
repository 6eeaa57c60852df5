import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'

/** From the start of the first flow to the end of the last, µs; `first` is Infinity where there is none. */
export interface Span {
  first: number
  last: number
}

const MICROS = 1e6

/** What stands for the start and the end of a flow that lacks them, as for filters of time. */
const STARTS = [ID.flowStart, ID.flowEnd, ID.eventTime, ID.received]
const ENDS = [ID.flowEnd, ID.flowStart, ID.eventTime, ID.received]

/** Make `span` cover rows `start` up to `end`. */
export function widenSpan(span: Span, batch: FlowBatch, start: number, end: number): void {
  const { shape } = batch
  const starts = columnsByShape(batch, STARTS)
  const ends = columnsByShape(batch, ENDS)
  let { first, last } = span
  for (let row = start; row < end; row++) {
    const index = shape[row]
    const from = starts[index]
    if (from === undefined) continue
    if (from[row] < first) first = from[row]
    const to = ends[index]!
    if (to[row] > last) last = to[row]
  }
  span.first = first
  span.last = last
}

/** For each shape of a batch the first of some columns that it has. */
function columnsByShape(batch: FlowBatch, ids: readonly number[]): (Float64Array | undefined)[] {
  return batch.shapes.map(({ mask }) => {
    const id = ids.find((id) => mask[id] === 1)
    return id === undefined ? undefined : batch.column(id) as Float64Array
  })
}

/** How a span stands in a file's name: whole seconds that enclose it, `1795262399-1795266001`. */
export function formatSpan({ first, last }: Span): string {
  return `${Math.max(0, Math.floor(first / MICROS))}-${Math.max(0, Math.floor(last / MICROS) + 1)}`
}

/**
 * The span in a file's name, which `last` is behind; undefined where there is none.
 *
 * Second 0 stands for any time before.
 */
export function parseSpan(name: string): Span | undefined {
  const found = /\.(\d{1,10})-(\d{1,10})\.parquet$/.exec(name)
  if (!found) return undefined
  const [first, last] = [Number(found[1]) * MICROS, Number(found[2]) * MICROS]
  return { first: first === 0 ? -Infinity : first, last }
}
