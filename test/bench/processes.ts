/** Programs as the benchmarks run them: timed from outside, in UTC, with output that is thrown away. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { secondsSince } from './measure.ts'

/** A program with its arguments. */
export type Command = readonly [program: string, ...args: string[]]

/** The executable that is measured. */
export const FLOWKIT: string =
  process.env['FLOWKIT_BIN'] || fileURLToPath(new URL('../../dist/flowkit', import.meta.url))

/** The environment without options for flowkit; nfdump takes long to look up a zone that is not told. */
export const ENV: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FLOWKIT_'))),
  TZ: 'UTC',
}

/** Ticks of a second that /proc counts in: USER_HZ, 100 on all of Linux's common platforms. */
const TICKS = 100

const running = new Set<ChildProcess>()

/** The version that `program -V` tells of itself, or undefined if it is not there. */
export function versionOf(program: string): string | undefined {
  const { error, stdout } = spawnSync(program, ['-V'], { encoding: 'utf8', env: ENV })
  return error ? undefined : /\d+\.\d+[\w.]*/.exec(stdout)?.[0]
}

/** Run a command to its end. @returns seconds. @throws Error if it fails */
export function timed([program, ...args]: Command): number {
  const out = openSync(devNull, 'w')
  try {
    const start = process.hrtime.bigint()
    const { status, stderr, error } = spawnSync(program, args, { stdio: ['ignore', out, 'pipe'], env: ENV })
    const seconds = secondsSince(start)
    if (error) throw error
    if (status !== 0) throw failure([program, ...args], status, stderr.toString())
    return seconds
  } finally {
    closeSync(out)
  }
}

/** Run a command to its end. @returns what it printed. @throws Error if it fails */
export function output([program, ...args]: Command): string {
  const options = { encoding: 'utf8', env: ENV, maxBuffer: 2 ** 30 } as const
  const { status, stdout, stderr, error } = spawnSync(program, args, options)
  if (error) throw error
  if (status !== 0) throw failure([program, ...args], status, stderr)
  return stdout
}

/** The most memory a command has at any time, in bytes: its resident set's high-water mark. */
export async function peakMemory(command: Command): Promise<number> {
  const child = start(command)
  child.stdout!.resume()
  let ended = false
  const end = succeeded(child, command).finally(() => { ended = true })
  let peak = 0
  while (!ended) {
    peak = Math.max(peak, highWater(child.pid!))
    await Promise.race([end, delay(5)])
  }
  await end
  return peak
}

function highWater(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0 // it has ended
  }
}

/** What a process has used. */
export interface Usage {
  /** Seconds of processor, all its threads together. */
  readonly processor: number
  /** The most memory it had at any time, in bytes. */
  readonly memory: number
}

/** What a process has used so far. @throws the system error once it has ended */
export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13)
  return { processor: (Number(user) + Number(system)) / TICKS, memory: highWater(pid) }
}

/** Start a command; `stop` ends it, as does the end of this process. */
export function start([program, ...args]: Command): ChildProcess {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: ENV })
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

/** End a process with SIGTERM, or another signal, and wait until it has. @returns its exit code */
export async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  const end = new Promise<number | null>((resolve) => child.once('close', resolve))
  child.kill(signal)
  return end
}

/** End all that still runs. */
export function stopAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** Wait for the end of a process that was started. @throws Error if it fails */
export function succeeded(child: ChildProcess, command: Command): Promise<void> {
  let said = ''
  child.stderr!.on('data', (chunk: Buffer) => { said += chunk.toString() })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => code === 0 ? resolve() : reject(failure(command, code, said)))
  })
}

function failure(command: Command, code: number | null, said: string): Error {
  const last = JSON.stringify(said.slice(-500))
  return new Error(`Cannot measure ${command.join(' ')}: it ended with ${code}, saying ${last}`)
}
