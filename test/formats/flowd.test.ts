import { test } from 'node:test'
import assert from 'node:assert/strict'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { readFlows } from '../../core/flow/stream.ts'
import { flowd } from '../../formats/flowd.ts'
import { ALL, crc, FULL, FULL_ROW, hex, noFault, readLog, record } from './flowd-records.ts'
import { ids, plainRow } from './flows.ts'

/** Addresses of IPv4 and ports, without a checksum. */
const PLAIN = record(0x000008a0, '0a000001 c6336401 8235 01bb')
const PLAIN_ROW = {
  src_addr: '10.0.0.1', dst_addr: '198.51.100.1', src_port: 33333, dst_port: 443, etype: 2048,
}
/** The agent's clock of a version, and times: 0x1000 and 0x2000 ms of uptime. */
function timed(version: number, uptime: string): Buffer {
  const clock = `${uptime} 6a100000 00000000 ${version.toString(16).padStart(4, '0')} 0000`
  return record(0x18000, `${clock} 00001000 00002000`)
}

test('every field of a record is read', () => {
  assert.deepEqual(readLog(FULL), { rows: [FULL_ROW], faults: [], left: 0 })
})

test('a record has what its mask says, and nothing else', () => {
  assert.deepEqual(readLog(PLAIN).rows, [PLAIN_ROW])
  assert.deepEqual(readLog(record(0, '')).rows, [{}])
  assert.deepEqual(readLog(record(0x40000000, '')).rows, [{}])
  const received = record(2, '6a100000 00000001')
  assert.deepEqual(readLog(received).rows, [{ received: '2026-05-22T07:04:32.000001Z' }])
})

test('records of different masks follow each other, addresses of IPv6 too', () => {
  const six = record(0x40000550, `
    20010db8 00000000 00000000 00000009  20010db8 00000000 00000000 00000001
    fe800000 00000000 00000000 00000002  20010db8 00000000 00000000 000000ff`)
  const row = {
    exporter_addr: '2001:db8::9', src_addr: '2001:db8::1', dst_addr: 'fe80::2', next_hop: '2001:db8::ff',
    etype: 34525,
  }
  const { rows } = readLog(Buffer.concat([six, FULL, PLAIN, six, FULL]))
  assert.deepEqual(rows, [row, FULL_ROW, PLAIN_ROW, row, FULL_ROW])
})

test('only what is wanted is there; by default all but the clock of the exporter', () => {
  const fields = ids('src_addr', 'flow_end', 'src_as')
  assert.deepEqual(readLog(FULL, { fields }).rows, [
    { src_addr: '10.0.0.1', flow_end: '2026-05-22T07:04:29.732Z', src_as: 64500 },
  ])
  const { export_secs, export_nsecs, sys_uptime, ...rest } = FULL_ROW
  assert.ok(export_secs && export_nsecs && sys_uptime)
  const batch = new FlowBatch()
  flowd.decoder!({ onFault: noFault }).decode(FULL, 0, batch)
  assert.deepEqual(plainRow(batch, 0), rest)
})

test('times are counted back from the uptime at export, with sign, also where it came round', () => {
  const later = timed(5, '00001800') // the flow ends 2048 ms after the export
  assert.deepEqual(readLog(later, { fields: ids('flow_start', 'flow_end') }).rows, [
    { flow_start: '2026-05-22T07:04:29.952Z', flow_end: '2026-05-22T07:04:34.048Z' },
  ])
  const round = record(0x18000, '00000100 6a100000 00000000 0009 0000 ffffff00 00000000')
  assert.deepEqual(readLog(round, { fields: ids('flow_start', 'flow_end') }).rows, [
    { flow_start: '2026-05-22T07:04:31.488Z', flow_end: '2026-05-22T07:04:31.744Z' },
  ])
})

test('without the clock of the exporter there are no times, but uptimes for who asks', () => {
  const clockless = record(0x10000, '00001000 00002000')
  for (const log of [timed(10, '00000000'), clockless]) {
    const { rows: [row] } = readLog(log)
    assert.deepEqual(Object.keys(row).filter((name) => /^flow|uptime/.test(name)), [])
    const batch = new FlowBatch()
    flowd.decoder!({ fields: ALL, extras: true, onFault: noFault }).decode(log, 0, batch)
    const { extras } = batch.shapes[batch.shape[0]]
    assert.deepEqual(extras, [{ pen: 0, id: 22, length: 4 }, { pen: 0, id: 21, length: 4 }])
    const [at, length] = batch.extras
    assert.equal(Buffer.from(batch.heap.subarray(at, at + length)).toString('hex'), '0000100000002000')
  }
  // v9 was exported when the exporter started, and IPFIX with an uptime is flowkit's own
  for (const log of [timed(9, '00000000'), timed(10, '00000001')]) assert.ok(readLog(log).rows[0].flow_start)
})

