import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assertBalance } from '../support/balance.ts'
import { conclude, freePort, introduce, startCollector } from '../support/collector-process.ts'
import { flowkit } from '../support/flowkit.ts'
import { checkArchive } from '../support/marked-archive.ts'
import { FLOWS, openMarkedTraffic } from '../support/marked-flows.ts'

const RATE = 2400 // datagrams a second
const folder = await mkdtemp(join(tmpdir(), 'flowkit-hanging-'))
after(() => rm(folder, { recursive: true }))

/** A disk on which every call hangs, as on a network file system whose server is gone. */
interface HangingDisk {
  readonly path: string
  /** It is gone: calls fail, and the folder is as any other. */
  end(): void
}

/** Mount one: FUSE, with nobody that answers. @returns why it cannot be mounted, if so */
function hangingDisk(name: string): HangingDisk | string {
  const path = join(folder, name)
  mkdirSync(path)
  if (process.getuid?.() !== 0) return 'only root may mount a disk'
  let fd: number
  try {
    fd = openSync('/dev/fuse', 'r+')
  } catch {
    return 'there is no /dev/fuse'
  }
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
  const stdio = ['ignore', 'ignore', 'ignore', fd] as const
  const words = ['-i', '-t', 'fuse', '-o', options, 'none', path]
  const { status } = spawnSync('mount', words, { stdio: [...stdio] })
  let isMounted = status === 0
  if (!isMounted) {
    closeSync(fd)
    return 'FUSE cannot be mounted here'
  }
  return {
    path,
    end() {
      if (!isMounted) return
      isMounted = false
      closeSync(fd) // whoever waits gets an error
      spawnSync('umount', ['--lazy', path])
    },
  }
}

function mount(t: TestContext, name: string): HangingDisk | undefined {
  const disk = hangingDisk(name)
  if (typeof disk === 'string') {
    t.skip(disk)
    return undefined
  }
  t.after(() => disk.end())
  return disk
}

for (const workers of [1, 2]) {
  const name = `a disk that hangs: the archive goes on, it ends in time, nothing is lost (${workers} workers)`
  test(name, async (t) => {
    const disk = mount(t, `disk-${workers}`)
    if (!disk) return
    const archive = join(folder, `archive-${workers}`)
    const args = [
      '--to', `${archive},${disk.path}`, '--to-format', 'archive,json', '--rotate', '1s',
      '--log-level', 'debug', '--workers', String(workers), '--metrics', '127.0.0.1:0',
    ]
    const port = await freePort()
    const traffic = await openMarkedTraffic(port, 1)
    const collector = startCollector(port, args)
    t.after(() => {
      traffic.close()
      collector.child.kill('SIGKILL')
    })
    await collector.said(/collecting on/)
    await introduce(traffic, collector)
    traffic.start(RATE)
    await collector.said(/ rows written to /)
    await traffic.until(traffic.sent + RATE)
    await collector.said(/ rows written to /)
    await conclude(traffic, collector)
    const announced = 2
    await assertBalance(collector, archive, { datagrams: traffic.sent + announced, hanging: disk.path })
    const [code] = await collector.end('SIGTERM')
    assert.equal(code, 3, collector.text)
    assert.match(collector.text, /Cannot finish writing to .*: after 10 s it still lacks \d+ segments?/)
    assert.match(collector.text, /\d+ segments? stays? in the spool/)
    assert.equal(await countFlows(archive), traffic.sent * FLOWS)

    disk.end()
    const again = startCollector(port, args)
    t.after(() => again.child.kill('SIGKILL'))
    await again.said(/\d+ segments? of the spool recovered/)
    assert.deepEqual(await again.end('SIGTERM'), [0, null], again.text)
    const spool = join(archive, 'state', 'spool')
    const { sent, archived } = await checkArchive(archive, spool, traffic, new Map())
    assert.equal(archived, sent)
    assert.equal(countLines(disk.path), traffic.sent * FLOWS)
    const left = readdirSync(disk.path, { recursive: true, encoding: 'utf8' })
    assert.deepEqual(left.filter((name) => name.includes('tmp')), [])
  })
}

/** How many flows an archive has. */
async function countFlows(path: string): Promise<number> {
  const { stdout } = await flowkit(['read', path, '--summary', '-o', 'json'])
  return (JSON.parse(stdout) as { records: number }).records
}

/** How many lines the files in a folder have. */
function countLines(path: string): number {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.json')).reduce((sum, name) => {
    return sum + readFileSync(join(path, name)).filter((byte) => byte === 10).length
  }, 0)
}
