/** Parquet files of VPC flow logs: columns have AWS's names of the fields, with underscores. */
import {
  areVpcNames, VPC_ACTIONS, VPC_DIRECTIONS, VPC_FIELDS, VPC_KEYS, VPC_NUMBERS, vpcElementName, vpcName,
} from '../cloud/vpc-fields.ts'
import { FIELDS, ID, type Field } from '../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE } from '../flow/names.ts'
import { sqlColumns } from '../flow/sql.ts'
import { EXTRA_COLUMN } from './columns.ts'
import { identifier, quote } from './duck.ts'
import { foreignColumns, type FileColumn, type ForeignColumns } from './foreign.ts'

/** Values of fields that are words in the file. */
const WORDS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'action': VPC_ACTIONS, 'flow-direction': VPC_DIRECTIONS, 'type': { IPv4: ETYPE_IPV4, IPv6: ETYPE_IPV6 },
}
/** Seconds whose microseconds are exact. */
const MOST_SECONDS = Math.floor(2 ** 53 / 1e6)

/** Whether columns are those of a VPC flow log. */
export function isVpcLog(columns: readonly FileColumn[]): boolean {
  return areVpcNames(columns.map(({ name }) => vpcName(name)))
}

/**
 * The fields of a VPC flow log, with the elements that have none, and a test for records that tell of a flow:
 * those of NODATA and SKIPDATA do not.
 *
 * @param map names of columns to the fields that they are to fill instead
 */
export function vpcColumns(
  columns: readonly FileColumn[], map?: ReadonlyMap<string, string>,
): ForeignColumns {
  const own = columns.filter(({ name }) => !map?.has(name))
  const byName = new Map(own.map((column) => [vpcName(column.name), column]))
  const words = [...byName].filter(([name]) => name in WORDS)
  const seconds = [...byName].filter(([name, { type }]) => (
    /^(start|end)$/.test(name) && !/^TIMESTAMP/.test(type)
  ))
  const special = new Set([...words, ...seconds].map(([, column]) => column))
  const names = new Map(own.filter((column) => VPC_FIELDS.has(vpcName(column.name)) && !special.has(column))
    .map(({ name }) => [name, FIELDS[VPC_FIELDS.get(vpcName(name))!].name as string]))
  const plain = columns.filter(({ name }) => names.has(name) || map?.has(name))
  const { fields, expressions } = foreignColumns(plain, new Map([...names, ...map ?? []]))
  const allFields = new Set<Field>(fields)
  const all = new Map(expressions)
  function add(id: number, expression: string): void {
    if (allFields.has(FIELDS[id])) return
    allFields.add(FIELDS[id])
    all.set(FIELDS[id].name, expression)
  }
  for (const [name, { name: column }] of words) add(VPC_FIELDS.get(name)!, wordSql(column, WORDS[name]))
  for (const [name, { name: column }] of seconds) add(VPC_FIELDS.get(name)!, secondsSql(column))
  const address = byName.get('srcaddr') ?? byName.get('dstaddr')
  if (address) add(ID.etype, etypeSql(address.name))
  add(ID.type, String(FLOW_TYPE.VPC))
  const others = [...byName].filter(([name]) => !VPC_FIELDS.has(name) && name !== 'version')
  const extras = [...others, ...words]
    .map(([name, column]) => `${quote(vpcElementName(name))}, ${extraSql(name, column.name)}`)
  if (extras.length > 0) {
    // without the members that are null
    all.set(EXTRA_COLUMN, `json_merge_patch('{}', json_object(${extras.join(', ')}))::VARCHAR`)
  }
  const tests = [...VPC_KEYS].map((name) => all.get(sqlColumns(FIELDS[VPC_FIELDS.get(name)!])[0].name))
    .filter((expression) => expression !== undefined).map((expression) => `(${expression}) IS NOT NULL`)
  return {
    fields: allFields, expressions: all, isFlow: tests.join(' OR ') || 'false',
    ...seconds.length > 0 && { timeDigits: 0 },
  }
}

function wordSql(column: string, values: Readonly<Record<string, number>>): string {
  const whens = Object.entries(values).map(([word, value]) => `WHEN ${quote(word)} THEN ${value}`)
  return `CASE ${identifier(column)}::VARCHAR ${whens.join(' ')} END`
}

function secondsSql(column: string): string {
  const seconds = `TRY_CAST(${identifier(column)} AS BIGINT)`
  return `CASE WHEN ${seconds} BETWEEN 0 AND ${MOST_SECONDS} THEN make_timestamp(${seconds} * 1000000) END`
}

function etypeSql(column: string): string {
  const text = `${identifier(column)}::VARCHAR`
  const six = `WHEN contains(${text}, ':') THEN ${ETYPE_IPV6}`
  return `CASE ${six} WHEN contains(${text}, '.') THEN ${ETYPE_IPV4} END`
}

/** A value that fills no field; of words only those that are no value of their field. */
function extraSql(name: string, column: string): string {
  const text = `nullif(${identifier(column)}::VARCHAR, '-')`
  const meant = name === 'log-status' ? ['OK'] : name in WORDS ? Object.keys(WORDS[name]) : []
  if (meant.length > 0) return `CASE WHEN ${text} NOT IN (${meant.map(quote).join(', ')}) THEN ${text} END`
  if (!VPC_NUMBERS.has(name)) return text
  return `coalesce(to_json(TRY_CAST(${text} AS UBIGINT)), to_json(${text}))`
}
