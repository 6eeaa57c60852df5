/** VPC flow logs, and what Filebeat's module makes of each record. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FlowBatch } from '../../core/flow/batch.ts'
import { elementName, findElement } from '../../core/flow/elements.ts'
import { formatElement } from '../../core/flow/element-value.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { vpcLog } from '../../formats/vpc-log.ts'
import type { Golden, Reading } from './compare.ts'
import { has, type Listed } from './corpus.ts'
import type { Explanation } from './explain.ts'
import { rowOf, type Row } from './rows.ts'
import { timeText } from './values.ts'

const VERSION_5 = 'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes '
  + 'start end action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr '
  + 'region az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction '
  + 'traffic-path'
const ECS = 'cluster-arn cluster-name container-instance-arn container-instance-id container-id '
  + 'second-container-id service-name task-definition-arn task-arn task-id'
const GATEWAY = 'version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id '
  + 'tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni '
  + 'tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol '
  + 'packets bytes start end log-status type packets-lost-no-route packets-lost-blackhole '
  + 'packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service '
  + 'pkt-dst-aws-service'

/** Formats of logs without a header that have more than version 2, in AWS's order of the fields. */
const FORMATS: readonly (readonly [path: RegExp, format: string])[] = [
  [/v5-all-fields/, VERSION_5],
  [/ecs-samples/, `${VERSION_5} ${ECS.split(' ').map((name) => `ecs-${name}`).join(' ')}`],
  [/tgw-samples/, GATEWAY],
]

/** Why flowkit and Filebeat differ; see corpus-notes.md. */
export const VPC_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'vpc-no-flow', peers: ['beats-vpc'],
    reason: 'Filebeat makes events of NODATA and SKIPDATA records too',
    applies: ({ field, ours, all }) => (
      field === 'record' && ours === undefined && /"(NODATA|SKIPDATA)"/.test(JSON.stringify(all))
    ),
  },
]

/** What was read in a log. */
export interface VpcReading {
  readonly rows: readonly Row[]
  /** Records that tell of no flow. */
  readonly others: number
  readonly faults: readonly string[]
}

/** Read a log of the corpus. */
export function readVpcLog(corpus: string, path: string): VpcReading {
  const vpcFormat = FORMATS.find(([pattern]) => pattern.test(path))?.[1].split(' ')
  const loss = newLoss()
  const faults: string[] = []
  const decoder = vpcLog.decoder!({
    fields: FIELDS.map(({ id }) => id), extras: true, loss, onFault: ({ reason }) => faults.push(reason),
    ...vpcFormat && { vpcFormat },
  })
  const batch = new FlowBatch()
  const bytes = readFileSync(join(corpus, path))
  if (decoder.decode(bytes, 0, batch) !== bytes.length) faults.push('not read to its end')
  decoder.end?.(batch)
  const rows = Array.from({ length: batch.length }, (_, i) => rowOf(batch, i, 0))
  return { rows, others: loss.rows.unknown, faults }
}

/** An event of Filebeat: its members by dotted names, or those of `aws.vpcflow` in an object. */
type Event = Readonly<Record<string, unknown>>

/** The goldens that lie beside logs, and the readings of each. */
export function vpcReadings(corpus: string, list: readonly Listed[]): Golden[] {
  const goldens = list.filter(({ protocol, golden }) => (
    /^AWS VPC.* text$/.test(protocol) && golden.endsWith('.json') && has(corpus, golden)
  ))
  return goldens.map(({ path, golden }): Golden => {
    const found = JSON.parse(readFileSync(join(corpus, golden), 'utf8')) as Event[] | { expected: Event[] }
    const events = Array.isArray(found) ? found : found.expected
    const { rows } = readVpcLog(corpus, path)
    let next = 0
    const readings = events.flatMap((event, record): Reading[] => {
      const values = valuesOf(event)
      const row = hasFlow(values) ? rows[next++] : undefined
      const base = { peer: 'beats-vpc', golden, record, row, all: event }
      if (!row) return [{ ...base, field: 'record', ours: undefined, theirs: 'a record' }]
      const ours = oursOf(row)
      return Array.from(values, ([field, theirs]) => ({ ...base, field, ours: ours.get(field), theirs }))
    })
    return { path: golden, files: [path], records: events.length, readings }
  })
}

function hasFlow(values: ReadonlyMap<string, string>): boolean {
  return values.has('action') || values.has('src_addr')
}

/** flowkit's fields, and elements without one by their names. */
function oursOf({ fields, extras }: Row): Map<string, string> {
  const values = new Map(fields)
  for (const { pen, id, bytes } of extras) {
    const value = formatElement(findElement(pen, id)?.type, bytes, 0, bytes.length)
    values.set(elementName(pen, id), String(value))
  }
  values.set('action', values.get('forwarding_status') === '64' ? 'ACCEPT' : 'REJECT')
  return values
}

/** Filebeat's names of what flowkit has a field for. */
const NAMES: Readonly<Record<string, string>> = {
  'source.ip': 'src_addr', 'source.port': 'src_port', 'destination.ip': 'dst_addr',
  'destination.port': 'dst_port', 'network.iana_number': 'proto', 'network.bytes': 'bytes',
  'network.packets': 'packets', 'event.start': 'flow_start', 'event.end': 'flow_end',
}
/** Members of `aws.vpcflow` that are called otherwise. */
const OWN: Readonly<Record<string, string>> = {
  pkt_srcaddr: 'pkt_src_addr', pkt_dstaddr: 'pkt_dst_addr', pkt_src_service: 'pkt_src_aws_service',
  pkt_dst_service: 'pkt_dst_aws_service', type: 'etype',
}
/** What flowkit leaves out of each record, and what Filebeat spells out. */
const LEFT_OUT = /^(version|log_status|tcp_flags_array)$/

function valuesOf(event: Event): Map<string, string> {
  const values = new Map<string, string>()
  const own = Object.entries((event['aws.vpcflow'] ?? {}) as Event)
  const dotted = Object.entries(event).filter(([name]) => name.startsWith('aws.vpcflow.'))
    .map(([name, value]) => [name.slice('aws.vpcflow.'.length), value] as const)
  for (const [name, value] of [...own, ...dotted]) {
    if (LEFT_OUT.test(name)) continue
    values.set(OWN[name] ?? name, name === 'type' ? String(value === 'IPv6' ? 0x86dd : 0x800) : String(value))
  }
  for (const [name, field] of Object.entries(NAMES)) {
    if (event[name] === undefined) continue
    const value = String(event[name])
    values.set(field, name.startsWith('event.') ? timeText(value) : value)
  }
  return values
}
