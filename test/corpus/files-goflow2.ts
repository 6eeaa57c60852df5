/** goflow2's own logs: what flowkit reads in its JSON and its messages, and what it writes of them again. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { goflow2Json } from '../../formats/goflow2-json.ts'
import { goflow2Protobuf } from '../../formats/goflow2-protobuf.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { readPairs, type Golden, type Reading } from './compare.ts'
import { packetsOf } from './corpus.ts'
import { readGoflow2 } from './golden-goflow2.ts'
import { compareValues, type PeerRecord, type PeerValue } from './peers.ts'
import { rowOf, type Row } from './rows.ts'
import { parseJson, timeText } from './values.ts'

const FOLDER = 'peers/goflow2'
const LOG = 'goflow2 log'
const ALL = FIELDS.map(({ id }) => id)

/** Fields that only a mapping gives a message, and the time of the run. */
const OF_MAPPINGS = /^(received|direction|nat_event|post_na)/

/** Fields of sFlow that are of the time of the run too. */
const OF_THE_RUN = /^flow_(start|end)/

/** What goflow2 says of the packet's layers, and where there are none. */
const LAYERS = /"layer_stack":.*(?=}\n)/g
const OF_NO_LAYERS = '"layer_stack":[],"layer_size":[],"ipv6_routing_header_addresses":[],'
  + '"ipv6_routing_header_seg_left":0'

