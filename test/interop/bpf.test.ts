/** Packet filter expressions on flows of one packet each, held against tcpdump's on those packets. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parseIpv4, parseIpv6, parseMac } from '../../core/flow/address.ts'
import { compileFilter, parseFilter } from '../../core/filter/filter.ts'
import { batchOf, type Row } from '../core/filter/rows.ts'
import { missing } from './peers.ts'

const HEADERS = 66 // Ethernet, IPv6, and what lies above
const MACS = { src_mac: '02:11:00:00:00:01', dst_mac: '02:11:00:00:00:02' }
const V4 = { ...MACS, src_addr: '10.20.0.1', dst_addr: '192.168.1.77' }
const V6 = { ...MACS, src_addr: '2001:db8::1', dst_addr: 'fe80::ffff:1' }

const ROWS: readonly Row[] = [
  { ...V4, proto: 6, src_port: 50_000, dst_port: 80, tcp_flags: 0x02 },
  { ...V4, proto: 6, src_port: 443, dst_port: 6003, tcp_flags: 0x12 },
  { ...V4, proto: 6, src_port: 22, dst_port: 22, tcp_flags: 0x11, tos: 0xb8, ip_ttl: 3 },
  { ...V4, proto: 17, src_port: 53, dst_port: 1053, dst_mac: 'ff:ff:ff:ff:ff:ff' },
  { ...V4, proto: 17, src_port: 80, dst_port: 80, src_addr: '10.21.0.1', dst_addr: '224.0.0.5' },
  { ...V4, proto: 132, src_port: 80, dst_port: 5000 },
  { ...V4, proto: 1, icmp_type: 8, icmp_code: 0, src_addr: '192.168.1.77', dst_addr: '10.20.0.1' },
  { ...V4, proto: 1, icmp_type: 3, icmp_code: 3 },
  { ...V4, proto: 47 },
  { ...V4, proto: 2 },
  { ...V6, proto: 6, src_port: 1000, dst_port: 443, tcp_flags: 0x18 },
  { ...V6, proto: 17, src_port: 53, dst_port: 53, ip_ttl: 1 },
  { ...V6, proto: 58, icmp_type: 135, icmp_code: 0, dst_addr: 'ff02::1' },
]

const EXPRESSIONS: readonly string[] = [
  'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp', 'ip', 'ip6', 'not ip', 'ip proto 47', 'ip6 proto 17',
  'ip proto \\tcp', 'host 10.20.0.1', 'src host 10.20.0.1', 'dst 10.20.0.1', 'ip host 192.168.1.77',
  'ip6 host 2001:db8::1', 'net 10', 'src net 10.20', 'net 10.20.0.0/16', 'dst net 192.168.1',
  'net 192.168.0.0 mask 255.255.0.0', 'src net 10.0.0.1 mask 255.0.0.255', 'net 2001:db8::/32',
  'ip6 src net 2001:db8::/64', 'src and dst net 10.0.0.0/8', 'src or dst host 192.168.1.77', 'port 80',
  'src port 53', 'udp port 53', 'tcp dst port 80', 'src and dst port 53', 'src and dst port 22',
  'portrange 6000-6008', 'tcp src portrange 400-60000', 'tcp dst port 80 or 6003', 'port 53 or 443 and udp',
  'udp and port 53 or 443', 'tcp or udp and ip6', 'tcp or (udp and ip6)', 'not port 80 and tcp',
  'not host 10.20.0.1 and 192.168.1.77', 'host (10.20.0.1 or 2001:db8::1)', 'not (tcp or udp)',
  'ether host 02:11:00:00:00:02', 'ether src 02:11:00:00:00:01', 'ether broadcast', 'ether proto \\ip6',
  'ether[12:2] = 0x86dd', 'ip multicast', 'ip6 multicast', 'ip[8] < 64', 'ip[8] >= 64',
  'ip[1] & 0xfc = 0xb8', 'ip[9] = 47', 'ip6[7] = 1', 'ip6[6] != 17', 'ip[12:4] = 0x0a140001',
  'ip[16:4] & 0xff000000 != 0x0a000000', 'ip and tcp[tcpflags] & tcp-syn != 0',
  'ip and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', 'ip and tcp[13] = 0x12',
  'ip and tcp[tcpflags] & (tcp-fin|tcp-syn) > 0', 'tcp[0:2] = 443 and ip', 'udp[2:2] < 1000 and ip',
  'icmp[icmptype] = icmp-echo', 'icmp[icmptype] != icmp-echo', 'icmp[0] = 3 and icmp[icmpcode] = 3',
  'icmp6[icmp6type] = icmp6-neighborsolicit', 'ip and not icmp && ! port 80 || ip6',
]

/** One frame of Ethernet for a flow. */
function packetOf(row: Row): Buffer {
  const frame = Buffer.alloc(HEADERS + 20)
  frame.writeUIntBE(parseMac(String(row.dst_mac)), 0, 6)
  frame.writeUIntBE(parseMac(String(row.src_mac)), 6, 6)
  const isV6 = String(row.src_addr).includes(':')
  frame.writeUInt16BE(isV6 ? 0x86dd : 0x0800, 12)
  const above = isV6 ? 54 : 34
  const size = frame.length - above
  const [tos, ttl] = [Number(row.tos ?? 0), Number(row.ip_ttl ?? 64)]
  if (isV6) {
    frame.writeUInt32BE((0x60000000 | tos << 20) >>> 0, 14)
    frame.writeUInt16BE(size, 18)
    frame.set([Number(row.proto), ttl], 20)
    parseIpv6(String(row.src_addr), frame, 22)
    parseIpv6(String(row.dst_addr), frame, 38)
  } else {
    frame.set([0x45, tos], 14)
    frame.writeUInt16BE(20 + size, 16)
    frame.set([ttl, Number(row.proto)], 22)
    frame.writeUInt32BE(parseIpv4(String(row.src_addr)), 26)
    frame.writeUInt32BE(parseIpv4(String(row.dst_addr)), 30)
  }
  if (row.src_port !== undefined) {
    frame.writeUInt16BE(Number(row.src_port), above)
    frame.writeUInt16BE(Number(row.dst_port), above + 2)
    if (row.proto === 17) frame.writeUInt16BE(size, above + 4)
    if (row.proto === 6) frame.set([0x50, Number(row.tcp_flags)], above + 12)
  } else if (row.icmp_type !== undefined) frame.set([Number(row.icmp_type), Number(row.icmp_code)], above)
  return frame
}

