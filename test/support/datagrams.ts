/** Datagrams made by hand, for tests that count what comes of them. */
import { createSocket } from 'node:dgram'

/** What a datagram says; the rest is 0. */
export interface V5Flow {
  /** 17 unless told. */
  readonly proto?: number
  readonly srcPort?: number
  /** Packets of which one is looked at; 0: the datagram does not say. */
  readonly sampling?: number
}

/** A NetFlow v5 datagram of one flow, of 100 bytes in 2 packets. */
export function v5Datagram({ proto = 17, srcPort = 1024, sampling = 0 }: V5Flow = {}): Buffer {
  const bytes = Buffer.alloc(72)
  bytes.writeUInt16BE(5, 0)
  bytes.writeUInt16BE(1, 2) // flows
  bytes.writeUInt32BE(60_000, 4) // sysUpTime, ms
  bytes.writeUInt32BE(1_795_262_400, 8) // 2026-11-21 12:00 UTC
  if (sampling > 0) bytes.writeUInt16BE(0x4000 | sampling, 22)
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2], 24)
  bytes.writeUInt32BE(2, 40) // packets
  bytes.writeUInt32BE(100, 44) // bytes
  bytes.writeUInt32BE(50_000, 48) // first and last packet, by sysUpTime
  bytes.writeUInt32BE(51_000, 52)
  bytes.writeUInt16BE(srcPort, 56)
  bytes.writeUInt16BE(53, 58)
  bytes[62] = proto
  return bytes
}

/** An IPFIX message of one template (protocol, bytes) and one data record (RFC 7011 §3). */
export function ipfixMessage(): Buffer {
  const words = [
    0x000a, 16 + 16 + 9, // version, length
    0x6b00, 0xb140, 0, 0, 0, 7, // export time, sequence number, observation domain
    2, 16, 256, 2, 4, 1, 1, 4, // set, its length; template, its fields: protocolIdentifier, octetDeltaCount
    256, 9, // set, its length; the record follows
  ]
  const bytes = Buffer.alloc(words.length * 2 + 5)
  for (const [i, word] of words.entries()) bytes.writeUInt16BE(word, i * 2)
  bytes.set([6, 0, 0, 3, 232], words.length * 2)
  return bytes
}

/** Send datagrams to a port of loopback, from one of its addresses. */
export async function sendFrom(source: string, port: number, ...datagrams: readonly Buffer[]): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind({ address: source }, resolve))
  for (const datagram of datagrams) {
    await new Promise<void>((resolve, reject) => {
      socket.send(datagram, port, '127.0.0.1', (error) => error ? reject(error) : resolve())
    })
  }
  socket.close()
}
