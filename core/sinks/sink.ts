import { hasSegment, removeSegment } from '../archive/segments.ts'
import { openArchiveWriter, type ArchiveWriter } from '../archive/writer.ts'

/** Writes segments into a sink, one after the other. A failure loses what was written of the segment. */
export type SegmentWriter = Pick<ArchiveWriter, 'write' | 'writeCounters' | 'rotate' | 'skip' | 'abort'>

/** Where flows go to: each segment is there whole, or can be written again. */
export interface Sink {
  /** For messages and metrics. */
  readonly name: string
  /** Whether all of a segment is there. */
  has(segment: string): Promise<boolean>
  /** Write segments from `segment` on; what is there of that one, unfinished, is removed. */
  open(segment: string): Promise<SegmentWriter>
}

/** The archive in a folder. */
export function archiveSink(directory: string): Sink {
  return {
    name: directory,
    has: (segment) => hasSegment(directory, segment),
    async open(segment) {
      await removeSegment(directory, segment)
      return openArchiveWriter(directory, { segment })
    },
  }
}

/**
 * A sink that lets go of what is old: whenever a segment is in it, `expire` runs.
 *
 * It does not run twice at a time, and the end of a writer waits for it.
 *
 * @param expire deals with its errors itself
 */
export function expiringSink(sink: Sink, expire: () => Promise<void>): Sink {
  let running: Promise<void> | undefined
  return {
    ...sink,
    async open(segment) {
      const writer = await sink.open(segment)
      return {
        ...writer,
        async rotate(rotation) {
          const files = await writer.rotate(rotation)
          running ??= expire().finally(() => { running = undefined })
          return files
        },
        async abort() {
          await writer.abort()
          await running
        },
      }
    },
  }
}
