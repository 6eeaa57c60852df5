import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ipv6Storage, parseIpv4, parseIpv6, parseMac, type AddressColumn,
} from '../../../../core/flow/address.ts'
import { FlowBatch } from '../../../../core/flow/batch.ts'
import { FIELDS, findField } from '../../../../core/flow/fields.ts'
import { makeShape } from '../../../../core/flow/shape.ts'
import { lossByField } from '../../../../core/flow/loss.ts'
import { sflowEncoder, type SflowEncoderOptions } from '../../../../core/netflow/sflow/encode.ts'
import { ethernet, ipv4, ipv6, tcp, udp } from '../../pcap/frames.ts'
import { hex, ip4, ip6, join, RECEIVED, u32, type Row } from '../messages.ts'
import {
  address, expandedSample, flowSample, header, opaque, pick, receiver, sflow, tlv,
} from './datagrams.ts'

const OPTIONS: SflowEncoderOptions = { maxSize: 1400, domain: 3, agent: '198.51.100.1' }
/** An aggregated flow as a router exports it. */
const FLOW: Row = {
  type: 2, flow_start: RECEIVED - 9e6, flow_end: RECEIVED, bytes: 60_000, packets: 50, proto: 6,
  src_addr: '192.0.2.1',
  dst_addr: '198.51.100.2', src_port: 49_152, dst_port: 443, tcp_flags: 0x1b, tos: 0x48, in_if: 7, out_if: 8,
}
/** Fields that a receiver sets itself. */
const OF_RECEIPT = ['received', 'flow_start', 'flow_end', 'exporter_addr', 'sequence_num']

test('a flow becomes a sample of one packet of its mean length', () => {
  assert.deepEqual(encode([FLOW]).datagrams, [hex(`
    00000005 00000001 c6336401 00000003 00000001 240c8400 00000001 # agent, sub-agent, number 1, up for a week
    00000003 00000094                                     # flow_sample_expanded of 148 bytes
    00000001 00000000 00000007                            # number 1 of the input interface
    00000032 00000032 00000000                            # one in 50, pool, drops
    00000000 00000007 00000000 00000008 00000002          # from interface 7 to 8, two records
    00000001 00000038 0000000b 000004b0 00000000 00000028 # an IPv4 packet of 1200 bytes, 40 of them here
    454804b0 00000000 0006c9c9 c0000201 c6336402          # tos 0x48, TCP, with checksum
    c00001bb 00000000 00000000 501b0000 00000000
    00000003 00000020 000004b0 00000006 c0000201 c6336402 # sampled_ipv4
    0000c000 000001bb 0000001b 00000048
  `)])
})

test('what is received is the flow, its packets in the sampling rate', () => {
  const [row] = decode(encode([{ ...FLOW, sampling_rate: 100 }]).datagrams)
  const key = Object.keys(FLOW).slice(5)
  assert.deepEqual(pick(row, 'packets', 'bytes', 'sampling_rate', 'sample_pool', ...key), {
    packets: 1, bytes: 1200, sampling_rate: 5000, sample_pool: 5000, ...pick(FLOW, ...key),
  })
})

/** Samples of packets, with every record that tells of more than the packet. */
const SAMPLES: readonly Uint8Array[] = [
  flowSample({}, header(1, 1518, hex(ethernet('0800', ipv4(6, tcp())))), tlv(1001, u32(7, 0, 8, 0))),
  flowSample({}, header(1, 90, hex(ethernet('86dd', ipv6(17, udp(53, 5353, '')))))),
  flowSample({}, header(1, 90, hex(ethernet('0800', ipv4(1, '0800f7ff00010002'))))),
  flowSample({}, header(1, 90, hex(ethernet('0800', ipv4(17, '00112233', '2005'))))),
  flowSample({}, header(1, 90, hex(ethernet('86dd', ipv6(44, '110000290102030400112233'))))),
  flowSample({}, header(1, 120, hex(ethernet('88a8', '0426810005d50800' + ipv4(17, udp(53, 5353, '')))))),
  flowSample({}, header(1, 120, hex(ethernet('8847', '00064a40000c8b00' + ipv4(17, udp(53, 5353, '')))))),
  flowSample({}, header(1, 60, hex(ethernet('0806', '0001080006040001')))),
  flowSample({}, header(11, 60, hex(ipv4(17, udp(53, 5353, ''))))),
  flowSample({}, header(12, 60, hex(ipv6(17, udp(53, 5353, ''))))),
  flowSample({ output: 0x40000102 }, header(1, 1518, hex(ethernet('0800', ipv4(6, tcp()))))),
  expandedSample([0, 0xffffffff], [0, 0xffffffff], header(1, 1518, hex(ethernet('0800', ipv4(6, tcp()))))),
  expandedSample([0, 70_000], [0, 70_001],
    header(1, 1518, hex(ethernet('0800', ipv4(6, tcp())))),
    tlv(1002, address('2001:db8::9'), u32(24, 0)),
    tlv(1003, address('198.51.100.9'), u32(0, 64_500, 64_501, 3), u32(2, 2, 64_502, 64_503),
      u32(1, 2, 64_504, 64_505), u32(2, 1, 64_506),
      u32(2, 64_500 * 65_536 + 100, 65_535 * 65_536 + 65_281), u32(120)),
    tlv(1004, u32(106), opaque('zoë'), u32(106), opaque('')),
    tlv(1007, address('203.0.113.1'), address('2001:db8::7')), tlv(1020, u32(40_000, 443))),
  flowSample({}, tlv(1003, address(''), u32(64_500, 64_501, 0, 0, 0, 0))),
  tlv(5, u32(1, 0, 4, 256, 4, 5, 258, 1), header(1, 1600, hex(ethernet('0800', ipv4(6, tcp()))))),
]

