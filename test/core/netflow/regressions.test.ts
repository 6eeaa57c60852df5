import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fieldMask, ID } from '../../../core/flow/fields.ts'
import type { Domain } from '../../../core/netflow/exporters.ts'
import { LIMITS } from '../../../core/netflow/limits.ts'
import {
  collector, datagram, hex, ipfix, join, options9, pick, set, template, text, u16, u32, u64, u8,
  v9, variable,
} from './messages.ts'

const BYTES = template(256, [1, 4])
const waiting = (domain: Domain) => [...domain.waiting!.byTemplate.values()].flat().length

test('four zeros of padding behind IPFIX template records withdraw nothing', () => {
  const { send } = collector()
  send(ipfix({}, set(2, BYTES, new Uint8Array(4))))
  assert.deepEqual(pick(send(ipfix({}, set(256, u32(7)))), 'bytes'), [{ bytes: 7 }])
})

test('a withdrawal of id 5 (no template id) withdraws nothing', () => {
  const { send, domain } = collector()
  send(ipfix({}, set(2, BYTES))); try { send(ipfix({}, set(2, u16(5, 0)))) } catch {}
  assert.equal(domain(10).templates.size, 1)
})

test('waiting sets without bytes are bounded', () => {
  const { send, domain } = collector()
  for (let i = 0; i < 20; i++) send(v9({}, ...Array.from({ length: 10_000 }, () => set(300))))
  assert.ok(waiting(domain(9)) < 5000, `${waiting(domain(9))} sets wait`)
})

test('one-byte waiting sets: what they cost in memory is bounded', () => {
  const { send, domain } = collector()
  for (let i = 0; i < 30; i++) send(v9({}, ...Array.from({ length: 10_000 }, () => set(300, u8(1)))))
  assert.ok(waiting(domain(9)) < 5000, `${waiting(domain(9))} sets wait`)
})

test('templates of one exporter in many domains stay within LIMITS.templates', () => {
  const { send, decoder } = collector()
  const bomb = set(0, ...Array.from({ length: 4096 }, (_, i) => template(256 + i, [1, 4])))
  for (let domain = 0; domain < 20; domain++) send(v9({ domain }, bomb))
  assert.ok(decoder.exporters.templates <= LIMITS.templates, `${decoder.exporters.templates}`)
})

test('large templates of one exporter stay within its limit of bytes', () => {
  const { send, decoder } = collector()
  for (let id = 256; id < 256 + 100; id++) send(v9({}, set(0, template(id, ...Array.from({ length: 16_000 }, (_, i) => [i, 1] as const)))))
  assert.ok(decoder.exporters.templateBytes <= LIMITS.templateBytesPerExporter, `${decoder.exporters.templateBytes}`)
})
const only = (...ids: number[]) => collector({ fields: fieldMask(ids), extras: false })
test('icmp_code alone', () => {
  assert.deepEqual(
    only(ID.icmpCode).send(v9({}, set(0, template(256, [32, 2])), set(256, u8(3, 13)))),
    [{ icmp_code: 13 }],
  )
})

test('icmp_type alone brings no icmp_code', () => {
  assert.deepEqual(
    only(ID.icmpType).send(v9({}, set(0, template(256, [32, 2])), set(256, u8(3, 13)))),
    [{ icmp_type: 3 }],
  )
})

test('etype alone', () => {
  assert.deepEqual(
    only(ID.etype).send(v9({}, set(0, template(256, [8, 4])), set(256, u32(1)))),
    [{ etype: 0x800 }],
  )
})

test('flow_end from start and duration alone', () => {
  assert.deepEqual(
    only(ID.flowEnd).send(ipfix({}, set(2, template(256, [152, 8], [161, 4])), set(256, u64(1000), u32(5)))),
    [{ flow_end: 1005000 }],
  )
})

test('flow_start wanted, duration: flow_end is not there', () => {
  assert.deepEqual(
    only(ID.flowStart).send(ipfix({}, set(2, template(256, [152, 8], [161, 4])), set(256, u64(1000), u32(5)))),
    [{ flow_start: 1000000 }],
  )
})

test('sampling_rate by sampler id without sampler_id wanted', () => {
  const it = only(ID.samplingRate)
  it.send(v9({}, set(1, options9(300, [[1, 4]], [[48, 2], [34, 4]])), set(300, u32(0), u16(1), u32(100), u32(0), u16(2), u32(200))))
  assert.deepEqual(
    it.send(v9({}, set(0, template(256, [48, 2])), set(256, u16(1), u16(2)))),
    [{ sampling_rate: 100 }, { sampling_rate: 200 }],
  )
})

test('mpls_exp alone', () => {
  assert.deepEqual(
    only(ID.mplsExp).send(v9({}, set(0, template(256, [70, 3])), set(256, hex('00001f')))),
    [{ mpls_exp: 15 }],
  )
})

