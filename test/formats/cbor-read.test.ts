import { test } from 'node:test'
import assert from 'node:assert/strict'
import { decodeMultiple, Encoder } from 'cbor-x'
import fc from 'fast-check'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { readFlows, type Fault } from '../../core/flow/stream.ts'
import { cbor } from '../../formats/cbor.ts'
import type { ReadRequest } from '../../formats/format.ts'
import { batches, batchOf, bytesOf, largest, plainRow, type Flow } from './flows.ts'

interface Reading {
  readonly rows: readonly Record<string, unknown>[]
  readonly faults: readonly Fault[]
  readonly error?: unknown
}

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
}

async function read(
  bytes: Uint8Array, request: Partial<ReadRequest> = {}, size: number = bytes.length,
): Promise<Reading> {
  const rows: Record<string, unknown>[] = []
  const faults: Fault[] = []
  try {
    const decoder = cbor.decoder!({ ...request, onFault: (fault) => faults.push(fault) })
    for await (const batch of readFlows(chunks(bytes, size), decoder)) rows.push(...plainRows(batch))
  } catch (error) {
    return { rows, faults, error }
  }
  return { rows, faults }
}

function plainRows(batch: FlowBatch): Record<string, unknown>[] {
  return Array.from({ length: batch.length }, (_, row) => plainRow(batch, row))
}

/** Bytes from hexadecimal text, text in quotes being CBOR text of less than 24 bytes. */
function items(text: string): Uint8Array {
  const hex = text.replace(/'([^']*)'/g, (_, inner: string) => (
    Buffer.concat([Buffer.of(0x60 + inner.length), Buffer.from(inner)]).toString('hex')
  ))
  return Buffer.from(hex.replace(/\s/g, ''), 'hex')
}

const TIME = `7827${Buffer.from('microseconds since 1970-01-01T00:00:00Z').toString('hex')}`
/** flowkit's header for proto and bytes, 82 bytes of it. */
const HEADER = `a4 'flowkit' 01 'fields' 82 'proto' 'bytes' 'types' 82 'uint' 'uint' 'time' ${TIME}`

/** An encoder of others: plain maps, no records of its own. */
const others = new Encoder({ useRecords: false, tagUint8Array: false, variableMapSize: true })

test('rows are read by the names that the header gives them', async () => {
  const block = '83 82 06 1903e8 82 f6 00 82 11 1b0020000000000000'
  const { rows, faults } = await read(items(`${HEADER} ${block}`))
  assert.deepEqual(rows, [{ proto: 6, bytes: 1000 }, { bytes: 0 }, { proto: 17, bytes: 2 ** 53 }])
  assert.deepEqual(faults, [])
})

test('what flowkit writes it reads again, in chunks of any size', async () => {
  const flows: Flow[] = [
    {
      type: FLOW_TYPE.IPFIX, flow_start: 1_763_700_000_123_456, flow_start_ns: 789, proto: 17, src_addr: '2001:db8::1',
      src_mac: '02:00:00:00:00:01', user_name: 'ü', in_acl: Uint8Array.of(1, 2), flow_id: 2n ** 64n - 1n,
    },
    { user_name: '', in_acl: Uint8Array.of(), src_addr: '192.0.2.1', flow_start: -1, flow_id: 2n ** 53n + 1n },
    {},
  ]
  const batch = batchOf(flows)
  const bytes = bytesOf(cbor, [batch, batchOf([{ tag: 7 }])])
  for (const size of [1, 7, bytes.length]) {
    assert.deepEqual(await read(bytes, {}, size), { rows: [...plainRows(batch), { tag: 7 }], faults: [] })
  }
})

test('every field at its largest comes back', async () => {
  for (const field of FIELDS) {
    const batch = batchOf([{ [field.name]: field.id === ID.type ? FLOW_TYPE.SFLOW_5 : largest(field) }])
    assert.deepEqual((await read(bytesOf(cbor, [batch]))).rows, plainRows(batch), field.name)
  }
})

