/** Rows of values that come by name, read from the bytes they stand in: the quick way of named-rows.ts. */
import { ipv6Storage, type AddressColumn } from '../core/flow/address.ts'
import { BATCH_SIZE, type Column, type FlowBatch } from '../core/flow/batch.ts'
import {
  HEX_DIGIT, parsed, parsedLong, parsedTime, readAddress, readDigits, readLong, readMac, readTime,
} from '../core/flow/parse-bytes.ts'
import type { TimeDigits } from '../core/flow/shape.ts'
import {
  ADDRESS, COUNT, MAC, OCTETS, TEXT, TIME, UINT16, UINT32, UINT64, UINT8,
} from './kinds.ts'
import {
  EXTRA, FLOW_TIME, MICROS, NANOS_DIGITS, placeOf, PREFIX_LENGTH, type NamedRowsOptions, type Place,
} from './named-rows.ts'
import { addBytes, RowExtras } from './row-extras.ts'
import { AS_NUMBER, AS_TEXT, FIELD, LOST, RowShapes } from './row-shapes.ts'
import { PART, textEnd, UNUSUAL } from './text-end.ts'
import { WordCache } from './word-cache.ts'

/** Names that one reader knows, at most. */
export const MOST_PLACES = 1024
const MOST_COUNT = 2 ** 53
const SLASH = 47
const ZERO = 48
const NINE = 57
/** Digits of a number that is below 2^31 for certain. */
const SMALL_DIGITS = 9

/**
 * Reads rows value by value into the columns of a batch, each where the one before ended.
 *
 * For each row: `begin`, then the values in their order, then `finish`; or `undo`, when one is UNUSUAL.
 * No two values of a row may be of the same place.
 */
export class RowReader {
  readonly places: Place[] = []
  private readonly options: NamedRowsOptions
  private readonly shapes: RowShapes
  private readonly extras = new RowExtras()
  private batch: FlowBatch | undefined
  private columns: (Column | undefined)[] = []
  private row = 0
  private heapLength = 0
  private saturated = 0
  private timeDigits: TimeDigits = -1

  // By place
  private readonly kinds = new Uint8Array(MOST_PLACES)
  private readonly zeros = new Uint8Array(MOST_PLACES) // 1 where 0 is nothing
  private readonly nanos = new Uint8Array(MOST_PLACES) // 1 where numbers count ns
  private readonly words: (WordCache | undefined)[] = []

  constructor(options: NamedRowsOptions) {
    this.options = options
    this.shapes = new RowShapes(this.places, options.loss)
  }

  /** A place for the values of a name, -1 if there are too many. */
  add(name: string): number {
    const index = this.places.length
    if (index === MOST_PLACES) return -1
    const place = placeOf(name, this.options)
    this.places.push(place)
    this.kinds[index] = place.target ? place.target.kind : EXTRA
    this.zeros[index] = place.target?.zeroIsNothing ? 1 : 0
    this.nanos[index] = place.target?.isNanos ? 1 : 0
    this.words.push(undefined)
    return index
  }

  /** Whether the values of a place have no field. */
  isExtra(place: number): boolean {
    return this.kinds[place] === EXTRA
  }

  /** Take a batch, with room for all rows it may have; to be done whenever reading goes on. */
  bind(batch: FlowBatch): void {
    batch.reserve(Math.max(0, BATCH_SIZE - batch.length))
    this.batch = batch
    this.columns = new Array<Column | undefined>(this.places.length).fill(undefined)
  }

  /** Begin a row behind those that the batch has. */
  begin(): void {
    const { length, heapLength, saturated } = this.batch!
    this.row = length
    this.heapLength = heapLength
    this.saturated = saturated
    this.timeDigits = -1
    this.extras.begin()
    this.shapes.begin()
  }

  /** Leave the row unwritten. */
  undo(): void {
    const batch = this.batch!
    batch.heapLength = this.heapLength
    batch.saturated = this.saturated
  }

