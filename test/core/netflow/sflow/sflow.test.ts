import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowkitError } from '../../../../core/flow/errors.ts'
import { fieldMask, ID } from '../../../../core/flow/fields.ts'
import { FlowBatch } from '../../../../core/flow/batch.ts'
import { SOURCE_NUMBERS } from '../../../../core/netflow/sflow/message.ts'
import { decodeSflow, newSflow } from '../../../../core/netflow/sflow/sflow.ts'
import { random } from '../../pcap/random.ts'
import { datagram, FROM, hex, join, RECEIVED, rows, u32 } from '../messages.ts'
import {
  expandedSample, flowSample, header, opaque, pick, receiver, rowOf, sflow, tlv,
} from './datagrams.ts'

/** A TCP segment from 192.0.2.10:443 to 203.0.113.20:51000 with VLAN tag 100, ACK and PSH; 66 bytes. */
const FRAME = hex(`
  02 00 00 00 00 02  02 00 00 00 00 01  81 00 60 64  08 00  # VLAN 100, priority 3
  45 28 02 34 ab cd 40 00 3d 06 00 00  c0 00 02 0a  cb 00 71 14 # tos 0x28, id 0xabcd, do not fragment, ttl 61
  01 bb c7 38 00 00 00 01 00 00 00 02 80 18 01 00 00 00 00 00 01 01 08 0a 00 00 00 00
`)
/** The whole of one datagram, spelled out. */
const DATAGRAM = hex(`
  00000005 00000001 c6336401 00000003 0000004d 00001388 00000001 # agent 198.51.100.1, sub-agent 3, number 77
  00000001 00000078                                     # flow_sample of 120 bytes
  00000009 00000004 00000064 00001388 00000002          # number 9, ifIndex 4, one in 100, pool, drops
  00000004 00000005 00000001                            # from interface 4 to 5, one record
  00000001 00000050 00000001 0000024a 00000004 00000040 # Ethernet, frame of 586 bytes, 4 stripped, 64 here
  020000000002 020000000001 81006064 0800
  45280234abcd40003d060000 c000020a cb007114
  01bbc73800000001000000028018010000000000 0101080a0000
`)

test('a flow sample becomes a row of one packet, at the instant of its receipt', () => {
  const [row] = receiver().receive(DATAGRAM)
  assert.deepEqual(row, {
    type: 1, received: RECEIVED, exporter_addr: FROM, agent_addr: '198.51.100.1', sub_agent_id: 3,
    observation_point_id: 4, sequence_num: 77, sampling_rate: 100, sampling_source: 1,
    flow_start: RECEIVED, flow_end: RECEIVED, bytes: 586, packets: 1,
    proto: 6, src_addr: '192.0.2.10', dst_addr: '203.0.113.20', src_port: 443, dst_port: 51_000,
    tcp_flags: 0x18,
    tos: 0x28, etype: 0x0800, direction: 0, in_if: 4, out_if: 5,
    ip_ttl: 61, ip_flags: 0x40, fragment_id: 0xabcd, fragment_offset: 0,
    src_mac: '02:00:00:00:00:01', dst_mac: '02:00:00:00:00:02', vlan_id: 100,
    frame_length: 586, sample_pool: 5000, sample_drops: 2,
  })
})

test('the numbers of a datagram and of its samples are told for accounting', () => {
  const { context, receive } = receiver()
  const count = receive(sflow(
    flowSample({}, header(1, 100, FRAME)), tlv(2, u32(31, 4, 0)), expandedSample([0, 8], [0, 9]),
  )).length
  const { message } = context
  assert.equal(count, 2)
  assert.deepEqual(
    [message.agentFamily, message.agentV4, message.subAgentId, message.sequence, message.uptime],
    [4, 0xc6336401, 3, 77, 5000],
  )
  assert.deepEqual([message.flowSamples, message.counterSamples], [2, 1])
  assert.deepEqual([...message.sources.subarray(0, SOURCE_NUMBERS * 2)], [
    0, 4, 9, 5000, 2, 100,
    0, 70_000, 9, 5000, 2, 100,
  ])
})

