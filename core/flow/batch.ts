import { ipv6Storage, type AddressColumn } from './address.ts'
import { FIELDS, type ColumnName, type ColumnType, type Field, type FieldType } from './fields.ts'
import { EMPTY_SHAPE, type Shape } from './shape.ts'

/** Rows a fresh batch has room for: enough to amortise per-batch work, small enough for the cache. */
export const BATCH_SIZE = 8192

/** Shapes a cleared batch may keep: steady traffic interns nothing, and hostile traffic cannot pile up. */
const KEPT_SHAPES = 256

type ColumnOf<T> =
  T extends 'u8' ? Uint8Array :
  T extends 'u16' ? Uint16Array :
  T extends 'u32' | 'u64' | 'text' | 'octets' ? Uint32Array :
  T extends 'addr' ? AddressColumn :
  Float64Array

/** Any column. */
export type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array | AddressColumn

/** Columns by name: `u64` is pairs (low, high), `text` and `octets` are pairs (start in heap, length). */
export type Columns = { readonly [N in ColumnName]: ColumnOf<ColumnType[N]> }

/** How full a batch is, to come back to. */
export interface BatchMark {
  readonly length: number
  readonly heapLength: number
  readonly saturated: number
  readonly shapes: number
}

/**
 * A batch of flow records as columns: row `i` is element `i` of each column (`2i`, `2i + 1` for pairs).
 *
 * `batch.srcPort` is a column, made on first use. A value counts only where the row's shape has the field:
 * see `present`. A reader owns its batch and reuses it: rows are valid until the reader's next step.
 * Call `reserve` before taking columns into locals, since it may replace them.
 */
export class FlowBatch {
  /** Rows in use. Decoders raise it only once rows are complete. */
  length = 0
  capacity: number
  /** Index into `shapes`, a row each. */
  shape: Uint16Array
  shapes: Shape[] = []
  /** Bytes that `text`, `octets` and extras point into. */
  heap: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  heapLength = 0
  /** Pairs (start in heap, length) of the values of elements without a column, where a shape has extras. */
  extras: Uint32Array = new Uint32Array(0)
  /** Counters met that were over 2^53 and are stored as 2^53. */
  saturated = 0
  /** Another number whenever rows have gone or moved, so that who remembers rows can tell. */
  generation = 0

  private readonly columns: (Column | undefined)[] = new Array(FIELDS.length)
  private readonly shapeIds = new Map<string, number>()

  constructor(capacity: number = BATCH_SIZE) {
    this.capacity = capacity
    this.shape = new Uint16Array(capacity)
  }

  /** The column of a field by id, made on first use. */
  column(id: number): Column {
    return this.columns[id] ??= newColumn(FIELDS[id], this.capacity)
  }

  /** Whether the field of that id may be present in some row. */
  has(id: number): boolean {
    return this.columns[id] !== undefined && this.shapes.some((shape) => shape.mask[id] === 1)
  }

  /** By shape index, whether the field of that id is present (1) or absent (0). */
  present(id: number): Uint8Array {
    return Uint8Array.from(this.shapes, (shape) => shape.mask[id])
  }

  /** The index of `shape` in this batch, for `shape[row]`. */
  intern(shape: Shape): number {
    let index = this.shapeIds.get(shape.key)
    if (index === undefined) {
      index = this.shapes.push(shape) - 1
      this.shapeIds.set(shape.key, index)
    }
    return index
  }

  /** Make room for `count` more rows. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.capacity) return
    this.capacity = Math.max(needed, this.capacity * 2)
    const old = this.shape
    this.shape = new Uint16Array(this.capacity)
    this.shape.set(old)
    if (this.extras.length > 0) this.extras = grown(this.extras, this.capacity * 2)
    for (const [id, column] of this.columns.entries()) {
      if (!column) continue
      const larger = newColumn(FIELDS[id], this.capacity)
      if (isAddress(column)) {
        const target = larger as AddressColumn
        target.family.set(column.family)
        target.v4.set(column.v4)
        if (column.v6.length > 0) ipv6Storage(target).set(column.v6)
      } else (larger as Uint8Array).set(column)
      this.columns[id] = larger
    }
  }

  /** Make room for `count` more bytes in the heap. */
  reserveHeap(count: number): void {
    const needed = this.heapLength + count
    if (needed <= this.heap.length) return
    const larger = new Uint8Array(Math.max(needed, this.heap.length * 2, 4096))
    larger.set(this.heap.subarray(0, this.heapLength))
    this.heap = larger
  }

  /** Copy `bytes[start..end)` into the heap. @returns where it begins there */
  addBytes(bytes: Uint8Array, start: number, end: number): number {
    this.reserveHeap(end - start)
    const at = this.heapLength
    this.heap.set(bytes.subarray(start, end), at)
    this.heapLength = at + end - start
    return at
  }

  /** The pairs that `extras` points with, made on first use. */
  useExtras(): Uint32Array {
    if (this.extras.length === 0) this.extras = new Uint32Array(this.capacity * 2)
    return this.extras
  }

  /** How full the batch is now. */
  mark(): BatchMark {
    const { length, heapLength, saturated, shapes } = this
    return { length, heapLength, saturated, shapes: shapes.length }
  }

