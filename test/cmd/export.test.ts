import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateDatagrams } from '../../core/netflow/generate/datagrams.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import { missing } from '../interop/peers.ts'
import { finished, flowkit, flowkitWith, startCollect, startFlowkit } from '../support/flowkit.ts'

const DEMO = 'test/fixtures/netflow/demo.pcap'
const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const TRAFFIC = 'flows=3000,exporters=7,versions=1/5/6/7/9/10,sampling=1/100,nat=5%,span=10m'
/** What every version carries. */
const FIELDS = 'flow_start,flow_end,bytes,packets,proto,src_addr,dst_addr,src_port,dst_port,tcp_flags,tos,'
  + 'in_if,out_if'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-export-'))
after(() => rm(folder, { recursive: true }))

function path(name: string): string {
  return join(folder, name)
}

/** Export to its end. @returns stderr */
async function exported(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(['export', ...args])
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout, '')
  return stderr
}

async function rowsOf(input: string, ...args: readonly string[]): Promise<string[]> {
  const { exitCode, stdout, stderr } = await flowkit(['read', input, '-o', 'json', ...args])
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n').sort()
}

async function receiver(): Promise<{ socket: Socket, url: string, datagrams: Buffer[] }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const datagrams: Buffer[] = []
  socket.on('message', (datagram) => datagrams.push(datagram))
  return { socket, url: `udp://127.0.0.1:${socket.address().port}`, datagrams }
}

/** What export and then collect say when a collector gets what is exported. */
async function collected(
  archive: string, ...args: readonly string[]
): Promise<{ said: string, ledger: string }> {
  const collector = await startCollect(archive)
  let said
  try {
    said = await exported(...args, '--to', `udp://127.0.0.1:${collector.port}`)
  } finally {
    await collector.stop()
  }
  return { said, ledger: (await collector.stop()).stderr }
}

for (const [version, source] of [['5', V5], ['9', DEMO], ['10', DEMO]]) {
  test(`flows exported as version ${version} are collected as they were`, async () => {
    const archive = path(`archive-${version}`)
    const { said, ledger } = await collected(archive, source, '--version', version)
    const flows = await rowsOf(source, '--fields', FIELDS)
    const sent = /^flowkit: ([\d,]+) flows in (\d+) datagrams? sent to udp:\/\/127\.0\.0\.1:\d+\n/.exec(said)
    assert.equal(sent?.[1], flows.length.toLocaleString('en-US'), said)
    assert.ok(ledger.includes(`${sent[2]} datagrams received, 0 refused, ${flows.length} flows decoded`), said + ledger)
    assert.deepEqual(await rowsOf(archive, '--fields', FIELDS), flows)
  })
}

test('generated traffic is collected by exporter, without a loss', async () => {
  const archive = path('archive-generated')
  const { said, ledger } = await collected(archive, '--generate', `${TRAFFIC},conflicts=1`)
  assert.match(said, /^flowkit: 3,000 flows in \d+ datagrams sent to /)
  assert.match(ledger, / 0 refused, 3000 flows decoded, /)
  await exported('--generate', TRAFFIC, '--to', path('generated.parquet'))
  const counts = async (input: string) => {
    const [summary] = await rowsOf(input, '--summary')
    return Object.values<number>(JSON.parse(summary).exporters).sort((a, b) => a - b)
  }
  assert.deepEqual(await counts(archive), await counts(path('generated.parquet')))
})

test('a capture of generated traffic is always the same, and reads as the traffic', async () => {
  const [first, second, flows, packed] = ['a.pcap', 'b.pcap', 'traffic.parquet', 'traffic.json.gz'].map(path)
  for (const file of [first, second, flows, packed]) await exported('--generate', TRAFFIC, '--to', file)
  assert.ok((await readFile(first)).equals(await readFile(second)))
  assert.deepEqual(await rowsOf(first), await rowsOf(flows))
  assert.deepEqual(await rowsOf(first), await rowsOf(packed))
  await exported('--generate', TRAFFIC, '--to', path('a.pcapng'))
  assert.deepEqual(await rowsOf(path('a.pcapng')), await rowsOf(first))
})

