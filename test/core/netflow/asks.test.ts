/** What users of other collectors asked for or found wrong there, as far as no other test is about it. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  collector, EXPORTED, hex, ip4, ipfix, join, micros, options9, pick, RECEIVED, rows, set, template, text,
  u16, u32, u64, u8, v9, type Row, type TemplateField,
} from './messages.ts'

const COUNTERS = ['bytes', 'packets', 'out_bytes', 'out_packets', 'rev_bytes', 'rev_packets', 'total_bytes',
  'total_packets'] as const

function counters(list: readonly Row[]): Row[] {
  return pick(list, ...COUNTERS)
}

// Counters of several directions in one record, which goflow2 puts into one

test('ng_netflow of FreeBSD sends OUT counters of 0 behind the IN counters: those stay', () => {
  const layout = template(256, [8, 4], [12, 4], [15, 4], [10, 2], [14, 2], [2, 4], [1, 4], [24, 4], [23, 4],
    [22, 4], [21, 4], [7, 2], [11, 2], [6, 1], [4, 1], [5, 1], [16, 4], [17, 4], [9, 1], [13, 1])
  const record = hex(`
    0a000001 c0000209 0a0000fe  # source, destination, next hop
    0001 0002                   # interfaces
    0000000c 00000d80           # IN: 12 packets, 3456 bytes
    00000000 00000000           # OUT
    00091050 000923d8           # first 594.0 s, last 599.0 s of 600 s uptime
    c738 01bb 1b 06 00          # ports, TCP flags, protocol, type of service
    00000000 00000000 18 00     # AS numbers, prefix lengths`)
  const sent = collector().send(v9({}, set(0, layout), set(256, record)))
  assert.deepEqual(counters(sent), [{ bytes: 3456, packets: 12, out_bytes: 0, out_packets: 0 }])
  assert.deepEqual(pick(sent, 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'flow_start', 'flow_end'), [{
    src_addr: '10.0.0.1', dst_addr: '192.0.2.9', src_port: 51000, dst_port: 443,
    flow_start: micros('2026-11-20T08:59:54Z'), flow_end: micros('2026-11-20T08:59:59Z'),
  }])
})

test('IN, OUT, total, initiator and responder counters are the same in any order in a record', () => {
  const fields: readonly (readonly [id: number, value: number])[] = [
    [1, 101], [2, 102], [23, 103], [24, 104], [85, 105], [86, 106], [231, 107], [232, 108], [298, 109],
    [299, 110],
  ]
  const wanted = {
    bytes: 101, packets: 102, out_bytes: 103, out_packets: 104, rev_bytes: 108, rev_packets: 110,
    total_bytes: 105, total_packets: 106,
  }
  for (let turn = 0; turn < fields.length; turn++) {
    for (const list of [fields, fields.toReversed()]) {
      const turned = [...list.slice(turn), ...list.slice(0, turn)]
      const layout = template(256, ...turned.map(([id]): TemplateField => [id, 4]))
      const data = set(256, u32(...turned.map(([, value]) => value)))
      assert.deepEqual(counters(collector().send(ipfix({}, set(2, layout), data))), [wanted])
      assert.deepEqual(counters(collector().send(v9({}, set(0, layout), data))), [wanted])
    }
  }
})

test('OUT counters alone are OUT counters: there are no bytes that came in', () => {
  const sent = collector().send(v9({}, set(0, template(256, [23, 4], [24, 4])), set(256, u32(5000, 7))))
  assert.deepEqual(counters(sent), [{ out_bytes: 5000, out_packets: 7 }])
})

test('counters of 0 are counters: a delta of 0 is not made up for by a total', () => {
  const sent = collector().send(ipfix({}, set(2, template(256, [1, 8], [2, 8], [85, 8], [86, 8])),
    set(256, u64(0, 0, 1_000_000, 1000))))
  assert.deepEqual(counters(sent), [{ bytes: 0, packets: 0, total_bytes: 1_000_000, total_packets: 1000 }])
})

test('yaf exports totals alone: they are its bytes and packets', () => {
  const sent = collector().send(ipfix({}, set(2, template(256, [85, 8], [86, 8])),
    set(256, u64(34_567, 42))))
  assert.deepEqual(counters(sent), [{ bytes: 34_567, packets: 42, total_bytes: 34_567, total_packets: 42 }])
})

// Firewalls, whose flows came without bytes or packets in nfdump, pmacct and akvorado

/** Templates of a Cisco ASA, shortened: a connection is created, told of, torn down, or denied. */
const ASA = set(0,
  template(263, [148, 4], [8, 4], [7, 2], [12, 4], [11, 2], [4, 1], [233, 1], [33002, 2], [323, 8]),
  template(264, [148, 4], [8, 4], [7, 2], [12, 4], [11, 2], [4, 1], [233, 1], [33002, 2], [323, 8], [231, 4],
    [232, 4], [298, 4], [299, 4]))