test('random batches come back', async () => {
  await fc.assert(fc.asyncProperty(batches, async (batch) => {
    const { rows, faults } = await read(bytesOf(cbor, [batch]))
    assert.deepEqual(faults, [])
    assert.deepEqual(rows.map(withoutDigits), plainRows(batch).map(withoutDigits))
  }), { seed: 1, numRuns: 100 })
})

/** Times to the second: how many digits the source had is not written. */
function withoutDigits(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => {
    const isTime = FIELDS.some((field) => field.name === name && field.type === 'time')
    return [name, isTime ? String(value).replace(/(\.\d+)?Z$/, '') : value]
  }))
}

test('elements without a field come back when they are wanted, and else are lost', async () => {
  const extras = [{ pen: 0, id: 460, length: 65535 }, { pen: 0, id: 434, length: 4 }]
  const extraBytes = Buffer.of(0, 2, 104, 105, 0, 0, 1, 0)
  const batch = batchOf([{ proto: 6 }], { extras, extraBytes })
  const bytes = bytesOf(cbor, [batch, batchOf([{ proto: 7 }])], { extras: true })
  const decoder = cbor.decoder!({ extras: true, onFault: ({ reason }) => assert.fail(reason) })
  for await (const found of readFlows(chunks(bytes, 9), decoder)) {
    assert.deepEqual((decodeMultiple(bytesOf(cbor, [found], { extras: true })) as unknown[]).slice(1), [
      [[6, { httpRequestHost: 'hi', mibObjectValueInteger: 256 }], [7, null]],
    ])
  }
  const loss = newLoss()
  assert.deepEqual((await read(bytes, { loss })).rows, [{ proto: 6 }, { proto: 7 }])
  assert.deepEqual([...loss.elements], [['httpRequestHost', 1], ['mibObjectValueInteger', 1]])
})

test("maps of other tools are flows, by any tool's names or by a map of names", async () => {
  const flows = [
    { src_addr: '192.0.2.1', dst_port: 443, in_bytes: 10, flow_id: 2n ** 64n - 1n, user: 'a' },
    { sampler_address: Buffer.of(192, 0, 2, 9), src_mac: Buffer.of(2, 0, 0, 0, 0, 1), src_addr: Buffer.alloc(16, 1) },
  ]
  const expected = [
    { src_addr: '192.0.2.1', dst_port: 443, bytes: 10, flow_id: '18446744073709551615', user_name: 'a' },
    { exporter_addr: '192.0.2.9', src_mac: '02:00:00:00:00:01', src_addr: '101:101:101:101:101:101:101:101' },
  ]
  const map = new Map([['user', 'user_name']])
  const sequence = Buffer.concat(flows.map((flow) => others.encode(flow)))
  for (const bytes of [sequence, others.encode(flows), Buffer.concat([items('9f'), sequence, items('ff')])]) {
    for (const size of [1, bytes.length]) {
      assert.deepEqual(await read(bytes, { map }, size), { rows: expected, faults: [] })
    }
  }
})

test('numbers, times and strings are read in each of their forms', async () => {
  // RFC 8949: bignum (3.4.3), epoch time as integer and as float (3.4.2), half float, strings in chunks (3.2.3)
  const forms = items(`bf 'flow_id' c2 49 010000000000000000
    'bytes' c2 42 0100 'packets' f94400 'flow_start' c1 1a514b67b0 'flow_end' c1 fb41d452d9ec200000
    'user_name' 7f 6161 6162 ff 'in_acl' 5f 4101 4102 ff 'proto' d864 06 'tag' f7 'tos' f6 ff`)
  assert.deepEqual((await read(forms)).rows, [{
    bytes: 256, packets: 4, flow_start: '2013-03-21T20:04:00.000000Z', flow_end: '2013-03-21T20:04:00.500000Z',
    user_name: 'ab', in_acl: '0102', proto: 6,
  }])
  assert.deepEqual((await read(Buffer.concat([items('d9d9f7'), items(HEADER), items('818206d9d9f705')]))).rows, [
    { proto: 6, bytes: 5 },
  ])
})

