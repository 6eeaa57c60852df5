import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aggregator } from '../../../../core/netflow/encode/aggregate.ts'
import { datagramEncoder, v8Encoder } from '../../../../core/netflow/encode/encode.ts'
import { lossByField } from '../../../../core/flow/loss.ts'
import { FlowBatch } from '../../../../core/flow/batch.ts'
import { ID } from '../../../../core/flow/fields.ts'
import { makeShape } from '../../../../core/flow/shape.ts'
import { V8_SCHEMES } from '../../../../core/netflow/v8.ts'
import { batchOf, decodeAll, encodeAll } from './rows.ts'
import { EXPORTED, pick, type Row } from '../messages.ts'

const OPTIONS = { maxSize: 1472, domain: 0x0107, templateRefresh: 60e6 }
const at = (seconds: number) => (EXPORTED + seconds) * 1e6

const A: Row = {
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', src_mask: 16, dst_mask: 24, src_port: 50_000, dst_port: 443,
  proto: 6, tos: 8, src_as: 64_496, dst_as: 64_511, in_if: 3, out_if: 1, packets: 10, bytes: 5000,
  flow_start: at(10), flow_end: at(20),
}
const B: Row = {
  ...A, src_addr: '10.1.77.1', src_port: 50_001, packets: 1, bytes: 40, flow_start: at(5), flow_end: at(12),
}
const C: Row = { ...B, flows: 7, tos: 0, flow_start: at(15), flow_end: at(30) }

function aggregated(scheme: number, ...rows: Row[]): Row[] {
  return decodeAll(encodeAll(v8Encoder(scheme, OPTIONS), batchOf(...rows.map((fields) => ({ fields })))))
}

test('flows with one key become one record: sums, first start, last end', () => {
  const [row, ...others] = aggregated(1, A, B, C)
  assert.deepEqual(others, [])
  assert.deepEqual(pick([row], 'flows', 'packets', 'bytes', 'flow_start', 'flow_end'), [
    { flows: 9, packets: 12, bytes: 5080, flow_start: at(5), flow_end: at(30) },
  ])
  assert.deepEqual(pick([row], 'src_as', 'dst_as', 'in_if', 'out_if'), [
    { src_as: 64_496, dst_as: 64_511, in_if: 3, out_if: 1 },
  ])
  assert.deepEqual(pick([row], 'aggregation', 'engine_type', 'engine_id', 'export_secs'), [
    { aggregation: 1, engine_type: 1, engine_id: 7, export_secs: EXPORTED + 30 },
  ])
})

test('every scheme has its own key', () => {
  // A and B differ in source address within the prefix and in source port, B and C in type of service
  const counts = Object.keys(V8_SCHEMES).map((scheme) => [Number(scheme), aggregated(Number(scheme), A, B, C).length])
  assert.deepEqual(counts, [
    [1, 1], [2, 2], [3, 1], [4, 1], [5, 1], [6, 2], [7, 3], [8, 3], [9, 2], [10, 3], [11, 2], [12, 2], [13, 2], [14, 3],
  ])
})

test('addresses of prefix schemes are prefixes; without a prefix length they are whole', () => {
  const { src_mask, ...rest } = A
  const made = aggregated(5, A, rest, { ...A, src_mask: 0 })
  assert.deepEqual(pick(made, 'src_addr', 'src_mask', 'dst_addr', 'dst_mask'), [
    { src_addr: '10.1.0.0', src_mask, dst_addr: '198.51.100.0', dst_mask: 24 },
    { src_addr: '10.1.2.3', src_mask: 32, dst_addr: '198.51.100.0', dst_mask: 24 },
    { src_addr: '0.0.0.0', src_mask: 0, dst_addr: '198.51.100.0', dst_mask: 24 },
  ])
})

test('rows that are aggregated by the scheme already go on as they are', () => {
  const done = { ...A, aggregation: 1, flows: 100, engine_type: 1, engine_id: 7 }
  assert.deepEqual(pick(aggregated(1, done, A, done, B), 'flows', 'packets'), [
    { flows: 100, packets: 10 }, { flows: 100, packets: 10 }, { flows: 2, packets: 11 },
  ])
  // by another scheme: its flows count
  assert.deepEqual(pick(aggregated(2, done), 'flows'), [{ flows: 100 }])
})

test('nothing comes out before the table is full or flushed', () => {
  const encoder = v8Encoder(2, OPTIONS)
  let made = 0
  encoder.encode(batchOf({ fields: A }), () => made++)
  assert.equal(made, 0)
  encoder.flush(() => made++)
  encoder.flush(() => made++)
  assert.equal(made, 1)
})

test('a table that is full is given out, and another begun', () => {
  const table = aggregator(2)
  const sizes: number[] = []
  const batch = new FlowBatch(10_000)
  const shape = batch.intern(makeShape([ID.srcPort, ID.dstPort]))
  for (let i = 0; i < 7; i++) {
    batch.clear()
    for (let row = 0; row < 10_000; row++) {
      batch.shape[row] = shape
      batch.srcPort[row] = row
      batch.dstPort[row] = i
    }
    batch.length = 10_000
    table.add(batch, new Uint32Array(batch.shapes.length), (rows) => sizes.push(rows.length))
  }
  table.flush((rows) => sizes.push(rows.length))
  assert.deepEqual(sizes, [65_536, 70_000 - 65_536])
})

test('IPv6 flows are left out where the scheme has addresses; what a scheme does not tell is counted', () => {
  const six = { ...A, src_addr: '2001:db8::1', dst_addr: '2001:db8::2' }
  const prefixes = v8Encoder(3, OPTIONS)
  assert.equal(decodeAll(encodeAll(prefixes, batchOf({ fields: six }, { fields: A }))).length, 1)
  assert.equal(prefixes.loss.rows.ipv6, 1)
  assert.deepEqual(lossByField(prefixes.loss)[0], { name: 'proto', leftOut: 1, narrowed: 0 })
  const systems = datagramEncoder({ version: 8, scheme: 1 }, OPTIONS)
  const made = decodeAll(encodeAll(systems, batchOf({ fields: six }, { fields: A })))
  assert.deepEqual(pick(made, 'flows'), [{ flows: 2 }])
  assert.deepEqual(lossByField(systems.loss).map(({ name, leftOut }) => [name, leftOut]), [
    'proto', 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'tos', 'src_mask', 'dst_mask',
  ].map((name) => [name, 2]))
})
