/**
 * Live capture: what a packet takes of the processor, and how many are lost, at rates that are the same for
 * flowkit, softflowd, pmacctd and nfpcapd. On a network of its own, as root; flows go to a port of nobody.
 *
 *     node test/bench/capture-live.ts
 */
import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openFrameSender, udpFrame } from '../support/frames.ts'
import { count, interleave, spread, table, type Row, type Sample } from './measure.ts'
import { FLOWKIT, output, start, type Command } from './processes.ts'

const OUT = 'out0'
const IN = 'in0'
const FLOWS = 1000
const SIZE = 64 // bytes of a packet
/** Packets a second. */
const RATES = [100_000, 400_000]
const ROUNDS = 3
/** Seconds of sending: to warm up, and for what is measured. */
const WARM = 1
const LONG = 2
/** ms until what was sent is taken, and until a program that has begun captures. */
const SETTLE = 500

/** A program that meters: how it is started, and how many packets it lost, told after its end. */
interface Meter {
  readonly name: string
  command(folder: string): Command
  /** Have it say what it lost, if its end is not enough. */
  ask?(child: ChildProcess, folder: string): string
  /** Of what it said. */
  readonly lost: RegExp
}

const OWN: Meter = {
  name: 'flowkit',
  command: () => [FLOWKIT, 'capture', '-i', IN, '--to', 'udp://127.0.0.1:9995?version=9'],
  lost: /([\d,]+) dropped by the kernel/g,
}

const PEERS: readonly Meter[] = [
  {
    name: 'softflowd',
    command: (folder) => [
      'softflowd', '-i', IN, '-n', '127.0.0.1:9995', '-v', '9', '-d', '-c', join(folder, 'control'),
      '-p', join(folder, 'pid'),
    ],
    ask: (_, folder) => output(['softflowctl', '-c', join(folder, 'control'), 'statistics']),
    lost: /dropped by libpcap: (\d+)/g,
  },
  {
    name: 'pmacctd',
    command: () => [
      'pmacctd', '-i', IN, '-P', 'nfprobe', '-c', 'src_host,dst_host,src_port,dst_port,proto,tos',
    ],
    ask(child) {
      child.kill('SIGUSR1')
      return ''
    },
    lost: /dropped_packets=(\d+)/g,
  },
  {
    name: 'nfpcapd',
    command: (folder) => ['nfpcapd', '-i', IN, '-w', folder],
    lost: /dropped by OS\/Buffer: (\d+)/g,
  },
]

/** What a run came to. */
interface Run {
  /** Packets. */
  readonly sent: number
  readonly lost: number
  /** ns of processor for each packet that was not lost, after the warming up. */
  readonly cost: number
}

/** Rows about live capture; one with the reason, where it cannot be measured here. */
export async function measureLiveCapture(folder: string): Promise<Row[]> {
  const work = `capture ${SIZE}-byte packets of ${FLOWS} flows`
  const network = `flowkit-bench-${process.pid}`
  if (process.getuid?.() !== 0) return [{ work, flowkit: 'not measured: only root can capture' }]
  const { status, stderr } = spawnSync('ip', ['netns', 'add', network], { encoding: 'utf8' })
  if (status !== 0) return [{ work, flowkit: `not measured: ${stderr?.trim() || 'there is no ip(8)'}` }]
  try {
    within(network, 'ip', 'link', 'add', OUT, 'type', 'veth', 'peer', 'name', IN)
    for (const name of [OUT, IN, 'lo']) within(network, 'ip', 'link', 'set', name, 'up')
    const meters = [OWN, ...PEERS.filter(isInstalled)]
    const rows: Row[] = []
    for (const rate of RATES) rows.push(...await measureRate(network, folder, meters, rate, work))
    const missing = PEERS.filter((peer) => !meters.includes(peer)).map(({ name }) => name)
    if (missing.length > 0) rows.push({ work, flowkit: '', peer: `${missing.join(', ')} not there` })
    return rows
  } finally {
    spawnSync('ip', ['netns', 'del', network])
  }
}

function isInstalled({ name }: Meter): boolean {
  return !spawnSync(name, ['-V']).error
}

function inside(network: string, ...command: readonly string[]): Command {
  return ['ip', 'netns', 'exec', network, ...command] // which becomes the command: its process is the same
}

function within(network: string, ...command: readonly string[]): string {
  return output(inside(network, ...command))
}

