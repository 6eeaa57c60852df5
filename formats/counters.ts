/** Counter samples of sFlow as text and CBOR. They are few: a row is an object. */
import { TimeWriter } from '../core/flow/byte-writer.ts'
import { formatTime, MAX_TIME_TEXT } from '../core/flow/time.ts'
import {
  CORE_COUNTERS, COUNTER_COLUMNS, findCounter, type CounterColumn, type CounterRow, type CounterType,
} from '../core/netflow/sflow/counter-row.ts'
import { encodeCbor, type CborValue } from './counters-cbor.ts'

/** What counter samples are printed as; flows have formats of the same names. */
export const COUNTER_OUTPUTS = ['json', 'json-array', 'csv', 'cbor', 'table'] as const
export type CounterOutput = (typeof COUNTER_OUTPUTS)[number]

/** How to print them. */
export interface CounterWriteRequest {
  /**
   * The columns, in order. Without them JSON and CBOR have all that there are, CSV the core columns, and the
   * table what tells most about interfaces.
   */
  readonly columns?: readonly CounterColumn[]
  /** Whether the other counters follow: members in JSON, elsewhere an object in a last column `extras`. */
  readonly extras: boolean
  /** Times of the table in UTC instead of the local zone. */
  readonly utc: boolean
}

/** Turns rows into one of the formats. */
export interface CounterEncoder {
  encode(rows: readonly CounterRow[]): string | Uint8Array
  /** What ends the output. */
  finish?(): string | Uint8Array
}

/** Name of the column of all other counters. */
const EXTRAS = 'extras'

/** An encoder for one output. */
export function counterEncoder(output: CounterOutput, request: CounterWriteRequest): CounterEncoder {
  switch (output) {
    case 'json': return { encode: (rows) => rows.map((row) => `${jsonObject(row, request)}\n`).join('') }
    case 'json-array': return jsonArray(request)
    case 'csv': return csv(request)
    case 'cbor': return cbor(request)
    case 'table': return table(request)
  }
}

function jsonArray(request: CounterWriteRequest): CounterEncoder {
  let started = false
  return {
    encode(rows) {
      if (rows.length === 0) return ''
      const before = started ? ',\n' : '[\n'
      started = true
      return before + rows.map((row) => jsonObject(row, request)).join(',\n')
    },
    finish: () => started ? '\n]\n' : '[]\n',
  }
}

/** An object with the columns wanted, as far as the row has them. */
function jsonObject(row: CounterRow, { columns, extras }: CounterWriteRequest): string {
  const chosen = columns?.filter(({ name }) => Object.hasOwn(row, name)).map(({ name }) => name) ?? []
  const names = columns && !extras ? chosen : [...new Set([...chosen, ...Object.keys(row)])]
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, plainValue(name, row[name])])))
}

/** A value with times as text. */
function plainValue(name: string, value: number | string): number | string {
  return findCounter(name)?.type === 'time' ? formatTime(Number(value)) : value
}

/** What is in no column, as an object; undefined if there is nothing. */
function othersOf(row: CounterRow, columns: readonly CounterColumn[]): CounterRow | undefined {
  const known = new Set(columns.map(({ name }) => name))
  const others = Object.entries(row).filter(([name]) => !known.has(name))
  return others.length === 0 ? undefined : Object.fromEntries(others)
}

function csv({ columns = CORE_COUNTERS, extras }: CounterWriteRequest): CounterEncoder {
  const names = columns.map(({ name }) => name)
  let head = `${[...names, ...extras ? [EXTRAS] : []].join()}\n`
  function take(): string {
    const taken = head
    head = ''
    return taken
  }
  function line(row: CounterRow): string {
    const cells = names.map((name) => name in row ? csvCell(plainValue(name, row[name])) : '')
    if (extras) {
      const others = othersOf(row, columns)
      cells.push(others ? csvCell(JSON.stringify(others)) : '')
    }
    return `${cells.join()}\n`
  }
  return { encode: (rows) => take() + rows.map(line).join(''), finish: take }
}

