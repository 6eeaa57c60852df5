import { setImmediate } from 'node:timers/promises'
import type { ArchiveFile } from '../archive/writer.ts'
import type { FlowkitError } from '../flow/errors.ts'
import { forgetSessions, newExporters, type Exporters } from '../netflow/exporters.ts'
import type { SamplingRules } from '../netflow/sampling-rules.ts'
import { restoreExporters, saveExporters } from '../netflow/snapshot.ts'
import {
  newDecoding, type DecodingCounts, type DecodingOptions, type RowFilter, type Taker,
} from './decoding.ts'
import { closedLedger, closeLedger, endLedger } from './ledger.ts'
import type { Sink } from '../sinks/sink.ts'
import { listSegments, type SpoolSegment } from '../spool/files.ts'
import { readSegment } from '../spool/segment.ts'
import type { Spool } from '../spool/spool.ts'

/** What holds for a whole segment. */
export interface SegmentSettings {
  readonly filter?: RowFilter | undefined
  readonly sampling: SamplingRules
}

/** Who is told of what. */
export interface ReplayOptions extends Omit<DecodingOptions, 'filter'> {
  /** Told of damage in the spool, and of sinks that fail. */
  onError(error: unknown): void
  /** Told of files that have their names now. */
  onFile(path: string, rows: number, leftOut?: readonly string[]): void
}

/** The options of decoding with a segment's filter. */
export function withFilter(
  options: ReplayOptions, { filter }: SegmentSettings,
): ReplayOptions & DecodingOptions {
  return { ...options, filter }
}

/** Datagrams decoded at a time, before the sockets are looked after. */
const TURN = 512

/**
 * Decode a segment of the spool again.
 *
 * @param exporters as they were at its beginning; they become what they are at its end
 * @param isOver asked now and then: whether to stop before the end
 * @throws the system error when it cannot be read
 */
async function decodeSegment(
  { path, size }: SpoolSegment, exporters: Exporters, takers: readonly Taker[],
  options: DecodingOptions & Pick<ReplayOptions, 'onError'>, isOver: () => boolean = () => false,
): Promise<void> {
  if (size === 0) return // there may be no file
  const counts: DecodingCounts = { records: 0, filtered: 0, counterSamples: 0 }
  let wake: () => void = () => {}
  const decoding = newDecoding(exporters, options, counts, takers, () => wake())
  for await (const { bytes, view, start, end } of readSegment(path, options.onError)) {
    if (isOver()) return
    for (let at = start; at < end && !isOver();) {
      if (!decoding.isFree) await new Promise<void>((resolve) => { wake = resolve })
      at = decoding.decode(bytes, view, at, end, TURN)
      await setImmediate()
    }
  }
  await decoding.flush()
}

/** Decode a segment for what is known of exporters at its end. @throws as decodeSegment */
export async function passSegment(
  segment: SpoolSegment, exporters: Exporters, options: ReplayOptions & DecodingOptions,
): Promise<void> {
  await decodeSegment(segment, exporters, [], options)
  if (segment.size > 0) endLedger(exporters)
}

/**
 * Decode a segment again, into a sink that does not have it.
 *
 * @param exporters as they were at its beginning
 * @param onProgress called whenever the sink has taken something
 * @param isOver whether nobody waits for it any more: then the sink does not have it
 * @param ending as they were at its end, where decoding it again does not tell
 * @returns its files; or that it cannot be read, which is told
 * @throws what the sink does
 */
export async function bringSegment(
  sink: Sink, segment: SpoolSegment, exporters: Exporters, options: ReplayOptions & DecodingOptions,
  onProgress: () => void, isOver: () => boolean, ending?: Exporters,
): Promise<readonly ArchiveFile[] | 'unreadable'> {
  const { onError } = options
  const writer = await sink.open(segment.id)
  let failure: { readonly error: unknown } | undefined
  async function take(writing: () => Promise<void>): Promise<boolean> {
    try {
      if (!failure) await writing()
    } catch (error) {
      failure ??= { error }
    }
    onProgress()
    return true
  }
  const taker: Taker = {
    write: (batch) => take(() => writer.write(batch)),
    writeCounters: (samples) => take(() => writer.writeCounters(samples)),
  }
  try {
    try {
      await decodeSegment(segment, exporters, [taker], options, () => failure !== undefined || isOver())
    } catch (error) {
      onError(error)
      return 'unreadable'
    }
    if (failure) throw failure.error
    if (isOver()) return []
    return await writer.rotate({ ledger: ending ? closedLedger(ending) : closeLedger(exporters) })
  } finally {
    await writer.abort().catch(onError)
  }
}

