import { writeIpv6, type AddressColumn } from '../core/flow/address.ts'
import type { Column, FlowBatch } from '../core/flow/batch.ts'
import { ByteWriter, putIpv4, putMac, SLACK } from '../core/flow/byte-writer.ts'
import type { ElementValue } from '../core/flow/element-value.ts'
import { FIELDS, ID, type Field, type FieldType } from '../core/flow/fields.ts'
import { outputLabel, type Labelling } from '../core/flow/labels.ts'
import { FLOW_TYPES } from '../core/flow/names.ts'
import type { Shape } from '../core/flow/shape.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { cborDecoder, EXTRAS, probeCbor, TIME_UNIT } from './cbor/decode.ts'
import {
  ARRAY, FALSE, FLOAT64, MAP, NULL, putBytes, putHead, putInteger, putLong, putText, TEXT, UNSIGNED,
} from './cbor/put.ts'
import { extraNames, extraValues } from './extras.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import {
  ADDRESS, COUNT, FIRST_FREE_KIND, KINDS, MAC, TEXT as STRING, TIME, UINT16, UINT32, UINT64, UINT8,
} from './kinds.ts'

/**
 * CBOR sequence (RFC 8742): a header, then blocks of rows. Any decoder reads it.
 *
 * The header is a map: `flowkit` (version 1), `fields` (names), `types` (one each: uint, time, address, mac,
 * text, bytes, and map for `extras`) and `time`, which says what times count: microseconds since 1970. A
 * block is an array of rows, a row an array of as many values as the header has fields: integers for uint and
 * time, text for address, mac and text, null where absent. Where no fields were asked for they are those of
 * the flows, and when flows with others come, another header precedes them and holds from there on.
 *
 * Maps of other tools are read, too: one a flow, by any names that flowkit knows.
 */
export const cbor: FlowFormat = {
  name: 'cbor',
  summary: 'CBOR sequence: a header, then blocks of rows as arrays',
  extensions: ['.cbor', '.cborseq'],
  isNamed: true,
  probe: probeCbor,
  decoder: cborDecoder,
  encoder,
}

const TYPE_NAMES: Readonly<Record<FieldType, string>> = {
  u8: 'uint', u16: 'uint', u32: 'uint', u64: 'uint', count: 'uint', time: 'time', addr: 'address', mac: 'mac',
  text: 'text', octets: 'bytes',
}
// Further kinds of values, for the row loop
const FLOW_TYPE = FIRST_FREE_KIND
const ABSENT = FIRST_FREE_KIND + 1
const TYPE_BYTES = FLOW_TYPES.map((name) => Uint8Array.of(TEXT | name.length, ...Buffer.from(name)))
/** Longest value of fixed size: the text of an IPv6 address and its head. */
const MAX_VALUE = 48

function encoder(request: WriteRequest): FlowEncoder {
  const { fields, extras = false } = request
  const writer = new CborWriter(extras)
  const chosen = fields && [...new Set(fields)].map((id) => FIELDS[id])
  let columns: readonly Field[] | undefined

  function encode(batch: FlowBatch): Uint8Array {
    if (batch.length === 0) return writer.take(0)
    const needed = chosen ?? columnsOf(batch, columns)
    const at = needed === columns ? 0 : writer.head(needed, request)
    columns = needed
    return writer.take(writer.block(batch, at))
  }

  function finish(): Uint8Array {
    return writer.take(columns ? 0 : writer.head(chosen ?? [], request))
  }

  return { encode, finish }
}

/** `known`, if the rows of `batch` have no other fields; else all of both, in the order of the table. */
function columnsOf(batch: FlowBatch, known: readonly Field[] | undefined): readonly Field[] {
  const mask = new Uint8Array(FIELDS.length)
  const used = new Uint8Array(batch.shapes.length)
  for (let row = 0; row < batch.length; row++) used[batch.shape[row]] = 1
  const shapes = batch.shapes.filter((_, i) => used[i] === 1)
  for (const { fields } of shapes) for (const id of fields) mask[id] = 1
  if (known) for (const { id } of known) mask[id] = 1
  const all = FIELDS.filter(({ id }) => mask[id] === 1)
  return known && known.length === all.length ? known : all
}

/** Writes the header and blocks that follow it. */
class CborWriter extends ByteWriter {
  private readonly extras: boolean
  private columns: readonly Field[] = []
  /** By shape, the kind of each column. */
  private kinds = new WeakMap<Shape, Uint8Array>()

  constructor(extras: boolean) {
    super()
    this.extras = extras
  }

  /** Write a header at the start of the buffer, for these columns from here on. @returns its length */
  head(columns: readonly Field[], labelling: Labelling): number {
    this.columns = columns
    this.kinds = new WeakMap()
    const fields = columns.map((field) => outputLabel(field, labelling))
    const types = columns.map(({ id, type }) => id === ID.type ? 'text' : TYPE_NAMES[type])
    let at = this.start(MAP, 4, 0)
    at = this.value(1, this.value('flowkit', at))
    at = this.value([...fields, ...this.extras ? [EXTRAS] : []], this.value('fields', at))
    at = this.value([...types, ...this.extras ? ['map'] : []], this.value('types', at))
    return this.value(TIME_UNIT, this.value('time', at))
  }

