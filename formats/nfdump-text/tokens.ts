/** nfdump's tokens of formats (src/output/output_fmt.c and output_csv.c of 1.7.8). */
import { ID } from '../../core/flow/fields.ts'
import {
  address, destinationPort, endpoint, icmpCode, icmpType, network, NO_COUNTRY,
} from './addresses.ts'
import { accessList, event, reason } from './events.ts'
import { application, applicationName, fragment, mplsLabel, mplsLabels } from './headers.ts'
import { pfAction, pfDirection, pfReason, PROTOCOL_NAMES } from './names.ts'
import { engine, exporterId, version } from './origin.ts'
import type { Piece, RowText, Value } from './rows.ts'
import { csvCell, heapText, plainText } from './text.ts'
import { duration, durationSeconds, millis, NO_TIME, perSecond, seconds, time } from './times.ts'
import {
  bytesPerPacket, columnOf, counter, described, hex, latency, mac, named, number, number64, rowNumber,
  tcpFlags, text,
} from './values.ts'

/** What a token prints. */
export interface Token {
  /** Above its column. */
  readonly header: string
  /** Above it in a CSV; empty: it has no place there. */
  readonly csv: string
  /** Whether the column becomes 23 wider for full IPv6 addresses. */
  readonly wide: boolean
  readonly pieces: readonly Piece[]
}

type Row = readonly [header: string, csv: string, ...pieces: readonly Piece[]]

/** Text for a value that flows do not have here, in lines and in CSV. */
function missing(line: string, csv: string): Value {
  return { fields: [], bind: ({ style }) => style.csv ? csv : line }
}

const protocolNumber = number(ID.proto, 0)
const plainProtocol = described([ID.proto], 0, ({ batch, shape: { mask } }) =>
  mask[ID.proto] ? (row) => String(batch.proto[row]).padEnd(5) : '0    ')

/** The protocol by its name, but where numbers are to be plain or it is for a CSV by its number. */
export function protocol(names: readonly string[]): Value {
  const name = named(ID.proto, names.map((each) => each.padEnd(5)))
  return {
    fields: [ID.proto],
    bind: (context) => {
      const { csv, plain } = context.style
      return (csv ? protocolNumber : plain ? plainProtocol : name).bind(context)
    },
  }
}

const direction: Value = described([ID.direction], 3, ({ batch, shape: { mask } }) =>
  mask[ID.direction] ? (row) => batch.direction[row] === 0 ? 'I' : 'E' : 'I')

const packetFilterInterface = described([ID.pfAction, ID.inIfName], 9, (context) => {
  const { batch, shape: { mask }, style: { csv } } = context
  if (!mask[ID.pfAction]) return '<no-pf>'
  if (!mask[ID.inIfName]) return ''
  return (row) => (csv ? csvCell : plainText)(heapText(batch, batch.inIfName, row))
})

const noFilter = missing('<no-pf>', 'no-pf')
const noDirection = missing('<no pfinfo>', 'no pfinfo')

function packetFilter(id: number, width: number, name: (value: number) => string, absent: Value): Value {
  const present = described([id], width, (context) => {
    const column = columnOf<Uint8Array>(context, id)!
    return (row) => name(column[row])
  })
  return { fields: [id], bind: (context) => (context.shape.mask[id] ? present : absent).bind(context) }
}

const aclIn = accessList(ID.inAcl, ' ', (value) => `0x${value.toString(16).padEnd(8)}`)
const aclOutLine = accessList(ID.outAcl, ' ', (value) => String(value).padStart(10))
const aclOutCsv = accessList(ID.outAcl, ' ', String)
const aclOut: Value = {
  fields: [ID.outAcl], bind: (context) => (context.style.csv ? aclOutCsv : aclOutLine).bind(context),
}

/** A space that a CSV has not. */
const besides = missing(' ', '')

const ofUtc = { timesOf: ({ utcTimes }: RowText) => utcTimes, absent: NO_TIME }
const labelsHeader = `${' '.repeat(47)}MPLS labels 1-10${' '.repeat(67)}`

