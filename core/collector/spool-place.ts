/**
 * The place of a collector's spools: a folder that is itself the spool of a collector without lanes, and in
 * which each lane of another has a folder of its own, `lane-1-of-3-from-42`, by the number of its first
 * segment.
 *
 * A collector goes on with the spools that it finds, if all are of as many lanes as it has. Otherwise it
 * begins new ones, brings what is in the former ones into the sinks, and takes over what they knew of
 * exporters.
 */
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { newExporters, type Exporters } from '../netflow/exporters.ts'
import { addSnapshot, saveExporters } from '../netflow/snapshot.ts'
import type { SourceAddress } from '../net/source.ts'
import { inLane } from '../net/steering.ts'
import { syncFolder } from '../output-file.ts'
import { newTurns } from '../turns.ts'
import { recover, type ReplayOptions, type SegmentSettings } from './replay.ts'
import { newShelf, type Shelf, type ShelfOptions } from './shelf.ts'
import type { Sink } from '../sinks/sink.ts'
import { UNFINISHED_EXTENSION, listSegments, segmentName, type SpoolSegment } from '../spool/files.ts'
import { lockFolder, type FolderLock } from '../spool/lock.ts'
import { removeReserve } from '../spool/reserve.ts'
import { readState, writeState } from '../spool/state.ts'

/** What former spools are brought into sinks with. */
export interface FormerOptions extends ReplayOptions {
  readonly sinks: readonly Sink[]
  readonly settings: SegmentSettings
  /** Told how many segments of a spool were decoded again, once the sinks have all of it. */
  onRecovered(segments: number): void
}

/** Spools of former collectors. */
export interface FormerSpools {
  /** Whether there was nothing. */
  readonly isEmpty: boolean
  /** Segments that are not in all sinks yet, and the bytes of all. */
  readonly waiting: number
  readonly bytes: number
  /**
   * Find out what is known at their ends, and begin to bring what they hold into the sinks; what fails is
   * told, and tried again later.
   *
   * @returns what was known of exporters, as snapshots: of an exporter in several, the last one counts
   */
  recover(): Promise<Uint8Array[]>
  /** What they knew is kept elsewhere: they are removed, each as soon as all of it is in the sinks. */
  release(): Promise<void>
  /** Wait until they are in the sinks, or have failed once more, or hang, and let others have the folders. */
  stop(): Promise<void>
}

/** Where a collector keeps what it takes. */
export interface SpoolPlace {
  /** The folders of its own spools, that of lane 0 first; there may be none yet. */
  readonly own: readonly string[]
  /** Their segments are counted from above this. */
  readonly after: number
  readonly former: FormerSpools
}

/** One spool: of a collector without lanes, or of one of its lanes. */
interface Folder {
  readonly path: string
  readonly lane: number
  readonly lanes: number
  /** The same of all spools that a collector writes to at the same time. */
  readonly group: string
  readonly segments: readonly SpoolSegment[]
}

/** A folder of a former collector. */
interface Former extends Folder {
  readonly lock: FolderLock
  /** Undefined until it is recovered, and so is what was known at its end. */
  shelf: Shelf | undefined
  known: Uint8Array | undefined
  /** Of segments that are not in all sinks yet. */
  bytes: number
  isGone: boolean
}

/**
 * Choose the spools for a collector of so many lanes, and lock those of former ones.
 *
 * @param lanes 1: it has none
 * @throws FlowkitError ERR_OPTION when another process has one of them; the system error of a folder
 */
export async function openSpoolPlace(
  place: string, lanes: number, options: FormerOptions,
): Promise<SpoolPlace> {
  const root = resolve(place)
  const all = await findFolders(root)
  const used = all.filter(({ segments }) => segments.length > 0)
  const groups = new Set(used.map(({ group }) => group))
  const after = Math.max(0, ...used.map(({ segments }) => segments.at(-1)!.sequence))
  const goesOn = groups.size === 1 && used[0].lanes === lanes
  const isFree = !groups.has('') // the place itself
  const group = goesOn ? used[0].group : lanes === 1 && isFree ? '' : `of-${lanes}-from-${after + 1}`
  const own = Array.from({ length: lanes }, (_, lane) => {
    return group === '' ? root : join(root, `lane-${lane + 1}-${group}`)
  })
  const locks: FolderLock[] = []
  try {
    // the place is locked by every collector, so that there is only one
    if (group !== '') {
      await mkdir(dirname(root), { recursive: true })
      await mkdir(root, { recursive: true, mode: 0o700 })
      locks.push(await lockFolder(root))
    }
    const former: Former[] = []
    for (const folder of all) {
      if (folder.group === group) continue
      const lock = folder.path === root ? { release() {} } : await lockFolder(folder.path)
      locks.push(lock)
      const bytes = folder.segments.reduce((sum, { size }) => sum + size, 0)
      former.push({ ...folder, lock, shelf: undefined, known: undefined, bytes, isGone: false })
    }
    return { own, after, former: formerSpools(root, former, locks, options) }
  } catch (error) {
    for (const lock of locks) lock.release()
    throw error
  }
}