const skip = missing('tcpdump')
const folder = mkdtempSync(join(tmpdir(), 'flowkit-bpf-'))
const path = join(folder, 'packets.pcap')
after(() => rmSync(folder, { recursive: true }))

const header = Buffer.alloc(24)
header.writeUInt32LE(0xa1b2c3d4)
header.writeUInt16LE(2, 4)
header.writeUInt16LE(4, 6)
header.writeUInt32LE(65_535, 16)
header.writeUInt32LE(1, 20)
writeFileSync(path, Buffer.concat([header, ...ROWS.flatMap((row, i) => {
  const packet = packetOf(row)
  const record = Buffer.alloc(16) // the time tells which row it is
  record.writeUInt32LE(i, 0)
  record.writeUInt32LE(packet.length, 8)
  record.writeUInt32LE(packet.length, 12)
  return [record, packet]
})]))
const rows = ROWS.map((row): Row => {
  return { ip_ttl: 64, tos: 0, etype: String(row.src_addr).includes(':') ? 0x86dd : 0x0800, ...row }
})

for (const expression of EXPRESSIONS) {
  test(`"${expression}" selects the flows whose packets tcpdump selects`, { skip }, () => {
    const printed = execFileSync('tcpdump', ['-r', path, '-n', '-tt', expression], {
      encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'],
    })
    const seconds = printed.matchAll(/^(\d+)\.000000 /gm)
    const expected = new Set(Array.from(seconds, ([, second]) => Number(second)))
    const selected = new Uint8Array(rows.length)
    compileFilter(parseFilter(expression, { dialect: 'bpf' }))(batchOf(rows), selected)
    assert.equal(selected.join(''), rows.map((_, i) => expected.has(i) ? 1 : 0).join(''))
  })
}
