/** Every file by itself: as many records as the list says, and each value from an element that was sent. */
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { netflowPcap } from '../../formats/netflow-pcap.ts'
import type { Golden } from './compare.ts'
import { packetsOf, wireFiles, type Listed, type Packet } from './corpus.ts'
import { isForeign } from './peers.ts'
import { decode, rowOf, type Row } from './rows.ts'
import { checkSources } from './sources.ts'
import { readWire } from './wire.ts'

/** What became of the files. */
export interface FilesReport {
  readonly files: number
  readonly rows: number
  readonly values: number
  /** Files by the reason why their records or faults are not what the list lets expect. */
  readonly explained: ReadonlyMap<string, number>
  /** Files of nfdump's own datagrams, which are not read. */
  readonly foreign: readonly string[]
  readonly problems: readonly string[]
}

/** Protocols of the list that are compared; `other` is rubbish, of which no more is asked than a fault. */
const COMPARED = /^(raw|pcap):(NFv[15679]|IPFIX)|^IPFIX file$|^other$/
const FOREIGN = 'nfdump'

/** Damage that the list knows of, so that a fault is due. */
const DAMAGED =
  /length-mismatch|set-overruns|bad-set-length|truncated-template|template-id<256|ipfix-length!=|garbage/

/** Files whose records or faults differ from the list's: why, and how many flowkit reads. */
const REASONS: readonly { readonly id: string, readonly path: RegExp, readonly records: number }[] = [
  // counted with templates from files that this part of the collection does not have
  { id: 'list-other-files', path: /v9\.(dump|flowStart|sampler)|dataset-only|v9-3_incomplete/, records: 0 },
  // counted with a template that another exporter's file has under the same id
  { id: 'list-other-template', path: /ipfix-srv6-data\.pcap/, records: 1 },
  // its templates are in a message filled up with zeros, which the list's tool could not read
  { id: 'zero-filled', path: /cisco_aci_data256/, records: 3 },
  // an IPFIX message with a set of id 1, which is reserved
  { id: 'v9-set-in-ipfix', path: /tests_L1441_v10/, records: 1 },
  // a record or set passes its end: the list has what lies before it, flowkit refuses the datagram
  { id: 'all-or-nothing', path: /test_L263|tests_L408_v9|issue_14370|flow5_test_invalid02/, records: 0 },
  // data whose template has no fields, from a damaged file decoded before
  { id: 'empty-template', path: /nf9_(illegal|valid)\.dat/, records: 0 },
  // bytes behind the message that are no other
  { id: 'trailing-bytes', path: /tests_L1365_v10/, records: 0 },
]

/**
 * Check all NetFlow and IPFIX files of the list and of peers/wire.
 *
 * @param goldens vouch for numbers in which the list is wrong
 * @param samples of sFlow, by file, for files of both
 */
export function checkFiles(
  corpus: string, list: readonly Listed[], goldens: readonly Golden[], samples: ReadonlyMap<string, number>,
): FilesReport {
  const wire = wireFiles(corpus).map((path): Listed => {
    const protocol = isForeign(path) ? FOREIGN : 'pcap:NFv9'
    return { path, protocol, records: NaN, quirks: '', packets: NaN, golden: '' }
  })
  const all = [...list, ...wire]
  const compared = all.filter(({ protocol }) => COMPARED.test(protocol))
  const foreign = all.filter(({ protocol }) => protocol === FOREIGN).map(({ path }) => path)
  const explained = new Map<string, number>()
  const problems: string[] = []
  let [rows, values] = [0, 0]
  const vouched = vouchedFiles(goldens)
  for (const files of Map.groupBy(compared, groupOf).values()) {
    const counts = readGroup(corpus, files, problems)
    rows += counts.rows
    values += counts.values
    for (const [i, { path, protocol, records, quirks }] of files.entries()) {
      const { found, faults } = counts.files[i]
      const isRight = Number.isNaN(records) || found + (samples.get(path) ?? 0) === records
      if (isRight && (faults.length === 0 || DAMAGED.test(quirks) || protocol === 'other')) continue
      const reason = REASONS.find((one) => one.path.test(path) && one.records === found)?.id
        ?? (faults.length === 0 && vouched.has(basename(path)) ? 'list-other-template' : undefined)
      if (reason) explained.set(reason, (explained.get(reason) ?? 0) + 1)
      else problems.push([`${path}: ${found} records, the list says ${records}`, ...faults].join('; '))
    }
  }
  return { files: compared.length, rows, values, explained, foreign, problems }
}

