/**
 * flowkit as a library: what `import … from 'flowkit'` gives.
 *
 * Flows come in batches of some thousands, as columns, or one by one as objects. DuckDB, which Parquet and
 * archives need, is loaded when one of them is opened.
 */
import { filterFields, parseFilter, type Filter } from '../core/filter/filter.ts'
import { parseTime } from '../core/filter/time-text.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { FIELDS, findField, ID, type Field, type FieldName } from '../core/flow/fields.ts'
import type { NameSet } from '../core/flow/labels.ts'
import { lossByField, newLoss, rowsLost, type FieldLoss } from '../core/flow/loss.ts'
import type { FlowReader, InputFault } from '../core/flow/stream.ts'
import type { ReadRequest } from './format.ts'
import { FORMATS } from './index.ts'
import { findFormat, findInputs, inputOfStream, readInputs, type Input } from './locations.ts'
import { isWritable, openOutput } from './outputs.ts'
import { readRecords, type RecordsByNames } from './records.ts'

export { explainFilter } from '../core/filter/filter.ts'
export { formatIpv4, formatIpv6, formatMac, type AddressColumn } from '../core/flow/address.ts'
export { FlowBatch, type Column, type Columns } from '../core/flow/batch.ts'
export type { ErrorCode } from '../core/flow/errors.ts'
export type { ColumnName, FieldType } from '../core/flow/fields.ts'
export { makeShape, type ExtraElement, type Shape, type TimeDigits } from '../core/flow/shape.ts'
export type { Fault } from '../core/flow/stream.ts'
export { formatTime } from '../core/flow/time.ts'
export type {
  FlowRecord, NamedRecord, Py3flowtoolsRecord, RecordsByNames, RecordValue,
} from './records.ts'
export { FIELDS as fields, FlowkitError, ID, parseFilter }
export type { Field, FieldLoss, FieldName, Filter, FlowReader, InputFault, NameSet }

/** What is asked of inputs. */
export interface FlowsOptions {
  /** Name of the format, instead of telling it from the first bytes. */
  readonly format?: string
  /** Only flows that match: text in nfdump's language and more, or what `parseFilter` gave. */
  readonly filter?: string | Filter
  /** Only flows that end then or later: a date, or text as `--since` takes it. */
  readonly since?: Date | string
  /** Only flows that begin before then. */
  readonly until?: Date | string
  /** The fields wanted; `all` has the exporter's clock too, which is left out unless told. */
  readonly fields?: readonly FieldName[] | 'all'
  /** Whether elements without a field are wanted too. */
  readonly extras?: boolean
  /** Told of each thing that could not be read, which is passed over; without it, it ends the reading. */
  readonly onFault?: (fault: InputFault) => void
}

/** How records are to be. */
export interface RecordsOptions<N extends NameSet> {
  /** Whose names the fields have, flowkit's unless told. */
  readonly names?: N
}

/** The flows of some inputs, which are opened, from their beginning, by each iteration. */
export interface Flows extends FlowReader {
  /** The flows one by one, as plain objects; elements without a field are further members. */
  records<N extends NameSet = 'flowkit'>(options?: RecordsOptions<N>): AsyncIterable<RecordsByNames[N]>
}

/** How flows are to be written. */
export interface WriteOptions {
  /** Name of the format, where the extension of the place does not tell it. */
  readonly format?: string
  /** Version of the format, where it has several: `5` or `8.1` of flow-tools. */
  readonly version?: string
  /** How it is compressed: `gzip`, `zstd:9`, or what the format has of its own. */
  readonly compression?: string
  /** The fields to write, in formats that let one choose; all unless told. */
  readonly fields?: readonly FieldName[]
  /** Whether elements without a field are written too; unless told, if no fields were chosen. */
  readonly extras?: boolean
  /** What fields are called, in formats that name them. */
  readonly names?: NameSet
  /** Overwrite what is there. */
  readonly force?: boolean
}

/** What became of flows that were written. */
export interface Written {
  /** Name of the format. */
  readonly format: string
  /** Flows taken, and how many of them the format could not have at all. */
  readonly flows: number
  readonly leftOut: number
  /** What was left out of the others, or cut, by field. */
  readonly losses: readonly FieldLoss[]
}

/** A format that flowkit knows. */
export interface FormatInfo {
  readonly name: string
  readonly summary: string
  readonly extensions: readonly string[]
  readonly reads: boolean
  readonly writes: boolean
}

/** Every format, in the order of `flowkit formats`. */
export const formats: readonly FormatInfo[] = FORMATS.map((format) => ({
  name: format.name, summary: format.summary, extensions: format.extensions,
  reads: format.decoder !== undefined || format.open !== undefined, writes: isWritable(format),
}))

/** Fields that a time window looks at, and those that others are read with. */
const NEEDED = [
  ID.flowStart, ID.flowEnd, ID.eventTime, ID.received, ID.flowStartNs, ID.flowEndNs, ID.etype,
]

