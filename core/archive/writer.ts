import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { openParts, type Part } from '../duck/parts.ts'
import { FIELDS } from '../flow/fields.ts'
import { CORE_FIELDS } from '../flow/sql.ts'
import type { FlowWriter } from '../flow/stream.ts'
import type { CounterSample } from '../netflow/sflow/counters.ts'
import { syncFolder } from '../output-file.ts'
import { newTurns } from '../turns.ts'
import { openCounterSpool } from './counter-spool.ts'
import { COUNTERS_VERSION } from './counter-sql.ts'
import { sortHours } from './hours.ts'
import { makeTemporary, removeLeftovers, removeTemporary } from './leftovers.ts'
import { ledgerSql } from './ledger.ts'
import { archiveSql, SQL_FILE } from './macros.ts'
import { fileName, hourFolder, newSegment, segmentTime } from './names.ts'
import { widenSpan, type Span } from './span.ts'

/** How to write into an archive. */
export interface ArchiveWriterOptions {
  /** Ids of the fields to write; all unless told. */
  readonly fields?: readonly number[]
  /** Whether elements without a column are written too, in the column `extra`. */
  readonly extras?: boolean
  /** The name of the first segment; made up unless told. */
  readonly segment?: string
  /** µs since the epoch; for flows without any time. */
  readonly now?: () => number
}

/** A file that has its name. */
export interface ArchiveFile {
  /** What its rows are. */
  readonly table: 'flows' | 'counters'
  readonly path: string
  readonly rows: number
  readonly bytes: number
  /** Names of fields that rows had and its format has no place for; absent: not known. */
  readonly leftOut?: readonly string[]
}

/** What became of the rows so far. */
export interface ArchiveStats {
  /** Flows in files that have their names. */
  rows: number
  files: number
  bytes: number
  /** Flows taken, but lost by a failure to write. */
  lost: number
  /** The same of counter samples. */
  counters: number
  lostCounters: number
}

/** What a rotation is told. */
export interface Rotation {
  /** The name of the segment that begins; made up unless told. */
  readonly next?: string
  /** What goes into the ledger beside the flows: rows with the same names, of text, integers and nulls. */
  readonly ledger?: readonly object[]
}

/**
 * Writes into an archive. Nothing is visible before `rotate` or `close`, which give all files their names.
 *
 * When `write`, `rotate` or `close` fail, all rows since the last rotation are lost, no file of them is left
 * behind, and later writes begin anew. The calls may overlap: they are done one after the other.
 */
export interface ArchiveWriter extends FlowWriter {
  /** Take counter samples of sFlow, for files beside those of the flows. */
  writeCounters(samples: readonly CounterSample[]): Promise<void>
  /**
   * Finish the files of the segment, make them visible, and go on with another segment.
   *
   * The ledger has its name last: where it is, there is all of the segment.
   */
  rotate(rotation?: Rotation): Promise<ArchiveFile[]>
  /** Give up what was taken since the last rotation, and go on with segment `next`. */
  skip(next?: string): Promise<void>
  readonly stats: Readonly<ArchiveStats>
}

/**
 * Open an archive for writing; it is made if there is none.
 *
 * @throws the system error if it cannot be written to
 */
