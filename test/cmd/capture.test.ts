import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ACK, FIN, ip4, pcap, pcapOf, record, segment, SYN, tcp } from '../core/meter/packets.ts'
import { flowkit, flowkitWith, startCollect, untilTaken } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-capture-'))
after(() => rm(folder, { recursive: true, force: true }))

/** A connection that is closed, then a packet of another 10 s later. */
const CONNECTION = [
  record(0, segment(SYN)), record(0.1, segment(SYN | ACK, true)), record(0.2, segment(ACK, false, '00'.repeat(10))),
  record(0.3, segment(FIN | ACK)), record(0.4, segment(FIN | ACK, true)),
]
const LATER = record(10, ip4(6, tcp(2000, 80, SYN), { ttl: 9 }))

async function captureFile(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

/** Flows of `flowkit capture -r … --to -` with what it says. */
async function flowsOf(...args: string[]): Promise<{
  readonly flows: readonly Record<string, unknown>[], readonly stderr: string, readonly exitCode: number | null,
}> {
  const { stdout, stderr, exitCode } = await flowkit(['capture', ...args, '--to', '-'])
  return { flows: stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line)), stderr, exitCode }
}

test('packets of a capture become flows, with when and why they ended', async () => {
  const path = await captureFile('a.pcap', pcap(...CONNECTION, LATER))
  const { flows, stderr, exitCode } = await flowsOf('-r', path)
  assert.equal(exitCode, 0)
  assert.equal(stderr, 'flowkit: 6 packets read, 3 flows, 3 written to standard output\n')
  const usual = { type: 'PACKETS', proto: 6, tos: 0, etype: 2048 }
  assert.deepEqual(flows, [
    {
      ...usual, flow_start: '2026-11-21T13:00:00.000000Z', flow_end: '2026-11-21T13:00:00.300000Z', bytes: 130,
      packets: 3, src_addr: '192.0.2.1', dst_addr: '198.51.100.2', src_port: 50000, dst_port: 443,
      tcp_flags: SYN | ACK | FIN, end_reason: 3, min_ttl: 64, max_ttl: 64,
    },
    {
      ...usual, flow_start: '2026-11-21T13:00:00.100000Z', flow_end: '2026-11-21T13:00:00.400000Z', bytes: 80,
      packets: 2, src_addr: '198.51.100.2', dst_addr: '192.0.2.1', src_port: 443, dst_port: 50000,
      tcp_flags: SYN | ACK | FIN, end_reason: 3, min_ttl: 50, max_ttl: 50,
    },
    {
      ...usual, flow_start: '2026-11-21T13:00:10.000000Z', flow_end: '2026-11-21T13:00:10.000000Z', bytes: 40,
      packets: 1, src_addr: '192.0.2.1', dst_addr: '198.51.100.2', src_port: 2000, dst_port: 80,
      tcp_flags: SYN, end_reason: 4, min_ttl: 9, max_ttl: 9,
    },
  ])
})

test('captures are read one after the other, unpacked, and flows go on in the next', async () => {
  const first = await captureFile('b1.pcap.gz', gzipSync(pcap(...CONNECTION.slice(0, 2))))
  const second = await captureFile('b2.pcap', pcap(...CONNECTION.slice(2)))
  const { flows } = await flowsOf('--biflow', '-r', first, second)
  assert.deepEqual(flows.map(({ packets, rev_packets: back, end_reason: why }) => [packets, back, why]), [[3, 2, 4]])
  const { stdout } = await flowkitWith(pcap(...CONNECTION), ['capture', '-r', '-', '--biflow', '--to', '-'])
  assert.equal(JSON.parse(stdout).bytes, 130)
})

test('timeouts are in the time of the packets', async () => {
  const path = await captureFile('c.pcap', pcap(...[0, 1, 2, 3, 4, 9].map((at) => record(at, segment(ACK)))))
  const ends = async (...args: string[]) => {
    const { flows } = await flowsOf('-r', path, ...args)
    return flows.map(({ packets, end_reason: why }) => [packets, why])
  }
  assert.deepEqual(await ends(), [[6, 4]])
  assert.deepEqual(await ends('--idle-timeout', '3s'), [[5, 1], [1, 4]])
  assert.deepEqual(await ends('--active-timeout', '2500ms', '--idle-timeout', '1h'), [[3, 2], [2, 2], [1, 4]])
})