/** What became of the logs that are read and written as a whole. */
export interface Goflow2Report {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

/** Each log of JSON, held against what its lines say, and against flowkit's reading of the datagrams. */
export function* goflow2Logs(corpus: string): Generator<Golden> {
  for (const name of logsOf(corpus, /\.json(\.gz)?$/)) {
    const path = `${FOLDER}/${name}`
    const text = readLog(corpus, name).toString()
    const records = readGoflow2(text)
    const rows = readRows(goflow2Json, Buffer.from(text))
    const received = text.split('\n').filter(Boolean).map(receivedOf)
    const readings = [...ofLines(path, rows, records, received)]
    yield { path, files: [path], records: records.length, readings }
    if (name.startsWith('sflow')) continue // golden-sflow.ts has these
    const capture = `${FOLDER}/input/${stemOf(name)}.pcap`
    yield {
      path: `${path} of ${capture}`, files: [capture], records: records.length,
      readings: [...ofDatagrams(corpus, path, capture, records)],
    }
  }
  for (const name of logsOf(corpus, /\.text(\.gz)?$/)) {
    const [path, capture] = [`${FOLDER}/${name}`, `${FOLDER}/input/${stemOf(name)}.pcap`]
    const records = readGoflow2(readLog(corpus, name).toString().replaceAll(/^.+$/gm, asJson))
    const readings = [...ofDatagrams(corpus, path, capture, records)]
    yield { path: `${path} of ${capture}`, files: [capture], records: records.length, readings }
  }
}

/** A line of goflow2 -format text, `type=IPFIX sequence_num=1`, as its JSON. */
function asJson(line: string): string {
  return JSON.stringify(Object.fromEntries(line.split(' ').map((pair) => pair.split('='))))
}

/** Every value of a row from its line, and every value of the line in the row. */
function* ofLines(
  golden: string, rows: readonly Row[], records: readonly PeerRecord[], received: readonly string[],
): Generator<Reading> {
  for (let record = 0; record < Math.max(rows.length, records.length); record++) {
    const [row, said] = [rows[record], records[record]]
    const base = { peer: LOG, golden, record, row, all: said?.all }
    if (!row || !said) {
      yield { ...base, field: 'record', ours: row && 'a flow', theirs: said && 'a record' }
      continue
    }
    const sent = said.values.map((value) => asSent(value, said))
    const values = [...sent, { field: 'received', text: received[record] }]
    yield* compareValues(base, row, { ...said, values })
    const known = new Set(values.map(({ field }) => field))
    for (const [field, ours] of row.fields) {
      if (known.has(field) || /_ns$/.test(field)) continue
      yield { ...base, field, ours, theirs: undefined }
    }
  }
}

/** In sFlow `dst_mac` is the packet's own, in NetFlow that after the exporter; and `vlan_id` is its tag. */
function asSent(value: PeerValue, { all }: PeerRecord): PeerValue {
  const { type, vlan_id: tag } = all as { readonly type: string, readonly vlan_id?: number }
  if (type !== 'SFLOW_5') return value
  if (value.field === 'vlan_id' && value.text === '0') return { ...value, text: String(tag) }
  return value.field === 'post_dst_mac' ? { ...value, field: 'dst_mac' } : value
}

function* ofDatagrams(
  corpus: string, golden: string, capture: string, records: readonly PeerRecord[],
): Generator<Reading> {
  const pairs = readPairs(packetsOf(corpus, capture)).filter(({ sent }) => !sent?.options)
  for (let record = 0; record < Math.max(pairs.length, records.length); record++) {
    const base = { peer: 'goflow2', golden, record, ...pairs[record], all: records[record]?.all }
    if (base.row && records[record]) yield* compareValues(base, base.row, withoutExporter(records[record]))
    else yield { ...base, field: 'record', ours: base.row && 'a flow', theirs: records[record] && 'a record' }
  }
}

/** The datagrams were sent again from another address. */
function withoutExporter({ values, all }: PeerRecord): PeerRecord {
  return { values: values.filter(({ field }) => field !== 'exporter_addr'), all }
}

/** Compare the messages with the lines of the same flows, and all logs with what is written of them again. */
export function checkGoflow2(corpus: string): Goflow2Report {
  const problems: string[] = []
  const counts = { messages: 0, values: 0, same: 0 }
  for (const name of logsOf(corpus, /\.bin$/)) {
    const bytes = readLog(corpus, name)
    const rows = readRows(goflow2Protobuf, bytes)
    const text = name.startsWith('sflow') ? 'sflow.json' : `${stemOf(name)}.nat.json`
    const lines = readRows(goflow2Json, readLog(corpus, text))
    counts.messages += rows.length
    if (rows.length !== lines.length) problems.push(`${name}: ${rows.length} messages, ${lines.length} lines`)
    for (const [i, { fields }] of rows.entries()) {
      for (const [field, value] of lines[i]?.fields ?? []) {
        const isOther = OF_MAPPINGS.test(field) || (name.startsWith('sflow') && OF_THE_RUN.test(field))
        if (isOther || fields.get(field) === value) counts.values++
        else problems.push(`${name} message ${i} ${field}: ours ${fields.get(field)}, in its JSON ${value}`)
      }
    }
    const again = readRows(goflow2Protobuf, Buffer.from(write(goflow2Protobuf, bytes), 'latin1'))
    compareLines(name, ...[again, rows].map(textOf) as [string, string])
  }
  for (const name of logsOf(corpus, /default\.json(\.gz)?$|^sflow.json/)) {
    const bytes = readLog(corpus, name)
    compareLines(name, write(goflow2Json, bytes), asKept(bytes.toString()))
  }

  function compareLines(name: string, ours: string, theirs: string): void {
    if (ours === theirs) {
      counts.same++
      return
    }
    const [a, b] = [ours, theirs].map((each) => each.split('\n'))
    const line = a.findIndex((each, i) => each !== b[i])
    problems.push(`${name} written again, line ${line}: ours ${a[line]}, theirs ${b[line]}`)
  }

  const { messages, values, same } = counts
  const summary = `goflow2's logs: ${messages} messages, ${values} values as in its JSON, ${same} logs `
    + `become the same again; ${problems.length} problems`
  return { summary, problems }
}

function logsOf(corpus: string, pattern: RegExp): string[] {
  const folder = join(corpus, FOLDER)
  if (!existsSync(folder)) return []
  return readdirSync(folder).filter((name) => pattern.test(name) && !/\.raw\./.test(name)).sort()
}

function stemOf(name: string): string {
  return name.replace(/\..*/, '')
}

function readLog(corpus: string, name: string): Buffer {
  const path = join(corpus, FOLDER, name)
  const bytes = readFileSync(existsSync(path) ? path : `${path}.gz`)
  return bytes[0] === 0x1f ? gunzipSync(bytes) : bytes
}

function readBatches(format: FlowFormat, bytes: Uint8Array): FlowBatch[] {
  const onFault = ({ reason }: { reason: string }): never => { throw new Error(reason) }
  const decoder = format.decoder!({ fields: ALL, extras: true, onFault })
  const batch = new FlowBatch()
  const end = decoder.decode(bytes, 0, batch)
  const taken = decoder.end?.(batch, bytes.subarray(end)) ?? 0
  if (end + taken < bytes.length) throw new Error(`${bytes.length - end} bytes are left`)
  return [batch]
}

/** A log written again, its bytes as characters. */
function write(format: FlowFormat, bytes: Uint8Array): string {
  return readBatches(format, bytes)
    .map((batch) => Buffer.from(format.encoder!({}).encode(batch)).toString('latin1')).join('')
}

/**
 * The text as far as flowkit has it: receive times without nanoseconds, no layers of the packet, the tag of
 * sFlow's packets where VLANs are, and no network where goflow2 cannot say it.
 */
function asKept(text: string): string {
  return text.replaceAll(/("time_received_ns":\d+)\d{3}/g, '$1000').replaceAll(LAYERS, OF_NO_LAYERS)
    .replaceAll(/("SFLOW_5".*"src_vlan":)(\d+)(.*"vlan_id":)(\d+)/g, (_, before, vlan, between, tag) => (
      `${before}${vlan === '0' ? tag : vlan}${between}0`
    ))
    .replaceAll('"invalid Prefix"', '"0.0.0.0/0"')
}

function textOf(rows: readonly Row[]): string {
  return rows.map(({ fields }) => JSON.stringify([...fields])).join('\n')
}

function readRows(format: FlowFormat, bytes: Uint8Array): Row[] {
  return readBatches(format, bytes)
    .flatMap((batch) => Array.from({ length: batch.length }, (_, i) => rowOf(batch, i, 0)))
}

/** When a line says that it was received, in µs. */
function receivedOf(line: string): string {
  const { time_received_ns: time } = parseJson(line) as { readonly time_received_ns: string }
  if (/^\d+$/.test(time)) return String(BigInt(time) / 1000n)
  const [, seconds, fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(time)!
  return String(Number(timeText(`${seconds}Z`)) + Number(fraction.padEnd(6, '0').slice(0, 6)))
}
