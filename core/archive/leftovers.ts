import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { isRunning, processStart } from '../process.ts'

const PREFIX = '.tmp-'
/** ms without a change after which a folder of another host is left over. */
const PATIENCE = 86_400_000

/** Folders that writers of this thread have. */
const inUse = new Set<string>()

/** This thread in names: 4 digits. */
const THREAD = (threadId & 0xffff).toString(16).padStart(4, '0')

/**
 * Make a folder for unfinished files in `directory`: `.tmp-<pid>-<start of the process>-<random>-<host>`,
 * where the random part begins with the thread.
 *
 * @returns its path
 */
export async function makeTemporary(directory: string): Promise<string> {
  const random = THREAD + randomBytes(4).toString('hex')
  const path = join(directory, `${PREFIX}${process.pid}-${processStart(process.pid)}-${random}-${hostname()}`)
  await mkdir(path)
  inUse.add(path)
  return path
}

/** Remove a folder that `makeTemporary` made. @throws the system error; it counts as left over then */
export async function removeTemporary(path: string): Promise<void> {
  inUse.delete(path)
  await rm(path, { recursive: true, force: true })
}

/**
 * Remove the folders of unfinished files whose writers are no more. Others are left alone, those of other
 * threads of this process among them.
 *
 * Processes of another host (or container) cannot be asked: theirs is left over once nothing has changed in
 * it for a day.
 */
export async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const found = /^\.tmp-(\d+)-(\d+)-([0-9a-f]{4})[0-9a-f]{8}-(.*)$/s.exec(name)
    if (!found) continue
    const path = join(directory, name)
    const [, pid, start, thread, host] = found
    const isOwn = Number(pid) === process.pid && start === processStart(process.pid) && thread === THREAD
    const isLeft = host !== hostname() ? await isOld(path)
      : isOwn ? !inUse.has(path) : !isRunning(Number(pid), start)
    if (isLeft) {
      await rm(path, { recursive: true, force: true })
    }
  }
}

async function isOld(path: string): Promise<boolean> {
  const now = Date.now()
  for (const name of ['.', ...await readdir(path)]) {
    const { mtimeMs } = await stat(join(path, name))
    if (now - mtimeMs < PATIENCE) return false
  }
  return true
}
