/** One hand-made packet: LINKTYPE_ and bytes. */
export interface Frame {
  name: string
  linkType: number
  bytes: Uint8Array
}

const MACS = '020000000002' + '020000000001' // destination, source
const SOURCE4 = 'c0000201' // 192.0.2.1
const TARGET4 = 'c6336402' // 198.51.100.2
const SOURCE6 = '20010db8000000000000000000000001'
const TARGET6 = '20010db8000000000000000000000002'

/** The bytes that `hex` spells; spaces do not count. */
export function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

/** `value` as `bytes` bytes of big-endian hex. */
export function uint(value: number, bytes: number): string {
  return value.toString(16).padStart(bytes * 2, '0')
}

/** An Ethernet II frame from 02:00:00:00:00:01 to …:02, padded to the 60 bytes of the shortest frame. */
export function ethernet(etype: string, payload: string): string {
  return (MACS + etype + payload).padEnd(120, '0')
}

/**
 * An IPv4 packet from 192.0.2.1 to 198.51.100.2: tos 0x48, id 0x1234, ttl 61; `fragment` is the word of flags
 * and offset.
 */
export function ipv4(protocol: number, payload: string, fragment = '4000', options = ''): string {
  const words = 5 + options.length / 8
  const length = words * 4 + payload.length / 2
  const start = `4${words.toString(16)}48${uint(length, 2)}1234${fragment}3d${uint(protocol, 1)}0000`
  return start + SOURCE4 + TARGET4 + options + payload
}

/** An IPv6 packet from 2001:db8::1 to 2001:db8::2: traffic class 0x48, flow label 0xabcde, hop limit 61. */
export function ipv6(next: number, payload: string): string {
  return `648abcde${uint(payload.length / 2, 2)}${uint(next, 1)}3d${SOURCE6}${TARGET6}${payload}`
}

/** A UDP datagram with a right length and no checksum. */
export function udp(srcPort: number, dstPort: number, payload: string): string {
  return `${uint(srcPort, 2)}${uint(dstPort, 2)}${uint(8 + payload.length / 2, 2)}0000${payload}`
}

/** A TCP segment from port 49152 to 443: sequence 0xfedcba98, SYN, ECE and CWR, one option of 4 bytes. */
export function tcp(payload: string = ''): string {
  return `c00001bbfedcba9800000000` + `60c2ffff00000000` + `020405b4${payload}`
}

const SCTP_CHUNK = '0300001000000001' + '0000ffff00000000' // a selective acknowledgement
const ICMP_ECHO = '0800f7ff00010002' + '6162'
const ICMPV6_TIME_EXCEEDED = '0301000000000000' + '6162'
const UDP_4 = udp(40000, 2055, '61626364')
const UDP_IPV4 = ipv4(17, UDP_4)
const UDP_IPV6 = ipv6(17, UDP_4)
const UDP_FRAME = ethernet('0800', UDP_IPV4)

// type 4 (segment routing), 2 segments left, last entry 1: two segments of 16 bytes; RFC 8754
const ROUTING_TO_UDP = '11040402' + '01000000' + TARGET6 + SOURCE6

