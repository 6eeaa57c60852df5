import { getSystemErrorMessage } from 'node:util'
import { FlowkitError } from '../core/flow/errors.ts'

/** The command line is wrong: exit code 2. Its message is a whole line without `flowkit:`. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Why work stopped: a signal came, and the command could not take it for the end of its input. */
export class Interruption extends Error {
  override readonly name = 'Interruption'

  constructor(signal: NodeJS.Signals) {
    super(`Cannot finish: stopped by ${signal}`)
  }
}

/** What the user is told, and what the shell is. */
export interface Failure {
  readonly exitCode: 1 | 2 | 70
  readonly message: string
}

/** Turn whatever was thrown into a message and an exit code. The only place that words system errors. */
export function explain(error: unknown, version: string): Failure {
  if (error instanceof UsageError) return { exitCode: 2, message: error.message }
  if (error instanceof FlowkitError) return { exitCode: 1, message: error.message }
  const cause = outsideCause(error)
  if (cause instanceof Interruption) return { exitCode: 1, message: cause.message }
  if (cause !== undefined) return { exitCode: 1, message: explainSystemError(cause) }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const advice = `This is a bug in flowkit ${version}: please report these lines and the command line`
  return { exitCode: 70, message: `${stack}\nflowkit: ${advice}` }
}

type SystemError = NodeJS.ErrnoException & {
  readonly dest?: string
  readonly address?: string
  readonly port?: number
  readonly hostname?: string
}

/**
 * The system error or signal behind `error`: fetch and AbortError wrap theirs, and a connect to several
 * addresses fails with several.
 */
function outsideCause(error: unknown): SystemError | Interruption | undefined {
  for (let depth = 0; depth < 8 && error instanceof Error; depth++) {
    const { code, syscall } = error as SystemError
    if (typeof code === 'string' && typeof syscall === 'string') return error
    if (error instanceof Interruption) return error
    error = error instanceof AggregateError ? error.errors[0] : error.cause
  }
  return undefined
}

/** The verb for a system call, where it is not the call's own name. */
const VERBS: Readonly<Record<string, string>> = {
  lstat: 'open', stat: 'open', access: 'open', realpath: 'open', opendir: 'list', scandir: 'list',
  mkdir: 'create', mkdtemp: 'create', unlink: 'remove', rmdir: 'remove', rm: 'remove', ftruncate: 'cut',
  fsync: 'write', fdatasync: 'write', copyfile: 'copy', spawn: 'run',
  bind: 'listen on', listen: 'listen on', connect: 'connect to', getaddrinfo: 'find host',
  send: 'send to', sendmmsg: 'send to',
}

/** The reason for a code, where it is not the system's own sentence. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file', EISDIR: 'it is a directory', ENOTDIR: 'a part of its path is not a directory',
  EEXIST: 'it exists already', EPERM: 'permission denied', ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not answer', EADDRNOTAVAIL: 'this machine has no such address',
}

function explainSystemError(error: SystemError): string {
  const { code = '', syscall = '', path, dest, address, port, hostname } = error
  const [call] = syscall.split(' ') // spawn's is 'spawn NAME'
  const listed = call === 'scandir' || call === 'opendir' || call === 'mkdir'
  const reason = code === 'ENOENT' && listed ? 'no such directory'
    : (REASONS[code] ?? (error.errno === undefined ? error.message : getSystemErrorMessage(error.errno)))
  const host = address?.includes(':') ? `[${address}]` : address
  const thing = path !== undefined ? `"${path}"${dest === undefined ? '' : ` as "${dest}"`}`
    : host !== undefined ? (port === undefined ? host : `${host}:${port}`)
    : hostname !== undefined ? `"${hostname}"` : 'file or socket'
  return `Cannot ${VERBS[call] ?? call} ${thing}: ${reason}`
}
