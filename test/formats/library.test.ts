import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  fields, FlowBatch, formatIpv4, formats, ID, makeShape, openFlows, parseFilter, writeFlows,
  type FlowRecord, type NamedRecord, type Py3flowtoolsRecord,
} from '../../formats/library.ts'

const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const DEMO = 'test/fixtures/netflow/demo.pcap'
const V9 = 'test/fixtures/netflow/softflowd-v9.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-library-'))
after(() => rm(folder, { recursive: true }))

/** What nfdump printed of the same datagrams. */
interface Peer {
  readonly first: string
  readonly in_bytes: number
  readonly in_packets: number
  readonly proto: number
  readonly src4_addr?: string
  readonly src6_addr?: string
}

async function peers(pcap: string): Promise<Peer[]> {
  return JSON.parse(await readFile(pcap.replace('.pcap', '.json'), 'utf8')) as Peer[]
}

async function count(flows: AsyncIterable<FlowBatch>): Promise<number> {
  let rows = 0
  for await (const batch of flows) rows += batch.length
  return rows
}

test('batches have columns, and records the same flows as objects', async () => {
  const flows = openFlows(V5)
  const wanted = await peers(V5)
  let bytes = 0
  const sources: string[] = []
  for await (const batch of flows) {
    const { bytes: octets, srcAddr: { v4 } } = batch
    for (let row = 0; row < batch.length; row++) {
      bytes += octets[row]
      sources.push(formatIpv4(v4[row]))
    }
  }
  assert.deepEqual(sources, wanted.map(({ src4_addr }) => src4_addr))
  assert.equal(bytes, wanted.reduce((sum, { in_bytes }) => sum + in_bytes, 0))
  const records: FlowRecord[] = await Array.fromAsync(flows.records())
  assert.deepEqual(records.map(({ flow_start, src_addr, proto }) => [flow_start, src_addr, proto]),
    wanted.map(({ first, src4_addr, proto }) => [`${first}Z`, src4_addr, proto]))
  assert.equal(records[0].type, 'NETFLOW_V5')
})

test('records have the attributes of py3flowtools, for IPv6 too', async () => {
  const records: Py3flowtoolsRecord[] = await Array.fromAsync(openFlows(V9).records({ names: 'py3flowtools' }))
  const wanted = await peers(V9)
  assert.deepEqual(records.map(({ srcaddr, dOctets, dPkts, prot }) => [srcaddr, dOctets, dPkts, prot]),
    wanted.map(({ src4_addr, src6_addr, in_bytes, in_packets, proto }) => [src4_addr ?? src6_addr, in_bytes, in_packets, proto]))
  for (const { srcaddr = '', srcaddr_raw, dstaddr_raw, first, last, prot, srcport, dstport, tcp_flags } of records) {
    const digits = srcaddr.includes(':')
      ? new URL(`http://[${srcaddr}]`).hostname.slice(1, -1) // shortens as RFC 5952 has it
      : String(srcaddr.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0))
    if (typeof srcaddr_raw === 'bigint') {
      const groups = srcaddr_raw.toString(16).padStart(32, '0').match(/.{4}/g)!.join(':')
      assert.equal(new URL(`http://[${groups}]`).hostname.slice(1, -1), digits)
    } else assert.equal(String(srcaddr_raw), digits)
    assert.ok(dstaddr_raw !== undefined && first !== undefined && last !== undefined && first <= last)
    const ports = prot === 6 || prot === 17 ? ['number', 'number', 'number'] : ['undefined', 'undefined', 'undefined']
    assert.deepEqual([srcport, dstport, tcp_flags].map((value) => typeof value), ports)
  }
  assert.ok(records.some(({ srcaddr_raw }) => typeof srcaddr_raw === 'bigint'))
  assert.ok(records.some(({ srcaddr_raw }) => typeof srcaddr_raw === 'number'))
})

test('a filter, a window and fields are applied', async () => {
  const wanted = await peers(V5)
  const udp = wanted.filter(({ proto }) => proto === 17).length
  assert.ok(udp > 0 && udp < wanted.length)
  assert.equal(await count(openFlows(V5, { filter: 'proto udp' })), udp)
  assert.equal(await count(openFlows([V5], { filter: parseFilter('udp', { dialect: 'bpf' }) })), udp)
  assert.equal(await count(openFlows(V5, { until: '2026-11-20T09:00:00Z' })), 0)
  assert.equal(await count(openFlows(V5, { since: new Date('2026-11-20T09:00:00Z') })), wanted.length)
  const [record] = await Array.fromAsync(openFlows(V5, { fields: ['bytes', 'src_port'], filter: 'proto tcp' }).records())
  assert.deepEqual(record, { bytes: 519, src_port: 44621 })
})

test('a stream of bytes is read like a file, and other names are had', async () => {
  const [first]: NamedRecord[] = await Array.fromAsync(openFlows(createReadStream(V5)).records({ names: 'iana' }))
  assert.equal(first.sourceIPv4Address, '10.20.1.76')
  assert.equal(first.octetDeltaCount, 519)
  await assert.rejects(count(openFlows(createReadStream(V5), { format: 'xml' })), /^FlowkitError: Cannot find format "xml"/)
})

