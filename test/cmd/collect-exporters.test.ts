import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { openDuck, quote } from '../../core/duck/duck.ts'
import { openUdpBlaster } from '../../core/net/udp-blast.ts'
import { LIMITS } from '../../core/netflow/limits.ts'
import { socketOf } from '../bench/traffic.ts'
import { set, template, u32, v9 } from '../core/netflow/messages.ts'
import { assertBalance } from '../support/balance.ts'
import {
  conclude, freePort, introduce, startCollector, type CollectorProcess,
} from '../support/collector-process.ts'
import { checkArchive } from '../support/marked-archive.ts'
import { openMarkedTraffic } from '../support/marked-flows.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-exporters-'))
after(() => rm(folder, { recursive: true }))

/** Send a datagram to a port of 127.0.0.1 from an address of loopback. */
async function sendFrom(source: string, port: number, bytes: Uint8Array): Promise<void> {
  const blaster = await openUdpBlaster({
    address: '127.0.0.1', port, source, bytes, offsets: Uint32Array.of(0, bytes.length),
  })
  while (blaster.send(0, 1) === 0);
  blaster.close()
}

/** The address of loopback with number `i`, away from 127.0.x.y. */
function address(i: number): string {
  return `127.${1 + (i >>> 16)}.${i >>> 8 & 255}.${i & 255}`
}

/** Send a datagram from many addresses, as fast as they are taken. */
async function sendFromMany(count: number, port: number, datagram: (i: number) => Uint8Array): Promise<void> {
  for (let i = 0; i < count; i++) {
    await sendFrom(address(i), port, datagram(i))
    if (i % 1000 === 999 || i === count - 1) while (socketOf(port)!.waiting > 0) await turn()
  }
  assert.equal(socketOf(port)!.dropped, 0)
}

async function collectorAt(t: TestContext, port: number, archive: string): Promise<CollectorProcess> {
  const collector = startCollector(port, ['--to', archive, '--rotate', '1d', '--metrics', '127.0.0.1:0'])
  t.after(() => collector.child.kill('SIGKILL'))
  await collector.said(/collecting on/)
  return collector
}

test('the templates and counts of 10,000 exporters outlast a kill', async (t) => {
  const count = 10_000
  const archive = join(folder, 'many')
  const port = await freePort()
  const first = await collectorAt(t, port, archive)
  await sendFromMany(count, port, (i) => {
    return v9({ sequence: 5 }, set(0, template(256, [1, 4])), set(256, u32(i)))
  })
  await first.taken() // the last are in the spool once it says so
  await first.end('SIGKILL')
  const second = await collectorAt(t, port, archive)
  await sendFromMany(count, port, (i) => v9({ sequence: 7 }, set(256, u32(count + i))))
  await assertBalance(second, archive, { datagrams: 2 * count, before: count })
  assert.deepEqual(await second.end('SIGTERM'), [0, null], second.text)
  const duck = await openDuck({ threads: 2 })
  t.after(() => duck.close())
  const [[flows, exporters, different]] = await duck.rows(`
    SELECT count(*), count(DISTINCT exporter_addr_lo), count(DISTINCT bytes)
    FROM read_parquet(${quote(`${archive}/flows/*/*/*.parquet`)})`)
  assert.deepEqual([flows, exporters, different].map(Number), [2 * count, count, 2 * count])
  const ledger = await duck.rows(`
    SELECT records, missing_messages, datagrams, faulty, count(*)
    FROM (
      FROM read_parquet(${quote(`${archive}/ledger/*/*/*.parquet`)})
      QUALIFY row_number() OVER (PARTITION BY exporter ORDER BY as_of_ms DESC) = 1
    ) GROUP BY ALL`)
  assert.deepEqual(ledger.map((row) => row.map(Number)), [[2, 1, 2, 0, count]])
})

/** Memory that a process has, in bytes. */
function memoryOf({ child }: CollectorProcess): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))![1]) * 1024
}

test('a flood from ever other addresses costs bounded memory, and the exporters nothing', async (t) => {
  const archive = join(folder, 'flood')
  const port = await freePort()
  const traffic = await openMarkedTraffic(port, 1)
  t.after(() => traffic.close())
  const collector = await collectorAt(t, port, archive)
  await introduce(traffic, collector)
  const before = memoryOf(collector)
  const kinds = [
    (i: number) => v9({ domain: i }, set(0, template(256 + i % 5000, [1, 4], [2, 4], [8, 4]))),
    (i: number) => v9({ domain: i }, set(300 + i % 100, new Uint8Array(1000))), // waits for its template
    (i: number) => u32(i, i, i),
  ]
  const [announced, count] = [2, 2.5 * LIMITS.exporters]
  await sendFromMany(count, port, (i) => {
    if (i % 50 === 0) traffic.sendEach()
    return kinds[i % kinds.length](i)
  })
  const grown = memoryOf(collector) - before
  assert.ok(grown < 300e6, `${grown} bytes more`)
  await conclude(traffic, collector)
  const malformed = Math.floor(count / kinds.length)
  await assertBalance(collector, archive, {
    datagrams: traffic.sent + announced + count, malformed, waiting: 'some',
  })
  assert.deepEqual(await collector.end('SIGTERM'), [0, null], collector.text)
  const { sent, archived } = await checkArchive(archive, join(archive, 'state', 'spool'), traffic, new Map())
  assert.equal(archived, sent)
  assert.ok((collector.text.match(/Cannot decode/g) ?? []).length <= 100)
})
