/** Lines of separated values under a header (RFC 4180), as CSV files of any tool are. */
import type { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import type { Fault, FlowDecoder } from '../core/flow/stream.ts'
import { isFull, namedRows, type NamedRowsOptions, type StoreRow } from './named-rows.ts'

/** What may separate values. */
const SEPARATORS = [',', ';', '\t', '|'] as const
/** Bytes that a record may have. */
const MOST_BYTES = 1 << 20

const QUOTE = 34
const NEWLINE = 10

/** A decoder of rows under a header, whose first line says what the columns are called. */
export function csvDecoder(options: NamedRowsOptions, onFault: (fault: Fault) => void): FlowDecoder {
  let store: StoreRow | undefined
  let names: string[] = []
  let separator: string = ','
  let consumed = 0

  function take(line: string, offset: number, batch: FlowBatch): void {
    if (line === '') return
    if (!store) {
      separator = separatorOf(line)
      names = namesIn(line, separator)
      store = namedRows(names, options)
      return
    }
    const values = valuesOf(line, separator)
    if (values.length === names.length) store(batch, values)
    else if (!line.startsWith('#')) {
      const found = `${names.length} values expected, ${values.length} found`
      onFault({ code: 'ERR_MALFORMED', reason: `Cannot read CSV record: ${found}`, offset })
    }
  }

  return {
    decode(bytes, at, batch) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      const begun = at
      while (!isFull(batch) && at < bytes.length) {
        const end = recordEnd(bytes, at)
        if (end < 0) {
          if (bytes.length - at > MOST_BYTES) throw tooLong(consumed + at - begun)
          break
        }
        take(text.toString('utf8', at, end).replace(/\r$/, ''), consumed + at - begun, batch)
        at = end + 1
      }
      consumed += at - begun
      return at
    },
    end(batch, rest = new Uint8Array(0)) { // the last line may do without its end
      take(Buffer.from(rest).toString('utf8').replace(/\r$/, ''), consumed, batch)
      return rest.length
    },
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