  /** Give the row to the batch. `bytes` are those that its values were read from. */
  finish(bytes: Uint8Array): void {
    const batch = this.batch!
    const { row } = this
    this.extras.store(bytes, batch, row)
    batch.shape[row] = this.shapes.index(batch, this.timeDigits)
    batch.length = row + 1
  }

  /** Enter what was lost so far. */
  settle(): void {
    this.shapes.settle()
  }

  private column(place: number): Column {
    return this.columns[place] ??= this.batch!.column(this.places[place].target!.ids[0])
  }

  /**
   * Read a value that stands there as text.
   *
   * @param stops what each byte is to a text
   * @returns the offset behind it, UNUSUAL if it has to be read in another way
   */
  text(place: number, bytes: Uint8Array, at: number, end: number, stops: Uint8Array): number {
    const { row } = this
    const kind = this.kinds[place]
    const column = this.columns[place] ?? (kind === EXTRA ? undefined : this.column(place))
    switch (kind) {
      case UINT8: case UINT16: case UINT32: case COUNT: {
        const isNumber = bytes[at] >= ZERO && bytes[at] <= NINE
        return isNumber ? this.digits(place, kind, bytes, at, end) : this.word(place, bytes, at, end)
      }
      case FLOW_TIME: case TIME: {
        const behind = readTime(bytes, at, end)
        if (behind < 0 || parsed[0] > Number.MAX_SAFE_INTEGER) return UNUSUAL
        if (this.nanos[place] === 1 && behind - at < NANOS_DIGITS && parsed[0] > 0) return UNUSUAL
        this.putTime(place, kind, column as Float64Array)
        return behind
      }
      case ADDRESS: {
        const behind = readAddress(bytes, at, end, column as AddressColumn, row)
        if (behind >= 0) this.shapes.add(place, FIELD)
        return behind
      }
      case MAC: {
        const behind = readMac(bytes, at, end)
        if (behind < 0 || (parsed[0] === 0 && this.zeros[place] === 1)) return behind
        const numbers = column as Float64Array
        numbers[row] = parsed[0]
        this.shapes.add(place, FIELD)
        return behind
      }
      case UINT64: {
        const behind = readLong(bytes, at, end)
        if (behind < 0 || (bytes[at] === ZERO && behind > at + 1)) return UNUSUAL // 00 is not nothing
        this.putLong(place, column as Uint32Array)
        return behind
      }
      case TEXT: {
        const behind = textEnd(bytes, at, end, stops)
        if (behind >= 0) this.putBytes(place, bytes, at, behind)
        return behind
      }
      case OCTETS: return this.octets(place, bytes, at, end)
      case PREFIX_LENGTH: return this.prefixLength(place, bytes, at, end, stops)
      case EXTRA: {
        const behind = textEnd(bytes, at, end, stops)
        return behind >= 0 && this.putExtra(place, AS_TEXT, at, behind) ? behind : UNUSUAL
      }
      default: return UNUSUAL
    }
  }

  /** Read the digits of a number that is written as one. @returns as above */
  number(place: number, bytes: Uint8Array, at: number, end: number, stops: Uint8Array): number {
    const kind = this.kinds[place]
    switch (kind) {
      case UINT8: case UINT16: case UINT32: case COUNT: return this.digits(place, kind, bytes, at, end)
      case ADDRESS: case MAC: case OCTETS: case PREFIX_LENGTH: return UNUSUAL
      case EXTRA: case TEXT: {
        const behind = readDigits(bytes, at, end)
        if (kind === TEXT) {
          this.putBytes(place, bytes, at, behind)
          return behind
        }
        // longer ones would lose digits as numbers
        return this.putExtra(place, behind - at < 16 ? AS_NUMBER : AS_TEXT, at, behind) ? behind : UNUSUAL
      }
      default: return this.text(place, bytes, at, end, stops)
    }
  }

