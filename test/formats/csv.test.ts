import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { lossByField } from '../../core/flow/loss.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { csv } from '../../formats/csv.ts'
import { batches, batchOf, bytesOf, ids, largest, plainRow, textOf } from './flows.ts'

const CORE = 'type,received,exporter_addr,observation_domain_id,sequence_num,sampling_rate,sampling_source,flow_start,'
  + 'flow_end,bytes,packets,flows,out_bytes,out_packets,rev_bytes,rev_packets,proto,src_addr,dst_addr,src_port,dst_port,'
  + 'tcp_flags,tos,icmp_type,icmp_code,etype,direction,in_if,out_if,src_as,dst_as,src_mask,dst_mask,next_hop,'
  + 'bgp_next_hop,vlan_id,src_mac,dst_mac,end_reason,forwarding_status,tag'

/** The cells of RFC 4180 text; undefined where a cell is empty and not in quotes. */
function parseCsv(text: string): (string | undefined)[][] {
  const rows: (string | undefined)[][] = []
  for (let at = 0; at < text.length;) {
    const row: (string | undefined)[] = []
    for (;;) {
      const quoted = /^"((?:[^"]|"")*)"/.exec(text.slice(at))
      const plain = /^[^",\r\n]*/.exec(text.slice(at))!
      row.push(quoted ? quoted[1].replaceAll('""', '"') : plain[0] || undefined)
      at += (quoted ?? plain)[0].length
      if (text[at] === ',') at++
      else break
    }
    assert.equal(text[at++], '\n')
    rows.push(row)
  }
  return rows
}

test('the header and rows have the core fields, absent ones empty', () => {
  const flow = {
    type: FLOW_TYPE.NETFLOW_V5, flow_start: 1_000_000, bytes: 1500, proto: 6, src_addr: '192.0.2.1', dst_addr: '2001:db8::1',
    src_mac: '02:00:00:00:00:01',
  }
  assert.equal(textOf(csv, [flow, {}, { tag: 7 }], {}, { digits: 0 }), `${CORE}\n`
    + 'NETFLOW_V5,,,,,,,1970-01-01T00:00:01Z,,1500,,,,,,,6,192.0.2.1,2001:db8::1,,,,,,,,,,,,,,,,,,02:00:00:00:00:01,,,,\n'
    + `${','.repeat(40)}\n${','.repeat(40)}7\n`)
})

test('the header stands alone when there are no flows, and once when there are several batches', () => {
  assert.equal(bytesOf(csv, []).toString(), `${CORE}\n`)
  assert.equal(bytesOf(csv, [batchOf([])]).toString(), `${CORE}\n`)
  const batch = batchOf([{ proto: 6 }])
  assert.equal(bytesOf(csv, [batch, batch], { fields: ids('proto') }).toString(), 'proto\n6\n6\n')
})

test('columns are the fields asked for, under the names asked for', () => {
  const fields = ids('bytes', 'flow_start_ns', 'src_addr', 'flow_start', 'bytes')
  const flow = { src_addr: '192.0.2.1', bytes: 5, flow_start: 0, flow_start_ns: 7 }
  assert.equal(textOf(csv, [flow], { fields }), 'bytes,src_addr,flow_start\n5,192.0.2.1,1970-01-01T00:00:00.000000007Z\n')
  assert.equal(textOf(csv, [flow], { fields, names: 'nfdump' }).split('\n')[0], 'in_bytes,src_addr,first')
  assert.equal(textOf(csv, [flow], { fields, names: 'iana' }).split('\n')[0], 'octetDeltaCount,src_addr,flowStartMilliseconds')
  assert.equal(textOf(csv, [{ src_addr: null, bytes: 1 }], { fields }), 'bytes,src_addr,flow_start\n1,,\n')
})

