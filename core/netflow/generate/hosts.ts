import { ipv6Storage, type AddressColumn } from '../../flow/address.ts'
import { mix } from './talk.ts'

/** An address column, and its IPv6 storage if that is what is to be written. */
export interface Hosts {
  readonly family: Uint8Array
  readonly v4: Uint32Array
  readonly v6: DataView | undefined
}

/** A column to be written to, with IPv4 or IPv6 addresses. */
export function hosts(column: AddressColumn, v6: boolean): Hosts {
  const { family, v4 } = column
  if (!v6) return { family, v4, v6: undefined }
  const { buffer, byteOffset, byteLength } = ipv6Storage(column)
  return { family, v4, v6: new DataView(buffer, byteOffset, byteLength) }
}

/** The exporter's own hosts: 10.X.0.0/16 or 2001:db8:X::/48. */
export function setClient(to: Hosts, row: number, rank: number, exporter: number): void {
  const bits = mix(rank + 0x51ed2700)
  if (!to.v6) setV4(to, row, 0x0a000000 + ((exporter & 255) << 16) + (bits & 0xffff))
  else setV6(to, row, 0x20010db8, exporter << 16 | bits & 7, bits, mix(bits))
}

/** All the world's hosts: 11.0.0.0 to 125.255.0.0, or 2a00::/12, in networks of 64 popular hosts. */
export function setServer(to: Hosts, row: number, rank: number, block: number): void {
  if (!to.v6) setV4(to, row, 0x0b000000 + (block >>> 8) % 0x7300 * 0x10000 + (mix(rank) & 0xffff))
  else setV6(to, row, 0x2a000000 | block & 0xfffff, block & 0xffff0000, 0, 1 + (rank & 63))
}

/** The next hop behind an interface: in 100.64.0.0/10, or 2001:db8:fffe::/48. */
export function setHop(to: Hosts, row: number, exporter: number, outIf: number): void {
  if (!to.v6) setV4(to, row, routerOf(exporter) + outIf)
  else setV6(to, row, 0x20010db8, 0xfffe0000, exporter, outIf)
}

/** Write an IPv4 address. */
export function setV4({ family, v4 }: Hosts, row: number, value: number): void {
  family[row] = 4
  v4[row] = value
}

function setV6({ family, v4, v6 }: Hosts, row: number, a: number, b: number, c: number, d: number): void {
  family[row] = 6
  v4[row] = 0
  v6!.setUint32(row * 16, a)
  v6!.setUint32(row * 16 + 4, b)
  v6!.setUint32(row * 16 + 8, c)
  v6!.setUint32(row * 16 + 12, d)
}

/** The address that exporter number `exporter` has on its interface 0, of 100.64.0.0/10. */
export function routerOf(exporter: number): number {
  return 0x64400000 + exporter * 32
}
