import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { Fault } from '../../core/flow/stream.ts'
import { cbor } from '../../formats/cbor.ts'
import { csv } from '../../formats/csv.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { goflow2Json } from '../../formats/goflow2-json.ts'
import { goflow2Protobuf } from '../../formats/goflow2-protobuf.ts'
import { json, jsonArray } from '../../formats/json.ts'
import { addFlow, batches, bytesOf, ids, plainRow } from './flows.ts'

// Values are read from their bytes where they are written as usual, and else as before there was this way: by
// turning records into objects and text. Both must find the same, so each input comes here in both forms.

const batch = new FlowBatch()

/** All that a reader tells of some bytes, which come in chunks. */
function reading(format: FlowFormat, bytes: Uint8Array, { chunk = bytes.length, extras = true } = {}): object {
  const faults: Fault[] = []
  const loss = newLoss()
  const decoder = format.decoder!({ extras, loss, onFault: (fault) => faults.push(fault) })
  batch.clear()
  const rows: unknown[] = []
  let rest = new Uint8Array(0)
  let error: unknown
  try {
    for (let at = 0; at < bytes.length; at += chunk) {
      const next = Uint8Array.from([...rest, ...bytes.subarray(at, at + chunk)])
      rest = next.slice(decoder.decode(next, 0, batch))
    }
    if (rest.length > (decoder.end?.(batch, rest) ?? 0)) error = `${rest.length} bytes are left`
  } catch (caught) {
    error = String(caught)
  }
  for (let row = 0; row < batch.length; row++) {
    const { key, extras: elements } = batch.shapes[batch.shape[row]]
    const [start, length] = batch.extras.subarray(row * 2, row * 2 + 2)
    const kept = elements.length > 0 ? Buffer.from(batch.heap.subarray(start, start + length)).toString('hex') : ''
    rows.push([key, plainRow(batch, row), kept])
  }
  return { rows, faults, error, saturated: batch.saturated, loss: [...loss.elements] }
}

/** Keys with their first letter escaped, which has JSON.parse read them. */
function escapeKeys(text: string): string {
  return text.replace(/"([a-zA-Z])(\w*)" ?:/g, (_, first: string, rest: string) => (
    `"\\u00${first.charCodeAt(0).toString(16)}${rest}":`
  ))
}

/** CSV without quotes, with all values in quotes, and with a further column that has all lines become text. */
function csvForms(text: string): string[] {
  const [header, ...lines] = text.trimEnd().split('\n')
  const form = (name: string, toLine: (line: string) => string): string => (
    [header + name, ...lines.map(toLine), ''].join('\n')
  )
  return [
    text, form('', (line) => line.replaceAll(/[^,]+/g, '"$&"')), text.replaceAll('\n', '\r\n'), form(',foo', (line) => `${line},"a""b"`),
  ]
}

/** Each row of a batch by itself. */
function singles(batch: FlowBatch): FlowBatch[] {
  return Array.from({ length: batch.length }, (_, row) => {
    const single = new FlowBatch(1)
    single.append(batch, row)
    return single
  })
}

