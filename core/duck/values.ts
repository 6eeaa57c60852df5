import type { DataChunk, Type, Vector } from '@duckdb/node-bindings'
import { formatTime } from '../flow/time.ts'
import type { Bindings } from './bindings.ts'

/** A value of a result: integers are numbers to 2^53 and bigints beyond, times RFC 3339 text, BLOBs hex. */
export type SqlValue = string | number | bigint | boolean | null

const utf8 = new TextDecoder()

/** Last µs of the year 9999. */
const MAX_TIME = 253_402_300_799_999_999

/**
 * The rows of a chunk.
 *
 * @throws TypeError for a column of a type other than booleans, integers, floats, TIMESTAMP, VARCHAR and BLOB
 */
export function decodeChunk(api: Bindings, chunk: DataChunk): SqlValue[][] {
  const rows = api.data_chunk_get_size(chunk)
  const columns: SqlValue[][] = []
  for (let i = 0; i < api.data_chunk_get_column_count(chunk); i++) {
    columns.push(decodeVector(api, api.data_chunk_get_vector(chunk, i), rows))
  }
  return Array.from({ length: rows }, (_, row) => columns.map((column) => column[row]))
}

function decodeVector(api: Bindings, vector: Vector, rows: number): SqlValue[] {
  const type = api.get_type_id(api.vector_get_column_type(vector))
  const decoder = decoderOf(api, type)
  if (!decoder) throw new TypeError(`Cannot decode a column of DuckDB's type ${type}`)
  const [width, decode] = decoder
  const bytes = api.vector_get_data(vector, rows * width)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const validity = api.vector_get_validity(vector, Math.ceil(rows / 64) * 8)
  return Array.from({ length: rows }, (_, row) => {
    const valid = !validity || (validity[row >> 3] >> (row & 7) & 1) === 1
    return valid ? decode(view, row * width) : null
  })
}

/** Whether `decodeChunk` takes columns of this type. */
export function isDecodable(api: Bindings, type: Type): boolean {
  return decoderOf(api, type) !== undefined
}

type Decode = (view: DataView, at: number) => SqlValue

/** Bytes a value takes, and how to read one. */
function decoderOf(api: Bindings, type: Type): [width: number, decode: Decode] | undefined {
  const { Type } = api
  switch (type) {
    case Type.BOOLEAN: return [1, (view, at) => view.getUint8(at) !== 0]
    case Type.TINYINT: return [1, (view, at) => view.getInt8(at)]
    case Type.UTINYINT: return [1, (view, at) => view.getUint8(at)]
    case Type.SMALLINT: return [2, (view, at) => view.getInt16(at, true)]
    case Type.USMALLINT: return [2, (view, at) => view.getUint16(at, true)]
    case Type.INTEGER: return [4, (view, at) => view.getInt32(at, true)]
    case Type.UINTEGER: return [4, (view, at) => view.getUint32(at, true)]
    case Type.BIGINT: return [8, bigint]
    case Type.UBIGINT: return [8, (view, at) => narrowed(view.getBigUint64(at, true))]
    case Type.HUGEINT: return [16, (view, at) => hugeint(view.getBigInt64(at + 8, true), view, at)]
    case Type.UHUGEINT: return [16, (view, at) => hugeint(view.getBigUint64(at + 8, true), view, at)]
    case Type.FLOAT: return [4, (view, at) => view.getFloat32(at, true)]
    case Type.DOUBLE: return [8, (view, at) => view.getFloat64(at, true)]
    case Type.TIMESTAMP: return [8, (view, at) => timeText(bigint(view, at))]
    case Type.VARCHAR: return [16, (view, at) => utf8.decode(stringAt(api, view, at))]
    case Type.BLOB: return [16, (view, at) => Buffer.from(stringAt(api, view, at)).toString('hex')]
    default: return undefined
  }
}

/** The bytes of a `duckdb_string_t`: up to 12 lie in it, more behind a pointer. */
export function stringAt(api: Bindings, view: DataView, at: number): Uint8Array {
  const length = view.getUint32(at, true)
  if (length <= 12) return new Uint8Array(view.buffer, view.byteOffset + at + 4, length)
  return api.get_data_from_pointer(view.buffer as ArrayBuffer, view.byteOffset + at + 8, length)
}

function bigint(view: DataView, at: number): number | bigint {
  const high = view.getInt32(at + 4, true)
  if (high >= -0x200000 && high < 0x200000) return high * 4294967296 + view.getUint32(at, true)
  return narrowed(view.getBigInt64(at, true))
}

function hugeint(high: bigint, view: DataView, at: number): number | bigint {
  return narrowed(high << 64n | view.getBigUint64(at, true))
}

function narrowed(value: bigint): number | bigint {
  return value >= -9007199254740992n && value <= 9007199254740992n ? Number(value) : value
}

/** What no RFC 3339 text can say, as infinity, is the number of µs. */
function timeText(micros: number | bigint): string {
  if (typeof micros === 'bigint' || micros < 0 || micros > MAX_TIME) return String(micros)
  return formatTime(micros, 0, micros % 1e6 === 0 ? 0 : -1)
}
