import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  ByteWriter, putCount, putHex, putIpv4, putMac, putSequence, putUint, putUint128, putUint32, putUint64, TimeWriter,
  utf8Sequence,
} from '../../../core/flow/byte-writer.ts'

/** The text that `put` writes at offset 3, checking that it leaves alone what lies before. */
function textOf(put: (view: DataView, at: number) => number): string {
  const bytes = new Uint8Array(100).fill(35)
  const end = put(new DataView(bytes.buffer), 3)
  assert.deepEqual([...bytes.subarray(0, 3)], [35, 35, 35])
  assert.deepEqual([...bytes.subarray(end + 4)], new Array(96 - end).fill(35), 'no more than the slack behind it')
  return Buffer.from(bytes.subarray(3, end)).toString()
}

const EDGES = [0, 1, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999, 1e5, 999_999, 1e6, 9_999_999, 1e7, 99_999_999, 1e8,
  1e8 + 1, 123_456_789, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 1e12 - 1, 1e12, 9e15 - 1, 9e15, 8_999_999_899_999_999,
  2 ** 53 - 1, 2 ** 53]

test('integers up to 2^53 are written as String() does', () => {
  for (const value of EDGES) {
    assert.equal(textOf((view, at) => putUint(value, view, at)), String(value))
    assert.equal(textOf((view, at) => putCount(Float64Array.of(7, value), 1, view, at)), String(value))
    if (value < 2 ** 32) assert.equal(textOf((view, at) => putUint32(Uint32Array.of(7, value), 1, view, at)), String(value))
  }
  fc.assert(fc.property(fc.maxSafeNat(), (value) => textOf((view, at) => putUint(value, view, at)) === String(value)), { seed: 1 })
})

test('multiples of 10^8 and their neighbours keep every digit', () => {
  for (let k = 1; k < 90_000_000; k += 123_457) {
    for (const value of [k * 1e8 - 1, k * 1e8, k * 1e8 + 1]) {
      assert.equal(textOf((view, at) => putUint(value, view, at)), String(value))
    }
  }
})

test('64-bit integers are exact', () => {
  for (const value of [0n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, 10n ** 16n, 2n ** 63n, 18446744073709551615n]) {
    const [low, high] = [Number(value & 0xffffffffn), Number(value >> 32n)]
    assert.equal(textOf((view, at) => putUint64(low, high, view, at)), value.toString())
  }
  const halves = fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff))
  fc.assert(fc.property(halves, ([low, high]) => {
    return textOf((view, at) => putUint64(low, high, view, at)) === (BigInt(high) << 32n | BigInt(low)).toString()
  }), { seed: 1 })
})

test('128-bit integers are exact', () => {
  function textOf128(value: bigint): string {
    const bytes = Buffer.from(`ff${value.toString(16).padStart(32, '0')}ff`, 'hex')
    return textOf((view, at) => putUint128(bytes, 1, view, at))
  }
  for (let power = 0n; power < 39n; power++) {
    for (const value of [10n ** power - 1n, 10n ** power]) assert.equal(textOf128(value), value.toString())
  }
  for (let bits = 0n; bits <= 128n; bits++) assert.equal(textOf128(2n ** bits - 1n), (2n ** bits - 1n).toString())
  fc.assert(fc.property(fc.bigInt(0n, 2n ** 128n - 1n), (value) => textOf128(value) === value.toString()), { seed: 1 })
})

test('addresses and bytes have their usual text', () => {
  for (const text of ['0.0.0.0', '9.10.99.100', '1.2.3.4', '255.255.255.255', '203.0.113.7']) {
    const [a, b, c, d] = text.split('.').map(Number)
    assert.equal(textOf((view, at) => putIpv4(((a * 256 + b) * 256 + c) * 256 + d, view, at)), text)
  }
  assert.equal(textOf((view, at) => putMac(0, view, at)), '00:00:00:00:00:00')
  assert.equal(textOf((view, at) => putMac(0xffffffffffff, view, at)), 'ff:ff:ff:ff:ff:ff')
  assert.equal(textOf((view, at) => putMac(0x0123456789ab, view, at)), '01:23:45:67:89:ab')
  assert.equal(textOf((view, at) => putHex(Uint8Array.of(1, 0, 0x7f, 0xa0, 0xff), 1, 5, view, at)), '007fa0ff')
})

test('ill-formed UTF-8 becomes U+FFFD as the WHATWG decoder has it', () => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const copy = (bytes: Uint8Array): string => {
    const out = new Uint8Array(bytes.length * 3)
    let end = 0
    for (let at = 0; at < bytes.length;) {
      const length = utf8Sequence(bytes, at, bytes.length)
      end = putSequence(bytes, at, length, out, end)
      at += Math.abs(length)
    }
    return Buffer.from(out.subarray(0, end)).toString()
  }
  // the table of Unicode §3.9, "U+FFFD for truncated sequences", and the edges of each length
  const listed = ['e180e2f09192f1bf41', 'c080e080bff0818210', 'eda080edbfbfedaf41', 'f4919293ff4180bf42', 'efbbbf', 'f48fbfbf',
    'ed9fbf', 'ee8080', 'c280', 'dfbf', 'e0a080', 'f0908080', 'c3', 'e282', 'f09f98', 'f09f9880']
  for (const hex of listed) {
    const bytes = Buffer.from(hex, 'hex')
    assert.equal(copy(bytes), decoder.decode(bytes), hex)
  }
  assert.equal(copy(Buffer.from('e180e2f09192f1bf41', 'hex')), '\ufffd\ufffd\ufffd\ufffdA')
  const bytes = fc.array(fc.oneof(fc.constantFrom(0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff), fc.nat(255)))
  fc.assert(fc.property(bytes, (values) => copy(Uint8Array.from(values)) === decoder.decode(Uint8Array.from(values))), { seed: 1 })
})

