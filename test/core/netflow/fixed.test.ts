import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../../core/flow/names.ts'
import { collector, hex, join, micros, RECEIVED, rows, u16, u32, type Row } from './messages.ts'

// 36 bytes that every record of v1 to v7 begins with
const START = `
  0a010203       # source address 10.1.2.3
  c6336407       # destination address 198.51.100.7
  0aff0001       # next hop 10.255.0.1
  0003 0001      # input and output interface
  00000400       # packets: 1024
  80000000       # bytes: 2^31
  000927c0       # first: uptime 600.000 s
  0009eb10       # last: uptime 650.000 s
  c350 01bb      # ports 50000 and 443
`
const START_FIELDS: Row = {
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', next_hop: '10.255.0.1', in_if: 3, out_if: 1, packets: 1024,
  bytes: 2 ** 31, flow_start: micros('2026-11-20T08:59:00.500Z'),
  flow_end: micros('2026-11-20T08:59:50.500Z'), src_port: 50000, dst_port: 443, etype: 0x800,
}
// uptime 660 s, 2026-11-20 09:00:00.5
const CLOCK = '000a1220 6b000c10 1dcd6500'
const MIDDLE = `
  1b 06 b8       # TCP flags FIN SYN PSH ACK, protocol TCP, type of service
  fbf0 fbff      # AS 64496 and 64511
  18 16          # prefix lengths 24 and 22
`
const MIDDLE_FIELDS: Row = {
  tcp_flags: 0x1b, proto: 6, tos: 0xb8, src_as: 64496, dst_as: 64511, src_mask: 24, dst_mask: 22,
}
const COMMON: Row = { exporter_addr: '192.0.2.1', received: RECEIVED }

const V5_HEADER = (count: number, sampling: string) => hex(`
  0005 ${count.toString(16).padStart(4, '0')} ${CLOCK}
  00010000       # flow sequence: 65536
  01 07          # engine type and id
  ${sampling}`)
const V5_RECORD = hex(`${START} 00 ${MIDDLE} 0000`)
const V5_FIELDS: Row = {
  ...COMMON, ...START_FIELDS, ...MIDDLE_FIELDS, type: FLOW_TYPE.NETFLOW_V5, sequence_num: 65536,
  engine_type: 1, engine_id: 7,
}

test('NetFlow v1: every field of the record and header', () => {
  const record = `${START} 0000 06 b8 1b 00000000000000 # protocol, type of service, flags, 7 unused bytes`
  const { send } = collector()
  assert.deepEqual(send(hex(`0001 0001 ${CLOCK} ${record}`)), [{
    ...COMMON, ...START_FIELDS, type: FLOW_TYPE.NETFLOW_V1, proto: 6, tos: 0xb8, tcp_flags: 0x1b,
  }])
})

test('NetFlow v5: every field of the record and header', () => {
  assert.deepEqual(collector().send(join(V5_HEADER(1, '0000'), V5_RECORD)), [V5_FIELDS])
})

test('NetFlow v6: every field, with the sizes of encapsulation and the next hop of the peer', () => {
  const { send } = collector()
  assert.deepEqual(send(hex(`0006 0001 ${CLOCK} 00010000 0107 0000 ${START} 00 ${MIDDLE} 04 0e c0000209`)), [{
    ...V5_FIELDS, type: FLOW_TYPE.NETFLOW_V6, in_encaps: 4, out_encaps: 14, peer_next_hop: '192.0.2.9',
  }])
})

test('NetFlow v7: every field, with the mode, the flags and the bypassed router; its header has no engine', () => {
  const { send } = collector()
  assert.deepEqual(send(hex(`0007 0001 ${CLOCK} 00010000 00000000 ${START} 02 ${MIDDLE} 0012 c0000209`)), [{
    ...COMMON, ...START_FIELDS, ...MIDDLE_FIELDS, type: FLOW_TYPE.NETFLOW_V7, sequence_num: 65536,
    shortcut_mode: 2, valid_flags: 0x12, router_sc: '192.0.2.9',
  }])
})

test('NetFlow v5: the records of a datagram are rows in order', () => {
  const records = Array.from({ length: 30 }, (_, i) => {
    const record = V5_RECORD.slice()
    record.set(u32(i * 0x08080808), 0)
    record.set(u16(i), 32)
    return record
  })
  const sent = collector().send(join(V5_HEADER(30, '0000'), ...records))
  assert.deepEqual(sent.map((row) => row['src_addr']), records.map((_, i) => Array(4).fill(i * 8).join('.')))
  assert.deepEqual(sent.map((row) => row['src_port']), records.map((_, i) => i))
})

test('NetFlow v5: the low 14 bits of the sampling word are the rate, the high two the mode', () => {
  for (const [word, rate, mode] of [
    ['0064', 100, 0], ['4064', 100, 1], ['8001', 1, 2], ['ffff', 16383, 3],
  ] as const) {
    assert.deepEqual(collector().send(join(V5_HEADER(1, word), V5_RECORD)), [{
      ...V5_FIELDS, sampling_rate: rate, sampling_source: SAMPLING_SOURCE.header,
      ...mode > 0 && { sampling_algorithm: mode },
    }], word)
  }
})

test('NetFlow v5: a rate of 0 leaves the sampling absent, whatever the mode', () => {
  for (const word of ['0000', '4000', '8000']) {
    assert.deepEqual(collector().send(join(V5_HEADER(1, word), V5_RECORD)), [V5_FIELDS], word)
  }
})

