/** `flowkit export` by TCP and TLS, from other addresses, and its report. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadLibc } from '../../core/net/ffi.ts'
import { openSpoofer } from '../../core/net/spoof.ts'
import { parseDestination } from '../../core/net/send.ts'
import { makeAuthority, noCertificates } from '../support/certificates.ts'
import { finished, flowkit, listenTo, startCollect, startFlowkit } from '../support/flowkit.ts'

const DEMO = 'test/fixtures/netflow/demo.pcap'
const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const FIELDS = 'flow_start,flow_end,bytes,packets,proto,src_addr,dst_addr,src_port,dst_port,tcp_flags,tos'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-export-'))
const noSpoofing = await spoofingFault()
after(() => rm(folder, { recursive: true }))

/** Why datagrams cannot be sent from other addresses here; false if they can. */
async function spoofingFault(): Promise<string | false> {
  try {
    await loadLibc()
    await (await openSpoofer(parseDestination('udp://127.0.0.1:9'))).close()
    return false
  } catch (error) {
    return (error as Error).message
  }
}

async function rowsOf(input: string, ...args: readonly string[]): Promise<string[]> {
  const { exitCode, stdout, stderr } = await flowkit(['read', input, '-o', 'json', ...args])
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n').sort()
}

/** A collector that is a socket. */
async function listen(onConnection: (socket: Socket) => void): Promise<{ server: Server, url: string }> {
  const server = createServer(onConnection).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

for (const protocol of ['tcp', 'tls'] as const) {
  test(`flows exported by ${protocol} are collected as they were, with those generated`, {
    skip: protocol === 'tls' && noCertificates,
  }, async () => {
    const certificates: string[] = []
    const trust: string[] = []
    if (protocol === 'tls') {
      const authority = makeAuthority('authority')
      const [server, client] = [authority.certify('collector'), authority.certify('exporter')]
      const files = { ca: authority.ca, key: server.key, cert: server.cert, own: client.key, shown: client.cert }
      authority.end()
      const path = (name: string) => join(folder, `${name}.pem`)
      for (const [name, text] of Object.entries(files)) await writeFile(path(name), text)
      certificates.push('--tls-key', path('key'), '--tls-cert', path('cert'), '--tls-ca', path('ca'))
      trust.push('--tls-ca', path('ca'), '--tls-key', path('own'), '--tls-cert', path('shown'))
    }
    const archive = join(folder, protocol)
    const collector = await startCollect(archive, ['--listen', `${protocol}://127.0.0.1:0`, ...certificates])
    const [url] = await collector.next(new RegExp(`${protocol}://127\\.0\\.0\\.1:\\d+`))
    const send = (...args: readonly string[]) => flowkit(['export', ...args, '--to', url, ...trust])
    const sent = await send(DEMO, '--speed', 'max', '--template-refresh', '1s')
    const made = await send('--generate', 'flows=500,exporters=3,versions=10', '--speed', 'max')
    const { stderr } = await collector.stop()
    const flows = await rowsOf(DEMO, '--fields', FIELDS)
    assert.equal(sent.exitCode, 0, sent.stderr)
    assert.match(sent.stderr, new RegExp(`^flowkit: ${flows.length.toLocaleString('en-US')} flows in \\d+ messages `
      + `sent to ${url}\n`))
    assert.deepEqual([made.exitCode, /^flowkit: 500 flows in \d+ messages sent to /.test(made.stderr)], [0, true])
    assert.match(stderr, new RegExp(` 0 refused, ${flows.length + 500} flows decoded, `))
    const filter = ['-f', 'exporter ip 127.0.0.1', '--fields', FIELDS]
    const generated = (await rowsOf(archive, ...filter)).filter((row) => !flows.includes(row))
    assert.equal((await rowsOf(archive, ...filter)).length - generated.length, flows.length)
  })
}

test('a collector that goes away is said once, waited for, and what it lacks makes the end a 3', async () => {
  let connections = 0
  const { server, url } = await listen((socket) => {
    connections++
    socket.on('error', () => {})
    if (connections > 1) socket.resume()
    else socket.once('data', () => socket.resetAndDestroy())
  })
  const { exitCode, stderr } = await flowkit(['export', DEMO, '--rate', '20K/s', '--to', url])
  server.close()
  assert.equal(exitCode, 3, stderr)
  const lines = stderr.split('\n').filter((line) => line.includes(url))
  const reason = '(connection reset by peer|broken pipe)'
  assert.match(lines[0], new RegExp(`^flowkit: ${url}: the connection is lost, trying again: ${reason}$`))
  assert.equal(lines[1], `flowkit: ${url}: connected again`)
  assert.match(lines[2], new RegExp(`^flowkit: [\\d,]+ flows in [\\d,]+ messages sent to ${url}$`))
  const missing = '([\\d,]+ flows? or more did not arrive|some flows may not have arrived)'
  assert.match(lines[3], new RegExp(`^flowkit: ${url}: ${missing}: ${reason}$`))
  assert.deepEqual([lines.length, connections], [4, 2])
})

test('SIGINT ends an export to a collector that takes nothing', async () => {
  const sockets: Socket[] = []
  const { server, url } = await listen((socket) => {
    socket.pause()
    sockets.push(socket)
  })
  const child = startFlowkit(['export', DEMO, '--loop', '--speed', 'max', '--to', url])
  const ended = finished(child)
  await once(server, 'connection')
  child.kill('SIGINT')
  while (sockets.length === 0) await once(server, 'connection')
  for (const socket of sockets) socket.resume()
  const { exitCode, stderr } = await ended
  server.close()
  assert.deepEqual([exitCode, /flows? in \d+ messages? sent to tcp:/.test(stderr)], [0, true], stderr)
})

test('a certificate that cannot be trusted is refused, with what to do', { skip: noCertificates }, async () => {
  const authority = makeAuthority('authority')
  const server = authority.certify('collector', 'DNS:collector.example')
  const path = (name: string) => join(folder, `refused-${name}.pem`)
  for (const [name, text] of Object.entries({ ...server, ca: authority.ca })) await writeFile(path(name), text)
  authority.end()
  const words = ['--listen', 'tls://127.0.0.1:0', '--tls-key', path('key'), '--tls-cert', path('cert')]
  const collector = await startCollect(join(folder, 'refused'), words)
  const [url] = await collector.next(/tls:\/\/127\.0\.0\.1:\d+/)
  const send = (...args: readonly string[]) => flowkit(['export', V5, '--to', url, ...args])
  const trust = ['--tls-ca', path('ca')]
  const unknown = await send()
  const other = await send(...trust)
  const named = await send(...trust, '--tls-name', 'collector.example')
  const bad = await send(...trust, '--tls-key', path('key'), '--tls-cert', V5)
  await collector.stop()
  const refused = (reason: string) => [1, `flowkit: Cannot connect to ${url}: ${reason}\n`]
  assert.deepEqual([unknown.exitCode, unknown.stderr],
    refused('no known authority has signed its certificate: --tls-ca names one'))
  assert.deepEqual([other.exitCode, other.stderr],
    refused('its certificate is for DNS:collector.example: --tls-name tells which name to expect'))
  assert.deepEqual([named.exitCode, bad.exitCode], [0, 1])
  assert.match(bad.stderr, /^flowkit: Cannot use key and certificates of TLS: .+\n$/)
})

test('with --spoof flows come from their exporters, and their templates and numbers too', {
  skip: noSpoofing,
}, async () => {
  const archive = join(folder, 'spoofed')
  const made = join(folder, 'exporters.pcap')
  const traffic = 'flows=2000,exporters=5,versions=5/9/10,v6=20%'
  assert.equal((await flowkit(['export', '--generate', traffic, '--to', made])).exitCode, 0)
  const collector = await startCollect(archive)
  const to = `udp://127.0.0.1:${collector.port}`
  const { exitCode, stderr } = await flowkit(['export', made, '--spoof', '--to', to])
  await collector.stop()
  assert.equal(exitCode, 0, stderr)
  const counts = async (input: string) => JSON.parse((await rowsOf(input, '--summary'))[0]) as Counts
  const [theirs, ours] = [await counts(made), await counts(archive)]
  const six = Object.keys(theirs.exporters).filter((address) => address.includes(':'))
  const own = six.reduce((sum, address) => sum + theirs.exporters[address], 0)
  const four = Object.entries(theirs.exporters).filter(([address]) => !six.includes(address))
  assert.deepEqual(ours.exporters, { ...Object.fromEntries(four), ...own > 0 && { '127.0.0.1': own } })
  const said = `${own.toLocaleString('en-US')} flows sent from this machine's own address`
  assert.equal(stderr.includes(said), own > 0, stderr)
})

/** A part of `read --summary`. */
interface Counts {
  readonly exporters: Readonly<Record<string, number>>
}

test('--report json tells the same in one object', async () => {
  const file = join(folder, 'report.pcap')
  const args = ['export', DEMO, '--version', '1', '--report', 'json', '--to', file]
  const { exitCode, stderr } = await flowkit(args)
  assert.equal(exitCode, 0, stderr)
  const { writer, ...report } = JSON.parse(stderr)
  assert.deepEqual({ ...report, reader: report.reader.fields }, {
    read: report.written + writer.rows.ipv6, written: report.written, inputs: 1, place: file, format: 'NetFlow v1',
    faults: 0, messages: report.messages, undelivered: [], reader: {},
  })
  assert.equal(writer.rows.ipv6, 970)
  assert.equal(writer.fields.src_as.left_out > 0, true)
  const refused = await flowkit([...args, '--strict', '--force'])
  assert.deepEqual([refused.exitCode, JSON.parse(refused.stderr).written], [3, 0])
})

test('an export that is looped by connection ends with a signal, all counted', async () => {
  let bytes = 0
  const { server, url } = await listen((socket) => socket.on('data', (chunk) => { bytes += chunk.length }))
  const running = listenTo(startFlowkit(['export', V5, '--loop', '--rate', '10K/s', '--to', url]))
  const [socket] = await once(server, 'connection') as [Socket]
  await once(socket, 'data')
  const { exitCode, stderr } = await running.stop('SIGINT')
  server.close()
  assert.equal(exitCode, 0, stderr)
  assert.ok(bytes > 0)
})
