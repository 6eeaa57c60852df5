/** Where `flowkit collect` writes to: `--to`, `--to-format`, `--max-age`, `--max-size`. */
import { statSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import { ARCHIVE_LAYOUT, openExpiry, type Limits } from '../core/archive/expire.ts'
import { defaultArchive } from '../core/archive/places.ts'
import { fileSink } from '../core/collector/file-sink.ts'
import { archiveSink, expiringSink, type Sink } from '../core/collector/sink.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { FORMATS } from '../formats/index.ts'
import { UsageError } from './errors.ts'

/** A folder to write to. */
export interface Place {
  readonly path: string
  /** One of SINK_FORMATS. */
  readonly format: string
}

const ARCHIVE = 'archive'

/** What can be written to a folder: the archive, or files of a format that tools read. */
export const SINK_FORMATS: readonly string[] = [
  ARCHIVE, ...FORMATS.filter(({ name, encoder }) => encoder && name !== 'table').map(({ name }) => name),
]

/**
 * The places of `--to`, each with its format: a single `--to-format` is for all.
 *
 * @throws UsageError
 */
export function placesOf(
  { to, toFormat = [] }: { readonly to?: readonly string[], readonly toFormat?: readonly string[] },
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
  return paths.map((path, i) => {
    if (seen.has(resolve(path))) throw new UsageError(`Cannot use option --to: "${path}" is named twice`)
    seen.add(resolve(path))
    const format = toFormat[i] ?? toFormat[0]
    if (format === undefined && isFileName(path)) {
      throw new UsageError(`Cannot use option --to: expected a folder, found "${path}"; name the format of `
        + 'its files with --to-format')
    }
    return { path, format: format ?? ARCHIVE }
  })
}

/** Whether it looks like a file of some format: a folder of that name would surprise. */
function isFileName(path: string): boolean {
  const extension = extname(path).toLowerCase()
  return FORMATS.some(({ extensions }) => extensions.includes(extension))
    && !statSync(path, { throwIfNoEntry: false })?.isDirectory()
}

/** A place in words: `/srv/flows`, `/srv/json (json)`. */
export function describePlace({ path, format }: Place): string {
  return format === ARCHIVE ? path : `${path} (${format})`
}

/** The folder for the spool unless one is named: in the first archive, where there is one. */
export function defaultState(places: readonly Place[]): string {
  const archive = places.find(({ format }) => format === ARCHIVE)
  // hidden from those who read all files below
  return archive ? join(archive.path, 'state') : join(places[0].path, '.state')
}

/** What a sink tells, and asks. */
export interface SinkEvents {
  /** What may stay: asked whenever there are new files. */
  limits(): Limits
  /** Told of files that were removed since they are beyond the limits. */
  onExpired(paths: readonly string[]): void
  onError(error: unknown): void
}

/** The sink of a place, which lets go of what is beyond the limits. */
export function openSink(place: Place, events: SinkEvents): Sink {
  return expiringSink(sinkOf(place), expiryOf(place, events))
}

/** The sink of a place, which keeps everything. */
export function sinkOf({ path, format }: Place): Sink {
  if (format === ARCHIVE) return archiveSink(path)
  const { encoder } = FORMATS.find(({ name }) => name === format)!
  const newEncoder = (): FlowEncoder => encoder!({})
  return fileSink(path, { extension: extensionOf(format), encoder: newEncoder })
}

/** Lets go of what is beyond the limits in a place. */
export function expiryOf(
  { path, format }: Place, { limits, onExpired, onError }: SinkEvents,
): () => Promise<void> {
  const layout = format === ARCHIVE ? ARCHIVE_LAYOUT : { tables: ['.'], extension: extensionOf(format) }
  const expire = openExpiry(path, layout)
  return () => expire(limits(), Date.now() * 1000).then(onExpired, onError)
}

function extensionOf(format: string): string {
  const { extensions } = FORMATS.find(({ name }) => name === format)!
  return extensions[0] ?? `.${format}`
}
