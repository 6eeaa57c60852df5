import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parsePacket, SFLOW_LINK_TYPES } from '../../../core/pcap/headers.ts'
import {
  BAD_HEADER, CUT_HEADER, CUT_PAYLOAD, FRAGMENT, MORE_FRAGMENTS, PacketHeaders, UNKNOWN_LINK, WIRELESS_LINK,
} from '../../../core/pcap/packet-headers.ts'
import { parseInner } from '../../../core/pcap/tunnels.ts'
import { bytesOf, ethernet, frame, FRAMES, ipv4, ipv6, tcp, udp, uint } from './frames.ts'
import { random } from './random.ts'

function parse(bytes: Uint8Array, linkType: number): PacketHeaders {
  const headers = new PacketHeaders()
  parsePacket(bytes, 0, bytes.length, linkType, headers)
  return headers
}

function parseFrame(name: string): PacketHeaders {
  const { bytes, linkType } = frame(name)
  return parse(bytes, linkType)
}

/** The members that are not absent, without those that say how the parsing went. */
function present(headers: PacketHeaders): Record<string, number> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== -1))
}

/** The packet and all that it carries in tunnels. */
function layersOf(bytes: Uint8Array, start: number, end: number, linkType: number): PacketHeaders[] {
  const layers = [new PacketHeaders()]
  parsePacket(bytes, start, end, linkType, layers[0]!)
  for (;;) {
    const inner = new PacketHeaders()
    if (!parseInner(bytes, layers.at(-1)!, inner)) return layers
    layers.push(inner)
  }
}

function address(bytes: Uint8Array, at: number, version: number): string {
  if (version === 4) return bytes.subarray(at, at + 4).join('.')
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 16)
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16))
  return groups.join(':').replace(/(^|:)0(:0)+(:|$)/, '::')
}

