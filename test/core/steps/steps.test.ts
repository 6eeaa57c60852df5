import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatIpv4, formatIpv6, ipv6Storage, parseIpv4, parseIpv6, type AddressColumn,
} from '../../../core/flow/address.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS, ID } from '../../../core/flow/fields.ts'
import { parsePrefix } from '../../../core/flow/prefix.ts'
import { makeShape } from '../../../core/flow/shape.ts'
import type { FlowReader } from '../../../core/flow/stream.ts'
import { hmacPseudonyms, truncation } from '../../../core/steps/address-map.ts'
import { newAddressSet } from '../../../core/steps/address-set.ts'
import { anonymiser } from '../../../core/steps/anonymise.ts'
import { stitcher } from '../../../core/steps/biflow.ts'
import { deduplicator } from '../../../core/steps/dedup.ts'
import type { FlowStep } from '../../../core/steps/step.ts'

type Values = Partial<Record<keyof typeof ID, number | string>>

function setAddress(column: AddressColumn, row: number, text: string): void {
  const v4 = parseIpv4(text)
  column.family[row] = v4 >= 0 ? 4 : 6
  if (v4 >= 0) column.v4[row] = v4
  else assert.ok(parseIpv6(text, ipv6Storage(column), row * 16))
}

function batchOf(rows: readonly Values[]): FlowBatch {
  const batch = new FlowBatch()
  for (const values of rows) {
    const row = batch.length++
    const names = Object.keys(values) as (keyof typeof ID)[]
    batch.shape[row] = batch.intern(makeShape(names.map((name) => ID[name])))
    for (const name of names) {
      const column = batch.column(ID[name])
      const value = values[name]!
      if (typeof value === 'string') setAddress(column as AddressColumn, row, value)
      else (column as Float64Array)[row] = value
    }
  }
  return batch
}

function rowOf(batch: FlowBatch, row: number): Values {
  return Object.fromEntries(batch.shapes[batch.shape[row]].fields.map((id) => {
    const column = batch.column(id)
    if (FIELDS[id].type !== 'addr') return [FIELDS[id].column, (column as Float64Array)[row]]
    const { family, v4, v6 } = column as AddressColumn
    return [FIELDS[id].column, family[row] === 4 ? formatIpv4(v4[row]) : formatIpv6(v6, row * 16)]
  }))
}

/** What a step makes of rows that come in batches. */
async function done(step: FlowStep, ...batches: readonly (readonly Values[])[]): Promise<Values[]> {
  const out: Values[] = []
  const reader: FlowReader = (async function* () {
    for (const rows of batches) yield batchOf(rows)
  })()
  for await (const batch of step.run(reader)) for (let i = 0; i < batch.length; i++) out.push(rowOf(batch, i))
  return out
}

const A = { srcAddr: '10.0.0.1', dstAddr: '192.0.2.80', srcPort: 40_000, dstPort: 443, proto: 6 }
const B = { srcAddr: '192.0.2.80', dstAddr: '10.0.0.1', srcPort: 443, dstPort: 40_000, proto: 6 }

test('every address of every field is replaced, and those that are kept are not', async () => {
  const addresses = FIELDS.filter(({ type }) => type === 'addr').map(({ column }) => column)
  const v4 = Object.fromEntries(addresses.map((column, i) => [column, `198.51.100.${i + 1}`]))
  const v6 = Object.fromEntries(addresses.map((column, i) => [column, `2001:db8::${i + 1}`]))
  const macs = { srcMac: 0x001122334455, postDstMac: 0x665544332211 }
  const step = anonymiser({ map: hmacPseudonyms(Buffer.from('a key of 16 bytes')), keep: [] })
  const out = await done(step, [{ ...v4, ...macs }, v6])
  const text = JSON.stringify(out)
  assert.doesNotMatch(text, /198\.51\.100|2001:db8/)
  for (const column of addresses) assert.notEqual(out[0][column], out[1][column])
  assert.ok(out[0].srcMac !== macs.srcMac && out[0].postDstMac !== macs.postDstMac)
  assert.equal(step.counts.get('addresses replaced'), 2 * addresses.length)
  assert.equal(step.counts.get('MAC addresses replaced'), 2)

  const keep = [parsePrefix('198.51.100.0/24')!, parsePrefix('2001:db8::/32')!]
  const same = anonymiser({ map: hmacPseudonyms(Buffer.from('a key of 16 bytes')), keep })
  assert.deepEqual(await done(same, [v4, v6]), [v4, v6])
})

