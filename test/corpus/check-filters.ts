import { filterCounts } from './filter-counts.ts'
import { filterDialects } from './filter-dialects.ts'

/** Compare the filters of nfdump, flowd and flow-nfilter with theirs, on their own files. */
export function checkFilters(corpus: string): {
  readonly problems: readonly string[]
  readonly summary: string
} {
  const zone = process.env['TZ']
  process.env['TZ'] = 'UTC' // as the goldens were made
  const [counts, dialects] = [filterCounts(corpus), filterDialects(corpus)]
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
  const reasons = [...counts.explained, ...dialects.explained].map(([id, count]) => `${id} ${count}`)
  return {
    problems: [...counts.problems, ...dialects.problems],
    summary: `filters: ${counts.same + dialects.same} select the same, explained: ${reasons.join(', ')}`,
  }
}
