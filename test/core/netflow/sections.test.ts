import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { elementName, findElement } from '../../../core/flow/elements.ts'
import { fieldMask, ID } from '../../../core/flow/fields.ts'
import { makePlan } from '../../../core/netflow/plan.ts'
import { random } from '../pcap/random.ts'
import {
  collector, EXPORTED, hex, ip4, ip6, ipfix, join, mac, options10, pick, RECEIVED, set, template, u16, u32,
  u64, u8, v9, variable, type Row, type TemplateField,
} from './messages.ts'

const MACS = '020000000002 020000000001' // destination, source
const IPV6 = '20010db8000000000000000000000001 20010db8000000000000000000000002'

/** RFC 791, RFC 9293: a SYN of 44 bytes with one option, from 192.0.2.1:49152 to 198.51.100.2:443. */
const TCP_PACKET = `
  45 48 002c 1234 4000 3d 06 0000 c0000201 c6336402 # type of service 0x48, do not fragment, 61 hops left
  c000 01bb 00000001 00000000 6002 ffff 0000 0000   # SYN
  020405b4`
const TCP_FRAME = hex(`${MACS} 0800 ${TCP_PACKET}`)
const TCP_FIELDS: Row = {
  src_mac: '02:00:00:00:00:01', dst_mac: '02:00:00:00:00:02', etype: 0x800, src_addr: '192.0.2.1',
  dst_addr: '198.51.100.2', proto: 6, tos: 0x48, ip_ttl: 61, ip_flags: 0x40, fragment_id: 0x1234,
  fragment_offset: 0, src_port: 49152, dst_port: 443, tcp_flags: 2,
}
/** RFC 768: a datagram of 40 bytes, from port 53 to 40000. */
const UDP_PACKET = `
  45 00 0028 0001 0000 40 11 0000 c0000201 c6336402
  0035 9c40 0014 0000 616263646566676869 6a6b6c`
const UDP_FRAME = hex(`${MACS} 0800 ${UDP_PACKET}`)

const HEADER = ['type', 'received', 'exporter_addr', 'sequence_num', 'observation_domain_id']

function withoutHeader(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !HEADER.includes(name)))
}

/** What IPFIX records with these fields give, without the header's. */
function decode(layout: readonly TemplateField[], ...records: readonly Uint8Array[]): Row[] {
  const message = ipfix({}, set(2, template(256, ...layout)), set(256, ...records))
  return collector().send(message).map(withoutHeader)
}

/** What a record with nothing but a frame gives. */
function decodeFrame(text: string): Row {
  return decode([[315, 65535]], variable(hex(text), 3))[0]!
}

