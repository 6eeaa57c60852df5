import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { glob, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, test } from 'node:test'
import { readCounters } from '../../../core/archive/counter-files.ts'
import { openArchive } from '../../../core/archive/reader.ts'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import type { CounterRow } from '../../../core/netflow/sflow/counter-row.ts'
import type { CounterSample } from '../../../core/netflow/sflow/counters.ts'
import { runSql } from '../../../core/query/sql.ts'
import { batchOf } from '../../formats/flows.ts'
import { plainSql, rowsOf } from '../duck/plain.ts'

const HOUR = 3600e6
const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs

const folder = await mkdtemp(join(tmpdir(), 'archive-counters-'))
after(() => rm(folder, { recursive: true }))
let count = 0
const newArchive = () => join(folder, String(++count))

function sample(received: number, values: CounterSample['values'], sequence = 1): CounterSample {
  return {
    received, exporterAddr: '192.0.2.1', agentAddr: '2001:db8::1', subAgentId: 3, sequence, sourceType: 0,
    sourceIndex: 7, values,
  }
}

const ORIGIN = {
  exporter_addr: '192.0.2.1', agent_addr: '2001:db8::1', sub_agent_id: 3, source_type: 0, source_index: 7,
}

async function write(archive: string, ...samples: readonly CounterSample[]): Promise<void> {
  const writer = await openArchiveWriter(archive)
  await writer.writeCounters(samples)
  await writer.close()
}

async function read(path: string, window = {}, faults: string[] = []): Promise<CounterRow[]> {
  const rows: CounterRow[] = []
  const request = { ...window, onFault: (fault: { reason: string }) => faults.push(fault.reason) }
  for await (const some of readCounters(path, request)) rows.push(...some)
  return rows
}

/** The files of counter samples, as `date=…/hour=…/NAME`. */
async function filesOf(archive: string): Promise<string[]> {
  return (await Array.fromAsync(glob('counters/**/*.parquet', { cwd: archive }))).sort()
    .map((path) => path.slice('counters/'.length))
}

test('samples come back with all their values', async () => {
  const archive = newArchive()
  const values = {
    if_index: 7, if_in_octets: 2 ** 53, if_speed: 0, if_name: 'xe-0/0/7 "ü"\n\u0000', load_one: 0.01,
    sfp_temperature_millicelsius: -10_000, uuid: '00112233445566778899aabbccddeeff', hostname: '',
    sfp_lane_0_rx_power_uw: 81, adapter_0_if_index: 1, adapter_0_mac_0: '02:00:00:00:00:01',
  }
  await write(archive, sample(NOON + 123_456, values), sample(NOON + 1, {}, 2))
  assert.deepEqual(await read(archive), [
    { received: NOON + 123_456, ...ORIGIN, sequence: 1, ...values },
    { received: NOON + 1, ...ORIGIN, sequence: 2 },
  ])
})

test('nothing is visible before a rotation, then files by hour under the segment of the flows', async () => {
  const archive = newArchive()
  const ledger = [{ exporter: '192.0.2.1', datagrams: 1 }]
  const writer = await openArchiveWriter(archive, { now: () => NOON })
  await writer.writeCounters([sample(NOON - 1, { if_index: 1 }), sample(NOON, { if_index: 2 })])
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.writeCounters([sample(NOON - HOUR, { if_index: 3 })])
  assert.deepEqual(await filesOf(archive), [])
  const files = await writer.rotate({ ledger })
  const segment = basename(files[0].path).split('.')[0]
  assert.deepEqual(await filesOf(archive),
    [`date=2026-11-21/hour=11/${segment}.parquet`, `date=2026-11-21/hour=12/${segment}.parquet`])
  assert.deepEqual(files.map(({ table, rows }) => [table, rows]),
    [['flows', 1], ['counters', 2], ['counters', 1]])
  const [kept] = await Array.fromAsync(glob('ledger/**/*.parquet', { cwd: archive }))
  assert.equal(basename(kept), `${segment}.parquet`)
  assert.deepEqual((await read(archive)).map((row) => row['if_index']), [1, 3, 2])
  await writer.rotate()
  await writer.writeCounters([sample(NOON, { if_index: 4 })])
  await writer.close()
  assert.equal((await filesOf(archive)).length, 3)
  assert.deepEqual([writer.stats.counters, writer.stats.rows, writer.stats.lostCounters], [4, 1, 0])
  assert.deepEqual((await readdir(archive)).sort(), ['counters', 'flowkit.sql', 'flows', 'ledger'])
  assert.equal((await rowsOf(openArchive(archive, { onFault: () => assert.fail() }))).length, 1)
})

