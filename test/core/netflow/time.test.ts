import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  collector, EXPORTED, ip4, ipfix, join, micros, options10, pick, rows, set, template, u16, u32, u64, uint,
  v9, variable, type Row, type TemplateField,
} from './messages.ts'

const WRAP = 2 ** 32
const NTP_EPOCH = 2_208_988_800 // seconds from 1900 to 1970 (RFC 5905)
const START = '2026-11-20T08:59:30'

/** The times of a v5 datagram exported at 09:00:00.5, from uptimes. */
function v5Times(uptime: number, first: number, last: number): [number, number] {
  const record = new Uint8Array(48)
  record.set(u32(first, last), 24)
  const header = join(u16(5, 1), u32(uptime >>> 0, EXPORTED, 500_000_000), new Uint8Array(8))
  const [row] = collector().send(join(header, record))
  return [Number(row['flow_start']), Number(row['flow_end'])]
}

/** The one row of an IPFIX message with these fields and values. */
function ipfixRow(...fields: (readonly [TemplateField, Uint8Array])[]): Row {
  const message = ipfix({}, set(2, template(256, ...fields.map(([field]) => field))),
    set(256, ...fields.map(([, value]) => value)))
  const [row] = collector({ extras: true }).send(message)
  return row
}

function ntp(seconds: number, fraction: number): Uint8Array {
  return u32(seconds >= 0 ? (seconds + NTP_EPOCH) % WRAP : 0, fraction)
}

test('uptimes count back from the export time, nanoseconds included', () => {
  assert.deepEqual(v5Times(660_000, 600_000, 659_999), [
    micros('2026-11-20T08:59:00.500Z'), micros('2026-11-20T09:00:00.499Z'),
  ])
})

test('a flow that began before the uptime wrapped began before the export', () => {
  assert.deepEqual(v5Times(5_000, WRAP - 1_000, 1_000), [
    micros('2026-11-20T08:59:54.500Z'), micros('2026-11-20T08:59:56.500Z'),
  ])
})

test('an uptime that wraps between the header and the record is a little ahead, not 49.7 days', () => {
  assert.deepEqual(v5Times(WRAP - 1_000, WRAP - 3_000, 500), [
    micros('2026-11-20T08:59:58.500Z'), micros('2026-11-20T09:00:02.000Z'),
  ])
})

test('an uptime smaller than that of the flow gives a time after the export', () => {
  assert.deepEqual(v5Times(10_000, 9_500, 10_750), [
    micros('2026-11-20T09:00:00.000Z'), micros('2026-11-20T09:00:01.250Z'),
  ])
  assert.deepEqual(v5Times(0, 0, 1), [micros('2026-11-20T09:00:00.500Z'), micros('2026-11-20T09:00:00.501Z')])
})

test('NetFlow v9 tells uptimes by LAST_SWITCHED (21) and FIRST_SWITCHED (22), across the wrap too', () => {
  const layout = set(0, template(256, [22, 4], [21, 4]))
  assert.deepEqual(pick(collector().send(v9({ uptime: 600_000 }, layout, set(256, u32(540_000, 599_000)))),
    'flow_start', 'flow_end'), [{ flow_start: micros('2026-11-20T08:59:00Z'),
      flow_end: micros('2026-11-20T08:59:59Z') }])
  assert.deepEqual(pick(collector().send(v9({ uptime: 1_000 }, layout, set(256, u32(WRAP - 2_000, 0)))),
    'flow_start', 'flow_end'), [{ flow_start: micros('2026-11-20T08:59:57Z'),
      flow_end: micros('2026-11-20T08:59:59Z') }])
})

test('IPFIX without a known uptime leaves times absent, and keeps the uptimes as extras', () => {
  const row = ipfixRow([[22, 4], u32(540_000)], [[21, 4], u32(599_000)], [[1, 4], u32(77)])
  assert.deepEqual([row['flow_start'], row['flow_end'], row['bytes']], [undefined, undefined, 77])
  assert.deepEqual(row['extras'], ['0/22=00083d60', '0/21=000923d8'])
})

test('systemInitTimeMilliseconds (160) in the record makes times of uptimes', () => {
  const boot = EXPORTED * 1000 - 700_000
  const row = ipfixRow([[160, 8], u64(boot)], [[22, 4], u32(690_000)], [[21, 4], u32(699_123)])
  assert.deepEqual([row['flow_start'], row['flow_end']], [
    micros('2026-11-20T08:59:50Z'), micros('2026-11-20T08:59:59.123Z'),
  ])
})

