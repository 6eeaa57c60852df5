import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { ID } from '../../../core/flow/fields.ts'
import { makeShape } from '../../../core/flow/shape.ts'
import { readAhead } from '../../../core/net/read-ahead.ts'

/** A batch with one flow. */
function fill(batch: FlowBatch, port: number): FlowBatch {
  batch.clear()
  batch.shape[0] = batch.intern(makeShape([ID.srcPort]))
  batch.srcPort[0] = port
  batch.length = 1
  return batch
}

test('the next batch is read while one is in use, which stays as it is', async () => {
  let steps = 0
  async function* reader() {
    const batch = new FlowBatch()
    for (let port = 1; port <= 3; port++) {
      steps++
      yield fill(batch, port)
    }
  }
  const seen: [steps: number, port: number][] = []
  for await (const { srcPort } of readAhead(reader())) {
    await Promise.resolve() // the reader gets its turn
    seen.push([steps, srcPort[0]])
  }
  assert.deepEqual(seen, [[2, 1], [3, 2], [3, 3]])
})

test('a fault comes behind the flows before it', async () => {
  async function* reader() {
    yield fill(new FlowBatch(), 7)
    throw new Error('damaged')
  }
  const ports: number[] = []
  await assert.rejects(async () => {
    for await (const { srcPort } of readAhead(reader())) ports.push(srcPort[0])
  }, { message: 'damaged' })
  assert.deepEqual(ports, [7])
})

test('who ends it does not wait for input that does not come', async () => {
  async function* reader() {
    yield fill(new FlowBatch(), 7)
    await new Promise(() => {})
  }
  for await (const { length } of readAhead(reader())) {
    assert.equal(length, 1)
    break
  }
})
