import assert from 'node:assert/strict'
import { test } from 'node:test'
import { elementName } from '../../../../core/flow/elements.ts'
import { SAMPLING_SOURCE } from '../../../../core/flow/names.ts'
import type { TimeDigits } from '../../../../core/flow/shape.ts'
import { setEncoder, type SetEncoderOptions } from '../../../../core/netflow/encode/sets.ts'
import { lossByField } from '../../../../core/flow/loss.ts'
import { batchOf, decodeAll, encodeAll, everything } from './rows.ts'
import {
  EXPORTED, ip4, ip6, ipfix, join, micros, pick, set, template, u16, u32, u64, u8, variable, type Row,
} from '../messages.ts'

const OPTIONS: SetEncoderOptions = { maxSize: 1400, domain: 7, templateRefresh: 60e6 }

const FLOW: Row = {
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', src_port: 50000, dst_port: 443, proto: 6, packets: 10, bytes: 5000,
  flow_start: micros('2026-11-20T08:59:58.250Z'), flow_end: micros('2026-11-20T08:59:59.750Z'),
}
// as the template has them: times, counters, protocol, addresses and ports
const V9_FLOW = join(
  u32(604_798_250, 604_799_750), u64(5000, 10), u8(6), ip4('10.1.2.3'), ip4('198.51.100.7'), u16(50000, 443),
)
const V9_TEMPLATE = template(260, [22, 4], [21, 4], [1, 8], [2, 8], [4, 1], [8, 4], [12, 4], [7, 2], [11, 2])

test('NetFlow v9: a template and a record; the count is of both, uptimes count from a whole second', () => {
  const [message] = encodeAll(setEncoder(9, OPTIONS), batchOf({ fields: FLOW }))
  assert.deepEqual(message, join(
    u16(9, 2), u32(604_800_000, EXPORTED, 0, 7), set(0, V9_TEMPLATE), set(260, V9_FLOW, new Uint8Array(3)),
  ))
})

test('IPFIX: times as they are, a sequence of data records', () => {
  const encoder = setEncoder(10, OPTIONS)
  const [one, two] = [1, 2].flatMap(() => encodeAll(encoder, batchOf({ fields: FLOW })))
  const record = join(
    u64(EXPORTED * 1000 - 1750, EXPORTED * 1000 - 250), u64(5000, 10), u8(6), ip4('10.1.2.3'), ip4('198.51.100.7'),
    u16(50000, 443),
  )
  const made = template(260, [152, 8], [153, 8], [1, 8], [2, 8], [4, 1], [8, 4], [12, 4], [7, 2], [11, 2])
  const data = set(260, record, new Uint8Array(3))
  assert.deepEqual(one, ipfix({ domain: 7 }, set(2, made), data))
  assert.deepEqual(two, ipfix({ domain: 7, sequence: 1 }, data))
})

test('flow times have elements as exact as they are, milliseconds if that is not known', () => {
  const elements = (timeDigits: TimeDigits, most?: TimeDigits) => {
    const { flow_start, event_time = flow_start } = FLOW
    const encoder = setEncoder(10, { ...OPTIONS, ...most && { timeDigits: most } })
    const [message] = encodeAll(encoder, batchOf({ fields: { flow_start, event_time }, timeDigits }))
    const view = new DataView(message.buffer)
    return [24, 28].map((at) => view.getUint16(at))
  }
  assert.deepEqual(elements(0), [150, 322])
  assert.deepEqual(elements(3), [152, 323])
  assert.deepEqual(elements(-1), [152, 323])
  assert.deepEqual(elements(6), [154, 324])
  assert.deepEqual(elements(9), [156, 325])
  assert.deepEqual(elements(9, 3), [152, 323])
})

test('microseconds as NTP time come back whether a collector rounds or cuts off, and end in 11 zero bits', () => {
  for (const below of [0, 1, 499_999, 500_001, 999_999]) {
    const at = EXPORTED * 1e6 + below
    const [message] = encodeAll(setEncoder(10, OPTIONS), batchOf({ fields: { flow_start: at }, timeDigits: 6 }))
    const fraction = new DataView(message.buffer).getUint32(message.length - 4)
    assert.equal(fraction & 2047, 0)
    assert.equal(Math.floor(fraction * 1e6 / 2 ** 32), below)
    assert.equal(Math.round(fraction * 1e6 / 2 ** 32), below)
  }
})

