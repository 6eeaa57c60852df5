import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LedgerRow } from '../../../core/collector/ledger.ts'
import { exporterSeries } from '../../../core/metrics/exporter-series.ts'
import { ledgerRow } from './report.ts'

/** Rows of exporters with these numbers of datagrams. */
function rowsOf(datagrams: Readonly<Record<string, number>>): LedgerRow[] {
  return Object.entries(datagrams).map(([exporter, count]) => ledgerRow(exporter, { datagrams: count }))
}

/** Takes scrapes of two series and tells `own names | datagrams of the others`. */
function scraper(): (datagrams: Readonly<Record<string, number>>) => string {
  const choose = exporterSeries(2)
  return (datagrams) => {
    const { own, others } = choose(rowsOf(datagrams))
    return `${own.map((row) => row.exporter).join(' ')} | ${others?.datagrams ?? '-'}`
  }
}

test('the busiest have series of their own, and keep them', () => {
  const scrape = scraper()
  assert.equal(scrape({}), ' | -')
  assert.equal(scrape({ a: 5 }), 'a | -')
  assert.equal(scrape({ a: 5, b: 1, c: 9, d: 2 }), 'a c | 3')
  assert.equal(scrape({ b: 1000, d: 2, a: 5, c: 9 }), 'a c | 1002')
})

test('the others never count back, whoever is forgotten or heard again', () => {
  const scrape = scraper()
  assert.equal(scrape({ a: 50, b: 40, c: 30, d: 20 }), 'a b | 50')
  assert.equal(scrape({ a: 50, b: 40, d: 25 }), 'a b | 55') // c is forgotten
  assert.equal(scrape({ a: 50, b: 40, c: 1, d: 26 }), 'a b | 57') // and heard again
  assert.equal(scrape({ a: 50, b: 40, c: 2, d: 3 }), 'a b | 61') // d both, between two scrapes
  assert.equal(scrape({ b: 40, c: 2, d: 3, e: 1 }), 'b e | 61') // a place for who was not counted yet
  assert.equal(scrape({ b: 40, e: 1 }), 'b e | 61')
})

test('who is forgotten waits for nothing any more', () => {
  const choose = exporterSeries(0)
  const row = ledgerRow('a', { held_sets: 9, late_sets: 2, abandoned_sets: 1 })
  assert.equal(choose([row]).others?.abandoned_sets, 1)
  const { held_sets, late_sets, abandoned_sets } = choose([]).others ?? assert.fail()
  assert.deepEqual([held_sets, late_sets, abandoned_sets], [9, 2, 7])
})
