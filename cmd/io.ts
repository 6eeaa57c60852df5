import { availableParallelism } from 'node:os'
import { Interruption } from './errors.ts'
import { createTalk, type LogLevel, type Talk } from './progress.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly quiet: boolean
  readonly logLevel: LogLevel
  readonly threads?: number
}

/** What a command has to do with the world outside its arguments. */
export interface Io {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
  readonly talk: Talk
  /** Aborted by SIGINT or SIGTERM (a second one kills) or when stdout takes no more: finish, and return. */
  readonly signal: AbortSignal
  /** How many threads to use. */
  readonly threads: number
  /** Stdout shows colours: a terminal, and NO_COLOR is not set. */
  readonly color: boolean
  /**
   * Write to stdout, at the pace of whoever reads it.
   *
   * @throws the system error once it takes no more
   */
  write(data: string | Uint8Array): Promise<void>
}

/** Stdout, stderr and signals of this process, from the first moment on. */
export interface Session {
  readonly signal: AbortSignal
  /** Why stdout takes no more. EPIPE, nobody reading any more, is no failure. */
  readonly stdoutError: NodeJS.ErrnoException | undefined
  /** What a command gets. */
  io(options: GlobalOptions): Io
  /** Let everything out that was written, then end the process. */
  exit(code: number): void
}

/** Take over the process's signals and broken pipes. */
export function openSession(): Session {
  const { stdin, stdout, stderr, env } = process
  const controller = new AbortController()
  const { signal } = controller
  let stdoutError: NodeJS.ErrnoException | undefined

  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => controller.abort(new Interruption(name)))
  }
  stdout.on('error', (error) => {
    stdoutError = Object.assign(error, { path: 'standard output' })
    controller.abort(error)
  })
  stderr.on('error', () => {}) // nobody listens: work goes on

  async function write(data: string | Uint8Array): Promise<void> {
    if (stdoutError === undefined) {
      // stdout may take everything at once: signals and broken pipes still need their turn of the event loop
      await new Promise<void>((resolve) => stdout.write(data, () => setImmediate(resolve)))
    }
    if (stdoutError !== undefined) throw stdoutError
  }

  return {
    signal,
    get stdoutError() {
      return stdoutError
    },
    io: (options) => ({
      stdin, stdout, env, signal, write,
      talk: createTalk(stderr, options.quiet ? 'error' : options.logLevel),
      threads: options.threads ?? availableParallelism(),
      color: stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
    }),
    exit: (code) => {
      process.exitCode = code
      stdout.write('', () => stderr.write('', () => process.exit()))
    },
  }
}
