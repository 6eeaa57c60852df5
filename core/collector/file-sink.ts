import { access, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeTemporary, removeLeftovers, removeTemporary } from '../archive/leftovers.ts'
import { hourFolder, newSegment, segmentTime } from '../archive/names.ts'
import type { ArchiveFile, Rotation } from '../archive/writer.ts'
import type { FlowBatch } from '../flow/batch.ts'
import type { FlowEncoder } from '../flow/stream.ts'
import { syncFolder } from '../output-file.ts'
import { newTurns } from '../turns.ts'
import type { SegmentWriter, Sink } from './sink.ts'

/** What files of flows are made with. */
export interface FileFormat {
  /** What their names end in: `.json`. */
  readonly extension: string
  /** An encoder, for one file. */
  encoder(): FlowEncoder
}

/** The file that is written to. */
interface Unfinished {
  readonly handle: FileHandle
  readonly path: string
  readonly encoder: FlowEncoder
  rows: number
  bytes: number
}

/**
 * Files of a stream format in a folder, one for each segment that has flows, by the UTC hour in which it
 * began: `date=2026-11-21/hour=13/20261121T130405123Z-9f3a1c04.json`.
 *
 * A file has its name once it is whole and durable; before, it is in a folder `.tmp-…`. Counter samples have
 * no place in them and are left out.
 */
export function fileSink(directory: string, format: FileFormat): Sink {
  const root = resolve(directory)
  return {
    name: directory,
    has: (segment) => access(pathOf(root, segment, format)).then(() => true, () => false),
    async open(segment) {
      await mkdir(root, { recursive: true })
      await removeLeftovers(root)
      await rm(pathOf(root, segment, format), { force: true })
      return openWriter(root, format, segment, await makeTemporary(root))
    },
  }
}

function pathOf(root: string, segment: string, { extension }: FileFormat): string {
  return join(root, hourFolder(segmentTime(segment)), segment + extension)
}

function openWriter(root: string, format: FileFormat, first: string, temporary: string): SegmentWriter {
  let segment = first
  let file: Unfinished | undefined
  const inTurn = newTurns()

  async function beginFile(): Promise<Unfinished> {
    const path = join(temporary, segment + format.extension)
    await mkdir(temporary, { recursive: true }) // somebody may have removed the folder
    return { handle: await open(path, 'wx'), path, encoder: format.encoder(), rows: 0, bytes: 0 }
  }

  async function write(batch: FlowBatch): Promise<void> {
    file ??= await beginFile()
    try {
      await append(file, file.encoder.encode(batch))
      file.rows += batch.length
    } catch (error) {
      await forget()
      throw error
    }
  }

  async function publish(whole: Unfinished, target: string): Promise<ArchiveFile> {
    const { handle, path, encoder } = whole
    try {
      if (encoder.finish) await append(whole, encoder.finish())
      await handle.sync()
      await mkdir(dirname(target), { recursive: true })
      await rename(path, target)
      for (let at = dirname(target); at !== dirname(root); at = dirname(at)) await syncFolder(at)
    } catch (error) {
      await rm(target, { force: true }).catch(() => {}) // the former is the reason
      throw error
    }
    return { table: 'flows', path: target, rows: whole.rows, bytes: whole.bytes }
  }

  async function forget(): Promise<void> {
    if (!file) return
    const { handle, path } = file
    file = undefined
    await handle.close()
    await rm(path, { force: true }).catch(() => {}) // it goes with the temporary folder
  }

  function begin(next: string | undefined): void {
    segment = next ?? newSegment(Date.now())
  }

  return {
    write: (batch) => inTurn(() => write(batch)),
    async writeCounters() {},
    rotate: ({ next }: Rotation = {}) => inTurn(async () => {
      const target = pathOf(root, segment, format)
      begin(next)
      try {
        return file ? [await publish(file, target)] : []
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

async function append(file: Unfinished, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.handle.write(bytes, at)).bytesWritten
  file.bytes += bytes.length
}
