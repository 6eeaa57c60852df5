import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeMultiple } from 'cbor-x'
import { hex, u32, u64 } from '../core/netflow/messages.ts'
import { capture, header, flowSample, opaque, sflow, tlv } from '../core/netflow/sflow/datagrams.ts'
import { frame } from '../core/pcap/frames.ts'
import { flowkit, flowkitWith, startCollect, startFlowkit } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-counters-'))
after(() => rm(folder, { recursive: true }))

/** Counters of interface `index` of 10 Gb/s: `octets` in, as many × 2 out. */
function interfaceSample(sequence: number, index: number, octets: number): Uint8Array {
  return tlv(2, u32(sequence, index, 2),
    tlv(1, u32(index, 6), u64(10e9), u32(1, 3), u64(octets), u32(1, 2, 3, 4, 5, 6), u64(octets * 2),
      u32(7, 8, 9, 10, 11, 2)),
    tlv(1005, opaque(`port ${index}`)))
}

/** A load of 0.01, and a record of a format that is unknown. */
const HOST = tlv(2, u32(1, 2 << 24 | 1, 2),
  tlv(2003, hex('3c23d70a 3f800000 40000000'), u32(...new Array<number>(17).fill(5))), tlv(2200, u32(0)))
const PACKET = flowSample({}, header(1, 64, frame('Ethernet, UDP over IPv4').bytes.subarray(0, 60)))
const DATAGRAMS = [
  sflow(interfaceSample(1, 7, 1000), PACKET), sflow(interfaceSample(2, 8, 2 ** 53), HOST), sflow(PACKET),
  sflow(interfaceSample(3, 7, 3000)),
]
const CAPTURE = join(folder, 'sflow.pcap')
await writeFile(CAPTURE, capture(...DATAGRAMS))

const lines = (text: string) => text === '' ? [] : text.trimEnd().split('\n')
const parse = (text: string) => lines(text).map((line) => JSON.parse(line) as Record<string, unknown>)

async function read(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(['read', '--counters', ...args], { TZ: 'Asia/Kolkata' })
  assert.equal(exitCode, 0, stderr)
  return stdout
}

test('read --counters prints the counter samples of a capture, an object a line', async () => {
  const rows = parse(await read(CAPTURE))
  assert.equal(rows.length, 4)
  assert.deepEqual(rows[0], {
    received: '2026-11-20T09:00:00.000Z', exporter_addr: '127.0.0.1', agent_addr: '198.51.100.1',
    sub_agent_id: 3, sequence: 1, source_type: 0, source_index: 7, if_index: 7, if_type: 6, if_speed: 10e9,
    if_direction: 1, if_status: 3, if_in_octets: 1000, if_in_ucast_pkts: 1, if_in_multicast_pkts: 2, if_in_broadcast_pkts: 3,
    if_in_discards: 4, if_in_errors: 5, if_in_unknown_protos: 6, if_out_octets: 2000, if_out_ucast_pkts: 7,
    if_out_multicast_pkts: 8, if_out_broadcast_pkts: 9, if_out_discards: 10, if_out_errors: 11,
    if_promiscuous_mode: 2, if_name: 'port 7',
  })
  assert.deepEqual([rows[1]['if_in_octets'], rows[2]['load_one'], rows[2]['source_type']], [2 ** 53, 0.01, 2])
})

test('counters of unknown formats are said, and are no fault', async () => {
  const { exitCode, stderr } = await flowkit(['read', '--counters', CAPTURE])
  assert.equal(exitCode, 0)
  const note = 'counter records of formats that flowkit does not know are left out: 1 (2200)'
  assert.equal(stderr, `flowkit: ${CAPTURE}: ${note}\n`)
})