  /** Store the integer `parsed[0]`, below 2^53. @returns whether the place has integers */
  integer(place: number): boolean {
    const kind = this.kinds[place]
    if (kind === EXTRA || kind === TEXT) return false
    const column = this.column(place)
    switch (kind) {
      case UINT8: case UINT16: case UINT32: case COUNT: return this.putNumber(place, kind, column)
      case PREFIX_LENGTH: return parsed[0] === 0 || this.putNumber(place, UINT8, column)
      case MICROS: {
        const times = column as Float64Array
        times[this.row] = parsed[0]
        break
      }
      case MAC: {
        if (parsed[0] === 0 && this.zeros[place] === 1) return true
        if (parsed[0] > 0xffffffffffff) return false
        const numbers = column as Float64Array
        numbers[this.row] = parsed[0]
        break
      }
      case UINT64:
        parsedLong[1] = Math.floor(parsed[0] / 0x100000000)
        parsedLong[0] = parsed[0] - parsedLong[1] * 0x100000000
        this.putLong(place, column as Uint32Array)
        return true
      default: return false
    }
    this.shapes.add(place, FIELD)
    return true
  }

  /** Store a time of µs `parsed[0]` and `parsedTime`. @returns whether the place has times */
  time(place: number): boolean {
    const kind = this.kinds[place]
    if (kind !== TIME && kind !== FLOW_TIME) return false
    this.putTime(place, kind, this.column(place) as Float64Array)
    return true
  }

  /** Store bytes as the value that they are. @returns whether the place has such */
  bytes(place: number, bytes: Uint8Array, from: number, to: number): boolean {
    switch (this.kinds[place]) {
      case OCTETS:
        this.putBytes(place, bytes, from, to)
        return true
      case ADDRESS: {
        const { family, v4, v6 } = this.column(place) as AddressColumn
        const { row } = this
        if (to - from === 4) {
          family[row] = 4
          v4[row] = (bytes[from] << 24 | bytes[from + 1] << 16 | bytes[from + 2] << 8 | bytes[from + 3]) >>> 0
        } else if (to - from === 16) {
          const storage = v6.length > 0 ? v6 : ipv6Storage(this.column(place) as AddressColumn)
          family[row] = 6
          v4[row] = 0
          for (let i = 0; i < 16; i++) storage[row * 16 + i] = bytes[from + i]
        } else return false
        this.shapes.add(place, FIELD)
        return true
      }
      default: return false
    }
  }

  /** Enter that there was a value of a place without a field, where such are not wanted. */
  lose(place: number): void {
    if (this.options.loss) this.shapes.add(place, LOST)
  }

  private word(place: number, bytes: Uint8Array, at: number, end: number): number {
    const named = this.places[place].target?.named
    if (!named) return UNUSUAL
    const words = this.words[place] ??= new WordCache(named)
    const behind = words.find(bytes, at, end)
    if (behind < 0) return UNUSUAL
    parsed[0] = words.value
    return this.putNumber(place, this.kinds[place], this.column(place)) ? behind : UNUSUAL
  }

