/** Folders that flows go to, in files that begin anew by the clock: `--to` and what belongs to it. */
import { statSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import {
  Type, type TArray, type TLiteral, type TOptional, type TString, type TTransform, type TUnion,
} from '@sinclair/typebox'
import { ARCHIVE_LAYOUT, openExpiry, type Limits } from '../core/archive/expire.ts'
import { openNamedExpiry } from '../core/archive/expire-named.ts'
import type { FileNames } from '../core/archive/file-names.ts'
import { defaultArchive } from '../core/archive/places.ts'
import { fileSink } from '../core/sinks/file-sink.ts'
import { archiveSink, expiringSink, type Sink } from '../core/sinks/sink.ts'
import type { FlowFormat } from '../formats/format.ts'
import { FORMATS } from '../formats/index.ts'
import { checkCompression, compressedExtension, isWritable, openOutput } from '../formats/outputs.ts'
import { choice, duration, size } from './command.ts'
import { UsageError } from './errors.ts'

const ARCHIVE = 'archive'

/** What can be written to a folder: the archive, or files of a format that tools read. */
const SINK_FORMATS: readonly string[] = FORMATS
  .filter((format) => isWritable(format) && format.name !== 'table').map(({ name }) => name)

/** Options of every command that writes to folders as long as it runs. */
export const SINK_OPTIONS: {
  readonly to: TOptional<TArray<TString>>
  readonly toFormat: TOptional<TArray<TUnion<TLiteral<string>[]>>>
  readonly compression: TOptional<TString>
  readonly rotate: TTransform<TString, number>
  readonly onRotate: TOptional<TString>
  readonly maxAge: TOptional<TTransform<TString, number>>
  readonly maxSize: TOptional<TTransform<TString, number>>
} = {
  to: Type.Optional(Type.Array(Type.String({ title: 'FOLDER' }), {
    description: 'Folders to write to, archives unless --to-format says otherwise (default: '
      + '$FLOWKIT_ARCHIVE, else for root /var/lib/flowkit, else ~/.local/share/flowkit)',
  })),
  toFormat: Type.Optional(Type.Array(choice(SINK_FORMATS, { title: 'NAME', description: 'A format' }), {
    description: 'What to write: one format for all folders, or one for each in their order. All but the '
      + 'archive are without counter samples',
  })),
  compression: Type.Optional(Type.String({
    title: 'NAME[:LEVEL]',
    description: 'How files are compressed that are not of an archive: none, gzip or zstd, or what the '
      + 'format has of its own, as lz4 of nfdump',
  })),
  rotate: duration({ default: '1m', description: 'Begin new files this often, 1s to 1d' }),
  onRotate: Type.Optional(Type.String({
    title: 'CMD', description: 'Run this for each new file, whose name is in $FLOWKIT_FILE',
  })),
  maxAge: Type.Optional(duration({ description: 'Remove files of flows received longer ago' })),
  maxSize: Type.Optional(size({
    description: 'Remove the oldest files of a folder that are more than this together',
  })),
}

/** The values of SINK_OPTIONS. */
export interface SinkOptions extends Retention {
  readonly to?: readonly string[]
  readonly toFormat?: readonly string[]
  readonly compression?: string
  readonly onRotate?: string
}

/** How long files take flows, and what may stay of them. */
export interface Retention extends Limits {
  /** Milliseconds. */
  readonly rotate: number
}

/** A folder to write to. */
export interface Place {
  readonly path: string
  /** The name of a format that can be written. */
  readonly format: string
  /** As `WriteRequest.compression`; absent: what the format does unless told. */
  readonly compression?: string
  /** What its files are called; absent: as the format has it. */
  readonly names?: FileNames
}

/** How often files may begin, in ms. */
const MIN_ROTATE = 1000
const MAX_ROTATE = 86_400_000

/** Refuse what cannot be. @throws UsageError */
export function checkRetention({ rotate, maxAge = Infinity }: Retention): void {
  if (rotate < MIN_ROTATE || rotate > MAX_ROTATE) {
    throw new UsageError(`Cannot use option --rotate: expected 1s to 1d, found ${rotate / 1000}s`)
  }
  if (maxAge < rotate) {
    const found = `expected at least that of --rotate, ${rotate / 1000}s, found ${maxAge / 1000}s`
    throw new UsageError(`Cannot use option --max-age: ${found}`)
  }
}

/**
 * The places of `--to`, each with its format: a single `--to-format` is for all, and `--compression` for all
 * but archives.
 *
 * @throws UsageError; FlowkitError ERR_OPTION about a compression that a format does not have
 */
export function placesOf(
  { to, toFormat = [], compression }: Pick<SinkOptions, 'to' | 'toFormat' | 'compression'>,
  env: NodeJS.ProcessEnv,
): Place[] {
  if (!to && toFormat.some((format) => format !== ARCHIVE)) {
    throw new UsageError(`Cannot use option --to-format: ${toFormat[0]} needs a folder, name it with --to`)
  }
  const paths = to ?? [defaultArchive(env)]
  if (toFormat.length > 1 && toFormat.length !== paths.length) {
    const wanted = paths.length === 1 ? '1' : `1, or ${paths.length} as of --to`
    throw new UsageError(`Cannot use option --to-format: expected ${wanted}, found ${toFormat.length}`)
  }
  const seen = new Set<string>()
  const places = paths.map((path, i): Place => {
    if (seen.has(resolve(path))) throw new UsageError(`Cannot use option --to: "${path}" is named twice`)
    seen.add(resolve(path))
    const format = toFormat[i] ?? toFormat[0]
    if (format === undefined && isFileName(path)) {
      throw new UsageError(`Cannot use option --to: expected a folder, found "${path}"; name the format of `
        + 'its files with --to-format')
    }
    return {
      path, format: format ?? ARCHIVE,
      ...compression !== undefined && (format ?? ARCHIVE) !== ARCHIVE && { compression },
    }
  })
  if (compression === undefined) return places
  const files = places.filter(({ format }) => format !== ARCHIVE)
  if (files.length === 0) {
    throw new UsageError('Cannot use option --compression: the archive has one of its own')
  }
  for (const { format } of files) checkCompression(formatOf(format), compression)
  return places
}

/** Whether it looks like a file of some format: a folder of that name would surprise. */
export function isFileName(path: string): boolean {
  const extension = extname(path).toLowerCase()
  return FORMATS.some(({ extensions }) => extensions.includes(extension))
    && !statSync(path, { throwIfNoEntry: false })?.isDirectory()
}

/** A place in words: `/srv/flows`, `/srv/nfcapd (nfdump, lz4)`. */
export function describePlace({ path, format, compression }: Place): string {
  if (format === ARCHIVE) return path
  return compression === undefined ? `${path} (${format})` : `${path} (${format}, ${compression})`
}

/**
 * The folder for the spool unless one is named: in the first archive; where there is none hidden in the first
 * folder, or beside it where those who read its files would read hidden ones.
 */
export function defaultState(places: readonly Place[]): string {
  const archive = places.find(({ format }) => format === ARCHIVE)
  if (archive) return join(archive.path, 'state')
  const [{ path, format }] = places
  return formatOf(format).fileNames ? `${resolve(path)}.state` : join(path, '.state')
}

/** What a sink tells, and asks. */
export interface SinkEvents {
  /** Asked whenever there are new files. */
  retention(): Retention
  /** Told of files that were removed since they are beyond the limits. */
  onExpired(paths: readonly string[]): void
  onError(error: unknown): void
}

/** The sink of a place, which lets go of what is beyond the limits. */
export function openSink(place: Place, events: SinkEvents): Sink {
  return expiringSink(sinkOf(place, () => events.retention().rotate), expiryOf(place, events))
}

/** The sink of a place, which keeps everything. @param interval as of `fileSink` */
export function sinkOf(place: Place, interval: () => number): Sink {
  const { path, format, compression } = place
  if (format === ARCHIVE) return archiveSink(path)
  const names = namesOf(place)
  return fileSink(path, {
    extension: extensionOf(place),
    ...names && { names },
    async create(file, segment) {
      const { writer } = await openOutput(file, {
        format, ident: segment, ...compression !== undefined && { compression }, force: true,
        async print() {},
      })
      return writer
    },
  }, interval)
}

/** Lets go of what is beyond the limits in a place. */
export function expiryOf(place: Place, { retention, onExpired, onError }: SinkEvents): () => Promise<void> {
  const { path, format } = place
  const names = namesOf(place)
  const expire = names ? openNamedExpiry(path, names)
    : openExpiry(path, format === ARCHIVE ? ARCHIVE_LAYOUT : { tables: ['.'], extension: extensionOf(place) })
  return () => expire(retention(), Date.now() * 1000).then(onExpired, onError)
}

function namesOf({ format, names }: Place): FileNames | undefined {
  return names ?? formatOf(format).fileNames
}

function extensionOf({ format, compression }: Place): string {
  const found = formatOf(format)
  const extension = found.extensions[0] ?? `.${format}`
  return compression === undefined ? extension : extension + compressedExtension(found, compression)
}

function formatOf(name: string): FlowFormat {
  return FORMATS.find((format) => format.name === name)!
}