test('NetFlow versions are the types of flows', () => {
  const types = [1, 5, 6, 7, 8, 9, 10, 0, 3, 256]
    .map((version) => readLog(timed(version, '00000001')).rows[0].type)
  assert.deepEqual(types, [
    'NETFLOW_V1', 'NETFLOW_V5', 'NETFLOW_V6', 'NETFLOW_V7', 'NETFLOW_V8', 'NETFLOW_V9', 'IPFIX',
    'UNKNOWN', 'UNKNOWN', 'UNKNOWN',
  ])
})

test('engine numbers are read in either byte order; what a batch cannot hold is told', () => {
  const loss = newLoss()
  const log = Buffer.concat([
    record(0x40000, '0003 0400 00000001 00000002'), record(0x40000, '0102 0304 00000001 00000002'),
    timed(77, '00000001'),
  ])
  const { rows } = readLog(log, { loss, fields: ids('engine_type', 'engine_id') })
  assert.deepEqual(rows.slice(0, 2), [{ engine_type: 3, engine_id: 4 }, { engine_type: 2, engine_id: 4 }])
  assert.deepEqual([ID.engineType, ID.engineId].map((id) => loss.narrowed[id]), [1, 1])
  readLog(log, { loss })
  assert.equal(loss.narrowed[ID.type], 1)
})

test('counters over 2^53 are 2^53, and counted', () => {
  const batch = new FlowBatch()
  const log = Buffer.concat([
    record(0x3000, 'ffffffffffffffff 0020000000000000'), record(0x3000, '001fffffffffffff 0000000100000000'),
  ])
  flowd.decoder!({ onFault: noFault }).decode(log, 0, batch)
  assert.deepEqual([...batch.packets.subarray(0, 2)], [2 ** 53, 2 ** 53 - 1])
  assert.deepEqual([...batch.bytes.subarray(0, 2)], [2 ** 53, 2 ** 32])
  assert.equal(batch.saturated, 2)
})

test('a full batch ends a call, the next goes on', () => {
  const log = Buffer.concat(new Array(BATCH_SIZE + 3).fill(PLAIN))
  const decoder = flowd.decoder!({ onFault: noFault })
  const batch = new FlowBatch(1)
  const at = decoder.decode(log, 0, batch)
  assert.deepEqual([batch.length, at], [BATCH_SIZE, BATCH_SIZE * PLAIN.length])
  batch.clear()
  assert.equal(decoder.decode(log, at, batch), log.length)
  assert.equal(batch.length, 3)
})

test('a log in chunks of any size gives the same flows', async () => {
  const bad = Buffer.from(FULL)
  bad[20] ^= 1
  // nothing is told twice of a record that ends in the next chunk
  for (const log of [Buffer.concat([FULL, PLAIN, bad, record(0x80000, '00000001'), FULL]), V2_LOG]) {
    const whole = readLog(log)
    for (const size of [1, 2, 3, 5, 7, 8, 11, 19, 20, 64, 119, 120, 121, 200]) {
      const rows: Record<string, unknown>[] = []
      const offsets: (number | undefined)[] = []
      const decoder = flowd.decoder!({ fields: ALL, onFault: ({ offset }) => offsets.push(offset) })
      for await (const batch of readFlows(chunksOf(log, size), decoder)) {
        for (let row = 0; row < batch.length; row++) rows.push(plainRow(batch, row))
      }
      assert.deepEqual(rows, whole.rows)
      assert.deepEqual(offsets, whole.faults.map(({ offset }) => offset))
    }
  }
})

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

