/**
 * Live capture: what a packet takes of the processor, and how many a second are metered without loss; beside
 * softflowd, pmacctd and nfpcapd. On a network of its own, as root.
 */
import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openLiveCapture } from '../../core/capture/live.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import { openFrameSender, udpFrame } from '../support/frames.ts'
import { count, interleave, spread, type Row, type Sample } from './measure.ts'
import { output, start, type Command } from './processes.ts'

const OUT = 'out0'
const IN = 'in0'
const FLOWS = 1000
const SIZE = 64 // bytes of a packet
/** Packets a second at which the processor's time is measured. */
const STEADY = 100_000
const ROUNDS = 3
/** Packets a second that the search for the highest rate begins with, and how it ends. */
const FIRST_RATE = 100_000
const BISECTIONS = 2
/** Seconds of sending: to warm up, in the search, for what is measured. */
const WARM = 1
const SHORT = 2
const LONG = 5
/** What part of a rate the sender must reach for it to count, and what one that fails gives way to. */
const REACHED = 0.95
const STEP_DOWN = 0.85
const VERDICTS = 5
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
  command: () => [process.execPath, import.meta.filename, 'capture', IN],
  lost: /dropped: (\d+)/g,
}

const PEERS: readonly Meter[] = [
  {
    name: 'softflowd',
    command: (folder) => [
      'softflowd', '-i', IN, '-n', '127.0.0.1:9995', '-d', '-c', join(folder, 'control'), '-p', join(folder, 'pid'),
    ],
    ask: (_, folder) => output(['softflowctl', '-c', join(folder, 'control'), 'statistics']),
    lost: /dropped by libpcap: (\d+)/g,
  },
  {
    name: 'pmacctd',
    command: () => ['pmacctd', '-i', IN, '-P', 'nfprobe', '-c', 'src_host,dst_host,src_port,dst_port,proto,tos'],
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
  readonly sent: number
  readonly seconds: number
  /** Packets. */
  readonly lost: number
  /** ns of processor for each packet, after the warming up. */
  readonly cost: number
}

/** Rows about live capture; one with the reason, where it cannot be measured here. */
export async function measureCapture(folder: string): Promise<Row[]> {
  const work = `capture ${SIZE}-byte packets of ${FLOWS} flows`
  const network = `flowkit-bench-${process.pid}`
  if (process.getuid?.() !== 0) return [{ work, flowkit: 'not measured: only root can capture' }]
  const { status, stderr } = spawnSync('ip', ['netns', 'add', network], { encoding: 'utf8' })
  if (status !== 0) return [{ work, flowkit: `not measured: ${stderr?.trim() || 'there is no ip(8)'}` }]
  try {
    within(network, 'ip', 'link', 'add', OUT, 'type', 'veth', 'peer', 'name', IN)
    for (const name of [OUT, IN, 'lo']) within(network, 'ip', 'link', 'set', name, 'up')
    const meters = [OWN, ...PEERS.filter(isInstalled)]
    const missing = PEERS.filter((peer) => !meters.includes(peer)).map(({ name }) => name)
    const rows = [
      ...await measureCost(network, folder, meters, work),
      ...await measureLossless(network, folder, meters, work),
    ]
    return missing.length === 0 ? rows : [...rows, { work, flowkit: '', peer: `${missing.join(', ')} not there` }]
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
function beside<T>(peers: readonly (readonly [Meter, T])[], row: (name: string, peer?: T) => Row): Row[] {
  return peers.length === 0 ? [row(OWN.name)] : peers.map(([{ name }, peer]) => row(name, peer))
}

async function measureCost(
  network: string, folder: string, meters: readonly Meter[], work: string,
): Promise<Row[]> {
  const samples: Record<string, Sample> = await interleave(ROUNDS, Object.fromEntries(meters.map((meter) => {
    return [meter.name, async () => (await tryRate(network, folder, meter, STEADY, LONG)).cost]
  })))
  const own = samples[OWN.name]
  return beside(meters.slice(1).map((meter) => [meter, samples[meter.name]]), (name, peer) => ({
    work: `${work}, ${count(STEADY)}/s: processor`,
    flowkit: `${spread(own, 'ns')} a packet`,
    ...peer && { peer: `${name}: ${spread(peer, 'ns')}`, ratio: `${(own.median / peer.median).toFixed(2)} × the time` },
  }))
}

async function measureLossless(
  network: string, folder: string, meters: readonly Meter[], work: string,
): Promise<Row[]> {
  const found: number[] = []
  for (const meter of meters) found.push(await findRate(network, folder, meter))
  const [own, ...rates] = found
  const text = (rate: number): string => rate > 0 ? `${count(rate)}/s` : 'lossy at all rates tried'
  return beside(rates.map((rate, i) => [meters[i + 1], rate]), (name, rate) => ({
    work: `${work}: no loss in ${LONG} s`,
    flowkit: text(own),
    ...rate !== undefined && { peer: `${name}: ${text(rate)}` },
    ...rate && { ratio: `${(own / rate).toFixed(2)} × the rate` },
  }))
}

/** The highest rate, in packets a second, of which nothing is lost; 0 where there is none. */
async function findRate(network: string, folder: string, meter: Meter): Promise<number> {
  let best = 0
  let failed = Infinity
  async function attempt(wanted: number): Promise<void> {
    const { sent, seconds, lost } = await tryRate(network, folder, meter, wanted, SHORT)
    const reached = sent / seconds
    if (lost === 0) best = Math.max(best, reached)
    if (lost > 0 || reached < wanted * REACHED) failed = wanted
  }
  for (let wanted = FIRST_RATE; failed === Infinity; wanted *= 2) await attempt(wanted)
  for (let i = 0; i < BISECTIONS; i++) await attempt((best + failed) / 2)
  for (let i = 0; i < VERDICTS && best > 0; i++, best *= STEP_DOWN) {
    const { sent, seconds, lost } = await tryRate(network, folder, meter, best, LONG)
    if (lost === 0) return sent / seconds
  }
  return 0
}

async function tryRate(
  network: string, folder: string, meter: Meter, rate: number, seconds: number,
): Promise<Run> {
  const place = join(folder, 'captured')
  mkdirSync(place, { recursive: true })
  const child = start(inside(network, ...meter.command(place)))
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: Buffer) => { said += text })
  try {
    await delay(SETTLE)
    await send(network, rate, WARM)
    const before = processorOf(child.pid!)
    const { sent, seconds: taken } = await send(network, rate, seconds)
    await delay(SETTLE)
    const cost = (processorOf(child.pid!) - before) / sent
    if (meter.ask) said += meter.ask(child, place)
    await delay(SETTLE)
    const end = once(child, 'close')
    child.kill('SIGTERM')
    await Promise.race([end, delay(SETTLE * 10)])
    const losses = Array.from(said.matchAll(meter.lost), ([, lost]) => Number(lost))
    if (losses.length === 0) throw new Error(`Cannot measure ${meter.name}: it said ${JSON.stringify(said)}`)
    return { sent, seconds: taken, cost, lost: Math.max(...losses) }
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
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean)
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

interface Sent {
  readonly sent: number
  readonly seconds: number
}

async function send(network: string, rate: number, seconds: number): Promise<Sent> {
  const child = start(inside(
    network, process.execPath, import.meta.filename, 'send', OUT, `${Math.round(rate)}`, `${seconds}`,
  ))
  let said = ''
  child.stdout!.on('data', (text: Buffer) => { said += text })
  child.stderr!.on('data', (text: Buffer) => { said += text })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`Cannot send packets: ${said}`)
  return JSON.parse(said) as Sent
}

/** Packets that are sent at once. */
const AT_ONCE = 50
/** ms between looks at the clock while there is nothing to send. */
const PAUSE = 0.1

/** The process that sends. Gives up where it is too slow by half. */
async function runSender(name: string, rate: number, seconds: number): Promise<void> {
  const senders = await Promise.all(Array.from({ length: FLOWS / AT_ONCE }, (_, i) => {
    const frames = Array.from({ length: AT_ONCE }, (_, j) => udpFrame({ size: SIZE, srcPort: i * AT_ONCE + j }))
    return openFrameSender(name, frames, true)
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
  const result: Sent = { sent, seconds: (performance.now() - begun) / 1000 }
  console.log(JSON.stringify(result))
}

/** The process that captures and meters, until SIGTERM. */
async function runCapture(name: string): Promise<void> {
  const capture = await openLiveCapture({ interfaces: [name], onNote: (text) => console.error(text) })
  const meter = new FlowMeter()
  process.once('SIGTERM', () => capture.stop())
  const { batch, batch: { start, end, wireLength, time } } = capture
  do {
    for (let rows = capture.receive(); rows > 0; rows = capture.receive()) {
      const { bytes, linkType, ifIndex } = batch
      for (let row = 0; row < rows; row++) {
        meter.add(bytes, start[row], end[row], wireLength[row], time[row], linkType, ifIndex)
      }
      meter.finished.clear()
    }
  } while (await capture.readable())
  const [{ received, dropped }] = capture.report()
  if (meter.stats.packets !== received) throw new Error(`${received} received, ${meter.stats.packets} metered`)
  console.log(`received: ${received}, dropped: ${dropped}`)
  capture.close()
}

if (import.meta.main) {
  const [role, name, rate, seconds] = process.argv.slice(2)
  if (role === 'send') await runSender(name, Number(rate), Number(seconds))
  else await runCapture(name)
}
