/** Fields of AWS VPC and transit gateway flow logs, versions 2 to 11, and what flowkit calls them. */
import { ID } from '../flow/fields.ts'
import { FlowkitError } from '../flow/errors.ts'

/** The fields of version 2, in the order of records that come without a header and without a format. */
export const VPC_DEFAULT: readonly string[] = [
  'version', 'account-id', 'interface-id', 'srcaddr', 'dstaddr', 'srcport', 'dstport', 'protocol', 'packets',
  'bytes', 'start', 'end', 'action', 'log-status',
]

/** The ids of the fields that hold what AWS calls so; all else is an element without a field. */
export const VPC_FIELDS: ReadonlyMap<string, number> = new Map([
  ['srcaddr', ID.srcAddr], ['dstaddr', ID.dstAddr], ['pkt-srcaddr', ID.pktSrcAddr],
  ['pkt-dstaddr', ID.pktDstAddr], ['srcport', ID.srcPort], ['dstport', ID.dstPort], ['protocol', ID.proto],
  ['packets', ID.packets], ['bytes', ID.bytes], ['start', ID.flowStart], ['end', ID.flowEnd],
  ['action', ID.forwardingStatus], ['tcp-flags', ID.tcpFlags], ['type', ID.etype],
  ['flow-direction', ID.direction],
])

/**
 * Names of which a record must have one to tell of a flow. NODATA and SKIPDATA records have the interface and
 * the interval alone.
 */
export const VPC_KEYS: ReadonlySet<string> = new Set([
  'packets', 'bytes', 'protocol', 'srcport', 'dstport', 'srcaddr', 'dstaddr', 'pkt-srcaddr', 'pkt-dstaddr',
])

/** `action` as forwardingStatus (IANA element 89): forwarded and dropped, reason unknown. */
export const VPC_ACTIONS: Readonly<Record<string, number>> = { ACCEPT: 64, REJECT: 128 }

/** `flow-direction` as flowDirection (IANA element 61). */
export const VPC_DIRECTIONS: Readonly<Record<string, number>> = { ingress: 0, egress: 1 }

/** Names without a field whose values are numbers. */
export const VPC_NUMBERS: ReadonlySet<string> = new Set([
  'traffic-path', 'encryption-status', 'packets-lost-no-route', 'packets-lost-blackhole',
  'packets-lost-mtu-exceeded', 'packets-lost-ttl-expired',
])

const OTHERS = `
  vpc-id subnet-id instance-id region az-id sublocation-type sublocation-id pkt-src-aws-service
  pkt-dst-aws-service ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id
  ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id
  reject-reason resource-id instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2
  interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id
  next-hop-interface-type resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id
  tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni
  tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id`

const KNOWN: ReadonlySet<string> = new Set([
  ...VPC_DEFAULT, ...VPC_FIELDS.keys(), ...VPC_NUMBERS, ...OTHERS.trim().split(/\s+/),
])

/** Names in a header, at most: five times as many as AWS has. */
const MOST_NAMES = 256
/** Names that only AWS uses. */
const OWN = /^(interface-id|account-id|log-status|vpc-id|instance-id|tgw-id|pkt-(src|dst)addr)$/

/** The name of a field as in headers of logs: in Parquet it has underscores, in formats it is `${…}`. */
export function vpcName(text: string): string {
  return text.replace(/^\$\{(.*)\}$/, '$1').toLowerCase().replaceAll('_', '-')
}

/** What the element is called that holds a value without a field: as AWS's Parquet columns are. */
export function vpcElementName(name: string): string {
  return name.replaceAll('-', '_')
}

/** Whether AWS has a field of that name. */
export function isVpcName(name: string): boolean {
  return KNOWN.has(name)
}

/** Whether names are those of a VPC flow log: half of them, three at least, and one that nobody else has. */
export function areVpcNames(names: readonly string[]): boolean {
  const known = names.filter((name) => KNOWN.has(name))
  return known.length >= 3 && known.length * 2 >= names.length && known.some((name) => OWN.test(name))
}

/** The names in a line if it is a header. */
export function vpcHeader(line: string): string[] | undefined {
  const names = line.trim().split(/ +/).map(vpcName)
  const isList = names.length <= MOST_NAMES && new Set(names).size === names.length
  if (!isList || !names.every((name) => /^[a-z][a-z0-9-]*$/.test(name))) return undefined
  const known = names.filter((name) => KNOWN.has(name))
  return known.length >= 1 && known.length * 2 >= names.length ? names : undefined
}

/** Whether a line looks like a record of any format: words, and an interface or a verdict among them. */
export function isVpcRecord(line: string): boolean {
  const words = line.trim().split(' ')
  if (words.length < 4 || !words.every((word) => /^[\w.:/%+=@-]+$/.test(word))) return false
  const isOwn = words.some((word) => /^(eni|tgw|tgw-attach)-[0-9a-z]+$/.test(word))
  return isOwn || words.some((word) => /^(ACCEPT|REJECT)$/.test(word))
}

/**
 * The names of a log's format, as AWS writes it: `${version} ${interface-id} ${srcaddr}`, with or without the
 * signs around names, spaces or commas between.
 *
 * @throws FlowkitError ERR_OPTION for what is no name, or comes twice
 */
export function parseVpcFormat(text: string): string[] {
  const names = text.split(/[\s,]+/).filter(Boolean).map(vpcName)
  const wrong = names.find((name, i) => !/^[a-z][a-z0-9-]*$/.test(name) || names.indexOf(name) !== i)
  if (wrong === undefined && names.length > 0) return names
  const found = wrong === undefined ? 'none' : `"${wrong}"`
  const wanted = 'names of fields are expected, each once'
  throw new FlowkitError('ERR_OPTION', `Cannot use the VPC format "${text}": ${wanted}, found ${found}`)
}
