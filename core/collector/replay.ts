import { setImmediate } from 'node:timers/promises'
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
}

/** Datagrams decoded at a time, before the sockets are looked after. */
const TURN = 512

/**
 * Decode a segment of the spool again, into sinks that do not have it.
 *
 * @param exporters as they were at its beginning; they become what they are at its end
 * @param beforeEnd runs before the sinks have all of it
 * @returns the sinks that failed
 */
export async function replaySegment(
  segment: string, path: string, exporters: Exporters, sinks: readonly Sink[], options: ReplayOptions,
  beforeEnd: () => Promise<void>,
): Promise<Sink[]> {
  const { onError } = options
  const failed = new Set<Sink>()
  const writers = new Map<SegmentWriter, Sink>()
  const fail = (sink: Sink) => (error: unknown) => {
    failed.add(sink)
    onError(error)
  }
  for (const sink of sinks) {
    await sink.open(segment).then((writer) => { writers.set(writer, sink) }, fail(sink))
  }
  const working = () => [...writers].filter(([, sink]) => !failed.has(sink)).map(([writer]) => writer)
  const counts: DecodingCounts = { records: 0, filtered: 0, counterSamples: 0 }
  let wake: () => void = () => {}
  const decoding = newDecoding(exporters, options, counts, working,
    (writer, error) => fail(writers.get(writer)!)(error), () => wake())
  try {
    for await (const { bytes, view, start, end } of readSegment(path, onError)) {
      for (let at = start; at < end;) {
        if (!decoding.isFree) await new Promise<void>((resolve) => { wake = resolve })
        at = decoding.decode(bytes, view, at, end, TURN)
        await setImmediate()
      }
    }
    await decoding.flush()
    await beforeEnd()
    const ledger = ledgerOf(exporters)
    for (const writer of working()) await writer.rotate({ ledger }).catch(fail(writers.get(writer)!))
  } finally {
    for (const writer of writers.keys()) await writer.abort().catch(onError)
  }
  return [...failed]
}

/** A segment that some sinks do not have yet. */
export interface Unfinished {
  readonly segment: string
  readonly sinks: readonly Sink[]
}

/** What a spool held when it was opened. */
export interface Recovery {
  /** The exporters as they are at the beginning of the segment that is written to now. */
  readonly exporters: Exporters
  /** Segments decoded again. */
  readonly replayed: number
  readonly unfinished: readonly Unfinished[]
}

/**
 * Bring all segments that were in the spool before into the sinks that do not have them, in order.
 *
 * The state at the beginning of a segment is kept before the sinks have the one before: so whatever ends this
 * suddenly, each segment can be decoded with the state that belongs to it, and is in each sink once.
 *
 * @param first the segment behind them
 */
export async function recover(
  spool: Spool, segments: readonly SpoolSegment[], first: string, sinks: readonly Sink[], options: ReplayOptions,
): Promise<Recovery> {
  const { sampling, onError } = options
  const unfinished: Unfinished[] = []
  let replayed = 0
  let exporters: Exporters | undefined
  for (const [i, { id, path, size, hasState }] of segments.entries()) {
    const next = segments[i + 1]?.id ?? first
    const state = hasState ? await readExporters(spool, id, sampling, onError) : undefined
    exporters = state ?? exporters ?? newExporters(sampling)
    const current = exporters
    const keep = () => segments[i + 1]?.hasState ? Promise.resolve() : spool.writeState(next, saveExporters(current))
    const missing: Sink[] = []
    if (size > 0) for (const sink of sinks) if (!await sink.has(id)) missing.push(sink)
    if (missing.length === 0) await keep()
    else {
      replayed++
      const failed = await replaySegment(id, path, current, missing, options, keep)
      if (failed.length > 0) {
        unfinished.push({ segment: id, sinks: failed })
        continue
      }
    }
    await spool.remove(id)
  }
  return { exporters: exporters ?? newExporters(sampling), replayed, unfinished }
}

/** The exporters at the beginning of a segment; undefined, and told, if they cannot be read. */
export async function readExporters(
  spool: Spool, segment: string, sampling: SamplingRules, onError: (error: FlowkitError) => void,
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
