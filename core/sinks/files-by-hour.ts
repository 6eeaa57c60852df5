import { access, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { hourFolder, segmentTime } from '../archive/names.ts'
import { syncFolder } from '../output-file.ts'

/** Where the files of segments lie once they are whole. */
export interface SegmentFiles {
  /** The file of a segment, if it is there. */
  find(segment: string): Promise<string | undefined>
  /** What the file of a segment is called before it is whole, in a folder of its own. */
  unfinished(segment: string): string
  /**
   * Give a file its name, which is durable then.
   *
   * @returns its path
   * @throws the system error; the file does not have the name then
   */
  place(unfinished: string, segment: string): Promise<string>
}

/** Files that are called as their segments, in folders of the hours in which these began. */
export function filesByHour(root: string, extension: string): SegmentFiles {
  function pathOf(segment: string): string {
    return join(root, hourFolder(segmentTime(segment)), segment + extension)
  }

  return {
    async find(segment) {
      const path = pathOf(segment)
      return access(path).then(() => path, () => undefined)
    },
    unfinished: (segment) => segment + extension,
    async place(unfinished, segment) {
      const path = pathOf(segment)
      await mkdir(dirname(path), { recursive: true })
      await rename(unfinished, path)
      try {
        for (let at = dirname(path); at !== dirname(root); at = dirname(at)) await syncFolder(at)
      } catch (error) {
        await rm(path, { force: true }).catch(() => {}) // the former is the reason
        throw error
      }
      return path
    },
  }
}
