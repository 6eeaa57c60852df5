import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as fc from 'fast-check'
import { createParquetFile } from '../../core/duck/file.ts'
import { parseFilter } from '../../core/filter/filter.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { CORE_FIELDS, sqlColumns } from '../../core/flow/sql.ts'
import type { FlowWriter } from '../../core/flow/stream.ts'
import { extraNames, extraValues } from '../../formats/extras.ts'
import type { ReadRequest, WriteRequest } from '../../formats/format.ts'
import { parquet } from '../../formats/parquet.ts'
import { plainSql, rowsIn, rowsOf, runPlain, type PlainRow } from '../core/duck/plain.ts'
import { LIST_MESSAGES } from '../core/netflow/list-messages.ts'
import { collector } from '../core/netflow/messages.ts'
import { batches, batchOf, ids, largest, type Flow, type More } from './flows.ts'

const folder = await mkdtemp(join(tmpdir(), 'parquet-test-'))
after(() => rm(folder, { recursive: true }))

let count = 0

/** Write batches into a file. @returns its path */
async function write(batches: readonly FlowBatch[], request: WriteRequest = {}): Promise<string> {
  const path = join(folder, `${++count}.parquet`)
  await writeAll(await parquet.create!(path, request), batches)
  return path
}

async function writeAll(writer: FlowWriter, batches: readonly FlowBatch[]): Promise<void> {
  for (const batch of batches) await writer.write(batch)
  await writer.close()
}

function read(path: string, request: Partial<ReadRequest> = {}): Promise<PlainRow[]> {
  const everything = FIELDS.map(({ id }) => id)
  const onFault: ReadRequest['onFault'] = (fault) => assert.fail(fault.reason)
  return rowsOf(parquet.open!(path, { fields: everything, onFault, ...request }))
}

/** A file that another tool wrote: the rows of a query. */
async function foreignFile(query: string): Promise<string> {
  const path = join(folder, `${++count}.parquet`)
  await runPlain(`COPY (${query}) TO '${path}' (FORMAT parquet)`)
  return path
}

test('every field comes back: its smallest value, its largest, and none', async () => {
  const zero = { addr: '0.0.0.0', mac: '00:00:00:00:00:00', text: '', octets: new Uint8Array(0), u64: 0n }
  const flows: Flow[] = [
    Object.fromEntries(FIELDS.map(({ name, type }) => [name, zero[type as keyof typeof zero] ?? 0])),
    Object.fromEntries(FIELDS.map((field) => [field.name, largest(field)])),
    {},
    ...FIELDS.map((field) => ({ [field.name]: largest(field) })),
  ]
  const batch = batchOf(flows)
  assert.deepEqual(await read(await write([batch])), rowsIn([batch]))
})

test('any batches come back, in their order', async () => {
  await fc.assert(fc.asyncProperty(fc.array(batches, { maxLength: 3 }), async (some) => {
    // IPv4-mapped IPv6 addresses are a test of their own
    const rows = rowsIn(some)
    fc.pre(!rows.some((row) => Object.values(row).some((value) => /^::ffff:[\d.]+$/.test(String(value)))))
    assert.deepEqual(await read(await write(some)), rows)
  }), { numRuns: 25, seed: 7 })
})

test('more rows than a vector or a batch holds come back', async () => {
  const flows = Array.from({ length: 20_000 }, (_, i): Flow => ({
    bytes: i,
    src_addr: i % 3 === 0 ? `2001:db8::${(i % 65536).toString(16)}` : `10.0.${i >> 8 & 255}.${i & 255}`,
    ...i % 7 === 0 && { user_name: `user ${i}` }, ...i % 2 === 0 && { icmp_type: i % 256 },
  }))
  const batch = batchOf(flows)
  assert.deepEqual(await read(await write([batch])), rowsIn([batch]))
})

