/** Generated traffic as rows, and assertions about it. */
import assert from 'node:assert/strict'
import { parseTraffic } from '../../../../core/netflow/generate/options.ts'
import { generateFlows } from '../../../../core/netflow/generate/generate.ts'
import { micros, rows, type Row } from '../messages.ts'

/** When traffic begins unless told: 2026-11-21 13:00:00 UTC, in µs. */
export const START: number = micros('2026-11-21T13:00:00Z')
/** Traffic of all versions and kinds of records. */
export const EVERYTHING = 'flows=4000,exporters=7,versions=1/5/6/7/9/10,sampling=1/100,nat=5%,span=10m'

/** The rows of the traffic that `text` describes. */
export function flows(text: string): Row[] {
  const list: Row[] = []
  for (const batch of generateFlows(parseTraffic(text))) list.push(...rows(batch))
  return list
}

/** A field of a row that is a number. */
export function number(row: Row, name: string): number {
  return row[name] as number
}

/** Assert that a number is in a range. */
export function within(value: number, low: number, high: number): void {
  assert.ok(value >= low && value <= high, `${value} is not of ${low} to ${high}`)
}
