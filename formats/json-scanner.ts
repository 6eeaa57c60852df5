/** Flat JSON objects, read straight from their bytes. */
import { toWords } from '../core/flow/byte-writer.ts'
import type { NamedRowsOptions } from './named-rows.ts'
import { MOST_PLACES, RowReader } from './row-reader.ts'
import { LONG, OTHER, PART, STOP, UNUSUAL } from './text-end.ts'

const SPACE = 32
const QUOTE = 34
const BACKSLASH = 92
const COMMA = 44
const ZERO = 48
const NINE = 57
const COLON = 58
const OPEN_LIST = 91
const CLOSE_LIST = 93
const CLOSE = 125
const LETTER_N = 110
const NULL = toWords('null')[0]

/** What bytes are to a text of JSON: those below 32, and what begins with a backslash, are for JSON.parse. */
const STOPS = Uint8Array.from({ length: 256 }, (_, byte) => {
  return byte === QUOTE ? STOP : byte === BACKSLASH || byte < 32 ? OTHER : byte < 128 ? PART : LONG
})
const IS_SPACE = Uint8Array.from({ length: 256 }, (_, byte) => [9, 10, 13, 32].includes(byte) ? 1 : 0)

/** Instead of an offset: the object is of another kind than the scanner's. */
export const OTHER_KIND = -2

/** A key whose value decides what others stand for. */
export interface KindKey {
  readonly key: string
  /** The value that makes them stand for something else. */
  readonly value: string
}

/** Bytes that a key may have, and of keys that are found by their bytes. */
const MOST_KEY = 64
const TABLE = 4096

/** Reads objects of one kind into rows, as long as there is nothing unusual about them. */
export class JsonScanner {
  readonly rows: RowReader
  private readonly kind: KindKey | undefined
  private readonly isSpecial: boolean
  private kindPlace = -2

  // By place: the key as it is written, `"key":`, where its words begin, and how many of its bytes are there
  private readonly literals: Uint8Array[] = []
  private readonly starts = new Int32Array(MOST_PLACES + 1)
  private readonly lengths = new Int32Array(MOST_PLACES)
  /** Words of keys; behind the last of each, which bits of it count. */
  private words = new Int32Array(1024)
  // Which key came behind which the last time, and in which object a key was last
  private readonly next: number[] = [-1] // one further on: the first is what an object begins with
  private readonly stamps: number[] = []
  private serial = 0
  /** Places by the hash of their keys, -1 for none. */
  private readonly table = new Int16Array(TABLE).fill(-1)
  private behindKey = 0

  /**
   * @param kind what tells objects of two kinds apart
   * @param isSpecial whether this scanner's objects have the value that makes them special
   */
  constructor(options: NamedRowsOptions, kind?: KindKey, isSpecial: boolean = false) {
    this.rows = new RowReader(options)
    this.kind = kind
    this.isSpecial = isSpecial
  }

  /**
   * Append the object at `at`.
   *
   * @param view of `bytes`
   * @returns the offset behind it; UNUSUAL if it must be read in another way, or is not all there; OTHER_KIND
   */
  take(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    const { rows } = this
    rows.begin()
    const behind = this.members(bytes, view, at + 1, end)
    if (behind < 0) rows.undo()
    else rows.finish(bytes)
    return behind
  }

