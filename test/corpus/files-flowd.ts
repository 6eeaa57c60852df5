/** flowd's logs as a whole: their text as flowd-reader prints it, the way back, and what its filters keep. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { compileFilter, parseFilter } from '../../core/filter/filter.ts'
import { compileTags } from '../../core/filter/tags.ts'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { flowdCsv } from '../../formats/flowd-csv.ts'
import { flowdText, flowdTextV } from '../../formats/flowd-text.ts'
import { flowd } from '../../formats/flowd.ts'
import type { FlowFormat, WriteRequest } from '../../formats/format.ts'
import { flowdConfigs } from './config-flowd.ts'
import { has } from './corpus.ts'
import { withFlowdLogs, type FlowdLog } from './golden-flowd.ts'

const ALL = FIELDS.map(({ id }) => id)
/** Goldens of flowd-reader, and how flowkit prints the same. */
const TEXTS: readonly (readonly [ending: string, format: FlowFormat, request: WriteRequest])[] = [
  ['txt', flowdText, {}], ['U.txt', flowdText, {}], ['v.txt', flowdTextV, {}], ['csv', flowdCsv, {}],
]
/** The golden of flowd-reader -H 7: so many flows from the first on. */
const HEAD = { ending: 'H7.txt', flows: 7 }
const CRC_BIT = 0x40000000

