/** The block of lines of a flow that nfdump 1.7.8 prints with `-o raw` (src/output/output_raw.c). */
import type { AddressColumn } from '../../core/flow/address.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { bareNetwork, ICMP_FIELDS, icmpOf, wholeAddress } from './addresses.ts'
import { accessList, connection, EVENT_FIELDS, eventsOf } from './events.ts'
import { extensionsOf, groupsOf, type GroupName } from './groups.ts'
import { application, applicationName, etherType, layer2Vlan, mplsLabel } from './headers.ts'
import {
  biflowDirection, endReason, extendedEvent, firewallEvent, natEventWords, pfAction, pfDirection, pfReason,
  PROTOCOL_NAMES,
} from './names.ts'
import { engineId, engineType, exporterId, versionOf } from './origin.ts'
import { choice, type Context, type Piece, type Value } from './rows.ts'
import { heapText, plainText } from './text.ts'
import { millis, time, type Moment } from './times.ts'
import {
  columnOf, computed, described, hex, isIcmp, latency, mac, named, nameOf, number, number64, rowNumber,
  tcpFlags, text, unlessZero,
} from './values.ts'

/** A line: its name, spaces that bring a value of `width` bytes to its column's end, what stands there. */
function line(name: string, width: number, ...pieces: readonly Piece[]): Piece[] {
  return [`  ${name.padEnd(12)} = ${' '.repeat(18 - width)}`, ...pieces, '\n']
}

/** A line that is a number. */
function numberLine(name: string, width: number, id: number): Piece[] {
  return line(name, width, number(id, width))
}

function momentLine(name: string, moment: Moment): Piece[] {
  return line(name, 13, millis(moment, 13), ' [', time(moment), ']')
}

/** A number of at least two hexadecimal digits, and what it is called. */
function hexName(id: number, name: (value: number) => string): Value {
  return nameOf(id, (value) => `0x${value.toString(16).padStart(2, '0')} ${name(value)}`)
}

/** Lines where the row has the address. */
function withAddress(id: number, lines: readonly Piece[]): Value {
  return choice([id], [lines], (context) => {
    const column = columnOf<AddressColumn>(context, id)
    return column ? (row) => column.family[row] === 0 ? -1 : 0 : -1
  })
}

/** Lines of an address, of a row that has it. */
function addressLine(name: string, id: number): Piece[] {
  return line(name, 16, wholeAddress(id, 16))
}

function flagsOf(context: Context): (row: number) => string {
  const { batch, shape: { mask } } = context
  const isEvent = eventsOf(context)
  return (row) => {
    const isOfEvent = isEvent?.(row) ?? false
    const isSampled = mask[ID.samplingApplied] === 1 && batch.samplingApplied[row] === 1
    const { name, number } = versionOf(mask[ID.type] ? batch.type[row] : 0)
    const kind = isOfEvent ? 'EVENT' : number === 0 ? name : `${name} v${number}`
    const flags = (isOfEvent ? 1 : 0) + (isSampled ? 2 : 0)
    return `0x${flags.toString(16).padStart(2, '0')} ${kind}, ${isSampled ? 'Sampled' : 'Unsampled'}`
  }
}

const elements: Value = described([], 0, (context) => {
  const of = extensionsOf(context)
  return (row) => {
    const { ids } = of(row)
    return `${String(ids.length).padStart(5)}: ${ids.map((id) => `${id} `).join('')}`
  }
})

const size: Value = described([], 5, (context) => {
  const of = extensionsOf(context)
  return (row) => String(of(row).size)
})

const head: readonly Piece[] = [
  '\nFlow Record: \n', ...line('RecordCount', 5, rowNumber(5)), ...line('Ident', 12, 'none'.padStart(12)),
  ...line('Flags', 4, described([...EVENT_FIELDS, ID.samplingApplied], 0, flagsOf)),
  ...line('Elements', 5, elements), ...line('size', 5, size),
  ...line('engine type', 5, engineType(5)), ...line('engine ID', 5, engineId(5)),
  ...line('export sysid', 5, exporterId(5)),
]

const protocolName = named(ID.proto, PROTOCOL_NAMES.map((name, i) => i < 138 ? name : name.padEnd(5)))

const TCP = 6

const tcpFlagsHex: Value = described([ID.tcpFlags, ID.proto], 0, (context) => {
  const flags = columnOf<Uint16Array>(context, ID.tcpFlags)
  const protos = columnOf<Uint8Array>(context, ID.proto)
  const show = (value: number) => `0x${value.toString(16).padStart(2, '0')}`
  return flags && protos ? (row) => show(protos[row] === TCP ? flags[row] & 255 : 0) : show(0)
})

const icmp: Value = described(ICMP_FIELDS, 0, (context) => {
  const icmp = icmpOf(context)
  return icmp ? (row) => `${String(icmp.type(row)).padStart(2)}.${String(icmp.code(row)).padEnd(2)}` : ' 0.0 '
})

