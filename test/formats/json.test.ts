import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FIELDS, ID, type FieldName } from '../../core/flow/fields.ts'
import { fieldLabel, NAME_SETS } from '../../core/flow/labels.ts'
import { FLOW_TYPE, FLOW_TYPES } from '../../core/flow/names.ts'
import { json, jsonArray } from '../../formats/json.ts'
import { jsonSchema } from '../../formats/json-schema.ts'
import { addFlow, batches, batchOf, bytesOf, ids, largest, plainRow, textOf, type Flow } from './flows.ts'

const FLOW: Flow = {
  type: FLOW_TYPE.NETFLOW_V9, received: Date.UTC(2026, 10, 21, 13, 4, 5, 678) * 1000 + 9, exporter_addr: '192.0.2.1',
  flow_start: Date.UTC(2026, 10, 21, 13, 4, 5, 123) * 1000, flow_end: Date.UTC(2026, 10, 21, 13, 4, 6) * 1000,
  bytes: 1500, packets: 3, proto: 6, src_addr: '198.51.100.7', dst_addr: '2001:db8::1', src_port: 443, dst_port: 51234,
}

/** Parse JSON; numbers for which `keep` is false stay the text they are. */
function parseWith(text: string, keep: (value: number) => boolean): unknown {
  const revive = (_: string, value: unknown, { source }: { source?: string }): unknown => {
    return typeof value === 'number' && !keep(value) ? source : value
  }
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown)
}

test('a flow is one line with the fields it has, in the order of the table', () => {
  assert.equal(textOf(json, [FLOW], {}, { digits: 3 }), '{"type":"NETFLOW_V9","received":"2026-11-21T13:04:05.678009Z",'
    + '"exporter_addr":"192.0.2.1","flow_start":"2026-11-21T13:04:05.123Z","flow_end":"2026-11-21T13:04:06.000Z",'
    + '"bytes":1500,"packets":3,"proto":6,"src_addr":"198.51.100.7","dst_addr":"2001:db8::1","src_port":443,'
    + '"dst_port":51234}\n')
})

test('absent fields are left out, and a flow without any is an empty object', () => {
  assert.equal(textOf(json, [{}, { proto: 0 }, { src_addr: null }, { src_addr: null, bytes: 0 }]),
    '{}\n{"proto":0}\n{}\n{"bytes":0}\n')
})

test('fields that are asked for come in the order asked for, each once', () => {
  const fields = ids('bytes', 'proto', 'vlan_id', 'bytes', 'src_addr')
  assert.equal(textOf(json, [FLOW, { vlan_id: 7 }], { fields }),
    '{"bytes":1500,"proto":6,"src_addr":"198.51.100.7"}\n{"vlan_id":7}\n')
})

test('times have the digits that the source had, and nanoseconds are no members of their own', () => {
  const second = Date.UTC(2026, 0, 1) * 1000
  const time = (flow: Flow, digits: -1 | 0 | 3 | 6 | 9) => textOf(json, [flow], {}, { digits })
  assert.equal(time({ flow_start: second }, 0), '{"flow_start":"2026-01-01T00:00:00Z"}\n')
  assert.equal(time({ flow_start: second }, 6), '{"flow_start":"2026-01-01T00:00:00.000000Z"}\n')
  assert.equal(time({ flow_start: second + 5 }, -1), '{"flow_start":"2026-01-01T00:00:00.000005Z"}\n')
  assert.equal(time({ flow_end: second + 5, flow_end_ns: 42 }, 9), '{"flow_end":"2026-01-01T00:00:00.000005042Z"}\n')
  assert.equal(time({ flow_start_ns: 42 }, 9), '{}\n')
  assert.equal(time({ received: second + 5 }, 0), '{"received":"2026-01-01T00:00:00.000005Z"}\n')
  assert.equal(textOf(json, [{ flow_start: second, flow_start_ns: 1 }], { fields: ids('flow_start_ns', 'flow_start') }),
    '{"flow_start":"2026-01-01T00:00:00.000000001Z"}\n')
})

