import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { mkdtemp, readdir, readFile as readBytes, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { lossByField } from '../../core/flow/loss.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import {
  fileOf, header, readBatch, readFile, recordBytes, RECORDS, tlv, uint, valuesOf,
} from './flow-tools-files.ts'
import { batches, batchOf, bytesOf, plainRow, type Flow } from './flows.ts'

const START = Date.parse('2024-05-01T12:00:00.500Z') * 1000
const FLOW = {
  src_addr: '10.0.0.1', dst_addr: '10.0.0.2', proto: 6, src_port: 1024, dst_port: 443, packets: 3, bytes: 200,
  flow_start: START, flow_end: START + 750_000,
} satisfies Flow

/** What becomes of flows that are written and read again. */
async function again(flows: readonly Flow[], version?: string): Promise<Record<string, unknown>[]> {
  const file = bytesOf(flowTools, [batchOf(flows)], version === undefined ? {} : { version })
  const { rows, error } = await readFile(file)
  assert.equal(error, undefined)
  return rows
}

for (const version of Object.keys(RECORDS)) {
  test(`flows of version ${version} are written as they were read`, () => {
    const values = valuesOf(version)
    const flows = [
      values, { ...values, dPkts: 4_294_967_295, unix_nsecs: 999_999_999 },
      { ...values, sysUpTime: 5000, First: 4_294_967_290, Last: 6000 }, // it came round, and is behind
      { ...values, sysUpTime: 0, First: 4_294_967_295, Last: 0 },
    ]
    const records = flows.map((values) => recordBytes(RECORDS[version], values, true))
    for (const little of [true, false]) {
      const encoder = flowTools.encoder!({ compression: 'none' })
      const batch = readBatch(fileOf(version, flows, { little }))
      const file = Buffer.concat([encoder.encode(batch), encoder.finish!()])
      assert.deepEqual(file, Buffer.concat([header(version, 8), ...records]))
      assert.deepEqual(lossByField(encoder.loss!()), [])
    }
  })
}

test('records are packed as one zlib stream, at the level asked for', async () => {
  const flows = Array.from({ length: 500 }, (_, i) => ({ ...FLOW, packets: i, src_port: i * 131 % 65536 }))
  const records = (file: Buffer, from: number) => file.subarray(from)
  const two = [batchOf(flows.slice(0, 300)), batchOf(flows.slice(300))]
  const plain = bytesOf(flowTools, two, { compression: 'none' })
  assert.deepEqual(bytesOf(flowTools, two, { compression: 'zlib:0' }), plain)
  const head = header('5', 8).length
  const sizes: number[] = []
  for (const [compression, first] of [['zlib:1', 0x7801], ['zlib:6', 0x789c], ['zlib:9', 0x78da]] as const) {
    const file = bytesOf(flowTools, two, { compression })
    assert.deepEqual(file.subarray(0, head), header('5', 10))
    assert.equal(file.readUInt16BE(head), first)
    assert.deepEqual(inflateSync(records(file, head)), records(plain, head))
    sizes.push(file.length)
  }
  assert.ok(sizes[0] > sizes[2])
  assert.deepEqual(bytesOf(flowTools, two), bytesOf(flowTools, two, { compression: 'zlib:6' }))
  for (const compression of ['zlib:10', 'lzo', 'zlib:']) {
    const found = `none, zlib or zlib:0 to zlib:9 wanted, ${compression} found`
    assert.throws(() => flowTools.encoder!({ compression }), {
      code: 'ERR_OPTION', message: `Cannot compress flow-tools files: ${found}`,
    })
  }
})

test('a stream without flows is a header', async () => {
  assert.deepEqual(bytesOf(flowTools, [], { compression: 'none' }), header('5', 8))
  const none = { rows: [], error: undefined }
  assert.deepEqual(await readFile(bytesOf(flowTools, [])), none)
  assert.deepEqual(await readFile(bytesOf(flowTools, [batchOf([])], { version: '8.3' })), none)
})

test('flows without the clock of their exporter get one, and keep their times', async () => {
  const [row] = await again([FLOW])
  const { flow_start, flow_end, packets, export_secs, sys_uptime } = row
  assert.deepEqual({ flow_start, flow_end, packets }, {
    flow_start: '2024-05-01T12:00:00.500Z', flow_end: '2024-05-01T12:00:01.250Z', packets: 3,
  })
  assert.equal(export_secs, Date.parse('2024-05-01T12:00:01Z') / 1000) // it was exported when it had ended
  assert.equal(sys_uptime, 604_800_000)
})

