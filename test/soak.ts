/**
 * Puts a collector to a long test: `node test/soak.ts [--minutes 10] [--kills 100] [--seed N]`.
 *
 * First it is killed again and again; then it takes 100,000 flows a second for a while. In both cases each
 * flow must be in the archive once, or missing by the ledger; in the second, memory and the number of open
 * files must not grow once it has warmed up, which takes three minutes: in less than five nobody can tell.
 * Prints what was found; exits with 1 if something does not hold.
 */
import { AssertionError } from 'node:assert'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { socketOf } from './bench/traffic.ts'
import {
  conclude, freePort, introduce, startCollector, type CollectorProcess,
} from './support/collector-process.ts'
import { killAgainAndAgain } from './support/kills.ts'
import { checkArchive } from './support/marked-archive.ts'
import { FLOWS, openMarkedTraffic } from './support/marked-flows.ts'

const FLOWS_PER_SECOND = 100_000
const SAMPLES_PER_MINUTE = 12
/** Minutes for which memory grows since all is new, and that must be left to tell whether it grows on. */
const WARM_UP = 3
const LEAST = 2
/** How much more the second half of the time after that may have: of memory, and of open files. */
const MEMORY_NOISE = 0.05
const FILES_NOISE = 2

interface Sample {
  readonly minutes: number
  /** Bytes resident, and open files. */
  readonly memory: number
  readonly files: number
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' }, kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
const folder = await mkdtemp(join(tmpdir(), 'flowkit-soak-'))
try {
  await soakWithKills(Number(values.kills), Number(values.seed))
  await soakForLong(Number(values.minutes))
} catch (error) {
  if (!(error instanceof AssertionError)) throw error
  console.error(`not exact: ${error.message}`)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true })
}

async function soakWithKills(kills: number, seed: number): Promise<void> {
  if (kills === 0) return
  const archive = join(folder, 'killed')
  const { sent, archived, files, spooled } = await killAgainAndAgain({ archive, kills, seed })
  console.log(`${kills} kills, seed ${seed}: ${sent} datagrams sent, ${archived} archived once, `
    + `${sent - archived} missing by the ledger, none else; ${spooled} seen in spools; `
    + `${files} files, all whole`)
  await rm(archive, { recursive: true })
}

async function soakForLong(minutes: number): Promise<void> {
  if (minutes === 0) return
  const archive = join(folder, 'long')
  const port = await freePort()
  const traffic = await openMarkedTraffic(port, 2)
  const collector = startCollector(port, ['--to', archive, '--rotate', '10s'])
  try {
    await collector.said(/collecting on/)
    await introduce(traffic, collector)
    traffic.start(FLOWS_PER_SECOND / FLOWS)
    const samples: Sample[] = []
    const begun = performance.now()
    while ((performance.now() - begun) / 60_000 < minutes) {
      await delay(60_000 / SAMPLES_PER_MINUTE)
      samples.push({ minutes: (performance.now() - begun) / 60_000, ...resourcesOf(collector) })
    }
    const seconds = (performance.now() - begun) / 1000
    const { sent } = traffic
    const cpu = cpuSeconds(collector)
    const { dropped } = socketOf(port)!
    await conclude(traffic, collector)
    const [code] = await collector.end('SIGTERM')
    console.log(`${Math.round(sent * FLOWS / seconds)} flows/s for ${(seconds / 60).toFixed(1)} minutes, `
      + `${(cpu / seconds * 100).toFixed(0)} % of a processor; ${dropped} datagrams dropped by the kernel`)
    const isFlat = [
      sayFlat('memory in MB', samples, ({ memory }) => memory / 1e6, MEMORY_NOISE),
      sayFlat('open files', samples, ({ files }) => files, 0, FILES_NOISE),
    ]
    const found = await checkArchive(archive, join(archive, 'state', 'spool'), traffic, new Map())
    console.log(`${found.sent} datagrams sent, ${found.archived} archived once, `
      + `${found.sent - found.archived} missing by the ledger, none else; ${found.files} files, all whole; `
      + `exit code ${code}`)
    if (isFlat.includes(false) || code !== 0) process.exitCode = 1
  } finally {
    traffic.close()
    collector.child.kill('SIGKILL')
  }
}

/** Say how much there was of something. @returns whether it has not grown, as far as that can be told */
function sayFlat(
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

function resourcesOf({ child }: CollectorProcess): Pick<Sample, 'memory' | 'files'> {
  const status = readFileSync(`/proc/${child.pid}/status`, 'latin1')
  return {
    memory: Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024,
    files: readdirSync(`/proc/${child.pid}/fd`).length,
  }
}

/** Of all its threads: utime and stime of proc_pid_stat(5), in ticks of 10 ms. */
function cpuSeconds({ child }: CollectorProcess): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
