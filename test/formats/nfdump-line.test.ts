import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ID } from '../../core/flow/fields.ts'
import { formatTime } from '../../core/flow/time.ts'
import { line } from '../../formats/nfdump-text.ts'
import { batches, batchOf, bytesOf, textOf, type Flow } from './flows.ts'

process.env.TZ = 'UTC'

const HEADER = 'Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows\n'
const NO_TIME = '0000-00-00 00:00:00.000     00:00:00.000 '

function micros(time: string): number {
  return Date.parse(time) * 1000
}

/** The line of one flow. */
function lineOf(flow: Flow, ipv6Full = false): string {
  return textOf(line, [flow], { quiet: true, ipv6Full })
}

test("header, flow and summary are nfdump 1.7.8's", () => {
  const flow: Flow = {
    flow_start: micros('2019-07-11T10:30:11.274Z'), flow_end: micros('2019-07-11T10:30:13.245Z'), proto: 17,
    src_addr: '192.168.170.101', dst_addr: '172.16.2.66', src_port: 33333, dst_port: 5353, packets: 55, bytes: 34_100_000,
  }
  const text = textOf(line, [flow])
  assert.equal(text.slice(0, text.indexOf('Summary')), HEADER
    + '2019-07-11 10:30:11.274     00:00:01.971 UDP    192.168.170.101:33333 ->      172.16.2.66:5353        55   34.1 M     1\n')
  const extended: Flow = {
    flow_start: micros('2019-07-11T10:30:54.517Z'), flow_end: micros('2019-07-11T10:30:56.288Z'), proto: 6,
    src_addr: '72.138.170.101', dst_addr: '42.16.32.6', src_port: 22222, dst_port: 80, packets: 210, bytes: 4_467_855,
    flows: 7, tcp_flags: 18,
  }
  assert.equal(lineOf(extended),
    '2019-07-11 10:30:54.517     00:00:01.771 TCP     72.138.170.101:22222 ->       42.16.32.6:80         210    4.5 M     7\n')
})

test('the summary adds up all batches, IN and OUT, as nfdump does', () => {
  const first = batchOf([{
    flow_start: micros('2019-07-11T10:30:00.235Z'), flow_end: micros('2019-07-11T10:30:01Z'), bytes: 172476 * 5000,
    packets: 5000, flows: 100,
  }])
  const second = batchOf([
    { flow_start: micros('2019-07-11T10:30:02Z'), flow_end: micros('2019-07-11T10:30:56.288Z'), out_bytes: 172476 * 768, out_packets: 768 },
    ...Array.from({ length: 28 }, (): Flow => ({ proto: 6 })),
  ])
  const text = bytesOf(line, [first, second]).toString()
  assert.equal(text.slice(text.indexOf('Summary'), text.indexOf('Total records')),
    'Summary: total flows: 129, total bytes: 994.8 M, total packets: 5768, avg bps: 142.0 M, avg pps: 102, avg bpp: 172476\n'
    + 'Time window: 2019-07-11 10:30:00.235 - 2019-07-11 10:30:56.288, Duration:    00:00:56.053\n')
})

test('no flows are said to be none', () => {
  const text = bytesOf(line, []).toString()
  assert.equal(text.slice(0, text.indexOf('Total records')), `${HEADER}No matching flows\n`
    + 'Summary: total flows: 0, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0\nTime window: <unknown>\n')
  assert.equal(bytesOf(line, [batchOf([])], { quiet: true }).toString(), 'No matching flows\n')
})

test('what is absent is 0, as it is to nfdump', () => {
  assert.equal(lineOf({}), `${NO_TIME}0              0.0.0.0:0     ->          0.0.0.0:0            0        0     1\n`)
  assert.equal(lineOf({ flow_end: 5e6, bytes: 0, flows: 12 }),
    `${NO_TIME}0              0.0.0.0:0     ->          0.0.0.0:0            0        0    12\n`)
})

test('long IPv6 addresses are condensed to their ends, or whole with 39 places', () => {
  const flow = { proto: 6, src_addr: 'fe80::200:12ff:fe34:1234', dst_addr: '2001:db8::1', src_port: 1, dst_port: 65535 }
  assert.equal(lineOf(flow), `${NO_TIME}TCP   fe80::2..34:1234.1     ->      2001:db8::1.65535        0        0     1\n`)
  assert.equal(lineOf(flow, true),
    `${NO_TIME}TCP                  fe80::200:12ff:fe34:1234.1     ->                             2001:db8::1.65535        0        0     1\n`)
  const [header] = textOf(line, [], { ipv6Full: true }).split('\n')
  assert.equal(header, 'Date first seen         Duration         Proto                             Src IP Addr:Port          '
    + '                       Dst IP Addr:Port   Packets    Bytes Flows')
  const sixteen = { ...flow, src_addr: '2001:db8:1::1234', dst_addr: '2001:db8:12::1234' }
  assert.equal(lineOf(sixteen).slice(41, 96), 'TCP   2001:db8:1::1234.1     -> 2001:db..2::1234.65535 ')
  // glibc's inet_ntop writes IPv4-compatible addresses in dotted decimal, but not ::1 and ::
  const compatible = { ...flow, src_addr: '::102:304', dst_addr: '::1' }
  assert.equal(lineOf(compatible).slice(41, 96), 'TCP          ::1.2.3.4.1     ->              ::1.65535 ')
})

