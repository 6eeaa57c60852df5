import type { DataChunk, Vector } from '@duckdb/node-bindings'
import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID, type Field } from '../flow/fields.ts'
import { ETYPE_IPV6 } from '../flow/names.ts'
import { makeShape, VARIABLE_LENGTH, type ExtraElement, type Shape, type TimeDigits } from '../flow/shape.ts'
import { sqlColumns } from '../flow/sql.ts'
import type { Bindings } from './bindings.ts'
import { WIDTHS } from './columns.ts'
import { readExtras } from './extras.ts'
import { stringAt } from './values.ts'

/** Largest counter that a double holds exactly with all below it. */
const MAX_COUNT = 2 ** 53
/** Its upper half. */
const HIGH_MAX = 2 ** 21
const MAX_MAC = 2 ** 48 - 1
const MAPPED = 0xffff

/** A column of chunks. */
interface Source {
  readonly field: Field
  /** Its place in the chunk; an address has the next one too. */
  readonly at: number
}

/** One field of one chunk. */
interface Part extends Source {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Bits; undefined where all rows have a value. */
  readonly validity: Uint8Array | undefined
}

/**
 * A function that appends the rows of chunks to a batch.
 *
 * The chunks have the columns of `fields`, in order, and the extra elements behind them if `extras`.
 *
 * @param wanted those of the fields that rows are to have; the others only help to tell what they are
 */
export function createUnpacker(
  api: Bindings, fields: readonly Field[], wanted: ReadonlySet<Field>, extras: boolean,
  timeDigits: TimeDigits = -1,
): (chunk: DataChunk, batch: FlowBatch) => void {
  const sources: Source[] = []
  let columns = 0
  for (const field of fields) {
    sources.push({ field, at: columns })
    columns += sqlColumns(field).length
  }
  const shapes = new Map<string, Shape>()
  const groups = new Uint16Array(2048)

  return (chunk, batch) => {
    const rows = api.data_chunk_get_size(chunk)
    const start = batch.length
    batch.reserve(rows)
    const parts = sources.map(({ field, at }): Part => {
      const vector = api.data_chunk_get_vector(chunk, at)
      const bytes = api.vector_get_data(vector, rows * vectorWidth(field)) as Uint8Array<ArrayBuffer>
      return { field, at, bytes, validity: validityOf(api, vector, rows) }
    })
    const etype = parts.find(({ field }) => field.id === ID.etype)
    const shown = parts.filter(({ field, validity }) => wanted.has(field) && validity !== NONE)
    for (const part of shown) {
      const { id, type } = part.field
      if (type === 'addr') {
        const low = api.vector_get_data(api.data_chunk_get_vector(chunk, part.at + 1), rows * 8)
        const isTold = etype && etype.validity !== NONE && (id === ID.srcAddr || id === ID.dstAddr)
        const column = batch.column(id) as AddressColumn
        unpackAddresses(part, wordsOf(low), isTold ? etype : undefined, column, start)
      } else unpackValues(api, part, batch, start, rows)
    }
    const reps = groupRows(shown, rows, groups)
    const texts = extras ? columnText(api, chunk, columns, rows) : undefined
    for (let group = 0; group < reps.length; group++) {
      const present = shown.filter(({ validity }) => has(validity, reps[group])).map(({ field }) => field.id)
      const key = present.join()
      let shape = shapes.get(key)
      if (!shape) shapes.set(key, shape = makeShape(present, timeDigits))
      reps[group] = batch.intern(shape)
    }
    const { shape } = batch
    for (let row = 0; row < rows; row++) shape[start + row] = reps[groups[row]]
    if (texts) for (const [row, text] of texts) addExtras(text, batch, start + row)
    batch.length = start + rows
  }
}

/** Stands for the validity of a column without any value in a chunk. */
const NONE = new Uint8Array(0)

function vectorWidth(field: Field): number {
  return field.type === 'text' || field.type === 'octets' ? 16 : WIDTHS[sqlColumns(field)[0].type]
}

