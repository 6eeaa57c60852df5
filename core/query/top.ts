import { archiveFiles } from '../archive/reader.ts'
import { duckError, identifier, openDuck, type Duck, type DuckSettings } from '../duck/duck.ts'
import { openFeed } from '../duck/feed.ts'
import { MACROS } from '../duck/macros.ts'
import { windowSql } from '../duck/read.ts'
import { askFiles, faultOf, relationSql, surveyFiles } from '../duck/survey.ts'
import type { SqlValue } from '../duck/values.ts'
import { filterFields, filterToSql, type Filter } from '../filter/filter.ts'
import { FlowkitError } from '../flow/errors.ts'
import { FIELDS, findField, ID, type Field, type FieldType } from '../flow/fields.ts'
import { sqlColumns } from '../flow/sql.ts'
import type { Fault, FlowReader } from '../flow/stream.ts'

/** What a report counts: scaled by the sampling rate unless they are already; `flows` as they are. */
export const SUMS = ['bytes', 'packets', 'flows'] as const
export type Sum = (typeof SUMS)[number]

/** What flows are grouped by: a field, an address perhaps only up to a prefix. */
export interface Key {
  /** As it was written. */
  readonly text: string
  readonly field: Field
  /** Bits that count of an IPv4 and of an IPv6 address; all unless told. */
  readonly bits?: { readonly v4: number, readonly v6: number }
}

/** The report `top`: the groups of flows with the largest sums. */
export interface TopReport {
  readonly by: readonly Key[]
  /** The first orders, the others decide between equals. */
  readonly sums: readonly Sum[]
  /** As many groups at most. */
  readonly limit: number
}

/** Which flows of an archive a report is about. */
export interface ReportRange {
  /** Flows that overlap [since, until), µs since the epoch. */
  readonly since?: number
  readonly until?: number
  readonly filter?: Filter
  readonly settings?: DuckSettings
  /** Told of each file that cannot be read; the others are. */
  onFault(fault: Fault): void
}

/** A table of results. */
export interface Table {
  readonly columns: readonly { readonly name: string, readonly type: FieldType }[]
  /** Addresses, networks, MAC addresses and times (RFC 3339) are text; null where the flows have no value. */
  readonly rows: readonly (readonly SqlValue[])[]
  /** The sums over all groups, and how many there are. */
  readonly totals: readonly number[]
  readonly groups: number
  /** Whether any counter was multiplied by a sampling rate. */
  readonly scaled: boolean
}

/**
 * Read what to group by: a field's name, an address's with a prefix length `src_addr/24`, or with one for
 * IPv4 and one for IPv6 `src_addr/24/64`. A single length is for both; above 32, IPv4 addresses are whole.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseKey(text: string): Key {
  const [name, ...lengths] = text.split('/')
  const field = findField(name)
  const refuse = (reason: string) => new FlowkitError('ERR_OPTION', `Cannot group by "${text}": ${reason}`)
  if (!field) throw refuse(`there is no field "${name}"`)
  if (lengths.length === 0) return { text, field }
  if (field.type !== 'addr') throw refuse(`${name} is no address`)
  const [v4, v6 = v4] = lengths.map((length) => /^\d{1,3}$/.test(length) ? Number(length) : NaN)
  if (lengths.length > 2 || !(v4 <= (lengths.length === 1 ? 128 : 32)) || !(v6 <= 128)) {
    throw refuse(`expected ${name}/N or ${name}/N/N, prefix lengths up to 32 and 128`)
  }
  return { text, field, bits: { v4: Math.min(v4, 32), v6 } }
}

/** The report over an archive, or Parquet files. */
export async function topOfArchive(
  paths: string | readonly string[], report: TopReport, range: ReportRange,
): Promise<Table> {
  const files = await archiveFiles(paths, range)
  const duck = await openDuck({ ...range.settings, ordered: false })
  try {
    await duck.run(MACROS)
    const { table, faults } = await askFiles(files, (asked) => topOfFiles(duck, asked, report, range))
    for (const fault of faults) range.onFault(fault)
    return table
  } catch (error) {
    throw error instanceof FlowkitError ? error : duckError(error, 'query the archive')
  } finally {
    await duck.close()
  }
}

async function topOfFiles(
  duck: Duck, files: readonly string[], report: TopReport, range: ReportRange,
): Promise<{ table: Table, faults: readonly Fault[] }> {
  const { filter, since, until } = range
  const faults: Fault[] = []
  const survey = await surveyFiles(duck, files, range, (bad) => faults.push(faultOf(bad)))
  const fields = new Set(fieldsOf(report))
  const tests: string[] = []
  if (since !== undefined || until !== undefined) {
    tests.push(windowSql(survey.timed, range))
    for (const id of [ID.flowStart, ID.flowEnd, ID.eventTime, ID.received]) fields.add(FIELDS[id])
  }
  if (filter) {
    tests.push(filterToSql(filter))
    for (const id of filterFields(filter)) fields.add(FIELDS[id])
  }
  const relation = relationSql(survey, [...fields], false)
  return { table: toTable(report, await duck.rows(topSql(report, `(${relation})`, tests))), faults }
}

