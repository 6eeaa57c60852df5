import assert from 'node:assert/strict'
import { renameSync, rmSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { archiveFiles } from '../../../core/archive/reader.ts'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import type { Fault, FlowReader } from '../../../core/flow/stream.ts'
import type { SqlValue } from '../../../core/duck/values.ts'
import { runSql, runSqlOnFlows, type SqlOptions, type SqlResult } from '../../../core/query/sql.ts'
import { batchOf, type Flow } from '../../formats/flows.ts'

const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs
const FLOWS: readonly Flow[] = [
  { received: NOON, src_addr: '10.0.0.1', src_mac: 'aa:bb:cc:dd:ee:ff', bytes: 2 ** 53, packets: 1 },
  { received: NOON + 3600e6, src_addr: '2001:db8::1', bytes: 7, user_name: 'Zoë' },
]

const folder = await mkdtemp(join(tmpdir(), 'sql-test-'))
const archive = join(folder, 'archive')
const secret = join(folder, 'secret.csv')
process.env['TMPDIR'] = folder
after(() => rm(folder, { recursive: true }))

before(async () => {
  const writer = await openArchiveWriter(archive)
  for (const flow of FLOWS) await writer.write(batchOf([flow]))
  await writer.close()
  await writeFile(secret, 'a,b\n1,2\n')
})

async function rowsOf(opening: Promise<SqlResult>): Promise<SqlValue[][]> {
  const result = await opening
  try {
    return (await Array.fromAsync(result.rows)).flat()
  } finally {
    await result.close()
  }
}

function query(sql: string, options: Partial<SqlOptions> = {}): Promise<SqlValue[][]> {
  return rowsOf(runSql(archive, sql, { onFault: (fault) => assert.fail(fault.reason), ...options }))
}

test('a query sees all files as one table, with addresses as text and as numbers', async () => {
  const columns = 'src_addr, src_addr_hi, src_addr_lo, src_mac, bytes, user_name, received'
  assert.deepEqual(await query(`SELECT ${columns} FROM flows ORDER BY received`), [
    ['10.0.0.1', 0, 281470849515521, 'aa:bb:cc:dd:ee:ff', 2 ** 53, null, '2026-11-21T12:00:00Z'],
    ['2001:db8::1', 2306139568115548160n, 1, null, 7, 'Zoë', '2026-11-21T13:00:00Z'],
  ])
  assert.deepEqual(await query(`SELECT bytes FROM flows WHERE cidr(src_addr_hi, src_addr_lo, '10.0.0.0/8')`),
    [[2 ** 53]])
  assert.deepEqual(await query('SELECT out_if FROM flows; -- a core column that no flow has'),
    [[null], [null]])
})

test('values are numbers where they are exact, and text where JavaScript has no better', async () => {
  assert.deepEqual(await query(`SELECT sum(bytes), 1.5::FLOAT, true, NULL, 2::UTINYINT, -3::BIGINT,
    (2::HUGEINT ** 70)::HUGEINT, 'x'::BLOB,
    TIMESTAMP '2026-11-21 10:00:00.000001', 1.50::DECIMAL(4, 2), DATE '2026-11-21', [1, 2], {'a': 1},
    INTERVAL 1 DAY FROM flows`), [[
    2n ** 53n + 7n, 1.5, true, null, 2, -3, 2n ** 70n, '78', '2026-11-21T10:00:00.000001Z', '1.50',
    '2026-11-21', '[1, 2]', "{'a': 1}", '1 day',
  ]])
})

test('columns have the names and types of the query, even of the same name', async () => {
  const result = await runSql(archive, 'SELECT bytes AS x, src_addr AS x FROM flows ORDER BY bytes',
    { onFault: () => assert.fail() })
  assert.deepEqual(result.columns, [{ name: 'x', type: 'BIGINT' }, { name: 'x', type: 'VARCHAR' }])
  assert.deepEqual((await Array.fromAsync(result.rows)).flat(), [[7, '2001:db8::1'], [2 ** 53, '10.0.0.1']])
  await result.close()
})

test('a query over many rows keeps its order', async () => {
  const rows = await query('SELECT i FROM range(100000) t(i) ORDER BY i DESC')
  assert.deepEqual([rows.length, rows[0], rows[99_999]], [100_000, [99_999], [0]])
})

test('what is no SELECT that DuckDB takes is refused, with the place of the fault', async () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['SELEC 1', /^Cannot run the query: Parser Error: syntax error .* "SELEC"\n\nLINE 1: SELEC 1\n {8}\^$/],
    ['SELECT nothing FROM flows', /Referenced column "nothing" not found/],
    ['SELECT 1; SELECT 2', /^Cannot run the query: expected one SELECT, found 2 statements$/],
    ['', /^Cannot run the query: it is empty$/], ['-- nothing', /it is empty$/],
    ['SELECT ?', /it has parameters$/], ['SET threads = 1', /expected a SELECT, found SET$/],
  ]
  for (const [sql, message] of refused) {
    await assert.rejects(query(sql), { name: 'FlowkitError', code: 'ERR_SYNTAX', message }, sql)
  }
  const late = `SELECT CASE WHEN i = 90000 THEN 'x' ELSE '1' END::INTEGER FROM range(100000) t(i)`
  await assert.rejects(query(late), {
    code: 'ERR_SYNTAX', message: /Could not convert string 'x' to INT32/,
  })
})

