import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { glob, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, test } from 'node:test'
import { openArchive } from '../../../core/archive/reader.ts'
import { hasSegment, removeSegment } from '../../../core/archive/segments.ts'
import { openArchiveWriter, type ArchiveWriterOptions } from '../../../core/archive/writer.ts'
import { FIELDS, ID } from '../../../core/flow/fields.ts'
import { CORE_FIELDS, sqlColumns } from '../../../core/flow/sql.ts'
import type { Fault } from '../../../core/flow/stream.ts'
import { processStart } from '../../../core/process.ts'
import { syntheticFlows } from '../../bench/flows.ts'
import { batchOf, ids, type Flow } from '../../formats/flows.ts'
import { plainSql, rowsOf, type PlainRow } from '../duck/plain.ts'

const HOUR = 3600e6
const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs
const SEGMENT = '20261121T120000123Z-0badcafe'
const NEXT = '20261121T120100000Z-0badcaff'

const folder = await mkdtemp(join(tmpdir(), 'archive-test-'))
after(() => rm(folder, { recursive: true }))

let count = 0

function newArchive(): string {
  return join(folder, String(++count))
}

/** The Parquet files of an archive without the names of segments: `date=…/hour=…`, and `_002` of a second. */
async function placesOf(archive: string): Promise<string[]> {
  const files = await Array.fromAsync(glob('flows/**/*', { cwd: archive }))
  return files.filter((file) => file.endsWith('.parquet')).sort()
    .map((file) => file.replace('flows/', '').replace(/\/\w+-[0-9a-f]{8}(_\d{3})?(\.\d+-\d+)?\.parquet$/, '$1'))
}

async function write(
  archive: string, flows: readonly Flow[], options: ArchiveWriterOptions = {},
): Promise<void> {
  const writer = await openArchiveWriter(archive, options)
  await writer.write(batchOf(flows))
  await writer.close()
}

function onFault(fault: Fault): never {
  assert.fail(fault.reason)
}

function read(archive: string, fields?: readonly number[]): Promise<PlainRow[]> {
  return rowsOf(openArchive(archive, { ...fields && { fields }, onFault }))
}

test('files are cut at the hour in which flows were received', async () => {
  const archive = newArchive()
  const times = [NOON - 1, NOON - 1e6, NOON, NOON + HOUR - 1, NOON + HOUR]
  await write(archive, times.map((received, i) => ({ received, flow_start: NOON - 5 * HOUR, bytes: i })))
  assert.deepEqual(await placesOf(archive), ['date=2026-11-21/hour=11', 'date=2026-11-21/hour=12_002',
    'date=2026-11-21/hour=13_003'])
  assert.deepEqual((await read(archive, ids('bytes', 'received'))).map((row) => [row.bytes, row.received]),
    times.map((time, i) => [i, time]))
})

test('a flow without a time of receipt is filed under its start, its event, its export, or now', async () => {
  const archive = newArchive()
  await write(archive, [
    { flow_start: NOON, event_time: NOON + HOUR, export_secs: 0 },
    { event_time: NOON + HOUR, export_secs: 0 },
    { export_secs: (NOON + 2 * HOUR) / 1e6 }, { bytes: 1 }, { flow_start: -5, event_time: NOON + 4 * HOUR },
  ], { now: () => NOON + 3 * HOUR })
  const parts = ['12', '13_002', '14_003', '15_004', '16_005']
  assert.deepEqual(await placesOf(archive), parts.map((part) => `date=2026-11-21/hour=${part}`))
})

test('rows of two hours that come mixed end in a file for each, in their order', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  const expected: number[][] = [[], []]
  for (let part = 0; part < 10; part++) {
    const flows = Array.from({ length: 1000 }, (_, i): Flow => {
      const late = (i * 7919 + part) % 10 < part ? 1 : 0 // ever more of the later hour
      expected[late].push(part * 1000 + i)
      return { received: NOON + late * HOUR, bytes: part * 1000 + i }
    })
    await writer.write(batchOf(flows))
  }
  await writer.close()
  assert.deepEqual(await placesOf(archive), ['date=2026-11-21/hour=12', 'date=2026-11-21/hour=13_002'])
  assert.deepEqual((await read(archive, ids('bytes'))).map((row) => row.bytes), expected.flat())
})

