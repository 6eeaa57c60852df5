import { parsed } from '../../core/flow/parse-bytes.ts'
import type { NamedRowsOptions } from '../named-rows.ts'
import { RowReader } from '../row-reader.ts'
import { LONG, PART, UNUSUAL } from '../text-end.ts'

/** First bytes, RFC 8949 §3.1: an argument of 8 bits follows, and simple values. */
const BYTE = 24
const ARRAY = 0x80
const ARRAY_BYTE = ARRAY | BYTE
const NULL = 0xf6
const MAJOR_UNSIGNED = 0
const MAJOR_BYTES = 2
const MAJOR_TEXT = 3

/** What bytes are to a text whose length is known. */
const STOPS = Uint8Array.from({ length: 256 }, (_, byte) => byte < 128 ? PART : LONG)

/** Reads rows of flowkit's blocks into columns, as long as there is nothing unusual about them. */
export class CborRows {
  readonly reader: RowReader
  private readonly width: number
  private readonly extras: boolean

  /** @param extras whether a value for elements without a field comes behind those of the names */
  constructor(names: readonly string[], extras: boolean, options: NamedRowsOptions) {
    this.reader = new RowReader(options)
    this.extras = extras
    const hasRoom = names.every((name) => this.reader.add(name) >= 0)
    this.width = hasRoom ? names.length + (extras ? 1 : 0) : -1
  }

  /** Append the row at `at`. @returns the offset behind it, or UNUSUAL, also if it is not all there */
  take(bytes: Uint8Array, view: DataView, at: number): number {
    const { reader } = this
    reader.begin()
    const behind = this.values(bytes, view, at)
    if (behind < 0) reader.undo()
    else reader.finish(bytes)
    return behind
  }

  private values(bytes: Uint8Array, view: DataView, at: number): number {
    const { reader, width, extras } = this
    const end = bytes.length
    if (at + 2 > end) return UNUSUAL
    const isShort = bytes[at] >= ARRAY && bytes[at] < ARRAY_BYTE
    if (!isShort && bytes[at] !== ARRAY_BYTE) return UNUSUAL
    if ((isShort ? bytes[at] - ARRAY : bytes[at + 1]) !== width) return UNUSUAL
    at += isShort ? 1 : 2
    const last = extras ? width - 1 : width
    for (let i = 0; i < last; i++) {
      if (at >= end) return UNUSUAL
      const first = bytes[at++]
      if (first === NULL) continue
      const major = first >> 5
      let argument = first & 31
      if (argument >= BYTE) {
        const size = 1 << argument - BYTE
        if (size > 8 || at + size > end) return UNUSUAL
        argument = size === 1 ? bytes[at] : size === 2 ? view.getUint16(at)
          : size === 4 ? view.getUint32(at) : view.getUint32(at) * 0x100000000 + view.getUint32(at + 4)
        at += size
      }
      switch (major) {
        case MAJOR_UNSIGNED:
          parsed[0] = argument
          if (argument > Number.MAX_SAFE_INTEGER || !reader.integer(i)) return UNUSUAL
          break
        case MAJOR_TEXT:
          if (argument === 0 || argument > end - at) return UNUSUAL
          if (reader.text(i, bytes, at, at + argument, STOPS) !== at + argument) return UNUSUAL
          at += argument
          break
        case MAJOR_BYTES:
          if (argument > end - at || !reader.bytes(i, bytes, at, at + argument)) return UNUSUAL
          at += argument
          break
        default: return UNUSUAL
      }
    }
    if (!extras) return at
    return at < end && bytes[at] === NULL ? at + 1 : UNUSUAL
  }
}
