/** Reading inputs that go on: files that grow, are rotated and come, and streams. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { isArchive } from '../core/archive/places.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import type { FlowReader, InputFault } from '../core/flow/stream.ts'
import { filesBelow, filesMatching, filesOfArchive, filesOfLog, type Seen } from '../core/follow/listing.ts'
import type { Place } from '../core/follow/place.ts'
import { openWaker, type Waker } from '../core/follow/waker.ts'
import { followFiles, type FollowFilesOptions, type FollowSource } from './follow/files.ts'
import { followStream } from './follow/stream.ts'
import type { ReadRequest } from './format.ts'
import { findFormat } from './locations.ts'

/** What is followed, and who is told of it. */
export interface FollowOptions {
  /** As on the command line: files, folders, globs, `-`. A file need not be there yet. */
  readonly words: readonly string[]
  readonly stdin: AsyncIterable<Uint8Array>
  /** Name of the format, instead of telling it from the first bytes. */
  readonly format: string | undefined
  /** Its filter and window are only hints: what is given out has to be filtered. */
  readonly request: Omit<ReadRequest, 'onFault'>
  /** By input, where the last follower has left it. */
  readonly from: Readonly<Record<string, readonly Place[]>>
  /** Aborted when it is to end. */
  readonly signal: AbortSignal
  onFault(fault: InputFault): void
  /** Told in a sentence what was done about files that are no longer what they were. */
  onNote(note: string): void
}

/** Follows inputs. */
export interface Follower {
  /** All has been read, or it was told to end. */
  readonly isEnded: boolean
  /**
   * The flows up to `ms` after the first of them, or the end: what has come until then can be made durable
   * with `places`, so that it is not read again.
   */
  round(ms: number): FlowReader
  /** By input, how far it was read in the rounds so far. */
  places(): Promise<Record<string, Place[]>>
  close(): Promise<void>
}

/** ms from one look at the inputs to the next: at least, and at most while nobody tells of a change. */
const LEAST_WAIT = 50
const MOST_WAIT = 1000
/** A look takes no more than this part of the time, however many files there are. */
const LOOKING = 1 / 20

/**
 * Follow inputs until they end, which only streams do, or the signal is aborted.
 *
 * @throws FlowkitError ERR_OPTION about the format; the system error if an input cannot be looked at
 */
export async function openFollower(options: FollowOptions): Promise<Follower> {
  const { words, signal } = options
  const waker = openWaker(signal)
  const sources = new Map<string, FollowSource>()
  for (const word of words) {
    const name = word === '-' ? word : resolve(word)
    if (!sources.has(name)) sources.set(name, await sourceOf(word, name, options, waker))
  }
  const all = [...sources.values()]
  const flows = run()
  let deadline = Infinity // of the round
  let isEnded = false

  async function* run(): AsyncGenerator<FlowBatch | undefined> {
    while (!signal.aborted) {
      const begun = performance.now()
      for (const source of all) yield* source.look()
      const now = performance.now()
      if (all.every((source) => source.isEnded)) return
      yield undefined // so that the round can end
      waker.watch(all.flatMap((source) => [...source.folders()]))
      const most = Math.max(MOST_WAIT, (now - begun) / LOOKING)
      await waker.wait(LEAST_WAIT, Math.min(most, Math.max(0, deadline - performance.now())))
    }
  }

  return {
    get isEnded() { return isEnded },
    async *round(ms) {
      deadline = Infinity
      while (!isEnded) {
        const { value, done } = await flows.next()
        if (done) isEnded = true
        else if (value) {
          deadline = Math.min(deadline, performance.now() + ms)
          yield value
        }
        if (all.some(({ isBusy }) => isBusy)) continue
        if (signal.aborted) isEnded = true
        if (performance.now() >= deadline) return
      }
    },
    async places() {
      const found: Record<string, Place[]> = {}
      for (const [name, source] of sources) {
        const places = await source.places()
        if (places.length > 0) found[name] = places
      }
      return found
    },
    async close() {
      waker.close()
      for (const source of all) await source.close()
    },
  }
}

async function sourceOf(
  word: string, name: string, options: FollowOptions, waker: Waker,
): Promise<FollowSource> {
  const { stdin, request, from, onFault, onNote } = options
  const forced = options.format === undefined ? undefined : findFormat(options.format)
  const stream = { forced, request, onFault, onMore: () => waker.wake() }
  if (word === '-') return followStream(stdin, { ...stream, name: 'standard input' })
  const info = await stat(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (info && !info.isFile() && !info.isDirectory()) {
    return followStream(createReadStream(name), { ...stream, name: word })
  }
  const files = { forced, request, onFault, onNote, from: from[name] ?? [], isLog: false, areWhole: false }
  return followFiles({ ...files, ...await listOf(word, name, info?.isDirectory(), options) })
}

/** How the files are found that a word names. */
async function listOf(
  word: string, path: string, isFolder: boolean | undefined, { request, onNote }: FollowOptions,
): Promise<Pick<FollowFilesOptions, 'list' | 'roots'> & Partial<FollowFilesOptions>> {
  if (isFolder && await isArchive(path)) {
    const known = new Map<string, Seen>()
    return {
      areWhole: true, roots: [path],
      async list() {
        const files = await filesOfArchive(path, request, known)
        known.clear()
        for (const file of files) known.set(file.path, file)
        return files
      },
    }
  }
  if (isFolder) return { roots: [path], list: () => filesBelow(path) }
  if (isFolder === undefined && /[*?[{]/.test(word)) {
    return { roots: [dirname(path.replace(/[*?[{].*/s, 'x'))], list: () => filesMatching(path) }
  }
  if (isFolder === undefined) onNote(`${word} is not there yet`)
  return { isLog: true, roots: [dirname(path)], list: (last) => filesOfLog(path, last) }
}
