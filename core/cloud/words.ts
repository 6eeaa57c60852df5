/** Values that stand in the bytes of a text. */
import { ipv6Storage, MAX_ADDRESS_TEXT, parseIpv6, type AddressColumn } from '../flow/address.ts'

const DASH = 45
const DOT = 46
const COLON = 58
const LETTER_T = 84

/** A word and what it stands for. */
export interface WordValue {
  readonly word: Uint8Array
  readonly value: number
}

/** Whether a time of RFC 3339 stands there, as in front of the lines that CloudWatch exports. */
export function isTimeAt(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at > 20 && bytes[at + 10] === LETTER_T && bytes[at + 4] === DASH && bytes[at + 7] === DASH
    && bytes[at + 13] === COLON
}

/** The number that digits are, -1 if they are none. */
export function readDigits(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > 20) return -1
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = bytes[i] - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** The value of the word that stands there, -1 if it is none of them. */
export function valueOf(values: readonly WordValue[], bytes: Uint8Array, from: number, to: number): number {
  for (let i = 0; i < values.length; i++) {
    const { word, value } = values[i]
    if (word.length !== to - from) continue
    let same = 0
    while (same < word.length && word[same] === bytes[from + same]) same++
    if (same === word.length) return value
  }
  return -1
}

/** Store the address that stands there. @returns whether it is one */
export function readAddress(
  bytes: Buffer, from: number, to: number, column: AddressColumn, row: number,
): boolean {
  let address = 0
  let part = 0
  let digits = 0
  let dots = 0
  for (let i = from; i < to; i++) {
    const byte = bytes[i]
    if (byte === DOT) {
      if (digits === 0 || ++dots > 3) return false
      address = address * 256 + part
      part = digits = 0
    } else {
      const digit = byte - 48
      if (digit < 0 || digit > 9) return readIpv6(bytes, from, to, column, row)
      if (digits > 0 && part === 0) return dots === 0 && readIpv6(bytes, from, to, column, row)
      part = part * 10 + digit
      if (part > 255) return dots === 0 && readIpv6(bytes, from, to, column, row)
      digits++
    }
  }
  if (dots !== 3 || digits === 0) return false
  column.family[row] = 4
  column.v4[row] = address * 256 + part
  return true
}

function readIpv6(bytes: Buffer, from: number, to: number, column: AddressColumn, row: number): boolean {
  if (to - from > MAX_ADDRESS_TEXT) return false
  if (!parseIpv6(bytes.toString('latin1', from, to), ipv6Storage(column), row * 16)) return false
  column.family[row] = 6
  column.v4[row] = 0
  return true
}
