import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { WORKERS } from '../../core/worker.ts'

test('every worker of the table has its source', () => {
  for (const [name, source] of Object.entries(WORKERS)) {
    assert.ok(existsSync(new URL(`../../core/${source}`, import.meta.url)), name)
  }
})