test('csv, json-array, cbor and table hold the same samples, and -n and --fields choose', async () => {
  const all = parse(await read(CAPTURE))
  assert.deepEqual(JSON.parse(await read(CAPTURE, '-o', 'json-array')), all)
  const fields = ['--fields', 'source_index,if_name,load_one']
  assert.equal(await read(CAPTURE, '-o', 'csv', ...fields),
    'source_index,if_name,load_one\n7,port 7,\n8,port 8,\n1,,0.01\n7,port 7,\n')
  assert.deepEqual(parse(await read(CAPTURE, '-n', '2', ...fields)),
    [{ source_index: 7, if_name: 'port 7' }, { source_index: 8, if_name: 'port 8' }])
  assert.equal(await read(CAPTURE, '-n', '0'), '')
  const whole = lines(await read(CAPTURE, '-o', 'csv', '--fields', 'all'))
  assert.ok(whole[1].endsWith('"{""if_name"":""port 7""}"'), whole[1])
  const table = lines(await read(CAPTURE, '-o', 'table', '--utc'))
  assert.equal(table.length, 5)
  assert.match(table[1], /^2026-11-20 09:00:00\.000 {2}127\.0\.0\.1 +0 +7 +10000000000 +1000 +2000 +5 +11$/)
  assert.match(lines(await read(CAPTURE, '-o', 'table'))[1], /^2026-11-20 14:30:00\.000/)
  const { stdout } = await finishedBytes(['read', '--counters', CAPTURE, '-o', 'cbor', ...fields])
  assert.deepEqual((decodeMultiple(stdout) as unknown[])[1],
    [[7, 'port 7', null], [8, 'port 8', null], [1, null, 0.01], [7, 'port 7', null]])
})

test('a time window, several inputs and standard input', async () => {
  const second = ['--since', '2026-11-20T09:00:00Z', '--until', '2026-11-20T09:00:01Z']
  assert.equal(lines(await read(CAPTURE, ...second)).length, 4)
  assert.equal(await read(CAPTURE, '--since', '2026-11-20T09:00:01Z'), '')
  assert.equal(await read(CAPTURE, '--until', '2026-11-20T09:00:00Z'), '')
  const below = join(folder, 'below')
  await mkdir(below)
  await writeFile(join(below, 'a.pcap'), capture(sflow(interfaceSample(1, 1, 1))))
  await writeFile(join(below, 'b.pcap'), capture(sflow(interfaceSample(2, 2, 2))))
  const indexes = parse(await read(below, CAPTURE)).map((row) => row['source_index'])
  assert.deepEqual(indexes, [1, 2, 7, 8, 1, 7])
  const { stdout } = await flowkitWith(capture(...DATAGRAMS), ['read', '--counters', '-'])
  assert.equal(lines(stdout).length, 4)
})

test('damage is named as for flows, with exit code 3, and 1 where nothing is left', async () => {
  const damaged = join(folder, 'damaged.pcap')
  const bad = sflow(interfaceSample(9, 9, 9)).subarray(0, 80)
  await writeFile(damaged, capture(bad, ...DATAGRAMS))
  const { exitCode, stdout, stderr } = await flowkit(['read', '--counters', damaged, '--quiet'])
  assert.equal(lines(stdout).length, 4)
  assert.equal(exitCode, 3, stderr)
  const said = await flowkit(['read', '--counters', damaged])
  assert.match(said.stderr, /damaged\.pcap, byte \d+: Cannot decode sFlow /)
  const cut = join(folder, 'cut.pcap')
  const whole = capture(...DATAGRAMS)
  await writeFile(cut, whole.subarray(0, whole.length - 10))
  const broken = await flowkit(['read', '--counters', cut])
  assert.deepEqual([broken.exitCode, lines(broken.stdout).length], [3, 3])
  assert.match(broken.stderr, /Cannot read the record at byte \d+: the input ends \d+ bytes into it\n/)
  const none = await flowkit(['read', '--counters', 'test/fixtures/pcap/ethernet.pcap'])
  assert.deepEqual([none.exitCode, none.stdout], [1, ''])
  assert.match(none.stderr, /Cannot find NetFlow/)
  // flows alone are no fault
  assert.equal(await read('test/fixtures/netflow/softflowd-v5.pcap'), '')
})

