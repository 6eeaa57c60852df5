import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeSync, openSync, closeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openDuck, quote } from '../../core/duck/duck.ts'
import {
  conclude, FLOWKIT, freePort, introduce, startCollector, type CollectorProcess,
} from '../support/collector-process.ts'
import { checkArchive } from '../support/marked-archive.ts'
import { FLOWS, openMarkedTraffic, type MarkedTraffic } from '../support/marked-flows.ts'

const RATE = 2400 // datagrams a second
const NOBODY = 65_534
const folder = await mkdtemp(join(tmpdir(), 'flowkit-faults-'))
after(() => rm(folder, { recursive: true }))

const isRoot = process.getuid?.() === 0

/** Why nothing can be mounted here; false if it can be. */
function noMounts(): string | false {
  if (!isRoot) return 'only root may mount a small disk'
  const path = join(folder, 'mount')
  mkdirSync(path)
  if (spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', path]).status !== 0) return 'nothing can be mounted here'
  execFileSync('umount', [path])
  return false
}

const skip = noMounts()

/** A disk of some MiB, gone with the test. */
function smallDisk(t: TestContext, name: string, mebibytes: number): string {
  const path = join(folder, name)
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path])
  t.after(() => execFileSync('umount', ['--lazy', path]))
  return path
}

/** Write a file that takes all room of a disk. */
function fill(disk: string): string {
  const path = join(disk, 'filler')
  const fd = openSync(path, 'w')
  const page = new Uint8Array(4096)
  assert.throws(() => { for (;;) writeSync(fd, page) }, { code: 'ENOSPC' })
  closeSync(fd)
  return path
}

interface Running {
  readonly traffic: MarkedTraffic
  readonly collector: CollectorProcess
}

/** A collector, and exporters that are known to it. */
async function start(t: TestContext, args: readonly string[], uid?: number): Promise<Running> {
  const port = await freePort()
  const traffic = await openMarkedTraffic(port, 1)
  const collector = startCollector(port, ['--log-level', 'debug', ...args], uid)
  t.after(() => {
    traffic.close()
    collector.child.kill('SIGKILL')
  })
  await collector.said(/collecting on/)
  await introduce(traffic, collector)
  return { traffic, collector }
}

/** The numbers of a line of the report: those of a sink or the spool, or all. */
async function reported(collector: CollectorProcess, line: string): Promise<Record<string, number>> {
  collector.child.kill('SIGUSR2')
  const words = new RegExp(`  ${line.replace(/[.[\]]/g, '\\$&')}: (.*)\n`)
  const [, pairs] = await collector.said(words)
  return Object.fromEntries(pairs.split(' ').map((pair) => {
    const [name, value] = pair.split('=')
    return [name, Number(value)]
  }))
}

/** How many flows an archive has, and how many different ones. */
async function distinctFlows(archive: string): Promise<number[]> {
  const duck = await openDuck({ threads: 1 })
  try {
    const [counts] = await duck.rows(`
      SELECT count(*), count(DISTINCT (exporter_addr_lo, bytes))
      FROM read_parquet(${quote(`${archive}/flows/*/*/*.parquet`)})`)
    return counts.map(Number)
  } finally {
    await duck.close()
  }
}

test('a full disk under the archive: flows wait in the spool until there is room', { skip }, async (t) => {
  const archive = smallDisk(t, 'full-archive', 8)
  const state = join(folder, 'full-archive-state')
  const filler = fill(archive)
  rmSync(filler)
  const { traffic, collector } = await start(t, ['--to', archive, '--state', state, '--rotate', '1s'])
  fill(archive)
  traffic.start(RATE)
  await collector.said(/Cannot .*: (no space left on device|disk full)/i)
  await traffic.until(traffic.sent + RATE)
  const before = await reported(collector, 'spool')
  assert.ok(before['waiting'] > 0 && before['bytes'] > 0)
  rmSync(filler)
  await collector.said(/ rows written to /)
  await conclude(traffic, collector)
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
  const { sent, archived } = await checkArchive(archive, join(state, 'spool'), traffic, new Map())
  assert.equal(archived, sent)
})

test('a full disk under the spool: flows go into the archive from memory', { skip }, async (t) => {
  const state = smallDisk(t, 'full-spool', 4)
  const archive = join(folder, 'full-spool-archive')
  const { traffic, collector } = await start(t, ['--to', archive, '--state', state, '--rotate', '1s'])
  const filler = fill(state)
  traffic.start(RATE)
  await collector.said(/Cannot .*: no space left on device/)
  await collector.said(/ rows written to /)
  await traffic.until(traffic.sent + RATE)
  const { unspooled, dropped } = await reported(collector, 'all')
  assert.ok(unspooled > 0)
  assert.equal(dropped, 0)
  rmSync(filler)
  await traffic.until(traffic.sent + RATE)
  await conclude(traffic, collector)
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
  const { sent, archived } = await checkArchive(archive, join(state, 'spool'), traffic, new Map())
  assert.equal(archived, sent)
})

