/** What other programs read in the datagrams of peers/wire, held against flowkit's reading of the same. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { readPairs, type Golden, type Pair, type Reading } from './compare.ts'
import { packetsOf, wireFiles } from './corpus.ts'
import { readFlowTools } from './golden-flow-tools.ts'
import { readGoflow2 } from './golden-goflow2.ts'
import { readNfdump } from './golden-nfdump.ts'
import type { Row } from './rows.ts'

/** One value of a peer. */
export interface PeerValue {
  /** flowkit's field. */
  readonly field: string
  /** In flowkit's text. */
  readonly text: string
  /** µs of the last digit the peer shows of a time; flowkit's is cut to it. */
  readonly step?: number
}

/** One record of a peer. */
export interface PeerRecord {
  readonly values: readonly PeerValue[]
  /** As the peer wrote it. */
  readonly all: unknown
}

/** Endings of the goldens, whose each is, and what reads it. */
const READERS: readonly (readonly [string, string, (text: string) => PeerRecord[]])[] = [
  ['goflow2.json', 'goflow2', readGoflow2],
  ['nfdump178.json', 'nfdump 1.7.8', readNfdump],
  ['nfdump171.json', 'nfdump 1.7.1', readNfdump],
  ['ft.csv', 'flow-tools', readFlowTools],
]

/** The goldens of peers/wire and the readings of each. */
export function* peers(corpus: string): Generator<Golden> {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    execFileSync('tar', ['xJf', join(corpus, 'peers/wire/golden.tar.xz'), '-C', folder])
    for (const file of wireFiles(corpus)) {
      const name = basename(file).replace(/\.pcap(\.gz)?$/, '')
      if (isForeign(name)) continue
      let pairs: Pair[] | undefined
      for (const [ending, peer, read] of READERS) {
        const text = readText(join(folder, 'golden', `${name}.${ending}`))
        if (text === undefined) continue
        pairs ??= readPairs(packetsOf(corpus, file)).filter(({ sent }) => !sent?.options)
        const path = `peers/wire/golden/${name}.${ending}`
        const records = read(text)
        const readings = [...compareAll(peer, path, pairs, records)]
        yield { path, files: [file], records: records.length, readings }
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Whether datagrams are nfdump's own version 250, which flowkit does not read. */
export function isForeign(name: string): boolean {
  return name.includes('v250')
}

function readText(path: string): string | undefined {
  if (existsSync(path)) return readFileSync(path, 'utf8')
  return existsSync(`${path}.gz`) ? gunzipSync(readFileSync(`${path}.gz`)).toString() : undefined
}

function* compareAll(
  peer: string, golden: string, pairs: readonly Pair[], records: readonly PeerRecord[],
): Generator<Reading> {
  for (let record = 0; record < Math.max(pairs.length, records.length); record++) {
    const base = { peer, golden, record, ...pairs[record], all: records[record]?.all }
    if (!base.row || !records[record]) {
      yield { ...base, field: 'record', ours: base.row && 'a flow', theirs: records[record] && 'a record' }
      continue
    }
    yield* compareValues(base, base.row, records[record])
  }
}

/** Compare flowkit's row with a peer's record; `base` is what the readings have in common. */
export function* compareValues(
  base: Omit<Reading, 'field' | 'ours' | 'theirs'>, row: Row, { values }: PeerRecord,
): Generator<Reading> {
  for (const { field, text, step = 1 } of values) {
    const own = row.fields.get(field)
    if (own === undefined && isNothing(text)) continue // zero is how these peers say absent
    const ours = step === 1 || own === undefined ? own : String(Math.floor(Number(own) / step) * step)
    yield { ...base, field, ours, theirs: text }
  }
}

/** Whether a peer's value can stand for a field that the record has not. */
function isNothing(text: string): boolean {
  return /^(|0|0\.0\.0\.0|::|00:00:00:00:00:00)$/.test(text)
}
