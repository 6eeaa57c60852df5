import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ipv6Storage } from '../../../core/flow/address.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { ID } from '../../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../../core/flow/names.ts'
import { makeShape } from '../../../core/flow/shape.ts'
import { addToSummary, newSummary } from '../../../core/query/summary.ts'

test('a summary adds up what is present and counts absent flows as one', () => {
  const batch = new FlowBatch()
  const full = makeShape([ID.bytes, ID.packets, ID.flows, ID.flowStart, ID.flowEnd, ID.exporterAddr, ID.type])
  const bare = makeShape([ID.bytes])
  for (let row = 0; row < 4; row++) {
    batch.shape[row] = batch.intern(row === 3 ? bare : full)
    batch.bytes[row] = 100 * (row + 1)
    batch.packets[row] = 7
    batch.flows[row] = 10
    batch.flowStart[row] = 1000 + row
    batch.flowEnd[row] = 2000 - row
    batch.exporterAddr.family[row] = row === 2 ? 6 : 4
    batch.exporterAddr.v4[row] = 0x0a000001
    batch.type[row] = row === 0 ? FLOW_TYPE.NETFLOW_V5 : FLOW_TYPE.IPFIX
  }
  ipv6Storage(batch.exporterAddr).set([0x20, 1, 0xd, 0xb8], 32)
  batch.length = 4
  const summary = newSummary()
  addToSummary(summary, batch)
  addToSummary(summary, new FlowBatch())
  assert.deepEqual(summary, {
    records: 4, bytes: 1000, packets: 21, flows: 31, firstSeen: 1000, lastSeen: 2000,
    exporters: new Map([['10.0.0.1', 2], ['2001:db8::', 1]]),
    types: new Map([['NETFLOW_V5', 1], ['IPFIX', 2]]),
  })
})