test('flows of ever other hours cannot make a file each', async () => {
  const archive = newArchive()
  await write(archive, Array.from({ length: 500 }, (_, i) => ({ received: NOON + i * HOUR, bytes: i })))
  const rows = await read(archive, ids('bytes'))
  assert.deepEqual(rows.map((row) => row.bytes as number).sort((a, b) => a - b),
    Array.from({ length: 500 }, (_, i) => i))
  assert.ok((await placesOf(archive)).length <= 65)
})

test('nothing is visible before a rotation, which gives files their names and goes on', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  assert.deepEqual(await placesOf(archive), [])
  const [file, ...others] = await writer.rotate()
  assert.deepEqual(others, [])
  assert.deepEqual([file.rows, file.bytes], [1, (await stat(file.path)).size])
  const name = /flows\/date=2026-11-21\/hour=12\/\d{8}T\d{9}Z-[0-9a-f]{8}\.1795262400-1795262401\.parquet$/
  assert.match(file.path, name)
  assert.deepEqual(await read(archive), [{ received: NOON, bytes: 1 }])
  assert.deepEqual(await writer.rotate(), [])
  await writer.write(batchOf([{ received: NOON, bytes: 2 }]))
  await writer.close()
  assert.deepEqual((await read(archive)).map((row) => row.bytes).sort(), [1, 2])
  assert.deepEqual([writer.stats.rows, writer.stats.files, writer.stats.lost], [2, 2, 0])
  assert.deepEqual((await readdir(archive)).sort(), ['flowkit.sql', 'flows'])
})

test('giving up leaves the files that have their names, and nothing else', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.rotate()
  for (let i = 0; i < 3; i++) await writer.write(batchOf([{ received: NOON + i * HOUR, bytes: 2 }]))
  await writer.abort()
  assert.deepEqual((await read(archive)).map((row) => row.bytes), [1])
  assert.deepEqual((await readdir(archive)).sort(), ['flowkit.sql', 'flows'])
  assert.equal(writer.stats.lost, 3)
})

test('every file has the core columns, and others only where its flows do', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.rotate()
  await writer.write(batchOf([{ received: NOON, user_name: 'a' }]))
  const [named] = await writer.rotate()
  await writer.write(batchOf([{ received: NOON, bytes: 1 }])) // columns go on for one more segment
  const [next] = await writer.rotate()
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  const [last] = await writer.rotate()
  await writer.close()
  const core = CORE_FIELDS.flatMap((field) => sqlColumns(field)).length
  const columnsIn = async (path: string) => {
    const columns = `DESCRIBE FROM read_parquet('${path}', hive_partitioning = false)`
    return (await plainSql(`FROM (${columns})`)).length
  }
  assert.deepEqual([await columnsIn(named.path), await columnsIn(next.path), await columnsIn(last.path)],
    [core + 1, core + 1, core])
})

test('templates that bring ever other fields cannot make a file each', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  const others = FIELDS.filter((field) => !CORE_FIELDS.includes(field) && field.type === 'u32')
  assert.ok(others.length > 20)
  for (const { name } of others) await writer.write(batchOf([{ received: NOON, [name]: 1 }]))
  const files = await writer.rotate()
  await writer.close()
  assert.equal(files.length, 5)
  assert.deepEqual(await read(archive, others.map(({ id }) => id)), others.map(({ name }) => ({ [name]: 1 })))
})

test('only the fields asked for are written; the core columns stay', async () => {
  const archive = newArchive()
  await write(archive, [{ received: NOON, bytes: 1, packets: 2, user_name: 'a', ssid: 'b' }],
    { fields: ids('bytes', 'ssid') })
  assert.deepEqual(await read(archive), [{ bytes: 1, ssid: 'b' }])
})

