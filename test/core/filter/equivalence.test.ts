import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { after, before, test } from 'node:test'
import duckdb, { type Connection, type Database } from '@duckdb/node-bindings'
import fc from 'fast-check'
import {
  compileFilter, explainFilter, filterFields, filterToSql, parseFilter, type Filter,
} from '../../../core/filter/filter.ts'
import { overlaps } from '../../../core/filter/window.ts'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS, type Field } from '../../../core/flow/fields.ts'
import { sqlColumns } from '../../../core/flow/sql.ts'
import { formatTime } from '../../../core/flow/time.ts'
import { batchOf, fieldsOf, literalsOf, type Row, type Value } from './rows.ts'

/** Rows of a batch. */
const ROWS = 64
/** Of ten fields, how many a row has, for each table. */
const DENSITIES = [5, 5, 3, 9, 10, 0]
const SEED = 20261121

const START = Date.UTC(2026, 9, 25, 0, 30) * 1e3 // µs; the clocks of Zurich go back half an hour later
const TIMES = [0, 1, 999, 1000, 1_000_000, 1_999_999, 60e6, 3600e6, 4 * 3600e6, 86_400e6].map(
  (past) => START + past)
const ADDRESSES = [
  '0.0.0.0', '10.0.0.1', '10.20.0.1', '10.20.0.2', '10.20.255.255', '192.0.2.255', '255.255.255.255', '::',
  '::1', '::fffe:ffff:ffff', '::ffff:10.20.0.1', '::ffff:255.255.255.255', '::1:0:0:0', '2001:db8::1',
  '2001:db8::ffff:0:1',
  '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db9::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
]
const RANGES = [
  ...ADDRESSES, '0.0.0.0/0', '10.0.0.0/8', '10.20/16', '10.20.0.1/31', '10.20.0.2-192.0.2.255', '::/0',
  '::/1', '2001:db8::/32', '2001:db8::/64', '2001:db8::/127', '::ffff:10.0.0.0/104', '::-2001:db8::1',
  '::fffe:0:0-::1:0:0:0', '8000::/1',
]
const POOLS: Readonly<Record<Field['type'], readonly Value[]>> = {
  u8: [0, 1, 2, 6, 7, 17, 27, 58, 63, 64, 128, 255],
  u16: [0, 1, 2, 18, 53, 80, 443, 769, 1023, 1024, 2048, 65_535],
  u32: [0, 1, 2, 3, 5, 16_001, 64_500, 2 ** 20 - 1, 2 ** 31, 2 ** 32 - 1],
  u64: [0n, 1n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n],
  count: [0, 1, 2, 40, 59, 60, 1000, 1500, 1_000_000, 2 ** 40, 0x3f_1e80_5a31, 2 ** 53 - 1],
  time: TIMES,
  addr: ADDRESSES,
  mac: ['00:00:00:00:00:00', '02:11:00:00:00:01', '02:11:00:00:00:02', 'ff:ff:ff:ff:ff:ff'],
  text: ['', 'a', 'bob', "o'brien", 'Zoë', 'a "b" \\c', '%', 'bobby'],
  octets: [[], [0], [3, 0, 0, 80], [0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 16, 1]].map(
    (bytes) => Uint8Array.from(bytes)),
}

/** Phrases, and the pool their values come from. */
const PHRASES: readonly (readonly [string, readonly Value[]])[] = [
  ...of(RANGES, 'ip', 'src host', 'dst net', 'next ip', 'bgp next ip', 'router ip', 'src nat ip', 'nat net',
    'src and dst ip'),
  ...of(POOLS.u16, 'port', 'src port', 'src and dst port', 'dst or src port', 'nat port', 'vlan',
    'nat pblock size'),
  ...of(POOLS.u8, 'proto', 'tos', 'dst tos', 'mask', 'ttl', 'min ttl', 'icmp type', 'icmp-code', 'engine id',
    'flowdir', 'nat event'),
  ...of(POOLS.count, 'bytes', 'out packets', 'flows', 'duration', 'pps', 'bps', 'bpp'),
  ...of(POOLS.u32, 'as', 'prev as', 'in if', 'ingress vrf', 'client latency'),
  ...of([0, 3, 16_001, 2 ** 20 - 1], 'mpls any', 'mpls label2', 'mpls eos'),
  ...of([0, 1, 3, 7], 'mpls exp1', 'mpls exp2', 'mpls exp10'),
  ...of([1, 4097, 2 ** 32 - 1], 'ingress acl', 'egress ace', 'ingress xace'),
  ...of([0, 5, 6, 7, 9], 'nfversion'),
  ...of(TIMES, 'first seen', 'last seen', 'received', 'starts', 'ends'),
  ...of(POOLS.mac, 'mac', 'in src mac', 'dst mac'),
  ...of(POOLS.u64, 'observation point id'),
  ...of(POOLS.text, 'asa user'),
  ...of([0, 1, 5, 6, 23], 'hour', 'last hour', 'received hour'),
  ...of([0, 1, 5, 6], 'day', 'last day', 'received day'),
  ...of([0, 1, 40, 1_000_000], 'exact pps', 'exact bps'),
]

