import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FlowkitError } from '../../core/flow/errors.ts'
import { lossByField } from '../../core/flow/loss.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { readFlows, type Fault } from '../../core/flow/stream.ts'
import type { ReadRequest } from '../../formats/format.ts'
import { ipfixFile } from '../../formats/ipfix-file.ts'
import { ip4, ip6, ipfix, join, rows, set, template, u16, u32, u64, u8, type Row } from '../core/netflow/messages.ts'
import { batchOf, bytesOf, ids, type Flow, type More } from './flows.ts'

interface Reading {
  readonly rows: readonly Row[]
  readonly faults: readonly Fault[]
  readonly error?: unknown
}

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
}

async function read(
  bytes: Uint8Array, request: Partial<ReadRequest> = {}, size: number = bytes.length,
): Promise<Reading> {
  const found: Row[] = []
  const faults: Fault[] = []
  try {
    const decoder = ipfixFile.decoder!({ ...request, onFault: (fault) => faults.push(fault) })
    for await (const batch of readFlows(chunks(bytes, size), decoder)) found.push(...rows(batch))
  } catch (error) {
    return { rows: found, faults, error }
  }
  return { rows: found, faults }
}

/** sourceIPv4Address and protocolIdentifier. */
const TEMPLATE = set(2, template(256, [8, 4], [4, 1]))

function data(address: string, proto: number): Uint8Array {
  return set(256, ip4(address), u8(proto))
}

function flow(address: string, proto: number, domain: number = 0, sequence: number = 0): Row {
  const own = { src_addr: address, proto, etype: 0x800 }
  return { type: FLOW_TYPE.IPFIX, ...own, observation_domain_id: domain, sequence_num: sequence }
}

test('messages of several domains are read, and nobody makes up when and from whom they came', async () => {
  const bytes = join(
    ipfix({ domain: 1 }, TEMPLATE, data('192.0.2.1', 6)),
    ipfix({ domain: 2 }, set(2, template(256, [4, 1])), set(256, u8(17))),
    ipfix({ domain: 1, sequence: 1 }, data('192.0.2.2', 17)),
  )
  const expected = [
    flow('192.0.2.1', 6, 1),
    { type: FLOW_TYPE.IPFIX, proto: 17, observation_domain_id: 2, sequence_num: 0 },
    flow('192.0.2.2', 17, 1, 1),
  ]
  for (const size of [1, 10, bytes.length]) {
    const found = await read(bytes, {}, size)
    assert.deepEqual(found, { rows: expected, faults: [] })
  }
})

test('records can tell when they were collected, and which exporter they came from', async () => {
  const fields = template(256, [258, 8], [130, 4], [4, 1])
  const six = template(257, [131, 16], [4, 1])
  const bytes = ipfix({}, set(2, fields, six), set(256, u64(1_795_165_200_125), ip4('192.0.2.9'), u8(6)),
    set(257, ip6('2001:db8::9'), u8(17)))
  const request = { fields: ids('received', 'exporter_addr', 'agent_addr', 'proto') }
  assert.deepEqual((await read(bytes, request)).rows, [
    { received: 1_795_165_200_125_000, exporter_addr: '192.0.2.9', proto: 6 },
    { exporter_addr: '2001:db8::9', proto: 17 },
  ])
})

test('data waits for a template that comes late, and is missed where none comes', async () => {
  const late = join(ipfix({}, data('192.0.2.1', 6)), ipfix({ sequence: 1 }, TEMPLATE))
  assert.deepEqual(await read(late), { rows: [flow('192.0.2.1', 6)], faults: [] })
  const { rows: none, faults } = await read(ipfix({}, data('192.0.2.1', 6), data('192.0.2.2', 6)))
  assert.deepEqual(none, [])
  const reason = 'Cannot decode 2 data sets: their templates did not come'
  assert.deepEqual(faults, [{ code: 'ERR_MALFORMED', reason }])
})

test('more domains are read than a device has', async () => {
  const all = Array.from({ length: 600 }, (_, domain) => domain)
  const bytes = join(
    ...all.map((domain) => ipfix({ domain }, TEMPLATE)), ...all.map((domain) => ipfix({ domain }, data('192.0.2.1', 6))),
  )
  assert.deepEqual((await read(bytes)).rows, all.map((domain) => flow('192.0.2.1', 6, domain)))
})

