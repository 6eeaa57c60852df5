/** Collecting NetFlow v5: how fast without loss, how fast into the archive, and what that takes. */
import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EXPORTERS, RECORDS, startBlaster, type Blaster, type BlastResult } from './blaster.ts'
import { count, megabytes, sampleOf, secondsSince, spread, type Row, type Sample } from './measure.ts'
import { flowsIn, startNfcapd } from './nfcapd.ts'
import { FLOWKIT, start, stop, usageOf, type Usage } from './processes.ts'

/** Datagrams a second that the search for the highest rate begins with, and how it ends. */
const FIRST_RATE = 50_000
const BISECTIONS = 2
/** Seconds of sending in the search, and for the verdict. */
const SHORT = 2
const LONG = 10
/** What part of a rate the sender must reach for it to count. */
const REACHED = 0.95
/** What a rate that fails the verdict gives way to, and how often. */
const STEP_DOWN = 0.8
const VERDICTS = 5
/** More than either takes for long, in datagrams a second, and for how many seconds. */
const FLOOD = 100_000
const FLOOD_SECONDS = 5
const ROUNDS = 3
/** How long what was sent takes from the socket into a process, at most, in ms. */
const SETTLE = 500
/** ms between looks at what a process uses. */
const LOOK = 20

/** A program that collects: where it listens, and what became of datagrams. */
interface Collector {
  readonly child: ChildProcess
  readonly port: number
  /** End it at once. @returns datagrams that it took */
  taken(): Promise<number>
  /** End it once all it took is in its files. @returns flows in them */
  written(): Promise<number>
}

type Start = (folder: string) => Promise<Collector>

/** A program under measurement. */
interface Contender {
  readonly start: Start
  /** Highest rate that has not failed, lowest that has, datagrams a second. */
  rate: number
  failed: number
  /** Whether it has lost something. */
  isLossy: boolean
}

/** Rows about `flowkit collect`, beside nfcapd where it is there. */
export async function measureCollect(folder: string, hasPeer: boolean): Promise<Row[]> {
  const blaster = await startBlaster()
  try {
    return [
      await measureLossless(blaster, folder, hasPeer),
      ...await measureFloods(blaster, folder, hasPeer),
    ]
  } finally {
    blaster.close()
  }
}

/** The highest rate of which nothing is lost. */
async function measureLossless(blaster: Blaster, folder: string, hasPeer: boolean): Promise<Row> {
  const starts = hasPeer ? [startFlowkit([]), startPeer([])] : [startFlowkit([])]
  const all = starts.map((start): Contender => ({ start, rate: 0, failed: Infinity, isLossy: false }))
  // in turn, so that what else the machine does meets all of them
  for (let wanted = FIRST_RATE; all.some(({ failed }) => failed === Infinity); wanted *= 2) {
    for (const each of all) if (each.failed === Infinity) await attempt(blaster, folder, each, wanted)
  }
  for (let i = 0; i < BISECTIONS; i++) {
    for (const each of all) await attempt(blaster, folder, each, (each.rate + each.failed) / 2)
  }
  const verdicts: (number | undefined)[] = []
  for (const each of all) verdicts.push(await judge(blaster, folder, each))
  const [own, peer] = verdicts
  const text = (rate: number | undefined, { isLossy }: Contender) => {
    if (rate === undefined) return 'lossy at all rates tried'
    return `${count(rate)} datagrams/s${isLossy ? '' : ', as fast as they can be sent here'}`
  }
  const work = `collect v5, ${EXPORTERS} exporters, ${RECORDS} flows a datagram: no loss in ${LONG} s`
  return {
    work, flowkit: text(own, all[0]), peer: hasPeer ? `nfcapd: ${text(peer, all[1])}` : 'nfcapd is not there',
    ...own !== undefined && peer !== undefined && { ratio: `${(own / peer).toFixed(2)} × the rate` },
  }
}

/** A rate fails where something is lost, and where the sender does not reach it beside the receiver. */
async function attempt(blaster: Blaster, folder: string, each: Contender, rate: number): Promise<void> {
  const { sent, seconds, taken } = await tryRate(blaster, folder, each.start, rate, SHORT)
  const reached = sent / seconds
  if (taken === sent) each.rate = Math.max(each.rate, reached)
  else each.isLossy = true
  if (taken < sent || reached < rate * REACHED) each.failed = rate
}

/** @returns the rate that holds for long, of what the search has found and less; undefined where none does */
async function judge(blaster: Blaster, folder: string, each: Contender): Promise<number | undefined> {
  for (let i = 0, { rate } = each; i < VERDICTS && rate > 0; i++, rate *= STEP_DOWN) {
    const { sent, seconds, taken } = await tryRate(blaster, folder, each.start, rate, LONG)
    if (taken === sent) return sent / seconds
    each.isLossy = true
  }
  return undefined
}

