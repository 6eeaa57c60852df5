import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultLog, reportText } from '../../cmd/collect/log.ts'
import { ledgerRow, reportOf } from '../core/metrics/report.ts'

/** What the lines of exporters begin with, and the datagrams they tell. */
function exporterLines(text: string): string[] {
  const told = text.matchAll(/^ {2}(.*?): datagrams=(\d+) bytes=(\d+) /gm)
  return Array.from(told, ([, name, datagrams, bytes]) => `${name} ${datagrams} ${bytes}`)
}

test('of 10,000 exporters the 20 busiest have a line, and all others one together', () => {
  const rows = Array.from({ length: 10_000 }, (_, i) => ledgerRow(`x${i}`, { datagrams: i, bytes: 2 * i }))
  const lines = exporterLines(reportText(reportOf(...rows)))
  assert.equal(lines.length, 21)
  assert.deepEqual(lines.slice(0, 2), ['x9999 9999 19998', 'x9998 9998 19996'])
  assert.equal(lines[19], 'x9980 9980 19960')
  const others = 9979 * 9980 / 2
  assert.equal(lines[20], `9980 others ${others} ${2 * others}`)
  const all = exporterLines(reportText(reportOf(...rows, ledgerRow('forgotten', { datagrams: 7, bytes: 1 }))))
  assert.equal(all[20], `9980 others and those forgotten ${others + 7} ${2 * others + 1}`)
})

test('few exporters have a line each, whatever is not known left out', () => {
  const rows = [ledgerRow('a', { datagrams: 1, clock_skew_ms: -3 }), ledgerRow('b', { datagrams: 2 })]
  const text = reportText(reportOf(...rows))
  assert.deepEqual(exporterLines(text), ['b 2 0', 'a 1 0'])
  assert.match(text, /^ {2}a: .* clock_skew_ms=-3$/m)
  assert.doesNotMatch(text, /null|others/)
  assert.deepEqual(exporterLines(reportText(reportOf())), [])
})

test('after an hour faults are said again, and how many there were', () => {
  const told: string[] = []
  let now = 5000
  const log = faultLog((exporter, reason) => told.push(`${exporter}: ${reason}`), () => now)
  for (let i = 0; i < 4; i++) log.say('a', 'damaged')
  now += 3_599_999
  log.say('a', 'damaged')
  assert.deepEqual([told, log.silent], [['a: damaged'], 4])
  now++
  log.say('b', 'damaged')
  log.say('a', 'damaged')
  log.say('a', 'damaged')
  assert.deepEqual(told, ['a: damaged', ': 4 more such faults', 'b: damaged', 'a: damaged'])
  assert.equal(log.silent, 1)
})

test('faults that differ in numbers are said once for each exporter, a hundred in all', () => {
  const told: unknown[][] = []
  const log = faultLog((...fault) => told.push(fault))
  log.say('a', '3 bytes needed, 2 found', 'where')
  log.say('a', '3 bytes needed, 1 found')
  log.say('b', '3 bytes needed, 1 found')
  assert.deepEqual(told, [
    ['a', '3 bytes needed, 2 found', 'where'], ['b', '3 bytes needed, 1 found', undefined],
  ])
  for (let i = 0; i < 200; i++) log.say(`exporter ${String.fromCodePoint(0x4e00 + i)}`, 'damaged')
  assert.deepEqual([told.length, log.silent], [100, 1 + 102])
})
