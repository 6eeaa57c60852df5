import { setImmediate } from 'node:timers/promises'
import type { ArchiveFile } from '../archive/writer.ts'
import type { FlowkitError } from '../flow/errors.ts'
import { newExporters, type Exporters } from '../netflow/exporters.ts'
import type { SamplingRules } from '../netflow/sampling-rules.ts'
import { restoreExporters, saveExporters } from '../netflow/snapshot.ts'
import { newDecoding, type DecodingCounts, type DecodingOptions } from './decoding.ts'
import { ledgerOf } from './ledger.ts'
import type { SegmentWriter, Sink } from './sink.ts'
import type { SpoolSegment } from './spool-files.ts'
import { readSegment } from './spool-segment.ts'
import type { Spool } from './spool.ts'

/** What a replay is told. */
export interface ReplayOptions extends DecodingOptions {
  readonly sampling: SamplingRules
  /** Told of damage in the spool, and of sinks that fail. */
  onError(error: unknown): void
  /** Told of files that have their names now. */
  onFile(path: string, rows: number): void
}

/** Datagrams decoded at a time, before the sockets are looked after. */
const TURN = 512

/** What is to happen in the course of a replay. */
export interface ReplaySteps {
  /** Runs before the sinks have all of it: when it fails, they have nothing. */
  beforeEnd(): Promise<void>
  /** Told what a sink has now. */
  onFiles?(sink: Sink, files: readonly ArchiveFile[]): void
}

/**
 * Decode a segment of the spool again, into sinks that do not have it.
 *
 * @param exporters as they were at its beginning; they become what they are at its end
 * @param sinks maybe none
 * @returns the sinks that failed
 * @throws the system error when it cannot be read, or what `beforeEnd` does
 */
export async function replaySegment(
  { id, path, size }: SpoolSegment, exporters: Exporters, sinks: readonly Sink[], options: ReplayOptions,
  { beforeEnd, onFiles }: ReplaySteps,
): Promise<Sink[]> {
  const { onError, onFile } = options
  const failed = new Set<Sink>()
  const writers = new Map<SegmentWriter, Sink>()
  const fail = (sink: Sink) => (error: unknown) => {
    failed.add(sink)
    onError(error)
  }
  for (const sink of sinks) {
    await sink.open(id).then((writer) => { writers.set(writer, sink) }, fail(sink))
  }
  const working = () => [...writers].filter(([, sink]) => !failed.has(sink)).map(([writer]) => writer)
  const counts: DecodingCounts = { records: 0, filtered: 0, counterSamples: 0 }
  let wake: () => void = () => {}
  const decoding = newDecoding(exporters, options, counts, working,
    (writer, error) => fail(writers.get(writer)!)(error), () => wake())
  try {
    for await (const { bytes, view, start, end } of size > 0 ? readSegment(path, onError) : []) {
      for (let at = start; at < end;) {
        if (!decoding.isFree) await new Promise<void>((resolve) => { wake = resolve })
        at = decoding.decode(bytes, view, at, end, TURN)
        await setImmediate()
      }
    }
    await decoding.flush()
    await beforeEnd()
    const ledger = ledgerOf(exporters)
    for (const writer of working()) {
      const sink = writers.get(writer)!
      try {
        const files = await writer.rotate({ ledger })
        onFiles?.(sink, files)
        for (const { path, rows } of files) onFile(path, rows)
      } catch (error) {
        fail(sink)(error)
      }
    }
  } finally {
    for (const writer of writers.keys()) await writer.abort().catch(onError)
  }
  return [...failed]
}

/** A segment that must stay in the spool for now. */
export interface Unfinished {
  readonly segment: string
  /** The one behind it: it may lack the state that it begins with, which is made by decoding this one. */
  readonly next: string
  /** The sinks that do not have it yet; maybe none. */
  readonly sinks: readonly Sink[]
  /** Rows that this process has decoded of it for each sink; undefined: it was another process. */
  readonly owed?: number
}

/** What a spool held when it was opened. */
export interface Recovery {
  /** The exporters as they are at the beginning of the segment that is written to now. */
  readonly exporters: Exporters
  /** Segments decoded again. */
  readonly replayed: number
  readonly unfinished: readonly Unfinished[]
}

/** What `recover` needs of a spool. */
export type SpoolStates = Pick<Spool, 'readState' | 'writeState' | 'remove'>

/**
 * Bring all segments that were in the spool before into the sinks that do not have them, in order.
 *
 * The state at the beginning of a segment is kept before the sinks have the one before: so whatever ends this
 * suddenly, each segment can be decoded with the state that belongs to it, and is in each sink once. What
 * fails is told and left for later.
 *
 * @param first the segment behind them; if there is none, the last stays, since it tells what was known
 * @param known what was known before the first segment, if it has no state; becomes what is known later
 */
export async function recover(
  spool: SpoolStates, segments: readonly SpoolSegment[], first: string | undefined, sinks: readonly Sink[],
  options: ReplayOptions, known?: Exporters,
): Promise<Recovery> {
  const { sampling, onError } = options
  const unfinished: Unfinished[] = []
  let replayed = 0
  let exporters = known ?? newExporters(sampling)
  for (const [i, segment] of segments.entries()) {
    const { id, size, hasState } = segment
    const next = segments[i + 1]?.id ?? first
    const hasNext = segments[i + 1]?.hasState ?? false
    const missing: Sink[] = []
    try {
      if (size > 0) for (const sink of sinks) if (!await sink.has(id)) missing.push(sink)
      if (hasState) exporters = await readExporters(spool, id, sampling, onError) ?? exporters
      else if (known && size > 0) await spool.writeState(id, saveExporters(exporters))
      if (missing.length > 0) replayed++
      if (missing.length > 0 || !hasNext) {
        const current = exporters
        const failed = await replaySegment(segment, current, missing, options, {
          async beforeEnd() {
            if (!hasNext && next !== undefined) await spool.writeState(next, saveExporters(current))
          },
        })
        if (failed.length > 0) {
          unfinished.push({ segment: id, next: next ?? id, sinks: failed })
          continue
        }
      }
      if (next !== undefined) await spool.remove(id)
    } catch (error) {
      onError(error)
      unfinished.push({ segment: id, next: next ?? id, sinks: missing })
    }
  }
  return { exporters, replayed, unfinished }
}

/** The exporters at the beginning of a segment; undefined, and told, if they cannot be read. */
export async function readExporters(
  spool: Pick<Spool, 'readState'>, segment: string, sampling: SamplingRules,
  onError: (error: FlowkitError) => void,
): Promise<Exporters | undefined> {
  const { bytes, fault } = await spool.readState(segment)
  if (fault) onError(fault)
  if (!bytes) return undefined
  try {
    return restoreExporters(bytes, sampling)
  } catch (error) {
    onError(error as FlowkitError)
    return undefined
  }
}
