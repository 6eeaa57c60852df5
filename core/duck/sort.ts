import { FIELDS, type Field } from '../flow/fields.ts'
import type { FlowReader } from '../flow/stream.ts'
import type { DuckSettings } from './duck.ts'
import { readParquet, sortSql } from './read.ts'
import { spoolFlows } from './spool.ts'

/** How to sort. */
export interface SortOptions {
  readonly descending?: boolean
  /** As many flows at most: the first of them. */
  readonly limit?: number
  readonly settings?: DuckSettings
}

/**
 * The flows of `reader` in the order of a field; equal ones keep theirs, those without the field come last.
 *
 * What is more than memory goes through the temporary folder.
 *
 * @throws the system error when that is full
 */
export async function* sortFlows(reader: FlowReader, field: Field, options: SortOptions = {}): FlowReader {
  const { descending = false, limit, settings } = options
  const sort = { field, descending }
  const order = limit === undefined ? '' : `ORDER BY ${sortSql(sort)}, row_number() OVER () LIMIT ${limit}`
  const spool = await spoolFlows(reader, [field], order)
  try {
    yield* readParquet(spool.paths, {
      fields: FIELDS.map(({ id }) => id), extras: true, sort, timeDigits: spool.timeDigits,
      ...limit !== undefined && { limit }, ...settings && { settings },
      onBad: ({ error }) => { throw error },
    })
  } finally {
    await spool.remove()
  }
}
