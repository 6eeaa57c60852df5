import { formatTime } from '../flow/time.ts'
import type { Filter } from './filter.ts'
import { allOf, type Node } from './node.ts'

/**
 * The filter for flows that overlap the time from `since` up to but not including `until`, µs since the
 * epoch; where one is undefined there is no bound.
 *
 * For a flow without a start its end counts, and the other way round; failing both the time of its event, or
 * when it was received. One without any time is in no window that has a bound.
 */
export function overlaps(since: number | undefined, until: number | undefined): Filter {
  const nodes: Node[] = []
  if (since !== undefined) nodes.push({ kind: 'compare', source: 'ends', operator: '>=', value: since })
  if (until !== undefined) nodes.push({ kind: 'compare', source: 'starts', operator: '<', value: until })
  if (nodes.length === 0) return { text: 'any', root: { kind: 'all' } }
  const words = [
    ...since === undefined ? [] : [`ends >= ${formatTime(since)}`],
    ...until === undefined ? [] : [`starts < ${formatTime(until)}`],
  ]
  return { text: words.join(' and '), root: allOf(nodes) }
}
