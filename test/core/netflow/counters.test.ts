import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  collector, ip4, ipfix, join, pick, set, template, text, u16, u32, u64, u8, uint, type Row,
  type TemplateField,
} from './messages.ts'

type Value = readonly [field: TemplateField, value: Uint8Array]

/** The row of an IPFIX record with these fields, and how many numbers were cut to what fits. */
function decode(...fields: readonly Value[]): { row: Row, saturated: number } {
  const { send, batch } = collector({ extras: true })
  const layout = template(256, ...fields.map(([field]) => field))
  const [row] = send(ipfix({}, set(2, layout), set(256, ...fields.map(([, value]) => value))))
  return { row, saturated: batch.saturated }
}

function counter(id: number, value: number, pen?: number): Value {
  return [pen === undefined ? [id, 4] : [id, 4, pen], u32(value)]
}

test('IN, OUT, multicast, layer 2, dropped, total and reverse counters are columns of their own', () => {
  const values: readonly (readonly [string, Value])[] = [
    ['bytes', counter(1, 101)], ['packets', counter(2, 102)], ['flows', counter(3, 103)],
    ['out_bytes', counter(23, 104)], ['out_packets', counter(24, 105)],
    ['mcast_packets', counter(19, 106)], ['mcast_bytes', counter(20, 107)],
    ['l2_bytes', counter(352, 108)], ['dropped_bytes', counter(132, 109)],
    ['dropped_packets', counter(133, 110)], ['total_bytes', counter(85, 111)],
    ['total_packets', counter(86, 112)], ['rev_bytes', counter(1, 113, 29305)],
    ['rev_packets', counter(2, 114, 29305)],
  ]
  const { row } = decode(...values.map(([, value]) => value))
  const wanted = Object.fromEntries(values.map(([name], i) => [name, 101 + i]))
  assert.deepEqual(pick([row], ...Object.keys(wanted)), [wanted])
  assert.equal('extras' in row, false)
})

test('of delta, initiator and total counters bytes and packets are the first there is', () => {
  const delta = [counter(1, 1), counter(2, 2)]
  const initiator = [counter(231, 3), counter(298, 4)]
  const total = [counter(85, 5), counter(86, 6)]
  for (const [fields, bytes, packets] of [
    [[...total, ...initiator, ...delta], 1, 2], [[...total, ...initiator], 3, 4], [total, 5, 6],
  ] as const) {
    assert.deepEqual(pick([decode(...fields).row], 'bytes', 'packets'), [{ bytes, packets }])
  }
})

test('post and total OUT counters (171, 172) stand in for OUT counters, never for IN', () => {
  const { row } = decode(counter(171, 7), counter(172, 8))
  assert.deepEqual(pick([row], 'bytes', 'packets', 'out_bytes', 'out_packets'),
    [{ out_bytes: 7, out_packets: 8 }])
})

test('the responder’s counters (232, 299) are the reverse direction’s', () => {
  const { row } = decode(counter(231, 10), counter(232, 20), counter(298, 1), counter(299, 2))
  assert.deepEqual(pick([row], 'bytes', 'rev_bytes', 'packets', 'rev_packets'), [
    { bytes: 10, rev_bytes: 20, packets: 1, rev_packets: 2 },
  ])
})

test('reverse elements (RFC 5103) fill the reverse columns: counters, flags, tos and times', () => {
  const { row } = decode(
    [[6, 1], u8(0x02)], [[6, 2, 29305], u16(0x0112)], [[5, 1], u8(1)], [[5, 1, 29305], u8(2)],
    [[152, 8], u64(1000)], [[153, 8], u64(2000)], [[152, 8, 29305], u64(1500)], [[153, 8, 29305], u64(1900)],
    counter(86, 9, 29305), counter(85, 8, 29305),
  )
  assert.deepEqual(row, {
    ...row, tcp_flags: 2, rev_tcp_flags: 0x112, tos: 1, rev_tos: 2, flow_start: 1e6, flow_end: 2e6,
    rev_flow_start: 1.5e6, rev_flow_end: 1.9e6, rev_packets: 9, rev_bytes: 8,
  })
})

test('numbers of 1 to 8 bytes are the same number (RFC 7011 §6.2)', () => {
  for (let length = 1; length <= 8; length++) {
    const { row, saturated } = decode([[1, length], uint(200, length)], [[10, length], uint(201, length)],
      [[7, length], uint(202, length)], [[4, length], uint(17, length)])
    assert.deepEqual(pick([row], 'bytes', 'in_if', 'src_port', 'proto'), [
      { bytes: 200, in_if: 201, src_port: 202, proto: 17 },
    ], `${length} bytes`)
    assert.equal(saturated, 0)
  }
  assert.equal(decode([[1, 5], uint(2 ** 39 + 1, 5)]).row['bytes'], 2 ** 39 + 1)
  assert.equal(decode([[1, 3], uint(0xfedcba, 3)]).row['bytes'], 0xfedcba)
})