describe('a sampled frame in a record', () => {
  test('gives a packet report of softflowd its flow: padded, with the number of bytes that count', () => {
    const layout = template(1024, [301, 8], [324, 8], [410, 2], [315, 70])
    const padded = join(TCP_FRAME, new Uint8Array(12))
    const record = join(u64(7), u32(EXPORTED + 2_208_988_800 - 1, 0x80000000), u16(58), padded)
    const { send } = collector({ extras: true })
    assert.deepEqual(send(ipfix({ sequence: 9 }, set(2, layout), set(1024, record))), [{
      type: 4, received: RECEIVED, exporter_addr: '192.0.2.1', sequence_num: 9, observation_domain_id: 0,
      event_time: EXPORTED * 1e6 - 500_000, packets: 1, bytes: 58, ...TCP_FIELDS,
      extras: ['0/301=0000000000000007', '0/410=003a', `0/315=${Buffer.from(padded).toString('hex')}`],
    }])
  })

  test('may have a length of its own, and each record of a set tells what its packet tells', () => {
    const rows = decode([[10, 4], [315, 65535], [14, 4]],
      join(u32(1), variable(TCP_FRAME), u32(2)),
      join(u32(3), variable(UDP_FRAME, 3), u32(4)),
      join(u32(5), variable(hex(`${MACS} 0806 0001080006040001`)), u32(6)), // ARP
      join(u32(7), variable(u8()), u32(8)),
      join(u32(9), variable(TCP_FRAME), u32(10)))
    const macs = { src_mac: TCP_FIELDS['src_mac'], dst_mac: TCP_FIELDS['dst_mac'] }
    assert.deepEqual(rows, [
      { in_if: 1, out_if: 2, packets: 1, bytes: 58, ...TCP_FIELDS },
      {
        in_if: 3, out_if: 4, packets: 1, bytes: 54, ...macs, etype: 0x800, src_addr: '192.0.2.1',
        dst_addr: '198.51.100.2', proto: 17, tos: 0, ip_ttl: 64, ip_flags: 0, fragment_id: 1,
        fragment_offset: 0, src_port: 53, dst_port: 40000,
      },
      { in_if: 5, out_if: 6, packets: 1, ...macs, etype: 0x806 },
      { in_if: 7, out_if: 8, packets: 1 },
      { in_if: 9, out_if: 10, packets: 1, bytes: 58, ...TCP_FIELDS },
    ])
  })

  test('tells of VLANs: the outer tag, and in it the customer\'s (IEEE 802.1Q, 802.1ad)', () => {
    const untagged = decodeFrame(`${MACS} 0800 ${UDP_PACKET}`)
    assert.deepEqual(decodeFrame(`${MACS} 8100 6005 0800 ${UDP_PACKET}`),
      { ...untagged, vlan_id: 5, bytes: 58 })
    assert.deepEqual(decodeFrame(`${MACS} 88a8 0064 8100 e0c8 0800 ${UDP_PACKET}`),
      { ...untagged, vlan_id: 100, customer_vlan_id: 200, bytes: 62 })
  })

  test('tells of MPLS labels, their classes, bottom bits and the first time to live (RFC 3032)', () => {
    const plain = decodeFrame(`${MACS} 0800 ${UDP_PACKET}`)
    assert.deepEqual(decodeFrame(`${MACS} 8847 00064a40 000c813f ${UDP_PACKET}`), {
      ...plain, mpls_label_1: 100, mpls_label_2: 200, mpls_exp: 0x1a, mpls_ttl: 64, bytes: 62,
    })
  })

  test('tells of IPv6 (RFC 8200), with what follows a routing header of segments (RFC 8754)', () => {
    // UDP next; 40 bytes; type 4; of two segments one is left
    const routing = `11 04 04 01 01 00 0000 ${IPV6}`
    const fields = {
      src_mac: '02:00:00:00:00:01', dst_mac: '02:00:00:00:00:02', etype: 0x86dd, src_addr: '2001:db8::1',
      dst_addr: '2001:db8::2', tos: 0x48, ip_ttl: 61, ipv6_flow_label: 0xabcde, packets: 1,
    }
    const udp = { ...fields, proto: 17, src_port: 40000, dst_port: 2055 }
    const datagram = '9c40 0807 000c 0000 61626364'
    assert.deepEqual(decodeFrame(`${MACS} 86dd 648abcde 000c 11 3d ${IPV6} ${datagram}`),
      { ...udp, bytes: 66 })
    assert.deepEqual(decodeFrame(`${MACS} 86dd 648abcde 0034 2b 3d ${IPV6} ${routing} ${datagram}`),
      { ...udp, bytes: 106 })
    const hops = '2b 00 0502 0000 0100' // router alert, then routing
    assert.deepEqual(decodeFrame(`${MACS} 86dd 648abcde 003c 00 3d ${IPV6} ${hops} ${routing} ${datagram}`),
      { ...udp, bytes: 114 })
    // IPv4 behind the segments: it is the packet outside that is told of
    const inner = `04${routing.slice(2)} ${UDP_PACKET}`
    assert.deepEqual(decodeFrame(`${MACS} 86dd 648abcde 0050 2b 3d ${IPV6} ${inner}`),
      { ...fields, proto: 4, bytes: 134 })
    const fragment = '11 00 05c9 fedcba98' // at 1480, more follow
    assert.deepEqual(decodeFrame(`${MACS} 86dd 648abcde 0014 2c 3d ${IPV6} ${fragment} ${datagram}`), {
      ...fields, proto: 17, ip_flags: 0x20, fragment_id: 0xfedcba98, fragment_offset: 185, bytes: 74,
    })
    const echo = '80 00 0000 0001 0002 61626364'
    assert.deepEqual(decodeFrame(`${MACS} 86dd 648abcde 000c 3a 3d ${IPV6} ${echo}`),
      { ...fields, proto: 58, icmp_type: 128, icmp_code: 0, bytes: 66 })
  })

  test('tells of ICMP (RFC 792), SCTP (RFC 9260) and fragments (RFC 791)', () => {
    const ip = { etype: 0x800, src_addr: '192.0.2.1', dst_addr: '198.51.100.2' }
    const names = ['etype', 'src_addr', 'dst_addr', 'proto', 'src_port', 'dst_port', 'icmp_type', 'icmp_code',
      'ip_flags', 'fragment_offset', 'bytes']
    const ipv4 = (length: string, fragment: string, proto: string) =>
      `${MACS} 0800 45 00 ${length} 0001 ${fragment} 40 ${proto} 0000 c0000201 c6336402`
    const rows = [
      decodeFrame(`${ipv4('001c', '0000', '01')} 03 0d 0000 00000000`),
      decodeFrame(`${ipv4('0030', '4000', '84')} 0b59 0b5a 00000001 00000000
        0300 0010 00000001 0000ffff 00000000`),
      decodeFrame(`${ipv4('001c', '20b9', '11')} 0035 9c40 0014 0000`), // in the middle: no ports
    ]
    assert.deepEqual(pick(rows, ...names), [
      { ...ip, proto: 1, icmp_type: 3, icmp_code: 13, ip_flags: 0, fragment_offset: 0, bytes: 42 },
      { ...ip, proto: 132, src_port: 2905, dst_port: 2906, ip_flags: 0x40, fragment_offset: 0, bytes: 62 },
      { ...ip, proto: 17, ip_flags: 0x20, fragment_offset: 185, bytes: 42 },
    ])
  })
})

