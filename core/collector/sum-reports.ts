import type { CollectorCounters, CollectorReport } from './report.ts'

/**
 * The report of several collectors as if they were one: what they say of the same socket, sink or other
 * collector is added up.
 *
 * @param reports at least one
 */
export function sumReports(reports: readonly CollectorReport[]): CollectorReport {
  const counters = reports.map((report) => report.counters).reduce((a, b) => added(a, b))
  const spools = reports.map((report) => report.spool).reduce((a, b) => added(a, b))
  return {
    started: Math.min(...reports.map((report) => report.started)),
    counters: counters satisfies CollectorCounters,
    sockets: sumBy('endpoint', reports.flatMap((report) => report.sockets)),
    streams: sumBy('endpoint', reports.flatMap((report) => report.streams)),
    forwards: sumBy('endpoint', reports.flatMap((report) => report.forwards)),
    sinks: sumBy('name', reports.flatMap((report) => report.sinks)),
    // an exporter is known to one of them, but for those that were forgotten
    exporters: sumBy('exporter', reports.flatMap((report) => report.exporters)),
    spool: spools,
  }
}

/** One for each value of `key`, in the order in which they come first. */
function sumBy<Key extends string, Item extends { readonly [each in Key]: string }>(
  key: Key, items: readonly Item[],
): Item[] {
  const sums = new Map<string, Item>()
  for (const item of items) {
    const known = sums.get(item[key])
    sums.set(item[key], known ? added(known, item) : item)
  }
  return [...sums.values()]
}

/** Numbers are added, other values are those of the first. */
function added<Item extends object>(first: Item, second: Item): Item {
  const more = second as Readonly<Record<string, unknown>>
  const entries = Object.entries(first).map(([name, value]: [string, unknown]) => (
    [name, typeof value === 'number' ? value + Number(more[name]) : value]
  ))
  return Object.fromEntries(entries) as Item
}
