/** Rows as text: what JSON and CSV have in common. One literal and one value a cell, by a plan per shape. */
import { writeIpv6, MAX_ADDRESS_TEXT, type AddressColumn } from '../core/flow/address.ts'
import type { Column, FlowBatch } from '../core/flow/batch.ts'
import {
  ByteWriter, putCount, putHex, putIpv4, putMac, putSequence, putSmall, putUint, putUint32,
  putUint128, putUint64, putWords, SLACK, TimeWriter, toWords, utf8Sequence,
} from '../core/flow/byte-writer.ts'
import { ID, type Field } from '../core/flow/fields.ts'
import { FLOW_TYPES } from '../core/flow/names.ts'
import type { Shape, TimeDigits } from '../core/flow/shape.ts'
import { MAX_TIME_TEXT } from '../core/flow/time.ts'
import { extraNames, extraValues } from './extras.ts'
import {
  ADDRESS, COUNT, FIRST_FREE_KIND, KINDS, MAC, OCTETS, TEXT, TIME, UINT16, UINT32, UINT64, UINT8,
} from './kinds.ts'

/** One value of a row and the ASCII literal before it. */
export interface Cell {
  readonly field: Field
  readonly before: string
  /** The literal where the address is IPv6, or, for a field that is no address, the row's source address. */
  readonly before6?: string
  /** An address as the integer that it is. */
  readonly raw?: boolean
}

/** How rows of one shape look. The shape must have the fields of all cells. */
export interface Layout {
  readonly cells: readonly Cell[]
  /** The literal behind the last cell, ASCII. */
  readonly tail: string
  /** Names that elements without a column cannot have. */
  readonly taken: readonly string[]
}

/** What differs between JSON and CSV. */
export interface RowStyle {
  /**
   * JSON: text is escaped, values that are no numbers get a closing quote (the opening one is the literal's),
   * addresses absent from a row leave out their literal, and the row's first byte becomes `{`.
   * Otherwise CSV: text is quoted by RFC 4180, where it must be or is empty.
   */
  readonly json: boolean
  /** Whether elements without a column end the row: members in JSON, a cell holding an object in CSV. */
  readonly extras: boolean
  /** What ends every row, ASCII. */
  readonly end: string
  layout(shape: Shape): Layout
}

/** The kind of the field `type`, which is told in words. */
const TYPE = FIRST_FREE_KIND
/** The kind of addresses that are integers. */
const RAW = FIRST_FREE_KIND + 1

const TYPE_WORDS = FLOW_TYPES.map(toWords)
/** Longest value of fixed size, with quotes. */
const MAX_VALUE = Math.max(MAX_ADDRESS_TEXT, MAX_TIME_TEXT) + 2
const QUOTE = 34
const BACKSLASH = 92
const ESCAPES = new Uint8Array(32) // by control character, the letter that JSON has for it
for (const [letter, code] of [['b', 8], ['t', 9], ['n', 10], ['f', 12], ['r', 13]] as const) {
  ESCAPES[code] = letter.charCodeAt(0)
}

/** Literals as words: literal `i` begins at `starts[i]` and is `lengths[i]` bytes long. */
interface Literals {
  readonly words: Int32Array
  readonly starts: Int32Array
  readonly lengths: Int32Array
}

/** A layout made ready for rows, and bound to the columns of one batch. */
interface Plan extends Literals {
  readonly shape: Shape
  readonly cells: readonly Cell[]
  readonly kinds: Uint8Array
  /** The literals for IPv6, or undefined where no cell has one of its own. */
  readonly six: Literals | undefined
  readonly digits: Int8Array
  readonly tail: Int32Array
  readonly tailLength: number
  /** Bytes that a row takes at most, without text, octets and extras. */
  readonly size: number
  readonly extraNames: readonly string[]
  columns: Column[]
  /** Nanoseconds of times. */
  nanos: (Uint16Array | undefined)[]
  families: (Uint8Array | undefined)[]
}

/** Writes rows one behind the other. */
export class RowWriter extends ByteWriter {
  private readonly style: RowStyle
  private readonly end: Int32Array
  private readonly plans = new WeakMap<Shape, Plan>()
  private readonly times = new TimeWriter('T')

  constructor(style: RowStyle) {
    super()
    this.style = style
    this.end = toWords(style.end)
  }

