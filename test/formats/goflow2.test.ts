import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { addLoss, lossByField, newLoss } from '../../core/flow/loss.ts'
import type { Fault, FlowDecoder } from '../../core/flow/stream.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import { goflow2Json } from '../../formats/goflow2-json.ts'
import { goflow2Protobuf } from '../../formats/goflow2-protobuf.ts'
import { json } from '../../formats/json.ts'

/** A line as goflow2 2.2.5 writes it of a NAT event, with a mapping that calls the addresses strings. */
const NAT = '{"type":"NETFLOW_V9","time_received_ns":"2026-11-21T02:23:11.976131455Z","sequence_num":1,'
  + '"sampling_rate":100,"sampler_address":"127.0.0.9","time_flow_start_ns":1795215600000000123,'
  + '"time_flow_end_ns":1795215600000000000,"bytes":0,"packets":0,"src_addr":"10.20.0.145",'
  + '"src_net":"0.0.0.0/0","dst_addr":"198.51.100.40","dst_net":"198.51.100.0/24","etype":"IPv4",'
  + '"proto":"ESP","src_port":0,"dst_port":0,"in_if":0,"out_if":0,"src_mac":"00:00:00:00:00:00",'
  + '"dst_mac":"00:00:00:00:00:00","icmp_name":"unknown","post_nat_src_ipv4_address":"c0000213",'
  + '"post_nat_dst_ipv4_address":"198.51.100.41","post_napt_src_transport_port":46128}\n'

/** Rows as flowkit's JSON has them. */
function rowsOf(decoder: FlowDecoder, bytes: Uint8Array, chunk: number = bytes.length): object[] {
  const rows: object[] = []
  const batch = new FlowBatch()
  let rest = new Uint8Array(0)
  function take(): void {
    const text = Buffer.from(json.encoder!({ extras: true }).encode(batch)).toString()
    for (const line of text.split('\n')) if (line) rows.push(JSON.parse(line))
    batch.clear()
  }
  for (let at = 0; at < bytes.length; at += chunk) {
    const next = Uint8Array.from([...rest, ...bytes.subarray(at, at + chunk)])
    const end = decoder.decode(next, 0, batch)
    rest = next.slice(end)
    take()
  }
  const taken = decoder.end?.(batch, rest) ?? 0
  take()
  assert.equal(rest.length - taken, 0)
  return rows
}

const refuse = (fault: Fault): never => assert.fail(fault.reason)

test('a line says what goflow2 knows, and nothing where it writes nothing', () => {
  const [row] = rowsOf(goflow2Json.decoder!({ onFault: refuse, extras: true }), Buffer.from(NAT))
  assert.deepEqual(row, {
    type: 'NETFLOW_V9', received: '2026-11-21T02:23:11.976131Z', exporter_addr: '127.0.0.9', sequence_num: 1,
    sampling_rate: 100, flow_start: '2026-11-20T23:00:00.000000123Z',
    flow_end: '2026-11-20T23:00:00.000000000Z', bytes: 0, packets: 0, proto: 50, src_addr: '10.20.0.145',
    dst_addr: '198.51.100.40', src_port: 0, dst_port: 0, etype: 2048, in_if: 0, out_if: 0, dst_mask: 24, post_nat_src_addr: '192.0.2.19',
    post_nat_dst_addr: '198.51.100.41', post_napt_src_port: 46128, icmp_name: 'unknown',
  })
})

test('keys that are nobody\'s are lost only where they are not wanted', () => {
  const loss = newLoss()
  const [row] = rowsOf(goflow2Json.decoder!({ onFault: refuse, loss }), Buffer.from(NAT))
  assert.equal('icmp_name' in row, false)
  assert.deepEqual([...loss.elements], [['icmp_name', 1]])
})

test('its lines are told from other JSON', () => {
  assert.equal(goflow2Json.probe!(Buffer.from(NAT)), 95)
  assert.equal(goflow2Json.probe!(Buffer.from('{"src_addr":"10.0.0.1","bytes":1}\n')), 0)
  assert.equal(goflow2Json.probe!(Buffer.from('type,bytes\n')), 0)
})