/** The bits if some rows have a value and some not, undefined if all have one, NONE if none. */
function validityOf(api: Bindings, vector: Vector, rows: number): Uint8Array | undefined {
  const bits: Uint8Array | null = api.vector_get_validity(vector, Math.ceil(rows / 64) * 8)
  if (!bits) return undefined
  let all = true
  let none = true
  const whole = rows >> 3
  for (let i = 0; i < whole; i++) {
    if (bits[i] !== 255) all = false
    if (bits[i] !== 0) none = false
  }
  const rest = (1 << (rows & 7)) - 1
  if ((bits[whole] & rest) !== rest) all = false
  if ((bits[whole] & rest) !== 0) none = false
  return all ? undefined : none ? NONE : bits
}

function has(validity: Uint8Array | undefined, row: number): boolean {
  return validity === undefined || (validity[row >> 3] >> (row & 7) & 1) === 1
}

/**
 * Part rows into groups that have the same fields: `groups[row]` is the number of its group.
 *
 * @returns one row of each group
 */
function groupRows(parts: readonly Part[], rows: number, groups: Uint16Array): number[] {
  groups.fill(0, 0, rows)
  let count = 1
  for (const { validity } of parts) {
    if (!validity) continue
    // each group falls into those with and those without the value
    const split = new Int16Array(count * 2).fill(-1)
    let next = 0
    for (let row = 0; row < rows; row++) {
      const key = groups[row] * 2 + (validity[row >> 3] >> (row & 7) & 1)
      if (split[key] < 0) split[key] = next++
      groups[row] = split[key]
    }
    count = next
  }
  const reps = new Array<number>(count)
  for (let row = rows - 1; row >= 0; row--) reps[groups[row]] = row
  return reps
}

function unpackValues(
  api: Bindings, { field, bytes, validity }: Part, batch: FlowBatch, start: number, rows: number,
): void {
  const { buffer, byteOffset } = bytes
  switch (field.type) {
    case 'u8':
      (batch.column(field.id) as Uint8Array).set(new Uint8Array(buffer, byteOffset, rows), start)
      break
    case 'u16':
      (batch.column(field.id) as Uint16Array).set(new Uint16Array(buffer, byteOffset, rows), start)
      break
    case 'u32':
      (batch.column(field.id) as Uint32Array).set(new Uint32Array(buffer, byteOffset, rows), start)
      break
    case 'u64':
      (batch.column(field.id) as Uint32Array).set(new Uint32Array(buffer, byteOffset, rows * 2), start * 2)
      break
    case 'count': case 'time': case 'mac': {
      const halves = new Int32Array(buffer, byteOffset, rows * 2)
      const column = batch.column(field.id) as Float64Array
      if (!joinHalves(halves, column, start, rows)) break
      if (field.type === 'count') batch.saturated += saturate(halves, column, start, rows, validity)
      else if (field.type === 'time') clamp(column, start, rows, -MAX_COUNT, MAX_COUNT)
      else clamp(column, start, rows, 0, MAX_MAC)
      break
    }
    default: {
      const view = new DataView(buffer, byteOffset, rows * 16)
      const column = batch.column(field.id) as Uint32Array
      for (let row = 0; row < rows; row++) {
        if (!has(validity, row)) continue
        const value = stringAt(api, view, row * 16)
        column[(start + row) * 2] = batch.addBytes(value, 0, value.length)
        column[(start + row) * 2 + 1] = value.length
      }
    }
  }
}

/** Signed 64-bit integers as doubles. @returns whether some may be below 0 or over 2^53 */
function joinHalves(halves: Int32Array, out: Float64Array, start: number, rows: number): boolean {
  let over = false
  for (let row = 0, at = 0; row < rows; row++, at += 2) {
    const high = halves[at + 1]
    out[start + row] = high * 4294967296 + (halves[at] >>> 0)
    if (high >>> 0 >= HIGH_MAX) over = true // with the sign for the highest bit
  }
  return over
}

