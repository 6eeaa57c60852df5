/** What stands outside flowkit: a DuckDB that knows nothing of it, and rows as plain values. */
import duckdb from '@duckdb/node-bindings'
import { formatIpv4, formatIpv6, type AddressColumn } from '../../../core/flow/address.ts'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS } from '../../../core/flow/fields.ts'
import type { FlowReader } from '../../../core/flow/stream.ts'

/** The rows of a query in a DuckDB of its own, every value as the text DuckDB has for it, or null. */
export async function plainSql(query: string, setUp: string = ''): Promise<(string | null)[][]> {
  const database = await duckdb.open(':memory:')
  const connection = await duckdb.connect(database)
  try {
    if (setUp) await duckdb.query(connection, setUp)
    const result = await duckdb.query(connection, `SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (${query})`)
    const rows: (string | null)[][] = []
    for (;;) {
      const chunk = await duckdb.fetch_chunk(result)
      const size = chunk ? duckdb.data_chunk_get_size(chunk) : 0
      if (!chunk || size === 0) return rows
      const columns = Array.from({ length: duckdb.data_chunk_get_column_count(chunk) }, (_, i) => {
        const vector = duckdb.data_chunk_get_vector(chunk, i)
        const bytes = duckdb.vector_get_data(vector, size * 16)
        const valid = duckdb.vector_get_validity(vector, Math.ceil(size / 64) * 8)
        return Array.from({ length: size }, (_, row) => (
          valid && (valid[row >> 3] >> (row & 7) & 1) === 0 ? null : textAt(bytes, row * 16)
        ))
      })
      for (let row = 0; row < size; row++) rows.push(columns.map((column) => column[row]))
    }
  } finally {
    duckdb.disconnect_sync(connection)
    duckdb.close_sync(database)
  }
}

/** Run statements in a DuckDB of its own. */
export async function runPlain(sql: string): Promise<void> {
  await plainSql('SELECT 1', sql)
}

function textAt(bytes: Uint8Array, at: number): string {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.readUInt32LE(at)
  if (length <= 12) return view.toString('utf8', at + 4, at + 4 + length)
  const buffer = bytes.buffer as ArrayBuffer
  return Buffer.from(duckdb.get_data_from_pointer(buffer, bytes.byteOffset + at + 8, length)).toString()
}

/** A row by field names: numbers, `u64` as bigint, addresses and text as text, octets in hexadecimal. */
export type PlainRow = Record<string, unknown>

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** A row of a batch, with every field that its shape has. */
export function rowOf(batch: FlowBatch, row: number): PlainRow {
  const out: PlainRow = {}
  for (const id of batch.shapes[batch.shape[row]].fields) {
    const { name, type } = FIELDS[id]
    const numbers = batch.column(id) as Uint32Array
    if (type === 'addr') {
      const { family, v4, v6 } = batch.column(id) as AddressColumn
      if (family[row] !== 0) out[name] = family[row] === 4 ? formatIpv4(v4[row]) : formatIpv6(v6, row * 16)
    } else if (type === 'u64') out[name] = BigInt(numbers[row * 2 + 1]) << 32n | BigInt(numbers[row * 2])
    else if (type === 'text' || type === 'octets') {
      const bytes = batch.heap.slice(numbers[row * 2], numbers[row * 2] + numbers[row * 2 + 1])
      out[name] = type === 'text' ? utf8.decode(bytes) : Buffer.from(bytes).toString('hex')
    } else out[name] = numbers[row]
  }
  return out
}

/** All rows of a reader. */
export async function rowsOf(reader: FlowReader): Promise<PlainRow[]> {
  const rows: PlainRow[] = []
  for await (const batch of reader) for (let row = 0; row < batch.length; row++) rows.push(rowOf(batch, row))
  return rows
}

/** The rows of batches. */
export function rowsIn(batches: readonly FlowBatch[]): PlainRow[] {
  return batches.flatMap((batch) => Array.from({ length: batch.length }, (_, row) => rowOf(batch, row)))
}
