/** Rows as text by a template, as C's printf has one. */
import { writeIpv6, type AddressColumn } from '../../core/flow/address.ts'
import type { Column, FlowBatch } from '../../core/flow/batch.ts'
import {
  ByteWriter, putCount, putDigits, putIpv4, putSmall, putUint, putUint32, putWords, TimeWriter, toWords,
} from '../../core/flow/byte-writer.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { alignRight, padTo } from '../align.ts'
import { COUNT, FIRST_FREE_KIND, KINDS, ADDRESS, UINT16, UINT32, UINT8 } from '../kinds.ts'
import { Derived, DERIVED, type DerivedName } from './derived.ts'

// Further kinds of cells
const PREFIX = FIRST_FREE_KIND
const TIME = FIRST_FREE_KIND + 1
const DATE_TIME = FIRST_FREE_KIND + 2
const SECONDS = FIRST_FREE_KIND + 3
const HEX = FIRST_FREE_KIND + 4 // with the kind of number added

/** Cells that are more than a field: how they are printed, of which field, and which other it goes with. */
const SPECIAL: Readonly<Record<string, readonly [kind: number, id: number, other: number]>> = {
  src_prefix: [PREFIX, ID.srcAddr, ID.srcMask],
  dst_prefix: [PREFIX, ID.dstAddr, ID.dstMask],
  start: [TIME, ID.flowStart, -1],
  end: [TIME, ID.flowEnd, -1],
  start_date: [DATE_TIME, ID.flowStart, -1],
  end_date: [DATE_TIME, ID.flowEnd, -1],
}

const HEX_DIGITS = new Uint8Array(Buffer.from('0123456789abcdef'))
const DOT = 46
const SLASH = 47
/** Longest value, with its padding. */
const MAX_CELL = 64

/** One value of a row and the literal before it. */
interface Cell {
  readonly kind: number
  /** Field, or -1. */
  readonly id: number
  /** Field of the prefix length, or -1. */
  readonly other: number
  readonly derived: DerivedName | undefined
  /** Left-aligned in as many bytes; negative: right-aligned. */
  readonly width: number
  /** Bytes of a prefix at most. */
  readonly most: number
  /** Hexadecimal digits at least, behind zeros. */
  readonly digits: number
  readonly before: string
}

/**
 * Prints rows by a template such as `{srcaddr:15} {input:x4} {dpkts:>10}`: names are flow-tools' or `start`,
 * `duration` and such, and behind them stands the width of left-aligned values, with `>` before it for those
 * that are right-aligned, `=` cut to it, `x` hexadecimal with leading zeros, `h` hexadecimal without.
 *
 * Values that a row lacks are 0, as they are in flow-tools' records.
 */
export class RowPrinter extends ByteWriter {
  private readonly cells: readonly Cell[]
  private readonly kinds: Uint8Array
  private readonly widths: Int8Array
  /** The literals, the one of cell `i` from word `starts[i]` on and `lengths[i]` bytes long. */
  private readonly words: Int32Array
  private readonly starts: Int32Array
  private readonly lengths: Int32Array
  private readonly tail: Int32Array
  private readonly tailLength: number
  private readonly rowSize: number
  /** One for each of the two times of a flow, since each goes on from where it was in the row before. */
  private readonly startTimes: TimeWriter
  private readonly endTimes: TimeWriter
  private readonly derived: Derived