const VALUES = [
  'null', '""', '0', '1', '-1', '1.5', '1e3', '255', '256', '65535', '65536', '4294967295', '4294967296', '123456789012345',
  '9007199254740991', '9007199254740992', '9007199254740993', '18446744073709551615', '18446744073709551616', '99999999999999999999',
  '1700000000', '1700000000123', '1700000000123456', '17000000001234567', '1700000000123456789', 'true', 'false', '[]', '[1,2]', '{}',
  '"0"', '"00"', '"007"', '"6.0"', '"0x1f"', '"tcp"', '"TCP"', '"OSPFIGP"', '"IPv6"', '"SFLOW_5"', '"NETFLOW_V9"', '"FLOWUNKNOWN"',
  '"2026-02-28T23:59:59Z"', '"2026-02-30T00:00:00Z"', '"2026-02-28T24:00:00Z"', '"2026-01-01T00:00:00+01:00"', '"2026-01-01 00:00:00.5"',
  '"2026-01-01T00:00:00,1234567891Z"', '"1960-01-01T00:00:00Z"', '"1.2.3.4"', '"01.2.3.4"', '"::1.2.3.4"', '"1::2::3"', '"fe80::1%eth0"',
  '"0a000001"', '"aabb.ccdd.eeff"', '"AA:BB:CC:DD:EE:FF"', '"AA-BB-CC-DD-EE-FF"', '"00:00:00:00:00:00"', '"abcd"', '"abc"',
  '"10.0.0.0/8"', '"10.0.0.0/0"', '"10.0.0.0/08"', '"/300"', '"é🌐"', '"\\u0041"', '"a b"', '" 5"',
]
const NAMES = [
  ...FIELDS.map(({ name }) => name), 'in_bytes', 'srcaddr', 'src_vlan', 'src_net', 'time_flow_start_ns', 'time_received_ns',
  'sampler_address', 'next_hop_as', 'as_path', 'mpls_label', 'mpls_ttl', 'foo', 'httpRequestHost', 'octetDeltaCount_2', 'absoluteError',
]

test('a value of JSON is the same whichever way it is read, in every field', () => {
  for (const format of [json, goflow2Json]) {
    for (const extras of [true, false]) {
      for (const name of NAMES) {
        const text = VALUES.map((value) => `{"bytes":1,"${name}":${value},"proto":"UDP"}\n`).join('')
        const usual = reading(format, Buffer.from(text), { extras }) as { faults: Fault[] }
        const other = reading(format, Buffer.from(escapeKeys(text)), { extras }) as { faults: Fault[] }
        assert.deepEqual(usual, other, name)
      }
    }
  }
})

test('random flows as JSON are the same whichever way they are read', () => {
  fc.assert(fc.property(batches, fc.boolean(), (batch, extras) => {
    for (const format of [json, jsonArray, goflow2Json]) {
      const text = bytesOf(format, [batch], { extras: true }).toString()
      assert.deepEqual(reading(format, Buffer.from(text), { extras }), reading(format, Buffer.from(escapeKeys(text)), { extras }))
    }
  }), { seed: 1, numRuns: 150 })
})

test('random flows as CSV are the same whichever way they are read', () => {
  const fields = FIELDS.filter(({ type }) => type !== 'text').map(({ id }) => id)
  fc.assert(fc.property(batches, (batch) => {
    const forms = csvForms(bytesOf(csv, [batch], { fields }).toString())
    const [usual, ...others] = forms.map((text) => (reading(csv, Buffer.from(text), { extras: false }) as { rows: unknown[] }).rows)
    assert.equal(usual.length, batch.length)
    for (const rows of others) assert.deepEqual(rows, usual)
  }), { seed: 1, numRuns: 100 })
})

test('random flows as CBOR are the same whichever way they are read', () => {
  fc.assert(fc.property(batches, (batch) => {
    const encoder = cbor.encoder!({ fields: [...FIELDS.keys()] })
    const usual: Buffer[] = []
    const unusual: Buffer[] = []
    for (const [i, single] of singles(batch).entries()) {
      const bytes = Buffer.from(encoder.encode(single))
      const at = i === 0 ? bytes.indexOf(Buffer.of(0x81, 0x98, FIELDS.length)) + 1 : 1
      usual.push(bytes)
      // the length of the row in 16 bits, where 8 would do
      unusual.push(Buffer.concat([bytes.subarray(0, at), Buffer.of(0x99, 0), bytes.subarray(at + 1)]))
    }
    assert.deepEqual(reading(cbor, Buffer.concat(usual)), reading(cbor, Buffer.concat(unusual)))
  }), { seed: 1, numRuns: 150 })
})

