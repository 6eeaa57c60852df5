import {
  ipv6Storage, parseIpv4, parseIpv6, parseMac, type AddressColumn,
} from '../../../core/flow/address.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS, findField, type Field, type FieldName } from '../../../core/flow/fields.ts'
import { makeShape } from '../../../core/flow/shape.ts'

/** Value of a field: addresses, MACs and texts as text, `u64` as bigint, times as µs, `octets` as bytes. */
export type Value = number | bigint | string | Uint8Array

/** What a flow has. */
export type Row = Readonly<Partial<Record<FieldName, Value>>>

/** A batch of rows. */
export function batchOf(rows: readonly Row[]): FlowBatch {
  const batch = new FlowBatch(rows.length)
  for (const row of rows) {
    const at = batch.length
    const fields = Object.keys(row).map((name) => findField(name)!)
    batch.shape[at] = batch.intern(makeShape(fields.map(({ id }) => id)))
    for (const field of fields) store(batch, field, at, row[field.name]!)
    batch.length++
  }
  return batch
}

/** A DuckDB literal of each column of a field, NULL where the row has none. */
export function literalsOf({ name, type }: Field, row: Row): string[] {
  const value = row[name]
  if (value === undefined) return type === 'addr' ? ['NULL', 'NULL'] : ['NULL']
  switch (type) {
    case 'addr': {
      const [high, low] = words(value as string)
      return [`${high}::UBIGINT`, `${low}::UBIGINT`]
    }
    case 'time': return [`make_timestamp(${value})`]
    case 'mac': return [String(parseMac(value as string))]
    case 'text': return [`'${(value as string).replaceAll("'", "''")}'`]
    case 'octets': return [`from_hex('${Buffer.from(value as Uint8Array).toString('hex')}')`]
    case 'u64': return [`${value}::UBIGINT`]
    default: return [String(value)]
  }
}

/** Every field of a type. */
export function fieldsOf(...types: Field['type'][]): Field[] {
  return FIELDS.filter(({ type }) => types.includes(type))
}

function store(batch: FlowBatch, { id, type }: Field, at: number, value: Value): void {
  switch (type) {
    case 'addr': {
      const column = batch.column(id) as AddressColumn
      const v4 = parseIpv4(value as string)
      column.family[at] = v4 >= 0 ? 4 : 6
      column.v4[at] = Math.max(v4, 0)
      if (v4 < 0) parseIpv6(value as string, ipv6Storage(column), at * 16)
      return
    }
    case 'u64': {
      const column = batch.column(id) as Uint32Array
      column[at * 2] = Number(BigInt(value as bigint) & 0xffffffffn)
      column[at * 2 + 1] = Number(BigInt(value as bigint) >> 32n)
      return
    }
    case 'text': case 'octets': {
      const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value as Uint8Array
      const column = batch.column(id) as Uint32Array
      column[at * 2] = batch.addBytes(bytes, 0, bytes.length)
      column[at * 2 + 1] = bytes.length
      return
    }
    case 'mac': (batch.column(id) as Float64Array)[at] = parseMac(value as string); return
    default: (batch.column(id) as Float64Array)[at] = value as number
  }
}

/** The two words of an address, IPv4 as mapped into IPv6. */
function words(text: string): [bigint, bigint] {
  const v4 = parseIpv4(text)
  if (v4 >= 0) return [0n, 0xffff00000000n + BigInt(v4)]
  const bytes = new Uint8Array(16)
  parseIpv6(text, bytes, 0)
  const view = new DataView(bytes.buffer)
  return [view.getBigUint64(0), view.getBigUint64(8)]
}
