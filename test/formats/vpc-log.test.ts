import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { parseVpcFormat } from '../../core/cloud/vpc-fields.ts'
import { BATCH_SIZE } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { readFlows, type Fault } from '../../core/flow/stream.ts'
import { extraNames, extraValues } from '../../formats/extras.ts'
import type { ReadRequest } from '../../formats/format.ts'
import { vpcLog } from '../../formats/vpc-log.ts'
import { ids, plainRow } from './flows.ts'

interface Result {
  readonly rows: Record<string, unknown>[]
  readonly faults: Fault[]
  readonly error?: string
}

/** Read an input in chunks of some size; with extras, rows have these by their names. */
async function read(
  input: string | Uint8Array, request: Partial<ReadRequest> = {}, size: number = 1 << 20,
): Promise<Result> {
  const bytes = Buffer.from(input as string)
  const rows: Record<string, unknown>[] = []
  const faults: Fault[] = []
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  const decoder = vpcLog.decoder!({ onFault: (fault) => faults.push(fault), ...request })
  try {
    for await (const batch of readFlows(chunks(), decoder)) {
      for (let row = 0; row < batch.length; row++) {
        const { extras } = batch.shapes[batch.shape[row]]
        const fields = plainRow(batch, row)
        const names = extraNames(extras, Object.keys(fields))
        const values = extraValues(extras, batch, row)
        rows.push({ ...fields, ...Object.fromEntries(names.map((name, i) => [name, values[i]])) })
      }
    }
  } catch (error) {
    assert.ok(error instanceof FlowkitError, String(error))
    return { rows, faults, error: error.message }
  }
  return { rows, faults }
}

// the examples of AWS's documentation, "Flow log record examples"
const SSH = '2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 '
  + '1418530070 ACCEPT OK'
const RDP = '2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 '
  + '1418530070 REJECT OK'
const IPV6 = '2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 '
  + '2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK'
const NODATA = '2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA'
const SKIPDATA = '2 123456789010 eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA'

const SSH_ROW = {
  type: 'VPC', flow_start: '2014-12-14T04:06:50Z', flow_end: '2014-12-14T04:07:50Z', bytes: 4249, packets: 20,
  proto: 6, src_addr: '172.31.16.139', dst_addr: '172.31.16.21', src_port: 20641, dst_port: 22, etype: 2048,
  forwarding_status: 64,
}
const RDP_ROW = {
  ...SSH_ROW, src_addr: '172.31.9.69', dst_addr: '172.31.9.12', src_port: 49761, dst_port: 3389,
  forwarding_status: 128,
}
const IPV6_ROW = {
  ...SSH_ROW, flow_start: '2016-10-31T11:35:08Z', flow_end: '2016-10-31T11:37:00Z', bytes: 8855, packets: 54,
  src_addr: '2001:db8:1234:a100:8d6e:3477:df66:f105', dst_addr: '2001:db8:1234:a102:3304:8879:34cf:4071',
  src_port: 34892, etype: 34525,
}
const INTERFACE = { account_id: '123456789010', interface_id: 'eni-1235b8ca123456789' }

function message(...lines: string[]): string {
  return JSON.stringify({
    messageType: 'DATA_MESSAGE', owner: '123456789010', logGroup: 'flows', subscriptionFilters: ['all'],
    logEvents: lines.map((line, i) => ({ id: `${i}`, timestamp: 1418530010000, message: line })),
  })
}
const CONTROL = JSON.stringify({
  messageType: 'CONTROL_MESSAGE', owner: 'CloudwatchLogs', logGroup: '', logStream: '',
  logEvents: [{ id: '', timestamp: 1510109208016, message: 'CWL CONTROL MESSAGE: Checking health' }],
})
const packed = (text: string) => gzipSync(text).toString('base64')

test('records without a header have the fields of version 2; forwarded is 64, dropped 128', async () => {
  const { rows, faults } = await read(`${SSH}\n${RDP}\r\n\n${IPV6}`)
  assert.deepEqual(rows, [SSH_ROW, RDP_ROW, IPV6_ROW])
  assert.deepEqual(faults, [])
})

test('what has no field is kept by its name where that is wanted, else counted', async () => {
  assert.deepEqual((await read(`${SSH}\n`, { extras: true })).rows, [{ ...SSH_ROW, ...INTERFACE }])
  const loss = newLoss()
  await read(`${SSH}\n${RDP}\n`, { loss })
  assert.deepEqual([...loss.elements], [['account_id', 2], ['interface_id', 2]])
})

