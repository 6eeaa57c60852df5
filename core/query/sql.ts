import { existsSync } from 'node:fs'
import { counterFiles, surveyCounters } from '../archive/counter-files.ts'
import { NO_COUNTERS } from '../archive/counter-sql.ts'
import { isArchive } from '../archive/places.ts'
import { archiveFiles } from '../archive/reader.ts'
import { EXTRA_COLUMN } from '../duck/columns.ts'
import { duckError, identifier, openDuck, quote, type Duck, type DuckSettings } from '../duck/duck.ts'
import { MACROS } from '../duck/macros.ts'
import { spoolFlows } from '../duck/spool.ts'
import { faultOf, filesSql, relationSql, surveyFiles, type Survey } from '../duck/survey.ts'
import { decodeChunk, isDecodable, type SqlValue } from '../duck/values.ts'
import { FlowkitError } from '../flow/errors.ts'
import { FIELDS } from '../flow/fields.ts'
import { CORE_FIELDS } from '../flow/sql.ts'
import type { Fault, FlowReader } from '../flow/stream.ts'

/** How to run a query. */
export interface SqlOptions {
  readonly settings?: DuckSettings
  /** Stops the query when aborted. */
  readonly signal?: AbortSignal
  /** Told of each file that cannot be read; the others are. */
  onFault(fault: Fault): void
}

/** The result of a query: read the rows, then close. */
export interface SqlResult {
  /** Names, and DuckDB's names of types. */
  readonly columns: readonly { readonly name: string, readonly type: string }[]
  /**
   * The rows, up to 2048 at a time.
   *
   * @throws FlowkitError when the query fails on the way: ERR_INPUT since files were removed, else ERR_SYNTAX
   */
  readonly rows: AsyncGenerator<SqlValue[][]>
  close(): Promise<void>
}

/**
 * Run a user's query over an archive, or Parquet files: one SELECT over the view `flows`.
 *
 * The view has the columns of all files and the core fields; addresses are `src_addr` as text and
 * `src_addr_hi`, `src_addr_lo` as numbers, MAC addresses are text. The macros `addr`, `cidr` and `mac` are
 * there; over an archive also the view `counters`, the counter samples of sFlow. The query can read these
 * files and nothing else, and write nothing.
 *
 * An archive lets go of what is old, or puts it into larger files: as long as no rows have come, the query is
 * then run again over what is there.
 *
 * @throws FlowkitError ERR_SYNTAX if it is not one SELECT that DuckDB takes, ERR_INPUT if files are removed
 *   again and again
 */
export async function runSql(
  paths: string | readonly string[], query: string, options: SqlOptions,
): Promise<SqlResult> {
  const told = new Set<string>()
  function onFault(fault: Fault): void {
    if (told.has(fault.reason)) return
    told.add(fault.reason)
    options.onFault(fault)
  }
  for (let run = 0; run < MOST_RUNS; run++) {
    const result = await openSql(paths, await archiveFiles(paths), query, { ...options, onFault })
    if (result) return result
  }
  const message = 'Cannot query the archive: its files are removed faster than they are read'
  throw new FlowkitError('ERR_INPUT', message)
}

/** How often a query is begun, while files go. */
const MOST_RUNS = 5

/** @returns undefined if files have gone meanwhile */
async function openSql(
  paths: string | readonly string[], files: readonly string[], query: string, options: SqlOptions,
): Promise<SqlResult | undefined> {
  const duck = await openDuck(options.settings)
  const asked = [...files]
  try {
    await duck.run(MACROS)
    const survey = await surveyFiles(duck, files, {}, (bad) => options.onFault(faultOf(bad)))
    await duck.run(viewSql(survey))
    const counters = await viewCounters(duck, paths, options.onFault)
    asked.push(...counters)
    await lock(duck, [...survey.sources.flatMap((source) => source.paths), ...counters])
    if (areThere(files)) return await start(duck, query, asked, options.signal) // else the survey lacks some
  } catch (error) {
    if (areThere(asked)) {
      await duck.close()
      throw error instanceof FlowkitError ? error : duckError(error, 'query the archive')
    }
  }
  await duck.close()
  return undefined
}

function areThere(files: readonly string[]): boolean {
  return files.every((file) => existsSync(file))
}

/** The same over all flows of a reader. */
export async function runSqlOnFlows(
  reader: FlowReader, query: string, options: SqlOptions,
): Promise<SqlResult> {
  const spool = await spoolFlows(reader, CORE_FIELDS)
  try {
    const result = await runSql(spool.paths, query, options)
    return { ...result, close: () => result.close().finally(spool.remove) }
  } catch (error) {
    await spool.remove()
    throw error
  }
}