  /** Write all rows of `batch` from `at` on. @returns the offset behind them */
  rows(batch: FlowBatch, at: number): number {
    const { json, extras, end: { length: endLength } } = this.style
    const { times, end } = this
    const { length, shape, shapes, heap } = batch
    const bound: (Plan | undefined)[] = new Array(shapes.length)
    let { bytes, view } = this
    for (let row = 0; row < length; row++) {
      const plan = bound[shape[row]] ??= this.bind(batch, shapes[shape[row]])
      const { kinds, starts, lengths, words, columns, six } = plan
      const begin = at
      if (at + plan.size + SLACK > bytes.length) {
        this.room(at, plan.size)
        bytes = this.bytes
        view = this.view
      }
      for (let i = 0; i < kinds.length; i++) {
        const before = at
        if (six !== undefined && plan.families[i]?.[row] === 6) {
          putWords(six.words, six.starts[i], six.starts[i + 1], view, at)
          at += six.lengths[i]
        } else {
          putWords(words, starts[i], starts[i + 1], view, at)
          at += lengths[i]
        }
        switch (kinds[i]) {
          case UINT8:
            at = putSmall((columns[i] as Uint8Array)[row], view, at)
            continue
          case UINT16:
            at = putUint((columns[i] as Uint16Array)[row], view, at)
            continue
          case UINT32:
            at = putUint32(columns[i] as Uint32Array, row, view, at)
            continue
          case COUNT:
            at = putCount(columns[i] as Float64Array, row, view, at)
            continue
          case UINT64: {
            const pairs = columns[i] as Uint32Array
            at = putUint64(pairs[row * 2], pairs[row * 2 + 1], view, at)
            continue
          }
          case ADDRESS: {
            const { family, v4, v6 } = columns[i] as AddressColumn
            if (family[row] === 4) at = putIpv4(v4[row], view, at)
            else if (family[row] === 6) at = writeIpv6(v6, row * 16, bytes, at)
            else {
              if (json) at = before
              continue
            }
            break
          }
          case RAW: {
            const { family, v4, v6 } = columns[i] as AddressColumn
            if (family[row] === 4) at = putUint32(v4, row, view, at)
            else if (family[row] === 6) at = putUint128(v6, row * 16, view, at)
            else at = before
            continue
          }
          case TIME: {
            const nanos = plan.nanos[i]
            const below = nanos === undefined ? 0 : nanos[row]
            at = times.put(columns[i] as Float64Array, row, below, plan.digits[i] as TimeDigits, view, at)
            bytes[at++] = 90 // Z
            break
          }
          case MAC:
            at = putMac((columns[i] as Float64Array)[row], view, at)
            break
          case TYPE: {
            const type = (columns[i] as Uint8Array)[row]
            const known = type < TYPE_WORDS.length ? type : 0
            putWords(TYPE_WORDS[known], 0, TYPE_WORDS[known].length, view, at)
            at += FLOW_TYPES[known].length
            break
          }
          case TEXT: {
            const pairs = columns[i] as Uint32Array
            const from = pairs[row * 2]
            const to = from + pairs[row * 2 + 1]
            this.room(at, (to - from) * 6 + plan.size)
            bytes = this.bytes
            view = this.view
            at = json ? putJsonText(heap, from, to, bytes, at) : putCsvText(heap, from, to, bytes, at)
            break
          }
          case OCTETS: {
            const pairs = columns[i] as Uint32Array
            const from = pairs[row * 2]
            const to = from + pairs[row * 2 + 1]
            this.room(at, (to - from) * 2 + plan.size)
            bytes = this.bytes
            view = this.view
            at = putHex(heap, from, to, view, at)
            break
          }
        }
        if (json) bytes[at++] = QUOTE
      }
      putWords(plan.tail, 0, plan.tail.length, view, at)
      at += plan.tailLength
      if (extras) {
        at = this.extras(plan, batch, row, at)
        this.room(at, endLength + 1)
        bytes = this.bytes
        view = this.view
      }
      if (json) {
        if (at === begin) at++
        bytes[begin] = 123 // {
      }
      putWords(end, 0, end.length, view, at)
      at += endLength
    }
    return at
  }

  private extras({ shape, extraNames }: Plan, batch: FlowBatch, row: number, at: number): number {
    const { json } = this.style
    if (extraNames.length === 0) {
      if (json) return at
      this.room(at, 1)
      this.bytes[at] = 44 // a comma, and nothing
      return at + 1
    }
    const values = extraValues(shape.extras, batch, row)
    const text = values.map((value, i) => `${JSON.stringify(extraNames[i])}:${JSON.stringify(value)}`).join()
    if (json) return text === '' ? at : this.text(`,${text}`, at)
    return this.text(text === '' ? ',' : `,"{${text.replaceAll('"', '""')}}"`, at)
  }