function asaEvent(connection: number, event: number, why: number): Uint8Array {
  return join(u32(connection), ip4('10.0.50.10'), u16(55182), ip4('10.1.78.5'), u16(3128), u8(6, event),
    u16(why), u64(EXPORTED * 1000))
}

test('NSEL: updates count both directions, events without counters have none rather than 0', () => {
  const sent = collector().send(v9({}, ASA,
    set(263, asaEvent(5, 1, 0)),
    set(264, asaEvent(5, 5, 0), u32(2557, 1117, 9, 8)),
    set(264, asaEvent(5, 2, 2032), u32(31, 0, 1, 0)),
    set(263, asaEvent(0, 3, 1001))))
  assert.deepEqual(pick(sent, 'flow_id', 'firewall_event', 'firewall_ext_event', ...COUNTERS), [
    { flow_id: 5, firewall_event: 1, firewall_ext_event: 0 },
    { flow_id: 5, firewall_event: 5, firewall_ext_event: 0, bytes: 2557, packets: 9, rev_bytes: 1117,
      rev_packets: 8 },
    { flow_id: 5, firewall_event: 2, firewall_ext_event: 2032, bytes: 31, packets: 1, rev_bytes: 0,
      rev_packets: 0 },
    { flow_id: 0, firewall_event: 3, firewall_ext_event: 1001 },
  ])
  assert.deepEqual(pick(sent, 'event_time', 'flow_start', 'flow_end'),
    new Array(4).fill({ event_time: EXPORTED * 1e6 }))
})

test('Palo Alto sends firewallEvent with flows of one direction: they are no NSEL, and lose nothing', () => {
  // its template for IPv4 with NAT; 56701 and 56702 are its own, App-ID and User-ID
  const layout = template(257, [1, 8], [2, 8], [4, 1], [5, 1], [6, 1], [7, 2], [8, 4], [10, 4], [11, 2],
    [12, 4], [14, 4], [21, 4], [22, 4], [32, 2], [61, 1], [148, 8], [233, 1], [225, 4], [226, 4], [227, 2],
    [228, 2], [346, 4], [56701, 32], [56702, 64])
  const record = join(u64(4321, 17), u8(6, 0, 0x1f), u16(51000), ip4('10.0.0.1'), u32(1), u16(443),
    ip4('198.51.100.7'), u32(2), u32(599_000, 590_000), u16(0), u8(0), u64(77), u8(2),
    ip4('203.0.113.5'), ip4('198.51.100.7'), u16(40001, 443), u32(25461), text('ssl', 32), text('alice', 64))
  const [row] = collector({ extras: true }).send(v9({}, set(0, layout), set(257, record)))
  assert.deepEqual(counters([row]), [{ bytes: 4321, packets: 17 }])
  assert.deepEqual(row, {
    type: row['type'], received: RECEIVED, exporter_addr: '192.0.2.1', observation_domain_id: 0,
    sequence_num: 0,
    flow_start: micros('2026-11-20T08:59:50Z'), flow_end: micros('2026-11-20T08:59:59Z'), bytes: 4321,
    packets: 17, proto: 6, src_addr: '10.0.0.1', dst_addr: '198.51.100.7', src_port: 51000, dst_port: 443,
    tcp_flags: 0x1f, tos: 0, icmp_type: 0, icmp_code: 0, etype: 0x800, direction: 0, in_if: 1, out_if: 2,
    post_nat_src_addr: '203.0.113.5', post_nat_dst_addr: '198.51.100.7', post_napt_src_port: 40001,
    post_napt_dst_port: 443, firewall_event: 2, flow_id: 77,
    extras: ['0/346=00006375', `0/56701=${Buffer.from('ssl').toString('hex')}${'00'.repeat(29)}`,
      `0/56702=${Buffer.from('alice').toString('hex')}${'00'.repeat(59)}`],
  })
})

// Times, which akvorado mixes up in seconds and milliseconds, and goflow2 at the wrap