test('a damaged line is a fault with its place, and the next is read', () => {
  const faults: Fault[] = []
  const decoder = goflow2Json.decoder!({ onFault: (fault) => faults.push(fault) })
  const rows = rowsOf(decoder, Buffer.from(`${NAT}{"type":"IPFIX","bytes":\n${NAT}nonsense\n${NAT}`))
  assert.equal(rows.length, 3)
  assert.deepEqual(faults.map(({ offset }) => offset), [NAT.length, 2 * NAT.length + 25])
})

test('a line of JSON that is no object is a fault', () => {
  const faults: Fault[] = []
  const decoder = goflow2Json.decoder!({ onFault: (fault) => faults.push(fault), extras: true })
  assert.equal(rowsOf(decoder, Buffer.from(`null\n${NAT}17\n"text"\n`)).length, 1)
  const last = 5 + NAT.length
  assert.deepEqual(faults, [['null', 0], ['17', last], ['"text"', last + 3]].map(([text, offset]) => (
    { code: 'ERR_MALFORMED', reason: `Cannot read JSON object: { expected, ${text} found`, offset }
  )))
})

/** From flow.proto: type 4, bytes 300, src_addr 10.0.0.1, dst_addr ::1, proto 6, a time, and field 2225. */
const MESSAGE = Uint8Array.from([
  0x08, 4, 0x48, 0xac, 0x02, 0x32, 4, 10, 0, 0, 1, 0x3a, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
  0xa0, 0x01, 6, 0xf8, 0x06, 0x80, 0xc0, 0xf5, 0xa9, 0xba, 0xe2, 0xf8, 0xf4, 0x18,
  0x8a, 0x8b, 0x01, 2, 0x68, 0x69,
])

test('messages are read with and without newlines between, in chunks of any size', () => {
  for (const separator of [[], [10]]) {
    const one = [MESSAGE.length, ...MESSAGE, ...separator]
    const bytes = Uint8Array.from([...one, ...one, ...one])
    for (const chunk of [1, 7, 64, bytes.length]) {
      const rows = rowsOf(goflow2Protobuf.decoder!({ onFault: refuse, extras: true }), bytes, chunk)
      assert.equal(rows.length, 3)
      assert.deepEqual(rows[2], {
        type: 'IPFIX', flow_start: '2026-11-20T23:00:00.000000000Z', bytes: 300, packets: 0, proto: 6,
        src_addr: '10.0.0.1', dst_addr: '::1', src_port: 0, dst_port: 0, tcp_flags: 0, tos: 0, in_if: 0,
        out_if: 0, observation_domain_id: 0, sequence_num: 0, field_2225: 'hi',
      })
    }
    assert.equal(goflow2Protobuf.probe!(bytes), 75)
    assert.equal(goflow2Protobuf.probe!(Uint8Array.from(one)), 75)
  }
  assert.equal(goflow2Protobuf.probe!(Buffer.from('\n\n\n\n\n\n\n\n\n')), 0)
})

test('a damaged message is a fault, and the next is read', () => {
  const faults: Fault[] = []
  const bad = MESSAGE.slice()
  bad[6] = 200 // longer than the message
  const bytes = Uint8Array.from([MESSAGE.length, ...bad, MESSAGE.length, ...MESSAGE])
  const rows = rowsOf(goflow2Protobuf.decoder!({ onFault: (fault) => faults.push(fault) }), bytes)
  assert.equal(rows.length, 1)
  assert.deepEqual(faults.map(({ offset, reason }) => [offset, reason]),
    [[0, 'Cannot read goflow2 message: it ends in a member']])
})

for (const format of [goflow2Json, goflow2Protobuf]) {
  test(`what is written as ${format.name} is read again`, () => {
    for (const batch of generateFlows({ ...parseTraffic('v6=30%,nat=0%,seed=3'), flows: 500 })) {
      const encoder = format.encoder!({})
      const bytes = Uint8Array.from(encoder.encode(batch))
      const rows = rowsOf(format.decoder!({ onFault: refuse }), bytes) as Record<string, unknown>[]
      assert.equal(rows.length, batch.length)
      const lost = new Set(FIELDS.filter(({ id }) => encoder.loss!().leftOut[id] > 0).map(({ name }) => name))
      const text = Buffer.from(json.encoder!({}).encode(batch)).toString().trimEnd()
      for (const [i, line] of text.split('\n').entries()) {
        for (const [name, value] of Object.entries(JSON.parse(line))) {
          if (lost.has(name as never) || value === 0) continue
          const found = rows[i][name]
          if (/^flow_/.test(name)) assert.equal(Date.parse(String(found)), Date.parse(String(value)), name)
          else assert.deepEqual(found, value, name)
        }
      }
    }
  })
}