  /** Read an integer that begins with a digit. */
  private digits(place: number, kind: number, bytes: Uint8Array, at: number, end: number): number {
    const most = at + SMALL_DIGITS < end ? at + SMALL_DIGITS : end
    let value = 0
    let behind = at
    for (; behind < most; behind++) {
      const digit = bytes[behind] - ZERO
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    if (behind === most && behind < end) {
      behind = readDigits(bytes, at, end)
      if (parsed[0] >= 2 ** 31) return this.putNumber(place, kind, this.column(place)) ? behind : UNUSUAL
      value = parsed[0] | 0
    }
    if (value === 0) {
      if (behind > at + 1) return UNUSUAL // 00 is not nothing
      if (this.zeros[place] === 1) return behind
    }
    const column = this.columns[place] ?? this.column(place)
    switch (kind) {
      case UINT8: {
        if (value > 0xff) return UNUSUAL
        const numbers = column as Uint8Array
        numbers[this.row] = value
        break
      }
      case UINT16: {
        if (value > 0xffff) return UNUSUAL
        const numbers = column as Uint16Array
        numbers[this.row] = value
        break
      }
      case UINT32: {
        const numbers = column as Uint32Array
        numbers[this.row] = value
        break
      }
      default: {
        const numbers = column as Float64Array
        numbers[this.row] = value
      }
    }
    this.shapes.add(place, FIELD)
    return behind
  }

  private putNumber(place: number, kind: number, column: Column): boolean {
    const value = parsed[0]
    if (value === 0 && this.zeros[place] === 1) return true
    switch (kind) {
      case UINT8: {
        if (value > 0xff) return false
        const numbers = column as Uint8Array
        numbers[this.row] = value
        break
      }
      case UINT16: {
        if (value > 0xffff) return false
        const numbers = column as Uint16Array
        numbers[this.row] = value
        break
      }
      case UINT32: {
        if (value > 0xffffffff) return false
        const numbers = column as Uint32Array
        numbers[this.row] = value
        break
      }
      default: {
        const numbers = column as Float64Array
        if (value >= MOST_COUNT) this.batch!.saturated++
        numbers[this.row] = value < MOST_COUNT ? value : MOST_COUNT
      }
    }
    this.shapes.add(place, FIELD)
    return true
  }

  private putLong(place: number, column: Uint32Array): void {
    if (parsedLong[0] === 0 && parsedLong[1] === 0 && this.zeros[place] === 1) return
    column[this.row * 2] = parsedLong[0]
    column[this.row * 2 + 1] = parsedLong[1]
    this.shapes.add(place, FIELD)
  }

  private putTime(place: number, kind: number, column: Float64Array): void {
    if (parsed[0] === 0 && parsedTime.nanos === 0 && this.zeros[place] === 1) return
    column[this.row] = parsed[0]
    if (kind === FLOW_TIME) {
      const below = this.batch!.column(this.places[place].target!.ids[1]) as Uint16Array
      below[this.row] = parsedTime.nanos
      if (parsedTime.digits > this.timeDigits) this.timeDigits = parsedTime.digits
    }
    this.shapes.add(place, FIELD)
  }

  private putBytes(place: number, bytes: Uint8Array, from: number, to: number): void {
    const pairs = this.column(place) as Uint32Array
    pairs[this.row * 2] = addBytes(this.batch!, bytes, from, to)
    pairs[this.row * 2 + 1] = to - from
    this.shapes.add(place, FIELD)
  }

  /** Bytes in hexadecimal. */
  private octets(place: number, bytes: Uint8Array, at: number, end: number): number {
    const batch = this.batch!
    let behind = at
    while (behind < end && HEX_DIGIT[bytes[behind]] < 16) behind++
    if ((behind - at) % 2 !== 0) return UNUSUAL
    const length = (behind - at) / 2
    batch.reserveHeap(length)
    const { heap, heapLength } = batch
    for (let i = 0; i < length; i++) {
      heap[heapLength + i] = HEX_DIGIT[bytes[at + i * 2]] << 4 | HEX_DIGIT[bytes[at + i * 2 + 1]]
    }
    batch.heapLength = heapLength + length
    const pairs = this.column(place) as Uint32Array
    pairs[this.row * 2] = heapLength
    pairs[this.row * 2 + 1] = length
    this.shapes.add(place, FIELD)
    return behind
  }

  /** The number behind the slash of a network; nothing where it is 0, or there is none. */
  private prefixLength(
    place: number, bytes: Uint8Array, at: number, end: number, stops: Uint8Array,
  ): number {
    while (at < end && bytes[at] !== SLASH && stops[bytes[at]] === PART) at++
    if (at === end || bytes[at] !== SLASH) return UNUSUAL
    const behind = readDigits(bytes, at + 1, end)
    if (behind === at + 1 || (bytes[at + 1] === ZERO && behind > at + 2) || parsed[0] > 0xff) return UNUSUAL
    if (parsed[0] === 0) return behind
    const column = this.column(place) as Uint8Array
    column[this.row] = parsed[0]
    this.shapes.add(place, FIELD)
    return behind
  }

  private putExtra(place: number, fate: number, from: number, to: number): boolean {
    if (!this.options.extras) {
      this.lose(place)
      return true
    }
    const element = this.places[place].elements[fate - 1]
    const isPlain = element?.type === (fate === AS_TEXT ? 'string' : 'float64')
    if (!isPlain || !this.extras.add(fate, from, to)) return false
    this.shapes.add(place, fate)
    return true
  }
}