test('a record whose checksum is wrong is reported, and stepped over', () => {
  const bad = Buffer.from(FULL)
  bad[20] ^= 1
  const [stored, right] = [FULL.subarray(116), crc(bad.subarray(0, 116))].map((sum) => sum.toString('hex'))
  assert.deepEqual(readLog(Buffer.concat([FULL, bad, FULL])), {
    rows: [FULL_ROW, FULL_ROW], left: 0,
    faults: [{
      code: 'ERR_CHECKSUM', offset: 120,
      reason: `Cannot read flowd record: checksum ${right} wanted, ${stored} found`,
    }],
  })
})

test('fields that version 3.0 has not, and addresses in two families, are stepped over', () => {
  const unknown = record(0x00080001, '00000001 00000002')
  const ambiguous = record(0x00000018, '0a000001 20010db8000000000000000000000001')
  assert.deepEqual(readLog(Buffer.concat([PLAIN, unknown, ambiguous, PLAIN])), {
    rows: [PLAIN_ROW, PLAIN_ROW], left: 0,
    faults: [
      {
        code: 'ERR_MALFORMED', offset: 20,
        reason: 'Cannot read flowd record: fields of version 3.0 wanted, others (00080001) found',
      },
      {
        code: 'ERR_MALFORMED', offset: 36,
        reason: 'Cannot read flowd record: addresses of one family wanted, of both found',
      },
    ],
  })
})

test('a newer minor version is read as far as it is known', () => {
  const more = record(0x00080001, '0000002a 01020304 05060708', 0x61)
  const longer = record(0x00000001, '0000002a 01020304', 0x62)
  const summed = record(0x40080001, '0000002a 01020304', 0x61)
  const known = Buffer.from(summed)
  crc(known.subarray(0, 12)).copy(known, 16)
  assert.deepEqual(readLog(Buffer.concat([more, longer, summed, known, PLAIN])), {
    rows: [{ tag: 42 }, { tag: 42 }, { tag: 42 }, { tag: 42 }, PLAIN_ROW], faults: [], left: 0,
  })
  known[19] ^= 1
  assert.deepEqual(readLog(known).faults.map(({ code }) => code), ['ERR_CHECKSUM'])
})

test('another major version, or a length that is not that of the fields, ends the reading', () => {
  const other = Buffer.from(FULL)
  other[0] = 0x80
  const after = (bad: Uint8Array) => readLog(Buffer.concat([FULL, bad, FULL]))
  assert.deepEqual(after(other), {
    rows: [FULL_ROW], faults: [], left: 360,
    error: "Cannot read the record at byte 120: flowd's version 3 wanted, 4 found",
  })
  for (const [words, size] of [[3, 20], [200, 808], [27, 116], [29, 124]]) {
    const wrong = Buffer.from(FULL)
    wrong[1] = words
    const error = `Cannot read the record at byte 120: its fields need 120 bytes, it has ${size}`
    assert.deepEqual(after(wrong), { rows: [FULL_ROW], faults: [], left: 360, error })
  }
  const short = record(0x00080001, '', 0x61)
  assert.equal(after(short).error, 'Cannot read the record at byte 120: its fields need 12 bytes, it has 8')
})

test('a record cut by the end of the input is left', () => {
  for (const cut of [1, 7, 8, 60, 119]) {
    const log = Buffer.concat([FULL, FULL.subarray(0, cut)])
    assert.deepEqual(readLog(log), { rows: [FULL_ROW], faults: [], left: cut })
  }
  assert.deepEqual(readLog(new Uint8Array(0)), { rows: [], faults: [], left: 0 })
})

const V2_HEADER = '012cf047 00000002 6a100000 00000000'
/** The fields of FULL as version 2 has them, and a record with a checksum of an IPv6 address. */
const V2_BODY = hex(`4007faaf
  0000002a  6a100000  1b062800  c0000201 0a000001 c6336401 c00002fe  823501bb
  0000000000000003 0000000000000abc  0004 0005
  066ff300 6a0fffff 19e792c0 0005 0000  066fd9c4 066fec5a
  fbf4 3b41 18 10 0000  01 07 0000 000003e8`)
const V2_LOG = Buffer.concat([
  hex(V2_HEADER), V2_BODY, crc(V2_BODY), hex('00000040 20010db8000000000000000000000001'),
  hex('00001000 0000000000000007'),
])

