/** Captures of interfaces by several workers, in a network of their own. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { flowkit, listenTo, startCollect, startFlowkit, untilTaken, type Running } from '../support/flowkit.ts'
import { openFrameSender, udpFrame } from '../support/frames.ts'
import { enterNetwork, makePair, run } from '../support/network.ts'

const skip = await enterNetwork()
const timeout = 120_000
const folder = await mkdtemp(join(tmpdir(), 'flowkit-capture-workers-'))
after(() => rm(folder, { recursive: true, force: true }))
if (skip === false) makePair('out0', 'in0')

/** Ports of clients: as many that each of four workers has some. */
const CLIENTS = Array.from({ length: 64 }, (_, i) => 1000 + i)

/** Start a capture, and wait until it is ready. */
async function startCapture(...args: readonly string[]): Promise<Running> {
  const running = listenTo(startFlowkit(['capture', '--workers', '4', ...args], { TZ: 'UTC' }))
  await running.next(/capturing from .* by 4 workers\n/)
  return running
}

/** Have each client send `there` frames of 100 bytes, then be answered by `back` of them. */
async function converse(there: number, back: number, from = 'out0'): Promise<void> {
  const asks = CLIENTS.map((srcPort) => udpFrame({ srcPort, size: 100 }))
  const answers = CLIENTS.map((dstPort) => udpFrame({ srcPort: 53, dstPort, src: 2, dst: 1, size: 100 }))
  for (const [frames, times] of [[asks, there], [answers, back]] as const) {
    const sender = await openFrameSender(from, frames)
    sender.send(times)
    sender.close()
  }
}

/** Wait until a capture has dealt with so many packets. @returns of these, how many were dropped */
async function untilSeen({ signal, next }: Running, packets: number, name = 'in0'): Promise<number> {
  for (;;) {
    signal('SIGUSR2')
    const [, line] = await next(/capture\n([^]*?)\n {2}all: .*\n/)
    const counts = new RegExp(`${name}: .*?received=(\\d+) dropped=(\\d+)`).exec(line)
    const [received, dropped] = (counts ?? [0, 0, 0]).slice(1).map(Number)
    if (received + dropped === packets) return dropped
  }
}

/** Fields of the flows in a place, in the order of the first one. */
async function flowsIn(place: string, ...fields: readonly string[]): Promise<number[][]> {
  const { stdout, stderr } = await flowkit(['read', place, '--fields', fields.join()])
  assert.notEqual(stdout, '', stderr)
  const rows = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, number>)
  return rows.map((row) => fields.map((field) => row[field])).sort(([a], [b]) => a - b)
}

/** The names of all files in a folder. */
async function filesIn(place: string, ending: string): Promise<string[]> {
  return (await readdir(place, { recursive: true })).filter((name) => name.endsWith(ending))
}

