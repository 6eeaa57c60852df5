/** Datagrams that no capture of the fixtures has, for the fuzz to begin with. */
import { FlowBatch } from '../../core/flow/batch.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import { sflowEncoder } from '../../core/netflow/sflow/encode.ts'
import { LIST_MESSAGES } from '../core/netflow/list-messages.ts'
import {
  hex, ipfix, join, options10, options9, set, template, text, u16, u32, u64, u8, v9, variable,
} from '../core/netflow/messages.ts'
import { flowSample, header, opaque, sflow, tlv } from '../core/netflow/sflow/datagrams.ts'

/** An Ethernet frame with a VLAN tag, IPv4 and UDP. */
const FRAME = hex(`
  020000000001 020000000002 8100 0064 0800
  4500 0030 0001 0000 4011 0000 c0000201 c6336401
  c350 0035 001c 0000 00112233445566778899aabbccddeeff00112233`)

/** Lists of RFC 6313, each with its templates. */
const lists = LIST_MESSAGES.map(({ bytes }) => bytes)

/** Sampled packets in IPFIX: a frame, an IP packet, labels. */
const sections = [
  ipfix({}, set(2, template(256, [315, 65_535], [312, 2], [409, 2])),
    set(256, variable(FRAME), u16(62, 0), variable(FRAME.subarray(0, 20)), u16(62, 0))),
  ipfix({}, set(2, template(257, [313, 40], [324, 8])), set(257, FRAME.subarray(18, 58), u64(1))),
  ipfix({}, set(2, template(258, [316, 65_535], [317, 65_535])),
    set(258, variable(hex('00010040 00020140')), variable(FRAME.subarray(18)))),
]

/** Options that tell of sampling, names and the exporter's start, and flows that they are about. */
const options = [
  v9({}, set(1, options9(300, [[1, 4]], [[34, 4], [35, 1], [10, 4], [82, 8]])),
    set(300, u32(0, 100), u8(2), u32(7), text('ge-0/0/7', 8))),
  v9({}, set(0, template(256, [10, 4], [14, 4], [1, 4])), set(256, u32(7, 8, 9))),
  ipfix({}, set(3, options10(301, [[302, 1]], [[305, 4], [306, 4]])), set(301, u8(1), u32(1, 99))),
  ipfix({}, set(3, options10(302, [[234, 4]], [[236, 65_535]])), set(302, u32(5), variable(text('red')))),
  ipfix({}, set(2, template(257, [234, 4], [302, 1], [22, 4], [21, 4])), set(257, u32(5), u8(1), u32(1, 2))),
  ipfix({}, set(3, options10(303, [[149, 4]], [[160, 8]])), set(303, u32(0), u64(1_795_000_000_000))),
]

/** sFlow of flows, and with counters. */
function sflowDatagrams(): Uint8Array[] {
  const encoder = sflowEncoder({ maxSize: 1400, domain: 0, agent: '192.0.2.9' })
  const sent: Uint8Array[] = []
  const batch = new FlowBatch()
  for (const flows of generateFlows(parseTraffic('flows=60,versions=9,v6=30%,nat=10%'))) {
    for (let row = 0; row < flows.length; row++) batch.append(flows, row)
  }
  encoder.encode(batch, (datagram) => void sent.push(datagram.slice()))
  encoder.flush((datagram) => void sent.push(datagram.slice()))
  return [
    ...sent.slice(0, 6),
    sflow(flowSample({}, tlv(1, header(1, 62, FRAME)), tlv(1012, opaque('user'), u32(0)))),
    sflow(tlv(2, u32(1, 7, 2), tlv(1, new Uint8Array(88)), tlv(5, new Uint8Array(28)), tlv(1005, opaque('eth7')))),
  ]
}

/** The seeds, in groups that one decoder gets. */
export function madeUpSeeds(): Uint8Array[][] {
  return [lists, sections, options, sflowDatagrams(), [join(lists[0]), ...sections]]
}
