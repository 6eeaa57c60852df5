import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadLibc } from '../../../core/net/ffi.ts'
import { listenFds, openNotifier, watchdogInterval } from '../../../core/net/systemd.ts'
import { openUdpSocket } from '../../../core/net/udp-receiver.ts'
import { finished, type Finished } from '../../support/flowkit.ts'

const AF_UNIX = 1
const SOCK_DGRAM_NONBLOCK = 0o4002

/** A bound datagram socket, as a service manager has it; what has come is there at once. */
async function managerAt(t: TestContext, name: string): Promise<{ receive(): string | undefined }> {
  const libc = await loadLibc()
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0)
  const path = Buffer.from(name.startsWith('@') ? `\0${name.slice(1)}` : `${name}\0`)
  const address = Uint8Array.of(AF_UNIX, 0, ...path)
  assert.equal(libc.bind(fd, address, address.length), 0)
  t.after(() => libc.close(fd))
  const buffer = Buffer.alloc(4096)
  return {
    receive() {
      try {
        return buffer.toString('utf8', 0, fs.readSync(fd, buffer))
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN')
        return undefined
      }
    },
  }
}

function folderOf(t: TestContext): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'flowkit-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  return folder
}

for (const kind of ['path', 'abstract']) {
  test(`a notifier says all states to a socket of a name that is ${kind}`, async (t) => {
    const name = kind === 'path' ? join(folderOf(t), 'notify') : `@flowkit-${process.pid}`
    const manager = await managerAt(t, name)
    const notifier = await openNotifier({ NOTIFY_SOCKET: name })
    notifier.ready()
    notifier.status('3 exporters\n  heard')
    notifier.watchdog()
    notifier.stopping()
    for (const expected of ['READY=1', 'STATUS=3 exporters heard', 'WATCHDOG=1', 'STOPPING=1', undefined]) {
      assert.equal(manager.receive(), expected)
    }
    notifier.close()
    notifier.close()
    notifier.ready()
    assert.equal(manager.receive(), undefined)
  })
}

test('reloading is said with the monotonic clock, in microseconds', async (t) => {
  const name = join(folderOf(t), 'notify')
  const manager = await managerAt(t, name)
  const notifier = await openNotifier({ NOTIFY_SOCKET: name })
  t.after(() => notifier.close())
  const uptime = Number(fs.readFileSync('/proc/uptime', 'utf8').split(' ')[0]) // sleep included
  notifier.reloading()
  const [, micros] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(manager.receive() ?? '') ?? []
  assert.ok(Number(micros) > 0 && Number(micros) / 1e6 <= uptime + 60)
})

test('a notifier says nothing, and throws nothing, where nobody listens', async (t) => {
  const folder = folderOf(t)
  const names = [undefined, '', 'notify', '/', '@', `${folder}/none`, `/${'x'.repeat(107)}`, 'vsock:2:1234']
  for (const name of names) {
    const notifier = await openNotifier({ NOTIFY_SOCKET: name })
    notifier.ready()
    notifier.reloading()
    notifier.close()
  }
  const name = join(folder, 'gone')
  const libc = await loadLibc()
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0)
  const address = Uint8Array.of(AF_UNIX, 0, ...Buffer.from(`${name}\0`))
  assert.equal(libc.bind(fd, address, address.length), 0)
  const notifier = await openNotifier({ NOTIFY_SOCKET: name })
  libc.close(fd)
  notifier.ready()
  notifier.close()
})

