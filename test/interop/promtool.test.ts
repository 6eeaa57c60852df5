import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { collectorMetrics } from '../../core/metrics/collector-metrics.ts'
import { ledgerRow, reportOf } from '../core/metrics/report.ts'
import { missing } from './peers.ts'

test('promtool finds nothing wrong with the metrics', { skip: missing('promtool') }, async () => {
  const rows = Array.from({ length: 300 }, (_, i) => ledgerRow(`2001:db8::${i}`, {
    datagrams: i, clock_skew_ms: i % 2 === 0 ? i : null,
  }))
  const metrics = await collectorMetrics(() => reportOf(...rows))
  const input = await metrics.text()
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' })
  assert.deepEqual([status, stdout, stderr], [0, '', ''])
  const broken = spawnSync('promtool', ['check', 'metrics'], { input: 'a_total{ 1\n', encoding: 'utf8' })
  assert.equal(broken.status, 1)
})
