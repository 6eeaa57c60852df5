import { existsSync } from 'node:fs'
import type { DataChunk } from '@duckdb/node-bindings'
import { BATCH_SIZE, FlowBatch } from '../flow/batch.ts'
import { CLOCK_FIELDS, FIELDS, ID, type Field } from '../flow/fields.ts'
import { sqlColumns } from '../flow/sql.ts'
import type { TimeDigits } from '../flow/shape.ts'
import type { Loss } from '../flow/loss.ts'
import type { FlowReader } from '../flow/stream.ts'
import { filterFields, filterToSql, type Filter } from '../filter/filter.ts'
import { overlaps } from '../filter/window.ts'
import { columnsOf } from './columns.ts'
import { duckError, identifier, openDuck, type Duck, type DuckSettings } from './duck.ts'
import { MACROS } from './macros.ts'
import {
  filesSql, ORIGIN_COLUMNS, relationSql, surveyFiles, type BadFile, type ForeignRequest, type Source,
  type Survey, type Window,
} from './survey.ts'
import { createUnpacker } from './unpack.ts'

/** What is wanted of Parquet files. */
export interface ParquetRequest extends Window, ForeignRequest {
  /** Ids of the fields wanted; absent: all but the exporter's clock. */
  readonly fields?: readonly number[]
  readonly extras?: boolean
  readonly filter?: Filter
  /** Put the rows in order; those of equal value keep theirs, those without the field come last. */
  readonly sort?: Sort
  /** As many rows at most. */
  readonly limit?: number
  readonly settings?: DuckSettings
  /** Digits of a second that times have, where that is known: files do not say. */
  readonly timeDigits?: TimeDigits
  /** Where rows are counted that are no flows. */
  readonly loss?: Loss
  /** Told of each file that cannot be read; the others are. */
  onBad(bad: BadFile): void
}

/** An order of rows. */
export interface Sort {
  readonly field: Field
  readonly descending: boolean
}

/** Rows of a chunk, at most. */
const CHUNK_ROWS = 2048

/**
 * Read flows from Parquet files, in the order of the files; only the columns and row groups that are needed.
 *
 * A file that turns out damaged on the way is a bad one as well: what came before the damage stands. Files
 * that are removed meanwhile, the oldest first, are passed over.
 */
