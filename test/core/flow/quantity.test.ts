import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCount, parseMillis } from '../../../core/flow/quantity.ts'

test('a count is a number with thousands or 1024s, or none', () => {
  const counts = {
    '7': 7, '1.5M': 1_500_000, '64Ki': 65_536, '2T': 2e12, '1.5': undefined, '1e3': undefined, K: undefined,
  }
  for (const [text, count] of Object.entries(counts)) assert.equal(parseCount(text), count, text)
})

test('a duration is a number with its unit, or none', () => {
  const durations = {
    '250ms': 250, '1.5m': 90_000, '7d': 604_800_000, '5': undefined, '5M': undefined, '1h30m': undefined,
  }
  for (const [text, millis] of Object.entries(durations)) assert.equal(parseMillis(text), millis, text)
})
