/**
 * Puts a collector to a long test: `node test/soak.ts [--minutes 10] [--kills 100] [--seed N]`.
 *
 * First it is killed again and again, with files of nfdump beside the archive; then it takes 100,000 flows a
 * second for a while. In both cases each flow must be in the archive once, or missing by the ledger; in the
 * second, memory and the number of open files must not grow once it has warmed up, which takes three minutes:
 * in less than five nobody can tell.
 * Prints what was found; exits with 1 if something does not hold.
 */
import { AssertionError } from 'node:assert'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { socketOf } from './bench/traffic.ts'
import { conclude, freePort, introduce, startCollector } from './support/collector-process.ts'
import { killAgainAndAgain } from './support/kills.ts'
import { checkArchive } from './support/marked-archive.ts'
import { FLOWS, openMarkedTraffic } from './support/marked-flows.ts'
import { cpuSeconds, resourcesOf, sayFlat, type Sample } from './support/resources.ts'

const FLOWS_PER_SECOND = 100_000
const SAMPLES_PER_MINUTE = 12
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
  const nfcapd = join(folder, 'killed-nfcapd')
  const { sent, archived, files, spooled } = await killAgainAndAgain({ archive, nfcapd, kills, seed })
  console.log(`${kills} kills, seed ${seed}: ${sent} datagrams sent, ${archived} archived once, `
    + `${sent - archived} missing by the ledger, none else; ${spooled} seen in spools; `
    + `${files} files, all whole; the same flows once in files of nfdump`)
  for (const path of [archive, nfcapd]) await rm(path, { recursive: true })
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
      samples.push({ minutes: (performance.now() - begun) / 60_000, ...resourcesOf(collector.child.pid!) })
    }
    const seconds = (performance.now() - begun) / 1000
    const { sent } = traffic
    const cpu = cpuSeconds(collector.child.pid!)
    const { dropped } = socketOf(port)!
    await conclude(traffic, collector)
    const [code] = await collector.end('SIGTERM')
    console.log(`${Math.round(sent * FLOWS / seconds)} flows/s for ${(seconds / 60).toFixed(1)} minutes, `
      + `${(cpu / seconds * 100).toFixed(0)} % of a processor; ${dropped} datagrams dropped by the kernel`)
    const isFlat = sayFlat(samples)
    const found = await checkArchive(archive, join(archive, 'state', 'spool'), traffic, new Map())
    console.log(`${found.sent} datagrams sent, ${found.archived} archived once, `
      + `${found.sent - found.archived} missing by the ledger, none else; ${found.files} files, all whole; `
      + `exit code ${code}`)
    if (!isFlat || code !== 0) process.exitCode = 1
  } finally {
    traffic.close()
    collector.child.kill('SIGKILL')
  }
}
