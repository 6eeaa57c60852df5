/** Which files there are to follow. */
import { glob, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { archiveFiles } from '../archive/reader.ts'
import type { Window } from '../duck/survey.ts'
import { continues, fileId, type Place } from './place.ts'

/** A file that is there. */
export interface Seen {
  readonly path: string
  readonly id: string
  readonly size: number
  /** When it was last changed, ms since the epoch. */
  readonly changed: number
}

/** The files below a folder, in the order of their names; what begins with a dot is unfinished. */
export async function filesBelow(folder: string): Promise<Seen[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(gone)
  const paths = (entries ?? []).filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/(^|[/\\])\./.test(relative(folder, path)))
  return seenOf(paths.sort())
}

/** The files that a glob matches, in the order of their names. */
export async function filesMatching(pattern: string): Promise<Seen[]> {
  return seenOf((await Array.fromAsync(glob(pattern))).map((path) => resolve(path)).sort())
}

/**
 * The files of an archive, in the order of their names. They have their names once they are whole, and never
 * change: those in `known` (by path) are not looked at again.
 */
export async function filesOfArchive(
  folder: string, window: Window, known: ReadonlyMap<string, Seen>,
): Promise<Seen[]> {
  const paths = await archiveFiles(folder, window).catch(gone) ?? []
  const found: Seen[] = []
  for (const path of paths) found.push(...known.has(path) ? [known.get(path)!] : await seenOf([path]))
  return found
}

/**
 * The file at `path`; before it those that it was, or that were there, since `last`, as far as they are still
 * beside it under a name such as `NAME.1` or `NAME-20261121`.
 */
export async function filesOfLog(path: string, last: Place | undefined): Promise<Seen[]> {
  const current = await seenOf([path])
  const [file] = current
  if (!last || !file || (file.id === last.id && file.size >= last.offset)) return current
  const folder = dirname(path)
  const names = await readdir(folder).catch(gone) ?? []
  const base = basename(path)
  const rotated = names.filter((name) => name.startsWith(base) && ROTATED.test(name.slice(base.length)))
  const former: Seen[] = []
  for (const seen of await seenOf(rotated.map((name) => join(folder, name)))) {
    const isLater = seen.id !== file.id && seen.changed > last.changed
    if (isLater || seen.id === last.id || await continues(seen.path, last).catch(gone)) former.push(seen)
  }
  return [...former.sort((a, b) => a.changed - b.changed), file]
}

/** What log rotation appends to names; nothing that tells of compression. */
const ROTATED = /^[.-](\d[\dTZ:_+-]*|old)$/

async function seenOf(paths: readonly string[]): Promise<Seen[]> {
  const found: Seen[] = []
  for (const path of paths) {
    const info = await stat(path).catch(gone)
    if (info?.isFile()) found.push({ path, id: fileId(info), size: info.size, changed: info.mtimeMs })
  }
  return found
}

/** What is gone meanwhile is not there. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}
