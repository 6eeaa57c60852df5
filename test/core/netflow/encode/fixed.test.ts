import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lossByField } from '../../../../core/flow/loss.ts'
import { fixedEncoder } from '../../../../core/netflow/encode/fixed.ts'
import { batchOf, encodeAll, everything, decodeAll } from './rows.ts'
import { EXPORTED, hex, micros, RECEIVED, type Row } from '../messages.ts'

const OPTIONS = { maxSize: 1472, domain: 0 }
const CLOCK = '000a1220 6b000c10 1dcd6500' // uptime 660 s, 2026-11-20 09:00:00.5
const START = `
  0a010203 c6336407 0aff0001   # addresses and next hop
  0003 0001 00000400 80000000  # interfaces, packets, bytes
  000927c0 0009eb10 c350 01bb  # first and last, ports
`
const MIDDLE = '1b 06 b8 fbf0 fbff 18 16' // flags, protocol, type of service, AS numbers, prefix lengths

const FLOW: Row = {
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', src_port: 50000, dst_port: 443, proto: 6, packets: 10, bytes: 5000,
  flow_start: micros('2026-11-20T09:00:01.250Z'), flow_end: micros('2026-11-20T09:00:02.750Z'),
}

/** A datagram as made by hand, and what comes back when its rows are encoded with the header's values. */
function again(version: number, datagram: Uint8Array, scheme: number = 0): string {
  const { send, batch } = everything()
  send(datagram)
  const made = encodeAll(fixedEncoder(version, OPTIONS, scheme), batch)
  return made.map((bytes) => Buffer.from(bytes).toString('hex')).join()
}

function assertSame(version: number, text: string, scheme: number = 0): void {
  assert.equal(again(version, hex(text), scheme), Buffer.from(hex(text)).toString('hex'))
}

test('NetFlow v1 comes back byte for byte', () => {
  assertSame(1, `0001 0002 ${CLOCK} ${START} 0000 06 b8 1b 00000000000000 ${START} 0000 11 00 00 00000000000000`)
})

test('NetFlow v5 comes back byte for byte, with its sequence, engine and sampling', () => {
  assertSame(5, `0005 0002 ${CLOCK} fffffffe 01 07 4064 ${START} 00 ${MIDDLE} 0000 ${START} 00 ${MIDDLE} 0000`)
})

test('a v5 header that tells a rate without a mode gets no mode', () => {
  assertSame(5, `0005 0001 ${CLOCK} 00010000 01 07 0064 ${START} 00 ${MIDDLE} 0000`)
})

test('NetFlow v6 comes back byte for byte', () => {
  assertSame(6, `0006 0001 ${CLOCK} 00010000 0107 0000 ${START} 00 ${MIDDLE} 04 0e c0000209`)
})

test('NetFlow v7 comes back byte for byte', () => {
  assertSame(7, `0007 0001 ${CLOCK} 00010000 00000000 ${START} 00 ${MIDDLE} 0012 c0000209`)
})

const SUMS = '00000007 00000400 80000000 000927c0 0009eb10' // flows, packets, bytes, first, last
const SC = '00000005 c0000209' // packets over the contract, router bypassed
const V8: Readonly<Record<number, string>> = {
  1: `${SUMS} fbf0 fbff 0003 0001`,
  2: `${SUMS} 06 000000 c350 01bb`,
  3: `${SUMS} 0a010200 18 00 fbf0 0003 0000`,
  4: `${SUMS} c6336400 16 00 fbff 0001 0000`,
  5: `${SUMS} 0a010200 c6336400 16 18 0000 fbf0 fbff 0003 0001`,
  6: `c6336407 ${SUMS.slice(9)} 0001 b8 20 ${SC}`,
  7: `c6336407 0a010203 ${SUMS.slice(9)} 0001 0003 b8 20 0000 ${SC}`,
  8: `c6336407 0a010203 01bb c350 ${SUMS.slice(9)} 0001 0003 b8 06 20 00 ${SC}`,
  9: `${SUMS} fbf0 fbff 0003 0001 b8 000000`,
  10: `${SUMS} 06 b8 0000 c350 01bb 0003 0001`,
  11: `${SUMS} 0a010200 18 b8 fbf0 0003 0000`,
  12: `${SUMS} c6336400 16 b8 fbff 0001 0000`,
  13: `${SUMS} 0a010200 c6336400 16 18 b8 00 fbf0 fbff 0003 0001`,
  14: `${SUMS} 0a010200 c6336400 16 18 b8 06 c350 01bb 0003 0001`,
}