/** By name: what stands above the column in lines and in a CSV, and what the column is made of. */
const TABLE: Readonly<Record<string, Row>> = {
  nfv: ['Ver', 'version', version],
  cnt: ['Count', 'count', rowNumber(5)],
  idt: ['Ident       ', 'Ident', missing('none        ', 'none')],
  eng: [' engine', 'engine', engine],
  exp: ['Exp ID', 'exporterID', exporterId(6)],

  tfs: ['Date first seen        ', 'firstSeen', time('start')],
  ts: ['Date first seen        ', 'firstSeen', time('start')],
  tsr: ['First seen raw', 'firstSeen', seconds('start')],
  tsg: ['First seen GMT         ', 'firstSeen', time('start', ofUtc)],
  te: ['Date last seen         ', 'lastSeen', time('end')],
  ter: ['Last seen raw ', 'lastSeen', seconds('end')],
  teg: ['Last seen GMT          ', 'lastSeen', time('end', ofUtc)],
  tr: ['Date flow received     ', 'received', time('received')],
  trr: ['Received raw  ', 'received', seconds('received')],
  trg: ['Date flow received GMT ', 'received', time('received', ofUtc)],
  td: ['Duration        ', 'duration', duration],
  tds: ['Duration        ', 'duration', durationSeconds(16)],

  pkt: [' Packets', 'packets', counter(ID.packets, 8)],
  ipkt: ['  In Pkt', 'inPackets', counter(ID.packets, 8)],
  opkt: [' Out Pkt', 'outPackets', counter(ID.outPackets, 8)],
  byt: ['   Bytes', 'bytes', counter(ID.bytes, 8)],
  ibyt: [' In Byte', 'inBytes', counter(ID.bytes, 8)],
  obyt: ['Out Byte', 'outBytes', counter(ID.outBytes, 8)],
  fl: ['Flows', 'flows', number(ID.flows, 5, 1)],
  bps: ['     bps', 'bps', perSecond(ID.bytes, 8, 8)],
  pps: ['     pps', 'pps', perSecond(ID.packets, 1, 8)],
  bpp: ['   Bpp', 'bpp', bytesPerPacket],

  sa: ['     Src IP Addr', 'srcAddr', address(ID.srcAddr)],
  da: ['     Dst IP Addr', 'dstAddr', address(ID.dstAddr)],
  sap: ['     Src IP Addr:Port ', '', endpoint(ID.srcAddr, ID.srcPort)],
  dap: ['     Dst IP Addr:Port ', '', endpoint(ID.dstAddr, ID.dstPort)],
  gsap: ['     Src IP Addr(..):Port ', '', endpoint(ID.srcAddr, ID.srcPort, NO_COUNTRY)],
  gdap: ['     Dst IP Addr(..):Port ', '', endpoint(ID.dstAddr, ID.dstPort, NO_COUNTRY)],
  gsa: ['     Src IP Addr(..)', '', address(ID.srcAddr), NO_COUNTRY],
  gda: ['     Dst IP Addr(..)', '', address(ID.dstAddr), NO_COUNTRY],
  sp: ['Src Pt', 'srcPort', number(ID.srcPort, 6)],
  dp: ['Dst Pt', 'dstPort', destinationPort],
  it: ['ICMP-T', 'icmpTYpe', icmpType],
  ic: ['ICMP-C', 'icmpCode', icmpCode],
  sn: ['        Src Network', 'srcNet', network(ID.srcAddr, ID.srcMask)],
  dn: ['        Dst Network', 'dstNet', network(ID.dstAddr, ID.dstMask)],
  nh: ['     Next-hop IP', 'nextIP', address(ID.nextHop)],
  nhb: [' BGP next-hop IP', 'bgpNextIP', address(ID.bgpNextHop)],
  ra: ['       Router IP', 'routerIP', address(ID.exporterAddr)],
  gra: ['       Router IP(..)', '', address(ID.exporterAddr), NO_COUNTRY],

  pr: ['Proto', 'proto', protocol(PROTOCOL_NAMES)],
  flg: ['   Flags', 'flags', tcpFlags()],
  fwd: ['Fwd', 'fwdStatus', number(ID.forwardingStatus, 3)],
  tos: [' Tos', 'tos', number(ID.tos, 4)],
  stos: ['STos', 'srcTos', number(ID.tos, 4)],
  dtos: ['DTos', 'dstTos', number(ID.postTos, 4)],
  dir: ['Dir', 'direction', direction],
  bfd: ['Bfd', 'biDirection', number(ID.biflowDirection, 3)],
  end: ['End', 'endReason', number(ID.endReason, 3)],
  smk: ['SMask', 'srcMask', number(ID.srcMask, 5)],
  dmk: ['DMask', 'dstMask', number(ID.dstMask, 5)],
  minttl: ['minTTL', 'minTTL', number(ID.minTtl, 6)],
  maxttl: ['maxTTL', 'maxTTL', number(ID.maxTtl, 6)],
  ttl: ['min/maxTTL', '', number(ID.minTtl, 5), ' ', number(ID.maxTtl, 5)],
  frag: ['Frag', 'Frag', fragment],
  eth: ['EtherType', '', hex(ID.etype, 4, '0x0000')],

  in: [' Input', 'input', number(ID.inIf, 6)],
  out: ['Output', 'output', number(ID.outIf, 6)],
  inam: [' Input interface name', 'inIfName', text(ID.inIfName, '', ' ')],
  onam: ['Output interface name', 'outIfName', text(ID.outIfName, '', ' ')],
  sas: ['Src AS', 'srcAS', number(ID.srcAs, 6)],
  das: ['Dst AS', 'dstAS', number(ID.dstAs, 6)],
  nas: ['Next AS', 'nextAS', besides, number(ID.nextAs, 6)],
  pas: ['Prev AS', 'prevAS', besides, number(ID.prevAs, 6)],
  vrf: ['  I-VRF-ID', 'ingressVrfID', number(ID.srcVrf, 10)],
  ivrf: ['  I-VRF-ID', 'ingressVrfID', number(ID.srcVrf, 10)],
  ivrfnam: ['  I-VRF-Name', 'ingressVrfName', text(ID.srcVrfName, '', ' ')],
  evrf: ['  E-VRF-ID', 'egressVrfID', number(ID.dstVrf, 10)],
  evrfnam: ['  E-VRF-Name', 'egressVrfName', text(ID.dstVrfName, '', ' ')],

  svln: ['SVlan', 'srcVlan', number(ID.vlanId, 5)],
  dvln: ['DVlan', 'dstVlan', number(ID.postVlanId, 5)],
  ismc: ['  In src MAC Addr', 'inSrcMac', mac(ID.srcMac)],
  odmc: [' Out dst MAC Addr', 'outDstMac', mac(ID.postDstMac)],
  idmc: ['  In dst MAC Addr', 'inDstMac', mac(ID.dstMac)],
  osmc: [' Out src MAC Addr', 'outSrcMac', mac(ID.postSrcMac)],
  ...Object.fromEntries(Array.from({ length: 10 }, (_, i): [string, Row] =>
    [`mpls${i + 1}`, [` MPLS lbl ${String(i + 1).padEnd(2)}`, `mplsLabel${i + 1}`, mplsLabel(i + 1, 8)]])),
  mpls: [labelsHeader, 'mplsLabel1-10', ...mplsLabels],
  cl: ['C Latency', 'clientLatency', latency(ID.clientLatency)],
  sl: ['S latency', 'serverLatency', latency(ID.serverLatency)],
  al: ['A latency', 'appLatency', latency(ID.appLatency)],

  tevt: ['Event time             ', 'eventTime', time('event')],
  msec: ['   Event Time', 'eventTime', millis('event', 13)],
  evt: ['   Event', 'event', event],
  nevt: ['   Event', 'event', event],
  nfc: ['   Conn-ID', 'connectionID', number64(ID.flowId, 10)],
  xevt: [' XEvent', 'xEvent', reason],
  iacl: ['Ingress ACL                     ', 'ingressACL', aclIn],
  eacl: ['Egress ACL                      ', 'egressACL', aclOut],
  uname: ['UserName', 'nselUser', text(ID.userName, '<empty>')],
  xsa: ['   X-late Src IP', 'srcXIP', address(ID.postNatSrcAddr)],
  xda: ['   X-late Dst IP', 'dstXIP', address(ID.postNatDstAddr)],
  nsa: ['   X-late Src IP', 'srcXIP', address(ID.postNatSrcAddr)],
  nda: ['   X-late Dst IP', 'dstXIP', address(ID.postNatDstAddr)],
  xsap: ['   X-Src IP Addr:Port ', '', endpoint(ID.postNatSrcAddr, ID.postNaptSrcPort)],
  xdap: ['   X-Dst IP Addr:Port ', '', endpoint(ID.postNatDstAddr, ID.postNaptDstPort)],
  nsap: ['   X-Src IP Addr:Port ', '', endpoint(ID.postNatSrcAddr, ID.postNaptSrcPort)],
  ndap: ['   X-Dst IP Addr:Port ', '', endpoint(ID.postNatDstAddr, ID.postNaptDstPort)],
  xsp: ['XsPort', 'srcXPort', number(ID.postNaptSrcPort, 6)],
  xdp: ['XdPort', 'dstXPort', number(ID.postNaptDstPort, 6)],
  nsp: ['XsPort', 'srcXPort', number(ID.postNaptSrcPort, 6)],
  ndp: ['XdPort', 'dstXPort', number(ID.postNaptDstPort, 6)],
  pbstart: ['Pb-Start', 'pbStart', number(ID.portBlockStart, 7)],
  pbend: ['Pb-End', 'pbEnd', number(ID.portBlockEnd, 7)],
  pbstep: ['Pb-Step', 'pbStep', number(ID.portBlockStep, 7)],
  pbsize: ['Pb-Size', 'pbSize', number(ID.portBlockSize, 7)],

  nbid: ['nbar ID', 'nbarID', application()],
  nbnam: ['nbar name', 'nbarName', applicationName()],
  odid: ['obsDomainID', 'obsDomainID', hex(ID.observationDomainId, 9, '0x00')],
  opid: ['  obsPointID', 'obsPointID', hex(ID.observationPointId, 10, '0x00')],
  flid: ['               flowID', 'flowID', '0x', number64(ID.flowId, 13)],

  pfifn: ['interface', 'pfInterface', packetFilterInterface],
  pfact: ['action', 'pfAction', packetFilter(ID.pfAction, 6, pfAction, noFilter)],
  pfrea: ['reason', 'pfReason', packetFilter(ID.pfReason, 6, pfReason, noFilter)],
  pfdir: ['dir', 'pfDirection', packetFilter(ID.pfDirection, 3, pfDirection, noDirection)],
  pfrule: ['rule', 'pfRule', number(ID.pfRule, 4)],

  // What flows do not have here is written as the peer writes it of flows that do not have it
  lbl: ['           label', 'label', missing('          <none>', '<none>')],
  isid: [' inSrvID', 'inSrvID', missing('       0', '0')],
  osid: ['outSrvID', 'outSrvID', missing('       0', '0')],
  nats: ['nat string', 'natString', '<unknown>'],
  ipl: ['Input Payload', '', '<no payload>'],
  opl: ['Output Payload', '', '<no payload>'],
  ja3: ['                                   ja3', 'ja3', missing('no ja3'.padStart(38), 'no-ja3')],
  ja4: ['                                   ja4', 'ja4', missing('no ja4'.padStart(38), 'no-ja4')],
  sni: ['sni name', 'sniName', missing('   0', '0')],
  tls: ['TLS ver', 'tlsVersion', missing('   0', '0')],
  sc: ['SC', 'srcGeo', '..'],
  dc: ['DC', 'dstGeo', '..'],
  sloc: ['Src IP location info', 'srcLocation', missing('<no location info>', 'no location info')],
  dloc: ['Dst IP location info', 'dstLocation', missing('<no location info>', 'no location info')],
  sasn: ['Src AS organisation           ', 'srcOrg', missing('none'.padStart(30), '')],
  dasn: ['Dst AS organisation           ', 'dstOrg', missing('none'.padStart(30), '')],
  stor: ['STor', 'srcTor', missing('    ', '')],
  dtor: ['DTor', 'dstTor', missing('    ', '')],
  sgt: ['  SGT  ', 'sgt', missing('    0', '0')],
  n: ['', '', '\n'],
}

/** Tokens whose columns become wider for full IPv6 addresses: those of addresses, but not all. */
const WIDE = new Set('sa da sap dap gsap gdap gsa gda sn dn nhb nh ra gra xsap xdap nsap ndap'.split(' '))

/**
 * The token of that name.
 *
 * @returns undefined when there is none
 */
export function findToken(name: string): Token | undefined {
  if (!Object.hasOwn(TABLE, name)) return undefined
  const [header, csv, ...pieces] = TABLE[name]
  return { header, csv, wide: WIDE.has(name), pieces }
}

/** The names of all tokens. */
export const TOKEN_NAMES: readonly string[] = Object.keys(TABLE)
