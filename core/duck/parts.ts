import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FlowBatch } from '../flow/batch.ts'
import { FIELD_COUNT, FIELDS, type Field } from '../flow/fields.ts'
import type { Shape } from '../flow/shape.ts'
import { duckError } from './duck.ts'
import { openFeed, type Run } from './feed.ts'
import { MACROS } from './macros.ts'
import { usedShapes } from './pack.ts'
import { copySql, schemaMetadata, selectSql } from './parquet.ts'
import { filesSql } from './survey.ts'

/** What is written, and where. */
export interface PartsOptions {
  /** A folder that is there, for this writer alone. */
  readonly directory: string
  /** Fields that every file has, in rows or not. */
  readonly always: readonly Field[]
  /** Fields that rows may have; what else they have is left out. All unless told. */
  readonly allowed?: readonly Field[]
  /** Whether elements without a column are written too. */
  readonly extras?: boolean
  /** Whether addresses are text. */
  readonly textAddresses?: boolean
  /** Other names of fields, where addresses are text. */
  readonly names?: ReadonlyMap<string, string>
  /** What stands behind the query for the rows of each file: ORDER BY and LIMIT. */
  readonly order?: string
  /** Added to the metadata of each file. */
  readonly metadata?: () => Metadata
}

/** What a file says of itself: keys and values. */
export type Metadata = Readonly<Record<string, string>>

/** A whole Parquet file, fsynced. */
export interface Part {
  readonly path: string
  /** As given to `write`. */
  readonly label: number
  readonly rows: number
  readonly bytes: number
}

/** Writes batches as a sequence of Parquet files: a file's columns are fixed when it begins. */
export interface PartWriter {
  /**
   * Append rows to the file of `label`: another one begins where the label changes, or rows have a field that
   * the file has no column for.
   *
   * @throws the system error (disk full) when writing failed; what was written since `take` is then gone
   */
  write(label: number, batch: FlowBatch, start: number, end: number): Promise<void>
  /** Finish the last file and hand over all since the last call. @throws as `write` */
  take(): Promise<Part[]>
  /** A file without rows, when there is no other under way. @throws as `write` */
  writeEmpty(): Promise<Part>
  /** Put files together that were handed over, and remove them. @throws as `write` */
  merge(parts: readonly Part[]): Promise<Part>
  /** Write the rows of a query as a file, likewise, with `about` as its metadata. @throws as `write` */
  writeQuery(query: string, about: Metadata): Promise<Part>
  /** Remove all files since `take`. */
  discard(): Promise<void>
  /** Remove them, and end. */
  close(): Promise<void>
}

/** The file being written. */
interface File {
  readonly path: string
  readonly label: number
  readonly run: Run
}

/**
 * Times that a file gives way to one with more columns between two calls of `take`; the next has all columns
 * there are, so that an exporter which sends ever other templates cannot cause a file for each.
 */
const MAX_WIDENINGS = 3

/** Shapes to remember as known; a bound on memory. */
const MAX_SHAPES = 10_000

/** Bytes DuckDB may take: it needs a few row groups. */
const MEMORY = 512 * 2 ** 20

/** Start a writer and its thread. */
export function openParts(options: PartsOptions): PartWriter {
  const { directory, always, allowed = FIELDS, extras = false, textAddresses = false } = options
  const { order = '', metadata, names } = options
  const may = new Uint8Array(FIELD_COUNT)
  for (const { id } of allowed) may[id] = 1
  const feed = openFeed({ threads: 1, memory: MEMORY })
  let file: File | undefined
  let parts: Part[] = []
  let count = 0
  let widenings = 0
  // columns of the next file; those of the files before go on, so that columns do not come and go
  let columns = new Set<Field>(always)
  let used = new Set<Field>() // since `take`
  const known = new Set<Shape>()
  let macros: Promise<unknown> | undefined

  /** Take notice of the fields that rows have. @returns whether the next file needs more columns */
  function learn(batch: FlowBatch, start: number, end: number): boolean {
    const before = columns.size
    for (const index of usedShapes(batch, start, end)) {
      const shape = batch.shapes[index]
      if (shape === undefined || known.has(shape)) continue
      if (known.size >= MAX_SHAPES) known.clear()
      known.add(shape)
      for (const id of shape.fields) {
        if (may[id] === 0) continue
        columns.add(FIELDS[id])
        used.add(FIELDS[id])
      }
    }
    return columns.size > before
  }

  async function begin(label: number): Promise<File> {
    if (textAddresses) await (macros ??= feed.run({ sql: MACROS, fields: [], extras: false }).end())
    const fields = FIELDS.filter((field) => columns.has(field))
    const given = fields.filter(({ id }) => may[id] === 1)
    const path = join(directory, String(++count))
    const select = selectSql(fields, new Set(given), extras, textAddresses, names)
    const sql = copySql(`SELECT ${select} FROM batches() ${order}`, path, fileMetadata(fields))
    return { path, label, run: feed.run({ sql, fields: given, extras }) }
  }

  async function finish({ path, label, run }: File): Promise<Part> {
    try {
      const [[rows]] = await run.end()
      await using handle = await open(path, 'r+')
      await handle.sync()
      const part = { path, label, rows: Number(rows), bytes: (await handle.stat()).size }
      file = undefined
      return part
    } catch (error) {
      return fail(error, path)
    }
  }

  async function fail(error: unknown, path: string): Promise<never> {
    await discard()
    throw error instanceof Error && 'code' in error ? error : duckError(error, `write ${path}`)
  }

  async function discard(): Promise<void> {
    await file?.run.abandon()
    const paths = parts.map(({ path }) => path)
    if (file) paths.push(file.path)
    file = undefined
    parts = []
    await Promise.all(paths.map((path) => rm(path, { force: true })))
  }

  async function write(label: number, batch: FlowBatch, start: number, end: number): Promise<void> {
    const wider = learn(batch, start, end)
    if (file && (wider || file.label !== label)) {
      parts.push(await finish(file))
      if (wider && ++widenings > MAX_WIDENINGS) columns = new Set([...always, ...allowed])
    }
    file ??= await begin(label)
    const { path, run } = file
    try {
      await run.send(batch, start, end)
    } catch (error) {
      await fail(error, path)
    }
  }

  async function take(): Promise<Part[]> {
    if (file) parts.push(await finish(file))
    const taken = parts
    parts = []
    widenings = 0
    columns = new Set([...always, ...used])
    used = new Set()
    known.clear()
    return taken
  }

  async function writeEmpty(): Promise<Part> {
    file = await begin(0)
    return finish(file)
  }

  async function merge(taken: readonly Part[]): Promise<Part> {
    parts = [...taken]
    const fields = FIELDS.filter((field) => columns.has(field))
    const whole = await writeQuery(`FROM ${filesSql(taken.map(({ path }) => path))}`, fileMetadata(fields))
    await discard()
    return whole
  }

  function writeQuery(query: string, about: Metadata): Promise<Part> {
    const path = join(directory, String(++count))
    file = { path, label: 0, run: feed.run({ sql: copySql(query, path, about), fields: [], extras: false }) }
    return finish(file)
  }

  function fileMetadata(fields: readonly Field[]): Metadata {
    return { ...textAddresses ? {} : schemaMetadata(fields), ...metadata?.() }
  }

  async function close(): Promise<void> {
    try {
      await discard()
    } finally {
      await feed.close()
    }
  }

  return { write, take, writeEmpty, merge, writeQuery, discard, close }
}
