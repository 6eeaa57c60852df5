/** What goflow2 and nfdump's sfcapd read in the sFlow datagrams of the corpus. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { formatMac } from '../../core/flow/address.ts'
import type { Golden, Reading } from './compare.ts'
import { sflowPacketsOf } from './corpus.ts'
import { readSamples, type SamplePair } from './files-sflow.ts'
import { readGoflow2 } from './golden-goflow2.ts'
import { readNfdump } from './golden-nfdump.ts'
import { compareValues, type PeerRecord } from './peers.ts'
import { parseJson } from './values.ts'

/** Fields of the time of the run. */
const TIMES = new Set(['flow_start', 'flow_end', 'received'])

/** goflow2's names of counters that are spelt otherwise. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  dot3_stats_aligment_errors: 'dot3_stats_alignment_errors', dot3_stats_fcse_errors: 'dot3_stats_fcs_errors',
  dot3_stats_seq_test_errors: 'dot3_stats_sqe_test_errors',
}

/** The goldens of goflow2 and nfdump, and the readings of each. */
export function* sflowPeers(corpus: string): Generator<Golden> {
  yield* goflow2(corpus)
  for (const version of ['1.7.1', '1.7.8']) yield nfdump(corpus, version)
}

function* goflow2(corpus: string): Generator<Golden> {
  const file = 'peers/goflow2/input/sflow.pcap'
  const { pairs } = readSamples(sflowPacketsOf(corpus, file))
  const path = 'peers/goflow2/sflow.json'
  const records = readGoflow2(readFileSync(join(corpus, path), 'utf8')).map(({ values, all }) => {
    // what it calls the sampler is the agent
    const renamed = values.map((one) => one.field === 'exporter_addr' ? { ...one, field: 'agent_addr' } : one)
    return { values: renamed.filter(({ field }) => !TIMES.has(field)), all }
  })
  const flows = pairs.filter(({ sample: { flow } }) => flow)
  const aligned = align(flows, records, ({ sample: { header } }) => `${header.agent} ${header.sequence}`,
    ({ all }) => `${field(all, 'sampler_address')} ${field(all, 'sequence_num')}`)
  const readings = [...compareFlows('goflow2 sFlow', path, aligned)]
  yield { path, files: [file], records: records.length, readings }
  yield goflow2Raw(corpus, file, pairs)
}

function nfdump(corpus: string, version: string): Golden {
  const file = 'peers/nfdump/input/sflow.pcap'
  const name = `golden/sflow.${version.replaceAll('.', '')}.nfcapd.json`
  const text = execFileSync('tar', ['xJOf', join(corpus, 'peers/nfdump/golden.tar.xz'), name]).toString()
  const records = readNfdump(text).map(({ values, all }) =>
    ({ values: values.filter((value) => !TIMES.has(value.field)), all }))
  const { pairs } = readSamples(sflowPacketsOf(corpus, file))
  const flows = pairs.filter(({ sample: { flow } }) => flow)
  // its records do not tell where they come from: by order, discarded packets left out
  const aligned = align(flows, records, ({ sample: { format } }) => format === 5 ? 'discarded' : '', () => '')
  const path = `peers/nfdump/${name}`
  return {
    path, files: [file], records: records.length,
    readings: [...compareFlows(`sfcapd ${version}`, path, aligned)],
  }
}

function* compareFlows(
  peer: string, golden: string, aligned: Iterable<[SamplePair | undefined, PeerRecord | undefined]>,
): Generator<Reading> {
  let record = 0
  for (const [ours, theirs] of aligned) {
    const base = { peer, golden, record, row: ours?.row, sample: ours?.sample, all: theirs?.all }
    if (ours?.row && theirs) yield* compareValues(base, ours.row, theirs)
    else yield { ...base, field: 'record', ours: ours && 'a flow', theirs: theirs && 'a record' }
    if (theirs) record++
  }
}

/** Two lists side by side, in their order; what has no counterpart of the same key stands alone. */
function* align<A, B>(
  ours: readonly A[], theirs: readonly B[], ourKey: (one: A) => string, theirKey: (one: B) => string,
): Generator<[A | undefined, B | undefined]> {
  const keys = new Set(theirs.map(theirKey))
  let next = 0
  for (const one of ours) {
    const key = ourKey(one)
    if (!keys.has(key)) {
      yield [one, undefined]
      continue
    }
    while (next < theirs.length && theirKey(theirs[next]) !== key) yield [undefined, theirs[next++]]
    yield [one, theirs[next++]]
  }
  while (next < theirs.length) yield [undefined, theirs[next++]]
}

