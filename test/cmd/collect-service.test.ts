import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { loadLibc } from '../../core/net/ffi.ts'
import { openStreamSender } from '../../core/net/stream-sender.ts'
import { AF_INET, bindSocket, createSocket, localEndpoint } from '../../core/net/udp-socket.ts'
import { makeAuthority, noCertificates } from '../support/certificates.ts'
import { FLOWKIT } from '../support/collector-process.ts'
import { ipfixMessage, sendFrom, v5Datagram } from '../support/datagrams.ts'
import { EXECUTABLE, flowkit, listenTo, startFlowkit, untilTaken, type Running } from '../support/flowkit.ts'

const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'flowkit-service-')))
fs.chmodSync(folder, 0o755)
after(() => fs.rmSync(folder, { recursive: true }))

const LISTEN = ['--listen', '127.0.0.1:0']
const linux = process.platform === 'linux' ? false : 'only Linux has this'
const noUser = whyNoUser()
const noPython = spawnSync('python3', ['-V']).status === 0 ? linux : 'not installed: python3'

/** Why a process cannot become the user nobody. */
function whyNoUser(): string | false {
  if (linux !== false) return linux
  if (process.getuid?.() !== 0) return 'only root can become another user'
  if (!/^nobody:/m.test(fs.readFileSync('/etc/passwd', 'utf8'))) return 'there is no user nobody'
  for (let at = FLOWKIT.at(-1)!; at !== '/'; at = dirname(at)) {
    if ((fs.statSync(at).mode & 0o005) === 0) return `nobody may not enter ${at}`
  }
  return false
}

/** To be ended with the test at the latest. */
function watch(t: TestContext, child: ChildProcess): Running {
  t.after(() => child.kill('SIGKILL'))
  return listenTo(child)
}

function start(t: TestContext, args: readonly string[]): Running {
  return watch(t, startFlowkit(['collect', ...args]))
}

async function portOf({ next }: Running): Promise<number> {
  return Number((await next(/collecting on \w+:\/\/[\d.]+:(\d+)/))[1])
}

/** Fields of /proc/PID/status. */
function statusOf(pid: number): Record<string, string> {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  return Object.fromEntries(text.split('\n').map((line) => line.split(/:\s+/)))
}

/** The one process that another has started. */
function childOf({ pid }: Running): number {
  const children = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((name) => {
    try {
      return statusOf(Number(name))['PPid'] === String(pid)
    } catch {
      return false // it has ended
    }
  })
  assert.equal(children.length, 1)
  return Number(children[0])
}

test('--forward sends what is allowed on as it came', async (t) => {
  const second = start(t, [...LISTEN, '--to', join(folder, 'second')])
  const to = `127.0.0.1:${await portOf(second)}`
  const first = start(t, [...LISTEN, '--to', join(folder, 'first'), '--forward', to, '--allow', '127.0.0.2'])
  const port = await portOf(first)
  const damaged = Buffer.from('damaged')
  await sendFrom('127.0.0.3', port, v5Datagram(), v5Datagram())
  await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 1 }), damaged, v5Datagram({ srcPort: 2, proto: 6 }))
  await untilTaken(first, 5)
  await untilTaken(second, 3)
  first.signal('SIGUSR2')
  await first.next(new RegExp(`  to udp://${to}: sent=3 dropped=0\n`))
  const { stderr } = await first.stop()
  assert.match(stderr, /5 datagrams received, 2 refused, 2 flows decoded/)
  assert.ok(stderr.includes(`3 datagrams forwarded to udp://${to}, 0 dropped\n`), stderr)
  await second.stop()
  const { stdout } = await flowkit([
    'read', join(folder, 'second'), '-o', 'csv', '--fields', 'exporter_addr,src_port,proto',
  ])
  assert.equal(stdout, 'exporter_addr,src_port,proto\n127.0.0.1,1,17\n127.0.0.1,2,6\n')
})