test('a manager that takes nothing does not hold a service up for good', async (t) => {
  const name = join(folderOf(t), 'notify')
  const manager = await managerAt(t, name)
  const waiting = Number(fs.readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8')) + 1
  const notifier = await openNotifier({ NOTIFY_SOCKET: name })
  t.after(() => notifier.close())
  for (let i = 0; i < waiting + 1; i++) notifier.status(`${i}`)
  for (let i = 0; i < waiting; i++) assert.equal(manager.receive(), `STATUS=${i}`)
  assert.equal(manager.receive(), undefined)
})

test('the watchdog is fed twice in its time', () => {
  assert.equal(watchdogInterval({ WATCHDOG_USEC: '30000000' }, 7), 15_000)
  assert.equal(watchdogInterval({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7), 15_000)
  assert.equal(watchdogInterval({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, 7), undefined)
  assert.equal(watchdogInterval({ WATCHDOG_USEC: '1' }, 7), 1)
  for (const text of [undefined, '', '0', '-1', 'x', 'Infinity']) {
    assert.equal(watchdogInterval({ WATCHDOG_USEC: text }, 7), undefined)
  }
})

test('no sockets are given where the variables are missing or for another process', async () => {
  assert.deepEqual(await listenFds({}, 7), [])
  assert.deepEqual(await listenFds({ LISTEN_FDS: '1' }, 7), [])
  assert.deepEqual(await listenFds({ LISTEN_FDS: '1', LISTEN_PID: '8' }, 7), [])
  assert.deepEqual(await listenFds({ LISTEN_FDS: '0', LISTEN_PID: '7' }, 7), [])
})

test('each socket given has a name', async () => {
  for (const env of [{ LISTEN_FDS: 'x' }, { LISTEN_FDS: '-1' }, { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a' }]) {
    const found = Object.entries(env).map(([name, value]) => `${name}=${value}`).join(' and ')
    await assert.rejects(listenFds({ ...env, LISTEN_PID: '7' }, 7), {
      code: 'ERR_OPTION', message: `Cannot use sockets: expected a name for each, found ${found}`,
    })
  }
})

/** Start a process with descriptors from 3 on as a service manager does, that prints what it was given. */
function given(passed: readonly number[], names?: string): Promise<Finished> {
  const script = `
    import { readFileSync } from 'node:fs'
    import { listenFds } from ${JSON.stringify(new URL('../../../core/net/systemd.ts', import.meta.url))}
    const sockets = await listenFds(process.env, process.pid).catch((error) => error.message)
    console.log(JSON.stringify(sockets))
    for (const { fd } of typeof sockets === 'string' ? [] : sockets) {
      const [, flags] = /flags:\\s+(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + fd, 'utf8'))
      if ((parseInt(flags, 8) & 0o2000000) === 0) console.log(fd + ' is inherited')
    }`
  const env = { ...process.env, LISTEN_FDS: String(passed.length), LISTEN_FDNAMES: names }
  const words = ['-c', 'LISTEN_PID=$$ exec "$0" "$@"', process.execPath, '--input-type=module', '-e', script]
  return finished(spawn('/bin/sh', words, { stdio: ['ignore', 'pipe', 'pipe', ...passed], env }))
}

test('UDP and TCP sockets are told with names and addresses, and are not inherited further', async (t) => {
  const libc = await loadLibc()
  const udp = await openUdpSocket({ address: '127.0.0.1', port: 0, receiveBuffer: 100_000 })
  t.after(() => libc.close(udp))
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const { fd: tcp } = (server as unknown as { _handle: { fd: number } })._handle
  const { stdout, stderr } = await given([udp, tcp], 'netflow:ipfix')
  assert.equal(stderr, '')
  const [first, ...rest] = stdout.trimEnd().split('\n')
  const sockets = JSON.parse(first) as { endpoint: { port: number } }[]
  assert.deepEqual(sockets, [
    {
      fd: 3, name: 'netflow', protocol: 'udp',
      endpoint: { address: '127.0.0.1', port: sockets[0].endpoint.port },
    },
    { fd: 4, name: 'ipfix', protocol: 'tcp', endpoint: { address: '127.0.0.1', port } },
  ])
  assert.ok(sockets[0].endpoint.port > 0)
  assert.deepEqual(rest, [])
})

test('what is no socket of the internet is refused', async (t) => {
  const libc = await loadLibc()
  const local = libc.socket(AF_UNIX, 2, 0)
  const idle = libc.socket(2, 1, 0) // AF_INET, SOCK_STREAM
  const file = fs.openSync('/dev/null', 'r')
  t.after(() => [local, idle, file].forEach((fd) => libc.close(fd)))
  const cases: readonly (readonly [number, string])[] = [
    [local, 'one of address family 1'], [idle, 'a TCP socket that does not listen'],
    [file, 'what is no socket'],
  ]
  for (const [fd, found] of cases) {
    const { stdout } = await given([fd])
    const wanted = 'expected a UDP socket or a listening TCP socket'
    assert.equal(JSON.parse(stdout), `Cannot use descriptor 3 (unknown): ${wanted}, found ${found}`)
  }
})