test('the export time is in seconds and uptimes in milliseconds: a flow of 15 s began 15 s before', () => {
  const start = micros('2023-04-04T16:44:24Z')
  const secs = 1_680_626_679
  assert.equal(start, (secs - 15) * 1e6)
  const header = join(u16(5, 1), u32(300_000, secs, 0), new Uint8Array(8))
  const record = join(new Uint8Array(24), u32(285_000, 299_000), new Uint8Array(16))
  const names = ['flow_start', 'flow_end']
  const wanted = [{ flow_start: start, flow_end: start + 14e6 }]
  assert.deepEqual(pick(collector().send(join(header, record)), ...names), wanted)
  const nine = v9({ secs, uptime: 300_000 }, set(0, template(256, [22, 4], [21, 4])),
    set(256, u32(285_000, 299_000)))
  assert.deepEqual(pick(collector().send(nine), ...names), wanted)
})

test('a flow that is told to end before it began does so by as much, not by 49.7 days', () => {
  const sent = collector().send(v9({}, set(0, template(256, [22, 4], [21, 4])),
    set(256, u32(599_000, 598_500))))
  assert.deepEqual(pick(sent, 'flow_start', 'flow_end'), [
    { flow_start: micros('2026-11-20T08:59:59Z'), flow_end: micros('2026-11-20T08:59:58.500Z') },
  ])
})

test('how far an exporter’s clock is off is known of every version: receipt less export', () => {
  const fixed = (secs: number, nsecs: number) =>
    join(u16(5, 1), u32(0, secs, nsecs), new Uint8Array(8), new Uint8Array(48))
  const { send, exporter } = collector()
  for (const [bytes, skew] of [
    [fixed(EXPORTED, 250_000_000), 0],
    [fixed(EXPORTED - 3600, 0), 3600_250_000],
    [v9({ secs: EXPORTED + 1 }), -750_000],
    [ipfix({ secs: EXPORTED - 10 }), 10_250_000],
  ] as const) {
    send(bytes)
    assert.equal(exporter().counters.clockSkew, skew)
  }
})

// Sampling: akvorado drops flows of exporters that do not tell it

test('flows of exporters that tell no rate are all there, their counters as they were sent', () => {
  const { send, batch } = collector()
  send(join(u16(5, 1), new Uint8Array(20), new Uint8Array(16), u32(3, 1500), new Uint8Array(24)))
  send(v9({}, set(0, template(256, [1, 4])), set(256, u32(700))))
  send(v9({ domain: 1 }, set(1, options9(300, [[1, 4]], [[48, 2], [34, 4]])),
    set(300, u32(0), u16(1), u32(9)),
    set(0, template(256, [1, 4], [48, 2])), set(256, u32(800), u16(2)))) // a sampler nobody told of
  send(ipfix({}, set(2, template(256, [1, 4])), set(256, u32(900))))
  assert.deepEqual(pick(rows(batch), 'bytes', 'sampling_rate', 'sampling_source'), [
    { bytes: 1500 }, { bytes: 700 }, { bytes: 800 }, { bytes: 900 },
  ])
})

// One element that is not known, for which vflow and logstash discard the record

test('an element that nobody knows costs a record nothing, wherever it stands, however long', () => {
  const known: readonly (readonly [TemplateField, Uint8Array])[] = [
    [[8, 4], ip4('10.0.0.1')], [[1, 4], u32(1234)], [[7, 2], u16(53)],
  ]
  for (const length of [1, 3, 8, 9, 300]) {
    for (let place = 0; place <= known.length; place++) {
      const value = new Uint8Array(length).fill(0xab)
      for (const [id, pen] of [[999, undefined], [15, 47_110_815]] as const) {
        const field: TemplateField = pen === undefined ? [id, length] : [id, length, pen]
        const all = [...known.slice(0, place), [field, value] as const, ...known.slice(place)]
        const sent = collector({ extras: true }).send(ipfix({},
          set(2, template(256, ...all.map(([each]) => each))),
          set(256, ...all.map(([, each]) => each), ...all.map(([, each]) => each))))
        const row = { src_addr: '10.0.0.1', bytes: 1234, src_port: 53,
          extras: [`${pen ?? 0}/${id}=${'ab'.repeat(length)}`] }
        assert.deepEqual(pick(sent, 'src_addr', 'bytes', 'src_port', 'extras'), [row, row])
      }
    }
  }
})