/** The lines of what every flow has. */
function generic(shape: Shape): Piece[] {
  const moment = shape.mask[ID.eventTime] ? 'event' : 'start'
  return [
    choice(EVENT_FIELDS, [
      [...momentLine('first', 'start'), ...momentLine('last', 'end')], momentLine('Event time', moment),
    ], (context) => {
      const isEvent = eventsOf(context)
      return isEvent ? (row) => isEvent(row) ? 1 : 0 : 0
    }),
    ...line('received at', 13, millis('received', 13), ' [', time('received', { absent: '0.000' }), ']'),
    ...line('proto', 3, number(ID.proto, 3), ' ', protocolName),
    ...line('tcp flags', 4, tcpFlagsHex, ' ', tcpFlags()),
    choice([ID.proto], [[
      ...numberLine('src port', 5, ID.srcPort), ...numberLine('dst port', 5, ID.dstPort),
      ...numberLine('src tos', 3, ID.tos), ...numberLine('fwd status', 3, ID.forwardingStatus),
    ], line('ICMP', 4, icmp, ' type.code')], (context) => {
      const protos = columnOf<Uint8Array>(context, ID.proto)
      return protos ? (row) => isIcmp(protos[row]) ? 1 : 0 : 0
    }),
    ...numberLine('in packets', 10, ID.packets), ...numberLine('in bytes', 10, ID.bytes),
  ]
}

const tunnel: readonly Piece[] = [
  ...line('tun proto', 3, number(ID.tunProto, 3), ' ', named(ID.tunProto, PROTOCOL_NAMES)),
  ...addressLine('tun src addr', ID.tunSrcAddr), ...addressLine('tun dst addr', ID.tunDstAddr),
]

function maskLine(name: string, id: number, maskId: number): Piece[] {
  return line(name, 5, number(maskId, 5), ' ', bareNetwork(id, maskId, [maskId]), '/', number(maskId, 0))
}

function numberAndName(name: string, id: number, nameFor: (value: number) => string): Piece[] {
  return line(name, 5, number(id, 5), nameOf(id, (value) => `: ${nameFor(value)}`))
}

/** Packets that are passed over between two that are sampled. */
const unsampled = computed([ID.samplingRate], 5, (context) => {
  const rates = columnOf<Uint32Array>(context, ID.samplingRate)
  return rates && ((row) => Math.max(0, rates[row] - 1))
})

const interfaceName: Value = described([ID.inIfName], 8, (context) => {
  const names = columnOf<Uint32Array>(context, ID.inIfName)
  return names ? (row) => plainText(heapText(context.batch, names, row)) : ''
})

const flowId: Value = described([ID.flowId], 18, (context) => {
  const pairs = columnOf<Uint32Array>(context, ID.flowId)
  if (!pairs) return '0'
  return (row) => {
    const [low, high] = pairs.subarray(row * 2)
    if (high === 0) return low === 0 ? '0' : `0x${low.toString(16)}`
    return `0x${high.toString(16)}${low.toString(16).padStart(8, '0')}`
  }
})

function fragmentFlags(flags: number): string {
  const names = `${flags & 64 ? 'DF' : '  '} ${flags & 32 ? 'MF' : '  '}`
  return `0x${flags.toString(16).padStart(2, '0')} ${names}`
}

const LABELS = Array.from({ length: 10 }, (_, i) => ID.mplsLabel1 + i)
const hexadecimal = (value: number): string => `0x${value.toString(16)}`

