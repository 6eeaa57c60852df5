/** Other processes of this machine. Linux tells more of them than others. */
import { readFileSync } from 'node:fs'

/** When a process began, in ticks since boot: tells it from a later one of the same number. 0 where unknown. */
export function processStart(pid: number): string {
  return statOf(pid)?.start ?? '0'
}

/** Whether the process `pid` that began at `start`, as `processStart` gave it, is still running. */
export function isRunning(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const stat = statOf(pid)
  if (!stat) return true // it cannot be seen, as with the mount option hidepid
  return (start === '0' || stat.start === start) && stat.state !== 'Z' && stat.state !== 'X'
}

/** Of Linux's proc_pid_stat(5): fields 3 and 22, counted behind the name, which may hold anything. */
function statOf(pid: number): { readonly state: string, readonly start: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0], start: fields[19] }
  } catch {
    return undefined
  }
}