test('NODATA and SKIPDATA records are no flows and no faults', async () => {
  const loss = newLoss()
  const { rows, faults } = await read(`${NODATA}\n${SSH}\n${SKIPDATA}\n`, { loss, extras: true })
  assert.deepEqual(rows, [{ ...SSH_ROW, ...INTERFACE }])
  assert.deepEqual(faults, [])
  assert.equal(loss.rows.unknown, 2)
  assert.equal(loss.elements.size, 0)
})

test('a record that has data is a flow, whatever its status says', async () => {
  const { rows } = await read(SSH.replace('OK', 'SKIPDATA'), { extras: true })
  assert.deepEqual(rows, [{ ...SSH_ROW, ...INTERFACE, log_status: 'SKIPDATA' }])
})

test('a header names the fields, in any order, and another may follow', async () => {
  const log = [
    'version vpc-id type srcaddr dstaddr pkt-srcaddr pkt-dstaddr tcp-flags flow-direction traffic-path '
      + 'pkt-dst-aws-service reject-reason bytes',
    '8 vpc-1 IPv4 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5 19 egress 8 S3 - 7',
    '8 vpc-1 IPv6 2001:db8::1 2001:db8::2 - - 2 ingress - - BPA 8',
    'interface-id srcport dstport action',
    'eni-2 1 2 ACCEPT',
  ].join('\n')
  const base = { type: 'VPC', vpc_id: 'vpc-1' }
  assert.deepEqual((await read(log, { extras: true })).rows, [
    {
      ...base, src_addr: '10.0.1.5', dst_addr: '10.0.0.220', pkt_src_addr: '10.0.1.5',
      pkt_dst_addr: '203.0.113.5', tcp_flags: 19, direction: 1, etype: 2048, bytes: 7, traffic_path: 8,
      pkt_dst_aws_service: 'S3',
    },
    {
      ...base, src_addr: '2001:db8::1', dst_addr: '2001:db8::2', tcp_flags: 2, direction: 0, etype: 34525,
      bytes: 8, reject_reason: 'BPA',
    },
    { type: 'VPC', interface_id: 'eni-2', src_port: 1, dst_port: 2, forwarding_status: 64 },
  ])
})

test('words that are no value of their field are kept as they are', async () => {
  const vpcFormat = ['srcaddr', 'type', 'action', 'flow-direction', 'encryption-status', 'traffic-path']
  const { rows } = await read('10.0.0.1 EFA MAYBE sideways nitro 0', { vpcFormat, extras: true })
  assert.deepEqual(rows, [{
    type: 'VPC', src_addr: '10.0.0.1', type_2: 'EFA', action: 'MAYBE', flow_direction: 'sideways',
    encryption_status: 'nitro', traffic_path: 0, // the EtherType is not made up
  }])
})

test('the format can be given, as AWS writes it', async () => {
  const vpcFormat = parseVpcFormat('${bytes} ${srcaddr},dst_addr dstaddr')
  assert.deepEqual(vpcFormat, ['bytes', 'srcaddr', 'dst-addr', 'dstaddr'])
  const { rows } = await read('12 10.0.0.1 x 10.0.0.2\n', { vpcFormat, extras: true })
  assert.deepEqual(rows, [
    { type: 'VPC', src_addr: '10.0.0.1', dst_addr: '10.0.0.2', dst_addr_2: 'x', etype: 2048, bytes: 12 },
  ])
  for (const wrong of ['', '${a} ${a}', 'src/addr']) {
    assert.throws(() => parseVpcFormat(wrong), { code: 'ERR_OPTION' })
  }
})

test('a line that is no record is a fault, and the next is read', async () => {
  const bad = [
    SSH.replace('172.31.16.21', '172.31.16.256'), SSH.replace('20641', '65536'), SSH.replace(' OK', ''),
    SSH.replace(' 6 ', ' tcp '),
  ]
  const { rows, faults } = await read(`${bad.join('\n')}\n${SSH}\n`, { extras: true })
  assert.deepEqual(rows, [{ ...SSH_ROW, ...INTERFACE }])
  const record = 'Cannot read VPC flow log record:'
  assert.deepEqual(faults.map(({ reason }) => reason), [
    `${record} a value of dstaddr expected, "172.31.16.256" found`,
    `${record} a value of srcport expected, "65536" found`,
    `${record} 14 fields expected, 13 found: name them with --vpc-format`,
    `${record} a value of protocol expected, "tcp" found`,
  ])
  const input = bad.join('\n')
  assert.deepEqual(faults.map(({ offset }) => offset), bad.map((line) => input.indexOf(line)))
})

