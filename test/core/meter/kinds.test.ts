import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FlowMeter } from '../../../core/meter/meter.ts'
import type { MeterStats } from '../../../core/meter/options.ts'
import { bytesOf, ethernet, frame, FRAMES, ipv4, ipv6, udp, uint } from '../pcap/frames.ts'
import { flushed, type Told } from './packets.ts'

const A4 = '192.0.2.1', A6 = '2001:db8::1'
/** The datagram that most of the frames carry: 32 bytes in IPv4, 52 in IPv6. */
const UDP4 = `17 ${A4}:40000 198.51.100.2:2055 32`
const UDP6 = `17 ${A6}:40000 2001:db8::2:2055 52`
const UDP_PACKET = ipv4(17, udp(40000, 2055, '61626364'))

/** What the flow of a frame is; the second is that with `inner`, where it is another. */
const FLOWS: readonly (readonly [name: string, outer: string, inner?: string])[] = [
  ['Ethernet, UDP over IPv4', `${UDP4} mac`],
  ['Ethernet, UDP over IPv6', `${UDP6} mac`],
  ['Ethernet, TCP over IPv4 with options', `6 ${A4}:49152 198.51.100.2:443 50 mac`],
  ['Ethernet, TCP over IPv6', `6 ${A6}:49152 2001:db8::2:443 66 mac`],
  ['802.1Q', `${UDP4} mac vlan 5`],
  ['802.1ad with 802.1Q', `${UDP4} mac vlan 100,200`],
  ['old QinQ', `${UDP6} mac vlan 100,200`],
  ['three VLAN tags', `${UDP4} mac vlan 100,200`],
  ['VN-Tag', `${UDP4} mac`],
  ['802.1BR E-Tag', `${UDP4} mac`],
  ['MPLS, two labels, IPv4', `${UDP4} mac mpls 100,200`],
  ['MPLS, explicit null, IPv6', `${UDP6} mac mpls 2`],
  ['MPLS, pseudowire with control word', `${UDP4} mac mpls 100`],
  ['PPPoE, IPv4', `${UDP4} mac`],
  ['PPPoE, IPv6', `${UDP6} mac`],
  ['802.3 with SNAP', `${UDP4} mac`],
  ['ICMP echo', `1 ${A4} 198.51.100.2 30 mac icmp 8.0`],
  ['ICMPv6 time exceeded', `58 ${A6} 2001:db8::2 50 mac icmp 3.1`],
  ['SCTP', `132 ${A4}:2905 198.51.100.2:2906 48 mac`],
  ['DCCP', `33 ${A4}:2905 198.51.100.2:2906 40 mac`],
  ['UDP-Lite', `136 ${A6}:2905 2001:db8::2:2906 50 mac`],
  ['ESP', `50 ${A4} 198.51.100.2 36 mac`],
  ['IPv4, first fragment', `17 ${A4}:40000 198.51.100.2:2055 36 mac`],
  ['IPv4, last fragment', `17 ${A4} 198.51.100.2 32 mac`],
  ['IPv6, hop-by-hop, destination options', `17 ${A6}:40000 2001:db8::2:2055 68 mac`],
  ['IPv6, segment routing', `17 ${A6}:40000 2001:db8::2:2055 92 mac`],
  ['IPv6, authentication', `17 ${A6}:40000 2001:db8::2:2055 76 mac`],
  ['IPv6, first fragment', `17 ${A6}:40000 2001:db8::2:2055 64 mac`],
  ['IPv6, later fragment', `17 ${A6} 2001:db8::2 50 mac`],
  ['IPv6, atomic fragment', `17 ${A6}:40000 2001:db8::2:2055 60 mac`],
  ['BSD loopback, little-endian', UDP4],
  ['BSD loopback, big-endian', UDP6],
  ['OpenBSD loopback', UDP6],
  ['raw IPv4', UDP4],
  ['raw IPv6', UDP6],
  ['raw IPv4 by BSD number', UDP4],
  ['IPv4 link', UDP4],
  ['IPv6 link', UDP6],
  ['Linux cooked', `${UDP4} mac`],
  ['Linux cooked, VLAN', `${UDP4} mac vlan 5`],
  ['Linux cooked 2', `${UDP6} mac`],
  ['PPP with HDLC framing', UDP4],
  ['PPP without framing', UDP6],
  ['PPP with direction', UDP4],
  ['Cisco HDLC', UDP4],
  ['netfilter log', UDP4],
  ['MPLS link', `${UDP4} mpls 100`],
  ['IPv4 in IPv4', `4 ${A4} 198.51.100.2 52`, `${UDP4} tunnel 4 ${A4}`],
  ['IPv6 in IPv4', `41 ${A4} 198.51.100.2 72`, `${UDP6} tunnel 41 ${A4}`],
  ['IPv4 in IPv6', `4 ${A6} 2001:db8::2 72`, `${UDP4} tunnel 4 ${A6}`],
  ['GRE', `47 ${A4} 198.51.100.2 56`, `${UDP4} tunnel 47 ${A4}`],
  ['GRE with checksum, key, sequence', `47 ${A4} 198.51.100.2 88`, `${UDP6} tunnel 47 ${A4}`],
  ['NVGRE', `47 ${A4} 198.51.100.2 88`, `${UDP4} mac tunnel 47 ${A4}`],
  ['PPTP', `47 ${A4} 198.51.100.2 72`, `${UDP4} tunnel 47 ${A4}`],
  ['MPLS in GRE', `47 ${A4} 198.51.100.2 60`, `${UDP4} mpls 100 tunnel 47 ${A4}`],
  ['ERSPAN type I', `47 ${A4} 198.51.100.2 84`, `${UDP4} mac tunnel 47 ${A4}`],
  ['ERSPAN type II', `47 ${A4} 198.51.100.2 96`, `${UDP4} mac tunnel 47 ${A4}`],
  ['ERSPAN type III', `47 ${A4} 198.51.100.2 100`, `${UDP4} mac tunnel 47 ${A4}`],
  ['VXLAN', `17 ${A4}:50000 198.51.100.2:4789 96`, `${UDP4} mac tunnel 17 ${A4}`],
  ['VXLAN-GPE', `17 ${A4}:50000 198.51.100.2:4790 68`, `${UDP4} tunnel 17 ${A4}`],
  ['Geneve with options', `17 ${A6}:50000 2001:db8::2:6081 124`, `${UDP4} mac tunnel 17 ${A6}`],
  ['GTP-U with extension', `17 ${A4}:2152 198.51.100.2:2152 76`, `${UDP4} tunnel 17 ${A4}`],
  ['MPLS in IP', `137 ${A4} 198.51.100.2 56`, `${UDP4} mpls 100 tunnel 137 ${A4}`],
  ['MPLS in UDP', `17 ${A4}:50000 198.51.100.2:6635 64`, `${UDP4} mpls 100 tunnel 17 ${A4}`],
  ['GRE in UDP', `17 ${A4}:50000 198.51.100.2:4754 64`, `${UDP4} tunnel 17 ${A4}`],
  ['VXLAN in GRE', `47 ${A4} 198.51.100.2 120`, `${UDP4} mac tunnel 17 ${A4}`],
]