test('the buffer keeps what was written when it grows', () => {
  const writer = new ByteWriter(8)
  let end = writer.text('Zürich', 0)
  end = writer.text(' – '.repeat(20), end)
  assert.equal(Buffer.from(writer.take(end)).toString(), `Zürich${' – '.repeat(20)}`)
  writer.room(end, 1000)
  assert.ok(writer.bytes.length >= end + 1000)
  assert.equal(writer.view.buffer, writer.bytes.buffer)
})

function timeText(writer: TimeWriter, micros: number, digits: -1 | 0 | 3 | 6 | 9, nanos = 0): string {
  return textOf((view, at) => writer.put(Float64Array.of(0, micros), 1, nanos, digits, view, at))
}

test('times are written as toISOString does, with the digits asked for', () => {
  const writer = new TimeWriter('T')
  assert.equal(timeText(writer, 1763700000_123_456, 9, 789), '2025-11-21T04:40:00.123456789')
  assert.equal(timeText(writer, 1763700000_123_456, 6, 789), '2025-11-21T04:40:00.123456')
  assert.equal(timeText(writer, 1763700000_123_456, 3), '2025-11-21T04:40:00.123')
  assert.equal(timeText(writer, 1763700000_123_456, 0), '2025-11-21T04:40:00')
  assert.equal(timeText(writer, 1763700000_000_000, -1), '2025-11-21T04:40:00.000')
  assert.equal(timeText(writer, 1763700000_000_001, -1), '2025-11-21T04:40:00.000001')
  assert.equal(timeText(writer, 1763700000_000_000, -1, 5), '2025-11-21T04:40:00.000000005')
  assert.equal(timeText(writer, -1, -1), '1969-12-31T23:59:59.999999')
  const seconds = fc.integer({ min: -62_167_219_200, max: 253_402_300_799 })
  fc.assert(fc.property(seconds, (second) => {
    assert.equal(timeText(writer, second * 1e6, 3), new Date(second * 1000).toISOString().slice(0, -1))
  }), { seed: 1 })
})

test('times that RFC 3339 has no text for come out as the first or last it has', () => {
  const writer = new TimeWriter('T')
  assert.equal(timeText(writer, 2 ** 64, 3), '9999-12-31T23:59:59.000')
  assert.equal(timeText(writer, Infinity, 3), '9999-12-31T23:59:59.000')
  assert.equal(timeText(writer, -(2 ** 64), 3), '0000-01-01T00:00:00.000')
  assert.equal(timeText(writer, Number.NaN, 3), '0000-01-01T00:00:00.000')
  process.env.TZ = 'Asia/Tokyo'
  assert.equal(timeText(new TimeWriter(' ', true), 2 ** 64, 0), '9999-12-31 23:59:59')
  process.env.TZ = 'America/New_York'
  assert.equal(timeText(new TimeWriter(' ', true), -(2 ** 64), 0), '0000-01-01 00:00:00')
})

test('local times follow the zone of the machine through its changes of clock', () => {
  process.env.TZ = 'America/New_York'
  const local = new TimeWriter(' ', true)
  const text = (iso: string) => timeText(local, Date.parse(iso) * 1000, 3)
  assert.equal(text('2026-03-08T06:59:59.999Z'), '2026-03-08 01:59:59.999')
  assert.equal(text('2026-03-08T07:00:00Z'), '2026-03-08 03:00:00.000')
  assert.equal(text('2026-11-01T05:30:00Z'), '2026-11-01 01:30:00.000')
  assert.equal(text('2026-11-01T06:30:00Z'), '2026-11-01 01:30:00.000')
  for (const [zone, iso, expected] of [
    ['Asia/Kolkata', '2026-11-20T18:29:59.5Z', '2026-11-20 23:59:59.500'],
    ['Asia/Kolkata', '2026-11-20T18:30:00Z', '2026-11-21 00:00:00.000'],
    ['Asia/Kathmandu', '2026-11-21T00:00:00Z', '2026-11-21 05:45:00.000'],
    ['Australia/Lord_Howe', '2026-10-03T15:29:59Z', '2026-10-04 01:59:59.000'], // +10:30, then +11
    ['Australia/Lord_Howe', '2026-10-03T15:30:00Z', '2026-10-04 02:30:00.000'],
    ['UTC', '2026-11-21T00:00:00Z', '2026-11-21 00:00:00.000'],
  ]) {
    process.env.TZ = zone
    assert.equal(timeText(new TimeWriter(' ', true), Date.parse(iso) * 1000, 3), expected, zone)
  }
})
