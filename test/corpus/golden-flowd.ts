/** flowd's logs, and what flowd-reader -v prints of each record: held against flowkit's rows of them. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { FLOW_TYPES } from '../../core/flow/names.ts'
import { flowd } from '../../formats/flowd.ts'
import { readPairs, type Golden, type Reading } from './compare.ts'
import { packetsOf } from './corpus.ts'
import { isMissing, type Explanation } from './explain.ts'
import { compareValues } from './peers.ts'
import { rowOf, type Row } from './rows.ts'
import { headerTime, timeText } from './values.ts'

const FOLDER = 'peers/flowd'
/** A log of NetFlow v5 from a public test suite. */
const REAL = 'real/py3flowtools/tests/flowd.log'
const IPFIX = '10'
/** Logs of all flows that were sent to flowd, and the captures of the datagrams. */
const SENT: readonly (readonly [log: RegExp, capture: string])[] = [
  [/all-(.*)\.flowd$/, 'input/$1.pcap'], [/mask-.*\.flowd$/, 'input/mixshort.pcap'],
  [/filters\/f01-.*\.flowd$/, 'input/mix.pcap'],
]
/** Of the run; and uptimes of IPFIX, which are times in flowkit by what options records tell (160). */
const NOT_OF_DATAGRAMS = /^(received|tag|uptime)/

/** One log and the goldens beside it. */
export interface FlowdLog {
  /** Below the corpus. */
  readonly path: string
  readonly bytes: Buffer
  /** What flowd-reader printed of it, by the ending of the golden; undefined where there is none. */
  golden(ending: string): string | undefined
}

/** Why flowkit and flowd-reader differ; see corpus-notes.md. */
export const FLOWD_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'flowd-stops', peers: ['flowd'],
    reason: 'flowd-reader stops at a record whose checksum is wrong, flowkit goes on behind it',
    applies: (reading) => isMissing(reading) && reading.golden.includes('damaged/'),
  },
  {
    id: 'flowd-engine', peers: ['flowd'],
    reason: 'flowd stores engine type and id of v5 in the byte order of its machine',
    applies: ({ field, ours, theirs }) => (
      field.startsWith('engine_') && Number(ours) * 256 === Number(theirs)
    ),
  },
]