test('columns have the types and values of schema 1 for any other reader', async () => {
  const path = await write([batchOf([{
    type: 4, received: 1795267445123456, exporter_addr: '192.0.2.1', flow_start: 1795267440000001,
    flow_end: 1795267445000000,
    bytes: 2 ** 53, packets: 3, proto: 17, src_addr: '10.1.2.3', dst_addr: '2001:db8::8:800:200c:417a',
    src_port: 65535,
    src_mac: 'aa:bb:cc:dd:ee:ff', flow_id: 2n ** 64n - 1n, user_name: 'Zoë', in_acl: Uint8Array.of(0, 255, 0),
  }])])
  const columns = ['received', 'flow_start', 'bytes', 'proto', 'src_addr_hi', 'src_addr_lo', 'dst_addr_hi',
    'dst_addr_lo', 'src_mac', 'flow_id', 'user_name', 'in_acl', 'flows']
  assert.deepEqual(await plainSql(`SELECT ${columns.join()} FROM '${path}'`), [[
    '2026-11-21 13:24:05.123456', '2026-11-21 13:24:00.000001', '9007199254740992', '17',
    '0', '281470849581571', // 0xffff0a010203
    '2306139568115548160', '2260596444381562', // 0x20010db800000000, 0x00080800200c417a
    '187723572702975', '18446744073709551615', 'Zoë', '\\x00\\xFF\\x00', null,
  ]])
  const types = await plainSql(`SELECT column_name, column_type FROM (DESCRIBE FROM '${path}')`)
  const present = [...CORE_FIELDS.map(({ id }) => id), ID.flowId, ID.userName, ID.inAcl]
  const expected = present.sort((a, b) => a - b)
    .flatMap((id) => sqlColumns(FIELDS[id])).map(({ name, type }) => [name, type])
  assert.deepEqual(types, expected)
})

test('metadata names the schema, and units and elements of the columns', async () => {
  const path = await write([batchOf([{ bytes: 1 }])])
  const pairs = await plainSql(`SELECT decode(key), decode(value) FROM parquet_kv_metadata('${path}')`)
  const metadata = Object.fromEntries(pairs)
  assert.equal(metadata.flowkit_schema, '1')
  assert.match(metadata.flowkit_version, /^\d+\.\d+\.\d+$/)
  const { bytes, in_if } = JSON.parse(metadata.flowkit_columns)
  assert.deepEqual(bytes, { unit: 'B', elements: [1, 231, 85],
    doc: 'Bytes observed (delta, or failing that total)' })
  assert.deepEqual(in_if.elements, [10])
})

test('an IPv4-mapped address is IPv4, unless the EtherType says that the packets were IPv6', async () => {
  const mapped = '::ffff:10.0.0.1'
  const path = await write([batchOf([
    { src_addr: mapped, dst_addr: mapped }, { src_addr: mapped, next_hop: mapped, etype: 0x86dd },
    { src_addr: mapped, etype: 0x0800 },
  ])])
  const expected = [
    { src_addr: '10.0.0.1', dst_addr: '10.0.0.1' }, { src_addr: mapped, next_hop: '10.0.0.1' },
    { src_addr: '10.0.0.1' },
  ]
  assert.deepEqual(await read(path, { fields: ids('src_addr', 'dst_addr', 'next_hop') }), expected)
})

test('text keeps NULs, ill-formed UTF-8 gets replacement characters, octets are as they were', async () => {
  const bytes = Uint8Array.of(0x61, 0x00, 0xff, 0xc3, 0x28, 0x62)
  const path = await write([batchOf([{ user_name: bytes, mpls_vpn_rd: bytes }, { user_name: 'a\0b' }])])
  assert.deepEqual(await read(path), [
    { user_name: 'a\0\ufffd\ufffd(b', mpls_vpn_rd: '6100ffc32862' }, { user_name: 'a\0b' },
  ])
})