  /** @param local whether times are in the zone of this machine */
  constructor(template: string, local: boolean) {
    super()
    const parts = template.split(/\{([^}]*)\}/)
    const tail = parts.pop()!
    this.cells = Array.from({ length: parts.length / 2 }, (_, i) => toCell(parts[i * 2 + 1], parts[i * 2]))
    this.kinds = Uint8Array.from(this.cells, ({ kind }) => kind)
    this.widths = Int8Array.from(this.cells, ({ width }) => width)
    const literals = this.cells.map(({ before }) => before === '' ? [] : [...toWords(before)])
    this.words = Int32Array.from(literals.flat())
    this.starts = Int32Array.from([0, ...literals], (_, i) => literals.slice(0, i).flat().length)
    this.lengths = Int32Array.from(this.cells, ({ before }) => before.length)
    this.tail = toWords(tail)
    this.tailLength = tail.length
    this.rowSize = template.length + this.cells.length * MAX_CELL
    this.startTimes = new TimeWriter(' ', local)
    this.endTimes = new TimeWriter(' ', local)
    this.derived = new Derived([...new Set(this.cells.flatMap(({ derived }) => derived ?? []))])
  }

  /**
   * Write the rows of `batch` from `at` on.
   *
   * @param skipped by row, other than 0 for those to leave out
   * @returns the offset behind them
   */
  rows(batch: FlowBatch, at: number, skipped: Uint8Array | undefined): number {
    const { cells, kinds, widths, starts, lengths, words, tail, tailLength, rowSize, derived } = this
    const { length, shape } = batch
    derived.compute(batch)
    const columns = cells.map(({ id, derived: name }): Column =>
      name ? derived.column(name) : batch.column(id))
    const all = new Uint8Array(batch.shapes.length).fill(1)
    const present = cells.map(({ id, derived: name }) => name ? all : batch.present(id))
    let { bytes, view } = this
    for (let row = 0; row < length; row++) {
      if (skipped !== undefined && skipped[row] !== 0) continue
      if (at + rowSize > bytes.length) {
        this.room(at, rowSize)
        bytes = this.bytes
        view = this.view
      }
      const has = shape[row]
      for (let i = 0; i < kinds.length; i++) {
        putWords(words, starts[i], starts[i + 1], view, at)
        at += lengths[i]
        const from = at
        if (present[i][has] === 0) at = this.absent(cells[i], at)
        else {
          switch (kinds[i]) {
            case UINT8:
              at = putSmall((columns[i] as Uint8Array)[row], view, at)
              break
            case UINT16:
              at = putUint((columns[i] as Uint16Array)[row], view, at)
              break
            case UINT32:
              at = putUint32(columns[i] as Uint32Array, row, view, at)
              break
            case COUNT:
              at = putCount(columns[i] as Float64Array, row, view, at)
              break
            case ADDRESS:
              at = this.address(columns[i] as AddressColumn, row, at)
              break
            default: at = this.cell(cells[i], columns[i], batch, row, at)
          }
        }
        const width = widths[i]
        if (width > 0) at = padTo(bytes, at, from + width)
        else if (width < 0) at = alignRight(bytes, from, at, -width)
      }
      putWords(tail, 0, tail.length, view, at)
      at += tailLength
    }
    return at
  }

  /** Write one value of a kind that is not as common. @returns the offset behind it */
  private cell(cell: Cell, data: Column, batch: FlowBatch, row: number, at: number): number {
    const { view } = this
    switch (cell.kind) {
      case HEX + UINT8: return putHexadecimal((data as Uint8Array)[row], cell.digits, this.bytes, at)
      case HEX + UINT16: return putHexadecimal((data as Uint16Array)[row], cell.digits, this.bytes, at)
      case HEX + UINT32: return putHexadecimal((data as Uint32Array)[row], cell.digits, this.bytes, at)
      case PREFIX: {
        const end = this.prefix(cell, data as AddressColumn, batch, row, at)
        return Math.min(end, at + cell.most)
      }
      case SECONDS: {
        const millis = (data as Uint32Array)[row]
        const seconds = Math.floor(millis / 1000)
        at = alignRight(this.bytes, at, putUint(seconds, view, at), 5)
        this.bytes[at] = DOT
        return putDigits(millis - seconds * 1000, 3, view, at + 1)
      }
      default: return this.time(cell, data as Float64Array, row, at)
    }
  }

  /** Write what stands for a value that a row lacks. */
  private absent(cell: Cell, at: number): number {
    const { kind, id, digits } = cell
    const { bytes, view } = this
    switch (kind) {
      case ADDRESS: return putIpv4(0, view, at)
      case PREFIX: return putPrefix(0, 0, bytes, view, at)
      case TIME: case DATE_TIME: return this.time(cell, EPOCH, 0, at)
      default:
        if (kind >= HEX) return putHexadecimal(0, digits, bytes, at)
        return putSmall(id === ID.flows ? 1 : 0, view, at) // without a count of flows it is one
    }
  }

  private address({ family, v4, v6 }: AddressColumn, row: number, at: number): number {
    if (family[row] === 6) return writeIpv6(v6, row * 16, this.bytes, at)
    return putIpv4(family[row] === 4 ? v4[row] : 0, this.view, at)
  }

  private prefix({ other }: Cell, address: AddressColumn, batch: FlowBatch, row: number, at: number): number {
    const { bytes, view } = this
    const known = batch.shapes[batch.shape[row]].mask[other] === 1
    const length = known ? (batch.column(other) as Uint8Array)[row] : 0
    if (address.family[row] !== 6) {
      return putPrefix(address.v4[row], length > 32 ? 0 : length, bytes, view, at) // as flow-print has it
    }
    at = this.address(address, row, at)
    bytes[at] = SLASH
    return putSmall(length, view, at + 1)
  }

  /** Write `1121.13:04:05.123`, or with the whole date `2026-11-21 13:04:05.123`. */
  private time({ kind, id }: Cell, column: Float64Array, row: number, at: number): number {
    const { bytes } = this
    const times = id === ID.flowStart ? this.startTimes : this.endTimes
    const end = times.put(column, row, 0, 3, this.view, at)
    if (kind === DATE_TIME) return end
    bytes[at] = bytes[at + 5] // the month
    bytes[at + 1] = bytes[at + 6]
    bytes[at + 2] = bytes[at + 8]
    bytes[at + 3] = bytes[at + 9]
    bytes[at + 4] = DOT
    for (let i = at + 5; i < end - 6; i++) bytes[i] = bytes[i + 6]
    return end - 6
  }
}

