import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** The extensions of a segment's two files. */
export const SEGMENT_EXTENSION = '.pcapng'
export const STATE_EXTENSION = '.state'
/** What a state file is called before it is whole. */
export const UNFINISHED_EXTENSION = '.state.tmp'

/** A segment in the folder of a spool. */
export interface SpoolSegment {
  /** Its name in the archive. */
  readonly id: string
  /** Counts the segments of a spool: the clock may be set back, this is not. */
  readonly sequence: number
  readonly path: string
  /** Bytes; 0: nothing was written, and there may be no file. */
  readonly size: number
  readonly statePath: string
  /** Whether there is a file of the decoders' state at its begin. */
  readonly hasState: boolean
}

/** The name of a segment's files without extension: `00000042-20261121T130405123Z-9f3a1c04`. */
export function segmentName(sequence: number, id: string): string {
  return `${String(sequence).padStart(8, '0')}-${id}`
}

/**
 * The segments of a spool in the order in which they were written, also those that have a state only.
 *
 * @throws the system error if the folder cannot be read
 */
export async function listSegments(directory: string): Promise<SpoolSegment[]> {
  const names = new Set<string>()
  const files = new Set(await readdir(directory))
  for (const file of files) {
    const found = /^(\d{8,}-\d{8}T\d{9}Z-[0-9a-f]{8})\.(?:pcapng|state)$/.exec(file)
    if (found) names.add(found[1])
  }
  const segments = await Promise.all([...names].map(async (name): Promise<SpoolSegment> => {
    const dash = name.indexOf('-')
    const path = join(directory, name + SEGMENT_EXTENSION)
    return {
      id: name.slice(dash + 1),
      sequence: Number(name.slice(0, dash)),
      path,
      size: files.has(name + SEGMENT_EXTENSION) ? await sizeOf(path) : 0,
      statePath: join(directory, name + STATE_EXTENSION),
      hasState: files.has(name + STATE_EXTENSION),
    }
  }))
  return segments.sort((a, b) => a.sequence - b.sequence)
}

/** Bytes of a file; 0 if it was removed meanwhile. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}
