import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parsePacket } from '../../../core/pcap/headers.ts'
import { PacketHeaders } from '../../../core/pcap/packet-headers.ts'
import {
  parseInner, TUNNEL_ERSPAN, TUNNEL_GENEVE, TUNNEL_GRE, TUNNEL_GTP, TUNNEL_IP, TUNNEL_MPLS, TUNNEL_VXLAN,
} from '../../../core/pcap/tunnels.ts'
import { bytesOf, ethernet, frame, ipv4, ipv6, udp } from './frames.ts'

/** The packet in the tunnel that the packet is, or undefined. */
function innerOf(bytes: Uint8Array, linkType: number = 101): PacketHeaders | undefined {
  const outer = new PacketHeaders()
  const inner = new PacketHeaders()
  parsePacket(bytes, 0, bytes.length, linkType, outer)
  return parseInner(bytes, outer, inner) ? inner : undefined
}

describe('parseInner', () => {
  // offset of the inner IP header: 20 bytes of IPv4, 8 of UDP, the tunnel's header, 14 of Ethernet
  for (const [name, tunnel, id, ip, version] of [
    ['IPv4 in IPv4', TUNNEL_IP, -1, 20, 4],
    ['IPv6 in IPv4', TUNNEL_IP, -1, 20, 6],
    ['IPv4 in IPv6', TUNNEL_IP, -1, 40, 4],
    ['GRE', TUNNEL_GRE, -1, 24, 4],
    ['GRE with checksum, key, sequence', TUNNEL_GRE, 42, 36, 6],
    ['NVGRE', TUNNEL_GRE, 42 << 8, 20 + 8 + 14, 4],
    ['PPTP', TUNNEL_GRE, 42, 20 + 16 + 4, 4],
    ['MPLS in GRE', TUNNEL_GRE, -1, 20 + 4 + 4, 4],
    ['ERSPAN type I', TUNNEL_ERSPAN, -1, 20 + 4 + 14, 4],
    ['ERSPAN type II', TUNNEL_ERSPAN, 42, 20 + 8 + 8 + 14, 4],
    ['ERSPAN type III', TUNNEL_ERSPAN, 42, 20 + 8 + 12 + 14, 4],
    ['VXLAN', TUNNEL_VXLAN, 42, 28 + 8 + 14, 4],
    ['VXLAN-GPE', TUNNEL_VXLAN, 42, 28 + 8, 4],
    ['Geneve with options', TUNNEL_GENEVE, 42, 48 + 16 + 14, 4],
    ['GTP-U with extension', TUNNEL_GTP, 42, 28 + 16, 4],
    ['MPLS in IP', TUNNEL_MPLS, -1, 24, 4],
    ['MPLS in UDP', TUNNEL_MPLS, -1, 32, 4],
    ['GRE in UDP', TUNNEL_GRE, -1, 32, 4],
  ] as const) {
    test(`enters ${name}`, () => {
      const { bytes, linkType } = frame(name)
      const inner = innerOf(bytes, linkType)!
      assert.deepEqual([inner.depth, inner.tunnel, inner.tunnelId], [1, tunnel, id])
      assert.deepEqual([inner.ip, inner.ipVersion], [ip, version])
      assert.deepEqual([inner.srcPort, inner.dstPort, inner.payloadLength], [40000, 2055, 4])
    })
  }

  test('follows tunnels in tunnels, into one object or two', () => {
    const { bytes } = frame('VXLAN in GRE')
    const headers = new PacketHeaders()
    parsePacket(bytes, 0, bytes.length, 101, headers)
    const tunnels: number[] = []
    while (parseInner(bytes, headers, headers)) tunnels.push(headers.tunnel)
    assert.deepEqual(tunnels, [TUNNEL_GRE, TUNNEL_VXLAN])
    assert.deepEqual([headers.depth, headers.dstPort], [2, 2055])
  })

  test('stops at a depth of 8', () => {
    let hex = ipv4(17, udp(1, 2, ''))
    for (let i = 0; i < 12; i++) hex = ipv4(4, hex)
    const bytes = bytesOf(hex)
    const headers = new PacketHeaders()
    parsePacket(bytes, 0, bytes.length, 101, headers)
    while (parseInner(bytes, headers, headers));
    assert.deepEqual([headers.depth, headers.ip, headers.proto], [8, 160, 4])
  })

  test('leaves the inner packet alone when there is no tunnel', () => {
    const { bytes } = frame('raw IPv4')
    const outer = new PacketHeaders()
    const inner = new PacketHeaders()
    inner.srcPort = 7
    parsePacket(bytes, 0, bytes.length, 101, outer)
    assert.equal(parseInner(bytes, outer, inner), false)
    assert.equal(inner.srcPort, 7)
  })

  test('takes no export datagram on a tunnel port for a tunnel', () => {
    // the first bytes of NetFlow v5, v9, IPFIX and sFlow
    for (const head of ['00050001', '00090001', '000a0010', '0000000500000001']) {
      for (const port of [2152, 4754, 4789, 4790, 6081, 8472]) {
        const packet = ipv4(17, udp(40000, port, head.padEnd(80, '0')))
        assert.equal(innerOf(bytesOf(packet)), undefined, `${head} to ${port}`)
      }
    }
  })

  test('does not enter what its header says it cannot read', () => {
    const packet = ipv4(17, udp(1, 2, ''))
    const message = ethernet('0800', packet)
    for (const [what, hex] of [
      ['GRE version 2', ipv4(47, '00020800' + packet)],
      ['GRE with source routes', ipv4(47, '40000800' + '00000000' + packet)],
      ['GRE with a protocol of its own', ipv4(47, '00008999' + packet)],
      ['GRE that ends in its header', ipv4(47, '30000800' + '0000002a')],
      ['ERSPAN type III, odd frame', ipv4(47, '100022eb00000001' + '2005002a0000000000000400' + message)],
      ['VXLAN without network', ipv4(17, udp(1, 4789, '00000000' + '00002a00' + message))],
      ['VXLAN-GPE of a service header', ipv4(17, udp(1, 4790, '0c000004' + '00002a00' + message))],
      ['Geneve version 1', ipv4(17, udp(1, 6081, '40006558' + '00002a00' + message))],
      ['GTP echo', ipv4(17, udp(2152, 2152, '3001' + '0000' + '00000000' + packet))],
      ['GTP extension of length 0',
        ipv4(17, udp(2152, 2152, '34ff0000' + '00000000' + '0000008500000000' + packet))],
      ['a later fragment', ipv4(4, packet, '0001')],
    ] as const) {
      assert.equal(innerOf(bytesOf(hex)), undefined, what)
    }
  })

  test('tells a tunnel whose packet is not IP', () => {
    const arp = ethernet('0806', '0001080006040001')
    const inner = innerOf(bytesOf(ipv6(17, udp(1, 4789, '08000000' + '00002a00' + arp))))!
    const { tunnel, ipVersion, etype, srcMac } = inner
    assert.deepEqual([tunnel, ipVersion, etype, srcMac], [TUNNEL_VXLAN, 0, 0x0806, 62])
  })
})