/** The lines of each extension but the first. */
const LINES: Readonly<Record<Exclude<GroupName, 'generic'>, readonly Piece[]>> = {
  flow: [
    withAddress(ID.tunSrcAddr, tunnel),
    withAddress(ID.srcAddr, [...addressLine('src addr', ID.srcAddr), ...addressLine('dst addr', ID.dstAddr)]),
  ],
  misc: [
    ...line('input', 12, number(ID.inIf, 12), text(ID.inIfName, '', ' ')),
    ...line('output', 12, number(ID.outIf, 12), text(ID.outIfName, '', ' ')),
    ...maskLine('src mask', ID.srcAddr, ID.srcMask), ...maskLine('dst mask', ID.dstAddr, ID.dstMask),
    ...numberLine('dst tos', 3, ID.postTos), ...numberLine('direction', 3, ID.direction),
    ...line('biFlow Dir', 4, hexName(ID.biflowDirection, biflowDirection)),
    ...line('end reason', 4, hexName(ID.endReason, endReason)),
  ],
  counters: [
    ...numberLine('out packets', 10, ID.outPackets), ...numberLine('out bytes', 10, ID.outBytes),
    ...line('aggr flows', 10, number(ID.flows, 10, 1)),
  ],
  vlan: [...numberLine('src vlan', 10, ID.vlanId), ...numberLine('dst vlan', 10, ID.postVlanId)],
  as: [...numberLine('src as', 6, ID.srcAs), ...numberLine('dst as', 6, ID.dstAs)],
  bgpNextHop: [withAddress(ID.bgpNextHop, addressLine('bgp next hop', ID.bgpNextHop))],
  nextHop: [withAddress(ID.nextHop, addressLine('ip next hop', ID.nextHop))],
  router: [withAddress(ID.exporterAddr, addressLine('ip exporter', ID.exporterAddr))],
  mpls: LABELS.map((id, i) => (
    unlessZero([id], line(`MPLS Lbl ${String(i + 1).padStart(2)}`, 12, mplsLabel(i + 1, 8)))
  )),
  mac: [
    ...line('in src mac', 17, mac(ID.srcMac)), ...line('out dst mac', 17, mac(ID.postDstMac)),
    ...line('in dst mac', 17, mac(ID.dstMac)), ...line('out src mac', 17, mac(ID.postSrcMac)),
  ],
  adjacentAs: [...numberLine('bgp next as', 5, ID.nextAs), ...numberLine('bgp prev as', 5, ID.prevAs)],
  latency: [
    ...line('cli latency', 9, latency(ID.clientLatency), ' ms'),
    ...line('srv latency', 9, latency(ID.serverLatency), ' ms'),
    ...line('app latency', 9, latency(ID.appLatency), ' ms'),
  ],
  sampler: [
    ...line('samplingID', 5, number64(ID.samplerId, 5)),
    unlessZero([ID.samplingRate], [...line('pk Interval', 5, '    1'), ...line('sp Interval', 5, unsampled)]),
  ],
  firewall: [
    ...line('connect ID', 10, connection), ...numberAndName('fw event', ID.firewallEvent, firewallEvent),
    ...numberAndName('fw ext event', ID.firewallExtEvent, extendedEvent),
    ...momentLine('Event time', 'event'),
  ],
  nat: [withAddress(ID.postNatSrcAddr, [
    ...addressLine('src xlt ip', ID.postNatSrcAddr), ...addressLine('dst xlt ip', ID.postNatDstAddr),
  ])],
  natPorts: [
    ...numberLine('src xlt port', 5, ID.postNaptSrcPort),
    ...numberLine('dst xlt port', 5, ID.postNaptDstPort),
  ],
  accessLists: [
    ...line('Ingress ACL', 11, accessList(ID.inAcl, '/', hexadecimal)),
    ...line('Egress ACL', 11, accessList(ID.outAcl, '/', hexadecimal)),
  ],
  user: line('username', 11, text(ID.userName, '')),
  natEvent: [
    ...numberAndName('nat event', ID.natEvent, natEventWords), ...numberLine('nat pool ID', 5, ID.natPoolId),
  ],
  portBlock: [
    ...numberLine('pblock start', 5, ID.portBlockStart), ...numberLine('pblock end', 5, ID.portBlockEnd),
    ...numberLine('pblock step', 5, ID.portBlockStep), ...numberLine('pblock size', 5, ID.portBlockSize),
  ],
  application: line('app ID', 5, application(), ': ', applicationName()),
  tunnel: [],
  observation: [
    ...line('obs domainID', 7, hex(ID.observationDomainId, 5, '0x00000')),
    ...line('obs pointID', 12, hex(ID.observationPointId, 10, '0x0000000000')),
  ],
  frame: numberLine('inmon size', 5, ID.frameLength),
  vrf: [
    ...line('ingress VRF', 10, number(ID.srcVrf, 10), text(ID.srcVrfName, '', ' ')),
    ...line('egress VRF', 10, number(ID.dstVrf, 10), text(ID.dstVrfName, '', ' ')),
  ],
  packetFilter: [
    ...line('pflog ifname', 8, interfaceName),
    ...line('pflog action', 5, nameOf(ID.pfAction, (value) => `${pfAction(value).padStart(5)}/${value}`)),
    ...line('pflog reason', 5, nameOf(ID.pfReason, (value) => `${pfReason(value).padStart(5)}/${value}`)),
    ...line('pflog direct', 5, nameOf(ID.pfDirection, (value) => pfDirection(value).padStart(5))),
    ...numberLine('pflog rulenr', 5, ID.pfRule),
  ],
  layer2: [
    ...line('vlanID', 5, layer2Vlan(ID.vlanId, 5)), ...line('post vlanID', 5, layer2Vlan(ID.postVlanId, 5)),
    ...numberLine('custID', 5, ID.customerVlanId), ...numberLine('post custID', 5, ID.postCustomerVlanId),
    ...numberLine('ingress IfID', 10, ID.physInIf), ...numberLine('egress IfID', 10, ID.physOutIf),
    ...line('ethertype', 6, etherType((value) => `0x${value.toString(16).padStart(4, '0')}`)),
    unlessZero([ID.ipVersion], numberLine('IP version', 5, ID.ipVersion)),
  ],
  flowId: line('flow ID', 18, flowId),
  ip: [
    unlessZero([ID.ipFlags], line('ip fragment', 4, nameOf(ID.ipFlags, fragmentFlags))),
    unlessZero([ID.minTtl, ID.maxTtl], [
      ...numberLine('ip minTTL', 5, ID.minTtl), ...numberLine('ip maxTTL', 5, ID.maxTtl),
    ]),
  ],
}

/** The lines of flows of a shape. */
export function rawRecord(shape: Shape): readonly Piece[] {
  const groups = groupsOf(shape)
  return [...head, ...groups.flatMap((name) => name === 'generic' ? generic(shape) : LINES[name])]
}
