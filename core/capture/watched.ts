/** The interfaces that are captured from, which come and go. */
import { FlowkitError } from '../flow/errors.ts'
import type { PacketBatch } from './batch.ts'
import { isMeant, type Interface } from './interfaces.ts'
import type { InterfaceReport, LiveCaptureOptions } from './options.ts'
import { cannotCapture, explainFailure, type Tap, type TapOpener } from './tap.ts'
import type { FdSet } from './wait.ts'

/** Interfaces, and what comes from them. */
export interface Watched {
  /** Whether all that has come was given out, and nothing more will. */
  readonly isEmpty: boolean
  /** Fill the batch with packets of the next interface that has some. @returns how many */
  fill(batch: PacketBatch): number
  /** See which interfaces there are, and capture from them. */
  look(): Promise<void>
  takeErrors(descriptors: readonly number[]): void
  report(): InterfaceReport[]
  stop(): void
  close(): void
}

/** An interface of one name, whatever became of it. */
interface Entry {
  readonly name: string
  index: number
  isUp: boolean
  /** Where its packets come from; undefined while it is not there. */
  tap: Tap | undefined
  /** What was last said of it. */
  said: string
  /** Counts of taps that are closed. */
  received: number
  dropped: number
  freezes: number
}

/** A tap that takes nothing more. */
interface Leaving {
  readonly tap: Tap
  readonly entry: Entry
}

/**
 * Capture from the interfaces that the options name.
 *
 * @param set holds the descriptors of those there are
 * @throws FlowkitError where one that is named, not by a pattern, cannot be captured from
 */
export async function watchInterfaces(
  opener: TapOpener, { interfaces, onNote }: LiveCaptureOptions, set: FdSet,
): Promise<Watched> {
  const { finder } = opener
  const entries = new Map<string, Entry>()
  let taps: readonly Tap[] = []
  let leaving: readonly Leaving[] = []
  let turn = 0
  let given: Tap | undefined // whose packets the batch has
  let isLooking = false
  let isStopped = false

  function listTaps(): void {
    const current = [...entries.values()].flatMap(({ tap }) => tap ?? [])
    taps = [...current, ...leaving.map(({ tap }) => tap)]
  }

  function names(): string[] {
    const all = finder.names()
    const found = all.filter((name) => interfaces.some((pattern) => isMeant(name, pattern)))
    return [...new Set([...found, ...entries.keys()])]
  }

  function entryOf(name: string): Entry {
    let entry = entries.get(name)
    if (entry === undefined) {
      entry = { name, index: 0, isUp: true, tap: undefined, said: '', received: 0, dropped: 0, freezes: 0 }
      entries.set(name, entry)
    }
    return entry
  }

  /** @throws FlowkitError */
  async function open(entry: Entry, from: Interface): Promise<void> {
    const tap = await opener.open(from)
    if (isStopped) return tap.close()
    if (tap.fd >= 0) set.add(tap.fd)
    entry.tap = tap
    entry.index = from.index
    entry.isUp = true // until `tellState`
    listTaps()
  }

  function say(entry: Entry, text: string): void {
    if (entry.said !== text) onNote(text)
    entry.said = text
  }

  function leave(entry: Entry): void {
    const { tap } = entry
    if (tap === undefined) return
    tap.stop()
    entry.tap = undefined
    leaving = [...leaving, { tap, entry }]
    listTaps()
  }

  function closeTap({ tap, entry }: Leaving): void {
    if (tap.fd >= 0) set.remove(tap.fd)
    tap.close()
    const { received, dropped, freezes } = tap.counts()
    entry.received += received
    entry.dropped += dropped
    entry.freezes += freezes
  }

  function closeEmpty(): void {
    const empty = leaving.filter(({ tap }) => tap !== given && (tap.isBroken || tap.isEmpty))
    if (empty.length === 0) return
    leaving = leaving.filter((each) => !empty.includes(each))
    listTaps()
    for (const each of empty) closeTap(each)
  }

  function tellState(entry: Entry, { isUp }: Interface): void {
    if (entry.isUp === isUp) return
    entry.isUp = isUp
    say(entry, `${entry.name} is ${isUp ? 'up again' : 'down: it is captured from once it is up'}`)
  }

  async function lookAt(entry: Entry): Promise<void> {
    const { name } = entry
    const from = finder.find(name)
    if (entry.tap !== undefined && (from?.index !== entry.tap.index || entry.tap.isBroken)) {
      leave(entry)
      if (from === undefined) say(entry, `${name} has gone: it is captured from again once it is back`)
    }
    if (from === undefined) return
    if (entry.tap === undefined) {
      const isBack = entry.index > 0
      try {
        await open(entry, from)
        say(entry, `${name} is ${isBack ? 'back' : 'there'}: it is captured from`)
      } catch (error) {
        say(entry, explainFailure(name, error).message)
      }
    } else tellState(entry, from)
  }

  async function look(): Promise<void> {
    if (isLooking || isStopped) return
    isLooking = true
    try {
      closeEmpty()
      for (const name of names()) {
        await lookAt(entryOf(name))
        if (isStopped) return
      }
    } finally {
      isLooking = false
    }
  }

  function closeAll(): void {
    isStopped = true
    for (const entry of entries.values()) leave(entry)
    for (const each of leaving) closeTap(each)
    leaving = []
    taps = []
  }

  try {
    const missing = interfaces.find((name) => !name.endsWith('*') && finder.find(name) === undefined)
    if (missing !== undefined) throw cannotCapture(missing, 'ENODEV')
    for (const name of names()) {
      const from = finder.find(name)
      if (from === undefined) continue // gone meanwhile
      const entry = entryOf(name)
      const isNamed = interfaces.includes(name)
      try {
        await open(entry, from)
        tellState(entry, from)
      } catch (error) {
        if (isNamed || !(error instanceof FlowkitError) || error.code === 'ERR_OPTION') throw error
        say(entry, error.message)
      }
    }
    const idle = interfaces.filter((pattern) => ![...entries.keys()].some((name) => isMeant(name, pattern)))
    if (idle.length > 0) onNote(`there is no interface ${idle.join(', ')} yet`)
  } catch (error) {
    closeAll()
    throw error
  }

  return {
    get isEmpty() { return taps.every((tap) => tap.isEmpty) },
    fill(batch) {
      given?.release()
      given = undefined
      for (let tries = taps.length; tries > 0; tries--) {
        if (turn >= taps.length) turn = 0
        const tap = taps[turn++]
        const count = tap.fill(batch)
        if (count === 0) continue
        given = tap
        return count
      }
      return 0
    },
    look,
    takeErrors(descriptors) {
      for (const tap of taps) if (descriptors.includes(tap.fd)) tap.takeError()
    },
    report() {
      return [...entries.values()].map((entry): InterfaceReport => {
        const { name, index, tap } = entry
        const former = leaving.filter((each) => each.entry === entry).map((each) => each.tap)
        let { received, dropped, freezes } = entry
        for (const each of [...tap ? [tap] : [], ...former]) {
          const counts = each.counts()
          received += counts.received
          dropped += counts.dropped
          freezes += counts.freezes
        }
        return { name, index, isOpen: tap !== undefined, received, dropped, freezes }
      })
    },
    stop() {
      isStopped = true
      for (const { tap } of entries.values()) tap?.stop()
    },
    close: closeAll,
  }
}
