import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { lossByField, type Loss } from '../../core/flow/loss.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { VARIABLE_LENGTH } from '../../core/flow/shape.ts'
import { flowd } from '../../formats/flowd.ts'
import type { WriteRequest } from '../../formats/format.ts'
import { batchOfLog, FULL, hex, readLog, record } from './flowd-records.ts'
import { batches, batchOf, bytesOf, ids, largest, type Flow, type More } from './flows.ts'

/** µs of a time. */
function micros(time: string): number {
  return Date.parse(time) * 1000
}

/** The log of flows and what it lacks of them, by field: rows without it, values cut. */
function write(
  flows: readonly Flow[], request: WriteRequest = {}, more: More = {},
): { log: Buffer, lost: Record<string, readonly [leftOut: number, narrowed: number]> } {
  const encoder = flowd.encoder!(request)
  const log = Buffer.from(encoder.encode(batchOf(flows, more)))
  return { log, lost: lostOf(encoder.loss!()) }
}

function lostOf(loss: Loss): Record<string, readonly [number, number]> {
  const lost = lossByField(loss)
  return Object.fromEntries(lost.map(({ name, leftOut, narrowed }) => [name, [leftOut, narrowed]]))
}

test('what was read is written back byte for byte', () => {
  const v9 = record(0x40058801, `00000001 8235 01bb
    00000000 6a100000 00000000 0009 0000  fffff000 00000010  0003 0004 00000001 00000002`)
  const log = Buffer.concat([
    FULL, v9, record(0x40000000, ''), record(0x40000002, '6a100000 00000001'),
    record(0x40000550, `
      20010db8 00000000 00000000 00000009  20010db8 00000000 00000000 00000001
      fe800000 00000000 00000000 00000002  20010db8 00000000 00000000 000000ff`),
    record(0x40018000, '00000000 6a100000 00000000 000a 0000 00001000 00002000'), // IPFIX: no uptime
    record(0x40018000, 'ffffffff ffffffff ffffffff 0001 0000 00000000 ffffffff'),
    record(0x40010000, '00001000 00002000'),
    record(0x40003000, '001fffffffffffff 0000000100000000'),
  ])
  assert.deepEqual(bytesOf(flowd, [batchOfLog(log)]), log)
})

test('a record has the parts of which the flow has a field', () => {
  assert.deepEqual(write([{}]).log, record(0x40000000, ''))
  assert.deepEqual(write([{ proto: 17 }]).log, record(0x40000004, '00110000'))
  assert.deepEqual(write([{ dst_port: 443, src_addr: null, dst_addr: '10.0.0.1', src_as: 64500 }]).log,
    record(0x40020880, '0a000001 000001bb 0000fbf4 00000000 00000000'))
  assert.deepEqual(write([{ engine_id: 7 }]).log, record(0x40040000, '0000 0007 00000000 00000000'))
  // as flowd on a little-endian machine
  assert.deepEqual(write([{ engine_id: 7, type: FLOW_TYPE.NETFLOW_V5, export_secs: 1 }]).log,
    record(0x40048000, '00000000 00000001 00000000 0005 0000  0000 0700 00000000 00000000'))
})

test('the fields asked for decide which parts there are', () => {
  const batch = batchOfLog(FULL)
  const of = (...names: Parameters<typeof ids>): Buffer => bytesOf(flowd, [batch], { fields: ids(...names) })
  assert.deepEqual(of('tag', 'tcp_flags'), record(0x40000005, '0000002a 1b062800'))
  assert.deepEqual(of('src_addr', 'dst_addr', 'bytes'),
    record(0x400020a0, '0a000001 c6336401 0000000000000abc'))
  // times are nothing without the clock
  assert.deepEqual(of('flow_end'),
    record(0x40018000, '066ff300 6a0fffff 19e792c0 0005 0000 066fd9c4 066fec5a'))
  const { lost } = write([{ vlan_id: 1, src_mac: '02:00:00:00:00:01' }], { fields: ids('tag', 'vlan_id') })
  assert.deepEqual(lost, { vlan_id: [1, 0] }) // nobody asked for the other
})

test('times of flows without a clock are exact, by a clock that runs from record to record', () => {
  const flows: Flow[] = [
    { flow_start: micros('2026-05-22T07:04:24.974Z'), flow_end: micros('2026-05-22T07:04:29.732Z') },
    { flow_start: micros('2026-05-22T07:04:30.001Z'), type: FLOW_TYPE.IPFIX, export_secs: 1_779_433_472 },
    { flow_end: micros('2026-05-22T07:04:24.000Z') },
  ]
  const { log, lost } = write(flows)
  assert.deepEqual(lost, {})
  const week = 604_800_000 // ms that the exporter has been up for when the first flow ends
  const [first, second, third] = [0, 1, 2].map((i) => ({
    uptime: log.readUInt32BE(i * 36 + 8), secs: log.readUInt32BE(i * 36 + 12),
    nsecs: log.readUInt32BE(i * 36 + 16),
    start: log.readUInt32BE(i * 36 + 24), end: log.readUInt32BE(i * 36 + 28),
  }))
  assert.deepEqual(first, {
    uptime: week, secs: 1_779_433_469, nsecs: 732_000_000, start: week - 4758, end: week,
  })
  assert.deepEqual(second, {
    uptime: week + 2268, secs: 1_779_433_472, nsecs: 0, start: week + 269, end: week + 269,
  })
  assert.deepEqual(third, {
    uptime: week - 5732, secs: 1_779_433_464, nsecs: 0, start: week - 5732, end: week - 5732,
  })
  const times = readLog(log, { fields: ids('flow_start', 'flow_end') }).rows
  assert.deepEqual(times, [
    { flow_start: '2026-05-22T07:04:24.974Z', flow_end: '2026-05-22T07:04:29.732Z' },
    { flow_start: '2026-05-22T07:04:30.001Z', flow_end: '2026-05-22T07:04:30.001Z' },
    { flow_start: '2026-05-22T07:04:24.000Z', flow_end: '2026-05-22T07:04:24.000Z' },
  ])
})

