import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readLedger, type LedgerRequest } from '../../../core/archive/ledger-files.ts'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import { openDuck } from '../../../core/duck/duck.ts'

const folder = await mkdtemp(join(tmpdir(), 'archive-ledger-'))
after(() => rm(folder, { recursive: true }))
let count = 0
const newArchive = () => join(folder, String(++count))

const at = (time: string) => Date.parse(`2026-11-21T${time}Z`) * 1000
const segment = (time: string) => `20261121T${time.replaceAll(':', '')}000Z-0123abcd`

/** Write the ledger of segments that begin at these times. */
async function write(archive: string, ledgers: Readonly<Record<string, readonly object[]>>): Promise<void> {
  const times = Object.keys(ledgers)
  const writer = await openArchiveWriter(archive, { segment: segment(times[0]) })
  for (const [i, time] of times.entries()) {
    await writer.rotate({ next: segment(times[i + 1] ?? '23:59:59'), ledger: ledgers[time] })
  }
  await writer.close()
}

/** What is read, as `exporter datagrams`. */
async function read(archive: string, window: Omit<LedgerRequest, 'onFault'> = {}): Promise<string[]> {
  const rows = await readLedger(archive, { ...window, onFault: ({ reason }) => assert.fail(reason) })
  return rows.map(({ exporter, datagrams }) => `${exporter} ${datagrams}`)
}

test('the latest row of each exporter is read, the busiest first, without what is null', async () => {
  const archive = newArchive()
  await write(archive, {
    '12:59:00': [
      { exporter: 'a', datagrams: 90, clock_skew_ms: 7 }, { exporter: 'b', datagrams: 50, clock_skew_ms: 1 },
    ],
    '13:00:00': [{ exporter: 'a', datagrams: 91, clock_skew_ms: null }],
    '13:01:00': [{ exporter: 'c', datagrams: 2 ** 53 - 1, clock_skew_ms: -5 }],
  })
  assert.deepEqual(await readLedger(archive, { onFault: ({ reason }) => assert.fail(reason) }), [
    { exporter: 'c', datagrams: 2 ** 53 - 1, clock_skew_ms: -5 },
    { exporter: 'a', datagrams: 91 },
    { exporter: 'b', datagrams: 50, clock_skew_ms: 1 },
  ])
})

test('segments that begin together reach to the next that begins later', async () => {
  const archive = newArchive()
  for (const [digits, exporter] of [['00', 'a'], ['01', 'b'], ['02', 'c']]) {
    const writer = await openArchiveWriter(archive, { segment: `20261121T120000000Z-${digits}23abcd` })
    await writer.rotate({ next: `20261121T120500000Z-${digits}23abcd`, ledger: [{ exporter, datagrams: 1 }] })
    await writer.rotate({ next: '20261121T121000000Z-0023abcd', ledger: [{ exporter, datagrams: 2 }] })
    await writer.close()
  }
  const window = { since: at('12:04:59'), until: at('12:05:00') }
  assert.deepEqual(await read(archive, window), ['a 1', 'b 1', 'c 1'])
  assert.deepEqual(await read(archive, { since: at('12:04:59') }), ['a 2', 'b 2', 'c 2'])
  assert.deepEqual(await read(archive, { since: at('12:59:00') }), ['a 2', 'b 2', 'c 2'])
})

test('segments that reach into the window count', async () => {
  const archive = newArchive()
  await write(archive, {
    '12:00:00': [{ exporter: 'a', datagrams: 1 }, { exporter: 'b', datagrams: 1 }],
    '12:58:00': [{ exporter: 'a', datagrams: 2 }],
    '13:05:00': [{ exporter: 'a', datagrams: 3 }],
  })
  assert.deepEqual(await read(archive), ['a 3', 'b 1'])
  assert.deepEqual(await read(archive, { since: at('13:04:59') }), ['a 3'])
  assert.deepEqual(await read(archive, { since: at('13:00:00'), until: at('13:05:00') }), ['a 2'])
  assert.deepEqual(await read(archive, { until: at('12:58:00') }), ['a 1', 'b 1'])
  assert.deepEqual(await read(archive, { until: at('12:00:00') }), [])
  assert.deepEqual(await read(archive, { since: at('13:59:59') }), ['a 3']) // it has no end yet
  assert.deepEqual(await read(archive, { since: at('14:00:00') }), [])
})