const HEX: readonly (readonly [name: string, linkType: number, hex: string])[] = [
  ['Ethernet, UDP over IPv4', 1, UDP_FRAME],
  ['Ethernet, UDP over IPv6', 1, ethernet('86dd', UDP_IPV6)],
  ['Ethernet, TCP over IPv4 with options', 1, ethernet('0800', ipv4(6, tcp('6162'), '4000', '94040000'))],
  ['Ethernet, TCP over IPv6', 1, ethernet('86dd', ipv6(6, tcp('6162')))],
  ['802.1Q', 1, ethernet('8100', '60050800' + UDP_IPV4)],
  ['802.1ad with 802.1Q', 1, ethernet('88a8', '0064810000c80800' + UDP_IPV4)],
  ['old QinQ', 1, ethernet('9100', '0064810000c886dd' + UDP_IPV6)],
  ['three VLAN tags', 1, ethernet('8100', '0064' + '810000c8' + '8100012c' + '0800' + UDP_IPV4)],
  ['VN-Tag', 1, ethernet('8926', '800000010800' + UDP_IPV4)],
  ['802.1BR E-Tag', 1, ethernet('893f', '0000000100000800' + UDP_IPV4)],
  ['MPLS, two labels, IPv4', 1, ethernet('8847', '00064240' + '000c813f' + UDP_IPV4)],
  ['MPLS, explicit null, IPv6', 1, ethernet('8848', '0000213f' + UDP_IPV6)],
  ['MPLS, pseudowire with control word', 1, ethernet('8847', '0006413f' + '00000007' + UDP_FRAME)],
  ['PPPoE, IPv4', 1, ethernet('8864', '11000001' + uint(UDP_IPV4.length / 2 + 2, 2) + '0021' + UDP_IPV4)],
  ['PPPoE, IPv6', 1, ethernet('8864', '11000001' + uint(UDP_IPV6.length / 2 + 2, 2) + '0057' + UDP_IPV6)],
  ['802.3 with SNAP', 1, ethernet(uint(8 + UDP_IPV4.length / 2, 2), 'aaaa03000000' + '0800' + UDP_IPV4)],
  ['ARP', 1, ethernet('0806', '0001080006040001')],
  ['ICMP echo', 1, ethernet('0800', ipv4(1, ICMP_ECHO))],
  ['ICMPv6 time exceeded', 1, ethernet('86dd', ipv6(58, ICMPV6_TIME_EXCEEDED))],
  ['SCTP', 1, ethernet('0800', ipv4(132, '0b590b5a' + '0000000100000000' + SCTP_CHUNK))],
  ['DCCP', 1, ethernet('0800', ipv4(33, '0b590b5a' + '05000000' + '00000000' + '0000000000000000'))],
  ['UDP-Lite', 1, ethernet('86dd', ipv6(136, '0b590b5a00080000' + '6162'))],
  ['ESP', 1, ethernet('0800', ipv4(50, '0000000100000002' + '6162636465666768'))],
  ['IPv4, first fragment', 1, ethernet('0800', ipv4(17, UDP_4 + '65666768', '2000'))],
  ['IPv4, last fragment', 1, ethernet('0800', ipv4(17, UDP_4, '00b9'))],
  ['IPv6, hop-by-hop, destination options', 1,
    ethernet('86dd', ipv6(0, '3c00050200000100' + '1100010400000000' + UDP_4))],
  ['IPv6, segment routing', 1, ethernet('86dd', ipv6(43, ROUTING_TO_UDP + UDP_4))],
  ['IPv6, authentication', 1,
    ethernet('86dd', ipv6(51, '11040000' + '0000000100000001' + '00'.repeat(12) + UDP_4))],
  ['IPv6, first fragment', 1, ethernet('86dd', ipv6(44, '11000001fedcba98' + UDP_4 + '65666768'))],
  ['IPv6, later fragment', 1, ethernet('86dd', ipv6(44, '110005c8fedcba98' + '6162'))],
  ['IPv6, atomic fragment', 1, ethernet('86dd', ipv6(44, '11000000fedcba98' + UDP_4))],
  ['BSD loopback, little-endian', 0, '02000000' + UDP_IPV4],
  ['BSD loopback, big-endian', 0, '0000001e' + UDP_IPV6],
  ['OpenBSD loopback', 108, '00000018' + UDP_IPV6],
  ['raw IPv4', 101, UDP_IPV4],
  ['raw IPv6', 101, UDP_IPV6],
  ['raw IPv4 by BSD number', 12, UDP_IPV4],
  ['IPv4 link', 228, UDP_IPV4],
  ['IPv6 link', 229, UDP_IPV6],
  ['Linux cooked', 113, '000000010006' + '0200000000010000' + '0800' + UDP_IPV4],
  ['Linux cooked, VLAN', 113, '000000010006' + '0200000000010000' + '8100' + '00050800' + UDP_IPV4],
  ['Linux cooked 2', 276, '86dd0000' + '00000002' + '00010006' + '0200000000010000' + UDP_IPV6],
  ['PPP with HDLC framing', 50, 'ff030021' + UDP_IPV4],
  ['PPP without framing', 9, '0057' + UDP_IPV6],
  ['PPP with direction', 204, '00' + 'ff030021' + UDP_IPV4],
  ['Cisco HDLC', 104, '0f000800' + UDP_IPV4],
  ['netfilter log', 239,
    '02000000' + '00080001' + '08000100' + uint(4 + UDP_IPV4.length / 2, 2) + '0009' + UDP_IPV4],
  ['MPLS link', 219, '0006413f' + UDP_IPV4],
  ['IPv4 in IPv4', 101, ipv4(4, UDP_IPV4)],
  ['IPv6 in IPv4', 101, ipv4(41, UDP_IPV6)],
  ['IPv4 in IPv6', 101, ipv6(4, UDP_IPV4)],
  ['GRE', 101, ipv4(47, '00000800' + UDP_IPV4)],
  ['GRE with checksum, key, sequence', 101,
    ipv4(47, 'b00086dd' + '00000000' + '0000002a' + '00000001' + UDP_IPV6)],
  ['NVGRE', 101, ipv4(47, '20006558' + '00002a00' + UDP_FRAME)],
  ['PPTP', 101,
    ipv4(47, '3081880b' + '0024002a' + '0000000100000000' + 'ff030021' + UDP_IPV4)],
  ['MPLS in GRE', 101, ipv4(47, '00008847' + '0006413f' + UDP_IPV4)],
  ['ERSPAN type I', 101, ipv4(47, '000088be' + UDP_FRAME)],
  ['ERSPAN type II', 101, ipv4(47, '100088be' + '00000001' + '1005002a00000000' + UDP_FRAME)],
  ['ERSPAN type III', 101, ipv4(47, '100022eb' + '00000001' + '2005002a0000000000000000' + UDP_FRAME)],
  ['VXLAN', 101, ipv4(17, udp(50000, 4789, '08000000' + '00002a00' + UDP_FRAME))],
  ['VXLAN-GPE', 101, ipv4(17, udp(50000, 4790, '0c000001' + '00002a00' + UDP_IPV4))],
  ['Geneve with options', 101,
    ipv6(17, udp(50000, 6081, '02006558' + '00002a00' + '0102800100000001' + UDP_FRAME))],
  ['GTP-U with extension', 101,
    ipv4(17, udp(2152, 2152, '34ff0028' + '0000002a' + '0001008501000900' + UDP_IPV4))],
  ['MPLS in IP', 101, ipv4(137, '0006413f' + UDP_IPV4)],
  ['MPLS in UDP', 101, ipv4(17, udp(50000, 6635, '0006413f' + UDP_IPV4))],
  ['GRE in UDP', 101, ipv4(17, udp(50000, 4754, '00000800' + UDP_IPV4))],
  ['VXLAN in GRE', 101,
    ipv4(47, '00000800' + ipv4(17, udp(50000, 4789, '08000000' + '00002a00' + UDP_FRAME)))],
]

/** A packet of each kind that the parser reads. */
export const FRAMES: readonly Frame[] = HEX.map(([name, linkType, hex]) => {
  return { name, linkType, bytes: bytesOf(hex) }
})

/** The packet of that name. */
export function frame(name: string): Frame {
  const found = FRAMES.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`no frame ${name}`)
  return found
}
