/** Rows as messages of goflow2's flow.proto: members in turn, by a plan for each shape. */
import type { AddressColumn } from '../../core/flow/address.ts'
import type { Column, FlowBatch } from '../../core/flow/batch.ts'
import { ByteWriter } from '../../core/flow/byte-writer.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import {
  ADDRESS, COUNT, FIRST_FREE_KIND, KINDS, MAC, TIME, UINT16, UINT32, UINT64, UINT8,
} from '../kinds.ts'
import { KEYS, LABEL_FIELDS, type Key } from './keys.ts'
import { wordsOf } from './words.ts'

// Further kinds of members: lists, and a VLAN that is not for sFlow
const WORD_LIST = FIRST_FREE_KIND
const LABEL_LIST = FIRST_FREE_KIND + 1
const BYTE_LIST = FIRST_FREE_KIND + 2
const VLAN = FIRST_FREE_KIND + 3

const NEWLINE = 10
const BYTES = 2
/** Bytes of a member of fixed size, at most: its number, and 16 bytes behind their length. */
const MAX_MEMBER = 20
/** Bytes of a varint of 64 bits, at most. */
const MAX_VARINT = 10

/** How messages of one shape look, and the columns of one batch that they come from. */
interface Plan {
  readonly shape: Shape
  readonly fields: readonly number[]
  readonly kinds: Uint8Array
  /** Numbers and wire types of members, as they are written: one byte, or two, the first one low. */
  readonly tags: Uint16Array
  columns: readonly Column[]
  nanos: readonly (Uint16Array | undefined)[]
}

/** Writes messages one behind the other, each behind its length and before a newline. */
export class Goflow2MessageWriter extends ByteWriter {
  private readonly plans = new WeakMap<Shape, Plan>()

  /** Write all rows of `batch`. @returns the length of all */
  rows(batch: FlowBatch): number {
    const { length, shape, shapes } = batch
    const bound: (Plan | undefined)[] = new Array(shapes.length)
    let at = 0
    for (let row = 0; row < length; row++) {
      const plan = bound[shape[row]] ??= this.bind(batch, shapes[shape[row]])
      const start = at + 2 // behind the length of most messages
      const end = this.members(plan, batch, row, start)
      const size = end - start
      const from = at + (size < 0x80 ? 1 : size < 0x4000 ? 2 : 3)
      this.room(end, 2)
      if (from !== start) this.bytes.copyWithin(from, start, end)
      putVarint(size, this.bytes, at)
      at = from + size
      this.bytes[at++] = NEWLINE
    }
    return at
  }

  private members(plan: Plan, batch: FlowBatch, row: number, at: number): number {
    const { kinds, tags, columns, nanos } = plan
    this.room(at, kinds.length * MAX_MEMBER + 2)
    let { bytes } = this
    for (let i = 0; i < kinds.length; i++) {
      switch (kinds[i]) {
        case UINT8:
          at = putNumber(tags[i], (columns[i] as Uint8Array)[row], bytes, at)
          break
        case UINT16:
          at = putNumber(tags[i], (columns[i] as Uint16Array)[row], bytes, at)
          break
        case UINT32:
          at = putNumber(tags[i], (columns[i] as Uint32Array)[row], bytes, at)
          break
        case VLAN: // of sFlow, src_vlan has it
          if (batch.type[row] !== FLOW_TYPE.SFLOW_5) {
            at = putNumber(tags[i], (columns[i] as Uint16Array)[row], bytes, at)
          }
          break
        case COUNT: case MAC: {
          const value = (columns[i] as Float64Array)[row]
          const high = Math.floor(value / 0x100000000)
          if (value !== 0) at = putLong(tags[i], value - high * 0x100000000, high, bytes, at)
          break
        }
        case UINT64: {
          const pairs = columns[i] as Uint32Array
          const low = pairs[row * 2]
          const high = pairs[row * 2 + 1]
          if (low !== 0 || high !== 0) at = putLong(tags[i], low, high, bytes, at)
          break
        }
        case TIME: {
          const micros = Math.max(0, (columns[i] as Float64Array)[row]) // flow.proto has none before 1970
          const below = nanos[i]
          const high = Math.floor(micros / 0x100000000)
          const low = (micros - high * 0x100000000) * 1000 + (below === undefined ? 0 : below[row])
          const carry = Math.floor(low / 0x100000000)
          at = putLong(tags[i], low - carry * 0x100000000, high * 1000 + carry, bytes, at)
          break
        }
        case ADDRESS: {
          const { family, v4, v6 } = columns[i] as AddressColumn
          if (family[row] === 4) {
            at = putVarint(tags[i], bytes, at)
            bytes[at] = 4
            bytes[at + 1] = v4[row] >>> 24
            bytes[at + 2] = v4[row] >>> 16
            bytes[at + 3] = v4[row] >>> 8
            bytes[at + 4] = v4[row]
            at += 5
          } else if (family[row] === 6) {
            at = putVarint(tags[i], bytes, at)
            bytes[at++] = 16
            for (let k = 0; k < 16; k++) bytes[at++] = v6[row * 16 + k]
          }
          break
        }
        default:
          at = this.list(kinds[i], tags[i], listOf(kinds[i], plan, columns[i], batch, row), at)
          this.room(at, kinds.length * MAX_MEMBER + 2)
          bytes = this.bytes
      }
    }
    return at
  }