test('forwarding to itself, or to what is not found, is refused', async (t) => {
  const other = start(t, [...LISTEN, '--to', join(folder, 'other')])
  const port = await portOf(other)
  await other.stop()
  for (const [forward, message] of [
    [`127.0.0.1:${port}`, `forward to udp://127.0.0.1:${port}: this collector listens there itself\n`],
    ['flowkit.invalid:2055', 'find host "flowkit.invalid": '],
  ]) {
    const args = ['--listen', `127.0.0.1:${port}`, '--to', join(folder, 'other'), '--forward', forward]
    const { exitCode, stderr } = await flowkit(['collect', ...args])
    assert.equal(exitCode, 1)
    assert.ok(stderr.startsWith(`flowkit: Cannot ${message}`), stderr)
  }
})

test('--chroot wants --user, folders below it, and addresses', async () => {
  const inside = ['--chroot', folder, '--user', 'nobody']
  for (const [args, message] of [
    [['--chroot', folder], 'use option --chroot: it needs --user'],
    [['--to', '/elsewhere', ...inside], `write to "/elsewhere" with --chroot: it is not below ${folder}`],
    [['--to', join(folder, 'x'), '--forward', 'localhost:1', ...inside],
      'forward to udp://localhost:1 with --chroot: expected an address, since names cannot be looked up '
        + 'there'],
  ] as const) {
    const { exitCode, stderr } = await flowkit(['collect', ...args])
    assert.deepEqual([exitCode, stderr], [2, `flowkit: Cannot ${message}\n`])
  }
})

for (const isJail of [false, true]) {
  const skip = noUser || isJail && EXECUTABLE === undefined && 'the sources are not in the folder'
  const how = isJail ? '--user with --chroot' : '--user'
  test(`${how}: another user does the work, confined`, { skip }, async (t) => {
    const home = join(folder, isJail ? 'jail' : 'user')
    fs.mkdirSync(home)
    const archive = join(home, 'flows')
    const pidFile = join(folder, 'user.pid')
    const config = join(home, 'collect.toml')
    fs.writeFileSync(config, '', { mode: 0o644 })
    const second = start(t, [...LISTEN, '--to', join(folder, 'from-user')])
    const collector = start(t, [
      ...LISTEN, '--to', archive, '--user', 'nobody', '--pid-file', pidFile, '--log-level', 'debug',
      '--config', config,
      '--forward', `127.0.0.1:${await portOf(second)}`, ...isJail ? ['--chroot', home] : [],
    ])
    await collector.next(/files are confined by Landlock \d+|files are not confined/)
    await collector.next(/system calls are confined by seccomp/)
    const port = await portOf(collector)
    assert.equal(fs.readFileSync(pidFile, 'utf8'), `${collector.pid}\n`)
    const child = childOf(collector)
    const status = statusOf(child)
    assert.equal(status['Uid'], '65534\t65534\t65534\t65534')
    assert.equal(status['CapEff'], '0000000000000000')
    assert.equal(status['NoNewPrivs'], '1')
    assert.equal(status['Seccomp'], '2')
    assert.equal(fs.readlinkSync(`/proc/${child}/root`), isJail ? home : '/')

    await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 1 }))
    await untilTaken(collector, 1) // SIGUSR2
    await untilTaken(second, 1)
    fs.writeFileSync(join(home, 'rules'), 'port 1\n')
    fs.writeFileSync(config, `filter-file = '${join(home, 'rules')}'\n`)
    collector.signal('SIGHUP')
    await collector.next(/the configuration was read again/)
    await collector.next(/1 rows written to (\S+)/)
    await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 2 }), v5Datagram({ srcPort: 1, sampling: 2 }))
    const { exitCode, stderr } = await collector.stop()
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, /3 datagrams received, 0 refused, 3 flows decoded, 1 filtered, 2 written/)
    assert.equal(fs.existsSync(pidFile), false)
    const files = fs.readdirSync(archive, { recursive: true, encoding: 'utf8' })
    assert.equal(files.filter((name) => /^flows\/.*\.parquet$/.test(name)).length, 2)
    for (const name of ['', ...files]) assert.equal(fs.statSync(join(archive, name)).uid, 65_534, name)
    const { stdout } = await flowkit(['read', archive, '-o', 'csv', '--fields', 'src_port,sampling_rate'])
    assert.equal(stdout, 'src_port,sampling_rate\n1,\n1,2\n')
  })
}