test('counters over 2^53 are cut there', async () => {
  const { rows } = await read(SSH.replace(' 4249 ', ' 18446744073709551615 '))
  assert.equal(rows[0].bytes, 2 ** 53)
})

test('lines of CloudWatch exports begin with a time, which counts where the record has none', async () => {
  const { rows } = await read(`2014-12-14T04:06:50.000Z ${SSH}\n2014-12-14T04:06:50.000Z ${NODATA}\n`)
  assert.deepEqual(rows, [SSH_ROW])
  const vpcFormat = ['srcaddr', 'bytes']
  assert.deepEqual((await read('2014-12-14T04:06:50.250Z 10.0.0.1 7', { vpcFormat })).rows, [
    { type: 'VPC', flow_start: '2014-12-14T04:06:50.250Z', bytes: 7, src_addr: '10.0.0.1', etype: 2048 },
  ])
})

test('messages to subscribers are read one after the other, control messages passed over', async () => {
  for (const between of ['', '\n', ',\n']) {
    const input = [CONTROL, message(SSH, `${NODATA}\n`, RDP), message(IPV6)].join(between)
    assert.deepEqual(await read(input), { rows: [SSH_ROW, RDP_ROW, IPV6_ROW], faults: [] })
  }
  const pretty = JSON.stringify(JSON.parse(message(SSH)), null, 2)
  assert.deepEqual((await read(`[${pretty},\n${pretty}]\n`)).rows, [SSH_ROW, SSH_ROW])
  const events = JSON.stringify({ events: [{ message: RDP, timestamp: 1, ingestionTime: 2 }] })
  assert.deepEqual((await read(events)).rows, [RDP_ROW])
})

test('the time of an event counts where its record has none', async () => {
  const { rows } = await read(message('10.0.0.1 7'), { vpcFormat: ['srcaddr', 'bytes'] })
  assert.deepEqual(rows, [
    { type: 'VPC', flow_start: '2014-12-14T04:06:50.000Z', bytes: 7, src_addr: '10.0.0.1', etype: 2048 },
  ])
})

test('what Lambda, Kinesis and Firehose hand on is unpacked', async () => {
  const lambda = JSON.stringify({ awslogs: { data: packed(message(SSH, RDP)) } })
  const kinesis = JSON.stringify({ Records: [
    { kinesis: { data: packed(message(SSH)) } }, { kinesis: { data: packed(CONTROL) } },
  ] })
  const firehose = JSON.stringify({ records: [
    { recordId: '1', data: packed(message(RDP) + message(SSH)) },
    { recordId: '2', data: Buffer.from(`${IPV6}\n`).toString('base64') },
  ] })
  const { rows, faults } = await read(lambda + kinesis + firehose)
  assert.deepEqual(rows, [SSH_ROW, RDP_ROW, SSH_ROW, RDP_ROW, SSH_ROW, IPV6_ROW])
  assert.deepEqual(faults, [])
})

test('an object that is damaged, or holds no log, is a fault at its place', async () => {
  const input = `{"a":1}\n{"b" 2}\n{"awslogs":{"data":"H4sIAAAA"}}\n${message('no record')}${message(SSH)}\n`
  const { rows, faults } = await read(input)
  assert.deepEqual(rows, [SSH_ROW])
  assert.deepEqual(faults.map(({ offset }) => offset), [0, 8, 16, 48])
  assert.match(faults[0].reason, /log events expected, none found$/)
  assert.match(faults[2].reason, /^Cannot unpack log events: /)
  let deep = message(SSH)
  for (let i = 0; i < 3; i++) deep = JSON.stringify({ awslogs: { data: packed(deep) } })
  assert.deepEqual((await read(deep)).faults.map(({ code }) => code), ['ERR_LIMIT'])
})

test('an object that is cut short ends the reading; what came before stands', async () => {
  const { rows, error } = await read(message(SSH) + message(RDP).slice(0, -1))
  assert.deepEqual(rows, [SSH_ROW])
  assert.match(error!, /^Cannot read the record at byte \d+: the input ends \d+ bytes into it$/)
})

