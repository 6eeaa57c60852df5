/** The ledger adds up, whoever sends however much. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { readLedger } from '../../../core/archive/ledger-files.ts'
import { archiveSink } from '../../../core/sinks/sink.ts'
import { FORGOTTEN, ledgerOf, type ArchivedRow, type LedgerRow } from '../../../core/collector/ledger.ts'
import { formatIpv4 } from '../../../core/flow/address.ts'
import { LIMITS } from '../../../core/netflow/limits.ts'
import { restoreExporters, saveExporters } from '../../../core/netflow/snapshot.ts'
import { segmentHarness, type SegmentHarness } from './segment-harness.ts'
import { memorySink } from './memory-sink.ts'
import { datagramOf, temporaryFolder } from '../spool/spooled.ts'

/** A NetFlow v5 datagram of a flow, numbered `sequence`. */
function v5(sequence: number): Uint8Array {
  const bytes = new Uint8Array(24 + 48)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 5)
  view.setUint16(2, 1)
  view.setUint32(8, 1_795_165_200)
  view.setUint32(16, sequence)
  return bytes
}

/** From address number `i`: what `payload` tells. */
async function sendFrom(
  { backlog, run }: SegmentHarness, addresses: Iterable<number>, payload: Uint8Array,
): Promise<void> {
  for (const i of addresses) backlog.put(datagramOf(payload, formatIpv4(0x0a000000 + i)), 2055)
  backlog.commit()
  await run()
}

function* numbers(from: number, to: number): Generator<number> {
  for (let i = from; i < to; i++) yield i
}

type Column = 'datagrams' | 'records' | 'faulty' | 'missing_flows'

function sum(rows: readonly Partial<LedgerRow>[], column: Column): number {
  return rows.reduce((total, row) => total + (row[column] ?? 0), 0)
}

test('a flood from random addresses takes bounded memory, and all of it is in the ledger', async (t) => {
  const [sink, failing] = [memorySink(), memorySink('failing')]
  const it = await segmentHarness(t, [sink, failing]) // which takes one datagram
  const many = LIMITS.exporters + 5000
  await sendFrom(it, numbers(0, many), v5(1))
  await sendFrom(it, numbers(many - 1000, many), v5(4)) // 2 are missing of each
  await sendFrom(it, numbers(0, 1000), v5(1)) // forgotten, and heard again
  failing.failing = { rotate: true }
  const first = await it.cut()
  await it.until(() => sink.segments.size === 1)
  failing.failing = {}
  await sendFrom(it, numbers(many, many + 3000), Buffer.from('no flows')) // of each as many are forgotten
  const second = await it.cut()
  await it.until(() => sink.segments.size === 2)
  await it.segments.stop()

  const { exporters } = it.segments
  assert.equal(exporters.byKey.size, LIMITS.exporters)
  assert.equal(exporters.forgotten.exporters, 5000 + 1000 + 3000 + 1)
  const rows = ledgerOf(exporters)
  assert.equal(rows.length, LIMITS.exporters + 1)
  assert.equal(rows.at(-1)!.exporter, FORGOTTEN)
  assert.equal(sum(rows, 'datagrams'), 1 + many + 1000 + 1000 + 3000)
  assert.equal(sum(rows, 'faulty'), 3000)
  assert.equal(sum(rows, 'records'), it.counters.records)
  assert.equal(sum(rows, 'missing_flows'), 2000)
  assert.equal(it.counters.records, many + 2000)
  // so it is in what is kept for the next start, and in the archive
  assert.deepEqual(ledgerOf(restoreExporters(saveExporters(exporters))), rows)
  for (const [segment, { ledger }] of sink.segments) {
    const archived = ledger as ArchivedRow[]
    assert.match(archived.at(-1)!.exporter, /^forgotten-[0-9a-f]{8}$/)
    assert.equal(sum(archived, 'datagrams'), 1 + many + 2000 + (segment === second ? 3000 : 0))
    // decoded again, it is the same
    assert.deepEqual(failing.segments.get(segment)!.ledger, ledger)
  }
  assert.deepEqual([...failing.segments.keys()].sort(), [first, second])
})

test('10,000 exporters are in the ledger of an archive, each with its counts', async (t) => {
  const archive = join(temporaryFolder(t), 'archive')
  const it = await segmentHarness(t, [archiveSink(archive)])
  for (let round = 0; round < 3; round++) {
    await sendFrom(it, numbers(0, 10_000), v5(2 * round)) // every other one is missing
    await it.cut()
    await it.until(() => it.segments.waiting === 0)
  }
  await it.segments.stop()
  const rows = await readLedger(archive, { onFault: ({ reason }) => assert.fail(reason) })
  assert.equal(rows.length, 1 + 10_000)
  assert.deepEqual([sum(rows, 'datagrams'), sum(rows, 'records')], [30_001, 30_000])
  assert.equal(sum(rows, 'missing_flows'), 20_000)
  assert.deepEqual([it.counters.records, it.segments.sinks[0].rows], [30_000, 30_000])
  assert.deepEqual(it.errors, [])
})