const noJail = noUser || EXECUTABLE === undefined && 'the sources are not in the folder'
test('--chroot: a configuration that does not lie in the folder is read once, which is told', {
  skip: noJail,
}, async (t) => {
  const home = join(folder, 'other-jail')
  fs.mkdirSync(home)
  const config = join(folder, 'outside.toml')
  fs.writeFileSync(config, "filter = 'port 1'\n")
  const archive = join(home, 'flows')
  const collector = start(t, [
    ...LISTEN, '--to', archive, '--user', 'nobody', '--chroot', home, '--config', config,
    '--log-level', 'debug',
  ])
  const told = `${config} is read once only, since it is not below ${home}: `
  await collector.next(new RegExp(RegExp.escape(told)))
  const port = await portOf(collector)
  await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 1 }), v5Datagram({ srcPort: 2 }))
  await untilTaken(collector, 2)
  fs.writeFileSync(config, '')
  collector.signal('SIGHUP')
  const why = `the configuration stays as it was: Cannot read ${config} again: it is not below ${home}`
  await collector.next(new RegExp(RegExp.escape(why)))
  await collector.next(/1 rows written to \/flows\//)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
})

const noKey = noUser || noCertificates
test('a private key is read before the rights to do so are given up', { skip: noKey }, async (t) => {
  const key = join(folder, 'key.pem')
  const cert = join(folder, 'cert.pem')
  const authority = makeAuthority('flowkit test')
  t.after(() => authority.end())
  const certified = authority.certify('collector')
  fs.writeFileSync(key, certified.key, { mode: 0o600 })
  fs.writeFileSync(cert, certified.cert)
  const collector = start(t, [
    '--listen', 'tls://127.0.0.1:0', '--to', join(folder, 'key'), '--user', 'nobody', '--tls-key', key,
    '--tls-cert', cert,
  ])
  await portOf(collector)
  collector.signal('SIGHUP')
  await untilTaken(collector, 0)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0)
  assert.doesNotMatch(stderr, /Cannot/)
})

test('when the monitor is killed, its child ends, with everything written', { skip: noUser }, async (t) => {
  const archive = join(folder, 'killed')
  const collector = start(t, [...LISTEN, '--to', archive, '--user', 'nobody'])
  const port = await portOf(collector)
  await sendFrom('127.0.0.2', port, v5Datagram())
  await untilTaken(collector, 1)
  // its end is that of the child too, which has the same stderr
  const { stderr } = await collector.stop('SIGKILL')
  assert.match(stderr, /1 datagrams received, 0 refused, 1 flows decoded, 0 filtered, 1 written\n$/)
  const { stdout } = await flowkit(['read', archive, '-o', 'csv', '--fields', 'bytes'])
  assert.equal(stdout, 'bytes\n100\n')
})

interface PassedSockets {
  readonly fds: readonly number[]
  /** Their ports. */
  readonly udp: number
  readonly tcp: number
  /** Leave them to the process that they were passed to: both would accept connections. */
  leave(): void
}

/** A UDP socket and a TCP listener as a service manager opens them. */
async function openSockets(): Promise<PassedSockets> {
  const libc = await loadLibc()
  const fd = createSocket(libc, AF_INET)
  bindSocket(libc, fd, { address: '127.0.0.1', port: 0 })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { fd: listener } = (server as unknown as { _handle: { fd: number } })._handle
  return {
    fds: [fd, listener],
    udp: localEndpoint(libc, fd).port,
    tcp: (server.address() as { port: number }).port,
    leave() {
      libc.close(fd)
      server.close()
    },
  }
}