const ORDERS = ['=', '!=', '<', '<=', '>', '>='] as const

const fieldTest = fc.constantFrom(...FIELDS).chain(({ name, type }) => testOf(name, POOLS[type], type))
const phraseTest = fc.constantFrom(...PHRASES).chain(([phrase, pool]) => testOf(phrase, pool))
const pairTest = fc.tuple(fc.constantFrom(...ORDERS), fc.constantFrom(
  ...['u8', 'u16', 'u32', 'count', 'time', 'mac'].map((type) => fieldsOf(type as Field['type'])),
).chain((fields) => fc.tuple(fc.constantFrom(...fields), fc.constantFrom(...fields))))
  .map(([operator, [left, right]]) => (
    `${left.name === 'flows' ? 'packets' : left.name} ${operator} ${right.name}`
  ))
const bitsTest = fc.tuple(
  fc.constantFrom(...fieldsOf('u8', 'u16', 'u32').map(({ name }) => name)), fc.constantFrom('', '=', '!='),
  fc.constantFrom(0, 1, 2, 18, 255), fc.constantFrom(0, 1, 2, 16, 255),
).map(([name, operator, mask, bits]) => `${name} & ${mask} ${operator && `${operator} ${bits}`}`)
const maskTest = fc.tuple(
  fc.constantFrom('src net', 'net', 'next net'),
  fc.constantFrom(...ADDRESSES.filter((one) => !one.includes(':'))),
  fc.constantFrom('255.255.0.1', '0.0.0.255', '255.0.255.0', '255.255.0.0', '0.0.0.0'),
).map((words) => words.join(' '))
const patternTest = fc.tuple(
  fc.constantFrom('user_name', 'asa user', 'application_name'), fc.constantFrom('', 'not '),
  fc.oneof(
    fc.constantFrom('', 'b', 'bob', 'b*', '*b', '*b*b*', 'bo*bb', '%', '_o_', 'Zo*', '*\\\\*', 'a*\\"*')
      .map((text) => `like "${text}"`),
    fc.constantFrom('', 'o', '\'', '%', '\\\\', 'b*').map((text) => `contains "${text}"`),
  ),
).map(([name, not, test]) => `${name} ${not}${test}`)
const otherTest = fc.constantFrom(
  'any', 'ipv4', 'ipv6', 'tcp', 'udp', 'flags S', 'flags SA', 'flags = 27', 'flags X', 'tcp_flags & 0x12',
  'ttl equal', 'src port in nat pblock', 'port in nat pblock', 'tod 02:00-03:00', 'tod 22:00-02:30',
  'tod > 12:00', 'tod in [01:00-02:00 12:00-24:00]', 'received tod < 02:00', 'last tod 02:00-23:00',
  'day sun', 'day in [sun-mon]', 'hour 22-3', 'hour not in [2 0]', 'exact pps > 0.5',
  ...FIELDS.map(({ name }) => `defined ${name}`),
)
const { filter } = fc.letrec<{ filter: string, node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    {
      arbitrary: fc.oneof(
        fieldTest, phraseTest, phraseTest, pairTest, bitsTest, maskTest, patternTest, otherTest,
      ),
      weight: 4,
    },
    { arbitrary: tie('node').map((node) => `not (${node})`), weight: 1 },
    { arbitrary: several(tie('node')).map((nodes) => `(${nodes.join(' and ')})`), weight: 1 },
    { arbitrary: several(tie('node')).map((nodes) => `(${nodes.join(' or ')})`), weight: 2 },
  ),
  filter: tie('node'),
}))

function testOf(words: string, pool: readonly Value[], type?: Field['type']): fc.Arbitrary<string> {
  const one = fc.constantFrom(...pool).map(show)
  const list = fc.array(one, { minLength: 1, maxLength: 40 })
  const exact = pool === RANGES || ['string', 'object'].includes(typeof pool[0]) || type === 'addr'
  const operator = fc.constantFrom(...exact ? ['', '=', '!='] : ['', ...ORDERS])
  const member = fc.tuple(fc.constantFrom('in', 'not in'), list)
  return fc.oneof(
    { arbitrary: fc.tuple(operator, one).map(([sign, value]) => `${words} ${sign} ${value}`), weight: 3 },
    { arbitrary: member.map(([sign, values]) => `${words} ${sign} [${values.join(' ')}]`), weight: 1 },
  )
}

function several(node: fc.Arbitrary<string>): fc.Arbitrary<string[]> {
  return fc.array(node, { minLength: 2, maxLength: 4 })
}

function of(pool: readonly Value[], ...phrases: string[]): (readonly [string, readonly Value[]])[] {
  return phrases.map((phrase) => [phrase, pool])
}

function show(value: Value): string {
  if (typeof value === 'number' && TIMES.includes(value)) return formatTime(value, 0, 6)
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`
  if (typeof value !== 'string' || /^[\d:a-f./-]+$/.test(value)) return String(value)
  return `"${value.replace(/["\\]/g, '\\$&')}"`
}