test('a capture of generated traffic with faults has what was expected of it', async () => {
  const text = `${TRAFFIC},loss=5%,reorder=5%`
  const said = await exported('--generate', text, '--to', path('faults.pcap'))
  const traffic = generateDatagrams(parseTraffic(text))
  for (const _ of traffic) { /* counts it */ }
  const sum = (name: 'records' | 'datagrams') => {
    return traffic.expected.reduce((total, each) => total + each[name], 0)
  }
  const [records, datagrams] = [sum('records'), sum('datagrams')]
  const amount = records.toLocaleString('en-US')
  assert.equal(said, `flowkit: ${amount} flows in ${datagrams} datagrams written to ${path('faults.pcap')}\n`)
  assert.equal((await rowsOf(path('faults.pcap'))).length, records)
})

test('tshark finds no fault in captures', { skip: missing('tshark') }, async () => {
  const check = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE']
  for (const [name, ...args] of [
    ['shark-5.pcap', DEMO, '--version', '5'], ['shark-9.pcapng', DEMO, '--version', '9'],
    ['shark-10.pcap', DEMO],
    ['shark-generated.pcapng', '--generate', TRAFFIC.replace('/6', '')], // tshark does not dissect version 6
  ]) {
    await exported(...args, '--to', path(name))
    for (const wrong of ['_ws.malformed or _ws.expert', 'not cflow']) {
      const words = ['-r', path(name), ...check, '-Y', wrong]
      const { status, stdout } = spawnSync('tshark', words, { encoding: 'utf8' })
      assert.deepEqual([status, stdout], [0, ''])
    }
  }
})

test('what a version cannot carry is said by field, and --strict makes nothing of it', async () => {
  const args = ['export', DEMO, '--version', '1', '-f', 'dst port 53 or ipv6']
  const lossy = await flowkit([...args, '--to', path('lossy.pcap')])
  assert.equal(lossy.exitCode, 0)
  assert.match(lossy.stderr, /^flowkit: \d+ flows in \d+ datagrams written to .*\n/)
  assert.match(lossy.stderr, /^flowkit: NetFlow v1 could not carry$/m)
  assert.match(lossy.stderr, /^ {2}970 IPv6 flows left out$/m)
  assert.match(lossy.stderr, /^ {2}sampling_rate +left out of \d+ flows$/m)
  const strict = await flowkit([...args, '--strict', '--to', path('strict.pcap')])
  assert.equal(strict.exitCode, 3)
  assert.match(strict.stderr, / not written to /)
  assert.ok(!(await readdir(folder)).some((name) => name.includes('strict')))
})

test('no datagram is larger than --mtu', async () => {
  for (const version of ['5', '9', '10']) {
    const { socket, url, datagrams } = await receiver()
    await exported(DEMO, '--version', version, '--mtu', '600', '--to', url)
    socket.close()
    const largest = Math.max(...datagrams.map(({ length }) => length))
    assert.ok(largest <= 600 && largest > 552, `${largest} bytes of version ${version}`)
  }
})

test('--sampling, --source-id and --mtu go into the datagrams', async () => {
  await exported(V5, '--sampling', '100', '--source-id', '77', '--mtu', '600', '--to', path('told.pcap'))
  for (const row of await rowsOf(path('told.pcap'))) {
    const { sampling_rate, observation_domain_id } = JSON.parse(row) as Record<string, unknown>
    assert.deepEqual([sampling_rate, observation_domain_id], [100, 77])
  }
})

test('several receivers get a copy each, or share the flows', async () => {
  const [a, b] = [await receiver(), await receiver()]
  await exported(V5, '--version', '5', '--to', a.url, '--to', b.url)
  assert.ok(a.datagrams.length > 0)
  assert.deepEqual(a.datagrams, b.datagrams)
  const flowsOf = (list: Buffer[]) => list.reduce((sum, datagram) => sum + datagram.readUInt16BE(2), 0)
  const all = flowsOf(a.datagrams)
  a.datagrams.length = b.datagrams.length = 0
  await exported(V5, '--version', '5', '--balance', '--to', `${a.url},${b.url}`)
  assert.equal(flowsOf(a.datagrams) + flowsOf(b.datagrams), all)
  assert.ok(flowsOf(a.datagrams) > 0 && flowsOf(b.datagrams) > 0)
  a.socket.close()
  b.socket.close()
})

