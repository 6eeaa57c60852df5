import { configPath, nearest, parseWords, splitWords, type CommandLine } from './argv.ts'
import type { Command, CommandTable, Configuration } from './command.ts'
import type { FileOptions } from './config.ts'
import { explain, UsageError } from './errors.ts'
import { openSession, type Session } from './io.ts'

/** Commands of later versions. */
const PLANNED = ['serve']

/** Run one command line, to the end of the process: here errors become messages and exit codes. */
export async function runWords(
  words: readonly string[], commands: CommandTable, version: string,
): Promise<void> {
  const session = openSession()

  function fail(error: unknown): void {
    if (session.stdoutError?.code === 'EPIPE') return session.exit(0) // `flowkit read | head` is no failure
    const { exitCode, message } = explain(error, version)
    process.stderr.write(`flowkit: ${message}\n`)
    session.exit(exitCode)
  }

  process.on('uncaughtException', fail)
  try {
    const { name, rest } = splitWords(words)
    const exitCode = name === undefined
      ? await runWithoutCommand(rest, commands, version)
      : await runCommand(await findCommand(commands, name), rest, session)
    if (session.stdoutError !== undefined) throw session.stdoutError
    session.exit(exitCode)
  } catch (error) {
    fail(error)
  }
}

async function runCommand(command: Command, words: readonly string[], session: Session): Promise<number> {
  const configured = configPath(command, words, process.env)

  async function read(
    path: string | undefined,
  ): Promise<{ line: CommandLine | 'help', warnings: readonly string[] }> {
    const file = path === undefined ? undefined : await readFileOf(command, path)
    return { line: parseWords(command, words, process.env, file?.options), warnings: file?.warnings ?? [] }
  }

  async function reread(path = configured): Promise<Configuration<unknown>> {
    const { line, warnings } = await read(path)
    return { options: (line as CommandLine).options, warnings, reread } // for help it has not come to this
  }

  const { line, warnings } = await read(configured)
  if (line === 'help') {
    const { renderHelp } = await import('./help.ts')
    process.stdout.write(renderHelp(command))
    return 0
  }
  const { args, options, globals } = line
  return (await command.run(args, options, session.io(globals), { options, warnings, reread })) ?? 0
}

async function readFileOf(command: Command, path: string): Promise<FileOptions> {
  const { readConfig } = await import('./config.ts')
  return readConfig(path, command)
}

async function runWithoutCommand(
  words: readonly string[], commands: CommandTable, version: string,
): Promise<number> {
  const { bareCommand, renderOverview } = await import('./help.ts')
  const line = parseWords(bareCommand, words, {})
  if (line !== 'help' && line.options['version'] === true) {
    process.stdout.write(`flowkit ${version}\n`)
    return 0
  }
  const stream = line === 'help' ? process.stdout : process.stderr
  stream.write(await renderOverview(commands))
  return line === 'help' ? 0 : 2
}

/**
 * A command by its name.
 *
 * @throws UsageError if there is none, naming the one that was probably meant
 */
export async function findCommand(commands: CommandTable, name: string): Promise<Command> {
  if (Object.hasOwn(commands, name)) return commands[name]()
  if (PLANNED.includes(name)) throw new UsageError(`Cannot ${name}: this version has no such command yet`)
  const near = nearest(name, Object.keys(commands))
  const advice = near === undefined ? 'see flowkit --help' : `the nearest is ${near}`
  throw new UsageError(`Cannot find command "${name}": ${advice}`)
}