test('text is in quotes where RFC 4180 wants it, and where it is empty but not absent', () => {
  const fields = ids('user_name', 'tag')
  const cell = (user_name: string | Uint8Array) => textOf(csv, [{ user_name, tag: 1 }], { fields }).slice('user_name,tag\n'.length)
  assert.equal(cell('alice'), 'alice,1\n')
  assert.equal(cell(' a b '), ' a b ,1\n')
  assert.equal(cell('a,b'), '"a,b",1\n')
  assert.equal(cell('say "hi"'), '"say ""hi""",1\n')
  assert.equal(cell('a\nb'), '"a\nb",1\n')
  assert.equal(cell('a\rb'), '"a\rb",1\n')
  assert.equal(cell(''), '"",1\n')
  assert.equal(cell('é🌐'), 'é🌐,1\n')
  assert.equal(cell(Uint8Array.of(0xff, 34)), '"\ufffd""",1\n')
})

test('elements without a column are an object in the last column when they are wanted', () => {
  const extras = [{ pen: 0, id: 460, length: 65535 }, { pen: 0, id: 276, length: 1 }]
  const more = { extras, extraBytes: Uint8Array.of(0, 2, 104, 105, 2) }
  const text = textOf(csv, [{ proto: 6 }], { fields: ids('proto', 'tag'), extras: true }, more)
  assert.equal(text, 'proto,tag,extras\n6,,"{""httpRequestHost"":""hi"",""dataRecordsReliability"":false}"\n')
  assert.equal(textOf(csv, [{ tag: 6 }], { fields: ids('tag'), extras: true }), 'tag,extras\n6,\n')
  const list = { extras: [{ pen: 0, id: 291, length: 8 }], extraBytes: Uint8Array.of(1, 0, 4, 0, 1, 6, 17, 1) }
  assert.equal(textOf(csv, [{ proto: 6 }], { fields: ids('proto'), extras: true }, list),
    'proto,extras\n6,"{""basicList"":{""semantic"":""exactlyOneOf"",""list"":[6,17,1]}}"\n')
})

test('every field at its largest is one cell', () => {
  for (const field of FIELDS) {
    if (field.id === ID.flowStartNs || field.id === ID.flowEndNs) continue
    const [, cells] = parseCsv(textOf(csv, [{ [field.name]: largest(field) }], { fields: [field.id, ID.tag] }))
    if (field.id === ID.tag) continue
    assert.equal(cells.length, 2, field.name)
    assert.equal(cells[0], String(plainRow(batchOf([{ [field.name]: largest(field) }]), 0)[field.name]))
  }
})

test('random batches read back as a plain accessor reads them', () => {
  fc.assert(fc.property(batches, (batch) => {
    const [names, ...rows] = parseCsv(bytesOf(csv, [batch, batch], { fields: [...FIELDS.keys()] }).toString())
    const plain = Array.from({ length: batch.length }, (_, row) => plainRow(batch, row))
    const wanted = plain.map((row) => names.map((name) => name! in row ? String(row[name!]) : undefined))
    for (const row of wanted) for (const [i, name] of names.entries()) if (row[i] === '' && isOctets(name!)) row[i] = undefined
    assert.deepEqual(rows, [...wanted, ...wanted])
  }), { seed: 1, numRuns: 200 })
})

function isOctets(name: string): boolean {
  return FIELDS.find((field) => field.name === name)?.type === 'octets'
}

test('nanoseconds are digits of the times beside them, and lost only with those', () => {
  const flows = [{ flow_start: 0, flow_start_ns: 7, flow_end: 1, flow_end_ns: 0 }]
  const lossOf = (fields?: number[]) => {
    const encoder = csv.encoder!(fields ? { fields } : {})
    encoder.encode(batchOf(flows))
    return lossByField(encoder.loss!()).map(({ name }) => name)
  }
  assert.deepEqual(lossOf(), [])
  assert.deepEqual(lossOf(ids('flow_start')), ['flow_end', 'flow_end_ns'])
})