  /** Write numbers as a packed list. */
  private list(kind: number, tag: number, values: readonly number[], at: number): number {
    if (values.length === 0 && kind === WORD_LIST) return at
    const packed = new Uint8Array(values.length * MAX_VARINT)
    let size = 0
    for (const value of values) size = putVarint(value, packed, size)
    this.room(at, size + MAX_MEMBER)
    at = putVarint(size, this.bytes, putVarint(tag, this.bytes, at))
    this.bytes.set(packed.subarray(0, size), at)
    return at + size
  }

  private bind(batch: FlowBatch, shape: Shape): Plan {
    let plan = this.plans.get(shape)
    if (!plan) this.plans.set(shape, plan = planOf(shape))
    plan.columns = plan.fields.map((field) => batch.column(field))
    plan.nanos = plan.fields.map((field) => {
      const below = field === ID.flowStart ? ID.flowStartNs : field === ID.flowEnd ? ID.flowEndNs : -1
      return below >= 0 && shape.mask[below] === 1 ? batch.column(below) as Uint16Array : undefined
    })
    return plan
  }
}

function planOf(shape: Shape): Plan {
  const { mask } = shape
  const members = KEYS.toSorted((a, b) => a.number - b.number).map((key) => (
    // the packet's, in sFlow
    key.name === 'dst_mac' && mask[key.field] === 0 ? { ...key, field: ID.dstMac } : key
  )).filter(({ field }) => mask[field] === 1).map((key) => ({ ...key, member: kindOf(key, mask) }))
  const isBytes = (kind: number): boolean => kind >= FIRST_FREE_KIND ? kind !== VLAN : kind === ADDRESS
  return {
    shape,
    fields: members.map(({ field }) => field),
    kinds: Uint8Array.from(members, ({ member }) => member),
    tags: Uint16Array.from(members, ({ number, member }) => number << 3 | (isBytes(member) ? BYTES : 0)),
    columns: [],
    nanos: [],
  }
}

function kindOf({ name, kind, field }: Key, mask: Uint8Array): number {
  switch (kind) {
    case 'words': return WORD_LIST
    case 'labels': return LABEL_LIST
    case 'numbers': return BYTE_LIST
    default: return name === 'vlan_id' && mask[ID.type] === 1 ? VLAN : KINDS[FIELDS[field].type]
  }
}

function listOf(kind: number, { shape }: Plan, column: Column, batch: FlowBatch, row: number): number[] {
  switch (kind) {
    case WORD_LIST: return wordsOf(batch.heap, column as Uint32Array, row).map(Number)
    case LABEL_LIST: return LABEL_FIELDS.filter((id) => shape.mask[id] === 1)
      .map((id) => (batch.column(id) as Uint32Array)[row])
    default: return [(column as Uint8Array)[row]]
  }
}

/** Write a number below 2^32 as a member, which is left out where it is 0. */
function putNumber(tag: number, value: number, bytes: Uint8Array, at: number): number {
  return value === 0 ? at : putVarint(value, bytes, putVarint(tag, bytes, at))
}

/** Write a number below 2^53 as a varint. */
function putVarint(value: number, bytes: Uint8Array, at: number): number {
  while (value >= 0x80000000) {
    const rest = Math.floor(value / 128)
    bytes[at++] = value - rest * 128 | 0x80
    value = rest
  }
  let small = value | 0
  for (; small >= 0x80; small >>>= 7) bytes[at++] = small & 0x7f | 0x80
  bytes[at] = small
  return at + 1
}

/** Write the member `high` × 2^32 + `low`. */
function putLong(tag: number, low: number, high: number, bytes: Uint8Array, at: number): number {
  at = putVarint(tag, bytes, at)
  if (high === 0) return putVarint(low, bytes, at)
  let first = low >>> 0
  for (let i = 0; i < 4; i++, first >>>= 7) bytes[at++] = first & 0x7f | 0x80
  let rest = first + high * 16 // the upper 36 bits
  if (rest >= 0x80000000) {
    const next = Math.floor(rest / 128)
    bytes[at++] = rest - next * 128 | 0x80
    rest = next
  }
  return putVarint(rest, bytes, at)
}