test('each of several receivers can have a version of its own', async () => {
  const [five, nine, ten] = [await receiver(), await receiver(), await receiver()]
  const urls = [`${five.url}?version=5`, `${nine.url}?version=9`, ten.url]
  const said = await exported(DEMO, ...urls.flatMap((url) => ['--to', url]))
  for (const [version, { socket, datagrams }] of [[5, five], [9, nine], [10, ten]] as const) {
    assert.deepEqual(new Set(datagrams.map((datagram) => datagram.readUInt16BE(0))), new Set([version]))
    socket.close()
  }
  assert.ok(said.includes(` sent to ${urls.join(', ')}\n`), said)
  const lost = said.split('flowkit: ').slice(2)
  assert.deepEqual(lost.map((text) => text.slice(0, text.indexOf('\n'))), [
    'NetFlow v5 could not carry', 'NetFlow v9 could not carry', 'IPFIX could not carry',
  ])
  assert.deepEqual(lost.map((text) => text.includes(' 970 IPv6 flows left out\n')), [true, false, false])
  assert.match(said, /^flowkit: 6,521 flows in /)
})

test('SIGINT ends a loop with a summary', async () => {
  const { socket, url, datagrams } = await receiver()
  for (const source of [[V5], ['--generate', 'flows=100,span=1s']]) {
    datagrams.length = 0
    const child = startFlowkit(['export', ...source, '--loop', '--speed', 'max', '--to', url])
    const ended = finished(child)
    while (datagrams.length < 100) await once(socket, 'message')
    child.kill('SIGINT')
    const { exitCode, stderr } = await ended
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, /^flowkit: [\d,]+ flows in [\d,]+ datagrams sent to udp:/)
  }
  socket.close()
})

test('flows come from standard input, too', async () => {
  const file = path('stdin.pcap')
  const { exitCode, stderr } = await flowkitWith(await readFile(V5), ['export', '-', '--to', file])
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual(await rowsOf(file, '--fields', FIELDS), await rowsOf(V5, '--fields', FIELDS))
})

test('datagrams that nobody takes are said, with 3', { skip: process.platform !== 'linux' }, async () => {
  const { socket, url } = await receiver()
  socket.close()
  await once(socket, 'close')
  const { exitCode, stderr } = await flowkit(['export', '--generate', 'flows=1,versions=5', '--to', url])
  assert.deepEqual([exitCode, stderr], [3, `flowkit: 1 flow in 1 datagram sent to ${url}\n`
    + `flowkit: ${url}: 1 datagram or more did not arrive: connection refused\n`])
})

test('a file is overwritten only with --force', async () => {
  const file = path('kept.pcap')
  await exported('--generate', 'flows=1', '--to', file)
  const before = await readFile(file)
  const { exitCode, stderr } = await flowkit(['export', '--generate', 'flows=2', '--to', file])
  const message = `flowkit: Cannot write "${file}": it exists already, overwrite it with --force\n`
  assert.deepEqual([exitCode, stderr], [1, message])
  assert.ok(before.equals(await readFile(file)))
  await exported('--generate', 'flows=2', '--force', '--to', file)
  assert.ok(!before.equals(await readFile(file)))
})

