/** A second, plain reading of sampled frames and packets, as far as the corpus has them. */
import { formatIpv4, formatIpv6, formatMac } from '../../core/flow/address.ts'

/**
 * What the headers of an Ethernet frame say, by flowkit's fields; `bytes` is its length without padding.
 *
 * Written from RFC 791, 8200, 9293, 768, 792, 4443, 3032 and 4448, and IEEE 802.1Q.
 */
export function readFrame(frame: Uint8Array): Map<string, string> {
  return read(frame, addFrame)
}

/** The same of an IP packet without a frame. */
export function readIp(packet: Uint8Array): Map<string, string> {
  return read(packet, (bytes, add) => {
    const isIpv4 = bytes.readUInt8(0) >> 4 === 4
    add('etype', isIpv4 ? 0x800 : 0x86dd)
    if (isIpv4) addIpv4(bytes, 0, add)
    else addIpv6(bytes, 0, add)
  })
}

type Add = (name: string, value: number | string) => void

function read(section: Uint8Array, addAll: (bytes: Buffer, add: Add) => void): Map<string, string> {
  const fields = new Map<string, string>()
  try {
    addAll(Buffer.from(section), (name, value) => fields.set(name, String(value)))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error // the section ends here
  }
  return fields
}

function addFrame(bytes: Buffer, add: Add): void {
  add('dst_mac', formatMac(bytes.readUIntBE(0, 6)))
  add('src_mac', formatMac(bytes.readUIntBE(6, 6)))
  let at = 14
  for (const name of ['vlan_id', 'customer_vlan_id']) {
    if (![0x8100, 0x88a8].includes(bytes.readUInt16BE(at - 2))) break
    add(name, bytes.readUInt16BE(at) & 0xfff)
    at += 4
  }
  let etype = bytes.readUInt16BE(at - 2)
  if (etype === 0x8847) { // MPLS
    at = addLabels(bytes, at, add)
    const version = bytes.readUInt8(at) >> 4
    if (version === 0) at += 18 // a pseudowire: control word, and the header of the frame in it
    etype = version === 4 ? 0x800 : version === 6 ? 0x86dd : bytes.readUInt16BE(at - 2)
  }
  add('etype', etype)
  if (etype === 0x800) addIpv4(bytes, at, add)
  else if (etype === 0x86dd) addIpv6(bytes, at, add)
}

/** Add the label stack. @returns where it ends */
function addLabels(bytes: Buffer, at: number, add: Add): number {
  add('mpls_ttl', bytes.readUInt8(at + 3))
  let below = 0
  for (let i = 0; ; i++, at += 4) {
    const entry = bytes.readUInt32BE(at)
    add(`mpls_label_${i + 1}`, entry >>> 12)
    below += (entry >>> 8 & 15) * 16 ** i
    if ((entry & 0x100) !== 0) break
  }
  add('mpls_exp', below)
  return at + 4
}

function addIpv4(bytes: Buffer, at: number, add: Add): void {
  add('bytes', at + bytes.readUInt16BE(at + 2))
  add('tos', bytes.readUInt8(at + 1))
  add('fragment_id', bytes.readUInt16BE(at + 4))
  add('ip_flags', bytes.readUInt8(at + 6) & 0xe0)
  const offset = bytes.readUInt16BE(at + 6) & 0x1fff
  add('fragment_offset', offset)
  add('ip_ttl', bytes.readUInt8(at + 8))
  const proto = bytes.readUInt8(at + 9)
  add('proto', proto)
  add('src_addr', formatIpv4(bytes.readUInt32BE(at + 12)))
  add('dst_addr', formatIpv4(bytes.readUInt32BE(at + 16)))
  if (offset === 0) addTransport(bytes, at + (bytes.readUInt8(at) & 15) * 4, proto, add)
}

function addIpv6(bytes: Buffer, at: number, add: Add): void {
  const first = bytes.readUInt32BE(at)
  add('bytes', at + 40 + bytes.readUInt16BE(at + 4))
  add('tos', first >>> 20 & 255)
  add('ipv6_flow_label', first & 0xfffff)
  add('ip_ttl', bytes.readUInt8(at + 7))
  add('src_addr', formatIpv6(bytes, at + 8))
  add('dst_addr', formatIpv6(bytes, at + 24))
  let proto = bytes.readUInt8(at + 6)
  at += 40
  while ([0, 43, 60].includes(proto)) { // hop-by-hop options, routing, destination options
    proto = bytes.readUInt8(at)
    at += 8 + bytes.readUInt8(at + 1) * 8
  }
  add('proto', proto)
  addTransport(bytes, at, proto, add)
}

function addTransport(bytes: Buffer, at: number, proto: number, add: Add): void {
  if ([6, 17, 132].includes(proto)) {
    add('src_port', bytes.readUInt16BE(at))
    add('dst_port', bytes.readUInt16BE(at + 2))
    if (proto === 6) add('tcp_flags', bytes.readUInt16BE(at + 12) & 0xfff)
  } else if (proto === 1 || proto === 58) {
    add('icmp_type', bytes.readUInt8(at))
    add('icmp_code', bytes.readUInt8(at + 1))
  }
}