export async function* readParquet(paths: readonly string[], request: ParquetRequest): FlowReader {
  const { sort, filter, extras = false, settings } = request
  // to read in order is the work of one thread, more only make it slower; and where a filter has a long list,
  // which DuckDB makes a join of, several lose the order
  const mayShare = sort !== undefined || (filter !== undefined && !/ IN \(/.test(filterToSql(filter)))
  const duck = await openDuck(mayShare ? settings : { ...settings, threads: 1 })
  try {
    await duck.run(MACROS)
    const survey = await surveyFiles(duck, paths, request, request.onBad, request)
    if (request.loss) request.loss.rows.unknown += await countOthers(duck, survey)
    const wanted = wantedFields(survey, request)
    const columns = new Set(wanted)
    // whether an IPv4-mapped address is IPv4
    if (wanted.has(FIELDS[ID.srcAddr]) || wanted.has(FIELDS[ID.dstAddr])) columns.add(FIELDS[ID.etype])
    const fields = FIELDS.filter((field) => columns.has(field))
    const [known] = survey.sources.map(({ foreign }) => foreign?.timeDigits)
    const isSame = survey.sources.every(({ foreign }) => foreign?.timeDigits === known)
    const digits = request.timeDigits ?? (isSame ? known : undefined)
    const unpack = createUnpacker(duck.api, fields, wanted, extras && survey.extras, digits)
    const batch = new FlowBatch()
    for await (const chunk of chunks(duck, survey, fields, request)) {
      unpack(chunk, batch)
      if (batch.length + CHUNK_ROWS <= BATCH_SIZE) continue
      yield batch
      batch.clear()
    }
    if (batch.length > 0) yield batch
  } finally {
    await duck.close()
  }
}

/** How many rows are no flows, as far as files can be read. */
async function countOthers(duck: Duck, { sources }: Survey): Promise<number> {
  let count = 0
  for (const { paths, foreign } of sources) {
    if (foreign?.isFlow === undefined) continue
    const query = `SELECT count(*) FROM ${filesSql(paths)} WHERE NOT coalesce(${foreign.isFlow}, false)`
    const [[rows]] = await duck.rows(query).catch(() => [[0]]) // the flows' reading will tell of it
    count += Number(rows)
  }
  return count
}

/** The fields that rows are to have, of those that some row has. */
function wantedFields({ fields: known }: Survey, { fields }: ParquetRequest): Set<Field> {
  const ids = fields ?? FIELDS.map(({ id }) => id).filter((id) => !CLOCK_FIELDS.includes(id))
  return new Set(ids.map((id) => FIELDS[id]).filter((field) => known.has(field)))
}

/** The rows asked for, with the columns of `fields`. */
async function* chunks(
  duck: Duck, survey: Survey, fields: readonly Field[], request: ParquetRequest,
): AsyncGenerator<DataChunk> {
  let rows = 0
  async function* run(of: Survey, skip: number): AsyncGenerator<DataChunk> {
    if (rows === request.limit) return
    const query = querySql(of, fields, request)
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit - rows}`
    for await (const chunk of duck.stream(`${query}${limit}${skip === 0 ? '' : ` OFFSET ${skip}`}`)) {
      rows += duck.api.data_chunk_get_size(chunk)
      yield chunk
    }
  }
  for (let of = survey; ;) {
    try {
      return yield* run(of, 0)
    } catch (error) {
      const paths = of.sources.flatMap((source) => source.paths)
      const left = paths.filter((path) => existsSync(path))
      if (rows > 0 || left.length === paths.length) {
        if (request.sort) throw duckError(error, 'sort flows')
        break
      }
      of = await surveyFiles(duck, left, request, request.onBad, request)
    }
  }
  // a file is damaged: go on from here file by file, with nothing computed ahead that would be lost
  await duck.run(`SET streaming_buffer_size = '1kB'`)
  let skip = rows
  for (const source of survey.sources) {
    for (const path of source.paths) {
      if (!existsSync(path)) {
        skip = 0 // with it all is gone that was read before
        continue
      }
      try {
        const sql = querySql(await surveyOne(duck, path, survey, source), fields, request)
        const [[count]] = skip === 0 ? [[1]] : await duck.rows(`SELECT count(*) FROM (${sql})`)
        if (Number(count) > skip) {
          yield* run(await surveyOne(duck, path, survey, source), skip)
          skip = 0
        } else skip -= Number(count)
      } catch (error) {
        // the rows that came before the damage were those to be skipped
        skip = 0
        if (existsSync(path)) request.onBad({ path, error: duckError(error, `read ${path}`) })
      }
    }
  }
}

/** A survey of one of the files: it may lack columns that others have. */
async function surveyOne(
  duck: Duck, path: string, survey: Survey, { foreign }: Source,
): Promise<Survey> {
  if (foreign) return { ...survey, sources: [{ paths: [path], foreign }] }
  const own = await surveyFiles(duck, [path], {}, ({ error }) => { throw error })
  return { ...own, extras: survey.extras }
}

/** The query for all rows asked for, without a limit. */
function querySql(survey: Survey, fields: readonly Field[], request: ParquetRequest): string {
  const { since, until, filter, sort } = request
  const extras = request.extras === true && survey.extras
  const tests: string[] = []
  const used = new Set(fields)
  if (since !== undefined || until !== undefined) {
    tests.push(windowSql(survey.timed, request))
    for (const id of [ID.flowStart, ID.flowEnd, ID.eventTime, ID.received]) used.add(FIELDS[id])
  }
  if (filter) {
    tests.push(filterToSql(filter))
    for (const id of filterFields(filter)) used.add(FIELDS[id])
  }
  if (sort) used.add(sort.field)
  const relation = relationSql(survey, [...used], extras, sort !== undefined)
  const columns = columnsOf(fields, extras).map(({ name }) => identifier(name))
  return `SELECT ${columns.join(', ') || '1'} FROM (${relation})`
    + (tests.length > 0 ? ` WHERE ${tests.join(' AND ')}` : '')
    + (sort ? ` ORDER BY ${sortSql(sort)}, ${ORIGIN_COLUMNS.join(', ')}` : '')
}

/**
 * Flows that overlap the window, as `overlaps` has it. Where every row has its start and end it is two plain
 * comparisons, by which DuckDB passes over row groups.
 */
export function windowSql(timed: boolean, { since, until }: Window): string {
  if (!timed) return filterToSql(overlaps(since, until))
  const tests: string[] = []
  if (since !== undefined) tests.push(`flow_end >= make_timestamp(${since}::BIGINT)`)
  if (until !== undefined) tests.push(`flow_start < make_timestamp(${until}::BIGINT)`)
  return tests.join(' AND ')
}

/** What stands behind ORDER BY. */
export function sortSql({ field, descending }: Sort): string {
  const order = descending ? 'DESC' : 'ASC'
  return sqlColumns(field).map(({ name }) => `${identifier(name)} ${order} NULLS LAST`).join(', ')
}