  /** Take back what was added since `mark`. */
  restore(mark: BatchMark): void {
    this.length = mark.length
    this.heapLength = mark.heapLength
    this.saturated = mark.saturated
    for (const { key } of this.shapes.splice(mark.shapes)) this.shapeIds.delete(key)
  }

  /** Forget all rows. */
  clear(): void {
    this.generation++
    this.length = 0
    this.heapLength = 0
    this.saturated = 0
    if (this.shapes.length > KEPT_SHAPES) {
      this.shapes = []
      this.shapeIds.clear()
    }
  }

  /**
   * Keep the rows whose element of `selected` is not 0, in their order.
   *
   * @param selected at least `length` long
   */
  keep(selected: Uint8Array): void {
    const { length, shape, extras } = this
    let first = 0
    while (first < length && selected[first] !== 0) first++
    if (first === length) return
    this.generation++
    const rows = new Uint32Array(length - first)
    let count = 0
    for (let row = first; row < length; row++) if (selected[row] !== 0) rows[count++] = row
    gather(shape, rows, count, first)
    if (extras.length > 0) gatherPairs(extras, rows, count, first)
    for (const [id, column] of this.columns.entries()) {
      if (!column || !this.has(id)) continue
      if (isAddress(column)) {
        gather(column.family, rows, count, first)
        gather(column.v4, rows, count, first)
        if (column.v6.length > 0) gatherIpv6(column.v6, rows, count, first)
      } else if (isPair(FIELDS[id].type)) gatherPairs(column as Uint32Array, rows, count, first)
      else gather(column, rows, count, first)
    }
    this.length = first + count
  }

  /** Append row `row` of `other`, with all it has. */
  append(other: FlowBatch, row: number): void {
    this.reserve(1)
    const to = this.length
    const shape = other.shapes[other.shape[row]] ?? EMPTY_SHAPE
    this.shape[to] = this.intern(shape)
    for (const id of shape.fields) {
      const { type } = FIELDS[id]
      const source = other.column(id)
      const target = this.column(id)
      if (isAddress(source)) copyAddress(source, row, target as AddressColumn, to)
      else if (type === 'u64') {
        (target as Uint32Array)[to * 2] = source[row * 2];
        (target as Uint32Array)[to * 2 + 1] = source[row * 2 + 1]
      } else if (isPair(type)) this.appendBytes(target as Uint32Array, to, other, source as Uint32Array, row)
      else (target as Float64Array)[to] = source[row]
    }
    if (shape.extras.length > 0) this.appendBytes(this.useExtras(), to, other, other.extras, row)
    this.length++
  }

  private appendBytes(
    target: Uint32Array, to: number, other: FlowBatch, source: Uint32Array, row: number,
  ): void {
    const start = source[row * 2]
    target[to * 2] = this.addBytes(other.heap, start, start + source[row * 2 + 1])
    target[to * 2 + 1] = source[row * 2 + 1]
  }
}

/** The columns by name, `batch.srcPort`: getters on the prototype, one a field. */
export interface FlowBatch extends Columns {}

for (const field of FIELDS) {
  Object.defineProperty(FlowBatch.prototype, field.column, {
    get(this: FlowBatch) { return this.column(field.id) },
  })
}

/** Whether a field of this type takes two numbers a row. */
export function isPair(type: FieldType): boolean {
  return type === 'u64' || type === 'text' || type === 'octets'
}

/** Whether a column is one of addresses. */
export function isAddress(column: Column): column is AddressColumn {
  return 'family' in column
}

/** Copy one address between columns. */
export function copyAddress(source: AddressColumn, row: number, target: AddressColumn, to: number): void {
  target.family[to] = source.family[row]
  target.v4[to] = source.v4[row]
  if (source.family[row] !== 6) return
  const v6 = ipv6Storage(target)
  for (let i = 0; i < 16; i++) v6[to * 16 + i] = source.v6[row * 16 + i]
}

function newColumn({ type }: Field, capacity: number): Column {
  switch (type) {
    case 'u8': return new Uint8Array(capacity)
    case 'u16': return new Uint16Array(capacity)
    case 'u32': return new Uint32Array(capacity)
    case 'u64': case 'text': case 'octets': return new Uint32Array(capacity * 2)
    case 'count': case 'time': case 'mac': return new Float64Array(capacity)
    case 'addr': return {
      family: new Uint8Array(capacity), v4: new Uint32Array(capacity), v6: new Uint8Array(0),
    }
  }
}

function grown(array: Uint32Array, length: number): Uint32Array {
  const larger = new Uint32Array(length)
  larger.set(array)
  return larger
}

function gather(column: Exclude<Column, AddressColumn>, rows: Uint32Array, count: number, to: number): void {
  for (let i = 0; i < count; i++) column[to + i] = column[rows[i]]
}

function gatherIpv6(v6: Uint8Array, rows: Uint32Array, count: number, to: number): void {
  for (let i = 0; i < count; i++) v6.copyWithin((to + i) * 16, rows[i] * 16, rows[i] * 16 + 16)
}

function gatherPairs(column: Uint32Array, rows: Uint32Array, count: number, to: number): void {
  for (let i = 0; i < count; i++) {
    column[(to + i) * 2] = column[rows[i] * 2]
    column[(to + i) * 2 + 1] = column[rows[i] * 2 + 1]
  }
}