/** A line of some keys, read and written again. @returns the object, and what was lost in reading and writing */
function again(line: object, extras: boolean = true): [Record<string, unknown>, string[]] {
  const loss = newLoss()
  const batch = new FlowBatch()
  goflow2Json.decoder!({ onFault: refuse, extras, loss }).decode(Buffer.from(`${JSON.stringify(line)}\n`), 0, batch)
  const encoder = goflow2Json.encoder!({ extras })
  const text = Buffer.from(encoder.encode(batch)).toString()
  addLoss(loss, encoder.loss!())
  return [JSON.parse(text), lossByField(loss).map(({ name }) => name)]
}

test('a time of 0 is none, as goflow2 writes it', () => {
  const line = '{"type":"NETFLOW_V9","time_received_ns":0,"time_flow_start_ns":0,"time_flow_end_ns":"1970-01-01T00:00:00Z"}\n'
  const loss = newLoss()
  const [row] = rowsOf(goflow2Json.decoder!({ onFault: refuse, loss }), Buffer.from(line))
  assert.deepEqual(row, { type: 'NETFLOW_V9' })
  assert.deepEqual(lossByField(loss), [])
})

test('times are nanoseconds, however small', () => {
  const line = '{"type":"NETFLOW_V9","time_received_ns":1500000000000,"time_flow_start_ns":1000,"time_flow_end_ns":"3600000000001"}\n'
  const [row] = rowsOf(goflow2Json.decoder!({ onFault: refuse }), Buffer.from(line))
  assert.deepEqual(row, {
    type: 'NETFLOW_V9', received: '1970-01-01T00:25:00.000Z', flow_start: '1970-01-01T00:00:00.000001000Z',
    flow_end: '1970-01-01T01:00:00.000000001Z',
  })
})

test('keys that are nobody\'s are written again, and goflow2\'s own lists as lists', () => {
  const line = {
    type: 'IPFIX', time_received_ns: 1700000000000000000, custom: 'a "b"', count: 7, layer_stack: ['Ethernet', 'IPv4'],
    layer_size: [14, 20], ipv6_routing_header_addresses: ['2001:db8::1'], ipv6_routing_header_seg_left: 2,
  }
  const [kept, lost] = again(line)
  for (const [key, value] of Object.entries(line)) assert.deepEqual(kept[key], value, key)
  assert.deepEqual(lost, [])
  const [left, without] = again(line, false)
  assert.deepEqual([left['custom'], left['layer_stack'], left['ipv6_routing_header_seg_left']], [undefined, [], 0])
  assert.deepEqual(without, Object.keys(line).slice(2))
})

test('addresses that NAT has made are under the keys of their family', () => {
  const line = { post_nat_src_ipv6_address: '2001:db8::1', post_nat_dst_ipv4_address: '192.0.2.1' }
  const [kept] = again({ type: 'IPFIX', ...line })
  const keys = Object.entries(kept).filter(([key]) => key.startsWith('post_nat'))
  assert.deepEqual(Object.fromEntries(keys), line)
})

test('what goflow2 knows and there is no place for is told', () => {
  const tell = (line: object) => again(line)[1]
  assert.deepEqual(tell({ type: 'IPFIX', mpls_ttl: [255], mpls_ip: ['192.0.2.1'], mpls_label: [1, 2] }), [])
  assert.deepEqual(tell({ mpls_ttl: [255, 254], mpls_ip: ['192.0.2.1', '192.0.2.2'] }), ['mpls_ttl', 'mpls_ip'])
  assert.deepEqual(tell({ type: 'NETFLOW_V99', src_addr: 'nonsense', next_hop: '' }), ['type', 'src_addr'])
  const batch = new FlowBatch()
  const text = '{"dst_mac":"02:00:00:00:00:01","post_dst_mac":"02:00:00:00:00:02"}\n{"dst_mac":"02:00:00:00:00:01"}\n'
  json.decoder!({ onFault: refuse }).decode(Buffer.from(text), 0, batch)
  for (const format of [goflow2Json, goflow2Protobuf]) {
    const encoder = format.encoder!({})
    encoder.encode(batch)
    assert.deepEqual(lossByField(encoder.loss!()), [{ name: 'dst_mac', leftOut: 1, narrowed: 0 }])
  }
})
