/** Ordinary traffic in peers/capture: the flows that other meters made of it, and flowkit's, by their key. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { BATCH_SIZE } from '../../core/flow/batch.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import type { MeterOptions } from '../../core/meter/options.ts'
import { CaptureReader } from '../../core/pcap/capture.ts'
import type { Golden, Reading } from './compare.ts'
import { sumUp, type Sums, type Told } from './flow-sums.ts'
import { PEERS, type Peer } from './meters-capture.ts'
import { rowOf, type Row } from './rows.ts'
import { packetRules, type Rules } from './rules-capture.ts'

const FOLDER = 'peers/capture'

/** What readings are explained by, in their `all`. */
export interface Keyed {
  readonly key: string
  /** All that flowkit and the peer tell of the key; undefined: nothing. */
  readonly ours: Sums | undefined
  readonly theirs: Sums | undefined
  /** What the rules of meters make of the capture's packets. */
  readonly rules: Rules
}

/** The goldens of peers/capture and the readings of each. */
export function* captureReadings(corpus: string): Generator<Golden> {
  if (!existsSync(join(corpus, FOLDER))) return
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    execFileSync('tar', ['xJf', join(corpus, FOLDER, 'flows.tar.xz'), '-C', folder])
    for (const file of readdirSync(join(corpus, FOLDER)).filter((name) => /\.pcap(\.gz)?$/.test(name))) {
      const bytes = readFileSync(join(corpus, FOLDER, file))
      const capture = file.endsWith('.gz') ? gunzipSync(bytes) : bytes
      const name = file.replace(/\.pcap(\.gz)?$/, '')
      const rules = packetRules(capture)
      for (const peer of PEERS) {
        const path = unpacked(join(folder, 'flows'), `${name}.${peer.ending}`)
        if (path === undefined) continue
        const told = [...peer.read(path)]
        const golden = `${FOLDER}/flows/${name}.${peer.ending}`
        const readings = [...compareFlows(peer, golden, meter(capture, peer.options), told, rules)]
        yield { path: golden, files: [`${FOLDER}/${file}`], records: told.length, readings }
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The file of that name, which may be gzipped, as it was before. */
function unpacked(folder: string, name: string): string | undefined {
  const path = join(folder, name)
  if (existsSync(path)) return path
  if (!existsSync(`${path}.gz`)) return undefined
  execFileSync('gunzip', [`${path}.gz`])
  return path
}

/** The flows that flowkit makes of a capture. */
function meter(capture: Uint8Array, options: MeterOptions): Row[] {
  const reader = new CaptureReader()
  const meter = new FlowMeter(options)
  const rows: Row[] = []
  function take(): void {
    for (let i = 0; i < meter.finished.length; i++) rows.push(rowOf(meter.finished, i, 0))
    meter.finished.clear()
  }
  reader.window(capture, 0, capture.length)
  while (reader.next()) {
    const { bytes, start, length, originalLength, time, linkType } = reader.packet
    meter.add(bytes, start, start + length, originalLength, time, linkType, 0)
    if (meter.finished.length >= BATCH_SIZE) take()
  }
  while (meter.flush()) take()
  return rows
}

function* compareFlows(
  peer: Peer, golden: string, rows: readonly Row[], told: readonly Told[], rules: Rules,
): Generator<Reading> {
  const own = sumUp(rows.flatMap((row) => peer.told(row)))
  const others = sumUp(told)
  let record = 0
  for (const key of new Set([...own.keys(), ...others.keys()])) {
    const [ours, theirs] = [own.get(key), others.get(key)]
    const all: Keyed = { key, ours, theirs, rules }
    const base = { peer: peer.name, golden, record: record++, all }
    if (ours === undefined || theirs === undefined) {
      yield { ...base, field: 'record', ours: ours && `flows ${key}`, theirs: theirs && `records ${key}` }
      continue
    }
    for (const [field, text] of theirs) {
      const value = ours.get(field)
      const cut = text.endsWith('ms') && value !== undefined ? `${Math.floor(Number(value) / 1000)}ms` : value
      if (cut !== undefined || !/^0?$/.test(text)) yield { ...base, field, ours: cut, theirs: text }
    }
  }
}
