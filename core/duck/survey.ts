import { existsSync } from 'node:fs'
import { FlowkitError } from '../flow/errors.ts'
import { FIELDS, type Field } from '../flow/fields.ts'
import { sqlColumns } from '../flow/sql.ts'
import type { Fault } from '../flow/stream.ts'
import { columnsOf, EXTRA_COLUMN } from './columns.ts'
import { duckError, identifier, quote, type Duck } from './duck.ts'
import { foreignColumns, type ForeignColumns } from './foreign.ts'
import { SCHEMA_VERSION } from './parquet.ts'
import { isVpcLog, vpcColumns } from './vpc.ts'

/** Files that can be read in one way. */
export interface Source {
  readonly paths: readonly string[]
  /** What is taken for columns of fields; undefined: the columns are there as they are. */
  readonly foreign?: ForeignColumns
}

/** How to take the columns of files that flowkit did not write. */
export interface ForeignRequest {
  /** Names of columns to those of the fields that they fill. */
  readonly map?: ReadonlyMap<string, string>
  /** They are VPC flow logs, also those that cannot be told by their columns. */
  readonly vpc?: boolean
}

/** What Parquet files hold, as far as their footers tell. */
export interface Survey {
  /** In the order of the files. */
  readonly sources: readonly Source[]
  /** Fields of which some row may have a value. */
  readonly fields: ReadonlySet<Field>
  /** Whether there are elements without a field. */
  readonly extras: boolean
  /** Whether flowkit's own files have a column for them. */
  readonly ownExtras: boolean
  /** Every row has a start and an end. */
  readonly timed: boolean
}

/** A file that cannot be read as flows. */
export interface BadFile {
  readonly path: string
  readonly error: Error
}

/** Flows that overlap [since, until), µs since the epoch. */
export interface Window {
  readonly since?: number | undefined
  readonly until?: number | undefined
}

/**
 * Ask something of files; where that fails and some are gone, ask the others: an archive lets go of what is
 * old while it is read.
 */
export async function askFiles<Answer>(
  paths: readonly string[], ask: (paths: readonly string[]) => Promise<Answer>,
): Promise<Answer> {
  for (let asked = paths; ;) {
    try {
      return await ask(asked)
    } catch (error) {
      const left = asked.filter((path) => existsSync(path))
      if (left.length === asked.length) throw error
      asked = left
    }
  }
}

/**
 * Look into the footers of files: which can be read, and hold flows of a window, and what columns they have.
 *
 * Of a long flow that lies in a later file, the statistics tell; a folder's name does not. Files that are
 * gone are left out.
 *
 * @param onBad told of each file that is left out since it cannot be read
 */
export async function surveyFiles(
  duck: Duck, paths: readonly string[], window: Window, onBad: (bad: BadFile) => void,
  request: ForeignRequest = {},
): Promise<Survey> {
  const { survey, bad } = await askFiles(paths, async (asked) => {
    const bad: BadFile[] = []
    return { survey: await surveyOnce(duck, asked, window, (file) => bad.push(file), request), bad }
  })
  for (const file of bad) if (existsSync(file.path)) onBad(file)
  return survey
}

async function surveyOnce(
  duck: Duck, paths: readonly string[], window: Window, onBad: (bad: BadFile) => void,
  { map, vpc = false }: ForeignRequest,
): Promise<Survey> {
  const { own, foreign } = await tellApart(duck, paths, onBad)
  const windowed = window.since !== undefined || window.until !== undefined
  const { kept, columns } = await askSound(own, onBad, async (files) => {
    const kept = windowed ? await inWindow(duck, files, window) : files
    return { kept, columns: await presence(duck, kept) }
  })
  const fields = new Set(FIELDS.filter((field) => columns.get(sqlColumns(field)[0].name)?.any))
  const others = new Map<string, ForeignColumns>()
  for (const path of foreign) {
    try {
      const found = await describe(duck, path)
      const taken = vpc || isVpcLog(found) ? vpcColumns(found, map) : foreignColumns(found, map)
      if (taken.fields.size === 0) {
        const message = `Cannot read ${path} as flows: it has no column that flowkit knows`
        throw new FlowkitError('ERR_INPUT', message)
      }
      others.set(path, taken)
      for (const field of taken.fields) fields.add(field)
    } catch (error) {
      onBad({ path, error: asError(error, path) })
    }
  }
  const isKept = new Set(kept)
  const sources: { paths: string[], foreign?: ForeignColumns }[] = []
  for (const path of paths) {
    const foreign = others.get(path)
    const last = sources.at(-1)
    if (foreign) sources.push({ paths: [path], foreign })
    else if (!isKept.has(path)) continue
    else if (last && !last.foreign) last.paths.push(path)
    else sources.push({ paths: [path] })
  }
  const always = (name: string) => kept.length === 0 || columns.get(name)?.all === true
  const ownExtras = columns.has(EXTRA_COLUMN)
  return {
    sources, fields, ownExtras,
    extras: ownExtras || others.values().some(({ expressions }) => expressions.has(EXTRA_COLUMN)),
    timed: others.size === 0 && always('flow_start') && always('flow_end'),
  }
}

