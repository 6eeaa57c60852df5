/** What a reason for a difference is, and what reasons look at. */
import type { Reading } from './compare.ts'
import { number } from './sources.ts'

/** Why flowkit and a peer differ where flowkit is right, or each by its own rules; see corpus-notes.md. */
export interface Explanation {
  readonly id: string
  /** Whose readings it is about. */
  readonly peers: readonly string[]
  /** One sentence. */
  readonly reason: string
  applies(reading: Reading): boolean
}

/** µs in which an uptime of 32 bits comes round. */
const ROUND = 2n ** 32n * 1000n

/** The first element of that IANA id in the record, as a number in text; undefined where there is none. */
export function element({ sent }: Reading, id: number): string | undefined {
  const found = sent?.elements.find((one) => one.pen === 0 && one.id === id)
  return found && String(number(found.bytes))
}

/** Whether the record has one of those elements. */
export function has(reading: Reading, ...ids: number[]): boolean {
  return ids.some((id) => element(reading, id) !== undefined)
}

/** NetFlow version of the record; 0 where it is not known. */
export function version({ sent }: Reading): number {
  return sent?.header.version ?? 0
}

/** Whether the reading is of a flow's start or end. */
export function isTime({ field }: Reading): boolean {
  return field === 'flow_start' || field === 'flow_end'
}

/** Whether it is of the bytes or packets. */
export function isCounter({ field }: Reading): boolean {
  return field === 'bytes' || field === 'packets'
}

/** Whether flowkit has a record that the peer has not. */
export function isMissing({ field, theirs }: Reading): boolean {
  return field === 'record' && theirs === undefined
}

/** Whether two times are whole rounds of the uptime apart, none included. */
export function isRounds(a: string | undefined, b: string | undefined): boolean {
  return /^-?\d+$/.test(a ?? '') && /^-?\d+$/.test(b ?? '') && (BigInt(a!) - BigInt(b!)) % ROUND === 0n
}

/** flowkit's value of another field of the record. */
export function own({ row }: Reading, field: string): string | undefined {
  return row?.fields.get(field)
}

/** Whether the peer's counter is flowkit's times the sampling rate that flowkit has beside. */
export function isScaled(reading: Reading): boolean {
  const scaled = Number(reading.ours) * Number(own(reading, 'sampling_rate'))
  return isCounter(reading) && Number(reading.theirs) === scaled
}