type Other = readonly [name: string, linkType: number, hex: string, outer: string, inner?: string]

/** Others, by link type and hexadecimal. */
const OTHERS: readonly Other[] = [
  ['IPv4, authentication', 101, ipv4(51, `11040000${'00'.repeat(20)}${UDP_PACKET.slice(40)}`),
    `51 ${A4} 198.51.100.2 56`],
  ['ESP over IPv6', 101, ipv6(50, '0000000100000002'), `50 ${A6} 2001:db8::2 48`],
  ['PPPoE link', 51, `11000001${uint(UDP_PACKET.length / 2 + 2, 2)}0021${UDP_PACKET}`, UDP4],
  ['raw IPv4 by OpenBSD number', 14, UDP_PACKET, UDP4],
  ['FabricPath', 1, ethernet('8903', `0060${ethernet('8100', `00050800${UDP_PACKET}`)}`),
    `${UDP4} mac vlan 5`],
  ['PPP, 0x0f', 50, `0f000800${UDP_PACKET}`, UDP4],
  ['ERSPAN type III with platform header', 101,
    ipv4(47, `100022eb00000001${'2005002a0000000000000001'}${'00'.repeat(8)}${ethernet('0800', UDP_PACKET)}`),
    `47 ${A4} 198.51.100.2 108`, `${UDP4} mac tunnel 47 ${A4}`],
  ['ERSPAN type III of an IP packet', 101,
    ipv4(47, `100022eb00000001${'2005002a0000000000000800'}${UDP_PACKET}`),
    `47 ${A4} 198.51.100.2 72`, `${UDP4} tunnel 47 ${A4}`],
]

