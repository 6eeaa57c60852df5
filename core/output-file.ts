import { randomBytes } from 'node:crypto'
import { lstat, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { FlowkitError } from './flow/errors.ts'

/** A file that has its name once it is whole. */
export interface OutputFile {
  write(bytes: Uint8Array): Promise<void>
  /** Write over what lies from `position` on and was written before. */
  writeAt(bytes: Uint8Array, position: number): Promise<void>
  /** Make it durable, and give it its name. */
  close(): Promise<void>
  /** Leave nothing behind. */
  abort(): Promise<void>
}

/**
 * Refuse a place where there is something already.
 *
 * @throws FlowkitError ERR_OPTION
 */
export async function refuseExisting(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (!found) return
  const message = `Cannot write "${path}": it exists already, overwrite it with --force`
  throw new FlowkitError('ERR_OPTION', message)
}

/** Make the names of a folder's files durable. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return // it does not open folders
  await using folder = await open(path)
  await folder.sync()
}

/**
 * Begin a file under a temporary name beside `path`, which it takes the place of when it is closed.
 *
 * @param head what is in it from the beginning
 * @throws the system error if the folder, or the head, cannot be written; nothing is left behind then
 */
export async function createOutputFile(path: string, head?: Uint8Array): Promise<OutputFile> {
  const target = resolve(path)
  const folder = dirname(target)
  const temporary = join(folder, `.${basename(target)}.tmp-${randomBytes(6).toString('hex')}`)
  const file = await open(temporary, 'wx').catch((error: NodeJS.ErrnoException) => {
    throw Object.assign(error, { path }) // the name that the user knows
  })

  async function abort(): Promise<void> {
    await file.close()
    await rm(temporary, { force: true })
  }

  async function write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten
  }

  try {
    if (head) await write(head)
  } catch (error) {
    await abort()
    throw error
  }
  return {
    abort, write,
    async writeAt(bytes, position) {
      for (let at = 0; at < bytes.length;) {
        at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
      }
    },
    async close() {
      try {
        await file.sync()
        await rename(temporary, target)
      } catch (error) {
        await abort()
        throw error
      }
      await file.close()
      await syncFolder(folder)
    },
  }
}