test('samples come out as they went in, but for the time of their receipt', () => {
  const { receive, batch } = receiver()
  const before = receive(sflow(...SAMPLES))
  const { datagrams, loss } = encodeBatch(batch)
  const after = decode(datagrams)
  assert.equal(after.length, SAMPLES.length)
  for (const [i, row] of after.entries()) {
    assert.deepEqual(without(row, OF_RECEIPT), without(before[i], OF_RECEIPT), `sample ${i}`)
  }
  assert.deepEqual(lossByField(loss), [
    { name: 'flow_start', leftOut: 15, narrowed: 0 }, { name: 'flow_end', leftOut: 15, narrowed: 0 },
  ])
})

test('a made IPv4 header has the right checksum', () => {
  const [datagram] = encode([FLOW]).datagrams
  const at = datagram.length - 40 - 40
  let sum = 0
  for (let i = 0; i < 20; i += 2) sum += datagram[at + i] << 8 | datagram[at + i + 1]
  assert.equal((sum & 0xffff) + (sum >> 16), 0xffff) // RFC 1071: the sum with the checksum is all ones
})

test('bytes that do not divide evenly, and packets beyond 32 bits, are told as cut', () => {
  const { datagrams, loss } = encode([
    { ...FLOW, bytes: 100, packets: 3 }, { ...FLOW, packets: 50, sampling_rate: 2 ** 31 },
  ])
  assert.deepEqual(decode(datagrams).map((row) => [row['bytes'], row['sampling_rate']]),
    [[33, 3], [1200, 0xffffffff]])
  assert.deepEqual(lossByField(loss).filter(({ narrowed }) => narrowed > 0), [
    { name: 'bytes', leftOut: 0, narrowed: 1 }, { name: 'packets', leftOut: 0, narrowed: 1 },
  ])
})

test('counters that are multiplied already are not multiplied again', () => {
  const { datagrams, loss } = encode([{ ...FLOW, sampling_rate: 100, sampling_applied: 1 }])
  assert.equal(decode(datagrams)[0]['sampling_rate'], 50)
  assert.equal(lossByField(loss).find(({ name }) => name === 'sampling_rate')?.leftOut, 1)
})

test('a flow without packets stands for none', () => {
  const [row] = decode(encode([{ ...FLOW, packets: 0, bytes: 0 }]).datagrams)
  assert.deepEqual(pick(row, 'sampling_rate', 'bytes', 'src_addr'), { bytes: 0, src_addr: '192.0.2.1' })
})

test('ICMP type and code stand in the destination port of the record, as NetFlow has them', () => {
  const [datagram] = encode([
    { src_addr: '192.0.2.1', dst_addr: '192.0.2.2', proto: 1, icmp_type: 3, icmp_code: 4 },
  ]).datagrams
  assert.deepEqual(datagram.subarray(-12, -8), u32(0x0304))
})

