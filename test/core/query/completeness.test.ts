import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completeness, missingOf } from '../../../core/query/completeness.ts'

test('what is missing is told in the units of the protocols', () => {
  assert.equal(missingOf({ exporter: 'a' }), '')
  assert.equal(missingOf({ exporter: 'a', missing_flows: 0, missing_messages: 0, missing_records: 0 }), '')
  assert.equal(missingOf({ exporter: 'a', missing_flows: 30 }), '30 flows')
  assert.equal(missingOf({ exporter: 'a', missing_flows: 1, missing_messages: 1, missing_records: 2 }),
    '1 flow, 1 message, 2 data records')
})

test('completeness is a sentence about all exporters', () => {
  assert.deepEqual(completeness([{ exporter: 'a' }]),
    ['complete: nothing is missing by the sequence numbers of the exporter'])
  assert.deepEqual(completeness([{ exporter: 'a' }, { exporter: 'b' }]),
    ['complete: nothing is missing by the sequence numbers of all 2 exporters'])
  assert.deepEqual(completeness([{ exporter: 'a', missing_messages: 1 }]),
    ['incomplete: missing by the sequence numbers of the exporter: 1 message'])
  assert.deepEqual(completeness([
    { exporter: 'a', missing_messages: 3 }, { exporter: 'b', missing_flows: 0 },
    { exporter: 'c', missing_messages: 4, missing_records: 60 },
  ]), ['incomplete: missing by the sequence numbers of 2 of 3 exporters: 7 messages, 60 data records'])
  assert.deepEqual(completeness([{ exporter: 'a' }, { exporter: 'forgotten', missing_flows: 2 }]),
    ['incomplete: missing by the sequence numbers of exporters that were forgotten: 2 flows'])
  assert.deepEqual(completeness([
    { exporter: 'a', missing_flows: 1 }, { exporter: 'forgotten', missing_flows: 2 },
  ]), ['incomplete: missing by the sequence numbers of the exporter and exporters that were forgotten: 3 flows'])
  assert.deepEqual(completeness([{ exporter: 'a' }, { exporter: 'forgotten' }]),
    ['complete: nothing is missing by the sequence numbers of the exporter'])
})

test('completeness of a capture is told of its interfaces', () => {
  const rows = [
    { exporter: 'eth0', packets: 10, missing_packets: 0 }, { exporter: 'eth1', packets: 5, missing_packets: 0 },
  ]
  assert.deepEqual(completeness(rows), ['complete: no packets were dropped at eth0, eth1'])
  assert.deepEqual(completeness([{ exporter: 'a' }, { ...rows[0], missing_packets: 7 }]), [
    'complete: nothing is missing by the sequence numbers of the exporter',
    'incomplete: 7 packets dropped at eth0',
  ])
})
