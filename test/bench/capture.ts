/**
 * Metering the packets of a capture file, beside softflowd, nfpcapd and pmacctd: processor time of the whole
 * processes. All but nfpcapd send their flows as NetFlow v9; it writes them to files.
 *
 *     node test/bench/capture.ts
 */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomNumbers } from '../fuzz/mutate.ts'
import { count, interleave, sampleOf, spread, table, type Row } from './measure.ts'
import { ENV, FLOWKIT, type Command } from './processes.ts'

const PACKETS = 4_000_000
const PEERS = ['softflowd', 'nfpcapd', 'pmacctd'] as const
const CONCURRENT = [1000, 100_000] // flows
const ROUNDS = 3
const FRAME = 60 // bytes, the shortest without its check sequence
const BETWEEN = 2 // µs: 500,000 packets a second
/** Flows that the peers may hold: pmacctd holds as many as come. */
const MOST_FLOWS = '300000'

/** Rows about metering a file, beside those peers that are there. */
export async function measureCaptureFiles(folder: string): Promise<Row[]> {
  const rows: Row[] = []
  const sink = createSocket('udp4') // nothing reads what it takes
  await new Promise<void>((resolve) => sink.bind(0, '127.0.0.1', resolve))
  try {
    for (const flows of CONCURRENT) rows.push(...await measureFile(folder, flows, sink.address().port))
  } finally {
    sink.close()
  }
  return rows
}

async function measureFile(folder: string, flows: number, port: number): Promise<Row[]> {
  const file = join(folder, 'packets.pcap')
  writeFileSync(file, makeCapture(flows))
  const taken = await interleave(ROUNDS, {
    flowkit: () => processorTime(flowkit(file, port)),
    softflowd: () => optional(softflowd(file, folder, port)),
    nfpcapd: () => optional(nfpcapd(file, folder)),
  })
  // once: it sleeps for 40 s before it ends
  const times = { ...taken, pmacctd: sampleOf([optional(pmacctd(file, folder, port))]) }
  rmSync(file)
  const perPacket = 1e9 / PACKETS
  return PEERS.filter((name) => times[name].median > 0).map((name) => ({
    work: `processor time to meter a file, ${count(flows)} flows at a time`,
    flowkit: spread(times.flowkit, 'ns a packet', perPacket),
    peer: `${name}: ${spread(times[name], 'ns a packet', perPacket)}`,
    ratio: `${(times.flowkit.median / times[name].median).toFixed(2)} × the time`,
  }))
}

function flowkit(file: string, port: number): Command {
  return [FLOWKIT, 'capture', '--quiet', '-r', file, '--to', `udp://127.0.0.1:${port}?version=9`]
}

function softflowd(file: string, folder: string, port: number): Command {
  const to = ['-n', `127.0.0.1:${port}`, '-v', '9']
  const own = ['-m', MOST_FLOWS, '-c', 'none', '-p', join(folder, 'softflowd.pid'), '-d']
  return ['softflowd', '-r', file, ...to, ...own]
}

function nfpcapd(file: string, folder: string): Command {
  const flows = join(folder, 'nfpcapd')
  mkdirSync(flows, { recursive: true })
  return ['nfpcapd', '-r', file, '-w', flows]
}

function pmacctd(file: string, folder: string, port: number): Command {
  const configuration = join(folder, 'pmacctd.conf')
  writeFileSync(configuration, `daemonize: false
pcap_savefile: ${file}
plugins: nfprobe[a]
aggregate[a]: src_host, dst_host, src_port, dst_port, proto, tos
nfprobe_receiver[a]: 127.0.0.1:${port}
nfprobe_version[a]: 9
plugin_pipe_size: 20480000
plugin_buffer_size: 20480
`)
  return ['pmacctd', '-f', configuration]
}

/** 0 where the program is not there. */
function optional(command: Command): number {
  const { error } = spawnSync(command[0], ['-h'], { stdio: 'ignore' })
  return error ? 0 : processorTime(command)
}

/** Seconds of processor that a command takes, with the processes it starts. @throws Error if it fails */
function processorTime(command: Command): number {
  const script = 'TIMEFORMAT="%U %S"; time "$@" > /dev/null 2> "$0"'
  const run = ['-c', script, '/dev/null', ...command]
  const { status, stderr } = spawnSync('bash', run, { encoding: 'utf8', env: ENV })
  if (status !== 0) throw new Error(`Cannot measure ${command.join(' ')}: it ended with ${status}`)
  const [user, system] = stderr.trim().split(' ').map(Number)
  return user + system
}

/** A capture of TCP and UDP in IPv4 on Ethernet, packets of so many flows in random order, of this minute. */
function makeCapture(flows: number): Uint8Array {
  const random = randomNumbers(1)
  const bytes = Buffer.alloc(24 + PACKETS * (16 + FRAME))
  const words = [0xa1b2c3d4, 2 << 16 | 4, 0, 0, 65535, 1]
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, i * 4)
  // softflowd's times come round when packets are older than 49 days
  const from = Math.floor(Date.now() / 1000) - 60
  for (let i = 0, at = 24; i < PACKETS; i++, at += 16 + FRAME) {
    const flow = random() % flows
    const isTcp = flow % 4 !== 0
    bytes.writeUInt32BE(from + Math.floor(i * BETWEEN / 1e6), at)
    bytes.writeUInt32BE(i * BETWEEN % 1e6, at + 4)
    bytes.writeUInt32BE(FRAME, at + 8)
    bytes.writeUInt32BE(FRAME, at + 12)
    const ip = at + 16 + 14
    bytes.write('0200000000020200000000010800', at + 16, 'hex')
    bytes.writeUInt16BE(0x4500, ip)
    bytes.writeUInt16BE(FRAME - 14, ip + 2)
    bytes.writeUInt16BE(64 << 8 | (isTcp ? 6 : 17), ip + 8)
    bytes.writeUInt32BE(0x0a000000 + flow % 5000, ip + 12)
    bytes.writeUInt32BE(0xc0a80000 + flow, ip + 16)
    bytes.writeUInt16BE(1024 + flow % 60_000, ip + 20)
    bytes.writeUInt16BE(isTcp ? 443 : 53, ip + 22)
    if (isTcp) bytes.writeUInt16BE(0x5010, ip + 32)
    else bytes.writeUInt16BE(FRAME - 34, ip + 24)
  }
  return bytes
}

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-bench-'))
  try {
    const rows = await measureCaptureFiles(folder)
    const cells = rows.map(({ work, flowkit, peer = '', ratio = '' }) => [work, flowkit, peer, ratio])
    console.log(table(['what', 'flowkit', 'beside it', 'flowkit is'], cells))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
