/** What a process takes, and whether it takes more and more. */
import { readdirSync, readFileSync } from 'node:fs'

/** What a process took at one time. */
export interface Sample {
  /** Since the begin. */
  readonly minutes: number
  /** Bytes resident, and open files. */
  readonly memory: number
  readonly files: number
}

/** Minutes for which memory grows since all is new, and that must be left to tell whether it grows on. */
const WARM_UP = 3
const LEAST = 2
/** How much more the second half of the time after that may have: of memory, and of open files. */
const MEMORY_NOISE = 0.05
const FILES_NOISE = 2

/** Say what a process took. @returns whether that has not grown, as far as that can be told */
export function sayFlat(samples: readonly Sample[]): boolean {
  const isFlat = [
    sayOne('memory in MB', samples, ({ memory }) => memory / 1e6, MEMORY_NOISE),
    sayOne('open files', samples, ({ files }) => files, 0, FILES_NOISE),
  ]
  return !isFlat.includes(false)
}

function sayOne(
  what: string, samples: readonly Sample[], value: (sample: Sample) => number, share: number, absolute = 0,
): boolean {
  const all = samples.map(value)
  const warm = samples.filter(({ minutes }) => minutes > WARM_UP).map(value)
  const range = `${what}: ${all[0].toFixed(0)} at first, ${Math.max(...all).toFixed(0)} at most, `
    + `${all.at(-1)!.toFixed(0)} in the end`
  if (samples.at(-1)!.minutes < WARM_UP + LEAST) {
    console.log(`${range}; whether it is flat can be told after ${WARM_UP + LEAST} minutes`)
    return true
  }
  const half = Math.floor(warm.length / 2)
  const [before, after] = [mean(warm.slice(0, half)), mean(warm.slice(half))]
  const isFlat = after <= before * (1 + share) + absolute
  console.log(`${range}; after ${WARM_UP} minutes ${before.toFixed(0)}, then ${after.toFixed(0)}: `
    + (isFlat ? 'flat' : 'not flat'))
  return isFlat
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** What a process takes now. */
export function resourcesOf(pid: number): Pick<Sample, 'memory' | 'files'> {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return {
    memory: Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024,
    files: readdirSync(`/proc/${pid}/fd`).length,
  }
}

/** Of all its threads: utime and stime of proc_pid_stat(5), in ticks of 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