test('v5 datagrams with and without sampling share a batch, each row with its own', () => {
  const { send, batch } = collector()
  for (const word of ['0064', '0000', '0010']) send(join(V5_HEADER(1, word), V5_RECORD))
  assert.deepEqual(rows(batch).map((row) => row['sampling_rate']), [100, undefined, 16])
})

test('the exporter’s clock is given when it is asked for', () => {
  const fields = new Uint8Array(1000).fill(1)
  const [row] = collector({ fields, extras: false }).send(join(V5_HEADER(1, '0000'), V5_RECORD))
  assert.deepEqual(row, {
    ...V5_FIELDS, export_secs: 1_795_165_200, export_nsecs: 500_000_000, sys_uptime: 660_000,
  })
})

// v8: as v5, then scheme and its version, 4 bytes reserved (Cisco's table B-7)
const V8_HEADER = (scheme: string) => hex(`0008 0001 ${CLOCK} 00010000 0107 ${scheme} 02 00000000`)
const V8_FIELDS: Row = {
  ...COMMON, type: FLOW_TYPE.NETFLOW_V8, sequence_num: 65536, engine_type: 1, engine_id: 7, packets: 1024,
  bytes: 2 ** 31, flow_start: START_FIELDS['flow_start']!, flow_end: START_FIELDS['flow_end']!,
}
const V8_COUNTERS = '00000400 80000000 000927c0 0009eb10' // packets, bytes, first, last

test('NetFlow v8: the AS scheme', () => {
  const record = hex(`00000005 ${V8_COUNTERS} fbf0 fbff 0003 0001`)
  assert.deepEqual(collector().send(join(V8_HEADER('01'), record)), [{
    ...V8_FIELDS, aggregation: 1, flows: 5, src_as: 64496, dst_as: 64511, in_if: 3, out_if: 1,
  }])
})

test('NetFlow v8: the protocol-port scheme', () => {
  const record = hex(`00000005 ${V8_COUNTERS} 06 00 0000 c350 01bb`)
  assert.deepEqual(collector().send(join(V8_HEADER('02'), record)), [{
    ...V8_FIELDS, aggregation: 2, flows: 5, proto: 6, src_port: 50000, dst_port: 443,
  }])
})

test('NetFlow v8: the prefix scheme, whose destination length comes first', () => {
  const record = hex(`00000005 ${V8_COUNTERS} 0a010000 c6336400 18 10 0000 fbf0 fbff 0003 0001`)
  assert.deepEqual(collector().send(join(V8_HEADER('05'), record)), [{
    ...V8_FIELDS, aggregation: 5, flows: 5, src_addr: '10.1.0.0', dst_addr: '198.51.100.0', etype: 0x800,
    src_mask: 16, dst_mask: 24, src_as: 64496, dst_as: 64511, in_if: 3, out_if: 1,
  }])
})

test('NetFlow v8: the full-flow scheme of Catalyst switches', () => {
  const record = hex(`
    c6336407 0a010203 01bb c350   # destination before source, addresses and ports
    ${V8_COUNTERS}
    0001 0003 b8 06 28 00         # output before input interface, tos, protocol, marked tos
    00000002 c0000209             # packets over the contract, router that is bypassed`)
  assert.deepEqual(collector().send(join(V8_HEADER('08'), record)), [{
    ...V8_FIELDS, aggregation: 8, src_addr: '10.1.2.3', dst_addr: '198.51.100.7', etype: 0x800,
    src_port: 50000, dst_port: 443, in_if: 3, out_if: 1, tos: 0xb8, proto: 6, marked_tos: 0x28,
    extra_packets: 2, router_sc: '192.0.2.9',
  }])
})

test('NetFlow v8: schemes that do not exist are refused', () => {
  for (const scheme of ['00', '0f', 'ff']) {
    assert.throws(() => collector().send(join(V8_HEADER(scheme), new Uint8Array(28))),
      { code: 'ERR_UNSUPPORTED' })
  }
})

const SIZES = [[1, 16, 48, 30], [5, 24, 48, 30], [6, 24, 52, 27], [7, 24, 52, 30]] as const

for (const [version, header, record, most] of SIZES) {
  test(`NetFlow v${version}: up to ${most} records, and no byte more or less than they need`, () => {
    const make = (count: number, length: number) => {
      const bytes = new Uint8Array(length)
      bytes.set(u16(version, count))
      return bytes
    }
    for (const count of [1, most]) {
      const { send, batch, exporter } = collector()
      for (const wrong of [-record, -1, 1, record]) {
        const [needed, found] = [header + count * record, header + count * record + wrong]
        assert.throws(() => send(make(count, found)), {
          name: 'FlowkitError', code: 'ERR_MALFORMED',
          message: `Cannot decode NetFlow v${version} datagram: `
            + `${count} records need ${needed} bytes, ${found} found`,
        })
      }
      assert.equal(batch.length, 0)
      assert.equal(send(make(count, header + count * record)).length, count)
      assert.deepEqual(exporter().counters, {
        ...exporter().counters, datagrams: 5, records: count, faults: { ERR_MALFORMED: 4 },
      })
    }
    for (const count of [0, most + 1, 65535]) {
      assert.throws(() => collector().send(make(count, header + count * record)), { code: 'ERR_MALFORMED' })
    }
    for (let length = 0; length < header; length++) {
      assert.throws(() => collector().send(make(1, header + record).subarray(0, length)),
        { code: 'ERR_TRUNCATED' })
    }
  })
}

test('versions that do not exist are refused', () => {
  for (const version of [2, 3, 4, 11, 0x0500, 65535]) {
    assert.throws(() => collector().send(join(u16(version, 1), new Uint8Array(100))),
      { code: 'ERR_UNSUPPORTED' })
  }
})