const FIRST = ipfix({}, TEMPLATE, data('192.0.2.1', 6))
const SECOND = ipfix({ sequence: 1 }, data('192.0.2.2', 6))
const THIRD = ipfix({ sequence: 2 }, data('192.0.2.3', 6))
const EXPECTED = [flow('192.0.2.1', 6), flow('192.0.2.3', 6, 0, 2)]

/** `message` with two bytes of it changed. */
function changed(message: Uint8Array, at: number, value: number): Uint8Array {
  const copy = message.slice()
  copy.set(u16(value), at)
  return copy
}

for (const [what, damaged, found] of [
  ['a wrong version', changed(SECOND, 0, 11), 'version 11 and length 25'],
  ['a length too short to be one', changed(SECOND, 2, 15), 'version 10 and length 15'],
  ['a length that ends inside a set', changed(SECOND, 2, 23), 'version 10 and length 23'],
  ['a length that ends in the next message', changed(SECOND, 2, 30), 'version 10 and length 30'],
  ['a length that is behind the end of the file', changed(SECOND, 2, 0xffff), 'version 10 and length 65535'],
  ['other bytes in place of a message', new Uint8Array(1000).fill(0xee), 'version 61166 and length 61166'],
] as const) {
  test(`${what} is one fault, and reading goes on at the next message`, async () => {
    const bytes = join(FIRST, damaged, THIRD, ipfix({ sequence: 3 }, TEMPLATE))
    const reason = `Cannot read IPFIX message: version 10 and a length that leads to the next message expected, ${found} found`
    for (const size of [1, 20, bytes.length]) {
      const { rows: good, faults, error } = await read(bytes, {}, size)
      assert.deepEqual(good, EXPECTED)
      assert.deepEqual(faults, [{ code: 'ERR_MALFORMED', reason, offset: FIRST.length }])
      assert.equal(error, undefined)
    }
  })
}

test('a message whose sets are bad is a fault and left out whole', async () => {
  const bad = changed(SECOND, 18, 3) // a set of 3 bytes
  assert.deepEqual(await read(join(FIRST, bad, THIRD)), {
    rows: EXPECTED,
    faults: [{
      code: 'ERR_MALFORMED', reason: 'Cannot decode set: 9 bytes are left, its length is 3', offset: FIRST.length,
    }],
  })
})

test('a file that ends inside a message is cut short', async () => {
  const { rows: good, faults, error } = await read(join(FIRST, THIRD.subarray(0, 20)))
  assert.deepEqual([good, faults], [[EXPECTED[0]], []])
  assert.ok(error instanceof FlowkitError)
  assert.equal(error.message, `Cannot read the record at byte ${FIRST.length}: the input ends 20 bytes into it`)
  const behind = await read(join(FIRST, changed(SECOND, 2, 0xffff), THIRD, THIRD.subarray(0, 20)))
  assert.deepEqual(behind.rows, EXPECTED)
  assert.deepEqual(behind.faults.map(({ code, offset }) => [code, offset]), [
    ['ERR_MALFORMED', FIRST.length], ['ERR_TRUNCATED', FIRST.length + SECOND.length + THIRD.length],
  ])
})

test('an input without any message is one fault', async () => {
  for (const size of [1, 100]) {
    const { rows: none, faults, error } = await read(new Uint8Array(100).fill(7), {}, size)
    assert.deepEqual([none, faults.map(({ offset }) => offset), error], [[], [0], undefined])
  }
})

test('it is told from its first header and set', () => {
  assert.equal(ipfixFile.probe!(FIRST), 85)
  assert.equal(ipfixFile.probe!(FIRST.subarray(0, 20)), 85)
  assert.equal(ipfixFile.probe!(FIRST.subarray(0, 19)), 0)
  assert.equal(ipfixFile.probe!(ipfix({ secs: 1000 }, TEMPLATE)), 0)
  assert.equal(ipfixFile.probe!(ipfix({}, set(4, u32(0)))), 0)
  assert.equal(ipfixFile.probe!(changed(FIRST, 18, 100)), 0) // the set is longer than the message
  assert.equal(ipfixFile.probe!(ipfix({})), 0)
})