test('an agent may have an IPv6 address, or none', () => {
  const sample = flowSample({})
  const v6 = join(u32(5, 2), hex('20010db8000000000000000000000001'), u32(0, 1, 0, 1), sample)
  const none = join(u32(5, 0), u32(0, 1, 0, 1), sample)
  assert.equal(receiver().receive(v6)[0]['agent_addr'], '2001:db8::1')
  assert.equal('agent_addr' in receiver().receive(none)[0], false)
})

test('the uptime is kept when it is asked for', () => {
  const { receive } = receiver({ fields: fieldMask([ID.sysUptime, ID.bytes]), extras: false })
  assert.deepEqual(receive(sflow(flowSample({}, header(1, 90, FRAME)))), [{ sys_uptime: 5000, bytes: 90 }])
})

test('a compact source is a type of 8 bits and an index of 24', () => {
  const row = rowOf(flowSample({ source: 0x02_00_00_01 }))
  assert.equal(row['observation_point_id'], 2 * 2 ** 32 + 1)
  assert.equal('direction' in row, false) // the source is no interface
})

test('the direction is out if the source is the output interface, and unknown if neither or both', () => {
  assert.equal(rowOf(flowSample({ source: 5 }))['direction'], 1)
  assert.equal('direction' in rowOf(flowSample({ source: 6 })), false)
  assert.equal('direction' in rowOf(flowSample({ source: 4, output: 4 })), false)
})

/** Cases of sFlow version 5 section 5.3, with the erratum that ACL is 0x40000102. */
const INTERFACES: readonly [string, Uint8Array, Record<string, number>][] = [
  ['0 is unknown', flowSample({ source: 0, input: 0, output: 0 }), {}],
  ['several outputs have no index', flowSample({ source: 0, output: 0x80000007 }), { in_if: 4 }],
  ['a discard by ACL is dropped', flowSample({ source: 0, output: 0x40000102 }),
    { in_if: 4, forwarding_status: 130 }],
  ['a discard without a known reason', flowSample({ source: 0, output: 0x40000100 }),
    { in_if: 4, forwarding_status: 128 }],
  ['net unreachable', flowSample({ source: 0, output: 0x40000000 }), { in_if: 4, forwarding_status: 131 }],
  ['the device itself is no interface', flowSample({ source: 0, input: 0x3fffffff, output: 0x3fffffff }),
    { forwarding_status: 195 }],
  ['an expanded index has 32 bits', expandedSample([0, 0x40000001], [0, 0xfffffffe]),
    { in_if: 0x40000001, out_if: 0xfffffffe }],
  ['an expanded discard by TTL', expandedSample([0, 1], [1, 257]), { in_if: 1, forwarding_status: 137 }],
  ['expanded several outputs', expandedSample([0, 1], [2, 3]), { in_if: 1 }],
  ['the device itself, expanded', expandedSample([0, 0xffffffff], [0, 0xffffffff]),
    { forwarding_status: 195 }],
  ['the device itself, as agents write it', expandedSample([0, 0x3fffffff], [0, 3]), { out_if: 3 }],
]
for (const [name, sample, expected] of INTERFACES) {
  test(`interfaces: ${name}`, () => {
    assert.deepEqual(pick(rowOf(sample), 'in_if', 'out_if', 'forwarding_status'), expected)
  })
}

test('a sampling rate of 0 is unknown', () => {
  const row = rowOf(flowSample({ rate: 0 }))
  assert.deepEqual(pick(row, 'sampling_rate', 'sampling_source', 'packets'), { packets: 1 })
})

test('a discarded packet is counted as dropped, not as traffic', () => {
  const [row] = receiver().receive(sflow(tlv(5,
    u32(1, 0, 4, 256, 4, 5, 262, 2), header(1, 1600, FRAME), tlv(1036, u32(42)),
  )))
  const names = [
    'packets', 'bytes', 'dropped_packets', 'dropped_bytes', 'forwarding_status', 'in_if', 'out_if',
    'direction',
    'sample_drops', 'sampling_rate', 'sample_pool', 'src_port',
  ]
  assert.deepEqual(pick(row, ...names), {
    dropped_packets: 1, dropped_bytes: 1600, forwarding_status: 133, in_if: 4, out_if: 5, direction: 0,
    sample_drops: 256, src_port: 443,
  })
})

