/** goflow2 -produce raw: elements of v9 and IPFIX messages and their bytes, held against flowkit's rows. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { readPairs, type Golden, type Pair, type Reading } from './compare.ts'
import { packetsOf } from './corpus.ts'
import { checkSources } from './sources.ts'
import type { WireElement, WireHeader, WireRecord } from './wire.ts'

const FOLDER = 'peers/goflow2'
const RAW = /^(v9|ipfix)-.*\.raw\.json\.gz$/

/** A message; v9 and IPFIX call what is in the header otherwise. */
interface RawMessage {
  readonly version: number
  readonly 'system-uptime'?: number
  readonly 'unix-seconds'?: number
  readonly 'export-time'?: number
  readonly 'sequence-number': number
  readonly 'source-id'?: number
  readonly 'observation-domain-id'?: number
  /** Of templates and options the records have no `values`. */
  readonly 'flow-sets': readonly { readonly records: readonly { readonly values?: readonly RawValue[] }[] }[]
}

interface RawValue {
  readonly type: number
  readonly pen: number
  /** Base64. */
  readonly value: string
}

/** A record, and what its message says of all. */
type RawRecord = Pick<WireRecord, 'header' | 'elements'>

/** The raw goldens of v9 and IPFIX and the readings of each; golden-sflow.ts has the one of sFlow. */
export function* goflow2Raw(corpus: string): Generator<Golden> {
  const folder = join(corpus, FOLDER)
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder).filter((each) => RAW.test(each)).sort()) {
    const [path, file] = [`${FOLDER}/${name}`, `${FOLDER}/input/${name.replace('.raw.json.gz', '.pcap')}`]
    const records = readRaw(gunzipSync(readFileSync(join(corpus, path))).toString())
    const pairs = readPairs(packetsOf(corpus, file)).filter(({ sent }) => !sent?.options)
    yield { path, files: [file], records: records.length, readings: compare(path, pairs, records) }
  }
}

function readRaw(text: string): RawRecord[] {
  return text.split('\n').filter(Boolean).flatMap((line) => {
    const { message } = JSON.parse(line) as { readonly message: RawMessage }
    const header = headerOf(message)
    return message['flow-sets'].flatMap(({ records }) => records).flatMap(({ values }) => (
      values ? [{ header, elements: values.map(elementOf) }] : []
    ))
  })
}

function headerOf(message: RawMessage): WireHeader {
  return {
    version: message.version, uptime: message['system-uptime'] ?? -1, nsecs: -1, sampling: -1,
    secs: message['unix-seconds'] ?? message['export-time'] ?? -1, sequence: message['sequence-number'],
    domain: message['source-id'] ?? message['observation-domain-id'] ?? -1,
  }
}

function elementOf({ type, pen, value }: RawValue): WireElement {
  return { pen, id: type, bytes: Buffer.from(value, 'base64') }
}

function compare(golden: string, pairs: readonly Pair[], records: readonly RawRecord[]): Reading[] {
  return Array.from({ length: Math.max(pairs.length, records.length) }, (_, record): Reading[] => {
    const [pair, raw] = [pairs[record], records[record]]
    const base = { peer: 'goflow2', golden, record, ...pair, all: raw }
    if (!pair?.row || !pair.sent || !raw) {
      return [{ ...base, field: 'record', ours: pair?.row && 'a flow', theirs: raw && 'a record' }]
    }
    const { row } = pair
    const faults = new Map(checkSources(row, { ...pair.sent, ...raw }).map((fault) => [fault.field, fault]))
    const agreed = [...row.fields].filter(([field]) => !faults.has(field))
      .map(([field, text]): Reading => ({ ...base, field, ours: text, theirs: text }))
    const others = [...faults.values()]
      .map(({ field, ours, sent }): Reading => ({ ...base, field, ours, theirs: sent }))
    return [...agreed, ...others]
  }).flat()
}
