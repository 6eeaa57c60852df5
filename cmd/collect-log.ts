import type { CollectorReport } from '../core/collector/report.ts'
import type { Io } from './io.ts'

/** Says each kind of fault once for each exporter, a hundred in all, and counts the rest. */
export interface FaultLog {
  /** @param exporter empty: it is not about one */
  say(exporter: string, reason: string): void
  finish(): void
}

const MOST = 100

/** A log without entries. */
export function faultLog(io: Io): FaultLog {
  const said = new Set<string>()
  let silent = 0
  return {
    say(exporter, reason) {
      const key = `${exporter} ${reason.replace(/\d+/g, '#')}`
      if (said.has(key) || said.size >= MOST) silent++
      else {
        said.add(key)
        io.talk.warn(exporter === '' ? reason : `${exporter}: ${reason}`)
      }
    },
    finish() {
      if (silent > 0) io.talk.warn(`${silent} more such faults`)
    },
  }
}

/** The ledger as text: a line for each exporter, then for what receives, forwards and writes. */
export function reportText(
  { exporters, sockets, streams, forwards, sinks, spool, counters }: CollectorReport,
): string {
  return [
    ...exporters.map(({ exporter, ...row }) => `  ${exporter}: ${pairs(row)}`),
    ...sockets.map(({ endpoint, ...socket }) => `  ${endpoint}: ${pairs(socket)}`),
    ...streams.map(({ endpoint, ...stream }) => `  ${endpoint}: ${pairs(stream)}`),
    ...forwards.map(({ endpoint, ...forward }) => `  to ${endpoint}: ${pairs(forward)}`),
    ...sinks.map(({ name, ...sink }) => `  ${name}: ${pairs(sink)}`),
    `  spool: ${pairs(spool)}`,
    `  all: ${pairs(counters)}`,
  ].join('\n')
}

function pairs(values: object): string {
  const known = Object.entries(values).filter(([, value]) => value !== null)
  return known.map(([key, value]) => `${key}=${value}`).join(' ')
}
