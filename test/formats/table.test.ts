import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { table } from '../../formats/table.ts'
import { batches, batchOf, bytesOf, ids, largest, textOf, type Flow } from './flows.ts'

process.env.TZ = 'UTC'

const START = Date.UTC(2026, 10, 21, 13, 4, 5, 123) * 1000
const TCP: Flow = {
  flow_start: START, flow_end: START + 1_971_000, proto: 6, src_addr: '198.51.100.7', dst_addr: '192.0.2.1', src_port: 51234,
  dst_port: 443, tcp_flags: 0x1b, packets: 12, bytes: 3456, exporter_addr: '203.0.113.254',
}

test('the columns of a flow line up under their titles', () => {
  const flows: Flow[] = [
    TCP,
    { ...TCP, proto: 17, src_addr: '203.0.113.255', src_port: 65535, packets: 1_234_567, bytes: 9_876_543_210, tcp_flags: 0 },
    { ...TCP, proto: 1, icmp_type: 8, icmp_code: 0, flow_end: START },
    { proto: 200 },
  ]
  assert.deepEqual(textOf(table, flows).split('\n'), [
    'Start                      Duration  Proto   Source                 Destination            Flags        Packets         Bytes  Exporter',
    '2026-11-21 13:04:05.123      1.971s  TCP     198.51.100.7:51234     192.0.2.1:443          ...AP.SF          12          3456  203.0.113.254',
    '2026-11-21 13:04:05.123      1.971s  UDP     203.0.113.255:65535    192.0.2.1:443          ........     1234567    9876543210  203.0.113.254',
    '2026-11-21 13:04:05.123      0.000s  ICMP    198.51.100.7           192.0.2.1:8.0          ...AP.SF          12          3456  203.0.113.254',
    '-                                 -  200     -                      -                      -                  -             -  -',
    '',
  ])
})

test('wide values push the next columns only as far as they must', () => {
  const flow: Flow = { ...TCP, src_addr: '2001:db8:1111:2222::1', dst_addr: 'fe80::1' }
  assert.deepEqual(textOf(table, [TCP, flow], { quiet: true }).split('\n'), [
    '2026-11-21 13:04:05.123      1.971s  TCP     198.51.100.7:51234     192.0.2.1:443          ...AP.SF          12          3456  203.0.113.254',
    '2026-11-21 13:04:05.123      1.971s  TCP     [2001:db8:1111:2222::1]:51234 [fe80::1]:443   ...AP.SF          12          3456  203.0.113.254',
    '',
  ])
})

test('endpoints without a port, and ICMP without type, are addresses alone', () => {
  const endpoints = (flow: Flow) => textOf(table, [flow], { quiet: true }).slice(44, 90).trim().split(/ +/)
  assert.deepEqual(endpoints({ src_addr: '2001:db8::1', dst_addr: '192.0.2.1', dst_port: 0 }), ['2001:db8::1', '192.0.2.1:0'])
  assert.deepEqual(endpoints({ proto: 58, src_addr: '::1', dst_addr: '::2', src_port: 0, dst_port: 0x8701 }), ['::1', '[::2]:135.1'])
  assert.deepEqual(endpoints({ proto: 58, src_addr: '::1', dst_addr: '::2', icmp_type: 3, dst_port: 7 }), ['::1', '[::2]:3.0'])
  assert.deepEqual(endpoints({ proto: 1, src_addr: '192.0.2.1', dst_addr: '192.0.2.2' }), ['192.0.2.1', '192.0.2.2'])
  assert.deepEqual(endpoints({ proto: 6, src_addr: null, src_port: 5, dst_addr: '192.0.2.2' }), ['-', '192.0.2.2'])
})

test('events and statuses have the names that filters take', () => {
  const fields = ids('nat_event', 'firewall_event', 'forwarding_status', 'biflow_direction')
  const flows: Flow[] = [
    { nat_event: 1, firewall_event: 2, forwarding_status: 64, biflow_direction: 1 },
    { nat_event: 4, firewall_event: 9, forwarding_status: 129, biflow_direction: 0 },
  ]
  const lines = textOf(table, flows, { fields, quiet: true }).trimEnd().split('\n')
  assert.deepEqual(lines.map((line) => line.trim().split(/\s+/)), [
    ['add', 'delete', 'forwarded', 'initiator'], ['add44', '9', 'dacld', '0'],
  ])
})

