import { isIPv4, type Socket } from 'node:net'
import { parseIpv4, parseIpv6 } from '../flow/address.ts'

/** A source address as numbers. */
export interface SourceAddress {
  /** 4 or 6. */
  family: number
  /** IPv4, host order. */
  v4: number
  /** IPv6, 16 bytes. */
  v6: Uint8Array
}

/** The text of an address without its zone; IPv4 that came through a socket of both families is IPv4. */
export function plainAddress(address: string): string {
  const text = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
  const zone = text.indexOf('%')
  return zone < 0 ? text : text.slice(0, zone)
}

/** Set a source to the address that Node tells as text; the field of the other family stays as it was. */
export function setSource(source: SourceAddress, address: string): void {
  const text = plainAddress(address)
  if (isIPv4(text)) {
    source.family = 4
    source.v4 = parseIpv4(text)
  } else {
    source.family = 6
    parseIpv6(text, source.v6, 0)
  }
}

/** The other end of a connection; the same object for all its messages. */
export interface StreamPeer extends Readonly<SourceAddress> {
  /** The address as text. */
  readonly address: string
  readonly port: number
}

/** Who is at the other end of a connection; undefined if it has gone already. */
export function peerOf({ remoteAddress, remotePort }: Socket): StreamPeer | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  const source: SourceAddress = { family: 0, v4: 0, v6: new Uint8Array(16) }
  setSource(source, remoteAddress)
  return { ...source, address: plainAddress(remoteAddress), port: remotePort }
}
