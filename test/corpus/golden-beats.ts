/** Filebeat's goldens: JSON with every element of every record, of flows and of options, by its name. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { findElement } from '../../core/flow/elements.ts'
import { readPairs, type Golden, type Pair, type Reading, type Value } from './compare.ts'
import { packetsOf, type Listed } from './corpus.ts'
import { compareNamed, isNamed, isTime, timeOfNumber, uptimeText, type NamedValue } from './named-values.ts'
import { parseJson, timeText } from './values.ts'
import type { WireElement, WireHeader } from './wire.ts'

const FOLDER = 'real/beats/x-pack/filebeat/input/netflow/testdata'

/** Goldens of several files, of which the list names only some. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  'Netflow-9-multiple-netflow-exporters': [
    'netflow9_test_nprobe_tpl.dat', 'netflow9_test_softflowd_tpl_data.dat', 'netflow9_test_nprobe_data.dat',
  ],
}

/** Filebeat's names of elements that have another, with enterprise and id. */
const NAMES: Readonly<Record<string, string>> = {
  fw_ext_event: '0/33002', asa_username: '0/40000', asa_xlate_src_addr_ipv4: '0/40001',
  asa_xlate_dst_addr_ipv4: '0/40002', asa_xlate_src_port: '0/40003', asa_xlate_dst_port: '0/40004',
  asa_fw_event: '0/40005',
}

interface Exporter {
  readonly source_id: number
  readonly timestamp: string
  readonly uptime_millis: number
}

type Fields = Readonly<Record<string, unknown>> & { readonly exporter: Exporter }

interface File {
  readonly events?: readonly { readonly Fields: { readonly netflow: Fields } }[]
}

/** Filebeat's goldens and the readings of each. */
export function* beats(corpus: string, list: readonly Listed[]): Generator<Golden> {
  for (const name of readdirSync(join(corpus, FOLDER, 'golden')).sort()) {
    const path = `${FOLDER}/golden/${name}`
    const files = FILES[name.replace('.golden.json', '')]?.map((file) => `${FOLDER}/dat/${file}`)
      ?? list.filter(({ golden }) => golden === path).map((listed) => listed.path)
    const { events = [] } = parseJson(readFileSync(join(corpus, path), 'utf8')) as File
    const pairs = readPairs(files.flatMap((file) => packetsOf(corpus, file)))
    const began = beganAt(events)
    const readings: Reading[] = []
    for (let record = 0; record < Math.max(events.length, pairs.length); record++) {
      const base = { peer: 'beats', golden: path, record }
      const values = compareRecord(pairs[record], events[record]?.Fields.netflow, began)
      for (const value of values) readings.push({ ...base, ...value })
    }
    yield { path, files, records: events.length, readings }
  }
}

function* compareRecord(pair: Pair | undefined, fields: Fields | undefined, began: number): Generator<Value> {
  const { sent, row } = pair ?? {}
  if (!fields || !sent || !row) {
    yield { field: 'record', ours: row && 'a flow', theirs: fields && 'a record', sent, all: fields }
    return
  }
  const { exporter, type, ...theirs } = fields
  const header: Record<string, number> = {
    observation_domain_id: exporter.source_id, export_secs: Date.parse(exporter.timestamp) / 1000,
    ...sent.header.version === 9 && { sys_uptime: exporter.uptime_millis },
  }
  for (const [field, value] of Object.entries(header)) {
    yield { row, sent, all: fields, field, ours: row.fields.get(field), theirs: String(value) }
  }
  const values = Object.entries(theirs).map(([name, value]): NamedValue => ({
    name,
    raw: String(value),
    is: (pen, id) => name in NAMES ? NAMES[name] === `${pen}/${id}` : isNamed(name, pen, id),
    text: (element, field) => theirText(element, value, field, sent.header, began),
  }))
  yield* compareNamed(pair!, values, fields, true)
}

/** A value as flowkit's text of it, by the element's type and, of uptimes, by where flowkit has it. */
function theirText(
  element: WireElement, value: unknown, field: string, header: WireHeader, began: number,
): string {
  const { pen, id } = element
  if (isTime(pen, id)) {
    return typeof value === 'number' ? timeOfNumber(element, value) : timeText(String(value))
  }
  if (pen === 0 && (id === 21 || id === 22)) {
    return began >= 0 ? String(began + Number(value) * 1000) : uptimeText(Number(value), field, header)
  }
  if (findElement(pen, id)?.type !== 'octetArray') return String(value)
  const text = String(value)
  return /^[0-9a-f-]{26}$/.test(text) ? text.replaceAll('-', '') : Buffer.from(text, 'base64').toString('hex')
}

/** When the exporter began, µs since the epoch, as an options record tells it; -1 if none does. */
function beganAt(events: NonNullable<File['events']>): number {
  for (const { Fields: { netflow: { options } } } of events) {
    const began = (options as Record<string, string> | undefined)?.system_init_time_milliseconds
    if (began !== undefined) return Number(timeText(began))
  }
  return -1
}