/** The report over all flows of a reader. */
export async function topFlows(
  reader: FlowReader, report: TopReport, settings: DuckSettings = {},
): Promise<Table> {
  const feed = openFeed({ ...settings, ordered: false })
  try {
    await feed.run({ sql: MACROS, fields: [], extras: false }).end()
    const run = feed.run({ sql: topSql(report, 'batches()', []), fields: fieldsOf(report), extras: false })
    try {
      for await (const batch of reader) await run.send(batch, 0, batch.length)
      return toTable(report, await run.end())
    } catch (error) {
      await run.abandon()
      throw error
    }
  } finally {
    await feed.close()
  }
}

/** The fields that a report looks at. */
function fieldsOf({ by, sums }: TopReport): Field[] {
  const counted = [...sums.map((sum) => ID[sum]), ID.samplingRate, ID.samplingApplied]
  return FIELDS.filter((field) => counted.includes(field.id) || by.some((key) => key.field === field))
}

const SCALE =
  'CASE WHEN sampling_rate > 0 AND coalesce(sampling_applied, 0) = 0 THEN sampling_rate ELSE 1 END'

/**
 * The report as SQL. Its rows: the keys, the sums, the totals of the sums, the number of groups, the largest
 * scale.
 *
 * Sums are of doubles: exact to 2^53, never out of range, and faster than DuckDB's sums of BIGINT.
 */
function topSql({ by, sums, limit }: TopReport, relation: string, tests: readonly string[]): string {
  const keys = by.flatMap(({ field, bits }, i) => {
    const [high, low] = sqlColumns(field).map(({ name }) => identifier(name))
    if (low === undefined) return [`${high} AS k${i}`]
    if (!bits) return [`${high} AS k${i}_hi`, `${low} AS k${i}_lo`]
    const lowMask = `CASE WHEN ${isV4(high, low)} THEN ${mask(32 + bits.v4)} ELSE ${mask(bits.v6 - 64)} END`
    return [`${high} & ${mask(bits.v6)} AS k${i}_hi`, `${low} & ${lowMask} AS k${i}_lo`]
  })
  const names = keys.map((key) => key.slice(key.lastIndexOf(' ') + 1))
  const values = sums.map((sum, i) => {
    const value = sum === 'flows' ? 'coalesce(flows, 1)::DOUBLE' : `${sum}::DOUBLE * (${SCALE})`
    return `coalesce(sum(${value}), 0) AS s${i}`
  })
  const shown = by.map(({ field, bits }, i) => {
    if (field.type === 'mac') return `mac(k${i})`
    if (field.type !== 'addr') return `k${i}`
    const [high, low] = [`k${i}_hi`, `k${i}_lo`]
    const length = bits && ` || '/' || CASE WHEN ${isV4(high, low)} THEN ${bits.v4} ELSE ${bits.v6} END`
    return `addr(${high}, ${low})${length ?? ''}`
  })
  const totals = sums.map((_, i) => `sum(s${i}) AS t${i}`)
  const counted = [...sums.map((_, i) => `s${i}`), ...sums.map((_, i) => `t${i}`), 'groups', 'largest']
  return `
    WITH g AS MATERIALIZED (
      SELECT ${[...keys, ...values, `max(${SCALE}) AS scale`].join(', ')} FROM ${relation}
      ${tests.length > 0 ? `WHERE ${tests.join(' AND ')}` : ''} GROUP BY ${names.join(', ') || '()'}),
    t AS (SELECT ${[...totals, 'count(*) AS groups', 'max(scale) AS largest'].join(', ')} FROM g)
    SELECT ${[...shown, ...counted].join(', ')}
    FROM (SELECT * FROM g ORDER BY ${orderSql(names, sums)} LIMIT ${limit}), t
    ORDER BY ${orderSql(names, sums)}`
}

function orderSql(names: readonly string[], sums: readonly Sum[]): string {
  return [...sums.map((_, i) => `s${i} DESC`), ...names].join(', ')
}

function isV4(high: string, low: string): string {
  return `(${high} = 0 AND ${low} >> 32 = 65535)`
}

/** The first of 64 bits as ones, as many as `bits` says. */
function mask(bits: number): string {
  return `${2n ** 64n - 2n ** BigInt(64 - Math.min(Math.max(bits, 0), 64))}::UBIGINT`
}

function toTable({ by, sums }: TopReport, rows: readonly SqlValue[][]): Table {
  const width = by.length + sums.length
  const totals = rows.length === 0 ? sums.map(() => 0) : rows[0].slice(width, width + sums.length).map(Number)
  return {
    columns: [
      ...by.map(({ text, field }) => ({ name: text, type: field.type })),
      ...sums.map((sum) => ({ name: sum, type: 'count' as const })),
    ],
    rows: rows.map((row) => row.slice(0, width)),
    totals,
    groups: rows.length === 0 ? 0 : Number(rows[0][width + sums.length]),
    scaled: rows.length > 0 && Number(rows[0][width + sums.length + 1]) > 1,
  }
}
