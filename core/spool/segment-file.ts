import { closeSync, constants, ftruncateSync, openSync, writeSync } from 'node:fs'

/** What direct writes go by: bytes, a page and a multiple of any disk's block. */
export const PAGE = 4096
/** Bytes that are worth a direct write. */
const DIRECT_SIZE = 128 * 1024
/** Bytes a nanosecond that a disk must take for direct writes to go on. */
const DIRECT_RATE = 0.25
/** Large pieces that go through the page cache before a slow disk is tried again. */
const CACHED = 64

/** The file of a segment while it is written to. */
export interface SegmentFile {
  readonly fd: number
  /**
   * Write all of `bytes[start..end)` at a position of the file.
   *
   * Large pieces go to the disk past the page cache, which takes a copy of everything and at some size makes
   * the process wait: for that, `bytes` begins at a page of memory, and `start` lies in its page where
   * `position` lies in its own. What has a name and a size is there for other processes either way.
   *
   * @throws the system error; parts may have been written then
   */
  write(bytes: Uint8Array, start: number, end: number, position: number): void
  /** Cut it back to a size, if that can be done. */
  cutBack(size: number): void
  close(): void
}

/** Make the file, which must not be there yet. @throws the system error */
export function createSegmentFile(path: string): SegmentFile {
  const fd = openSync(path, 'wx', 0o600)
  let directFd = -1
  let canBeDirect = constants.O_DIRECT !== undefined // elsewhere than Linux it cannot
  let cached = 0 // large pieces yet to be written through the page cache

  function direct(bytes: Uint8Array, start: number, end: number, position: number): boolean {
    if (!canBeDirect || cached-- > 0) return false
    try {
      if (directFd < 0) directFd = openSync(path, constants.O_WRONLY | constants.O_DIRECT)
      const begun = process.hrtime.bigint()
      writeAll(directFd, bytes, start, end, position)
      const taken = Number(process.hrtime.bigint() - begun)
      cached = (end - start) / taken < DIRECT_RATE ? CACHED : 0
      return true
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EINVAL' && code !== 'ENOENT') throw error
      canBeDirect = false // the file system knows no direct writes, or the file has lost its name
      return false
    }
  }

  return {
    fd,
    write(bytes, start, end, position) {
      let from = start
      if (end - start >= DIRECT_SIZE && (start - position) % PAGE === 0) {
        const first = Math.ceil(start / PAGE) * PAGE
        const last = Math.floor(end / PAGE) * PAGE
        writeAll(fd, bytes, start, first, position)
        from = direct(bytes, first, last, position + first - start) ? last : first
      }
      writeAll(fd, bytes, from, end, position + from - start)
    },
    cutBack(size) {
      try {
        ftruncateSync(fd, size)
      } catch {
        // the failure to write is told; the next try writes over what is left behind
      }
    },
    close() {
      closeSync(fd)
      if (directFd >= 0) closeSync(directFd)
    },
  }
}

function writeAll(fd: number, bytes: Uint8Array, start: number, end: number, position: number): void {
  // at a position, so that what a failure has left behind is written over
  while (start < end) {
    const count = writeSync(fd, bytes, start, end - start, position)
    start += count
    position += count
  }
}
