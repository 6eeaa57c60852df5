/** Captures of interfaces, in a network of their own. */
import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { flowkit, listenTo, startCollect, startFlowkit, untilTaken, type Running } from '../support/flowkit.ts'
import { openFrameSender, udpFrame } from '../support/frames.ts'
import { enterNetwork, makePair, run } from '../support/network.ts'

const skip = await enterNetwork()
const timeout = 120_000
const folder = await mkdtemp(join(tmpdir(), 'flowkit-capture-live-'))
after(() => rm(folder, { recursive: true, force: true }))
if (skip === false) makePair('out0', 'in0')

/** Start a capture, and wait until it is ready. */
async function startCapture(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Running> {
  const running = listenTo(startFlowkit(['capture', ...args], { TZ: 'UTC', ...env }))
  await running.next(/capturing from /)
  return running
}

/** Send a frame of 100 bytes for each source port, `times` over. */
async function send(ports: readonly number[], times = 1, from = 'out0'): Promise<void> {
  const sender = await openFrameSender(from, ports.map((srcPort) => udpFrame({ srcPort, size: 100 })))
  sender.send(times)
  sender.close()
}

/** Wait until a capture has received so many packets. */
async function untilReceived({ signal, next }: Running, packets: number, name = 'in0'): Promise<void> {
  for (let received = 0; received < packets;) {
    signal('SIGUSR2')
    const [, line] = await next(/capture\n([^]*?)\n {2}all: .*\n/)
    received = Number(new RegExp(`${name}: .*?received=(\\d+)`).exec(line)?.[1] ?? 0)
  }
}

/** Packets by source port of all flows in a place. */
async function packetsIn(place: string): Promise<Record<number, number>> {
  const { stdout, stderr } = await flowkit(['read', place, '--fields', 'src_port,packets'])
  assert.notEqual(stdout, '', stderr)
  const sums: Record<number, number> = {}
  for (const line of stdout.trim().split('\n')) {
    const { src_port: port, packets } = JSON.parse(line)
    sums[port] = (sums[port] ?? 0) + packets
  }
  return sums
}

test('packets of an interface are in every output, and the ledger tells how many', { skip, timeout }, async () => {
  const [archive, text, file] = ['a', 'a-text', 'a.json'].map((name) => join(folder, name))
  const capture = await startCapture(['-i', 'in0', '--to', `${archive},${text},${file}`,
    '--to-format', 'archive,line,json'])
  await send([1, 2, 3], 10)
  await untilReceived(capture, 30)
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /30 packets received, 0 dropped by the kernel, 0 without a flow, 3 flows\n/)
  for (const place of [archive, file]) assert.deepEqual(await packetsIn(place), { 1: 10, 2: 10, 3: 10 })
  const [name] = (await readdir(text, { recursive: true })).filter((each) => each.endsWith('.line'))
    .concat((await readdir(text, { recursive: true })).filter((each) => each.includes('Z-')))
  assert.match(await readFile(join(text, name), 'utf8'), /UDP +10\.0\.0\.1:3 +-> +10\.0\.0\.2:53 +10 +860 +1\n/)
  const { stdout } = await flowkit(['read', '--summary', archive])
  assert.match(stdout, /\n {2}in0 +30 +0/)
  assert.match(stdout, /complete: no packets were dropped at in0\n/)
})

test('signals begin new files, which go to the hook', { skip, timeout }, async () => {
  const [files, hooked] = [join(folder, 'b'), join(folder, 'b-hooked')]
  const capture = await startCapture(['-i', 'in0', '--to', files, '--to-format', 'nfdump', '--idle-timeout', '1s',
    '--rotate', '1h', '--on-rotate', `echo $FLOWKIT_FILE >> ${hooked}`, '--log-level', 'debug'])
  for (const [i, signal] of (['SIGUSR1', 'SIGHUP'] as const).entries()) {
    await send([10 + i], 5)
    await untilReceived(capture, 5 * (i + 1))
    await until(async () => {
      capture.signal('SIGUSR2')
      return Number((await capture.next(/all: flows=(\d+)/))[1]) > i
    })
    await until(async () => {
      capture.signal(signal)
      return (await readdir(files)).filter((name) => name.startsWith('nfcapd.')).length > i
    })
  }
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual(await packetsIn(files), { 10: 5, 11: 5 })
  const written = (await readdir(files)).filter((name) => name.startsWith('nfcapd.')).sort()
  const now = run('date -u +%Y%m%d%H%M').trim()
  for (const name of written) assert.ok(name.split('.')[1].slice(0, now.length) <= now, name)
  await until(async () => (await readFile(hooked, 'utf8')).trim().split('\n').length === written.length)
  assert.deepEqual((await readFile(hooked, 'utf8')).trim().split('\n').sort(),
    written.map((name) => join(files, name)))
})