test('unknown samples and records are stepped over and counted by format', () => {
  const { receive, context: { counts } } = receiver()
  const enterprise = 9 << 12 | 7 // Cisco's seventh
  const got = receive(sflow(
    tlv(enterprise, u32(1, 2)),
    flowSample({}, tlv(1038, opaque('foo')), tlv(enterprise, u32(1)), header(1, 70, FRAME)),
    tlv(77), flowSample({}, tlv(1038, opaque('bar'))),
  ))
  assert.deepEqual(got.map((row) => row['bytes']), [70, undefined])
  assert.deepEqual([...counts.samples], [[enterprise, 1], [77, 1]])
  assert.deepEqual([...counts.flowRecords], [[1038, 2], [enterprise, 1]])
})

test('formats beyond the first few hundred are counted together', () => {
  const { receive, context: { counts } } = receiver()
  for (let format = 100; format < 500; format++) receive(sflow(tlv(format), tlv(format)))
  assert.equal(counts.samples.size, 257)
  assert.equal(counts.samples.get(100), 2)
  assert.equal(counts.samples.get(-1), (400 - 256) * 2)
})

test('samples and records may go on behind what is known of them', () => {
  const longer = tlv(1, u32(9, 4, 100, 5000, 2, 4, 5, 1), tlv(1001, u32(7, 0, 8, 0, 99, 99)), u32(1, 2, 3))
  assert.deepEqual(pick(rowOf(longer), 'vlan_id', 'post_vlan_id'), { vlan_id: 7, post_vlan_id: 8 })
  assert.equal(receiver().receive(join(sflow(flowSample({})), u32(0, 0))).length, 1)
})

test('the padding of a record may be missing at the end', () => {
  const record = join(u32(1038, 10, 3), hex('666f6f0000ff')) // a length of 10, and 10 bytes
  const sample = join(u32(1, 32 + record.length), u32(9, 4, 100, 5000, 2, 4, 5, 1), record)
  assert.equal(receiver().receive(sflow(sample)).length, 1)
})

test('rows of different contents have different shapes, and rows of the same share one', () => {
  const { receive, batch } = receiver()
  const empty = flowSample({})
  receive(sflow(empty, flowSample({}, header(1, 70, FRAME)), empty, flowSample({ rate: 0 })))
  const [a, b, c, d] = batch.shape
  assert.equal(a, c)
  assert.equal(new Set([a, b, d]).size, 3)
})

test('a batch grows for the samples of one datagram', () => {
  const { receive } = receiver()
  const samples = Array.from({ length: 100 }, () => flowSample({}, header(1, 70, FRAME)))
  assert.equal(receive(sflow(...samples)).length, 100)
})

/** Datagrams that contradict themselves. */
const BAD: readonly [string, Uint8Array, string][] = [
  ['another version', join(u32(4), DATAGRAM.subarray(4)), 'ERR_UNSUPPORTED'],
  ['an address of type 3', join(u32(5, 3), DATAGRAM.subarray(8)), 'ERR_MALFORMED'],
  ['more samples than there are', join(DATAGRAM.subarray(0, 24), u32(2), DATAGRAM.subarray(28)),
    'ERR_TRUNCATED'],
  ['2^32 - 1 samples', join(DATAGRAM.subarray(0, 24), u32(0xffffffff), DATAGRAM.subarray(28)),
    'ERR_TRUNCATED'],
  ['a sample of 2^32 - 1 bytes', sflow(join(u32(1, 0xffffffff), DATAGRAM.subarray(36))), 'ERR_TRUNCATED'],
  ['a record of 2^32 - 1 bytes', sflow(tlv(1, u32(9, 4, 1, 1, 0, 4, 5, 1, 1, 0xffffffff))), 'ERR_MALFORMED'],
  ['a record behind its sample', sflow(flowSample({}, u32(1, 20, 1, 64, 0, 0)), tlv(77, u32(1, 2, 3))),
    'ERR_MALFORMED'],
  ['more records than there are', sflow(tlv(1, u32(9, 4, 1, 1, 0, 4, 5, 0xffffffff))), 'ERR_MALFORMED'],
  ['a flow sample of 28 bytes', sflow(tlv(1, u32(9, 4, 1, 1, 0, 4, 5))), 'ERR_MALFORMED'],
  ['an expanded sample of 40 bytes', sflow(tlv(3, u32(9, 4, 1, 1, 0, 4, 5, 0, 0, 0))), 'ERR_MALFORMED'],
  ['a counter sample of 8 bytes', sflow(tlv(2, u32(9, 4))), 'ERR_MALFORMED'],
  ['a discard of 28 bytes', sflow(tlv(5, u32(9, 4, 1, 1, 0, 4, 5))), 'ERR_MALFORMED'],
  ['a counter record behind its sample', sflow(tlv(4, u32(9, 0, 4, 1, 1, 99))), 'ERR_MALFORMED'],
]
for (const [name, bytes, code] of BAD) {
  test(`${name} is refused, with nothing kept of the datagram`, () => {
    const { receive, batch, counters } = receiver()
    receive(DATAGRAM)
    assert.throws(() => receive(bytes), (error) => error instanceof FlowkitError && error.code === code)
    assert.deepEqual([batch.length, batch.heapLength, counters.length], [1, 0, 0])
  })
}