/** Whole numbers from 0 up to but not including the argument. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

function randomRows(seed: number, density: number): Row[] {
  const next = random(seed)
  return Array.from({ length: ROWS }, () => Object.fromEntries(
    FIELDS.filter(() => next(10) < density).map(({ name, type }) => {
      const pool = POOLS[type]
      return [name, pool[next(pool.length)]]
    }),
  ))
}

let database: Database
let connection: Connection
const batches: FlowBatch[] = []

before(async () => {
  process.env['TZ'] = 'Europe/Zurich'
  database = await duckdb.open(':memory:')
  connection = await duckdb.connect(database)
  for (const [table, density] of DENSITIES.entries()) {
    const rows = randomRows(SEED + table, density)
    batches.push(batchOf(rows))
    await load(`flows${table}`, rows)
  }
})
after(() => {
  duckdb.disconnect_sync(connection)
  duckdb.close_sync(database)
})

async function load(table: string, rows: readonly Row[]): Promise<void> {
  const columns = FIELDS.flatMap((field) => sqlColumns(field).map(({ name, type }) => `${name} ${type}`))
  const values = rows.map((row, i) => `(${[i, ...FIELDS.flatMap((field) => literalsOf(field, row))].join()})`)
  await duckdb.query(connection, `CREATE TABLE ${table} ("row" INTEGER, ${columns.join()})`)
  await duckdb.query(connection, `INSERT INTO ${table} VALUES ${values.join()}`)
}

/** What DuckDB makes of a filter for each row: `1`, `0`, or `-` for NULL. */
async function evaluate(table: number, sql: string): Promise<string> {
  const result = await duckdb.query(connection, `SELECT ${sql} FROM flows${table} ORDER BY "row"`)
  const chunk = (await duckdb.fetch_chunk(result))!
  const size = duckdb.data_chunk_get_size(chunk)
  const vector = duckdb.data_chunk_get_vector(chunk, 0)
  const data = duckdb.vector_get_data(vector, size)
  const valid = duckdb.vector_get_validity(vector, ROWS / 8) as Uint8Array | null
  const isNull = (row: number): boolean => Boolean(valid?.length) && !(valid![row >> 3] >> (row & 7) & 1)
  return Array.from(data, (flag, row) => isNull(row) ? '-' : flag).join('')
}

function select(table: number, parsed: Filter): string {
  const selected = new Uint8Array(ROWS)
  const count = compileFilter(parsed)(batches[table], selected)
  assert.equal(count, selected.reduce((sum, flag) => sum + flag, 0))
  return selected.join('')
}

test('a filter selects the same rows in a batch, as SQL, and as it is explained', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(DENSITIES.length - 1), filter, async (table, text) => {
    const parsed = parseFilter(text)
    const selected = select(table, parsed)
    assert.equal(await evaluate(table, filterToSql(parsed)), selected)
    const explained = explainFilter(parsed)
    const again = parseFilter(explained)
    assert.equal(select(table, again), selected)
    assert.equal(explainFilter(again), explained)
    assert.deepEqual(filterFields(again), filterFields(parsed))
  }), { seed: SEED, numRuns: 400 })
})

test('a time window selects the same rows in a batch and as SQL', async () => {
  for (const [since, until] of [[TIMES[3], TIMES[6]], [TIMES[5], undefined], [undefined, TIMES[2]], []]) {
    const window = overlaps(since, until)
    assert.equal(await evaluate(0, filterToSql(window)), select(0, window))
  }
})

test('a long list of networks selects the same rows in a batch, as SQL, and network by network', async () => {
  const next = random(SEED)
  const address = (): string => next(2) === 0
    ? `10.20.${next(8)}.${next(256)}`
    : `2001:db8:0:${next(4).toString(16)}::${next(65_536).toString(16)}`
  const list = new BlockList()
  const networks = Array.from({ length: 400 }, () => {
    const base = address()
    const bits = !base.includes(':') ? 28 + next(5) : next(100) === 0 ? 64 : 112 + next(3) * 8
    list.addSubnet(base, bits, base.includes(':') ? 'ipv6' : 'ipv4')
    return `${base}/${bits}`
  })
  const rows: Row[] = Array.from({ length: ROWS }, () => ({ src_addr: address() }))
  const expected = rows.map(({ src_addr }) => {
    const text = String(src_addr)
    return Number(list.check(text, text.includes(':') ? 'ipv6' : 'ipv4'))
  }).join('')
  assert(expected.includes('0') && expected.includes('1'))
  batches.push(batchOf(rows))
  await load(`flows${batches.length - 1}`, rows)
  for (const text of [`src ip in [${networks.join(' ')}]`, `src net ${networks.join(' or src net ')}`]) {
    const parsed = parseFilter(text)
    assert.equal(select(batches.length - 1, parsed), expected)
    assert.equal(await evaluate(batches.length - 1, filterToSql(parsed)), expected)
  }
})
