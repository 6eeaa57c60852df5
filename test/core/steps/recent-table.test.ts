import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecentTable } from '../../../core/steps/recent-table.ts'

const GENERATION = 1 << 18

test('numbers are found by both words of their key', () => {
  const table = new RecentTable(2)
  for (const [high, low] of [[1, 5], [2, 5], [5, 1], [0, 5]]) {
    assert.equal(table.find(high, low), -1)
    const at = table.add(high, low)
    table.values.set([high, low * 10], at)
  }
  for (const [high, low] of [[1, 5], [2, 5], [5, 1], [0, 5]]) {
    const at = table.find(high, low)
    assert.deepEqual([...table.values.subarray(at, at + 2)], [high, low * 10])
  }
  assert.equal(table.find(3, 5), -1)
})

test('what was used of late is kept, and the rest is forgotten', () => {
  const table = new RecentTable(1)
  function put(key: number): void {
    const at = table.add(key, key)
    table.values[at] = key
  }
  function get(key: number): number {
    const at = table.find(key, key)
    return table.values[at]
  }
  put(1)
  put(2)
  for (let key = 3; key < GENERATION * 3; key++) {
    put(key)
    if (key % 100_000 === 0) assert.ok(table.find(1, 1) >= 0)
  }
  assert.equal(get(1), 1)
  assert.equal(table.find(2, 2), -1)
  for (const key of [GENERATION * 2 + 5, GENERATION * 3 - 1]) assert.equal(get(key), key)
})