test('a query reads the archive and nothing else, and writes nothing', async () => {
  const file = join(archive, 'flows', 'new.parquet')
  const before = await readdir(archive, { recursive: true })
  const attempts = [
    `COPY flows TO '${file}'`, `COPY (SELECT 1) TO '${join(folder, 'out.csv')}'`,
    `EXPLAIN ANALYZE COPY (SELECT 1) TO '${file}'`,
    `EXPORT DATABASE '${join(archive, 'flows')}'`, `FROM '${secret}'`, `FROM read_csv('${secret}')`,
    `FROM read_text('${secret}')`,
    `FROM read_blob('/etc/passwd')`, `FROM glob('/etc/*')`, `FROM sniff_csv('${secret}')`,
    `FROM read_parquet('${archive}/../*.parquet')`,
    `FROM read_text('${archive}/flows/../../secret.csv')`, `FROM parquet_metadata('/tmp/x.parquet')`,
    `ATTACH '${join(archive, 'flows', 'x.db')}'`, `ATTACH ':memory:' AS m`, 'INSTALL httpfs', 'LOAD httpfs',
    'SET enable_external_access = true', 'SET lock_configuration = false', 'RESET allowed_paths',
    'CREATE TABLE t AS SELECT 1',
    'DROP VIEW flows', 'CREATE SECRET s (TYPE s3)', 'CALL pragma_version()', 'PREPARE p AS SELECT 1', 'BEGIN',
    'CHECKPOINT',
    `SELECT * FROM query('COPY (SELECT 1) TO ''${file}''')`, `FROM read_csv('https://example.com/x.csv')`,
    `WITH x AS (INSERT INTO flows VALUES (1) RETURNING *) FROM x`,
  ]
  for (const sql of attempts) {
    await assert.rejects(query(sql), { name: 'FlowkitError', code: 'ERR_SYNTAX' }, sql)
  }
  assert.deepEqual(await readdir(archive, { recursive: true }), before)
  assert.ok(!(await readdir(folder)).includes('out.csv'))
})

/** An archive of so many files, one an hour, of as many flows each. */
async function archiveOf(name: string, files: number, flows: number): Promise<string[]> {
  const path = join(folder, name)
  const writer = await openArchiveWriter(path)
  for (let file = 0; file < files; file++) {
    const rows = Array.from({ length: flows }, (_, i): Flow => ({ received: NOON + file * 3600e6, bytes: i }))
    await writer.write(batchOf(rows))
  }
  await writer.close()
  return (await archiveFiles(path)).sort()
}

test('files that are removed or renamed before there are rows have the query run again', async () => {
  const [first, second] = await archiveOf('renamed', 2, 1)
  let runs = 0
  const settings = {
    // looked at after the files were listed
    get threads() {
      if (runs++ === 0) renameSync(first, `${first.slice(0, -'.parquet'.length)}-again.parquet`)
      else if (runs === 2) rmSync(second)
      return 1
    },
  }
  const options = { settings, onFault: (fault: Fault) => assert.fail(fault.reason) }
  const rows = await rowsOf(runSql(join(folder, 'renamed'), 'SELECT count(*) FROM flows', options))
  assert.deepEqual([rows, runs], [[[1]], 3])
})

test('files that are removed again and again are told of', async () => {
  let [file] = await archiveOf('restless', 1, 1)
  let runs = 0
  const settings = {
    get threads() {
      renameSync(file, file = join(dirname(file), `file-${++runs}.parquet`))
      return 1
    },
  }
  await assert.rejects(runSql(join(folder, 'restless'), 'FROM flows', { settings, onFault() {} }), {
    code: 'ERR_INPUT',
    message: 'Cannot query the archive: its files are removed faster than they are read',
  })
  assert.equal(runs, 5)
})

test('files that are removed when there are rows already end the query, which is told', async () => {
  const [, ...later] = await archiveOf('removed', 4, 200_000)
  const settings = { threads: 1 }
  const result = await runSql(join(folder, 'removed'), 'SELECT bytes FROM flows', { settings, onFault() {} })
  for (const file of later) rmSync(file)
  await assert.rejects(Array.fromAsync(result.rows), {
    code: 'ERR_INPUT', message: 'Cannot finish the query: files were removed while it ran',
  })
  await result.close()
})

test('a query that is too slow can be stopped', async () => {
  const controller = new AbortController()
  const slow = 'SELECT a.range + b.range FROM range(100000000) a, range(100000000) b'
  const result = await runSql(archive, slow, {
    signal: controller.signal, onFault: () => assert.fail(),
  })
  await assert.rejects(async () => {
    for await (const _ of result.rows) controller.abort(new Error('it was too slow'))
  }, { message: 'it was too slow' })
  await result.close()
})

test('an archive without files is a table without rows', async () => {
  const empty = join(folder, 'empty')
  await (await openArchiveWriter(empty)).close()
  const counted = runSql(empty, 'SELECT count(*), sum(bytes) FROM flows', { onFault: () => assert.fail() })
  assert.deepEqual(await rowsOf(counted), [[0, null]])
})

test('files that cannot be read are named, and the query is about the others', async () => {
  const faults: string[] = []
  const counted = runSql([archive, secret], 'SELECT count(*) FROM flows',
    { onFault: (fault) => faults.push(fault.reason) })
  assert.deepEqual(await rowsOf(counted), [[2]])
  assert.match(faults.join(), /^Cannot read .*secret\.csv: /)
})

test('a query goes over the flows of any reader, and leaves nothing behind', async () => {
  async function* reader(): FlowReader {
    for (const flow of FLOWS) yield batchOf([flow])
  }
  const before = await readdir(folder)
  const opening = runSqlOnFlows(reader(), 'SELECT src_addr FROM flows ORDER BY bytes',
    { onFault: () => assert.fail() })
  assert.deepEqual(await rowsOf(opening), [['2001:db8::1'], ['10.0.0.1']])
  assert.deepEqual(await readdir(folder), before)
})