test('random flows as messages of goflow2 are the same whichever way they are read', () => {
  fc.assert(fc.property(batches, (batch) => {
    const encoder = goflow2Protobuf.encoder!({})
    const forms = singles(batch).map((single) => {
      const bytes = Buffer.from(encoder.encode(single))
      const at = bytes[0] < 0x80 ? 1 : 2
      const body = bytes.subarray(bytes[at] !== 0x08 ? at : bytes[at + 1] < 0x80 ? at + 2 : at + 3, -1)
      const type = single.type[0] % 11
      // the number of the type in three bytes, where one would do
      return [[0x08, type], [0x88, 0x80, 0, type]].map((first) => {
        const length = first.length + body.length
        return Buffer.concat([Buffer.of(length & 0x7f | 0x80, length >> 7, ...first), body, Buffer.of(10)])
      })
    })
    const [usual, unusual] = [0, 1].map((i) => Buffer.concat(forms.map((form) => form[i])))
    assert.deepEqual(reading(goflow2Protobuf, usual), reading(goflow2Protobuf, unusual))
  }), { seed: 1, numRuns: 150 })
})

/** Some flows of different shapes. */
function flows(): FlowBatch {
  const batch = new FlowBatch(1)
  const times = { flow_start: 1795266000_123456, flow_end: 1795266001_000000 }
  addFlow(batch, { type: FLOW_TYPE.NETFLOW_V9, ...times, bytes: 1500, proto: 6, src_addr: '192.0.2.1', user_name: 'é', src_port: 443 }, { digits: 6 })
  addFlow(batch, { type: FLOW_TYPE.SFLOW_5, ...times, flow_start_ns: 7, src_addr: '2001:db8::1', dst_mac: 'aa:bb:cc:00:00:01' }, { digits: 9 })
  addFlow(batch, { type: FLOW_TYPE.IPFIX, flow_id: 2n ** 64n - 1n, bytes: 2 ** 53, in_acl: Uint8Array.of(1, 2, 255), post_dst_mac: 'aa:bb:cc:00:00:02' })
  return batch
}

test('records may be cut anywhere, and damaged ones are the same faults in chunks of any size', () => {
  for (const format of [json, jsonArray, goflow2Json, csv, cbor, goflow2Protobuf]) {
    const bytes = bytesOf(format, [flows()], format === csv ? { fields: ids('type', 'flow_start', 'bytes', 'src_addr', 'user_name', 'dst_mac') } : {})
    const whole = reading(format, bytes) as { rows: unknown[], error: unknown }
    assert.equal(whole.rows.length, 3)
    assert.equal(whole.error, undefined)
    for (const chunk of [1, 2, 3, 5, 7, 11, 64, 100, 200]) assert.deepEqual(reading(format, bytes, { chunk }), whole)
    for (let at = 0; at < bytes.length; at += 29) {
      const damaged = Uint8Array.from(bytes)
      damaged[at] ^= 0x1f
      const found = reading(format, damaged)
      for (const chunk of [17, 64]) assert.deepEqual(reading(format, damaged, { chunk }), found, `${format.name} ${at} ${chunk}`)
    }
  }
})

test('of a key that comes twice the last counts, also if it is nothing', () => {
  const rows = (text: string): unknown => (reading(json, Buffer.from(text)) as { rows: unknown[][] }).rows.map(([, row]) => row)
  assert.deepEqual(rows('{"bytes":1,"bytes":2}\n{"bytes":1,"bytes":null}\n{"bytes":1,"in_bytes":3}\n'), [{ bytes: 2 }, {}, { bytes: 3 }])
})

test('integers of more than 15 digits are exact, with space around the colon too', () => {
  const rows = (text: string): unknown => (reading(json, Buffer.from(text)) as { rows: unknown[][] }).rows.map(([, row]) => row)
  const wanted = { flow_id: '9007199254740993' }
  assert.deepEqual(rows('{"flow_id":9007199254740993}{"flow_id" : 9007199254740993}{"flow_i\\u0064" :9007199254740993 }'), [wanted, wanted, wanted])
})

