import { nameOf } from '../core/filter/value-names.ts'
import { writeIpv6, type AddressColumn } from '../core/flow/address.ts'
import type { Column, FlowBatch } from '../core/flow/batch.ts'
import {
  ByteWriter, putCount, putDigits, putHex, putIpv4, putMac, putSequence, putSmall, putUint, putUint32,
  putUint64, putWords, TimeWriter, toWords, utf8Sequence,
} from '../core/flow/byte-writer.ts'
import { FIELDS, ID, type FieldType } from '../core/flow/fields.ts'
import { fieldLabel, printedFields } from '../core/flow/labels.ts'
import { FLOW_TYPES, PROTOCOLS, SAMPLING_SOURCES } from '../core/flow/names.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { alignRight, padTo } from './align.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import {
  ADDRESS, COUNT, FIRST_FREE_KIND, KINDS, MAC, OCTETS, TEXT, TIME, UINT16, UINT32, UINT64, UINT8,
} from './kinds.ts'

/**
 * Aligned columns for people. Absent values are `-`, times have milliseconds, enumerations their names.
 *
 * Columns have fixed widths, so that rows can be printed as they come; what is wider, as IPv6 addresses with
 * their ports are, pushes the next columns only as far as their padding cannot take it.
 */
export const table: FlowFormat = {
  name: 'table',
  summary: 'Aligned columns for reading',
  extensions: [],
  encoder,
}

// Further kinds of cells
const NAME = FIRST_FREE_KIND
const FLAGS = FIRST_FREE_KIND + 1
const DURATION = FIRST_FREE_KIND + 2
const SOURCE = FIRST_FREE_KIND + 3
const DESTINATION = FIRST_FREE_KIND + 4

const WIDTHS: Readonly<Record<FieldType, number>> = {
  u8: 3, u16: 5, u32: 10, u64: 20, count: 12, time: 23, addr: 15, mac: 17, text: 12, octets: 16,
}

interface Names {
  readonly width: number
  readonly names: Readonly<Record<number, string>>
}

/** What the first two bits of a forwardingStatus say (RFC 7270 §4.12). */
const STATUSES = ['unknown', 'forwarded', 'dropped', 'consumed']

/** Values of 8 bits that have names, by field; others of the field are printed as numbers. */
const NAMES: Readonly<Record<number, Names>> = {
  [ID.type]: { width: 10, names: FLOW_TYPES },
  [ID.samplingSource]: { width: 7, names: SAMPLING_SOURCES },
  [ID.proto]: { width: 6, names: PROTOCOLS },
  [ID.direction]: { width: 7, names: ['ingress', 'egress'] },
  [ID.endReason]: { // RFC 5102 §5.11.3
    width: 9, names: { 1: 'idle', 2: 'active', 3: 'end', 4: 'forced', 5: 'resources' },
  },
  [ID.biflowDirection]: { width: 9, names: filterNames(ID.biflowDirection) },
  [ID.natEvent]: { width: 8, names: filterNames(ID.natEvent) },
  [ID.firewallEvent]: { width: 6, names: filterNames(ID.firewallEvent) },
  [ID.forwardingStatus]: { width: 9, names: filterNames(ID.forwardingStatus, STATUSES) },
}

/** The names that filters have for values of 8 bits; others take that of their group of 64, if there are. */
function filterNames(id: number, otherwise: readonly string[] = []): Record<number, string> {
  const names: Record<number, string> = {}
  for (let value = 0; value < 256; value++) {
    const name = nameOf(id, value) ?? otherwise[value >> 6]
    if (name !== undefined) names[value] = name
  }
  return names
}

interface TableColumn {
  readonly title: string
  readonly width: number
  readonly right: boolean
  readonly kind: number
  /** Of the value, or the field that decides whether it is absent. */
  readonly id: number
  /** By value. */
  readonly names?: readonly (NameWords | undefined)[]
}

interface NameWords {
  readonly words: Int32Array
  /** In bytes. */
  readonly length: number
}

const DASH = 45
const DOT = 46
const COLON = 58
const ICMP = 1
const ICMP6 = 58
const FLAG_LETTERS = new Uint8Array(Buffer.from('CEUAPRSF')) // from bit 7 down
/** Longest cell of fixed size, and its padding. */
const MAX_CELL = 128

