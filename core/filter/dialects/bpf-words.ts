import { protocolNumber } from '../../flow/names.ts'
import { servicePort } from '../language/services.ts'

/** Protocols of packets that a test may name. */
export const PROTOCOLS: readonly string[] = [
  'ether', 'ip', 'ip6', 'arp', 'rarp', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp', 'esp', 'ah', 'pim',
  'vrrp', 'igrp',
]
/** Those that have ports. */
export const PORT_PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp']
/** What an identifier may be. */
export const TYPES = ['host', 'net', 'port', 'portrange', 'proto'] as const
/** EtherTypes that have names. */
export const ETHER_TYPES: Readonly<Record<string, number>> =
  { ip: 0x0800, arp: 0x0806, rarp: 0x8035, ip6: 0x86dd }

/** What flows have no field for. */
export const UNKNOWN: readonly string[] = [
  'gateway', 'broadcast', 'multicast', 'protochain', 'fddi', 'tr', 'wlan', 'llc', 'decnet', 'atalk', 'aarp',
  'iso', 'stp', 'ipx', 'netbeui', 'isis', 'lane', 'ifname', 'on', 'rulenum', 'reason', 'action', 'pppoed',
  'pppoes', 'geneve', 'vxlan', 'carp',
]
/** What the packets of a flow differ in. */
export const LENGTHS: readonly string[] = ['len', 'greater', 'less']

const IGRP = 9 // its name elsewhere is another

/** What stands before an identifier; the next without its own has the same. */
export interface Qualifiers {
  readonly proto?: string
  readonly join: 'src' | 'dst' | 'or' | 'and'
  readonly type: (typeof TYPES)[number]
}

/** What an identifier is, for messages. */
export function wanted({ type, proto }: Qualifiers): string {
  const family = proto === 'ip' ? 'IPv4' : proto === 'ip6' ? 'IPv6' : 'IP'
  switch (type) {
    case 'host': return proto === 'ether' ? 'a MAC address' : `an ${family} address`
    case 'net': return `an ${family} network`
    case 'port': return 'a port number (0 to 65535)'
    case 'portrange': return 'a range of ports, as 80-90'
    case 'proto': return 'a protocol name or number'
  }
}

/** The fields that qualifiers mean. */
export function fieldsOf({ join }: Qualifiers, src: number, dst: number): readonly number[] {
  return join === 'src' ? [src] : join === 'dst' ? [dst] : [src, dst]
}

/** The number of an IP protocol by name, or -1. */
export function ipProtocol(name: string): number {
  return name === 'igrp' ? IGRP : protocolNumber(name)
}

/** A port by number or name, or undefined. */
export function portOf(text: string): number | undefined {
  const port = servicePort(text) ?? (/^\d+$/.test(text) ? Number(text) : NaN)
  return port <= 65_535 ? port : undefined
}
