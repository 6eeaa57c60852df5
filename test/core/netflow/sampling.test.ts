import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fieldMask, ID } from '../../../core/flow/fields.ts'
import { SAMPLING_SOURCE } from '../../../core/flow/names.ts'
import {
  collector, hex, ipfix, join, options10, options9, pick, set, template, text, u16, u32, u64, u8, uint, v9,
  variable, type Collector, type Row, type TemplateField,
} from './messages.ts'

const OPTIONS = SAMPLING_SOURCE.options
const BYTES = set(2, template(256, [1, 4]))
const BY_SAMPLER = set(2, template(257, [1, 4], [48, 2]))

/** A collector that has had one IPFIX options record of these elements. */
function learned(
  scope: readonly [TemplateField, number], ...values: (readonly [id: number, length: number, value: number])[]
): Collector {
  const result = collector()
  const layout = options10(300, [scope[0]], values.map(([id, length]) => [id, length]))
  result.send(ipfix({}, BYTES, BY_SAMPLER, set(3, layout),
    set(300, uint(scope[1], scope[0][1]), ...values.map(([, length, value]) => uint(value, length)))))
  return result
}

function sampling(rows: readonly Row[]): Row[] {
  return pick(rows, 'sampling_rate', 'sampling_source')
}

const DOMAIN: readonly [TemplateField, number] = [[149, 4], 0]

test('without options the sampling of v9 and IPFIX is absent', () => {
  assert.deepEqual(sampling(collector().send(ipfix({}, BYTES, set(256, u32(1))))), [{}])
})

for (const [what, rate, ...values] of [
  ['samplingInterval (34)', 100, [34, 4, 100]],
  ['samplingInterval and algorithm (34, 35)', 100, [34, 4, 100], [35, 1, 2]],
  ['samplerRandomInterval (49, 50)', 512, [49, 1, 2], [50, 4, 512]],
  ['one of a packet interval (305)', 1000, [305, 4, 1000]],
  ['packet interval and space (305, 306): 1 taken, 99 left', 100, [305, 4, 1], [306, 4, 99]],
  ['packet interval and space: 10 taken, 90 left', 10, [304, 2, 1], [305, 4, 10], [306, 4, 90]],
  ['packet interval without space between: all', 1, [305, 4, 1], [306, 4, 0]],
  ['size and population (309, 310)', 250, [304, 2, 3], [309, 4, 4], [310, 4, 1000]],
  ['a rate of 64 bits', 4_000_000_000, [34, 8, 4_000_000_000]],
] as const) {
  test(`sampling of a whole domain: ${what}`, () => {
    const { send } = learned(DOMAIN, ...values)
    assert.deepEqual(sampling(send(ipfix({}, set(256, u32(1), u32(2))))), [
      { sampling_rate: rate, sampling_source: OPTIONS }, { sampling_rate: rate, sampling_source: OPTIONS },
    ])
  })
}

test('sampling of NetFlow v9, with scope System, in options and data of one message', () => {
  const sent = collector().send(v9({}, set(1, options9(300, [[1, 4]], [[34, 4], [35, 1]]), new Uint8Array(2)),
    set(300, u32(0, 10), u8(1)), set(0, template(256, [1, 4])), set(256, u32(1))))
  assert.deepEqual(sampling(sent), [{ sampling_rate: 10, sampling_source: OPTIONS }])
})

test('scopes of v9 are no elements: what they say of themselves teaches nothing', () => {
  const { send } = collector()
  send(v9({}, set(1, options9(300, [[1, 4], [2, 4]], [[41, 4]])), set(300, u32(0, 3, 1000)),
    set(0, template(256, [1, 4]))))
  assert.deepEqual(sampling(send(v9({}, set(256, u32(1))))), [{}])
})

test('options records without a rate, or with a rate of 0, change nothing', () => {
  const { send } = learned(DOMAIN, [34, 4, 100])
  send(ipfix({}, set(3, options10(301, [[149, 4]], [[41, 8], [42, 8]])), set(301, u32(0), u64(5, 6))))
  send(ipfix({}, set(3, options10(302, [[149, 4]], [[34, 4]])), set(302, u32(0, 0))))
  assert.deepEqual(sampling(send(ipfix({}, set(256, u32(1)))))[0]['sampling_rate'], 100)
})

test('the rate changes for what comes after', () => {
  const { send } = learned(DOMAIN, [34, 4, 100])
  const sent = send(ipfix({}, set(256, u32(1)), set(300, u32(0, 200)), set(256, u32(2))))
  assert.deepEqual(sent.map((row) => row['sampling_rate']), [100, 200])
})

test('several options records in one set: the last counts for the domain', () => {
  const { send } = learned(DOMAIN, [34, 4, 100])
  send(ipfix({}, set(300, u32(0, 7), u32(0, 8), u32(0, 9))))
  assert.equal(send(ipfix({}, set(256, u32(1))))[0]['sampling_rate'], 9)
})

test('sampling is of one domain, version and exporter', () => {
  const { send } = learned(DOMAIN, [34, 4, 100])
  assert.deepEqual(sampling(send(ipfix({ domain: 1 }, BYTES, set(256, u32(1))))), [{}])
  assert.deepEqual(sampling(send(ipfix({}, BYTES, set(256, u32(1))), '198.51.100.1')), [{}])
  assert.deepEqual(sampling(send(v9({}, set(0, template(256, [1, 4])), set(256, u32(1))))), [{}])
})

