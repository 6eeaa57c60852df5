import { isIP } from 'node:net'
import { FlowkitError } from '../flow/errors.ts'

/** Where to listen. */
export interface Endpoint {
  /** IPv4 or IPv6 address; `::` stands for all addresses of both families. */
  readonly address: string
  /** 0: any free one. */
  readonly port: number
}

/** What is listened for. */
export type Protocol = 'udp' | 'tcp' | 'tls'

/** Where to listen, and for what. */
export interface ListenAt extends Endpoint {
  readonly protocol: Protocol
  /** The socket, where it is open already. */
  readonly fd?: number
}

const ENDPOINT = /^(?:(udp|tcp|tls):\/\/)?(?:(\[[^\]]*\]|[^:[\]]*):)?(\d{1,5})$/

/**
 * Read `[udp://|tcp://|tls://][ADDR:]PORT`; an IPv6 address stands in brackets.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseEndpoint(text: string): ListenAt {
  const [, protocol = 'udp', address = '::', port] = ENDPOINT.exec(text) ?? []
  const plain = address.replace(/^\[|\]$/g, '') || '::'
  if (port === undefined || Number(port) > 65535 || isIP(plain) === 0) {
    const wanted = '[udp://|tcp://|tls://][ADDRESS:]PORT such as 2055 or [::1]:4739'
    throw new FlowkitError('ERR_OPTION', `Cannot listen on "${text}": expected ${wanted}`)
  }
  return { protocol: protocol as Protocol, address: plain, port: Number(port) }
}

/** The URL of an endpoint: `udp://[::1]:4739`. */
export function formatEndpoint({ address, port }: Endpoint, protocol: Protocol | 'http' = 'udp'): string {
  return `${protocol}://${address.includes(':') ? `[${address}]` : address}:${port}`
}