type Refused = readonly [name: string, linkType: number, hex: string, count: keyof MeterStats]

/** What is not metered, and the count that it is in. */
const REFUSED: readonly Refused[] = [
  ['802.11', 105, '08000000', 'wireless'],
  ['802.11 with Prism header', 119, '00'.repeat(144), 'wireless'],
  ['802.11 with radiotap header', 127, '0000080000000000', 'wireless'],
  ['802.11 with AVS header', 163, '00'.repeat(64), 'wireless'],
  ['Linux cooked, of 802.11', 113, '00000323000000000000000000000004', 'wireless'],
  ['USB', 220, '00'.repeat(64), 'unknownLink'],
  ['LLDP', 1, ethernet('88cc', '0207'), 'notIp'],
  ['PPPoE discovery', 1, ethernet('8863', '110900000000'), 'notIp'],
  ['IPv4 in 19 bytes', 101, UDP_PACKET.slice(0, 38), 'cut'],
  ['IP version 5', 101, `5${UDP_PACKET.slice(1)}`, 'damaged'],
]

function tell(row: Told): string {
  const of = (name: string): string[] => row[name] === undefined ? [] : [String(row[name])]
  const list = (label: string, ...names: string[]): string[] => {
    const found = names.flatMap(of)
    return found.length === 0 ? [] : [label, found.join()]
  }
  const end = (side: string): string => [...of(`${side}_addr`), ...of(`${side}_port`)].join(':')
  const icmp = row['icmp_type'] === undefined ? [] : ['icmp', `${row['icmp_type']}.${row['icmp_code']}`]
  const tunnel = [...of('tun_proto'), ...of('tun_src_addr')].join(' ')
  return [
    ...of('proto'), end('src'), end('dst'), ...of('bytes'), ...of('src_mac').map(() => 'mac'), ...icmp,
    ...list('vlan', 'vlan_id', 'customer_vlan_id'), ...list('mpls', 'mpls_label_1', 'mpls_label_2'),
    ...tunnel ? [`tunnel ${tunnel}`] : [],
  ].join(' ')
}

function meter(bytes: Uint8Array, linkType: number, inner: boolean): FlowMeter {
  const meter = new FlowMeter({ inner })
  meter.add(bytes, 0, bytes.length, bytes.length, 1e15, linkType, 0)
  return meter
}

describe('flows of each kind of packet', () => {
  const all = [
    ...FLOWS.map(([name, outer, inner]) => ({ ...frame(name), outer, inner })),
    ...OTHERS.map(([name, linkType, hex, outer, inner]) => {
      return { name, linkType, bytes: bytesOf(hex), outer, inner }
    }),
  ]
  for (const { name, linkType, bytes, outer, inner = outer } of all) {
    test(name, () => {
      for (const [isInner, expected] of [[false, outer], [true, inner]] as const) {
        const flows = flushed(meter(bytes, linkType, isInner))
        assert.deepEqual(flows.map(tell), [expected])
        assert.equal(flows[0].packets, 1)
      }
    })
  }

  test('no kind of frame is left out', () => {
    const names = [...FLOWS.map(([name]) => name), 'ARP']
    assert.deepEqual(FRAMES.map(({ name }) => name).sort(), names.sort())
  })
})

describe('what is no flow', () => {
  for (const [name, linkType, hex, count] of [...REFUSED, ['ARP', 1, '', 'notIp'] as const]) {
    test(`${name} is counted as ${count}`, () => {
      const bytes = hex === '' ? frame(name).bytes : bytesOf(hex)
      const { stats, active } = meter(bytes, linkType, true)
      assert.deepEqual([active, stats.packets, stats.metered, stats[count]], [0, 1, 0, 1])
    })
  }
})
