/** Whether the ledger of a collector adds up: what its metrics say, and what its archive holds. */
import assert from 'node:assert/strict'
import { readLedger } from '../../core/archive/ledger-files.ts'
import { FORGOTTEN } from '../../core/collector/ledger.ts'
import { openDuck, quote } from '../../core/duck/duck.ts'
import type { CollectorProcess } from './collector-process.ts'

/** What a collector says at `/metrics`. */
interface Scrape {
  /** The sum of all series of a metric, of those with a label of this value if one is given. */
  value(name: string, label?: string): number
  /** The values that a metric's label has. */
  labels(name: string): string[]
}

/** Ask a collector that was started with `--metrics 127.0.0.1:0`. */
async function scrape({ text }: CollectorProcess): Promise<Scrape> {
  const [, url] = /metrics on (\S+)/.exec(text)!
  const lines = (await (await fetch(url)).text()).split('\n')
  const all = lines.flatMap((line) => {
    const [, name, labels = '', value] = /^flowkit_(\w+)(?:\{(.*)\})? (.*)$/.exec(line) ?? []
    return name === undefined ? [] : [{ name, labels, value: Number(value) }]
  })
  return {
    value: (name, label) => all.filter((series) => (
      series.name === name && (label === undefined || series.labels.includes(`"${label}"`))
    )).reduce((sum, { value }) => sum + value, 0),
    labels: (name) => all.filter((series) => series.name === name).map(({ labels }) => labels.split('"')[1]),
  }
}

/** What is known of the datagrams that a collector was sent. */
export interface Expected {
  /** All that came to its port. */
  readonly datagrams: number
  /** Of these such that a process before has taken. */
  readonly before?: number
  /** Of these such that are not decoded: damaged, from who is not allowed, and for lack of room. */
  readonly malformed?: number
  readonly refused?: number
  readonly dropped?: number
  /** Data sets whose template has not come; some: nobody knows how many. */
  readonly waiting?: number | 'some'
  /** Flows that the filter leaves out. */
  readonly filtered?: number
  /** A sink that takes nothing: what it is to have waits in the spool. */
  readonly hanging?: string
}

/** How often it is asked, where it does not say that something waits. */
const SCRAPES = 5000

/** Columns of the ledger, and the metrics that say the same. */
const COLUMNS = {
  datagrams: 'exporter_datagrams_total', faulty: 'exporter_malformed_datagrams_total',
  records: 'exporter_records_total', filtered: 'exporter_records_filtered_total',
  held_sets: 'exporter_held_sets_total', late_sets: 'exporter_late_sets_total',
  abandoned_sets: 'exporter_abandoned_sets_total',
} as const

/**
 * Begin new files, wait until all sinks have what they are to have, and assert that nothing is unaccounted:
 *
 * datagrams received = decoded + waiting + malformed + refused + dropped;
 * records decoded = written + filtered + lost, for each sink;
 * and what the archive has by its ledger is what it has.
 *
 * What is missing upstream only who has sent it knows: see `checkArchive`.
 *
 * @returns datagrams that the kernel has dropped, and flows decoded that the archive has not got
 */
export async function assertBalance(
  collector: CollectorProcess, archive: string, expected: Expected,
): Promise<{ readonly unreceived: number, readonly lost: number }> {
  const { datagrams, before = 0, malformed = 0, refused = 0, dropped = 0, waiting = 0 } = expected
  const { filtered = 0, hanging } = expected
  collector.child.kill('SIGUSR1')
  let now = await scrape(collector)
  // it may be told of the signal by another thread, and later than it is asked; and decoding waits for a sink
  // that hangs, until that is left behind
  for (let left = SCRAPES; !isAtRest(now, before, hanging) && left > 0; now = await scrape(collector)) {
    if (waitingFor(now, hanging) === 0) left--
  }
  const { value } = now

  const unreceived = value('socket_dropped_datagrams_total')
  const arrived = datagrams - unreceived
  const known = value('exporter_datagrams_total')
  assert.deepEqual({
    taken: value('datagrams_total'), known, refused: value('datagrams_refused_total'),
    dropped: value('datagrams_dropped_total'), malformed: value('exporter_malformed_datagrams_total'),
    waiting: waiting === 'some' ? waiting : value('exporter_waiting_sets'),
    filtered: value('exporter_records_filtered_total'),
  }, {
    taken: arrived - before, known: arrived - refused - dropped, refused, dropped, malformed, waiting,
    filtered,
  })

  const wanted = value('records_total') - value('records_filtered_total')
  for (const sink of sinksOf(now, hanging)) assert.equal(takenBy(sink, now), wanted, sink)

  const rows = await readLedger(archive, { onFault: ({ reason }) => assert.fail(reason) })
  for (const [column, metric] of Object.entries(COLUMNS)) {
    const sum = rows.reduce((total, row) => total + (row[column as keyof typeof COLUMNS] ?? 0), 0)
    assert.equal(sum, value(metric), column)
  }
  for (const { exporter, missing_flows = 0, missing_messages = 0, missing_records = 0 } of rows) {
    if (rows.length > 200 || exporter === FORGOTTEN) break // which have no series of their own
    const missing = missing_flows + missing_messages + missing_records
    assert.equal(missing, value('exporter_missing', exporter), exporter)
  }
  const lost = value('sink_records_lost_total', archive)
  assert.equal(await countFlows(archive), value('exporter_records_total') - filtered - lost)
  return { unreceived, lost }
}

/** Flows that a sink has, or will never have. */
function takenBy(sink: string, { value }: Scrape): number {
  return value('sink_records_total', sink) + value('sink_records_lost_total', sink)
}

/** All sinks but one that hangs. */
function sinksOf({ labels }: Scrape, hanging: string | undefined): string[] {
  return labels('sink_records_total').filter((sink) => sink !== hanging)
}

/** Segments that are not where they are to be. */
function waitingFor(now: Scrape, hanging: string | undefined): number {
  if (hanging === undefined) return now.value('spool_waiting_segments')
  return sinksOf(now, hanging).reduce((sum, sink) => sum + now.value('sink_waiting_segments', sink), 0)
}

/** Whether all that was taken is decoded, and is where it is to be. */
function isAtRest(now: Scrape, before: number, hanging: string | undefined): boolean {
  const { value } = now
  const decoded = value('exporter_datagrams_total') - before
  const left = value('datagrams_refused_total') + value('datagrams_dropped_total')
  if (value('datagrams_total') !== decoded + left) return false
  const wanted = now.value('records_total') - now.value('records_filtered_total')
  return waitingFor(now, hanging) === 0
    && sinksOf(now, hanging).every((sink) => takenBy(sink, now) === wanted)
}

async function countFlows(archive: string): Promise<number> {
  const duck = await openDuck({ threads: 1 })
  try {
    const all = quote(`${archive}/flows/*/*/*.parquet`)
    const [[count]] = await duck.rows(`SELECT count(*) FROM read_parquet(${all}, union_by_name = true)`)
    return Number(count)
  } finally {
    await duck.close()
  }
}
