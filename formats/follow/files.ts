import { dirname } from 'node:path'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import type { InputFault } from '../../core/flow/stream.ts'
import type { Seen } from '../../core/follow/listing.ts'
import { continues, type Place } from '../../core/follow/place.ts'
import type { FlowFormat, ReadRequest } from '../format.ts'
import { HEAD_SIZE, inputOfPath, tellFile } from '../locations.ts'
import { openGrowing, type GrowingFile } from './file.ts'

/** What an input of a follower is: files, or a stream. */
export interface FollowSource {
  /** All flows that are there now. */
  look(): AsyncGenerator<FlowBatch>
  /** Nothing will come any more. */
  readonly isEnded: boolean
  /** In the middle of something that cannot be gone on with from there. */
  readonly isBusy: boolean
  /** How far everything is read, all flows given out being taken. */
  places(): Promise<Place[]>
  /** Folders in which something happens when there is more. */
  folders(): Iterable<string>
  close(): Promise<void>
}

/** How to follow files. */
export interface FollowFilesOptions {
  /** The files there are, in the order in which they are to be read. */
  list(last: Place | undefined): Promise<Seen[]>
  /** There is one at a time: what has come in its place goes on where it ended. */
  readonly isLog: boolean
  /** Files have their names once they are whole. */
  readonly areWhole: boolean
  /** Folders to watch beside those of files that are read. */
  readonly roots: readonly string[]
  readonly forced: FlowFormat | undefined
  readonly request: Omit<ReadRequest, 'onFault'>
  readonly from: readonly Place[]
  onFault(fault: InputFault): void
  /** Told in a sentence what was done about files that are no longer what they were. */
  onNote(note: string): void
}

/** A file, and how far it is read. */
interface Entry {
  seen: Seen
  place: Place
  /** While it may grow. */
  file?: GrowingFile | undefined
}

/** ms without a change after which a file that is read as a whole is taken to be whole. */
const SETTLED = 2000
/** ms without a change after which a file is finished that another one follows. */
const FINISHED = 60_000
/** Files that are open at a time. */
const MOST_OPEN = 64

