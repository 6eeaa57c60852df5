import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openDuck, quote } from '../../core/duck/duck.ts'
import { assertBalance } from '../support/balance.ts'
import { conclude, freePort, startCollector, type CollectorProcess } from '../support/collector-process.ts'
import {
  ANNOUNCED, fill, mountDisk, NOBODY, noMounts, noNobody, setWritable, startFed, type Fed,
} from '../support/faults.ts'
import { checkArchive } from '../support/marked-archive.ts'
import { FLOWS } from '../support/marked-flows.ts'

const RATE = 2400 // datagrams a second
const folder = await mkdtemp(join(tmpdir(), 'flowkit-faults-'))
after(() => rm(folder, { recursive: true }))

const isRoot = process.getuid?.() === 0
const skip = noMounts(folder)

/** A disk of some MiB, gone with the test. */
function smallDisk(t: TestContext, name: string, mebibytes: number): string {
  return mountDisk(t, join(folder, name), mebibytes)
}

/**
 * Let it have what was lost before in a gap, and nothing waiting: all that was sent is in the archive, and
 * the ledger adds up.
 */
async function finish({ traffic, collector }: Fed, archive: string, state: string): Promise<void> {
  await conclude(traffic, collector)
  const datagrams = traffic.sent + ANNOUNCED
  const { unreceived, lost } = await assertBalance(collector, archive, { datagrams })
  assert.equal(lost, 0)
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
  const { sent, archived } = await checkArchive(archive, join(state, 'spool'), traffic, new Map())
  assert.equal(archived, sent - unreceived)
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
  const { traffic, collector } = await startFed(t, ['--to', archive, '--state', state, '--rotate', '1s'])
  fill(archive)
  traffic.start(RATE)
  await collector.said(/Cannot .*: (no space left on device|disk full)/i)
  await traffic.until(traffic.sent + RATE)
  const before = await reported(collector, 'spool')
  assert.ok(before['waiting'] > 0 && before['bytes'] > 0)
  rmSync(filler)
  await collector.said(/ rows written to /)
  await finish({ traffic, collector }, archive, state)
})

test('a full disk under the spool: flows go into the archive from memory', { skip }, async (t) => {
  const state = smallDisk(t, 'full-spool', 4)
  const archive = join(folder, 'full-spool-archive')
  const { traffic, collector } = await startFed(t, ['--to', archive, '--state', state, '--rotate', '1s'])
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
  await finish({ traffic, collector }, archive, state)
})

test('a full disk under the spool is no matter where --spool-size has reserved room', { skip }, async (t) => {
  const state = smallDisk(t, 'reserved', 12)
  const archive = join(folder, 'reserved-archive')
  const args = ['--to', archive, '--state', state, '--rotate', '1d', '--spool-size', '8Mi']
  const { traffic, collector } = await startFed(t, args)
  fill(state)
  traffic.start(RATE)
  await traffic.until(traffic.sent + 2 * RATE) // 4 MB
  await conclude(traffic, collector)
  const { bytes, reserved, limit } = await reported(collector, 'spool')
  assert.ok(bytes > 2e6, `${bytes} bytes in the spool`)
  assert.ok(reserved > limit - bytes - 100_000, `${reserved} bytes are still reserved`)
  const { unspooled } = await reported(collector, 'all')
  assert.equal(unspooled, 0)
  await collector.end('SIGKILL') // all of it is in the spool
  const again = startCollector(await freePort(), args)
  t.after(() => again.child.kill('SIGKILL'))
  await again.said(/1 segment of the spool recovered/)
  assert.deepEqual(await again.end('SIGTERM'), [0, null], again.text)
  const { sent, archived } = await checkArchive(archive, join(state, 'spool'), traffic, new Map())
  assert.equal(archived, sent)
})

test('room that the disk does not have is told, and collecting begins without', { skip }, async (t) => {
  const state = smallDisk(t, 'too-small', 4)
  const { collector } = await startFed(t, [
    '--to', join(folder, 'too-small-archive'), '--state', state, '--spool-size', '1Gi',
  ])
  assert.match(collector.text, /Cannot reserve spool ".*": 1073741824 bytes wanted, the disk cannot give/)
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
})