test('the address that begins a route distinguisher is replaced, in each row once', async () => {
  const batch = new FlowBatch()
  const values = ['0001c63364070064', '0000fde8c6336407', '00020000fde80001'].map((hex) => Buffer.from(hex, 'hex'))
  const starts = values.map((value) => batch.addBytes(value, 0, value.length))
  const column = batch.column(ID.mplsVpnRd) as Uint32Array
  batch.length = 4
  for (const [row, which] of [0, 0, 1, 2].entries()) {
    batch.shape[row] = batch.intern(makeShape([ID.mplsVpnRd]))
    column.set([starts[which], 8], row * 2)
  }
  const step = anonymiser({ map: truncation(24, 48), keep: [] })
  for await (const _ of step.run((async function* () { yield batch })())) { /* in place */ }
  const found = [0, 1, 2, 3].map((row) => (
    Buffer.from(batch.heap.subarray(column[row * 2], column[row * 2] + 8)).toString('hex')
  ))
  assert.deepEqual(found, ['0001c63364000064', '0001c63364000064', '0000fde8c6336407', '00020000fde80001'])
  assert.equal(step.counts.get('addresses replaced'), 2)
})

test('an address is left if it was to be replaced, and took no other\'s place', async () => {
  const replaced = newAddressSet()
  const step = anonymiser({ map: truncation(24, 48), keep: [], replaced })
  const rows = [
    { srcAddr: '198.51.100.7', dstAddr: '198.51.100.0', nextHop: '0.0.0.0', srcMac: 0x001122334455 },
    { srcAddr: '2001:db8:0:1::7', dstAddr: '2001:db8::', nextHop: '203.0.113.0', srcMac: 0x001122000000 },
  ]
  const out = await done(step, rows)
  assert.equal(replaced.countIn(batchOf(out)), 1) // 203.0.113.0 is what it was
  assert.equal(replaced.countIn(batchOf(rows)), 4)
})

test('truncation keeps the first bits, and the maker of a device', async () => {
  const rows = [{ srcAddr: '198.51.100.77', dstAddr: '2001:db8:1:2:3::4', srcMac: 0x001122334455 }]
  const out = await done(anonymiser({ map: truncation(24, 48), keep: [] }), rows)
  assert.deepEqual(out, [{ srcAddr: '198.51.100.0', dstAddr: '2001:db8:1::', srcMac: 0x001122000000 }])
  const none = await done(anonymiser({ map: truncation(0, 0), keep: [] }), rows)
  assert.deepEqual([none[0].srcAddr, none[0].dstAddr], ['0.0.0.0', '::'])
})

test('the same address has the same pseudonym, with another key another', async () => {
  const [a, b] = ['192.0.2.1', '192.0.2.2']
  const rows = [{ srcAddr: a, dstAddr: b }, { srcAddr: b, dstAddr: a }]
  const [first, second] = await done(anonymiser({ map: hmacPseudonyms(Buffer.alloc(16, 1)), keep: [] }), rows)
  assert.deepEqual(second, { srcAddr: first.dstAddr, dstAddr: first.srcAddr })
  const [other] = await done(anonymiser({ map: hmacPseudonyms(Buffer.alloc(16, 2)), keep: [] }), rows)
  assert.notEqual(other.srcAddr, first.srcAddr)
})

