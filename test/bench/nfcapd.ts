/** nfcapd, the peer of collecting, whose files are those that nfdump reads. */
import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { output, start, stop } from './processes.ts'
import { sendTraffic, socketOf, type Traffic } from './traffic.ts'

/** A running nfcapd. */
export interface Nfcapd {
  readonly child: ChildProcess
  readonly port: number
}

/** Datagrams a second that it takes without loss by far. */
const PACE = 15_000
/** Bytes that it asks the kernel for; it grants net.core.rmem_max at most. */
const RECEIVE_BUFFER = 2 ** 26

/** Start nfcapd on a free port of 127.0.0.1, into a folder that is made, with `options` for its files. */
export async function startNfcapd(folder: string, ...options: string[]): Promise<Nfcapd> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  options.push('-t', '3600', '-B', `${RECEIVE_BUFFER}`)
  const child = start(['nfcapd', '-w', folder, '-b', '127.0.0.1', '-p', `${port}`, ...options])
  let ended = false
  child.once('close', () => { ended = true })
  child.stdout!.resume()
  child.stderr!.resume()
  while (!socketOf(port)) {
    if (ended) throw new Error('Cannot measure nfcapd: it ended at once')
    await delay(10)
  }
  return { child, port }
}

/** Make nfcapd files of traffic, with LZO. @returns their bytes @throws Error if flows are lost */
export async function recordNfcapd(traffic: Traffic, folder: string): Promise<number> {
  const nfcapd = await startNfcapd(folder, '-z')
  await sendTraffic(traffic, nfcapd.port, PACE)
  await stop(nfcapd.child)
  const flows = flowsIn(folder)
  if (flows !== traffic.flows) {
    throw new Error(`Cannot measure nfcapd: ${traffic.flows} flows sent, ${flows} written`)
  }
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

/** How many flows nfdump finds in nfcapd's files. */
export function flowsIn(folder: string): number {
  return Number(/^Flows: (\d+)/m.exec(output(['nfdump', '-R', folder, '-I']))?.[1])
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(resolve))
  return port
}
