/** Lines of separated values under a header (RFC 4180), as CSV files of any tool are. */
import type { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import type { Fault, FlowDecoder } from '../core/flow/stream.ts'
import { isFull, namedRows, type NamedRowsOptions, type StoreRow } from './named-rows.ts'
import { RowReader } from './row-reader.ts'
import { LONG, OTHER, PART, STOP, UNUSUAL } from './text-end.ts'

/** What may separate values. */
const SEPARATORS = [',', ';', '\t', '|'] as const
/** Bytes that a record may have. */
const MOST_BYTES = 1 << 20

const QUOTE = 34
const NEWLINE = 10
const RETURN = 13

/** What bytes are to a text in quotes: that a line ends in one, or that it holds quotes, is unusual. */
const QUOTED = stopsAt((byte) => byte === QUOTE, (byte) => byte === NEWLINE)

/**
 * A decoder of rows under a header, whose first line says what the columns are called. Values go from their
 * bytes into columns; lines with anything unusual about them become text first.
 */
export function csvDecoder(options: NamedRowsOptions, onFault: (fault: Fault) => void): FlowDecoder {
  let store: StoreRow | undefined
  let rows: CsvRows | undefined
  let names: string[] = []
  let separator: string = ','
  let consumed = 0

  function take(line: string, offset: number, batch: FlowBatch): void {
    if (line === '') return
    if (!store) {
      separator = separatorOf(line)
      names = namesIn(line, separator)
      store = namedRows(names, options)
      rows = csvRows(names, separator, options)
      rows?.reader.bind(batch)
      return
    }
    const values = valuesOf(line, separator)
    if (values.length === names.length) store(batch, values)
    else if (!line.startsWith('#')) {
      const found = `${names.length} values expected, ${values.length} found`
      onFault({ code: 'ERR_MALFORMED', reason: `Cannot read CSV record: ${found}`, offset })
    }
  }

  /** Report a record whose quotes have no end that can be found. */
  function refuseQuotes(what: string, offset: number): void {
    const reason = `Cannot read CSV record: the end of its quotes expected, none found, ${what}`
    onFault({ code: 'ERR_MALFORMED', reason, offset })
  }

  function takeAll(text: Buffer, at: number, batch: FlowBatch, offset: number): number {
    while (!isFull(batch) && at < text.length) {
      const behind = rows ? takeRow(rows, text, at) : UNUSUAL
      if (behind >= 0) {
        at = behind
        continue
      }
      const end = recordEnd(text, at)
      if (end < 0) {
        if (text.length - at <= MOST_BYTES) break
        const newline = text.indexOf(NEWLINE, at)
        if (newline < 0) throw tooLong(offset + at)
        refuseQuotes('the line is left out', offset + at)
        at = newline + 1
        continue
      }
      take(text.toString('utf8', at, end).replace(/\r$/, ''), offset + at, batch)
      at = end + 1
    }
    return at
  }

  return {
    decode(bytes, at, batch) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      rows?.reader.bind(batch)
      try {
        const end = takeAll(text, at, batch, consumed - at)
        consumed += end - at
        return end
      } finally {
        rows?.reader.settle()
      }
    },
    end(batch, rest = new Uint8Array(0)) { // the last line may do without its end
      const text = Buffer.from(rest).toString('utf8').replace(/\r$/, '')
      const lines = text.replace(/\n$/, '').split('\n').length
      const isOpen = text.split('"').length % 2 === 0
      if (isOpen && lines > 1) refuseQuotes(`${lines} lines are left out`, consumed)
      else take(text, consumed, batch)
      return rest.length
    },
  }
}

/** How to read lines. */
interface CsvRows {
  readonly reader: RowReader
  readonly columns: number
  readonly separator: number
  /** What bytes are to a text without quotes. */
  readonly stops: Uint8Array
}

/** How to read lines of columns with these names; undefined if there are too many. */
function csvRows(
  names: readonly string[], separator: string, options: NamedRowsOptions,
): CsvRows | undefined {
  const reader = new RowReader(options)
  if (names.some((name) => reader.add(name) < 0)) return undefined
  const code = separator.charCodeAt(0)
  const ends = [code, NEWLINE, RETURN]
  const stops = stopsAt((byte) => ends.includes(byte), (byte) => byte === QUOTE)
  return { reader, columns: names.length, separator: code, stops }
}