describe('sections that are not a whole frame', () => {
  const { src_mac: _source, dst_mac: _target, ...packet } = TCP_FIELDS

  test('begin with the IP header (313), whatever its version', () => {
    const v6 = hex(`60000000 0008 3b 40 ${IPV6} 6162636465666768`) // no next header
    assert.deepEqual(decode([[313, 65535]], variable(hex(TCP_PACKET)), variable(v6)), [
      { packets: 1, bytes: 44, ...packet },
      {
        packets: 1, bytes: 48, etype: 0x86dd, src_addr: '2001:db8::1', dst_addr: '2001:db8::2', proto: 59,
        tos: 0, ip_ttl: 64, ipv6_flow_label: 0,
      },
    ])
  })

  test('begin with the label stack (316), with the payload in it or apart (317)', () => {
    const stack = hex('00064a40 000c813f')
    const labels = { mpls_label_1: 100, mpls_label_2: 200, mpls_exp: 0x1a, mpls_ttl: 64 }
    const expected = { packets: 1, bytes: 44, ...packet, ...labels }
    assert.deepEqual(decode([[316, 65535]], variable(join(stack, hex(TCP_PACKET)))), [expected])
    assert.deepEqual(decode([[317, 44], [316, 8]], join(hex(TCP_PACKET), stack)), [expected])
    assert.deepEqual(decode([[316, 8]], stack), [{ packets: 1, etype: 0x8847, ...labels }])
  })

  test('a frame goes before what is also sent of the packet in it', () => {
    const layout: TemplateField[] = [[313, 40], [315, 58]]
    assert.deepEqual(decode(layout, join(hex(UDP_PACKET), TCP_FRAME)),
      [{ packets: 1, bytes: 58, ...TCP_FIELDS }])
    const arp = join(hex(`${MACS} 0806`), new Uint8Array(44))
    const [row] = decode(layout, join(hex(UDP_PACKET), arp))
    assert.deepEqual(pick([row!], 'src_mac', 'proto', 'bytes'), [
      { src_mac: '02:00:00:00:00:01', proto: 17, bytes: 40 },
    ])
  })

  test('that do not begin the packet (409, 102) are not looked into', () => {
    const layout: TemplateField[] = [[409, 2], [312, 2], [315, 58]]
    assert.deepEqual(decode(layout, join(u16(14, 1500), TCP_FRAME), join(u16(0, 1500), TCP_FRAME)), [
      { packets: 1, bytes: 1500, frame_length: 1500 },
      { packets: 1, bytes: 1500, frame_length: 1500, ...TCP_FIELDS },
    ])
  })

  test('of IEEE 802.11 (408) are not looked into, those of Ethernet are', () => {
    const rows = decode([[408, 2], [315, 58]], join(u16(2), TCP_FRAME), join(u16(1), TCP_FRAME))
    assert.deepEqual(rows, [{ packets: 1 }, { packets: 1, bytes: 58, ...TCP_FIELDS }])
  })

  test('payload alone (314) tells of no packet', () => {
    assert.deepEqual(decode([[314, 44], [10, 4]], join(hex(TCP_PACKET), u32(3))), [{ in_if: 3 }])
  })
})