test('chunks of any size give the same flows', async () => {
  const lambda = JSON.stringify({ awslogs: { data: packed(RDP) } })
  const input = `${SSH}\n${message(RDP, IPV6)}${SSH}\r\n${lambda}\n${IPV6}`
  const expected = [SSH_ROW, RDP_ROW, IPV6_ROW, SSH_ROW, RDP_ROW, IPV6_ROW]
  for (const size of [1, 2, 3, 7, 64, 100, 1000]) {
    assert.deepEqual(await read(input, {}, size), { rows: expected, faults: [] })
  }
})

test('more records than a batch holds come in several, from lines and from one message', async () => {
  const lines = Array.from({ length: BATCH_SIZE * 2 + 5 }, (_, i) => SSH.replace('4249', String(i)))
  const lambda = JSON.stringify({ awslogs: { data: packed(message(...lines)) } })
  for (const input of [lines.join('\n'), message(...lines), lambda]) {
    const { rows, faults } = await read(input, {}, 100_000)
    assert.deepEqual(rows.map(({ bytes }) => bytes), lines.map((_, i) => i))
    assert.deepEqual(faults, [])
  }
})

test('only what is wanted is there', async () => {
  assert.deepEqual((await read(SSH, { fields: ids('src_addr', 'bytes') })).rows, [
    { src_addr: '172.31.16.139', bytes: 4249 },
  ])
  assert.deepEqual((await read(SSH, { fields: ids('etype', 'flow_end') })).rows, [
    { etype: 2048, flow_end: '2014-12-14T04:07:50Z' },
  ])
})

test('logs are told by a header, by the shape of version 2, and by messages that hold such', () => {
  const probe = (text: string) => vpcLog.probe!(Buffer.from(text))
  for (const text of [
    `${SSH}\n`, NODATA, `2014-12-14T04:06:50.000Z ${RDP}\n`, message(IPV6), CONTROL,
    'version account-id interface-id srcaddr\n', JSON.stringify({ awslogs: { data: packed(SSH) } }),
    'vpc-1 eni-1235b8ca123456789 10.0.0.1 10.0.0.2 ACCEPT\n',
  ]) assert.ok(probe(text) >= 60, text)
  for (const text of [
    '', 'bytes packets proto\n', 'src_addr,dst_addr\n', '{"src_addr":"10.0.0.1"}', '2 words\n',
    message('START RequestId: 1'), '{"records":[{"data":"SGVsbG8="}]}',
    'Nov 21 10:00:00 host ACCEPT in=eth0 (x)\n',
  ]) assert.equal(probe(text), 0, text)
})

test('objects behind lines are read, whatever stands before them, in chunks of any size', async () => {
  for (const size of [1, 7, 1 << 20]) {
    const input = `${SSH}\n  ${message(RDP)}\n\t${IPV6}\n`
    assert.deepEqual(await read(input, {}, size), { rows: [SSH_ROW, RDP_ROW, IPV6_ROW], faults: [] })
  }
})

test('a line is refused once it is too long, whether its end has come or not', async () => {
  for (const end of ['', '\n']) {
    for (const size of [1000, 1 << 20]) {
      const { rows, error } = await read(`${SSH}\n${'x'.repeat(70_000)}${end}`, {}, size)
      assert.deepEqual(rows, [SSH_ROW])
      assert.match(error!, new RegExp(`^Cannot read line at byte ${SSH.length + 1}: at most 65536 bytes`))
    }
  }
  const { error } = await read(message('x'.repeat(70_000)))
  assert.match(error!, /^Cannot read line at byte 0: at most 65536 bytes/)
})

test('flow logs that are sent to Firehose are objects with a message each, one behind the other', async () => {
  const events = [SSH, NODATA, SSH].map((message) => JSON.stringify({ message }))
  for (const text of [events.join(''), events.join('\n'), `[${events.join()}]`]) {
    assert.equal(vpcLog.probe!(Buffer.from(text)), 90)
    for (const size of [1, 50, text.length]) assert.deepEqual((await read(text, {}, size)).rows, [SSH_ROW, SSH_ROW])
  }
  assert.equal(vpcLog.probe!(Buffer.from('{"message":"hello world"}')), 0)
})

test('a byte order mark before a header is passed over', async () => {
  const text = `\ufeffsrcaddr dstaddr log-status\n172.31.16.139 172.31.16.21 OK\n`
  assert.equal(vpcLog.probe!(Buffer.from(text)), 95)
  for (const size of [1, 2, 100]) {
    const { rows, faults } = await read(text, {}, size)
    assert.deepEqual([rows.map(({ dst_addr: address }) => address), faults], [['172.31.16.21'], []])
  }
})