test('every field at its largest and smallest is JSON', () => {
  for (const field of FIELDS) {
    if (field.id === ID.flowStartNs || field.id === ID.flowEndNs) continue
    const line = textOf(json, [{ [field.name]: largest(field) }])
    const value = (parseWith(line, () => false) as Record<string, unknown>)[field.name]
    switch (field.type) {
      case 'u8': assert.equal(value, field.name === 'type' ? 'UNKNOWN' : '255'); break
      case 'u16': assert.equal(value, '65535'); break
      case 'u32': assert.equal(value, '4294967295'); break
      case 'u64': assert.equal(value, '18446744073709551615'); break
      case 'count': assert.equal(value, '9007199254740992'); break
      case 'time': assert.equal(value, '2255-06-05T23:47:34.740992Z'); break
      case 'addr': assert.equal(value, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'); break
      case 'mac': assert.equal(value, 'ff:ff:ff:ff:ff:ff'); break
      case 'text': assert.equal(value, '"'.repeat(300)); break
      case 'octets': assert.equal(value, 'f'.repeat(600)); break
    }
  }
  assert.equal(textOf(json, [{ bytes: 0, proto: 0, src_mac: '00:00:00:00:00:00', user_name: '', in_acl: new Uint8Array(0),
    flow_id: 0n, flow_start: 0, src_addr: '::' }]), '{"flow_start":"1970-01-01T00:00:00.000Z","bytes":0,"proto":0,'
    + '"src_addr":"::","src_mac":"00:00:00:00:00:00","in_acl":"","flow_id":0,"user_name":""}\n')
})

test('text is escaped as JSON.stringify does, and ill-formed UTF-8 replaced', () => {
  const controls = String.fromCharCode(...Array.from({ length: 128 }, (_, i) => i))
  for (const text of [controls, 'Zürich – 東京 🌐', '\u2028\u0080', '</script>', '\\"']) {
    assert.equal(textOf(json, [{ user_name: text }]), `{"user_name":${JSON.stringify(text)}}\n`)
  }
  assert.equal(textOf(json, [{ user_name: Uint8Array.of(65, 0xff, 66, 0xe2, 0x82) }]), '{"user_name":"A\ufffdB\ufffd"}\n')
})

test('the type of the record is text', () => {
  for (const [type, name] of FLOW_TYPES.entries()) assert.equal(textOf(json, [{ type }]), `{"type":"${name}"}\n`)
})

test('elements without a column are members when they are wanted', () => {
  const extras = [
    { pen: 0, id: 460, length: 65535 }, { pen: 0, id: 1, length: 4 }, { pen: 4711, id: 12, length: 2 },
    { pen: 0, id: 1, length: 1 }, { pen: 0, id: 276, length: 1 },
  ]
  const extraBytes = Uint8Array.of(0, 5, 104, 34, 116, 116, 112, 0, 0, 1, 0, 0xca, 0xfe, 7, 1)
  const more = { extras, extraBytes }
  assert.equal(textOf(json, [{ proto: 6 }], { extras: true }, more),
    '{"proto":6,"httpRequestHost":"h\\"ttp","octetDeltaCount":256,"en4711id12":"cafe","octetDeltaCount_2":7,"dataRecordsReliability":true}\n')
  assert.equal(textOf(json, [{}], { extras: true }, more).slice(0, 20), '{"httpRequestHost":"')
  assert.equal(textOf(json, [{ proto: 6 }], {}, more), '{"proto":6}\n')
  assert.equal(textOf(json, [{ bytes: 6 }], { extras: true, names: 'iana' }, { extras: extras.slice(1, 2), extraBytes: Uint8Array.of(0, 0, 0, 9) }),
    '{"octetDeltaCount":6,"octetDeltaCount_2":9}\n')
  assert.equal(textOf(json, [{ proto: 6 }], { extras: true }, { extras, extraBytes: extraBytes.subarray(0, 8) }),
    '{"proto":6,"httpRequestHost":"h\\"ttp"}\n', 'what the bytes do not reach is left out')
  assert.equal(textOf(json, [{ proto: 6 }], { extras: true }), '{"proto":6}\n')
})

test('lists are arrays, their records objects', () => {
  // subTemplateList of template 257, interfaceName twice
  const list = Buffer.from('fe0001' + '01010002' + '000000000052ffff' + '000000000052ffff' + '0301010161022262', 'hex')
  const more = {
    extras: [{ pen: 0, id: 292, length: 65535 }], extraBytes: Buffer.concat([Buffer.of(0, list.length), list]),
  }
  assert.equal(textOf(json, [{ proto: 6 }], { extras: true }, more),
    '{"proto":6,"subTemplateList":[{"interfaceName":"a","interfaceName_2":"\\"b"}]}\n')
})

test('names are those asked for, by the family where IANA has two', () => {
  const flows: Flow[] = [
    { flow_start: 0, bytes: 1, src_addr: '192.0.2.1', next_hop: '2001:db8::1', src_mask: 24, icmp_type: 8 },
    { flow_start: 0, bytes: 1, src_addr: '2001:db8::2', next_hop: '192.0.2.2', src_mask: 64, icmp_type: 128 },
    { src_mask: 8 },
  ]
  assert.equal(textOf(json, flows, { names: 'iana' }), '{"flowStartMilliseconds":"1970-01-01T00:00:00.000Z",'
    + '"octetDeltaCount":1,"sourceIPv4Address":"192.0.2.1","icmpTypeIPv4":8,"sourceIPv4PrefixLength":24,'
    + '"ipNextHopIPv6Address":"2001:db8::1"}\n{"flowStartMilliseconds":"1970-01-01T00:00:00.000Z","octetDeltaCount":1,'
    + '"sourceIPv6Address":"2001:db8::2","icmpTypeIPv6":128,"sourceIPv6PrefixLength":64,'
    + '"ipNextHopIPv4Address":"192.0.2.2"}\n{"sourceIPv4PrefixLength":8}\n')
  assert.equal(textOf(json, [{ bytes: 2, src_addr: '192.0.2.1' }], { names: 'py3flowtools' }), '{"dOctets":2,"srcaddr":"192.0.2.1","srcaddr_raw":3221225985}\n')
})

test('py3flowtools has addresses as text and as integers, of both families', async () => {
  const flows: Flow[] = [
    { src_addr: '2001:db8::1', dst_addr: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', next_hop: null },
    { exporter_addr: '255.255.255.255', dst_addr: '::', next_hop: '0.0.0.0', bgp_next_hop: '192.0.2.9' },
  ]
  const text = textOf(json, flows, { names: 'py3flowtools' })
  assert.equal(text, '{"srcaddr":"2001:db8::1","srcaddr_raw":42540766411282592856903984951653826561,'
    + '"dstaddr":"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff","dstaddr_raw":340282366920938463463374607431768211455}\n'
    + '{"exaddr":"255.255.255.255","exaddr_raw":4294967295,"dstaddr":"::","dstaddr_raw":0,'
    + '"nexthop":"0.0.0.0","nexthop_raw":0,"bgp_next_hop":"192.0.2.9"}\n')
})

test('rows of several shapes and batches follow each other', () => {
  const batch = batchOf([{ proto: 6 }, { bytes: 7 }, { proto: 17 }])
  const encoder = json.encoder!({})
  assert.equal(Buffer.from(encoder.encode(batch)).toString(), '{"proto":6}\n{"bytes":7}\n{"proto":17}\n')
  batch.clear()
  assert.equal(encoder.encode(batch).length, 0)
  addFlow(batch, { tag: 9 })
  assert.equal(Buffer.from(encoder.encode(batch)).toString(), '{"tag":9}\n')
})

test('an array is JSON with no flow, one batch or several', () => {
  assert.equal(bytesOf(jsonArray, []).toString(), '[]\n')
  assert.equal(bytesOf(jsonArray, [batchOf([])]).toString(), '[]\n')
  assert.equal(bytesOf(jsonArray, [batchOf([{ proto: 6 }])]).toString(), '[\n{"proto":6}\n]\n')
  const several = [batchOf([]), batchOf([{ proto: 6 }, { proto: 7 }]), batchOf([]), batchOf([{}])]
  assert.equal(bytesOf(jsonArray, several).toString(), '[\n{"proto":6},\n{"proto":7},\n{}\n]\n')
})

test('an array of nothing is told', () => {
  assert.equal(json.probe!(bytesOf(jsonArray, [])), 60)
  for (const text of ['[', '[1]', 'a[]', '{}', '']) assert.equal(json.probe!(Buffer.from(text)), 0, text)
})

test('lines longer than the buffer are whole', () => {
  const flows = Array.from({ length: 3 }, (_, i): Flow => ({ tag: i, user_name: 'ü'.repeat(40_000 * (i + 1)), ssid: 'x' }))
  const parsed = textOf(json, flows).trimEnd().split('\n').map((line) => JSON.parse(line))
  assert.deepEqual(parsed, flows.map(({ tag, user_name, ssid }) => ({ tag, user_name, ssid })))
  const many = Array.from({ length: 3000 }, (): Flow => FLOW)
  const lines = textOf(json, many, {}, { digits: 3 }).trimEnd().split('\n')
  assert.equal(new Set(lines).size, 1)
  assert.equal(lines.length, 3000)
})

test('random batches read back as a plain accessor reads them', () => {
  fc.assert(fc.property(batches, (batch) => {
    const plain = Array.from({ length: batch.length }, (_, row) => plainRow(batch, row))
    const lines = bytesOf(json, [batch]).toString().split('\n').slice(0, -1)
    const wanted = plain.map((row) => stringsToNumbers(row))
    assert.deepEqual(lines.map((line) => parseWith(line, Number.isSafeInteger)), wanted)
    const array = bytesOf(jsonArray, [batch, batch]).toString()
    assert.deepEqual(parseWith(array, Number.isSafeInteger), [...wanted, ...wanted])
  }), { seed: 1, numRuns: 200 })
})

/** 64-bit integers that are exact as numbers, as numbers. */
function stringsToNumbers(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => {
    const wide = FIELDS.find((field) => field.name === name)?.type === 'u64'
    return [name, wide && Number.isSafeInteger(Number(value)) ? Number(value) : value]
  }))
}

