import { existsSync, statSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { createGzip, createZstdCompress, type Gzip, type ZstdCompress } from 'node:zlib'
import { FlowkitError } from '../core/flow/errors.ts'
import type { FlowEncoder, FlowWriter } from '../core/flow/stream.ts'
import { createOutputFile, refuseExisting } from '../core/output-file.ts'
import { archive } from './archive.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { FORMATS } from './index.ts'
import { findFormat } from './locations.ts'
import { splitWriter } from './split.ts'

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
/** Compressions that any stream of bytes can have, by the extension of such files. */
const WRAPPED: Readonly<Record<string, string>> = { '.gz': 'gzip', '.zst': 'zstd' }

/**
 * Open what flows are written to: a file, whose format its extension tells unless one is named; a folder,
 * which is an archive or holds a file for each few minutes; `-` for standard output.
 *
 * @throws FlowkitError ERR_OPTION about what cannot be written so; the system error if there is no place
 */
export async function openOutput(place: string, request: OutputRequest): Promise<Output> {
  const format = formatOf(place, request.format)
  const compression = compressionOf(place, format, request.compression)
  const writing = { ...request, ...compression !== undefined && { compression } }
  const open = (path: string) => openFile(path, format, writing)
  if (place === '-') return { format, writer: streamWriter(encoderOf(format, writing), printer(writing)) }
  if (format === archive) return { format, writer: await openArchive(place, request) }
  if (isFolder(place)) {
    await mkdir(place, { recursive: true })
    const nameOf = format.fileName ?? ((start) => nameByTime(start) + (format.extensions[0] ?? ''))
    const writer = splitWriter({
      length: request.split ?? DEFAULT_SPLIT, nameOf,
      open: (name) => open(join(place, name)), remove: (name) => rm(join(place, name), { force: true }),
    })
    return { format, writer }
  }
  if (request.split !== undefined) {
    throw new FlowkitError('ERR_OPTION', `Cannot split what goes into "${place}": expected a folder`)
  }
  return { format, writer: await open(place) }
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
  throw new FlowkitError('ERR_OPTION', `Cannot tell the format of "${place}": name it with --to-format`)
}

/** What is a folder, or has no extension, so that it is to become one. */
function isFolder(place: string): boolean {
  if (existsSync(place)) return statSync(place).isDirectory()
  return /[/\\]$/.test(place) || extname(place) === ''
}

function nameByTime(start: number): string {
  return new Date(start / 1000).toISOString().replaceAll(/[-:T]/g, '').slice(0, 12)
}

async function openArchive(place: string, request: OutputRequest): Promise<FlowWriter> {
  if (request.split !== undefined) {
    throw new FlowkitError('ERR_OPTION', 'Cannot split an archive: it has a file for each hour')
  }
  return archive.create!(place, request)
}

/** @throws FlowkitError ERR_OPTION about a compression that cannot be had */
function compressionOf(place: string, format: FlowFormat, wanted: string | undefined): string | undefined {
  const found = wanted ?? (format.encoder && WRAPPED[extname(place)])
  const known = format.compressions ?? (format.encoder ? ['none', ...Object.values(WRAPPED)] : [])
  if (found === undefined || known.includes(found.replace(/:\d+$/, ''))) return found
  const choice = known.length === 0 ? 'it has one of its own' : `choose one of ${known.join(', ')}`
  throw new FlowkitError('ERR_OPTION', `Cannot use compression "${found}" for ${format.name}: ${choice}`)
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
  const stream = name === 'gzip' ? createGzip(level ? { level: Number(level) } : {}) : createZstdCompress()
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
