import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { EXTRA_COLUMN } from '../duck/columns.ts'
import { duckError, identifier, openDuck, quote, type Duck } from '../duck/duck.ts'
import { decodeChunk, type SqlValue } from '../duck/values.ts'
import type { Window } from '../duck/survey.ts'
import { FlowkitError } from '../flow/errors.ts'
import type { Fault } from '../flow/stream.ts'
import {
  findCounter, ORIGIN_COLUMNS, type CounterReader, type CounterRow,
} from '../netflow/sflow/counter-row.ts'
import { HOUR } from './names.ts'

/** What is wanted of counter samples. */
export interface CounterFilesRequest {
  /** Samples received in [since, until), µs since the epoch. */
  readonly since?: number
  readonly until?: number
  /** Told of each file that cannot be read; the others are. */
  onFault(fault: Fault): void
}

/**
 * Read counter samples from an archive, or from a Parquet file of one.
 *
 * They come in the order of the files' names. A file that turns out damaged on the way is a fault as well:
 * what came before the damage stands.
 */
export async function* readCounters(path: string, request: CounterFilesRequest): CounterReader {
  const isFile = (await stat(path)).isFile()
  const files = isFile ? [path] : await counterFiles(path, request)
  if (files.length === 0) return
  const duck = await openDuck({ threads: 1 })
  try {
    for (const [file, names] of await surveyCounters(duck, files, request.onFault)) {
      try {
        yield* rowsOf(duck, file, names, request)
      } catch (error) {
        if (existsSync(file)) request.onFault(faultOf(error, file)) // else it has expired
      }
    }
  } finally {
    await duck.close()
  }
}

/** The files of counter samples of an archive, without those of hours outside the window. */
export async function counterFiles(
  archive: string, { since = -Infinity, until = Infinity }: Window = {},
): Promise<string[]> {
  const root = join(archive, 'counters')
  const entries = await readdir(root, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] // none has come
    throw error
  })
  return entries.filter((entry) => {
    if (!entry.endsWith('.parquet')) return false
    const found = /date=(\d{4}-\d\d-\d\d)[/\\]hour=(\d\d)[/\\]/.exec(entry)
    if (!found) return true
    const start = Date.parse(`${found[1]}T${found[2]}:00:00Z`) * 1000
    return !(start + HOUR <= since || start >= until)
  }).sort().map((entry) => join(root, entry))
}

/**
 * The columns of files of counter samples, by path in their order.
 *
 * @param onFault told of each file that is left out since it is damaged or holds something else
 */
export async function surveyCounters(
  duck: Duck, files: readonly string[], onFault: (fault: Fault) => void,
): Promise<Map<string, string[]>> {
  try {
    return await columnsOf(duck, files)
  } catch {
    // one of them at least is bad: which?
    const all = new Map<string, string[]>()
    for (const file of files) {
      try {
        for (const [path, names] of await columnsOf(duck, [file])) all.set(path, names)
      } catch (error) {
        if (existsSync(file)) onFault(faultOf(error, file))
      }
    }
    return all
  }
}

async function columnsOf(duck: Duck, files: readonly string[]): Promise<Map<string, string[]>> {
  const all = new Map<string, string[]>(files.map((file) => [file, []]))
  if (files.length === 0) return all
  const rows = await duck.rows(`
    SELECT file_name, name FROM parquet_schema([${files.map(quote).join(', ')}]) WHERE num_children IS NULL`)
  for (const [file, name] of rows) all.get(String(file))?.push(String(name))
  for (const [file, names] of all) {
    const missing = ORIGIN_COLUMNS.find(({ name }) => !names.includes(name))
    if (!missing) continue
    const message = `Cannot read ${file} as counter samples: it has no column ${missing.name}`
    throw new FlowkitError('ERR_INPUT', message)
  }
  return all
}

async function* rowsOf(
  duck: Duck, file: string, present: readonly string[], { since, until }: CounterFilesRequest,
): CounterReader {
  const names = present.filter((name) => name === EXTRA_COLUMN || findCounter(name))
  const columns = names.map((name) => name === 'received' ? 'epoch_us(received)' : identifier(name))
  const tests: string[] = []
  if (since !== undefined) tests.push(`received >= make_timestamp(${since}::BIGINT)`)
  if (until !== undefined) tests.push(`received < make_timestamp(${until}::BIGINT)`)
  const where = tests.length > 0 ? ` WHERE ${tests.join(' AND ')}` : ''
  const sql = `SELECT ${columns.join(', ')} FROM read_parquet(${quote(file)})${where}`
  for await (const chunk of duck.stream(sql)) {
    yield decodeChunk(duck.api, chunk).map((values) => rowOf(names, values))
  }
}

function rowOf(names: readonly string[], values: readonly SqlValue[]): CounterRow {
  const row: CounterRow = {}
  for (const [i, name] of names.entries()) {
    const value = values[i]
    if (value === null) continue
    if (name !== EXTRA_COLUMN) row[name] = typeof value === 'string' ? value : Number(value)
    else for (const [name, each] of Object.entries(JSON.parse(String(value)) as CounterRow)) {
      if (findCounter(name)) row[name] = each
    }
  }
  return row
}

function faultOf(error: unknown, file: string): Fault {
  const told = error instanceof FlowkitError ? error : duckError(error, `read ${file}`)
  return { code: told instanceof FlowkitError ? told.code : 'ERR_INPUT', reason: told.message }
}
