import { createReadStream } from 'node:fs'
import { glob, open, readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { isArchive } from '../core/archive/places.ts'
import { filterFlows } from '../core/filter/filter.ts'
import { overlaps } from '../core/filter/window.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { readFlows, readRows, type Fault, type FlowReader } from '../core/flow/stream.ts'
import type { CounterReader, CounterRow } from '../core/netflow/sflow/counter-row.ts'
import type { CounterRequest, FlowFormat, ReadRequest } from './format.ts'
import { FORMATS } from './index.ts'

/** Bytes of a file that formats are told by. */
const HEAD_SIZE = 4096
/** Bytes of a file that are read at a time. */
const CHUNK_SIZE = 1 << 20
/** Least score that is taken for an answer. */
const MIN_SCORE = 50

/** One thing to read. */
export interface Input {
  /** As the user named it, or the file found there. */
  readonly name: string
  readonly format: FlowFormat
  /** Its flows; everything in `request` is applied. */
  open(request: ReadRequest): FlowReader
  /** Its counter samples of sFlow, likewise. */
  openCounters(request: CounterRequest): CounterReader
}

/** A fault and the input it is in. */
export interface InputFault extends Fault {
  readonly input: string
}

/**
 * The inputs that words of the command line name: files, folders (an archive, or every flow file below it in
 * name order), globs, `-` for standard input.
 *
 * @param formatName the format to take them for, instead of looking at their first bytes
 * @throws FlowkitError or a system error when one cannot be opened or its format cannot be told
 */
export async function findInputs(
  words: readonly string[], formatName: string | undefined, stdin: AsyncIterable<Uint8Array>,
): Promise<Input[]> {
  const forced = formatName === undefined ? undefined : findFormat(formatName)
  const inputs: Input[] = []
  for (const word of words) {
    if (word === '-') inputs.push(await inputOfStream(stdin, forced))
    else inputs.push(...await inputsOfWord(word, forced))
  }
  return inputs
}

/**
 * The format called `name`.
 *
 * @throws FlowkitError ERR_OPTION listing the formats
 */
export function findFormat(name: string): FlowFormat {
  const format = FORMATS.find((each) => each.name === name)
  if (format) return format
  const known = FORMATS.map((each) => each.name).join(', ')
  throw new FlowkitError('ERR_OPTION', `Cannot find format "${name}": known are ${known}`)
}

/**
 * Read several inputs one after the other.
 *
 * An input that breaks off is a fault like a damaged record: what came before it stands, the next follow.
 */
export function readInputs(
  inputs: readonly Input[], request: Omit<ReadRequest, 'onFault'>, onFault: (fault: InputFault) => void,
): FlowReader {
  return inTurn(inputs, (input, report) => input.open({ ...request, onFault: report }), onFault)
}

/**
 * Read the counter samples of several inputs, likewise.
 *
 * @param onNote told what was left out without being at fault
 */
export function readCounterInputs(
  inputs: readonly Input[], window: Pick<CounterRequest, 'since' | 'until'>,
  onFault: (fault: InputFault) => void, onNote: (note: string) => void,
): CounterReader {
  return inTurn(inputs, (input, report) => input.openCounters({
    ...window, onFault: report, onNote: (note) => onNote(`${input.name}: ${note}`),
  }), onFault)
}

async function* inTurn<Rows>(
  inputs: readonly Input[], open: (input: Input, report: (fault: Fault) => void) => AsyncIterable<Rows>,
  onFault: (fault: InputFault) => void,
): AsyncGenerator<Rows> {
  for (const input of inputs) {
    const report = (fault: Fault) => onFault({ ...fault, input: input.name })
    try {
      yield* open(input, report)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      report({ code: error.code, reason: error.message })
    }
  }
}

async function inputsOfWord(word: string, forced: FlowFormat | undefined): Promise<Input[]> {
  const info = await stat(word).catch((error: NodeJS.ErrnoException) => error)
  if (!(info instanceof Error)) {
    const isOne = !info.isDirectory() || forced?.open || await isArchive(word)
    return isOne ? [await inputOfPath(word, forced)] : inputsBelow(word, forced)
  }
  if (info.code !== 'ENOENT' || !/[*?[{]/.test(word)) throw info
  const inputs: Input[] = []
  for (const path of (await Array.fromAsync(glob(word))).sort()) inputs.push(await inputOfPath(path, forced))
  if (inputs.length === 0) throw new FlowkitError('ERR_INPUT', `Cannot open "${word}": nothing matches`)
  return inputs
}

/** The flow files below a folder, in name order. */
async function inputsBelow(folder: string, forced: FlowFormat | undefined): Promise<Input[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/(^|[/\\])\./.test(relative(folder, file))) // what begins with a dot is unfinished
  const inputs: Input[] = []
  for (const path of files.sort()) {
    try {
      inputs.push(await inputOfPath(path, forced))
    } catch (error) {
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT' // expired meanwhile
      // else it is in no format that flowkit knows
      if (!isGone && !(error instanceof FlowkitError)) throw error
    }
  }
  if (inputs.length > 0) return inputs
  throw new FlowkitError('ERR_INPUT', `Cannot read "${folder}": the folder holds no flow files`)
}

async function inputOfPath(path: string, forced: FlowFormat | undefined): Promise<Input> {
  const format = forced ?? await formatOfPath(path)
  const { open: openPath, openCounters: countersOfPath } = format
  const stream = () => createReadStream(path, { highWaterMark: CHUNK_SIZE })
  return {
    name: path, format,
    open: (request) => openPath ? openPath(path, request) : openStream(format, stream(), request),
    openCounters: (request) => (
      countersOfPath ? countersOfPath(path, request) : openCounterStream(format, stream(), request)
    ),
  }
}

async function inputOfStream(
  stdin: AsyncIterable<Uint8Array>, forced: FlowFormat | undefined,
): Promise<Input> {
  const name = 'standard input'
  const chunks = stdin[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  let size = 0
  while (size < HEAD_SIZE) {
    const { value, done } = await chunks.next()
    if (done) break
    held.push(value)
    size += value.length
  }
  const format = forced ?? formatOfHead(Buffer.concat(held).subarray(0, HEAD_SIZE), name)
  return {
    name, format,
    open: (request) => openStream(format, resume(held, chunks), request),
    openCounters: (request) => openCounterStream(format, resume(held, chunks), request),
  }
}

async function* resume(
  held: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  yield* held
  for (let step = await rest.next(); !step.done; step = await rest.next()) yield step.value
}

function openStream(format: FlowFormat, source: AsyncIterable<Uint8Array>, request: ReadRequest): FlowReader {
  if (!format.decoder) {
    const why = format.open ? 'it needs a file' : 'it is for output only'
    throw new FlowkitError('ERR_OPTION', `Cannot read format ${format.name} here: ${why}`)
  }
  let reader = readFlows(source, format.decoder(request))
  const { since, until, filter } = request
  if (since !== undefined || until !== undefined) reader = filterFlows(reader, overlaps(since, until))
  return filter ? filterFlows(reader, filter) : reader
}

async function* openCounterStream(
  format: FlowFormat, source: AsyncIterable<Uint8Array>, request: CounterRequest,
): CounterReader {
  if (!format.counterDecoder) {
    const why = format.openCounters ? 'it needs a file' : 'it holds none'
    throw new FlowkitError('ERR_OPTION', `Cannot read counter samples of format ${format.name} here: ${why}`)
  }
  const { since = -Infinity, until = Infinity } = request
  const rows: CounterRow[] = []
  const clear = () => { rows.length = 0 }
  for await (const found of readRows(source, format.counterDecoder(request), rows, clear)) {
    yield found.filter(({ received }) => Number(received) >= since && Number(received) < until)
  }
}

async function formatOfPath(path: string): Promise<FlowFormat> {
  if ((await stat(path)).isDirectory()) return findFormat('archive')
  await using file = await open(path)
  const head = new Uint8Array(HEAD_SIZE)
  const { bytesRead } = await file.read(head, 0, HEAD_SIZE, 0)
  return formatOfHead(head.subarray(0, bytesRead), path)
}

function formatOfHead(head: Uint8Array, name: string): FlowFormat {
  if (head.length === 0) throw new FlowkitError('ERR_INPUT', `Cannot read "${name}": it is empty`)
  let best: FlowFormat | undefined
  let score = MIN_SCORE - 1
  for (const format of FORMATS) {
    const own = format.probe?.(head) ?? 0
    if (own > score) {
      best = format
      score = own
    }
  }
  if (best) return best
  throw new FlowkitError('ERR_UNSUPPORTED', `Cannot tell the format of "${name}": name it with --from-format`)
}
