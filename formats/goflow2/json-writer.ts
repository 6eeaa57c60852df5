/** Rows as goflow2's JSON lines: a literal and a value in turn, by a plan for each shape. */
import { MAX_ADDRESS_TEXT, writeIpv6, type AddressColumn } from '../../core/flow/address.ts'
import type { Column, FlowBatch } from '../../core/flow/batch.ts'
import {
  ByteWriter, putCount, putDigits, putIpv4, putMac, putSmall, putUint, putUint32, putUint64, putWords, SLACK,
  toWords,
} from '../../core/flow/byte-writer.ts'
import { ID } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { extraValues } from '../extras.ts'
import { ADDRESS, COUNT, MAC, TIME, UINT16, UINT32, UINT64, UINT8 } from '../kinds.ts'
import {
  addressOf, ETYPE, isListKey, layoutOf, NAME, NET, NO_NET, NO_NET_OF_ETYPE, VLAN, WORD_LIST, type Cell,
} from './json-plan.ts'
import { wordsOf } from './words.ts'

const NO_NET4 = toWords('0.0.0.0/0')
const NO_NET6 = toWords('::/0')
const IPV4 = toWords('"IPv4"')
const IPV6 = toWords('"IPv6"')
const END = toWords('}\n')
/** Longest value of fixed size: an IPv6 network. */
const MAX_VALUE = MAX_ADDRESS_TEXT + 4
const MINUS = 45
const SLASH = 47

/** A layout made ready for rows, and bound to the columns of one batch. */
interface Plan {
  readonly cells: readonly Cell[]
  readonly kinds: Uint8Array
  /** Literals before the cells, and the one behind the last. */
  readonly words: readonly Int32Array[]
  readonly lengths: Uint16Array
  /** Literals before IPv6 addresses that have their own. */
  readonly six: readonly (Int32Array | undefined)[]
  /** Keys of elements without a field. */
  readonly extras: readonly string[]
  readonly shape: Shape
  /** Bytes that a row takes at most, without lists. */
  readonly size: number
  columns: readonly Column[]
  /** Addresses of networks, nanoseconds of times. */
  others: readonly (Column | undefined)[]
}

/** Writes rows one behind the other. */
export class Goflow2JsonWriter extends ByteWriter {
  private readonly plans = new WeakMap<Shape, Plan>()
  private readonly double = new Float64Array(1)
  private readonly network = new Uint8Array(16)
  private readonly hasExtras: boolean

  /** @param hasExtras whether elements without a field are written too */
  constructor(hasExtras: boolean) {
    super()
    this.hasExtras = hasExtras
  }