/** Columns of `relationSql` that tell where a row came from: in this order, rows are as in the files. */
export const ORIGIN_COLUMNS = ['origin_source', 'origin_file', 'origin_row'] as const

/**
 * The rows of files as a query with the columns of `fields`, in the order of the files; NULL where a file has
 * none. The extra elements follow, if `extras`, and ORIGIN_COLUMNS, if `origin`.
 */
export function relationSql(
  { sources, fields: known, ownExtras }: Survey, fields: readonly Field[], extras: boolean,
  origin: boolean = false,
): string {
  const columns = columnsOf(fields, extras)
  const present = columnsOf(fields.filter((field) => known.has(field)), extras && ownExtras)
  const own = new Set(present.map(({ name }) => name))
  const selects = sources.map(({ paths, foreign }, i) => {
    const list = columns.map(({ name, type }) => {
      const found = foreign ? foreign.expressions.get(name) : own.has(name) ? identifier(name) : undefined
      return `${found ?? 'NULL'}::${type} AS ${identifier(name)}`
    })
    const origins = [i, 'file_index', 'file_row_number'].map((what, n) => `${what} AS ${ORIGIN_COLUMNS[n]}`)
    if (origin) list.push(...origins)
    const rows = foreign?.isFlow === undefined ? '' : ` WHERE ${foreign.isFlow}`
    return `SELECT ${list.join(', ') || '1'} FROM ${filesSql(paths)}${rows}`
  })
  if (selects.length > 0) return selects.join(' UNION ALL ')
  const nothing = columns.map(({ name, type }) => `NULL::${type} AS ${identifier(name)}`)
  if (origin) nothing.push(...ORIGIN_COLUMNS.map((name) => `0 AS ${name}`))
  return `SELECT ${nothing.join(', ') || '1'} WHERE false`
}

/** A call of `read_parquet`, for files of schema 1. */
export function filesSql(paths: readonly string[]): string {
  return `read_parquet(${list(paths)}, union_by_name = true, hive_partitioning = false)`
}

function list(paths: readonly string[]): string {
  return `[${paths.map(quote).join(', ')}]`
}

/** Ask something of files; where that fails, those of which it fails alone are bad, the others are asked. */
async function askSound<Answer>(
  paths: readonly string[], onBad: (bad: BadFile) => void, ask: (paths: readonly string[]) => Promise<Answer>,
): Promise<Answer> {
  try {
    return await ask(paths)
  } catch {
    const sound: string[] = []
    for (const path of paths) {
      try {
        await ask([path])
        sound.push(path)
      } catch (error) {
        onBad({ path, error: asError(error, path) })
      }
    }
    return await ask(sound)
  }
}