/** What became of the logs. */
export interface FlowdReport {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

/** Compare the texts, the logs written again, and the flows that each filter keeps. */
export function checkFlowd(corpus: string): FlowdReport {
  if (!has(corpus, 'peers/flowd/filters.tar.xz')) return { summary: "flowd's logs: none", problems: [] }
  const explained = new Map<string, number>()
  const problems: string[] = []
  const counts = { lines: 0, same: 0, kept: 0 }
  function explain(id: string): void {
    explained.set(id, (explained.get(id) ?? 0) + 1)
  }

  /** Count the lines of a golden, and tell of those that are others. */
  function compareText(log: FlowdLog, ending: string, format: FlowFormat, flows: number = Infinity): void {
    const golden = log.golden(ending)?.replace(/^LOGFILE .*\n/, '')
    if (golden === undefined) return
    const lines = golden.split('\n')
    const batch = readLog(log.bytes)
    batch.length = Math.min(batch.length, flows)
    const ours = print(batch, format).split('\n')
    const unchecked = print(batch, flowdText, { fields: ALL }).split('\n')
    counts.lines += lines.length - 1
    const isDamaged = log.path.includes('damaged/')
    if (ours.length !== lines.length) {
      if (isDamaged && ours.length > lines.length) explain('flowd-stops')
      else problems.push(`${log.path}.${ending}: ${ours.length - 1} lines, theirs ${lines.length - 1}`)
    }
    for (const [i, line] of lines.slice(0, -1).entries()) {
      if (line === ours[i]) continue
      const isRewritten = log.path.includes('v2/')
      if (ending === 'v.txt' && line === unchecked[i]) explain('flowd-unchecked')
      else if (isRewritten && withoutEngine(line) === withoutEngine(ours[i])) explain('flowd-engine')
      else problems.push(`${log.path}.${ending} line ${i}: ours ${ours[i]}, theirs ${line}`)
    }
  }

  withFlowdLogs(corpus, (logs, filters) => {
    const named = (...names: string[]) => names
      .map((name) => logs.find(({ path }) => path === `peers/flowd/${name}`)!)
    const two = 'peers/flowd/two-files.txt'
    compareText({
      path: two, golden: () => readFileSync(join(corpus, two), 'utf8'),
      bytes: Buffer.concat(named('all-v1.flowd', 'all-v7.flowd').map(({ bytes }) => bytes)),
    }, 'txt', flowdText)
    const [former, converted] = named('v2/handmade-v2.flowd', 'v2/converted-v3.flowd')
    for (const [ending, format] of TEXTS) {
      compareText({ ...converted, bytes: write(readLog(former.bytes)) }, ending, format)
    }
    for (const log of logs) {
      for (const [ending, format] of TEXTS) compareText(log, ending, format)
      compareText(log, HEAD.ending, flowdText, HEAD.flows)
      if (/damaged|v2/.test(log.path)) continue
      const [again, whole] = [write(readLog(log.bytes)), withChecksums(log.bytes)]
      if (again.equals(whole)) counts.same++
      else problems.push(`${log.path}: written again it is another`)
    }
    const all = readFileSync(join(filters, 'f01-default.flowd'))
    for (const name of readdirSync(filters).filter((each) => each.endsWith('.conf')).sort()) {
      const stem = join(filters, name.slice(0, -5))
      const rules = readFileSync(`${stem}.conf`, 'utf8')
      for (const [golden, isOwn] of [[`${stem}.reader-f.txt`, true], [`${stem}.flowd.txt`, false]] as const) {
        if (!existsSync(golden)) continue
        const plain = (text: string): string => plainLines(text, isOwn)
        const theirs = plain(readFileSync(golden, 'utf8'))
        const [ours, literal] = [rules, asFlowdTakes(rules)]
          .map((each) => plain(print(keep(all, each), flowdText)))
        counts.kept += theirs.split('\n').length - 1
        if (ours === theirs) continue
        if (literal === theirs) explain('flowd-any')
        else problems.push(`filters/${name}: other flows than in ${golden.slice(stem.length + 1)}`)
      }
    }
  })
  const configs = flowdConfigs(corpus)
  problems.push(...configs.problems)
  const reasons = [...explained, ...configs.explained].map(([id, count]) => `${id} ${count}`).join(', ')
  const summary = `flowd's logs: ${counts.lines} lines of text, ${counts.kept} flows kept by filters, `
    + `${counts.same} logs become the same again, ${configs.same} configurations taken or refused as by `
    + `flowd; ${problems.length} problems, explained: ${reasons}`
  return { summary, problems }
}

function readLog(bytes: Uint8Array): FlowBatch {
  const batch = new FlowBatch()
  try {
    flowd.decoder!({ fields: ALL, extras: true, onFault: () => {} }).decode(bytes, 0, batch)
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
  return batch
}

function print(batch: FlowBatch, format: FlowFormat, request: WriteRequest = {}): string {
  const encoder = format.encoder!({ utc: true, ...request })
  const text = Buffer.from(encoder.encode(batch)).toString()
  return text + Buffer.from(encoder.finish?.() ?? []).toString()
}

function write(batch: FlowBatch): Buffer {
  return Buffer.from(flowd.encoder!({}).encode(batch))
}

/** The log with a checksum for each record that has none. */
function withChecksums(log: Buffer): Buffer {
  const records: Buffer[] = []
  for (let at = 0; at < log.length;) {
    const end = at + 8 + log[at + 1] * 4
    const record = Buffer.from(log.subarray(at, end))
    at = end
    records.push(record)
    if ((record.readUInt32BE(4) & CRC_BIT) !== 0) continue
    record[1]++
    record.writeUInt32BE(record.readUInt32BE(4) | CRC_BIT, 4)
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(~crc32(record, 0xffffffff) >>> 0) // begun with 0 and not inverted
    records.push(sum)
  }
  return Buffer.concat(records)
}

/** The flows of a log that a flowd.conf lets in. */
function keep(log: Uint8Array, conf: string): FlowBatch {
  const batch = readLog(log)
  const sources = Array.from(conf.matchAll(/^flow source (\S+)/gm), ([, from]) => `exporter_addr = ${from}`)
  const zone = process.env.TZ
  process.env.TZ = 'UTC' // as where the goldens were made
  for (const filter of [parseFilter(conf, { dialect: 'flowd' }), parseFilter(sources.join(' or '))]) {
    const selected = new Uint8Array(batch.length)
    compileFilter(filter)(batch, selected)
    batch.keep(selected)
    compileTags(filter.tags ?? [])(batch)
  }
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
  return batch
}

/** Rules as flowd takes them: `any` without a port is an address that no flow has. */
function asFlowdTakes(conf: string): string {
  return conf.replaceAll(/^(?:accept|discard)\b.*\b(?:src|dst) any(?! port).*\n/gm, '')
}

/** Lines without the times of another run. */
function plainLines(text: string, isSameRun: boolean): string {
  return isSameRun ? text : text.replaceAll(/ recv_time \S+/g, '')
}

/** A line without engine numbers, and without the checksum that they are part of. */
function withoutEngine(line: string | undefined): string | undefined {
  const engine = /^\d+(,[^,]*){7}/.exec(line ?? '')?.[0].length
  if (engine !== undefined) return line!.slice(0, engine) + line!.slice(engine).replace(/^,\d+,\d+/, '')
  return line?.replace(/engine_type \d+ engine_id \d+/, '').replace(/crc32 \w+ /, '')
}
