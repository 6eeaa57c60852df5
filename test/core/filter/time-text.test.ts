import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isClock, parseClock, parseTime } from '../../../core/filter/time-text.ts'
import { formatTime } from '../../../core/flow/time.ts'

const NOW = Date.UTC(2026, 10, 21, 12) * 1e3 // µs
const zone = process.env['TZ']

before(() => {
  process.env['TZ'] = 'Europe/Zurich' // one hour ahead of UTC in winter, two in summer
})
after(() => {
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
})

const TIMES: readonly (readonly [string, string])[] = [
  ['2026-11-20T23:05:00Z', '2026-11-20T23:05:00.000Z'],
  ['2026-11-20t23:05:00.5z', '2026-11-20T23:05:00.500Z'],
  ['2026-11-20T23:05:00.1234567+05:30', '2026-11-20T17:35:00.123456Z'],
  ['2026-11-20T23:05-0100', '2026-11-21T00:05:00.000Z'],
  ['2026-11-20 23:05', '2026-11-20T22:05:00.000Z'],
  ['2026-07-20 23:05:07', '2026-07-20T21:05:07.000Z'],
  ['2026/11/20.19:10:00', '2026-11-20T18:10:00.000Z'],
  ['2026-11-20', '2026-11-19T23:00:00.000Z'],
  ['2026-11', '2026-10-31T23:00:00.000Z'],
  ['2026', '2025-12-31T23:00:00.000Z'],
  ['2024-02-29', '2024-02-28T23:00:00.000Z'],
  ['now', '2026-11-21T12:00:00.000Z'],
  ['-1h', '2026-11-21T11:00:00.000Z'],
  ['+500ms', '2026-11-21T12:00:00.500Z'],
  ['-2w', '2026-11-07T12:00:00.000Z'],
]

for (const [text, expected] of TIMES) {
  test(`"${text}" in Zurich is ${expected}`, () => {
    assert.equal(formatTime(parseTime(text, NOW)!), expected)
  })
}

test('what is no time is none', () => {
  for (const text of [
    '', '1', '26-11-20', '2026-13-01', '2026-02-29', '2026-11-31', '2026-11-20T24:00', '2026-11-20T12:60',
    '2026-11-20T', '2026-11-20T12', '2026-11T12:00', '1700000000', '-1y', '1h', 'tomorrow',
    '2026-11-20 12:00:00 Z',
  ]) assert.equal(parseTime(text, NOW), undefined, text)
})

test('a clock time is seconds since midnight', () => {
  assert.deepEqual(['0:00', '08:30', '23:59:59', '24:00'].map(parseClock), [0, 30_600, 86_399, 86_400])
  for (const text of ['24:01', '8', '08:60', '08:00:60', '8h', '']) {
    assert.equal(parseClock(text), undefined, text)
  }
  assert.deepEqual(['12:00', '12:00:01.5Z', '12', '1:00'].map(isClock), [true, true, false, false])
})
