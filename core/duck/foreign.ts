/** Parquet files that flowkit did not write: columns that have the names of fields are cast, if possible. */
import { findField, type Field } from '../flow/fields.ts'
import type { TimeDigits } from '../flow/shape.ts'
import { sqlColumns } from '../flow/sql.ts'
import { identifier } from './duck.ts'

/** A column of a file, with DuckDB's name of its type. */
export interface FileColumn {
  readonly name: string
  readonly type: string
}

/** The fields that a file has, and how to get their columns from its own. Needs MACROS. */
export interface ForeignColumns {
  readonly fields: ReadonlySet<Field>
  /** By name of the column in schema 1. */
  readonly expressions: ReadonlyMap<string, string>
  /** SQL that is true for rows that are flows; absent: all are. */
  readonly isFlow?: string
  /** Digits of a second that times have, where that is known. */
  readonly timeDigits?: TimeDigits
}

/**
 * The columns that can be taken for fields.
 *
 * Values that do not fit become NULL: a negative counter, text that is no address. Counters are cut at 2^63.
 *
 * @param map names of columns to those of the fields that they fill; the others go by their own
 */
export function foreignColumns(
  columns: readonly FileColumn[], map?: ReadonlyMap<string, string>,
): ForeignColumns {
  const fields = new Set<Field>()
  const expressions = new Map<string, string>()
  for (const { name, type } of columns) {
    const mapped = map?.get(name)
    const half = mapped === undefined ? /^(.*)_(hi|lo)$/.exec(name) : null
    const field = findField(mapped ?? (half ? half[1] : name))
    if (!field || (half !== null) !== (field.type === 'addr' && kindOf(type) === 'number')) continue
    const names = sqlColumns(field).map((column) => column.name)
    const casts = half ? [`TRY_CAST(${identifier(name)} AS UBIGINT)`] : castsOf(field, identifier(name), type)
    if (!casts) continue
    if (half) expressions.set(`${field.name}_${half[2]}`, casts[0])
    else for (const [i, cast] of casts.entries()) expressions.set(names[i], cast)
    fields.add(field)
  }
  for (const field of fields) {
    // half an address is none
    const names = sqlColumns(field).map((column) => column.name)
    if (names.every((name) => expressions.has(name))) continue
    for (const name of names) expressions.delete(name)
    fields.delete(field)
  }
  return { fields, expressions }
}

const NUMBER = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|BOOLEAN|DECIMAL\(.*\))$/

type Kind = 'number' | 'text' | 'time' | 'bytes' | 'other'

function kindOf(type: string): Kind {
  if (NUMBER.test(type)) return 'number'
  if (/^(TIMESTAMP.*|DATE)$/.test(type)) return 'time'
  if (type === 'BLOB') return 'bytes'
  return /^(VARCHAR|JSON|UUID|ENUM\(.*\))$/.test(type) ? 'text' : 'other'
}

/** Expressions for the columns of a field, undefined where the type cannot be cast. */
function castsOf(field: Field, column: string, type: string): string[] | undefined {
  const kind = kindOf(type)
  const numeric = kind === 'number' || kind === 'text'
  switch (field.type) {
    case 'u8': case 'u16': case 'u32': case 'u64':
      return numeric ? [`TRY_CAST(${column} AS ${sqlColumns(field)[0].type})`] : undefined
    case 'mac':
      if (kind === 'text') return [macCast(column)]
      return kind === 'number' ? [countCast(column)] : undefined
    case 'count':
      return numeric ? [countCast(column)] : undefined
    case 'time':
      if (kind === 'text') return [timeCast(`TRY_CAST(${column} AS TIMESTAMPTZ)`)]
      return kind === 'time' ? [timeCast(column)] : undefined
    case 'addr':
      return kind === 'text' ? [`addr_hi(${column}::VARCHAR)`, `addr_lo(${column}::VARCHAR)`] : undefined
    case 'text':
      return kind === 'other' || kind === 'bytes' ? undefined : [`TRY_CAST(${column} AS VARCHAR)`]
    case 'octets':
      return kind === 'bytes' ? [column] : kind === 'text' ? [`encode(${column}::VARCHAR)`] : undefined
  }
}

function macCast(column: string): string {
  const digits = `regexp_extract(regexp_replace(${column}, '[:.-]', '', 'g'), '^[0-9A-Fa-f]{12}$')`
  return `TRY_CAST('0x' || ${digits} AS BIGINT)`
}

function countCast(column: string): string {
  const count = `TRY_CAST(${column} AS UBIGINT)`
  return `CASE WHEN ${count} > ${2n ** 63n - 1n} THEN ${2n ** 63n - 1n} ELSE ${count}::BIGINT END`
}

/** Infinity, and what is further away than a double's microseconds reach exactly, is no time. */
function timeCast(column: string): string {
  const time = `TRY_CAST(${column} AS TIMESTAMP)`
  const [first, last] = [-(2 ** 53), 2 ** 53].map((micros) => `make_timestamp(${micros})`)
  return `CASE WHEN ${time} BETWEEN ${first} AND ${last} THEN ${time} END`
}
