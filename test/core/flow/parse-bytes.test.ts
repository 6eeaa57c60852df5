import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatIpv6, ipv6Storage, parseIpv4, parseIpv6, parseMac, type AddressColumn,
} from '../../../core/flow/address.ts'
import {
  parsed, parsedLong, parsedTime, readAddress, readDigits, readLong, readMac, readTime,
} from '../../../core/flow/parse-bytes.ts'
import { parseTimeValue, type ParsedTime } from '../../../core/flow/parse-time.ts'

/** Text in the middle of others. */
function bytesOf(text: string): Uint8Array {
  return Buffer.from(`12${text}"9`)
}

/** What a function reads of a text; undefined if that is not all of it. */
function readAll<T>(
  text: string, read: (bytes: Uint8Array, at: number, end: number) => number, value: () => T,
): T | undefined {
  const bytes = bytesOf(text)
  return read(bytes, 2, bytes.length) === bytes.length - 2 ? value() : undefined
}

function addressOf(text: string): string | number | undefined {
  const column: AddressColumn = { family: new Uint8Array(2), v4: new Uint32Array(2), v6: new Uint8Array(0) }
  return readAll(text, (bytes, at, end) => readAddress(bytes, at, end, column, 1), () => {
    return column.family[1] === 4 ? column.v4[1] : formatIpv6(column.v6, 16)
  })
}

/** As `addressOf`, by the functions for text. */
function plainAddress(text: string): string | number | undefined {
  if (parseIpv4(text) >= 0) return parseIpv4(text)
  const column: AddressColumn = { family: new Uint8Array(1), v4: new Uint32Array(1), v6: new Uint8Array(0) }
  return parseIpv6(text, ipv6Storage(column), 0) ? formatIpv6(column.v6, 0) : undefined
}

function timeOf(text: string): ParsedTime | undefined {
  return readAll(text, readTime, () => ({ micros: parsed[0], ...parsedTime }))
}

function plainTime(text: string): ParsedTime | undefined {
  const time: ParsedTime = { micros: 0, nanos: 0, digits: -1 }
  return parseTimeValue(text, time) ? time : undefined
}

