import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import { isPair, type FlowBatch } from '../flow/batch.ts'
import { FIELD_COUNT, FIELDS } from '../flow/fields.ts'
import { addFields, EMPTY_SHAPE, type Shape } from '../flow/shape.ts'

const WORDS = Math.ceil(FIELD_COUNT / 32)
/** Layouts remembered, a power of two; traffic has a few dozen, and the hostile cannot make more. */
const SLOTS = 512

/** Which columns a set of fields is stored in, by the kind of store. */
interface Layout {
  readonly words: Int32Array
  /** What the row is before they are added. */
  readonly base: Shape
  /** What it is then. */
  readonly shape: Shape
  readonly bytes: readonly number[]
  readonly shorts: readonly number[]
  readonly longs: readonly number[]
  readonly doubles: readonly number[]
  readonly pairs: readonly number[]
  readonly addresses: readonly number[]
}

/**
 * What a sampled packet tells, before it is in a batch: values by field id, and a bit for each that is
 * present; reused.
 *
 * Rows with the same fields share a layout, found by the bits, so that steady traffic allocates nothing.
 */
export class SampleRow {
  private readonly wanted: Uint8Array
  private readonly words: Int32Array = new Int32Array(WORDS)
  private readonly kept: Int32Array = new Int32Array(WORDS)
  private readonly values: Float64Array = new Float64Array(FIELD_COUNT)
  /** Family of an address, length of a text, high half of a 64-bit number. */
  private readonly seconds: Float64Array = new Float64Array(FIELD_COUNT)
  private readonly v6: Uint8Array = new Uint8Array(FIELD_COUNT * 16)
  private readonly layouts: (Layout | undefined)[] = new Array(SLOTS)

  /** @param wanted by field id, 1 if it is to be stored */
  constructor(wanted: Uint8Array) {
    this.wanted = wanted
  }

  /** Make everything absent, for the first row of a datagram. */
  clear(): void {
    this.words.fill(0)
  }

  /** What is present now stays for the rows that follow. */
  keep(): void {
    this.kept.set(this.words)
  }

  /** Begin the next row with what was kept. */
  begin(): void {
    this.words.set(this.kept)
  }

  /** Whether a field is stored if it is present. */
  wants(id: number): boolean {
    return this.wanted[id] === 1
  }

  /** Whether a field is present. */
  has(id: number): boolean {
    return (this.words[id >> 5] >> (id & 31) & 1) === 1
  }

  /** Set a number. */
  set(id: number, value: number): void {
    this.values[id] = value
    this.words[id >> 5] |= 1 << (id & 31)
  }

  /** Set a number unless the field is present. */
  offer(id: number, value: number): void {
    if (!this.has(id)) this.set(id, value)
  }

  /** Set a text by its place in the batch's heap, or a 64-bit number by its low and its high half. */
  setPair(id: number, first: number, second: number): void {
    this.seconds[id] = second
    this.set(id, first)
  }

  /** Set an IPv4 address. */
  setIpv4(id: number, value: number): void {
    this.setPair(id, value, 4)
  }

  /** Set an IPv6 address, the 16 bytes at `at`. */
  setIpv6(id: number, bytes: Uint8Array, at: number): void {
    const { v6 } = this
    for (let i = 0; i < 16; i++) v6[id * 16 + i] = bytes[at + i]
    this.setPair(id, 0, 6)
  }

  /** Store the row as row `row` of `batch`, which has room; the batch's length is the caller's to raise. */
  store(batch: FlowBatch, row: number): void {
    this.put(batch, row, EMPTY_SHAPE, 0)
  }

  /** Add to row `row` of `batch` the fields that it does not have. */
  add(batch: FlowBatch, row: number): void {
    const index = batch.shape[row]
    this.put(batch, row, batch.shapes[index], index)
  }

  private put(batch: FlowBatch, row: number, base: Shape, seed: number): void {
    const { values, seconds } = this
    const { shape, bytes, shorts, longs, doubles, pairs, addresses } = this.layout(base, seed)
    batch.shape[row] = batch.intern(shape)
    for (const id of bytes) (batch.column(id) as Uint8Array)[row] = values[id]
    for (const id of shorts) (batch.column(id) as Uint16Array)[row] = values[id]
    for (const id of longs) (batch.column(id) as Uint32Array)[row] = values[id]
    for (const id of doubles) (batch.column(id) as Float64Array)[row] = values[id]
    for (const id of pairs) {
      const column = batch.column(id) as Uint32Array
      column[row * 2] = values[id]
      column[row * 2 + 1] = seconds[id]
    }
    for (const id of addresses) this.storeAddress(id, batch.column(id) as AddressColumn, row)
  }

  private storeAddress(id: number, column: AddressColumn, row: number): void {
    const family = this.seconds[id]
    column.family[row] = family
    column.v4[row] = this.values[id]
    if (family !== 6) return
    const { v6 } = this
    const storage = ipv6Storage(column)
    for (let i = 0; i < 16; i++) storage[row * 16 + i] = v6[id * 16 + i]
  }

  private layout(base: Shape, seed: number): Layout {
    const { words, layouts } = this
    let hash = seed
    for (let i = 0; i < WORDS; i++) hash = Math.imul(hash ^ words[i], 0x9e3779b1) ^ hash >>> 15
    const slot = (hash ^ hash >>> 13) & SLOTS - 1
    const found = layouts[slot]
    if (found && found.base === base && sameWords(found.words, words)) return found
    return layouts[slot] = this.makeLayout(base)
  }

  private makeLayout(base: Shape): Layout {
    const fields = FIELDS.filter(({ id }) => this.has(id) && this.wants(id) && base.mask[id] === 0)
    const ofType = (...types: string[]) =>
      fields.filter(({ type }) => types.includes(type)).map(({ id }) => id)
    return {
      words: this.words.slice(),
      base,
      shape: addFields(base, fields.map(({ id }) => id)),
      bytes: ofType('u8'),
      shorts: ofType('u16'),
      longs: ofType('u32'),
      doubles: ofType('count', 'time', 'mac'),
      pairs: fields.filter(({ type }) => isPair(type)).map(({ id }) => id),
      addresses: ofType('addr'),
    }
  }
}

function sameWords(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < WORDS; i++) if (a[i] !== b[i]) return false
  return true
}