/** What is written of flows and read again, and what was lost. */
async function again(flows: readonly Flow[], more: More = {}): Promise<Reading & { loss: unknown }> {
  const encoder = ipfixFile.encoder!({})
  const bytes = Buffer.concat([Buffer.from(encoder.encode(batchOf(flows, more))), encoder.finish!()])
  return { ...await read(bytes, { extras: true }), loss: lossByField(encoder.loss!()) }
}

const START = 1_795_165_190_123_456

test('flows are written with when and from whom they came, and come back', async () => {
  const flows: Flow[] = [
    {
      received: START + 544, exporter_addr: '192.0.2.9', observation_domain_id: 7, flow_start: START, flow_end: START + 1,
      bytes: 2 ** 40, packets: 3, src_addr: '10.0.0.1', dst_addr: '10.0.0.2', user_name: 'a',
    },
    { exporter_addr: '2001:db8::9', observation_domain_id: 8, proto: 6, src_addr: '2001:db8::1', flow_start: 2e15 },
    { observation_domain_id: 7, proto: 17, flow_start: START + 7, flow_end: START + 8 },
  ]
  const { rows: found, faults, loss } = await again(flows)
  const header = { type: FLOW_TYPE.IPFIX, sequence_num: 0 }
  assert.deepEqual([faults, loss], [[], []])
  assert.deepEqual(found, [
    { ...header, ...flows[0], etype: 0x800 },
    { ...header, ...flows[2], sequence_num: 0 },
    { ...header, ...flows[1], etype: 0x86dd },
  ])
})

test('times have all their digits, and what is cut off is told', async () => {
  const nanos = { flow_start: START, flow_start_ns: 789, flow_end: START + 1, flow_end_ns: 1 }
  for (const digits of [-1, 9] as const) {
    const { rows: [found], loss } = await again([nanos], { digits })
    assert.deepEqual(found, { type: FLOW_TYPE.IPFIX, ...nanos, observation_domain_id: 0, sequence_num: 0 })
    assert.deepEqual(loss, [])
  }
  const { loss } = await again([{ received: START, agent_addr: '192.0.2.1', sub_agent_id: 3, proto: 6 }])
  assert.deepEqual(loss, [
    { name: 'received', leftOut: 0, narrowed: 1 }, { name: 'agent_addr', leftOut: 1, narrowed: 0 },
    { name: 'sub_agent_id', leftOut: 1, narrowed: 0 },
  ])
})

test('templates are announced once, and sequence numbers count the data records of their domain', () => {
  const flows = Array.from({ length: 6000 }, (_, i): Flow => (
    { observation_domain_id: i % 2, flow_start: START, src_addr: '192.0.2.1', dst_addr: '192.0.2.2', bytes: i }
  ))
  const bytes = bytesOf(ipfixFile, [batchOf(flows), batchOf(flows)])
  const counts = new Map<number, number>()
  let templates = 0
  for (let at = 0; at < bytes.length; at += bytes.readUInt16BE(at + 2)) {
    assert.equal(bytes.readUInt16BE(at), 10)
    const domain = bytes.readUInt32BE(at + 12)
    assert.equal(bytes.readUInt32BE(at + 8), counts.get(domain) ?? 0)
    for (let set = at + 16; set < at + bytes.readUInt16BE(at + 2); set += bytes.readUInt16BE(set + 2)) {
      if (bytes.readUInt16BE(set) === 2) templates++
      else counts.set(domain, (counts.get(domain) ?? 0) + Math.floor((bytes.readUInt16BE(set + 2) - 4) / 24))
    }
  }
  assert.deepEqual([...counts], [[0, 6000], [1, 6000]])
  assert.equal(templates, 2)
})

test('elements without a field are kept as they are', async () => {
  const extras = [{ pen: 0, id: 460, length: 65535 }, { pen: 4242, id: 7, length: 2 }]
  const { rows: [found], loss } = await again([{ proto: 6 }], { extras, extraBytes: Buffer.of(0, 2, 104, 105, 1, 2) })
  assert.deepEqual(found['extras'], ['0/460=6869', '4242/7=0102'])
  assert.deepEqual(loss, [])
})
