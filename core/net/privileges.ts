import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc } from './ffi.ts'
import { systemError } from './udp-socket.ts'

/** A user of this machine, and the rights that come with being that one. */
export interface Account {
  readonly name: string
  readonly uid: number
  /** The main group. */
  readonly gid: number
  /** All groups, the main one first. */
  readonly groups: readonly number[]
}

/** Where users and groups are listed: passwd(5), group(5). */
export interface AccountFiles {
  readonly passwd: string
  readonly group: string
}

const NOT_ALLOWED = 'this process may not do so, root may'
const SYSTEM_FILES: AccountFiles = { passwd: '/etc/passwd', group: '/etc/group' }

/**
 * Find a user by name or number. Only the files of this machine are asked, no directory service.
 *
 * @throws FlowkitError ERR_OPTION if there is none, or it is root, whose privileges cannot be given up
 */
export function findAccount(user: string, files: AccountFiles = SYSTEM_FILES): Account {
  const entries = readEntries(files.passwd)
  // a name goes first: it may consist of digits
  const entry = entries.find(([name]) => name === user) ?? entries.find(([, , uid]) => uid === user)
  if (entry === undefined) throw cannotBecome(user, `expected a user of ${files.passwd}, found none`)
  const [name, , uid, gid] = entry
  if (!isId(uid) || !isId(gid)) throw cannotBecome(user, `its line in ${files.passwd} has no valid numbers`)
  if (Number(uid) === 0) throw cannotBecome(user, 'expected one without privileges, found uid 0')
  const others = readEntries(files.group)
    .filter(([, , id, members]) => isId(id) && members?.split(',').includes(name))
    .map(([, , id]) => Number(id))
  return { name, uid: Number(uid), gid: Number(gid), groups: [...new Set([Number(gid), ...others])] }
}

/** Lines of fields between colons; comments and blank lines are left out. */
function readEntries(path: string): string[][] {
  const lines = fs.readFileSync(path, 'utf8').split('\n')
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(':'))
}

function isId(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 0xffffffff // which stands for none
}

/** Whom to become. */
export interface DropOptions {
  readonly account: Account
  /** The folder that becomes `/`. What is to be loaded from files must be loaded before. */
  readonly chroot?: string
}

/**
 * Become a user without privileges, with all threads and for good: root's capabilities go with root's uid.
 *
 * To be that user already is no fault.
 *
 * @throws FlowkitError ERR_OPTION if this process may not become that user or enter that folder;
 *   ERR_UNSUPPORTED where there is no Linux to do it; Error if its rights could be had back
 */
export async function dropPrivileges({ account, chroot }: DropOptions): Promise<void> {
  if (!process.setgroups || !process.setgid || !process.setuid) {
    const message = `Cannot become user "${account.name}": this system has no users`
    throw new FlowkitError('ERR_UNSUPPORTED', message)
  }
  if (chroot !== undefined) await enterFolder(chroot)
  else if (process.getuid?.() === account.uid && process.geteuid?.() === account.uid) return
  try {
    // the groups first: without root's uid they could not be changed
    process.setgroups([...account.groups])
    process.setgid(account.gid)
    process.setuid(account.uid)
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    throw cannotBecome(account.name, code === 'EPERM' ? NOT_ALLOWED : code, error)
  }
  checkDropped(account)
}

async function enterFolder(path: string): Promise<void> {
  const libc = await loadLibc()
  try {
    if (libc.chroot(path) < 0) throw systemError(libc, 'chroot', path)
    process.chdir('/') // a working folder outside would be a way out
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const reason = code === 'EPERM' ? NOT_ALLOWED : String(code)
    throw new FlowkitError('ERR_OPTION', `Cannot enter chroot "${path}": ${reason}`, { cause: error })
  }
}

function checkDropped({ name, uid, gid, groups }: Account): void {
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()]
  const found = process.getgroups?.() ?? []
  const complete = ids.join() === [uid, uid, gid, gid].join() && found.every((id) => groups.includes(id))
  if (!complete) throw new Error(`Cannot become user "${name}": the system has not changed all of its rights`)
  for (const regain of [process.setuid, process.seteuid]) {
    try {
      regain?.call(process, 0)
    } catch {
      continue // as it must be
    }
    throw new Error(`Cannot become user "${name}": root's rights can be had back`)
  }
}

/**
 * Make a folder that belongs to a user, and those above it that are missing; one that exists stays as it is.
 *
 * @throws the system error
 */
export function makeFolder(path: string, { uid, gid }: Account): void {
  const missing: string[] = []
  for (let at = path; !fs.existsSync(at); at = dirname(at)) missing.push(at)
  for (const folder of missing.reverse()) {
    fs.mkdirSync(folder, { mode: 0o755 })
    // by descriptor: where others may write, a link could have taken the folder's place
    const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants
    const fd = fs.openSync(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    try {
      fs.fchownSync(fd, uid, gid)
    } finally {
      fs.closeSync(fd)
    }
  }
}

function cannotBecome(user: string, reason: string, cause?: unknown): FlowkitError {
  return new FlowkitError('ERR_OPTION', `Cannot become user "${user}": ${reason}`, { cause })
}