test('what sFlow cannot say is told by field', () => {
  const { loss } = encode([
    { ...FLOW, end_reason: 1, observation_point_id: 9, forwarding_status: 64, ip_ttl: 9,
      customer_vlan_id: 3 },
    { ...FLOW, frame_length: 1500 },
  ])
  assert.deepEqual(lossByField(loss).map(({ name, leftOut, narrowed }) => `${name} ${leftOut} ${narrowed}`), [
    'observation_point_id 1 0', 'flow_start 2 0', 'flow_end 2 0', 'end_reason 1 0', 'forwarding_status 1 0',
    'customer_vlan_id 1 0', 'frame_length 1 1',
  ])
})

test('a row without addresses is left out', () => {
  const { datagrams, loss } = encode([{ type: 8, packets: 5, bytes: 500, src_as: 64_500, dst_as: 64_501 }])
  assert.deepEqual([datagrams.length, loss.rows.empty], [0, 1])
})

test('a destination AS without a path gets one', () => {
  const routed = (row: Row) =>
    pick(decode(encode([{ ...FLOW, ...row }]).datagrams)[0], 'src_as', 'dst_as', 'next_as', 'as_path')
  assert.deepEqual(routed({ src_as: 64_500, dst_as: 64_501 }), {
    src_as: 64_500, dst_as: 64_501, next_as: 64_501, as_path: '64501',
  })
  assert.deepEqual(routed({ dst_as: 64_501, next_as: 64_502 }),
    { dst_as: 64_501, next_as: 64_502, as_path: '64502 64501' })
  assert.deepEqual(routed({ src_as: 0, dst_as: 0 }), {})
})

test('large communities are left out and told', () => {
  const { datagrams, loss } = encode([
    { ...FLOW, bgp_communities: '64500:1 64500:1:2 4227137537 64501:70000' },
  ])
  assert.equal(decode(datagrams)[0]['bgp_communities'], '64500:1 64501:1')
  assert.equal(lossByField(loss).find(({ name }) => name === 'bgp_communities')?.narrowed, 1)
})

test('each datagram has as many samples as fit, and datagrams and samples are numbered', () => {
  const { datagrams } = encode(Array.from({ length: 20 }, (_, i) => ({ ...FLOW, in_if: 1 + i % 2 })))
  assert.deepEqual(datagrams.map((datagram) => datagram.length), [28 + 8 * 156, 28 + 8 * 156, 28 + 4 * 156])
  const { receive, context: { message } } = receiver()
  const numbers = datagrams.map((datagram) => {
    receive(datagram)
    const samples = Array.from({ length: message.flowSamples }, (_, i) => message.sources[i * 6 + 2])
    return [message.sequence, ...samples]
  })
  assert.deepEqual(numbers, [
    [1, 1, 1, 2, 2, 3, 3, 4, 4], [2, 5, 5, 6, 6, 7, 7, 8, 8], [3, 9, 9, 10, 10],
  ])
})

test('a datagram waits for the rows of the next batch, until it is flushed', () => {
  const encoder = sflowEncoder(OPTIONS)
  const sizes: number[] = []
  const emit = (datagram: Uint8Array) => { sizes.push(datagram.length) }
  encoder.encode(batchOf([FLOW]), emit)
  encoder.encode(batchOf([FLOW]), emit)
  assert.deepEqual(sizes, [])
  encoder.flush(emit)
  encoder.flush(emit)
  assert.deepEqual(sizes, [28 + 2 * 156])
})

test('long lists are cut so that the sample fits into a datagram', () => {
  const asPath = Array.from({ length: 3000 }, (_, i) => i + 1).join(' ')
  const labels = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`mpls_label_${i + 1}`, i]))
  for (const maxSize of [800, 1400, 9000]) {
    const { datagrams, loss } = encode([{
      ...FLOW, as_path: asPath, bgp_communities: asPath, user_name: 'x'.repeat(5000), next_hop: '2001:db8::1',
      bgp_next_hop: '2001:db8::2', post_nat_src_addr: '2001:db8::3', post_nat_dst_addr: '2001:db8::4',
      post_napt_src_port: 1, vlan_id: 5, agent_addr: '2001:db8::5', src_addr: '2001:db8::6',
      dst_addr: '2001:db8::7', src_mac: '02:00:00:00:00:01', bytes: 1, ...labels,
    }], { ...OPTIONS, maxSize })
    assert.equal(datagrams.length, 1)
    assert.ok(datagrams[0].length <= maxSize, `${datagrams[0].length} of ${maxSize}`)
    const [row] = decode(datagrams)
    assert.match(String(row['as_path']), /^1( 2|$)/)
    assert.equal(String(row['user_name']).length, 200)
    assert.deepEqual(
      lossByField(loss).filter(({ narrowed }) => narrowed > 0).map(({ name }) => name),
      ['bytes', 'as_path', 'bgp_communities', 'user_name'],
    )
  }
})