  /** Write all rows of `batch` as one block at `at`. @returns the offset behind it */
  block(batch: FlowBatch, at: number): number {
    const { length, shape, shapes, heap } = batch
    const columns = this.columns.map(({ id }): Column => batch.column(id))
    const bound: (Uint8Array | undefined)[] = new Array(shapes.length)
    const width = columns.length + (this.extras ? 1 : 0)
    const size = width * MAX_VALUE + 16
    at = this.start(ARRAY, length, at)
    let { bytes, view } = this
    for (let row = 0; row < length; row++) {
      const kinds = bound[shape[row]] ??= this.kindsOf(shapes[shape[row]])
      if (at + size + SLACK > bytes.length) {
        this.room(at, size)
        bytes = this.bytes
        view = this.view
      }
      at = putHead(ARRAY, width, view, at)
      for (let i = 0; i < kinds.length; i++) {
        switch (kinds[i]) {
          case ABSENT:
            bytes[at++] = NULL
            break
          case UINT8:
            at = putHead(UNSIGNED, (columns[i] as Uint8Array)[row], view, at)
            break
          case UINT16:
            at = putHead(UNSIGNED, (columns[i] as Uint16Array)[row], view, at)
            break
          case UINT32:
            at = putHead(UNSIGNED, (columns[i] as Uint32Array)[row], view, at)
            break
          case COUNT:
          case TIME:
            at = putInteger(columns[i] as Float64Array, row, view, at)
            break
          case UINT64: {
            const pairs = columns[i] as Uint32Array
            at = pairs[row * 2 + 1] === 0
              ? putHead(UNSIGNED, pairs[row * 2], view, at)
              : putLong(UNSIGNED, pairs[row * 2], pairs[row * 2 + 1], view, at)
            break
          }
          case ADDRESS: {
            const { family, v4, v6 } = columns[i] as AddressColumn
            if (family[row] === 4) {
              const end = putIpv4(v4[row], view, at + 1)
              bytes[at] = TEXT | end - at - 1
              at = end
            } else if (family[row] === 6) {
              const end = writeIpv6(v6, row * 16, bytes, at + 2)
              const textLength = end - at - 2
              const from = putHead(TEXT, textLength, view, at)
              if (from < at + 2) bytes.copyWithin(from, at + 2, end)
              at = from + textLength
            } else bytes[at++] = NULL
            break
          }
          case MAC:
            bytes[at] = TEXT | 17
            at = putMac((columns[i] as Float64Array)[row], view, at + 1)
            break
          case FLOW_TYPE: {
            const type = (columns[i] as Uint8Array)[row]
            const text = TYPE_BYTES[type < TYPE_BYTES.length ? type : 0]
            for (let k = 0; k < text.length; k++) bytes[at++] = text[k]
            break
          }
          default: {
            const pairs = columns[i] as Uint32Array
            const from = pairs[row * 2]
            const to = from + pairs[row * 2 + 1]
            this.room(at, (to - from) * 3 + size)
            bytes = this.bytes
            view = this.view
            at = kinds[i] === STRING
              ? putText(heap, from, to, bytes, view, at)
              : putBytes(heap, from, to, bytes, view, at)
          }
        }
      }
      if (this.extras) {
        at = this.extra(shapes[shape[row]], batch, row, at)
        bytes = this.bytes
        view = this.view
      }
    }
    return at
  }

  private kindsOf(shape: Shape): Uint8Array {
    let kinds = this.kinds.get(shape)
    if (!kinds) {
      kinds = Uint8Array.from(this.columns, ({ id, type }) => {
        if (shape.mask[id] === 0) return ABSENT
        return id === ID.type ? FLOW_TYPE : KINDS[type]
      })
      this.kinds.set(shape, kinds)
    }
    return kinds
  }

  /** Write the elements without a column: a map, or null where there are none. */
  private extra(shape: Shape, batch: FlowBatch, row: number, at: number): number {
    const values = shape.extras.length === 0 ? [] : extraValues(shape.extras, batch, row)
    if (values.length === 0) {
      this.room(at, 1)
      this.bytes[at] = NULL
      return at + 1
    }
    const names = extraNames(shape.extras, [])
    at = this.start(MAP, values.length, at)
    for (const [i, value] of values.entries()) at = this.value(value, this.value(names[i], at))
    return at
  }

  /** Write any value. @returns the offset behind it */
  private value(value: ElementValue, at: number): number {
    if (typeof value === 'string') {
      const end = this.text(value, at + 9) // behind the longest head
      const from = this.start(TEXT, end - at - 9, at)
      this.bytes.copyWithin(from, at + 9, end)
      return from + end - at - 9
    }
    if (typeof value === 'object') {
      if (isArray(value)) {
        at = this.start(ARRAY, value.length, at)
        for (const item of value) at = this.value(item, at)
        return at
      }
      const members = Object.entries(value)
      at = this.start(MAP, members.length, at)
      for (const [name, member] of members) at = this.value(member, this.value(name, at))
      return at
    }
    this.room(at, 9)
    if (typeof value === 'boolean') {
      this.bytes[at] = FALSE + Number(value)
      return at + 1
    }
    if (Number.isSafeInteger(value)) return putInteger(Float64Array.of(value), 0, this.view, at)
    this.bytes[at] = FLOAT64
    this.view.setFloat64(at + 1, value)
    return at + 9
  }

  /** Write the head of an item, with room made for it. */
  private start(major: number, length: number, at: number): number {
    this.room(at, 9)
    return putHead(major, length, this.view, at)
  }
}

function isArray(value: ElementValue): value is readonly ElementValue[] {
  return Array.isArray(value)
}