/** Follow files: those that are there, those that come, and those that grow. */
export function followFiles(options: FollowFilesOptions): FollowSource {
  const { list, isLog, areWhole, roots, forced, request, onFault, onNote } = options
  const entries = new Map<string, Entry>() // by id
  const ignored = new Map<string, number>() // sizes of files without flows, by id
  const told = new Set<string>() // ids of those that were said to be none
  const left = new Map(options.from.map((place) => [place.id, place])) // by those before us
  let last = options.from.at(-1)
  let lost: Place | undefined // of a log that has become another file, while the rest of it is not found
  let folders: string[] = []
  let isBusy = false

  async function* look(): AsyncGenerator<FlowBatch> {
    const files = await list(last)
    folders = [...new Set([...roots, ...files.slice(-1).map(({ path }) => dirname(path))])]
    const present = new Set(files.map(({ id }) => id))
    const wasOpen = last && entries.get(last.id)?.file !== undefined
    lost = isLog && files.slice(0, -1).every(({ id }) => id !== last?.id) ? last : undefined
    for (const [id, entry] of entries) {
      if (present.has(id)) continue
      if (entry.file) yield* entry.file.read()
      if (isLog && files.length === 0) continue // nothing has come in its place yet
      yield* finish(entry)
      entries.delete(id)
    }
    for (const id of ignored.keys()) if (!present.has(id)) ignored.delete(id)
    for (const [i, seen] of files.entries()) yield* lookAt(seen, i === files.length - 1)
    if (isLog && files.length === 0) return
    if (lost && lost.offset > 0 && !wasOpen && !present.has(lost.id)) {
      onNote(`${lost.path} was replaced: what was not read of it is not found`)
    }
    left.clear() // those that are not there any more
    if (isLog) last = entries.get(files.at(-1)!.id)?.place ?? last
    await closeOldest()
  }

  async function* lookAt(seen: Seen, isLast: boolean): AsyncGenerator<FlowBatch> {
    try {
      const entry = await entryOf(seen)
      if (entry) {
        if (entry.file) yield* entry.file.read()
        if (entry.file) entry.place = await entry.file.place()
        const isFinished = !isLast && (isLog || Date.now() - seen.changed >= FINISHED)
        if (isFinished) yield* finish(entry)
      } else if (!ignored.has(seen.id)) yield* readWhole(seen)
    } catch (error) {
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
      if (!isGone) throw error
    }
  }

  /** The entry of a file that can be read while it grows, opened if there is something new. */
  async function entryOf(seen: Seen): Promise<Entry | undefined> {
    let entry = entries.get(seen.id)
    const isSame = entry && entry.seen.size === seen.size && entry.seen.changed === seen.changed
    if (entry && isSame) return entry
    if (ignored.get(seen.id) === seen.size) return undefined
    ignored.delete(seen.id)
    if (entry && !await isContinued(seen, entry.place)) {
      await entry.file?.close()
      entries.delete(seen.id)
      entry = undefined
    }
    if (entry?.place.tail === '') return changedWhole(seen, entry)
    const from = entry ? entry.place : await placeLeft(seen)
    if (entry?.file) return Object.assign(entry, { seen })
    if (from?.tail === '') return keep(seen, { seen, place: from })
    const format = await formatOf(seen)
    if (!format) return undefined
    const file = await openGrowing(seen.path, {
      from, onFault: (fault) => onFault({ ...fault, input: seen.path }),
      decoder: (report) => format.decoder!({ ...request, onFault: report }),
    })
    return keep(seen, { seen, file, place: await file.place() })
  }

  function keep(seen: Seen, entry: Entry): Entry {
    entries.set(seen.id, entry)
    return entry
  }

  /** Whether a file holds what its place says; says so where it does not under the same name. */
  async function isContinued(seen: Seen, place: Place): Promise<boolean> {
    const isIt = place.tail === ''
      ? place.path === seen.path && place.offset <= seen.size
      : seen.size >= place.offset && await continues(seen.path, place)
    if (!isIt && place.path === seen.path && place.offset > 0) {
      const what = seen.size < place.offset ? `cut from ${place.offset} to ${seen.size} bytes` : 'replaced'
      onNote(`${seen.path} was ${what}: it is read from its beginning`)
    }
    return isIt
  }

  /** Where those before us, or we under another name, have left a file. */
  async function placeLeft(seen: Seen): Promise<Place | undefined> {
    const own = left.get(seen.id)
    left.delete(seen.id)
    if (own && await isContinued(seen, own)) return own
    const place = lost
    const isCopy = place && place.tail !== '' && place.offset > 0 && seen.size >= place.offset
      && await continues(seen.path, place)
    if (!isCopy) return undefined
    lost = undefined
    return place
  }

  /** The format of what can be read while it grows; undefined for all else. */
  async function formatOf(seen: Seen): Promise<FlowFormat | undefined> {
    try {
      const { format, wrapping } = await tellFile(seen.path, forced)
      return format.decoder && !wrapping ? format : undefined
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      const { code, message } = error
      const isOther = code === 'ERR_UNSUPPORTED' || code === 'ERR_INPUT' // no flow file, or not enough of it
      if ((!isOther || (isLog && seen.size >= HEAD_SIZE)) && !told.has(seen.id)) {
        onFault({ code, reason: message, input: seen.path })
        told.add(seen.id)
      }
      ignored.set(seen.id, seen.size)
      return undefined
    }
  }

  /** Read what can be read only once it is whole. */
  async function* readWhole(seen: Seen): AsyncGenerator<FlowBatch> {
    if (!areWhole && Math.abs(Date.now() - seen.changed) < SETTLED) return
    const { path, id, size: offset, changed } = seen
    let rows = 0
    isBusy = true
    try {
      const input = await inputOfPath(path, forced)
      const flows = input.open({ ...request, onFault: (fault) => onFault({ ...fault, input: path }) })
      for await (const batch of flows) {
        rows += batch.length
        yield batch
      }
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      onFault({ code: error.code, reason: error.message, input: path })
    } finally {
      isBusy = false
    }
    keep(seen, { seen, place: { path, id, offset, rows, tail: '', changed } })
  }

  function changedWhole(seen: Seen, entry: Entry): Entry {
    if (seen.size !== entry.place.offset) {
      onNote(`${seen.path} has changed since it was read: that is left out`)
    }
    return Object.assign(entry, { seen })
  }

  async function* finish(entry: Entry): AsyncGenerator<FlowBatch> {
    const { file } = entry
    if (!file) return
    yield* file.finish()
    entry.place = await file.place()
    entry.file = undefined
    await file.close()
  }

  /** Let go of the files that have not grown for the longest: they are opened again when they do. */
  async function closeOldest(): Promise<void> {
    const open = [...entries.values()].filter(({ file }) => file)
    if (open.length <= MOST_OPEN) return
    open.sort((a, b) => a.seen.changed - b.seen.changed)
    for (const entry of open.slice(0, open.length - MOST_OPEN)) {
      await entry.file!.close()
      entry.file = undefined
    }
  }

  return {
    look,
    isEnded: false,
    get isBusy() { return isBusy },
    async places() {
      const places: Place[] = []
      for (const { file, place } of entries.values()) places.push(file ? await file.place() : place)
      return [...left.values(), ...places]
    },
    folders: () => folders,
    async close() {
      for (const { file } of entries.values()) await file?.close()
    },
  }
}
