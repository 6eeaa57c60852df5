/** Output that other tools got wrong, as far as no other test is about it. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { NAME_SETS, rawLabel } from '../../core/flow/labels.ts'
import { csv } from '../../formats/csv.ts'
import { json, jsonArray } from '../../formats/json.ts'
import { line } from '../../formats/nfdump-text.ts'
import { table } from '../../formats/table.ts'
import { batchOf, bytesOf, ids, textOf, type Flow, type Value } from './flows.ts'

process.env.TZ = 'UTC'

const NINE = Date.UTC(2026, 10, 20, 9) * 1000

/** A flow that has every field, with values that hold no quotes; addresses are of one family. */
function full(family: 4 | 6): Flow {
  const fields = FIELDS.filter(({ id }) => id !== ID.flowStartNs && id !== ID.flowEndNs)
  return Object.fromEntries(fields.map(({ name, type }): [string, Value] => {
    switch (type) {
      case 'addr': return [name, family === 4 ? '192.0.2.1' : '2001:db8::1']
      case 'mac': return [name, '02:00:00:00:00:01']
      case 'text': return [name, 'text']
      case 'octets': return [name, Uint8Array.of(1)]
      case 'u64': return [name, 1n]
      default: return [name, 1]
    }
  }))
}

/** Elements of names that fields have too, and of one name: delta and total bytes, an enterprise's own. */
const EXTRAS = {
  extras: [{ pen: 0, id: 1, length: 1 }, { pen: 0, id: 1, length: 1 }, { pen: 0, id: 85, length: 1 },
    { pen: 47_110_815, id: 1, length: 1 }, { pen: 47_110_815, id: 1, length: 1 }],
  extraBytes: Uint8Array.of(1, 2, 3, 4, 5),
}

test('no object of JSON has a key twice, whatever names are asked for', () => {
  const fields = [...FIELDS.keys()]
  for (const names of NAME_SETS) {
    for (const family of [4, 6] as const) {
      const text = textOf(json, [full(family)], { fields, names, extras: true }, EXTRAS)
      const keys = Array.from(text.matchAll(/"([^"]+)":/g), ([, key]) => key)
      const raw = FIELDS.filter((field) => rawLabel(field, names) !== undefined).length
      assert.equal(keys.length, FIELDS.length - 2 + raw + EXTRAS.extras.length)
      assert.deepEqual(keys.filter((key, i) => keys.indexOf(key) !== i), [], names)
      assert.equal(Object.keys(JSON.parse(text) as object).length, keys.length)
    }
  }
})

test('no header of CSV names a column twice, and each line has as many cells', () => {
  const fields = [...FIELDS.keys()]
  for (const names of NAME_SETS) {
    const [header, ...lines] = textOf(csv, [full(4), {}], { fields, names }).trimEnd().split('\n')
    const cells = header.split(',')
    assert.deepEqual(cells.filter((cell, i) => cells.indexOf(cell) !== i), [], names)
    assert.deepEqual(lines.map((each) => each.split(',').length), [cells.length, cells.length])
  }
})

test('flows of several batches are one JSON document, and as lines a document each', () => {
  const several = [batchOf([{ proto: 6 }, { proto: 17 }]), batchOf([{ bytes: 5 }])]
  const wanted = [{ proto: 6 }, { proto: 17 }, { bytes: 5 }]
  assert.deepEqual(JSON.parse(bytesOf(jsonArray, several).toString()), wanted)
  const lines = bytesOf(json, several).toString().trimEnd().split('\n')
  assert.deepEqual(lines.map((each): unknown => JSON.parse(each)), wanted)
})

test('a NAT event can be printed, with addresses and ports before and after', () => {
  const flow: Flow = {
    nat_event: 4, proto: 17, src_addr: '10.0.0.9', src_port: 1234, post_nat_src_addr: '192.0.2.12',
    post_napt_src_port: 30_001, event_time: NINE,
  }
  const fields = ids('event_time', 'nat_event', 'proto', 'src_addr', 'src_port', 'post_nat_src_addr',
    'post_napt_src_port')
  assert.equal(textOf(csv, [flow], { fields, names: 'nfdump' }).split('\n')[0],
    't_event,nat_event_id,proto,src_addr,src_port,src_xlt_ip,src_xlt_port')
  assert.equal(textOf(csv, [flow], { fields }).split('\n')[1],
    '2026-11-20T09:00:00.000Z,4,17,10.0.0.9,1234,192.0.2.12,30001')
  const [, row] = textOf(table, [flow], { fields }).split('\n')
  assert.deepEqual(row.split(/ {2,}/),
    ['2026-11-20 09:00:00.000', 'add44', 'UDP', '10.0.0.9', '1234', '192.0.2.12', '30001'])
})

test('the smallest and the largest time to live each have a name of their own', () => {
  assert.equal(textOf(json, [{ min_ttl: 57, max_ttl: 64 }], { names: 'nfdump' }),
    '{"ip_minttl":57,"ip_maxttl":64}\n')
})

function summaryOf(...flows: Flow[]): string {
  const text = textOf(line, flows)
  return text.slice(text.indexOf('Summary'), text.indexOf('Total records'))
}

test('averages are over the time from the first flow, never from 1970', () => {
  const timed: Flow = { flow_start: NINE, flow_end: NINE + 10e6, bytes: 1000, packets: 10 }
  const totals = 'total bytes: 3000, total packets: 30'
  const averages = 'avg bps: 2400, avg pps: 3, avg bpp: 100'
  const window = 'Time window: 2026-11-20 09:00:00.000 - 2026-11-20 09:00:10.000, Duration:    00:00:10.000\n'
  for (const start of [{}, { flow_start: 0 }]) {
    const early: Flow = { ...start, flow_end: NINE + 5e6, bytes: 2000, packets: 20 }
    assert.equal(summaryOf(timed, early), `Summary: total flows: 2, ${totals}, ${averages}\n${window}`)
  }
})

test('where no flow has a start there is no time window to take averages over', () => {
  assert.equal(summaryOf({ flow_end: NINE, bytes: 1000, packets: 10 }),
    'Summary: total flows: 1, total bytes: 1000, total packets: 10, avg bps: 0, avg pps: 0, avg bpp: 0\n'
    + 'Time window: <unknown>\n')
})

test('a flow that ends before it began lasts no time', () => {
  const flow: Flow = { flow_start: NINE, flow_end: NINE - 100e6, bytes: 1000, packets: 10 }
  assert.match(textOf(line, [flow]), /^2026-11-20 09:00:00\.000 {5}00:00:00\.000 /m)
  assert.match(summaryOf(flow), /avg bps: 0, .*Duration: {4}00:00:00\.000\n$/s)
  assert.match(textOf(table, [flow], { quiet: true }), /^2026-11-20 09:00:00\.000 +- /)
})