export async function openArchiveWriter(
  path: string, options: ArchiveWriterOptions = {},
): Promise<ArchiveWriter> {
  const { fields, extras = false, now = () => Date.now() * 1000 } = options
  const directory = resolve(path)
  await mkdir(join(directory, 'flows'), { recursive: true })
  await removeLeftovers(directory)
  const temporary = await makeTemporary(directory)
  try {
    await writeSqlFile(directory, temporary)
  } catch (error) {
    await removeTemporary(temporary).catch(() => {}) // it counts as left over, and goes with the next opening
    throw error
  }

  const stats: ArchiveStats = { rows: 0, files: 0, bytes: 0, lost: 0, counters: 0, lostCounters: 0 }
  let segment = options.segment ?? newSegment(now() / 1000)
  let pending = 0 // flows taken since the last rotation
  let pendingCounters = 0
  const parts = openParts({
    directory: temporary, always: CORE_FIELDS, extras, metadata: () => ({ flowkit_segment: segment }),
    ...fields && { allowed: fields.map((id) => FIELDS[id]) },
  })
  const spool = openCounterSpool(temporary, now)
  const lines = join(temporary, 'ledger.json')
  const spans = new Map<number, Span>() // by hour, since the last rotation
  const hours = sortHours((hour, batch, start, end) => {
    widenSpan(spanOf(hour), batch, start, end)
    return parts.write(hour, batch, start, end)
  }, now)

  function spanOf(hour: number): Span {
    const span = spans.get(hour) ?? { first: Infinity, last: -Infinity }
    spans.set(hour, span)
    return span
  }

  const inTurn = newTurns()

  /** Run a step of writing; a failure takes everything since the last rotation with it. */
  async function guard<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      await forget()
      throw error
    }
  }

  async function forget(): Promise<void> {
    hours.clear()
    spans.clear()
    lose()
    // what cannot be removed now is in the temporary folder, and goes with it
    await Promise.allSettled([parts.discard(), spool.clear()])
  }

  /** Begin a segment, in a new archive if somebody has removed it. */
  async function begin(next: string | undefined): Promise<void> {
    segment = next ?? newSegment(now() / 1000)
    try {
      await mkdir(join(directory, 'flows'), { recursive: true })
      await mkdir(temporary, { recursive: true })
      await writeSqlFile(directory, temporary)
    } catch {
      // it is the next write that fails
    }
  }

  function lose(): void {
    stats.lost += pending
    stats.lostCounters += pendingCounters
    pending = pendingCounters = 0
  }

  async function publish({ ledger = [] }: Rotation): Promise<ArchiveFile[]> {
    await hours.flush()
    const moves = (await parts.take()).map((part, i): Move => {
      const name = fileName(segment, i + 1, spanOf(part.label))
      return { table: 'flows', part, path: join(directory, 'flows', hourFolder(part.label), name) }
    })
    try {
      for (const { hour, sql } of spool.hours()) moves.push(await moveOf('counters', hour, sql))
      if (ledger.length > 0) {
        moves.push(await moveOf('ledger', segmentTime(segment), await ledgerSql(lines, ledger)))
      }
      await giveNames(directory, moves)
    } catch (error) {
      const paths = moves.flatMap(({ part, path }) => [part.path, path])
      await Promise.allSettled(paths.map((path) => rm(path, { force: true })))
      throw error
    }
    await Promise.all([spool.clear(), rm(lines, { force: true })])
    const files: ArchiveFile[] = []
    for (const { table, part: { rows, bytes }, path } of moves) {
      if (table === 'ledger') continue
      if (table === 'flows') stats.rows += rows
      else stats.counters += rows
      stats.bytes += bytes
      stats.files++
      files.push({ table, path, rows, bytes })
    }
    pending = pendingCounters = 0
    spans.clear()
    return files
  }

  /** Write a query's rows for the file of the segment in the folder of a table and an hour. */
  async function moveOf(table: 'counters' | 'ledger', hour: number, sql: string): Promise<Move> {
    const metadata = table === 'counters' ? { flowkit_counters: COUNTERS_VERSION } : {}
    const part = await parts.writeQuery(sql, { ...metadata, flowkit_segment: segment })
    return { table, part, path: join(directory, table, hourFolder(hour), `${segment}.parquet`) }
  }

  async function end(): Promise<void> {
    try {
      await parts.close()
    } finally {
      await removeTemporary(temporary)
    }
  }

  return {
    stats,
    write: (batch) => inTurn(() => {
      pending += batch.length
      return guard(() => hours.add(batch))
    }),
    writeCounters: (samples) => inTurn(() => {
      pendingCounters += samples.length
      return guard(() => spool.add(samples))
    }),
    rotate: (rotation = {}) => inTurn(() => guard(() => publish(rotation)).finally(() => begin(rotation.next))),
    skip: (next) => inTurn(async () => {
      await forget()
      await begin(next)
    }),
    close: () => inTurn(() => guard(() => publish({})).then(() => {}).finally(end)),
    abort: () => inTurn(() => {
      lose()
      return end()
    }),
  }
}

interface Move {
  readonly table: ArchiveFile['table'] | 'ledger'
  readonly part: Part
  readonly path: string
}

/**
 * Give files their names, in order.
 *
 * They are durable when it resolves. When it fails, some may have them.
 */
async function giveNames(directory: string, moves: readonly Move[]): Promise<void> {
  const folders = new Set(moves.map(({ path }) => dirname(path)))
  for (const folder of folders) await mkdir(folder, { recursive: true })
  for (const { part, path } of moves) await rename(part.path, path)
  const parents = new Set<string>()
  for (const folder of folders) {
    for (let at = folder; at !== dirname(directory); at = dirname(at)) parents.add(at)
  }
  for (const folder of parents) await syncFolder(folder)
}

async function writeSqlFile(directory: string, temporary: string): Promise<void> {
  const path = join(directory, SQL_FILE)
  try {
    await access(path)
  } catch {
    const fresh = join(temporary, SQL_FILE)
    await writeFile(fresh, archiveSql(directory))
    await rename(fresh, path)
  }
}
