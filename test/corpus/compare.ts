/** Counting of what agrees, what differs and is explained, and what differs and is not. */
import type { Explanation } from './explain.ts'
import { decode, type Row } from './rows.ts'
import type { Packet } from './corpus.ts'
import { readWire, type WireRecord } from './wire.ts'
import type { SflowSample } from './wire-sflow.ts'

/** One value that flowkit and somebody else read in one record. */
export interface Reading {
  /** Whose golden it is: `beats`, `goflow2`, … */
  readonly peer: string
  /** Path of the golden below the corpus. */
  readonly golden: string
  /** Number of the record in it, from 0. */
  readonly record: number
  /** flowkit's name of the field, or the element's; `record` where a whole record is missing or too many. */
  readonly field: string
  /** undefined: absent. */
  readonly ours: string | undefined
  readonly theirs: string | undefined
  readonly row?: Row | undefined
  readonly sent?: WireRecord | undefined
  /** The same of sFlow. */
  readonly sample?: SflowSample | undefined
  /** All that the peer says of the record. */
  readonly all?: unknown
}

/** A reading without where it stands in a golden. */
export type Value = Omit<Reading, 'peer' | 'golden' | 'record'>

/** What somebody else read in some files, and flowkit in the same. */
export interface Golden {
  /** Where it stands, below the corpus. */
  readonly path: string
  /** The files with the datagrams, below the corpus. */
  readonly files: readonly string[]
  /** Records that the peer read. */
  readonly records: number
  readonly readings: readonly Reading[]
}

/** Differences shown of one golden before it is left at their number. */
const SHOWN = 5

/** The counts of one golden, or of all. */
export class Tally {
  records = 0
  agreed = 0
  differing = 0
  readonly explained: Map<string, number> = new Map()
  readonly shown: string[] = []
  private readonly explanations: readonly Explanation[]

  constructor(explanations: readonly Explanation[]) {
    this.explanations = explanations
  }

  /** Count all of a golden. */
  count({ records, readings }: Golden): void {
    this.records += records
    for (const reading of readings) this.add(reading)
  }

  /** Count one value. */
  private add(reading: Reading): void {
    const { golden, record, field, ours, theirs } = reading
    if (ours === theirs) {
      this.agreed++
      return
    }
    const { peer } = reading
    const reason = this.explanations.find(({ peers, applies }) => peers.includes(peer) && applies(reading))
    if (reason) {
      this.explained.set(reason.id, (this.explained.get(reason.id) ?? 0) + 1)
      return
    }
    this.differing++
    if (this.shown.length < SHOWN) {
      const [a, b] = [ours ?? 'absent', theirs ?? 'absent']
      this.shown.push(`${golden} record ${record} ${field}: ours ${a}, theirs ${b}`)
    }
  }

  /** Count all that another tally has counted. */
  merge(other: Tally): void {
    this.records += other.records
    this.agreed += other.agreed
    this.differing += other.differing
    for (const [id, count] of other.explained) this.explained.set(id, (this.explained.get(id) ?? 0) + count)
  }

  /** `agree N values in M records, differ 0, explained K (id n, …)`. */
  toString(): string {
    const count = [...this.explained.values()].reduce((sum, n) => sum + n, 0)
    const ids = [...this.explained].map(([id, n]) => `${id} ${n}`).join(', ')
    const explained = `explained ${count}${ids && ` (${ids})`}`
    return `agree ${this.agreed} values in ${this.records} records, differ ${this.differing}, ${explained}`
  }
}

/** One data record, of v8 unknown, with flowkit's row of it, which records of options have none of. */
export interface Pair {
  readonly sent: WireRecord | undefined
  readonly row: Row | undefined
}

/** flowkit's and the plain reading of datagrams, side by side. */
export function readPairs(packets: readonly Packet[]): Pair[] {
  const { rows } = decode(packets)
  const records = readWire(packets)
  if (records.length === 0) return rows.map((row) => ({ sent: undefined, row }))
  let next = 0
  return records.map((sent) => ({ sent, row: sent.options ? undefined : rows[next++] }))
}
