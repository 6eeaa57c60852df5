import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connection, DataChunk, Result } from '@duckdb/node-bindings'
import { FlowkitError } from '../flow/errors.ts'
import { loadDuck, type Bindings } from './bindings.ts'
import { collectGarbage } from './garbage.ts'
import { decodeChunk, type SqlValue } from './values.ts'

/** How much of the machine a DuckDB may take. */
export interface DuckSettings {
  /** As many as there are processors unless told. */
  readonly threads?: number
  /** Bytes; what sorting and grouping need beyond goes to the temporary folder. 1 GiB unless told. */
  readonly memory?: number
  /** Whether rows that are not sorted keep the order of their files; costs memory. True unless told. */
  readonly ordered?: boolean
}

/** One DuckDB in memory, with one connection. */
export interface Duck {
  readonly api: Bindings
  readonly connection: Connection
  /** Run one statement. @throws Error with DuckDB's message */
  run(sql: string): Promise<void>
  /** All rows of a query, each an array of its columns. @throws Error with DuckDB's message */
  rows(sql: string): Promise<SqlValue[][]>
  /** The chunks of a query, as they are computed. @throws Error with DuckDB's message */
  stream(sql: string): AsyncGenerator<DataChunk>
  /** Stop the query that runs, which then fails, and all later ones of `stream`. */
  interrupt(): void
  /** Stop the query that runs, if any, and let go of memory and temporary files. */
  close(): Promise<void>
}

const DEFAULT_MEMORY = 2 ** 30
/** Chunks of 2048 rows between two collections; see `collectGarbage`. */
const CHUNKS_PER_COLLECTION = 8

/** Open a DuckDB that reads and writes files but no network, and keeps no state. */
export async function openDuck(
  { threads = availableParallelism(), memory = DEFAULT_MEMORY, ordered = true }: DuckSettings = {},
): Promise<Duck> {
  const api = await loadDuck()
  const spill = join(tmpdir(), `flowkit-${process.pid}-${randomBytes(6).toString('hex')}`)
  const config = api.create_config()
  const settings: Record<string, string> = {
    threads: String(threads),
    memory_limit: `${Math.ceil(memory / 2 ** 20)}MiB`,
    preserve_insertion_order: String(ordered),
    temp_directory: spill,
    enable_external_file_cache: 'false', // files are read once
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_persistent_secrets: 'false',
  }
  for (const [name, value] of Object.entries(settings)) api.set_config(config, name, value)
  const database = await api.open(':memory:', config)
  const connection = await api.connect(database)
  let running: Promise<unknown> | undefined
  let interrupted = false
  let closing = false

  async function run(sql: string): Promise<void> {
    await api.query(connection, sql)
  }

  async function rows(sql: string): Promise<SqlValue[][]> {
    const result = await api.query(connection, sql)
    const all: SqlValue[][] = []
    for (;;) {
      const chunk = await api.fetch_chunk(result)
      if (!chunk || api.data_chunk_get_size(chunk) === 0) return all
      for (const row of decodeChunk(api, chunk)) all.push(row)
    }
  }

  async function* stream(sql: string): AsyncGenerator<DataChunk> {
    await run('BEGIN')
    let ended = false
    try {
      const statement = await api.prepare(connection, sql)
      const result = await api.execute_prepared_streaming(statement)
      // one chunk ahead: DuckDB works on the next while the caller has this one
      let next = fetch(result)
      for (let count = 1; ; count++) {
        const chunk = await next
        if (!chunk) break
        next = fetch(result)
        yield chunk
        if (count % CHUNKS_PER_COLLECTION === 0) collectGarbage()
      }
      ended = true
      // a query that fails on the way ends like one that is done, but its transaction takes nothing more
      const done = await run('SELECT 1').then(() => true, () => false)
      if (!done) await explain(sql)
    } finally {
      if (!ended) api.interrupt(connection) // the caller wants no more
      await running?.catch(() => {})
      if (!closing) await run('ROLLBACK')
    }
  }

  /** Find out why a query failed, by running it whole. */
  async function explain(sql: string): Promise<never> {
    if (interrupted) throw new Error('INTERRUPT Error: Interrupted')
    await run('ROLLBACK')
    await run('BEGIN')
    await run(`SELECT max(COLUMNS(*)) FROM (${sql})`)
    throw new Error('the query ended early')
  }

  function interrupt(): void {
    interrupted = true
    api.interrupt(connection)
  }

  function fetch(result: Result): Promise<DataChunk | undefined> {
    const chunk = api.fetch_chunk(result)
      .then((found) => found && api.data_chunk_get_size(found) > 0 ? found : undefined)
    chunk.catch(() => {}) // nobody may wait for it any more
    running = chunk
    return chunk
  }

  async function close(): Promise<void> {
    closing = true
    interrupt()
    await running?.catch(() => {})
    api.disconnect_sync(connection)
    api.close_sync(database)
    await rm(spill, { recursive: true, force: true })
  }

  await run(`SET TimeZone = 'UTC'`)
  return { api, connection, run, rows, stream, interrupt, close }
}

/** `text` as an SQL literal. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** `name` as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * What to tell the user of an error DuckDB threw: its first line, without the kind of error before it.
 *
 * Where the system refused (disk full, no permission) it is an error with the system's code, as Node has it.
 */
export function duckError(error: unknown, doing: string): Error {
  const text = error instanceof Error ? error.message : String(error)
  const line = text.split('\n')[0].replace(/^[A-Z][\w ]* Error: /, '')
  const refused = SYSTEM_ERRORS.find(([, words]) => text.includes(words))
  if (refused) {
    const [code, words] = refused
    return Object.assign(new Error(`Cannot ${doing}: ${words.toLowerCase()}`), { code })
  }
  return new FlowkitError('ERR_INPUT', `Cannot ${doing}: ${line}`, { cause: error })
}

const SYSTEM_ERRORS = [
  ['ENOSPC', 'No space left on device'], ['EACCES', 'Permission denied'], ['EROFS', 'Read-only file system'],
  ['EDQUOT', 'Disk quota exceeded'], ['EIO', 'Input/output error'], ['EFBIG', 'File too large'],
  ['ENOENT', 'No such file or directory'], ['EMFILE', 'Too many open files'],
] as const
