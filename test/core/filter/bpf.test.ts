import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFilter, explainFilter, filterToSql, parseFilter } from '../../../core/filter/filter.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { batchOf } from './rows.ts'

const PORTS = '(proto = TCP or proto = UDP or proto = SCTP)'
const IPV4 = '(src_addr = 0.0.0.0/0 or dst_addr = 0.0.0.0/0)'
const IPV6 = '(src_addr = ::/0 or dst_addr = ::/0)'

// by pcap-filter(7)
const TRANSLATED: readonly (readonly [string, string])[] = [
  ['', 'any'],
  ['tcp', 'proto = TCP'],
  ['ip', IPV4.slice(1, -1)],
  ['icmp6 or igmp or esp', 'proto = ICMP6 or proto = IGMP or proto = ESP'],
  ['arp', 'etype = arp'],
  ['ether proto ip6', 'etype = ipv6'],
  ['ip proto \\tcp', `${IPV4} and proto = TCP`],
  ['proto 47', 'proto = GRE'],
  ['host 10.0.0.1', 'src_addr = 10.0.0.1 or dst_addr = 10.0.0.1'],
  ['10.0.0.1', 'src_addr = 10.0.0.1 or dst_addr = 10.0.0.1'],
  ['src 10.0.0.1', 'src_addr = 10.0.0.1'],
  ['ip6 dst host 2001:db8::1', 'dst_addr = 2001:db8::1'],
  ['tcp src host 10.0.0.1', 'proto = TCP and src_addr = 10.0.0.1'],
  ['src or dst host 10.0.0.1', 'src_addr = 10.0.0.1 or dst_addr = 10.0.0.1'],
  ['src and dst net 10', 'src_addr = 10.0.0.0/8 and dst_addr = 10.0.0.0/8'],
  ['net 192.168.1', 'src_addr = 192.168.1.0/24 or dst_addr = 192.168.1.0/24'],
  ['dst net 10.1.0.0/16', 'dst_addr = 10.1.0.0/16'],
  ['dst net 10.1.0.0 mask 255.255.0.0', 'dst_addr = 10.1.0.0/16'],
  ['dst net 10.1.0.0 mask 255.0.255.0', 'dst_addr & 255.0.255.0 = 10.0.0.0'],
  ['src net 2001:db8::/32', 'src_addr = 2001:db8::/32'],
  ['port 53', `${PORTS} and (src_port = 53 or dst_port = 53)`],
  ['udp dst port domain', 'proto = UDP and dst_port = 53'],
  ['tcp src portrange 6000-6008', 'proto = TCP and src_port in [6000-6008]'],
  ['src and dst port 500', `${PORTS} and (src_port = 500 and dst_port = 500)`],
  // what stands before an identifier holds for those behind it
  ['tcp dst port ftp or ftp-data or 80',
    '(proto = TCP and dst_port = 21) or (proto = TCP and dst_port = 20) or (proto = TCP and dst_port = 80)'],
  ['not host 10.0.0.1 and 10.0.0.2',
    'not (src_addr = 10.0.0.1 or dst_addr = 10.0.0.1) and (src_addr = 10.0.0.2 or dst_addr = 10.0.0.2)'],
  ['src host (10.0.0.1 or 10.0.0.2)', 'src_addr = 10.0.0.1 or src_addr = 10.0.0.2'],
  // "and" and "or" bind alike
  ['tcp or udp and icmp', '(proto = TCP or proto = UDP) and proto = ICMP'],
  ['tcp || (udp && ! icmp)', 'proto = TCP or (proto = UDP and not (proto = ICMP))'],
  ['ether host 02:11:00:00:00:01', 'src_mac = 02:11:00:00:00:01 or dst_mac = 02:11:00:00:00:01'],
  ['ether dst 02:11:00:00:00:01', 'dst_mac = 02:11:00:00:00:01'],
  ['ether broadcast', 'dst_mac = ff:ff:ff:ff:ff:ff'],
  ['ip multicast or ip6 multicast', 'dst_addr = 224.0.0.0/4 or dst_addr = ff00::/8'],
  ['vlan', 'defined vlan_id'],
  ['vlan 100 and mpls 16001', 'vlan_id = 100 and mpls_label_1 = 16001'],
  ['inbound', 'direction = ingress'],
  ['outbound', 'direction = egress'],
  ['tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', 'proto = TCP and tcp_flags & SA = S'],
  ['tcp[tcpflags] & (tcp-syn) != 0', 'proto = TCP and tcp_flags & S != 0'],
  ['tcp[13] & 7 > 0', 'proto = TCP and tcp_flags & FSR != 0'],
  ['tcp[13:1] = 0x12', 'proto = TCP and tcp_flags & FSRPAUEC = SA'],
  ['icmp[icmptype] != icmp-echo', 'proto = ICMP and icmp type != 8'],
  ['icmp6[icmp6type] = icmp6-echo', 'proto = ICMP6 and icmp type = 128'],
  ['icmp[1] = 3', 'proto = ICMP and icmp code = 3'],
  ['ip[8] < 64', `${IPV4} and ip_ttl < 64`],
  // more than a byte holds
  ['ip[8] < 256', `${IPV4} and ip_ttl <= 255`],
  ['ip[9] = 1000', `${IPV4} and proto > 255`],
  ['ip[1] & 0x1ff != 0x100', `${IPV4} and tos <= 255`],
  ['ip[1] & 0x1ff = 0xb8', `${IPV4} and tos & 255 = 184`],
  ['ip[1] & 0xfc = 0xb8', `${IPV4} and tos & 252 = 184`],
  ['ip[12 : 4] = 0x0a000001', `${IPV4} and src_addr & 255.255.255.255 = 10.0.0.1`],
  ['ip6[6] = 17', `${IPV6} and proto = UDP`],
  ['udp[2:2] >= 1024', 'proto = UDP and dst_port >= 1024'],
]

