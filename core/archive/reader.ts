import { glob, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckSettings } from '../duck/duck.ts'
import { readParquet, type Sort } from '../duck/read.ts'
import { faultOf, type Window } from '../duck/survey.ts'
import type { Filter } from '../filter/filter.ts'
import { FlowkitError } from '../flow/errors.ts'
import type { Fault, FlowReader } from '../flow/stream.ts'
import { parseSpan } from './span.ts'

/** What is wanted of an archive. */
export interface ArchiveRequest {
  /** Ids of the fields wanted; absent: all but the exporter's clock. */
  readonly fields?: readonly number[]
  readonly extras?: boolean
  /** Flows that overlap [since, until), µs since the epoch. */
  readonly since?: number
  readonly until?: number
  readonly filter?: Filter
  readonly sort?: Sort
  readonly limit?: number
  /** Threads and memory. */
  readonly settings?: DuckSettings
  /** Told of each file that cannot be read; the others are. */
  onFault(fault: Fault): void
}

/**
 * Read flows from an archive, or from Parquet files: a path, or several paths and globs.
 *
 * Rows come in the order of the files' names, and in a file as they were written, unless sorted. Only whole
 * files are seen: writers give them their names when they are.
 *
 * @throws FlowkitError or a system error where a path leads nowhere
 */
export async function* openArchive(paths: string | readonly string[], request: ArchiveRequest): FlowReader {
  const { onFault, ...rest } = request
  const files = await archiveFiles(paths, request)
  yield* readParquet(files, { ...rest, onBad: (bad) => onFault(faultOf(bad)) })
}

/**
 * The Parquet files that paths lead to: of an archive those below `flows`, of another folder all below it.
 * Files of folders whose names tell that they hold no flows of the window are left out.
 *
 * @throws FlowkitError ERR_INPUT for a glob that nothing matches, the system error for a missing path
 */
export async function archiveFiles(
  paths: string | readonly string[], window: Window = {},
): Promise<string[]> {
  const found: string[][] = []
  for (const path of typeof paths === 'string' ? [paths] : paths) {
    const info = await stat(path).catch((error: NodeJS.ErrnoException) => error)
    if (info instanceof Error) {
      if (info.code !== 'ENOENT' || !/[*?[{]/.test(path)) throw info
      found.push((await Array.fromAsync(glob(path))).sort())
      if (found.at(-1)?.length === 0) {
        throw new FlowkitError('ERR_INPUT', `Cannot open "${path}": nothing matches`)
      }
    } else found.push(info.isDirectory() ? await filesBelow(path, window) : [path])
  }
  return found.flat()
}

async function filesBelow(
  directory: string, { since = -Infinity, until = Infinity }: Window,
): Promise<string[]> {
  const flows = join(directory, 'flows')
  const isArchive = await stat(flows).then((info) => info.isDirectory(), () => false)
  const files: string[] = []
  const folders = [isArchive ? flows : directory]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [] // expired meanwhile
      throw error
    })
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue
      if (entry.isDirectory()) folders.push(join(folder, entry.name))
      if (entry.isDirectory() || !entry.name.endsWith('.parquet')) continue
      const span = parseSpan(entry.name)
      if (span === undefined || (span.last > since && span.first < until)) files.push(join(folder, entry.name))
    }
  }
  return files.sort()
}