test('the version is the one that has the fields of the first flows', async () => {
  async function types(...flows: Flow[]): Promise<unknown[]> {
    return (await again(flows)).map(({ type, aggregation }) => [type, aggregation])
  }
  assert.deepEqual(await types(FLOW), [['NETFLOW_V5', undefined]])
  assert.deepEqual(await types({ ...FLOW, type: 5 }), [['NETFLOW_V1', undefined]])
  assert.deepEqual(await types({ ...FLOW, type: 5 }, { ...FLOW, type: 2 }), [
    ['NETFLOW_V5', undefined], ['NETFLOW_V5', undefined],
  ])
  assert.deepEqual(await types({ ...FLOW, in_encaps: 1 }), [['NETFLOW_V6', undefined]])
  assert.deepEqual(await types(FLOW, { ...FLOW, router_sc: '10.9.9.9' }), [
    ['NETFLOW_V7', undefined], ['NETFLOW_V7', undefined],
  ])
  assert.deepEqual(await types({ ...FLOW, aggregation: 11 }), [['NETFLOW_V8', 11]])
  assert.deepEqual(await types({ ...FLOW, aggregation: 11 }, { ...FLOW, aggregation: 12 }), [
    ['NETFLOW_V5', undefined], ['NETFLOW_V5', undefined],
  ])
  assert.deepEqual(await types({ ...FLOW, aggregation: 15 }), [['NETFLOW_V5', undefined]])
  const late = bytesOf(flowTools, [batchOf([]), batchOf([{ ...FLOW, aggregation: 2 }])])
  assert.deepEqual((await readFile(late)).rows.map(({ aggregation }) => aggregation), [2])
  const [tagged] = await again([{ ...FLOW, src_tag: 0x10001, router_sc: '10.9.9.9' }])
  assert.deepEqual([tagged.src_tag, tagged.dst_tag, tagged.router_sc], [0x10001, 0, undefined])
  const [asked] = await again([{ ...FLOW, src_tag: 0x10001, router_sc: '10.9.9.9' }], '7')
  assert.deepEqual([asked.src_tag, asked.router_sc], [undefined, '10.9.9.9'])
  assert.throws(() => flowTools.encoder!({ version: '9' }), {
    code: 'ERR_OPTION',
    message: /^Cannot write version of flow-tools: one of 1, 5, 6, 7, .*8\.14.* wanted, 9 found$/,
  })
})

test('what a version has no place for is told', () => {
  const encoder = flowTools.encoder!({})
  encoder.encode(batchOf([
    { ...FLOW, vlan_id: 5, flows: 3, next_hop: '2001:db8::1', exporter_addr: '2001:db8::2', src_as: 70_000 },
    { ...FLOW, bytes: 5_000_000_000, flow_end: FLOW.flow_end + 250, tcp_flags: 0x112, in_if: 65_536 },
    { ...FLOW, exporter_addr: null, dst_port: 0, proto: 1, icmp_type: 8, icmp_code: 1 },
    { ...FLOW, icmp_type: 8, icmp_code: 0 }, { ...FLOW, dst_port: 0, proto: 1, icmp_code: 1 },
    { ...FLOW, src_addr: '2001:db8::3' }, { ...FLOW, dst_addr: '2001:db8::4' },
  ]))
  const loss = encoder.loss!()
  assert.equal(loss.rows.ipv6, 2)
  assert.deepEqual(lossByField(loss), [
    { name: 'exporter_addr', leftOut: 1, narrowed: 0 }, { name: 'flow_end', leftOut: 0, narrowed: 1 },
    { name: 'bytes', leftOut: 0, narrowed: 1 }, { name: 'flows', leftOut: 1, narrowed: 0 },
    { name: 'tcp_flags', leftOut: 0, narrowed: 1 }, { name: 'icmp_type', leftOut: 1, narrowed: 0 },
    { name: 'icmp_code', leftOut: 2, narrowed: 0 }, { name: 'in_if', leftOut: 0, narrowed: 1 },
    { name: 'src_as', leftOut: 0, narrowed: 1 }, { name: 'next_hop', leftOut: 1, narrowed: 0 },
    { name: 'vlan_id', leftOut: 1, narrowed: 0 },
  ])
})

test('numbers that are too large become the largest, and ICMP goes into the port', async () => {
  const rows = await again([
    { ...FLOW, bytes: 5_000_000_000, in_if: 70_000, src_as: 70_000, tcp_flags: 0x112 },
    { ...FLOW, proto: 1, dst_port: 0, icmp_type: 8, icmp_code: 1 },
  ])
  const [{ bytes, in_if, src_as, tcp_flags }, { dst_port }] = rows
  assert.deepEqual({ bytes, in_if, src_as, tcp_flags }, {
    bytes: 4_294_967_295, in_if: 65_535, src_as: 23_456, tcp_flags: 0x12,
  })
  assert.equal(dst_port, 8 << 8 | 1)
})

test('a record of addresses keeps out IPv6, one without them does not', async () => {
  const v6 = { ...FLOW, src_addr: '2001:db8::1', dst_addr: '2001:db8::2', src_as: 1, dst_as: 2 }
  assert.deepEqual(await again([v6]), [])
  assert.deepEqual((await again([v6, FLOW])).map(({ src_addr }) => src_addr), ['10.0.0.1'])
  assert.deepEqual((await again([v6], '8.1')).map(({ src_as, packets }) => [src_as, packets]), [[1, 3]])
})