test('an exporter that booted 100 days ago has wrapped uptimes twice, and its times are right', () => {
  const boot = EXPORTED * 1000 - 100 * 86_400_000
  const uptime = 100 * 86_400_000 - 2 * WRAP
  const row = ipfixRow([[160, 8], u64(boot)], [[22, 4], u32(uptime - 4_000)], [[21, 4], u32(uptime - 1)])
  assert.deepEqual([row['flow_start'], row['flow_end']], [
    micros('2026-11-20T08:59:56Z'), micros('2026-11-20T08:59:59.999Z'),
  ])
})

test('systemInitTimeMilliseconds in an options record holds for the domain, from then on', () => {
  const boot = EXPORTED * 1000 - 700_000
  const data = set(256, u32(690_000, 699_123))
  const { send } = collector()
  const names = ['flow_start', 'flow_end']
  assert.deepEqual(pick(send(ipfix({ domain: 1 }, set(2, template(256, [22, 4], [21, 4])), data)), ...names),
    [{}])
  send(ipfix({ domain: 1 }, set(3, options10(300, [[149, 4]], [[160, 8]])), set(300, u32(1), u64(boot))))
  assert.deepEqual(pick(send(ipfix({ domain: 1 }, data)), ...names), [{
    flow_start: micros('2026-11-20T08:59:50Z'), flow_end: micros('2026-11-20T08:59:59.123Z'),
  }])
  assert.deepEqual(pick(send(ipfix({ domain: 2 }, set(2, template(256, [22, 4], [21, 4])), data)), ...names),
    [{}])
})

test('systemInitTimeMilliseconds in options works with variable-length fields in the record', () => {
  const { send } = collector()
  send(ipfix({}, set(3, options10(300, [[149, 4]], [[160, 8]])),
    set(300, u32(0), u64(EXPORTED * 1000 - 700_000))))
  const sent = send(ipfix({}, set(2, template(256, [371, 65535], [22, 4])),
    set(256, variable(u16(0x6162)), u32(690_000))))
  assert.deepEqual(pick(sent, 'user_name', 'flow_start'),
    [{ user_name: 'ab', flow_start: micros('2026-11-20T08:59:50Z') }])
})

const seconds = EXPORTED - 30
const half = 2 ** 31 // of a second, in NTP
// element of the start, that of the end, the value, what it means and the digits of a second it has
const ABSOLUTE = [
  ['seconds', 150, 151, u32(seconds), `${START}Z`, 0],
  ['milliseconds', 152, 153, u64(seconds * 1000 + 123), `${START}.123Z`, 3],
  ['microseconds', 154, 155, ntp(seconds, half), `${START}.500Z`, 6],
  ['nanoseconds', 156, 157, ntp(seconds, half), `${START}.500Z`, 9],
  ['microseconds before export', 158, 159, u32(29_999_999), `${START}.000001Z`, 6],
] as const

for (const [unit, first, last, value, time, digits] of ABSOLUTE) {
  test(`flow times in ${unit} (${first}, ${last}) are exact, with ${digits} digits`, () => {
    const { send, batch } = collector()
    const layout = template(256, [first, value.length], [last, value.length])
    const sent = send(ipfix({}, set(2, layout), set(256, value, value)))
    assert.deepEqual(pick(sent, 'flow_start', 'flow_end'), [
      { flow_start: micros(time), flow_end: micros(time) },
    ])
    assert.equal(batch.shapes[batch.shape[0]].timeDigits, digits)
  })
}

test('NTP fractions come out as the microseconds and nanoseconds they were made from', () => {
  for (const part of [1, 123_456, 499_999, 500_001, 999_999]) {
    // as exporters make them: cut off, and without the 11 bits that RFC 7011 §6.1.9 says to ignore
    const fraction = Number((BigInt(part) << 32n) / 1_000_000n)
    for (const sent of [fraction, (fraction & ~2047) >>> 0]) {
      const row = ipfixRow([[154, 8], ntp(seconds, sent)])
      assert.equal(row['flow_start'], seconds * 1e6 + part)
    }
  }
  for (const nanos of [1, 999, 123_456_789, 999_999_999]) {
    const fraction = Number((BigInt(nanos) << 32n) / 1_000_000_000n)
    const row = ipfixRow([[156, 8], ntp(seconds, fraction)], [[157, 8], ntp(seconds, fraction)])
    const whole = Math.floor(nanos / 1000)
    assert.deepEqual([row['flow_start'], row['flow_start_ns'], row['flow_end'], row['flow_end_ns']],
      [seconds * 1e6 + whole, nanos % 1000, seconds * 1e6 + whole, nanos % 1000])
  }
})

