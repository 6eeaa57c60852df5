/** Removing what is too old, or too much: only files that flowkit has made, told by their names. */
import { lstat, readdir, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HOUR, segmentOf, segmentTime } from './names.ts'

/** What may stay; all of it where there is no limit. */
export interface Limits {
  /** ms since it began to be received. */
  readonly maxAge?: number | undefined
  /** Bytes of all files together. */
  readonly maxSize?: number | undefined
}

/** Where files of segments are, in folders of hours, and what their names end in. */
export interface Layout {
  /** The folders that have folders of hours in them. */
  readonly tables: readonly string[]
  readonly extension: string
}

/** Of an archive. */
export const ARCHIVE_LAYOUT: Layout = { tables: ['flows', 'counters', 'ledger'], extension: '.parquet' }

/**
 * Remove what is beyond the limits, the oldest first, and folders that are empty then.
 *
 * The files of a segment's hour go together; the newest segment stays, whatever the limits are.
 *
 * @param now µs since the epoch
 * @returns the files removed
 * @throws the system error of a folder that cannot be read or a file that cannot be removed
 */
export type Expiry = (limits: Limits, now: number) => Promise<string[]>

/** An hour and its folders. */
interface Hour {
  /** Its first µs. */
  readonly start: number
  readonly folders: string[]
}

/** A file of a segment. */
interface SegmentFile {
  readonly path: string
  readonly segment: string
  /** When the first of it was received, as far as the names tell, µs since the epoch. */
  readonly time: number
  readonly bytes: number
}

/** ms after a change of a folder in which its time of change may not show another. */
const SETTLED = 2000

/** Expiry in a folder. It remembers how large hours are, so that it reads only those that have changed. */
export function openExpiry(directory: string, { tables, extension }: Layout): Expiry {
  const roots = tables.map((table) => join(directory, table))
  const sizes = new Map<string, { readonly changed: number, readonly bytes: number }>() // by folder

  async function expire({ maxAge, maxSize = Infinity }: Limits, now: number): Promise<string[]> {
    if (maxAge === undefined && maxSize === Infinity) return []
    const oldest = maxAge === undefined ? -Infinity : now - maxAge * 1000
    const hours = await listHours(roots)
    let size = 0
    if (maxSize < Infinity) {
      for (const folder of hours.flatMap(({ folders }) => folders)) size += await sizeOf(folder)
    }
    const newest = await newestSegment(hours)
    const removed: string[] = []
    for (const hour of hours) {
      if (hour.start >= oldest && size <= maxSize) break
      let last: SegmentFile | undefined
      for (const file of await filesOf(hour)) {
        const goesOn = last !== undefined && last.time === file.time && last.segment === file.segment
        if (!goesOn && file.time >= oldest && size <= maxSize) break
        last = file
        if (file.segment === newest) continue
        await gone(unlink(file.path))
        size -= file.bytes
        removed.push(file.path)
      }
      for (const folder of hour.folders) await removeEmpty(folder)
    }
    return removed
  }

  /** Bytes of the segments' files in a folder. */
  async function sizeOf(folder: string): Promise<number> {
    const changed = (await gone(stat(folder)))?.mtimeMs ?? 0
    const known = sizes.get(folder)
    if (known?.changed === changed) return known.bytes
    const files = await filesOf({ start: 0, folders: [folder] })
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    if (Date.now() - changed > SETTLED) sizes.set(folder, { changed, bytes })
    return bytes
  }

  /** The files of an hour, in the order in which they go. */
  async function filesOf({ start, folders }: Hour): Promise<SegmentFile[]> {
    const files: SegmentFile[] = []
    for (const folder of folders) {
      for (const name of await namesIn(folder, false)) {
        const segment = segmentOf(name, extension)
        if (segment === undefined) continue
        const path = join(folder, name)
        const info = await gone(lstat(path))
        const time = Math.min(Math.max(segmentTime(segment), start), start + HOUR - 1)
        if (info) files.push({ path, segment, time, bytes: info.size })
      }
    }
    return files.sort((a, b) => (
      a.time - b.time || Number(a.segment > b.segment) - Number(a.segment < b.segment)
    ))
  }

  async function newestSegment(hours: readonly Hour[]): Promise<string | undefined> {
    for (const hour of hours.toReversed()) {
      const file = (await filesOf(hour)).at(-1)
      if (file) return file.segment
    }
    return undefined
  }

  async function removeEmpty(folder: string): Promise<void> {
    try {
      await rmdir(folder)
      sizes.delete(folder)
      await rmdir(dirname(folder))
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(code)) throw error
    }
  }

  return expire
}

/** The hours that there are folders of, the first first. */
async function listHours(roots: readonly string[]): Promise<Hour[]> {
  const hours = new Map<number, Hour>()
  for (const root of roots) {
    for (const date of await namesIn(root, true)) {
      const [, day] = /^date=(\d{4}-\d\d-\d\d)$/.exec(date) ?? []
      if (day === undefined) continue
      for (const name of await namesIn(join(root, date), true)) {
        const [, hour] = /^hour=(\d\d)$/.exec(name) ?? []
        const start = Date.parse(`${day}T${hour}:00:00Z`) * 1000
        if (Number.isNaN(start)) continue
        const known = hours.get(start)
        const folder = join(root, date, name)
        if (known) known.folders.push(folder)
        else hours.set(start, { start, folders: [folder] })
      }
    }
  }
  return [...hours.values()].sort((a, b) => a.start - b.start)
}

/** The folders, or the files, in a folder; none where it is gone. Links are neither. */
export async function namesIn(folder: string, areFolders: boolean): Promise<string[]> {
  const entries = await gone(readdir(folder, { withFileTypes: true })) ?? []
  return entries.filter((entry) => areFolders ? entry.isDirectory() : entry.isFile()).map(({ name }) => name)
}

/** What is asked of something that others may remove meanwhile; undefined where they have. */
export async function gone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