test('a row that is not as its header says is a fault, and the next are read', async () => {
  const { rows, faults } = await read(items(`${HEADER} 83 82 06 01 81 06 82 11 02`))
  assert.deepEqual(rows, [{ proto: 6, bytes: 1 }, { proto: 17, bytes: 2 }])
  const { length } = items(HEADER)
  const reason = 'Cannot read CBOR row: 2 values expected, 1 found'
  assert.deepEqual(faults, [{ code: 'ERR_MALFORMED', reason, offset: length + 4 }])
})

const { length: HEADER_LENGTH } = items(HEADER)

for (const [what, bytes, code, message] of [
  ['a reserved head', `${HEADER} 83 82 06 01 82 1c`, 'ERR_MALFORMED',
    `Cannot read CBOR at byte ${HEADER_LENGTH + 4}: an item expected, no CBOR found`],
  ['a break in a map between key and value', `${HEADER} 81 82 06 01 bf 'a' ff`, 'ERR_MALFORMED',
    `Cannot read CBOR at byte ${HEADER_LENGTH + 4}: an item expected, no CBOR found`],
  ['a number between rows', `${HEADER} 82 82 06 01 05`, 'ERR_MALFORMED',
    `Cannot read CBOR at byte ${HEADER_LENGTH + 4}: rows or maps expected, major type 0 found`],
  ['a text of terabytes', `${HEADER} 82 82 06 01 82 06 7b000000ffffffffff`, 'ERR_LIMIT',
    `Cannot read CBOR at byte ${HEADER_LENGTH + 4}: at most 1048576 bytes and 16 levels expected, a larger item found`],
  ['an array of as many items', `${HEADER} 82 82 06 01 82 06 9b000000ffffffffff`, 'ERR_LIMIT',
    `Cannot read CBOR at byte ${HEADER_LENGTH + 4}: at most 1048576 bytes and 16 levels expected, a larger item found`],
  ['arrays in arrays without end', `${HEADER} 82 82 06 01 ${'81'.repeat(100_000)}`, 'ERR_LIMIT',
    `Cannot read CBOR at byte ${HEADER_LENGTH + 4}: at most 1048576 bytes and 16 levels expected, a larger item found`],
  ['the end inside a row', `${HEADER} 82 82 06 01 82 06`, 'ERR_TRUNCATED',
    `Cannot read the record at byte ${HEADER_LENGTH + 4}: the input ends 2 bytes into it`],
  ['the end between rows', `${HEADER} 83 82 06 01`, 'ERR_TRUNCATED',
    'Cannot read CBOR array: 2 more rows expected, the input ends'],
  ['a header of another version', `${HEADER} 81 82 06 01 a1 'flowkit' 02`, 'ERR_UNSUPPORTED',
    'Cannot read CBOR of flowkit: version 1 expected, 2 found'],
] as const) {
  test(`${what} ends the reading, and the rows before it are kept`, async () => {
    const { rows, error } = await read(items(bytes))
    assert.deepEqual(rows, [{ proto: 6, bytes: 1 }])
    assert.ok(error instanceof FlowkitError)
    assert.deepEqual([error.code, error.message], [code, message])
  })
}

test('rows without a header are refused', async () => {
  const { error } = await read(items('81 82 06 01'))
  assert.match(String(error), /Cannot read CBOR at byte 1: a header with names expected before rows, none found/)
})

test('it is told from its first bytes', () => {
  assert.equal(cbor.probe!(bytesOf(cbor, [batchOf([{ proto: 6 }])])), 95)
  assert.equal(cbor.probe!(items("d9d9f7 a4 'flowkit'")), 95)
  assert.equal(cbor.probe!(items("d9d9f7 a4 67 666c6f")), 0)
  assert.equal(cbor.probe!(others.encode({ src_addr: '192.0.2.1', bytes: 3, colour: 'red' })), 70)
  assert.equal(cbor.probe!(others.encode([{ src_addr: '192.0.2.1', bytes: 3 }])), 70)
  assert.equal(cbor.probe!(others.encode({ src_addr: '192.0.2.1', colour: 'red' })), 0)
  assert.equal(cbor.probe!(others.encode([1, 2, 3])), 0)
  assert.equal(cbor.probe!(Buffer.from('{"src_addr":"192.0.2.1","bytes":3}')), 0)
  assert.equal(cbor.probe!(new Uint8Array(0)), 0)
})