test('NetFlow-Lite of v9: offset, frame size and section by Cisco\'s numbers (102 to 104)', () => {
  const layout = template(260, [102, 2], [103, 2], [104, 64], [10, 2])
  const padded = join(TCP_FRAME, new Uint8Array(6))
  const rows = collector().send(v9({}, set(0, layout), set(260,
    join(u16(0, 1518), padded, u16(17)), join(u16(16, 1518), padded, u16(17)))))
  assert.deepEqual(rows.map(withoutHeader), [
    { packets: 1, bytes: 1518, frame_length: 1518, in_if: 17, ...TCP_FIELDS },
    { packets: 1, bytes: 1518, frame_length: 1518, in_if: 17 },
  ])
})

describe('what the record itself says', () => {
  test('wins over what the packet tells', () => {
    const layout: TemplateField[] = [[8, 4], [58, 2], [56, 6], [2, 4], [1, 4], [315, 62]]
    const tagged = hex(`${MACS} 8100 6005 0800 ${TCP_PACKET}`)
    const own = join(ip4('10.0.0.1'), u16(7), mac('02:00:00:00:00:09'), u32(20, 30_000))
    assert.deepEqual(decode(layout, join(own, tagged)), [{
      ...TCP_FIELDS, src_addr: '10.0.0.1', vlan_id: 7, src_mac: '02:00:00:00:00:09', packets: 20,
      bytes: 30_000,
    }])
  })

  test('is all there is of its counters: one of them is not filled in for another', () => {
    const only = (id: number) => pick(decode([[id, 4], [315, 58]], join(u32(9), TCP_FRAME)),
      'bytes', 'packets', 'out_bytes', 'out_packets', 'dropped_packets', 'src_port')
    assert.deepEqual(only(1), [{ bytes: 9, src_port: 49152 }])
    assert.deepEqual(only(2), [{ packets: 9, src_port: 49152 }])
    assert.deepEqual(only(86), [{ packets: 9, src_port: 49152 }])
    assert.deepEqual(only(24), [{ out_packets: 9, src_port: 49152 }])
    assert.deepEqual(only(133), [{ dropped_packets: 9, src_port: 49152 }])
  })

  test('the frame\'s length (312) goes before what the headers tell; 0 does not tell it', () => {
    const rows = decode([[312, 2], [315, 58]], join(u16(62), TCP_FRAME), join(u16(0), TCP_FRAME))
    assert.deepEqual(pick(rows, 'packets', 'bytes', 'frame_length'), [
      { packets: 1, bytes: 62, frame_length: 62 }, { packets: 1, bytes: 58, frame_length: 0 },
    ])
  })

  test('what options said of sampling stays with each row', () => {
    const { send } = collector()
    const sampler = set(3, options10(300, [[302, 8]], [[305, 4], [306, 4]]))
    const layout = set(2, template(256, [302, 8], [315, 58]))
    const rows = send(ipfix({}, sampler, set(300, u64(5), u32(1, 99)), layout,
      set(256, u64(5), TCP_FRAME, u64(6), TCP_FRAME)))
    assert.deepEqual(pick(rows, 'sampler_id', 'sampling_rate', 'bytes', 'src_port'), [
      { sampler_id: 5, sampling_rate: 100, bytes: 58, src_port: 49152 },
      { sampler_id: 6, bytes: 58, src_port: 49152 },
    ])
  })

  test('data that waited for its template is looked into too', () => {
    const { send } = collector()
    send(ipfix({}, set(256, variable(TCP_FRAME), variable(UDP_FRAME))))
    const rows = send(ipfix({}, set(2, template(256, [315, 65535]))))
    assert.deepEqual(pick(rows, 'src_port'), [{ src_port: 49152 }, { src_port: 53 }])
  })
})