test('a full disk under both: what neither has taken is counted as lost', { skip }, async (t) => {
  const archive = smallDisk(t, 'full-both', 8)
  const { traffic, collector } = await startFed(t, ['--to', archive, '--rotate', '1d'])
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
  const datagrams = traffic.sent + ANNOUNCED
  const { unreceived, lost } = await assertBalance(collector, archive, { datagrams })
  assert.ok(lost > 0)
  assert.deepEqual(await collector.end('SIGTERM'), [3, null], collector.text)
  const written = (traffic.sent - unreceived) * FLOWS - lost
  assert.deepEqual(await distinctFlows(archive), [written, written])
})

test('a spool that has reached its limit: what is lost is counted', { skip }, async (t) => {
  const archive = smallDisk(t, 'limit', 8)
  const state = join(folder, 'limit-state')
  const { traffic, collector } = await startFed(t, [
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
  const { dropped } = await reported(collector, 'all')
  const datagrams = traffic.sent + ANNOUNCED
  const { unreceived, lost } = await assertBalance(collector, archive, { datagrams, dropped })
  assert.deepEqual(await collector.end('SIGTERM'), [3, null], collector.text)
  const decoded = (traffic.sent - unreceived - dropped) * FLOWS
  const written = decoded - lost
  assert.ok(collector.text.includes(`: ${lost} flows lost: neither the spool nor the archive had room`))
  assert.match(collector.text, new RegExp(` ${decoded} flows decoded, 0 filtered, ${written} written`))
  assert.deepEqual(await distinctFlows(archive), [written, written])
})

/** With what the collector makes meanwhile. */
const REMOVED = { recursive: true, maxRetries: 20 }

test('an archive that was read-only has everything afterwards', { skip: noNobody() }, async (t) => {
  const archive = join(folder, 'read-only', 'archive')
  mkdirSync(archive, { recursive: true })
  if (isRoot) {
    chmodSync(folder, 0o755)
    for (const path of [archive, dirname(archive)]) chownSync(path, NOBODY, NOBODY)
  }
  const args = ['--to', archive, '--rotate', '1s']
  const { traffic, collector } = await startFed(t, args, isRoot ? NOBODY : undefined)
  traffic.start(RATE)
  await collector.said(/ rows written to /)
  setWritable(archive, false)
  await collector.said(/Cannot .*: permission denied/)
  await traffic.until(traffic.sent + RATE)
  setWritable(archive, true)
  await collector.said(/ rows written to /)
  await finish({ traffic, collector }, archive, join(archive, 'state'))
})

test('an archive that is deleted is made again, with all that was not in it yet', async (t) => {
  const archive = join(folder, 'deleted')
  const state = join(folder, 'deleted-state')
  const { traffic, collector } = await startFed(t, ['--to', archive, '--state', state, '--rotate', '1d'])
  traffic.start(RATE)
  await traffic.until(traffic.sent + RATE)
  rmSync(archive, REMOVED)
  collector.child.kill('SIGUSR1')
  await collector.said(/Cannot .*: no such file/)
  await traffic.until(traffic.sent + RATE)
  collector.child.kill('SIGUSR1')
  await collector.said(/ rows written to /)
  await finish({ traffic, collector }, archive, state)
})

test('an archive that is deleted with the spool in it is made again, spool and all', async (t) => {
  const archive = join(folder, 'deleted-both')
  const { traffic, collector } = await startFed(t, ['--to', archive, '--rotate', '1d'])
  traffic.start(RATE)
  await traffic.until(traffic.sent + RATE)
  rmSync(archive, REMOVED)
  collector.child.kill('SIGUSR1')
  await collector.said(/Cannot find segment .*: it was removed/)
  collector.child.kill('SIGUSR1')
  await collector.said(/ rows written to /)
  await conclude(traffic, collector)
  const datagrams = traffic.sent + ANNOUNCED
  const { unreceived, lost } = await assertBalance(collector, archive, { datagrams })
  assert.ok(lost > 0)
  await collector.end('SIGTERM')
  const flows = (traffic.sent - unreceived) * FLOWS - lost
  assert.deepEqual(await distinctFlows(archive), [flows, flows])
  const left = readdirSync(join(archive, 'state', 'spool'))
  assert.deepEqual(left.filter((name) => !name.endsWith('.state')), [])
})
