import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openArchive } from '../../../core/archive/reader.ts'
import { loadLibc } from '../../../core/net/ffi.ts'
import { adoptUdpReceiver, openUdpSocket } from '../../../core/net/udp-receiver.ts'

const PROGRAM = fileURLToPath(new URL('confined.ts', import.meta.url))
const skip = await whyNot()

/** Why the tests cannot be done here. */
async function whyNot(): Promise<string | false> {
  if (process.platform !== 'linux') return 'only Linux has this'
  if (process.getuid?.() !== 0) return 'only root can become another user'
  if (!/^nobody:/m.test(fs.readFileSync('/etc/passwd', 'utf8'))) return 'there is no user nobody'
  for (const path of [PROGRAM, process.execPath]) {
    for (let at = path; at !== '/'; at = dirname(at)) {
      if ((fs.statSync(at).mode & 0o001) === 0 && at !== PROGRAM) return `nobody may not enter ${at}`
    }
  }
  const libc = await loadLibc()
  if (libc.syscall(444, 0, 0, 1, 0) < 2) return 'this kernel has no Landlock, or does not allow it here'
  if (!fs.existsSync('/proc/sys/kernel/seccomp/actions_avail')) return 'this kernel has no seccomp'
  return false
}

type Line = Record<string, unknown>

interface Running {
  readonly folder: string
  readonly monitor: ChildProcess
  readonly child: { readonly pid: number, readonly port: number, readonly notes: string[] }
  readonly receiveBuffer: number
  /** The next line that the child, or its monitor, says; nothing after the last one. */
  line(): Promise<Line | undefined>
}

const ends: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function start(task: string): Promise<Running> {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'flowkit-test-')))
  ends.push(() => fs.rmSync(folder, { recursive: true, force: true }))
  fs.chmodSync(folder, 0o755)
  // nobody might do anything there but for Landlock
  for (const name of ['inside', 'outside']) fs.mkdirSync(join(folder, name))
  for (const name of ['inside', 'outside']) fs.chmodSync(join(folder, name), 0o777)
  fs.writeFileSync(join(folder, 'outside', 'readable'), 'x')
  fs.chmodSync(join(folder, 'outside', 'readable'), 0o666)
  const monitor = spawn(process.execPath, [PROGRAM, task, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_V8_COVERAGE: '' }, // which it may not write
  })
  const exited = once(monitor, 'exit')
  const lines = createInterface({ input: monitor.stdout! })[Symbol.asyncIterator]()
  ends.push(async () => {
    monitor.kill('SIGKILL')
    await exited
    while (!(await lines.next()).done); // the child has ended as well
  })
  async function line(): Promise<Line | undefined> {
    const { value, done } = await lines.next()
    return done ? undefined : JSON.parse(value) as Line
  }
  const first = await line() as Line & Running['child']
  return { folder, monitor, child: first, receiveBuffer: Number(first['receiveBuffer']), line }
}

async function send(text: string, port: number): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise((resolve) => socket.send(text, port, '127.0.0.1', resolve))
  socket.close()
}

/** The next of the lines that has this key. */
async function lineOf({ line }: Running, key: string): Promise<Line> {
  for (;;) {
    const found = await line()
    if (found === undefined) assert.fail(`the program has ended without a line of ${key}`)
    if (key in found) return found
  }
}