test('flow_start_ns alone', () => {
  assert.deepEqual(
    only(ID.flowStartNs).send(ipfix({}, set(2, template(256, [156, 8])), set(256, u32(4000000000, 43)))),
    [{ flow_start_ns: 10 }],
  )
})

test('v5: sampling_rate wanted, sampling_algorithm not', () => {
  const header = join(u16(5, 1), new Uint8Array(18), u16(0x400a))
  assert.deepEqual(only(ID.samplingRate).send(join(header, new Uint8Array(48))), [{ sampling_rate: 10 }])
})

test('v5: sampling_algorithm alone', () => {
  const header = join(u16(5, 1), new Uint8Array(18), u16(0x400a))
  assert.deepEqual(
    only(ID.samplingAlgorithm).send(join(header, new Uint8Array(48))),
    [{ sampling_algorithm: 1 }],
  )
})

test('mpls_label_1 alone brings no mpls_exp', () => {
  assert.deepEqual(
    only(ID.mplsLabel1).send(v9({}, set(0, template(256, [70, 3])), set(256, hex('00001f')))),
    [{ mpls_label_1: 1 }],
  )
})

test('a refused datagram leaves heapLength and saturated', () => {
  const { send, batch } = collector()
  const bad = ipfix({}, set(2, template(256, [371, 65535], [1, 8])), set(256, variable(text('x'.repeat(200))), u64(2n ** 64n - 1n), u8(200, 1, 1, 1, 1, 1, 1, 1, 1, 1)))
  for (let i = 0; i < 1000; i++) assert.throws(() => send(bad))
  assert.deepEqual([batch.length, batch.heapLength, batch.saturated], [0, 0, 0])
})

test('shapes without rows do not pile up, and rows keep their shape', () => {
  const { send, batch } = collector({ extras: true })
  for (let n = 0; n < 20; n++) {
    const sets = Array.from({ length: 4000 }, (_, i) => join(set(0, template(256 + i, [20_000 + n, 1], [4000 + i, 2])), set(256 + i)))
    send(v9({}, ...sets))
  }
  const [row] = send(v9({}, set(0, template(256, [1, 4])), set(256, u32(5))))
  assert.deepEqual([row['bytes'], row['extras']], [5, undefined], `${batch.shapes.length} shapes for ${batch.length} rows`)
})

test('IPFIX records that wait for their template are not missing', () => {
  const { send, domain } = collector()
  send(ipfix({ sequence: 0 }, set(256, u32(1, 2, 3))))
  send(ipfix({ sequence: 3 }, set(2, BYTES), set(256, u32(4))))
  send(ipfix({ sequence: 4 }, set(256, u32(5))))
  const { next, missing } = domain(10).sequence
  assert.deepEqual([next, missing], [5, 0])
})

test('domains over all exporters are bounded', () => {
  const { decoder, batch } = collector()
  const given = datagram(join(...Array.from({ length: 256 }, (_, domain) => ipfix({ domain }))))
  for (let i = 0; i < 2000; i++) decoder.decode({ ...given, v4: i }, batch)
  let domains = 0
  for (const e of decoder.exporters.byKey.values()) domains += e.domains.size
  assert.ok(domains <= 131_072, `${domains} domains from 2000 datagrams, ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB`)
})

test('systemInit in the record with a variable-length field beside it', () => {
  const [row] = collector().send(ipfix({ secs: 1000 }, set(2, template(256, [160, 8], [22, 4], [371, 65535])), set(256, u64(1000_000 - 5000), u32(4000), variable(text('a')))))
  assert.equal(row['flow_start'], 999e6)
})

test('sets that waited are not lost with a damaged second message', () => {
  const { send, exporter } = collector()
  send(ipfix({}, set(256, u32(1))))
  assert.throws(() => send(join(ipfix({}, set(2, BYTES)), hex('000a'))))
  const { heldSets, lateSets, abandonedSets } = exporter().counters
  const { records } = exporter().counters
  assert.deepEqual({ heldSets, lateSets, abandonedSets, records }, { heldSets: 1, lateSets: 0, abandonedSets: 0, records: 0 })
  assert.deepEqual(pick(send(ipfix({}, set(2, BYTES))), 'bytes'), [{ bytes: 1 }])
})

test('sequence of a message whose rows were taken back', () => {
  const { send, domain } = collector()
  send(ipfix({ sequence: 0 }, set(2, BYTES), set(256, u32(1))))
  assert.throws(() => send(join(ipfix({ sequence: 1 }, set(256, u32(1, 2))), hex('000a'))))
  send(ipfix({ sequence: 3 }, set(256, u32(1))))
  assert.equal(domain(10).sequence.missing, 2)
})

test('305 and 306 in the flow record', () => {
  const [row] = collector().send(ipfix({}, set(2, template(256, [305, 4], [306, 4])), set(256, u32(1, 99))))
  assert.equal(row['sampling_rate'], 100)
})
