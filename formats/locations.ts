import { createReadStream } from 'node:fs'
import { access, glob, open, stat } from 'node:fs/promises'
import { getSystemErrorMessage } from 'node:util'
import { isArchive } from '../core/archive/places.ts'
import { ByteSource, readToFailure } from '../core/compress/byte-source.ts'
import { unwrap, wrappingOf, type Wrapping } from '../core/compress/unwrap.ts'
import { filterFlows, tagFlows } from '../core/filter/filter.ts'
import { overlaps } from '../core/filter/window.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { loseSaturated, type Loss } from '../core/flow/loss.ts'
import { readFlows, readRows, type Fault, type FlowReader, type InputFault } from '../core/flow/stream.ts'
import type { CounterReader, CounterRow } from '../core/netflow/sflow/counter-row.ts'
import { chunksOfFile } from './file-chunks.ts'
import { filesBelow } from './files-below.ts'
import type { CounterRequest, FlowFormat, ReadRequest } from './format.ts'
import { FORMATS } from './index.ts'
import { formatOf } from './nfdump-text.ts'
import { spooled } from './spooled.ts'
import { tellFormat } from './tell.ts'

export type { InputFault }

/** Bytes of a file that formats are told by. */
export const HEAD_SIZE: number = 4096
/** Bytes of a file that are read at a time. */
export const CHUNK_SIZE: number = 1 << 20

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

/** What a file is in whose damage begins before its format can be told. */
const UNKNOWN: FlowFormat = { name: 'unknown', summary: 'damaged', extensions: [] }

/**
 * The inputs that words of the command line name: files, folders (an archive, or every flow file below it in
 * name order), globs, `-` for standard input. What is compressed is unpacked, and faults tell offsets in what
 * was unpacked. One of several that is empty, or damaged where it begins, is a fault when it is read.
 *
 * @param formatName the format to take them for, instead of looking at their first bytes
 * @param onNote told in a sentence which files of folders were taken for no flow files
 * @throws FlowkitError or a system error when one cannot be opened or its format cannot be told
 */
export async function findInputs(
  words: readonly string[], formatName: string | undefined, stdin: AsyncIterable<Uint8Array>,
  onNote: (note: string) => void = () => {},
): Promise<Input[]> {
  const forced = formatName === undefined ? undefined : findFormat(formatName)
  const inputs: Input[] = []
  for (const word of words) {
    const isStdin = word === '-'
    try {
      if (isStdin) inputs.push(await inputOfStream('standard input', stdin, forced))
      else inputs.push(...await inputsOfWord(word, forced, onNote))
    } catch (error) {
      if (words.length === 1 || !(error instanceof FlowkitError) || isRefusal(error)) throw error
      inputs.push(brokenInput(isStdin ? 'standard input' : word, error))
    }
  }
  return inputs
}

/** Whether an error is about what was asked for, and not about one input beside which others can be read. */
function isRefusal({ code }: FlowkitError): boolean {
  return code === 'ERR_OPTION' || code === 'ERR_UNSUPPORTED'
}

/**
 * The format called `name`, or that a name like `fmt:%ts %sa` describes.
 *
 * @throws FlowkitError ERR_OPTION listing the formats
 */
export function findFormat(name: string): FlowFormat {
  const format = FORMATS.find((each) => each.name === name) ?? formatOf(name)
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
  const { loss } = request
  const open = (input: Input, report: (fault: Fault) => void) => input.open({ ...request, onFault: report })
  return inTurn(inputs, loss ? (...args) => countSaturated(open(...args), loss) : open, onFault)
}

