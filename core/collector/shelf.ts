import { FlowkitError } from '../flow/errors.ts'
import type { Exporters } from '../netflow/exporters.ts'
import { restoreExporters, saveExporters } from '../netflow/snapshot.ts'
import { newFeed, TICK, type Brought, type Ended, type Feed } from './feed.ts'
import {
  bringSegment, exportersAt, passSegment, readExporters, withFilter, type Former, type ReplayOptions,
  type SegmentSettings,
} from './replay.ts'
import type { Sink } from '../sinks/sink.ts'
import { listSegments, type SpoolSegment } from '../spool/files.ts'
import type { Spool } from '../spool/spool.ts'

/** Segments that have ended: they stay in the spool until all sinks have them, and the next has its state. */
export interface Shelf {
  /** Of the sinks, in their order. */
  readonly feeds: readonly Feed[]
  /** How many segments there are. */
  readonly waiting: number
  /**
   * Put a segment there; who calls it tells the feeds.
   *
   * @param feeds of sinks that do not have it; maybe none
   * @param unkept the state that the next begins with, if it could not be written
   */
  put(ended: Ended, feeds: readonly Feed[], unkept?: Uint8Array): void
  /** Put segments of a former process there: the sinks get those that they lack. */
  putFormers(formers: readonly Former[], settings: SegmentSettings): void
  /** Let go of the oldest segment that sinks lack. @returns its id; undefined if there is none */
  letGo(): string | undefined
  /**
   * Wait for the feeds to stop, and try once more to make states.
   *
   * What happens to segments afterwards is nobody's affair any more.
   */
  stop(): Promise<void>
}

/** What a shelf is made with. */
export interface ShelfOptions extends ReplayOptions {
  readonly spool: Pick<Spool, 'has' | 'readState' | 'writeState' | 'remove'>
  /** The folder of the spool. */
  readonly directory: string
  readonly sinks: readonly Sink[]
  /** Whether decoding waits for the feeds. */
  isHeldUp(): boolean
  /** Told once the last segment of former processes is gone, and how many were decoded again. */
  onFormersGone(recovered: number): void
}

/** A segment, and what it waits for. */
interface Place {
  readonly ended: Ended
  readonly feeds: Set<Feed>
  /** Whether the next lacks the state that it begins with. */
  lacksState: boolean
  /** That state, if it is known; otherwise it is made by decoding this one. */
  state: Uint8Array | undefined
}

/** How long is waited before states are written again that could not be, in ms: doubled each time. */
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 60_000
/** Bytes of states that may wait in memory. */
const STATE_MEMORY = 64 * 2 ** 20

