/** Capturing by tcpdump, which writes packets to a pipe: for where no library can be called. */
import { spawn, type ChildProcess } from 'node:child_process'
import { FlowkitError } from '../flow/errors.ts'
import { reasonOf } from './filter-compiler.ts'
import { fileFinder, type Interface } from './interfaces.ts'
import { cannotCapture, packetStream, type Tap, type TapOpener, type TapOptions } from './tap.ts'

/** Bytes that wait to be read; beyond, tcpdump has to wait, and the kernel drops packets and counts them. */
const MOST_WAITING = 2 ** 24
/** What is kept of what it says. */
const MOST_SAID = 4096
const MISSING = 'it is not installed (Debian: apt-get install tcpdump)'
/** What it says of an interface or of itself, as the code of a system error. */
const PROBLEMS: readonly (readonly [said: RegExp, code: string])[] = [
  [/permission|not permitted/i, 'EPERM'],
  [/no such device/i, 'ENODEV'],
  [/not up|network is down/i, 'ENETDOWN'],
]

/** Capture by tcpdump. */
export function openTcpdump(options: TapOptions): TapOpener {
  return { finder: fileFinder, open: (from) => openTap(from, options), close() {} }
}

function start({ name }: Interface, options: TapOptions): ChildProcess {
  const { snaplen, promiscuous, ringSize, filter } = options
  const args = [
    '-i', name, '-w', '-', '-U', '-n', '--immediate-mode', '-s', `${snaplen}`,
    '-B', `${Math.ceil(ringSize / 1024)}`, // KiB
    ...promiscuous ? [] : ['-p'],
    ...process.getuid?.() === 0 ? ['-Z', 'root'] : [], // else it becomes a user that may not be there
    ...filter === undefined ? [] : ['--', filter],
  ]
  return spawn('tcpdump', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    detached: true, // the terminal's signals are not for it
  })
}

/** Resolves once tcpdump has begun. @throws FlowkitError */
async function openTap(from: Interface, options: TapOptions): Promise<Tap> {
  const child = start(from, options)
  const chunks: Uint8Array[] = []
  const begun = Promise.withResolvers<void>()
  let waiting = 0 // bytes
  let said = ''
  let dropped = 0
  let isBroken = false
  let isClosed = false
  let stopping: NodeJS.Timeout | undefined

  child.stdout!.on('data', (chunk: Buffer) => {
    if (isClosed) return
    begun.resolve()
    chunks.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length))
    waiting += chunk.length
    if (waiting > MOST_WAITING) child.stdout!.pause()
    options.wake()
  })
  child.stderr!.setEncoding('latin1').on('data', (text: string) => {
    said = (said + text).slice(-MOST_SAID)
    for (const [, count] of said.matchAll(/(\d+) packets? dropped by kernel/g)) dropped = Number(count)
  })
  child.once('error', (cause: NodeJS.ErrnoException) => {
    isBroken = true
    const reason = cause.code === 'ENOENT' ? MISSING : cause.message
    begun.reject(new FlowkitError('ERR_UNSUPPORTED', `Cannot capture by tcpdump: ${reason}`, { cause }))
  })
  child.once('close', () => {
    isBroken = true
    begun.reject(explain(from.name, reasonOf(said)))
    options.wake()
  })
  await begun.promise

  const stream = packetStream(() => {
    const chunk = chunks.shift()
    waiting -= chunk?.length ?? 0
    if (waiting <= MOST_WAITING / 2) child.stdout!.resume()
    return chunk
  })
  return {
    index: from.index,
    fd: -1,
    get isBroken() { return isBroken },
    get isEmpty() { return isBroken && chunks.length === 0 && stream.isEmpty },
    fill(batch) {
      batch.ifIndex = from.index
      return stream.fill(batch)
    },
    takeError() {},
    release() {},
    stop() {
      if (stopping !== undefined) return
      stream.endAt(Date.now() * 1000 + 999) // no clock here is finer
      // later, for at its end it loses what it has not read
      stopping = setTimeout(() => child.kill('SIGTERM'), 2 * options.blockTimeout)
    },
    counts() {
      if (!isBroken) child.kill('SIGUSR1') // it says how many it lost, for the next time
      return { received: stream.received, dropped, freezes: 0 }
    },
    close() {
      isClosed = true
      clearTimeout(stopping)
      child.kill('SIGKILL')
      child.stdout!.destroy()
    },
  }
}

function explain(name: string, reason: string): FlowkitError {
  const [, code] = PROBLEMS.find(([said]) => said.test(reason)) ?? []
  return cannotCapture(name, code ?? reason)
}