test('what is for flows is refused in one line', async () => {
  for (const [args, message] of [
    [['--sort', 'bytes'], 'Cannot use option --sort beside --counters: it is for flows'],
    [['-f', 'tcp'], 'Cannot use option --filter beside --counters: it is for flows'],
    [['--summary'], 'Cannot use option --summary beside --counters: it is for flows'],
    [['--schema'], 'Cannot use option --schema beside --counters: it is for flows'],
    [['--names', 'iana'], 'Cannot use option --names beside --counters: it is for flows'],
    [['-6'], 'Cannot use option --full-ipv6 beside --counters: it is for flows'],
    [['proto tcp'], 'Cannot filter counter samples, found the filter "proto tcp"'],
    [['-o', 'line'],
      'Cannot print counter samples as "line": expected one of json, json-array, csv, cbor, table'],
  ] as const) {
    const { exitCode, stdout, stderr } = await flowkit(['read', '--counters', CAPTURE, ...args])
    assert.deepEqual([exitCode, stdout, stderr], [2, '', `flowkit: ${message}\n`])
  }
  const { exitCode, stderr } = await flowkit(['read', '--counters', CAPTURE, '--fields', 'if_indexx'])
  assert.equal(exitCode, 1)
  assert.equal(stderr, 'flowkit: Cannot find counter "if_indexx": the nearest is if_index\n')
})

test('collect keeps counter samples beside the flows, and read and analyze find them there', async () => {
  const archive = join(folder, 'archive')
  const collector = await startCollect(archive, ['--log-level', 'debug'])
  const socket = createSocket('udp4')
  for (const datagram of DATAGRAMS) {
    await new Promise<void>((resolve, reject) => {
      socket.send(datagram, collector.port, '127.0.0.1', (error) => error ? reject(error) : resolve())
    })
  }
  socket.close()
  for (let datagrams = 0; datagrams < DATAGRAMS.length;) {
    collector.signal('SIGUSR2')
    datagrams = Number((await collector.next(/all: datagrams=(\d+) /))[1])
  }
  collector.signal('SIGUSR1')
  await collector.next(/2 rows written to .*\n.*4 rows written to .*counters\/date=.*\.parquet/)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /2 flows decoded, 0 filtered, 2 written/)
  assert.match(stderr, /4 counter samples decoded\n$/)
  const names = (await readdir(archive, { recursive: true })).filter((name) => name.endsWith('.parquet'))
  const segments = new Set(names.map((name) => /(\w+-[0-9a-f]{8})[^/]*$/.exec(name)?.[1]))
  assert.deepEqual([names.length, segments.size], [3, 1]) // flows, counters, ledger
  const plain = (text: string) => parse(text).map(({ received, ...rest }) => rest)
  assert.deepEqual(plain(await read(archive, '--last', '1h')), plain(await read(CAPTURE)))
  assert.deepEqual(await read(archive, '--until', '-1h'), '')
  const sql = 'SELECT source_index, count(*) AS n, max(if_in_octets) AS octets '
    + 'FROM counters GROUP BY ALL ORDER BY ALL'
  const analyzed = await flowkit(['analyze', '--sql', sql, '-o', 'csv', archive])
  assert.equal(analyzed.stdout, 'source_index,n,octets\n1,1,\n7,2,3000\n8,1,9007199254740992\n')
  const flows = await flowkit(['read', archive])
  assert.deepEqual([flows.exitCode, lines(flows.stdout).length], [0, 2])
  const file = join(archive, names.find((name) => name.startsWith('counters')) ?? '')
  assert.equal(lines(await read(file)).length, 4)
})

async function finishedBytes(args: readonly string[]): Promise<{ stdout: Buffer }> {
  const child = startFlowkit(args)
  const parts: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => parts.push(chunk))
  await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  return { stdout: Buffer.concat(parts) }
}
