/** Collectors of others that read what flowkit exports. */
import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** ms that are waited for what takes some milliseconds on a machine with nothing else to do. */
const DEADLINE = 20_000
/** ms after which a program that was told to end is told again. */
const AGAIN = 50

/** Why a test that needs these programs is skipped; false if they are there. */
export function missing(...programs: readonly string[]): string | false {
  const absent = programs.filter((program) => {
    return spawnSync(program, ['--version'], { timeout: DEADLINE, stdio: 'ignore' }).error !== undefined
  })
  return absent.length > 0 && `not installed: ${absent.join(', ')}`
}

/** A collector of nfdump's, and how it answers to a datagram of a version that nobody has. */
interface Collector {
  readonly name: 'nfcapd' | 'sfcapd'
  readonly sentinel: Uint8Array
  readonly answer: RegExp
}

const NFCAPD: Collector = {
  name: 'nfcapd', sentinel: new Uint8Array(20).fill(99, 1, 2), answer: /Unexpected netflow version 99/,
}
const SFCAPD: Collector = {
  name: 'sfcapd', sentinel: new Uint8Array(28).fill(99, 3, 4), answer: /unexpected datagram version number/,
}

/** A flow as `nfdump -o json` prints it. */
export type Told = Readonly<Record<string, unknown>>

/** What a collector made of datagrams, and what it said meanwhile. */
export interface Collected {
  readonly flows: readonly Told[]
  readonly said: string
}

/** Of each flow what stands under the names of the expected one in its place. */
export function pickAs(flows: readonly Told[], expected: readonly Told[]): Told[] {
  return flows.map((flow, i) => Object.fromEntries(Object.keys(expected[i]).map((key) => [key, flow[key]])))
}

/** Send NetFlow and IPFIX datagrams through nfcapd. */
export function throughNfcapd(datagrams: readonly Uint8Array[]): Promise<Collected> {
  return through(NFCAPD, datagrams)
}

/** The file that nfcapd makes of NetFlow and IPFIX datagrams. */
export async function fileOfNfcapd(datagrams: readonly Uint8Array[]): Promise<Uint8Array> {
  return (await collect(NFCAPD, datagrams, (file) => readFileSync(file))).found
}

/** Send sFlow datagrams through sfcapd. */
export function throughSfcapd(datagrams: readonly Uint8Array[]): Promise<Collected> {
  return through(SFCAPD, datagrams)
}

async function through(collector: Collector, datagrams: readonly Uint8Array[]): Promise<Collected> {
  const json = await collect(collector, datagrams, (file) => output('nfdump', '-r', file, '-o', 'json'))
  return { flows: JSON.parse(json.found) as Told[], said: json.said }
}

/** Let a collector write a file of datagrams, and give it to `read`. */
async function collect<T>(
  { name, sentinel, answer }: Collector, datagrams: readonly Uint8Array[], read: (file: string) => T,
): Promise<{ readonly found: T, readonly said: string }> {
  const directory = mkdtempSync(join(tmpdir(), `flowkit-${name}-`))
  const socket = createSocket('udp4')
  try {
    const port = await freePort()
    const collector = start(name, '-b', '127.0.0.1', '-p', String(port), '-w', directory, '-t', '3600')
    try {
      await collector.until(new RegExp(`Startup ${name}`)) // its socket is bound by then
      for (const datagram of [...datagrams, sentinel]) {
        await new Promise<void>((resolve, reject) => {
          socket.send(datagram, port, '127.0.0.1', (error) => error ? reject(error) : resolve())
        })
      }
      await collector.until(answer) // it has read what came before
    } finally {
      await collector.end()
    }
    const file = readdirSync(directory).find((entry) => /^nfcapd\.\d+$/.test(entry))
    if (file === undefined) throw new Error(`${name} has left no file; it said: ${collector.said()}`)
    return { found: read(join(directory, file)), said: collector.said() }
  } finally {
    socket.close()
    rmSync(directory, { recursive: true })
  }
}

/** A program that runs beside the test. */
interface Running {
  /** All that it has written to stderr. */
  said(): string
  /** Wait until it has said that. Throws if it ends, or does not say it in time. */
  until(pattern: RegExp): Promise<void>
  /** End it, and wait for its end. */
  end(): Promise<void>
}

function start(program: string, ...args: readonly string[]): Running {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const closed = once(child, 'close')
  let said = ''
  child.stderr.on('data', (chunk) => { said += String(chunk) })

  function failure(what: string): Error {
    const state = child.exitCode ?? child.signalCode ?? 'running'
    return new Error(`${program} ${what}; exit code or signal: ${state}; it said: ${said}`)
  }

  return {
    said: () => said,
    async until(pattern) {
      const signal = AbortSignal.timeout(DEADLINE)
      const ended = closed.then(() => false)
      while (!pattern.test(said)) {
        const isMore = await Promise.race([once(child.stderr, 'data', { signal }).then(() => true), ended])
          .catch((error) => { throw signal.aborted ? failure(`has not said ${pattern} in time`) : error })
        if (!isMore && !pattern.test(said)) throw failure(`has ended before it said ${pattern}`)
      }
    },
    async end() {
      child.kill('SIGTERM')
      // nfcapd looks whether a signal has come, then waits for a datagram: one that comes between is lost
      const again = setInterval(() => child.kill('SIGTERM'), AGAIN)
      const last = setTimeout(() => child.kill('SIGKILL'), DEADLINE)
      try {
        await closed
      } finally {
        clearInterval(again)
        clearTimeout(last)
      }
      if (child.signalCode === 'SIGKILL') throw failure('has not ended in time')
    },
  }
}

/** A UDP port that is free, and not of those that the system gives away. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000)
    const socket = createSocket('udp4')
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false))
      socket.bind(port, '127.0.0.1', () => resolve(true))
    })
    socket.close()
    if (isFree) return port
  }
}

/** The UDP datagrams as a capture of raw IPv4 packets, to port 2055. */
function captureOf(datagrams: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65_535, 16)
  header.writeUInt32LE(101, 20) // LINKTYPE_RAW
  return Buffer.concat([header, ...datagrams.flatMap((datagram) => {
    const packet = Buffer.alloc(16 + 28)
    const length = 28 + datagram.length
    packet.writeUInt32LE(1_795_165_200, 0)
    packet.writeUInt32LE(length, 8)
    packet.writeUInt32LE(length, 12)
    packet.set([0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1], 16)
    packet.set([0xc3, 0x50, 0x08, 0x07, length - 20 >> 8, length - 20 & 255, 0, 0], 36)
    return [packet, datagram]
  })])
}

/** What tshark prints of datagrams of NetFlow and IPFIX (`cflow`) or sFlow, with `args` behind its own. */
export function throughTshark(
  dissector: 'cflow' | 'sflow', datagrams: readonly Uint8Array[], ...args: readonly string[]
): string {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-tshark-'))
  try {
    const file = join(directory, 'export.pcap')
    writeFileSync(file, captureOf(datagrams))
    return output('tshark', '-r', file, '-d', `udp.port==2055,${dissector}`, ...args)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What a program writes to stdout. nfdump may not complain of anything beside. */
export function output(program: string, ...args: readonly string[]): string {
  const { stdout, status, signal, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8', maxBuffer: 1 << 28, timeout: DEADLINE, env: { ...process.env, TZ: 'UTC' },
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} has failed with ${status ?? signal}; it said: ${stderr}`)
  if (program === 'nfdump' && stderr !== '') throw new Error(`${program} complains: ${stderr}`)
  return stdout
}