for (const [scheme, record] of Object.entries(V8)) {
  test(`NetFlow v8 scheme ${scheme} comes back byte for byte`, () => {
    const number = Number(scheme).toString(16).padStart(2, '0')
    assertSame(8, `0008 0002 ${CLOCK} 00010000 01 07 ${number} 02 00000000 ${record} ${record}`, Number(scheme))
  })
}

test('rows without a clock are exported when the last of them ended, by an exporter a week old', () => {
  const [datagram] = encodeAll(fixedEncoder(5, OPTIONS), batchOf({ fields: FLOW }))
  const view = new DataView(datagram.buffer)
  assert.deepEqual([4, 8, 12].map((at) => view.getUint32(at)), [604_800_000, EXPORTED + 2, 750_000_000])
  assert.deepEqual([48, 52].map((at) => view.getUint32(at)), [604_798_500, 604_800_000])
})

test('rows are exported when they were received, unless that is weeks after they ended', () => {
  const at = (received: string) => {
    const [datagram] = encodeAll(fixedEncoder(5, OPTIONS), batchOf({ fields: { ...FLOW, received: micros(received) } }))
    return new DataView(datagram.buffer).getUint32(8)
  }
  assert.equal(at('2026-11-20T09:00:20Z'), EXPORTED + 20)
  assert.equal(at('2026-12-31T09:00:00Z'), EXPORTED + 2)
})

test('datagrams have as many records as the version or their size allows, and sequence numbers that count them', () => {
  const many = batchOf(...Array.from({ length: 70 }, () => ({ fields: FLOW })))
  const shape = (version: number, maxSize: number) => {
    const datagrams = encodeAll(fixedEncoder(version, { maxSize, domain: 0 }), many)
    return datagrams.map((bytes) => [bytes.length, bytes[3], new DataView(bytes.buffer).getUint32(16)])
  }
  assert.deepEqual(shape(5, 1472), [[1464, 30, 0], [1464, 30, 30], [504, 10, 60]])
  assert.deepEqual(shape(5, 500).slice(0, 2), [[456, 9, 0], [456, 9, 9]])
  assert.deepEqual(shape(7, 1472).map(([, count]) => count), [27, 27, 16])
  assert.deepEqual(shape(1, 1472).map(([, count]) => count), [24, 24, 22])
})

test('a datagram waits for the rows of the next batch', () => {
  const datagrams = encodeAll(fixedEncoder(5, OPTIONS), batchOf({ fields: FLOW }), batchOf({ fields: FLOW }))
  assert.deepEqual(datagrams.map((bytes) => bytes[3]), [2])
})

test('what headers say parts rows: engine, sampling, and the clock they came with', () => {
  const counts = (...list: Row[]) => {
    const made = encodeAll(fixedEncoder(5, OPTIONS), batchOf(...list.map((more) => ({ fields: { ...FLOW, ...more } }))))
    return made.map((bytes) => bytes[3])
  }
  assert.deepEqual(counts({ engine_id: 1 }, { engine_id: 1 }, { engine_id: 2 }), [2, 1])
  assert.deepEqual(counts({ sampling_rate: 100 }, { sampling_rate: 200 }, { sampling_rate: 200 }), [1, 2])
  const clock = { export_secs: EXPORTED, export_nsecs: 0, sys_uptime: 1000 }
  const [five, six] = [{ ...clock, sequence_num: 5 }, { ...clock, sequence_num: 6 }]
  assert.deepEqual(counts(five, six, six), [1, 2])
})

test('records that had one header and do not fit into one datagram are numbered on', () => {
  const fields = { ...FLOW, export_secs: EXPORTED, export_nsecs: 0, sys_uptime: 1000, sequence_num: 500 }
  const made = encodeAll(fixedEncoder(5, { maxSize: 120, domain: 0 }), batchOf({ fields }, { fields }, { fields }))
  assert.deepEqual(made.map((bytes) => new DataView(bytes.buffer).getUint32(16)), [500, 502])
})

test('IPv6 flows are left out and counted; where a scheme has no addresses they are not', () => {
  const fields = { ...FLOW, src_addr: '2001:db8::1', dst_addr: '2001:db8::2' }
  const v5 = fixedEncoder(5, OPTIONS)
  assert.equal(encodeAll(v5, batchOf({ fields }, { fields: FLOW }, { fields }))[0][3], 1)
  assert.equal(v5.loss.rows.ipv6, 2)
  const v8 = fixedEncoder(8, OPTIONS, 1)
  assert.equal(encodeAll(v8, batchOf({ fields: { ...fields, aggregation: 1 } }))[0][3], 1)
  assert.equal(v8.loss.rows.ipv6, 0)
})