test('lines of a header with one column: an empty one is no row', () => {
  const { rows } = reading(csv, Buffer.from('bytes\n1\n\n2\r\n\r\n""\n')) as { rows: unknown[][] }
  assert.deepEqual(rows.map(([, row]) => row), [{ bytes: 1 }, { bytes: 2 }, {}])
})

test('a time whose microseconds are not exact is lost, and told of', () => {
  for (const time of ['"3026-11-21T13:40:37.396Z"', '"9999-12-31 23:59:59"', '99999999999']) {
    const line = `{"src_addr":"10.0.0.1","received":${time},"flow_start":${time}}\n`
    const { rows, loss, faults } = reading(json, Buffer.from(line)) as ReturnType<typeof reading> & {
      readonly rows: readonly [key: string, row: object][], readonly loss: unknown, readonly faults: unknown
    }
    assert.deepEqual(rows.map(([, row]) => row), [{ src_addr: '10.0.0.1' }])
    assert.deepEqual([loss, faults], [[['received', 1], ['flow_start', 1]], []])
  }
})

/** Fields of the rows that some text has, and what was wrong with it. */
function told(format: FlowFormat, text: string | Uint8Array, chunk?: number): [unknown[], unknown[]] {
  const { rows, faults, error } = reading(format, Buffer.from(text), chunk === undefined ? {} : { chunk }) as {
    rows: [string, Record<string, unknown>][], faults: Fault[], error: unknown,
  }
  assert.equal(error, undefined)
  return [rows.map(([, row]) => row), faults.map(({ offset, reason }) => [offset, reason])]
}

test('a byte order mark before JSON is passed over, also where it comes in pieces', () => {
  for (const chunk of [1, 2, 100]) {
    assert.deepEqual(told(json, '\ufeff{"bytes":1}\n{"bytes":2}\n', chunk), [[{ bytes: 1 }, { bytes: 2 }], []])
    assert.deepEqual(told(json, '\ufeff', chunk), [[], []])
  }
  assert.equal(json.probe!(Buffer.from('\ufeff{"bytes":1,"packets":2}\n')), 80)
})

test('an object that is too long is a fault, and what follows its line is read', () => {
  const long = `{"bytes":1,"user_name":"${'x'.repeat(3 << 20)}"}`
  const text = `{"bytes":1}\n${long}\n{"bytes":2}\n`
  const [rows, faults] = told(json, text, 1 << 18)
  assert.deepEqual(rows, [{ bytes: 1 }, { bytes: 2 }])
  assert.deepEqual(faults, [[12, 'Cannot read JSON object: at most 1048576 bytes are expected']])
})

test('spaces around a value of CSV are no part of it, but in text', () => {
  const text = 'src_addr, bytes, proto, user_name, flow_start\n 192.0.2.1, 7 , tcp, a b , 2026-01-01T00:00:00Z \n'
  assert.deepEqual(told(csv, text), [[{
    src_addr: '192.0.2.1', bytes: 7, proto: 6, user_name: ' a b ', flow_start: '2026-01-01T00:00:00Z',
  }], []])
})

test('quotes of CSV that have no end cost a line of many, and the lines to the end of few', () => {
  const reason = 'Cannot read CSV record: the end of its quotes expected, none found, '
  const few = told(csv, 'bytes,user_name\n1,a\n2,"b\n3,c\n4,d\n')
  assert.deepEqual(few, [[{ bytes: 1, user_name: 'a' }], [[20, `${reason}3 lines are left out`]]])
  const whole = told(csv, 'bytes,user_name\n1,"a\nb"')
  assert.deepEqual(whole, [[{ bytes: 1, user_name: 'a\nb' }], []])
  const lines = Array.from({ length: 5 }, () => `1,${'x'.repeat(300_000)}\n`).join('')
  const [rows, faults] = told(csv, `bytes,user_name\n2,"b\n${lines}3,c\n`, 1 << 18)
  assert.deepEqual(rows.map((row) => (row as { bytes: number }).bytes), [1, 1, 1, 1, 1, 3])
  assert.deepEqual(faults, [[16, `${reason}the line is left out`]])
})