/** The spools at a place, those of former collectors before those of later ones. */
async function findFolders(root: string): Promise<Folder[]> {
  const names = await readdir(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [] // who makes it finds out
    throw error
  })
  const folders: Folder[] = []
  for (const name of ['', ...names]) {
    const [, lane, group, lanes] = /^lane-(\d+)-(of-(\d+)-from-\d+)$/.exec(name) ?? ['', '1', '', '1']
    if (name !== '' && group === '') continue
    const path = join(root, name)
    const segments = names.length > 0 ? await listSegments(path) : []
    folders.push({ path, lane: Number(lane) - 1, lanes: Number(lanes), group, segments })
  }
  // segments of a later collector have higher numbers than any that it has found; empty folders tell nothing
  const first = ({ segments }: Folder): number => segments[0]?.sequence ?? Number.MAX_SAFE_INTEGER
  return folders.sort((a, b) => first(a) - first(b))
}

function formerSpools(
  root: string, formers: readonly Former[], locks: readonly FolderLock[], options: FormerOptions,
): FormerSpools {
  const { settings, onError, onRecovered } = options
  const inTurn = newTurns()
  let working: Promise<unknown> = Promise.resolve()
  let isReleased = false

  async function recoverAll(): Promise<Uint8Array[]> {
    const states: Uint8Array[] = []
    for (const group of new Set(formers.map((former) => former.group))) {
      const before = [...states]
      for (const former of formers) {
        if (former.group !== group || former.segments.length === 0) continue
        states.push(former.known ?? await recoverOne(former, before))
      }
    }
    return states
  }

  /** @returns what was known at its end, by what was known before its begin */
  async function recoverOne(former: Former, before: readonly Uint8Array[]): Promise<Uint8Array> {
    const { path, lane, lanes, segments } = former
    const known = newExporters(settings.sampling)
    try {
      for (const state of before) addSnapshot(known, state, inLane(lane, lanes))
      const spool = spoolOf(former)
      const recovery = await recover(spool, segments, undefined, settings, options, known)
      former.shelf = newShelf({
        ...options, spool, directory: path, isHeldUp: () => false,
        onFormersGone(recovered) {
          if (recovered > 0) onRecovered(recovered)
          void removeFinished()
        },
      })
      former.shelf.putFormers(recovery.formers, settings)
      return former.known = saveExporters(recovery.exporters)
    } catch (error) {
      onError(error)
      return saveExporters(known)
    }
  }

  /** Remove a spool of which nothing is wanted any more. */
  async function remove(former: Former): Promise<void> {
    const { path, lock } = former
    try {
      for (const { path: file, statePath } of await listSegments(path)) {
        await rm(file, { force: true })
        await rm(statePath, { force: true })
      }
      for (const name of await readdir(path)) {
        if (name.endsWith(UNFINISHED_EXTENSION)) await rm(join(path, name), { force: true })
      }
      removeReserve(path)
      lock.release()
      if (path !== root) await rmdir(path)
      former.isGone = true
    } catch (error) {
      onError(error)
    }
  }

  function removeFinished(): Promise<void> {
    return inTurn(async () => {
      const finished = formers.filter((former) => isReleased && !former.isGone && waitingIn(former) === 0)
      for (const former of finished) await remove(former)
    })
  }

  return {
    isEmpty: formers.every(({ segments }) => segments.length === 0),
    get waiting() { return formers.reduce((sum, former) => sum + waitingIn(former), 0) },
    get bytes() { return formers.reduce((sum, { bytes }) => sum + bytes, 0) },
    recover() {
      const done = recoverAll()
      working = done
      return done
    },
    async release() {
      if (formers.length === 0) return
      await syncFolder(root) // a power cut must not take the folders of those who keep it now
      isReleased = true
      await removeFinished()
    },
    async stop() {
      await working
      await Promise.all(formers.map(({ shelf }) => shelf?.stop()))
      await removeFinished()
      for (const lock of locks) lock.release()
    },
  }
}

function waitingIn({ shelf, segments }: Former): number {
  return shelf ? shelf.waiting : segments.filter(({ size }) => size > 0).length
}

/** The spool that a former collector has left. Its last segment stays, since it tells what was known. */
function spoolOf(former: Former): ShelfOptions['spool'] {
  const { path: folder, segments } = former
  function find(id: string): SpoolSegment {
    return segments.find((segment) => segment.id === id)!
  }
  return {
    has: (id) => segments.some((segment) => segment.id === id),
    readState: (id) => readState(find(id).statePath),
    async writeState(id, state) {
      const { sequence, statePath } = find(id)
      await writeState(statePath, join(folder, segmentName(sequence, id) + UNFINISHED_EXTENSION), state)
    },
    async remove(id) {
      const { path, statePath, size } = find(id)
      former.bytes -= size
      if (id === segments.at(-1)!.id) return
      await rm(path, { force: true })
      await rm(statePath, { force: true }) // last: without it, the segment could not be read again
    },
  }
}

/**
 * Add what former collectors knew to what is known, and make it durable.
 *
 * @param states as `FormerSpools.recover` gave them
 * @param isOwn which exporters are wanted
 * @param keep makes a snapshot of all that is known durable
 * @returns whether it is; the error is told
 */
export async function inherit(
  exporters: Exporters, states: readonly Uint8Array[], isOwn: (source: Readonly<SourceAddress>) => boolean,
  keep: (state: Uint8Array) => Promise<void>, onError: (error: unknown) => void,
): Promise<boolean> {
  try {
    for (const state of states) addSnapshot(exporters, state, isOwn)
    if (states.length > 0) await keep(saveExporters(exporters))
    return true
  } catch (error) {
    onError(error)
    return false
  }
}
