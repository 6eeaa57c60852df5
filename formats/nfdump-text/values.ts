/** Values that are numbers, names and text. */
import { putMac, putUint64, putWords, toWords } from '../../core/flow/byte-writer.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { alignRight } from '../align.ts'
import { putRight, putRightCount, putScaled, putThousandths } from './put.ts'
import { choice, type Context, type Piece, type Value } from './rows.ts'
import { csvCell, heapText, plainText } from './text.ts'

const ICMP = 1
const ICMP6 = 58
const TCP = 6

/** Whether a protocol number is that of ICMP, for IPv4 or IPv6. */
export function isIcmp(proto: number): boolean {
  return proto === ICMP || proto === ICMP6
}

/** The column of a field, or undefined where rows of the shape do not have it. */
export function columnOf<Column>({ batch, shape }: Context, id: number): Column | undefined {
  return shape.mask[id] === 1 ? batch.column(id) as Column : undefined
}

/** A value that is worked out from fields and written as an unsigned number, 0 where `of` is undefined. */
export function computed(
  fields: readonly number[], width: number, of: (context: Context) => ((row: number) => number) | undefined,
): Value {
  return {
    fields,
    bind(context) {
      const places = context.style.csv ? 0 : width
      const value = of(context)
      if (!value) return '0'.padStart(places)
      const { out } = context
      return (row, at) => putRight(value(row), places, out.view, at)
    },
  }
}

/** An unsigned number at the right end of `width` bytes; `absent` stands for a field that is not there. */
export function number(id: number, width: number, absent: number = 0): Value {
  return {
    fields: [id],
    bind(context) {
      const places = context.style.csv ? 0 : width
      const { out } = context
      const { type } = FIELDS[id]
      if (type === 'u8' || type === 'u16') {
        const column = columnOf<Uint8Array | Uint16Array>(context, id)
        if (column) return (row, at) => putRight(column[row], places, out.view, at)
      } else {
        const column = columnOf<Float64Array | Uint32Array>(context, id)
        if (column) return (row, at) => putRightCount(column, row, places, out.view, at)
      }
      return String(absent).padStart(places)
    },
  }
}

/** A 64-bit number at the right end of `width` bytes. */
export function number64(id: number, width: number): Value {
  return {
    fields: [id],
    bind(context) {
      const places = context.style.csv ? 0 : width
      const { out } = context
      const pairs = columnOf<Uint32Array>(context, id)
      if (!pairs) return '0'.padStart(places)
      return (row, at) => {
        const end = putUint64(pairs[row * 2], pairs[row * 2 + 1], out.view, at)
        return alignRight(out.bytes, at, end, places)
      }
    },
  }
}

/** A number in hexadecimal of at least `digits` digits, but in a CSV as few as it needs, behind `0x`. */
export function hex(id: number, digits: number, absent: string): Value {
  return {
    fields: [id],
    bind(context) {
      const { out, style } = context
      const least = style.csv ? 1 : digits
      const column = columnOf<Uint8Array | Uint16Array | Uint32Array>(context, id)
      if (!column) return absent
      const isPair = FIELDS[id].type === 'u64'
      return (row, at) => {
        const high = isPair ? column[row * 2 + 1] : 0
        const low = column[isPair ? row * 2 : row].toString(16)
        const text = high === 0 ? low : high.toString(16) + low.padStart(8, '0')
        return out.text(`0x${text.padStart(least, '0')}`, at)
      }
    },
  }
}

/** A counter: scaled from a million on, unless numbers are to be plain or it is for a CSV. */
export function counter(id: number, width: number): Value {
  return {
    fields: [id],
    bind(context) {
      const { out, style: { csv, plain } } = context
      const places = csv ? 0 : width
      const column = columnOf<Float64Array>(context, id)
      if (!column) return '0'.padStart(places)
      if (csv || plain) return (row, at) => putRightCount(column, row, places, out.view, at)
      return (row, at) => putScaled(column, row, places, out.view, at)
    },
  }
}

/** Bytes a packet. */
export const bytesPerPacket: Value = computed([ID.bytes, ID.packets], 6, (context) => {
  const octets = columnOf<Float64Array>(context, ID.bytes)
  const packets = columnOf<Float64Array>(context, ID.packets)
  return octets && packets && ((row) => packets[row] > 0 ? Math.floor(octets[row] / packets[row]) : 0)
})

/** C's `%*.3f` of what is worked out in thousandths. */
export function thousandths(
  fields: readonly number[], width: number, of: (context: Context) => ((row: number) => number) | undefined,
): Value {
  return {
    fields,
    bind(context) {
      const { out, style } = context
      const places = style.csv ? 0 : width
      const value = of(context)
      if (!value) return '0.000'.padStart(places)
      return (row, at) => putThousandths(value(row), places, out.view, at)
    },
  }
}

