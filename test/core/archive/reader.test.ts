import assert from 'node:assert/strict'
import { appendFile, cp, mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { archiveFiles, openArchive, type ArchiveRequest } from '../../../core/archive/reader.ts'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import { parseFilter } from '../../../core/filter/filter.ts'
import { FIELDS, ID } from '../../../core/flow/fields.ts'
import type { FlowWriter } from '../../../core/flow/stream.ts'
import { archive as format } from '../../../formats/archive.ts'
import { syntheticFlows } from '../../bench/flows.ts'
import { batchOf, ids, type Flow } from '../../formats/flows.ts'
import { plainSql, rowsOf, runPlain, type PlainRow } from '../duck/plain.ts'

const HOUR = 3600e6
const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs

const folder = await mkdtemp(join(tmpdir(), 'archive-test-'))
after(() => rm(folder, { recursive: true }))

/** An archive with a file for each hour from noon: flows 0, 1, 2 of each hour, a minute long. */
const hours = join(folder, 'hours')
let files: string[]

before(async () => {
  const writer = await openArchiveWriter(hours)
  for (let hour = 0; hour < 4; hour++) {
    await writer.write(batchOf(Array.from({ length: 3 }, (_, i): Flow => {
      const received = NOON + hour * HOUR + i * 60e6 + 70e6
      // the last flow of the third hour began long before
      return { received, flow_start: hour === 2 && i === 2 ? NOON : received - 65e6, flow_end: received - 5e6,
        bytes: hour * 10 + i }
    })))
  }
  await writer.close()
  files = await archiveFiles(hours)
})

/** Read bytes only, and what is said of faults. */
async function read(
  paths: string | readonly string[], request: Partial<ArchiveRequest> = {},
): Promise<{ bytes: unknown[], faults: string[] }> {
  const faults: string[] = []
  const onFault: ArchiveRequest['onFault'] = (fault) => faults.push(fault.reason)
  const rows = await rowsOf(openArchive(paths, { fields: [ID.bytes], onFault, ...request }))
  return { bytes: rows.map((row) => row.bytes), faults }
}

/** A copy of the archive in which the data of some files is damaged, but not the footers. */
async function damaged(name: string, ...which: number[]): Promise<string> {
  const copy = join(folder, name)
  await cp(hours, copy, { recursive: true })
  for (const i of which) await damage(files[i].replace(hours, copy), ['bytes', 'flow_start', 'flow_end'], 0)
  return copy
}

/** Overwrite the pages of columns in one row group. */
async function damage(path: string, columns: readonly string[], rowGroup: number): Promise<void> {
  const names = columns.map((name) => `'${name}'`).join()
  const places = await plainSql(`
    SELECT least(dictionary_page_offset, data_page_offset), total_compressed_size
    FROM parquet_metadata('${path}') WHERE path_in_schema IN (${names}) AND row_group_id = ${rowGroup}`)
  assert.equal(places.length, columns.length)
  await using file = await open(path, 'r+')
  for (const [start, size] of places) {
    await file.write(Buffer.alloc(Number(size), 0xff), 0, Number(size), Number(start))
  }
}

test('flows come in the order of the files, and only the fields asked for', async () => {
  assert.deepEqual(await read(hours), { bytes: [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32], faults: [] })
  const fields = ids('packets', 'bytes')
  const rows = await rowsOf(openArchive(hours, { fields, limit: 1, onFault: () => assert.fail() }))
  assert.deepEqual(rows, [{ bytes: 0 }])
})

test('an archive is one path, or files, folders and globs', async () => {
  assert.equal(files.length, 4)
  assert.deepEqual((await read(files[1])).bytes, [10, 11, 12])
  assert.deepEqual((await read([files[2], files[0]])).bytes, [20, 21, 22, 0, 1, 2])
  assert.deepEqual((await read(dirname(files[3]))).bytes, [30, 31, 32])
  assert.deepEqual((await read(join(hours, 'flows', '*', 'hour=1[34]', '*.parquet'))).bytes,
    [10, 11, 12, 20, 21, 22])
  await assert.rejects(read(join(folder, 'nowhere')), { code: 'ENOENT' })
  await assert.rejects(read(join(hours, '*.nothing')), { code: 'ERR_INPUT', message: /nothing matches$/ })
})

test('an archive without files has no flows', async () => {
  const path = join(folder, 'empty')
  await (await openArchiveWriter(path)).close()
  assert.deepEqual(await read(path), { bytes: [], faults: [] })
})

test('a window finds a long flow in the file of a later hour', async () => {
  assert.deepEqual((await read(hours, { since: NOON, until: NOON + 60e6 })).bytes, [0, 22])
  assert.deepEqual((await read(hours, { since: NOON + HOUR, until: NOON + HOUR + 60e6 })).bytes, [10, 22])
  assert.deepEqual((await read(hours, { since: NOON + 3 * HOUR })).bytes, [30, 31, 32])
  assert.deepEqual((await read(hours, { until: NOON })).bytes, [])
})

test('files outside the window are not read, by their statistics', async () => {
  const copy = await damaged('pruned', 0, 1, 3)
  for (const file of await archiveFiles(copy)) {
    await rename(file, file.replace(/\.\d+-\d+\.parquet$/, '.parquet'))
  }
  const window = { since: NOON + 2 * HOUR, until: NOON + 3 * HOUR }
  assert.deepEqual(await read(copy, window), { bytes: [20, 21, 22], faults: [] })
  assert.equal((await read(copy)).faults.length, 3)
})

test('files outside the window are not opened, by their names', async () => {
  const copy = await damaged('named')
  for (const i of [0, 1, 3]) await writeFile(files[i].replace(hours, copy), 'no Parquet')
  const window = { since: NOON + 2 * HOUR, until: NOON + 3 * HOUR }
  assert.deepEqual(await read(copy, window), { bytes: [20, 21, 22], faults: [] })
  assert.equal((await read(copy, { since: NOON + 2 * HOUR })).faults.length, 1)
  assert.equal((await read(copy, { until: NOON + 70e6 })).faults.length, 1)
})

test('the span in a name covers the first start and the last end, whatever stands for them', async () => {
  const path = join(folder, 'spans')
  const writer = await openArchiveWriter(path)
  const spanOf = async (...flows: Flow[]) => {
    await writer.write(batchOf(flows))
    const [file] = await writer.rotate()
    return /-[0-9a-f]{8}(.*)\.parquet$/.exec(file.path)?.[1]
  }
  const [a, b] = [1795262400, 1795266000]
  assert.equal(await spanOf({ flow_start: a * 1e6, flow_end: b * 1e6 - 1 }), `.${a}-${b}`)
  assert.equal(await spanOf({ flow_start: a * 1e6 - 1, flow_end: b * 1e6 }), `.${a - 1}-${b + 1}`)
  const received = a * 1e6 + 1
  assert.equal(await spanOf({ flow_start: b * 1e6, received }, { flow_end: a * 1e6, received }), `.${a}-${b + 1}`)
  assert.equal(await spanOf({ received }, { event_time: b * 1e6, received }), `.${a}-${b + 1}`)
  assert.equal(await spanOf({ flow_start: -1, flow_end: a * 1e6 }), `.0-${a + 1}`)
  assert.equal(await spanOf({ bytes: 1 }), '')
  await writer.close()
})

test('row groups outside the window are not read', async () => {
  const path = join(folder, 'row-groups')
  const writer = await openArchiveWriter(path)
  const traffic = { flows: 70_000, from: NOON, span: 0.9 * HOUR }
  for (const batch of syntheticFlows(traffic)) await writer.write(batch)
  const [file] = await writer.rotate()
  await writer.close()
  const groups = `SELECT count(DISTINCT row_group_id) FROM parquet_metadata('${file.path}')`
  assert.deepEqual(await plainSql(groups), [['2']])
  const since = NOON + 0.89 * HOUR // the second row group begins at 0.84
  const expected = await read(path, { since })
  assert.ok(expected.bytes.length > 100)
  await damage(file.path, ['bytes', 'flow_start', 'flow_end'], 0)
  assert.deepEqual(await read(path, { since }), expected)
})

test('columns that are not asked for are not read', async () => {
  const copy = await damaged('columns')
  const path = files[0].replace(hours, copy)
  await damage(path, ['flow_start', 'flow_end'], 0)
  assert.deepEqual((await read(copy)).bytes.length, 12)
  assert.equal((await read(copy, { fields: ids('flow_start') })).faults.length, 1)
})

test('a file that is no Parquet is named, and the others are read', async () => {
  const copy = await damaged('no-parquet')
  const bad = join(copy, 'flows', 'date=2026-11-21', 'hour=13', 'notes.parquet')
  await writeFile(bad, 'these are notes')
  await appendFile(files[3].replace(hours, copy), 'and more')
  const { bytes, faults } = await read(copy)
  assert.deepEqual(bytes, [0, 1, 2, 10, 11, 12, 20, 21, 22])
  assert.equal(faults.length, 2)
  assert.match(faults[0], /^Cannot read .*notes\.parquet: \S/)
})

test('a damaged file is named, and what lies around it is read', async () => {
  const { bytes, faults } = await read(await damaged('damaged', 1))
  assert.deepEqual(bytes, [0, 1, 2, 20, 21, 22, 30, 31, 32])
  assert.equal(faults.length, 1)
  assert.match(faults[0], /^Cannot read .*hour=13.*\.parquet: /)
})

test('a file in whose footer a column has no name is named, and the others are read', async () => {
  const copy = join(folder, 'footer')
  await cp(hours, copy, { recursive: true })
  const path = files[1].replace(hours, copy)
  const bytes = await readFile(path)
  const at = bytes.indexOf('flow_end\x15') // path_in_schema, which the codec follows
  bytes.fill(0xff, at, at + 8) // which is no UTF-8
  await writeFile(path, bytes)
  for (const window of [{}, { since: NOON }]) {
    const { bytes, faults } = await read(copy, window)
    assert.deepEqual(bytes, [0, 1, 2, 20, 21, 22, 30, 31, 32])
    assert.equal(faults.length, 1)
    assert.match(faults[0], /^Cannot read .*hour=13.*\.parquet: /)
  }
})

test('beside a damaged file, one that lacks a column of it is read all the same', async () => {
  const place = join(folder, 'columns-differ')
  const writer = await openArchiveWriter(place)
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.rotate()
  await writer.write(batchOf([{ received: NOON + HOUR, bytes: 2, engine_type: 7 }]))
  await writer.close()
  const [, last] = await archiveFiles(place)
  await damage(last, ['bytes'], 0)
  const faults: string[] = []
  const reader = openArchive(place, { onFault: ({ reason }) => faults.push(reason) })
  const rows: unknown[] = []
  for await (const batch of reader) rows.push(...batch.bytes.subarray(0, batch.length))
  assert.deepEqual(rows, [1])
  assert.equal(faults.length, 1)
})

test('what lies before the damage in a file is read, and no flow comes twice', async () => {
  const path = join(folder, 'middle')
  const writer = await openArchiveWriter(path)
  const expected: number[] = []
  for (let part = 0; part < 3; part++) {
    const traffic = { flows: 150_000, seed: part, from: NOON + part * HOUR, span: 0.9 * HOUR }
    for (const batch of syntheticFlows(traffic)) {
      await writer.write(batch)
      if (part !== 1) expected.push(...batch.bytes.subarray(0, batch.length))
    }
  }
  const written = await writer.rotate()
  await writer.close()
  await damage(written[1].path, ['bytes'], 1)
  const { bytes, faults } = await read(path)
  assert.equal(faults.length, 1)
  const good = bytes.length - expected.length // of the damaged file: its first row group
  assert.equal(good, 65_536)
  assert.deepEqual([...bytes.slice(0, 150_000), ...bytes.slice(150_000 + good)], expected)
})

test('files of other tools are read by their columns, and those without any are named', async () => {
  const copy = await damaged('foreign')
  const place = join(copy, 'flows', 'date=2026-11-21', 'hour=13')
  await runPlain(`COPY (SELECT '77' AS bytes, 5 AS other) TO '${place}/a.parquet' (FORMAT parquet)`)
  await runPlain(`COPY (SELECT 5 AS other) TO '${place}/b.parquet' (FORMAT parquet)`)
  const { bytes, faults } = await read(copy)
  assert.deepEqual(bytes, [0, 1, 2, 10, 11, 12, 77, 20, 21, 22, 30, 31, 32])
  assert.deepEqual(faults, [`Cannot read ${place}/b.parquet as flows: it has no column that flowkit knows`])
})

test('files of a later schema are named', async () => {
  const path = join(folder, 'later.parquet')
  await runPlain(`COPY (SELECT 5 AS bytes) TO '${path}' (FORMAT parquet, KV_METADATA {flowkit_schema: '2'})`)
  const reason = `Cannot read ${path}: it has schema 2 of a later flowkit, expected 1`
  assert.deepEqual(await read(path), { bytes: [], faults: [reason] })
})

test('filters are applied where the data is', async () => {
  assert.deepEqual((await read(hours, { filter: parseFilter('bytes > 11 and bytes < 31') })).bytes,
    [12, 20, 21, 22, 30])
  assert.deepEqual((await read(hours, { filter: parseFilter('user_name bob or bytes 1') })).bytes, [1])
})

test('flows are sorted by a field, equal ones in their order, those without it last', async () => {
  const path = join(folder, 'sorted')
  const writer = await openArchiveWriter(path)
  const packets = [2, undefined, 1, 2, 3, undefined, 1]
  await writer.write(batchOf(packets.map((count, i): Flow => (
    { received: NOON, bytes: i, ...count !== undefined && { packets: count } }
  ))))
  await writer.close()
  const sort = { field: FIELDS[ID.packets], descending: true }
  assert.deepEqual((await read(path, { sort })).bytes, [4, 0, 3, 2, 6, 1, 5])
  assert.deepEqual((await read(path, { sort: { ...sort, descending: false } })).bytes, [2, 6, 0, 3, 4, 1, 5])
  assert.deepEqual((await read(path, { sort, limit: 3 })).bytes, [4, 0, 3])
  assert.deepEqual((await read(path, { limit: 3 })).bytes, [0, 1, 2])
  assert.deepEqual((await read(path, { sort: { field: FIELDS[ID.userName], descending: true } })).bytes,
    [0, 1, 2, 3, 4, 5, 6])
})

test('a reader that is left early lets go of everything', async () => {
  const reader = openArchive(join(folder, 'middle'), { fields: [ID.packets], onFault: () => {} })
  for await (const batch of reader) {
    assert.ok(batch.length > 0)
    break
  }
})

test('the format archive writes what it reads', async () => {
  const path = join(folder, 'format')
  await mkdir(path)
  const rows: PlainRow[] = [{ received: NOON, flow_start: NOON, bytes: 1 }]
  const writer: FlowWriter = await format.create!(path, {})
  await writer.write(batchOf(rows as Flow[]))
  await writer.close()
  assert.deepEqual(await rowsOf(format.open!(path, { onFault: () => assert.fail() })), rows)
})
