import { test } from 'node:test'
import assert from 'node:assert/strict'
import { deflateSync } from 'node:zlib'
import { formatIpv4 } from '../../core/flow/address.ts'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { newLoss } from '../../core/flow/loss.ts'
import type { Fault } from '../../core/flow/stream.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import {
  EXPORTED, fileOf, header, membersOf, NAMES, readFile, recordBytes, RECORDS, STREAM1_RECORD, tlv, uint,
  valuesOf, type Members,
} from './flow-tools-files.ts'
import { ids } from './flows.ts'

const ADDRESSES = new Set(['exaddr', 'srcaddr', 'dstaddr', 'nexthop', 'peer_nexthop', 'router_sc'])
const TYPES: Readonly<Record<string, string>> = {
  1: 'NETFLOW_V1', 5: 'NETFLOW_V5', 6: 'NETFLOW_V6', 7: 'NETFLOW_V7', 8: 'NETFLOW_V8', 1005: 'NETFLOW_V5',
}
const V5 = {
  ...EXPORTED, exaddr: 0xc0000201, srcaddr: 0x0a000001, dstaddr: 0xc6336402, dPkts: 3, dOctets: 200, prot: 6,
}

/** 200 flows that differ, numbered by their packets. */
function manyFlows(): Members[] {
  return Array.from({ length: 200 }, (_, i) => ({ ...V5, dPkts: i, srcaddr: i * 2_654_435_761 % 2 ** 32 }))
}

/** What flowkit is to read in a record. */
function expected(version: string, values: Members): Record<string, unknown> {
  const members = membersOf(RECORDS[version]).map(([name]) => name).filter((name) => name in NAMES)
  const own = members.map((name) => (
    [NAMES[name], ADDRESSES.has(name) ? formatIpv4(values[name]) : values[name]]
  ))
  const [main, scheme] = version.split('.')
  return {
    ...Object.fromEntries(own), type: TYPES[main], ...scheme && { aggregation: Number(scheme) },
    ...members.some((name) => name === 'srcaddr' || name === 'dstaddr') && { etype: 2048 },
    flow_start: '2023-11-14T22:13:10.123Z', flow_end: '2023-11-14T22:13:15.373Z',
  }
}

for (const version of Object.keys(RECORDS)) {
  test(`records of version ${version} are read in either byte order`, async () => {
    const values = valuesOf(version)
    for (const little of [true, false]) {
      const { rows, error } = await readFile(fileOf(version, [values, { ...values, dPkts: 7 }], { little }))
      assert.equal(error, undefined)
      assert.deepEqual(rows, [expected(version, values), expected(version, { ...values, dPkts: 7 })])
    }
  })
}

test('the clock of the exporter is left out unless it is asked for', async () => {
  const { rows } = await readFile(fileOf('5', [V5]), { fields: ids('type', 'bytes', 'flow_end') })
  assert.deepEqual(rows, [{ type: 'NETFLOW_V5', bytes: 200, flow_end: '2023-11-14T22:13:15.373Z' }])
  const decoder = flowTools.decoder!({ onFault() {} })
  const batch = new FlowBatch()
  decoder.decode(fileOf('5', [V5]), 0, batch)
  const { fields } = batch.shapes[0]
  assert.deepEqual(ids('export_secs', 'export_nsecs', 'sys_uptime').filter((id) => fields.includes(id)), [])
  assert.ok(fields.includes(ids('exporter_addr')[0]))
})

test('uptimes come round after 49.7 days, and count from the time where there is none', async () => {
  const wrapped = { ...V5, sysUpTime: 5000, First: 0xffffffff, Last: 4000 }
  const booted = { ...V5, sysUpTime: 0, First: 3_000_000_000, Last: 3_000_001_000 }
  const { rows } = await readFile(fileOf('5', [wrapped, booted]))
  assert.deepEqual(rows.map(({ flow_start, flow_end }) => [flow_start, flow_end]), [
    ['2023-11-14T22:13:15.122Z', '2023-11-14T22:13:19.123Z'],
    ['2023-12-19T15:33:20.123Z', '2023-12-19T15:33:21.123Z'],
  ])
})

