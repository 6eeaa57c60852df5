import { existsSync, statSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { constants, createGzip, createZstdCompress, type Gzip, type ZstdCompress } from 'node:zlib'
import { newSegment } from '../core/archive/names.ts'
import { removeSegment } from '../core/archive/segments.ts'
import { openArchiveWriter } from '../core/archive/writer.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { FIELDS } from '../core/flow/fields.ts'
import type { FlowEncoder, FlowWriter } from '../core/flow/stream.ts'
import { createOutputFile, refuseExisting } from '../core/output-file.ts'
import { archive } from './archive.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { FORMATS } from './index.ts'
import { findFormat } from './locations.ts'
import { splitWriter, type SplitWriter } from './split.ts'

/** What a command writes to, by the words of its command line. */
export interface OutputRequest extends WriteRequest {
  /** The name of the format, where the place does not tell it. */
  readonly format?: string
  /** Overwrite what is there. */
  readonly force: boolean
  /** µs of flows that go into each file of a folder. */
  readonly split?: number
  /** Takes what goes to standard output. */
  print(bytes: Uint8Array): Promise<void>
}

/** An opened output. */
export interface Output {
  readonly format: FlowFormat
  readonly writer: FlowWriter
}

/** µs of flows in each file of a folder, as nfcapd and flow-capture have it. */
const DEFAULT_SPLIT = 300e6
/** ms after which an archive has another file, as with `collect`, and what is appended is made durable. */
const ARCHIVE_ROTATE = 60_000
const LOG_ROTATE = 1000
/** Compressions that any stream of bytes can have, by the extension of such files. */
const WRAPPED: Readonly<Record<string, string>> = { '.gz': 'gzip', '.zst': 'zstd' }
/** What nfcapd and flow-capture call files: these are told by the whole name. */
const ROTATED: readonly (readonly [name: RegExp, format: string])[] = [
  [/^nfcapd\.\d{12}(\d\d)?$/, 'nfdump'],
  [/^ft-v\d\d\.\d{4}-\d\d-\d\d\.\d{6}[+-]\d{4}$/, 'flow-tools'],
]
/** Least and highest level of compressions that have some. */
const LEVELS: Readonly<Record<string, readonly [number, number]>> = {
  gzip: [0, 9], zlib: [0, 9], zstd: [1, 22],
}

/**
 * Open what flows are written to: a file, whose format its extension tells unless one is named; a folder,
 * which is an archive or holds a file for each few minutes; `-` for standard output.
 *
 * @throws FlowkitError ERR_OPTION about what cannot be written so; the system error if there is no place
 */
export async function openOutput(place: string, request: OutputRequest): Promise<Output> {
  const format = formatOf(place, request.format)
  refuseMap(format, request)
  const compression = compressionOf(place, format, request.compression)
  const writing = { ...request, ...compression !== undefined && { compression } }
  if (place === '-') return { format, writer: streamWriter(encoderOf(format, writing), printer(writing)) }
  if (format === archive) return { format, writer: await openArchive(place, request) }
  if (isFolder(place)) return { format, writer: await openFolder(place, format, writing, () => false) }
  if (request.split !== undefined) {
    throw new FlowkitError('ERR_OPTION', `Cannot split what goes into "${place}": expected a folder`)
  }
  return { format, writer: await openFile(place, format, writing) }
}

/** @throws FlowkitError ERR_OPTION where the names that fields are to have cannot be theirs */
function refuseMap({ name: format, isNamed = false }: FlowFormat, { map }: OutputRequest): void {
  if (!map) return
  const taken = FIELDS.find(({ name }) => !map.has(name) && [...map.values()].includes(name))
  if (isNamed && !taken) return
  const why = taken ? `${taken.name} is another field's name` : 'names of its fields cannot be chosen'
  throw new FlowkitError('ERR_OPTION', `Cannot use --map for ${format}: ${why}`)
}

/** What is written to for as long as inputs are followed. */
export interface LastingOutput extends Output {
  /** ms after which it is time to commit. */
  readonly rotate: number
  /** Names of what is visible of it once `commit` has begun. */
  pending(): string[]
  /** Make what was written so far durable and visible, and go on. */
  commit(): Promise<void>
}

/**
 * Open what flows are written to while they come: an archive, a folder, a log that is appended to, or `-`.
 * Files that are there already are left alone.
 *
 * @param rotate ms after which it is time to commit; unless told, what is usual for the place
 * @throws FlowkitError ERR_OPTION about all else; the system error if there is no place
 */
export async function openLastingOutput(
  place: string, request: OutputRequest, rotate?: number,
): Promise<LastingOutput> {
  const format = formatOf(place, request.format)
  refuseMap(format, request)
  if (format === archive && request.split === undefined) {
    return openLastingArchive(place, request, rotate ?? ARCHIVE_ROTATE)
  }
  if (place !== '-' && format !== archive && isFolder(place)) {
    const compression = compressionOf(place, format, request.compression)
    const split = request.split ?? (rotate === undefined ? DEFAULT_SPLIT : rotate * 1000)
    const writing = { ...request, split, ...compression !== undefined && { compression } }
    const writer = await openFolder(place, format, writing, existsSync)
    return { format, writer, rotate: rotate ?? split / 1000, pending: writer.names, commit: writer.rotate }
  }
  if (place !== '-' && format !== archive && !format.appends) {
    const wanted = 'expected an archive, a folder, a log of flowd or -'
    throw new FlowkitError('ERR_OPTION', `Cannot write to "${place}" while following: ${wanted}`)
  }
  const output = await openOutput(place, request)
  const commit = async (): Promise<void> => output.writer.sync?.()
  return { ...output, rotate: rotate ?? LOG_ROTATE, pending: () => [], commit }
}

/** Remove what a lasting output has left of what was `pending` when its process ended. */
export async function removePending(
  place: string, { format: name }: Pick<OutputRequest, 'format'>, pending: readonly string[],
): Promise<void> {
  const isArchive = formatOf(place, name) === archive
  for (const each of pending) {
    if (isArchive) await removeSegment(place, each)
    else await rm(join(place, each), { force: true })
  }
}

async function openLastingArchive(
  place: string, { fields, extras }: WriteRequest, rotate: number,
): Promise<LastingOutput> {
  let segment = newSegment(Date.now())
  const writer = await openArchiveWriter(place, {
    segment, ...fields && { fields }, ...extras !== undefined && { extras },
  })
  return {
    format: archive, writer, rotate, pending: () => [segment],
    async commit() {
      segment = newSegment(Date.now())
      await writer.rotate({ next: segment })
    },
  }
}

/** A folder of files for a time each. @param isTaken whether the file of a path is to be left alone */
async function openFolder(
  place: string, format: FlowFormat, request: OutputRequest, isTaken: (path: string) => boolean,
): Promise<SplitWriter> {
  await mkdir(place, { recursive: true })
  const length = request.split ?? DEFAULT_SPLIT
  const hasSeconds = length % 60e6 !== 0
  const nameOf = (start: number): string => format.fileNames?.nameOf(start, hasSeconds)
    ?? nameByTime(start, hasSeconds) + (format.extensions[0] ?? '')
  return splitWriter({
    length, nameOf, isTaken: (name) => isTaken(join(place, name)),
    open: (name) => openFile(join(place, name), format, request),
    remove: (name) => rm(join(place, name), { force: true }),
  })
}

/** Whether something can be written in a format. */
export function isWritable({ encoder, create }: FlowFormat): boolean {
  return encoder !== undefined || create !== undefined
}

function formatOf(place: string, name: string | undefined): FlowFormat {
  if (name !== undefined) {
    const format = findFormat(name)
    if (isWritable(format)) return format
    throw new FlowkitError('ERR_OPTION', `Cannot write format ${name}: it can only be read`)
  }
  if (/^[a-z][\w+.-]*:\/\//i.test(place)) {
    throw new FlowkitError('ERR_OPTION', `Cannot write to "${place}": expected a file, a folder or -`)
  }
  if (place === '-') return findFormat('json')
  if (isFolder(place)) return archive
  const plain = extname(place) in WRAPPED ? place.slice(0, -extname(place).length) : place
  const extension = extname(plain)
  const format = FORMATS.find((each) => isWritable(each) && each.extensions.includes(extension))
  if (format) return format
  const [, named] = ROTATED.find(([pattern]) => pattern.test(basename(place))) ?? []
  if (named !== undefined) return findFormat(named)
  throw new FlowkitError('ERR_OPTION', `Cannot tell the format of "${place}" by its name: see flowkit formats`)
}

/** What is a folder, or has no extension, so that it is to become one. */
function isFolder(place: string): boolean {
  if (existsSync(place)) return statSync(place).isDirectory()
  return /[/\\]$/.test(place) || extname(place) === ''
}

function nameByTime(start: number, hasSeconds: boolean): string {
  return new Date(start / 1000).toISOString().replaceAll(/[-:T]/g, '').slice(0, hasSeconds ? 14 : 12)
}

async function openArchive(place: string, request: OutputRequest): Promise<FlowWriter> {
  if (request.split !== undefined) {
    throw new FlowkitError('ERR_OPTION', 'Cannot split an archive: it has a file for each hour')
  }
  return archive.create!(place, request)
}

function compressionOf(place: string, format: FlowFormat, wanted: string | undefined): string | undefined {
  const found = wanted ?? (format.encoder && WRAPPED[extname(place)])
  if (found !== undefined) checkCompression(format, found)
  return found
}

/** Refuse a compression that a format does not have. @throws FlowkitError ERR_OPTION */
export function checkCompression(format: FlowFormat, compression: string): void {
  const known = format.compressions ?? (format.encoder ? ['none', ...Object.values(WRAPPED)] : [])
  const [, name = '', level] = /^([^:]*)(?::(\d+))?$/.exec(compression) ?? []
  const [least, most] = LEVELS[name] ?? [1, 0]
  const hasLevel = level === undefined || (Number(level) >= least && Number(level) <= most)
  if (known.includes(name) && hasLevel) return
  const choice = known.length === 0 ? 'it has one of its own'
    : known.includes(name) ? most === 0 ? 'it has no levels' : `its levels are ${least} to ${most}`
      : `choose one of ${known.join(', ')}`
  throw new FlowkitError('ERR_OPTION', `Cannot use compression "${compression}" for ${format.name}: ${choice}`)
}

/** What is added to the extension of a file with a compression that its format does not have of its own. */
export function compressedExtension({ compressions }: FlowFormat, compression: string): string {
  const name = compressions ? '' : compression.split(':')[0]
  return Object.keys(WRAPPED).find((extension) => WRAPPED[extension] === name) ?? ''
}

async function openFile(path: string, format: FlowFormat, request: OutputRequest): Promise<FlowWriter> {
  if (!request.force && !format.appends) await refuseExisting(path)
  if (format.create) return format.create(path, request)
  const encoder = encoderOf(format, request)
  return streamWriter(encoder, compressed(format, request.compression, await createOutputFile(path)))
}

function encoderOf(format: FlowFormat, request: WriteRequest): FlowEncoder {
  if (format.encoder) return format.encoder(request)
  const reason = `Cannot write format ${format.name} to standard output: it needs a file`
  throw new FlowkitError('ERR_OPTION', reason)
}

/** Where bytes go. */
type Bytes = Pick<FlowWriter, 'close' | 'abort'> & { write(bytes: Uint8Array): Promise<void> }

function streamWriter(encoder: FlowEncoder, bytes: Bytes): FlowWriter {
  return {
    write: (batch) => bytes.write(encoder.encode(batch)),
    async close() {
      try {
        if (encoder.finish) await bytes.write(encoder.finish())
      } catch (error) {
        await bytes.abort()
        throw error
      }
      await bytes.close()
    },
    abort: () => bytes.abort(),
    ...encoder.loss && { loss: () => encoder.loss!() },
  }
}

function printer({ print }: OutputRequest): Bytes {
  return { write: print, async close() {}, async abort() {} }
}

/** `target`, with what is written compressed on its way, unless the format does so itself. */
function compressed({ compressions }: FlowFormat, compression: string | undefined, target: Bytes): Bytes {
  if (compressions || compression === undefined || compression === 'none') return target
  const [name, level] = compression.split(':')
  const stream = name === 'gzip' ? createGzip(level ? { level: Number(level) } : {})
    : createZstdCompress(level ? { params: { [constants.ZSTD_c_compressionLevel]: Number(level) } } : {})
  const pump = pumpInto(stream, target)
  return {
    write: (bytes) => Promise.race([pump.failed, new Promise<void>((resolve, reject) => {
      // the encoder uses its bytes again
      stream.write(Buffer.from(bytes), (error) => error ? reject(error) : resolve())
    })]),
    async close() {
      stream.end()
      await pump.done
      await target.close()
    },
    async abort() {
      stream.destroy()
      await pump.done.catch(() => {})
      await target.abort()
    },
  }
}

/** Write what a stream gives into a target: when all is written, and when it never will be. */
function pumpInto(
  stream: Gzip | ZstdCompress, target: Bytes,
): { readonly done: Promise<void>, readonly failed: Promise<never> } {
  const done = (async () => {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) await target.write(chunk)
  })()
  const failed = new Promise<never>((_, reject) => { done.catch(reject) })
  failed.catch(() => {}) // whoever writes next is told
  return { done, failed }
}