test('a good sample before a bad one is not kept', () => {
  const { receive, batch, counters } = receiver()
  const good = [flowSample({}, header(1, 70, FRAME), tlv(1004, u32(106), opaque('eve'), u32(0), opaque('')))]
  assert.throws(() => receive(sflow(...good, tlv(2, u32(1, 1, 0)), tlv(1, u32(1)))), FlowkitError)
  assert.deepEqual([batch.length, batch.heapLength, counters.length], [0, 0, 0])
})

test('a datagram cut anywhere is refused', () => {
  const { receive, batch } = receiver()
  const whole = sflow(
    flowSample({}, header(1, 70, FRAME), tlv(1002, u32(1, 1, 24, 25))),
    tlv(2, u32(1, 1, 1), tlv(5, u32(1, 0, 1, 1, 1, 1, 1))),
  )
  for (let end = 0; end < whole.length; end++) {
    assert.throws(() => receive(whole.subarray(0, end)), FlowkitError, `cut at ${end}`)
  }
  assert.equal(batch.length, 0)
  assert.equal(receive(whole).length, 1)
})

test('3,000 damaged datagrams are decoded or refused as a whole', () => {
  const next = random(5)
  const whole = sflow(
    flowSample({}, header(1, 586, FRAME), tlv(1001, u32(7, 0, 8, 0)), tlv(1002, u32(1, 0x0a000001, 24, 25))),
    expandedSample([0, 1], [2, 3], header(11, 60, FRAME.subarray(18)),
      tlv(1003, u32(1, 1, 2, 3, 4, 2, 2, 2, 5, 6, 1, 1, 7, 1, 0x00640001, 100)),
      tlv(1004, u32(106), opaque('alice'), u32(106), opaque('bob')), tlv(1006, u32(0, 1, 0x64141, 0)),
      tlv(1007, u32(1, 1, 1, 2)), tlv(1012, u32(2, 0x81000064, 0x81000065))),
    tlv(2, u32(1, 1, 3), tlv(5, u32(1, 0, 1, 1, 1, 1, 1)),
      tlv(10, u32(1, 1, 1, 1, 1), u32(...new Array<number>(10).fill(2))), tlv(2001, u32(1, 2, 1, 3, 4))),
    tlv(5, u32(1, 0, 4, 256, 4, 5, 262, 1), header(1, 1600, FRAME)),
  )
  const batch = new FlowBatch(16)
  const context = newSflow({ extras: false }, () => {})
  let refused = 0
  for (let i = 0; i < 3000; i++) {
    const mutant = whole.slice(0, next(8) === 0 ? next(whole.length) : whole.length)
    for (let changes = 1 + next(4); changes > 0 && mutant.length > 0; changes--) {
      mutant[next(mutant.length)] = next(3) === 0 ? 0xff : next(256)
    }
    const { length, heapLength } = batch
    try {
      assert.equal(decodeSflow(context, datagram(mutant), batch), batch.length - length)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      assert.deepEqual([batch.length, batch.heapLength], [length, heapLength])
      refused++
    }
    if (batch.length > 500) {
      assert.equal(rows(batch).length, batch.length)
      batch.clear()
    }
  }
  assert.ok(refused > 300 && refused < 2000, `${refused} refused`)
})