  private members(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    const { rows, next, stamps, lengths } = this
    const serial = ++this.serial
    let isKindKnown = !this.isSpecial
    let last = -1
    for (;;) {
      if (at >= end) return UNUSUAL
      if (bytes[at] <= SPACE) at = skipSpace(bytes, at, end)
      if (at + 2 >= end) return UNUSUAL
      let place = next[last + 1]
      if (place >= 0 && this.isKey(place, view, at)) at += lengths[place]
      else {
        place = this.findKey(bytes, at, end)
        if (place < 0) return UNUSUAL
        next[last + 1] = place
        at = this.behindKey
      }
      last = place
      if (stamps[place] === serial) return UNUSUAL // the last of them counts
      stamps[place] = serial
      if (at < end && bytes[at] <= SPACE) at = skipSpace(bytes, at, end)
      if (at + 1 >= end) return UNUSUAL
      if (place === this.kindPlace) {
        if (this.hasKind(bytes, at) !== this.isSpecial) return OTHER_KIND
        isKindKnown = true
      }
      const first = bytes[at]
      if (first === QUOTE) {
        if (bytes[at + 1] === QUOTE && !rows.isExtra(place)) at += 2
        else {
          at = rows.text(place, bytes, at + 1, end, STOPS)
          if (at < 0 || at >= end || bytes[at] !== QUOTE) return UNUSUAL
          at++
        }
      } else if (first >= ZERO && first <= NINE) {
        if (first === ZERO && bytes[at + 1] >= ZERO && bytes[at + 1] <= NINE) return UNUSUAL
        at = rows.number(place, bytes, at, end, STOPS)
        if (at < 0) return UNUSUAL
      } else if (first === OPEN_LIST && bytes[at + 1] === CLOSE_LIST) at += 2
      else if (first === LETTER_N && at + 4 <= end && view.getInt32(at, true) === NULL) at += 4
      else return UNUSUAL
      if (at < end && bytes[at] <= SPACE) at = skipSpace(bytes, at, end)
      if (at >= end) return UNUSUAL
      if (bytes[at] === CLOSE) return isKindKnown ? at + 1 : OTHER_KIND
      if (bytes[at] !== COMMA) return UNUSUAL
      at++
    }
  }

  /** Whether the key of a place stands there, with its colon. */
  private isKey(place: number, view: DataView, at: number): boolean {
    const { words } = this
    let i = this.starts[place]
    const last = this.starts[place + 1] - 2 // what counts of this word stands behind it
    if (at + (last - i) * 4 + 4 > view.byteLength) return false
    for (; i < last; i++, at += 4) if (view.getInt32(at, true) !== words[i]) return false
    return (view.getInt32(at, true) & words[last + 1]) === words[last]
  }

  /** Whether the value there is the one that makes objects special. */
  private hasKind(bytes: Uint8Array, at: number): boolean {
    const { value } = this.kind!
    if (bytes[at] !== QUOTE || bytes[at + value.length + 1] !== QUOTE) return false
    for (let i = 0; i < value.length; i++) if (bytes[at + 1 + i] !== value.charCodeAt(i)) return false
    return true
  }

  /** The place of the key there, made for one that is new; -1 if it is none. Leaves where its colon ends. */
  private findKey(bytes: Uint8Array, at: number, end: number): number {
    if (bytes[at] !== QUOTE) return -1
    let behind = at + 1
    let hash = 0
    for (; behind < end && STOPS[bytes[behind]] === PART; behind++) {
      hash = Math.imul(hash, 31) + bytes[behind] | 0
    }
    const length = behind - at - 1
    if (behind >= end || bytes[behind] !== QUOTE || length > MOST_KEY) return -1
    this.behindKey = skipSpace(bytes, behind + 1, end)
    if (this.behindKey >= end || bytes[this.behindKey++] !== COLON) return -1
    for (let i = hash ^ hash >>> 12; ; i++) {
      const place = this.table[i & TABLE - 1]
      if (place < 0) return this.learn(bytes, at, length, i & TABLE - 1)
      const literal = this.literals[place]
      let same = literal.length === length + 3 ? 1 : -1
      while (same >= 0 && same <= length) same = literal[same] === bytes[at + same] ? same + 1 : -1
      if (same >= 0) return place
    }
  }

  private learn(bytes: Uint8Array, at: number, length: number, slot: number): number {
    const key = String.fromCharCode(...bytes.subarray(at + 1, at + 1 + length))
    // objects have what looks like an index before all else, and one key for themselves
    if (key === '' || key === '__proto__' || /^\d/.test(key)) return -1
    const place = this.rows.add(key)
    if (place < 0) return -1
    if (key === this.kind?.key) this.kindPlace = place
    const text = `"${key}":`
    const words = toWords(text)
    const rest = text.length & 3
    const start = this.starts[place]
    const end = start + words.length + 1
    if (end > this.words.length) {
      const larger = new Int32Array(this.words.length * 2)
      larger.set(this.words)
      this.words = larger
    }
    this.words.set(words, start)
    this.words[end - 1] = rest === 0 ? -1 : (1 << rest * 8) - 1
    this.starts[place + 1] = end
    this.lengths[place] = text.length
    this.literals.push(Uint8Array.from(text, (char) => char.charCodeAt(0)))
    this.next.push(-1)
    this.stamps.push(0)
    this.table[slot] = place
    return place
  }
}

function skipSpace(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && IS_SPACE[bytes[at]] === 1) at++
  return at
}
