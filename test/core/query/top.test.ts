import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import { parseFilter } from '../../../core/filter/filter.ts'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import type { FlowReader } from '../../../core/flow/stream.ts'
import {
  parseKey, topFlows, topOfArchive, type ReportRange, type Sum, type Table,
} from '../../../core/query/top.ts'
import { syntheticFlows } from '../../bench/flows.ts'
import { batchOf, type Flow } from '../../formats/flows.ts'
import { rowOf } from '../duck/plain.ts'

const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs
const FLOWS: readonly Flow[] = [
  { src_addr: '10.1.0.1', dst_port: 443, proto: 6, bytes: 1000, packets: 10 },
  { src_addr: '10.1.0.2', dst_port: 443, proto: 6, bytes: 500, packets: 50, flows: 7 },
  { src_addr: '10.2.0.1', dst_port: 53, proto: 17, bytes: 100, packets: 1, sampling_rate: 100 },
  { src_addr: '2001:db8::1', dst_port: 53, proto: 17, bytes: 900, packets: 2, sampling_rate: 10,
    sampling_applied: 1 },
  { src_addr: '2001:db8:0:1::1', src_mac: 'aa:bb:cc:dd:ee:ff', bytes: 5, sampling_rate: 0 },
  { packets: 3, in_acl: Uint8Array.of(1, 255), flow_start: NOON },
]

const folder = await mkdtemp(join(tmpdir(), 'top-test-'))
const archive = join(folder, 'archive')
after(() => rm(folder, { recursive: true }))

before(async () => {
  const writer = await openArchiveWriter(archive)
  for (const [i, flow] of FLOWS.entries()) {
    await writer.write(batchOf([{ received: NOON + i * 60e6, ...flow }]))
    if (i === 3) await writer.rotate()
  }
  await writer.close()
})

async function* readerOf(batches: Iterable<FlowBatch>): FlowReader {
  yield* batches
}

/** The report over the archive, which must be that over a reader of the same flows. */
async function top(by: string[], sums: Sum[], limit: number = 10): Promise<Table> {
  const report = { by: by.map(parseKey), sums, limit }
  const table = await topOfArchive(archive, report, { onFault: (fault) => assert.fail(fault.reason) })
  assert.deepEqual(await topFlows(readerOf(FLOWS.map((flow) => batchOf([flow]))), report), table)
  return table
}

test('groups come by their first sum, then by the others; counters are scaled unless they were', async () => {
  const { columns, rows, totals, groups, scaled } = await top(['dst_port'], ['bytes', 'packets', 'flows'])
  assert.deepEqual(columns.map(({ name, type }) => `${name} ${type}`),
    ['dst_port u16', 'bytes count', 'packets count', 'flows count'])
  assert.deepEqual(rows, [[53, 10_900, 102, 2], [443, 1500, 60, 8], [null, 5, 3, 2]])
  assert.deepEqual([totals, groups, scaled], [[12_405, 165, 12], 3, true])
})

test('a limit keeps the first groups, and the totals are of all', async () => {
  const { rows, totals, groups } = await top(['dst_port'], ['flows'], 1)
  assert.deepEqual([rows, totals, groups], [[[443, 8]], [12], 3])
})

test('addresses are grouped whole, by a prefix of each family, or by one for both', async () => {
  assert.deepEqual((await top(['src_addr'], ['bytes'], 3)).rows,
    [['10.2.0.1', 10_000], ['10.1.0.1', 1000], ['2001:db8::1', 900]])
  assert.deepEqual((await top(['src_addr/16/64'], ['bytes'])).rows, [
    ['10.2.0.0/16', 10_000], ['10.1.0.0/16', 1500], ['2001:db8::/64', 900], ['2001:db8:0:1::/64', 5],
    [null, 0],
  ])
  assert.deepEqual((await top(['src_addr/8'], ['bytes'])).rows,
    [['10.0.0.0/8', 11_500], ['2000::/8', 905], [null, 0]])
  assert.deepEqual((await top(['src_addr/0/0'], ['bytes'])).rows,
    [['0.0.0.0/0', 11_500], ['::/0', 905], [null, 0]])
  assert.deepEqual((await top(['src_addr/32/128'], ['bytes'], 1)).rows, [['10.2.0.1/32', 10_000]])
})