test('a filter is about flows, and what it leaves out is told', async () => {
  const path = await captureFile('d.pcap', pcap(...CONNECTION, LATER))
  const { flows, stderr } = await flowsOf('-r', path, '-f', 'dst port 80')
  assert.deepEqual(flows.map(({ src_port: port }) => port), [2000])
  assert.equal(stderr, 'flowkit: 6 packets read, 3 flows, 1 written to standard output\n')
})

test("packets are taken by tcpdump's expressions, by the link type of each file", async () => {
  const raw = await captureFile('k.pcap', pcap(...CONNECTION, LATER))
  const ether = await captureFile('l.pcap', pcapOf(1, [record(20, `${'02'.repeat(12)}0800${ip4(6, tcp(7, 80, SYN))}`)]))
  const { flows, stderr, exitCode } = await flowsOf('-r', raw, ether, '--bpf', 'tcp dst port 80')
  assert.deepEqual(flows.map(({ src_port: port }) => port), [2000, 7])
  assert.equal(stderr, 'flowkit: 2 packets read, 2 flows, 2 written to standard output\n')
  assert.equal(exitCode, 0)
  const bad = await flowsOf('-r', raw, '--bpf', '((')
  assert.match(bad.stderr, /^flowkit: Cannot use BPF expression: .*syntax error.*\n$/)
  assert.deepEqual([bad.exitCode, bad.flows.length], [1, 0])
})

test('files of a folder are by the time of the packets; another file needs --force', async () => {
  const path = await captureFile('e.pcap', pcap(...CONNECTION, LATER, record(130, segment(SYN))))
  const files = join(folder, 'files')
  const { exitCode, stderr } = await flowkit(['capture', '-r', path, '--to', files, '--to-format', 'nfdump'], {
    TZ: 'UTC',
  })
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual(await readdir(files), ['nfcapd.202611211300', 'nfcapd.202611211302'])
  const { stdout } = await flowkit(['read', files, '--fields', 'packets,dst_port'])
  assert.deepEqual(stdout.trim().split('\n').map((line) => JSON.parse(line).packets), [3, 2, 1, 1])
  const again = await flowkit(['capture', '-r', path, '--to', join(files, 'nfcapd.202611211300.json')])
  assert.equal(again.exitCode, 0)
  const refused = await flowkit(['capture', '-r', path, '--to', join(files, 'nfcapd.202611211300.json')])
  assert.equal(refused.exitCode, 1)
  assert.match(refused.stderr, /^flowkit: Cannot write "\S+\.json": it exists/)
})

test('a capture may be a pipe that has a name', async (t) => {
  const path = join(folder, 'pipe')
  if (spawnSync('mkfifo', [path]).status !== 0) return t.skip('there are no named pipes')
  const reading = flowsOf('-r', path)
  createWriteStream(path).end(gzipSync(pcap(...CONNECTION, LATER)))
  const { flows, exitCode, stderr } = await reading
  assert.deepEqual(flows.map(({ packets }) => packets), [3, 2, 1])
  assert.deepEqual([exitCode, stderr], [0, 'flowkit: 6 packets read, 3 flows, 3 written to standard output\n'])
})

test('what a collector did not get is said, with 3', { skip: process.platform !== 'linux' }, async () => {
  const path = await captureFile('o.pcap', pcap(...CONNECTION))
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const url = `udp://127.0.0.1:${socket.address().port}?version=5`
  socket.close()
  await once(socket, 'close')
  const { exitCode, stderr } = await flowkit(['capture', '-r', path, '--to', url])
  assert.equal(exitCode, 3, stderr)
  const [target] = url.split('?')
  assert.ok(stderr.includes(`flowkit: ${target}`) && stderr.includes('did not arrive: connection refused\n'), stderr)
})

test('several outputs get the same, and a collector what its version can carry', async () => {
  const path = await captureFile('f.pcap', pcap(...CONNECTION, LATER))
  const archive = join(folder, 'collected')
  const collector = await startCollect(archive)
  const own = join(folder, 'own')
  const { exitCode, stderr } = await flowkit([
    'capture', '-r', path, '--to', own, '--to', `udp://127.0.0.1:${collector.port}?version=5`,
  ])
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /3 flows, 3 written to \S+own, udp:\/\/127\.0\.0\.1:\d+\?version=5\n/)
  assert.match(stderr, /NetFlow v5 could not carry\n +end_reason +left out of 3 flows\n/)
  await untilTaken(collector, 1)
  await collector.stop()
  const fields = ['--fields', 'src_addr,dst_addr,src_port,packets,bytes,tcp_flags']
  const [sent, kept] = await Promise.all([archive, own].map(async (place) => {
    return (await flowkit(['read', place, ...fields])).stdout.split('\n').sort()
  }))
  assert.equal(sent.length, 4)
  assert.deepEqual(sent, kept)
})

