import { mkdirSync, rmSync } from 'node:fs'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { newSegment } from '../archive/names.ts'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc } from '../net/ffi.ts'
import { syncFolder } from '../output-file.ts'
import { SEGMENT_HEADER } from './datagram-block.ts'
import { createSegmentFile, PAGE, type SegmentFile } from './segment-file.ts'
import {
  SEGMENT_EXTENSION, STATE_EXTENSION, UNFINISHED_EXTENSION, listSegments, segmentName,
} from './files.ts'
import { lockFolder } from './lock.ts'
import { openReserve, removeReserve, type Reserve } from './reserve.ts'
import { readState, writeState, type SpoolState } from './state.ts'

/**
 * Datagrams on disk until the archive has them: segments, one of which is written to.
 *
 * A segment is named by its id, which its files in the archive have too. An id that the spool does not have
 * is a RangeError.
 */
export interface Spool {
  /** The id of the segment that is written to. Its file is made when something is. */
  readonly segment: string
  /** Bytes of all segments, without their states. */
  readonly size: number
  /** Bytes on the disk that are kept for what may still come, and those that should be, but could not. */
  readonly reserved: number
  readonly unreserved: number
  /** Where in its segment the next block will be written. */
  readonly position: number
  /** Whether it has a segment: the one that is written to, and those that have not been removed. */
  has(id: string): boolean
  /**
   * Write whole blocks, all or none: `bytes[start..end)`, as `putDatagram` made them. For what
   * `SegmentFile.write` wants of large pieces, `position` tells where they will be.
   *
   * @returns their offset in the segment, for `read`
   * @throws FlowkitError ERR_LIMIT when the segments would become too large; the system error when it cannot
   *   be written: in either case the segment is as before, and writing may be tried again
   */
  append(bytes: Uint8Array, start: number, end: number): number
  /** Begin a new segment, at `now`, ms since the epoch. @returns the id of the one that ends */
  cut(now?: number): string
  /**
   * Read again what was written, to fill `bytes`.
   *
   * @throws FlowkitError ERR_TRUNCATED when there is less; the system error when it cannot be read
   */
  read(id: string, offset: number, bytes: Uint8Array): Promise<void>
  /** Make durable all that was written before the call. @throws the system error */
  sync(): Promise<void>
  /** Keep the decoders' state at the begin of a segment; see spool-state.ts. */
  writeState(id: string, state: Uint8Array): Promise<void>
  readState(id: string): Promise<SpoolState>
  /** Remove a segment that is not written to, and its state. @throws the system error */
  remove(id: string): Promise<void>
  /** The same at once: there is room when it returns. What the system refuses is left in the folder. */
  discard(id: string): void
  /**
   * Make everything durable, and let others have the folder. May be called again.
   *
   * @throws the system error of the former, the latter being done
   */
  close(): Promise<void>
}

interface Entry {
  readonly sequence: number
  /** Of the segment, and of its state. */
  size: number
  stateSize: number
}

/** Room that the segment gets from the reserve at a time. */
const GIVEN = 4 * 2 ** 20

/** How the segments of a spool are named and counted. */
export interface SegmentNaming {
  /** Of spools that are written to at the same time, and go into one archive: which it is, below 256. */
  readonly lane?: number
  /** When the first segment begins, ms since the epoch; now unless told. */
  readonly began?: number
  /** They are counted from above this. */
  readonly after?: number
}

/**
 * Open the spool in a folder, which is made if there is none, and begin a segment behind those in it.
 *
 * @param limit bytes that all segments may have together, with their states
 * @param isReserved whether room for as much is kept on the disk, as far as it has it
 * @throws FlowkitError ERR_OPTION when it is open already; the system error if it cannot be written to
 */
