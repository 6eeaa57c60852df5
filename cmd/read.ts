import { Type } from '@sinclair/typebox'
import { filterFields } from '../core/filter/filter.ts'
import { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { CLOCK_FIELDS, FIELDS, ID, type Field } from '../core/flow/fields.ts'
import { NAME_SETS, type NameSet } from '../core/flow/labels.ts'
import { CORE_FIELDS } from '../core/flow/sql.ts'
import type { FlowReader } from '../core/flow/stream.ts'
import { formatTime } from '../core/flow/time.ts'
import { addToSummary, newSummary, type Summary } from '../core/query/summary.ts'
import type { WriteRequest } from '../formats/format.ts'
import { FORMATS } from '../formats/index.ts'
import { findFormat, readInputs } from '../formats/locations.ts'
import { choice, defineCommand, type Command } from './command.ts'
import { faultReporter, fieldNamed, INPUT_OPTIONS, resolveRequest, type Request } from './inputs.ts'
import type { Io } from './io.ts'

const OUTPUTS = FORMATS.filter((format) => format.encoder).map((format) => format.name)

/** Fields that a time window and an ordering by shape look at. */
const WINDOW_FIELDS = [ID.flowStart, ID.flowEnd, ID.eventTime, ID.received]

/** `flowkit read`: any flow input to text on stdout. */
export const read: Command = defineCommand({
  name: 'read',
  summary: 'Print flows as text, JSON, CSV or CBOR',
  args: [
    { name: 'INPUT', description: 'A file, a folder, a glob or - (default: the archive)', repeated: true },
    { name: 'FILTER', description: 'As after -f, if it holds a space or an operator' },
  ],
  options: Type.Object({
    output: Type.Optional(Type.String({
      short: 'o', title: 'NAME', examples: OUTPUTS,
      description: 'Format (default: table on a terminal, json elsewhere)',
    })),
    fields: Type.Optional(Type.Array(Type.String({ title: 'FIELD' }), {
      description: 'Fields to print: names, core, or all with elements that have no column (json default: all that are present)',
    })),
    n: Type.Optional(Type.Integer({ minimum: 0, description: 'Print at most this many flows' })),
    sort: Type.Optional(Type.String({ title: 'FIELD', description: 'Order by a field: counters from the largest, all else from the smallest; :asc or :desc behind it turns that' })),
    names: choice(NAME_SETS, { default: 'flowkit', description: "Whose names the fields have" }),
    scale: Type.Boolean({ default: false, description: 'Multiply counters by the sampling rate where they are not yet' }),
    utc: Type.Boolean({ default: false, description: 'Print times of text formats in UTC instead of the local zone' }),
    6: Type.Boolean({ default: false, description: 'Print IPv6 addresses in full in line' }),
    summary: Type.Boolean({ default: false, description: 'Print counts, the time window and the exporters instead of flows' }),
    schema: Type.Boolean({ default: false, description: 'Print the JSON Schema of what json prints, and stop' }),
    ...INPUT_OPTIONS,
  }),
  examples: [
    { command: 'flowkit read | jq .src_addr', does: 'the archive as one JSON object a line' },
    { command: "flowkit read x.pcap 'proto tcp and dst port 443' -o csv", does: 'NetFlow in a capture, filtered, as CSV' },
    { command: 'flowkit read --last 1h --sort bytes -n 10', does: 'the largest flows of the last hour' },
  ],
  async run(args, options, io) {
    if (options.schema) {
      const { jsonSchema } = await import('../formats/json-schema.ts')
      await io.write(`${JSON.stringify(jsonSchema(options.names), null, 2)}\n`)
      return 0
    }
    const request = await resolveRequest(args, options, io)
    const faults = faultReporter(io)
    const chosen = options.fields && chooseFields(options.fields)
    const sort = options.sort === undefined ? undefined : sortOrder(options.sort)
    const reader = readInputs(request.inputs, { ...request, ...wanted(chosen, sort?.field, request, options) }, faults.report)
    const count = options.summary
      ? await printSummary(reader, options.output, io)
      : await print(await ordered(reader, sort, options.n), request, chosen, options, io)
    faults.finish()
    if (faults.count === 0) return 0
    return count === 0 ? 1 : 3
  },
})

interface PrintOptions {
  readonly output?: string
  readonly n?: number
  readonly names: NameSet
  readonly scale: boolean
  readonly utc: boolean
  readonly 6: boolean
}

/** Print flows until the input, `-n` or the reader of stdout ends. @returns how many */
async function print(reader: FlowReader, _request: Request, chosen: Chosen | undefined, options: PrintOptions, io: Io): Promise<number> {
  const name = options.output ?? (io.stdout.isTTY ? 'table' : 'json')
  const format = findFormat(name)
  if (!format.encoder) throw new FlowkitError('ERR_OPTION', `Cannot print format ${name}: choose one of ${OUTPUTS.join(', ')}`)
  const writing: WriteRequest = {
    names: options.names, utc: options.utc, ipv6Full: options[6],
    ...chosen && { fields: chosen.ids, extras: chosen.extras },
  }
  const encoder = format.encoder(writing)
  const limit = options.n ?? Infinity
  let count = 0
  if (limit > 0) {
    for await (const batch of reader) {
      io.signal.throwIfAborted()
      if (count + batch.length > limit) batch.length = limit - count
      if (options.scale) scaleCounters(batch)
      count += batch.length
      await io.write(encoder.encode(batch))
      if (count >= limit) break
    }
  }
  if (encoder.finish) await io.write(encoder.finish())
  return count
}

interface Chosen {
  readonly ids: number[]
  readonly extras: boolean
}

function chooseFields(names: readonly string[]): Chosen {
  const fields = names.flatMap((name): readonly Field[] =>
    name === 'all' ? FIELDS : name === 'core' ? CORE_FIELDS : [fieldNamed(name)])
  return { ids: [...new Set(fields.map((field) => field.id))], extras: names.includes('all') }
}

/** What readers need to deliver: what is printed, filtered, ordered and scaled by. */
function wanted(
  chosen: Chosen | undefined, sortField: Field | undefined, request: Request, { summary, scale }: { summary: boolean, scale: boolean },
): { fields?: number[], extras?: boolean } {
  const shown = summary
    ? [ID.bytes, ID.packets, ID.flows, ID.exporterAddr, ID.type, ...WINDOW_FIELDS]
    : chosen?.ids
  if (!shown) {
    return sortField && CLOCK_FIELDS.includes(sortField.id) ? { fields: FIELDS.map((field) => field.id) } : {}
  }
  const fields = new Set([...shown, ...WINDOW_FIELDS, ID.flowStartNs, ID.flowEndNs, ID.etype])
  if (request.filter) for (const id of filterFields(request.filter)) fields.add(id)
  if (sortField) fields.add(sortField.id)
  if (scale) for (const id of [ID.samplingRate, ID.samplingApplied]) fields.add(id)
  return { fields: [...fields], extras: chosen?.extras ?? false }
}

interface SortOrder {
  readonly field: Field
  readonly descending: boolean
}

function sortOrder(text: string): SortOrder {
  const [name, direction = ''] = text.split(':')
  const field = fieldNamed(name)
  if (!['', 'asc', 'desc'].includes(direction)) {
    throw new FlowkitError('ERR_OPTION', `Cannot sort by "${text}": expected FIELD, FIELD:asc or FIELD:desc`)
  }
  return { field, descending: direction === '' ? field.type === 'count' : direction === 'desc' }
}

async function ordered(reader: FlowReader, sort: SortOrder | undefined, limit: number | undefined): Promise<FlowReader> {
  if (!sort) return reader
  const { sortFlows } = await import('../core/duck/sort.ts')
  return sortFlows(reader, sort.field, { descending: sort.descending, ...limit !== undefined && { limit } })
}

const SCALED = [ID.bytes, ID.packets, ID.outBytes, ID.outPackets, ID.revBytes, ID.revPackets]

function scaleCounters(batch: FlowBatch): void {
  const rates = batch.present(ID.samplingRate)
  const applied = batch.present(ID.samplingApplied)
  const { length, shape, samplingRate, samplingApplied } = batch
  for (const id of SCALED) {
    if (!batch.has(id)) continue
    const column = batch.column(id) as Float64Array
    for (let row = 0; row < length; row++) {
      if (rates[shape[row]] && !(applied[shape[row]] && samplingApplied[row])) column[row] *= samplingRate[row]
    }
  }
}

async function printSummary(reader: FlowReader, output: string | undefined, io: Io): Promise<number> {
  const summary = newSummary()
  const done = io.talk.progress(() => `${summary.records} flows read`)
  for await (const batch of reader) {
    io.signal.throwIfAborted()
    addToSummary(summary, batch)
  }
  done()
  await io.write(output === 'json' ? `${JSON.stringify(summaryObject(summary))}\n` : summaryText(summary))
  return summary.records
}

function summaryObject(summary: Summary): Record<string, unknown> {
  const { records, flows, bytes, packets, firstSeen, lastSeen, exporters, types } = summary
  return {
    records, flows, bytes, packets,
    ...Number.isFinite(firstSeen) && { first_seen: formatTime(firstSeen) },
    ...Number.isFinite(lastSeen) && { last_seen: formatTime(lastSeen) },
    types: Object.fromEntries(types), exporters: Object.fromEntries(exporters),
  }
}

function summaryText(summary: Summary): string {
  const { types, exporters, ...rest } = summaryObject(summary)
  const lines = Object.entries(rest).map(([key, value]) => `${key.replace('_', ' ').padEnd(12)}${String(value)}`)
  for (const [title, counts] of [['types', types], ['exporters', exporters]] as const) {
    const entries = Object.entries(counts as Record<string, number>).sort((a, b) => b[1] - a[1])
    if (entries.length > 0) lines.push(title, ...entries.map(([name, count]) => `  ${name.padEnd(40)}${count}`))
  }
  return `${lines.join('\n')}\n`
}