/** A delay, in milliseconds. */
export function latency(id: number): Value {
  return thousandths([id], 9, (context) => {
    const column = columnOf<Uint32Array>(context, id)
    return column && ((row) => column[row])
  })
}

/** A MAC address. */
export function mac(id: number): Value {
  return {
    fields: [id],
    bind(context) {
      const { out } = context
      const column = columnOf<Float64Array>(context, id)
      return column ? (row, at) => putMac(column[row], out.view, at) : '00:00:00:00:00:00'
    },
  }
}

/** A number below 256 by its name of up to 8 bytes; 0 where it is not there. */
export function named(id: number, names: readonly string[]): Value {
  const words = Int32Array.from(names.flatMap((name) => [...toWords(name.padEnd(8))]))
  const lengths = Uint8Array.from(names, ({ length }) => length)
  return {
    fields: [id],
    bind(context) {
      const { out } = context
      const column = columnOf<Uint8Array>(context, id)
      if (!column) return names[0]
      return (row, at) => {
        const value = column[row]
        out.view.setInt32(at, words[value * 2], true)
        out.view.setInt32(at + 4, words[value * 2 + 1], true)
        return at + lengths[value]
      }
    },
  }
}

/** Which TCP flags are told, and how. */
export interface FlagsLook {
  /** Also those of other protocols than TCP. */
  readonly always?: boolean
  /** As letters also where numbers are to be plain. */
  readonly letters?: boolean
}

/** TCP flags as `...AP.S.`, of 8 bits. */
export function tcpFlags({ always = false, letters = false }: FlagsLook = {}): Value {
  return {
    fields: [ID.tcpFlags, ID.proto],
    bind(context) {
      const { out, style } = context
      const plain = style.plain && !style.csv && !letters
      const column = columnOf<Uint16Array>(context, ID.tcpFlags)
      const protos = columnOf<Uint8Array>(context, ID.proto)
      if (!column || (!protos && !always)) return plain ? '       0' : FLAG_NAMES[0]
      return (row, at) => {
        const flags = always || protos?.[row] === TCP ? column[row] & 255 : 0
        if (plain) return putRight(flags, 8, out.view, at)
        putWords(FLAG_WORDS, flags * 2, flags * 2 + 2, out.view, at)
        return at + 8
      }
    },
  }
}

/** `...AP.S.` by the 8 bits of flags. */
const FLAG_NAMES: readonly string[] = Array.from({ length: 256 }, (_, flags) =>
  Array.from('CEUAPRSF', (letter, i) => flags & 128 >> i ? letter : '.').join(''))
const FLAG_WORDS = Int32Array.from(FLAG_NAMES.flatMap((name) => [...toWords(name)]))

/** Text, behind `before`. */
export function text(id: number, absent: string, before: string = ''): Value {
  return described([id], 0, (context) => {
    const { batch, style: { csv } } = context
    const pairs = columnOf<Uint32Array>(context, id)
    if (!pairs) return absent
    const clean = csv ? csvCell : plainText
    return (row) => clean(before + heapText(batch, pairs, row))
  })
}

/** The number of the row, from 1. */
export function rowNumber(width: number): Value {
  return {
    fields: [],
    bind({ out, style }) {
      const before = out.count + 1
      const places = style.csv ? 0 : width
      return (row, at) => putRight(before + row, places, out.view, at)
    },
  }
}

/** What `of` says of a row, at the right end of `width` bytes; for values that are rare or read by people. */
export function described(
  fields: readonly number[], width: number, of: (context: Context) => ((row: number) => string) | string,
): Value {
  return {
    fields,
    bind(context) {
      const { out, reserve, style } = context
      const places = style.csv ? 0 : width
      const value = of(context)
      if (typeof value === 'string') return value.padStart(places)
      return (row, at) => {
        const text = value(row).padStart(places)
        out.room(at, text.length * 3 + reserve)
        return out.text(text, at)
      }
    },
  }
}

/** What a number is called. */
export function nameOf(id: number, name: (value: number) => string): Value {
  return described([id], 0, (context) => {
    const column = columnOf<Uint8Array | Uint16Array>(context, id)
    return column ? (row) => name(column[row]) : name(0)
  })
}

/** Pieces of rows in which one of some numbers is not 0. */
export function unlessZero(ids: readonly number[], pieces: readonly Piece[]): Value {
  return choice(ids, [pieces], (context) => {
    const columns = ids.map((id) => columnOf<Uint8Array | Uint32Array>(context, id))
    return (row) => columns.some((column) => column !== undefined && column[row] !== 0) ? 0 : -1
  })
}