test('every file has the core columns, and others where its samples do', async () => {
  const archive = newArchive()
  await write(archive, sample(NOON, { load_one: 0.5, hostname: 'a', sfp_lane_0_index: 5 }),
    sample(NOON + HOUR, { if_index: 1 }))
  const columns = async (file: string) => {
    const path = join(archive, 'counters', file)
    const described = `DESCRIBE FROM read_parquet('${path}', hive_partitioning = false)`
    return (await plainSql(`SELECT column_name, column_type FROM (${described})`)).map((row) => row.join(' '))
  }
  const [first, second] = await filesOf(archive)
  const core = await columns(second)
  assert.equal(core.length, 7 + 19)
  assert.deepEqual(core.slice(0, 8), ['received TIMESTAMP', 'exporter_addr VARCHAR', 'agent_addr VARCHAR',
    'sub_agent_id BIGINT', 'sequence BIGINT', 'source_type BIGINT', 'source_index BIGINT', 'if_index BIGINT'])
  assert.deepEqual((await columns(first)).filter((column) => !core.includes(column)),
    ['hostname VARCHAR', 'load_one DOUBLE', 'extra JSON'])
})

test('a window takes what was received in it', async () => {
  const archive = newArchive()
  await write(archive, ...[-1, 0, 5, HOUR].map((at, i) => sample(NOON + at, {}, i)))
  const sequences = async (window: object) => (await read(archive, window)).map((row) => row['sequence'])
  assert.deepEqual(await sequences({ since: NOON }), [1, 2, 3])
  assert.deepEqual(await sequences({ until: NOON + 5 }), [0, 1])
  assert.deepEqual(await sequences({ since: NOON + 1, until: NOON + HOUR }), [2])
  assert.deepEqual(await sequences({ since: NOON + 2 * HOUR }), [])
})

test('what is no file of counter samples is named, and the others are read', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive, { now: () => NOON })
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.writeCounters([0, 1, 2].map((hour) => sample(NOON + hour * HOUR, {}, hour)))
  const [flows] = await writer.rotate()
  await writer.close()
  const [, second] = (await filesOf(archive)).map((file) => join(archive, 'counters', file))
  await writeFile(second, (await readFile(second)).subarray(0, 100))
  const faults: string[] = []
  assert.deepEqual((await read(archive, {}, faults)).map((row) => row['sequence']), [0, 2])
  assert.deepEqual(await read(flows.path, {}, faults), [])
  assert.match(faults[0], /^Cannot read .*hour=13.*\.parquet: /)
  assert.match(faults[1], /^Cannot read .*flows.* as counter samples: it has no column exporter_addr$/)
  const [first] = await filesOf(archive)
  await assert.rejects(rowsOf(openArchive(join(archive, 'counters', first), {
    onFault: ({ reason }) => { throw new Error(reason) },
  })), { message: /as flows: it holds counter samples, see flowkit read --counters$/ })
})

test('samples of a segment that cannot be written are counted as lost, and later ones are kept', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  await writeFile(join(archive, 'counters'), 'in the way')
  await writer.write(batchOf([{ received: NOON, bytes: 1 }]))
  await writer.writeCounters([sample(NOON, {}), sample(NOON, {})])
  await assert.rejects(writer.rotate(), { code: 'ENOTDIR' })
  assert.deepEqual([writer.stats.lost, writer.stats.lostCounters], [1, 2])
  assert.deepEqual(await rowsOf(openArchive(archive, { onFault: () => assert.fail() })), [])
  await rm(join(archive, 'counters'))
  await writer.writeCounters([sample(NOON, {}, 5)])
  await writer.close()
  assert.deepEqual((await read(archive)).map((row) => row['sequence']), [5])
  assert.equal(writer.stats.counters, 1)
  assert.deepEqual((await readdir(archive)).sort(), ['counters', 'flowkit.sql', 'flows'])
})