test('integers beyond 2^53 keep all digits, others are numbers', async () => {
  const lines = [
    { flow_id: '18446744073709551615', bytes: 9007199254740992 }, { flow_id: '9007199254740993', bytes: 1 },
    { flow_id: '9007199254740992', user_name: '":12345678901234567890,"', bytes: 1 },
  ]
  const path = join(folder, 'large.json')
  await writeFile(path, lines.map((each) => JSON.stringify(each)).join('\n') + '\n')
  const records = await Array.fromAsync(openFlows(path).records())
  assert.deepEqual(records.map(({ flow_id }) => flow_id), [2n ** 64n - 1n, 2n ** 53n + 1n, 2 ** 53])
  assert.deepEqual(records.map(({ bytes }) => bytes), [2 ** 53, 1, 1])
  assert.equal(records[2].user_name, '":12345678901234567890,"')
})

test('what is wrong is thrown when the iteration begins', async () => {
  await assert.rejects(count(openFlows(join(folder, 'none'))), { code: 'ENOENT' })
  await assert.rejects(count(openFlows(V5, { filter: 'port' })), { name: 'FlowkitError', code: 'ERR_SYNTAX' })
  await assert.rejects(count(openFlows(V5, { since: 'soon' })), /Cannot use time "soon"/)
  await assert.rejects(count(openFlows(V5, { until: new Date(Number.NaN) })), { code: 'ERR_OPTION' })
  await assert.rejects(count(openFlows(V5, { fields: ['size' as 'bytes'] })), /Cannot find field "size"/)
})

test('a fault ends the reading behind the flows before it, unless it is taken', async () => {
  const good = await readFile(DEMO)
  const all = await count(openFlows(DEMO))
  const path = join(folder, 'cut.pcap')
  await writeFile(path, good.subarray(0, good.length - 7))
  let read = 0
  await assert.rejects(async () => {
    for await (const batch of openFlows(path)) read += batch.length
  }, { name: 'FlowkitError', code: 'ERR_TRUNCATED' })
  assert.ok(read > 0 && read < all)
  const faults: string[] = []
  assert.equal(await count(openFlows([path, V5], { onFault: ({ input, code }) => faults.push(`${input} ${code}`) })),
    read + (await peers(V5)).length)
  assert.deepEqual(faults, [`${path} ERR_TRUNCATED`])
})

test('flows are written to a file, and it is said what they lost', async () => {
  const path = join(folder, 'flows.csv')
  const written = await writeFlows(path, openFlows(V5, { filter: 'proto udp' }), { fields: ['src_addr', 'bytes'] })
  assert.deepEqual([written.format, written.leftOut], ['csv', 0])
  assert.ok(written.losses.some(({ name, leftOut }) => name === 'dst_port' && leftOut === written.flows))
  const [header, ...lines] = (await readFile(path, 'utf8')).trimEnd().split('\n')
  assert.equal(header, 'src_addr,bytes')
  assert.equal(lines.length, written.flows)
  await assert.rejects(writeFlows(path, openFlows(V5)), { code: 'ERR_OPTION' })
  assert.equal((await writeFlows(path, openFlows(V9), { force: true, names: 'nfdump' })).flows, (await peers(V9)).length)
})

test('nothing is left of a file whose flows cannot be read', async () => {
  const path = join(folder, 'broken.json')
  await assert.rejects(writeFlows(path, openFlows(join(folder, 'none'))), { code: 'ENOENT' })
  assert.equal(existsSync(path), false)
})

test('a program can make flows of its own', async () => {
  async function* made(): AsyncGenerator<FlowBatch> {
    const batch = new FlowBatch()
    const shape = batch.intern(makeShape([ID.proto, ID.bytes]))
    batch.shape[0] = shape
    batch.proto[0] = 6
    batch.bytes[0] = 1500
    batch.length = 1
    yield batch
  }
  const path = join(folder, 'made.json')
  assert.deepEqual(await writeFlows(path, made()), { format: 'json', flows: 1, leftOut: 0, losses: [] })
  assert.equal(await readFile(path, 'utf8'), '{"bytes":1500,"proto":6}\n')
})

test('formats and fields are listed', () => {
  assert.deepEqual(formats.find(({ name }) => name === 'csv'), {
    name: 'csv', summary: 'Comma-separated values with a header', extensions: ['.csv'], reads: true, writes: true,
  })
  assert.equal(formats.find(({ name }) => name === 'table')!.reads, false)
  assert.equal(fields[ID.srcAddr].name, 'src_addr')
})

test('errors name the options of the library', async () => {
  const place = join(folder, 'there.csv')
  await writeFile(place, 'no flows at all')
  await assert.rejects(writeFlows(place, openFlows(V5)), {
    code: 'ERR_OPTION', message: `Cannot write "${place}": it exists already, overwrite it with the option force`,
  })
  await assert.rejects(count(openFlows(place)), {
    message: `Cannot tell the format of "${place}": name it with the option format`,
  })
})