test('names of interfaces go into the header, those of the first flows', async () => {
  const named = {
    ...FLOW, exporter_addr: '192.0.2.1', in_if: 1, out_if: 2, in_if_name: 'ge-0/0/0', out_if_name: 'lo0',
  }
  const encoder = flowTools.encoder!({})
  const batches = [
    [named, { ...named, in_if: 2, in_if_name: 'other' }, { ...named, exporter_addr: '192.0.2.2' }],
    [named, { ...named, in_if: 7, in_if_name: 'late' }],
  ]
  const file = Buffer.concat([
    ...batches.map((flows) => Buffer.from(encoder.encode(batchOf(flows)))), encoder.finish!(),
  ])
  const { rows } = await readFile(file)
  assert.deepEqual(rows.map(({ in_if_name, out_if_name }) => [in_if_name, out_if_name]), [
    ['ge-0/0/0', 'lo0'], ['lo0', 'lo0'], ['ge-0/0/0', 'lo0'], ['ge-0/0/0', 'lo0'], [undefined, 'lo0'],
  ])
  assert.deepEqual(lossByField(encoder.loss!()), [{ name: 'in_if_name', leftOut: 2, narrowed: 0 }])
  const many = Array.from({ length: 3000 }, (_, i) => (
    { ...named, in_if: i + 9, in_if_name: `interface ${i}` }
  ))
  const full = flowTools.encoder!({})
  const crowded = await readFile(Buffer.concat([full.encode(batchOf(many)), full.finish!()]))
  assert.equal(crowded.error, undefined)
  const kept = crowded.rows.filter(({ in_if_name }) => in_if_name !== undefined).length
  assert.ok(kept > 500)
  assert.equal(lossByField(full.loss!())[0].leftOut, 3000 - kept)
})

test('a file tells in the end how many flows it has and when they were exported', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flow-tools-'))
  try {
    const path = join(folder, 'x.ft')
    const clock = { export_nsecs: 0, sys_uptime: 1000 }
    const writer = await flowTools.create!(path, { compression: 'none' })
    await writer.write(batchOf([{ ...FLOW, ...clock, export_secs: 1_700_000_060 }]))
    await writer.write(batchOf([
      { ...FLOW, ...clock, export_secs: 1_700_000_000 }, { ...FLOW, src_addr: '::1' },
    ]))
    assert.deepEqual(await readdir(folder).then((names) => names.filter((name) => !name.startsWith('.'))), [])
    await writer.close()
    const file = await readBytes(path)
    const number = (type: number, value: number) => tlv(type, uint(value, 4, true))
    const head = header('5', 1, true, number(6, 1_700_000_000), number(7, 1_700_000_060), number(10, 2))
    assert.deepEqual(file.subarray(0, head.length), head)
    assert.equal(file.length, head.length + 2 * 64)
    assert.equal((await readFile(file)).rows.length, 2)
    assert.equal(writer.loss!().rows.ipv6, 1)

    const empty = await flowTools.create!(join(folder, 'empty.ft'), {})
    await empty.close()
    const none = await readFile(await readBytes(join(folder, 'empty.ft')))
    assert.deepEqual(none, { rows: [], error: undefined })

    const given = await flowTools.create!(join(folder, 'given-up.ft'), {})
    await given.write(batchOf([FLOW]))
    await given.abort()
    assert.deepEqual((await readdir(folder)).sort(), ['empty.ft', 'x.ft'])
    await assert.rejects(flowTools.create!(join(folder, 'y.ft'), { version: '3' }), { code: 'ERR_OPTION' })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('whatever flows there are, all that have a record are read again, with the numbers that fit', () => {
  fc.assert(fc.property(batches, (batch) => {
    const encoder = flowTools.encoder!({ compression: 'none' })
    const file = Buffer.concat([encoder.encode(batch), encoder.finish!()])
    const read = readBatch(file)
    assert.equal(read.length, batch.length - encoder.loss!().rows.ipv6)
    const written = rowsOf(batch).filter((row) => isIpv4(row.src_addr) && isIpv4(row.dst_addr))
    if (written.length !== read.length) return // records of v8 that have one address or none
    for (const [i, row] of rowsOf(read).entries()) {
      for (const name of ['proto', 'tos', 'src_port', 'dst_port', 'src_addr', 'src_mask', 'engine_id']) {
        const isIcmp = name === 'dst_port' && written[i].icmp_type !== undefined
        if (name in row && name in written[i] && !isIcmp) assert.equal(row[name], written[i][name], name)
      }
    }
  }), { numRuns: 300 })
})

function rowsOf(batch: FlowBatch): Record<string, unknown>[] {
  return Array.from({ length: batch.length }, (_, row) => plainRow(batch, row))
}

function isIpv4(address: unknown): boolean {
  return typeof address !== 'string' || !address.includes(':')
}
