/** The files of the corpus: its list, which files belong together, and the export datagrams in them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { formatIpv4, formatIpv6, parseIpv4 } from '../../core/flow/address.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { DatagramReader } from '../../core/pcap/datagrams.ts'

/** One line of real/MANIFEST.tsv, with what it says of the contents. */
export interface Listed {
  /** Path below the corpus. */
  readonly path: string
  readonly protocol: string
  /** Data records, of flows and of options; NaN where the list does not say. */
  readonly records: number
  readonly quirks: string
  /** Datagrams, NaN where the list does not say. */
  readonly packets: number
  /** What the list says of a golden: a path below the corpus, or words. */
  readonly golden: string
}

/** One export datagram. */
export interface Packet {
  readonly bytes: Uint8Array
  /** Text of the source address. */
  readonly source: string
  /** IPv4 source in host order, 16 bytes of IPv6. */
  readonly v4: number
  readonly v6: Uint8Array | undefined
  readonly port: number
  /** µs since the epoch. */
  readonly received: number
}

/** Where datagrams of files without addresses are said to come from. */
const NOWHERE = '192.0.2.1'

/** The list of real files. */
export function readList(corpus: string): Listed[] {
  const [head, ...lines] = readFileSync(join(corpus, 'real/MANIFEST.tsv'), 'utf8').trimEnd().split('\n')
  const names = head.split('\t')
  return lines.map((line) => {
    const cells = Object.fromEntries(line.split('\t').map((cell, i) => [names[i], cell]))
    const [records, packets] = [cells.records, cells.packets].map((cell) => cell === '' ? NaN : Number(cell))
    return {
      path: `real/${cells.path}`, protocol: cells.protocol, records, quirks: cells.quirks, packets,
      golden: `real/${cells['golden path']}`,
    }
  })
}

/** The files that flow-making peers wrote: wire/*.pcap and what is gzipped of them. */
export function wireFiles(corpus: string): string[] {
  return readdirSync(join(corpus, 'peers/wire')).filter((name) => /\.pcap(\.gz)?$/.test(name)).sort()
    .map((name) => `peers/wire/${name}`)
}

/**
 * The NetFlow and IPFIX datagrams of a file: a capture, raw datagrams back to back, or IPFIX messages
 * (RFC 5655).
 *
 * @param single whether the file is one datagram, whatever its header says
 */
export function packetsOf(corpus: string, path: string, single: boolean = false): Packet[] {
  return allPackets(corpus, path, single).filter(({ bytes }) => !isCapture(path) || !isSflow(bytes))
}

/** The sFlow datagrams of a file: a capture, or one raw datagram. */
export function sflowPacketsOf(corpus: string, path: string): Packet[] {
  return allPackets(corpus, path, true).filter(({ bytes }) => isSflow(bytes))
}

/** Versions of sFlow are 32-bit numbers, those of NetFlow 16-bit. */
function isSflow(bytes: Uint8Array): boolean {
  return bytes.length > 1 && (bytes[0] << 8 | bytes[1]) === 0
}

function isCapture(path: string): boolean {
  return /\.pcap(ng)?(\.gz)?$/.test(path)
}

function allPackets(corpus: string, path: string, single: boolean): Packet[] {
  const bytes = readFileSync(join(corpus, path))
  const plain = path.endsWith('.gz') ? gunzipSync(bytes) : bytes
  if (isCapture(path)) return captured(plain)
  return (single ? [plain] : split(plain)).map((part) => ({
    bytes: part, source: NOWHERE, v4: parseIpv4(NOWHERE), v6: undefined, port: 4444, received: 0,
  }))
}

function captured(bytes: Uint8Array): Packet[] {
  const reader = new DatagramReader()
  reader.capture.window(bytes, 0, bytes.length)
  const packets: Packet[] = []
  for (;;) {
    try {
      if (!reader.next()) return packets
    } catch (error) {
      if (error instanceof FlowkitError) return packets
      throw error
    }
    const part = reader.bytes.slice(reader.start, reader.end)
    const v6 = reader.family === 6 ? reader.srcAddr6.slice() : undefined
    packets.push({
      bytes: part, source: v6 ? formatIpv6(v6, 0) : formatIpv4(reader.srcAddr), v4: reader.srcAddr, v6,
      port: reader.srcPort, received: reader.capture.packet.time,
    })
  }
}

/** Cut by the lengths in the headers; what has none, or a wrong one, reaches to the end. */
function split(bytes: Buffer): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const left = bytes.length - at
    const version = left >= 4 ? bytes.readUInt16BE(at) : 0
    const second = left >= 4 ? bytes.readUInt16BE(at + 2) : 0
    const length = version === 10 ? second : version === 5 ? 24 + 48 * second : left
    const end = length < 16 || length > left ? bytes.length : at + length
    parts.push(bytes.subarray(at, end))
    at = end
  }
  return parts
}

/** Whether there is a file of that name. */
export function has(corpus: string, path: string): boolean {
  return existsSync(join(corpus, path))
}
