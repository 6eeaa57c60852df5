import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fieldMask, ID } from '../../../core/flow/fields.ts'
import { LIMITS } from '../../../core/netflow/limits.ts'
import {
  collector, hex, ipfix, join, options10, options9, pick, set, template, text, u16, u32, v9, type Row,
} from './messages.ts'

const FLOWS = template(256, [10, 4], [14, 4], [1, 4])
const NAMES = ['in_if_name', 'out_if_name'] as const

/** Options of Cisco's `option interface-table` in v9: scope System, then index, name and description. */
const INTERFACE_TABLE = set(1, options9(300, [[1, 4]], [[10, 4], [82, 16], [83, 16]]))

function interfaceRecord(index: number, name: string, description: string = ''): Uint8Array {
  return join(u32(0, index), text(name, 16), text(description, 16))
}

function named(rows: readonly Row[]): Row[] {
  return pick(rows, ...NAMES)
}

test('interfaces get the names that options records give them', () => {
  const { send } = collector()
  send(v9({}, INTERFACE_TABLE, set(300, interfaceRecord(3, 'Gi0/3'), interfaceRecord(70_000, 'Po1', 'core'))))
  const flows = u32(3, 70_000, 1, 70_000, 4, 2, 4, 3, 3, 4, 5, 4)
  const rows = send(v9({}, set(0, FLOWS), set(256, flows)))
  assert.deepEqual(named(rows), [
    { in_if_name: 'Gi0/3', out_if_name: 'Po1' }, { in_if_name: 'Po1' }, { out_if_name: 'Gi0/3' }, {},
  ])
})

test('the index may be the scope: of v9 (interface), or elements 10, 14, 252 and 253 of IPFIX', () => {
  const it = collector()
  it.send(v9({}, set(1, options9(300, [[2, 2]], [[82, 8]])), set(300, u16(7), text('ge-0/0/7', 8))))
  const rows = it.send(v9({}, set(0, FLOWS), set(256, u32(7, 9, 1))))
  assert.deepEqual(named(rows), [{ in_if_name: 'ge-0/0/7' }])
  for (const id of [10, 14, 252, 253]) {
    const { send } = collector()
    const options = set(3, options10(300, [[id, 4]], [[82, 65535]]))
    send(ipfix({}, options, set(300, u32(7), hex('04'), text('eth7'))))
    const flows = send(ipfix({}, set(2, FLOWS), set(256, u32(1, 7, 1))))
    assert.deepEqual(named(flows), [{ out_if_name: 'eth7' }], `${id}`)
  }
})

test('without a name the description is taken, and of empty ones nothing', () => {
  const { send } = collector()
  send(v9({}, INTERFACE_TABLE, set(300, interfaceRecord(1, '', 'uplink'), interfaceRecord(2, ''))))
  assert.deepEqual(named(send(v9({}, set(0, FLOWS), set(256, u32(1, 2, 1))))), [{ in_if_name: 'uplink' }])
})

test('a name told again replaces the one before', () => {
  const { send, decoder } = collector()
  send(v9({}, INTERFACE_TABLE, set(300, interfaceRecord(1, 'old'))))
  send(v9({}, set(300, interfaceRecord(1, 'new'))))
  assert.deepEqual(named(send(v9({}, set(0, FLOWS), set(256, u32(1, 2, 1))))), [{ in_if_name: 'new' }])
  assert.equal(decoder.exporters.names, 1)
})

test('names belong to their exporter and domain', () => {
  const { send } = collector()
  send(v9({ domain: 1 }, INTERFACE_TABLE, set(300, interfaceRecord(1, 'mine'))))
  for (const [domain, from, expected] of [
    [1, '192.0.2.1', { in_if_name: 'mine' }], [2, '192.0.2.1', {}], [1, '192.0.2.2', {}],
  ] as const) {
    assert.deepEqual(named(send(v9({ domain }, set(0, FLOWS), set(256, u32(1, 2, 1))), from)), [expected])
  }
})

test('a name in the record itself stays', () => {
  const { send } = collector()
  send(v9({}, INTERFACE_TABLE, set(300, interfaceRecord(1, 'option'))))
  const rows = send(v9({}, set(0, template(256, [10, 4], [82, 8])), set(256, u32(1), text('record', 8))))
  assert.deepEqual(named(rows).map(({ in_if_name }) => String(in_if_name).replaceAll('\0', '')), ['record'])
})

test('VRFs and applications get their names', () => {
  const { send } = collector()
  const vrfs = set(3, options10(300, [[234, 4]], [[236, 65535]]))
  send(ipfix({}, vrfs, set(300, u32(5), hex('03'), text('red'))))
  send(ipfix({}, set(3, options10(301, [[95, 4]], [[96, 24], [94, 55]])),
    set(301, hex('03000050'), text('http', 24), text('Hypertext', 55))))
  const layout = template(256, [234, 4], [235, 4], [95, 4])
  const flows = set(256, u32(5, 6), hex('03000050'), u32(6, 5), hex('0d000050'))
  const rows = send(ipfix({}, set(2, layout), flows))
  assert.deepEqual(pick(rows, 'src_vrf_name', 'dst_vrf_name', 'application_name'), [
    { src_vrf_name: 'red', application_name: 'http' }, { dst_vrf_name: 'red' },
  ])
})

test('names come without the numbers they belong to, if only they are wanted', () => {
  const { send } = collector({ fields: fieldMask([ID.inIfName, ID.bytes]), extras: false })
  send(v9({}, INTERFACE_TABLE, set(300, interfaceRecord(1, 'Gi1'))))
  assert.deepEqual(send(v9({}, set(0, FLOWS), set(256, u32(1, 1, 9)))), [{ in_if_name: 'Gi1', bytes: 9 }])
})

test('names are bounded: in number, over all exporters, and in length', () => {
  const { send, decoder } = collector()
  const long = set(1, options9(300, [[1, 4]], [[10, 4], [82, 300]]))
  send(v9({}, long, set(300, u32(0, 1), text('x'.repeat(256), 300))))
  assert.equal(decoder.exporters.names, 0)
  send(v9({}, set(300, u32(0, 1), text('x'.repeat(255), 300))))
  assert.equal(decoder.exporters.names, 1)
  const record = (index: number) => join(u32(0, index), text('n', 32))
  const records = (from: number) => join(...Array.from({ length: 1000 }, (_, i) => record(from + i)))
  for (let i = 0; i < 70; i++) {
    const layout = set(1, options9(301, [[1, 4]], [[10, 4], [82, 32]]))
    send(v9({ domain: i % 3 }, layout, set(301, records(i * 1000))))
  }
  assert.equal(decoder.exporters.names, LIMITS.names)
})