function viewSql(survey: Survey): string {
  const present = new Set([...CORE_FIELDS, ...survey.fields])
  const fields = FIELDS.filter((field) => present.has(field))
  const columns = fields.flatMap(({ name, type }) => {
    if (type === 'addr') return [`addr(${name}_hi, ${name}_lo) AS ${name}`, `${name}_hi`, `${name}_lo`]
    return type === 'mac' ? [`mac(${name}) AS ${name}`] : [identifier(name)]
  })
  if (survey.extras) columns.push(`${EXTRA_COLUMN}::JSON AS ${EXTRA_COLUMN}`)
  const relation = relationSql(survey, fields, survey.extras)
  return `CREATE VIEW flows AS SELECT ${columns.join(', ')} FROM (${relation})`
}

/** Make the view `counters`, where there is an archive. @returns its files */
async function viewCounters(
  duck: Duck, paths: string | readonly string[], onFault: (fault: Fault) => void,
): Promise<string[]> {
  let found: string[] | undefined
  for (const path of typeof paths === 'string' ? [paths] : paths) {
    if (await isArchive(path)) found = [...found ?? [], ...await counterFiles(path)]
  }
  if (!found) return []
  const files = [...(await surveyCounters(duck, found, onFault)).keys()]
  await duck.run(`CREATE VIEW counters AS ${files.length > 0 ? `FROM ${filesSql(files)}` : NO_COUNTERS}`)
  return files
}

/** Leave the query nothing but the files. DuckDB checks each access, whatever function asks for it. */
async function lock(duck: Duck, paths: readonly string[]): Promise<void> {
  await duck.run(`SET allowed_paths = [${paths.map(quote).join(', ')}]`)
  await duck.run('SET enable_external_access = false')
  await duck.run('SET lock_configuration = true')
}

async function start(
  duck: Duck, query: string, files: readonly string[], signal: AbortSignal | undefined,
): Promise<SqlResult> {
  const { api } = duck
  const stop = () => duck.interrupt()
  signal?.throwIfAborted()
  signal?.addEventListener('abort', stop)
  const columns = await check(duck, query)
  // types that have no simple value are shown as DuckDB writes them
  const shown = columns.map(({ simple }, i) => simple ? `#${i + 1}` : `#${i + 1}::VARCHAR`)
  const names = columns.map(({ name }, i) => `${shown[i]} AS ${identifier(name)}`)
  const sql = `SELECT ${names.join(', ')} FROM query(${quote(query)})`
  const chunks = duck.stream(sql)
  const first = await chunks.next().catch((error: unknown) => {
    signal?.removeEventListener('abort', stop)
    signal?.throwIfAborted()
    throw syntaxError(error)
  })

  async function* rows(): AsyncGenerator<SqlValue[][]> {
    if (first.done === true) return
    yield decodeChunk(api, first.value)
    try {
      for await (const chunk of chunks) yield decodeChunk(api, chunk)
    } catch (error) {
      signal?.throwIfAborted()
      if (areThere(files)) throw syntaxError(error)
      const message = 'Cannot finish the query: files were removed while it ran'
      throw new FlowkitError('ERR_INPUT', message, { cause: error })
    }
  }
  return {
    columns: columns.map(({ name, type }) => ({ name, type })),
    rows: rows(),
    close: () => {
      signal?.removeEventListener('abort', stop)
      return duck.close()
    },
  }
}

/** Make sure that a query is one SELECT. @returns its columns */
async function check(duck: Duck, query: string): Promise<{ name: string, type: string, simple: boolean }[]> {
  const { api, connection } = duck
  const found = await api.extract_statements(connection, query)
  const { extracted_statements: extracted, statement_count: count } = found
  if (count === 0) {
    let error: unknown = 'it is empty'
    try {
      error = api.extract_statements_error(extracted)
    } catch {} // there is none: that is how the package tells
    throw syntaxError(error)
  }
  if (count !== 1) throw syntaxError(`expected one SELECT, found ${count} statements`)
  try {
    const statement = await api.prepare_extracted_statement(connection, extracted, 0)
    const type = api.prepared_statement_type(statement)
    if (type !== api.StatementType.SELECT) {
      throw syntaxError(`expected a SELECT, found ${api.StatementType[type]}`)
    }
    if (api.nparams(statement) > 0) throw syntaxError('it has parameters')
    return Array.from({ length: api.prepared_statement_column_count(statement) }, (_, i) => {
      const id = api.prepared_statement_column_type(statement, i)
      const name = api.prepared_statement_column_name(statement, i)
      return { name, type: api.Type[id], simple: isDecodable(api, id) }
    })
  } catch (error) {
    throw error instanceof FlowkitError ? error : syntaxError(error)
  }
}

/** With the place in the query, which DuckDB shows in the lines behind the first. */
function syntaxError(error: unknown): FlowkitError {
  const text = error instanceof Error ? error.message : String(error)
  return new FlowkitError('ERR_SYNTAX', `Cannot run the query: ${text.trim()}`, { cause: error })
}
