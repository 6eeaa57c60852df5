import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { FORGOTTEN, type LedgerRow } from '../collector/ledger.ts'
import { duckError, openDuck, quote, type Duck } from '../duck/duck.ts'
import { askFiles, type Window } from '../duck/survey.ts'
import type { Fault } from '../flow/stream.ts'
import { HOUR, segmentTime } from './names.ts'

/** A row of the ledger as it was written: without what was null, or is of a later version than its file. */
export type ArchivedLedgerRow = Partial<LedgerRow> & Pick<LedgerRow, 'exporter'>

/** What is wanted of the ledger. */
export interface LedgerRequest extends Window {
  /** Told of each file that cannot be read; the others are. */
  onFault(fault: Fault): void
}

/**
 * The latest row of each exporter in the ledger of an archive, by the segments that reach into the window:
 * the busiest exporters first. None where the archive has no ledger.
 *
 * Rows count from when the exporter was first heard to the end of their segment. Which is the latest they say
 * themselves: names of files tell it only where the clock was never set back. Exporters that were forgotten
 * are one row, `forgotten`.
 */
export async function readLedger(archive: string, request: LedgerRequest): Promise<ArchivedLedgerRow[]> {
  const files = await ledgerFiles(archive, request)
  if (files.length === 0) return []
  const duck = await openDuck({ threads: 1 })
  try {
    return summed(await readAll(duck, files, request))
  } finally {
    await duck.close()
  }
}

async function readAll(
  duck: Duck, files: readonly string[], request: LedgerRequest,
): Promise<ArchivedLedgerRow[]> {
  try {
    return await askFiles(files, (asked) => latestRows(duck, asked))
  } catch {
    // one of them at least is bad: which?
    const good: string[] = []
    for (const file of files) {
      try {
        await latestRows(duck, [file])
        good.push(file)
      } catch (error) {
        if (!existsSync(file)) continue // it has expired
        const { message } = duckError(error, `read ${file} as a ledger`)
        request.onFault({ code: 'ERR_INPUT', reason: message })
      }
    }
    return askFiles(good, (asked) => latestRows(duck, asked))
  }
}

/**
 * The files of the ledger of an archive whose segments reach into the window, in order.
 *
 * A segment reaches to the begin of the next one, and the last to the end of its hour; several may begin
 * together, each of which holds other exporters.
 */
async function ledgerFiles(
  archive: string, { since = -Infinity, until = Infinity }: Window,
): Promise<string[]> {
  const root = join(archive, 'ledger')
  const entries = await readdir(root, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] // flows were converted into it, not collected
    throw error
  })
  const files = entries.filter((entry) => entry.endsWith('.parquet')).sort()
  const begins = files.map((file) => segmentTime(basename(file)))
  return files.filter((_, i) => {
    let next = i + 1
    while (begins[next] === begins[i]) next++
    const end = begins[next] ?? Math.floor(begins[i] / HOUR) * HOUR + HOUR
    return !(end <= since || begins[i] >= until) // a name that tells no time is of any
  }).map((file) => join(root, file))
}

async function latestRows(duck: Duck, files: readonly string[]): Promise<ArchivedLedgerRow[]> {
  if (files.length === 0) return []
  const paths = files.map(quote).join(', ')
  const rows = await duck.rows(`
    SELECT to_json(latest)::VARCHAR FROM (
      SELECT * EXCLUDE (filename, as_of_ms) FROM (
        SELECT NULL::BIGINT AS as_of_ms WHERE false -- files of the first version do not have it
        UNION ALL BY NAME
        FROM read_parquet([${paths}], filename = true, union_by_name = true, hive_partitioning = false))
      QUALIFY row_number() OVER (PARTITION BY exporter ORDER BY as_of_ms DESC NULLS LAST, filename DESC) = 1
    ) latest ORDER BY datagrams DESC, exporter`)
  return rows.map(([text]) => {
    const values = Object.entries(JSON.parse(String(text)) as LedgerRow)
    return Object.fromEntries(values.filter(([, value]) => value !== null)) as unknown as ArchivedLedgerRow
  })
}

/** With one row for what all collectors of the archive have forgotten, in the end. */
function summed(rows: readonly ArchivedLedgerRow[]): ArchivedLedgerRow[] {
  const isForgotten = ({ exporter }: ArchivedLedgerRow): boolean => exporter.startsWith(FORGOTTEN)
  const forgotten = rows.filter(isForgotten)
  const others = rows.filter((row) => !isForgotten(row))
  if (forgotten.length === 0) return others
  const sums = new Map<string, number>()
  for (const { exporter: _, ...counts } of forgotten) {
    for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count!)
  }
  return [...others, { exporter: FORGOTTEN, ...Object.fromEntries(sums) }]
}