test('what is damaged, not IP, or of unknown links is told, and the rest is read', async () => {
  const cut = await captureFile('g.pcap', pcap(...CONNECTION, LATER).subarray(0, -7))
  const { flows, stderr, exitCode } = await flowsOf('-r', cut)
  assert.deepEqual([flows.length, exitCode], [2, 3])
  assert.match(stderr, /^flowkit: \S+g\.pcap: Cannot read \w+ .*\n/)
  const arp = await captureFile('h.pcap', pcapOf(1, [record(0, `${'00'.repeat(12)}0806${'00'.repeat(28)}`)]))
  assert.equal((await flowsOf('-r', arp)).stderr,
    'flowkit: 1 packet read, 0 flows, 0 written to standard output\nflowkit:   1 packet not IP\n')
  const text = await captureFile('i.pcap', Buffer.from('no capture at all'))
  const none = await flowsOf('-r', text)
  assert.equal(none.exitCode, 1)
  assert.match(none.stderr, /i\.pcap: Cannot read capture: magic number of pcap or pcapng wanted/)
  const missing = await flowsOf('-r', join(folder, 'none.pcap'))
  assert.deepEqual([missing.exitCode, missing.flows.length], [1, 0])
  assert.match(missing.stderr, /^flowkit: Cannot open "\S+none\.pcap": no such file\n$/)
})

test('capture refuses what it cannot do, in one line', async () => {
  const path = await captureFile('j.pcap', pcap(LATER))
  const refusals: readonly (readonly [exitCode: number, reason: RegExp, ...args: string[]])[] = [
    [2, /"x\.pcap" is no option; to read captures name them after -r/, 'x.pcap'],
    [2, /Cannot use option -r beside -i/, '-r', path, '-i', 'lo'],
    [2, /--sample: expected one packet of how many, such as 1\/100, found "2\/3"/, '-r', path, '--sample', '2/3'],
    [2, /--max-flows: expected a whole number from 1 to 16777216/, '-r', path, '--max-flows', '0'],
    [2, /--snaplen: expected a whole number from 64/, '-i', 'lo', '--snaplen', '1'],
    [2, /--to-format: expected 1, found 2/, '-r', path, '--to', 'x.json', '--to-format', 'json,csv'],
    [2, /--to-format: collectors take what \?version= says/, '-r', path, '--to', 'udp://127.0.0.1:1',
      '--to-format', 'json'],
    [1, /expected \?version= with one of/, '-r', path, '--to', 'udp://127.0.0.1:1?version=11'],
    [1, /Cannot use --user beside -r/, '-r', path, '--user', 'nobody', '--to', '-'],
    [1, /Cannot parse filter/, '-r', path, '-f', 'src port foo', '--to', '-'],
  ]
  for (const [exitCode, reason, ...args] of refusals) {
    const done = await flowkit(['capture', ...args])
    assert.match(done.stderr, reason)
    assert.deepEqual([done.exitCode, done.stdout], [exitCode, ''], done.stderr)
  }
})

test("flowexport's environment is refused by the variable that is missing or wrong", async () => {
  const refusals: readonly (readonly [reason: RegExp, env: Record<string, string>])[] = [
    [/a number of seconds in \$INTERVAL, it is not set/, {}],
    [/a number of seconds in \$INTERVAL, found "x"/, { INTERVAL: 'x' }],
    [/a number of days in \$MAXAGE, it is not set/, { INTERVAL: '60' }],
    [/text or netflow in \$MODE, found "csv"/, { INTERVAL: '60', MODE: 'csv' }],
    [/HOST:PORT in \$TARGET, it is not set/, { INTERVAL: '60', MODE: 'netflow' }],
  ]
  for (const [reason, env] of refusals) {
    const { stderr, exitCode } = await flowkit(['capture'], { INTERFACE: 'eth*', ...env })
    assert.match(stderr, reason)
    assert.equal(exitCode, 1)
  }
})
