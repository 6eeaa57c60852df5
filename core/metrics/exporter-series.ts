import { FORGOTTEN, sumRows, type LedgerRow, type LedgerSums } from '../collector/ledger.ts'

/** Exporters with series of their own, and the sums of all others; undefined: there are none. */
export interface ExporterSeries {
  readonly own: readonly LedgerRow[]
  readonly others: LedgerSums | undefined
}

/**
 * Keeps the number of series bounded: `most` exporters have series of their own, the others share one, and so
 * do those that were forgotten.
 *
 * The busiest by datagrams come first, but who has a place keeps it: an exporter that changed places would
 * make the others' sum fall, and Prometheus takes that for a restart from 0.
 *
 * @returns what is to be called with the rows of the ledger at each scrape
 */
export function exporterSeries(most: number): (rows: readonly LedgerRow[]) => ExporterSeries {
  const own = new Set<string>()
  const shared = new Set<string>()

  return (rows) => {
    const present = new Set(rows.map((row) => row.exporter))
    for (const names of [own, shared]) for (const name of names) if (!present.has(name)) names.delete(name)
    const fresh = rows.filter(({ exporter }) => (
      exporter !== FORGOTTEN && !own.has(exporter) && !shared.has(exporter)
    ))
    fresh.sort((a, b) => b.datagrams - a.datagrams)
    for (const { exporter } of fresh) (own.size < most ? own : shared).add(exporter)
    const others = rows.filter(({ exporter }) => !own.has(exporter))
    return {
      own: rows.filter(({ exporter }) => own.has(exporter)),
      others: others.length === 0 ? undefined : sumRows(others),
    }
  }
}
