import { createSocket, type Socket } from 'node:dgram'
import { isIP } from 'node:net'
import { FlowkitError } from '../flow/errors.ts'

/** Where to listen. */
export interface Endpoint {
  /** IPv4 or IPv6 address; `::` stands for all addresses of both families. */
  readonly address: string
  /** 0: any free one. */
  readonly port: number
}

/** What an open socket hands over. */
export type OnDatagram = (payload: Uint8Array, address: string, port: number) => void

/** An open UDP socket. */
export interface UdpListener {
  /** Where it really listens. */
  readonly endpoint: Endpoint
  /** Bytes the kernel keeps for it. */
  readonly receiveBuffer: number
  close(): Promise<void>
}

const ENDPOINT = /^(?:(\w+):\/\/)?(?:(\[[^\]]*\]|[^:[\]]*):)?(\d{1,5})$/

/**
 * Read `[udp://][ADDR:]PORT`; an IPv6 address stands in brackets.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseEndpoint(text: string): Endpoint {
  const [, scheme, address = '::', port] = ENDPOINT.exec(text) ?? []
  if (scheme !== undefined && scheme !== 'udp') {
    throw new FlowkitError('ERR_OPTION', `Cannot listen on "${text}": this version listens on udp:// only`)
  }
  const plain = address.replace(/^\[|\]$/g, '') || '::'
  if (port === undefined || Number(port) > 65535 || isIP(plain) === 0) {
    const wanted = '[udp://][ADDRESS:]PORT such as 2055 or [::1]:4739'
    throw new FlowkitError('ERR_OPTION', `Cannot listen on "${text}": expected ${wanted}`)
  }
  return { address: plain, port: Number(port) }
}

/** The URL of an endpoint: `udp://[::1]:4739`. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return `udp://${address.includes(':') ? `[${address}]` : address}:${port}`
}

/**
 * Open a socket and hand each datagram to `onDatagram`, whose payload is valid during the call.
 *
 * Where the machine has no IPv6, `::` becomes `0.0.0.0`. The kernel may grant less buffer than asked for.
 *
 * @throws the system error when the socket cannot be opened there
 */
export async function listenUdp(
  { address, port }: Endpoint, receiveBuffer: number, onDatagram: OnDatagram,
): Promise<UdpListener> {
  try {
    return await open(address, port, receiveBuffer, onDatagram)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (address !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    return open('0.0.0.0', port, receiveBuffer, onDatagram)
  }
}

function open(
  address: string, port: number, receiveBuffer: number, onDatagram: OnDatagram,
): Promise<UdpListener> {
  const socket = createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4' })
  socket.on('message', (payload, from) => onDatagram(payload, from.address, from.port))
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address, port }, () => {
      socket.off('error', reject)
      socket.on('error', () => {}) // of one datagram (an ICMP error, say): the socket goes on
      setBuffer(socket, receiveBuffer)
      resolve({
        endpoint: { address, port: socket.address().port },
        receiveBuffer: socket.getRecvBufferSize(),
        close: () => new Promise((closed) => socket.close(() => closed())),
      })
    })
  })
}

function setBuffer(socket: Socket, size: number): void {
  try {
    socket.setRecvBufferSize(size)
  } catch {
    // the kernel's limit stands; receiveBuffer tells what there is
  }
}
