import { ID } from '../../flow/fields.ts'
import type { Source } from '../node.ts'

/** What some bytes of a header are in a flow. */
export interface HeaderPart {
  readonly source: Source
  /** The bits of the field that are these bytes, where it has more. */
  readonly mask?: number
}

/** Parts of headers that flows have: protocol, first byte (or its name), and number of bytes if not one. */
const PARTS: Readonly<Record<string, HeaderPart>> = {
  'ip[1]': { source: ID.tos },
  'ip[4:2]': { source: ID.fragmentId },
  'ip[8]': { source: ID.ipTtl },
  'ip[9]': { source: ID.proto },
  'ip[12:4]': { source: ID.srcAddr },
  'ip[16:4]': { source: ID.dstAddr },
  'ip6[6]': { source: ID.proto },
  'ip6[7]': { source: ID.ipTtl },
  'tcp[0:2]': { source: ID.srcPort },
  'tcp[2:2]': { source: ID.dstPort },
  'tcp[13]': { source: ID.tcpFlags, mask: 255 },
  'tcp[tcpflags]': { source: ID.tcpFlags, mask: 255 },
  'udp[0:2]': { source: ID.srcPort },
  'udp[2:2]': { source: ID.dstPort },
  'sctp[0:2]': { source: ID.srcPort },
  'sctp[2:2]': { source: ID.dstPort },
  'icmp[0]': { source: 'icmpType' },
  'icmp[icmptype]': { source: 'icmpType' },
  'icmp[1]': { source: 'icmpCode' },
  'icmp[icmpcode]': { source: 'icmpCode' },
  'icmp6[0]': { source: 'icmpType' },
  'icmp6[icmp6type]': { source: 'icmpType' },
  'icmp6[1]': { source: 'icmpCode' },
  'icmp6[icmp6code]': { source: 'icmpCode' },
  'ether[12:2]': { source: ID.etype },
}

/** Names of values of header parts: pcap-filter(7). */
const CONSTANTS: Readonly<Record<string, number>> = {
  'tcp-fin': 1, 'tcp-syn': 2, 'tcp-rst': 4, 'tcp-push': 8, 'tcp-ack': 16, 'tcp-urg': 32, 'tcp-ece': 64,
  'tcp-cwr': 128,
  'icmp-echoreply': 0, 'icmp-unreach': 3, 'icmp-sourcequench': 4, 'icmp-redirect': 5, 'icmp-echo': 8,
  'icmp-routeradvert': 9, 'icmp-routersolicit': 10, 'icmp-timxceed': 11, 'icmp-paramprob': 12,
  'icmp-tstamp': 13, 'icmp-tstampreply': 14, 'icmp-ireq': 15, 'icmp-ireqreply': 16, 'icmp-maskreq': 17,
  'icmp-maskreply': 18,
  'icmp6-destinationrunreach': 1, 'icmp6-packettoobig': 2, 'icmp6-timeexceeded': 3,
  'icmp6-parameterproblem': 4,
  'icmp6-echo': 128, 'icmp6-echoreply': 129, 'icmp6-multicastlistenerquery': 130,
  'icmp6-multicastlistenerreportv1': 131, 'icmp6-multicastlistenerdone': 132, 'icmp6-routersolicit': 133,
  'icmp6-routeradvert': 134, 'icmp6-neighborsolicit': 135, 'icmp6-neighboradvert': 136, 'icmp6-redirect': 137,
  'icmp6-routerrenum': 138, 'icmp6-nodeinformationquery': 139, 'icmp6-nodeinformationresponse': 140,
  'icmp6-ineighbordiscoverysolicit': 141, 'icmp6-ineighbordiscoveryadvert': 142,
  'icmp6-multicastlistenerreportv2': 143, 'icmp6-homeagentdiscoveryrequest': 144,
  'icmp6-homeagentdiscoveryreply': 145, 'icmp6-mobileprefixsolicit': 146, 'icmp6-mobileprefixadvert': 147,
  'icmp6-certpathsolicit': 148, 'icmp6-certpathadvert': 149, 'icmp6-multicastrouteradvert': 151,
  'icmp6-multicastroutersolicit': 152, 'icmp6-multicastroutertermination': 153,
}

/** What flows have of `proto[bytes]`, or undefined. */
export function headerPart(proto: string, bytes: string): HeaderPart | undefined {
  const name = `${proto}[${bytes.replace(/:1$/, '')}]`
  return Object.hasOwn(PARTS, name) ? PARTS[name] : undefined
}

/** The bytes of a protocol's header that flows have, as they are written. */
export function headerParts(proto: string): string[] {
  return Object.keys(PARTS).filter((name) => name.startsWith(`${proto}[`))
}

/** The number of a constant, or undefined. */
export function constant(name: string): number | undefined {
  return Object.hasOwn(CONSTANTS, name) ? CONSTANTS[name] : undefined
}
