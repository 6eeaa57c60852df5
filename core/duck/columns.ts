import type { Field } from '../flow/fields.ts'
import { sqlColumns, type SqlColumn } from '../flow/sql.ts'

/** Name of the column that holds the elements without a column of their own, as a JSON object. */
export const EXTRA_COLUMN = 'extra'

/** Bytes a value takes in a vector; text and octets are pairs (place, length) until they get there. */
export const WIDTHS: Readonly<Record<SqlColumn['type'], number>> = {
  UTINYINT: 1, USMALLINT: 2, UINTEGER: 4, UBIGINT: 8, BIGINT: 8, TIMESTAMP: 8, VARCHAR: 8, BLOB: 8,
}

/** The SQL columns of fields, in order, and of extra elements at the end. */
export function columnsOf(fields: readonly Field[], extras: boolean): SqlColumn[] {
  const columns = fields.flatMap((field) => sqlColumns(field))
  if (extras) columns.push({ name: EXTRA_COLUMN, type: 'VARCHAR' })
  return columns
}
