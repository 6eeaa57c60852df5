import { mkdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { FileNames } from '../archive/file-names.ts'
import { makeTemporary, removeLeftovers, removeTemporary } from '../archive/leftovers.ts'
import { newSegment } from '../archive/names.ts'
import type { ArchiveFile, Rotation } from '../archive/writer.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS } from '../flow/fields.ts'
import type { FlowWriter } from '../flow/stream.ts'
import { newTurns } from '../turns.ts'
import { filesByHour, type SegmentFiles } from './files-by-hour.ts'
import { namedFiles } from './named-files.ts'
import type { SegmentWriter, Sink } from './sink.ts'

/** What files of flows are made with. */
export interface FileFormat {
  /** What their names end in, where `names` does not tell them: `.json`. */
  readonly extension: string
  /** What they are called; absent: as their segments, in folders of hours. */
  readonly names?: FileNames
  /** Create the file of a segment. The writer makes it durable when it is closed. */
  create(path: string, segment: string): Promise<FlowWriter>
}

/**
 * Files of a format in a folder, one for each segment that has flows.
 *
 * Unless the format has names of its own, they lie by the UTC hour in which the segment began:
 * `date=2026-11-21/hour=13/20261121T130405123Z-9f3a1c04.json`.
 *
 * A file has its name once it is whole and durable; before, it is in a folder `.tmp-…`. Counter samples have
 * no place in them and are left out.
 *
 * @param interval ms after which segments end by the clock, asked whenever one has
 */
export function fileSink(directory: string, format: FileFormat, interval: () => number): Sink {
  const root = resolve(directory)
  const { names, extension } = format
  const files = names ? namedFiles(root, names, interval) : filesByHour(root, extension)
  return {
    name: directory,
    has: async (segment) => await files.find(segment) !== undefined,
    async open(segment) {
      await mkdir(root, { recursive: true })
      await removeLeftovers(root)
      const former = await files.find(segment)
      if (former !== undefined) await rm(former, { force: true })
      return openWriter(files, format, segment, await makeTemporary(root))
    },
  }
}

/** The file that is written to. */
interface Unfinished {
  readonly path: string
  readonly writer: FlowWriter
  rows: number
}

function openWriter(
  files: SegmentFiles, format: FileFormat, first: string, temporary: string,
): SegmentWriter {
  let segment = first
  let file: Unfinished | undefined
  const inTurn = newTurns()

  async function beginFile(): Promise<Unfinished> {
    const path = join(temporary, files.unfinished(segment))
    await mkdir(temporary, { recursive: true }) // somebody may have removed the folder
    return { path, writer: await format.create(path, segment), rows: 0 }
  }

  async function write(batch: FlowBatch): Promise<void> {
    file ??= await beginFile()
    try {
      await file.writer.write(batch)
      file.rows += batch.length
    } catch (error) {
      await forget()
      throw error
    }
  }

  async function publish({ path, writer, rows }: Unfinished, of: string): Promise<ArchiveFile> {
    await writer.close()
    const { size } = await stat(path)
    const loss = writer.loss?.()
    return {
      table: 'flows', path: await files.place(path, of), rows, bytes: size,
      ...loss && { leftOut: FIELDS.filter(({ id }) => loss.leftOut[id] > 0).map(({ name }) => name) },
    }
  }

  async function forget(): Promise<void> {
    if (!file) return
    const { path, writer } = file
    file = undefined
    // what cannot be removed goes with the temporary folder
    await Promise.allSettled([writer.abort(), rm(path, { force: true })])
  }

  function begin(next: string | undefined): void {
    segment = next ?? newSegment(Date.now())
  }

  return {
    write: (batch) => inTurn(() => write(batch)),
    async writeCounters() {},
    rotate: ({ next }: Rotation = {}) => inTurn(async () => {
      const of = segment
      begin(next)
      if (!file) return []
      try {
        const published = await publish(file, of)
        file = undefined
        return [published]
      } finally {
        await forget()
      }
    }),
    skip: (next) => inTurn(async () => {
      begin(next)
      await forget()
    }),
    abort: () => inTurn(async () => {
      await forget()
      await removeTemporary(temporary)
    }),
  }
}