test('files of stream version 1 are read, whose flows count from the start of the router', async () => {
  const values = {
    unix_secs: 1_000_000_000, unix_msecs: 250, srcaddr: 0x0a000001, dstaddr: 0x0a000002, nexthop: 0x0a000003,
    input: 1, output: 2, dPkts: 3, dOctets: 4, First: 3_600_000, Last: 3_601_500, srcport: 5, dstport: 6,
    prot: 17, tos: 8, tcp_flags: 9, src_as: 10, dst_as: 11, src_mask: 12, dst_mask: 13,
  }
  const common = {
    export_secs: 1_000_000_000, export_nsecs: 250_000_000, sys_uptime: 0,
    flow_start: '2001-09-09T02:46:40.250Z', flow_end: '2001-09-09T02:46:41.750Z', bytes: 4, packets: 3,
    proto: 17, src_addr: '10.0.0.1',
    dst_addr: '10.0.0.2', src_port: 5, dst_port: 6, tcp_flags: 9, tos: 8, etype: 2048, in_if: 1, out_if: 2,
    next_hop: '10.0.0.3',
  }
  for (const little of [true, false]) {
    for (const [version, more] of [
      [5, { type: 'NETFLOW_V5', src_as: 10, dst_as: 11, src_mask: 12, dst_mask: 13 }],
      [1, { type: 'NETFLOW_V1' }], [65535, { type: 'NETFLOW_V1' }],
    ] as const) {
      const head = Buffer.alloc(360)
      head.set([0xcf, 0x10, little ? 1 : 2, 1])
      head.set(uint(version, 2, little), 4)
      head.set(uint(1, 4, little), 24)
      head.write('router', 36)
      head.write('a comment', 104)
      const loss = newLoss()
      const file = Buffer.concat([head, recordBytes(STREAM1_RECORD, values, little)])
      assert.deepEqual(await readFile(file, { loss }), { rows: [{ ...common, ...more }], error: undefined })
      assert.deepEqual([...loss.elements], [['capture_hostname', 1], ['comments', 1]])
    }
  }
})

test('packed records are read whatever pieces they come in', async () => {
  const flows = Array.from({ length: 300 }, (_, i) => ({ ...V5, dPkts: i, srcport: i * 7 % 65536 }))
  const plain = await readFile(fileOf('5', flows))
  assert.equal(plain.rows.length, 300)
  for (const level of [1, 6, 9]) {
    const file = fileOf('5', flows, { level, little: level === 6 })
    for (const size of [1, 2, 63, 64, 65, 1000, file.length]) {
      assert.deepEqual(await readFile(file, { size }), plain)
    }
  }
  for (const size of [1, 47, 64, 100]) assert.deepEqual(await readFile(fileOf('5', flows), { size }), plain)
})

test('more flows than a batch holds are read in the order of the file', async () => {
  const flows = Array.from({ length: 20_000 }, (_, i) => ({ ...V5, dPkts: i + 1 }))
  for (const level of [0, 6]) {
    const { rows, error } = await readFile(fileOf('5', flows, { level }))
    assert.equal(error, undefined)
    assert.deepEqual(rows.map(({ packets }) => packets), flows.map(({ dPkts }) => dPkts))
  }
})

test('files without flows have none, packed or not', async () => {
  for (const level of [0, 2, 9]) {
    assert.deepEqual(await readFile(fileOf('5', [], { level })), { rows: [], error: undefined })
  }
  // cut off before the first
  assert.deepEqual(await readFile(header('8.14', 2)), { rows: [], error: undefined })
})