test('IPv6 rows have a template of their own, with IPv6 prefix lengths and ICMP', () => {
  const [src_addr, dst_addr] = ['2001:db8::1', '2001:db8::2']
  const fields = { src_addr, dst_addr, src_mask: 32, dst_mask: 48, icmp_type: 128, icmp_code: 1 }
  const [message] = encodeAll(setEncoder(10, OPTIONS), batchOf({ fields }))
  assert.deepEqual(message.subarray(16), join(
    set(2, template(260, [27, 16], [28, 16], [139, 2], [29, 1], [30, 1])),
    set(260, ip6(src_addr), ip6(dst_addr), u8(128, 1, 32, 48)),
  ))
})

test('a message is as full as its size allows, and goes on in the set it is in', () => {
  const many = batchOf(...Array.from({ length: 100 }, () => ({ fields: FLOW })))
  const messages = encodeAll(setEncoder(9, { ...OPTIONS, maxSize: 500 }), many)
  // 20 of header, 44 of template set, 4 of set header: 11 records of 37 bytes fit, then 12
  assert.deepEqual(messages.slice(0, 3).map((m) => [m.length, m[3]]), [[476, 12], [468, 12], [468, 12]])
  assert.equal(messages.reduce((sum, m) => sum + m[3], 0), 101)
  assert.deepEqual(messages.map((m) => new DataView(m.buffer).getUint32(12)), messages.map((_, i) => i))
})

test('padding that could be taken for a record is left away', () => {
  const tcp = { fields: { proto: 6 } }
  const [message] = encodeAll(setEncoder(10, OPTIONS), batchOf(tcp, tcp, tcp))
  assert.deepEqual(message.subarray(28), join(u16(260, 7), u8(6, 6, 6)))
})

test('templates are sent again after the time or the messages given', () => {
  const sets = (options: Partial<SetEncoderOptions>, ...seconds: number[]) => {
    const encoder = setEncoder(10, { ...OPTIONS, ...options })
    return seconds.map((after) => {
      const received = (EXPORTED + after) * 1e6
      const [message] = encodeAll(encoder, batchOf({ fields: { ...FLOW, received } }))
      return new DataView(message.buffer).getUint16(16)
    })
  }
  assert.deepEqual(sets({}, 0, 30, 59, 60, 90, 120), [2, 260, 260, 2, 260, 2])
  assert.deepEqual(sets({ templateMessages: 3 }, 0, 1, 2, 3, 4, 5, 6), [2, 260, 260, 2, 260, 260, 2])
  assert.deepEqual(sets({ templateMessages: 1 }, 0, 1, 2), [2, 2, 2])
})

test('text and octets of IPFIX have their length before them, in one byte or three', () => {
  for (const [name, form] of [['x'.repeat(254), 1], ['x'.repeat(255), 3]] as const) {
    const [message] = encodeAll(setEncoder(10, OPTIONS), batchOf({ fields: { user_name: name, proto: 6 } }))
    const record = join(u8(6), variable(Buffer.from(name), form))
    assert.deepEqual(message.subarray(16), join(
      set(2, template(260, [4, 1], [371, 65535])), set(260, record, new Uint8Array((4 - record.length % 4) % 4)),
    ))
  }
})

test('text of v9 has 64 bytes and is cut between characters, octets have the length they have', () => {
  const encoder = setEncoder(9, OPTIONS)
  const fields = { user_name: `${'x'.repeat(62)}äö`, in_acl: '0102030405060708090a0b0c' }
  const made = decodeAll(encodeAll(encoder, batchOf({ fields }, { fields: { ...fields, in_acl: '0a' } })))
  assert.deepEqual(pick(made, 'user_name', 'in_acl'), [
    { user_name: `${'x'.repeat(62)}ä`, in_acl: fields.in_acl }, { user_name: `${'x'.repeat(62)}ä`, in_acl: '0a' },
  ])
  assert.deepEqual(lossByField(encoder.loss), [{ name: 'user_name', leftOut: 0, narrowed: 2 }])
})

const EXTRAS = [
  { pen: 0, id: 36, hex: '003c' }, { pen: 9, id: 8232, hex: '01020304' }, { pen: 29305, id: 32, hex: '0301' },
  { pen: 9, id: 12235, hex: '616263', variable: true }, { pen: 35632, id: 57590, hex: 'ff' },
]

test('elements without a column go through IPFIX as they are', () => {
  const encoder = setEncoder(10, OPTIONS)
  const [row] = decodeAll(encodeAll(encoder, batchOf({ fields: { proto: 6 }, extras: EXTRAS.slice(0, 4) })))
  assert.deepEqual(row['extras'], ['0/36=003c', '9/8232=01020304', '29305/32=0301', '9/12235=616263'])
  assert.deepEqual(lossByField(encoder.loss), [])
})

