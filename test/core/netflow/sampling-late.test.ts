/** Sampling that is learned after the flows, or configured. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { fieldMask, ID } from '../../../core/flow/fields.ts'
import { SAMPLING_SOURCE } from '../../../core/flow/names.ts'
import { parsePrefix } from '../../../core/flow/prefix.ts'
import { datagramDecoder } from '../../../core/netflow/datagram.ts'
import type { SamplingRules } from '../../../core/netflow/sampling-rules.ts'
import {
  collector, datagram, hex, ipfix, join, options10, options9, pick, rows, set, template, u16, u32, u8, v9,
  type Row,
} from './messages.ts'

const {
  options: OPTIONS, config: CONFIG, assumed: ASSUMED, header: HEADER, record: RECORD,
} = SAMPLING_SOURCE
const BYTES = set(0, template(256, [1, 4]))
const RATE = set(1, options9(300, [[1, 4]], [[34, 4], [35, 1]]))

function rate(value: number, algorithm = 2): Uint8Array {
  return set(300, u32(0, value), u8(algorithm))
}

function sampling(list: readonly Row[]): Row[] {
  return pick(list, 'sampling_rate', 'sampling_source', 'sampling_algorithm')
}

test('flows that are still in the batch get the rate that options tell after them', () => {
  const { send, batch } = collector()
  send(v9({}, BYTES, set(256, u32(1), u32(2))))
  send(v9({}, set(256, u32(3))), '192.0.2.9') // waits: another exporter
  send(v9({ domain: 5 }, BYTES, set(256, u32(4)))) // another domain
  send(v9({}, RATE, rate(100)))
  const told = { sampling_rate: 100, sampling_source: OPTIONS, sampling_algorithm: 2 }
  assert.deepEqual(sampling(rows(batch)), [told, told, {}])
  assert.deepEqual(sampling(send(v9({}, set(256, u32(9))))), [told])
  send(v9({}, rate(200)))
  assert.equal(rows(batch)[0]['sampling_rate'], 100) // which was right when they were sampled
})

test('flows in one message with the options after them get the rate too', () => {
  const { batch, send } = collector()
  send(v9({}, BYTES, set(256, u32(1)), RATE, rate(10, 0)))
  assert.deepEqual(sampling(rows(batch)), [{ sampling_rate: 10, sampling_source: OPTIONS }])
})

test('flows that name their sampler wait for that one', () => {
  const { batch, send } = collector()
  const options = set(3, options10(300, [[302, 1]], [[34, 4]]))
  const layout = set(2, template(257, [1, 4], [48, 1]))
  send(ipfix({}, layout, set(257, u32(1), u8(3), u32(2), u8(4), u32(3), u8(5))))
  send(ipfix({}, options, set(300, u8(3), u32(30))))
  send(ipfix({}, set(300, u8(4), u32(40))))
  assert.deepEqual(pick(rows(batch), 'sampling_rate'), [{ sampling_rate: 30 }, { sampling_rate: 40 }, {}])
})

test('rows that have left the batch are not touched', () => {
  const decoder = datagramDecoder()
  const batch = new FlowBatch(16)
  decoder.decode(datagram(v9({}, BYTES, set(256, u32(1)))), batch)
  batch.clear()
  decoder.decode(datagram(v9({}, BYTES, set(256, u32(2))), '192.0.2.7'), batch)
  decoder.decode(datagram(v9({}, RATE, rate(100))), batch)
  assert.deepEqual(sampling(rows(batch)), [{}])
  const other = new FlowBatch(16)
  decoder.decode(datagram(v9({}, set(256, u32(1)), rate(300))), other)
  assert.deepEqual(sampling(rows(batch)), [{}])
})

test('a datagram that proves damaged leaves no rows to be sampled', () => {
  const { send, batch } = collector()
  const whole = v9({}, BYTES, set(256, u32(1)), set(256, u32(2)))
  whole.set(u16(9), whole.length - 6)
  assert.throws(() => send(whole))
  send(v9({}, BYTES, set(256, u32(3))), '192.0.2.7')
  send(v9({}, RATE, rate(100)))
  assert.deepEqual(sampling(rows(batch)), [{}])
})

test('records that name no sampler are of the only one that a domain has', () => {
  const { send } = collector()
  send(ipfix({}, set(3, options10(300, [[302, 1]], [[34, 4]])), set(300, u8(1), u32(500))))
  const layout = set(2, template(256, [1, 4]))
  assert.deepEqual(sampling(send(ipfix({}, layout, set(256, u32(1))))),
    [{ sampling_rate: 500, sampling_source: OPTIONS }])
  send(ipfix({}, set(300, u8(2), u32(600))))
  assert.deepEqual(sampling(send(ipfix({}, set(256, u32(1))))), [{}])
})

test('a rate may be a probability (311), of 4 or 8 bytes', () => {
  for (const [length, value] of [[8, '3f50624dd2f1a9fc'], [4, '3a83126f']] as const) { // 0.001
    const { send } = collector()
    send(ipfix({}, set(3, options10(300, [[149, 4]], [[311, length]])), set(300, u32(0), hex(value))))
    assert.deepEqual(sampling(send(ipfix({}, set(2, template(256, [1, 4])), set(256, u32(1))))),
      [{ sampling_rate: 1000, sampling_source: OPTIONS }])
  }
  for (const value of ['7ff8000000000000', 'bff0000000000000', '0000000000000001', '7ff0000000000000']) {
    const { send } = collector()
    send(ipfix({}, set(3, options10(300, [[149, 4]], [[311, 8]])), set(300, u32(0), hex(value))))
    const [row] = sampling(send(ipfix({}, set(2, template(256, [1, 4])), set(256, u32(1)))))
    assert.ok(row['sampling_rate'] === undefined || Number(row['sampling_rate']) <= 0xffffffff, value)
  }
})

test('a flow that names its sampler before that is known gets the domain’s rate, then its own', () => {
  const { batch, send } = collector()
  const layout = set(2, template(257, [1, 4], [48, 1]))
  send(ipfix({}, set(3, options10(301, [[149, 4]], [[34, 4]])), set(301, u32(0, 10))))
  send(ipfix({}, layout, set(257, u32(1), u8(3))))
  assert.deepEqual(pick(rows(batch), 'sampling_rate'), [{ sampling_rate: 10 }])
  send(ipfix({}, set(3, options10(300, [[302, 1]], [[34, 4]])), set(300, u8(3), u32(30))))
  assert.deepEqual(pick(rows(batch), 'sampling_rate'), [{ sampling_rate: 30 }])
})

test('a rate whose scope is an interface is that of the flows that came in there', () => {
  const flows = template(256, [1, 4], [10, 4])
  const data = set(256, u32(1, 1, 2, 2, 3, 3))
  const told = [{ sampling_rate: 10 }, { sampling_rate: 20 }, {}]
  const it = collector()
  it.send(v9({}, set(1, options9(300, [[2, 4]], [[34, 4]])), set(300, u32(1, 10, 2, 20))))
  assert.deepEqual(pick(it.send(v9({}, set(0, flows), data)), 'sampling_rate'), told)
  const { send, batch } = collector()
  send(ipfix({}, set(2, flows), data))
  send(ipfix({}, set(3, options10(300, [[10, 4]], [[34, 4]])), set(300, u32(1, 10, 2, 20))))
  assert.deepEqual(pick(rows(batch), 'sampling_rate'), told)
  send(ipfix({}, set(3, options10(301, [[149, 4]], [[34, 4]])), set(301, u32(0, 500))))
  assert.deepEqual(pick(rows(batch), 'sampling_rate'), [...told.slice(0, 2), { sampling_rate: 500 }])
})

test('the interface 0 stands for all', () => {
  const { send } = collector()
  send(v9({}, set(1, options9(300, [[2, 4]], [[34, 4]])), set(300, u32(0, 10))))
  assert.deepEqual(pick(send(v9({}, BYTES, set(256, u32(1)))), 'sampling_rate'), [{ sampling_rate: 10 }])
})

test('a rate of 0 in a record is none: options tell it, or it stays absent', () => {
  const { send } = collector()
  const layout = set(0, template(257, [34, 4]))
  const data = set(257, u32(0, 8, 0))
  assert.deepEqual(sampling(send(v9({}, layout, data))), [{}, { sampling_rate: 8, sampling_source: RECORD }, {}])
  send(v9({}, RATE, rate(9, 0)))
  const options = { sampling_rate: 9, sampling_source: OPTIONS }
  assert.deepEqual(sampling(send(v9({}, data))),
    [options, { sampling_rate: 8, sampling_source: RECORD }, options])
})

// Configured rates

const RULES: SamplingRules = {
  defaults: [
    { ...parsePrefix('192.0.2.0/24')!, rate: 1000 },
    { ...parsePrefix('192.0.2.128/25')!, rate: 2000 },
    { ...parsePrefix('2001:db8::/33')!, rate: 3000 },
  ],
  overrides: [{ ...parsePrefix('198.51.100.1')!, rate: 50 }],
}

function v5(samplingWord: number): Uint8Array {
  return join(u16(5, 1), new Uint8Array(18), u16(samplingWord), new Uint8Array(48))
}

test('a default stands in where the exporter tells nothing, by the longest prefix, and is marked', () => {
  const { send } = collector({ extras: false }, { sampling: RULES })
  for (const [from, expected] of [
    ['192.0.2.1', 1000], ['192.0.2.127', 1000], ['192.0.2.129', 2000], ['2001:db8:7fff::1', 3000],
    ['2001:db8:8000::1', 0], ['192.0.3.1', 0],
  ] as const) {
    const row = expected === 0 ? {} : { sampling_rate: expected, sampling_source: ASSUMED }
    assert.deepEqual(sampling(send(v9({}, BYTES, set(256, u32(1))), from)), [row], from)
    assert.deepEqual(sampling(send(v5(0), from)), [row], from)
  }
})

test('a default gives way to what the exporter tells', () => {
  const { send, batch } = collector({ extras: false }, { sampling: RULES })
  assert.deepEqual(sampling(send(v5(0x4000 + 7))),
    [{ sampling_rate: 7, sampling_source: HEADER, sampling_algorithm: 1 }])
  const layout = set(0, template(257, [34, 4]))
  assert.deepEqual(sampling(send(v9({}, layout, set(257, u32(8))))),
    [{ sampling_rate: 8, sampling_source: RECORD }])
  send(v9({}, BYTES, set(256, u32(1))))
  send(v9({}, RATE, rate(9)))
  assert.deepEqual(sampling(rows(batch, 2)),
    [{ sampling_rate: 9, sampling_source: OPTIONS, sampling_algorithm: 2 }])
})

test('an override goes before what the exporter tells, in every way', () => {
  const { send, batch } = collector({ extras: false }, { sampling: RULES })
  const from = '198.51.100.1'
  const row = { sampling_rate: 50, sampling_source: CONFIG }
  assert.deepEqual(sampling(send(v5(0x4000 + 7), from)), [row])
  assert.deepEqual(sampling(send(v9({}, set(0, template(257, [34, 4])), set(257, u32(8))), from)), [row])
  send(v9({}, BYTES, set(256, u32(1))), from)
  send(v9({}, RATE, rate(9), set(256, u32(1))), from)
  assert.deepEqual(sampling(rows(batch, 2)), [row, row])
})

test('only the source of a rate is wanted, or only the rate', () => {
  for (const [id, name, value] of [
    [ID.samplingRate, 'sampling_rate', 100], [ID.samplingSource, 'sampling_source', OPTIONS],
    [ID.samplingAlgorithm, 'sampling_algorithm', 2],
  ] as const) {
    const { send, batch } = collector({ fields: fieldMask([id]), extras: false })
    send(v9({}, BYTES, set(256, u32(1))))
    send(v9({}, RATE, rate(100)))
    send(v9({}, set(256, u32(1))))
    assert.deepEqual(rows(batch), [{ [name]: value }, { [name]: value }], name)
  }
})