/** A row for each peer, or one where there is none. */
async function measureRate(
  network: string, folder: string, meters: readonly Meter[], rate: number, work: string,
): Promise<Row[]> {
  const totals = new Map(meters.map((meter) => [meter.name, { sent: 0, lost: 0 }]))
  const costs: Record<string, Sample> = await interleave(ROUNDS, Object.fromEntries(meters.map((meter) => {
    return [meter.name, async () => {
      const { sent, lost, cost } = await run(network, folder, meter, rate)
      const total = totals.get(meter.name)!
      total.sent += sent
      total.lost += lost
      return cost
    }]
  })))
  function text(name: string): string {
    const { sent, lost } = totals.get(name)!
    const share = lost === 0 ? '0' : `${(lost / sent * 100).toFixed(2)} %`
    return `${spread(costs[name], 'ns')} a packet, ${share} of ${count(sent)} lost`
  }
  const row = { work: `${work}, ${count(rate)}/s: processor`, flowkit: text(OWN.name) }
  const [own, ...peers] = meters.map(({ name }) => name)
  return peers.length === 0 ? [row] : peers.map((name) => ({
    ...row, peer: `${name}: ${text(name)}`,
    ratio: `${(costs[own].median / costs[name].median).toFixed(2)} × the time`,
  }))
}

async function run(network: string, folder: string, meter: Meter, rate: number): Promise<Run> {
  const place = join(folder, 'captured')
  mkdirSync(place, { recursive: true })
  const child = start(inside(network, ...meter.command(place)))
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: Buffer) => { said += text })
  try {
    await delay(SETTLE)
    const warming = await send(network, rate, WARM)
    await delay(SETTLE)
    const before = processorOf(child.pid!)
    const sending = await send(network, rate, LONG)
    await delay(SETTLE)
    const taken = processorOf(child.pid!) - before
    if (meter.ask) said += meter.ask(child, place)
    await delay(SETTLE)
    const end = once(child, 'close')
    child.kill('SIGTERM')
    await Promise.race([end, delay(SETTLE * 10)])
    const losses = Array.from(said.matchAll(meter.lost), ([, lost]) => Number(lost.replaceAll(',', '')))
    if (losses.length === 0) throw new Error(`Cannot measure ${meter.name}: it said ${JSON.stringify(said)}`)
    const sent = warming + sending
    const lost = Math.max(...losses)
    return { sent, lost, cost: taken / sending / (1 - lost / sent) }
  } finally {
    for (const pid of familyOf(child.pid!)) kill(pid)
    rmSync(place, { recursive: true, force: true })
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}

/** A process and those that it has started. */
function familyOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean)
    return [pid, ...children.flatMap((each) => familyOf(Number(each)))]
  } catch {
    return [] // it has ended
  }
}

/** ns of processor that a process and those it has started have used. */
function processorOf(pid: number): number {
  return familyOf(pid).reduce((sum, each) => sum + readdirSync(`/proc/${each}/task`).reduce((own, task) => {
    return own + Number(readFileSync(`/proc/${each}/task/${task}/schedstat`, 'latin1').split(' ')[0])
  }, 0), 0)
}

/** Send so many packets a second. @returns how many were sent */
async function send(network: string, rate: number, seconds: number): Promise<number> {
  const child = start(inside(
    network, process.execPath, import.meta.filename, 'send', OUT, `${rate}`, `${seconds}`,
  ))
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: Buffer) => { said += text })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`Cannot send packets: ${said}`)
  return Number(said)
}

/** Packets that are sent at once. */
const AT_ONCE = 50
/** ms between looks at the clock while there is nothing to send. */
const PAUSE = 0.1

/** The process that sends; it gives up where it is too slow by half. */
async function runSender(name: string, rate: number, seconds: number): Promise<void> {
  const senders = await Promise.all(Array.from({ length: FLOWS / AT_ONCE }, (_, i) => {
    const ports = Array.from({ length: AT_ONCE }, (_, j) => i * AT_ONCE + j)
    return openFrameSender(name, ports.map((srcPort) => udpFrame({ size: SIZE, srcPort })), true)
  }))
  const nap = new Int32Array(new SharedArrayBuffer(4))
  const most = rate * seconds
  const begun = performance.now()
  let sent = 0
  for (let turn = 0; sent < most; turn++) {
    const elapsed = performance.now() - begun
    if (elapsed > seconds * 1500) break
    if (sent > elapsed / 1000 * rate) Atomics.wait(nap, 0, 0, PAUSE)
    else {
      senders[turn % senders.length].send()
      sent += AT_ONCE
    }
  }
  console.log(sent)
}

if (import.meta.main) {
  const [role, name, rate, seconds] = process.argv.slice(2)
  if (role === 'send') await runSender(name, Number(rate), Number(seconds))
  else {
    const folder = mkdtempSync(join(tmpdir(), 'flowkit-bench-'))
    try {
      const rows = await measureLiveCapture(folder)
      const cells = rows.map(({ work, flowkit, peer = '', ratio = '' }) => [work, flowkit, peer, ratio])
      console.log(table(['what', 'flowkit', 'beside it', 'flowkit is'], cells))
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
}
