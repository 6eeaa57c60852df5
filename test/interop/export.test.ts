/** What `flowkit export` sends, as nfcapd, sfcapd, tshark and `flowkit collect` read it. */
import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { V8_SCHEMES } from '../../core/netflow/v8.ts'
import type { Row } from '../core/netflow/messages.ts'
import { makeAuthority, noCertificates, type Authority, type Certified } from '../support/certificates.ts'
import { finished, flowkit, startCollect, startFlowkit } from '../support/flowkit.ts'
import { missing, output, throughNfcapd, throughSfcapd, throughTshark, type Told } from './peers.ts'
import { interopRows } from './rows.ts'

/** Enough for several datagrams of every version. */
const ROUNDS = 40
const TIMES = ['flow_start', 'flow_end', 'received']
const FLAW = '_ws.malformed or _ws.expert or cflow.unknown_field_type'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-export-'))
after(() => rm(folder, { recursive: true }))

/** The flows again and again, from other source ports; packets of sFlow cannot be shorter than their headers. */
const FLOWS: readonly Row[] = Array.from({ length: ROUNDS }, (_, round) => interopRows.map(({ fields }) => ({
  ...fields, packets: 12 + round, bytes: (12 + round) * 200,
  ...'src_port' in fields && { src_port: Number(fields['src_port']) + round },
}))).flat()
const BIFLOWS: readonly Row[] = FLOWS.map((row, i) => ({ ...row, rev_packets: 7 + i, rev_bytes: 700 + i }))

/** Put flows into a file of JSON. @returns its path */
async function fileOf(name: string, rows: readonly Row[]): Promise<string> {
  const path = join(folder, name)
  const text = rows.map((row) => JSON.stringify(Object.fromEntries(Object.entries(row).map(([name, value]) => {
    return [name, TIMES.includes(name) ? new Date(Number(value) / 1000).toISOString() : value]
  }))))
  await writeFile(path, `${text.join('\n')}\n`)
  return path
}

/** Export to its end. @returns what it says */
async function exported(...args: readonly string[]): Promise<string> {
  const { exitCode, stderr } = await flowkit(['export', ...args])
  assert.equal(exitCode, 0, stderr)
  return stderr
}

/** A socket that keeps what it gets, and where that is to be sent. */
async function listener(): Promise<{
  readonly socket: Socket, readonly to: string, readonly datagrams: Buffer[],
}> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 }).bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const datagrams: Buffer[] = []
  socket.on('message', (datagram) => datagrams.push(datagram))
  return { socket, to: `udp://127.0.0.1:${socket.address().port}`, datagrams }
}

/** The datagrams that are sent of a file, or of generated traffic. */
async function datagramsOf(...args: readonly string[]): Promise<Buffer[]> {
  const { socket, to, datagrams } = await listener()
  await arrival(datagrams, sentBy(await exported('--rate', '5K/s', '--to', to, ...args)).messages)
  socket.close()
  return datagrams
}

/** How much was sent, as export says. */
function sentBy(said: string): { readonly count: number, readonly messages: number } {
  const numbers = /^flowkit: ([\d,]+) flows in ([\d,]+) datagrams? sent /.exec(said)!.slice(1)
  const [count, messages] = numbers.map((text) => Number(text.replaceAll(',', '')))
  return { count, messages }
}

/** What a process has sent lies in the socket when it ends: it takes some turns to be read. */
async function arrival(datagrams: readonly Buffer[], count: number): Promise<void> {
  for (let turns = 0; datagrams.length < count && turns < 1000; turns++) await nextTurn()
}

