import { spawn, type ChildProcess } from 'node:child_process'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

/** What a finished process left. */
export interface Finished {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const MAIN = fileURLToPath(new URL('../../cmd/main.ts', import.meta.url))

/** The executable under test, `$FLOWKIT_BIN`; undefined where the sources are run in its place. */
export const EXECUTABLE: string | undefined = process.env['FLOWKIT_BIN'] || undefined

/** Start flowkit, with only the given FLOWKIT_ variables. */
export function startFlowkit(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('FLOWKIT_'))
  const options = { env: { ...Object.fromEntries(clean), ...env } }
  const child = EXECUTABLE === undefined
    ? spawn(process.execPath, [MAIN, ...args], options)
    : spawn(EXECUTABLE, args, options)
  started.add(child)
  child.once('exit', () => started.delete(child))
  return child
}

/** Processes that have not ended. */
const started = new Set<ChildProcess>()

// a test that fails must not leave one behind: the runner would wait for it
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  after(() => {
    for (const child of started) child.kill('SIGKILL')
  })
}

/** Run flowkit to its end. */
export function flowkit(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return finished(startFlowkit(args, env))
}

/** Collect what a process writes until it ends. */
export async function finished(child: ChildProcess): Promise<Finished> {
  const text = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => { text.stdout += chunk })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => { text.stderr += chunk })
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve)
  })
  return { exitCode, ...text }
}

/** Run flowkit with `input` as its standard input. */
export function flowkitWith(
  input: Uint8Array, args: readonly string[], env: NodeJS.ProcessEnv = {},
): Promise<Finished> {
  const child = startFlowkit(args, env)
  child.stdin?.on('error', () => {}) // it may end before it has read everything
  child.stdin?.end(input)
  return finished(child)
}

/** A process that is listened to. */
export interface Running {
  readonly pid: number
  readonly ended: Promise<Finished>
  /** Resolves once it says what matches, behind what matched before. */
  next(pattern: RegExp): Promise<RegExpExecArray>
  /** Send it a signal that does not end it. */
  signal(name: NodeJS.Signals): void
  /** End it. */
  stop(name?: NodeJS.Signals): Promise<Finished>
}

/** Listen to what a process says on stderr. */
export function listenTo(child: ChildProcess): Running {
  const ended = finished(child)
  let said = ''
  child.stderr?.on('data', (chunk: string) => { said += chunk })
  return {
    pid: child.pid!,
    ended,
    async next(pattern) {
      for (;;) {
        const match = pattern.exec(said)
        if (match) {
          said = said.slice(match.index + match[0].length)
          return match
        }
        const more = new Promise((resolve) => child.stderr?.once('data', () => resolve(undefined)))
        const end = await Promise.race([more, ended])
        if (end !== undefined) throw new Error(`flowkit ended: ${said}`)
      }
    },
    signal: (name) => child.kill(name),
    stop: (name = 'SIGTERM') => {
      child.kill(name)
      return ended
    },
  }
}

/** A `flowkit collect` that is ready to receive. */
export interface RunningCollector extends Running {
  readonly port: number
}

/** Start `flowkit collect` on a free port of loopback, into `archive`. */
export async function startCollect(archive: string, args: readonly string[] = []): Promise<RunningCollector> {
  const words = ['collect', '--listen', '127.0.0.1:0', '--to', archive, ...args]
  const running = listenTo(startFlowkit(words, { TZ: 'UTC' }))
  const [, port] = await running.next(/collecting on udp:\/\/127\.0\.0\.1:(\d+)/)
  return { ...running, port: Number(port) }
}

/** Wait until a collector has taken so many datagrams and messages. */
export async function untilTaken({ signal, next }: Running, datagrams: number): Promise<void> {
  for (let taken = 0; taken < datagrams;) {
    signal('SIGUSR2')
    taken = Number((await next(/all: datagrams=(\d+) /))[1])
  }
}