test('a network has nothing behind its bits', async () => {
  const map = hmacPseudonyms(Buffer.alloc(16, 1))
  const [{ srcPrefix }] = await done(anonymiser({ map, keep: [] }), [{ srcPrefix: '10.1.0.0', srcMask: 16 }])
  assert.match(String(srcPrefix), /\.0\.0$/)
})

test('flows that another exporter reports too are removed, those of later are not', async () => {
  const of = (exporterAddr: string, start: number, end: number, more: Values = {}) => ({
    ...A, exporterAddr, flowStart: start * 1e6, flowEnd: end * 1e6, bytes: 100, ...more,
  })
  const step = deduplicator()
  const rows = [
    of('192.0.2.1', 1000, 1010), of('192.0.2.2', 1001, 1011), // the same
    of('192.0.2.1', 1010, 1070), of('192.0.2.2', 1011, 1071), // and on
    of('192.0.2.2', 2000, 2001), // a new conversation that only the other one sees
    of('192.0.2.1', 1000, 1010, { dstPort: 80 }), // another conversation
  ]
  const out = await done(step, rows.slice(0, 3), rows.slice(3))
  assert.deepEqual(out, [rows[0], rows[2], rows[4], rows[5]])
  assert.deepEqual([...step.counts], [['flows of 192.0.2.2 removed that others reported too', 2]])
})

test('a record that comes twice counts once, one that differs in anything counts too', async () => {
  const flow = { ...A, exporterAddr: '192.0.2.1', flowStart: 1e9, flowEnd: 2e9, bytes: 7, inIf: 1 }
  const step = deduplicator()
  assert.equal((await done(step, [flow, flow, { ...flow, inIf: 2 }, { ...flow, bytes: 8 }])).length, 3)
  assert.deepEqual([...step.counts], [['repeated flows removed', 1]])
})

test('two directions become one flow of who began', async () => {
  const there = { ...A, flowStart: 1e9, flowEnd: 3e9, bytes: 100, packets: 2, tcpFlags: 2 }
  const back = { ...B, flowStart: 1.1e9, flowEnd: 3.1e9, bytes: 5000, packets: 9, tcpFlags: 18 }
  const expected = {
    ...there, revBytes: 5000, revPackets: 9, revTcpFlags: 18, revFlowStart: 1.1e9, revFlowEnd: 3.1e9,
    biflowDirection: 1,
  }
  for (const rows of [[there, back], [back, there]]) {
    const step = stitcher()
    assert.deepEqual(await done(step, rows), [expected])
    assert.equal(step.counts.get('pairs of flows stitched together'), 1)
  }
})

test('flows of other times, exporters and conversations stay apart', async () => {
  const there = { ...A, flowStart: 1e9, flowEnd: 2e9, exporterAddr: '192.0.2.1' }
  const rows = [
    there, { ...B, flowStart: 1e9, flowEnd: 2e9, exporterAddr: '192.0.2.2' },
    { ...B, flowStart: 9e9, flowEnd: 9e9, exporterAddr: '192.0.2.1' },
    { ...B, dstPort: 40_001, flowStart: 1e9, flowEnd: 2e9, exporterAddr: '192.0.2.1' }, { bytes: 1 },
  ]
  assert.deepEqual(await done(stitcher(), rows), rows)
})

test('many flows wait, and all come out', async () => {
  const rows: Values[] = []
  for (let i = 0; i < 150_000; i++) rows.push({ ...A, srcPort: i % 65_536, dstPort: i >> 16, flowStart: i })
  const batches = []
  for (let i = 0; i < rows.length; i += 8192) batches.push(rows.slice(i, i + 8192))
  const out = await done(stitcher(), ...batches)
  assert.equal(out.length, rows.length)
  assert.deepEqual([out[0], out.at(-1)], [rows[0], rows.at(-1)])
})
