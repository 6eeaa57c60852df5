import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sinkOf } from '../../cmd/sinks.ts'
import { newSegment } from '../../core/archive/names.ts'
import { batchOf } from '../formats/flows.ts'
import { assertBalance } from '../support/balance.ts'
import { conclude } from '../support/collector-process.ts'
import {
  ANNOUNCED, fill, mountDisk, NOBODY, noMounts, noNobody, setWritable, startFed,
} from '../support/faults.ts'
import { checkArchive } from '../support/marked-archive.ts'
import { checkFiles, checkNfdump } from '../support/marked-nfdump.ts'

const RATE = 2400 // datagrams a second
const folder = await mkdtemp(join(tmpdir(), 'flowkit-file-faults-'))
after(() => rm(folder, { recursive: true }))

const isRoot = process.getuid?.() === 0
const noDisks = noMounts(folder)

/** Something that keeps a folder from being written to, for a while. */
interface Fault {
  readonly name: string
  /** What is said of it. */
  readonly reason: RegExp
  /** Why it cannot be had here. */
  readonly skip: string | false
  /** The user that the collector runs as. */
  readonly uid?: number
  /** Make a folder that it can befall. */
  make(t: TestContext, path: string): void
  begin(path: string): void
  end(path: string): void
}

const FAULTS: readonly Fault[] = [
  {
    name: 'a full disk',
    reason: /Cannot .*: no space left on device/,
    skip: noDisks,
    make: (t, path) => void mountDisk(t, path, 48),
    begin: (path) => void fill(path),
    end: (path) => rmSync(join(path, 'filler')),
  },
  {
    name: 'a read-only disk',
    reason: /Cannot .*: read-only file system/,
    skip: noDisks,
    make: (_, path) => mkdirSync(path),
    begin(path) {
      execFileSync('mount', ['--bind', path, path])
      execFileSync('mount', ['-o', 'remount,ro,bind', path])
    },
    end: (path) => void execFileSync('umount', ['--lazy', path]),
  },
  {
    name: 'a folder that may not be written to',
    reason: /Cannot .*: permission denied/,
    skip: noNobody(),
    ...isRoot && { uid: NOBODY },
    make: (_, path) => mkdirSync(path),
    begin: (path) => setWritable(path, false),
    end: (path) => setWritable(path, true),
  },
]

/** The open files of this process below a folder. */
function openBelow(path: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd))
    } catch {
      return [] // the one that lists them
    }
  }).filter((target) => target.startsWith(path))
}

const FORMATS = ['archive', 'cbor', 'flow-tools', 'flowd', 'ipfix-file', 'json', 'line', 'netflow-pcap',
  'nfdump', 'parquet']
for (const format of FORMATS) {
  test(`what a full disk has no room for leaves nothing behind: ${format}`, { skip: noDisks }, async (t) => {
    const disk = mountDisk(t, join(folder, `begun-${format}`), 1)
    const sink = sinkOf({ path: disk, format }, () => 60_000)
    const [first, second, third] = [1, 2, 3].map((minute) => newSegment(Date.UTC(2026, 10, 21, 13, minute)))
    const writer = await sink.open(first)
    const filler = fill(disk)
    const ledger = [{ exporter: '192.0.2.1', datagrams: 1 }]
    const times = { received: 1, flow_start: 1 }
    const rows = Array.from({ length: 5000 }, (_, i) => ({ ...times, bytes: i, packets: i }))
    await assert.rejects(async () => {
      await writer.write(batchOf(rows))
      await writer.rotate({ next: second, ledger })
    }, /ENOSPC|no space left|full/i)
    assert.equal(await sink.has(first), false)
    assert.deepEqual(openBelow(disk), [])
    rmSync(filler)
    await writer.skip(second)
    await writer.write(batchOf(rows))
    assert.ok((await writer.rotate({ next: third, ledger })).length > 0)
    await writer.abort()
    assert.deepEqual([await sink.has(first), await sink.has(second)], [false, true])
    const left = readdirSync(disk, { recursive: true, encoding: 'utf8' })
    assert.deepEqual(left.filter((name) => name.includes('tmp-')), [])
  })
}

for (const { name, reason, skip, uid, make, begin, end } of FAULTS) {
  for (const workers of [1, 2]) {
    const title = `${name} under files: the archive goes on, and they have all later (${workers} workers)`
    test(title, { skip }, async (t) => {
      const root = join(folder, `${name.replaceAll(/\W/g, '-')}-${workers}`)
      const [archive, nfcapd, json] = ['archive', 'nfcapd', 'json'].map((each) => join(root, each))
      mkdirSync(root)
      for (const path of [nfcapd, json]) make(t, path)
      if (uid !== undefined) {
        chmodSync(folder, 0o755)
        for (const path of [root, nfcapd, json]) chownSync(path, uid, uid)
      }
      const { traffic, collector } = await startFed(t, [
        '--to', `${archive},${nfcapd},${json}`, '--to-format', 'archive,nfdump,json', '--compression', 'zstd',
        '--rotate', '1s', '--workers', String(workers),
      ], uid)
      traffic.start(RATE)
      await collector.said(/ rows written to \S+\/nfcapd\.\d+\n/)
      await collector.said(/ rows written to \S+\.json\S*\n/) // there is a file in either
      for (const path of [nfcapd, json]) begin(path)
      await collector.said(reason)
      await collector.said(/ rows written to \S+\.parquet\n/)
      await traffic.until(traffic.sent + RATE)
      for (const path of [nfcapd, json]) await checkFiles(path) // those of before are whole, and no others
      for (const path of [nfcapd, json]) end(path)
      await conclude(traffic, collector)
      const datagrams = traffic.sent + ANNOUNCED
      const { unreceived, lost } = await assertBalance(collector, archive, { datagrams })
      assert.equal(lost, 0)
      assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
      const spool = join(archive, 'state', 'spool')
      const { sent, archived } = await checkArchive(archive, spool, traffic, new Map())
      assert.equal(archived, sent - unreceived)
      await checkNfdump(nfcapd, archive)
      await checkFiles(json, archive)
      for (const path of [nfcapd, json]) {
        assert.deepEqual(readdirSync(path).filter((entry) => entry.startsWith('.')), [])
      }
    })
  }
}