test('the child does its work as nobody, confined on all its threads', { skip }, async () => {
  const running = await start('report')
  const { monitor, folder, child, receiveBuffer } = running
  const ended = once(monitor, 'exit')
  assert.deepEqual(child.notes.map((note) => note.replace(/Landlock \d+/, 'Landlock').split(';')[0]), [
    `files are confined by Landlock: written only below ${join(folder, 'inside')}`,
    'system calls are confined by seccomp: no programs, no sockets',
  ])
  assert.equal(receiveBuffer, 16_000_000) // twice what root has asked for, beyond net.core.rmem_max
  assert.equal(fs.readFileSync(join(folder, 'monitor.pid'), 'utf8'), `${monitor.pid}\n`)
  await lineOf(running, 'onReady')
  await send('hello', child.port)
  assert.deepEqual(await lineOf(running, 'received'), { count: 1, received: 'hello' })

  const { archived, tries, worker } = await lineOf(running, 'tries')
  assert.deepEqual(tries, {
    'UDP socket': 'errno 1', 'UDP socket of IPv6': 'errno 1', 'TCP socket': 'errno 1',
    'packet socket': 'errno 1', 'netlink socket': 'errno 1', 'unix socket': 'errno 1', // EPERM
    'run /bin/true': 'EPERM', 'become root': 'EPERM', 'become root for a while': 'EPERM',
    'signal the monitor': 'EPERM', 'read /etc/shadow': 'EACCES', 'read outside': 'EACCES',
    'list outside': 'EACCES', 'write outside': 'EACCES', 'write outside, in the pool': 'EACCES',
    'write to a file outside': 'EACCES', 'remove outside': 'EACCES', 'rename to outside': 'EACCES',
    'write inside': 'done', 'rename inside': 'done',
  })
  assert.deepEqual(worker, ['EACCES', 'done'])
  assert.equal(archived, 3)

  const { threads } = await lineOf(running, 'threads')
  const none = '0000000000000000'
  const { gid } = fs.statSync(join(folder, 'inside', 'by-worker'))
  const state = `Uid: 65534 65534 65534 65534; Gid: ${gid} ${gid} ${gid} ${gid}; Groups: ${gid}; `
    + `CapInh: ${none}; CapPrm: ${none}; CapEff: ${none}; CapAmb: ${none}; NoNewPrivs: 1; Seccomp: 2`
  assert.deepEqual(Object.keys(threads as object), [state])
  assert.ok((threads as Record<string, number>)[state] > 1)

  assert.deepEqual(await ended, [0, null])
  assert.deepEqual(fs.readdirSync(folder).sort(), ['inside', 'outside']) // no pid file
  let rows = 0
  const batches = openArchive(join(folder, 'inside', 'archive'), { onFault: () => assert.fail() })
  for await (const batch of batches) rows += batch.length
  assert.equal(rows, 3)
})

test('signals are passed on, and the exit code comes back', { skip }, async () => {
  const running = await start('signals')
  const { monitor, child } = running
  const ended = once(monitor, 'exit')
  await send('go', child.port)
  await lineOf(running, 'onReady')
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT', 'SIGTERM'] as const) {
    monitor.kill(signal)
    assert.deepEqual(await lineOf(running, 'signal'), { signal })
  }
  assert.deepEqual(await ended, [7, null])
})

test('a signal that would end a child that is not ready waits for it', { skip }, async () => {
  const running = await start('signals')
  running.monitor.kill('SIGHUP')
  await send('go', running.child.port)
  assert.deepEqual(await lineOf(running, 'signal'), { signal: 'SIGHUP' })
})

test('SIGTERM ends a child that is not ready', { skip }, async () => {
  const { monitor } = await start('signals')
  const ended = once(monitor, 'exit')
  monitor.kill('SIGTERM')
  assert.deepEqual(await ended, [128 + 15, null])
})

test('the end of a child by a signal is told as a shell does', { skip }, async () => {
  const { monitor, folder } = await start('crash')
  assert.deepEqual(await once(monitor, 'exit'), [128 + 9, null])
  assert.equal(fs.existsSync(join(folder, 'monitor.pid')), false)
})

test('when the monitor is killed, the child ends by SIGTERM', { skip }, async () => {
  const running = await start('signals')
  await send('go', running.child.port)
  await lineOf(running, 'hears')
  running.monitor.kill('SIGKILL')
  assert.deepEqual(await lineOf(running, 'signal'), { signal: 'SIGTERM' })
  assert.equal(await running.line(), undefined)
})

const linux = process.platform === 'linux' ? false : 'only Linux has this'
test('a socket is adopted as it was opened, and what is none is refused', { skip: linux }, async () => {
  const fd = await openUdpSocket({ address: '127.0.0.1', port: 0, receiveBuffer: 100_000 })
  const receiver = await adoptUdpReceiver(fd, { batch: 2 })
  ends.push(() => receiver.close())
  const { endpoint, receiveBuffer } = receiver
  assert.deepEqual([receiver.fd, endpoint.address, receiveBuffer], [fd, '127.0.0.1', 200_000])
  assert.equal(receiver.batch.start.length, 2)
  const file = fs.openSync(PROGRAM, 'r')
  await assert.rejects(adoptUdpReceiver(file), { code: 'ENOTSOCK' })
})
