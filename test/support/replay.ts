import { createSocket, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { DatagramReader } from '../../core/pcap/datagrams.ts'

/** Datagrams sent before the receiver gets a turn: what fits into a socket buffer of the default size. */
const BURST = 16

/**
 * Send the UDP datagrams of a capture to a port on loopback.
 *
 * Each source address of the capture becomes one of 127.0.0.2, 127.0.0.3, …, in the order of their first
 * datagram, so that exporters stay apart.
 *
 * @returns the number of datagrams sent
 */
export async function replayCapture(path: string, port: number): Promise<number> {
  const reader = new DatagramReader()
  reader.capture.push(readFileSync(path))
  const sockets = new Map<string, Socket>()
  let sent = 0
  try {
    while (reader.next()) {
      const { family, srcAddr, srcAddr6 } = reader
      const source = family === 4 ? String(srcAddr) : Buffer.from(srcAddr6).toString('hex')
      const socket = sockets.get(source) ?? await openSocket(`127.0.0.${sockets.size + 2}`)
      sockets.set(source, socket)
      const payload = reader.bytes.slice(reader.start, reader.end)
      await new Promise<void>((resolve, reject) => {
        socket.send(payload, port, '127.0.0.1', (error) => error ? reject(error) : resolve())
      })
      if (++sent % BURST === 0) await turn()
    }
  } finally {
    for (const socket of sockets.values()) socket.close()
  }
  return sent
}

function openSocket(address: string): Promise<Socket> {
  const socket = createSocket('udp4')
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address }, () => resolve(socket))
  })
}
