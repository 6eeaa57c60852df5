import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EXTRA_COLUMN } from '../duck/columns.ts'
import { quote } from '../duck/duck.ts'
import { COUNTER_COLUMNS, CORE_COUNTERS, counterRow, hasColumn } from '../netflow/sflow/counter-row.ts'
import type { CounterSample } from '../netflow/sflow/counters.ts'
import { countersSql } from './counter-sql.ts'
import { HOUR, MAX_TIME } from './names.ts'

/** The samples of an hour. */
export interface CounterHour {
  /** The hour's first µs. */
  readonly hour: number
  /** The query whose rows they are. */
  readonly sql: string
}

/** Counter samples on their way into the archive, in files, so that however many come take no memory. */
export interface CounterSpool {
  /** @throws the system error (disk full) when they could not be kept; `clear` then */
  add(samples: readonly CounterSample[]): Promise<void>
  /** What came since `clear`, by the hour in which it was received. */
  hours(): CounterHour[]
  /** Forget it. */
  clear(): Promise<void>
}

/** The file of an hour. */
interface Lines {
  readonly path: string
  /** Counters that some sample has. */
  readonly names: Set<string>
}

/**
 * Keep counter samples as lines of JSON.
 *
 * @param directory for the files
 * @param now µs since the epoch, for samples without a time
 */
export function openCounterSpool(directory: string, now: () => number): CounterSpool {
  const files = new Map<number, Lines>()
  let count = 0

  function fileOf(received: number): Lines {
    const time = received >= 0 && received <= MAX_TIME ? received : now()
    const hour = Math.floor(time / HOUR) * HOUR
    let file = files.get(hour)
    if (!file) files.set(hour, file = { path: join(directory, `counters-${++count}.json`), names: new Set() })
    return file
  }

  async function add(samples: readonly CounterSample[]): Promise<void> {
    const texts = new Map<Lines, string>()
    for (const sample of samples) {
      const file = fileOf(sample.received)
      texts.set(file, `${texts.get(file) ?? ''}${lineOf(sample, file.names)}\n`)
    }
    for (const [{ path }, text] of texts) await appendFile(path, text)
  }

  function hours(): CounterHour[] {
    const core = new Set(CORE_COUNTERS.map(({ name }) => name))
    return [...files].sort(([a], [b]) => a - b).map(([hour, { path, names }]) => {
      const columns = COUNTER_COLUMNS.filter(({ name }) => core.has(name) || names.has(name))
      return { hour, sql: countersSql(quote(path), columns, names.has(EXTRA_COLUMN)) }
    })
  }

  async function clear(): Promise<void> {
    const paths = [...files.values()].map(({ path }) => path)
    files.clear()
    await Promise.all(paths.map((path) => rm(path, { force: true })))
  }

  return { add, hours, clear }
}

/** A sample as a line; its names go into `names`. Numbered counters, which have no end, are one object. */
function lineOf(sample: CounterSample, names: Set<string>): string {
  const row: Record<string, unknown> = {}
  const extra: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(counterRow(sample))) {
    if (hasColumn(name)) row[name] = value
    else extra[name] = value
  }
  if (Object.keys(extra).length > 0) row[EXTRA_COLUMN] = extra
  for (const name of Object.keys(row)) names.add(name)
  return JSON.stringify(row)
}
