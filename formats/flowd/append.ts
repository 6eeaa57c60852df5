import { open, rm, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { FlowWriter } from '../../core/flow/stream.ts'
import { syncFolder } from '../../core/output-file.ts'
import type { RecordWriter } from './encode.ts'
import { HEADER_SIZE } from './layout.ts'
import { isHeader } from './probe.ts'

/** Bytes of a log that are looked at at a time. */
const CHUNK = 1 << 20
/** As flowd makes its logs: for their owner. */
const MODE = 0o600

/**
 * Open a log of version 3 to append to, or begin one.
 *
 * Each batch is written as whole records, and taken back if that fails. A record that was cut short at the
 * end of the log, as by a power cut, is removed first. `abort` takes back all that was written since `sync`,
 * unless somebody else has appended behind it.
 *
 * @throws FlowkitError ERR_MALFORMED if what is there is no such log, or a damaged one; system errors
 */
export async function appendRecords(path: string, writer: RecordWriter): Promise<FlowWriter> {
  const { file, isNew } = await openLog(path)
  let begin: number
  let end: number // of what was written, as long as nobody else writes
  try {
    begin = end = await trimLog(file, path)
  } catch (error) {
    await file.close()
    throw error
  }

  return {
    loss: () => writer.loss,
    async write(batch) {
      const records = writer.records(batch)
      const { size } = await file.stat()
      try {
        for (let at = 0; at < records.length;) at += (await file.write(records, at)).bytesWritten
      } catch (error) {
        await file.truncate(size).catch(() => {}) // what failed first is to be told
        throw error
      }
      end += records.length
    },
    async sync() {
      await file.sync()
      begin = end
    },
    async close() {
      try {
        await file.sync()
      } finally {
        await file.close()
      }
      if (isNew) await syncFolder(dirname(resolve(path)))
    },
    async abort() {
      try {
        const isOurs = (await file.stat()).size === end
        if (isOurs) await file.truncate(begin)
        if (isOurs && isNew && begin === 0) await rm(path, { force: true })
      } finally {
        await file.close()
      }
    },
  }
}

async function openLog(path: string): Promise<{ file: FileHandle, isNew: boolean }> {
  try {
    return { file: await open(path, 'ax+', MODE), isNew: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { file: await open(path, 'a+', MODE), isNew: false }
  }
}

/** Remove what is at the end of a log and no whole record. @returns the log's size */
async function trimLog(file: FileHandle, path: string): Promise<number> {
  const { size } = await file.stat()
  const bytes = new Uint8Array(Math.min(CHUNK, size))
  const view = new DataView(bytes.buffer)
  let begin = 0 // of the next record
  while (size - begin >= HEADER_SIZE) {
    const { bytesRead } = await file.read(bytes, 0, bytes.length, begin)
    let at = 0
    while (bytesRead - at >= HEADER_SIZE) {
      if (!isHeader(view, at)) {
        const what = `records of flowd's version 3 wanted, something else found at byte ${begin + at}`
        throw new FlowkitError('ERR_MALFORMED', `Cannot append to "${path}": ${what}`)
      }
      const next = at + HEADER_SIZE + bytes[at + 1] * 4
      if (next > bytesRead) break
      at = next
    }
    if (at === 0) break
    begin += at
  }
  if (begin < size) await file.truncate(begin)
  return begin
}
