import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openArchiveWriter } from '../../core/archive/writer.ts'
import { ledgerRow } from '../core/metrics/report.ts'
import { batchOf } from '../formats/flows.ts'
import { flowkit } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-summary-'))
after(() => rm(folder, { recursive: true }))
const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const NOON = Date.parse('2026-11-21T12:00:00Z') * 1000
const ARCHIVE = join(folder, 'archive')

const writer = await openArchiveWriter(ARCHIVE, { segment: '20261121T120000000Z-0123abcd' })
await writer.write(batchOf([{
  received: NOON, flow_start: NOON - 5e6, flow_end: NOON, bytes: 1500, packets: 3,
  exporter_addr: '192.0.2.1',
}]))
await writer.rotate({ next: '20261121T120100000Z-0123abcd', ledger: [
  ledgerRow('192.0.2.1', { datagrams: 12, records: 9, filtered: 8, missing_flows: 30 }),
] })
await writer.rotate({ ledger: [
  ledgerRow('192.0.2.1', { datagrams: 12, records: 9, filtered: 8, faulty: 2, missing_flows: 30 }),
  ledgerRow('2001:db8::1', {
    datagrams: 345, records: 6789, counter_samples: 10, held_sets: 9, late_sets: 5, abandoned_sets: 3,
    missing_messages: 1, clock_skew_ms: 250,
  }),
] })
await writer.close()

async function summary(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(['read', '--summary', ...args], { TZ: 'UTC' })
  assert.equal(exitCode, 0, stderr)
  return stdout
}

test('the summary of an archive ends with its ledger, and with what is missing in words', async () => {
  assert.equal(await summary(ARCHIVE), [
    'records     1',
    'flows       1',
    'bytes       1500',
    'packets     3',
    'first seen  2026-11-21T11:59:55.000Z',
    'last seen   2026-11-21T12:00:00.000Z',
    'exporters',
    '  192.0.2.1                               1',
    'ledger, since each exporter was first heard',
    '  exporter     datagrams  malformed  flows  filtered  samples  waiting  given up  missing',
    '  2001:db8::1        345          0   6789         0       10        1         3  1 message',
    '  192.0.2.1           12          2      9         8        0        0         0  30 flows',
    'incomplete: missing by the sequence numbers of 2 of 2 exporters: 30 flows, 1 message',
    '',
  ].join('\n'))
})

test('the summary as JSON has the rows of the ledger, without what is not known', async () => {
  const { records, ledger } = JSON.parse(await summary(ARCHIVE, '-o', 'json'))
  assert.equal(records, 1)
  const { clock_skew_ms: _, ...router } = ledgerRow('192.0.2.1', {
    datagrams: 12, records: 9, filtered: 8, faulty: 2, missing_flows: 30,
  })
  assert.equal(ledger.length, 2)
  assert.deepEqual(ledger[1], router)
  const { exporter, held_sets, clock_skew_ms } = ledger[0]
  assert.deepEqual([exporter, held_sets, clock_skew_ms], ['2001:db8::1', 9, 250])
})

test('the ledger is that of the time window', async () => {
  const text = await summary(ARCHIVE, '--until', '2026-11-21T12:01:00Z')
  assert.match(text, /^ {2}192\.0\.2\.1 +12 +0 +9 +8 +0 +0 +0 {2}30 flows$/m)
  assert.match(text, /\nincomplete: missing by the sequence numbers of the exporter: 30 flows\n$/)
  assert.doesNotMatch(await summary(ARCHIVE, '--until', '2026-11-21T12:00:00Z'), /ledger|complete/)
})

test('what is no archive has no ledger, and archives beside it have', async () => {
  assert.doesNotMatch(await summary(V5), /ledger|complete/)
  assert.equal('ledger' in JSON.parse(await summary(V5, '-o', 'json')), false)
  assert.equal(JSON.parse(await summary(V5, ARCHIVE, '-o', 'json')).ledger.length, 2)
})

test('a damaged file of the ledger is said, with exit code 3', async () => {
  const archive = join(folder, 'damaged')
  const writer = await openArchiveWriter(archive, { segment: '20261121T120000000Z-0123abcd' })
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.rotate({ ledger: [ledgerRow('192.0.2.1', { datagrams: 1 })] })
  await writer.close()
  const hour = join(archive, 'ledger/date=2026-11-21/hour=12')
  await writeFile(join(hour, '20261121T120100000Z-0123abcd.parquet'), 'PAR1')
  const { exitCode, stdout, stderr } = await flowkit(['read', '--summary', archive])
  assert.equal(exitCode, 3)
  assert.match(stdout, /\ncomplete: nothing is missing by the sequence numbers of the exporter\n$/)
  assert.match(stderr, /^flowkit: .*damaged: Cannot read .*20261121T120100000Z-\w+\.parquet as a ledger: .*\n$/)
})