/**
 * The flows of files, of folders (an archive, or all flow files below it), of globs, or of a stream of bytes.
 *
 * Iterating gives batches, each valid until the next is asked for. What is wrong with the inputs or options
 * is thrown when the iteration begins: FlowkitError, or the system's error if a file cannot be opened. A
 * fault within an input is thrown behind the flows before it, unless `onFault` takes it.
 */
export function openFlows(
  inputs: string | readonly string[] | AsyncIterable<Uint8Array>, options: FlowsOptions = {},
): Flows {
  const { fields, extras = false } = options
  return {
    [Symbol.asyncIterator]: () => readBatches(inputs, options),
    records<N extends NameSet = 'flowkit'>({ names = 'flowkit' as N }: RecordsOptions<N> = {}) {
      const shown = fields === undefined || fields === 'all' ? {} : { fields: fields.map(idOf) }
      return readRecords(readBatches(inputs, options), { names, extras, ...shown })
    },
  }
}

/**
 * Write flows to a place: a file, whose format its extension tells unless one is named; a folder, which is an
 * archive or holds a file for every five minutes; `-` for standard output.
 *
 * Nothing is left there when the writing fails, or the reading that it takes the flows from.
 *
 * @throws FlowkitError about what cannot be written so; the system's error
 */
export async function writeFlows(
  place: string, flows: FlowReader, options: WriteOptions = {},
): Promise<Written> {
  const { fields, extras = fields === undefined, force = false, ...rest } = options
  const { format, writer } = await openOutput(place, {
    ...rest, extras, force, ...fields && { fields: fields.map(idOf) }, print,
  }).catch(inApiTerms)
  let count = 0
  try {
    for await (const batch of flows) {
      count += batch.length
      await writer.write(batch)
    }
  } catch (error) {
    await writer.abort()
    throw error
  }
  await writer.close()
  const loss = writer.loss?.() ?? newLoss()
  return { format: format.name, flows: count, leftOut: rowsLost(loss), losses: lossByField(loss) }
}

async function* readBatches(
  places: string | readonly string[] | AsyncIterable<Uint8Array>, options: FlowsOptions,
): FlowReader & AsyncGenerator<FlowBatch> {
  let failure: FlowkitError | undefined
  const onFault = options.onFault ?? ((fault: InputFault) => { failure ??= errorOf(fault) })
  const request = requestOf(options)
  const inputs = await inputsOf(places, options.format).catch(inApiTerms)
  for await (const batch of readInputs(inputs, request, onFault)) {
    yield batch
    if (failure) throw failure
  }
  if (failure) throw failure
}

async function inputsOf(
  places: string | readonly string[] | AsyncIterable<Uint8Array>, format: string | undefined,
): Promise<Input[]> {
  if (typeof places === 'string') return findInputs([places], format, process.stdin)
  if (!(Symbol.asyncIterator in places)) return findInputs(places, format, process.stdin)
  return [await inputOfStream('the stream', places, format === undefined ? undefined : findFormat(format))]
}

function requestOf(
  { filter, since, until, fields, extras = false }: FlowsOptions,
): Omit<ReadRequest, 'onFault'> {
  const parsed = typeof filter === 'string' ? parseFilter(filter) : filter
  return {
    extras,
    ...parsed && { filter: parsed },
    ...since !== undefined && { since: timeOf(since) },
    ...until !== undefined && { until: timeOf(until) },
    ...fields === 'all' && { fields: FIELDS.map(({ id }) => id) },
    ...fields !== undefined && fields !== 'all' && {
      fields: [...new Set([...fields.map(idOf), ...NEEDED, ...parsed ? filterFields(parsed) : []])],
    },
  }
}

function timeOf(time: Date | string): number {
  const micros = typeof time === 'string' ? parseTime(time, Date.now() * 1000) : time.getTime() * 1000
  if (micros !== undefined && !Number.isNaN(micros)) return micros
  throw new FlowkitError('ERR_OPTION', `Cannot use time "${time}": expected one such as 2026-11-21T13:00:00Z`)
}

function idOf(name: FieldName): number {
  const field = findField(name)
  if (field) return field.id
  throw new FlowkitError('ERR_OPTION', `Cannot find field "${name}": see fields`)
}

/** What options of the command line are called here. */
const OPTIONS: Readonly<Record<string, string>> = {
  '--from-format': 'the option format', '--to-format': 'the option format', '--force': 'the option force',
}

/** An error that names options of this library, not of the command line. */
function inApiTerms(error: unknown): never {
  if (!(error instanceof FlowkitError)) throw error
  const message = error.message.replace(/--(from-format|to-format|force)\b/g, (option) => OPTIONS[option])
  throw new FlowkitError(error.code, message)
}

function errorOf({ code, input, offset, reason }: InputFault): FlowkitError {
  return new FlowkitError(code, `${offset === undefined ? input : `${input}, byte ${offset}`}: ${reason}`)
}

function print(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => error ? reject(error) : resolve())
  })
}