test('what is too large is cut to the largest, an AS number to AS_TRANS, and counted', () => {
  const encoder = fixedEncoder(5, OPTIONS)
  const [row] = decodeAll(encodeAll(encoder, batchOf({
    fields: {
      ...FLOW, bytes: 2 ** 32, packets: 2 ** 32 - 1, in_if: 65_536, out_if: 65_535, src_as: 65_536, dst_as: 65_535,
      tcp_flags: 0x112, sampling_rate: 16_384,
    },
  })))
  assert.deepEqual(
    ['bytes', 'packets', 'in_if', 'out_if', 'src_as', 'dst_as', 'tcp_flags', 'sampling_rate'].map((name) => row[name]),
    [2 ** 32 - 1, 2 ** 32 - 1, 65_535, 65_535, 23_456, 65_535, 0x12, 16_383],
  )
  assert.deepEqual(lossByField(encoder.loss), ['sampling_rate', 'bytes', 'tcp_flags', 'in_if', 'src_as']
    .map((name) => ({ name, leftOut: 0, narrowed: 1 })))
})

test('fields without a place are counted, the header and the EtherType of IPv4 are not', () => {
  const encoder = fixedEncoder(1, OPTIONS)
  const transport = { received: RECEIVED, sequence_num: 1 }
  const fields = { ...FLOW, ...transport, etype: 0x800, src_as: 64_496, vlan_id: 7, user_name: 'x' }
  encodeAll(encoder, batchOf({ fields }, { fields: { ...fields, etype: 0x8847 } }))
  assert.deepEqual(lossByField(encoder.loss), [
    { name: 'etype', leftOut: 1, narrowed: 0 },
    { name: 'src_as', leftOut: 2, narrowed: 0 },
    { name: 'vlan_id', leftOut: 2, narrowed: 0 },
    { name: 'user_name', leftOut: 2, narrowed: 0 },
  ])
})

test('nanoseconds count as lost only where times were told with them', () => {
  const fields = { ...FLOW, flow_start_ns: 0, flow_end_ns: 0 }
  for (const timeDigits of [0, 3, 6, 9] as const) {
    const encoder = fixedEncoder(5, OPTIONS)
    encodeAll(encoder, batchOf({ fields, timeDigits }))
    const lost = lossByField(encoder.loss).map(({ name, leftOut }) => [name, leftOut])
    assert.deepEqual(lost, timeDigits === 9 ? [['flow_start_ns', 1], ['flow_end_ns', 1]] : [])
  }
})

test('ICMP type and code are the destination port, if that is free', () => {
  const encoder = fixedEncoder(5, OPTIONS)
  const { dst_port: _, ...portless } = FLOW
  const icmp = { ...portless, proto: 1, icmp_type: 3, icmp_code: 1 }
  const made = decodeAll(encodeAll(encoder, batchOf(
    { fields: icmp }, { fields: { ...icmp, dst_port: 0 } }, { fields: { ...icmp, dst_port: 769 } },
    { fields: { ...icmp, dst_port: 443 } }, { fields: { ...icmp, proto: 6, dst_port: 0 } },
  )))
  assert.deepEqual(made.map((row) => row['dst_port']), [769, 769, 769, 443, 0])
  const lost = ['icmp_type', 'icmp_code'].map((name) => ({ name, leftOut: 2, narrowed: 0 }))
  assert.deepEqual(lossByField(encoder.loss), lost)
})

test('counters that are multiplied already are not sent with a rate that would multiply them again', () => {
  const encoder = fixedEncoder(5, OPTIONS)
  const [datagram] = encodeAll(encoder, batchOf({ fields: { ...FLOW, sampling_rate: 100, sampling_applied: 1 } }))
  assert.equal(new DataView(datagram.buffer).getUint16(22), 0)
  assert.equal(lossByField(encoder.loss)[0].name, 'sampling_rate')
})

test('times that are no whole milliseconds, or weeks away, are rounded and counted', () => {
  const encoder = fixedEncoder(5, OPTIONS)
  const end = micros('2026-11-20T09:00:02.750Z')
  const fields = { ...FLOW, flow_start: end - 86_400e6 * 30, flow_end: end + 400 }
  const [row] = decodeAll(encodeAll(encoder, batchOf({ fields })))
  assert.equal(row['flow_start'], end + 1000 - (2 ** 31 - 1) * 1000)
  assert.equal(row['flow_end'], end)
  assert.equal(encoder.loss.narrowed.reduce((a, b) => a + b), 2)
})

test('a version, scheme or size that cannot be is refused', () => {
  assert.throws(() => fixedEncoder(2, OPTIONS), RangeError)
  assert.throws(() => fixedEncoder(8, OPTIONS, 15), RangeError)
  assert.throws(() => fixedEncoder(5, { maxSize: 71, domain: 0 }), RangeError)
})
