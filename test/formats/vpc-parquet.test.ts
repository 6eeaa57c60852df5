import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { FlowBatch } from '../../core/flow/batch.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { extraNames, extraValues } from '../../formats/extras.ts'
import type { FlowFormat, ReadRequest } from '../../formats/format.ts'
import { parquet, vpcParquet } from '../../formats/parquet.ts'
import { vpcLog } from '../../formats/vpc-log.ts'
import { runPlain } from '../core/duck/plain.ts'
import { plainRow } from './flows.ts'

const folder = await mkdtemp(join(tmpdir(), 'vpc-parquet-test-'))
after(() => rm(folder, { recursive: true }))

type Rows = Record<string, unknown>[]

function rowsOf(batch: FlowBatch): Rows {
  return Array.from({ length: batch.length }, (_, row) => {
    const fields = plainRow(batch, row)
    const { extras } = batch.shapes[batch.shape[row]]
    const names = extraNames(extras, Object.keys(fields))
    const values = extraValues(extras, batch, row)
    const others = names.map((name, i) => [name, values[i]] as const)
    return { ...fields, ...Object.fromEntries(others.sort(([a], [b]) => a < b ? -1 : 1)) }
  })
}

async function read(format: FlowFormat, path: string, request: Partial<ReadRequest> = {}): Promise<Rows> {
  const rows: Rows = []
  const onFault: ReadRequest['onFault'] = (fault) => assert.fail(fault.reason)
  for await (const batch of format.open!(path, { onFault, ...request })) rows.push(...rowsOf(batch))
  return rows
}

async function file(name: string, query: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(join(path, '..'), { recursive: true })
  await runPlain(`COPY (${query}) TO '${path}' (FORMAT parquet)`)
  return path
}

/** A query for rows of text, with the types that AWS gives its columns. */
function awsRows(header: string, lines: readonly string[]): string {
  const types: Readonly<Record<string, string>> = {
    version: 'INTEGER', srcport: 'INTEGER', dstport: 'INTEGER', protocol: 'INTEGER', packets: 'BIGINT',
    bytes: 'BIGINT', start: 'BIGINT', end: 'BIGINT', tcp_flags: 'INTEGER', traffic_path: 'INTEGER',
  }
  const names = header.replaceAll('-', '_').split(' ')
  const rows = lines.map((line) => line.split(' ').map((word, i) => (
    word === '-' ? 'NULL' : `'${word}'::${types[names[i]] ?? 'VARCHAR'}`
  )))
  const columns = names.map((name) => `"${name}"`).join()
  return `FROM (VALUES ${rows.map((row) => `(${row.join()})`).join()}) AS v(${columns})`
}

const HEADER = 'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start '
  + 'end action log-status vpc-id tcp-flags type pkt-srcaddr pkt-dstaddr flow-direction traffic-path'
const LINES = [
  '5 123456789010 eni-1 10.0.1.5 10.0.0.220 443 49152 6 20 4249 1418530010 1418530070 ACCEPT OK vpc-1 19 '
    + 'IPv4 10.0.1.5 203.0.113.5 egress 8',
  '5 123456789010 eni-1 2001:db8::1 2001:db8::2 1 2 17 1 40 1418530010 1418530070 REJECT OK vpc-1 0 IPv6 '
    + '- - ingress -',
  '5 123456789010 eni-1 - - - - - - - 1418530010 1418530070 - NODATA - - - - - - -',
  '5 unknown eni-1 10.0.0.1 10.0.0.2 - - 6 1 40 1418530010 1418530070 ACCEPT OK - - EFA - - - -',
]

test('the columns of a VPC flow log give what its text gives', async () => {
  const path = await file('a.parquet', awsRows(HEADER, LINES))
  const batch = new FlowBatch()
  const onFault: ReadRequest['onFault'] = (fault) => assert.fail(fault.reason)
  const text = Buffer.from(`${HEADER}\n${LINES.join('\n')}\n`)
  vpcLog.decoder!({ extras: true, onFault }).decode(text, 0, batch)
  const expected = rowsOf(batch)
  assert.equal(expected.length, 3)
  assert.deepEqual(expected[0], {
    type: 'VPC', flow_start: '2014-12-14T04:06:50Z', flow_end: '2014-12-14T04:07:50Z', bytes: 4249,
    packets: 20, proto: 6, src_addr: '10.0.1.5', dst_addr: '10.0.0.220', src_port: 443, dst_port: 49152,
    tcp_flags: 19, etype: 2048, direction: 1, forwarding_status: 64, pkt_src_addr: '10.0.1.5',
    pkt_dst_addr: '203.0.113.5', account_id: '123456789010', interface_id: 'eni-1', traffic_path: 8,
    vpc_id: 'vpc-1',
  })
  for (const format of [parquet, vpcParquet]) {
    const loss = newLoss()
    assert.deepEqual(await read(format, path, { extras: true, loss }), expected)
    assert.equal(loss.rows.unknown, 1)
  }
})

test('a folder of files by day is one log', async () => {
  const names = 'srcaddr dstaddr bytes'
  for (const day of [2, 1]) {
    const rows = awsRows(names, [`10.0.0.${day} 10.0.0.9 ${day}`])
    await file(`flows/year=2026/month=11/day=${day}/x.parquet`, rows)
  }
  assert.deepEqual(await read(vpcParquet, join(folder, 'flows')), [1, 2].map((day) => ({
    type: 'VPC', bytes: day, src_addr: `10.0.0.${day}`, dst_addr: '10.0.0.9', etype: 2048,
  })))
  await mkdir(join(folder, 'none'))
  await assert.rejects(read(vpcParquet, join(folder, 'none')), { code: 'ERR_INPUT' })
})

test('columns of any file fill the fields that a map gives them', async () => {
  const path = await file('map.parquet', `SELECT '10.0.0.1' AS client, 7 AS size, 5 AS bytes, 80 AS port_hi`)
  const map = new Map([['client', 'src_addr'], ['size', 'packets'], ['port_hi', 'dst_port']])
  assert.deepEqual(await read(parquet, path, { map }), [
    { bytes: 5, packets: 7, src_addr: '10.0.0.1', dst_port: 80 },
  ])
})

test('a map goes before the names of AWS', async () => {
  const rows = awsRows('account_id interface_id srcaddr bytes', ['1 eni-1 10.0.0.1 7'])
  const path = await file('mapped.parquet', rows)
  const map = new Map([['interface_id', 'in_if_name'], ['bytes', 'out_bytes']])
  assert.deepEqual(await read(parquet, path, { map, extras: true }), [{
    type: 'VPC', out_bytes: 7, src_addr: '10.0.0.1', etype: 2048, in_if_name: 'eni-1', account_id: '1',
  }])
})