describe('only wanted fields', () => {
  const layout: TemplateField[] = [[8, 4], [312, 2], [409, 2], [315, 58]]
  const record = join(ip4('10.0.0.1'), u16(62, 0), TCP_FRAME)

  test('are in the rows', () => {
    const wanted = { fields: fieldMask([ID.srcAddr, ID.dstPort, ID.bytes]), extras: false }
    const message = ipfix({}, set(2, template(256, ...layout)), set(256, record))
    assert.deepEqual(collector(wanted).send(message), [{ src_addr: '10.0.0.1', dst_port: 443, bytes: 62 }])
  })

  test('make a plan look into sections: without one it has nothing to do', () => {
    const planOf = (fields: readonly [id: number, length: number][], ...wanted: number[]) =>
      makePlan(fields.map(([id, length]) => ({ pen: 0, id, length })),
        wanted.length > 0 ? { fields: fieldMask(wanted), extras: true } : { extras: true }, true).sections
    assert.ok(planOf([[8, 4], [315, 58]]))
    assert.ok(planOf([[8, 4], [315, 58]], ID.dstAddr))
    assert.ok(planOf([[1, 4], [315, 58]], ID.tos))
    assert.equal(planOf([[8, 4], [12, 4]]), undefined)
    assert.equal(planOf([[8, 4], [315, 0]]), undefined)
    assert.equal(planOf([[8, 4], [315, 58]], ID.srcAddr, ID.inIf), undefined)
    assert.equal(planOf([[1, 4], [315, 58]], ID.packets), undefined)
  })
})