/** Cut what is over 2^53, or below 0 in a damaged file. @returns how many were */
function saturate(
  halves: Int32Array, column: Float64Array, start: number, rows: number, validity: Uint8Array | undefined,
): number {
  let count = 0
  for (let row = 0; row < rows; row++) {
    const high = halves[row * 2 + 1]
    const isOver = high >>> 0 > HIGH_MAX || (high === HIGH_MAX && halves[row * 2] !== 0)
    if (!isOver || !has(validity, row)) continue
    column[start + row] = high < 0 ? 0 : MAX_COUNT
    count++
  }
  return count
}

/** Bring values into bounds that only those of damaged files are beyond. */
function clamp(column: Float64Array, start: number, rows: number, least: number, most: number): void {
  for (let row = start; row < start + rows; row++) {
    column[row] = Math.min(Math.max(column[row], least), most)
  }
}

/** IPv4-mapped addresses are IPv4, unless the row's EtherType says that its packets were IPv6. */
function unpackAddresses(
  { bytes, validity }: Part, low: Uint32Array, etype: Part | undefined, column: AddressColumn, start: number,
): void {
  const high = wordsOf(bytes)
  const rows = low.length / 2
  const etypes = etype && new Uint16Array(etype.bytes.buffer, etype.bytes.byteOffset, rows)
  const { family, v4 } = column
  let v6: Uint8Array | undefined
  for (let row = 0, at = 0, to = start; row < rows; row++, at += 2, to++) {
    if (validity !== undefined && (validity[row >> 3] >> (row & 7) & 1) === 0) {
      family[to] = v4[to] = 0
      continue
    }
    if (high[at] === 0 && high[at + 1] === 0 && low[at + 1] === MAPPED
      && !(etypes && etypes[row] === ETYPE_IPV6 && has(etype!.validity, row))) {
      family[to] = 4
      v4[to] = low[at]
      continue
    }
    family[to] = 6
    v4[to] = 0
    v6 ??= ipv6Storage(column)
    writeWord(v6, to * 16, high[at + 1])
    writeWord(v6, to * 16 + 4, high[at])
    writeWord(v6, to * 16 + 8, low[at + 1])
    writeWord(v6, to * 16 + 12, low[at])
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

function writeWord(out: Uint8Array, at: number, word: number): void {
  out[at] = word >>> 24
  out[at + 1] = word >>> 16
  out[at + 2] = word >>> 8
  out[at + 3] = word
}

/** The rows that have text in a column, and the text. */
function columnText(api: Bindings, chunk: DataChunk, at: number, rows: number): [number, string][] {
  const vector = api.data_chunk_get_vector(chunk, at)
  const validity = validityOf(api, vector, rows)
  if (validity === NONE) return []
  const bytes = api.vector_get_data(vector, rows * 16)
  const view = new DataView(bytes.buffer, bytes.byteOffset, rows * 16)
  const texts: [number, string][] = []
  for (let row = 0; row < rows; row++) {
    if (has(validity, row)) texts.push([row, Buffer.from(stringAt(api, view, row * 16)).toString()])
  }
  return texts
}

/** Give a row, whose shape is set, the extra elements that a JSON object lists. */
function addExtras(text: string, batch: FlowBatch, row: number): void {
  const values = readExtras(text)
  if (values.length === 0) return
  const elements: ExtraElement[] = values.map(({ pen, id }) => ({ pen, id, length: VARIABLE_LENGTH }))
  const at = batch.heapLength
  for (const { bytes } of values) {
    batch.addBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 255), 0, 2)
    batch.addBytes(bytes, 0, bytes.length)
  }
  const extras = batch.useExtras()
  extras[row * 2] = at
  extras[row * 2 + 1] = batch.heapLength - at
  const { fields, timeDigits } = batch.shapes[batch.shape[row]]
  batch.shape[row] = batch.intern(makeShape(fields, timeDigits, elements))
}