/** Sort files into flowkit's own and others by their metadata. */
async function tellApart(
  duck: Duck, paths: readonly string[], onBad: (bad: BadFile) => void,
): Promise<{ own: string[], foreign: string[] }> {
  const versions = new Map<string, string>()
  const bad = new Set<string>()
  const ask = async (some: readonly string[]) => {
    if (some.length === 0) return
    const rows = await duck.rows(`
      SELECT file_name, decode(value), decode(key) FROM parquet_kv_metadata(${list(some)})
      WHERE decode(key) IN ('flowkit_schema', 'flowkit_counters')`)
    for (const [file, version, key] of rows) {
      const path = String(file)
      if (key === 'flowkit_schema') versions.set(path, String(version))
      else {
        bad.add(path)
        const found = 'it holds counter samples, see flowkit read --counters'
        onBad({ path, error: new FlowkitError('ERR_INPUT', `Cannot read ${path} as flows: ${found}`) })
      }
    }
  }
  try {
    await ask(paths)
  } catch {
    // one of them at least is bad: which?
    for (const path of paths) {
      await ask([path]).catch((error: unknown) => {
        bad.add(path)
        onBad({ path, error: asError(error, path) })
      })
    }
  }
  const own: string[] = []
  const foreign: string[] = []
  for (const path of paths) {
    const version = versions.get(path)
    if (bad.has(path)) continue
    if (version === undefined) foreign.push(path)
    else if (version === SCHEMA_VERSION) own.push(path)
    else {
      const found = `it has schema ${version} of a later flowkit, expected ${SCHEMA_VERSION}`
      onBad({ path, error: new FlowkitError('ERR_UNSUPPORTED', `Cannot read ${path}: ${found}`) })
    }
  }
  return { own, foreign }
}

/** Files that can hold flows of a window, by their row groups' statistics of all times. */
async function inWindow(duck: Duck, paths: readonly string[], { since, until }: Window): Promise<string[]> {
  if (paths.length === 0) return []
  const times = ['flow_start', 'flow_end', 'event_time', 'received']
  const columns = times.map((name) => `
    any_value(stats_min_value::TIMESTAMP) FILTER (path_in_schema = '${name}') AS ${name}_min,
    any_value(stats_max_value::TIMESTAMP) FILTER (path_in_schema = '${name}') AS ${name}_max,
    any_value(stats_null_count) FILTER (path_in_schema = '${name}') AS ${name}_nulls`)
  // where some row lacks its start or end, another of its times stands for it
  const bound = (name: string, which: string, outermost: string) => {
    const all = times.map((time) => `${time}_${which}`).join(', ')
    return `CASE WHEN ${name}_nulls = 0 THEN ${name}_${which} ELSE ${outermost}(${all}) END`
  }
  const [end, start] = [bound('flow_end', 'max', 'greatest'), bound('flow_start', 'min', 'least')]
  const tests: string[] = []
  if (since !== undefined) tests.push(`${end} >= make_timestamp(${since}::BIGINT)`)
  if (until !== undefined) tests.push(`${start} < make_timestamp(${until}::BIGINT)`)
  const rows = await duck.rows(`
    SELECT DISTINCT file_name FROM (
      SELECT file_name, row_group_id, ${columns.join(',')}
      FROM parquet_metadata(${list(paths)}) WHERE path_in_schema IN (${times.map(quote).join(', ')})
      GROUP BY file_name, row_group_id)
    WHERE ${tests.map((test) => `coalesce(${test}, true)`).join(' AND ')}`)
  const kept = new Set(rows.map(([path]) => path))
  return paths.filter((path) => kept.has(path))
}

/** The columns of files: whether any row has a value, and whether all have. */
async function presence(
  duck: Duck, paths: readonly string[],
): Promise<Map<string, { any: boolean, all: boolean }>> {
  if (paths.length === 0) return new Map()
  const rows = await duck.rows(`
    SELECT path_in_schema, bool_or(stats_null_count IS NULL OR stats_null_count < num_values),
      coalesce(bool_and(stats_null_count = 0), false) AND count(DISTINCT file_name) = ${paths.length}
    FROM parquet_metadata(${list(paths)}) GROUP BY path_in_schema`)
  return new Map(rows.map(([name, any, all]) => [String(name), { any: any === true, all: all === true }]))
}

async function describe(duck: Duck, path: string): Promise<{ name: string, type: string }[]> {
  const rows = await duck.rows(`SELECT column_name, column_type FROM (DESCRIBE FROM ${filesSql([path])})`)
  return rows.map(([name, type]) => ({ name: String(name), type: String(type) }))
}

/** A bad file as a fault, for those who tell the user. */
export function faultOf({ error }: BadFile): Fault {
  return { code: error instanceof FlowkitError ? error.code : 'ERR_INPUT', reason: error.message }
}

function asError(error: unknown, path: string): Error {
  return error instanceof FlowkitError ? error : duckError(error, `read ${path}`)
}
