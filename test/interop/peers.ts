/** Collectors of others that read what flowkit exports. */
import { spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why a test that needs these programs is skipped; false if they are there. */
export function missing(...programs: readonly string[]): string | false {
  const absent = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined)
  return absent.length > 0 && `not installed: ${absent.join(', ')}`
}

/** A version that no exporter has: nfcapd says so at once, and by then has read what came before. */
const SENTINEL = new Uint8Array(20).fill(99, 1, 2)

/** What nfcapd made of datagrams, as `nfdump -o json` prints it, and what it said meanwhile. */
export async function throughNfcapd(
  datagrams: readonly Uint8Array[],
): Promise<{ flows: Record<string, unknown>[], said: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-nfcapd-'))
  const socket = createSocket('udp4')
  try {
    const port = await freePort()
    const child = spawn('nfcapd', ['-b', '127.0.0.1', '-p', String(port), '-w', directory, '-t', '3600'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const closed = once(child, 'close')
    let said = ''
    let heard = () => {}
    child.stderr.on('data', (chunk) => {
      said += String(chunk)
      heard()
    })
    const until = (pattern: RegExp) => new Promise<void>((resolve, reject) => {
      heard = () => { if (pattern.test(said)) resolve() }
      heard()
      closed.then(() => reject(new Error(`nfcapd has ended: ${said}`)), reject)
    })
    try {
      await until(/Startup nfcapd/)
      for (const datagram of [...datagrams, SENTINEL]) {
        await new Promise<void>((resolve, reject) => {
          socket.send(datagram, port, '127.0.0.1', (error) => error ? reject(error) : resolve())
        })
      }
      await until(/Unexpected netflow version 99/)
    } finally {
      child.kill('SIGTERM')
      await closed
    }
    const file = readdirSync(directory).find((name) => /^nfcapd\.\d+$/.test(name))!
    const { stdout } = spawnSync('nfdump', ['-r', join(directory, file), '-o', 'json'], {
      encoding: 'utf8', env: { ...process.env, TZ: 'UTC' },
    })
    return { flows: JSON.parse(stdout) as Record<string, unknown>[], said }
  } finally {
    socket.close()
    rmSync(directory, { recursive: true })
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return port
}

/** The UDP datagrams as a capture of raw IPv4 packets, to port 2055. */
export function captureOf(datagrams: readonly Uint8Array[]): Uint8Array {
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

/** What tshark prints of datagrams, with `args` behind its own. */
export function throughTshark(datagrams: readonly Uint8Array[], ...args: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-tshark-'))
  try {
    const file = join(directory, 'export.pcap')
    writeFileSync(file, captureOf(datagrams))
    const { stdout, status, stderr } = spawnSync('tshark', ['-r', file, '-d', 'udp.port==2055,cflow', ...args], {
      encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, TZ: 'UTC' },
    })
    if (status !== 0) throw new Error(`tshark has failed: ${stderr}`)
    return stdout
  } finally {
    rmSync(directory, { recursive: true })
  }
}
