/** What commands that run until they are stopped have in common. */
import { spawn } from 'node:child_process'
import type { Io } from './io.ts'

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
 * @param every ms, asked each time
 */
export function untilAborted(
  { signal }: Pick<Io, 'signal'>, every: () => number,
  signals: Readonly<Partial<Record<NodeJS.Signals, () => void>>>, rotate: () => void,
): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const next = () => setTimeout(tick, every() - Date.now() % every())
    let timer = next()
    function tick(): void {
      rotate()
      timer = next()
    }
    for (const [name, action] of Object.entries(signals)) process.on(name, action)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      for (const [name, action] of Object.entries(signals)) process.off(name, action)
      resolve()
    }, { once: true })
  })
}
