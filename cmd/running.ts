/** What commands that run until they are stopped have in common. */
import { spawn } from 'node:child_process'
import type { Io } from './io.ts'

/** ms between looks at the clock. */
const LOOK = 1000

/** Run the command for a file; what it prints goes where our talk goes. */
export function runHook(command: string, path: string, io: Io): void {
  const env = { ...io.env, FLOWKIT_FILE: path }
  const child = spawn(command, { shell: true, env, stdio: ['ignore', 2, 2] })
  child.on('error', (error) => io.talk.error(`Cannot run "${command}": ${error.message}`))
  child.on('exit', (code, signal) => {
    if (code !== 0) io.talk.error(`Cannot run "${command}": it ended with ${signal ?? `exit code ${code}`}`)
  })
}

/**
 * Wait for the end; do what signals ask for, and `rotate` on the wall clock's multiples of the interval.
 *
 * @param every ms, asked again and again: it may change, and so may the clock
 */
export function untilAborted(
  { signal }: Pick<Io, 'signal'>, every: () => number,
  signals: Readonly<Partial<Record<NodeJS.Signals, () => void>>>, rotate: () => void,
): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    let due: number
    let timer = wait()
    function wait(): NodeJS.Timeout {
      const now = Date.now()
      due = now - now % every() + every()
      return setTimeout(look, Math.min(due - now, LOOK))
    }
    function look(): void {
      if (Date.now() >= due) rotate()
      timer = wait()
    }
    for (const [name, action] of Object.entries(signals)) process.on(name, action)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      for (const [name, action] of Object.entries(signals)) process.off(name, action)
      resolve()
    }, { once: true })
  })
}