test('the latest row is told by the rows: names of files lie where the clock was set back', async () => {
  const archive = newArchive()
  await write(archive, {
    '12:59:00': [
      { exporter: 'a', datagrams: 90, as_of_ms: 1000 }, { exporter: 'b', datagrams: 50, as_of_ms: 1000 },
    ],
    '12:00:30': [
      { exporter: 'a', datagrams: 91, as_of_ms: 1001 }, { exporter: 'b', datagrams: 3, as_of_ms: 1001 },
    ],
    '12:01:00': [{ exporter: 'a', datagrams: 95, as_of_ms: 1002 }],
  })
  assert.deepEqual(await read(archive), ['a 95', 'b 3']) // b was forgotten, and heard again
})

test('exporters that were forgotten are one row, though several collectors have forgotten some', async () => {
  const archive = newArchive()
  await write(archive, {
    '12:00:00': [
      { exporter: 'a', datagrams: 7, missing_flows: 0, clock_skew_ms: 5, as_of_ms: 1 },
      { exporter: 'forgotten-00000001', datagrams: 70, missing_flows: 1, clock_skew_ms: null, as_of_ms: 1 },
      { exporter: 'forgotten-0000000a', datagrams: 500, missing_flows: 2, clock_skew_ms: null, as_of_ms: 1 },
    ],
    '12:01:00': [
      { exporter: 'forgotten-00000001', datagrams: 75, missing_flows: 4, clock_skew_ms: null, as_of_ms: 2 },
    ],
  })
  assert.deepEqual(await readLedger(archive, { onFault: ({ reason }) => assert.fail(reason) }), [
    { exporter: 'a', datagrams: 7, missing_flows: 0, clock_skew_ms: 5 },
    { exporter: 'forgotten', datagrams: 575, missing_flows: 6 },
  ])
})

test('files of earlier versions lack columns', async () => {
  const archive = newArchive()
  await write(archive, {
    '12:00:00': [{ exporter: 'a', datagrams: 5 }],
    '12:01:00': [
      { exporter: 'b', datagrams: 4, filtered: 3, as_of_ms: 12 },
      { exporter: 'c', datagrams: 1, filtered: 0, as_of_ms: 12 },
    ],
    '12:02:00': [{ exporter: 'c', datagrams: 1000 }], // by an earlier version, after a later one
  })
  const rows = await readLedger(archive, { onFault: ({ reason }) => assert.fail(reason) })
  assert.deepEqual(rows, [
    { exporter: 'a', datagrams: 5 }, { exporter: 'b', datagrams: 4, filtered: 3 },
    { exporter: 'c', datagrams: 1, filtered: 0 },
  ])
})

test('a folder without a ledger has no rows', async () => {
  assert.deepEqual(await read(newArchive()), [])
})

test('damaged and foreign files are told, and the others read', async () => {
  const archive = newArchive()
  await write(archive, { '12:00:00': [{ exporter: 'a', datagrams: 1 }] })
  const hour = join(archive, 'ledger', 'date=2026-11-21', 'hour=12')
  await writeFile(join(hour, `${segment('12:01:00')}.parquet`), 'no Parquet')
  const duck = await openDuck()
  await duck.run(`COPY (SELECT 1 AS x) TO '${join(hour, 'foreign.parquet')}'`)
  await duck.close()
  await mkdir(join(hour, 'notes'))
  const faults: string[] = []
  const rows = await readLedger(archive, { onFault: ({ reason }) => faults.push(reason) })
  assert.deepEqual(rows, [{ exporter: 'a', datagrams: 1 }])
  assert.equal(faults.length, 2)
  assert.match(faults[0], /^Cannot read .*20261121T120100000Z-0123abcd\.parquet as a ledger: /)
  assert.match(faults[1], /^Cannot read .*foreign\.parquet as a ledger: .*exporter/)
  await rm(join(hour, `${segment('12:00:00')}.parquet`))
  assert.deepEqual(await readLedger(archive, { onFault: () => {} }), [])
})
