/** Messages of goflow2's flow.proto, read straight from their bytes. */
import { FLOW_TYPE, FLOW_TYPES } from '../../core/flow/names.ts'
import { parsed, parsedLong, parsedTime } from '../../core/flow/parse-bytes.ts'
import type { NamedRowsOptions } from '../named-rows.ts'
import { RowReader } from '../row-reader.ts'
import { KEYS, type KeyKind } from './keys.ts'
import { ZEROS } from './message.ts'

/** Numbers of members that one knows, at most. */
const MOST_NUMBER = 2048
const TYPE = 1
const VARINT = 0
const BYTES = 2

/** What becomes of a member. */
const NEW = 0
const INTEGER = 1
const TIME = 2
const ADDRESS = 3
const KIND = 4
const OTHER = 5
const UNKNOWN = 6

const ACTIONS: Readonly<Record<KeyKind, number>> = {
  type: KIND, number: INTEGER, time: TIME, address: ADDRESS, mac: INTEGER, etype: INTEGER, proto: INTEGER,
  net: INTEGER, words: OTHER, numbers: OTHER, addresses: OTHER, labels: OTHER,
}

/** Reads messages of one kind into rows, as long as there is nothing unusual about them. */
export class MessageScanner {
  readonly rows: RowReader
  private readonly keepsUnknown: boolean
  // By the number of a member
  private readonly actions = new Uint8Array(MOST_NUMBER)
  private readonly places = new Int16Array(MOST_NUMBER)
  private readonly stamps = new Float64Array(MOST_NUMBER)
  private readonly zeros: Int32Array
  private serial = 0

  constructor(options: NamedRowsOptions) {
    this.rows = new RowReader(options)
    this.keepsUnknown = options.extras
    for (const { name, number, kind } of KEYS) {
      this.actions[number] = ACTIONS[kind]
      this.places[number] = this.rows.add(name)
    }
    this.zeros = Int32Array.from(ZEROS, ({ number }) => number)
  }

  /** Append the message `bytes[at..end)`. @returns whether it was a usual one; else nothing was done */
  take(bytes: Uint8Array, at: number, end: number): boolean {
    const { rows } = this
    rows.begin()
    const isUsual = this.members(bytes, at, end) && this.addZeros()
    if (isUsual) rows.finish(bytes)
    else rows.undo()
    return isUsual
  }

  private members(bytes: Uint8Array, at: number, end: number): boolean {
    const { rows, actions, places, stamps } = this
    const serial = ++this.serial
    const first = at
    while (at < end) {
      const start = at
      let tag = bytes[at++]
      if (tag >= 0x80) {
        if (at >= end || bytes[at] >= 0x80) return false
        tag = tag & 0x7f | bytes[at++] << 7
      }
      const number = tag >> 3
      const wire = tag & 7
      if (number === 0 || number >= MOST_NUMBER || (wire !== VARINT && wire !== BYTES)) return false
      at = readVarint(bytes, at, end)
      if (at < 0) return false
      const from = at
      if (wire === BYTES) {
        if (parsed[0] > end - at) return false
        at += parsed[0]
      }
      let action = actions[number]
      if (action === NEW) action = this.learn(number)
      const isRepeated = stamps[number] === serial
      stamps[number] = serial
      if (action === UNKNOWN) {
        if (this.keepsUnknown) return false
        if (!isRepeated) rows.lose(places[number])
        continue
      }
      if (isRepeated || (action === ADDRESS) !== (wire === BYTES)) return false
      switch (action) {
        case INTEGER:
          if (parsedLong[1] >= 0x200000 || !rows.integer(places[number])) return false
          break
        case TIME:
          if (!this.readTime() || !rows.time(places[number])) return false
          break
        case ADDRESS:
          if (at - from !== 4 && at - from !== 16) break // which is none
          if (!rows.bytes(places[number], bytes, from, at)) return false
          break
        case KIND: // says which scanner reads it: it has to come first, as `isSflow` expects it
          if (start !== first || at !== first + 2 || parsed[0] >= FLOW_TYPES.length) return false
          if (!rows.integer(places[number])) return false
          break
        default: return false
      }
    }
    return true
  }

  /** A number that is new is nobody's. */
  private learn(number: number): number {
    this.places[number] = this.rows.add(`field_${number}`)
    return this.actions[number] = this.places[number] < 0 ? OTHER : UNKNOWN
  }

  /** What flow.proto leaves out where it is 0. */
  private addZeros(): boolean {
    const { rows, zeros, stamps, places, serial } = this
    for (let i = 0; i < zeros.length; i++) {
      if (stamps[zeros[i]] === serial) continue
      parsed[0] = 0
      if (!rows.integer(places[zeros[i]])) return false
    }
    return true
  }

  /** Make ns of `parsedLong` a time. @returns whether it is one that fits */
  private readTime(): boolean {
    const high = parsedLong[1]
    const quotient = Math.floor(high / 1000)
    const rest = (high - quotient * 1000) * 0x100000000 + parsedLong[0]
    const thousands = Math.floor(rest / 1000)
    parsed[0] = quotient * 0x100000000 + thousands
    parsedTime.nanos = rest - thousands * 1000
    parsedTime.digits = 9
    return parsed[0] <= Number.MAX_SAFE_INTEGER
  }
}

/** Whether the message at `at` is of sFlow: it says so with its first member. */
export function isSflow(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 2 && bytes[at] === TYPE << 3 && bytes[at + 1] === FLOW_TYPE.SFLOW_5
}

/** Read a varint of 64 bits into `parsedLong`, and into `parsed`, inexact from 2^53 on. @returns as there */
export function readVarint(bytes: Uint8Array, at: number, end: number): number {
  let low = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) return -1
    const byte = bytes[at++]
    low |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      parsed[0] = low
      parsedLong[0] = low
      parsedLong[1] = 0
      return at
    }
  }
  let middle = 0
  let high = 0
  for (let shift = 0; ; shift += 7) {
    if (at >= end || shift === 42) return -1
    const byte = bytes[at++]
    if (shift < 28) middle |= (byte & 0x7f) << shift
    else high |= (byte & 0x7f) << shift - 28
    if (byte < 0x80) break
  }
  parsedLong[0] = low | middle << 28
  parsedLong[1] = middle >>> 4 | high << 24
  parsed[0] = parsedLong[1] * 0x100000000 + parsedLong[0]
  return at
}
