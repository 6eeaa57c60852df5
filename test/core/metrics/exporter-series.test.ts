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
  assert.equal(scrape({ a: 50, b: 40, d: 25, forgotten: 30 }), 'a b | 55') // c is forgotten
  assert.equal(scrape({ a: 50, b: 40, c: 1, d: 26, forgotten: 30 }), 'a b | 57') // and heard again
  assert.equal(scrape({ a: 50, b: 40, c: 2, d: 3, forgotten: 56 }), 'a b | 61') // d both, between two scrapes
  // all together count on where one that had a series is forgotten: its place is for who was not counted yet
  assert.equal(scrape({ b: 40, c: 2, d: 3, e: 1, forgotten: 106 }), 'b e | 111')
  assert.equal(scrape({ b: 40, e: 1, forgotten: 111 }), 'b e | 111')
})
