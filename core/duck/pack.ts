import { isUtf8 } from 'node:buffer'
import type { AddressColumn } from '../flow/address.ts'
import { isAddress, type Column, type FlowBatch } from '../flow/batch.ts'
import type { Field } from '../flow/fields.ts'
import { EMPTY_SHAPE } from '../flow/shape.ts'
import { sqlColumns } from '../flow/sql.ts'
import { WIDTHS } from './columns.ts'
import { extrasText } from './extras.ts'

/**
 * Rows of a batch in the layout of DuckDB's vectors, in one buffer that goes to another thread.
 *
 * Column `i` (of `columnsOf`) has its values at byte `data[i]` and its validity bits at `validity[i]`.
 * Text and octets have pairs of u32 there: the byte at which the value begins, and its length.
 */
export interface Block {
  readonly rows: number
  readonly buffer: ArrayBuffer
  /** ABSENT where no row has a value. */
  readonly data: readonly number[]
  /** ALL_VALID where every row has one. */
  readonly validity: readonly number[]
}

export const ABSENT = -1
export const ALL_VALID = -1

/** A column of text, octets or extras before it lies in a block. */
interface Texts {
  /** One for each row that has one. */
  readonly values: Uint8Array[]
  readonly bitmap: Uint8Array
  size: number
}

const utf8 = new TextEncoder()

/**
 * Pack rows `start` up to `end` of `batch`.
 *
 * Text that is not UTF-8 gets U+FFFD for what is ill-formed: Parquet and SQL have no other text.
 *
 * @param fields those to pack; a row that lacks one has NULL there
 * @param take gives a buffer of at least that many bytes, with anything in it
 */
export function packBlock(
  batch: FlowBatch, start: number, end: number, fields: readonly Field[], extras: boolean,
  take: (size: number) => ArrayBuffer,
): Block {
  const rows = end - start
  const shape = batch.shape.subarray(start, end)
  const used = usedShapes(batch, start, end)
  const none = new Uint8Array(batch.shapes.length)
  const present = fields.map(({ id }) => batch.has(id) ? batch.present(id) : none)
  const texts = new Map<number, Texts>()
  const bitmapSize = align(rows / 8)
  let size = 0
  for (const [i, field] of fields.entries()) {
    if (!used.some((index) => present[i][index] === 1)) continue
    if (field.type === 'text' || field.type === 'octets') {
      texts.set(i, gatherTexts(batch, start, end, field, present[i]))
    }
    for (const { type } of sqlColumns(field)) size += align(rows * WIDTHS[type])
    size += bitmapSize
  }
  if (extras) {
    texts.set(fields.length, gatherExtras(batch, start, end))
    size += rows * 8 + bitmapSize
  }
  for (const each of texts.values()) size += align(each.size)

  const buffer = take(size)
  const data: number[] = []
  const validity: number[] = []
  const bitmaps = new Map<string, number>() // where the validity bits are of fields that the same shapes have
  let at = 0
  const place = (bytes: number) => (at += align(bytes)) - align(bytes)
  const placeBits = (key: string, mark: (bits: Uint8Array) => void) => {
    let bits = bitmaps.get(key)
    if (bits === undefined) {
      bits = place(bitmapSize)
      mark(new Uint8Array(buffer, bits, bitmapSize).fill(0))
      bitmaps.set(key, bits)
    }
    return bits
  }
  for (const [i, field] of fields.entries()) {
    const columns = sqlColumns(field)
    const mask = present[i]
    const having = used.filter((index) => mask[index] === 1)
    if (having.length === 0) {
      for (let n = 0; n < columns.length; n++) {
        data.push(ABSENT)
        validity.push(ALL_VALID)
      }
      continue
    }
    const column = batch.column(field.id)
    const family = isAddress(column) ? column.family.subarray(start, end) : undefined
    let bits = ALL_VALID
    if (family?.includes(0)) bits = placeBits(field.name, (out) => markAddresses(mask, shape, family, out))
    else if (having.length < used.length) {
      bits = placeBits(having.join(), (out) => markShapes(mask, shape, out))
    }
    for (const { type } of columns) {
      data.push(place(rows * WIDTHS[type]))
      validity.push(bits)
    }
    const last = data[data.length - 1]
    const text = texts.get(i)
    if (text) at = placeTexts(text, new Uint32Array(buffer, last, rows * 2), at)
    else if (isAddress(column)) {
      const [high, low] = data.slice(-2).map((where) => new Uint32Array(buffer, where, rows * 2))
      splitAddresses(column, start, high, low)
    } else copyValues(column, field, start, end, buffer, last)
  }
  const text = texts.get(fields.length)
  if (text && text.values.length === 0) {
    data.push(ABSENT)
    validity.push(ALL_VALID)
  } else if (text) {
    const pairs = place(rows * 8)
    data.push(pairs)
    validity.push(placeBits('', (out) => out.set(text.bitmap)))
    placeTexts(text, new Uint32Array(buffer, pairs, rows * 2), at)
  }
  return { rows, buffer, data, validity }
}

