/** Collecting: the processor time that a datagram takes from the socket to the disk. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { interleave, spread, type Row, type Sample } from './measure.ts'
import { startNfcapd, stopNfcapd } from './nfcapd.ts'
import { FLOWKIT, processorTime, start, stop } from './processes.ts'
import { headOf, sendTraffic, type Traffic } from './traffic.ts'

const ROUNDS = 3
/** What part of the flows is sent each time. */
const SHARE = 0.3
/** Datagrams a second that both take without loss. */
const PACE = 8000

/** Processor time per datagram of `flowkit collect`, beside nfcapd's. */
export async function measureCollect(traffic: Traffic, folder: string, hasPeer: boolean): Promise<Row> {
  const part = headOf(traffic, SHARE)
  const { flows, datagrams } = part
  const records = Math.round(flows / datagrams.length)
  let round = 0
  const own = () => collect(part, join(folder, `collected-${round++}`))
  const peer = () => collectNfcapd(part, join(folder, `nfcapd-${round++}`))
  const work = `collect ${PACE} datagrams/s of ${records} flows: processor time`
  if (!hasPeer) {
    const { own: alone } = await interleave(ROUNDS, { own })
    return { work, flowkit: perDatagram(alone), peer: 'nfcapd is not there' }
  }
  const samples = await interleave(ROUNDS, { own, peer })
  return {
    work, flowkit: perDatagram(samples.own), peer: `nfcapd: ${perDatagram(samples.peer)}`,
    ratio: `${(samples.own.median / samples.peer.median).toFixed(2)} × the time`,
  }
}

function perDatagram(seconds: Sample): string {
  return `${spread(seconds, 'µs', 1e6)} a datagram`
}

/** Seconds of processor a datagram, up to durable Parquet. */
async function collect(traffic: Traffic, archive: string): Promise<number> {
  const options = ['--listen', '127.0.0.1:0', '--to', archive, '--rotate', '1h', '--log-level', 'debug']
  const child = start([FLOWKIT, 'collect', ...options])
  child.stdout!.resume()
  const said = listenTo(child)
  const [, port] = await said(/collecting on udp:\/\/127\.0\.0\.1:(\d+)/)
  const before = processorTime(child.pid!)
  await sendTraffic(traffic, Number(port), PACE)
  let written = 0
  for (let i = 0; written < traffic.flows; i++) {
    if (i === 10) throw new Error(`Cannot measure collect: ${traffic.flows} flows sent, ${written} written`)
    child.kill('SIGUSR1')
    written += Number((await said(/(\d+) flows written to/))[1])
  }
  const seconds = processorTime(child.pid!) - before
  await stop(child)
  return seconds / traffic.datagrams.length
}

async function collectNfcapd(traffic: Traffic, folder: string): Promise<number> {
  const nfcapd = await startNfcapd(folder)
  const pid = nfcapd.child.pid!
  const before = processorTime(pid)
  await sendTraffic(traffic, nfcapd.port, PACE)
  const seconds = processorTime(pid) - before
  await stopNfcapd(nfcapd, folder, traffic)
  return seconds / traffic.datagrams.length
}

/** A function that waits until a process says what matches, behind what matched before. */
function listenTo(child: ChildProcess): (pattern: RegExp) => Promise<RegExpExecArray> {
  let text = ''
  let ended = false
  let wake = (): void => {}
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    wake()
  })
  child.once('close', () => {
    ended = true
    wake()
  })
  return async (pattern) => {
    for (;;) {
      const match = pattern.exec(text)
      if (match) {
        text = text.slice(match.index + match[0].length)
        return match
      }
      if (ended) throw new Error(`Cannot measure flowkit collect: it ended, saying ${JSON.stringify(text)}`)
      await new Promise<void>((resolve) => { wake = resolve })
    }
  }
}
