import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openUdpBlaster } from '../../core/net/udp-blast.ts'
import { AF_INET, bindSocket, createSocket, localEndpoint } from '../../core/net/udp-socket.ts'
import { loadLibc } from '../../core/net/ffi.ts'
import { FLOWKIT } from '../support/collector-process.ts'
import { sendFrom, v5Datagram } from '../support/datagrams.ts'
import { flowkit, listenTo, startFlowkit, untilTaken, type Running } from '../support/flowkit.ts'
import { killAgainAndAgain } from '../support/kills.ts'

const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'flowkit-workers-')))
fs.chmodSync(folder, 0o755)
after(() => fs.rmSync(folder, { recursive: true }))

const linux = process.platform === 'linux' ? false : 'only Linux has this'
const SOURCES = Array.from({ length: 12 }, (_, i) => `127.0.0.${i + 2}`)
const THREE = ['--listen', '127.0.0.1:0', '--workers', '3']

function start(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = startFlowkit(['collect', ...args], env)
  t.after(() => child.kill('SIGKILL'))
  return listenTo(child)
}

async function portOf({ next }: Running): Promise<number> {
  return Number((await next(/collecting on udp:\/\/127\.0\.0\.1:(\d+)/))[1])
}

async function sendFromAll(port: number, ...datagrams: readonly Buffer[]): Promise<void> {
  for (const source of SOURCES) await sendFrom(source, port, ...datagrams)
}

/** The threads of a process, with some of what /proc/PID/task/TID/status says. */
function threadsOf(pid: number): { readonly name: string, readonly status: string }[] {
  return fs.readdirSync(`/proc/${pid}/task`).flatMap((id) => {
    try {
      const text = fs.readFileSync(`/proc/${pid}/task/${id}/status`, 'utf8')
      const status = text.match(/^(Uid|CapEff|NoNewPrivs|Seccomp):.*$/gm)!.join(' ').replaceAll('\t', ' ')
      return [{ name: /^Name:\s+(.*)/.exec(text)![1], status }]
    } catch {
      return [] // it has ended
    }
  })
}

test('metrics, ledger and summary are of all workers', { skip: linux }, async (t) => {
  const archive = join(folder, 'sums')
  const hooked = join(folder, 'hooked')
  const collector = start(t, [
    ...THREE, '--to', archive, '--rotate', '1d', '--metrics', '127.0.0.1:0', '--log-level', 'debug',
    '--on-rotate', `echo $FLOWKIT_FILE >> ${hooked}`,
  ])
  const [, url] = await collector.next(/metrics on (\S+)/)
  const port = await portOf(collector)
  await sendFromAll(port, v5Datagram(), v5Datagram({ srcPort: 9 }))
  await untilTaken(collector, 24)
  collector.signal('SIGUSR1')
  for (let i = 0; i < 3; i++) await collector.next(/\d+ rows written to/)
  const metrics = await (await fetch(url)).text()
  const value = (name: string): string => new RegExp(`^flowkit_${name} (.*)$`, 'm').exec(metrics)![1]
  assert.equal(value('datagrams_total'), '24')
  assert.equal(value('records_total'), '24')
  assert.equal(value(`sink_records_total{sink="${archive}"}`), '24')
  assert.equal(value('exporters'), '12')
  for (const source of SOURCES) assert.equal(value(`exporter_datagrams_total{exporter="${source}"}`), '2')
  await sendFromAll(port, v5Datagram())
  await untilTaken(collector, 36)
  collector.signal('SIGHUP')
  for (let i = 0; i < 3; i++) await collector.next(/\d+ rows written to/)
  await sendFromAll(port, v5Datagram())
  const { exitCode, stderr } = await collector.stop() // with what the sockets still hold
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /48 datagrams received, 0 refused, 48 flows decoded, 0 filtered, 48 written\n$/)
  const { stdout } = await flowkit(['read', archive, '--summary', '-o', 'json'])
  const summary = JSON.parse(stdout) as { records: number, ledger: { exporter: string, datagrams: number }[] }
  assert.equal(summary.records, 48)
  const rows = summary.ledger.map(({ exporter, datagrams }) => `${exporter} ${datagrams}`)
  assert.deepEqual(rows.sort(), SOURCES.map((source) => `${source} 4`).sort())
  assert.equal(fs.readFileSync(hooked, 'utf8').trim().split('\n').length, 9)
})

test('each flow is archived once, and the ledger is right, when the number of workers changes at each kill', {
  skip: linux,
}, async (t) => {
  const kills = 15
  const { sent, archived, files, spooled } = await killAgainAndAgain({
    archive: join(folder, 'killed'), kills, seed: 20_261_121, workers: [3, 2, 1, 1, 2, 2],
  })
  t.diagnostic(`${kills} kills, ${sent} datagrams sent, ${archived} archived in ${files} files, `
    + `${spooled} seen in spools`)
  assert.ok(spooled > 0)
})

