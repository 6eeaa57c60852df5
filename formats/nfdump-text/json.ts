/** nfdump's JSON: of 1.7.8 (src/output/output_json.c, output_ndjson.c), and of 1.7.1 (output_json.c). */
import type { AddressColumn } from '../../core/flow/address.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { address, bareNetwork, icmpCode, icmpType } from './addresses.ts'
import { accessList, connection, EVENT_FIELDS, eventsOf } from './events.ts'
import { groupsOf, type GroupName } from './groups.ts'
import { etherType, layer2Vlan, mplsLabel } from './headers.ts'
import { firewallEvent, formerFirewallEvent, natEventWords } from './names.ts'
import { exporterId, sampled } from './origin.ts'
import { choice, type Piece, type Value } from './rows.ts'
import { heapText } from './text.ts'
import { ISO_TIME, time } from './times.ts'
import {
  columnOf, described, isIcmp, latency, mac, number, number64, nameOf, rowNumber, tcpFlags, unlessZero,
} from './values.ts'

/** How members of objects are set. */
export interface JsonLook {
  /** Before a key's quote, between its other one and the value, and behind the value. */
  readonly before: string
  readonly between: string
  readonly behind: string
}

/** A key and its value, a text if it stands in quotes. */
type Member = readonly [key: string, value: Piece | readonly Piece[], kind?: 'text']

/** The pieces of members. */
function set(members: readonly Member[], { before, between, behind }: JsonLook): Piece[] {
  return members.flatMap(([key, value, kind]) => {
    const quote = kind === 'text' ? '"' : ''
    return [`${before}"${key}"${between}${quote}`, ...[value].flat(), quote + behind]
  })
}

/** Members whose keys tell the family of an address; a row without the address has none of them. */
function byFamily(id: number, look: JsonLook, members: (family: 4 | 6) => readonly Member[]): Value {
  return choice([id], [set(members(4), look), set(members(6), look)], (context) => {
    const column = columnOf<AddressColumn>(context, id)
    return column ? (row) => column.family[row] === 4 ? 0 : column.family[row] === 6 ? 1 : -1 : -1
  })
}

/** Members of ICMP, or of other protocols. */
function byProtocol(look: JsonLook, icmp: readonly Member[], other: readonly Member[]): Value {
  return choice([ID.proto], [set(other, look), set(icmp, look)], (context) => {
    const protos = columnOf<Uint8Array>(context, ID.proto)
    return protos ? (row) => isIcmp(protos[row]) ? 1 : 0 : 0
  })
}

/** `DF`, `DFMF`, and for the second alone `--MF`. */
function fragmentFlags(flags: number): string {
  return flags & 64 ? flags & 32 ? 'DFMF' : 'DF' : flags & 32 ? '--MF' : '--'
}

/** What stands in a JSON string for a text field. */
function jsonText(id: number, absent: string): Value {
  return described([id], 0, (context) => {
    const { batch } = context
    const pairs = columnOf<Uint32Array>(context, id)
    return pairs ? (row) => JSON.stringify(heapText(batch, pairs, row) || absent).slice(1, -1) : absent
  })
}

const hexadecimal = (value: number): string => `0x${value.toString(16)}`
const eventTime = time('event', { ...ISO_TIME, absent: '<unknown>.000' })
const milliseconds = (id: number): Piece[] => [latency(id), '000']

/** Members of each extension. */
type Members = (look: JsonLook) => readonly Piece[]

function plain(...members: readonly Member[]): Members {
  return (look) => set(members, look)
}

function times(first: 'start' | 'first'): readonly Member[] {
  return [
    ['first', time(first, ISO_TIME), 'text'], ['last', time('end', ISO_TIME), 'text'],
    ['received', time('received', ISO_TIME), 'text'],
    ['in_packets', number(ID.packets, 0)], ['in_bytes', number(ID.bytes, 0)], ['proto', number(ID.proto, 0)],
  ]
}
const icmp: readonly Member[] =
  [['icmp_type', icmpType], ['icmp_code', icmpCode], ['src_tos', number(ID.tos, 0)]]
