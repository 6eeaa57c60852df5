import { Type } from '@sinclair/typebox'
import type { Sort } from '../core/duck/read.ts'
import { filterFields, type Filter } from '../core/filter/filter.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { CLOCK_FIELDS, FIELDS, ID, type Field } from '../core/flow/fields.ts'
import { NAME_SETS, type NameSet } from '../core/flow/labels.ts'
import type { Fault, FlowReader } from '../core/flow/stream.ts'
import type { FlowFormat, ReadRequest, WriteRequest } from '../formats/format.ts'
import { FORMATS } from '../formats/index.ts'
import { findFormat, findInputs, readInputs, type Input, type InputFault } from '../formats/locations.ts'
import { chooseFields, type ChosenFields } from './choose-fields.ts'
import { choice, defineCommand, type Command } from './command.ts'
import { FOLLOW_OPTION, followedFlows } from './follow.ts'
import { faultReporter, fieldNamed, INPUT_OPTIONS, resolveWords } from './inputs.ts'
import type { Io } from './io.ts'
import { withHeadings } from './read/headings.ts'
import { printSummary } from './read/summary.ts'

const OUTPUTS = FORMATS.filter((format) => format.encoder).map((format) => format.name)

/** Fields that a time window looks at. */
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
      description: 'Format, by default table on a terminal and json elsewhere',
    })),
    fields: Type.Optional(Type.Array(Type.String({ title: 'FIELD' }), {
      description: 'Fields to print: names, core, or all, with elements that have no column '
        + '(json default: all that are present)',
    })),
    n: Type.Optional(Type.Integer({ minimum: 0, description: 'Print at most this many flows' })),
    sort: Type.Optional(Type.String({
      title: 'FIELD[:asc|:desc]',
      description: 'Order by a field; unless told, counters from the largest and all else from the smallest',
    })),
    names: choice(NAME_SETS, { default: 'flowkit', description: 'Whose names the fields have' }),
    scale: Type.Boolean({
      default: false, description: 'Multiply counters by the sampling rate where they are not yet',
    }),
    utc: Type.Boolean({
      default: false, description: 'Print times of text formats in UTC instead of the local zone',
    }),
    fullIpv6: Type.Boolean({
      short: '6', default: false, description: "Print IPv6 addresses in full in nfdump's formats",
    }),
    plainNumbers: Type.Boolean({
      short: 'N', default: false, description: "Print numbers of nfdump's formats in full, and unnamed",
    }),
    flowsOnly: Type.Boolean({
      short: 'q', default: false, description: 'Print neither the header nor the summary of text formats',
    }),
    summary: Type.Boolean({
      default: false,
      description: 'Print counts, the time window, the exporters and the ledger instead of flows',
    }),
    counters: Type.Boolean({
      default: false,
      description: 'Print sFlow\'s counter samples instead of flows, as json, json-array, csv, cbor or table',
    }),
    ...FOLLOW_OPTION,
    schema: Type.Boolean({
      default: false, description: 'Print the JSON Schema of what json prints, and stop',
    }),
    ...INPUT_OPTIONS,
  }),
  examples: [
    { command: 'flowkit read | jq .src_addr', does: 'The archive as one JSON object a line' },
    {
      command: "flowkit read x.pcap 'proto tcp and dst port 443' -o csv",
      does: 'NetFlow in a capture, filtered, as CSV',
    },
    { command: 'flowkit read --last 1h --sort bytes -n 10', does: 'The largest flows of the last hour' },
    {
      command: 'flowkit read --counters --last 5m --fields received,agent_addr,if_index,if_in_octets',
      does: 'What sFlow agents counted at their interfaces',
    },
  ],
  async run(args, options, io) {
    if (options.counters) {
      const { readCounters } = await import('./read/counters.ts')
      return readCounters(args, options, io)
    }
    if (options.schema) {
      const { jsonSchema } = await import('../formats/json-schema.ts')
      await io.write(`${JSON.stringify(jsonSchema(options.names), null, 2)}\n`)
      return 0
    }
    if (options.follow && (options.sort !== undefined || options.summary)) {
      const beside = options.summary ? '--summary' : '--sort'
      throw new FlowkitError('ERR_OPTION', `Cannot use ${beside} with --follow: it needs the input's end`)
    }
    const { words, ...request } = await resolveWords(args, options, io)
    const faults = faultReporter(io)
    const chosen = options.fields && chooseFields(options.fields)
    const sort = options.sort === undefined ? undefined : sortOrder(options.sort)
    const output = findFormat(options.output ?? (io.stdout.isTTY ? 'table' : 'json'))
    const asked = { ...request, ...wanted(chosen, sort?.field, output, request, options) }
    if (options.follow) {
      const following = { ...request, words, asked, faults, fromFormat: options.fromFormat }
      await print(followedFlows(following, io), () => '', chosen, output, options, io)
      faults.finish()
      return faults.count === 0 ? 0 : 3
    }
    const found = await findInputs(words, options.fromFormat, io.stdin, io.talk.info)
    const headed = withHeadings(found, options.flowsOnly ? () => '' : output.heading ?? (() => ''))
    const { inputs } = headed
    const reader = sort && !options.summary
      ? sortedFlows(inputs, asked, sort, options.n, faults.report)
      : readInputs(inputs, asked, faults.report)
    const count = options.summary
      ? await printSummary(reader, { ...request, inputs, output: options.output, onFault: faults.report }, io)
      : await print(reader, headed.take, chosen, output, options, io)
    faults.finish()
    if (faults.count === 0) return 0
    return count === 0 ? 1 : 3
  },
})