test('elements without a column are a JSON object for others, and come back', async () => {
  // flowActiveTimeout 60 and 61, an unknown one, VRFname "hi"
  const more: More = {
    extras: [
      { pen: 0, id: 36, length: 2 }, { pen: 99999, id: 7, length: 65535 }, { pen: 0, id: 36, length: 2 },
      { pen: 0, id: 236, length: 65535 },
    ],
    extraBytes: Uint8Array.of(0, 60, 0, 3, 1, 2, 3, 0, 61, 0, 2, 0x68, 0x69),
  }
  const path = await write([batchOf([{ bytes: 1 }], more), batchOf([{ bytes: 2 }])], { extras: true })
  assert.deepEqual(await plainSql(`SELECT bytes, extra->>'flowActiveTimeout', extra FROM '${path}'`), [
    ['1', '60', '{"flowActiveTimeout":60,"en99999id7":"010203","flowActiveTimeout_2":61,"VRFname":"hi"}'],
    ['2', null, null],
  ])
  const found: unknown[] = []
  for await (const batch of parquet.open!(path, { extras: true, onFault: () => assert.fail() })) {
    for (let row = 0; row < batch.length; row++) {
      const [start, length] = batch.extras.subarray(row * 2, row * 2 + 2)
      const { extras } = batch.shapes[batch.shape[row]]
      found.push([extras.map(({ pen, id }) => `${pen}/${id}`),
        extras.length ? Buffer.from(batch.heap.slice(start, start + length)).toString('hex') : ''])
    }
  }
  assert.deepEqual(found, [[['0/36', '99999/7', '0/36', '0/236'], '0002003c00030102030002003d00026869'],
    [[], '']])
})

test('lists come back with all that is needed to open them', async () => {
  const decoded = LIST_MESSAGES.map(({ bytes }) => {
    const { batch, send } = collector({ extras: true })
    send(bytes)
    return batch
  })
  const path = await write(decoded, { extras: true })
  const found: unknown[] = []
  for await (const batch of parquet.open!(path, { extras: true, onFault: () => assert.fail() })) {
    for (let row = 0; row < batch.length; row++) {
      const { extras } = batch.shapes[batch.shape[row]]
      const values = extraValues(extras, batch, row)
      found.push(Object.fromEntries(extraNames(extras, []).map((name, i) => [name, values[i]])))
    }
  }
  assert.deepEqual(found, LIST_MESSAGES.flatMap(({ rows }) => rows))
})

test('only the fields asked for are written', async () => {
  const path = await write([batchOf([{ bytes: 1, packets: 2, src_addr: '10.0.0.1' }])],
    { fields: ids('src_addr', 'bytes', 'out_if') })
  assert.deepEqual(await plainSql(`FROM '${path}'`), [['1', '0', '281470849515521', null]])
})

test('columns that appear only later are in the one file all the same', async () => {
  const flows: Flow[] = [{ bytes: 1 }, { bytes: 2, user_name: 'a' }, { bytes: 3, ssid: 'net' }, { bytes: 4 }]
  const path = await write(flows.map((flow) => batchOf([flow])))
  assert.deepEqual(await read(path), flows)
  assert.deepEqual(await plainSql(`SELECT bytes, user_name, ssid FROM '${path}'`), [
    ['1', null, null], ['2', 'a', null], ['3', null, 'net'], ['4', null, null],
  ])
})

test('a file without flows has the columns', async () => {
  const path = await write([])
  assert.deepEqual(await read(path), [])
  const columns = await plainSql(`SELECT column_name FROM (DESCRIBE FROM '${path}')`)
  assert.ok(columns.flat().includes('bytes'))
})

test('a file has its name once it is whole, and giving up leaves what was there', async () => {
  const place = await mkdtemp(join(folder, 'place-'))
  const path = join(place, 'x.parquet')
  await writeFile(path, 'before')
  const writer = await parquet.create!(path, {})
  await writer.write(batchOf([{ bytes: 1 }]))
  assert.equal(await readFile(path, 'utf8'), 'before')
  await writer.abort()
  assert.deepEqual(await readdir(place), ['x.parquet'])
  assert.equal(await readFile(path, 'utf8'), 'before')
  await writeAll(await parquet.create!(path, {}), [batchOf([{ bytes: 1 }])])
  assert.deepEqual(await readdir(place), ['x.parquet'])
  assert.deepEqual(await read(path), [{ bytes: 1 }])
})

