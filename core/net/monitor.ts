/**
 * Two processes where one would have root's rights and the datagrams of strangers.
 *
 * The monitor opens what needs root, gives up files and rings for what it starts, starts the same program
 * again, and does nothing more than to pass signals on and to wait for its end. The child inherits the open
 * descriptors, becomes an unprivileged user, gives up the calls it does not need, and does all the work.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { isSea } from 'node:sea'
import { openCache } from '../native.ts'
import { confineCalls, refuseRings } from './confine-calls.ts'
import { confineFiles } from './confine.ts'
import { loadLibc, type Libc } from './ffi.ts'
import { dropPrivileges, type DropOptions } from './privileges.ts'
import type { Notifier } from './systemd.ts'

/** How the child is to be started. */
export interface MonitorOptions {
  /** What the child inherits, in this order; closed here once it has them. */
  readonly descriptors: readonly number[]
  /** Whom the child becomes; without it, it stays who started the monitor. */
  readonly become?: DropOptions
  /** Folders that it may write to, which exist. Temporary files go to the first. */
  readonly writable: readonly string[]
  /** Files and folders that it reads, beside those of flowkit; of files that are replaced, the folder. */
  readonly readable?: readonly string[]
  /** Whether it opens connections itself. */
  readonly network?: boolean
  /** Holds the monitor's process id, for as long as it runs. */
  readonly pidFile?: string
  /** Told what the child says of itself. */
  readonly notifier?: Notifier
  /** What the child is to know beside its command line, as JSON. */
  readonly told?: unknown
}

/** What the child has from its monitor. */
export interface Inheritance {
  readonly descriptors: readonly number[]
  readonly told: unknown
  /** What has been given up, and what could not be: sentences for the log. */
  readonly notes: readonly string[]
  /** By way of the monitor, but for the status; once it is ready, it gets signals. */
  readonly notifier: Notifier
}

/** What the monitor tells the child, as JSON in the environment. */
interface Order {
  readonly monitor: number // process id
  readonly descriptors: number // how many
  readonly become?: DropOptions
  readonly network: boolean
  readonly notes: readonly string[]
  readonly told: unknown
}

const VARIABLE = 'FLOWKIT_MONITOR'
/** Descriptors of the child: one by which it says how it is, then what it inherits. */
const STATES = 3
const INHERITED = 4
/** What it says, a byte each. */
const WORDS = { ready: 1, reloading: 2, stopping: 3, watchdog: 4 } as const

const PR_SET_PDEATHSIG = 1 // linux/prctl.h
const ORPHANED = 'SIGPWR' // means nothing else here

/** Passed on once the child hears them: before, they would end it. */
const WAITING: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGUSR1', 'SIGUSR2']
const PASSED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', ...WAITING]

/**
 * Start this program again with the same words, confined, and wait for its end; it finds out by
 * `joinMonitor`. This thread is confined as well, for good: what comes after has only to end the process.
 *
 * @returns its exit code, or 128 and the number of the signal that ended it
 * @throws FlowkitError ERR_UNSUPPORTED where the C library cannot be called; the system error when the pid
 *   file cannot be written or the program cannot be started
 */