for (const [text, expected] of TRANSLATED) {
  test(`"${text}" is ${expected}`, () => {
    const filter = parseFilter(text, { dialect: 'bpf' })
    assert.equal(explainFilter(filter), expected)
    assert.equal(filterToSql(filter), filterToSql(parseFilter(expected)))
  })
}

const FAULTS: readonly (readonly [string, string, number])[] = [
  ['greater 100', 'cannot test "greater": flows have no length of one packet', 0],
  ['tcp and len > 4', 'cannot test "len": flows have no length of one packet', 8],
  ['gateway snup', 'flows have no field here for "gateway"', 0],
  ['ip broadcast', 'flows have no field here for "broadcast"', 3],
  ['snup', 'expected a test, found "snup"', 0],
  ['host snup', 'expected an IP address, found "snup"', 5],
  ['host 10.0.0.0/8', 'expected an IP address, found "10.0.0.0/8"', 5],
  ['ip host ::1', 'expected an IPv4 address, found "::1"', 8],
  ['ip6 net 10.0.0.0/8', 'expected an IPv6 network, found "10.0.0.0/8"', 8],
  ['net 10.0.0.0 mask x', 'expected a netmask, found "x"', 18],
  ['ether host 10.0.0.1', 'expected a MAC address, found "10.0.0.1"', 11],
  ['port 99999', 'expected a port number (0 to 65535), found "99999"', 5],
  ['port 80-90', 'expected a port number (0 to 65535), found "80-90"', 5],
  ['portrange x', 'expected a range of ports, as 80-90, found "x"', 10],
  ['icmp port 80', 'icmp has no ports', 10],
  ['arp host 10.0.0.1', 'flows have no addresses of arp', 9],
  ['proto foo', 'expected a protocol name or number, found "foo"', 6],
  ['vlan 5000', 'expected a number (0 to 4095), found "5000"', 5],
  ['tcp[0] = 1', 'of the header of tcp flows have tcp[0:2] tcp[2:2] tcp[13] tcp[tcpflags]', 3],
  ['esp[0] = 1', 'of the header of esp flows have nothing', 3],
  ['tcp[tcpflags] & 3 > 1', 'expected = or !=', 18],
  ['icmp[0] & 3 = 1', 'bits of icmp[0] cannot be tested', 4],
  ['tcp[tcpflags] tcp-syn', 'expected & = != < <= > >=, found "tcp-syn"', 14],
  ['tcp[tcpflags] = tcp-foo', 'expected a number, or the name of one as tcp-syn, found "tcp-foo"', 16],
  ['tcp[13', 'expected "]", found the end', 6],
  ['tcp udp', 'expected "and" or "or", found "udp"', 4],
  ['(tcp', 'expected "and", "or" or ")", found the end', 4],
  ['tcp and', 'expected a test, found the end', 7],
  ['tcp and @include x', 'files cannot be read here: "x"', 17],
]

