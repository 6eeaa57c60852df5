/** nfdump's own files, and how nfdump prints them: held against flowkit's reading of the same files. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { nfdump } from '../../formats/nfdump.ts'
import type { Golden, Reading } from './compare.ts'
import { NEWER, OLDER } from './explanations-nfdump-files.ts'
import { readNfdump } from './golden-nfdump.ts'
import { compareValues, type PeerRecord, type PeerValue } from './peers.ts'
import { rowOf, type Row } from './rows.ts'
import { timeText } from './values.ts'

const FOLDER = 'peers/nfdump'

/** Keys of what nfdump works out of payloads and addresses, and what it prints as words. */
const WORKED_OUT = /^\s*"(in_ja[34] hash|in_tls|in_sni|ip_fragment)" :.*\n/gm

/** The goldens of whole files, with the readings of each. */
export function* nfdumpFiles(corpus: string): Generator<Golden> {
  if (!existsSync(join(corpus, FOLDER, 'golden.tar.xz'))) return
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    for (const name of ['golden', 'real']) {
      execFileSync('tar', ['xJf', join(corpus, FOLDER, `${name}.tar.xz`), '-C', folder])
    }
    const goldens = ['golden', 'golden/real'].flatMap((below) => readdirSync(join(folder, below))
      .filter((name) => name.endsWith('.json')).map((name) => join(folder, below, name)))
    const former = readdirSync(join(corpus, FOLDER, 'v1layout')).filter((name) => name.endsWith('.json'))
      .map((name) => join(corpus, FOLDER, 'v1layout', name))
    const own = [...goldens.sort(), ...former.sort()]
      .map((path) => [path, fileOf(corpus, folder, path)] as const)
    for (const [path, file] of [...own, ...rewritten(corpus, folder), ...ofDatagrams(corpus, folder)]) {
      const peer = /\.(nfdump)?171\.(nfcapd\.)?json$/.test(path) ? OLDER : NEWER
      const below = path.startsWith(folder) ? path.slice(folder.length + 1) : `v1layout/${basename(path)}`
      const golden = `${FOLDER}/${below}${file.startsWith(path.slice(0, -5)) ? '' : ` of ${basename(file)}`}`
      const records = readGolden(readFileSync(path, 'utf8'))
      const { rows, faults } = readRows(file)
      const readings = [...compare(peer, golden, rows, records, faults)]
      yield { path: golden, files: [file], records: records.length, readings }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Files that nfdump has written again: with the goldens of what they were written of. */
function rewritten(corpus: string, folder: string): (readonly [golden: string, file: string])[] {
  const former = ['nfcapd-small-lzo', 'nfcapd-empty'].flatMap((name) => ['171', '178'].map((version) => [
    join(corpus, FOLDER, 'v1layout', `${name}.${version}.json`),
    join(corpus, FOLDER, 'v1layout', `${name}.as${version}`),
  ] as const))
  return [[join(folder, 'golden/v5.178.none.nfcapd.json'), join(corpus, FOLDER, 'many.nfcapd')], ...former]
}

/** What nfcapd wrote of the datagrams of peers/wire. */
function ofDatagrams(corpus: string, folder: string): (readonly [golden: string, file: string])[] {
  const packed = join(corpus, 'peers/wire/golden.tar.xz')
  if (!existsSync(packed)) return []
  execFileSync('tar', ['xJf', packed, '-C', folder, '--transform', 's/^golden/wire/'])
  const below = join(folder, 'wire')
  return readdirSync(below).filter((name) => /\.nfcapd17[18]$/.test(name)).sort().flatMap((name) => {
    const golden = join(below, `${name.replace('nfcapd', 'nfdump')}.json`)
    return existsSync(golden) ? [[golden, join(below, name)] as const] : []
  })
}

/** The file that a golden was printed of. */
function fileOf(corpus: string, folder: string, path: string): string {
  const name = basename(path, '.json')
  if (path.includes('/golden/real/')) return join(folder, 'real', name)
  return path.startsWith(folder) ? join(corpus, FOLDER, name)
    : join(corpus, FOLDER, 'v1layout', name.replace(/\.17[18]$/, ''))
}

function readGolden(text: string): PeerRecord[] {
  const plain = text.replaceAll('observationDoaminID', 'observationDomainID').replace(WORKED_OUT, '')
  return readNfdump(plain)
    .map(({ values, all }) => ({ values: [...values.map(plainValue), ...moreOf(all)], all }))
}

/** Access lists as octets, and a name that is empty. */
function plainValue({ field, text, ...rest }: PeerValue): PeerValue {
  if (/_acl$/.test(field)) {
    const numbers = text.split('/').map((number) => number.slice(2).padStart(8, '0'))
    return { field, text: numbers.join('') }
  }
  return { field, text: text === '<empty>' ? '' : text, ...rest }
}

/** What the files tell and captures do not. */
function moreOf(all: unknown): PeerValue[] {
  const record = all as Readonly<Record<string, unknown>>
  const received = record['received'] === undefined ? [] : [timeText(String(record['received']))]
  return [
    ...received.map((text) => ({ field: 'received', text })),
    { field: 'sampling_applied', text: String(record['sampled'] ?? 0) },
  ]
}

/** All rows of a file, all fields and elements wanted. */
function readRows(path: string): { rows: readonly Row[], faults: readonly string[] } {
  const faults: string[] = []
  const decoder = nfdump.decoder!({
    fields: FIELDS.map(({ id }) => id), extras: true, onFault: ({ reason }) => faults.push(reason),
  })
  const bytes = readFileSync(path)
  const batch = new FlowBatch()
  const rows: Row[] = []
  let at = 0
  let isMore = true
  while (isMore) {
    at = decoder.decode(bytes, at, batch)
    isMore = batch.length >= BATCH_SIZE
    for (let i = 0; i < batch.length; i++) rows.push(rowOf(batch, i, 0))
    batch.clear()
  }
  decoder.end?.(batch)
  if (at < bytes.length) faults.push(`${bytes.length - at} bytes are left`)
  return { rows, faults }
}

function* compare(
  peer: string, golden: string, rows: readonly Row[], records: readonly PeerRecord[], faults: readonly string[],
): Generator<Reading> {
  for (const fault of faults) {
    yield { peer, golden, record: 0, field: 'fault', ours: fault, theirs: undefined }
  }
  for (let record = 0; record < Math.max(rows.length, records.length); record++) {
    const row = rows[record]
    const base = { peer, golden, record, row, all: records[record]?.all }
    if (!row || !records[record]) {
      yield { ...base, field: 'record', ours: row && 'a flow', theirs: records[record] && 'a record' }
    } else yield* compareValues(base, row, records[record])
  }
}
