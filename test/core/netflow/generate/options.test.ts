import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseTraffic, TRAFFIC_KEYS } from '../../../../core/netflow/generate/options.ts'
import { micros } from '../messages.ts'
import { START } from './traffic.ts'

test('parseTraffic() gives the defaults of its table for what is not told', () => {
  const defaults = {
    flows: 1_000_000, exporters: 1, v6: 0.1, seed: 1, from: START, span: 3600e6, versions: [9], sampling: [1],
    nat: 0, loss: 0, reorder: 0, lateTemplates: 0, conflicts: 0, wrap: false, mtu: 1400,
  }
  assert.deepEqual(parseTraffic(''), defaults)
  assert.deepEqual(parseTraffic(TRAFFIC_KEYS.map(({ name, value }) => `${name}=${value}`).join()), defaults)
})

test('parseTraffic() reads counts, shares, times, durations, lists and answers', () => {
  const text = 'flows=1.5M, exporters=12 ,v6=2.5%,seed=4294967295,from=2026-02-28,span=30s,versions=5/9/10,' +
    'sampling=1/100/16383,nat=100%,loss=0%,reorder=0.1%,late-templates=2K,conflicts=8,wrap=yes,mtu=9000'
  assert.deepEqual(parseTraffic(text), {
    flows: 1_500_000, exporters: 12, v6: 0.025, seed: 4_294_967_295,
    from: micros('2026-02-28T00:00:00Z'), span: 30e6, versions: [5, 9, 10], sampling: [1, 100, 16_383], nat: 1, loss: 0, reorder: 0.001, lateTemplates: 2000,
    conflicts: 8, wrap: true, mtu: 9000,
  })
})

test('parseTraffic() says what it expected in place of what it found', () => {
  const names = TRAFFIC_KEYS.map(({ name }) => name).join(' ')
  for (const [text, reason] of [
    ['flow=1', `one of ${names}, found "flow"`],
    ['flows=1,', `one of ${names}, found ""`],
    ['flows', 'flows=VALUE, found "flows"'],
    ['seed=1,seed=1', 'seed once, found it twice'],
    ['flows=0', 'flows to be a count of 1 to 1000000000000, found "0"'],
    ['flows=-1', 'flows to be a count of 1 to 1000000000000, found "-1"'],
    ['exporters=1e3', 'exporters to be a count of 1 to 10000, found "1e3"'],
    ['v6=10', 'v6 to be a share of 0% to 100%, found "10"'],
    ['loss=101%', 'loss to be a share of 0% to 100%, found "101%"'],
    ['span=5', 'span to be a duration such as 30s, found "5"'],
    ['span=0s', 'span to be a duration such as 30s, found "0s"'],
    ['from=2026-02-29', 'from to be a time such as 2026-11-21T13:00:00Z, found "2026-02-29"'],
    ['from=2026-02-28T10:00', 'from to be a time such as 2026-11-21T13:00:00Z, found "2026-02-28T10:00"'],
    ['versions=5/8', 'versions to be versions of 1 5 6 7 9 10 such as 5/9, found "5/8"'],
    ['sampling=100/', 'sampling to be rates of 1 to 16383 such as 1/100, found "100/"'],
    ['late-templates=x', 'late-templates to be a count of 0 to 1000000, found "x"'],
    ['wrap=1', 'wrap to be yes or no, found "1"'],
    ['mtu=100', 'mtu to be a count of 512 to 65507, found "100"'],
    ['exporters=4,versions=5/9,conflicts=3', 'at most 2 conflicts, one an exporter of v9 and IPFIX, found 3'],
  ]) {
    assert.throws(() => parseTraffic(text), {
      code: 'ERR_OPTION', message: `Cannot generate "${text}": expected ${reason}`,
    })
  }
})