test('addresses of RFC 4291 §2.2 and RFC 5952 §1', () => {
  assert.equal(addressOf('192.0.2.1'), 0xc0000201)
  assert.equal(addressOf('255.255.255.255'), 0xffffffff)
  assert.equal(addressOf('0.0.0.0'), 0)
  for (const [text, wanted] of [
    ['ABCD:EF01:2345:6789:ABCD:EF01:2345:6789', 'abcd:ef01:2345:6789:abcd:ef01:2345:6789'],
    ['2001:DB8:0:0:8:800:200C:417A', '2001:db8::8:800:200c:417a'],
    ['FF01::101', 'ff01::101'], ['::1', '::1'], ['::', '::'], ['1::', '1::'],
    ['::13.1.68.3', '::d01:4403'], ['::FFFF:129.144.52.38', '::ffff:129.144.52.38'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['1:2:3:4:5:6:10.0.0.1', '1:2:3:4:5:6:a00:1'],
  ]) assert.equal(addressOf(text), wanted)
})

test('what is no address is none', () => {
  for (const text of [
    '', '1', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1..2.3', '1.2.3.4.', ':', ':::', '1:2', '1::2::3', '12345::',
    '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '::1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:1.2.3.4', '::1.2.3', '::01.2.3.4', ':1::',
    'fe80::1%eth0', '1.2.3.4::', 'g::', '1:',
  ]) assert.equal(addressOf(text), undefined, text)
})

test('of any text, addresses are those that text has', () => {
  const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0123456789abF:::..'), maxLength: 24 }))
  fc.assert(fc.property(texts, (text) => assert.equal(addressOf(text), plainAddress(text))), { seed: 1, numRuns: 5000 })
})

test('times of RFC 3339 §5.8, in UTC, and numbers by their size', () => {
  const time = (micros: number, nanos: number, digits: number) => ({ micros, nanos, digits })
  assert.deepEqual(timeOf('1985-04-12T23:20:50.52Z'), time(482196050_520000, 0, 3))
  assert.deepEqual(timeOf('1985-04-12 23:20:50'), time(482196050_000000, 0, 0))
  assert.deepEqual(timeOf('2024-02-29T00:00:00.123456789Z'), time(1709164800_123456, 789, 9))
  assert.deepEqual(timeOf('2024-02-29T23:59:59,1234567'), time(1709251199_123456, 700, 9))
  assert.deepEqual(timeOf('0'), time(0, 0, 0))
  assert.deepEqual(timeOf('1700000000'), time(1700000000_000000, 0, 0))
  assert.deepEqual(timeOf('1700000000123'), time(1700000000_123000, 0, 3))
  assert.deepEqual(timeOf('1700000000123456'), time(1700000000_123456, 0, 6))
  assert.deepEqual(timeOf('1700000000123456789'), time(1700000000_123456, 789, 9))
})

test('times written in another way, and what is none, are for others', () => {
  for (const text of [
    '', '1985-04-12T23:20:50.52+01:00', '1985-04-12t23:20:50z', '1985-13-12T23:20:50Z', '1985-00-12T23:20:50Z', '1985-04-31T24:00:00Z',
    '1985-04-12T23:60:50Z', '1985-04-12T23:20:60Z', '1985-04-12T23:20:50.Z', '1985-04-12T23:20:50.1234567890Z', '1969-12-31T23:59:59Z',
    '0000-00-00T00:00:00Z', '1985-04-12T23:20', '1985-04-12', '-1', '1.5', '17000000001234567890',
  ]) assert.equal(timeOf(text), undefined, text)
})

test('of any text, times are those that text has', () => {
  const two = (max: number) => fc.nat({ max }).map((value) => String(value).padStart(2, '0'))
  const dates = fc.tuple(fc.integer({ min: 1965, max: 2060 }), two(13), two(32), fc.constantFrom('T', ' ', 't', 'x'), two(25), two(61),
    two(61), fc.constantFrom('', '.', ','), fc.bigInt({ min: 0n, max: 10n ** 11n }), fc.constantFrom('Z', '', 'z', '+01:00', 'ZZ'))
    .map(([year, month, day, between, hour, minute, second, point, fraction, zone]) => (
      `${year}-${month}-${day}${between}${hour}:${minute}:${second}${point === '' ? '' : `${point}${fraction}`}${zone}`
    ))
  const numbers = fc.bigInt({ min: 0n, max: 10n ** 21n }).chain((n) => fc.nat({ max: 21 }).map((length) => `${n}`.slice(0, length)))
  fc.assert(fc.property(fc.oneof(dates, numbers), (text) => {
    const found = timeOf(text)
    if (found) assert.deepEqual(found, plainTime(text), text)
    else if (/^(19[7-9]|20)\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$/.test(text)) assert.fail(text)
  }), { seed: 1, numRuns: 20_000 })
})

test('MAC addresses with colons', () => {
  const mac = (text: string) => readAll(text, readMac, () => parsed[0])
  assert.equal(mac('00:00:00:00:00:00'), 0)
  assert.equal(mac('ff:FF:ff:FF:ff:ff'), 0xffffffffffff)
  assert.equal(mac('00:11:22:aa:bb:cc'), parseMac('00:11:22:aa:bb:cc'))
  for (const text of ['', '00:11:22:aa:bb', '00:11:22:aa:bb:cg', '00:11:22:aa:bb:c', '00-11-22-aa-bb-cc', '0011.22aa.bbcc']) assert.equal(mac(text), undefined)
})

test('numbers end where their digits end', () => {
  const read = (text: string) => readAll(text, readDigits, () => parsed[0])
  assert.deepEqual(['', '0', '007', '123456789', '1234567890', '9007199254740991'].map(read), [0, 0, 7, 123456789, 1234567890, 9007199254740991])
  assert.equal(read('1x'), undefined)
  const long = (text: string) => readAll(text, readLong, () => BigInt(parsedLong[1]) << 32n | BigInt(parsedLong[0]))
  for (const text of ['0', '4294967295', '4294967296', '9007199254740993', '18446744073709551615']) assert.equal(long(text), BigInt(text))
  for (const text of ['', '18446744073709551616', '99999999999999999999', '000000000000000000001', '1x']) assert.equal(long(text), undefined)
})
