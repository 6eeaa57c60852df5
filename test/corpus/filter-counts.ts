/** How many flows nfdump's filters select of its own files, held against what they select in flowkit. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { compileFilter, parseFilter, type Filter } from '../../core/filter/filter.ts'
import { allOf } from '../../core/filter/node.ts'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { nfdump } from '../../formats/nfdump.ts'
import type { FlowFormat } from '../../formats/format.ts'

const FOLDER = 'peers/nfdump'

/** What became of the filters of a peer. */
export interface FilterReport {
  readonly same: number
  /** Differences by the reason for them. */
  readonly explained: ReadonlyMap<string, number>
  readonly problems: readonly string[]
}

/** Why nfdump selects other flows. */
interface Reason {
  readonly id: string
  readonly version?: '1.7.1' | '1.7.8'
  readonly filter: RegExp
  readonly file?: RegExp
  /** The filter that selects as many here; undefined where files do not hold what it would take. */
  readonly as?: (filter: string) => string
}

/** See corpus-notes.md. */
const REASONS: readonly Reason[] = [
  { id: 'comment-only', filter: /^#/, as: () => 'not any' },
  { id: 'flags-all', version: '1.7.8', filter: /not flags AFRPU/, as: () => 'flags S and not (flags AFRPU)' },
  { id: 'no-flows', version: '1.7.8', filter: /^flows/, as: (filter) => `${filter} and defined flows` },
  {
    id: 'absent-zero', version: '1.7.1', filter: /^dst tos 0$/,
    as: (filter) => `${filter} or not defined post_tos`,
  },
  {
    id: 'absent-zero', version: '1.7.1', filter: /^flowdir ingress$/,
    as: (filter) => `${filter} or not defined direction`,
  },
  {
    id: 'absent-zero', filter: /^engine-type 0$/, as: (filter) => `${filter} or not defined engine_type`,
  },
  {
    id: 'no-times', filter: /^duration [=<]/,
    as: (filter) => `(${filter} and not flow_end < flow_start) or not defined flow_start`,
  },
  {
    id: 'no-times', version: '1.7.1', filter: /^duration >/,
    as: (filter) => `${filter} or flow_end < flow_start or (defined flow_start and not defined flow_end)`,
  },
  {
    id: 'no-times', version: '1.7.8', filter: /^duration >/,
    as: (filter) => `${filter} or not defined flow_start`,
  },
  { id: 'no-times', filter: /^bps </, as: (filter) => `${filter} or not defined flow_end` },
  {
    id: 'event-time', version: '1.7.8', filter: /^first seen/,
    as: (filter) => `${filter} or (not defined flow_start and ${filter.replace('first seen', 'event_time')})`,
  },
  { id: 'engine-of-source', filter: /^engine-id 42$/, as: () => 'observation domain id 42' },
  { id: 'status-names', filter: /^fwdstat forw$/, as: () => 'fwdstat 1' },
  {
    id: 'one-event', version: '1.7.1', filter: /^(asa|nat) event/,
    as: (filter) => `${filter} or nat event ${numbered(filter)} or asa event ${numbered(filter)}`,
  },
  { id: 'mpls-any', version: '1.7.1', filter: /^mpls any/, as: () => 'not any' },
  {
    id: 'mpls-places', version: '1.7.8', filter: /^mpls (label|exp)\d/,
    as: (filter) => filter.replace(/\d+/, (place) => String(Number(place) + 1)),
  },
  { id: 'no-ethertype', version: '1.7.8', filter: /^ethertype/, as: () => 'not any' },
  {
    id: 'ipv6-in-list', version: '1.7.8', filter: /^ip in \[.*:/,
    as: (filter) => filter.replace(/[\da-f:]*:[\da-f:]*\/\d+/, ''),
  },
  { id: 'domain-of-exporter', filter: /^observation domain id/, file: /^ipfix/, as: () => 'not any' },
  { id: 'both-families', filter: /^(ipv4|ipv6|inet6?|proto tcp and ipv6)$/, file: /pmacct/ },
]

/** nfdump filters that flowkit refuses, since flows do not carry what they are about. */
const REFUSED = /^(ident|count|sysid|payload)\b/

/** Compare every filter and file of the counts, by 1.7.1 and 1.7.8. */
export function filterCounts(corpus: string): FilterReport {
  const explained = new Map<string, number>()
  const problems: string[] = []
  let same = 0
  const counts = join(corpus, FOLDER, 'filter-counts.tsv.gz')
  if (!existsSync(counts)) return { same, explained, problems }
  const [, ...lines] = gunzipSync(readFileSync(counts)).toString().trimEnd().split('\n')
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    execFileSync('tar', ['xJf', join(corpus, FOLDER, 'real.tar.xz'), '-C', folder])
    const files = new Map<string, readonly FlowBatch[]>()
    for (const line of lines) {
      const [file, program, exit, matching, text] = line.split('\t')
      const version = program === 'nfdump' ? '1.7.1' : '1.7.8'
      const place = file.startsWith('real/') ? folder : join(corpus, FOLDER)
      const batches = files.get(file) ?? readBatches(nfdump, readFileSync(join(place, file)))
      files.set(file, batches)
      if (exit !== '0') continue // it refuses what flowkit may take
      const found = countLines(text, batches, version)
      const id = found === Number(matching) ? '' : reasonFor(text, file, version, Number(matching), batches)
      if (id === '') same++
      else if (id !== undefined) explained.set(id, (explained.get(id) ?? 0) + 1)
      else problems.push(`${file}: "${text}" selects ${found ?? 'nothing'}, in ${version} ${matching}`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return { same, explained, problems }
}

function reasonFor(
  text: string, file: string, version: string, matching: number, batches: readonly FlowBatch[],
): string | undefined {
  if (REFUSED.test(text) && parsed(text) === undefined) return 'not-in-flows'
  return REASONS.find((reason) => {
    if (!reason.filter.test(text) || (reason.version ?? version) !== version) return false
    if (reason.file && !reason.file.test(file.replace('real/', ''))) return false
    return reason.as === undefined || countLines(reason.as(text), batches, version) === matching
  })?.id
}

/** The lines that nfdump would print: 1.7.8 has a second one for the tunnel of a flow. */
function countLines(text: string, batches: readonly FlowBatch[], version: string): number | undefined {
  const filter = parsed(text)
  if (!filter) return undefined
  const rows = countRows(filter, batches)
  if (version === '1.7.1') return rows
  const tunnel = parseFilter('defined tun_proto')
  return rows + countRows({ text, root: allOf([filter.root, tunnel.root]) }, batches)
}

function parsed(text: string): Filter | undefined {
  try {
    return parseFilter(text)
  } catch (error) {
    if (error instanceof FlowkitError) return undefined
    throw error
  }
}

/** How many rows of the batches a filter selects. */
export function countRows(filter: Filter, batches: readonly FlowBatch[]): number {
  const select = compileFilter(filter)
  return batches.reduce((sum, batch) => sum + select(batch, new Uint8Array(batch.length)), 0)
}

/** All rows of a file, of all fields. */
export function readBatches(format: FlowFormat, bytes: Uint8Array): readonly FlowBatch[] {
  const decoder = format.decoder!({ fields: FIELDS.map(({ id }) => id), onFault() {} })
  const batches: FlowBatch[] = []
  for (let at = 0; ;) {
    const batch = new FlowBatch()
    at = decoder.decode(bytes, at, batch)
    batches.push(batch)
    if (batch.length < BATCH_SIZE) break
  }
  decoder.end?.(batches.at(-1)!)
  return batches
}

/** What follows `event`, with the numbers of the words. */
function numbered(filter: string): string {
  const numbers: Readonly<Record<string, number>> =
    { create: 1, add: 1, delete: 2, deleted: 2, denied: 3, alert: 4 }
  return filter.replace(/^(asa|nat) event /, '').replace(/[a-z]+$/, (word) => String(numbers[word]))
}