export async function openSpool(
  directory: string, limit: number = Infinity, naming: SegmentNaming = {}, isReserved: boolean = false,
): Promise<Spool> {
  const folder = resolve(directory)
  await mkdir(dirname(folder), { recursive: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const lock = await lockFolder(folder)
  try {
    for (const name of await readdir(folder)) {
      if (name.endsWith(UNFINISHED_EXTENSION)) await rm(join(folder, name), { force: true })
    }
    const entries = new Map<string, Entry>()
    for (const { id, sequence, size, statePath, hasState } of await listSegments(folder)) {
      entries.set(id, { sequence, size, stateSize: hasState ? (await stat(statePath)).size : 0 })
    }
    if (!isReserved) removeReserve(folder)
    const used = [...entries.values()].reduce((sum, { size }) => sum + size, 0)
    const libc = await loadLibc().catch(() => undefined)
    const reserve = isReserved ? openReserve(folder, libc, limit - used) : undefined
    return spoolOf(folder, limit, entries, naming, reserve, () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

function spoolOf(
  folder: string, limit: number, entries: Map<string, Entry>, { lane, began, after = 0 }: SegmentNaming,
  reserve: Reserve | undefined, unlock: () => void,
): Spool {
  let sequence = Math.max(after, [...entries.values()].at(-1)?.sequence ?? 0)
  let size = 0
  let used = 0 // of the limit, which is for states too
  for (const each of entries.values()) {
    size += each.size
    used += taken(each.size) + taken(each.stateSize)
  }
  const unsynced = new Set<string>() // paths
  let isFolderSynced = true
  let segment: string
  let entry: Entry
  let path: string
  let file: SegmentFile | undefined
  let allocated = 0 // bytes of the file that have room on the disk, if there is a reserve
  let writing = 0 // bytes of states on their way
  begin(began)
  fillReserve()

  function begin(now: number = Date.now()): void {
    segment = newSegment(now, lane)
    entry = { sequence: ++sequence, size: 0, stateSize: 0 }
    path = join(folder, segmentName(sequence, segment) + SEGMENT_EXTENSION)
    file = undefined
    allocated = 0
    entries.set(segment, entry)
  }

  /** Let the reserve have what the limit leaves. */
  function fillReserve(): void {
    if (!reserve) return
    reserve.fill(limit, used + kept() - reserve.size + writing)
  }

  /** Bytes on the disk that are kept. */
  function kept(): number {
    return reserve ? reserve.size + Math.max(0, allocated - roundUp(entry.size)) : 0
  }

  /** Bytes of the limit that a file takes. */
  function taken(bytes: number): number {
    return reserve ? roundUp(bytes) : bytes
  }

  function forget(id: string, removed: Entry): void {
    if (!entries.delete(id)) return // another call was faster
    size -= removed.size
    used -= taken(removed.size) + taken(removed.stateSize)
    fillReserve()
  }

  function giveRoom(end: number): void {
    if (!reserve || end <= allocated) return
    if (allocated === 0) allocated = roundUp(entry.size)
    allocated += reserve.give(file!.fd, allocated, Math.max(GIVEN, end - allocated))
  }

  /** Cut what a failure has left, and the room behind it. */
  function cutBack(): void {
    file?.cutBack(entry.size)
    allocated = 0
  }

  function pathOf(id: string, extension: string): string {
    return join(folder, segmentName(entryOf(id).sequence, id) + extension)
  }

  function entryOf(id: string): Entry {
    const found = entries.get(id)
    if (!found) throw new RangeError(`no segment ${id}`)
    return found
  }

  function create(): SegmentFile {
    isFolderSynced = false
    try {
      return createSegmentFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      remake()
      reserve?.renew()
      fillReserve()
      return createSegmentFile(path)
    }
  }

  /** Somebody has removed the folder: go on in a new one. */
  function remake(): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  return {
    get segment() { return segment },
    get size() { return size },
    get reserved() { return kept() },
    get unreserved() { return reserve?.lacking ?? 0 },
    get position() { return entry.size || SEGMENT_HEADER.length },
    has: (id) => entries.has(id),
    append(bytes, start, end) {
      const offset = entry.size || SEGMENT_HEADER.length
      const added = offset - entry.size + end - start
      const growth = taken(entry.size + added) - taken(entry.size)
      if (used + growth > limit) {
        const found = `${limit} bytes allowed, ${used} are used, ${added} more wanted`
        throw new FlowkitError('ERR_LIMIT', `Cannot write to spool "${folder}": ${found}`)
      }
      file ??= create()
      giveRoom(offset + end - start)
      try {
        if (entry.size === 0) file.write(SEGMENT_HEADER, 0, offset, 0)
        file.write(bytes, start, end, offset)
      } catch (error) {
        cutBack()
        throw error
      }
      unsynced.add(path)
      entry.size += added
      size += added
      used += growth
      return offset
    },
    cut(now) {
      const ended = segment
      if (reserve) cutBack()
      file?.close()
      begin(now)
      fillReserve()
      return ended
    },
    async read(id, offset, bytes) {
      const from = pathOf(id, SEGMENT_EXTENSION)
      await using segmentFile = await open(from)
      const { length } = bytes
      let count = 0
      while (count < length) {
        const { bytesRead } = await segmentFile.read(bytes, count, length - count, offset + count)
        if (bytesRead === 0) {
          const found = `${length} bytes wanted at byte ${offset}, ${count} found`
          throw new FlowkitError('ERR_TRUNCATED', `Cannot read spool segment "${from}": ${found}`)
        }
        count += bytesRead
      }
    },
    sync,
    async writeState(id, state) {
      remake()
      const room = roundUp(state.length + PAGE) // with its header
      writing += room
      try {
        const stateSize = await writeState(
          pathOf(id, STATE_EXTENSION), pathOf(id, UNFINISHED_EXTENSION), state,
          (fd, bytes) => reserve?.give(fd, 0, bytes),
        )
        const written = entries.get(id)
        if (!written) return // removed meanwhile
        used += taken(stateSize) - taken(written.stateSize)
        written.stateSize = stateSize
      } finally {
        writing -= room
        fillReserve()
      }
    },
    readState: (id) => readState(pathOf(id, STATE_EXTENSION)),
    async remove(id) {
      if (id === segment) throw new RangeError(`segment ${id} is written to`)
      const removed = entryOf(id)
      const removedPath = pathOf(id, SEGMENT_EXTENSION)
      await rm(removedPath, { force: true })
      // the state last: without it, the segment could not be read again
      await rm(pathOf(id, STATE_EXTENSION), { force: true })
      unsynced.delete(removedPath)
      forget(id, removed)
    },
    discard(id) {
      if (id === segment) throw new RangeError(`segment ${id} is written to`)
      const discarded = entryOf(id)
      const discardedPath = pathOf(id, SEGMENT_EXTENSION)
      try {
        rmSync(discardedPath, { force: true })
        rmSync(pathOf(id, STATE_EXTENSION), { force: true })
      } catch {
        // the next start finds it, and whether it is still wanted
      }
      unsynced.delete(discardedPath)
      forget(id, discarded)
    },
    async close() {
      if (reserve && file) cutBack()
      file?.close()
      file = undefined
      fillReserve()
      reserve?.close()
      reserve = undefined // which is kept for the next start
      try {
        await sync()
      } finally {
        unlock()
      }
    },
  }

  async function sync(): Promise<void> {
    fillReserve() // there may be more room now
    const paths = [...unsynced]
    unsynced.clear()
    try {
      for (const path of paths) await syncData(path)
      if (!isFolderSynced) {
        isFolderSynced = true
        await syncFolder(folder)
      }
    } catch (error) {
      for (const path of paths) unsynced.add(path)
      isFolderSynced = false
      throw error
    }
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE
}

/** fdatasync(2) through a descriptor of its own, since a segment may be ended, or removed, meanwhile. */
async function syncData(path: string): Promise<void> {
  try {
    await using file = await open(path)
    await file.datasync()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