test('export refuses what it cannot do, in one line', async () => {
  const url = 'udp://127.0.0.1:9'
  for (const [words, exitCode, message] of [
    [`${DEMO} --to kafka://host/topic`, 1,
      'export to "kafka://host/topic": this version cannot send to kafka://'],
    ['--generate flows=1 --to x.unknown', 1, 'tell the format of "x.unknown" by its name: see flowkit formats'],
    [`${DEMO} --to x.parquet`, 1, 'export to "x.parquet" without --generate: expected udp://, tcp:// or '
      + 'tls://HOST:PORT, or a file .pcap or .pcapng'],
    [`${DEMO} --to tls://127.0.0.1:0`, 1,
      'export to "tls://127.0.0.1:0": expected tls://HOST:PORT such as tls://192.0.2.1:4740'],
    [`${DEMO} --to x.pcap --spoof`, 1, 'use --spoof with "x.pcap": a file is written at once'],
    [`${DEMO} --to ${url} --to tcp://127.0.0.1:9 --spoof`, 1,
      'use --spoof with "tcp://127.0.0.1:9": only datagrams come from any address'],
    [`${DEMO} --to tcp://127.0.0.1:9 --tls-ca x`, 1, 'use --tls-ca without a --to of tls://'],
    [`${DEMO} --to tls://127.0.0.1:9 --tls-key x`, 2, 'use --tls-key: it needs --tls-cert'],
    [`${DEMO} --to tls://127.0.0.1:9 --tls-ca missing.pem`, 1, 'open "missing.pem": no such file'],
    [`${DEMO} --to tcp://127.0.0.1:9 --version 9`, 2,
      'send NetFlow v9 to tcp://127.0.0.1:9: only IPFIX goes by connections, by --version 10'],
    [`${DEMO} --to ${url} --to tls://127.0.0.1:9 --version sflow`, 2,
      'send sFlow to tls://127.0.0.1:9: only IPFIX goes by connections, by --version 10'],
    ['--generate flows=1,versions=10/5 --to tcp://127.0.0.1:9', 2,
      'send NetFlow v5 to tcp://127.0.0.1:9: only IPFIX goes by connections, by versions=10'],
    [`${DEMO} --to tcp://127.0.0.1:9`, 1, 'connect to tcp://127.0.0.1:9: connection refused'],
    [`${DEMO} --to tls://127.0.0.1:9?version=5`, 2,
      'send NetFlow v5 to tls://127.0.0.1:9?version=5: only IPFIX goes by connections, by ?version=10'],
    [`${DEMO} --to ${url}?version=4`, 1, `export to "${url}?version=4": expected ?version= with one of `
      + '1, 5, 6, 7, 8.1 to 8.14, 9, 10, sflow'],
    [`${DEMO} --to ${url}?mtu=600`, 1, `export to "${url}?mtu=600": expected ?version= with one of `
      + '1, 5, 6, 7, 8.1 to 8.14, 9, 10, sflow'],
    [`${DEMO} --to ${url}?version=5 --source-id 65536`, 2,
      'use option --source-id: expected at most 65535 for v5, found "65536"'],
    [`--generate flows=1 --to ${url}?version=5`, 1,
      `use the version of "${url}?version=5" beside --generate: its own text says it`],
    [`${DEMO} --to x.pcap --to ${url}`, 1, 'export to "x.pcap" beside others: a file is the only --to'],
    [`${DEMO} --to x.pcap --loop`, 1, 'use --loop with "x.pcap": a file is written at once'],
    [`${DEMO} --to ${url} --balance`, 1, 'use --balance with one --to'],
    [`${DEMO} --to ${url} --rate 5/s --speed 1x`, 1, 'use --speed beside --rate'],
    [`${DEMO} --to ${url} --rate 0`, 2,
      'use option --rate: expected flows a second such as 500/s or 100K/s, found "0"'],
    [`${DEMO} --to ${url} --speed 0x`, 2,
      'use option --speed: expected a speed such as 1x, 0.5x, 10x or max, found "0x"'],
    [`${DEMO} --to ${url} --version sflow --mtu 512`, 2,
      'use option --mtu: expected at least 800 for sFlow, found "512"'],
    [`${DEMO} --to ${url} --version 5 --source-id 65536`, 2,
      'use option --source-id: expected at most 65535 for v5, found "65536"'],
    [`- --to ${url} --loop`, 1, 'use --loop with standard input: it can be read only once'],
    [`--generate flows=1 --to ${url} --version 5`, 1,
      'use --version beside --generate: its own text says it'],
    [`--generate flows=1 --to ${url} --last 1h`, 1, 'use --last beside --generate'],
    [`--generate flows=1 --to ${url} ${DEMO}`, 1, `read "${DEMO}" beside --generate`],
    [`--generate flow=1 --to ${url}`, 1, undefined],
    [DEMO, 2, 'run export: option --to is missing'],
  ] as const) {
    const { stdout, stderr, ...rest } = await flowkit(['export', ...words.split(' ')])
    assert.deepEqual({ ...rest, stdout }, { exitCode, stdout: '' }, stderr)
    if (message !== undefined) assert.equal(stderr, `flowkit: Cannot ${message}\n`)
    else assert.match(stderr, /^flowkit: Cannot generate "flow=1": expected one of flows .*\n$/)
  }
})