test('of a file that is cut off the flows before the cut are read', async () => {
  const flows = manyFlows()
  const plain = fileOf('5', flows)
  const { rows, error } = await readFile(plain.subarray(0, 24 + 64 * 10 + 20))
  assert.deepEqual(rows.map(({ packets }) => packets), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  assert.deepEqual(told(error), [
    'ERR_TRUNCATED', 'Cannot read the record at byte 664: the input ends 20 bytes into it',
  ])
  const packed = fileOf('5', flows, { level: 6 })
  for (const end of [packed.length - 1, packed.length - 4, packed.length - 5, packed.length >> 1]) {
    const found = await readFile(packed.subarray(0, end))
    assert.equal(told(found.error)[0], 'ERR_TRUNCATED')
    assert.deepEqual(found.rows.map(({ packets }) => packets), found.rows.map((_, i) => i))
    assert.ok(found.rows.length > (end > packed.length - 6 ? 198 : 60))
  }
  for (const end of [1, 7, 23]) {
    const cut = await readFile(plain.subarray(0, end))
    assert.deepEqual([cut.rows.length, told(cut.error)[0]], [0, 'ERR_TRUNCATED'])
  }
})

test('of packed records that are damaged those before the damage are read', async () => {
  const flows = manyFlows()
  const stored = Buffer.concat(flows.map((values) => recordBytes(RECORDS['5'], values, true)))
  const [first, second] = [stored.subarray(0, 640), stored.subarray(640)]
  // two blocks that are not packed, the second of a kind that does not exist
  const lengths = [uint(640, 2, true), uint(65_535 - 640, 2, true)]
  const blocks = Buffer.concat([Buffer.from([0x78, 0x01, 0]), ...lengths, first])
  const damaged = Buffer.concat([header('5', 2), blocks, Buffer.from([7]), second])
  const { rows, error } = await readFile(damaged)
  assert.equal(rows.length, 10)
  assert.deepEqual(told(error), [
    'ERR_MALFORMED', `Cannot unpack zlib stream: a block of an unknown kind found at byte ${24 + 7 + 640}`,
  ])
  const wrongSum = Buffer.concat([header('5', 2), deflateSync(stored)])
  wrongSum[wrongSum.length - 1] ^= 1
  const summed = await readFile(wrongSum)
  assert.deepEqual([summed.rows.length, told(summed.error)[0]], [200, 'ERR_CHECKSUM'])
  const followed = await readFile(Buffer.concat([header('5', 2), deflateSync(stored), Buffer.from('more')]))
  assert.deepEqual([followed.rows.length, ...told(followed.error)], [
    200, 'ERR_MALFORMED',
    `Cannot read on behind the flows, at byte ${24 + deflateSync(stored).length}: the end wanted, more bytes `
    + 'found',
  ])
  const part = deflateSync(stored.subarray(0, 700))
  const uneven = await readFile(Buffer.concat([header('5', 2), part]))
  assert.deepEqual([uneven.rows.length, ...told(uneven.error)], [
    10, 'ERR_TRUNCATED', `Cannot read flow 10 at byte ${24 + part.length}: the input ends within it`,
  ])
})

test('a file that was whole and lacks flows is cut off', async () => {
  const count = tlv(10, uint(3, 4, true))
  const record = recordBytes(RECORDS['5'], V5, true)
  const whole = await readFile(Buffer.concat([header('5', 1, true, count), record, record, record]))
  assert.deepEqual([whole.rows.length, whole.error], [3, undefined])
  const cut = await readFile(Buffer.concat([header('5', 1, true, count), record]))
  assert.deepEqual([cut.rows.length, ...told(cut.error)], [
    1, 'ERR_TRUNCATED', 'Cannot read flow 1 at byte 96: 3 flows told by the header, the input ends',
  ])
  // what is still being written has not all its flows yet
  const growing = await readFile(Buffer.concat([header('5', 0, true, count), record]))
  assert.deepEqual([growing.rows.length, growing.error], [1, undefined])
})

test('headers that are none are refused', async () => {
  const file = fileOf('5', [V5])
  const cases: [Buffer, string, string][] = [
    [patched(file, 0, [0xce]), 'ERR_MALFORMED', 'magic number cf10 wanted, ce10 found'],
    [patched(file, 3, [2]), 'ERR_UNSUPPORTED', 'stream version 1 or 3 wanted, 2 found'],
    [patched(file, 4, [0, 0, 1, 0]), 'ERR_MALFORMED', '8 to 16384 bytes wanted, 65536 found'],
    [patched(file, 4, [7, 0, 0, 0]), 'ERR_MALFORMED', '8 to 16384 bytes wanted, 7 found'],
    [header('9', 0), 'ERR_UNSUPPORTED', 'export version 1, 5, 6, 7, 8.1 to 8.14 or 1005 wanted, 9 found'],
    [header('8.15', 0), 'ERR_UNSUPPORTED', '8.1 to 8.14 or 1005 wanted, 8.15 found'],
    [patched(header('8.1', 0), 18, [1]), 'ERR_UNSUPPORTED', 'wanted, aggregation version 1 found'],
    [Buffer.from([0xcf, 0x10, 1, 3, 8, 0, 0, 0]), 'ERR_UNSUPPORTED', 'wanted, 0 found'],
    [Buffer.concat([Buffer.from([0xcf, 0x10, 1, 1, 7, 0]), Buffer.alloc(354)]), 'ERR_UNSUPPORTED',
      'export version 1 or 5 wanted, 7 found'],
  ]
  for (const [bytes, code, message] of cases) {
    const { rows, error } = await readFile(bytes)
    assert.deepEqual(rows, [])
    assert.equal(told(error)[0], code)
    assert.ok(told(error)[1].endsWith(message), told(error)[1])
  }
})

test('a byte order that is none is told, and taken for little-endian as by flow-tools', () => {
  const faults: Fault[] = []
  const decoder = flowTools.decoder!({ onFault: (fault) => faults.push(fault) })
  const batch = new FlowBatch()
  decoder.decode(patched(fileOf('5', [V5]), 2, [7]), 0, batch)
  assert.deepEqual([batch.length, batch.packets[0]], [1, 3])
  assert.deepEqual(faults, [{
    code: 'ERR_MALFORMED', offset: 2,
    reason: 'Cannot read byte order: 1 or 2 wanted, 7 found, which is taken for 1',
  }])
})

test('values in a header that reach past its end end it', async () => {
  const long = Buffer.concat([uint(15, 2, true), uint(1000, 2, true), Buffer.from('cut\0')])
  const loss = newLoss()
  const head = header('5', 0, true, long)
  const { rows, error } = await readFile(Buffer.concat([head, recordBytes(RECORDS['5'], V5, true)]), { loss })
  assert.deepEqual([rows.length, error, loss.elements.size], [1, undefined, 0])
})

test('names of interfaces in the header go to the flows of their exporter', async () => {
  for (const little of [true, false]) {
    const name = (exporter: number, index: number, text: string) => {
      const parts = [uint(exporter, 4, little), uint(index, 2, little), Buffer.from(`${text}\0`)]
      return tlv(17, Buffer.concat(parts), little)
    }
    const head = header(
      '5', 0, little, name(0xc0000201, 1, 'ge-0/0/0'), name(0xc0000201, 2, 'lo0'),
      name(0xc0000202, 1, 'eth0'),
      tlv(18, Buffer.alloc(16), little), tlv(15, Buffer.from('vm\0'), little),
      tlv(11, uint(60, 4, little), little),
    )
    const records = [
      { ...V5, input: 1, output: 2 }, { ...V5, input: 3, output: 1 }, { ...V5, exaddr: 0xc0000202, input: 1 },
      { ...V5, input: 9, output: 9 },
    ].map((values) => recordBytes(RECORDS['5'], values, little))
    const loss = newLoss()
    const { rows } = await readFile(Buffer.concat([head, ...records]), { loss })
    assert.deepEqual(rows.map(({ in_if_name, out_if_name }) => [in_if_name, out_if_name]), [
      ['ge-0/0/0', 'lo0'], [undefined, 'ge-0/0/0'], ['eth0', undefined], [undefined, undefined],
    ])
    assert.deepEqual([...loss.elements], [
      ['lost_flows', 1], ['capture_hostname', 1], ['interface_aliases', 1],
    ])
    const some = await readFile(Buffer.concat([head, ...records]), { fields: ids('out_if_name', 'packets') })
    assert.deepEqual(some.rows.map(({ out_if_name }) => out_if_name), [
      'lo0', 'ge-0/0/0', undefined, undefined,
    ])
  }
})

test('files are told by their magic number', () => {
  assert.equal(flowTools.probe!(fileOf('5', [])), 95)
  assert.equal(flowTools.probe!(Buffer.from([0xcf, 0x10, 2, 1])), 95)
  assert.equal(flowTools.probe!(Buffer.from([0xcf, 0x10, 1, 2])), 60)
  assert.equal(flowTools.probe!(Buffer.from([0xcf, 0x11, 1, 3])), 0)
  assert.equal(flowTools.probe!(Buffer.from([0xcf, 0x10, 1])), 0)
})

function patched(file: Buffer, at: number, bytes: readonly number[]): Buffer {
  const copy = Buffer.from(file)
  copy.set(bytes, at)
  return copy
}

function told(error: unknown): [code: string, message: string] {
  assert.ok(error instanceof FlowkitError, String(error))
  return [error.code, error.message]
}
