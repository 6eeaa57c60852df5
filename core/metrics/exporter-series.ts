import type { LedgerRow } from '../collector/ledger.ts'

/** What can be summed up of exporters. */
export type Sums = Readonly<Record<Exclude<keyof LedgerRow, 'exporter' | 'clock_skew_ms'>, number>>

const NOTHING: Sums = {
  datagrams: 0, bytes: 0, records: 0, filtered: 0, options_records: 0, counter_samples: 0, templates: 0,
  faulty: 0, held_sets: 0, late_sets: 0, abandoned_sets: 0, missing_flows: 0, missing_messages: 0,
  missing_records: 0, reordered: 0, restarts: 0, template_conflicts: 0, expired_templates: 0,
}
const COLUMNS = Object.keys(NOTHING) as (keyof Sums)[]

/** Exporters with series of their own, and the sums of all others; undefined: there are none. */
export interface ExporterSeries {
  readonly own: readonly LedgerRow[]
  readonly others: Sums | undefined
}

/**
 * Keeps the number of series bounded: `most` exporters have series of their own, the others share one.
 *
 * The busiest by datagrams come first, but who has a place keeps it: an exporter that changed places would
 * make the others' sum fall, and Prometheus takes that for a restart from 0. For the same reason the sums
 * keep what exporters that were forgotten had counted.
 *
 * @returns what is to be called with all exporters at each scrape
 */
export function exporterSeries(most: number): (rows: readonly LedgerRow[]) => ExporterSeries {
  const own = new Set<string>()
  const others = new Map<string, LedgerRow>() // as they were at the last scrape
  let gone: Sums | undefined // of others that have been forgotten since

  return (rows) => {
    const present = new Set(rows.map((row) => row.exporter))
    for (const exporter of own) if (!present.has(exporter)) own.delete(exporter)
    for (const [exporter, row] of others) {
      if (present.has(exporter)) continue
      gone = add(gone, ended(row))
      others.delete(exporter)
    }
    const fresh = rows.filter(({ exporter }) => !own.has(exporter) && !others.has(exporter))
    fresh.sort((a, b) => b.datagrams - a.datagrams)
    for (const { exporter } of fresh.slice(0, Math.max(0, most - own.size))) own.add(exporter)

    let sums: Sums | undefined
    for (const row of rows) {
      if (own.has(row.exporter)) continue
      const last = others.get(row.exporter)
      if (last && row.datagrams < last.datagrams) gone = add(gone, ended(last)) // forgotten, and heard again
      others.set(row.exporter, row)
      sums = add(sums, row)
    }
    return {
      own: rows.filter((row) => own.has(row.exporter)),
      others: gone ? add(sums, gone) : sums,
    }
  }
}

/** Who is forgotten waits for nothing any more. */
function ended(row: Sums): Sums {
  return { ...row, abandoned_sets: row.held_sets - row.late_sets }
}

function add(sums: Sums | undefined, more: Sums): Sums {
  const total = { ...sums ?? NOTHING }
  for (const column of COLUMNS) total[column] += more[column]
  return total
}
