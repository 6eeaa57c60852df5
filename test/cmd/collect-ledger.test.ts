/** The ledger adds up over whatever happens; over disks that fail it is collect-faults.test.ts that tells. */
import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { set, u32, v9 } from '../core/netflow/messages.ts'
import { assertBalance, type Expected } from '../support/balance.ts'
import {
  conclude, freePort, introduce, settle, startCollector, type CollectorProcess,
} from '../support/collector-process.ts'
import { sendFrom } from '../support/datagrams.ts'
import { checkArchive } from '../support/marked-archive.ts'
import { FLOWS, openMarkedTraffic, type MarkedTraffic } from '../support/marked-flows.ts'

const RATE = 2400 // datagrams a second
/** Datagrams of `introduce` that are no flows. */
const ANNOUNCED = 2
const folder = await mkdtemp(join(tmpdir(), 'flowkit-ledger-'))
after(() => rm(folder, { recursive: true }))

/** A collector that works, and who sends to it. */
interface Run {
  collector: CollectorProcess
  readonly port: number
  readonly traffic: MarkedTraffic
  readonly archive: string
  /** Start another once this one has ended. */
  restart(): Promise<void>
}

/** What happens while flows come. */
interface Case {
  readonly name: string
  readonly args?: readonly string[]
  /** @returns what is known of what was sent beside the traffic */
  happen(run: Run): Promise<Partial<Expected> & { readonly others: number }>
}

const v9Waiting = Buffer.from(v9({ sequence: 0, domain: 9 }, set(999, u32(1, 2, 3))))
const config = join(folder, 'collect.toml')

const CASES: readonly Case[] = [
  {
    name: 'nothing happens',
    happen: async () => ({ others: 0 }),
  },
  {
    name: 'damaged datagrams, data without a template, and datagrams of who is not allowed',
    args: ['--allow', '127.0.0.0/28'],
    async happen({ port }) {
      await sendFrom('127.0.0.9', port, Buffer.from('damaged'), v9Waiting.subarray(0, 30), Buffer.alloc(0))
      await sendFrom('127.0.0.9', port, v9Waiting)
      await sendFrom('127.0.0.2', port, Buffer.from([0, 5, 0, 1]))
      await sendFrom('127.0.0.99', port, v9Waiting, v9Waiting)
      return { others: 7, malformed: 4, waiting: 1, refused: 2 }
    },
  },
  {
    name: 'it is killed, and started again',
    async happen(run) {
      const { traffic, collector } = run
      const before = await settle(traffic, collector)
      await collector.end('SIGKILL')
      await run.restart()
      traffic.start(RATE)
      return { others: 0, before }
    },
  },
  {
    name: 'another filter is set, and none again',
    args: ['--config', config],
    async happen(run) {
      const { traffic, collector } = run
      let filtered = 0
      for (const [filter, share] of [['proto udp', 1], ['proto tcp', 0]] as const) {
        await settle(traffic, collector)
        await writeFile(config, `filter = '${filter}'\n`)
        collector.child.kill('SIGHUP')
        await collector.said(/the configuration was read again/)
        await collector.taken() // and all workers have heard of it
        const { sent } = traffic
        traffic.start(RATE)
        await traffic.until(sent + RATE / 4)
        await settle(traffic, collector)
        filtered += (traffic.sent - sent) * FLOWS * share
      }
      traffic.start(RATE)
      return { others: 0, filtered }
    },
  },
]

async function start(t: TestContext, archive: string, args: readonly string[]): Promise<Run> {
  const port = await freePort()
  const traffic = await openMarkedTraffic(port, 2)
  const words = [
    '--to', archive, '--rotate', '1s', '--log-level', 'debug', '--metrics', '127.0.0.1:0', ...args,
  ]
  const begin = (): CollectorProcess => {
    const collector = startCollector(port, words)
    t.after(() => collector.child.kill('SIGKILL'))
    return collector
  }
  t.after(() => traffic.close())
  const run: Run = {
    collector: begin(), port, traffic, archive,
    async restart() {
      run.collector = begin()
      await run.collector.said(/collecting on/)
    },
  }
  await run.collector.said(/collecting on/)
  await introduce(traffic, run.collector)
  return run
}

for (const workers of [1, 2]) {
  for (const [number, { name, args = [], happen }] of CASES.entries()) {
    test(`the ledger adds up: ${name} (${workers} workers)`, async (t) => {
      const archive = join(folder, `archive-${number}-${workers}`)
      await writeFile(config, '')
      const run = await start(t, archive, ['--workers', String(workers), ...args])
      const { traffic } = run
      traffic.start(RATE)
      await traffic.until(traffic.sent + RATE)
      const { others, ...expected } = await happen(run)
      await traffic.until(traffic.sent + RATE / 4)
      await conclude(traffic, run.collector)
      const datagrams = traffic.sent + 2 * ANNOUNCED + others
      const { lost } = await assertBalance(run.collector, archive, { datagrams, ...expected })
      assert.equal(lost, 0)
      assert.deepEqual(await run.collector.end('SIGTERM'), [0, null], run.collector.text)
      if ((expected.filtered ?? 0) + (expected.malformed ?? 0) > 0) return // which that does not know of
      const found = await checkArchive(archive, join(archive, 'state', 'spool'), traffic, new Map())
      assert.ok(found.archived > 0)
    })
  }
}