test('counters are exact up to 2^53, and stored as that from there on, with a count', () => {
  for (const [value, stored, cut] of [
    [2n ** 53n - 1n, 2 ** 53 - 1, 0], [2n ** 53n, 2 ** 53, 0], [2n ** 53n + 2n, 2 ** 53, 1],
    [2n ** 64n - 1n, 2 ** 53, 1],
  ] as const) {
    const { row, saturated } = decode([[1, 8], u64(value)])
    assert.deepEqual([row['bytes'], saturated], [stored, cut], `${value}`)
  }
})

test('numbers too large for their column become its largest, with a count', () => {
  const { row, saturated } = decode([[7, 4], u32(65536)], [[11, 4], u32(65535)], [[4, 2], u16(256)],
    [[10, 8], u64(2n ** 32n)], [[16, 5], uint(0xffffffff, 5)])
  assert.deepEqual(pick([row], 'src_port', 'dst_port', 'proto', 'in_if', 'src_as'), [
    { src_port: 65535, dst_port: 65535, proto: 255, in_if: 0xffffffff, src_as: 0xffffffff },
  ])
  assert.equal(saturated, 3)
})

test('numbers and addresses of sizes that they do not have are kept as extras', () => {
  const { row } = decode([[1, 9], new Uint8Array(9)], [[8, 3], u8(1, 2, 3)], [[27, 4], ip4('10.0.0.1')],
    [[56, 8], u64(1)],
    [[12, 4], ip4('10.0.0.2')])
  assert.deepEqual(pick([row], 'bytes', 'src_mac', 'dst_addr'), [{ dst_addr: '10.0.0.2' }])
  assert.ok((row['extras'] as string[]).includes('0/1=000000000000000000'))
  assert.ok((row['extras'] as string[]).includes('0/8=010203'))
  assert.ok((row['extras'] as string[]).includes('0/56=0000000000000001'))
})

test('of repeated elements the first fills the column and the others are extras', () => {
  const { row } = decode(counter(1, 1), counter(1, 2), counter(1, 3))
  assert.deepEqual([row['bytes'], row['extras']], [1, ['0/1=00000002', '0/1=00000003']])
})

test('fields of no bytes are absent', () => {
  const { row } = decode([[1, 0], new Uint8Array(0)], [[82, 0], new Uint8Array(0)], counter(2, 5),
    [[4711, 0], new Uint8Array(0)])
  assert.deepEqual([row['bytes'], row['in_if_name'], row['packets'], row['extras']],
    [undefined, undefined, 5, undefined])
})

test('elements without a column are extras, byte for byte and in order, enterprise ones too', () => {
  const { row } = decode(counter(2, 5), [[4711, 3], u8(1, 2, 3)], [[12, 5, 35632], text('hello')],
    [[210, 3], u8(0, 0, 0)],
    [[32767, 1, 0xffffffff], u8(9)], [[99, 8], u64(2n ** 64n - 1n)])
  assert.deepEqual(row['extras'], ['0/4711=010203', '35632/12=68656c6c6f', '4294967295/32767=09',
    '0/99=ffffffffffffffff'])
})

test('extras of several records and sets stay with their rows', () => {
  const { send } = collector({ extras: true })
  const layout = join(template(256, [4711, 2], [2, 1]), template(257, [2, 1]),
    template(258, [2, 1], [4712, 1], [4713, 2]))
  const rows = send(ipfix({}, set(2, layout), set(256, u8(1, 2, 3), u8(4, 5, 6)), set(257, u8(7)),
    set(258, u8(8, 9, 10, 11), u8(12, 13, 14, 15))))
  assert.deepEqual(pick(rows, 'packets', 'extras'), [
    { packets: 3, extras: ['0/4711=0102'] }, { packets: 6, extras: ['0/4711=0405'] }, { packets: 7 },
    { packets: 8, extras: ['0/4712=09', '0/4713=0a0b'] },
    { packets: 12, extras: ['0/4712=0d', '0/4713=0e0f'] },
  ])
})

test('without extras wanted, elements without a column cost no heap', () => {
  const { send, batch } = collector({ extras: false })
  const [row] = send(ipfix({}, set(2, template(256, [4711, 4], [2, 1])), set(256, u32(1), u8(7))))
  assert.deepEqual([row['packets'], row['extras'], batch.heapLength, batch.extras.length],
    [7, undefined, 0, 0])
})