const EPOCH = new Float64Array(1)

function toCell(text: string, before: string): Cell {
  const [, name, style, width] = /^(\w+)(?::([>=xh]?)(\d+))?$/.exec(text) ?? []
  const base = {
    width: style === '>' ? -Number(width) : style === 'x' ? 0 : Number(width ?? 0),
    most: style === '=' ? Number(width) : Infinity,
    digits: style === 'x' ? Number(width) : 1,
    before,
  }
  if (name === 'active') return { ...base, kind: SECONDS, id: -1, other: -1, derived: 'duration' }
  const derived = DERIVED.find((each) => each === name)
  if (derived) return { ...base, kind: UINT32, id: -1, other: -1, derived }
  const special = SPECIAL[name]
  if (special) return { ...base, kind: special[0], id: special[1], other: special[2], derived: undefined }
  const { id, type } = FIELDS.find(({ peers }) => peers['flow-tools'] === name)!
  const kind = style === 'x' || style === 'h' ? HEX + KINDS[type] : KINDS[type]
  return { ...base, kind, id, other: -1, derived: undefined }
}

/** Write a number in hexadecimal, with at least `digits` digits. @returns the offset behind it */
function putHexadecimal(value: number, digits: number, bytes: Uint8Array, at: number): number {
  while (digits < 8 && value >= 16 ** digits) digits++
  for (let shift = digits * 4 - 4; shift >= 0; shift -= 4) bytes[at++] = HEX_DIGITS[value >>> shift & 15]
  return at
}

/** Write an IPv4 prefix without the octets at its end that are 0, `10.1/16`. @returns the offset behind it */
function putPrefix(value: number, length: number, bytes: Uint8Array, view: DataView, at: number): number {
  at = putSmall(value >>> 24, view, at)
  for (let rest = value << 8; rest !== 0; rest <<= 8) {
    bytes[at] = DOT
    at = putSmall(rest >>> 24, view, at + 1)
  }
  bytes[at] = SLASH
  return putSmall(length, view, at + 1)
}