describe('damaged and hostile sections', () => {
  test('cut anywhere, the record stays and tells what is there', () => {
    const whole = decode([[315, 65535]], variable(TCP_FRAME))[0]!
    const cuts = Array.from(TCP_FRAME, (_, length) => TCP_FRAME.subarray(0, length))
    const rows = decode([[315, 65535]], ...cuts.map((cut) => variable(cut)))
    assert.equal(rows.length, TCP_FRAME.length)
    for (const [length, row] of rows.entries()) {
      assert.equal(row['packets'], 1)
      for (const [name, value] of Object.entries(row)) assert.equal(value, whole[name], `${length}: ${name}`)
      assert.equal('src_mac' in row, length >= 14)
      assert.equal('src_addr' in row, length >= 34)
      assert.equal('dst_port' in row, length >= 38)
      assert.equal('tcp_flags' in row, length >= 48)
    }
  })

  test('more exported bytes than the section has are not read', () => {
    const rows = decode([[410, 2], [315, 34]],
      join(u16(65535), TCP_FRAME.subarray(0, 34)), join(u16(65535), TCP_FRAME.subarray(0, 34)))
    assert.deepEqual(pick(rows, 'proto', 'src_port', 'bytes'),
      [{ proto: 6, bytes: 58 }, { proto: 6, bytes: 58 }])
  })

  test('no damage loses a record or changes its other fields', () => {
    const next = random(7133)
    const { send, batch } = collector({ extras: true })
    send(ipfix({}, set(2, template(256, [10, 4], [315, 65535], [316, 9], [313, 20], [14, 4]))))
    for (let i = 0; i < 300; i++) {
      const frame = (i % 2 === 0 ? TCP_FRAME : UDP_FRAME).slice(0, next(60))
      for (let k = next(4); k > 0; k--) if (frame.length > 0) frame[next(frame.length)] = next(256)
      const rest = Uint8Array.from({ length: 29 }, () => next(256))
      const rows = send(ipfix({}, set(256, u32(i), variable(frame), rest, u32(i + 1))))
      assert.deepEqual(pick(rows, 'in_if', 'out_if', 'packets'), [{ in_if: i, out_if: i + 1, packets: 1 }])
      if (i % 50 === 0) batch.clear()
    }
  })

  test('a frame of an impossible size has the largest there can be', () => {
    const rows = decode([[103, 8], [315, 58]], join(u64(2n ** 64n - 1n), TCP_FRAME))
    assert.deepEqual(pick(rows, 'bytes', 'frame_length'), [{ bytes: 0xffffffff, frame_length: 0xffffffff }])
  })

  test('a template of nothing but sections is looked into once a record', () => {
    const fields = Array.from({ length: 500 }, (): TemplateField => [315, 1])
    const { send } = collector()
    const rows = send(ipfix({}, set(2, template(256, ...fields)), set(256, new Uint8Array(1000))))
    assert.deepEqual(rows.map(withoutHeader), [{ packets: 1 }, { packets: 1 }])
  })

  test('rows that tell the same share a shape, from set to set and from batch to batch', () => {
    const { send, batch } = collector()
    send(ipfix({}, set(2, template(256, [315, 65535]))))
    const data = set(256, ...Array.from({ length: 8 }, () => join(variable(TCP_FRAME), variable(UDP_FRAME))))
    send(ipfix({}, data, data))
    const shapes = batch.shapes.slice()
    for (let i = 0; i < 3; i++) {
      batch.clear()
      send(ipfix({}, data))
      assert.equal(batch.shapes.length, shapes.length)
      assert.ok(batch.shapes.every((shape, k) => shape === shapes[k]))
    }
  })
})

test('elements of SRv6 (RFC 9487) are known by name and kept as they came', () => {
  const names = [
    'srhFlagsIPv6', 'srhTagIPv6', 'srhSegmentIPv6', 'srhActiveSegmentIPv6', 'srhSegmentIPv6BasicList',
    'srhSegmentIPv6ListSection', 'srhSegmentsIPv6Left', 'srhIPv6Section', 'srhIPv6ActiveSegmentType',
    'srhSegmentIPv6LocatorLength', 'srhSegmentIPv6EndpointBehavior',
  ]
  assert.deepEqual(names.map((_, i) => elementName(0, 492 + i)), names)
  assert.equal(findElement(0, 495)?.type, 'ipv6Address')
  const layout = template(256, [492, 1], [493, 2], [495, 16], [497, 65535], [498, 1], [500, 1], [501, 1],
    [502, 2])
  const list = join(ip6('2001:db8::1'), ip6('2001:db8::2'))
  const record = join(u8(0), u16(7), ip6('2001:db8::2'), variable(list), u8(1, 4, 48), u16(18))
  const [row] = collector({ extras: true }).send(ipfix({}, set(2, layout), set(256, record)))
  assert.deepEqual(row!['extras'], [
    '0/492=00', '0/493=0007', '0/495=20010db8000000000000000000000002',
    `0/497=${Buffer.from(list).toString('hex')}`, '0/498=01', '0/500=04', '0/501=30', '0/502=0012',
  ])
})
