import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { parseDuration, parseSize, parseTime } from '../../cmd/values.ts'

const zone = process.env['TZ']
afterEach(() => {
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
})

const NOW = 1_795_266_245_678_901 // 2026-11-21T13:04:05.678901Z

test('a size is a number with thousands or 1024s', () => {
  const sizes = {
    0: 0, 1500: 1500, '1K': 1000, '500K': 500_000, '1.5M': 1_500_000, '2G': 2_000_000_000, '1.1K': 1100,
    '1T': 1e12, '1Ki': 1024, '64Mi': 67_108_864, '1.5Gi': 1_610_612_736, '2Ti': 2_199_023_255_552,
    '9007199254740991': 9007199254740991,
  }
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text)
})

test('a size that is none, negative, in unknown units or inexact is refused', () => {
  const texts = ['', 'x', '-1', '1.5', '1k', '1KB', '1 K', 'K', '1e3', '0x10', '9007199254740992', '9999999T']
  for (const text of texts) {
    const message = `Cannot use size "${text}": expected one such as 64Mi`
    assert.throws(() => parseSize(text), { name: 'FlowkitError', code: 'ERR_OPTION', message })
  }
})

test('a duration is a number with its unit, in milliseconds', () => {
  const durations = {
    '500ms': 500, '30s': 30_000, '5m': 300_000, '1h': 3_600_000, '7d': 604_800_000, '1.5h': 5_400_000,
    '0s': 0,
  }
  for (const [text, expected] of Object.entries(durations)) assert.equal(parseDuration(text), expected, text)
})

test('a duration without a unit, or negative, is refused', () => {
  for (const text of ['', '5', '-5m', '5 m', '1h30m', '5M', '5w', '1e9d', '999999999999999d']) {
    const message = `Cannot use duration "${text}": expected one such as 5m`
    assert.throws(() => parseDuration(text), { name: 'FlowkitError', code: 'ERR_OPTION', message })
  }
})

test('RFC 3339 times are exact to the microsecond in any zone', () => {
  process.env['TZ'] = 'America/New_York'
  const times = {
    '1970-01-01T00:00:00Z': 0,
    '2026-11-21T13:04:05Z': 1_795_266_245_000_000,
    '2026-11-21t13:04:05z': 1_795_266_245_000_000,
    '2026-11-21T13:04:05.678901Z': 1_795_266_245_678_901,
    '2026-11-21T13:04:05.678901999Z': 1_795_266_245_678_901,
    '2026-11-21T13:04:05.5Z': 1_795_266_245_500_000,
    '2026-11-21 14:04:05+01:00': 1_795_266_245_000_000,
    '2026-11-21T07:34:05-05:30': 1_795_266_245_000_000,
    '1985-04-12T23:20:50.52Z': 482_196_050_520_000, // RFC 3339 section 5.8
    '1990-12-31T23:59:60Z': 662_688_000_000_000, // its leap second
    '2024-02-29T00:00:00Z': 1_709_164_800_000_000,
  }
  for (const [text, micros] of Object.entries(times)) assert.equal(parseTime(text, NOW), micros, text)
})

test('times without a zone are local, in summer and winter', () => {
  process.env['TZ'] = 'Europe/Berlin'
  const times = {
    '2026-11-21': '2026-11-20T23:00:00Z',
    '2026-07-01': '2026-06-30T22:00:00Z',
    '2026-11-21 13:04': '2026-11-21T12:04:00Z',
    '2026-11-21T13:04:05': '2026-11-21T12:04:05Z',
    '2026-03-29 01:59:59': '2026-03-29T00:59:59Z', // clocks go from 2 to 3
    '2026-03-29 02:30': '2026-03-29T01:30:00Z', // skipped: as 03:30
    '2026-03-29 03:00': '2026-03-29T01:00:00Z',
    '2026-10-25 02:30': '2026-10-25T00:30:00Z', // occurs twice: the first
    '2026-10-25 03:00': '2026-10-25T02:00:00Z',
  }
  for (const [text, utc] of Object.entries(times)) {
    assert.equal(parseTime(text, NOW), Date.parse(utc) * 1000, text)
  }
})

test('now and a duration ago count from the given clock', () => {
  assert.equal(parseTime('now', NOW), NOW)
  assert.equal(parseTime('-1h', NOW), NOW - 3_600_000_000)
  assert.equal(parseTime('-500ms', NOW), NOW - 500_000)
  assert.equal(parseTime('-7d', NOW), 1_794_661_445_678_901)
})

test('a time that no calendar has is refused', () => {
  const texts = [
    '', 'yesterday', '1h', '-x', '26', '2026-13-01', '2026-02-29', '2026-11-31', '2026-00-10', '0050-01-01',
    '2026-11-21 24:00', '2026-11-21 13:60', '2026-11-21 13:04:61', '2026-11-21T13', '2026-11-21Z',
    '2026-11-21T13:04:05+24:00', '2026-11-21T13:04:05+01:75', '2026-11-21T13:04.5Z', '21/11/2026',
  ]
  for (const text of texts) {
    const message = `Cannot use time "${text}": expected one such as 2026-11-21T13:00:00Z`
    assert.throws(() => parseTime(text, NOW), { name: 'FlowkitError', code: 'ERR_OPTION', message })
  }
})