export async function runMonitor(options: MonitorOptions): Promise<number> {
  const { descriptors, pidFile, notifier } = options
  const libc = await loadLibc()
  // from the thread pool, which begins here and so is not confined: it can remove the file in the end
  if (pidFile !== undefined) await fs.promises.writeFile(pidFile, `${process.pid}\n`)
  let child: ChildProcess | undefined
  let isReady = false
  const held = new Set<NodeJS.Signals>()

  function pass(signal: NodeJS.Signals): void {
    if (isReady || !WAITING.includes(signal)) child?.kill(signal)
    else held.add(signal)
  }
  function hear(word: number): void {
    if (word === WORDS.ready && !isReady) {
      isReady = true
      for (const signal of held) child?.kill(signal)
    }
    const [state] = Object.entries(WORDS).find(([, each]) => each === word) ?? []
    if (state !== undefined) notifier?.[state as keyof typeof WORDS]()
  }

  for (const signal of PASSED) process.on(signal, pass)
  try {
    const notes = [confineFiles(libc, {
      writable: options.writable,
      readable: [...ownFiles(), ...options.readable ?? []],
      network: options.network ?? false,
    })]
    const reason = refuseRings(libc)
    if (reason !== undefined) notes.push(`io_uring is not refused: ${reason}`)
    child = startChild(options, notes)
    await once(child, 'spawn') // or the error by which it could not be
    for (const fd of descriptors) fs.closeSync(fd)
    child.stdio[STATES]?.on('error', () => {}) // its end is told below
    child.stdio[STATES]?.on('data', (words: Uint8Array) => words.forEach(hear))
    const [code, signal] = await once(child, 'exit') as [number | null, NodeJS.Signals | null]
    return code ?? 128 + constants.signals[signal ?? 'SIGKILL']
  } finally {
    for (const signal of PASSED) process.off(signal, pass)
    if (pidFile !== undefined) await fs.promises.unlink(pidFile).catch(() => {}) // somebody else was faster
  }
}

function startChild(options: MonitorOptions, notes: readonly string[]): ChildProcess {
  const { descriptors, become, network = false, told } = options
  const order: Order = {
    monitor: process.pid, descriptors: descriptors.length, network, notes, told, ...become && { become },
  }
  const words = isSea() ? process.argv.slice(2) : [...process.execArgv, ...process.argv.slice(1)]
  const [temporary] = options.writable
  const { chroot } = become ?? {}
  const TMPDIR = chroot === undefined ? temporary : resolve('/', relative(chroot, temporary))
  return spawn(process.execPath, words, {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe', ...descriptors],
    detached: true, // the terminal's signals come through the monitor alone
    env: { ...process.env, TMPDIR, [VARIABLE]: JSON.stringify(order) },
  })
}

/** What this program consists of, beside the executable. */
function ownFiles(): string[] {
  if (isSea()) return [openCache(process.env)]
  const top = resolve(import.meta.dirname, '../..')
  return [top, join(top, 'node_modules'), dirname(process.argv[1])] // the second may be a link to elsewhere
}

/**
 * In a process that `runMonitor` has started: become the user it says, with all threads, and give up the
 * calls that are not needed. When the monitor ends, however it does, this process gets SIGTERM.
 *
 * @param load loads what could not be loaded afterwards
 * @returns nothing where there is no monitor
 * @throws as dropPrivileges does
 */
export async function joinMonitor(load: () => Promise<void>): Promise<Inheritance | undefined> {
  const text = process.env[VARIABLE]
  if (text === undefined) return undefined
  delete process.env[VARIABLE] // not for workers
  const { monitor, descriptors, become, network, notes, told } = JSON.parse(text) as Order
  const libc = await loadLibc()
  await load()
  if (become) await dropPrivileges(become)
  endWith(monitor, libc)
  return {
    descriptors: Array.from({ length: descriptors }, (_, i) => INHERITED + i),
    told,
    notes: [...notes, confineCalls(libc, { network })],
    notifier: relay(),
  }
}

/** Ask for the signal that leads to the end when the monitor ends. */
function endWith(monitor: number, libc: Libc): void {
  let isOver = false
  function end(): void {
    if (!isOver) process.kill(process.pid, 'SIGTERM')
    isOver = true
  }
  // not SIGTERM itself: it would come for each thread of the monitor that ends, and the second one kills
  process.on(ORPHANED, end)
  libc.prctl(PR_SET_PDEATHSIG, constants.signals[ORPHANED]) // not before: a change of the user takes it back
  if (process.ppid !== monitor) end() // it has ended before that
}

function relay(): Notifier {
  function say(word: number): void {
    try {
      fs.writeSync(STATES, Uint8Array.of(word))
    } catch {
      // the monitor has gone, and SIGTERM is on its way
    }
  }
  return {
    ready: () => say(WORDS.ready),
    reloading: () => say(WORDS.reloading),
    stopping: () => say(WORDS.stopping),
    watchdog: () => say(WORDS.watchdog),
    status() {},
    close() {},
  }
}