test('the ledger lies beside the flows under the name of the segment', async () => {
  const archive = newArchive()
  const rows = [{ exporter: "it's 192.0.2.1", datagrams: 7 }, { exporter: '192.0.2.2', datagrams: 2 ** 40 }]
  const writer = await openArchiveWriter(archive, { now: () => NOON, segment: SEGMENT })
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  assert.equal(await hasSegment(archive, SEGMENT), false)
  const [file] = await writer.rotate({ ledger: rows, next: NEXT })
  assert.equal(await hasSegment(archive, SEGMENT), true)
  await writer.rotate({ ledger: [{ exporter: '192.0.2.1', datagrams: 8 }] })
  await writer.close()
  const found = (await Array.fromAsync(glob('ledger/**/*.parquet', { cwd: archive }))).sort()
  assert.equal(found.length, 2)
  assert.equal(basename(file.path).split('.')[0], SEGMENT)
  assert.equal(await hasSegment(archive, NEXT), true)
  const first = join(archive, 'ledger', 'date=2026-11-21', 'hour=12', `${SEGMENT}.parquet`)
  const rowsIn = `SELECT *, typeof(datagrams) FROM read_parquet('${first}', hive_partitioning = false)`
  assert.deepEqual(await plainSql(rowsIn), [
    ["it's 192.0.2.1", '7', 'BIGINT'], ['192.0.2.2', String(2 ** 40), 'BIGINT'],
  ])
})

test('what is there of a segment that was not finished can be removed', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive, { now: () => NOON, segment: SEGMENT })
  await writer.write(batchOf([{ received: NOON, bytes: 1 }, { received: NOON + HOUR, bytes: 2 }]))
  await writer.rotate({ next: NEXT }) // no ledger
  await writer.write(batchOf([{ received: NOON, bytes: 3 }]))
  await writer.rotate()
  await writer.abort()
  await removeSegment(archive, SEGMENT)
  assert.deepEqual(await read(archive, ids('bytes')), [{ bytes: 3 }])
})

test('what killed writers left is removed, and nothing else, such as what other threads have', async () => {
  const archive = newArchive()
  await mkdir(archive)
  const dead = spawnSync('true').pid
  const id = '0123456789ab'
  const about = await readFile(`/proc/${process.ppid}/stat`, 'latin1').catch(() => '')
  const start = about.split(') ')[1]?.split(' ')[19] ?? '0'
  const gone = [`.tmp-${dead}-1-${id}-${hostname()}`, `.tmp-${process.ppid}-1-${id}-${hostname()}`,
    `.tmp-5-1-${id}-elsewhere-old`]
  const thread = `.tmp-${process.pid}-${processStart(process.pid)}-fffe01234567-${hostname()}`
  const kept = [`.tmp-${process.ppid}-${start}-${id}-${hostname()}`, `.tmp-5-1-${id}-elsewhere`, '.tmp-notes',
    'flows', thread]
  for (const name of [...gone, ...kept]) {
    await mkdir(join(archive, name))
    await writeFile(join(archive, name, '1'), 'half')
  }
  const past = new Date(Date.now() - 2 * 86_400_000)
  await utimes(join(archive, gone[2], '1'), past, past)
  await utimes(join(archive, gone[2]), past, past)
  const writer = await openArchiveWriter(archive)
  await writer.close()
  const expected = process.platform === 'linux' ? kept : [gone[1], ...kept]
  assert.deepEqual((await readdir(archive)).sort(), [...expected, 'flowkit.sql'].sort())
})

test('what a writer of this process could not remove is removed by the next, and nothing of those that write', async () => {
  const archive = newArchive()
  const other = await openArchiveWriter(archive)
  await (await openArchiveWriter(archive)).close()
  const [folder] = (await readdir(archive)).filter((name) => name.startsWith('.tmp-'))
  await other.close()
  await mkdir(join(archive, folder))
  const third = await openArchiveWriter(archive)
  const left = (await readdir(archive)).filter((name) => name.startsWith('.tmp-'))
  assert.equal(left.length, 1)
  assert.notEqual(left[0], folder)
  await third.close()
})

test('a reader sees only whole files while others are written', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  let written = 0
  for (const batch of syntheticFlows({ flows: 60_000, seed: 3 })) {
    await writer.write(batch)
    let found = 0
    for await (const { length } of openArchive(archive, { fields: [ID.bytes], onFault })) found += length
    assert.equal(found, written)
    await writer.rotate()
    written += batch.length
  }
  await writer.close()
})

test('an archive where none can be is refused with the system error', async () => {
  const file = join(folder, 'a file')
  await writeFile(file, '')
  await assert.rejects(openArchiveWriter(join(file, 'archive')), { code: 'ENOTDIR' })
})

