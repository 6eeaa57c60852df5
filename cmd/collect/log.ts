import { FORGOTTEN, sumRows, type LedgerRow } from '../../core/collector/ledger.ts'
import type { CollectorReport } from '../../core/collector/report.ts'

/**
 * Says each kind of fault once an hour for each exporter, a hundred in all, and counts the rest, which is
 * said when something is after that hour.
 */
export interface FaultLog {
  /** Faults that were not said, nor counted aloud. */
  readonly silent: number
  /** @param exporter empty: it is not about one @param detail for who looks into it */
  say(exporter: string, reason: string, detail?: string): void
}

const MOST = 100
/** ms for which a fault that was said is not said again. */
const HOUR = 3_600_000

/**
 * A log without entries.
 *
 * @param tell told what it says
 * @param now ms since some moment
 */
export function faultLog(tell: FaultLog['say'], now: () => number = () => performance.now()): FaultLog {
  const said = new Set<string>()
  let begun = -Infinity
  let silent = 0

  function beginHour(): void {
    begun = now()
    said.clear()
    if (silent > 0) tell('', `${silent} more such faults`)
    silent = 0
  }

  return {
    get silent() { return silent },
    say(exporter, reason, detail) {
      if (now() - begun >= HOUR) beginHour()
      const key = `${exporter} ${reason.replace(/\d+/g, '#')}`
      if (said.has(key) || said.size >= MOST) silent++
      else {
        said.add(key)
        tell(exporter, reason, detail)
      }
    },
  }
}

/** Where in flowkit a fault comes from, if that is what it is about. */
export function stackOf({ cause }: Error): string | undefined {
  return cause instanceof Error ? cause.stack : undefined
}

/** Exporters that have a line of their own, at most. */
const MOST_LINES = 20

/**
 * The ledger as text: a line for each exporter, of which the busiest are told apart, then for what receives,
 * forwards and writes.
 */
export function reportText(
  { exporters, sockets, streams, forwards, sinks, spool, counters }: CollectorReport,
): string {
  return [
    ...exporterLines(exporters),
    ...sockets.map(({ endpoint, ...socket }) => `  ${endpoint}: ${pairs(socket)}`),
    ...streams.map(({ endpoint, ...stream }) => `  ${endpoint}: ${pairs(stream)}`),
    ...forwards.map(({ endpoint, ...forward }) => `  to ${endpoint}: ${pairs(forward)}`),
    ...sinks.map(({ name, ...sink }) => `  ${name}: ${pairs(sink)}`),
    `  spool: ${pairs(spool)}`,
    `  all: ${pairs(counters)}`,
  ].join('\n')
}

function exporterLines(rows: readonly LedgerRow[]): string[] {
  const busiest = rows.filter(({ exporter }) => exporter !== FORGOTTEN)
    .sort((a, b) => b.datagrams - a.datagrams).slice(0, MOST_LINES)
  const others = rows.filter((row) => !busiest.includes(row))
  const lines = busiest.map(({ exporter, ...row }) => `  ${exporter}: ${pairs(row)}`)
  if (others.length === 0) return lines
  const count = others.filter(({ exporter }) => exporter !== FORGOTTEN).length
  const forgotten = count < others.length ? ' and those forgotten' : ''
  return [...lines, `  ${count} others${forgotten}: ${pairs(sumRows(others))}`]
}

function pairs(values: object): string {
  const known = Object.entries(values).filter(([, value]) => value !== null)
  return known.map(([key, value]) => `${key}=${value}`).join(' ')
}
