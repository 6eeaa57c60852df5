import { link, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { furtherName, splitName, type FileNames } from '../archive/file-names.ts'
import { segmentTime } from '../archive/names.ts'
import { syncFolder } from '../output-file.ts'
import type { SegmentFiles } from './files-by-hour.ts'

const HOUR = 3_600_000_000 // µs
/** Intervals are a day at most; clocks that change to another zone's time go an hour either way. */
const EARLIEST = 25 * HOUR
const LATEST = HOUR
/** ms of a minute. */
const MINUTE = 60_000

/**
 * Files of segments in a folder, called by when the interval began in which their segments did.
 *
 * Where a name is taken, which happens when an interval has several segments, the file is another of that
 * time: nothing is written over. Which segment a file is of is told by its `ident`, so it has its name and is
 * known at the same moment, whatever ends the process.
 *
 * @param interval ms after which segments end by the clock
 */
export function namedFiles(root: string, names: FileNames, interval: () => number): SegmentFiles {
  const idents = new Map<string, string | undefined>() // by name, of files that were looked at

  function nameOf(segment: string): string {
    const ms = interval()
    const start = Math.floor(segmentTime(segment) / 1000 / ms) * ms
    return names.nameOf(start * 1000, ms % MINUTE !== 0)
  }

  /** The names of files that may be of a segment, the nearest first. */
  async function candidates(segment: string): Promise<string[]> {
    const time = segmentTime(segment)
    const found: { readonly name: string, readonly start: number }[] = []
    const all = await readdir(root).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of all) {
      const start = names.timeOf(splitName(name)[0])
      if (start === undefined) continue
      if (start > time - EARLIEST && start <= time + LATEST) found.push({ name, start })
    }
    return found.sort((a, b) => Math.abs(time - a.start) - Math.abs(time - b.start)).map(({ name }) => name)
  }

  /** The segment of a file; undefined if it is of none, or not ours. */
  async function identOf(path: string): Promise<string | undefined> {
    try {
      return await names.identOf(path)
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (['ENOENT', 'EACCES', 'EISDIR'].includes(code)) return undefined
      throw error
    }
  }

  return {
    unfinished: (segment) => names.unfinished(segment),
    async find(segment) {
      for (const name of await candidates(segment)) {
        const path = join(root, name)
        if (!idents.has(name)) idents.set(name, await identOf(path))
        if (idents.get(name) !== segment) continue
        if (await identOf(path) === segment) return path
        idents.delete(name) // others may have removed the file, and taken its name
      }
      return undefined
    },
    async place(unfinished, segment) {
      const name = nameOf(segment)
      for (let number = 1; ; number++) {
        const free = furtherName(name, number)
        const path = join(root, free)
        if (!await claim(unfinished, path)) continue
        idents.delete(free)
        try {
          await syncFolder(root)
        } catch (error) {
          await rm(path, { force: true }).catch(() => {}) // the former is the reason
          throw error
        }
        return path
      }
    },
  }
}

/** What `link` fails with on file systems that have no links. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/** Give a file another name in the same file system. @returns false if the name is taken */
async function claim(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (NO_LINKS.includes(code)) return claimByRename(from, to)
    throw error
  }
  await rm(from, { force: true }).catch(() => {}) // it goes with its folder
  return true
}

/** The same without links: the name is taken by an empty file first, since other threads may want it. */
async function claimByRename(from: string, to: string): Promise<boolean> {
  try {
    await (await open(to, 'wx')).close()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  try {
    await rename(from, to)
  } catch (error) {
    await rm(to, { force: true }).catch(() => {}) // the former is the reason
    throw error
  }
  return true
}