/** Rounded up to whole words of 8 bytes. */
function align(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}

/** The indexes of the shapes that rows `start` up to `end` have. */
export function usedShapes(batch: FlowBatch, start: number, end: number): number[] {
  const { shape } = batch
  const seen = new Uint8Array(batch.shapes.length)
  const used: number[] = []
  for (let row = start; row < end; row++) {
    if (seen[shape[row]] === 1) continue
    seen[shape[row]] = 1
    used.push(shape[row])
  }
  return used
}

function markShapes(mask: Uint8Array, shape: Uint16Array, bits: Uint8Array): void {
  for (let row = 0; row < shape.length; row++) bits[row >> 3] |= mask[shape[row]] << (row & 7)
}

function markAddresses(mask: Uint8Array, shape: Uint16Array, family: Uint8Array, bits: Uint8Array): void {
  for (let row = 0; row < shape.length; row++) {
    if (family[row] !== 0) bits[row >> 3] |= mask[shape[row]] << (row & 7)
  }
}

function copyValues(
  column: Exclude<Column, AddressColumn>, { type }: Field, start: number, end: number,
  buffer: ArrayBuffer, at: number,
): void {
  const numbers = type === 'u64' ? column.subarray(start * 2, end * 2) : column.subarray(start, end)
  if (numbers instanceof Float64Array) splitNumbers(numbers, new Uint32Array(buffer, at))
  else if (numbers instanceof Uint32Array) new Uint32Array(buffer, at).set(numbers)
  else if (numbers instanceof Uint16Array) new Uint16Array(buffer, at).set(numbers)
  else new Uint8Array(buffer, at).set(numbers)
}

/** Integers as 64-bit little-endian, in two halves: a third faster than doubles and a cast in SQL. */
function splitNumbers(column: Float64Array, out: Uint32Array): void {
  for (let row = 0, at = 0; row < column.length; row++, at += 2) {
    const value = column[row]
    const high = Math.floor(value / 4294967296)
    out[at] = value - high * 4294967296
    out[at + 1] = high
  }
}

/** IPv4 as mapped into IPv6 (RFC 4291 §2.5.5.2). */
function splitAddresses(column: AddressColumn, start: number, high: Uint32Array, low: Uint32Array): void {
  const { family, v4, v6 } = column
  for (let row = start, at = 0; at < low.length; row++, at += 2) {
    if (family[row] !== 6) {
      high[at] = high[at + 1] = 0
      low[at] = v4[row]
      low[at + 1] = 0xffff
      continue
    }
    const from = row * 16
    high[at + 1] = v6[from] << 24 | v6[from + 1] << 16 | v6[from + 2] << 8 | v6[from + 3]
    high[at] = v6[from + 4] << 24 | v6[from + 5] << 16 | v6[from + 6] << 8 | v6[from + 7]
    low[at + 1] = v6[from + 8] << 24 | v6[from + 9] << 16 | v6[from + 10] << 8 | v6[from + 11]
    low[at] = v6[from + 12] << 24 | v6[from + 13] << 16 | v6[from + 14] << 8 | v6[from + 15]
  }
}

function gatherTexts(batch: FlowBatch, start: number, end: number, field: Field, mask: Uint8Array): Texts {
  const { heap, shape } = batch
  const column = batch.column(field.id) as Uint32Array
  const texts = newTexts(end - start)
  for (let row = start; row < end; row++) {
    if (mask[shape[row]] === 0) continue
    const bytes = heap.subarray(column[row * 2], column[row * 2] + column[row * 2 + 1])
    addText(texts, row - start, field.type === 'text' && !isUtf8(bytes) ? wellFormed(bytes) : bytes)
  }
  return texts
}

function gatherExtras(batch: FlowBatch, start: number, end: number): Texts {
  const texts = newTexts(end - start)
  for (let row = start; row < end; row++) {
    const { extras } = batch.shapes[batch.shape[row]] ?? EMPTY_SHAPE
    if (extras.length > 0) addText(texts, row - start, utf8.encode(extrasText(extras, batch, row)))
  }
  return texts
}

function newTexts(rows: number): Texts {
  return { values: [], bitmap: new Uint8Array(align(rows / 8)), size: 0 }
}

function addText(texts: Texts, row: number, bytes: Uint8Array): void {
  texts.values.push(bytes)
  texts.bitmap[row >> 3] |= 1 << (row & 7)
  texts.size += bytes.length
}

function wellFormed(bytes: Uint8Array): Uint8Array {
  return utf8.encode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
}

/** Write the values at byte `at` of the buffer, and into `pairs` where each is. @returns the offset behind */
function placeTexts({ values, bitmap }: Texts, pairs: Uint32Array, at: number): number {
  const out = new Uint8Array(pairs.buffer)
  for (let row = 0, next = 0; next < values.length; row++) {
    if ((bitmap[row >> 3] >> (row & 7) & 1) === 0) continue
    const value = values[next++]
    out.set(value, at)
    pairs[row * 2] = at
    pairs[row * 2 + 1] = value.length
    at += value.length
  }
  return align(at)
}