/** Call `use` with all logs of the corpus, and the folder that those of the filters are unpacked in. */
export function withFlowdLogs<T>(corpus: string, use: (logs: readonly FlowdLog[], filters: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    execFileSync('tar', ['xJf', join(corpus, FOLDER, 'filters.tar.xz'), '-C', folder])
    const below = ['', 'damaged/', 'v2/'].map((name) => [name, join(corpus, FOLDER, name)])
    const filters = join(folder, 'filters')
    const logs = [...below, ['filters/', filters]].flatMap(([name, place]) => readdirSync(place).sort()
      .filter((file) => file.endsWith('.flowd')).map((file): FlowdLog => ({
        path: `${FOLDER}/${name}${file}`, bytes: readFileSync(join(place, file)),
        golden: (ending) => readGolden(place, file, ending),
      })))
    const real = existsSync(join(corpus, REAL)) ? [readFileSync(join(corpus, REAL))] : []
    const others = real.map((bytes): FlowdLog => ({ path: REAL, bytes, golden: () => undefined }))
    return use([...logs, ...others], filters)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function readGolden(place: string, file: string, ending: string): string | undefined {
  const paths = [file, file.replace('.flowd', '')].map((stem) => join(place, `${stem}.${ending}`))
  const plain = paths.find((path) => existsSync(path))
  if (plain !== undefined) return readFileSync(plain, 'utf8')
  const packed = paths.find((path) => existsSync(`${path}.gz`))
  return packed && gunzipSync(readFileSync(`${packed}.gz`)).toString()
}

/** The goldens of flowd-reader -v, and the readings of each. */
export function flowdReadings(corpus: string): Golden[] {
  if (!existsSync(join(corpus, FOLDER))) return []
  return withFlowdLogs(corpus, (logs) => logs.flatMap((log): Golden[] => {
    const text = log.golden('v.txt')
    if (text === undefined) return []
    const lines = text.split('\n').filter((line) => line.startsWith('FLOW '))
    const rows = rowsOf(log.bytes)
    const path = log.path.replace(/(\.flowd)?$/, '$1.v.txt')
    const ofLog = { path, files: [log.path], records: lines.length, readings: compare(path, rows, lines) }
    const sent = SENT.find(([name]) => name.test(log.path))
    if (!sent) return [ofLog]
    const capture = log.path.replace(...sent)
    const readings = [...ofDatagrams(corpus, path, capture, lines)]
    return [ofLog, { path: `${path} of ${capture}`, files: [capture], records: lines.length, readings }]
  }))
}

/** flowkit's reading of the datagrams that flowd made a log of. */
function* ofDatagrams(
  corpus: string, golden: string, capture: string, lines: readonly string[],
): Generator<Reading> {
  const pairs = readPairs(packetsOf(corpus, capture)).filter(({ sent }) => !sent?.options)
  for (let record = 0; record < Math.max(pairs.length, lines.length); record++) {
    const base = { peer: 'flowd', golden, record, ...pairs[record], all: lines[record] }
    if (!base.row || !base.all) {
      yield { ...base, field: 'record', ours: base.row && 'a flow', theirs: base.all && 'a record' }
      continue
    }
    const values = [...valuesOf(base.all)].filter(([field]) => !NOT_OF_DATAGRAMS.test(field))
      .map(([field, text]) => ({ field, text }))
    yield* compareValues(base, base.row, { values, all: base.all })
  }
}

function compare(golden: string, rows: readonly Row[], lines: readonly string[]): Reading[] {
  return Array.from({ length: Math.max(rows.length, lines.length) }, (_, record) => {
    const [row, line] = [rows[record], lines[record]]
    const base = { peer: 'flowd', golden, record, row, all: line }
    if (!row || line === undefined) {
      return [{ ...base, field: 'record', ours: row && 'a flow', theirs: line && 'a record' }]
    }
    const theirs = valuesOf(line)
    const ours = new Map(row.fields)
    ours.delete('etype') // which goes with the addresses
    for (const { id, bytes } of row.extras) {
      ours.set(`uptime ${id}`, String(Buffer.from(bytes).readUInt32BE()))
    }
    return [...new Set([...ours.keys(), ...theirs.keys()])].map((field) => (
      { ...base, field, ours: ours.get(field), theirs: theirs.get(field) }
    ))
  }).flat()
}

/** What a line says, by flowkit's names. */
function valuesOf(line: string): Map<string, string> {
  const values = new Map<string, string>()
  function take(pattern: RegExp, ...fields: string[]): string[] {
    const found = pattern.exec(line)?.slice(1) ?? []
    for (const [i, text] of found.entries()) if (fields[i]) values.set(fields[i], text)
    return found
  }
  take(/ tag (\d+) /, 'tag')
  const [date, micros] = take(/ recv_time (\S+)\.(\d+) /)
  if (date) values.set('received', String(Number(timeText(date)) + Number(micros)))
  const [flags, tos] = take(/ tcpflags (..) tos (..) /)
  take(/ proto (\d+) /, 'proto')
  if (flags) values.set('tcp_flags', String(parseInt(flags, 16)))
  if (tos) values.set('tos', String(parseInt(tos, 16)))
  take(/ agent \[(\S+)\] /, 'exporter_addr')
  take(/ gateway \[(\S+)\] /, 'next_hop')
  take(/ src \[(\S+)\]/, 'src_addr')
  take(/ dst \[(\S+)\]/, 'dst_addr')
  take(/ src \[\S+\]:(\d+) /, 'src_port')
  take(/ dst \[\S+\]:(\d+) /, 'dst_port')
  take(/ packets (\d+) /, 'packets')
  take(/ octets (\d+) /, 'bytes')
  take(/ in_if (\d+) out_if (\d+) /, 'in_if', 'out_if')
  take(/ src_AS (\d+) src_masklen (\d+) dst_AS (\d+) dst_masklen (\d+) /,
    'src_as', 'src_mask', 'dst_as', 'dst_mask')
  take(/ engine_type (\d+) engine_id (\d+) seq (\d+) source (\d+) /,
    'engine_type', 'engine_id', 'sequence_num', 'observation_domain_id')
  const [uptime, time, nanos, version] = take(
    / sys_uptime_ms (\S+) time_sec (\S+) time_nanosec (\d+) netflow ver (\d+) /)
  const times = take(/ flow_start (\S+) flow_finish (\S+) /).map(millisOf)
  const secs = time ? Number(timeText(time)) / 1e6 : 0
  const isClocked = uptime !== undefined && (version !== IPFIX || millisOf(uptime) > 0)
  if (time) {
    const protocol = version === IPFIX ? 'IPFIX' : `NETFLOW_V${version}`
    values.set('export_secs', String(secs)).set('export_nsecs', nanos)
      .set('type', String(FLOW_TYPES.findIndex((name) => name === protocol)))
  }
  if (isClocked) values.set('sys_uptime', String(millisOf(uptime)))
  for (const [i, millis] of times.entries()) {
    if (isClocked) {
      const age = (millisOf(uptime) - millis) | 0
      values.set(['flow_start', 'flow_end'][i], String(headerTime(secs, Number(nanos)) - age * 1000))
    } else values.set(['uptime 22', 'uptime 21'][i], String(millis))
  }
  return values
}

/** Milliseconds of `1w2d3h4m5s.678`. */
function millisOf(text: string): number {
  const units: Readonly<Record<string, number>> = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 }
  let seconds = 0
  for (const [, count, unit] of text.matchAll(/(\d+)([wdhms])/g)) seconds += Number(count) * units[unit]
  return seconds * 1000 + Number(text.slice(-3))
}

function rowsOf(log: Uint8Array): Row[] {
  const batch = new FlowBatch()
  const fields = FIELDS.map(({ id }) => id)
  try {
    flowd.decoder!({ fields, extras: true, onFault: () => {} }).decode(log, 0, batch)
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
  return Array.from({ length: batch.length }, (_, i) => rowOf(batch, i, 0))
}
