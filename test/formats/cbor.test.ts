import { test } from 'node:test'
import assert from 'node:assert/strict'
import { decodeMultiple } from 'cbor-x'
import fc from 'fast-check'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID, type FieldName } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { cbor } from '../../formats/cbor.ts'
import { batches, batchOf, bytesOf, ids, largest, plainRow, textOf, type Flow } from './flows.ts'
import type { WriteRequest } from '../../formats/format.ts'

interface Header {
  flowkit: number
  fields: string[]
  types: string[]
  time: string
}

function items(batches: readonly FlowBatch[], request: WriteRequest = {}): unknown[] {
  return decodeMultiple(bytesOf(cbor, batches, request)) as unknown[]
}

/** The row of one flow, as any decoder gives it. */
function rowOf(flow: Flow): unknown[] {
  const [, [row]] = items([batchOf([flow])], { fields: ids(...Object.keys(flow) as FieldName[]) }) as [Header, unknown[][]]
  return row
}

test('the bytes are those of RFC 8949', () => {
  const flow: Flow = { proto: 6, src_addr: '192.0.2.1', user_name: 'ü', bytes: 1000, in_acl: Uint8Array.of(1, 2) }
  const bytes = bytesOf(cbor, [batchOf([flow, { proto: 23 }])], { fields: ids('proto', 'src_addr', 'user_name', 'bytes', 'in_acl') })
  const text = (value: string): string => Buffer.concat([Buffer.of(0x60 + value.length), Buffer.from(value)]).toString('hex')
  assert.equal(bytes.toString('hex'), [
    'a4', text('flowkit'), '01',
    text('fields'), '85', ...['proto', 'src_addr', 'user_name', 'bytes', 'in_acl'].map(text),
    text('types'), '85', ...['uint', 'address', 'text', 'uint', 'bytes'].map(text),
    text('time'), '7827', Buffer.from('microseconds since 1970-01-01T00:00:00Z').toString('hex'),
    '82', '85', '06', text('192.0.2.1'), '62c3bc', '1903e8', '420102', '85', '17', 'f6', 'f6', 'f6', 'f6',
  ].join(''))
})

test('a header says what the rows are, and rows follow as arrays, a block a batch', () => {
  const flow: Flow = { type: FLOW_TYPE.IPFIX, flow_start: 1_763_700_000_123_456, proto: 17, src_addr: '2001:db8::1', src_mac: '02:00:00:00:00:01' }
  const fields = ids('type', 'flow_start', 'proto', 'src_addr', 'src_mac', 'tag')
  assert.deepEqual(items([batchOf([flow, {}]), batchOf([{ tag: 5 }])], { fields }), [
    {
      flowkit: 1,
      fields: ['type', 'flow_start', 'proto', 'src_addr', 'src_mac', 'tag'],
      types: ['text', 'time', 'uint', 'address', 'mac', 'uint'],
      time: 'microseconds since 1970-01-01T00:00:00Z',
    },
    [['IPFIX', 1_763_700_000_123_456n, 17, '2001:db8::1', '02:00:00:00:00:01', null], [null, null, null, null, null, null]],
    [[null, null, null, null, null, 5]],
  ])
})