test('ICMP has type and code for a port, from their fields or from the port of NetFlow v5', () => {
  const addresses = { src_addr: '192.0.2.1', dst_addr: '192.0.2.2' }
  const port = (flow: Flow) => lineOf({ ...addresses, ...flow }).split('->')[1].trimStart().split(' ')[0]
  assert.equal(port({ proto: 1, icmp_type: 8, icmp_code: 0 }), '192.0.2.2:8.0')
  assert.equal(port({ proto: 58, icmp_type: 135, icmp_code: 255, dst_port: 7 }), '192.0.2.2:135.255')
  assert.equal(port({ proto: 1, dst_port: 0x0301 }), '192.0.2.2:3.1')
  assert.equal(port({ proto: 1 }), '192.0.2.2:0.0')
  assert.equal(port({ proto: 6, icmp_type: 8, dst_port: 80 }), '192.0.2.2:80')
})

test('durations count whole milliseconds, with days before them', () => {
  const start = micros('2026-01-01T00:00:00Z')
  const duration = (start: number, end: number) => lineOf({ flow_start: start, flow_end: end }).slice(23, 41)
  assert.equal(duration(start, start + 999), '     00:00:00.000 ')
  assert.equal(duration(start + 999, start + 1000), '     00:00:00.001 ')
  assert.equal(duration(start, start + 86_399_999_000), '     23:59:59.999 ')
  assert.equal(duration(start, start + 86_400_000_000), '  1d 00:00:00.000 ')
  assert.equal(duration(start, start + 49.5 * 86_400_000_000), ' 49d 12:00:00.000 ')
  assert.equal(duration(start + 5_000_000, start), '     00:00:00.000 ', 'a flow that ends before it starts')
})

test('protocols have the names of nfdump, from 138 on numbers', () => {
  const name = (proto: number) => lineOf({ proto }).slice(41, 47)
  assert.deepEqual([0, 1, 6, 17, 29, 47, 58, 99, 108, 132, 137, 138, 255].map(name),
    ['0     ', 'ICMP  ', 'TCP   ', 'UDP   ', 'ISO-4 ', 'GRE   ', 'ICMP6 ', '99    ', 'IPcmp ', 'SCTP  ', 'MPLS  ', '138   ', '255   '])
})

test("numbers are scaled from a million on, and rounded as C's printf rounds", () => {
  const bytes = (value: number) => lineOf({ bytes: value }).slice(-16, -7)
  const wanted = new Map([
    [0, '        0'], [999_999, '   999999'], [1_000_000, '    1.0 M'], [1_049_999, '    1.0 M'], [1_050_000, '    1.1 M'],
    [1_150_000, '    1.1 M'], [2_250_000, '    2.2 M'], [2_350_000, '    2.4 M'], [2_750_000, '    2.8 M'],
    [999_950_000, ' 1000.0 M'], [999_949_999, '  999.9 M'], [1_250_000_000, '    1.2 G'], [34_567_890_123, '   34.6 G'],
    [1e12, '    1.0 T'], [2 ** 53, ' 9007.2 T'],
  ])
  for (const [value, text] of wanted) assert.equal(bytes(value), text, String(value))
  fc.assert(fc.property(fc.integer({ min: 1e6, max: 2 ** 53 - 1 }), (value) => {
    const [unit, letter] = value >= 1e12 ? [1e12, 'T'] : value >= 1e9 ? [1e9, 'G'] : [1e6, 'M']
    const quotient = value / unit
    fc.pre(!Number.isInteger(quotient * 4) || Number.isInteger(quotient * 2)) // a tie, where toFixed differs
    assert.equal(bytes(value).trim(), `${quotient.toFixed(1)} ${letter}`)
  }), { seed: 1 })
})

test('times are in the local zone unless UTC is asked for', () => {
  const flow = { flow_start: micros('2026-07-01T00:00:00.5Z'), flow_end: micros('2026-07-01T00:00:01Z') }
  process.env.TZ = 'America/New_York'
  assert.equal(lineOf(flow).slice(0, 23), '2026-06-30 20:00:00.500')
  assert.ok(textOf(line, [flow]).includes('Time window: 2026-06-30 20:00:00.500 - 2026-06-30 20:00:01.000, '))
  assert.equal(textOf(line, [flow], { utc: true, quiet: true }).slice(0, 23), '2026-07-01 00:00:00.500')
  process.env.TZ = 'UTC'
})

test('every flow of random batches is a line, its numbers and times in their places', () => {
  fc.assert(fc.property(batches, (batch) => {
    const lines = bytesOf(line, [batch], { quiet: true, ipv6Full: true }).toString().split('\n').slice(0, -1)
    if (batch.length === 0) return assert.deepEqual(lines, ['No matching flows'])
    for (let row = 0, at = 0; row < batch.length; row++, at++) {
      const { mask } = batch.shapes[batch.shape[row]]
      if (mask[ID.tunSrcAddr] && batch.tunSrcAddr.family[row] !== 0) at++ // the tunnel comes first
      const text = lines[at]
      const start = mask[ID.flowStart] ? batch.flowStart[row] : mask[ID.eventTime] ? batch.eventTime[row] : 0
      const shown = Math.floor(start / 1000) === 0 ? '0000-00-00 00:00:00.000' : formatTime(start, 0, 3).replace('T', ' ').slice(0, 23)
      assert.equal(text.slice(0, 23), shown)
      assert.match(text.slice(23), /^ ( *\d*d|   ) \d\d:\d\d:\d\d\.\d{3} \S+ +[0-9a-f.:]+[.:]\d+ +-> +[0-9a-f.:]+[.:][\d.]+ +[\d.]+( [MGT])? +[\d.]+( [MGT])? +\d+$/)
    }
  }), { seed: 1, numRuns: 100 })
})