/** RFC 4180; an empty text is told from a missing one by its quotes. */
function csvCell(value: number | string): string {
  const text = String(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/**
 * As the format cbor has flows: a header with names and types, then blocks of rows.
 *
 * Where no columns are asked for they are those that came so far, numbered counters being in `extras`: an
 * agent can number without end.
 */
function cbor({ columns: chosen, extras }: CounterWriteRequest): CounterEncoder {
  const columns = new Map(chosen?.map((column) => [column.name, column]))
  const withExtras = extras || !chosen
  let written = -1 // columns in the last header
  function header(): Uint8Array {
    if (columns.size === written) return new Uint8Array(0)
    written = columns.size
    const all = [...columns.values()]
    return encodeCbor(new Map<string, CborValue>([
      ['flowkit', 1],
      ['fields', [...all.map(({ name }) => name), ...withExtras ? [EXTRAS] : []]],
      ['types', [...all.map(({ type }) => type), ...withExtras ? ['map'] : []]],
      ['time', 'microseconds since 1970-01-01T00:00:00Z'],
    ]))
  }
  function encode(rows: readonly CounterRow[]): Uint8Array {
    if (rows.length === 0) return new Uint8Array(0)
    if (!chosen) {
      const names = new Set(rows.flatMap((row) => Object.keys(row)))
      for (const column of COUNTER_COLUMNS) if (names.has(column.name)) columns.set(column.name, column)
    }
    const all = [...columns.values()]
    const block = rows.map((row): CborValue[] => {
      const values = all.map(({ name }) => row[name] ?? null)
      if (!withExtras) return values
      const others = othersOf(row, all)
      return [...values, others ? new Map(Object.entries(others)) : null]
    })
    return Buffer.concat([header(), encodeCbor(block)])
  }
  return { encode, finish: () => written < 0 ? header() : new Uint8Array(0) }
}

/** Titles and widths of what the table shows unless told. */
const TABLE: readonly (readonly [name: string, title: string, width: number])[] = [
  ['received', 'Received', 23], ['exporter_addr', 'Exporter', 15], ['source_type', 'Type', 4],
  ['source_index', 'Source', 10], ['if_speed', 'Speed', 12], ['if_in_octets', 'In octets', 15],
  ['if_out_octets', 'Out octets', 15], ['if_in_errors', 'In errors', 10], ['if_out_errors', 'Out errors', 10],
]
const WIDTHS: Readonly<Record<CounterType, number>> = { time: 23, address: 15, int: 10, float: 10, text: 12 }

/** Aligned columns of fixed widths; what is wider pushes the rest of its line. */
function table({ columns, extras, utc }: CounterWriteRequest): CounterEncoder {
  const times = new TimeWriter(' ', !utc)
  const shown = columns?.map((column) => [column.name, column.name, WIDTHS[column.type]] as const) ?? TABLE
  const cells = shown.map(([name, title, width]) => {
    const { type } = findCounter(name)!
    const right = type === 'int' || type === 'float'
    return { name, title, type, width: Math.max(title.length, width), right }
  })
  const line = (texts: readonly string[]) => `${texts.map((text, i) => (
    i >= cells.length ? text : cells[i].right ? text.padStart(cells[i].width) : text.padEnd(cells[i].width)
  )).join('  ').trimEnd()}\n`
  let head = line([...cells.map(({ title }) => title), ...extras ? [EXTRAS] : []])
  function take(): string {
    const taken = head
    head = ''
    return taken
  }
  function text(type: CounterType, value: number | string | undefined): string {
    if (value === undefined) return '-'
    if (type === 'time') return timeText(times, Number(value))
    return String(value).replaceAll(/\p{Cc}/gu, '?') // a terminal would obey them
  }
  function rowLine(row: CounterRow): string {
    const texts = cells.map(({ name, type }) => text(type, row[name]))
    if (extras) {
      const others = othersOf(row, cells)
      texts.push(text('text', others && JSON.stringify(others)))
    }
    return line(texts)
  }
  return { encode: (rows) => take() + rows.map(rowLine).join(''), finish: take }
}

function timeText(times: TimeWriter, micros: number): string {
  const out = new DataView(new ArrayBuffer(MAX_TIME_TEXT + 8)) // it may write past the end of its text
  const end = times.put(Float64Array.of(micros), 0, 0, 3, out, 0)
  return Buffer.from(out.buffer, 0, end).toString('latin1')
}