test('flows that tell their protocol but no time were exported when they were received', () => {
  const flow = { type: FLOW_TYPE.NETFLOW_V9, received: micros('2026-05-22T07:04:32.800Z') }
  assert.deepEqual(write([flow]).log, record(0x40008002,
    '6a100000 000c3500  00000000 6a100000 2faf0800 0009 0000'))
})

test('what is cut and what has no place is told', () => {
  const start = micros('2026-05-22T07:04:24.974Z')
  const { lost } = write([
    { flow_start: start + 1, flow_end: start + 1000 },
    { flow_start: start, flow_start_ns: 7, tcp_flags: 0x100, sampling_rate: 100, etype: 0x0800 },
    { flow_start: start - 31 * 86_400e6, flow_end: start, type: FLOW_TYPE.SFLOW_5, vlan_id: 1 },
    { src_addr: '10.0.0.1', etype: 0x86dd, received: 2 ** 52 },
    { dst_addr: '2001:db8::1', etype: 0x86dd, received: -1 },
  ])
  assert.deepEqual(lost, {
    type: [1, 0], received: [0, 2], sampling_rate: [1, 0], flow_start: [0, 3], tcp_flags: [0, 1],
    etype: [2, 0], vlan_id: [1, 0],
  })
})

test('elements have no place but uptimes, which are times of records', () => {
  const uptimes = [
    { pen: 0, id: 210, length: 1 }, { pen: 0, id: 21, length: 4 }, { pen: 0, id: 22, length: 4 },
  ]
  const more = { extras: uptimes, extraBytes: hex('ff 00002000 00001000') }
  const { log, lost } = write([{ tag: 1 }], {}, more)
  assert.deepEqual(log, record(0x40010001, '00000001 00001000 00002000'))
  assert.deepEqual(lost, { paddingOctets: [1, 0] })
  const timed = write([{ tag: 1, flow_end: 0 }], { fields: ids('tag') }, more)
  assert.deepEqual(timed.log, record(0x40000001, '00000001'))
  // a row whose bytes do not reach them, and elements whose place is not known
  assert.deepEqual(write([{}], {}, { ...more, extraBytes: hex('ff 00002000') }).log, record(0x40000000, ''))
  const name = { pen: 0, id: 82, length: VARIABLE_LENGTH }
  const variable = { extras: [name, ...uptimes], extraBytes: hex('0000') }
  assert.deepEqual(Object.keys(write([{}], {}, variable).lost).sort(),
    ['flowEndSysUpTime', 'flowStartSysUpTime', 'interfaceName', 'paddingOctets'])
})

test('the largest values of all fields are written', () => {
  const flow = Object.fromEntries(FIELDS.map((field) => [field.name, largest(field)])) as Flow
  const { log } = write([{ ...flow, type: FLOW_TYPE.NETFLOW_V9 }])
  assert.equal(log.length, 168)
  const [row] = readLog(log).rows
  assert.equal(row.bytes, 2 ** 53)
  assert.equal(row.next_hop, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')
  assert.equal(row.received, '2106-02-07T06:28:15.999999Z')
})

test('any flows become a log without faults, which becomes the same log again', () => {
  fc.assert(fc.property(fc.array(batches, { maxLength: 3 }), (several) => {
    const log = bytesOf(flowd, several)
    const count = several.reduce((sum, { length }) => sum + length, 0)
    const { rows, faults, left, error } = readLog(log)
    assert.deepEqual([rows.length, faults, left, error], [count, [], 0, undefined])
    const again = count === 0 ? new FlowBatch() : batchOfLog(log)
    assert.deepEqual(bytesOf(flowd, [again]), log)
  }))
})

test('flows read in a log have what they had, as far as it has a place', () => {
  const kept = ids(
    'tag', 'proto', 'tos', 'exporter_addr', 'src_addr', 'dst_addr', 'next_hop', 'src_port', 'dst_port',
    'packets', 'bytes', 'in_if', 'out_if', 'src_as', 'dst_as', 'src_mask', 'dst_mask', 'engine_type',
    'engine_id', 'sequence_num', 'observation_domain_id', 'export_secs', 'sys_uptime',
  )
  fc.assert(fc.property(batches, (batch) => {
    const log = bytesOf(flowd, [batch])
    const read = log.length === 0 ? new FlowBatch() : batchOfLog(log)
    for (let row = 0; row < batch.length; row++) {
      const { mask } = batch.shapes[batch.shape[row]]
      for (const id of kept) {
        const isUptimeOfIpfix = id === ID.sysUptime && read.type[row] === FLOW_TYPE.IPFIX
        if (mask[id] === 0 || isUptimeOfIpfix) continue
        const [was, is] = [batch, read].map((each) => valueOf(each, id, row))
        assert.deepEqual(is, was, FIELDS[id].name)
      }
    }
  }))
})

function valueOf(batch: FlowBatch, id: number, row: number): unknown {
  const column = batch.column(id)
  if (!('family' in column)) return column[row]
  if (column.family[row] !== 6) return [column.family[row], column.family[row] === 4 ? column.v4[row] : 0]
  return [6, ...column.v6.subarray(row * 16, row * 16 + 16)]
}