test('records that name a sampler (48) have its rate, unknown ones that of the domain or none', () => {
  const { send } = learned(DOMAIN, [48, 2, 1], [34, 4, 100])
  send(ipfix({}, set(300, u32(0), u16(2), u32(200))))
  const data = set(257, u32(1), u16(1), u32(2), u16(2), u32(3), u16(3), u32(4), u16(1))
  assert.deepEqual(send(ipfix({}, data)).map((row) => row['sampling_rate']), [100, 200, undefined, 100])
  send(ipfix({}, set(3, options10(301, [[149, 4]], [[34, 4]])), set(301, u32(0, 5))))
  assert.deepEqual(send(ipfix({}, data)).map((row) => row['sampling_rate']), [100, 200, 5, 100])
  assert.deepEqual(send(ipfix({}, set(256, u32(1)))).map((row) => row['sampling_rate']), [5])
})

test('a selector (302) is a sampler, as the scope of the options too (RFC 5476)', () => {
  const { send } = learned([[302, 8], 5], [304, 2, 1], [305, 4, 1], [306, 4, 999])
  const sent = send(ipfix({}, set(2, template(258, [302, 4], [1, 4])), set(258, u32(5, 1), u32(6, 1))))
  assert.deepEqual(sampling(sent), [{ sampling_rate: 1000, sampling_source: OPTIONS }, {}])
})

test('sampler ids of 64 bits are told apart', () => {
  const { send } = collector()
  const ids = [1n, 2n ** 32n + 1n, 2n ** 52n]
  send(ipfix({}, set(3, options10(300, [[302, 8]], [[34, 4]])),
    set(300, ...ids.map((id, i) => join(u64(id), u32(i + 10))))))
  const sent = send(ipfix({}, set(2, template(256, [302, 8])), set(256, ...ids.map((id) => u64(id)))))
  assert.deepEqual(sent.map((row) => row['sampling_rate']), [10, 11, 12])
})

test('a rate in the record counts before that of the options', () => {
  const { send } = learned(DOMAIN, [34, 4, 100])
  const sent = send(ipfix({}, set(2, template(258, [1, 4], [34, 4], [35, 1])), set(258, u32(1, 7), u8(2)),
    set(256, u32(1))))
  assert.deepEqual(pick(sent, 'sampling_rate', 'sampling_source', 'sampling_algorithm'), [
    { sampling_rate: 7, sampling_source: SAMPLING_SOURCE.record, sampling_algorithm: 2 },
    { sampling_rate: 100, sampling_source: OPTIONS },
  ])
})

test('options with fields of variable length, and longer than a number', () => {
  const { send, exporter } = collector()
  const layout = options10(300, [[149, 4]], [[82, 65535], [34, 4], [83, 32]])
  send(ipfix({}, BYTES, set(3, layout), set(300, u32(0), variable(text('Gi0/1')), u32(64), text('uplink', 32),
    u32(0), variable(text('x'.repeat(300)), 3), u32(65), text('', 32))))
  assert.equal(exporter().counters.optionsRecords, 2)
  assert.equal(send(ipfix({}, set(256, u32(1))))[0]['sampling_rate'], 65)
})

test('options records are counted as data records, and give no rows', () => {
  const { decoder, batch, send } = learned(DOMAIN, [34, 4, 100])
  assert.equal(batch.length, 0)
  send(ipfix({}, set(300, u32(0, 1), u32(0, 2))))
  assert.equal([...decoder.exporters.byKey.values()][0].counters.optionsRecords, 3)
  assert.equal(batch.length, 0)
})

test('an enterprise element numbered 34 is no rate', () => {
  const { send } = collector()
  send(ipfix({}, BYTES, set(3, options10(300, [[149, 4]], [[34, 4, 9]])), set(300, u32(0, 55))))
  assert.deepEqual(sampling(send(ipfix({}, set(256, u32(1))))), [{}])
})

// Only the wanted fields

test('fields that are not wanted are left out, and their columns are not made', () => {
  const { send, batch } = collector({ fields: fieldMask([ID.bytes, ID.srcAddr]), extras: false })
  const layout = template(256, [8, 4], [12, 4], [1, 4], [2, 4], [70, 3], [4711, 2])
  assert.deepEqual(send(ipfix({}, set(2, layout), set(256, u32(0x0a000001, 2, 3, 4), hex('00001f 0102')))), [
    { src_addr: '10.0.0.1', bytes: 3 },
  ])
  for (const id of [ID.dstAddr, ID.packets, ID.mplsLabel1, ID.received, ID.type, ID.samplingRate]) {
    assert.equal(batch.has(id), false)
  }
})

test('fields may be wanted that a record does not have', () => {
  const { send } = collector({ fields: fieldMask([ID.userName, ID.natEvent]), extras: true })
  assert.deepEqual(send(ipfix({}, BYTES, set(256, u32(1), u32(2)))), [{}, {}])
})

test('of v5, too, only what is wanted comes', () => {
  const { send } = collector({ fields: fieldMask([ID.dstPort, ID.engineId, ID.samplingRate]), extras: false })
  const header = join(u16(5, 1), new Uint8Array(17), u8(9), u16(10))
  assert.deepEqual(send(join(header, new Uint8Array(34), u16(443), new Uint8Array(12))), [
    { dst_port: 443, engine_id: 9, sampling_rate: 10 },
  ])
})

test('extras are those elements that have no column, whatever fields are wanted', () => {
  const { send } = collector({ fields: fieldMask([ID.bytes]), extras: true })
  assert.deepEqual(send(ipfix({}, set(2, template(256, [1, 4], [2, 4], [4711, 2])),
    set(256, u32(1, 2), u16(0x0102)))), [
    { bytes: 1, extras: ['0/4711=0102'] },
  ])
})