test('keys of other types are text that can be read', async () => {
  const keys = ['src_mac', 'in_acl', 'flow_start', 'user_name', 'proto']
  assert.deepEqual((await top(keys, ['packets'], 2)).rows, [
    [null, null, null, null, 17, 102], [null, null, null, null, 6, 60],
  ])
  assert.deepEqual((await top(['src_mac'], ['bytes'])).rows, [[null, 12_400], ['aa:bb:cc:dd:ee:ff', 5]])
  assert.deepEqual((await top(['in_acl', 'flow_start'], ['packets'])).rows,
    [[null, null, 162], ['01ff', '2026-11-21T12:00:00Z', 3]])
})

test('without keys there is one group, of all flows', async () => {
  assert.deepEqual((await top([], ['packets', 'flows'])).rows, [[165, 12]])
})

test('a report is about a window, and flows that match a filter', async () => {
  const report = { by: [parseKey('proto')], sums: ['bytes' as const], limit: 10 }
  const rows = async (range: Partial<ReportRange>) => {
    return (await topOfArchive(archive, report, { onFault: () => assert.fail(), ...range })).rows
  }
  assert.deepEqual(await rows({ filter: parseFilter('dst port 53') }), [[17, 10_900]])
  assert.deepEqual(await rows({ since: NOON + 60e6, until: NOON + 180e6 }), [[17, 10_000], [6, 500]])
  assert.deepEqual(await rows({ since: NOON + 3600e6 }), [])
  assert.deepEqual(await rows({ filter: parseFilter('application_name x') }), [])
})

test('no flows are no groups', async () => {
  const empty = join(folder, 'empty')
  await (await openArchiveWriter(empty)).close()
  const report = { by: [parseKey('proto')], sums: ['bytes' as const], limit: 10 }
  const columns = [{ name: 'proto', type: 'u8' }, { name: 'bytes', type: 'count' }]
  const expected = { columns, rows: [], totals: [0], groups: 0, scaled: false }
  assert.deepEqual(await topOfArchive(empty, report, { onFault: () => assert.fail() }), expected)
  assert.deepEqual(await topFlows(readerOf([]), report), expected)
})

test('files that cannot be read are named, and the report is about the others', async () => {
  await writeFile(join(folder, 'bad.parquet'), 'bad')
  const faults: string[] = []
  const report = { by: [], sums: ['flows' as const], limit: 1 }
  const { rows } = await topOfArchive([archive, join(folder, 'bad.parquet')], report,
    { onFault: (fault) => faults.push(fault.reason) })
  assert.deepEqual(rows, [[12]])
  assert.equal(faults.length, 1)
})

test('sums are those of the flows, however many', async () => {
  const expected = new Map<string, number>()
  for (const batch of syntheticFlows({ flows: 100_000 })) {
    for (let i = 0; i < batch.length; i++) {
      const row = rowOf(batch, i)
      const key = JSON.stringify([row.src_addr, row.dst_port])
      expected.set(key, (expected.get(key) ?? 0) + (row.bytes as number) * (row.sampling_rate as number))
    }
  }
  const report = { by: ['src_addr', 'dst_port'].map(parseKey), sums: ['bytes' as const], limit: 1000 }
  const { rows, groups } = await topFlows(readerOf(syntheticFlows({ flows: 100_000 })), report)
  assert.equal(groups, expected.size)
  assert.deepEqual(rows.map((row) => row[2]), [...expected.values()].sort((a, b) => b - a).slice(0, 1000))
  for (const [address, port, bytes] of rows) {
    assert.equal(bytes, expected.get(JSON.stringify([address, port])))
  }
})

test('what fails the reader fails the report', async () => {
  async function* failing(): FlowReader {
    yield batchOf([{ bytes: 1 }])
    throw new Error('the input broke')
  }
  await assert.rejects(topFlows(failing(), { by: [], sums: ['bytes'], limit: 1 }),
    { message: 'the input broke' })
})

test('a key is a field, or an address and prefix lengths', () => {
  const keys = ['src_addr/24', 'srcAddr/24/56', 'dst_addr/64', 'proto']
  assert.deepEqual(keys.map((key) => parseKey(key).bits), [
    { v4: 24, v6: 24 }, { v4: 24, v6: 56 }, { v4: 32, v6: 64 }, undefined,
  ])
  const lengths = ['', '129', '33/64', '8/8/8', '-1'].map((length) => `src_addr/${length}`)
  for (const text of ['nonsense', 'proto/8', '', ...lengths]) {
    assert.throws(() => parseKey(text), { code: 'ERR_OPTION', message: /^Cannot group by "/ })
  }
})
