import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FUZZED, fuzzFormat } from '../fuzz/formats.ts'

for (const format of FUZZED) {
  test(`damaged ${format.name} gives rows, faults or an error about the input, and no other`, async () => {
    assert.equal(await fuzzFormat(format, 300, 7), undefined)
  })
}