test('addresses are text where that is asked for, and are read from it', async () => {
  const path = join(folder, 'text.parquet')
  const flows: Flow[] = [{ src_addr: '10.0.0.1', dst_addr: '2001:db8::1:0:0:1' }, { src_addr: '::' },
    { bytes: 1 }]
  await writeAll(await createParquetFile(path, { textAddresses: true }), [batchOf(flows)])
  assert.deepEqual(await plainSql(`SELECT src_addr, dst_addr FROM '${path}'`),
    [['10.0.0.1', '2001:db8::1:0:0:1'], ['::', null], [null, null]])
  assert.deepEqual(await read(path), flows)
})

test('counters over 2^53 are cut there, and counted', async () => {
  const numbers = [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 64n - 1n]
  const path = await foreignFile(`SELECT unnest([${numbers.join()}])::UBIGINT AS bytes`)
  let saturated = 0
  const bytes: number[] = []
  for await (const batch of parquet.open!(path, { onFault: () => assert.fail() })) {
    saturated += batch.saturated
    bytes.push(...batch.bytes.subarray(0, batch.length))
  }
  assert.deepEqual(bytes, [2 ** 53, 2 ** 53, 2 ** 53, 2 ** 53])
  assert.equal(saturated, 3)
})

test('values that no file of flowkit has are brought into the bounds of their fields', async () => {
  const path = join(folder, `${++count}.parquet`)
  const times = [2n ** 63n - 2n, -9_223_372_022_400_000_000n, -7n].map((micros) => `make_timestamp(${micros})`)
  await runPlain(`COPY (SELECT unnest([-1, -9223372036854775808, 7]) AS packets,
      unnest([${times.join()}]) AS flow_end, unnest([281474976710656, -1, 7]) AS src_mac)
    TO '${path}' (FORMAT parquet, KV_METADATA {flowkit_schema: '1'})`)
  assert.deepEqual(await read(path), [
    { flow_end: 2 ** 53, packets: 0, src_mac: 2 ** 48 - 1 }, { flow_end: -(2 ** 53), packets: 0, src_mac: 0 },
    { flow_end: -7, packets: 7, src_mac: 7 },
  ])
})

test('files of other tools are read by the names of their columns, cast to the fields\' types', async () => {
  const path = await foreignFile(`SELECT * FROM (VALUES
    ('10.0.0.1', '443', 6.0::DOUBLE, 1500::SMALLINT, TIMESTAMPTZ '2026-11-21 14:00:00.25+01',
      'aa-bb-cc-dd-ee-ff', 1, 'x'),
    ('2001:db8::1', '99999', 300::DOUBLE, -5::SMALLINT, NULL, 'no address', 2, NULL),
    ('no address', '', NULL, NULL, TIMESTAMPTZ 'infinity', NULL, 3, 'y'))
    t(src_addr, "dstPort", proto, bytes, flow_start, src_mac, "unknown thing", user_name)`)
  assert.deepEqual(await read(path), [
    { src_addr: '10.0.0.1', dst_port: 443, proto: 6, bytes: 1500, flow_start: 1795266000250000,
      src_mac: 0xaabbccddeeff, user_name: 'x' },
    { src_addr: '2001:db8::1' },
    { user_name: 'y' },
  ])
})

test('a Parquet file without a column that flowkit knows is refused', async () => {
  const path = await foreignFile('SELECT 1 AS price, true AS sold, [1, 2] AS bytes')
  await assert.rejects(read(path), { code: 'ERR_INPUT',
    message: `Cannot read ${path} as flows: it has no column that flowkit knows` })
})

