import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { sortFlows, type SortOptions } from '../../../core/duck/sort.ts'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS, ID } from '../../../core/flow/fields.ts'
import type { FlowReader } from '../../../core/flow/stream.ts'
import { syntheticFlows } from '../../bench/flows.ts'
import { batchOf, type Flow } from '../../formats/flows.ts'
import { rowsOf } from './plain.ts'

const folder = await mkdtemp(join(tmpdir(), 'sort-test-'))
process.env['TMPDIR'] = folder
after(() => rm(folder, { recursive: true }))

async function* readerOf(batches: Iterable<FlowBatch>): FlowReader {
  yield* batches
}

const FLOWS: readonly Flow[] = [
  { bytes: 2, src_addr: '10.0.0.2' }, { packets: 1, user_name: 'a' }, { bytes: 1, src_addr: '2001:db8::1' },
  { bytes: 2, src_addr: '10.0.0.1' }, { export_secs: 7 }, { bytes: 3 },
]

test('flows come in the order of a field; equal ones keep theirs, those without it come last', async () => {
  const one = () => readerOf(FLOWS.map((flow) => batchOf([flow])))
  const order = async (field: number, options: SortOptions = {}) => {
    const rows = await rowsOf(sortFlows(one(), FIELDS[field], options))
    return rows.map((row) => FLOWS.findIndex((flow) => isDeepStrictEqual(flow, row)))
  }
  assert.deepEqual(await order(ID.bytes), [2, 0, 3, 5, 1, 4])
  assert.deepEqual(await order(ID.bytes, { descending: true }), [5, 0, 3, 2, 1, 4])
  assert.deepEqual(await order(ID.bytes, { descending: true, limit: 2 }), [5, 0])
  assert.deepEqual(await order(ID.srcAddr), [3, 0, 2, 1, 4, 5])
  assert.deepEqual(await order(ID.ssid, { limit: 3 }), [0, 1, 2])
})

test('no flows are no flows', async () => {
  assert.deepEqual(await rowsOf(sortFlows(readerOf([]), FIELDS[ID.bytes])), [])
})

test('more flows than memory holds are sorted, and the temporary folder is left empty', async () => {
  const total = 400_000
  let last = Infinity
  let rows = 0
  const settings = { memory: 128 * 2 ** 20, threads: 1 }
  const reader = readerOf(syntheticFlows({ flows: total }))
  for await (const batch of sortFlows(reader, FIELDS[ID.bytes], { descending: true, settings })) {
    for (let row = 0; row < batch.length; row++) {
      assert.ok(batch.bytes[row] <= last)
      last = batch.bytes[row]
    }
    rows += batch.length
  }
  assert.equal(rows, total)
  assert.deepEqual(await readdir(folder), [])
})

test('times keep the digits of their source', async () => {
  const batch = batchOf([{ flow_start: 2e6 }, { flow_start: 1e6 }], { digits: 0 })
  for await (const { shapes } of sortFlows(readerOf([batch]), FIELDS[ID.flowStart])) {
    assert.deepEqual(shapes.map((shape) => shape.timeDigits), [0])
  }
})

test('what fails the reader fails the sorting, which leaves nothing behind', async () => {
  async function* failing(): FlowReader {
    yield batchOf([{ bytes: 1 }])
    throw new Error('the input broke')
  }
  await assert.rejects(rowsOf(sortFlows(failing(), FIELDS[ID.bytes])), { message: 'the input broke' })
  assert.deepEqual(await readdir(folder), [])
})
