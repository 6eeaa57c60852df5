import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FlowkitError } from '../../../core/flow/errors.ts'
import {
  collector, ipfix, join, pick, rows, set, template, u16, uint, v9, variable, type Collector, type Row,
  type TemplateField,
} from './messages.ts'

const SEED = 7011

/** Elements that fill a column of numbers, and the largest it holds. */
const NUMBERS = [
  [1, 'bytes', 2 ** 53], [2, 'packets', 2 ** 53], [3, 'flows', 2 ** 53], [4, 'proto', 255], [5, 'tos', 255],
  [6, 'tcp_flags', 65535], [7, 'src_port', 65535], [11, 'dst_port', 65535], [10, 'in_if', 2 ** 32 - 1],
  [14, 'out_if', 2 ** 32 - 1], [16, 'src_as', 2 ** 32 - 1], [23, 'out_bytes', 2 ** 53],
  [136, 'end_reason', 255],
] as const

interface Value {
  readonly element: (typeof NUMBERS)[number]
  readonly length: number
}

const layouts = fc.uniqueArray(
  fc.record<Value>({ element: fc.constantFrom(...NUMBERS), length: fc.integer({ min: 1, max: 8 }) }),
  { minLength: 1, maxLength: 10, selector: ({ element }) => element[0] },
)

/** A layout, records of it as bytes, and what they should come out as. */
const tables = layouts.chain((layout) =>
  fc.array(fc.tuple(...layout.map(({ length }) => fc.bigInt({ min: 0n, max: 256n ** BigInt(length) - 1n }))),
    { maxLength: 20 })
    .map((records) => ({
      fields: layout.map(({ element: [id], length }): TemplateField => [id, length]),
      records: records.map((values) => join(...values.map((value, i) => uint(value, layout[i].length)))),
      rows: records.map((values) => Object.fromEntries(layout.map(({ element: [, name, most] }, i) =>
        [name, Math.min(Number(values[i]), most)]))),
    })))

function values(list: readonly Row[]): Row[] {
  return pick(list, ...NUMBERS.map(([, name]) => name))
}

/** A collector that has decoded something of every kind. */
function used(): Collector {
  const it = collector({ extras: true })
  it.send(ipfix({}, set(2, template(256, [371, 65535], [4711, 3], [1, 8])),
    set(256, variable(uint(0x616263, 3)), uint(0x010203, 3), uint(9, 8))))
  it.send(v9({}, set(0, template(256, [27, 16], [8, 4], [1, 4])), set(256, uint(0x0a000001, 20), uint(7, 4))))
  return it
}

/** Decode what may be anything. Only a FlowkitError may come of it, and then nothing else. */
function attempt(it: Collector, bytes: Uint8Array): void {
  const before = rows(it.batch)
  try {
    it.send(bytes)
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    assert.deepEqual(rows(it.batch), before)
    return
  }
  assert.deepEqual(rows(it.batch).slice(0, before.length), before)
}

test('random bytes throw nothing but FlowkitError, and leave the batch as it was', () => {
  const versions = fc.constantFrom(1, 5, 6, 7, 8, 9, 10)
  fc.assert(fc.property(versions, fc.uint8Array({ maxLength: 300 }), (version, bytes) => {
    const it = used()
    attempt(it, bytes)
    attempt(it, join(u16(version), bytes))
  }), { seed: SEED, numRuns: 3000 })
})

test('random sets in whole messages throw nothing but FlowkitError, and leave the batch as it was', () => {
  const ids = fc.constantFrom(0, 1, 2, 3, 4, 255, 256, 257, 65535)
  const small = fc.oneof(fc.constantFrom(0, 1, 2, 4, 8, 255, 256, 257, 65535),
    fc.integer({ min: 0, max: 65535 }))
  const words = fc.array(small, { maxLength: 40 })
  const sets = fc.array(fc.tuple(ids, words).map(([id, body]) => set(id, u16(...body))), { maxLength: 6 })
  fc.assert(fc.property(fc.boolean(), fc.array(sets, { minLength: 1, maxLength: 4 }), (nine, messages) => {
    const it = used()
    for (const parts of messages) attempt(it, nine ? v9({}, ...parts) : ipfix({}, ...parts))
  }), { seed: SEED, numRuns: 3000 })
})

test('records of any layout come out as they went in, cut to the largest number of their column', () => {
  fc.assert(fc.property(tables, fc.boolean(), ({ fields, records, rows: wanted }, nine) => {
    const layout = template(256, ...fields)
    const data = set(256, ...records)
    const message = nine ? v9({}, set(0, layout), data) : ipfix({}, set(2, layout), data)
    assert.deepEqual(values(collector().send(message)), wanted)
  }), { seed: SEED, numRuns: 1000 })
})

test('a variable-length field in the layout changes none of the other values', () => {
  const anyBytes = fc.uint8Array({ maxLength: 300 })
  fc.assert(fc.property(tables, anyBytes, fc.nat(10), ({ fields, records, rows: wanted }, bytes, place) => {
    const at = Math.min(place, fields.length)
    const layout: TemplateField[] = [...fields.slice(0, at), [4711, 65535], ...fields.slice(at)]
    const before = fields.slice(0, at).reduce((sum, [, length]) => sum + length, 0)
    const data = records.map((record) =>
      join(record.subarray(0, before), variable(bytes, bytes.length < 255 ? 1 : 3), record.subarray(before)))
    const { send } = collector({ extras: true })
    const sent = send(ipfix({}, set(2, template(256, ...layout)), set(256, ...data)))
    assert.deepEqual(values(sent), wanted)
    for (const row of sent) assert.deepEqual(row['extras'], [`0/4711=${Buffer.from(bytes).toString('hex')}`])
  }), { seed: SEED, numRuns: 500 })
})

test('records are the same in one set, in several, in several messages, and before their template', () => {
  fc.assert(fc.property(tables, ({ fields, records, rows: wanted }) => {
    const layout = set(2, template(256, ...fields))
    const own = records.map((record) => set(256, record))
    assert.deepEqual(values(collector().send(ipfix({}, layout, ...own))), wanted)
    assert.deepEqual(values(collector().send(ipfix({}, ...own, layout))), wanted)
    const it = collector()
    for (const data of own) it.send(ipfix({}, data))
    assert.deepEqual(values(it.send(ipfix({}, layout))), wanted)
    const one = collector()
    one.send(ipfix({}, layout))
    assert.deepEqual(values(own.flatMap((data) => one.send(ipfix({}, data)))), wanted)
  }), { seed: SEED, numRuns: 500 })
})