/** What a server gets of a file by one connection. */
async function streamOf(server: Server, protocol: string, file: string, ...args: readonly string[]): Promise<Buffer> {
  const event = protocol === 'tls' ? 'secureConnection' : 'connection'
  const chunks: Buffer[] = []
  server.on(event, (socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await exported(file, '--speed', 'max', '--to', `${protocol}://127.0.0.1:${port}`, ...args)
  server.close()
  return Buffer.concat(chunks)
}

/** What every version tells of a flow, under the names of our JSON. */
function keyOf(row: Readonly<Record<string, unknown>>): string {
  const { proto, src_addr, dst_addr, src_port, packets, bytes } = row
  return [proto, src_addr, dst_addr, src_port ?? 0, packets, bytes].join()
}

/** The same of a flow as nfdump tells it. */
function keyOfTold(flow: Told): string {
  return keyOf({
    ...flow, src_addr: flow['src4_addr'] ?? flow['src6_addr'], dst_addr: flow['dst4_addr'] ?? flow['dst6_addr'],
    packets: flow['in_packets'], bytes: flow['in_bytes'],
  })
}

/** Flows over IPv6 have a place in some versions, and in schemes that have no addresses. */
function carriedBy(version: string): readonly Row[] {
  const all = ['9', '10', 'sflow', '8.1', '8.2', '8.9', '8.10']
  return all.includes(version) ? FLOWS : FLOWS.filter(({ etype }) => etype === 0x800)
}

let flows: string
let biflows: string
let authority: Authority | undefined
let server: Certified | undefined
const trust = () => ['--tls-ca', join(folder, 'ca.pem')]

before(async () => {
  flows = await fileOf('flows.json', FLOWS)
  biflows = await fileOf('biflows.json', BIFLOWS)
  if (noCertificates !== false) return
  authority = makeAuthority('authority')
  server = authority.certify('collector')
  for (const [name, text] of Object.entries({ ca: authority.ca, ...server })) {
    await writeFile(join(folder, `${name}.pem`), text)
  }
})
after(() => authority?.end())

for (const version of ['1', '5', '7', '9', '10']) {
  test(`nfcapd gets every flow of version ${version}, in sequence`, { skip: missing('nfcapd', 'nfdump') }, async () => {
    const rows = carriedBy(version)
    const { flows: told, said } = await throughNfcapd(await datagramsOf(flows, '--version', version))
    assert.deepEqual(told.map(keyOfTold).sort(), rows.map(keyOf).sort())
    assert.match(said, new RegExp(`Flows: ${rows.length}, .*Sequence Errors: 0, Bad Packets: 1`)) // the last
  })
}

test('nfcapd gets both directions of flows', { skip: missing('nfcapd', 'nfdump') }, async () => {
  const { flows: told } = await throughNfcapd(await datagramsOf(biflows))
  const both = (key: string, packets: unknown, bytes: unknown) => `${key} ${packets} ${bytes}`
  const expected = BIFLOWS.map((row) => both(keyOf(row), row['rev_packets'], row['rev_bytes']))
  const found = told.map((flow) => both(keyOfTold(flow), flow['out_packets'], flow['out_bytes']))
  assert.deepEqual(found.sort(), expected.sort())
})

for (const version of ['1', '5', '7', '9', '10']) {
  test(`nfcapd gets all generated traffic of version ${version}, in sequence`, {
    skip: missing('nfcapd', 'nfdump'),
  }, async () => {
    const sent = await datagramsOf('--generate', `flows=600,versions=${version}`)
    const { flows: told, said } = await throughNfcapd(sent)
    assert.equal(told.length, 600)
    assert.match(said, /Flows: 600, .*Sequence Errors: 0, Bad Packets: 1/)
  })
}

for (const version of ['5', '9', '10']) {
  test(`nfcapd gets a loop of version ${version} in sequence, with templates again and again`, {
    skip: missing('nfcapd', 'nfdump'),
  }, async () => {
    const { socket, to, datagrams } = await listener()
    const few = FLOWS.slice(0, 50)
    const child = startFlowkit(['export', await fileOf('few.json', few), '--version', version, '--loop',
      '--rate', '5K/s', '--template-refresh', '1ms', '--to', to])
    const ended = finished(child)
    while (datagrams.length < 40) await once(socket, 'message')
    child.kill('SIGINT')
    const { exitCode, stderr } = await ended
    const { count, messages } = sentBy(stderr)
    await arrival(datagrams, messages)
    socket.close()
    assert.deepEqual([exitCode, datagrams.length], [0, messages])
    assert.ok(count > few.length)
    const { flows: told, said } = await throughNfcapd(datagrams)
    assert.equal(told.length, count)
    assert.match(said, /Sequence Errors: 0, Bad Packets: 1/)
    const withTemplates = datagrams.filter((datagram) => {
      return version === '9' ? datagram.readUInt16BE(20) === 0 : datagram.readUInt16BE(16) === 2
    })
    assert.ok(version === '5' || withTemplates.length > 1, String(withTemplates.length))
  })
}

test('sfcapd gets a sample of every flow, in sequence', { skip: missing('sfcapd', 'nfdump') }, async () => {
  const { flows: told, said } = await throughSfcapd(await datagramsOf(flows, '--version', 'sflow'))
  assert.deepEqual(told.map(({ proto }) => proto).sort(), FLOWS.map(({ proto }) => proto).sort())
  assert.match(said, /Sequence Errors: 0/)
})

// tshark does not dissect version 6
for (const version of ['1', '5', '7', ...Object.keys(V8_SCHEMES).map((scheme) => `8.${scheme}`), '9', '10']) {
  test(`tshark finds no fault in version ${version}, and all of it`, { skip: missing('tshark') }, async () => {
    const datagrams = await datagramsOf(flows, '--version', version)
    assert.equal(throughTshark('cflow', datagrams, '-Y', FLAW, '-V', '-O', 'cflow'), '')
    const text = throughTshark('cflow', datagrams, '-T', 'fields', '-E', 'aggregator=,', '-e', 'cflow.octets')
    const sum = (values: readonly unknown[]) => values.reduce<number>((total, value) => total + Number(value), 0)
    assert.equal(sum(text.trim().split(/[\s,]+/)), sum(carriedBy(version).map(({ bytes }) => bytes)))
  })
}

test('tshark finds no fault in sFlow', { skip: missing('tshark') }, async () => {
  const datagrams = await datagramsOf(flows, '--version', 'sflow')
  assert.equal(throughTshark('sflow', datagrams, '-Y', '_ws.malformed', '-V'), '')
  const text = throughTshark('sflow', datagrams, '-T', 'fields', '-E', 'aggregator=,', '-e', 'sflow_245.sampletype')
  assert.equal(text.trim().split(/[\s,]+/).length, FLOWS.length)
})

for (const protocol of ['tcp', 'tls'] as const) {
  test(`tshark finds no fault in what goes by ${protocol}: templates once, flows of both directions`, {
    skip: missing('tshark') || (protocol === 'tls' && noCertificates),
  }, async () => {
    const bytes = protocol === 'tcp'
      ? await streamOf(createServer(), protocol, biflows, '--mtu', '1400')
      : await streamOf(createTlsServer({ ...server }), protocol, biflows, '--mtu', '1400', ...trust())
    const path = join(folder, `${protocol}.ipfix`) // messages one after the other are a file (RFC 5655)
    await writeFile(path, bytes)
    assert.equal(output('tshark', '-r', path, '-Y', FLAW, '-V'), '')
    const valuesOf = (field: string) => {
      return output('tshark', '-r', path, '-T', 'fields', '-E', 'aggregator=,', '-e', field).trim().split(/[\s,]+/)
    }
    const shapes = new Set(BIFLOWS.map((row) => `${Object.keys(row).sort().join()} ${row['etype']}`))
    assert.equal(valuesOf('cflow.template_id').length, shapes.size)
    const packets = BIFLOWS.flatMap((row) => [String(row['packets']), String(row['rev_packets'])])
    assert.deepEqual(valuesOf('cflow.packets').sort(), packets.sort())
  })
}

test('collect gets every flow of every version, by UDP, TCP and TLS', async () => {
  const archive = join(folder, 'archive')
  const tls = server ? ['--listen', 'tls://127.0.0.1:0', '--tls-key', join(folder, 'key.pem'),
    '--tls-cert', join(folder, 'cert.pem')] : []
  const collector = await startCollect(archive, ['--listen', 'tcp://127.0.0.1:0', ...tls])
  const [tcp] = await collector.next(/tcp:\/\/127\.0\.0\.1:\d+/)
  const [secure] = server ? await collector.next(/tls:\/\/127\.0\.0\.1:\d+/) : []
  const udp = `udp://127.0.0.1:${collector.port}`
  const simple = ['1', '5', '6', '7', '9', 'sflow']
  const schemes = Object.keys(V8_SCHEMES)
  for (const version of [...simple, ...schemes.map((scheme) => `8.${scheme}`)]) {
    await exported(flows, '--version', version, '--to', udp)
  }
  const streams = [udp, tcp, ...secure === undefined ? [] : [secure]]
  for (const [i, to] of streams.entries()) {
    await exported(biflows, '--source-id', String(i + 1), '--to', to, ...to === secure ? trust() : [])
  }
  const { stderr } = await collector.stop()
  assert.match(stderr, / 0 refused, /)
  const read = await flowkit(['read', archive, '-o', 'json'])
  const rows = read.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Told)

  const types: Readonly<Record<string, string>> = { sflow: 'SFLOW_5' }
  for (const version of simple.filter((each) => each !== 'sflow')) {
    const found = rows.filter(({ type }) => type === (types[version] ?? `NETFLOW_V${version}`))
    assert.deepEqual(found.map(keyOf).sort(), carriedBy(version).map(keyOf).sort(), version)
  }
  const samples = rows.filter(({ type }) => type === types['sflow'])
  const scaled = (row: Readonly<Record<string, unknown>>) => Number(row['packets']) * Number(row['sampling_rate'] ?? 1)
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  assert.equal(sum(samples.map(scaled)), sum(FLOWS.map(({ packets }) => Number(packets))))
  for (const scheme of schemes) {
    const total = sum(carriedBy(`8.${scheme}`).map(({ bytes }) => Number(bytes)))
    const found = rows.filter(({ type, aggregation }) => type === 'NETFLOW_V8' && String(aggregation) === scheme)
    assert.equal(sum(found.map(({ bytes }) => Number(bytes))), total, `scheme ${scheme}`)
  }
  for (const i of streams.keys()) {
    const found = rows.filter(({ type, observation_domain_id }) => type === 'IPFIX' && observation_domain_id === i + 1)
    const both = (row: Readonly<Record<string, unknown>>) => `${keyOf(row)} ${row['rev_packets']} ${row['rev_bytes']}`
    assert.deepEqual(found.map(both).sort(), BIFLOWS.map(both).sort(), streams[i])
  }
  const ledger = await flowkit(['read', archive, '--summary'])
  assert.match(ledger.stdout, /^complete: nothing is missing/m)
})