test('v9 carries elements of IANA and Cisco of fixed length, and counts the others by name', () => {
  const encoder = setEncoder(9, OPTIONS)
  const [row] = decodeAll(encodeAll(encoder, batchOf({ fields: { proto: 6 }, extras: EXTRAS })))
  assert.deepEqual(row['extras'], ['0/36=003c', '0/41000=01020304'])
  assert.deepEqual(lossByField(encoder.loss), [
    { name: 'reverseIcmpTypeCodeIPv4', leftOut: 1, narrowed: 0 },
    { name: elementName(9, 12_235), leftOut: 1, narrowed: 0 },
    { name: elementName(35_632, 57_590), leftOut: 1, narrowed: 0 },
  ])
})

test("what v9 numbers above 32768 is Cisco's in IPFIX, but for what v9 alone has", () => {
  const extras = [{ pen: 0, id: 41_000, hex: '01020304' }, { pen: 0, id: 40_001, hex: '0a000001' }]
  const encoder = setEncoder(10, OPTIONS)
  const [row] = decodeAll(encodeAll(encoder, batchOf({ fields: { proto: 6 }, extras })))
  assert.deepEqual(row['extras'], ['9/8232=01020304'])
  assert.deepEqual(lossByField(encoder.loss), [{ name: 'xlateSrcAddrIPv4', leftOut: 1, narrowed: 0 }])
})

test('a record larger than a message is lost and counted, as is one with nothing in it', () => {
  const encoder = setEncoder(10, { ...OPTIONS, maxSize: 128 })
  const big = { pen: 0, id: 36, hex: '00'.repeat(109) }
  const made = encodeAll(encoder, batchOf(
    { fields: { user_name: 'x'.repeat(108) } }, { fields: { user_name: 'x'.repeat(107) } },
    { fields: { proto: 6 }, extras: [big] }, { fields: { tag: 5 } },
  ))
  assert.deepEqual(decodeAll(made).map((row) => row['user_name']), ['x'.repeat(107)])
  assert.deepEqual(encoder.loss.rows, { ipv6: 0, oversized: 2, empty: 1, unknown: 0 })
})

test("an EtherType that the addresses do not tell is in the record, the others' is not", () => {
  const timeless = { src_addr: '10.1.2.3', dst_addr: '198.51.100.7' }
  const encoder = setEncoder(10, OPTIONS)
  const arp = { etype: 0x806, src_mac: '02:00:00:00:00:01' }
  const rows = [{ ...timeless, etype: 0x800 }, { ...timeless, etype: 0x8847 }, arp]
  const messages = encodeAll(encoder, batchOf(...rows.map((fields) => ({ fields }))))
  assert.deepEqual(decodeAll(messages).map((row) => row['etype']), [0x800, 0x8847, 0x806])
  assert.deepEqual(messages[0].subarray(16, 64), join(
    set(2, template(260, [8, 4], [12, 4])), set(260, ip4('10.1.2.3'), ip4('198.51.100.7')),
    set(2, template(261, [8, 4], [12, 4], [256, 2])),
  ))
  assert.deepEqual(lossByField(encoder.loss), [])
})

test("the exporter's address stays with the records", () => {
  const made = encodeAll(setEncoder(10, OPTIONS), batchOf(
    { fields: { ...FLOW, exporter_addr: '192.0.2.55' } }, { fields: { ...FLOW, exporter_addr: '2001:db8::55' } },
  ))
  assert.deepEqual(pick(decodeAll(made), 'agent_addr'), [{ agent_addr: '192.0.2.55' }, { agent_addr: '2001:db8::55' }])
})

test('messages of rows that bring their clock keep it', () => {
  const fields = { ...FLOW, export_secs: EXPORTED + 100, export_nsecs: 500_000_000, sys_uptime: 5_000_500 }
  const [message] = encodeAll(setEncoder(9, OPTIONS), batchOf({ fields }))
  const view = new DataView(message.buffer)
  assert.deepEqual([view.getUint32(4), view.getUint32(8)], [5_000_000, EXPORTED + 100])
  assert.deepEqual(pick(decodeAll([message]), 'flow_start'), [{ flow_start: FLOW['flow_start'] }])
})

test('a size that no message can have is refused', () => {
  assert.throws(() => setEncoder(10, { ...OPTIONS, maxSize: 127 }), RangeError)
  assert.throws(() => setEncoder(9, { ...OPTIONS, maxSize: 65_536 }), RangeError)
})

const ASSUMED = { sampling_rate: 100, sampling_algorithm: 2, sampling_source: SAMPLING_SOURCE.options }

