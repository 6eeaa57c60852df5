/**
 * A program that runs under a monitor, for monitor.test.ts: it starts itself again, and the child says in
 * lines of JSON what it finds. `node confined.ts TASK FOLDER`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { loadLibc } from '../../../core/net/ffi.ts'
import { joinMonitor, runMonitor } from '../../../core/net/monitor.ts'
import { findAccount } from '../../../core/net/privileges.ts'
import { adoptUdpReceiver, openUdpSocket } from '../../../core/net/udp-receiver.ts'

const [task, folder] = process.argv.slice(2)
const inside = join(folder, 'inside')
const outside = join(folder, 'outside')
const inheritance = await joinMonitor(() => Promise.resolve())

if (inheritance === undefined) {
  const descriptor = await openUdpSocket({ address: '127.0.0.1', port: 0, receiveBuffer: 8_000_000 })
  process.exitCode = await runMonitor({
    descriptors: [descriptor], writable: [inside], pidFile: join(folder, 'monitor.pid'),
    become: { account: findAccount('nobody') },
    notifier: {
      ready: () => say({ onReady: true }),
      reloading() {}, stopping() {}, watchdog() {}, status() {}, close() {},
    },
  })
} else {
  const { descriptors, notes, notifier } = inheritance
  const receiver = await adoptUdpReceiver(descriptors[0])
  say({ notes, pid: process.pid, port: receiver.endpoint.port, receiveBuffer: receiver.receiveBuffer })
  if (task === 'report') {
    notifier.ready()
    await receiver.readable()
    const count = receiver.receive()
    const { bytes, start, end } = receiver.batch
    say({ count, received: Buffer.from(bytes.slice(start[0], end[0])).toString() })
    say({ archived: await writeArchive(), tries: await tryAll(), worker: await tryInWorker() })
    say({ threads: threads() })
    receiver.close()
  } else if (task === 'signals') {
    // the test lets it go on by a datagram
    await receiver.readable()
    receiver.close()
    const idle = setInterval(() => {}, 60_000)
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const) {
      process.on(signal, () => say({ signal }))
    }
    process.on('SIGTERM', () => {
      say({ signal: 'SIGTERM' })
      clearInterval(idle)
      process.exitCode = 7
    })
    notifier.ready()
    say({ hears: true })
  } else process.kill(process.pid, 'SIGKILL')
}

function say(value: object): void {
  fs.writeSync(1, `${JSON.stringify(value)}\n`)
}

/** The code of the error with which `action` fails. */
async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action()
    return 'done'
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}

async function tryAll(): Promise<Record<string, string>> {
  const libc = await loadLibc()
  function socket(family: number, type: number): string {
    const fd = libc.socket(family, type, 0)
    if (fd < 0) return `errno ${libc.errno()}`
    libc.close(fd)
    return 'done'
  }
  return {
    'UDP socket': socket(2, 2),
    'UDP socket of IPv6': socket(10, 2),
    'TCP socket': socket(2, 1),
    'packet socket': socket(17, 3),
    'netlink socket': socket(16, 3),
    'unix socket': socket(1, 1),
    'run /bin/true': await codeOf(() => once(spawn('/bin/true'), 'spawn')),
    'become root': await codeOf(() => process.setuid?.(0)),
    'become root for a while': await codeOf(() => process.seteuid?.(0)),
    'signal the monitor': await codeOf(() => process.kill(process.ppid, 0)),
    'read /etc/shadow': await codeOf(() => fs.readFileSync('/etc/shadow')),
    'read outside': await codeOf(() => fs.readFileSync(join(outside, 'readable'))),
    'list outside': await codeOf(() => fs.readdirSync(outside)),
    'write outside': await codeOf(() => fs.writeFileSync(join(outside, 'fresh'), '')),
    'write outside, in the pool': await codeOf(() => fs.promises.writeFile(join(outside, 'fresh'), '')),
    'write to a file outside': await codeOf(() => fs.appendFileSync(join(outside, 'readable'), 'x')),
    'remove outside': await codeOf(() => fs.rmSync(join(outside, 'readable'))),
    'rename to outside': await codeOf(() => {
      fs.writeFileSync(join(inside, 'moving'), '')
      fs.renameSync(join(inside, 'moving'), join(outside, 'moving'))
    }),
    'write inside': await codeOf(() => fs.writeFileSync(join(inside, 'fresh'), 'x')),
    'rename inside': await codeOf(() => {
      fs.mkdirSync(join(inside, 'deeper'))
      fs.renameSync(join(inside, 'fresh'), join(inside, 'deeper', 'fresh'))
    }),
  }
}

/** The same from a thread that is started after all has been given up. */
async function tryInWorker(): Promise<unknown> {
  const worker = new Worker(`
    const fs = require('node:fs')
    const { parentPort, workerData } = require('node:worker_threads')
    const codes = workerData.map((path) => {
      try { fs.writeFileSync(path, ''); return 'done' } catch (error) { return error.code }
    })
    parentPort.postMessage(codes)
  `, { eval: true, workerData: [join(outside, 'fresh'), join(inside, 'by-worker')] })
  const [codes] = await once(worker, 'message')
  return codes
}

async function writeArchive(): Promise<number> {
  const writer = await openArchiveWriter(join(inside, 'archive'))
  const batch = new FlowBatch()
  batch.reserve(3)
  batch.length = 3
  await writer.write(batch)
  await writer.close()
  return writer.stats.rows
}

/** What the kernel says of each thread, and how many threads it says it of. */
function threads(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const id of fs.readdirSync('/proc/self/task')) {
    let status: string
    try {
      status = fs.readFileSync(`/proc/self/task/${id}/status`, 'utf8')
    } catch {
      continue // a thread that has just ended
    }
    const lines = status.match(/^(Uid|Gid|Groups|Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):.*$/gm) ?? []
    const key = lines.map((line) => line.trim().replaceAll(/\s+/g, ' ')).join('; ')
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}