/** Wait until it holds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!await holds().catch(() => false)) await new Promise((resolve) => setTimeout(resolve, 20))
}

test('each conversation is a flow of one worker, and sums are of all', { skip, timeout }, async () => {
  const [archive, files] = [join(folder, 'a'), join(folder, 'a-nfdump')]
  const capture = await startCapture('-i', 'in0', '--biflow', '--to', `${archive},${files}`,
    '--to-format', 'archive,nfdump')
  await converse(10, 7)
  assert.equal(await untilSeen(capture, 64 * 17), 0)
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /1,088 packets received, 0 dropped by the kernel, 0 without a flow, 64 flows\n$/)
  const flows = await flowsIn(archive, 'src_port', 'dst_port', 'packets', 'rev_packets', 'bytes', 'rev_bytes')
  assert.deepEqual(flows, CLIENTS.map((port) => [port, 53, 10, 7, 860, 602]))
  assert.equal((await filesIn(join(archive, 'flows'), '.parquet')).length, 4)
  assert.deepEqual((await flowsIn(files, 'src_port', 'packets')), CLIENTS.map((port) => [port, 10]))
  assert.equal((await readdir(files)).filter((name) => name.startsWith('nfcapd.2')).length, 4)
  const { stdout } = await flowkit(['read', '--summary', archive])
  assert.match(stdout, /\n {2}in0 +1088 +0/)
  assert.match(stdout, /complete: no packets were dropped at in0\n/)
})

test('signals begin new files of all workers, which go to the hook', { skip, timeout }, async () => {
  const [archive, hooked] = [join(folder, 'b'), join(folder, 'b-hooked')]
  const capture = await startCapture('-i', 'in0', '--to', archive, '--idle-timeout', '1s', '--rotate', '1h',
    '--on-rotate', `echo $FLOWKIT_FILE >> ${hooked}`)
  for (const [i, signal] of (['SIGUSR1', 'SIGHUP'] as const).entries()) {
    await converse(3, 0)
    await untilSeen(capture, 64 * 3 * (i + 1))
    await until(async () => {
      capture.signal('SIGUSR2')
      return Number((await capture.next(/all: flows=(\d+)/))[1]) === 64 * (i + 1)
    })
    await until(async () => {
      capture.signal(signal)
      return (await filesIn(join(archive, 'flows'), '.parquet')).length === 4 * (i + 1)
    })
  }
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual(await flowsIn(archive, 'src_port', 'packets'),
    CLIENTS.flatMap((port) => [[port, 3], [port, 3]]))
  const written = (await filesIn(join(archive, 'flows'), '.parquet')).map((name) => join(archive, 'flows', name))
  assert.equal(written.length, 8)
  await until(async () => (await readFile(hooked, 'utf8')).trim().split('\n').length === 8)
  assert.deepEqual((await readFile(hooked, 'utf8')).trim().split('\n').sort(), written.sort())
})

test('packets that any worker lost are counted', { skip, timeout }, async () => {
  const archive = join(folder, 'c')
  const capture = await startCapture('-i', 'in0', '--to', archive, '--ring-size', '64Ki', '--idle-timeout', '1s')
  capture.signal('SIGSTOP') // nobody reads the rings meanwhile
  await converse(600, 0)
  capture.signal('SIGCONT')
  await converse(1, 0) // and they go on
  const lost = await untilSeen(capture, 64 * 601)
  assert.ok(lost > 0)
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 3, stderr)
  const packets = (await flowsIn(archive, 'src_port', 'packets')).reduce((sum, [, count]) => sum + count, 0)
  assert.equal(packets, 64 * 601 - lost)
  const { stdout } = await flowkit(['read', '--summary', archive])
  assert.match(stdout, new RegExp(`incomplete: ${lost} packets dropped at in0\n`))
})

test('each worker is an observation domain, or an engine, of its own', { skip, timeout }, async () => {
  for (const version of [5, 10]) {
    const archive = join(folder, `d${version}`)
    const collector = await startCollect(archive)
    const capture = await startCapture('-i', 'in0', '--to', `udp://127.0.0.1:${collector.port}?version=${version}`)
    await converse(2, 0)
    await untilSeen(capture, 64 * 2)
    const { exitCode, stderr } = await capture.stop()
    assert.equal(exitCode, 0, stderr)
    await untilTaken(collector, 4)
    await collector.stop()
    const domain = version === 5 ? 'engine_id' : 'observation_domain_id'
    const flows = await flowsIn(archive, 'src_port', 'packets', domain)
    assert.deepEqual(flows.map(([port, packets]) => [port, packets]), CLIENTS.map((port) => [port, 2]))
    assert.deepEqual([...new Set(flows.map(([, , id]) => id))].sort(), [1, 2, 3, 4])
    const { stdout } = await flowkit(['read', '--summary', archive])
    assert.match(stdout, /\ncomplete: /)
  }
})

test('--user: all threads are confined, and take packets of interfaces that come later', {
  skip, timeout,
}, async () => {
  await chmod(folder, 0o755)
  const archive = join(folder, 'e')
  const wanted = join(folder, 'wanted')
  await writeFile(wanted, 'dst port 53', { mode: 0o600 })
  const capture = await startCapture('-i', 'in0,late*', '--bpf', 'udp', '--filter-file', wanted,
    '--user', 'nobody', '--to', archive, '--log-level', 'debug')
  const [child] = (await readFile(`/proc/${capture.pid}/task/${capture.pid}/children`, 'utf8')).trim().split(' ')
  const threads = await Promise.all((await readdir(`/proc/${child}/task`)).map(async (id) => {
    return readFile(`/proc/${child}/task/${id}/status`, 'utf8')
  }))
  assert.equal(threads.filter((status) => /^Name:\s+capture\/lane$/m.test(status)).length, 4)
  for (const status of threads) assert.match(status, /^Uid:\t(?!0)\d+\t[^]*^CapEff:\t0{16}$[^]*^Seccomp:\t2$/m)
  makePair('src1', 'late1')
  await capture.next(/late1 is there/)
  await converse(5, 0)
  await converse(3, 0, 'src1')
  await untilSeen(capture, 64 * 5)
  await untilSeen(capture, 64 * 3, 'late1')
  const { exitCode, stderr } = await capture.stop()
  run('ip link del src1')
  assert.equal(exitCode, 0, stderr)
  assert.equal(stderr.match(/late1 is there/g)?.length, 1)
  const sums = new Map<number, number>()
  for (const [port, packets] of await flowsIn(archive, 'src_port', 'packets')) {
    sums.set(port, (sums.get(port) ?? 0) + packets)
  }
  assert.deepEqual([...sums], CLIENTS.map((port) => [port, 8]))
})

test('what one worker cannot write is lost and counted, the rest goes on', { skip, timeout }, async () => {
  const files = join(folder, 'f')
  const capture = await startCapture('-i', 'in0', '--to', files, '--to-format', 'json', '--idle-timeout', '1s',
    '--rotate', '1s')
  await rename(files, `${files}.away`)
  await writeFile(files, 'not a folder')
  await converse(3, 0)
  await capture.next(/Cannot \w+ "\S+": /)
  await until(async () => {
    capture.signal('SIGUSR2')
    return Number((await capture.next(/all: flows=(\d+)/))[1]) === 64
  })
  await rm(files)
  await converse(4, 0)
  await until(async () => (await filesIn(files, '.json')).length > 0)
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 3, stderr)
  const lost = Number(/(\d+) flows? lost: they could not be written\n/.exec(stderr)?.[1])
  const flows = await flowsIn(files, 'src_port', 'packets')
  assert.equal(lost + flows.length, 128)
  assert.deepEqual(flows.filter(([, packets]) => packets === 4).map(([port]) => port), CLIENTS)
})

test('what several workers cannot do is refused in one line', { skip, timeout }, async () => {
  await writeFile(join(folder, 'a file'), '')
  const refusals: readonly (readonly [reason: RegExp, exitCode: number, ...args: string[]])[] = [
    [/^flowkit: Cannot capture from none0: there is no such interface\n$/, 1, '-i', 'none0'],
    [/^flowkit: Cannot use BPF expression: .*syntax error.*\n$/, 1, '-i', 'in0', '--bpf', '(('],
    [/^flowkit: Cannot create "[^"]+\/a file\/x\/flows": .*\n$/, 1, '-i', 'in0', '--to', join(folder, 'a file', 'x')],
    [/^flowkit: Cannot use option --workers with --to -: each worker writes files of its own, into a folder\n/, 2,
      '-i', 'in0', '--to', '-'],
    [/^flowkit: Cannot use option --workers with --to x\.json: /, 2, '-i', 'in0', '--to', 'x.json'],
    [/^flowkit: Cannot use --workers beside -r\n$/, 1, '-r', 'x.pcap'],
  ]
  for (const [reason, expected, ...args] of refusals) {
    const { stderr, exitCode } = await flowkit(['capture', '--workers', '4', '--to', join(folder, 'none'), ...args])
    assert.match(stderr, reason)
    assert.equal(exitCode, expected)
  }
  for (const workers of ['0', '65', 'many']) {
    const { exitCode, stderr } = await flowkit(['capture', '--workers', workers])
    assert.equal(exitCode, 2)
    assert.match(stderr, /^flowkit: Cannot use option --workers: expected a whole number from 1 to 64, /)
  }
})