test('logs of version 2 are read', () => {
  assert.deepEqual(readLog(V2_LOG), {
    rows: [
      { ...FULL_ROW, received: '2026-05-22T07:04:32.000Z', observation_domain_id: 0 },
      { src_addr: '2001:db8::1', etype: 34525 }, { packets: 7 },
    ],
    faults: [], left: 0,
  })
  const many = Buffer.concat([hex(V2_HEADER), ...new Array(BATCH_SIZE + 200).fill(hex('00000001 0000002a'))])
  assert.equal(readLog(many).rows.length, BATCH_SIZE + 200)
})

test('damage in logs of version 2 is told like that of version 3', () => {
  const bad = Buffer.from(V2_LOG)
  bad[24] ^= 1
  const ambiguous = hex('00000018 0a000001 20010db8000000000000000000000001')
  const { rows, faults, left } = readLog(Buffer.concat([bad, ambiguous]))
  assert.deepEqual([rows.length, left], [2, 0])
  assert.deepEqual(faults.map(({ code, offset }) => [code, offset]), [
    ['ERR_CHECKSUM', 16], ['ERR_MALFORMED', V2_LOG.length],
  ])
  const unknown = readLog(Buffer.concat([V2_LOG, hex('00080000 00000000')]))
  assert.equal(unknown.rows.length, 3)
  assert.equal(unknown.error,
    `Cannot read the record at byte ${V2_LOG.length}: fields of version 2 wanted, others (80000) found`)
  assert.equal(readLog(hex('012cf047 00000001 6a100000 00000000')).error,
    'Cannot read flowd log: version 2 or 3 wanted, version 1 found')
  assert.equal(readLog(hex('01000000 00000001 6a100000 00000000')).error,
    'Cannot read flowd log: version 2 or 3 wanted, neither found')
  for (const cut of [3, 15, 16, 18, 60]) {
    const { error, left: rest } = readLog(V2_LOG.subarray(0, cut))
    assert.deepEqual([error, rest], [undefined, cut < 16 ? cut : cut - 16])
  }
})

test('logs are told by their first bytes, those of one record too', () => {
  const { probe } = flowd
  assert.equal(probe!(FULL), 95)
  assert.equal(probe!(Buffer.concat([PLAIN, PLAIN])), 80)
  assert.equal(probe!(PLAIN), 60)
  assert.equal(probe!(V2_LOG), 95)
  const empty = record(0, '')
  assert.equal(probe!(empty), 55)
  assert.equal(probe!(Buffer.concat(new Array(512).fill(empty))), 55)
  // cut where the head ends, and damaged behind good records
  assert.equal(probe!(Buffer.concat([FULL, FULL]).subarray(0, 200)), 95)
  assert.equal(probe!(Buffer.concat([PLAIN, PLAIN, hex('ffffffffffffffff')])), 80)
  const flipped = Buffer.from(FULL)
  flipped[119] ^= 1
  assert.equal(probe!(Buffer.concat([flipped, FULL])), 95)
  assert.equal(probe!(Buffer.concat([record(0x00080001, '0000002a 01020304', 0x61), PLAIN, PLAIN])), 80)
})

test('what only looks like a log is not taken for one', () => {
  const { probe } = flowd
  const others = [
    '', '60', '6000000000', // less than a header
    '6000000000000000 0102030405060708', // 96 and zeros, little-endian, before something else
    '6002000000000880 0a000001 823501bb 0000000000000001', // one record, and then none
    '6003000000000880 0a000001 823501bb', // a length that is not that of the fields
    '6002000100000880 0a000001 823501bb', // reserved bits
    '8002000000000880 0a000001 823501bb', // version 4
    '6105000000000001 0000002a', // a newer version that is cut short
    '012cf047 00000003 6a100000 00000000',
    'd4c3b2a1 02000400 00000000 00000000 ffff0000 01000000', '0cA50200 01000000', '00050001 00000000',
  ].map(hex)
  const texts = ['a\n', '`a` is in back quotes at the beginning', '{"proto":6}\n', 'FLOW recv_time 2026\n']
  for (const head of [...others, ...texts.map((text) => Buffer.from(text))]) {
    assert.equal(probe!(head), 0, head.toString('hex'))
  }
  let seed = 7 // Lehmer's generator
  for (let i = 0; i < 20_000; i++) {
    const head = Uint8Array.from({ length: 40 }, () => (seed = seed * 48_271 % 0x7fffffff) >> 8 & 255)
    if (i % 2 === 0) head[0] = 0x60
    assert.ok(probe!(head) < 50)
  }
})
