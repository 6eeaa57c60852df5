import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newLoad } from '../../../core/collector/load.ts'

test('a load is high where more than two fifths of the last moment went', () => {
  const load = newLoad()
  load.add(0, 1)
  assert.equal(load.isHigh, false)
  for (let at = 1; at <= 201; at += 2) load.add(at, at + 1) // half of the time
  assert.equal(load.isHigh, true)
  for (let at = 203; at <= 405; at += 4) load.add(at, at + 1) // a quarter
  assert.equal(load.isHigh, false)
})

test('a load changes only once a moment has passed', () => {
  const load = newLoad()
  load.add(0, 1)
  load.add(1, 90)
  assert.equal(load.isHigh, false)
  load.add(90, 110)
  assert.equal(load.isHigh, true)
})
