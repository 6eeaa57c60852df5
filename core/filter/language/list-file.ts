import { addressList, type AddressSet } from '../evaluate/address-set.ts'
import { addRange, parseAddresses } from './addresses.ts'
import { fault, type FilterFile, type Place } from './lexer.ts'

const NEWLINE = 10
const HASH = 35
const COMMA = 44
const DOT = 46
const SLASH = 47
const ZERO = 48
const COLON = 58
const SEMICOLON = 59
const LOWER_A = 97

/** Characters of a value that a fault shows. */
const SHOWN = 40

const groups = new Uint16Array(8)

/** A value in a file, and its place. */
export interface ListedText extends Place {
  readonly text: string
}

/**
 * The texts of a file: with white space or commas between, or one a line. What follows `#` or `;`, or in a
 * file of lines is a line that begins with `#`, is a comment.
 */
export function* listedTexts({ path, bytes }: FilterFile, byLine: boolean): Generator<ListedText> {
  for (const [i, line] of new TextDecoder().decode(bytes).split('\n').entries()) {
    const source = { text: line, path, line: i + 1 }
    const pattern = byLine ? /(?<=^\s*)[^#\s](?:.*\S)?/g : /[^\s,]+/g
    for (const { 0: value, index } of (byLine ? line : line.replace(/[#;].*/, '')).matchAll(pattern)) {
      yield { text: value, source, start: index }
    }
  }
}

/**
 * The addresses, networks and ranges of a file, with white space or commas between; `#` and `;` begin
 * comments.
 *
 * @throws FlowkitError ERR_SYNTAX at what is none of these
 */
export function readAddresses(file: FilterFile): AddressSet {
  const { bytes } = file
  const { length } = bytes
  const list = addressList()
  const range = new Uint32Array(8)
  for (let at = 0; at < length;) {
    const byte = bytes[at]
    if (byte <= 32 || byte === COMMA) {
      at++
      continue
    }
    if (byte === HASH || byte === SEMICOLON) {
      while (at < length && bytes[at] !== NEWLINE) at++
      continue
    }
    const start = at
    let colon = false
    while (at < length && !isEnd(bytes[at])) if (bytes[at++] === COLON) colon = true
    if (colon) {
      if (readIpv6(bytes, start, at, range)) list.add6(range, 0)
      else readOther(start, at)
    } else if (readIpv4(bytes, start, at, range)) list.add4(range[0], range[1])
    else readOther(start, at)
  }
  return list.toSet()

  /** A range, or an address that is written in an uncommon way. */
  function readOther(start: number, end: number): void {
    const text = new TextDecoder().decode(bytes.subarray(start, end))
    const found = parseAddresses(text, false)
    const wanted = 'expected an IP address or network'
    if (!found) throw fault(placeOf(file, start), `${wanted}, found "${text.slice(0, SHOWN)}"`)
    addRange(list, found)
  }
}

function isEnd(byte: number): boolean {
  return byte <= 32 || byte === COMMA || byte === HASH || byte === SEMICOLON
}

function placeOf({ path, bytes }: FilterFile, start: number): Place {
  const from = bytes.lastIndexOf(NEWLINE, start) + 1
  const end = bytes.indexOf(NEWLINE, start)
  let line = 1
  for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < start; at = bytes.indexOf(NEWLINE, at + 1)) line++
  const decoder = new TextDecoder()
  const text = decoder.decode(bytes.subarray(from, end < 0 ? bytes.length : end))
  return { source: { text, path, line }, start: decoder.decode(bytes.subarray(from, start)).length }
}

/** Read `A.B.C.D` or `A.B.C.D/LENGTH` into two words. @returns whether it is one */
function readIpv4(bytes: Uint8Array, start: number, end: number, out: Uint32Array): boolean {
  let address = 0
  let at = start
  for (let part = 0; part < 4; part++) {
    let value = 0
    const from = at
    while (at < end && at - from < 3 && bytes[at] >= ZERO && bytes[at] < ZERO + 10) {
      value = value * 10 + bytes[at++] - ZERO
    }
    if (at === from || value > 255 || (at - from > 1 && bytes[from] === ZERO)) return false
    address = address * 256 + value
    if (part < 3 && bytes[at++] !== DOT) return false
  }
  const bits = at === end ? 32 : readLength(bytes, at, end)
  if (bits < 0 || bits > 32) return false
  const free = 2 ** (32 - bits)
  out[0] = address - address % free
  out[1] = out[0] + free - 1
  return true
}

/** Read an IPv6 address without dots, or one with `/LENGTH`, into eight words. @returns whether it is one */
function readIpv6(bytes: Uint8Array, start: number, end: number, out: Uint32Array): boolean {
  let count = 0
  let gap = -1 // how many groups stand before the "::"
  let at = start
  while (at < end && bytes[at] !== SLASH) {
    if (bytes[at] === COLON && bytes[at + 1] === COLON) {
      if (gap >= 0) return false
      gap = count
      at += 2
      continue
    }
    if (count > 0 && gap !== count && bytes[at++] !== COLON) return false
    const from = at
    let value = 0
    for (let digit = 0; at < end && at - from < 4 && (digit = hexDigit(bytes[at])) >= 0; at++) {
      value = value * 16 + digit
    }
    if (at === from || count === 8) return false
    groups[count++] = value
  }
  const zeros = 8 - count
  const bits = at === end ? 128 : readLength(bytes, at, end)
  if ((gap < 0 ? zeros !== 0 : zeros === 0) || bits < 0 || bits > 128) return false
  if (gap >= 0) {
    groups.copyWithin(gap + zeros, gap, count)
    groups.fill(0, gap, gap + zeros)
  }
  for (let i = 0; i < 4; i++) {
    const free = Math.min(32, Math.max(0, 32 * (i + 1) - bits)) // bits of the word behind the length
    const word = groups[i * 2] * 65_536 + groups[i * 2 + 1]
    out[i] = word - word % 2 ** free
    out[i + 4] = out[i] + 2 ** free - 1
  }
  return out[0] !== 0 || out[1] !== 0 // these may be IPv4
}

/** The number behind the slash at `at`, or -1. */
function readLength(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] !== SLASH || end - at < 2 || end - at > 4) return -1
  let value = 0
  for (let i = at + 1; i < end; i++) {
    if (bytes[i] < ZERO || bytes[i] >= ZERO + 10) return -1
    value = value * 10 + bytes[i] - ZERO
  }
  return value
}

/** The value of a hexadecimal digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= ZERO && byte < ZERO + 10) return byte - ZERO
  const letter = byte | 32
  return letter >= LOWER_A && letter < LOWER_A + 6 ? letter - LOWER_A + 10 : -1
}