function encoder({ fields, names = 'flowkit', quiet = false, utc = false }: WriteRequest): FlowEncoder {
  const columns = fields
    ? printedFields(fields).map((field) => fieldColumn(field.id, fieldLabel(field, names)))
    : defaultColumns()
  const writer = new TableWriter(columns, !utc)
  const titles = columns.map(({ title, width, right }) => right ? title.padStart(width) : title.padEnd(width))
  const header = quiet ? '' : `${titles.join('  ').trimEnd()}\n`
  let started = false
  function head(): number {
    if (started) return 0
    started = true
    return writer.text(header, 0)
  }
  return {
    encode: (batch) => writer.take(writer.lines(batch, head())),
    finish: () => writer.take(head()),
  }
}

function fieldColumn(id: number, title: string): TableColumn {
  const { type } = FIELDS[id]
  const [kind, usual] = [KINDS[type], WIDTHS[type]]
  const named = NAMES[id]
  if (named) {
    const names = Array.from({ length: 256 }, (_, value): NameWords | undefined => {
      const name = named.names[value]
      return name === undefined ? undefined : { words: toWords(name), length: name.length }
    })
    return { title, width: Math.max(title.length, named.width), right: false, kind: NAME, id, names }
  }
  if (id === ID.tcpFlags || id === ID.revTcpFlags) {
    return { title, width: Math.max(title.length, 8), right: false, kind: FLAGS, id }
  }
  return { title, width: Math.max(title.length, usual), right: kind <= UINT64, kind, id }
}

function defaultColumns(): TableColumn[] {
  return [
    fieldColumn(ID.flowStart, 'Start'),
    { title: 'Duration', width: 10, right: true, kind: DURATION, id: ID.flowEnd },
    fieldColumn(ID.proto, 'Proto'),
    { title: 'Source', width: 21, right: false, kind: SOURCE, id: ID.srcAddr },
    { title: 'Destination', width: 21, right: false, kind: DESTINATION, id: ID.dstAddr },
    fieldColumn(ID.tcpFlags, 'Flags'),
    { ...fieldColumn(ID.packets, 'Packets'), width: 10 },
    fieldColumn(ID.bytes, 'Bytes'),
    fieldColumn(ID.exporterAddr, 'Exporter'),
  ]
}

class TableWriter extends ByteWriter {
  private readonly columns: readonly TableColumn[]
  private readonly times: TimeWriter
  private readonly scratch = new Float64Array(1)

  constructor(columns: readonly TableColumn[], local: boolean) {
    super()
    this.columns = columns
    this.times = new TimeWriter(' ', local)
  }

  /** Write all rows of `batch` from `at` on. @returns the offset behind them */
  lines(batch: FlowBatch, at: number): number {
    const { columns } = this
    const { length, shape } = batch
    const data = columns.map(({ id }) => batch.column(id))
    const present = columns.map(({ id }) => batch.present(id))
    for (let row = 0; row < length; row++) {
      let target = at // where the column would begin, had nothing been pushed
      for (let i = 0; i < columns.length; i++) {
        const { width, right, kind } = columns[i]
        this.room(at, MAX_CELL + width)
        let begin = at
        if (i > 0) {
          this.bytes[at] = 32
          begin = padTo(this.bytes, at + 1, target)
        }
        let end = begin + 1
        if (present[i][shape[row]] === 1) end = this.cell(columns[i], data[i], batch, row, begin)
        else this.bytes[begin] = DASH
        if (right) end = alignRight(this.bytes, begin, end, target + width - begin)
        if (kind === TEXT) for (let k = begin; k < end; k++) if ((this.bytes[k] & 0xc0) === 0x80) target++
        at = end
        target += width + 2
      }
      this.room(at, 1)
      this.bytes[at++] = 10
    }
    return at
  }

