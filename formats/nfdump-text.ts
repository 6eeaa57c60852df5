import type { FlowBatch } from '../core/flow/batch.ts'
import { fieldMask, FIELDS } from '../core/flow/fields.ts'
import { loseFields, newLoss } from '../core/flow/loss.ts'
import { makeShape, type Shape } from '../core/flow/shape.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { FAST_HEADER, FAST_ROW, OLD_CSV_HEADER, OLD_CSV_ROW, PIPE_ROW } from './nfdump-text/fixed.ts'
import { denseObject, oldObject, prettyObject } from './nfdump-text/json.ts'
import { rawRecord } from './nfdump-text/raw.ts'
import { RowText, type Piece } from './nfdump-text/rows.ts'
import { COUNTED, Summary } from './nfdump-text/summary.ts'
import {
  CSV, EDITION_1_6, EDITION_1_7_1, NEWEST, parseCsv, parseLine, type Template,
} from './nfdump-text/template.ts'

/** What stands around the rows of an output. */
interface Frame {
  /** Before the first row, and in its place when there is none. */
  head?(request: WriteRequest): string
  /** Behind the last row, of `count` in all. */
  foot?(request: WriteRequest, count: number, summary: Summary): string
  /** Bytes with which rows begin because they stand between rows: the first has them not. */
  readonly between?: number
  /** Whether `foot` looks at the summary. */
  readonly counts?: boolean
  /** Values as in a CSV. */
  readonly csv?: boolean
}

/** What the rows of a shape are made of. */
type Rows = (shape: Shape) => readonly Piece[]

/** In place of the rows where there are none. */
const NO_FLOWS = 'No matching flows\n'

/** What stands behind lines: `none` where there are no flows, and the summary. */
interface Foot {
  readonly none: string
  summary(totals: Summary): string
}

const FOOT: Foot = { none: NO_FLOWS, summary: (totals) => totals.lines() }
const FOOT_1_7_1: Foot = { none: NO_FLOWS, summary: (totals) => totals.lines171() }
const FOOT_1_6: Foot = { none: '', summary: (totals) => totals.lines16() }

const EVERYTHING = makeShape(FIELDS.keys())

function textFormat(
  name: string, summary: string, rows: Rows | readonly Piece[], frame: Frame = {},
): FlowFormat {
  const layout: Rows = typeof rows === 'function' ? rows : () => rows
  const values = layout(EVERYTHING).filter((piece) => typeof piece !== 'string')
  const printed = new Set(values.flatMap(({ fields }) => fields))
  const carried = fieldMask(printed)
  const wanted = [...printed, ...frame.counts ? COUNTED : []]
  return {
    name, summary, extensions: [], printed: wanted,
    encoder: (request) => encoder(request, layout, frame, carried),
  }
}

function encoder(
  request: WriteRequest, layout: Rows,
  { head = () => '', foot = () => '', between = 0, counts = false, csv = false }: Frame, carried: Uint8Array,
): FlowEncoder {
  const { ipv6Full = false, plainNumbers = false, utc = false, quiet = false } = request
  const style = { csv, ipv6Full, plain: plainNumbers, utc }
  const rows = new RowText(layout, style)
  const totals = new Summary(style)
  const isCounted = counts && !quiet
  const loss = newLoss()
  let started = false
  return {
    encode(batch: FlowBatch) {
      loseFields(loss, batch, carried, false)
      if (isCounted) totals.add(batch)
      if (started || batch.length === 0) return rows.take(rows.rows(batch, 0))
      started = true
      const from = rows.text(head(request), 0)
      const end = rows.rows(batch, from)
      if (between > 0) rows.bytes.copyWithin(from, from + between, end)
      return rows.take(end - between)
    },
    finish() {
      const before = started ? '' : head(request)
      return rows.take(rows.text(before + foot(request, rows.count, totals), 0))
    },
    loss: () => loss,
  }
}

function lineFormat(name: string, summary: string, template: Template, behind: Foot = FOOT): FlowFormat {
  const { pieces, header, wideHeader } = template
  return textFormat(name, summary, pieces, {
    counts: true,
    head: ({ quiet, ipv6Full }) => quiet ? '' : `${ipv6Full ? wideHeader : header}\n`,
    foot({ quiet }, count, totals) {
      return (count > 0 ? '' : behind.none) + (quiet ? '' : behind.summary(totals))
    },
  })
}

