/** The flows that all programs are given: NetFlow v9 datagrams, on the wire, in a capture, as rows. */
import { createSocket } from 'node:dgram'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { makeShape } from '../../core/flow/shape.ts'
import { datagramDecoder, type DatagramDecoder } from '../../core/netflow/datagram.ts'
import { setEncoder } from '../../core/netflow/encode/sets.ts'
import type { Datagram } from '../../core/netflow/message.ts'
import { syntheticFlows } from './flows.ts'
import { secondsSince } from './measure.ts'

/** Payload of a datagram on Ethernet, with room for a tunnel. */
export const MAX_SIZE = 1400

/** Records of a datagram, at most: a batch with room for so many does not grow. */
const MOST_RECORDS = 100

const SOURCE = 0xc0a80001 // 192.168.0.1
const PORT = 2055
/** When the first datagram is received, and how long it takes until the last, µs: all lie in one hour. */
const FROM = 1795266000e6 // 2026-11-21T13:00:00Z
const SPAN = 3500e6
/** What may wait in a receiver's socket, in bytes: more, and the sender waits. */
const MAX_WAITING = 100_000

const SAMPLING = [ID.samplingRate, ID.samplingSource]

/** Flows as one exporter sends them. */
export interface Traffic {
  readonly flows: number
  readonly datagrams: readonly Uint8Array[]
}

/** Synthetic flows as NetFlow v9, templates every minute; unsampled, since nfcapd scales what is sampled. */
export function makeTraffic(flows: number): Traffic {
  const datagrams: Uint8Array[] = []
  const keep = (datagram: Uint8Array): void => void datagrams.push(datagram.slice())
  const encoder = setEncoder(9, { maxSize: MAX_SIZE, domain: 1, templateRefresh: 60e6 })
  for (const batch of syntheticFlows({ flows, from: FROM, span: SPAN })) {
    for (const [i, { fields, timeDigits, extras }] of batch.shapes.entries()) {
      batch.shapes[i] = makeShape(fields.filter((id) => !SAMPLING.includes(id)), timeDigits, extras)
    }
    encoder.encode(batch, keep)
  }
  encoder.flush(keep)
  return { flows, datagrams }
}

/** The rows of traffic as a collector has them, each batch a new one. */
export function* decodeTraffic({ datagrams }: Traffic): Generator<FlowBatch> {
  const decode = receiver(datagramDecoder())
  let batch = new FlowBatch()
  for (const [i, bytes] of datagrams.entries()) {
    decode(bytes, batch, receivedAt(i, datagrams.length))
    if (batch.length < BATCH_SIZE - MOST_RECORDS && i < datagrams.length - 1) continue
    yield batch
    batch = new FlowBatch()
  }
}

/** A function that decodes the payload of one datagram into a batch. */
export function receiver(
  decoder: DatagramDecoder,
): (bytes: Uint8Array, batch: FlowBatch, received: number) => void {
  const datagram: Datagram = {
    bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)), start: 0, end: 0, family: 4, v4: SOURCE,
    v6: new Uint8Array(16), port: PORT, received: 0,
  }
  return (bytes, batch, received) => {
    datagram.bytes = bytes
    datagram.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    datagram.end = bytes.length
    datagram.received = received
    decoder.decode(datagram, batch)
  }
}

/** Write traffic as a pcap file: IPv4 without a link layer (LINKTYPE_RAW), no checksums. */
export function writeCapture({ datagrams }: Traffic, path: string): void {
  const recordHeader = 16
  const headers = 28 // IPv4 and UDP
  const size = datagrams.reduce((sum, { length }) => sum + recordHeader + headers + length, 24)
  const bytes = Buffer.alloc(size)
  const words = [0xa1b2c3d4, 2 << 16 | 4, 0, 0, 65535, 101]
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, i * 4)
  let at = 24
  for (const [i, datagram] of datagrams.entries()) {
    const received = receivedAt(i, datagrams.length)
    const length = headers + datagram.length
    bytes.writeUInt32BE(Math.floor(received / 1e6), at)
    bytes.writeUInt32BE(received % 1e6, at + 4)
    bytes.writeUInt32BE(length, at + 8)
    bytes.writeUInt32BE(length, at + 12)
    at += recordHeader
    bytes.writeUInt16BE(0x4500, at)
    bytes.writeUInt16BE(length, at + 2)
    bytes.writeUInt16BE(64 << 8 | 17, at + 8) // TTL and UDP
    bytes.writeUInt32BE(SOURCE, at + 12)
    bytes.writeUInt32BE(SOURCE + 1, at + 16)
    bytes.writeUInt16BE(PORT, at + 20)
    bytes.writeUInt16BE(PORT, at + 22)
    bytes.writeUInt16BE(length - 20, at + 24)
    bytes.set(datagram, at + headers)
    at += length
  }
  writeFileSync(path, bytes)
}

function receivedAt(i: number, count: number): number {
  return FROM + Math.floor(i * SPAN / count)
}

/**
 * Send traffic to a port of 127.0.0.1, evenly, and slower where the receiver does not keep up.
 *
 * It has taken everything from its socket when the promise resolves.
 *
 * @throws Error if the kernel had to drop datagrams
 */
export async function sendTraffic({ datagrams }: Traffic, port: number, perSecond: number): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve))
  try {
    const start = process.hrtime.bigint()
    for (let sent = 0; sent < datagrams.length;) {
      const due = Math.min(datagrams.length, Math.ceil(secondsSince(start) * perSecond))
      // a few at once: the receiver's buffer may be a small one
      const end = Math.min(due, sent + 32)
      if (sent === end || socketOf(port)!.waiting > MAX_WAITING) await delay(1)
      else {
        const burst = datagrams.slice(sent, sent = end)
        await Promise.all(burst.map((bytes) => new Promise<void>((resolve, reject) => {
          socket.send(bytes, (error) => error ? reject(error) : resolve())
        })))
      }
    }
    while (socketOf(port)!.waiting > 0) await delay(1)
    const { dropped } = socketOf(port)!
    if (dropped > 0) {
      throw new Error(`Cannot measure a receiver: ${dropped} of ${datagrams.length} datagrams were dropped`)
    }
  } finally {
    socket.close()
  }
}

/** What the kernel says of the socket that is bound to a port of 127.0.0.1, or undefined if there is none. */
export function socketOf(port: number): { readonly waiting: number, readonly dropped: number } | undefined {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of readFileSync('/proc/net/udp', 'utf8').split('\n')) {
    const cells = line.trim().split(/\s+/)
    if (cells[1] !== address) continue
    return { waiting: parseInt(cells[4].split(':')[1], 16), dropped: Number(cells[12]) }
  }
  return undefined
}
