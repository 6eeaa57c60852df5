import { closeSync, openSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FlowkitError } from '../flow/errors.ts'
import { isRunning, processStart } from '../process.ts'

/** A folder that no other process has. */
export interface FolderLock {
  /** May be called again. */
  release(): void
}

/** ms after which a lock of another host that has not been touched is left over. */
const PATIENCE = 60_000
/** ms between touches. */
const TOUCH_EVERY = 10_000
/** How often it is tried when several begin at once, and the longest pause between, in ms. */
const ATTEMPTS = 10
const LONGEST_PAUSE = 50

/** Who has a lock: all of it is in the file's name. */
interface Holder {
  readonly pid: number
  /** Ticks since boot when it began: tells it from a later process of the same number. 0 where unknown. */
  readonly start: string
  /** Of the machine, 8 digits: start times of another boot say nothing. */
  readonly boot: string
  readonly host: string
}

/**
 * Take a folder for this process, until it releases it or ends.
 *
 * The lock is a file `lock-<pid>-<start>-<boot>-<host>`. Each process makes its own before it looks for
 * others, so that of two that begin at once at least one sees the other; and a name that is left over can be
 * removed, since no other process ever has the same. Processes of another host (or container) cannot be
 * asked: theirs is left over once it has not been touched for a minute.
 *
 * @throws FlowkitError ERR_OPTION when another has it; the system error if the folder cannot be written to
 */
export async function lockFolder(directory: string): Promise<FolderLock> {
  const { pid } = process
  const self: Holder = { pid, start: processStart(pid), boot: bootId(), host: hostname() }
  const own = nameOf(self)
  const path = join(directory, own)
  for (let attempt = 1; ; attempt++) {
    let other = findHolder(directory, self)
    if (!other && create(path, directory)) {
      other = findHolder(directory, self)
      if (!other) break
      rmSync(path, { force: true })
      if (attempt < ATTEMPTS) {
        await delay(Math.random() * LONGEST_PAUSE)
        continue
      }
    }
    throw heldError(directory, other ?? self)
  }
  const timer = setInterval(() => touch(path), TOUCH_EVERY).unref()
  let isHeld = true
  return {
    release() {
      if (!isHeld) return // a later lock of this process has the same name
      isHeld = false
      clearInterval(timer)
      rmSync(path, { force: true })
    },
  }
}

/** @returns whether it was not there */
function create(path: string, directory: string): boolean {
  try {
    closeSync(openSync(path, 'wx', 0o600))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw Object.assign(error as Error, { path: directory }) // the name that the user knows
  }
}

/** Another process that has the folder. What is left over of those that are no more is removed. */
function findHolder(directory: string, self: Holder): Holder | undefined {
  for (const name of readdirSync(directory)) {
    const holder = holderOf(name)
    if (!holder || name === nameOf(self)) continue
    const path = join(directory, name)
    const isHere = holder.boot === self.boot && isRunning(holder.pid, holder.start)
    if (holder.host === self.host ? isHere : isFresh(path)) return holder
    rmSync(path, { force: true })
  }
  return undefined
}

function nameOf({ pid, start, boot, host }: Holder): string {
  return `lock-${pid}-${start}-${boot}-${host}`
}

function holderOf(name: string): Holder | undefined {
  const found = /^lock-([1-9]\d*)-(\d+)-([0-9a-f]{8})-(.*)$/s.exec(name)
  return found ? { pid: Number(found[1]), start: found[2], boot: found[3], host: found[4] } : undefined
}

function heldError(directory: string, { pid, host }: Holder): FlowkitError {
  const where = host === hostname() ? '' : ` on ${host}`
  const message = `Cannot open spool "${directory}": process ${pid}${where} has it open`
  return new FlowkitError('ERR_OPTION', message)
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)
  } catch {
    return '00000000'
  }
}

function isFresh(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && Date.now() - stat.mtimeMs < PATIENCE
}

function touch(path: string): void {
  try {
    closeSync(openSync(path, 'a', 0o600)) // somebody may have removed it
    utimesSync(path, new Date(), new Date())
  } catch {
    // the folder is gone, or cannot be written to: writing datagrams will say so
  }
}