/** An empty shelf. */
export function newShelf(options: ShelfOptions): Shelf {
  const { spool, directory, onError, isHeldUp } = options
  const places = new Map<string, Place>() // the oldest first
  const removing = new Set<Promise<void>>()
  const formers = new Set<string>() // those that another process has decoded
  const recovered = new Set<string>()
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let making: Promise<void> | undefined
  let pause = FIRST_PAUSE
  const feeds: Feed[] = options.sinks.map((sink) => newFeed({
    sink, onError,
    onFile: options.onFile,
    bring: (ended, onProgress, isOver) => bring(sink, ended, onProgress, isOver),
    onDone: ({ segment }) => {
      const place = places.get(segment)
      // an index, since the list is complete before the first is done
      if (place && !isStopped && place.feeds.delete(feeds[options.sinks.indexOf(sink)])) settle(place)
    },
  }))
  const ticking = setInterval(() => {
    const isWaiting = isHeldUp()
    const othersKeepUp = feeds.some(({ keepsUp }) => keepsUp)
    for (const feed of feeds) feed.tick(isWaiting, othersKeepUp)
  }, TICK).unref()

  async function bring(
    sink: Sink, { segment, next, rows, isSpooled, settings }: Ended, onProgress: () => void,
    isOver: () => boolean,
  ): Promise<Brought> {
    if (rows === undefined && await sink.has(segment)) return 'there'
    let found: SpoolSegment | undefined
    let exporters: Exporters
    let ending: Exporters | undefined
    try {
      found = await find(segment)
      if (!found) return [] // and its flows are lost
      exporters = heldAt(segment, settings) ?? await exportersAt(spool, directory, segment, settings, options)
      if (!isSpooled && spool.has(next)) {
        ending = heldAt(next, settings) ?? await readExporters(spool, next, settings, onError)
      }
    } catch (error) {
      onError(error)
      return 'unreadable'
    }
    if (rows === undefined) recovered.add(segment)
    return bringSegment(sink, found, exporters, withFilter(options, settings), onProgress, isOver, ending)
  }

  /** The exporters as they are at the beginning of a segment, where that is in memory only. */
  function heldAt(segment: string, { sampling }: SegmentSettings): Exporters | undefined {
    const { state } = [...places.values()].find(({ ended }) => ended.next === segment) ?? {}
    return state && restoreExporters(state, sampling)
  }

  /** A segment in the folder; undefined, and told, if somebody has removed it. */
  async function find(segment: string): Promise<SpoolSegment | undefined> {
    const found = (await listSegments(directory)).find(({ id }) => id === segment)
    if (!found) {
      const message = `Cannot find segment ${segment} in "${directory}": it was removed`
      onError(new FlowkitError('ERR_INPUT', message))
    }
    return found
  }

  /** Remove a segment that nobody wants any more. */
  function settle(place: Place): void {
    const { ended: { segment }, lacksState } = place
    if (place.feeds.size > 0 || lacksState) return
    const done = spool.remove(segment).catch(onError).finally(() => {
      removing.delete(done)
      take(segment)
    })
    removing.add(done)
  }

  /** Take a segment from the shelf. */
  function take(segment: string): void {
    places.delete(segment)
    if (formers.delete(segment) && formers.size === 0) options.onFormersGone(recovered.size)
  }

  function makeStatesLater(): void {
    if (isStopped || making || ![...places.values()].some(({ lacksState }) => lacksState)) return
    timer ??= setTimeout(() => {
      timer = undefined
      making = makeStates().finally(() => {
        making = undefined
        makeStatesLater()
      })
    }, pause)
  }

  async function makeStates(): Promise<void> {
    for (const place of places.values()) {
      if (!place.lacksState) continue
      try {
        await makeState(place)
      } catch (error) {
        pause = Math.min(pause * 2, LONGEST_PAUSE)
        return onError(error)
      }
      pause = FIRST_PAUSE
      place.lacksState = false
      place.state = undefined
      settle(place)
    }
  }

  async function makeState({ ended: { segment, next, settings }, state }: Place): Promise<void> {
    if (!spool.has(next)) return
    if (state) return spool.writeState(next, state)
    const found = await find(segment)
    if (!found) return
    const exporters = await exportersAt(spool, directory, segment, settings, options)
    await passSegment(found, exporters, withFilter(options, settings))
    await spool.writeState(next, saveExporters(exporters))
  }

  function put(
    ended: Ended, lackedBy: readonly Feed[], lacksState: boolean, state: Uint8Array | undefined,
  ): void {
    const held = [...places.values()].reduce((sum, place) => sum + (place.state?.length ?? 0), 0)
    const place: Place = {
      ended, feeds: new Set(lackedBy), lacksState,
      state: state && held + state.length <= STATE_MEMORY ? state : undefined,
    }
    places.set(ended.segment, place)
    if (ended.rows === undefined) formers.add(ended.segment)
    settle(place)
    makeStatesLater()
  }

  return {
    feeds,
    get waiting() { return places.size },
    put(ended, lackedBy, unkept) {
      put(ended, lackedBy, unkept !== undefined, unkept)
    },
    putFormers(former, settings) {
      for (const { segment, next, isEmpty, lacksState } of former) {
        const ended: Ended = { segment, next, rows: undefined, isSpooled: true, settings }
        put(ended, isEmpty ? [] : feeds, lacksState, undefined)
        if (!isEmpty) for (const feed of feeds) feed.lack(ended)
      }
    },
    letGo() {
      for (const { ended: each, feeds: lackedBy, lacksState } of places.values()) {
        const owners = [...lackedBy]
        if (owners.length === 0 || lacksState || !owners.every((feed) => feed.lacks(each))) continue
        for (const feed of owners) feed.lose(each)
        take(each.segment)
        const names = owners.map(({ report }) => report.name).join(', ')
        const reason = `the spool is full, ${each.rows ?? 'its'} flows are lost`
        onError(new FlowkitError('ERR_LIMIT', `Cannot keep segment ${each.segment} for ${names}: ${reason}`))
        return each.segment
      }
      return undefined
    },
    async stop() {
      await Promise.all(feeds.map((feed) => feed.stop()))
      clearTimeout(timer)
      await making
      await makeStates()
      await Promise.all(removing)
      isStopped = true
      clearInterval(ticking)
    },
  }
}
