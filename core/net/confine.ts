/**
 * Landlock: a process gives up all files but those it needs, TCP, and its reach to other processes.
 *
 * A ruleset binds the thread that calls for it, and the threads and processes that this one starts later.
 * Node has started threads of its own before the first line of JavaScript runs, so it is not enough that a
 * process confines itself: core/net/monitor.ts confines its main thread and then starts the process that does
 * the work, which is confined with all its threads from the first instruction on.
 *
 * Structures and values: linux/landlock.h.
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { getSystemErrorName } from 'node:util'
import type { Libc } from './ffi.ts'

const CREATE_RULESET = 444 // asm/unistd.h: the same on all architectures, as are the next two
const ADD_RULE = 445
const RESTRICT_SELF = 446
const CREATE_RULESET_VERSION = 1
const RULE_PATH_BENEATH = 1

const EXECUTE = 1 << 0
const WRITE_FILE = 1 << 1
const READ_FILE = 1 << 2
const READ_DIR = 1 << 3
const REMOVE_DIR = 1 << 4
const REMOVE_FILE = 1 << 5
const MAKE_DIR = 1 << 7
const MAKE_REG = 1 << 8
const MAKE_SYM = 1 << 12
const REFER = 1 << 13
const TRUNCATE = 1 << 14
const IOCTL_DEV = 1 << 15

/** The rights that a kernel knows, by the version of its Landlock; later versions have those of the last. */
const FILE_RIGHTS = [0, REFER - 1, TRUNCATE - 1, TRUNCATE * 2 - 1, IOCTL_DEV - 1, IOCTL_DEV * 2 - 1]
const REFER_SINCE = 2
const TCP_SINCE = 4
const TCP_RIGHTS = 3 // LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_ACCESS_NET_CONNECT_TCP
const SCOPE_SINCE = 6
const SCOPES = 3 // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL

const RIGHTS_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
const READ = READ_FILE | READ_DIR
const WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE

const O_PATH = 0o10000000 // asm-generic/fcntl.h
const O_CLOEXEC = 0o2000000
const PR_SET_NO_NEW_PRIVS = 38 // linux/prctl.h

/** What Node and DuckDB read, beside what they have mapped: the loader, time zones, OpenSSL, the machine. */
const READABLE = [
  '/etc/ld.so.cache', '/etc/localtime', '/etc/ssl', '/etc/pki', '/usr/share/zoneinfo', '/dev/urandom',
  '/proc', '/sys/devices/system/cpu', '/sys/fs/cgroup', '/sys/kernel/mm/transparent_hugepage',
]
/** What it takes to find addresses by name; resolv.conf may be a link into the folder. */
const RESOLVER = [
  '/etc/hosts', '/etc/host.conf', '/etc/nsswitch.conf', '/etc/resolv.conf', '/etc/gai.conf',
  '/etc/services', '/run/systemd/resolve',
]

/** What a process keeps. Files or folders, with all below them; those that are missing are left out. */
export interface Needs {
  /** To be read too. */
  readonly writable: readonly string[]
  /** Beside what Node and DuckDB read. A file that is replaced by another of its name is lost. */
  readonly readable: readonly string[]
  /** Whether it opens connections itself. */
  readonly network?: boolean
}

/**
 * Never again, in this thread and what it starts, may a program give more rights than who starts it has.
 * Landlock and seccomp are only for those who have said so.
 */
export function forgoPrivileges(libc: Libc): void {
  libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
}

/**
 * Confine this thread, and the threads and processes that it starts from now on, to the files it needs; to
 * no TCP without `network`; to signals and abstract sockets among themselves. Descriptors that are open keep
 * their rights.
 *
 * @returns what has been done, or why it could not be: a sentence for the log
 */
export function confineFiles(libc: Libc, needs: Needs): string {
  const version = libc.syscall(CREATE_RULESET, 0, 0, CREATE_RULESET_VERSION, 0)
  if (version < 0) return `files are not confined: ${whyNot(libc)}`
  if (version < REFER_SINCE) return 'files are not confined: the first Landlock lets none change its folder'
  const rights = FILE_RIGHTS[Math.min(version, FILE_RIGHTS.length - 1)]
  const confinesTcp = version >= TCP_SINCE && !needs.network
  const confinesReach = version >= SCOPE_SINCE
  // struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped
  const attributes = BigUint64Array.of(
    BigInt(rights), BigInt(confinesTcp ? TCP_RIGHTS : 0), BigInt(confinesReach ? SCOPES : 0),
  )
  const ruleset = libc.syscall(
    CREATE_RULESET, libc.addressOf(attributes.buffer), attributes.byteLength, 0, 0,
  )
  if (ruleset < 0) return `files are not confined: ${whyNot(libc)}`
  try {
    const missing = needs.writable.filter((path) => !allow(libc, ruleset, path, WRITE & rights))
    const system = needs.network ? [...READABLE, ...RESOLVER] : READABLE
    for (const path of [...needs.readable, ...system]) allow(libc, ruleset, path, READ)
    for (const path of programFiles()) allow(libc, ruleset, path, READ | EXECUTE)
    allow(libc, ruleset, '/dev/null', (READ_FILE | WRITE_FILE | TRUNCATE) & rights)
    forgoPrivileges(libc)
    if (libc.syscall(RESTRICT_SELF, ruleset, 0, 0, 0) < 0) return `files are not confined: ${whyNot(libc)}`
    const open = [
      ...confinesTcp ? [] : ['TCP'], ...confinesReach ? [] : ['signals and abstract sockets'],
      ...missing.map((path) => `not to ${path}, which cannot be opened`),
    ]
    const except = open.length === 0 ? '' : `; not confined: ${open.join(', ')}`
    const folders = needs.writable.join(', ')
    return `files are confined by Landlock ${version}: written only below ${folders}${except}`
  } finally {
    fs.closeSync(ruleset)
  }
}

/** This program, and the folders of the libraries it has loaded. */
function programFiles(): Set<string> {
  const maps = fs.readFileSync('/proc/self/maps', 'latin1')
  const libraries = Array.from(maps.matchAll(/ (\/.*\.(?:so|node)[\d.]*)$/gm), ([, path]) => dirname(path))
  return new Set([process.execPath, ...libraries])
}

/** Add a rule. @returns whether there is such a file */
function allow(libc: Libc, ruleset: number, path: string, rights: number): boolean {
  let fd: number
  try {
    fd = fs.openSync(path, O_PATH | O_CLOEXEC)
  } catch {
    return false
  }
  try {
    // struct landlock_path_beneath_attr, packed: allowed_access 0, parent_fd 8
    const rule = new DataView(new ArrayBuffer(12))
    const allowed = fs.fstatSync(fd).isDirectory() ? rights : rights & RIGHTS_OF_FILES
    rule.setBigUint64(0, BigInt(allowed), true)
    rule.setInt32(8, fd, true)
    return libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, libc.addressOf(rule.buffer), 0) === 0
  } finally {
    fs.closeSync(fd)
  }
}

function whyNot(libc: Libc): string {
  const code = getSystemErrorName(-libc.errno())
  if (code === 'ENOSYS') return 'this kernel has no Landlock'
  if (code === 'ENOTSUP') return 'Landlock is switched off'
  return `Landlock is not allowed here (${code})`
}