const mpls: readonly Member[] =
  Array.from({ length: 10 }, (_, i) => [`mpls_${i + 1}`, mplsLabel(i + 1, 0), 'text'])
const vrfs: readonly Member[] = [['ingress_vrf', number(ID.srcVrf, 0)], ['egress_vrf', number(ID.dstVrf, 0)]]
const oldVrfs = vrfs.map(([key, value]): Member => [key, value, 'text'])

function addressPair(
  id: number, idOther: number, key: (side: 'src' | 'dst', family: 4 | 6) => string,
): Members {
  return (look) => [byFamily(id, look, (family) => [
    [key('src', family), address(id), 'text'], [key('dst', family), address(idOther), 'text'],
  ])]
}

function oneAddress(id: number, key: (family: 4 | 6) => string): Members {
  return (look) => [byFamily(id, look, (family) => [[key(family), address(id), 'text']])]
}

const MASKS = [ID.srcMask, ID.dstMask]
const miscMembers: readonly Member[] = [
  ['input_snmp', number(ID.inIf, 0)], ['output_snmp', number(ID.outIf, 0)],
  ['src_mask', number(ID.srcMask, 0)], ['dst_mask', number(ID.dstMask, 0)],
  ['src_net', bareNetwork(ID.srcAddr, ID.srcMask, MASKS), 'text'],
  ['dst_net', bareNetwork(ID.dstAddr, ID.dstMask, MASKS), 'text'],
  ['direction', number(ID.direction, 0)], ['dst_tos', number(ID.postTos, 0)],
]
const blockMembers: readonly Member[] = [
  ['pblock_start', number(ID.portBlockStart, 0)], ['pblock_end', number(ID.portBlockEnd, 0)],
  ['pblock_step', number(ID.portBlockStep, 0)], ['pblock_size', number(ID.portBlockSize, 0)],
]
const MEMBERS: Readonly<Record<GroupName, Members>> = {
  generic: (look) => [...set(times('start'), look), byProtocol(look, icmp, [
    ['tcp_flags', tcpFlags({ always: true }), 'text'], ['src_port', number(ID.srcPort, 0)],
    ['dst_port', number(ID.dstPort, 0)], ['fwd_status', number(ID.forwardingStatus, 0)],
    ['src_tos', number(ID.tos, 0)],
  ])],
  flow: (look) => [byFamily(ID.srcAddr, look, (family) => [
    [`src${family}_addr`, address(ID.srcAddr), 'text'], [`dst${family}_addr`, address(ID.dstAddr), 'text'],
    [`src${family}_geo`, '', 'text'], [`dst${family}_geo`, '', 'text'],
  ])],
  misc: plain(...miscMembers),
  counters: plain(
    ['out_packets', number(ID.outPackets, 0)], ['out_bytes', number(ID.outBytes, 0)],
    ['aggr_flows', number(ID.flows, 0, 1)],
  ),
  vlan: plain(['src_vlan', number(ID.vlanId, 0)], ['dst_vlan', number(ID.postVlanId, 0)]),
  as: plain(['src_as', number(ID.srcAs, 0)], ['dst_as', number(ID.dstAs, 0)]),
  bgpNextHop: oneAddress(ID.bgpNextHop, (family) => `bgp${family}_next_hop`),
  nextHop: oneAddress(ID.nextHop, (family) => `ip${family}_next_hop`),
  router: oneAddress(ID.exporterAddr, (family) => `ip${family}_router`),
  mpls: plain(...mpls),
  mac: plain(
    ['in_src_mac', mac(ID.srcMac), 'text'], ['out_dst_mac', mac(ID.postDstMac), 'text'],
    ['in_dst_mac', mac(ID.dstMac), 'text'], ['out_src_mac', mac(ID.postSrcMac), 'text'],
  ),
  adjacentAs: plain(['next_as', number(ID.nextAs, 0)], ['prev_as', number(ID.prevAs, 0)]),
  latency: plain(
    ['cli_latency', milliseconds(ID.clientLatency)], ['srv_latency', milliseconds(ID.serverLatency)],
    ['app_latency', milliseconds(ID.appLatency)],
  ),
  sampler: plain(),
  firewall: plain(
    ['connect_id', connection], ['event_id', number(ID.firewallEvent, 0)],
    ['event', nameOf(ID.firewallEvent, firewallEvent), 'text'],
    ['xevent_id', number(ID.firewallExtEvent, 0)], ['t_event', eventTime, 'text'],
  ),
  nat: addressPair(ID.postNatSrcAddr, ID.postNatDstAddr, (side, family) => `${side}${family}_xlt_ip`),
  natPorts: plain(
    ['src_xlt_port', number(ID.postNaptSrcPort, 0)], ['dst_xlt_port', number(ID.postNaptDstPort, 0)],
  ),
  accessLists: plain(
    ['ingress_acl', accessList(ID.inAcl, '/', hexadecimal), 'text'],
    ['egress_acl', accessList(ID.outAcl, '/', hexadecimal), 'text'],
  ),
  user: plain(['user_name', jsonText(ID.userName, '<empty>'), 'text']),
  natEvent: plain(
    ['nat_event_id', number(ID.natEvent, 0)], ['nat_event', nameOf(ID.natEvent, natEventWords), 'text'],
    ['nat_pool_id', number(ID.natPoolId, 0)], ['t_event', eventTime, 'text'],
  ),
  portBlock: plain(...blockMembers),
  application: plain(),
  tunnel: (look) => [byFamily(ID.tunSrcAddr, look, (family) => [
    ['tun_proto', number(ID.tunProto, 0)], [`src${family}_tun_ip`, address(ID.tunSrcAddr), 'text'],
    [`dst${family}_tun_ip`, address(ID.tunDstAddr), 'text'],
  ])],
  observation: plain(
    ['observationDomainID', number(ID.observationDomainId, 0)],
    ['observationPointID', number64(ID.observationPointId, 0)],
  ),
  frame: plain(),
  vrf: plain(...vrfs),
  packetFilter: plain(),
  layer2: plain(
    // the VLANs of a flow are its extension's for VLANs, which has no more room here
    ['vlanID', layer2Vlan(ID.vlanId, 0)], ['post_vlanID', layer2Vlan(ID.postVlanId, 0)],
    ['cust_vlanID', number(ID.customerVlanId, 0)], ['post_cust_vlanID', number(ID.postCustomerVlanId, 0)],
    ['phys_ingress', number(ID.physInIf, 0)], ['phys_egress', number(ID.physOutIf, 0)],
    ['ethertype', etherType(String)], ['ip_version', number(ID.ipVersion, 0)],
  ),
  flowId: plain(['flowID', number64(ID.flowId, 0)]),
  ip: (look) => [
    unlessZero([ID.ipFlags], set([['ip_fragment', nameOf(ID.ipFlags, fragmentFlags), 'text']], look)),
    unlessZero([ID.minTtl, ID.maxTtl], set([
      ['ip_minttl', number(ID.minTtl, 0)], ['ip_maxttl', number(ID.maxTtl, 0)],
    ], look)),
  ],
}

