/** Sending flows by UDP: how fast, beside nfreplay, and how evenly. */
import { createSocket } from 'node:dgram'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { FlowBatch } from '../../core/flow/batch.ts'
import { openReceiver } from '../../core/net/receiver.ts'
import { datagramDecoder } from '../../core/netflow/datagram.ts'
import { count, faster, interleave, sampleOf, spread, throughput, type Row } from './measure.ts'
import { FLOWKIT, start, succeeded, timed, versionOf, type Command } from './processes.ts'
import { receiver } from './traffic.ts'

const ROUNDS = 3
/** NetFlow v5, v9 and IPFIX; nfreplay does not send the last. */
const VERSIONS = ['5', '9', '10']
const PEER_VERSIONS = ['5', '9']
/** Flows a second that are to be held, and for how long. */
const RATE = 100_000
const SECONDS = 10
/** What is looked at, µs, and how far it may be off. */
const WINDOW = 100_000
const TOLERANCE = 0.05
const RECEIVE_BUFFER = 64 << 20

/** What is sent. */
export interface Exported {
  readonly flows: number
  readonly archive: string
  /** A folder with a file of nfcapd; undefined where there is no nfcapd. */
  readonly nfcapd: string | undefined
}

/** Rows about `flowkit export`, beside nfreplay where it is there. */
export async function measureExport(exported: Exported): Promise<Row[]> {
  const rows: Row[] = []
  const sink = createSocket('udp4') // nothing reads what it takes
  await new Promise<void>((resolve) => sink.bind(0, '127.0.0.1', resolve))
  try {
    for (const version of VERSIONS) rows.push(await measureSpeed(exported, version, sink.address().port))
  } finally {
    sink.close()
  }
  for (const version of VERSIONS) rows.push(await measurePace(exported, version))
  return rows
}

/** As fast as it goes. */
async function measureSpeed(
  { flows, archive, nfcapd }: Exported, version: string, port: number,
): Promise<Row> {
  const file = nfcapd === undefined ? undefined : join(nfcapd, readdirSync(nfcapd)[0])
  const to = `udp://127.0.0.1:${port}`
  const own: Command = [FLOWKIT, 'export', file ?? archive, '--version', version, '--speed', 'max',
    '--quiet', '--to', to]
  const work = `export ${file ? 'an nfcapd file' : 'the archive'} as ${nameOf(version)}, at once`
  if (file === undefined || !PEER_VERSIONS.includes(version) || versionOf('nfreplay') === undefined) {
    const { flowkit } = await interleave(ROUNDS, { flowkit: () => timed(own) })
    const peer = PEER_VERSIONS.includes(version) ? 'nfreplay is not there' : 'nfreplay has no IPFIX'
    return { work, flowkit: throughput(flowkit, flows), peer }
  }
  const theirs: Command = ['nfreplay', '-r', file, '-H', '127.0.0.1', '-p', `${port}`, '-d', '0', '-v', version]
  const { flowkit, nfreplay } = await interleave(ROUNDS, {
    flowkit: () => timed(own), nfreplay: () => timed(theirs),
  })
  return {
    work, flowkit: throughput(flowkit, flows), peer: `nfreplay -d 0: ${throughput(nfreplay, flows)}`,
    ratio: faster(flowkit, nfreplay),
  }
}

/** At a rate, of which every tenth of a second shall have its share. */
async function measurePace({ archive }: Exported, version: string): Promise<Row> {
  const socket = await openReceiver({ address: '127.0.0.1', port: 0, receiveBuffer: RECEIVE_BUFFER })
  const { batch, endpoint } = socket
  const command: Command = [FLOWKIT, 'export', archive, '-f', 'ipv4', '--version', version,
    '--rate', `${RATE}/s`, '--loop', '--quiet', '--to', `udp://127.0.0.1:${endpoint.port}`]
  const child = start(command)
  const ended = succeeded(child, command)
  const decode = receiver(datagramDecoder())
  const rows = new FlowBatch()
  const windows: number[] = []
  let first = NaN
  try {
    while (windows.length <= SECONDS * 1e6 / WINDOW && await socket.readable()) {
      const datagrams = socket.receive(0)
      for (let i = 0; i < datagrams; i++) {
        decode(batch.bytes.subarray(batch.start[i], batch.end[i]), rows, batch.received[i])
        if (Number.isNaN(first)) first = batch.received[i]
        const window = Math.floor((batch.received[i] - first) / WINDOW)
        windows[window] = (windows[window] ?? 0) + rows.length
        rows.clear()
      }
    }
  } finally {
    child.kill('SIGINT')
    await ended
    socket.close()
  }
  const rates = Array.from(windows.slice(0, -1), (flows = 0) => flows / WINDOW * 1e6)
  const off = rates.filter((rate) => Math.abs(rate / RATE - 1) > TOLERANCE).length
  const overall = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  return {
    work: `export --rate ${count(RATE)}/s as ${nameOf(version)} for ${SECONDS} s`,
    flowkit: `${(overall / 1000).toFixed(1)} k flows/s; tenths of a second: ${spread(sampleOf(rates), 'k', 1e-3)}, `
      + `${off} of ${rates.length} off by more than ${TOLERANCE * 100} %`,
  }
}

function nameOf(version: string): string {
  return version === '10' ? 'IPFIX' : `v${version}`
}
