/** Expiry of files that are called by the time they begin at, in one folder. */
import { lstat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { gone, namesIn, type Expiry } from './expire.ts'
import { splitName, type FileNames } from './file-names.ts'

/** A file that may go. */
interface NamedFile {
  readonly path: string
  /** When it begins, µs since the epoch, and which it is of its time. */
  readonly start: number
  readonly number: number
  readonly bytes: number
}

/** Expiry in a folder: of the files that have such names, and no others. The newest stays. */
export function openNamedExpiry(directory: string, { timeOf }: Pick<FileNames, 'timeOf'>): Expiry {
  async function list(): Promise<NamedFile[]> {
    const files: NamedFile[] = []
    for (const name of await namesIn(directory, false)) {
      const [first, number] = splitName(name)
      const start = timeOf(first)
      if (start === undefined) continue
      const path = join(directory, name)
      const info = await gone(lstat(path))
      if (info) files.push({ path, start, number, bytes: info.size })
    }
    return files.sort((a, b) => a.start - b.start || a.number - b.number)
  }

  return async ({ maxAge, maxSize = Infinity }, now) => {
    if (maxAge === undefined && maxSize === Infinity) return []
    const oldest = maxAge === undefined ? -Infinity : now - maxAge * 1000
    const files = await list()
    let size = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const removed: string[] = []
    for (const { path, start, bytes } of files.slice(0, -1)) {
      if (start >= oldest && size <= maxSize) break
      await gone(unlink(path))
      size -= bytes
      removed.push(path)
    }
    return removed
  }
}