function csvFormat(name: string, summary: string, { header, pieces }: Template): FlowFormat {
  return textFormat(name, summary, pieces, { csv: true, head: () => `${header}\n` })
}

/** Formats of lines of 1.7.8, by name. */
const lines = Object.entries(NEWEST.lines).map(([name, format]) => {
  const what = name === 'line' ? "nfdump's default text, one line a flow" : `nfdump's text ${name}`
  return lineFormat(name, what, parseLine(format))
})

const formerLines = Object.entries(EDITION_1_7_1.lines).map(([name, format]) => (
  lineFormat(`${name}-1.7.1`, `nfdump 1.7.1's text ${name}`, parseLine(format, EDITION_1_7_1), FOOT_1_7_1)
))

/**
 * The text that nfdump prints, byte for byte: header, flows, summary; of 1.7.8 unless the name
 * says otherwise.
 *
 * `ipv6Full` is nfdump's -6, `plainNumbers` its -N, `quiet` its -q. In the summary the time window is that of
 * the flows, where nfdump gives what its file states, and the last line tells of this run. What contradicts
 * itself is mended: JSON is valid JSON, a CSV has no message among its rows and no separator in a cell.
 */
export const nfdumpText: readonly FlowFormat[] = [
  ...lines,
  ...formerLines,
  lineFormat('line-1.6', "nfdump 1.6's default text", parseLine('%line', EDITION_1_6), FOOT_1_6),
  textFormat('raw', "nfdump's block of lines for each flow", rawRecord, {
    foot: (_, count) => count > 0 ? '' : NO_FLOWS,
  }),
  csvFormat('nfdump-csv', "nfdump's CSV", parseCsv(CSV)),
  textFormat('nfdump-csv-fast', "nfdump's csv-fast", FAST_ROW, { csv: true, head: () => FAST_HEADER }),
  textFormat('nfdump-csv-1.7.1', "nfdump 1.7.1's CSV of 48 columns", OLD_CSV_ROW, {
    csv: true,
    counts: true,
    head: ({ quiet }) => quiet ? '' : OLD_CSV_HEADER,
    foot: ({ quiet }, _, totals) => quiet ? '' : totals.csvLines(),
  }),
  textFormat('nfdump-json', "nfdump's JSON array", prettyObject, {
    csv: true, between: 2, head: () => '[\n', foot: () => '\n]\n',
  }),
  textFormat('nfdump-ndjson', "nfdump's JSON, one object a line", denseObject, { csv: true }),
  textFormat('nfdump-json-1.7.1', "nfdump 1.7.1's JSON array", oldObject, {
    csv: true, between: 2, head: ({ quiet }) => quiet ? '' : '[\n', foot: ({ quiet }) => quiet ? '' : ']\n',
  }),
  textFormat('pipe', "nfdump 1.7.1's numbers with | between", PIPE_ROW, { csv: true }),
]

/** nfdump's default text, `-o line`. */
export const line: FlowFormat = lines[0]

/**
 * The format that nfdump's `-o` calls so, if it is none of those that have a name: tokens, `fmt:%ts %pr %sap`
 * or `%ts %pr %sap`, as 1.7.1 prints them `fmt-1.7.1:%ts %pr %sap`; a CSV of tokens, `csv:%ts,%pr,%sa`; lines
 * for full IPv6 addresses, `line6`.
 *
 * @returns undefined for other names
 * @throws FlowkitError ERR_OPTION naming a token that there is none of
 */
export function formatOf(name: string): FlowFormat | undefined {
  if (/^fmt:/i.test(name)) return lineFormat(name, 'nfdump text of tokens', parseLine(name.slice(4)))
  if (/^fmt-1\.7\.1:/i.test(name)) {
    const template = parseLine(name.slice(10), EDITION_1_7_1)
    return lineFormat(name, 'nfdump 1.7.1 text of tokens', template, FOOT_1_7_1)
  }
  if (name.startsWith('%')) return lineFormat(name, 'nfdump text of tokens', parseLine(name))
  if (/^csv:/i.test(name)) return csvFormat(name, 'nfdump CSV of tokens', parseCsv(name.slice(4)))
  if (!name.endsWith('6')) return undefined
  const line = lines.find((each) => `${each.name}6` === name)
  return line && { ...line, name, encoder: (request) => line.encoder!({ ...request, ipv6Full: true }) }
}