const PRETTY: JsonLook = { before: '  ', between: ' : ', behind: ',\n' }
const DENSE: JsonLook = { before: '', between: ':', behind: ',' }

const kind = described(EVENT_FIELDS, 0, (context) => {
  const isEvent = eventsOf(context)
  return isEvent ? (row) => isEvent(row) ? 'EVENT' : 'FLOW' : 'FLOW'
})
const head: readonly Member[] = [
  ['cnt', rowNumber(0)], ['type', kind, 'text'], ['ident', 'none', 'text'], ['export_sysid', exporterId(0)],
]
const oldHead: readonly Member[] =
  [['type', kind, 'text'], ['sampled', sampled], ['export_sysid', exporterId(0)]]

function body(shape: Shape, look: JsonLook): Piece[] {
  const members = groupsOf(shape).flatMap((name) => MEMBERS[name](look))
  return [...set(head, look), ...members, `${look.before}"sampled"${look.between}`, sampled]
}

function oldNatEvent(event: number): string {
  return event === 0 ? 'Reserved' : natEventWords(event)
}

/** Members that 1.7.1 has in another way; those of extensions that it does not know are none. */
const OLD_MEMBERS: Readonly<Partial<Record<GroupName, Members>>> = {
  generic: (look) => [...set(times('first'), look), byProtocol(look, icmp, [
    ['tcp_flags', tcpFlags({ always: true }), 'text'], ['src_port', number(ID.srcPort, 0)],
    ['dst_port', number(ID.dstPort, 0)], ['src_tos', number(ID.tos, 0)],
  ])],
  flow: addressPair(ID.srcAddr, ID.dstAddr, (side, family) => `${side}${family}_addr`),
  misc: plain(
    ...miscMembers.slice(0, -2), ['fwd_status', number(ID.forwardingStatus, 0)], ...miscMembers.slice(-2),
  ),
  firewall: plain(
    ['connect_id', connection, 'text'], ['event_id', number(ID.firewallEvent, 0), 'text'],
    ['event', nameOf(ID.firewallEvent, formerFirewallEvent), 'text'],
    ['xevent_id', number(ID.firewallExtEvent, 0), 'text'], ['t_event', eventTime, 'text'],
  ),
  natPorts: plain(
    ['src_xlt_port', number(ID.postNaptSrcPort, 0), 'text'],
    ['dst_xlt_port', number(ID.postNaptDstPort, 0), 'text'],
  ),
  natEvent: plain(
    ['nat_event_id', number(ID.natEvent, 0), 'text'], ['nat_event', nameOf(ID.natEvent, oldNatEvent), 'text'],
    ...oldVrfs, ['t_event', eventTime, 'text'],
  ),
  portBlock: plain(...blockMembers.map(([key, value]): Member => [key, value, 'text'])),
  tunnel: (look) => [byFamily(ID.tunSrcAddr, look, (family) => [
    ['tun proto', number(ID.tunProto, 0)], [`src${family}_tun_ip`, address(ID.tunSrcAddr), 'text'],
    [`dst${family}_tun_ip`, address(ID.tunDstAddr), 'text'],
  ])],
  observation: plain(
    ['observationDoaminID', number(ID.observationDomainId, 0)],
    ['observationPointID', number64(ID.observationPointId, 0)],
  ),
  vrf: plain(...oldVrfs),
  layer2: plain(), flowId: plain(), ip: plain(),
}

const TABBED: JsonLook = { before: '\t', between: ' : ', behind: ',\n' }

/** An object of 1.7.1's `json`, with what stands between it and the one before. */
export function oldObject(shape: Shape): readonly Piece[] {
  const members = groupsOf(shape).flatMap((name) => (OLD_MEMBERS[name] ?? MEMBERS[name])(TABBED))
  return [',\n{\n', ...set(oldHead, TABBED), ...members, '\t"label" : "<none>"\n}']
}

/** An object of 1.7.8's `json`, with what stands between it and the one before. */
export function prettyObject(shape: Shape): readonly Piece[] {
  return [',\n {\n', ...body(shape, PRETTY), '\n }']
}

/** An object of 1.7.8's `ndjson`, a line. */
export function denseObject(shape: Shape): readonly Piece[] {
  return ['{', ...body(shape, DENSE), '}\n']
}