test('a flood of damaged datagrams from many sources is counted, and said in a hundred lines', {
  skip: linux,
}, async (t) => {
  const archive = join(folder, 'flood')
  const collector = start(t, [...THREE, '--to', archive, '--receive-buffer', '256Mi'])
  const port = await portOf(collector)
  const bytes = Buffer.from('damaged!'.repeat(64))
  const offsets = Uint32Array.from({ length: 65 }, (_, i) => i * 8)
  const [sources, each] = [600, 128]
  for (let i = 0; i < sources; i++) {
    const source = `127.${1 + i % 7}.${i >>> 8}.${i & 255}`
    const blaster = await openUdpBlaster({ address: '127.0.0.1', port, source, bytes, offsets })
    for (let sent = 0; sent < each;) sent += blaster.send(0, Math.min(64, each - sent))
    blaster.close()
  }
  await sendFromAll(port, v5Datagram())
  await untilTaken(collector, sources * each + 12)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0)
  assert.match(stderr, /76812 datagrams received, 0 refused, 12 flows decoded, 0 filtered, 12 written\n$/)
  const said = stderr.match(/Cannot decode datagram/g)!.length
  assert.equal(said, 100)
  assert.match(stderr, new RegExp(`${sources * each - said} more such faults`))
})

const noUser = linux || (process.getuid?.() !== 0 ? 'only root can become another user'
  : FLOWKIT.every((path) => isReadable(path)) ? false : 'nobody may not read flowkit')

function isReadable(path: string): boolean {
  for (let at = path; at !== '/'; at = dirname(at)) if ((fs.statSync(at).mode & 0o005) === 0) return false
  return true
}

test('--user: all threads of all workers are confined, and their sockets are those of the monitor', {
  skip: noUser,
}, async (t) => {
  const archive = join(folder, 'user')
  const collector = start(t, [...THREE, '--to', archive, '--user', 'nobody', '--log-level', 'debug'])
  const port = await portOf(collector)
  const [child] = fs.readFileSync(`/proc/${collector.pid}/task/${collector.pid}/children`, 'utf8').split(' ')
  await sendFromAll(port, v5Datagram())
  await untilTaken(collector, 12)
  const threads = threadsOf(Number(child))
  // a thread that has just begun has the name of the one that began it
  assert.ok(threads.filter(({ name }) => name === 'collect/lane').length >= 3)
  const confined = 'Uid: 65534 65534 65534 65534 CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2'
  assert.deepEqual(threads.filter(({ status }) => status !== confined), [])
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /no programs, no sockets\n/)
  assert.match(stderr, /12 datagrams received, 0 refused, 12 flows decoded, 0 filtered, 12 written\n$/)
  const files = fs.readdirSync(archive, { recursive: true, encoding: 'utf8' })
  assert.equal(files.filter((name) => /^flows\/.*\.parquet$/.test(name)).length, 3)
})

test('where workers cannot share sockets, one collects, and says so', { skip: linux }, async (t) => {
  const libc = await loadLibc()
  const fd = createSocket(libc, AF_INET)
  bindSocket(libc, fd, { address: '127.0.0.1', port: 0 })
  const { port } = localEndpoint(libc, fd)
  await sendFrom('127.0.0.2', port, v5Datagram())
  const words = ['-c', 'LISTEN_PID=$$ exec "$0" "$@"', ...FLOWKIT, 'collect', '--workers', '3']
  const child = spawn('/bin/sh', [...words, '--to', join(folder, 'passed')], {
    stdio: ['ignore', 'pipe', 'pipe', fd], env: { ...process.env, LISTEN_FDS: '1' },
  })
  t.after(() => child.kill('SIGKILL'))
  libc.close(fd)
  const collector = listenTo(child)
  await collector.next(/one worker collects, not 3: the sockets of the service manager cannot be shared\n/)
  assert.equal(await portOf(collector), port)
  const { stderr } = await collector.stop()
  assert.match(stderr, /1 datagrams received, 0 refused, 1 flows decoded, 0 filtered, 1 written\n$/)
})

test('a second collector shares neither the port of several workers nor their state', {
  skip: linux,
}, async (t) => {
  const archive = join(folder, 'second')
  const collector = start(t, [...THREE, '--to', archive])
  const port = await portOf(collector)
  for (const workers of ['1', '2', '3']) {
    const listen = ['--listen', `127.0.0.1:${port}`, '--workers', workers]
    const taken = await flowkit(['collect', ...listen, '--to', join(folder, 'elsewhere')])
    assert.deepEqual([taken.exitCode, taken.stderr],
      [1, `flowkit: Cannot listen on 127.0.0.1:${port}: address already in use\n`])
    const held = await flowkit(['collect', '--listen', '127.0.0.1:0', '--workers', workers, '--to', archive])
    assert.equal(held.exitCode, 1)
    const message = new RegExp(`^flowkit: Cannot open spool ".*": process ${collector.pid} has it open\n$`)
    assert.match(held.stderr, message)
  }
  await collector.stop()
})

test('--workers is from 1 to 64, and --check tells it', async () => {
  for (const workers of ['0', '65', 'many']) {
    const { exitCode, stderr } = await flowkit(['collect', '--workers', workers])
    assert.equal(exitCode, 2)
    assert.match(stderr, /^flowkit: Cannot use option --workers: expected a whole number from 1 to 64, /)
  }
  const { stdout } = await flowkit(['collect', '--check', '--workers', '4', '--to', join(folder, 'check')])
  assert.match(stdout, /^workers {3}4$/m)
})