test('integers, addresses and times are exact at their edges', () => {
  for (const value of [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1]) assert.deepEqual(rowOf({ in_if: value }), [value])
  for (const value of [2 ** 32, 2 ** 53 - 1]) assert.equal(Number(rowOf({ bytes: value })[0]), value)
  assert.equal(BigInt(rowOf({ bytes: 2 ** 53 })[0] as bigint), 2n ** 53n)
  for (const value of [0n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    assert.equal(BigInt(rowOf({ flow_id: value })[0] as bigint), value)
  }
  for (const value of [-1, -24, -25, -256, -257, -(2 ** 32), -(2 ** 32) - 1, 0, 2 ** 50]) {
    assert.equal(Number(rowOf({ flow_start: value })[0]), value)
  }
  for (const text of ['::', '1.2.3.4', '255.255.255.255', '2001:db8:1:2:3:4:5:6', '2001:db8::1234:5678:9abc', '::ffff:1.2.3.4',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '1:2:3:4:5:6:7:8888', '1:2:3:4:5:6:7777:8888', '1:2:3:4:5:66:7777:8888']) {
    assert.deepEqual(rowOf({ src_addr: text, tag: 9 }), [text, 9])
  }
  assert.deepEqual(rowOf({ src_addr: null, user_name: Uint8Array.of(0xff, 65) }), [null, '\ufffdA'])
  assert.deepEqual(rowOf({ type: 250 }), ['UNKNOWN'])
  const long = 'x'.repeat(70_000)
  assert.deepEqual(rowOf({ user_name: long, tag: 1 }), [long, 1])
})

test('without fields asked for the header has those of the flows, and another follows when they change', () => {
  const decoded = items([batchOf([{ proto: 6 }, { bytes: 1 }]), batchOf([{ bytes: 2 }]), batchOf([{ flow_start: 3, flow_start_ns: 4 }])])
  assert.deepEqual(decoded.map((item) => Array.isArray(item) ? item : (item as Header).fields), [
    ['bytes', 'proto'], [[null, 6], [1, null]], [[2, null]],
    ['flow_start', 'flow_start_ns', 'bytes', 'proto'], [[3, 4, null, null]],
  ])
})

test('fields of flows that have been cleared from the batch are not in the header', () => {
  const batch = batchOf([{ proto: 6 }])
  batch.clear()
  assert.deepEqual((items([batch])[0] as Header).fields, [])
  assert.deepEqual(items([batchOf([{}])]).slice(1), [[[]]])
})

test('there is a header even when there are no flows', () => {
  assert.deepEqual(items([], { fields: ids('proto') }), [
    { flowkit: 1, fields: ['proto'], types: ['uint'], time: 'microseconds since 1970-01-01T00:00:00Z' },
  ])
  assert.equal(textOf(cbor, [], { fields: ids('bytes', 'bytes'), names: 'nfdump' }).includes('in_bytes'), true)
})

test('elements without a column are a map when they are wanted', () => {
  const extras = [
    { pen: 0, id: 460, length: 65535 }, { pen: 0, id: 434, length: 4 }, { pen: 0, id: 276, length: 1 },
    { pen: 0, id: 434, length: 1 }, { pen: 0, id: 320, length: 8 }, { pen: 0, id: 291, length: 65535 },
  ]
  const float = Buffer.alloc(8)
  float.writeDoubleBE(1.5)
  const list = Buffer.of(0xff, 0, 4, 0, 1, 6, 17) // basicList of protocolIdentifier
  const extraBytes = Buffer.concat([Buffer.of(0, 2, 104, 105, 0, 0, 1, 0, 1, 7), float, Buffer.of(0, list.length), list])
  const decoded = items([batchOf([{ proto: 6 }], { extras, extraBytes }), batchOf([{ proto: 7 }])], { extras: true })
  assert.deepEqual((decoded[0] as Header).fields, ['proto', 'extras'])
  assert.deepEqual((decoded[0] as Header).types, ['uint', 'map'])
  assert.deepEqual(decoded.slice(1), [
    [[6, {
      httpRequestHost: 'hi', mibObjectValueInteger: 256, dataRecordsReliability: true, mibObjectValueInteger_2: 7,
      absoluteError: 1.5, basicList: [6, 17],
    }]],
    [[7, null]],
  ])
})

test('lists are arrays, their records maps', () => {
  // subTemplateList, exactlyOneOf, of template 257: protocolIdentifier and a basicList of that
  const list = Buffer.from('fe00010101000200000000000400010000000001230006' + '010101' + '06030004000111', 'hex')
  const more = {
    extras: [{ pen: 0, id: 292, length: 65535 }], extraBytes: Buffer.concat([Buffer.of(0, list.length), list]),
  }
  const decoded = items([batchOf([{ proto: 6 }], more)], { extras: true })
  assert.deepEqual(decoded[1], [[6, {
    subTemplateList: { semantic: 'exactlyOneOf', list: [{ protocolIdentifier: 6, basicList: [17] }] },
  }]])
})

test('every field at its largest decodes', () => {
  for (const field of FIELDS) {
    const [value] = rowOf({ [field.name]: largest(field) })
    const wanted = largest(field)
    if (field.id === ID.type) assert.equal(value, 'UNKNOWN')
    else if (field.type === 'octets') assert.deepEqual([...value as Uint8Array], [...wanted as Uint8Array])
    else if (typeof value === 'bigint') assert.equal(value, BigInt(wanted as number))
    else assert.equal(value, wanted, field.name)
  }
})

test('random batches read back as a plain accessor reads them', () => {
  fc.assert(fc.property(batches, (batch) => {
    const decoded = items([batch, batch])
    const header = decoded[0] as Header
    const rows = Array.from({ length: batch.length }, (_, row) => {
      const plain = plainRow(batch, row)
      const { mask } = batch.shapes[batch.shape[row]]
      return header.fields.map((name) => {
        const field = FIELDS.find((each) => each.name === name)!
        if (mask[field.id] === 0) return null
        const column = batch.column(field.id) as Float64Array
        if (field.type === 'time' || field.id === ID.flowStartNs || field.id === ID.flowEndNs) return String(column[row])
        return field.name in plain ? String(plain[field.name]) : null
      })
    })
    const text = (value: unknown) => value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value === null ? null : String(value)
    const blocks = decoded.slice(1) as unknown[][][]
    assert.deepEqual(blocks.map((block) => block.map((row) => row.map(text))), batch.length === 0 ? [] : [rows, rows])
  }), { seed: 1, numRuns: 200 })
})