test('an NTP fraction never rounds up into the next second', () => {
  assert.equal(ipfixRow([[154, 8], ntp(seconds, WRAP - 1)])['flow_start'], seconds * 1e6 + 999_999)
  const row = ipfixRow([[156, 8], ntp(seconds, WRAP - 1)])
  assert.deepEqual([row['flow_start'], row['flow_start_ns']], [seconds * 1e6 + 999_999, 999])
})

test('NTP seconds of the era that begins in 2036 are after those of this one', () => {
  assert.equal(ipfixRow([[154, 8], u32(0, half)])['flow_start'], micros('2036-02-07T06:28:16.500Z'))
  assert.equal(ipfixRow([[154, 8], u32(WRAP - 1, 0)])['flow_start'], micros('2036-02-07T06:28:15Z'))
})

test('a duration (161 in ms, 162 in µs) gives the time that is missing', () => {
  const start = u64(seconds * 1000)
  const [from, to] = [seconds * 1e6, (seconds + 25) * 1e6]
  for (const [duration, value] of [[161, 25_000], [162, 25_000_000]] as const) {
    const ahead = ipfixRow([[152, 8], start], [[duration, 4], u32(value)])
    assert.deepEqual([ahead['flow_start'], ahead['flow_end']], [from, to], `${duration}`)
    const back = ipfixRow([[duration, 4], u32(value)], [[153, 8], u64((seconds + 25) * 1000)])
    assert.deepEqual([back['flow_start'], back['flow_end']], [from, to], `${duration}`)
  }
  const both = ipfixRow([[152, 8], start], [[153, 8], start], [[161, 4], u32(25_000)])
  assert.deepEqual([both['flow_end'], both['extras']], [from, ['0/161=000061a8']])
})

test('event times: seconds (322), milliseconds (323), microseconds (324), nanoseconds (325)', () => {
  const values = [[322, u32(seconds)], [323, u64(seconds * 1000)], [324, ntp(seconds, 0)],
    [325, ntp(seconds, 0)]] as const
  for (const [id, value] of values) {
    const row = ipfixRow([[id, value.length], value])
    assert.deepEqual([row['event_time'], row['flow_start']], [seconds * 1e6, undefined], `${id}`)
  }
})

test('collectionTimeMilliseconds (258) is the time of receipt, in place of this collector’s', () => {
  assert.equal(ipfixRow([[258, 8], u64(seconds * 1000)])['received'], seconds * 1e6)
})

test('of several times milliseconds count before uptimes and seconds, wherever they stand', () => {
  const boot: readonly [TemplateField, Uint8Array] = [[160, 8], u64(0)]
  const row = ipfixRow([[150, 4], u32(1)], boot, [[22, 4], u32(2)], [[152, 8], u64(seconds * 1000)])
  assert.equal(row['flow_start'], seconds * 1e6)
  assert.deepEqual(row['extras'], ['0/150=00000001', '0/160=0000000000000000', '0/22=00000002'])
})

test('times of reduced size or beyond 2^53 µs are numbers all the same', () => {
  assert.equal(ipfixRow([[152, 6], uint(seconds * 1000, 6)])['flow_start'], seconds * 1e6)
  assert.equal(ipfixRow([[150, 8], u64(seconds)])['flow_start'], seconds * 1e6)
  assert.equal(ipfixRow([[152, 8], u64(2n ** 64n - 1n)])['flow_start'], 2 ** 53)
  assert.equal(ipfixRow([[152, 8], u64(0)])['flow_start'], 0)
})

test('uptimes, NTP times and deltas of another size than theirs are no times', () => {
  for (const [id, length] of [[154, 4], [156, 7], [158, 8], [155, 16]] as const) {
    const row = ipfixRow([[id, length], new Uint8Array(length)], [[8, 4], ip4('10.0.0.1')])
    assert.deepEqual([row['flow_start'], row['flow_end'], row['src_addr']],
      [undefined, undefined, '10.0.0.1'])
    assert.deepEqual(row['extras'], [`0/${id}=${'00'.repeat(length)}`])
  }
})

test('the exporter’s clock goes with the rows if it is asked for, as far as the version has one', () => {
  const fields = new Uint8Array(1000).fill(1)
  const clock = ['export_secs', 'export_nsecs', 'sys_uptime']
  const nine = collector({ fields, extras: false })
  nine.send(v9({ uptime: 4711 }, set(0, template(256, [1, 4])), set(256, u32(1))))
  assert.deepEqual(pick(rows(nine.batch), ...clock), [{ export_secs: EXPORTED, sys_uptime: 4711 }])
  const ten = collector({ fields, extras: false })
  ten.send(ipfix({}, set(2, template(256, [1, 4])), set(256, u32(1))))
  assert.deepEqual(pick(rows(ten.batch), ...clock), [{ export_secs: EXPORTED }])
})