test('a sampling rate that flows have in common is told by options, as 34 and 35 and as 305 and 306', () => {
  const [message] = encodeAll(setEncoder(10, OPTIONS), batchOf({ fields: { ...FLOW, ...ASSUMED } }))
  assert.deepEqual(message.subarray(16, 16 + 80), join(
    set(3, u16(256, 3, 1, 149, 4, 34, 4, 35, 1), u16(0)), set(256, u32(7, 100), u8(2), new Uint8Array(3)),
    set(3, u16(257, 3, 1, 149, 4, 305, 4, 306, 4), u16(0)), set(257, u32(7, 1, 99)),
  ))
  const sampled = (row: Row) => pick([row], 'sampling_rate', 'sampling_source', 'sampling_algorithm')[0]
  assert.deepEqual(decodeAll([message]).map(sampled), [ASSUMED])
})

test('the options of v9 have the system for their scope', () => {
  const [message] = encodeAll(setEncoder(9, OPTIONS), batchOf({ fields: { ...FLOW, ...ASSUMED } }))
  assert.deepEqual(message.subarray(20, 20 + 40), join(
    set(1, u16(256, 4, 8, 1, 4, 34, 4, 35, 1), u16(0)), set(256, u32(0, 100), u8(2), new Uint8Array(3)),
  ))
  assert.equal(message[3], 6) // three templates, two options records, one flow
})

test('flows with another rate have it in their records; those without one say 1 there', () => {
  const scaled = { ...ASSUMED, sampling_applied: 1 }
  const { collector, rows } = sampledBy(ASSUMED, { ...ASSUMED, sampling_rate: 50 }, {}, scaled)
  const { options, record } = SAMPLING_SOURCE
  assert.deepEqual(rows, [[100, options], [50, record], [1, record], [1, record]])
  assert.equal(collector.domain(9, 7).sampling!.whole?.rate, 100)
})

test('records of variable length say it too', () => {
  const rows = [{ ...FLOW, ...ASSUMED }, { user_name: 'alice', bytes: 5 }]
  const made = decodeAll(encodeAll(setEncoder(10, OPTIONS), batchOf(...rows.map((fields) => ({ fields })))))
  assert.deepEqual(pick(made, 'sampling_rate', 'user_name', 'bytes'), [
    { sampling_rate: 100, bytes: 5000 }, { sampling_rate: 1, user_name: 'alice', bytes: 5 },
  ])
})

test('if the first flow has no rate, all rates are in records', () => {
  const { collector, rows } = sampledBy({}, ASSUMED)
  assert.deepEqual(rows, [[undefined, undefined], [100, SAMPLING_SOURCE.record]])
  assert.equal(collector.domain(9, 7).sampling?.whole, undefined)
})

test('a rate that came with its record goes with it', () => {
  const { record } = SAMPLING_SOURCE
  assert.deepEqual(sampledBy({ sampling_rate: 10, sampling_source: record }).rows, [[10, record]])
})

test('samplers are told by a table of options', () => {
  const second = { ...ASSUMED, sampler_id: 2 }
  const { collector, rows } = sampledBy(
    { ...ASSUMED, sampler_id: 1 }, { ...second, sampling_rate: 500 }, { ...second, sampling_rate: 7 },
  )
  const { options, record } = SAMPLING_SOURCE
  assert.deepEqual(rows, [[100, options], [500, options], [7, record]])
  const samplers = [[1, { rate: 100, algorithm: 2 }], [2, { rate: 500, algorithm: 2 }]]
  assert.deepEqual([...collector.domain(9, 7).sampling!.byId], samplers)
})

/** Rates and where they were learned, as a collector has them of v9 and of IPFIX alike. */
function sampledBy(...list: Row[]) {
  const batch = batchOf(...list.map((more) => ({ fields: { ...FLOW, ...more } })))
  const made = ([9, 10] as const).map((version) => {
    const collector = everything()
    const rows = decodeAll(encodeAll(setEncoder(version, OPTIONS), batch), collector)
    return { collector, rows: rows.map((row) => [row['sampling_rate'], row['sampling_source']]) }
  })
  assert.deepEqual(made[0].rows, made[1].rows)
  return made[0]
}

test('options tell how much was exported before, with the templates', () => {
  const encoder = setEncoder(10, { ...OPTIONS, templateMessages: 2, statistics: true })
  const batch = batchOf({ fields: FLOW }, { fields: FLOW })
  const [first, second, third] = [1, 2, 3].flatMap(() => encodeAll(encoder, batch))
  const said = (...counts: number[]) => join(
    set(3, u16(259, 4, 1, 149, 4, 41, 8, 42, 8, 40, 8), u16(0)), set(259, u32(7), u64(...counts)),
  )
  assert.deepEqual(first.subarray(16, 76), said(0, 0, 0))
  assert.deepEqual(third.subarray(16, 76), said(2, 4, first.length + second.length))
  // options are data records: RFC 7011 §3.1
  assert.deepEqual([first, second, third].map((m) => new DataView(m.buffer).getUint32(8)), [0, 3, 5])
})