/** Enter counters that were cut to what a batch holds. */
async function* countSaturated(flows: FlowReader, loss: Loss): AsyncGenerator<FlowBatch> {
  for await (const batch of flows) {
    if (batch.saturated > 0) loseSaturated(loss, batch)
    yield batch
  }
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

async function inputsOfWord(
  word: string, forced: FlowFormat | undefined, onNote: (note: string) => void,
): Promise<Input[]> {
  const info = await stat(word).catch((error: NodeJS.ErrnoException) => error)
  if (!(info instanceof Error)) {
    if (!info.isFile() && !info.isDirectory()) { // a pipe has a name, but can be read only once
      return [await inputOfStream(word, createReadStream(word), forced)]
    }
    const isOne = !info.isDirectory() || forced?.open || await isArchive(word)
    return isOne ? [await inputOfPath(word, forced)] : inputsBelow(word, forced, onNote)
  }
  if (info.code !== 'ENOENT' || !/[*?[{]/.test(word)) throw info
  const paths = (await Array.fromAsync(glob(word))).sort()
  if (paths.length === 0) throw new FlowkitError('ERR_INPUT', `Cannot open "${word}": nothing matches`)
  const inputs: Input[] = []
  for (const path of paths) {
    try {
      if (await isFolder(path)) inputs.push(...await inputsOfWord(path, forced, onNote))
      else inputs.push(...await inputFound(path, forced))
    } catch (error) {
      if (paths.length === 1 || !(error instanceof FlowkitError) || isRefusal(error)) throw error
      inputs.push(brokenInput(path, error))
    }
  }
  return inputs
}

/** The flow files below a folder, in name order. */
async function inputsBelow(
  folder: string, forced: FlowFormat | undefined, onNote: (note: string) => void,
): Promise<Input[]> {
  const inputs: Input[] = []
  const others: string[] = []
  for (const path of await filesBelow(folder)) {
    try {
      inputs.push(...await inputFound(path, forced))
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      if (error.code === 'ERR_UNSUPPORTED') others.push(path) // no flow file, it seems
      else if (error.code !== 'ERR_INPUT') inputs.push(brokenInput(path, error)) // else it is empty
    }
  }
  if (inputs.length === 0) {
    throw new FlowkitError('ERR_INPUT', `Cannot read "${folder}": the folder holds no flow files`)
  }
  if (others.length > 0) {
    const what = others.length === 1 ? '1 file' : `${others.length} files`
    onNote(`${folder}: ${what} left out whose format cannot be told, such as ${others[0]}`)
  }
  return inputs
}

/**
 * The input that a file is which was found, none if it has expired since. One that may not be opened is a
 * fault. Throws as `inputOfPath`, but no system error.
 */
async function inputFound(path: string, forced: FlowFormat | undefined): Promise<Input[]> {
  let why = 'its name is not UTF-8'
  try {
    const input = await unlessGone(path, () => inputOfPath(path, forced))
    if (input) return [passedOverIfGone(path, input)]
    if (!path.includes('\ufffd')) return []
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException
    if (errno === undefined) throw error
    why = getSystemErrorMessage(errno)
  }
  return [brokenInput(path, new FlowkitError('ERR_INPUT', `Cannot open it: ${why}`))]
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then((info) => info.isDirectory(), () => false)
}

/** Do something with a file that was found, which may have expired since: undefined then. */
async function unlessGone<T>(path: string, task: () => Promise<T>): Promise<T | undefined> {
  try {
    return await task()
  } catch (error) {
    if (!await isGone(path)) throw error
    return undefined
  }
}

function isGone(path: string): Promise<boolean> {
  return access(path).then(() => false, ({ code }: NodeJS.ErrnoException) => code === 'ENOENT')
}

/** An input that was found, not named: it has no more once its file is gone, which is no fault. */
function passedOverIfGone(path: string, input: Input): Input {
  async function* rowsOf<Rows>(rows: AsyncIterable<Rows>): AsyncGenerator<Rows> {
    try {
      yield* rows
    } catch (error) {
      if (!await isGone(path)) throw error
    }
  }
  return {
    ...input,
    open: (request) => rowsOf(input.open(request)),
    openCounters: (request) => rowsOf(input.openCounters(request)),
  }
}

/** An input that cannot be opened: a fault like any other beside those that can. */
function brokenInput(name: string, error: FlowkitError): Input {
  function open(): never {
    throw error
  }
  return { name, format: UNKNOWN, open, openCounters: open }
}

/**
 * The input that a file, or a folder which is one input, is.
 *
 * @throws FlowkitError when its format cannot be told; the system error
 */
export async function inputOfPath(path: string, forced: FlowFormat | undefined): Promise<Input> {
  const { format, wrapping } = await tellFile(path, forced)
  const { open: openPath, openCounters: countersOfPath } = format
  const source = () => wrapping
    ? sourceOf(createReadStream(path, { highWaterMark: CHUNK_SIZE }))
    : new ByteSource(chunksOfFile(path, CHUNK_SIZE))
  return {
    name: path, format,
    open: (request) => openPath && !wrapping
      ? openFile(format, path, request)
      : openStream(format, source(), path, request),
    openCounters: (request) => countersOfPath && !wrapping
      ? countersOfPath(path, request)
      : openCounterStream(format, source(), path, request),
  }
}

/**
 * The input that a stream of bytes is, whose format is told from the first of them unless it is `forced`.
 *
 * @param name of it, for messages
 * @throws FlowkitError when the format cannot be told
 */
export async function inputOfStream(
  name: string, stream: AsyncIterable<Uint8Array>, forced: FlowFormat | undefined,
): Promise<Input> {
  const source = sourceOf(stream)
  const format = forced ?? await tellSource(source, name)
  return {
    name, format,
    open: (request) => openStream(format, source, name, request),
    openCounters: (request) => openCounterStream(format, source, name, request),
  }
}

function sourceOf(stream: AsyncIterable<Uint8Array>): ByteSource {
  return new ByteSource(unwrap(stream))
}

function openFile(format: FlowFormat, path: string, request: ReadRequest): FlowReader {
  const flows = format.open!(path, request)
  return request.filter?.tags ? tagFlows(flows, request.filter) : flows
}

function openStream(
  format: FlowFormat, source: ByteSource, name: string, request: ReadRequest,
): FlowReader {
  const decoder = format.decoder?.(request)
  if (!decoder) {
    if (format.open) {
      return spooled(unbroken(source), name, request, (path, asked) => openFile(format, path, asked))
    }
    throw new FlowkitError('ERR_OPTION', `Cannot read format ${format.name} here: it is for output only`)
  }
  let reader: FlowReader = readToFailure(source, () => readFlows(source.rest(), decoder))
  const { since, until, filter } = request
  if (since !== undefined || until !== undefined) reader = filterFlows(reader, overlaps(since, until))
  return filter ? filterFlows(reader, filter) : reader
}

/** All that is left of a source; throws what it breaks off with. */
function unbroken(source: ByteSource): AsyncGenerator<Uint8Array> {
  return readToFailure(source, () => source.rest())
}

async function* openCounterStream(
  format: FlowFormat, source: ByteSource, name: string, request: CounterRequest,
): CounterReader {
  const decoder = format.counterDecoder?.(request)
  if (!decoder) {
    const { openCounters } = format
    if (openCounters) return yield* spooled(unbroken(source), name, request, openCounters)
    throw new FlowkitError('ERR_OPTION', `Cannot read counter samples of ${format.name}: it holds none`)
  }
  const { since = -Infinity, until = Infinity } = request
  const rows: CounterRow[] = []
  const clear = () => { rows.length = 0 }
  const reader = readToFailure(source, () => readRows(source.rest(), decoder, rows, clear))
  for await (const found of reader) {
    yield found.filter(({ received }) => Number(received) >= since && Number(received) < until)
  }
}

/** The format of a file, and what it is compressed with. Throws as `inputOfPath`. */
export async function tellFile(
  path: string, forced: FlowFormat | undefined,
): Promise<{ format: FlowFormat, wrapping?: Wrapping | undefined }> {
  if ((await stat(path)).isDirectory()) return { format: forced ?? findFormat('archive') }
  const head = await headOfFile(path)
  const wrapping = wrappingOf(head)
  if (forced) return { format: forced, wrapping }
  if (!wrapping) return { format: tellFormat(head, path, FORMATS) }
  const source = sourceOf(createReadStream(path))
  try {
    return { format: await tellSource(source, path), wrapping }
  } finally {
    await source.close()
  }
}

/**
 * The bytes of a file or of a pipe that has a name, unpacked if they are compressed. A chunk is valid as long
 * as one of `chunksOfFile`.
 *
 * @throws the system error; FlowkitError as `unwrap`
 */
export async function* bytesOfPath(path: string): AsyncGenerator<Uint8Array> {
  const isPlain = (await stat(path)).isFile() && wrappingOf(await headOfFile(path)) === undefined
  yield* isPlain ? chunksOfFile(path, CHUNK_SIZE) : unwrap(createReadStream(path, { highWaterMark: CHUNK_SIZE }))
}

/** The first HEAD_SIZE bytes of a file, or all of a smaller one. @throws the system error */
async function headOfFile(path: string): Promise<Uint8Array> {
  await using file = await open(path)
  const head = new Uint8Array(HEAD_SIZE)
  const { bytesRead } = await file.read(head, 0, HEAD_SIZE, 0)
  return head.subarray(0, bytesRead)
}

/** The format of what comes, which stays there to be read. */
async function tellSource(source: ByteSource, name: string): Promise<FlowFormat> {
  await source.fill(HEAD_SIZE)
  try {
    return tellFormat(source.bytes.subarray(0, HEAD_SIZE), name, FORMATS)
  } catch (error) {
    throw source.failure ?? error // there may be too little to tell it by
  }
}