for (const [text, reason, column] of FAULTS) {
  test(`"${text}" is refused: ${reason}`, () => {
    assert.throws(() => parseFilter(text, { dialect: 'bpf' }), {
      code: 'ERR_SYNTAX', message: `Cannot parse filter: ${reason}\n  ${text}\n  ${' '.repeat(column)}^`,
    })
  })
}

test('hosts are known by name where they can be looked up, each family by its protocol', () => {
  const hosts = (name: string): readonly string[] => name === 'www' ? ['10.0.0.1', '2001:db8::80'] : []
  const read = (text: string): string => explainFilter(parseFilter(text, { dialect: 'bpf', hosts }))
  assert.equal(read('src host www'), 'src_addr in [10.0.0.1 2001:db8::80]')
  assert.equal(read('ip src www'), 'src_addr = 10.0.0.1')
  assert.equal(read('ip6 dst host www or 2001:db8::1'),
    'dst_addr = 2001:db8::80 or dst_addr = 2001:db8::1')
  assert.throws(() => read('tcp and src host nosuch'), {
    message: 'Cannot parse filter: cannot find the address of "nosuch"\n  tcp and src host nosuch\n'
      + '                   ^',
  })
})

test('words in any order make a filter or a fault, and nothing else', () => {
  const words = fc.constantFrom(...[
    '( ) [ ] & | = != < > and or not tcp udp icmp ip ip6 ether src dst host net port portrange proto mask',
    '80 80-90 10.0.0.1 10/8 10.1 255.0.255.0 ::1 02:11:00:00:00:01 0x12 tcpflags tcp-syn 13 0:2 inbound http',
    'vlan mpls multicast',
  ].flatMap((line) => line.split(' ')))
  fc.assert(fc.property(fc.array(words, { maxLength: 14 }), (list) => {
    try {
      filterToSql(parseFilter(list.join(' '), { dialect: 'bpf' }))
    } catch (error) {
      assert(error instanceof FlowkitError && error.code === 'ERR_SYNTAX', String(error))
    }
  }), { seed: 9, numRuns: 5000 })
})

test('what is nested is bounded, and what is long is not', () => {
  const selected = new Uint8Array(2)
  const rows = batchOf([{ src_addr: '10.0.156.63' }, { src_addr: '10.0.156.64' }])
  const hosts = Array.from({ length: 40_000 }, (_, i) => `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`)
  const long = parseFilter(`not tcp and (src host ${hosts.join(' or ')})`, { dialect: 'bpf' })
  compileFilter(long)(rows, selected)
  assert.equal(selected.join(''), '10')
  for (const [text, fault] of [
    ['('.repeat(1_000_000), /no more than 200 nested parentheses/],
    ['tcp and udp or '.repeat(100_000), /no more than 500 turns from and to or/],
    [`tcp[13] = ${'('.repeat(100_000)}`, /expected a number/],
  ] as const) assert.throws(() => parseFilter(text, { dialect: 'bpf' }), fault)
})
