import { spawn, type ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'

/** The executable under test: `$FLOWKIT_BIN`, else dist/flowkit. */
export const FLOWKIT: string = resolve(process.env['FLOWKIT_BIN'] ?? 'dist/flowkit')

/** What a command printed, and how it ended. */
export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Run the executable to its end. */
export function runFlowkit(args: readonly string[], options: { input?: Uint8Array, env?: NodeJS.ProcessEnv } = {}): Promise<Result> {
  const child = spawn(FLOWKIT, args, { env: { ...process.env, TZ: 'UTC', ...options.env }, stdio: 'pipe' })
  child.stdin.on('error', () => {}) // it may end before it has read everything
  child.stdin.end(options.input)
  return finish(child)
}

/** A `flowkit collect` that is ready to receive. */
export interface RunningCollector {
  readonly child: ChildProcess
  readonly port: number
  /** What it has said so far. */
  said(): string
  /** Resolves once it has said what matches. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  /** End it by a signal. */
  stop(signal?: NodeJS.Signals): Promise<Result>
}

/** Start `flowkit collect` on a free port of loopback, into `archive`. */
export async function startCollect(archive: string, args: readonly string[] = []): Promise<RunningCollector> {
  const child = spawn(FLOWKIT, ['collect', '--listen', '127.0.0.1:0', '--to', archive, ...args], {
    env: { ...process.env, TZ: 'UTC' }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = finish(child)
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => said += chunk.toString())
  const until = (pattern: RegExp) => new Promise<RegExpExecArray>((resolvePattern, reject) => {
    const look = () => {
      const match = pattern.exec(said)
      if (match) resolvePattern(match)
      return match !== null
    }
    if (!look()) child.stderr.on('data', look)
    void ended.then(({ code }) => look() || reject(new Error(`flowkit collect ended with ${code}: ${said}`)))
  })
  const [, port] = await until(/collecting on udp:\/\/127\.0\.0\.1:(\d+)/)
  return {
    child, port: Number(port), said: () => said, until,
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}

function finish(child: ChildProcess): Promise<Result> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => stdout += chunk.toString())
  child.stderr?.on('data', (chunk: Buffer) => stderr += chunk.toString())
  return new Promise((resolveResult, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolveResult({ code, stdout, stderr }))
  })
}