interface PrintOptions {
  readonly n?: number
  readonly names: NameSet
  readonly scale: boolean
  readonly utc: boolean
  readonly fullIpv6: boolean
  readonly plainNumbers: boolean
  readonly flowsOnly: boolean
  readonly follow: boolean
}

/**
 * Print flows until the input, `-n` or the reader of stdout ends.
 *
 * @param headings what is to stand before the flows that come next
 * @returns how many
 */
async function print(
  reader: FlowReader, headings: () => string, chosen: ChosenFields | undefined, format: FlowFormat,
  options: PrintOptions, io: Io,
): Promise<number> {
  if (!format.encoder) {
    const known = OUTPUTS.join(', ')
    throw new FlowkitError('ERR_OPTION', `Cannot print format ${format.name}: choose one of ${known}`)
  }
  const writing: WriteRequest = {
    names: options.names, utc: options.utc, ipv6Full: options.fullIpv6, plainNumbers: options.plainNumbers,
    quiet: options.flowsOnly, ...chosen,
  }
  const encoder = format.encoder(writing)
  const limit = options.n ?? Infinity
  let count = 0
  if (limit > 0) {
    for await (const batch of reader) {
      if (!options.follow) io.signal.throwIfAborted()
      batch.length = Math.min(batch.length, limit - count)
      if (options.scale) scaleCounters(batch)
      count += batch.length
      await write(headings())
      await io.write(encoder.encode(batch))
      if (count >= limit) break
    }
  }
  await write(headings())
  if (encoder.finish) await io.write(encoder.finish())
  return count

  async function write(text: string): Promise<void> {
    if (text !== '') await io.write(text)
  }
}

/** What readers need to deliver: what is printed, filtered, ordered and scaled by. */
function wanted(
  chosen: ChosenFields | undefined, sortField: Field | undefined, output: FlowFormat,
  request: { readonly filter?: Filter },
  { summary, scale }: { readonly summary: boolean, readonly scale: boolean },
): { fields?: number[], extras?: boolean } {
  const shown = summary
    ? [ID.bytes, ID.packets, ID.flows, ID.exporterAddr, ID.type, ...WINDOW_FIELDS]
    : chosen?.fields ?? output.printed
  if (!shown) {
    const needsClock = output.clock === true || (sortField && CLOCK_FIELDS.includes(sortField.id))
    return needsClock ? { fields: FIELDS.map(({ id }) => id), extras: true } : {}
  }
  const fields = new Set([...shown, ...WINDOW_FIELDS, ID.flowStartNs, ID.flowEndNs, ID.etype])
  if (request.filter) for (const id of filterFields(request.filter)) fields.add(id)
  if (sortField) fields.add(sortField.id)
  if (scale) for (const id of [ID.samplingRate, ID.samplingApplied]) fields.add(id)
  return { fields: [...fields], extras: chosen?.extras ?? false }
}

function sortOrder(text: string): Sort {
  const [name, direction = ''] = text.split(':')
  const field = fieldNamed(name)
  if (!['', 'asc', 'desc'].includes(direction)) {
    throw new FlowkitError('ERR_OPTION', `Cannot sort by "${text}": expected FIELD, FIELD:asc or FIELD:desc`)
  }
  return { field, descending: direction === '' ? field.type === 'count' : direction === 'desc' }
}

/**
 * The flows of `inputs` in order, the first `limit` of them.
 *
 * A single archive or Parquet file is sorted where it lies; all else goes through the temporary folder.
 */
async function* sortedFlows(
  inputs: readonly Input[], asked: Omit<ReadRequest, 'onFault'>, sort: Sort, limit: number | undefined,
  onFault: (fault: InputFault) => void,
): FlowReader {
  const most = limit === undefined ? {} : { limit }
  const [only] = inputs
  if (inputs.length === 1 && only.format.open) {
    const faults: InputFault[] = []
    let damaged = false
    try {
      const report = (fault: Fault) => faults.push({ ...fault, input: only.name })
      yield* only.open({ ...asked, ...most, sort, onFault: report })
    } catch (error) {
      // where a file turns out damaged nothing is sorted; to go through it in its order gives the good flows
      if (!(error instanceof FlowkitError)) throw error
      damaged = true
    } finally {
      if (!damaged) faults.forEach(onFault)
    }
    if (!damaged) return
  }
  const { sortFlows } = await import('../core/duck/sort.ts')
  yield* sortFlows(readInputs(inputs, asked, onFault), sort.field, { descending: sort.descending, ...most })
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
      const isScaled = applied[shape[row]] && samplingApplied[row]
      if (rates[shape[row]] && !isScaled) column[row] *= samplingRate[row]
    }
  }
}