test('a full disk fails the segment whole, and later writes succeed', { skip: canMount() }, async () => {
  const disk = await mkdtemp(join(folder, 'disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk])
  try {
    const archive = join(disk, 'archive')
    const writer = await openArchiveWriter(archive)
    await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
    await writer.rotate()
    const fill = async () => {
      let rows = 0
      for (const batch of syntheticFlows({ flows: 300_000 })) {
        rows += batch.length
        await writer.write(batch)
      }
      await writer.rotate()
      return rows
    }
    await assert.rejects(fill(), { code: 'ENOSPC', message: /^Cannot write .*: no space left on device$/ })
    assert.ok(writer.stats.lost > 0)
    assert.equal(writer.stats.rows, 1)
    assert.deepEqual((await read(archive)).map((row) => row.bytes), [1])
    await writer.write(batchOf([{ received: NOON, bytes: 2 }]))
    await writer.close()
    assert.deepEqual((await read(archive)).map((row) => row.bytes).sort(), [1, 2])
    assert.deepEqual((await readdir(archive)).sort(), ['flowkit.sql', 'flows'])
  } finally {
    execFileSync('umount', ['-l', disk])
  }
})

test('an archive that is refused on a full disk leaves nothing unfinished', { skip: canMount() }, async () => {
  const disk = await mkdtemp(join(folder, 'disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
  try {
    await writeFile(join(disk, 'filler'), new Uint8Array(65_536))
    await assert.rejects(openArchiveWriter(disk), { code: 'ENOSPC' })
    assert.deepEqual((await readdir(disk)).sort(), ['filler', 'flows'])
  } finally {
    execFileSync('umount', ['-l', disk])
  }
})

test('a folder that cannot be made fails the rotation, and no file is left', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  await writeFile(join(archive, 'flows', 'date=2026-11-21'), 'in the way')
  await writer.write(batchOf([{ received: NOON, bytes: 1 }, { received: NOON - 24 * HOUR, bytes: 2 }]))
  await assert.rejects(writer.rotate(), { code: 'ENOTDIR' })
  assert.deepEqual(await read(archive), [])
  await writer.write(batchOf([{ received: NOON - 24 * HOUR, bytes: 3 }]))
  await writer.close()
  assert.deepEqual((await read(archive)).map((row) => row.bytes), [3])
  assert.equal(writer.stats.lost, 2)
})

test('a process that ends in the middle of writing leaves no visible file, and no crash', async () => {
  const archive = newArchive()
  const modules = [['../../../core/archive/writer.ts', 'openArchiveWriter'],
    ['../../bench/flows.ts', 'syntheticFlows']]
    .map(([file, name]) => `import { ${name} } from ${JSON.stringify(new URL(file, import.meta.url).href)}`)
  const script = join(folder, 'ends.mjs')
  await writeFile(script, `${modules.join('\n')}
    const writer = await openArchiveWriter(${JSON.stringify(archive)})
    for (const batch of syntheticFlows({ flows: 50_000 })) await writer.write(batch)
    process.exit(5)`)
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [5, ''])
  assert.deepEqual(await read(archive), [])
  await (await openArchiveWriter(archive)).close()
  assert.deepEqual((await readdir(archive)).sort(), ['flowkit.sql', 'flows'])
})

test('a plain DuckDB opens an archive with flowkit.sql', async () => {
  const archive = newArchive()
  await write(archive, [
    { received: NOON, src_addr: '10.0.0.1', dst_addr: '2001:db8::1', src_mac: 'aa:bb:cc:dd:ee:ff', bytes: 1 },
    { received: NOON + HOUR, src_addr: '192.0.2.1', bytes: 2, user_name: 'a' },
  ])
  const sql = await readFile(join(archive, 'flowkit.sql'), 'utf8')
  assert.deepEqual(await plainSql(`
    SELECT hour, src_addr, dst_addr, mac(src_mac), cidr(src_addr_hi, src_addr_lo, '10.0.0.0/8'),
      bytes, user_name
    FROM flows ORDER BY bytes`, sql), [
    ['12', '10.0.0.1', '2001:db8::1', 'aa:bb:cc:dd:ee:ff', 'true', '1', null],
    ['13', '192.0.2.1', null, null, 'false', '2', 'a'],
  ])
  await writeFile(join(archive, 'flowkit.sql'), '-- changed by hand')
  await write(archive, [{ received: NOON, bytes: 3 }])
  assert.equal(await readFile(join(archive, 'flowkit.sql'), 'utf8'), '-- changed by hand')
})

/** Why no file system can be mounted, or false. */
function canMount(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root can mount a small disk'
  const { status } = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
  return status === 0 ? false : 'nothing can be mounted here'
}