test('a full disk under both: what neither has taken is counted as lost', { skip }, async (t) => {
  const archive = smallDisk(t, 'full-both', 8)
  const { traffic, collector } = await start(t, ['--to', archive, '--rotate', '1h'])
  const filler = fill(archive)
  traffic.start(RATE)
  await traffic.until(traffic.sent + RATE)
  traffic.pause()
  collector.child.kill('SIGUSR1')
  while ((await reported(collector, archive))['failures'] === 0);
  rmSync(filler)
  traffic.start(RATE)
  await traffic.until(traffic.sent + RATE)
  await conclude(traffic, collector)
  collector.child.kill('SIGUSR1')
  while ((await reported(collector, 'spool'))['waiting'] > 0);
  const { rows, lost } = await reported(collector, archive)
  const { records, dropped } = await reported(collector, 'all')
  assert.deepEqual(await collector.end('SIGTERM'), [3, null], collector.text)
  assert.equal(records, traffic.sent * FLOWS)
  assert.ok(lost > 0)
  assert.deepEqual([rows + lost, dropped], [records, 0])
  assert.deepEqual(await distinctFlows(archive), [rows, rows])
})

test('a spool that has reached its limit: what is lost is counted', { skip }, async (t) => {
  const archive = smallDisk(t, 'limit', 8)
  const state = join(folder, 'limit-state')
  const { traffic, collector } = await start(t, [
    '--to', archive, '--state', state, '--rotate', '1s', '--spool-size', '1M',
  ])
  const filler = fill(archive)
  traffic.start(RATE)
  await collector.said(/Cannot write to spool .*: 1000000 bytes allowed, \d+ are used/)
  while ((await reported(collector, archive))['failures'] < 2);
  assert.ok((await reported(collector, 'spool'))['bytes'] <= 1e6)
  rmSync(filler)
  await collector.said(/ rows written to /)
  await conclude(traffic, collector)
  const announced = 2
  const { datagrams, dropped } = await reported(collector, 'all')
  assert.equal(datagrams, traffic.sent + announced)
  assert.deepEqual(await collector.end('SIGTERM'), [3, null], collector.text)
  const decoded = (traffic.sent - dropped) * FLOWS
  const [, lost] = /: (\d+) flows lost: neither the spool nor the archive had room/.exec(collector.text)!
  const written = decoded - Number(lost)
  assert.match(collector.text, new RegExp(` ${decoded} flows decoded, 0 filtered, ${written} written`))
  assert.deepEqual(await distinctFlows(archive), [written, written])
})

const asNobody = { uid: NOBODY, gid: NOBODY }
const noNobody = isRoot && spawnSync(FLOWKIT[0], [...FLOWKIT.slice(1), '--version'], asNobody).status !== 0
  && 'another user cannot run flowkit from here'

/** Take away, or give back, the right to write in a folder, but for its subfolder `state`. */
function setWritable(path: string, isWritable: boolean): void {
  for (const entry of ['.', ...readdirSync(path, { recursive: true, encoding: 'utf8' })]) {
    if (/^state/.test(entry) || /\.[a-z]+$/.test(entry)) continue
    chmodSync(join(path, entry), isWritable ? 0o755 : 0o555)
  }
}

test('an archive that was read-only for a while has everything afterwards', { skip: noNobody }, async (t) => {
  const archive = join(folder, 'read-only', 'archive')
  mkdirSync(archive, { recursive: true })
  if (isRoot) {
    chmodSync(folder, 0o755)
    for (const path of [archive, dirname(archive)]) chownSync(path, NOBODY, NOBODY)
  }
  const args = ['--to', archive, '--rotate', '1s']
  const { traffic, collector } = await start(t, args, isRoot ? NOBODY : undefined)
  traffic.start(RATE)
  await collector.said(/ rows written to /)
  setWritable(archive, false)
  await collector.said(/Cannot .*: permission denied/)
  await traffic.until(traffic.sent + RATE)
  setWritable(archive, true)
  await collector.said(/ rows written to /)
  await conclude(traffic, collector)
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
  const { sent, archived } = await checkArchive(archive, join(archive, 'state', 'spool'), traffic, new Map())
  assert.equal(archived, sent)
})

test('an archive that is deleted is made again, with all that was not in it yet', async (t) => {
  const archive = join(folder, 'deleted')
  const state = join(folder, 'deleted-state')
  const { traffic, collector } = await start(t, ['--to', archive, '--state', state, '--rotate', '1h'])
  traffic.start(RATE)
  await traffic.until(traffic.sent + RATE)
  rmSync(archive, { recursive: true })
  collector.child.kill('SIGUSR1')
  await collector.said(/Cannot .*: no such file/)
  await traffic.until(traffic.sent + RATE)
  collector.child.kill('SIGUSR1')
  await collector.said(/ rows written to /)
  await conclude(traffic, collector)
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
  const { sent, archived } = await checkArchive(archive, join(state, 'spool'), traffic, new Map())
  assert.equal(archived, sent)
})

test('an archive that is deleted with the spool in it is made again, spool and all', async (t) => {
  const archive = join(folder, 'deleted-both')
  const { traffic, collector } = await start(t, ['--to', archive, '--rotate', '1h'])
  traffic.start(RATE)
  await traffic.until(traffic.sent + RATE)
  rmSync(archive, { recursive: true })
  collector.child.kill('SIGUSR1')
  await collector.said(/Cannot find segment .*: it was removed/)
  collector.child.kill('SIGUSR1')
  await collector.said(/ rows written to /)
  await conclude(traffic, collector)
  const lost = (await reported(collector, archive))['lost'] / FLOWS
  assert.ok(lost > 0)
  await collector.end('SIGTERM')
  const flows = (traffic.sent - lost) * FLOWS
  assert.deepEqual(await distinctFlows(archive), [flows, flows])
  const left = readdirSync(join(archive, 'state', 'spool'))
  assert.deepEqual(left.filter((name) => !name.endsWith('.state')), [])
})
