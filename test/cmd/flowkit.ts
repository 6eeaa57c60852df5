import { spawn, type ChildProcess } from 'node:child_process'
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
  return EXECUTABLE === undefined
    ? spawn(process.execPath, [MAIN, ...args], options)
    : spawn(EXECUTABLE, args, options)
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