test('giving up loses the samples, and leaves nothing', async () => {
  const archive = newArchive()
  const writer = await openArchiveWriter(archive)
  await writer.writeCounters([sample(NOON, {})])
  await writer.abort()
  assert.equal(writer.stats.lostCounters, 1)
  assert.deepEqual((await readdir(archive)).sort(), ['flowkit.sql', 'flows'])
})

test('a plain DuckDB has the view counters, which is empty without files as flows is', async () => {
  const archive = newArchive()
  await (await openArchiveWriter(archive)).close()
  const sql = await readFile(join(archive, 'flowkit.sql'), 'utf8')
  const both = '(SELECT count(*) FROM flows WHERE src_addr IS NULL), (SELECT max(if_in_octets) FROM counters)'
  assert.deepEqual(await plainSql(`SELECT ${both}`, sql), [['0', null]])
  await write(archive, sample(NOON, { if_in_octets: 5 }), sample(NOON + HOUR, { load_one: 0.5 }))
  assert.deepEqual(await plainSql('SELECT hour, exporter_addr, if_in_octets, load_one FROM counters', sql),
    [['12', '192.0.2.1', '5', null], ['13', '192.0.2.1', null, '0.5']])
  assert.deepEqual(await plainSql('SELECT count(*) FROM flows', sql), [['0']])
})

test('a query of analyze sees counters beside flows, but of an archive only', async () => {
  const archive = newArchive()
  const query = async (path: string, sql: string, faults: string[] = []) => {
    const result = await runSql(path, sql, { onFault: ({ reason }) => faults.push(reason) })
    try {
      return (await Array.fromAsync(result.rows)).flat()
    } finally {
      await result.close()
    }
  }
  const writer = await openArchiveWriter(archive, { now: () => NOON })
  const counted = 'SELECT count(*), max(if_in_octets), count(exporter_addr) FROM counters'
  assert.deepEqual(await query(archive, counted), [[0, null, 0]])
  await writer.write(batchOf([{ received: NOON, bytes: 1, exporter_addr: '192.0.2.1' }]))
  await writer.writeCounters([sample(NOON, { if_in_octets: 5 }), sample(NOON + HOUR, { load_one: 0.5 })])
  const [flows] = await writer.rotate()
  await writer.close()
  assert.deepEqual(await query(archive, counted), [[2, 5, 2]])
  const joined = 'SELECT f.bytes, c.load_one FROM flows f JOIN counters c USING (exporter_addr) '
    + 'ORDER BY c.received'
  assert.deepEqual(await query(archive, joined), [[1, null], [1, 0.5]])
  const [, second] = (await filesOf(archive)).map((file) => join(archive, 'counters', file))
  await writeFile(second, 'PAR1')
  const faults: string[] = []
  assert.deepEqual(await query(archive, counted, faults), [[1, 5, 1]])
  assert.match(faults.join(), /^Cannot read .*hour=13/)
  await assert.rejects(query(flows.path, counted), { code: 'ERR_SYNTAX', message: /counters does not exist/ })
})

test('a full disk loses the segment whole, and says how many', { skip: canMount() }, async () => {
  const disk = await mkdtemp(join(folder, 'disk-'))
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
  try {
    const writer = await openArchiveWriter(join(disk, 'archive'))
    const many = Array.from({ length: 1000 }, (_, i) => sample(NOON, { if_index: i, if_in_octets: i * 1e9 }))
    await assert.rejects(async () => {
      for (let i = 0; i < 20; i++) await writer.writeCounters(many)
    }, { code: 'ENOSPC' })
    const { lostCounters } = writer.stats
    assert.ok(lostCounters >= 1000 && lostCounters % 1000 === 0)
    await writer.writeCounters([sample(NOON, { if_index: 1 })])
    await writer.close()
    assert.deepEqual((await read(join(disk, 'archive'))).map((row) => row['if_index']), [1])
  } finally {
    spawnSync('umount', ['-l', disk])
  }
})

/** Why no file system can be mounted, or false. */
function canMount(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root can mount a small disk'
  const { status } = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
  return status === 0 ? false : 'nothing can be mounted here'
}
