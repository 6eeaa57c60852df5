/** JSON objects one after the other: lines, an array, or just so. */
import type { FlowBatch } from '../core/flow/batch.ts'
import { textStart } from '../core/flow/byte-order-mark.ts'
import type { Fault, FlowDecoder } from '../core/flow/stream.ts'
import { JsonScanner, OTHER_KIND, type KindKey } from './json-scanner.ts'
import { isFull, namedRows, type NamedRowsOptions, type StoreRow } from './named-rows.ts'

/** Bytes that an object may have. */
const MOST_BYTES = 1 << 20
/** Lists of keys remembered. */
const MOST_LISTS = 1024

const QUOTE = 34
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125
const NEWLINE = 10
/** What may stand between objects: space, tab, line ends, and what an array has. */
const BETWEEN = Uint8Array.from({ length: 256 }, (_, byte) => (
  [32, 9, 13, NEWLINE, 44, 91, 93].includes(byte) ? 1 : 0
))

/** Integers that JSON.parse would round: as text, no digit of them is lost. */
const LARGE = /(?<!\\)("\s*:\s*)(\d{16,})(?=\s*[,}])/g

/**
 * A decoder of flows that are objects, a member for each field. Objects as they usually are go from their
 * bytes into columns; JSON.parse has the others.
 *
 * @param optionsOf what becomes of the names of an object, of the special kind or not
 * @param kind what makes objects special
 */
export function jsonDecoder(
  optionsOf: (isSpecial: boolean) => NamedRowsOptions, onFault: (fault: Fault) => void, kind?: KindKey,
): FlowDecoder {
  const stores = new Map<string, StoreRow>()
  const scanners = [new JsonScanner(optionsOf(false), kind)]
  if (kind) scanners.push(new JsonScanner(optionsOf(true), kind, true))
  let usual = 0 // which of them has read the last object
  let consumed = 0 // bytes of the input before the ones at hand
  let isTooLong = false // an object, whose line is passed over

  function store(text: string, batch: FlowBatch): void {
    const value: unknown = JSON.parse(text.replace(LARGE, '$1"$2"'))
    if (typeof value !== 'object' || value === null) throw new SyntaxError(`{ expected, ${text} found`)
    const object = value as Record<string, unknown>
    const keys = Object.keys(object)
    const isSpecial = kind !== undefined && object[kind.key] === kind.value
    const list = `${isSpecial}\n${keys.join('\n')}`
    let row = stores.get(list)
    if (!row) {
      row = namedRows(keys, optionsOf(isSpecial))
      if (stores.size < MOST_LISTS) stores.set(list, row)
    }
    row(batch, Object.values(object))
  }

  function scan(bytes: Uint8Array, view: DataView, at: number): number {
    const behind = scanners[usual].take(bytes, view, at, bytes.length)
    if (behind !== OTHER_KIND) return behind
    usual = 1 - usual
    return scanners[usual].take(bytes, view, at, bytes.length)
  }

  /** Read objects as long as there are some. @returns the offset of the first byte not consumed */
  function take(text: Buffer, at: number, batch: FlowBatch, offset: number): number {
    const view = new DataView(text.buffer, text.byteOffset, text.length)
    if (offset + at === 0) {
      const start = textStart(text, at)
      if (start < 0) return at
      at = start
    }
    while (!isFull(batch)) {
      if (isTooLong) {
        const newline = text.indexOf(NEWLINE, at)
        isTooLong = newline < 0
        at = isTooLong ? text.length : newline
      }
      while (at < text.length && BETWEEN[text[at]] === 1) at++
      if (at === text.length) break
      const behind = text[at] === OPEN ? scan(text, view, at) : -1
      if (behind >= 0) {
        at = behind
        continue
      }
      const end = text[at] === OPEN ? objectEnd(text, at) : lineEnd(text, at)
      if (end < 0) {
        if (text.length - at <= MOST_BYTES) break
        isTooLong = true
        const reason = `Cannot read JSON object: at most ${MOST_BYTES} bytes are expected`
        onFault({ code: 'ERR_LIMIT', reason, offset: offset + at })
        continue
      }
      try {
        store(text.toString('utf8', at, end), batch)
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error
        const reason = `Cannot read JSON object: ${error.message.replace(/^(.{200}).*/s, '$1')}`
        onFault({ code: 'ERR_MALFORMED', reason, offset: offset + at })
      }
      at = end
    }
    return at
  }

  return {
    decode(bytes, at, batch) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      for (const { rows } of scanners) rows.bind(batch)
      try {
        const end = take(text, at, batch, consumed - at)
        consumed += end - at
        return end
      } finally {
        for (const { rows } of scanners) rows.settle()
      }
    },
  }
}

/** The offset behind the object at `at`, -1 if it is not all there; a line's end in a text ends it too. */
function objectEnd(bytes: Uint8Array, at: number): number {
  let depth = 0
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte === QUOTE) {
      i++
      while (i < bytes.length && bytes[i] !== QUOTE) {
        if (bytes[i] === BACKSLASH) i++
        else if (bytes[i] === NEWLINE) return i // JSON's texts have no line ends: it is damaged
        i++
      }
    } else if (byte === NEWLINE && bytes[i + 1] === OPEN) return i // the next begins, and this is damaged
    else if (byte === OPEN) depth++
    else if (byte === CLOSE && --depth === 0) return i + 1
  }
  return -1
}

/** The end of a line that is no object; -1 if it is not there. */
function lineEnd(bytes: Uint8Array, at: number): number {
  return bytes.indexOf(NEWLINE, at)
}

/** The keys of the first object that a file begins with, as far as they are there. */
export function firstKeys(head: Uint8Array): string[] {
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('utf8')
  if (!/^[\s[]*\{/.test(text)) return []
  return Array.from(text.split('}', 1)[0].matchAll(/"([^"\\]+)"\s*:/g), ([, key]) => key)
}