interface RawMessage {
  readonly 'agent-ip': string
  readonly 'sub-agent-id': number
  readonly 'sequence-number': number
  readonly uptime: number
  readonly samples: readonly RawSample[]
}

/** One sample in goflow2's own structure. */
export interface RawSample extends Record<string, unknown> {
  readonly header: Readonly<Record<string, number>>
  readonly records: readonly {
    readonly header: Readonly<Record<string, number>>
    readonly data: Readonly<Record<string, unknown>>
  }[]
}

/** goflow2's reading of the structures, a datagram a line: also of counters, and of discarded packets. */
function goflow2Raw(corpus: string, file: string, pairs: readonly SamplePair[]): Golden {
  const path = 'peers/goflow2/sflow.raw.json.gz'
  const lines = gunzipSync(readFileSync(join(corpus, path))).toString().split('\n').filter(Boolean)
  const messages = lines.map((line) => (parseJson(line) as { message: RawMessage }).message)
  const ours = [...Map.groupBy(pairs, ({ sample: { packet } }) => packet).values()]
  const aligned = align(ours, messages, ([{ sample: { header } }]) => `${header.agent} ${header.sequence}`,
    (message) => `${message['agent-ip']} ${message['sequence-number']}`)
  const readings: Reading[] = []
  let record = 0
  for (const [group, message] of aligned) {
    for (let i = 0; i < Math.max(group?.length ?? 0, message?.samples.length ?? 0); i++) {
      const pair = group?.[i]
      const raw = message?.samples[i]
      const [row, sample] = [pair?.row, pair?.sample]
      const base = { peer: 'goflow2 sFlow', golden: path, record, row, sample, all: raw }
      if (!pair || !raw) {
        readings.push({ ...base, field: 'record', ours: pair && 'a sample', theirs: raw && 'a sample' })
        continue
      }
      for (const [name, theirs] of rawValues(message!, raw)) {
        const value = pair.row?.fields.get(name) ?? pair.counters?.values[name]
        if (value === undefined && theirs === '0') continue
        readings.push({ ...base, field: name, ours: value === undefined ? value : String(value), theirs })
      }
    }
    if (message) record++
  }
  return { path, files: [file], records: lines.length, readings }
}

/** Values of a raw sample under flowkit's names of fields and counters. */
function rawValues(message: RawMessage, raw: RawSample): [string, string][] {
  const { header, records } = raw
  const values: [string, unknown][] = []
  const isFlow = header['format'] % 2 === 1
  for (const { header: { 'data-format': format }, data } of records) {
    if (!isFlow) values.push(...rawCounters(data))
    else if (format === 1001) values.push(['vlan_id', data['src-vlan']], ['post_vlan_id', data['dst-vlan']])
    else if (format === 1) values.push(['frame_length', data['frame-length']])
    else if (format === 2) {
      const mac = (text: unknown): string => formatMac(Buffer.from(String(text), 'base64').readUIntBE(0, 6))
      values.push(['frame_length', data['length']], ['src_mac', mac(data['src-mac'])])
      values.push(['dst_mac', mac(data['dst-mac'])], ['etype', data['eth-type']])
    }
  }
  if (isFlow) {
    const point = (BigInt(header['source-id-type']) << 32n) + BigInt(header['source-id-value'])
    values.push(
      ['agent_addr', message['agent-ip']], ['sub_agent_id', message['sub-agent-id']],
      ['sequence_num', message['sequence-number']], ['sys_uptime', message.uptime],
      ['observation_point_id', point], ['sample_drops', raw['drops']],
      ['sampling_rate', raw['sampling-rate']], ['sample_pool', raw['sample-pool']],
      ['in_if', raw['input'] ?? raw['input-if-value']], ['out_if', raw['output'] ?? raw['output-if-value']],
    )
  }
  return values.filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)])
}

/** Counters of a record, none of one that goflow2 has the bytes of only, which it calls data. */
function rawCounters(data: Readonly<Record<string, unknown>>): [string, unknown][] {
  if ('data' in data) return []
  return Object.entries(data).map(([name, value]) => {
    const plain = name.replaceAll('-', '_')
    return [OTHER_NAMES[plain] ?? plain, value]
  })
}

function field(all: unknown, name: string): unknown {
  return (all as Record<string, unknown>)[name]
}
