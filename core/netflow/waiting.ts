import { LIMITS, SET_OVERHEAD } from './limits.ts'
import type { MessageHeader } from './message.ts'

/** A data set whose template has not come yet. */
export interface WaitingSet {
  readonly templateId: number
  /** The set's contents, without its header. */
  readonly bytes: Uint8Array
  readonly header: MessageHeader
}

/** What waits for templates in a domain. */
export interface Waiting {
  readonly byTemplate: Map<number, WaitingSet[]>
  bytes: number
  /** Whether some of it was given up since all that waited was last decoded. */
  incomplete: boolean
}

/** What waits in all domains. */
export interface AllWaiting {
  waitingBytes: number
}

/** Nothing waits. */
export function newWaiting(): Waiting {
  return { byTemplate: new Map(), bytes: 0, incomplete: false }
}

/**
 * Keep a data set until its template comes; the oldest sets give way when there are too many.
 *
 * @returns how many sets were given up for it, or 1 if that is itself
 */
export function holdSet(all: AllWaiting, waiting: Waiting, set: WaitingSet): number {
  const size = set.bytes.length + SET_OVERHEAD
  const { byTemplate } = waiting
  let abandoned = 0
  if (size > LIMITS.waitingBytesPerDomain || all.waitingBytes + size > LIMITS.waitingBytes) {
    waiting.incomplete = true
    return 1
  }
  while (waiting.bytes + size > LIMITS.waitingBytesPerDomain) {
    const [[id, sets]] = byTemplate
    unwait(all, waiting, sets[0])
    sets.shift()
    if (sets.length === 0) byTemplate.delete(id)
    abandoned++
  }
  if (abandoned > 0) waiting.incomplete = true
  const sets = byTemplate.get(set.templateId)
  if (sets) sets.push(set)
  else byTemplate.set(set.templateId, [set])
  waiting.bytes += size
  all.waitingBytes += size
  return abandoned
}

/** Take out the sets that wait for template `id`, oldest first. */
export function releaseSets(all: AllWaiting, waiting: Waiting, id: number): readonly WaitingSet[] {
  const sets = waiting.byTemplate.get(id) ?? []
  waiting.byTemplate.delete(id)
  for (const set of sets) unwait(all, waiting, set)
  return sets
}

function unwait(all: AllWaiting, waiting: Waiting, { bytes }: WaitingSet): void {
  waiting.bytes -= bytes.length + SET_OVERHEAD
  all.waitingBytes -= bytes.length + SET_OVERHEAD
}