async function tryRate(
  blaster: Blaster, folder: string, start: Start, rate: number, seconds: number,
): Promise<BlastResult & { readonly taken: number }> {
  const place = join(folder, 'blasted')
  const { port, taken } = await start(place)
  try {
    const result = await blaster.blast({ port, rate, seconds })
    await delay(SETTLE)
    return { ...result, taken: await taken() }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

/** What a flood came to: flows a second into the files, and what each datagram took. */
interface FloodResult {
  readonly rate: number
  readonly processor: number
  readonly memory: number
}

/** Files that are made of a flood, and how nfcapd is told to make the same. */
interface Flood {
  readonly work: string
  readonly options: readonly string[]
  readonly peer: readonly string[]
}

const FLOODS: readonly Flood[] = [
  { work: 'the archive', options: [], peer: ['-z'] },
  { work: 'nfdump files with LZO', options: ['--to-format', 'nfdump'], peer: ['-z'] },
  { work: 'nfdump files with LZ4', options: ['--to-format', 'nfdump', '--compression', 'lz4'], peer: ['-y'] },
]

/** Flows a second into the files, with more offered than that; processor time and memory. */
async function measureFloods(blaster: Blaster, folder: string, hasPeer: boolean): Promise<Row[]> {
  const results = FLOODS.map(() => ({ own: [] as FloodResult[], theirs: [] as FloodResult[] }))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { options, peer }] of FLOODS.entries()) {
      results[i].own.push(await flood(blaster, folder, startFlowkit(options)))
      if (hasPeer) results[i].theirs.push(await flood(blaster, folder, startPeer(peer)))
    }
  }
  return FLOODS.flatMap((each, i) => floodRows(each, results[i].own, results[i].theirs))
}

/** @param theirs none where nfcapd is not there */
function floodRows(
  { work, peer }: Flood, own: readonly FloodResult[], theirs: readonly FloodResult[],
): Row[] {
  const of = (key: keyof FloodResult, all: readonly FloodResult[]) => sampleOf(all.map((each) => each[key]))
  const row = (what: string, key: keyof FloodResult, text: (sample: Sample) => string, unit: string): Row => {
    if (theirs.length === 0) return { work: what, flowkit: text(of(key, own)), peer: 'nfcapd is not there' }
    const [mine, other] = [of(key, own), of(key, theirs)]
    const ratio = `${(mine.median / other.median).toFixed(2)} × the ${unit}`
    return { work: what, flowkit: text(mine), peer: `nfcapd ${peer.join(' ')}: ${text(other)}`, ratio }
  }
  return [
    row(`collect ${count(FLOOD)} datagrams/s of ${RECORDS} flows for ${FLOOD_SECONDS} s into ${work}, `
      + 'until all taken is written',
      'rate', (rate) => `${spread(rate, 'M', 1e-6)} flows/s`, 'rate'),
    row('its processor time', 'processor', (time) => `${spread(time, 'µs', 1e6)} a datagram`, 'time'),
    row('its memory', 'memory', ({ median }) => megabytes(median), 'memory'),
  ]
}

async function flood(blaster: Blaster, folder: string, start: Start): Promise<FloodResult> {
  const place = join(folder, 'flooded')
  const { child, port, written } = await start(place)
  let used: Usage = usageOf(child.pid!)
  const idle = used.processor
  const looking = setInterval(() => {
    try {
      const { processor, memory } = usageOf(child.pid!)
      used = { processor, memory: Math.max(memory, used.memory) } // it has none at its very end
    } catch {
      clearInterval(looking) // it has ended
    }
  }, LOOK)
  try {
    const begun = process.hrtime.bigint()
    await blaster.blast({ port, rate: FLOOD, seconds: FLOOD_SECONDS })
    const flows = await written()
    const rate = flows / secondsSince(begun)
    return { rate, processor: (used.processor - idle) / (flows / RECORDS), memory: used.memory }
  } finally {
    clearInterval(looking)
    rmSync(place, { recursive: true, force: true })
  }
}

function startFlowkit(format: readonly string[]): Start {
  return async (folder) => {
    const options = ['--to', join(folder, 'flows'), ...format, '--rotate', '5s', '--spool-size', '16Gi']
    const child = start([FLOWKIT, 'collect', '--listen', '127.0.0.1:0', ...options])
    child.stdout!.resume()
    const said = listenTo(child)
    const [, port] = await said(/collecting on udp:\/\/127\.0\.0\.1:(\d+)/)
    await delay(SETTLE) // its writer starts
    return {
      child, port: Number(port),
      async taken() {
        child.kill('SIGUSR2')
        const [, datagrams, dropped] = await said(/all: datagrams=(\d+).* dropped=(\d+)/)
        await stop(child, 'SIGKILL') // all it has spooled would take long
        return Number(datagrams) - Number(dropped)
      },
      async written() {
        const ended = stop(child)
        const [, flows] = await said(/ (\d+) written/)
        await ended
        return Number(flows)
      },
    }
  }
}

function startPeer(options: readonly string[]): Start {
  return async (folder) => {
    const { child, port } = await startNfcapd(folder, ...options)
    async function written(): Promise<number> {
      await stop(child)
      return flowsIn(folder)
    }
    return { child, port, written, taken: async () => await written() / RECORDS }
  }
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