/**
 * The exporters as they are at the beginning of a segment: as they were kept, or else by decoding those
 * before it that are still there.
 *
 * @throws the system error when these cannot be read
 */
export async function exportersAt(
  spool: SpoolStates, directory: string, segment: string, settings: SegmentSettings, options: ReplayOptions,
): Promise<Exporters> {
  const all = await listSegments(directory)
  const end = all.findIndex(({ id }) => id === segment)
  let exporters: Exporters | undefined
  let first = end
  for (; first >= 0 && !exporters; first--) {
    const { id, hasState } = all[first]
    if (hasState) exporters = await readExporters(spool, id, settings, options.onError)
  }
  const known = exporters ?? newExporters(settings.sampling)
  for (const each of all.slice(first + 1, end)) {
    await passSegment(each, known, withFilter(options, settings))
  }
  return known
}

/** A segment that was in the spool before. */
export interface Former {
  readonly segment: string
  /** The one behind it. */
  readonly next: string
  /** Whether something was written into it. */
  readonly isEmpty: boolean
  /** Whether that one lacks the state that it begins with. */
  readonly lacksState: boolean
}

/** What a spool held when it was opened. */
export interface Recovery {
  /** The exporters as they are at the beginning of the segment that is written to now. */
  readonly exporters: Exporters
  readonly formers: readonly Former[]
}

/** What is needed of a spool to know what was known at the beginning of its segments. */
export type SpoolStates = Pick<Spool, 'readState' | 'writeState'>

/**
 * Find out what is known at the end of a spool that was opened, and keep what is known at the beginning of
 * each segment: so whatever ends this suddenly, each can be decoded with the state that belongs to it.
 *
 * @param segments those that were in it before
 * @param first the segment behind them; undefined: there is none
 * @param known what was known before, for the first of the segments if that has no state
 */
export async function recover(
  spool: SpoolStates, segments: readonly SpoolSegment[], first: string | undefined, settings: SegmentSettings,
  options: ReplayOptions, known?: Exporters,
): Promise<Recovery> {
  const { onError } = options
  const formers: Former[] = []
  let exporters = known // at the beginning of a segment, as long as they are needed
  if (known && segments.length > 0 && !await isKept(segments[0])) {
    await spool.writeState(segments[0].id, saveExporters(known)).catch(onError)
  } else exporters = undefined
  for (const [i, segment] of segments.entries()) {
    const { id, size } = segment
    const follower = segments.at(i + 1)
    const next = follower?.id ?? first
    let lacksState = false
    if (follower && await isKept(follower)) exporters = undefined
    else {
      exporters ??= await readExporters(spool, id, settings, onError)
      exporters ??= newExporters(settings.sampling)
      try {
        await passSegment(segment, exporters, withFilter(options, settings))
        if (!follower) forgetSessions(exporters) // they have ended with the process that had them
        if (next !== undefined) await spool.writeState(next, saveExporters(exporters))
      } catch (error) {
        lacksState = next !== undefined
        onError(error)
      }
    }
    formers.push({ segment: id, next: next ?? id, isEmpty: size === 0, lacksState })
  }
  return { exporters: exporters ?? known ?? newExporters(settings.sampling), formers }

  async function isKept({ id, hasState }: SpoolSegment): Promise<boolean> {
    if (!hasState) return false
    const { fault } = await spool.readState(id)
    if (fault) onError(fault)
    return !fault
  }
}

/**
 * The exporters that were kept at the beginning of a segment; undefined if there are none, or, which is told,
 * if they cannot be read.
 */
export async function readExporters(
  spool: SpoolStates, segment: string, { sampling }: SegmentSettings, onError: (error: FlowkitError) => void,
): Promise<Exporters | undefined> {
  const { bytes, fault } = await spool.readState(segment)
  if (fault && fault.code !== 'ERR_INPUT') onError(fault)
  if (!bytes) return undefined
  try {
    return restoreExporters(bytes, sampling)
  } catch (error) {
    onError(error as FlowkitError)
    return undefined
  }
}