  private bind(batch: FlowBatch, shape: Shape): Plan {
    let plan = this.plans.get(shape)
    if (!plan) this.plans.set(shape, plan = makePlan(this.style, shape))
    const { mask } = shape
    const sources = mask[ID.srcAddr] ? batch.srcAddr.family : undefined
    plan.columns = plan.cells.map(({ field }) => batch.column(field.id))
    plan.nanos = plan.cells.map(({ field: { id } }) => {
      if (id === ID.flowStart && mask[ID.flowStartNs]) return batch.flowStartNs
      return id === ID.flowEnd && mask[ID.flowEndNs] ? batch.flowEndNs : undefined
    })
    plan.families = plan.cells.map(({ field: { id, type }, before6 }) => {
      if (before6 === undefined) return undefined
      return type === 'addr' ? (batch.column(id) as AddressColumn).family : sources
    })
    return plan
  }
}

function makePlan(style: RowStyle, shape: Shape): Plan {
  const { cells, tail, taken } = style.layout(shape)
  const literals = packLiterals(cells.map(({ before }) => before))
  const six = cells.some(({ before6 }) => before6 !== undefined)
    ? packLiterals(cells.map(({ before, before6 = before }) => before6))
    : undefined
  const longest = Math.max(0, ...cells.flatMap(({ before, before6 = '' }) => [before.length, before6.length]))
  return {
    shape,
    cells,
    kinds: Uint8Array.from(cells, ({ field: { id, type }, raw }) => {
      return id === ID.type ? TYPE : raw ? RAW : KINDS[type]
    }),
    ...literals,
    six,
    digits: Int8Array.from(cells, ({ field }) => flowTimes.has(field.id) ? shape.timeDigits : -1),
    tail: toWords(tail),
    tailLength: tail.length,
    size: cells.length * (longest + MAX_VALUE) + tail.length + style.end.length + 8,
    extraNames: style.extras ? extraNames(shape.extras, taken) : [],
    columns: [],
    nanos: [],
    families: [],
  }
}

/** Fields whose digits of a second a shape declares. */
const flowTimes: ReadonlySet<number> = new Set([ID.flowStart, ID.flowEnd, ID.revFlowStart, ID.revFlowEnd])

function packLiterals(texts: readonly string[]): Literals {
  const packed = texts.map((text) => text === '' ? new Int32Array(0) : toWords(text))
  const starts = new Int32Array(texts.length + 1)
  for (const [i, words] of packed.entries()) starts[i + 1] = starts[i] + words.length
  const words = new Int32Array(starts[texts.length])
  for (const [i, literal] of packed.entries()) words.set(literal, starts[i])
  return { words, starts, lengths: Int32Array.from(texts, (text) => text.length) }
}

/** Write UTF-8 escaped for a JSON string, as JSON.stringify does; `out` has room for 6 bytes a byte. */
function putJsonText(bytes: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number {
  while (from < to) {
    const byte = bytes[from]
    if (byte >= 0x80) {
      const length = utf8Sequence(bytes, from, to)
      at = putSequence(bytes, from, length, out, at)
      from += Math.abs(length)
      continue
    }
    from++
    if (byte >= 32 && byte !== QUOTE && byte !== BACKSLASH) out[at++] = byte
    else {
      out[at++] = BACKSLASH
      if (byte >= 32) out[at++] = byte
      else if (ESCAPES[byte] !== 0) out[at++] = ESCAPES[byte]
      else {
        out[at] = 117 // u
        out[at + 1] = out[at + 2] = 48
        out[at + 3] = 48 + (byte >> 4)
        out[at + 4] = (byte & 15) + ((byte & 15) < 10 ? 48 : 87)
        at += 5
      }
    }
  }
  return at
}

/** Write UTF-8 as a CSV cell (RFC 4180), in quotes where it needs them or is empty. */
function putCsvText(bytes: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number {
  let quoted = from === to
  for (let i = from; i < to && !quoted; i++) {
    const byte = bytes[i]
    quoted = byte === QUOTE || byte === 44 || byte === 10 || byte === 13
  }
  if (quoted) out[at++] = QUOTE
  while (from < to) {
    const length = utf8Sequence(bytes, from, to)
    if (bytes[from] === QUOTE) out[at++] = QUOTE
    at = putSequence(bytes, from, length, out, at)
    from += Math.abs(length)
  }
  if (quoted) out[at++] = QUOTE
  return at
}