  /** Write one value, left-aligned. */
  private cell(column: TableColumn, data: Column, batch: FlowBatch, row: number, at: number): number {
    const { kind, names } = column
    const { bytes, view } = this
    switch (kind) {
      case UINT8: return putSmall((data as Uint8Array)[row], view, at)
      case UINT16: return putUint((data as Uint16Array)[row], view, at)
      case UINT32: return putUint32(data as Uint32Array, row, view, at)
      case COUNT: return putCount(data as Float64Array, row, view, at)
      case UINT64: {
        const pairs = data as Uint32Array
        return putUint64(pairs[row * 2], pairs[row * 2 + 1], view, at)
      }
      case TIME: return this.times.put(data as Float64Array, row, 0, 3, view, at)
      case ADDRESS: return this.address(data as AddressColumn, row, at)
      case MAC: return putMac((data as Float64Array)[row], view, at)
      case TEXT: return this.plainText(batch.heap, data as Uint32Array, row, at)
      case OCTETS: {
        const pairs = data as Uint32Array
        const from = pairs[row * 2]
        const length = pairs[row * 2 + 1]
        this.room(at, length * 2 + MAX_CELL)
        return putHex(batch.heap, from, from + length, this.view, at)
      }
      case NAME: {
        const value = (data as Uint8Array)[row]
        const name = names?.[value]
        if (name === undefined) return putSmall(value, view, at)
        putWords(name.words, 0, name.words.length, view, at)
        return at + name.length
      }
      case FLAGS: {
        const flags = (data as Uint16Array)[row]
        for (let bit = 0; bit < 8; bit++) bytes[at + bit] = flags & 128 >> bit ? FLAG_LETTERS[bit] : DOT
        return at + 8
      }
      case DURATION: return this.duration(batch, row, at)
      default: return this.endpoint(kind === SOURCE, data as AddressColumn, batch, row, at)
    }
  }

  private address({ family, v4, v6 }: AddressColumn, row: number, at: number): number {
    if (family[row] === 4) return putIpv4(v4[row], this.view, at)
    if (family[row] === 6) return writeIpv6(v6, row * 16, this.bytes, at)
    this.bytes[at] = DASH
    return at + 1
  }

  /** Write `192.0.2.1:443` or `[2001:db8::1]:443`. In ICMP the destination's port is type and code. */
  private endpoint(
    source: boolean, address: AddressColumn, batch: FlowBatch, row: number, at: number,
  ): number {
    const { bytes, view } = this
    const { mask } = batch.shapes[batch.shape[row]]
    const protocol = mask[ID.proto] ? batch.proto[row] : 0
    const icmp = protocol === ICMP || protocol === ICMP6
    const hasPort = mask[source ? ID.srcPort : ID.dstPort] === 1
    const typed = mask[ID.icmpType] === 1
    if (address.family[row] === 0 || (icmp ? source || !(typed || hasPort) : !hasPort)) {
      return this.address(address, row, at)
    }
    if (address.family[row] === 6) {
      bytes[at] = 91 // [
      at = this.address(address, row, at + 1)
      bytes[at++] = 93
    } else at = this.address(address, row, at)
    bytes[at++] = COLON
    const port = hasPort ? source ? batch.srcPort[row] : batch.dstPort[row] : 0
    if (!icmp) return putUint(port, view, at)
    at = putSmall(typed ? batch.icmpType[row] : port >> 8, view, at)
    bytes[at++] = DOT
    return putSmall(typed ? mask[ID.icmpCode] ? batch.icmpCode[row] : 0 : port & 255, view, at)
  }

  /** Write `1.971s`. */
  private duration(batch: FlowBatch, row: number, at: number): number {
    const { bytes, view, scratch } = this
    const millis = Math.round((batch.flowEnd[row] - batch.flowStart[row]) / 1000)
    if (batch.shapes[batch.shape[row]].mask[ID.flowStart] === 0 || !(millis >= 0)) {
      bytes[at] = DASH
      return at + 1
    }
    scratch[0] = Math.floor(millis / 1000)
    at = putCount(scratch, 0, view, at)
    bytes[at] = DOT
    at = putDigits(millis - scratch[0] * 1000, 3, view, at + 1)
    bytes[at] = 115 // s
    return at + 1
  }

  /** Write UTF-8 with `?` for control characters, so that a terminal takes no orders from it. */
  private plainText(heap: Uint8Array, pairs: Uint32Array, row: number, at: number): number {
    let from = pairs[row * 2]
    const to = from + pairs[row * 2 + 1]
    this.room(at, (to - from) * 3 + MAX_CELL)
    const { bytes } = this
    while (from < to) {
      const byte = heap[from]
      const length = utf8Sequence(heap, from, to)
      const control = byte < 32 || byte === 127 || (byte === 0xc2 && length === 2 && heap[from + 1] < 0xa0)
      if (control) bytes[at++] = 63
      else at = putSequence(heap, from, length, bytes, at)
      from += Math.abs(length)
    }
    return at
  }
}
