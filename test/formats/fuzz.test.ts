import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from '../fuzz/driver.ts'
import { TARGETS } from '../fuzz/formats.ts'

for (const target of TARGETS) {
  test(`damaged ${target.name} gives rows, faults or an error about the input, and no other`, async () => {
    assert.equal(await fuzz(target, 300, 7), undefined)
  })
}