describe('parsePacket', () => {
  test('reads every kind of packet as tshark does', () => {
    const golden = readFileSync(new URL('../../fixtures/pcap/frames.tsv', import.meta.url), 'utf8')
    const [head, ...rows] = golden.replace(/\n$/, '').split('\n')
    const columns = head!.split('\t')
    assert.equal(rows.length, FRAMES.length)
    for (const [i, { name, linkType, bytes }] of FRAMES.entries()) {
      if (linkType === 219) continue // tshark 4.0 does not know the link type
      const cells = rows[i]!.split('\t')
      const seen = layersOf(bytes, 0, bytes.length, linkType)
      const v4 = seen.filter(({ ipVersion }) => ipVersion === 4)
      const v6 = seen.filter(({ ipVersion }) => ipVersion === 6)
      const udps = seen.filter(({ proto, srcPort }) => (proto === 17 || proto === 136) && srcPort >= 0)
      const tcps = seen.filter(({ proto }) => proto === 6)
      const numbers = (values: number[]): string => values.filter((value) => value >= 0).join()
      const expected: Record<string, string> = {
        'frame.number': String(i + 1),
        'ip.src': v4.map(({ srcAddr }) => address(bytes, srcAddr, 4)).join(),
        'ip.dst': v4.map(({ dstAddr }) => address(bytes, dstAddr, 4)).join(),
        'ip.ttl': v4.map(({ ttl }) => ttl).join(),
        'ip.id': v4.map(({ ipId }) => `0x${uint(ipId, 2)}`).join(),
        'ipv6.src': v6.map(({ srcAddr }) => address(bytes, srcAddr, 6)).join(),
        'ipv6.dst': v6.map(({ dstAddr }) => address(bytes, dstAddr, 6)).join(),
        'udp.srcport': udps.map(({ srcPort }) => srcPort).join(),
        'udp.dstport': udps.map(({ dstPort }) => dstPort).join(),
        'udp.length': udps.map(({ payloadLength }) => payloadLength + 8).join(),
        'tcp.srcport': tcps.map(({ srcPort }) => srcPort).join(),
        'tcp.dstport': tcps.map(({ dstPort }) => dstPort).join(),
        'tcp.flags': tcps.map(({ tcpFlags }) => `0x${uint(tcpFlags, 2)}`).join(),
        'tcp.seq_raw': tcps.map(({ tcpSequence }) => tcpSequence).join(),
        'icmp.type': numbers(seen.map(({ proto, icmpType }) => (proto === 1 ? icmpType : -1))),
        'icmpv6.type': numbers(seen.map(({ proto, icmpType }) => (proto === 58 ? icmpType : -1))),
        'sctp.srcport': numbers(seen.map(({ proto, srcPort }) => (proto === 132 ? srcPort : -1))),
        'dccp.srcport': numbers(seen.map(({ proto, srcPort }) => (proto === 33 ? srcPort : -1))),
        'mpls.label': seen.flatMap(({ mpls, mplsLabels }) =>
          Array.from({ length: mplsLabels }, (_, k) =>
            new DataView(bytes.buffer).getUint32(mpls + 4 * k) >>> 12)).join(),
      }
      // tshark has the outer 802.1ad tag in a column of its own
      const tags = ['ieee8021ad.id', 'vlan.id'].flatMap((name) => cells[columns.indexOf(name)]!.split(','))
      const ids = numbers(seen.flatMap(({ vlanId, innerVlanId }) => [vlanId, innerVlanId]))
      assert.equal(ids, tags.filter(Boolean).slice(0, 2).join(), name)
      for (const [column, value] of Object.entries(expected)) {
        assert.equal(value, cells[columns.indexOf(column)], `${name}: ${column}`)
      }
    }
  })

  test('tells the place of everything in an Ethernet frame', () => {
    assert.deepEqual(present(parseFrame('Ethernet, UDP over IPv4')), {
      flags: 0, depth: 0, tunnel: 0, dstMac: 0, srcMac: 6, etype: 0x0800, mplsLabels: 0, ip: 14, ipVersion: 4,
      srcAddr: 26, dstAddr: 30, proto: 17, tos: 0x48, ttl: 61, ipId: 0x1234, ipLength: 32, fragmentOffset: 0,
      transport: 34, srcPort: 40000, dstPort: 2055, payload: 42, payloadLength: 4, end: 46,
    })
    assert.deepEqual(present(parseFrame('Ethernet, TCP over IPv6')), {
      flags: 0, depth: 0, tunnel: 0, dstMac: 0, srcMac: 6, etype: 0x86dd, mplsLabels: 0, ip: 14, ipVersion: 6,
      srcAddr: 22, dstAddr: 38, proto: 6, tos: 0x48, ttl: 61, flowLabel: 0xabcde, ipLength: 66,
      fragmentOffset: 0, transport: 54, srcPort: 49152, dstPort: 443, tcpFlags: 0xc2, tcpSequence: 0xfedcba98,
      payload: 78, payloadLength: 2, end: 80,
    })
  })

  test('behind IPv4 options and IPv6 extension headers the transport is found', () => {
    const options = parseFrame('Ethernet, TCP over IPv4 with options')
    assert.deepEqual([options.transport, options.payload, options.payloadLength], [38, 62, 2])
    for (const [name, transport] of [
      ['IPv6, hop-by-hop, destination options', 70], ['IPv6, segment routing', 94],
      ['IPv6, authentication', 78], ['IPv6, atomic fragment', 62],
    ] as const) {
      const headers = parseFrame(name)
      assert.deepEqual(
        [headers.proto, headers.transport, headers.dstPort, headers.payloadLength, headers.flags],
        [17, transport, 2055, 4, 0],
        name,
      )
    }
  })

  test('fragments: the first has ports, the others only their data', () => {
    const first4 = parseFrame('IPv4, first fragment')
    assert.deepEqual(
      [first4.flags, first4.fragmentOffset, first4.fragment, first4.fragmentProto, first4.dstPort],
      [FRAGMENT | MORE_FRAGMENTS, 0, 34, 17, 2055],
    )
    assert.deepEqual(present(parseFrame('IPv4, last fragment')), {
      flags: FRAGMENT, depth: 0, tunnel: 0, dstMac: 0, srcMac: 6, etype: 0x0800, mplsLabels: 0, ip: 14,
      ipVersion: 4, srcAddr: 26, dstAddr: 30, proto: 17, tos: 0x48, ttl: 61, ipId: 0x1234, ipLength: 32,
      fragmentOffset: 0xb9 * 8, fragment: 34, fragmentProto: 17, payload: 34, payloadLength: 12, end: 46,
    })
    const first6 = parseFrame('IPv6, first fragment')
    assert.deepEqual(
      [first6.flags, first6.fragment, first6.fragmentProto, first6.ipId, first6.dstPort],
      [FRAGMENT | MORE_FRAGMENTS, 62, 17, 0xfedcba98, 2055],
    )
    const later6 = parseFrame('IPv6, later fragment')
    assert.deepEqual(
      [later6.flags, later6.fragmentOffset, later6.fragment, later6.proto, later6.dstPort],
      [FRAGMENT, 1480, 62, 17, -1],
    )
  })

  test('ICMP has a type and a code and no ports', () => {
    const { icmpType, icmpCode, srcPort, payload, payloadLength } = parseFrame('ICMPv6 time exceeded')
    assert.deepEqual([icmpType, icmpCode, srcPort, payload, payloadLength], [3, 1, -1, 62, 2])
  })

  test('the labels of an MPLS stack are found, ten at most', () => {
    const { mpls, mplsLabels, etype } = parseFrame('MPLS, two labels, IPv4')
    assert.deepEqual([mpls, mplsLabels, etype], [14, 2, 0x0800])
    const stack = '00064040'.repeat(11) + '0006413f'
    const deep = parse(bytesOf(ethernet('8847', stack + ipv4(17, udp(1, 2, '')))), 1)
    assert.deepEqual([deep.mplsLabels, deep.dstPort], [10, 2])
  })

  test('a pseudowire without control word is told from one with it', () => {
    const packet = ipv4(17, udp(1, 2, ''))
    const tagged = ethernet('8100', '00050800' + packet)
    for (const [inner, ip] of [[ethernet('0800', packet), 32], [tagged, 36]] as const) {
      const plain = parse(bytesOf(ethernet('8847', '0006413f' + inner)), 1)
      const control = parse(bytesOf(ethernet('8847', '0006413f' + '00000000' + inner)), 1)
      assert.deepEqual([plain.ip, control.ip], [ip, ip + 4])
      assert.deepEqual([plain.srcMac, control.srcMac], [6, 6])
    }
    const channel = ethernet('8847', '0006413f' + '10000000' + ethernet('0800', packet))
    assert.equal(parse(bytesOf(channel), 1).ip, -1)
  })

  test('what is not IP keeps its EtherType and MAC addresses', () => {
    const { etype, srcMac, ipVersion } = parseFrame('ARP')
    assert.deepEqual([etype, srcMac, ipVersion], [0x0806, 6, 0])
    const spanningTree = parse(bytesOf(ethernet('0026', '424203' + '00'.repeat(35))), 1)
    assert.deepEqual([spanningTree.etype, spanningTree.srcMac, spanningTree.ipVersion], [-1, 6, 0])
  })

  test('netfilter logs are read in both byte orders', () => {
    const packet = ipv4(17, udp(1, 2, ''))
    const little = '02000000' + '0800' + '0100' + '08000100' + '2000' + '0900' + packet
    const { ip, srcAddr, dstPort, end, flags } = parse(bytesOf(little), 239)
    assert.deepEqual([ip, srcAddr, dstPort, end, flags], [16, 28, 2, 44, 0])
  })

  test('unknown and wireless link types are told apart', () => {
    const { bytes } = frame('raw IPv4')
    assert.equal(parse(bytes, 147).flags, UNKNOWN_LINK)
    for (const linkType of [105, 119, 127, 163]) assert.equal(parse(bytes, linkType).flags, WIRELESS_LINK)
  })

  test('sFlow header protocols start at their layer', () => {
    // header_protocol: 1 Ethernet, 7 PPP, 11 IPv4, 12 IPv6, 13 MPLS, 14 POS
    for (const [protocol, name] of [
      [1, 'Ethernet, UDP over IPv4'], [7, 'PPP without framing'], [11, 'IPv4 link'], [12, 'IPv6 link'],
      [13, 'MPLS link'], [14, 'PPP with HDLC framing'],
    ] as const) {
      assert.equal(parse(frame(name).bytes, SFLOW_LINK_TYPES[protocol]!).dstPort, 2055, name)
    }
    assert.equal(parse(frame('IPv4 link').bytes, SFLOW_LINK_TYPES[5]!).flags, UNKNOWN_LINK)
  })

  test('a length of 0 (segmentation offload) means all that was captured', () => {
    const v4 = bytesOf(ipv4(6, tcp('61'.repeat(50))))
    v4.set([0, 0], 2)
    const v6 = bytesOf(ipv6(6, tcp('61'.repeat(50))))
    v6.set([0, 0], 4)
    for (const bytes of [v4, v6]) {
      const { ipLength, payloadLength, flags } = parse(bytes, 101)
      assert.deepEqual([ipLength, payloadLength, flags], [0, 50, 0])
    }
  })

  test('the length of a jumbogram is in its option', () => {
    const jumbo = bytesOf(ipv6(0, '1100' + 'c20400011170' + '00'.repeat(8)))
    jumbo.set([0, 0], 4)
    const { ipLength, flags, payloadLength } = parse(jumbo, 101)
    assert.deepEqual([ipLength, flags, payloadLength], [40 + 70000, CUT_PAYLOAD, 70000 - 16])
  })

  test('headers that contradict themselves are told, and not followed', () => {
    const good = ipv4(17, udp(1, 2, '6162'))
    const cases: [string, string][] = [
      ['header length below 20', '44' + good.slice(2)],
      ['total length below the header', good.slice(0, 4) + '0013' + good.slice(8)],
      ['version 5', '5' + good.slice(1)],
      ['UDP length beyond the packet', ipv4(17, '00010002' + '000b0000' + '6162')],
      ['UDP length below 8', ipv4(17, '00010002' + '00070000' + '6162')],
      ['TCP data offset below 5', ipv4(6, tcp().replace('60c2', '40c2'))],
      ['TCP header beyond the packet', ipv4(6, tcp().replace('60c2', '70c2'))],
      ['transport header cut by the IP length', ipv4(17, '00010002')],
      ['17 extension headers', ipv6(60, '3c00010400000000'.repeat(17))],
      ['PPPoE version 2', ethernet('8864', '12000001' + '001e' + '0021' + good)],
    ]
    for (const [what, hex] of cases) {
      const headers = parse(bytesOf(hex), what.startsWith('PPPoE') ? 1 : 101)
      assert.equal(headers.flags & BAD_HEADER, BAD_HEADER, what)
    }
    assert.equal(parse(bytesOf('5' + good.slice(1)), 101).srcAddr, -1)
  })

  test('what a cut packet still has is what the whole packet says', () => {
    const changing = new Set(['flags', 'end', 'etype', 'depth', 'ipVersion', 'mplsLabels', 'fragmentOffset'])
    for (const { name, linkType, bytes } of FRAMES) {
      const whole = parse(bytes, linkType)
      for (let length = 0; length < bytes.length; length++) {
        const cut = new PacketHeaders()
        parsePacket(bytes, 0, length, linkType, cut)
        for (const [member, value] of Object.entries(cut)) {
          if (value === -1 || changing.has(member)) continue
          assert.equal(value, whole[member as keyof PacketHeaders], `${name}, ${length} bytes: ${member}`)
        }
        if (whole.payload >= 0 && length < whole.payload) {
          assert.ok(cut.payload === -1 && (cut.flags & CUT_HEADER) !== 0, `${name}, ${length} bytes`)
        } else if (whole.payloadLength >= 0 && length < whole.payload + whole.payloadLength) {
          assert.ok((cut.flags & CUT_PAYLOAD) !== 0, `${name}, ${length} bytes`)
        }
      }
    }
  })

  test('no damage makes it read outside the packet or fail', () => {
    const next = random(7011)
    const margin = 200
    for (let i = 0; i < 2000; i++) {
      const { linkType, bytes } = FRAMES[i % FRAMES.length]!
      const mutant = bytes.slice(0, 1 + next(bytes.length))
      for (let k = next(4); k >= 0; k--) mutant[next(mutant.length)] = next(256)
      const readings = [0x00, 0xff, 0x45].map((around) => {
        const memory = new Uint8Array(mutant.length + 2 * margin).fill(around)
        memory.set(mutant, margin)
        const seen = layersOf(memory, margin, margin + mutant.length, linkType)
        for (const headers of seen) {
          assert.ok(headers.end <= margin + mutant.length)
          assert.ok(Object.values(headers).every((value) => Number.isInteger(value) && value >= -1))
        }
        return seen
      })
      assert.deepEqual(readings[1], readings[0])
      assert.deepEqual(readings[2], readings[0])
    }
  })
})