function stopsAt(isStop: (byte: number) => boolean, isOther: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => {
    return isStop(byte) ? STOP : isOther(byte) ? OTHER : byte < 128 ? PART : LONG
  })
}

/** Append the record at `at`. @returns the offset behind its line, or UNUSUAL, also if that has no end yet */
function takeRow(rows: CsvRows, bytes: Uint8Array, at: number): number {
  const { reader } = rows
  reader.begin()
  const behind = takeValues(rows, bytes, at)
  if (behind < 0) reader.undo()
  else reader.finish(bytes)
  return behind
}

function takeValues({ reader, columns, separator, stops }: CsvRows, bytes: Uint8Array, at: number): number {
  const end = bytes.length
  if (bytes[at] === NEWLINE || bytes[at] === RETURN) return UNUSUAL // it may be an empty line, which is none
  for (let i = 0; ; at++) {
    if (at >= end) return UNUSUAL
    const first = bytes[at]
    if (first === QUOTE) {
      if (at + 1 < end && bytes[at + 1] === QUOTE && !reader.isExtra(i)) at += 2 // which is no value
      else {
        at = reader.text(i, bytes, at + 1, end, QUOTED)
        if (at < 0 || at >= end || bytes[at] !== QUOTE) return UNUSUAL
        at++
      }
    } else if (first !== separator && first !== NEWLINE && first !== RETURN) {
      at = reader.text(i, bytes, at, end, stops)
      if (at < 0) return UNUSUAL
    }
    if (at >= end) return UNUSUAL
    i++
    if (bytes[at] === separator) {
      if (i === columns) return UNUSUAL
      continue
    }
    if (bytes[at] === RETURN) at++
    return i === columns && at < end && bytes[at] === NEWLINE ? at + 1 : UNUSUAL
  }
}

/** The names in the first line of a file, as far as it is there. */
export function headerNames(head: Uint8Array): string[] {
  const end = recordEnd(head, 0)
  const line = Buffer.from(head.buffer, head.byteOffset, end < 0 ? head.length : end).toString('utf8')
  if (/[^\x20-\x7e\t\r\uFEFF]/.test(line)) return []
  return namesIn(line.replace(/\r$/, ''), separatorOf(line))
}

/** The names of a header, which some tools begin with a mark. */
function namesIn(line: string, separator: string): string[] {
  return valuesOf(line.replace(/^\uFEFF?#?:?\s*/, ''), separator).map((name) => (name ?? '').trim())
}

function separatorOf(line: string): string {
  let best: string = ','
  for (const each of SEPARATORS) if (line.split(each).length > line.split(best).length) best = each
  return best
}

/** The end of the record at `at`: a line's end outside of quotes; -1 if it is not there. */
function recordEnd(bytes: Uint8Array, at: number): number {
  let isQuoted = false
  for (let i = at; i < bytes.length; i++) {
    if (bytes[i] === QUOTE) isQuoted = !isQuoted
    else if (bytes[i] === NEWLINE && !isQuoted) return i
  }
  return -1
}

/** The values of a record; undefined for what is empty and not quoted. */
function valuesOf(line: string, separator: string): (string | undefined)[] {
  if (!line.includes('"')) return line.split(separator).map((value) => value === '' ? undefined : value)
  const values: (string | undefined)[] = []
  let at = 0
  for (;;) {
    let end: number
    if (line[at] === '"') {
      end = at + 1
      while (end < line.length && (line[end] !== '"' || line[end + 1] === '"')) end += line[end] === '"' ? 2 : 1
      values.push(line.slice(at + 1, end).replaceAll('""', '"'))
      end = line.indexOf(separator, end)
    } else {
      end = line.indexOf(separator, at)
      values.push(line.slice(at, end < 0 ? undefined : end) || undefined)
    }
    if (end < 0) return values
    at = end + 1
  }
}

function tooLong(offset: number): FlowkitError {
  const reason = `Cannot read CSV record at byte ${offset}: at most ${MOST_BYTES} bytes are expected`
  return new FlowkitError('ERR_LIMIT', reason)
}