test('columns are the fields asked for, enumerations by name', () => {
  const fields = ids('type', 'direction', 'end_reason', 'proto', 'src_addr', 'sampling_source', 'tcp_flags', 'flow_id', 'src_mac')
  const flow: Flow = {
    type: FLOW_TYPE.NETFLOW_V9, direction: 1, end_reason: 2, proto: 132, src_addr: '2001:db8::1', sampling_source: 3,
    tcp_flags: 0x112, flow_id: 2n ** 64n - 1n, src_mac: '02:00:00:00:00:01',
  }
  assert.deepEqual(textOf(table, [flow, { direction: 7, end_reason: 0 }], { fields }).split('\n'), [
    'type        direction  end_reason  proto   src_addr         sampling_source  tcp_flags               flow_id  src_mac',
    'NETFLOW_V9  egress     active      SCTP    2001:db8::1      options          ...A..S.   18446744073709551615  02:00:00:00:00:01',
    '-           7          0           -       -                -                -                             -  -',
    '',
  ])
  assert.equal(textOf(table, [], { fields: ids('bytes', 'flow_start_ns', 'bytes'), names: 'nfdump' }), '    in_bytes\n')
})

test('text does not reach the terminal with control characters, and keeps the columns', () => {
  const fields = ids('user_name', 'tag')
  const rows = textOf(table, [{ user_name: '\x1b[31mred\x7f\x9b', tag: 1 }, { user_name: 'Zürich 東', tag: 2 }], { fields })
  assert.equal(rows, 'user_name            tag\n?[31mred??             1\nZürich 東               2\n')
  assert.equal(textOf(table, [{ user_name: Uint8Array.of(0xff), tag: 3 }], { fields, quiet: true }), '\ufffd                      3\n')
})

test('times are in the local zone unless UTC is asked for', () => {
  process.env.TZ = 'Asia/Kolkata'
  const fields = ids('flow_start')
  assert.equal(textOf(table, [TCP], { fields, quiet: true }), '2026-11-21 18:34:05.123\n')
  assert.equal(textOf(table, [TCP], { fields, quiet: true, utc: true }), '2026-11-21 13:04:05.123\n')
  process.env.TZ = 'UTC'
})

test('the header comes once, and also without flows', () => {
  const batch = batchOf([{ tag: 1 }])
  assert.equal(bytesOf(table, [batch, batch], { fields: ids('tag') }).toString(), '       tag\n         1\n         1\n')
  assert.equal(bytesOf(table, [], { fields: ids('tag') }).toString(), '       tag\n')
  assert.equal(bytesOf(table, [], { fields: ids('tag'), quiet: true }).toString(), '')
})

test('every field at its largest has its value in the row', () => {
  for (const field of FIELDS) {
    if (field.id === ID.flowStartNs || field.id === ID.flowEndNs || field.id === ID.tag) continue
    const value = largest(field)
    const [cell, tag] = textOf(table, [{ [field.name]: value, tag: 4 }], { fields: [field.id, ID.tag], quiet: true })
      .trim().split(/ {1,}(?=\d+$)/)
    assert.equal(tag, '4', field.name)
    const wanted = field.type === 'octets' ? 'ff'.repeat(300) : field.type === 'time' ? '2255-06-05 23:47:34.740'
      : field.id === ID.proto ? 'Reserved' : field.id === ID.forwardingStatus ? 'consumed'
      : field.id === ID.tcpFlags || field.id === ID.revTcpFlags ? 'CEUAPRSF' : String(value)
    assert.equal(cell, wanted)
  }
})

test('random batches have a line a flow, without control characters', () => {
  fc.assert(fc.property(batches, fc.boolean(), (batch, all) => {
    const request = all ? { fields: [...FIELDS.keys()], quiet: true } : { quiet: true }
    const text = bytesOf(table, [batch], request).toString()
    assert.equal(text.split('\n').length, batch.length + 1)
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\x00-\x1f\x7f-\x9f]/)
  }), { seed: 1, numRuns: 100 })
})