/** Start flowkit with sockets as a service manager does. */
function activate(t: TestContext, { fds, leave }: PassedSockets, args: readonly string[]): Running {
  const words = ['-c', 'LISTEN_PID=$$ exec "$0" "$@"', ...FLOWKIT, 'collect', ...args]
  const env = { ...process.env, LISTEN_FDS: String(fds.length) }
  const child = spawn('/bin/sh', words, { stdio: ['ignore', 'pipe', 'pipe', ...fds], env })
  leave()
  return watch(t, child)
}

for (const user of [undefined, 'nobody']) {
  const skip = user === undefined ? linux : noUser
  const who = user === undefined ? '' : ' --user'
  test(`sockets of the service manager are used${who}`, { skip }, async (t) => {
    const archive = join(folder, `activated${user ?? ''}`)
    const sockets = await openSockets()
    const { udp, tcp } = sockets
    await sendFrom('127.0.0.2', udp, v5Datagram()) // it waits in the socket
    const collector = activate(t, sockets, ['--to', archive, ...user === undefined ? [] : ['--user', user]])
    await collector.next(new RegExp(`collecting on udp://127.0.0.1:${udp}, tcp://127.0.0.1:${tcp} into`))
    const sender = await openStreamSender({ host: '127.0.0.1', port: tcp })
    sender.send(ipfixMessage())
    await sendFrom('127.0.0.2', udp, v5Datagram())
    await untilTaken(collector, 3)
    await sender.close()
    const { exitCode, stderr } = await collector.stop()
    assert.equal(exitCode, 0, stderr)
    const fields = ['--fields', 'type,bytes,received', '--sort', 'bytes']
    const { stdout } = await flowkit(['read', archive, '-o', 'json', ...fields])
    const rows = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, string>)
    assert.deepEqual(rows.map(({ type, bytes }) => `${type} ${bytes}`), [
      'IPFIX 1000', 'NETFLOW_V5 100', 'NETFLOW_V5 100',
    ])
    for (const { received } of rows) assert.ok(Date.parse(received) > Date.now() - 600_000, received)
  })
}

test('sockets of the service manager are not used beside --listen', { skip: linux }, async (t) => {
  const collector = activate(t, await openSockets(), [...LISTEN, '--to', join(folder, 'beside')])
  await collector.next(/the sockets of the service manager are not used, since --listen is given\n/)
  await collector.next(/collecting on udp:\/\/127\.0\.0\.1:\d+ into/)
  await collector.stop()
})

const MANAGER = `
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
  data, control, _, _ = s.recvmsg(4096, 256)
  print(struct.unpack('iII', control[0][2])[0], data.decode().split('\\n')[0], flush=True)
`

for (const user of [undefined, 'nobody']) {
  const skip = noPython || user !== undefined && noUser
  const who = user === undefined ? '' : ' --user'
  test(`the service manager is told how it goes, by what it has started${who}`, { skip }, async (t) => {
    const path = join(folder, `notify${user ?? ''}`)
    const manager = spawn('python3', ['-c', MANAGER, path])
    t.after(() => manager.kill())
    const lines = createInterface({ input: manager.stdout })[Symbol.asyncIterator]()
    const next = async (): Promise<string> => String((await lines.next()).value)
    assert.equal(await next(), 'bound')
    const to = join(folder, `told${user ?? ''}`)
    const words = ['collect', ...LISTEN, '--to', to, ...user === undefined ? [] : ['--user', user]]
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' }
    const collector = watch(t, startFlowkit(words, env))
    const said = async (): Promise<string> => {
      for (;;) {
        const [pid, state] = (await next()).split(' ')
        assert.equal(pid, String(collector.pid))
        if (state !== 'WATCHDOG=1') return state
      }
    }
    assert.equal(await said(), 'READY=1')
    assert.equal(await next(), `${collector.pid} WATCHDOG=1`)
    collector.signal('SIGHUP')
    assert.equal(await said(), 'RELOADING=1')
    assert.equal(await said(), 'READY=1')
    const stopped = collector.stop()
    assert.equal(await said(), 'STOPPING=1')
    assert.equal((await stopped).exitCode, 0)
  })
}
