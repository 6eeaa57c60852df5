/** How counter samples lie in Parquet: schema 1 of `counters/`. */
import {
  CORE_COUNTERS, type CounterColumn, type CounterType,
} from '../netflow/sflow/counter-row.ts'
import { EXTRA_COLUMN } from '../duck/columns.ts'

/** Version of the schema, in each file's key-value metadata as `flowkit_counters`. */
export const COUNTERS_VERSION = '1'

const TYPES: Readonly<Record<CounterType, string>> = {
  time: 'TIMESTAMP', address: 'VARCHAR', int: 'BIGINT', float: 'DOUBLE', text: 'VARCHAR',
}

/** What every file has, as a table without rows. */
export const NO_COUNTERS: string =
  `SELECT ${CORE_COUNTERS.map(({ name, type }) => `NULL::${TYPES[type]} AS ${name}`).join(', ')} WHERE false`

/**
 * The columns of a file out of JSON Lines in which times are µs, as a query.
 *
 * Every file has the core columns, and others where its samples do; numbered counters are a JSON object in
 * the column `extra`.
 *
 * @param path of the lines, as an SQL literal
 */
export function countersSql(path: string, columns: readonly CounterColumn[], extras: boolean): string {
  const given = columns.map(({ name, type }) => `${name}: '${type === 'time' ? 'BIGINT' : TYPES[type]}'`)
  const selected = columns.map(({ name, type }) => (
    type === 'time' ? `make_timestamp(${name}) AS ${name}` : name
  ))
  if (extras) {
    given.push(`${EXTRA_COLUMN}: 'JSON'`)
    selected.push(EXTRA_COLUMN)
  }
  const options = `format = 'newline_delimited', columns = {${given.join(', ')}}`
  return `SELECT ${selected.join(', ')} FROM read_json(${path}, ${options})`
}
