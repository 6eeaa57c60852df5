import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { EMPTY_SHAPE } from '../../../core/flow/shape.ts'
import { balancer, receiverOf } from '../../../core/net/balance.ts'
import { generateFlows } from '../../../core/netflow/generate/generate.ts'
import { parseTraffic } from '../../../core/netflow/generate/options.ts'
import { rows, type Row } from '../netflow/messages.ts'

test('each flow goes to one receiver, and both directions of a conversation to the same', () => {
  const split = balancer(3)
  const receivers = new Map<string, number>()
  const counts = [0, 0, 0]
  let flows = 0
  for (const batch of generateFlows(parseTraffic('flows=20K,v6=30%'))) {
    flows += batch.length
    for (const [i, part] of split(batch).entries()) {
      counts[i] += part.length
      for (const row of rows(part)) {
        const key = conversation(row)
        assert.equal(receivers.get(key) ?? i, i, key)
        receivers.set(key, i)
      }
    }
  }
  assert.equal(counts.reduce((sum, count) => sum + count), flows)
  for (const count of counts) assert.ok(count > flows / 4 && count < flows / 2, String(counts))
})

function conversation(row: Row): string {
  const hasPorts = row['icmp_type'] === undefined
  const end = (side: string) => `${row[`${side}_addr`]} ${hasPorts ? row[`${side}_port`] : ''}`
  const ends = [end('src'), end('dst')].sort()
  return `${ends.join()} ${row['proto']}`
}

test('what a flow lacks has no part in it', () => {
  const batch = new FlowBatch(2)
  batch.srcPort[1] = batch.proto[1] = batch.srcAddr.v4[1] = 7
  batch.shape.fill(batch.intern(EMPTY_SHAPE))
  batch.length = 2
  assert.deepEqual(balancer(64)(batch).map(({ length }) => length).filter((length) => length > 0), [2])
})

test('the datagrams of an exporter go to one receiver, those of many to all', () => {
  const v6 = new Uint8Array(16)
  const of = (v4: number) => receiverOf({ family: 4, v4, v6, port: 1 }, 3)
  assert.equal(of(0xc0000201), of(0xc0000201))
  assert.deepEqual(new Set(Array.from({ length: 50 }, (_, i) => of(0xc0000201 + i))), new Set([0, 1, 2]))
  assert.equal(receiverOf({ family: 6, v4: 0, v6, port: 1 }, 1), 0)
})