/** Wait until it holds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!await holds().catch(() => false)) await new Promise((resolve) => setTimeout(resolve, 20))
}

test('interfaces come and go while it runs', { skip, timeout }, async () => {
  const file = join(folder, 'c.json')
  const capture = await startCapture(['-i', 'tap*', '--to', file])
  for (let round = 1; round <= 2; round++) {
    makePair('src0', 'tap7')
    await capture.next(round === 1 ? /tap7 is there/ : /tap7 is back/)
    await send([round], 7, 'src0')
    await untilReceived(capture, 7 * round, 'tap7')
    run('ip link del src0')
    await capture.next(/tap7 has gone/)
  }
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual(await packetsIn(file), { 1: 7, 2: 7 })
})

test('each packet was received or counted as dropped, and a loss is exit code 3', { skip, timeout }, async () => {
  const archive = join(folder, 'd')
  const capture = await startCapture(['-i', 'in0', '--to', archive, '--ring-size', '64Ki', '--rotate', '1s'])
  capture.signal('SIGSTOP') // nobody reads the ring meanwhile
  await send([1, 2, 3, 4], 5000)
  capture.signal('SIGCONT')
  await send([9]) // and it goes on
  await until(async () => {
    capture.signal('SIGUSR2')
    const [, received, dropped] = await capture.next(/in0: .*received=(\d+) dropped=(\d+)/)
    return Number(received) + Number(dropped) === 20_001
  })
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 3, stderr)
  const [, received, dropped] = /(\S+) packets received, (\S+) dropped by the kernel/.exec(stderr) ?? []
  const [taken, lost] = [received, dropped].map((count) => Number(count.replaceAll(',', '')))
  assert.equal(taken + lost, 20_001)
  assert.ok(lost > 0)
  const sums = Object.values(await packetsIn(archive)).reduce((sum, count) => sum + count, 0)
  assert.equal(sums, taken)
  const { stdout } = await flowkit(['read', '--summary', archive])
  assert.match(stdout, new RegExp(`incomplete: ${lost} packets? dropped at in0\n`))
})

test('a collector gets the flows, and expressions of tcpdump leave packets out', { skip, timeout }, async () => {
  const archive = join(folder, 'e')
  const collector = await startCollect(archive)
  for (const version of [5, 9, 10]) {
    const capture = await startCapture([
      '-i', 'in0', '--bpf', `src port ${version}`, '--to', `udp://127.0.0.1:${collector.port}?version=${version}`,
    ])
    await send([version, 77], version)
    await untilReceived(capture, version)
    const { exitCode, stderr } = await capture.stop()
    assert.equal(exitCode, 0, stderr)
  }
  await untilTaken(collector, 3)
  await collector.stop()
  assert.deepEqual(await packetsIn(archive), { 5: 5, 9: 9, 10: 10 })
})

test('--user: captures without rights, from interfaces that come later too', { skip, timeout }, async () => {
  await chmod(folder, 0o755)
  const archive = join(folder, 'f')
  const capture = await startCapture(['-i', 'late*', '--bpf', 'udp', '--user', 'nobody', '--to', archive,
    '--log-level', 'debug'])
  const [child] = (await readFile(`/proc/${capture.pid}/task/${capture.pid}/children`, 'utf8')).trim().split(' ')
  const status = await readFile(`/proc/${child}/status`, 'utf8')
  assert.match(status, /^Uid:\s+(?!0)\d+/m)
  assert.match(status, /^CapEff:\s+0000000000000000$/m)
  makePair('src1', 'late1')
  await capture.next(/late1 is there/)
  await send([4], 3, 'src1')
  await untilReceived(capture, 3, 'late1')
  const { exitCode, stderr } = await capture.stop()
  run('ip link del src1')
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual(await packetsIn(archive), { 4: 3 })
  assert.notEqual((await stat(join(archive, 'flows'))).uid, 0)
})

test("flowexport's environment: text by intervals, kept so many days", { skip, timeout }, async () => {
  const files = join(folder, 'g')
  await mkdir(files)
  const [old, other] = [join(files, '202601010000'), join(files, 'notes.txt')]
  for (const path of [old, other]) {
    await writeFile(path, 'x')
    await utimes(path, 1, 1)
  }
  const capture = await startCapture(['--dir', files], { INTERFACE: 'in*', INTERVAL: '2', MAXAGE: '2' })
  await send([6, 7], 4)
  await untilReceived(capture, 8)
  await until(async () => (await readdir(files)).some((name) => /^2026(?!01).{10}$/.test(name)))
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  const names = await readdir(files)
  assert.ok(names.includes('notes.txt') && !names.includes('202601010000'), names.join())
  const [name] = names.filter((each) => /^\d{14}$/.test(each))
  assert.equal(Number(name.slice(12)) % 2, 0)
  const lines = (await readFile(join(files, name), 'utf8')).split('\n')
  assert.match(lines[0], /^Date first seen +Duration Proto +Src IP Addr:Port +Dst IP Addr:Port +Packets +Bytes Flows$/)
  assert.match(lines[1], /^2026-\S+ \S+ +0\.\d{3} UDP +10\.0\.0\.1:[67] +-> +10\.0\.0\.2:53 +4 +344 +1$/)
  assert.match(lines[3], /^Summary: total flows: 2, total bytes: 688, total packets: 8, avg bps: /)
})

test("flowexport's environment: NetFlow version 9 to a collector", { skip, timeout }, async () => {
  const archive = join(folder, 'h')
  const collector = await startCollect(archive)
  const capture = await startCapture([], {
    INTERFACE: 'in0', INTERVAL: '1', MODE: 'netflow', TARGET: `127.0.0.1:${collector.port}`,
  })
  await send([8], 6)
  await untilTaken(collector, 1)
  await capture.stop()
  await collector.stop()
  assert.deepEqual(await packetsIn(archive), { 8: 6 })
  const { stdout } = await flowkit(['read', archive, '--fields', 'type'])
  assert.equal(stdout, '{"type":"NETFLOW_V9"}\n')
})

test('an output that cannot be written to loses what is counted, and takes the rest', { skip, timeout }, async () => {
  const files = join(folder, 'i')
  const capture = await startCapture(['-i', 'in0', '--to', files, '--to-format', 'json', '--idle-timeout', '1s',
    '--rotate', '1s'])
  await rename(files, `${files}.away`)
  await writeFile(files, 'not a folder')
  await send([1], 3)
  await capture.next(/Cannot \w+ "\S+": /)
  await rm(files)
  await send([2], 4)
  await until(async () => (await readdir(files, { recursive: true })).some((name) => name.endsWith('.json')))
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 3, stderr)
  assert.match(stderr, /1 flow lost: they could not be written\n/)
  assert.deepEqual(await packetsIn(files), { 2: 4 })
})

test('interfaces that are not there, expressions and rights are refused in one line', { skip, timeout }, async () => {
  await writeFile(join(folder, 'a file'), '')
  const refusals: readonly (readonly [reason: RegExp, ...args: string[]])[] = [
    [/^flowkit: Cannot capture from none0: there is no such interface\n$/, '-i', 'none0'],
    [/^flowkit: Cannot use BPF expression: .*syntax error.*\n$/, '-i', 'in0', '--bpf', '(('],
    [/^flowkit: Cannot capture: there is no default route .*; name one with -i\n$/],
    [/^flowkit: Cannot create "[^"]+\/a file\/x\/flows": /, '-i', 'in0', '--to', join(folder, 'a file', 'x')],
    [/Cannot use option --on-rotate with --user/, '-i', 'in0', '--user', 'nobody', '--on-rotate', 'x'],
  ]
  for (const [reason, ...args] of refusals) {
    const { stderr, exitCode } = await flowkit(['capture', ...args, '--to', join(folder, 'none')])
    assert.match(stderr, reason)
    assert.ok(exitCode === 1 || exitCode === 2)
  }
})
