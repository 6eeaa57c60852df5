import { spawn, type ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { EXECUTABLE } from './flowkit.ts'
import type { MarkedTraffic } from './marked-flows.ts'

/** A `flowkit collect` that may be killed. */
export interface CollectorProcess {
  readonly child: ChildProcess
  /** Of 127.0.0.1, where it listens. */
  readonly port: number
  /** Exit code and signal, once it has ended. */
  readonly ended: Promise<unknown[]>
  /** All that it has said. */
  readonly text: string
  /** Resolves once it says what matches, behind what matched before; rejects when it ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  /** How many datagrams it has taken. */
  taken(): Promise<number>
  /** Send it a signal, and wait for its end. */
  end(signal: NodeJS.Signals): Promise<unknown[]>
}

const MAIN = fileURLToPath(new URL('../../cmd/main.ts', import.meta.url))

/** The command line of flowkit, without its arguments. */
export const FLOWKIT: readonly string[] = EXECUTABLE === undefined ? [process.execPath, MAIN] : [EXECUTABLE]

/** Start to collect on a port of 127.0.0.1, as another user if one is given. */
export function startCollector(port: number, args: readonly string[], uid?: number): CollectorProcess {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('FLOWKIT_'))
  const [file, ...first] = [...FLOWKIT, 'collect', '--listen', `127.0.0.1:${port}`, ...args]
  const env = Object.fromEntries(clean)
  const child = spawn(file, first, { env, ...uid !== undefined && { uid, gid: uid } })
  const ended = once(child, 'close')
  let all = ''
  let from = 0
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => { all += chunk })

  async function said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(all.slice(from))
      if (match) {
        from += match.index + match[0].length
        return match
      }
      const more = once(child.stderr, 'data').then(() => true)
      const hasMore = await Promise.race([more, ended.then(() => false)])
      if (!hasMore) throw new Error(`flowkit collect ended: ${all}`)
    }
  }

  return {
    child,
    port,
    ended,
    get text() { return all },
    said,
    async taken() {
      child.kill('SIGUSR2')
      return Number((await said(/all: datagrams=(\d+)/))[1])
    },
    end(signal) {
      child.kill(signal)
      return ended
    },
  }
}

/** A port of 127.0.0.1 that nobody listens to. */
export async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(resolve))
  return port
}

/** Let exporters announce their templates, and send one datagram each: they are known then. */
export async function introduce(traffic: MarkedTraffic, collector: CollectorProcess): Promise<void> {
  const before = await collector.taken()
  const announced = traffic.announce()
  traffic.sendEach()
  while (await collector.taken() < before + announced + traffic.exporters.length);
}

/** Bytes that wait in the sockets at a port of 127.0.0.1. */
function waitingAt(port: number): number {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const sockets = readFileSync('/proc/net/udp', 'latin1').split('\n').map((line) => line.trim().split(/\s+/))
  return sockets.filter((cells) => cells[1] === address)
    .reduce((sum, cells) => sum + parseInt(cells[4].split(':')[1], 16), 0)
}

/** Readings without anything new, until nothing is on its way: the kernel may hold it for a while. */
const SAME = 5

/** Pause traffic until the collector has taken all of it. @returns how many datagrams it has taken */
export async function settle(traffic: MarkedTraffic, collector: CollectorProcess): Promise<number> {
  traffic.pause()
  let taken = -1
  for (let same = 0; same < SAME;) {
    const now = await collector.taken()
    same = now === taken && waitingAt(collector.port) === 0 ? same + 1 : 0
    taken = now
  }
  return taken
}

/** Pause traffic, and send one more datagram of each exporter: what was lost before lies in a gap then. */
export async function conclude(traffic: MarkedTraffic, collector: CollectorProcess): Promise<void> {
  const before = await settle(traffic, collector)
  traffic.sendEach()
  while (await collector.taken() < before + traffic.exporters.length);
}