test('the schema has every name that JSON can have, and the types that it has', () => {
  for (const names of NAME_SETS) {
    const { properties } = jsonSchema(names) as { properties: Record<string, { type: string, description: string }> }
    for (const field of FIELDS) {
      if (field.id === ID.flowStartNs || field.id === ID.flowEndNs) continue
      for (const address of ['192.0.2.1', '2001:db8::1']) {
        const flow = { src_addr: address, [field.name]: field.type === 'addr' ? address : largest(field) }
        const record = JSON.parse(textOf(json, [flow], { names })) as Record<string, unknown>
        const name = fieldLabel(field, names, address.includes(':') ? 6 : 4)
        assert.ok(name in record, name)
        assert.equal(typeof record[name] === 'number' ? 'integer' : typeof record[name], properties[name].type, name)
        for (const printed of Object.keys(record)) assert.ok(printed in properties, printed)
      }
    }
  }
  const { properties, ...rest } = jsonSchema('flowkit') as { properties: Record<FieldName, unknown> }
  assert.deepEqual(rest, {
    $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Flow record', type: 'object', additionalProperties: true,
  })
  assert.equal(Object.keys(properties).length, FIELDS.length - 2)
  assert.deepEqual(properties.src_port, { type: 'integer', minimum: 0, maximum: 65535, description: 'Source port' })
  assert.deepEqual(properties.bytes, {
    type: 'integer', minimum: 0, maximum: 9007199254740992, description: 'Bytes observed (delta, or failing that total), in B',
  })
  assert.deepEqual(properties.src_addr, {
    type: 'string', anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }], description: 'Source address',
  })
})