  /** Write all rows of `batch`. @returns their length */
  rows(batch: FlowBatch): number {
    const { length, shape, shapes, type } = batch
    const bound: (Plan | undefined)[] = new Array(shapes.length)
    let { bytes, view } = this
    let at = 0
    for (let row = 0; row < length; row++) {
      const plan = bound[shape[row]] ??= this.bind(batch, shapes[shape[row]])
      const { kinds, words, six, lengths, columns, others } = plan
      if (at + plan.size + SLACK > bytes.length) {
        this.room(at, plan.size)
        bytes = this.bytes
        view = this.view
      }
      for (let i = 0; i < kinds.length; i++) {
        const before = six[i] !== undefined && isIpv6(columns[i], row) ? six[i]! : words[i]
        putWords(before, 0, before.length, view, at)
        at += lengths[i]
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
          case UINT64: {
            const pairs = columns[i] as Uint32Array
            at = putUint64(pairs[row * 2], pairs[row * 2 + 1], view, at)
            break
          }
          case MAC:
            at = putMac((columns[i] as Float64Array)[row], view, at)
            break
          case ADDRESS: {
            const { family, v4, v6 } = columns[i] as AddressColumn
            if (family[row] === 4) at = putIpv4(v4[row], view, at)
            else if (family[row] === 6) at = writeIpv6(v6, row * 16, bytes, at)
            break
          }
          case TIME:
            at = this.nanos(columns[i] as Float64Array, others[i] as Uint16Array | undefined, row, at)
            break
          case NAME: {
            const names = plan.cells[i].names!
            const value = (columns[i] as Uint8Array)[row]
            putWords(names.words[value], 0, names.words[value].length, view, at)
            at += names.lengths[value]
            break
          }
          case ETYPE: {
            const value = (columns[i] as Uint16Array)[row]
            if (value === ETYPE_IPV4 || value === ETYPE_IPV6) {
              putWords(value === ETYPE_IPV4 ? IPV4 : IPV6, 0, 2, view, at)
              at += 6
            } else at = putUint(value, view, at)
            break
          }
          case NET:
            at = this.net(others[i] as AddressColumn, (columns[i] as Uint8Array)[row], row, at)
            break
          case NO_NET:
            at = this.noNet((columns[i] as AddressColumn).family[row] === 6, at)
            break
          case NO_NET_OF_ETYPE:
            at = this.noNet((columns[i] as Uint16Array)[row] === ETYPE_IPV6, at)
            break
          case VLAN: // of sFlow, src_vlan has it
            at = putUint(type[row] === FLOW_TYPE.SFLOW_5 ? 0 : (columns[i] as Uint16Array)[row], view, at)
            break
          case WORD_LIST:
            at = this.text(wordsOf(batch.heap, columns[i] as Uint32Array, row).join(), at)
            this.room(at, plan.size)
            bytes = this.bytes
            view = this.view
        }
      }
      const tail = words[kinds.length]
      putWords(tail, 0, tail.length, view, at)
      at += lengths[kinds.length]
      if (plan.extras.length > 0) {
        at = this.extras(plan, batch, row, at)
        bytes = this.bytes
        view = this.view
      }
      putWords(END, 0, 1, view, at)
      at += 2
    }
    return at
  }

  /** Write what a row has without a field; those goflow2 has as lists come as their text. */
  private extras({ shape, extras, size }: Plan, batch: FlowBatch, row: number, at: number): number {
    const values = extraValues(shape.extras, batch, row)
    const members = values.map((value, i) => {
      const isList = isListKey(extras[i]) && typeof value === 'string' && value.startsWith('[')
      return `,${JSON.stringify(extras[i])}:${isList ? value : JSON.stringify(value)}`
    })
    at = this.text(members.join(''), at)
    this.room(at, size)
    return at
  }

  /** Write a time in ns since the epoch. */
  private nanos(column: Float64Array, below: Uint16Array | undefined, row: number, at: number): number {
    const { double, view } = this
    let rest = below === undefined ? 0 : below[row]
    double[0] = column[row]
    if (double[0] < 0) {
      view.setUint8(at++, MINUS)
      double[0] = rest > 0 ? -1 - double[0] : -double[0]
      rest = rest > 0 ? 1000 - rest : 0
    }
    if (double[0] === 0) return putSmall(rest, view, at)
    return putDigits(rest, 3, view, putCount(double, 0, view, at))
  }

  /** Write the network of an address: its first bits. */
  private net({ family, v4, v6 }: AddressColumn, bits: number, row: number, at: number): number {
    const { bytes, view, network } = this
    if (family[row] === 6) {
      for (let i = 0; i < 16; i++) {
        network[i] = v6[row * 16 + i] & 0xff00 >> Math.max(0, Math.min(8, bits - i * 8))
      }
      at = writeIpv6(network, 0, bytes, at)
    } else at = putIpv4((v4[row] & (bits === 0 ? 0 : -1 << 32 - Math.min(bits, 32))) >>> 0, view, at)
    bytes[at] = SLASH
    return putSmall(bits, view, at + 1)
  }

  private noNet(isIpv6: boolean, at: number): number {
    const words = isIpv6 ? NO_NET6 : NO_NET4
    putWords(words, 0, words.length, this.view, at)
    return at + (isIpv6 ? 4 : 9)
  }

  private bind(batch: FlowBatch, shape: Shape): Plan {
    let plan = this.plans.get(shape)
    if (!plan) this.plans.set(shape, plan = planOf(shape, this.hasExtras))
    plan.columns = plan.cells.map(({ field }) => batch.column(field))
    plan.others = plan.cells.map(({ kind, field }) => {
      if (kind === NET) return batch.column(addressOf(field))
      if (kind !== TIME) return undefined
      const below = field === ID.flowStart ? ID.flowStartNs : field === ID.flowEnd ? ID.flowEndNs : -1
      return below >= 0 && shape.mask[below] === 1 ? batch.column(below) : undefined
    })
    return plan
  }
}

function isIpv6(column: Column, row: number): boolean {
  const { family } = column as AddressColumn
  return family[row] === 6
}

function planOf(shape: Shape, hasExtras: boolean): Plan {
  const { cells, tail, extras } = layoutOf(shape, hasExtras)
  const literals = [...cells.map(({ before }) => before), tail]
  return {
    cells,
    kinds: Uint8Array.from(cells, ({ kind }) => kind),
    words: literals.map((text) => text === '' ? new Int32Array(0) : toWords(text)),
    lengths: Uint16Array.from(literals, ({ length }) => length),
    six: cells.map(({ before, before6 }) => before === before6 ? undefined : toWords(before6)),
    extras,
    shape,
    size: literals.reduce((sum, { length }) => sum + length + MAX_VALUE, 0),
    columns: [],
    others: [],
  }
}