test('a path of sets takes more room than one of a sequence', () => {
  const sets = Array.from({ length: 3000 }, (_, i) => `{${i + 1}}`).join(' ')
  const { datagrams } = encode([{ ...FLOW, as_path: sets, bgp_communities: sets, user_name: 'x'.repeat(5000) }])
  assert.ok(datagrams[0].length <= 1400)
  assert.match(String(decode(datagrams)[0]['as_path']), /^\{1\} \{2\} \{3\} /)
})

test('rows of different agents go into datagrams of their own', () => {
  const { datagrams } = encode([
    { ...FLOW, exporter_addr: '192.0.2.7' },
    { ...FLOW, exporter_addr: '192.0.2.8', agent_addr: '2001:db8::8' },
    { ...FLOW, exporter_addr: '192.0.2.7' }, { ...FLOW, exporter_addr: '192.0.2.7', sub_agent_id: 9 }, FLOW,
  ])
  const { receive } = receiver()
  const agents = datagrams.map((datagram) => {
    const [row] = receive(datagram)
    return `${row['agent_addr']} ${row['sub_agent_id']} ${row['sequence_num']}`
  })
  assert.deepEqual(agents, [
    '192.0.2.7 3 1', '2001:db8::8 3 1', '192.0.2.7 3 2', '192.0.2.7 9 1', '198.51.100.1 3 1',
  ])
})

test('an agent without an address and datagrams that are too small are bugs', () => {
  assert.throws(() => sflowEncoder({ ...OPTIONS, agent: 'leaf-1' }), RangeError)
  assert.throws(() => sflowEncoder({ ...OPTIONS, maxSize: 500 }), RangeError)
  assert.deepEqual(encode([FLOW], { ...OPTIONS, agent: '2001:db8::1' }).datagrams[0].subarray(0, 24), join(
    u32(5, 2), ip6('2001:db8::1'),
  ))
  assert.deepEqual(encode([FLOW]).datagrams[0].subarray(4, 12), join(u32(1), ip4('198.51.100.1')))
})

function encode(rows: readonly Row[], options: SflowEncoderOptions = OPTIONS) {
  return encodeBatch(batchOf(rows), options)
}

function encodeBatch(batch: FlowBatch, options: SflowEncoderOptions = OPTIONS) {
  const { encode: add, flush, loss } = sflowEncoder(options)
  const datagrams: Uint8Array[] = []
  const emit = (datagram: Uint8Array) => { datagrams.push(datagram.slice()) }
  add(batch, emit)
  flush(emit)
  return { datagrams, loss }
}

function decode(datagrams: readonly Uint8Array[]): Row[] {
  const { receive } = receiver()
  return datagrams.flatMap(receive)
}

function without(row: Row, names: readonly string[]): Row {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)))
}

/** A batch of rows that are given by names: addresses and texts as text, everything else as numbers. */
function batchOf(rows: readonly Row[]): FlowBatch {
  const batch = new FlowBatch(16)
  batch.reserve(rows.length)
  for (const [i, row] of rows.entries()) {
    const ids = Object.keys(row).map((name) => findField(name)!.id)
    batch.shape[i] = batch.intern(makeShape(ids))
    for (const id of ids) setValue(batch, id, i, row[FIELDS[id].name])
  }
  batch.length = rows.length
  return batch
}

function setValue(batch: FlowBatch, id: number, i: number, value: Row[string]): void {
  const column = batch.column(id)
  const text = String(value)
  const numbers = column as Float64Array
  switch (FIELDS[id].type) {
    case 'addr': {
      const { family, v4 } = column as AddressColumn
      family[i] = text.includes(':') ? 6 : 4
      if (family[i] === 4) v4[i] = parseIpv4(text)
      else parseIpv6(text, ipv6Storage(column as AddressColumn), i * 16)
      break
    }
    case 'text':
      numbers[i * 2] = batch.addBytes(new Uint8Array(Buffer.from(text)), 0, Buffer.byteLength(text))
      numbers[i * 2 + 1] = Buffer.byteLength(text)
      break
    case 'u64':
      numbers[i * 2] = Number(value)
      break
    case 'mac':
      numbers[i] = parseMac(text)
      break
    default:
      numbers[i] = Number(value)
  }
}
