import { formatTime } from '../flow/time.ts'
import type { Filter } from './filter.ts'
import { allOf, type Node } from './node.ts'

/**
 * The filter for flows that overlap the time from `since` up to but not including `until`, µs since the epoch.
 *
 * A flow without start or end has what it has, failing that the time of its event, or when it was received; one
 * without any time is not in the window. Where a bound is undefined there is none.
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