/** Names of the files of goldens that have as many records as flowkit read. */
function vouchedFiles(goldens: readonly Golden[]): Set<string> {
  const agreeing = goldens.filter(({ readings }) =>
    readings.every(({ field, sent }) => field !== 'record' || sent?.options))
  return new Set(agreeing.flatMap(({ files }) => files.map((file) => basename(file))))
}

/**
 * Files that are decoded together, in the list's order: a capture stands alone, datagrams of one folder share
 * their templates, and of files named X_tpl, X_data or X-template only those of one X.
 */
function groupOf({ path, protocol }: Listed): string {
  const named = /^(.*?)[-_]?(?:opt)?(?:tpl|template|options|data)/.exec(basename(path))
  const isRaw = protocol.startsWith('raw:')
  if (named && (isRaw || /data[-+.]|template/.test(basename(path)))) return `${dirname(path)}/${named[1]}*`
  return isRaw ? dirname(path) : path
}

interface GroupCounts {
  rows: number
  values: number
  readonly files: readonly { found: number, readonly faults: string[] }[]
}

function readGroup(corpus: string, files: readonly Listed[], problems: string[]): GroupCounts {
  const packets: Packet[] = []
  const owner: number[] = []
  for (const [i, { path, packets: count }] of files.entries()) {
    for (const packet of packetsOf(corpus, path, count === 1)) {
      packets.push(packet)
      owner.push(i)
    }
  }
  const { rows, counts, faults } = decode(packets)
  const own = files.map(() => ({ found: 0, faults: [] as string[] }))
  const result: GroupCounts = { rows: rows.length, values: 0, files: own }
  for (const [i, count] of counts.entries()) if (count > 0) result.files[owner[i]].found += count
  for (const { packet, error } of faults) result.files[owner[packet]].faults.push(error.message)
  const records = readWire(packets).filter(({ options }) => !options)
  const { path } = files[0]
  if (records.length > 0 && records.length !== rows.length) { // of v8 the plain reading has none
    problems.push(`${path}: ${rows.length} rows of ${records.length} records`)
  } else {
    for (const [i, record] of records.entries()) {
      result.values += rows[i].fields.size + rows[i].extras.length
      for (const { kind, field, ours, sent } of checkSources(rows[i], record)) {
        const file = files[owner[record.packet]].path
        problems.push(`${file} row ${i}: ${field} ${kind}: ours ${ours}, sent ${sent}`)
      }
    }
  }
  if (files.length === 1 && /\.pcap(\.gz)?$/.test(path)) {
    problems.push(...checkCapture(corpus, path, rows, (type) => type !== FLOW_TYPE.SFLOW_5))
  }
  return result
}

/** Whether reading the capture as a file gives the same rows of the types that are compared. */
export function checkCapture(
  corpus: string, path: string, rows: readonly Row[], isCompared: (type: number) => boolean,
): string[] {
  const found: Row[] = []
  const fields = FIELDS.map(({ id }) => id)
  const decoder = netflowPcap.decoder!({ fields, extras: true, onFault: () => {} })
  const bytes = readFileSync(join(corpus, path))
  const plain = path.endsWith('.gz') ? gunzipSync(bytes) : bytes
  const batch = new FlowBatch()
  const take = (): void => {
    for (let i = 0; i < batch.length; i++) {
      if (isCompared(batch.type[i])) found.push(rowOf(batch, i, 0))
    }
    batch.clear()
  }
  try {
    for (let at = 0, before = -1; at !== before; take()) [before, at] = [at, decoder.decode(plain, at, batch)]
    decoder.end?.(batch)
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
  take()
  const text = ({ fields }: Row): string => [...fields].join(' ')
  const at = found.findIndex((row, i) => !rows[i] || text(row) !== text(rows[i]))
  if (found.length === rows.length && at < 0) return []
  return [`${path}: ${found.length} rows of the capture, ${rows.length} of its datagrams, row ${at} differs`]
}
