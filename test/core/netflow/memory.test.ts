import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { LIMITS } from '../../../core/netflow/limits.ts'
import type { Kept } from './template-flood.ts'

const FLOOD = fileURLToPath(new URL('template-flood.ts', import.meta.url))
const MOST = 64e6
/** By how much measurements of the same state may differ. */
const NOISE = 4e6
/** What plans may take, which are dropped all at once; without a bound 50,000 would take over 300 MB. */
const PLANS = 20e6

/** What a decoder of a process of its own keeps of a flood. */
async function kept(what: 'templates' | 'records', ...checkpoints: number[]): Promise<Kept[]> {
  const { NODE_V8_COVERAGE: _, ...env } = process.env // measuring coverage would be measured too
  const args = ['--expose-gc', FLOOD, what, ...checkpoints.map(String)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  return JSON.parse(stdout) as Kept[]
}

test('a million templates that are never used cost under 64 MB, no more than half of them', async () => {
  const [half, whole] = await kept('templates', 500_000, 1_000_000)
  assert.deepEqual([half.sent, whole.sent], [500_000, 1_000_000])
  assert.ok(whole.templates <= LIMITS.templates && whole.templates > LIMITS.templates * 0.99)
  assert.ok(whole.bytes < MOST, `${whole.bytes} bytes`)
  assert.ok(whole.bytes - half.bytes < NOISE, `${half.bytes}, then ${whole.bytes} bytes`)
})

test('100,000 templates with a record each cost under 64 MB, and their plans are bounded', async () => {
  const [half, whole] = await kept('records', 50_000, 100_000)
  assert.deepEqual([half.records, whole.records], [50_000, 100_000])
  // a plan takes at least the room of its template's field specifiers, 80 bytes
  assert.ok(whole.plans > 0 && whole.plans <= LIMITS.planBytes / 80, `${whole.plans} plans`)
  assert.ok(whole.bytes < MOST, `${whole.bytes} bytes`)
  assert.ok(whole.bytes - half.bytes < PLANS, `${half.bytes}, then ${whole.bytes} bytes`)
})
