import { closeSync, fstatSync, ftruncateSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { Libc } from '../net/ffi.ts'
import { PAGE } from './segment-file.ts'

/** The name of the file in the folder of a spool. */
const RESERVE_FILE = 'reserve'

const KEEP_SIZE = 1 // linux/falloc.h: FALLOC_FL_KEEP_SIZE
/** What a file system says that cannot allocate. */
const UNSUPPORTED: readonly number[] = [constants.errno.EOPNOTSUPP, constants.errno.ENOSYS]
/** Bytes of zeros that are written at a time, and in one call, where nothing else takes room. */
const ZEROS = 2 ** 20
const MOST_ZEROS = 16 * ZEROS

/**
 * Room on the disk for what a spool does not have yet: a file that is allocated, but never written to. It
 * gets shorter as the others grow. Where the file system cannot allocate, it is filled with zeros.
 */
export interface Reserve {
  /** Bytes that it has. */
  readonly size: number
  /** Bytes that it should have had when it was last filled, and that the disk did not have. */
  readonly lacking: number
  /**
   * Grow to what a limit leaves, if the disk has room for that; otherwise by what was used and is not any
   * more, since others need the rest of the disk. Zeros take several calls.
   *
   * @param used bytes of the limit that are used now
   */
  fill(limit: number, used: number): void
  /** Give room to a file that is about to grow, from a page of it on. @returns how many bytes */
  give(fd: number, at: number, bytes: number): number
  /** Somebody has removed the folder, and there is another: be in that one. */
  renew(): void
  /** The room is kept for the next start. */
  close(): void
}

/** What is needed of the C library. */
export type Allocator = Pick<Libc, 'fallocate' | 'errno'>

/**
 * Take the reserve of a spool's folder, which is made if there is none.
 *
 * @param allocator undefined: there is no C library to be called
 * @param most what it may have, if there is one
 * @throws the system error
 */
export function openReserve(folder: string, allocator: Allocator | undefined, most: number): Reserve {
  const path = join(folder, RESERVE_FILE)
  let canAllocate = allocator !== undefined
  let fd = openSync(path, 'a', 0o600)
  let size = fstatSync(fd).size
  let had = 0 // with what was used then
  let lacking = 0

  function cut(goal: number): void {
    size = goal
    ftruncateSync(fd, size)
  }

  function allocate(other: number, mode: number, at: number, bytes: number): boolean {
    if (allocator?.fallocate(other, mode, at, bytes) === 0) return true
    if (UNSUPPORTED.includes(allocator?.errno() ?? 0)) canAllocate = false
    return false
  }

  function grow(goal: number): void {
    for (let step = goal - size; canAllocate && step >= PAGE && size < goal;) {
      const more = Math.min(step, goal - size)
      if (allocate(fd, 0, size, more)) size += more
      else {
        cut(size) // there was room for a part of it
        step = Math.floor(step / 2 / PAGE) * PAGE
      }
    }
    if (!canAllocate) writeZeros(Math.min(goal, size + MOST_ZEROS))
  }

  function writeZeros(goal: number): void {
    const zeros = new Uint8Array(ZEROS)
    try {
      while (size < goal) size += writeSync(fd, zeros, 0, Math.min(ZEROS, goal - size))
    } catch {
      // others were faster
    }
    cut(Math.floor(size / PAGE) * PAGE)
  }

  /** Bytes that the disk has for us, and that it has for anybody; undefined: the folder was removed. */
  function room(): readonly [available: number, free: number] | undefined {
    try {
      const { bavail, bfree, bsize } = statfsSync(folder)
      return [bavail * bsize, bfree * bsize]
    } catch {
      return undefined
    }
  }

  if (size > most) cut(Math.max(0, Math.floor(most / PAGE) * PAGE))
  return {
    get size() { return size },
    get lacking() { return lacking },
    fill(limit, used) {
      const [available, free] = room() ?? []
      if (available === undefined || free === undefined) return
      const wanted = Math.floor((limit - used) / PAGE) * PAGE
      const isThere = wanted <= size + available
      const goal = isThere ? wanted : Math.min(wanted, had - used, size + free)
      if (goal > size) grow(Math.floor(goal / PAGE) * PAGE)
      lacking = isThere ? 0 : Math.max(0, wanted - size)
      had = used + size
    },
    give(other, at, bytes) {
      const given = Math.min(size, Math.ceil(bytes / PAGE) * PAGE)
      if (given === 0) return 0
      cut(size - given)
      // taken at once, before another process does
      if (canAllocate) allocate(other, KEEP_SIZE, at, given)
      return given
    },
    renew() {
      closeSync(fd)
      fd = openSync(path, 'a', 0o600)
      size = had = 0
    },
    close: () => closeSync(fd),
  }
}

/** Let go of what a former process has kept. @throws the system error */
export function removeReserve(folder: string): void {
  rmSync(join(folder, RESERVE_FILE), { force: true })
}
