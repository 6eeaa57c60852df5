import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { getSystemErrorMessage } from 'node:util'
import { FlowkitError } from '../flow/errors.ts'
import type { Source } from '../pcap/write.ts'
import type { Protocol } from './endpoint.ts'

/** Where datagrams or messages go. */
export interface Destination {
  /** `udp://collector:2055` */
  readonly name: string
  readonly protocol: Protocol
  readonly host: string
  readonly port: number
}

/** Sends datagrams to one destination. */
export interface UdpSender {
  readonly destination: Destination
  /** The address datagrams are sent from. */
  readonly address: string
  /** The family of it and of where they go, 4 or 6. */
  readonly family: number
  /** Datagrams that went out, and those that did not or that were refused, as far as that was learned. */
  readonly counts: { readonly sent: number, readonly failed: number }
  /** The reason of the first that failed: `connection refused`. */
  readonly reason: string
  /** Send a datagram, which is copied. */
  send(datagram: Uint8Array): void
  /**
   * Send it from a socket of its own for each exporter and port, so that collectors can tell them apart: on
   * IPv4 loopback from 127.0.0.1, 127.0.0.2, … for one exporter after the other, elsewhere from other ports.
   *
   * @returns what to wait for at an exporter's first datagram
   */
  sendFrom(source: Source, datagram: Uint8Array): Promise<void> | undefined
  /** Wait until there is room to send more; lets events happen meanwhile. */
  ready(): Promise<void>
  /** Send what waits, and end. */
  close(): Promise<void>
}

/** Datagrams that may wait to be sent. */
const MOST_WAITING = 512
/** Bytes that the kernel is asked to keep of what was sent. */
const SEND_BUFFER = 4 << 20
/** Ports for examples: by custom, and of IPFIX. */
const PORTS: Readonly<Record<Protocol, number>> = { udp: 2055, tcp: 4739, tls: 4740 }

/**
 * Read `udp://HOST:PORT`, or a URL of another of `protocols`; an IPv6 address stands in brackets.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseDestination(name: string, protocols: readonly Protocol[] = ['udp']): Destination {
  const [, scheme = '', host, digits] =
    /^(\w+):\/\/(\[[\da-f:.%\w]+\]|[^\s:/?#[\]@]+):(\d{1,5})\/?$/i.exec(name) ?? []
  const protocol = protocols.find((known) => known === scheme.toLowerCase())
  const port = Number(digits)
  if (host === undefined || protocol === undefined || port < 1 || port > 65_535) {
    const known = protocols.map((each) => `${each}://`).join(', ').replace(/, (\S+)$/, ' or $1')
    const wanted = `${known}HOST:PORT such as ${protocols[0]}://192.0.2.1:${PORTS[protocols[0]]}`
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${name}": expected ${wanted}`)
  }
  return { name, protocol, host: host.replace(/^\[|\]$/g, ''), port }
}

/**
 * Open a socket for `destination`, and more as they are needed.
 *
 * @throws the system error when the host is not found or the socket cannot be opened
 */
export async function openSender(destination: Destination): Promise<UdpSender> {
  const { address: to, family } = await lookup(destination.host)
  const isLoopback = family === 4 && to.startsWith('127.')
  const counts = { sent: 0, failed: 0 }
  const sockets = new Map<string, Socket>() // of exporters, by address and port
  const numbers = new Map<string, number>() // of exporters, by address
  let waiting = 0
  let reason = ''

  function fail({ errno, message }: NodeJS.ErrnoException): void {
    reason ||= errno === undefined ? message : getSystemErrorMessage(errno)
    counts.failed++
  }

  const done = (error: Error | null): void => {
    waiting--
    if (error) fail(error)
    else counts.sent++
  }

  function send(socket: Socket, datagram: Uint8Array): void {
    waiting++
    socket.send(datagram.slice(), done)
  }

  async function open(bind: string | undefined): Promise<Socket> {
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: bind ?? (family === 6 ? '::' : '0.0.0.0') }, () => {
        socket.connect(destination.port, to, (error?: Error) => {
          socket.off('error', reject)
          if (error) reject(error)
          else resolve()
        })
      })
    })
    // an answer that nobody listens there: a datagram was sent in vain
    socket.on('error', (error) => {
      counts.sent--
      fail(error)
    })
    try {
      socket.setSendBufferSize(SEND_BUFFER)
    } catch {
      // the kernel's limit stands
    }
    return socket
  }

  async function openFor(source: Source, key: string, datagram: Uint8Array): Promise<void> {
    const exporter = addressKey(source)
    const number = numbers.get(exporter) ?? numbers.size + 1
    numbers.set(exporter, number)
    const isMany = isLoopback && process.platform === 'linux'
    const socket = await open(isMany ? loopbackAddress(number) : undefined)
    sockets.set(key, socket)
    send(socket, datagram)
  }

  const own = await open(undefined)
  return {
    destination, counts, family,
    address: own.address().address,
    get reason() { return reason },
    send: (datagram) => send(own, datagram),
    sendFrom(source, datagram) {
      const key = `${addressKey(source)} ${source.port}`
      const socket = sockets.get(key)
      if (!socket) return openFor(source, key, datagram)
      send(socket, datagram)
      return undefined
    },
    async ready() {
      do await turn()
      while (waiting > MOST_WAITING)
    },
    async close() {
      while (waiting > 0) await turn()
      await turn() // refusals of the last datagrams come in
      await turn()
      await Promise.all([own, ...sockets.values()].map((socket) => {
        return new Promise<void>((resolve) => socket.close(() => resolve()))
      }))
    },
  }
}

/** The `n`-th address of loopback, from 127.0.0.1. */
export function loopbackAddress(n: number): string {
  return `127.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}`
}

/** What tells an exporter's address from others. */
export function addressKey({ family, v4, v6 }: Source): string {
  return family === 6 ? v6.join() : String(v4)
}