test('a file that is cut short, or no Parquet at all, is refused', async () => {
  const path = await write([batchOf([{ bytes: 1 }])])
  await truncate(path, 500)
  await assert.rejects(read(path), { name: 'FlowkitError', code: 'ERR_INPUT',
    message: /^Cannot read .*\.parquet: / })
  await writeFile(path, 'PAR1 is how it begins, and it ends otherwise')
  await assert.rejects(read(path), { name: 'FlowkitError', code: 'ERR_INPUT' })
  await assert.rejects(read(join(folder, 'missing.parquet')),
    { message: /^Cannot read .*missing\.parquet: / })
})

test('a reader applies the whole request: fields, window and filter', async () => {
  const hour = 3600e6
  const flow = (start: number | undefined, end: number | undefined, port: number, more: Flow = {}): Flow => ({
    ...start !== undefined && { flow_start: start * hour }, ...end !== undefined && { flow_end: end * hour },
    dst_port: port, bytes: 7, ...more,
  })
  const path = await write([batchOf([
    flow(1, 2, 1), flow(2, 3, 2), flow(1, 4, 3), flow(3, 3, 4),
    flow(undefined, undefined, 5, { event_time: 2 * hour }),
    flow(undefined, undefined, 6), flow(undefined, 2.5, 7), flow(2.5, undefined, 8),
    flow(undefined, undefined, 9, { received: 9 * hour }),
  ])])
  const ports = async (request: Partial<ReadRequest>) => {
    const rows = await read(path, { fields: ids('dst_port'), ...request })
    for (const row of rows) assert.deepEqual(Object.keys(row), ['dst_port'])
    return rows.map((row) => row.dst_port)
  }
  assert.deepEqual(await ports({ since: 2 * hour, until: 3 * hour }), [1, 2, 3, 5, 7, 8])
  assert.deepEqual(await ports({ since: 3 * hour }), [2, 3, 4, 9])
  assert.deepEqual(await ports({ until: 2 * hour }), [1, 3])
  assert.deepEqual(await ports({ filter: parseFilter('dst port > 2 and dst port < 6 and bytes 7') }),
    [3, 4, 5])
  assert.deepEqual(await ports({ filter: parseFilter('user_name bob') }), [])
  assert.deepEqual(await ports({ filter: parseFilter('dst port 1'), since: 9 * hour }), [])
})

test('Parquet is told by its first bytes', () => {
  assert.equal(parquet.probe!(new TextEncoder().encode('PAR1\x15\x04')), 100)
  assert.equal(parquet.probe!(new TextEncoder().encode('PAR')), 0)
  assert.equal(parquet.probe!(new Uint8Array(0)), 0)
})

const hasPyarrow = spawnSync('python3', ['-c', 'import pyarrow.parquet']).status === 0

test('pyarrow reads the same values', { skip: hasPyarrow ? false : 'python3 has no pyarrow' }, async () => {
  const path = await write([batchOf([
    { flow_start: 1795267440000001, bytes: 2 ** 53, src_addr: '10.1.2.3', user_name: 'Zoë',
      flow_id: 2n ** 64n - 1n, in_acl: Uint8Array.of(0, 255) }, {},
  ])])
  const names = ['bytes', 'user_name', 'flow_id', 'src_addr_lo', 'in_acl', 'flow_start']
  const script = `
import json, sys, pyarrow.parquet as pq
t = pq.read_table(sys.argv[1])
rows = [[str(r[n]) if r[n] is not None else None for n in ${JSON.stringify(names)}] for r in t.to_pylist()]
print(json.dumps([rows, t.schema.metadata[b'flowkit_schema'].decode()]))`
  const { stdout, stderr } = spawnSync('python3', ['-c', script, path], { encoding: 'utf8' })
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), [[
    ['9007199254740992', 'Zoë', '18446744073709551615', '281470849581571', "b'\\x00\\xff'",
      '2026-11-21 13:24:00.000001'],
    [null, null, null, null, null, null],
  ], '1'])
})
