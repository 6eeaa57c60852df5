import { parseIpv4, parseIpv6 } from './address.ts'

/** The addresses that begin with the same bits. */
export interface Prefix {
  /** 16 bytes; IPv4 is mapped into IPv6 (::ffff:0:0/96). */
  readonly address: Uint8Array
  /** Bits that count, 0 to 128. */
  readonly length: number
}

/**
 * An IPv4 address, host order, as an IPv6 address (RFC 4291 §2.5.5.2).
 *
 * @param address where to: zeros, or what was mapped before
 */
export function mapIpv4(v4: number, address: Uint8Array = new Uint8Array(16)): Uint8Array {
  address[10] = address[11] = 0xff
  for (let i = 0; i < 4; i++) address[12 + i] = v4 >>> 24 - i * 8
  return address
}

/** The prefix that `ADDRESS` or `ADDRESS/LENGTH` names, undefined if it names none. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address, bits, ...rest] = text.split('/')
  if (rest.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined
  const v4 = parseIpv4(address)
  const v6 = new Uint8Array(16)
  if (v4 < 0 && !parseIpv6(address, v6, 0)) return undefined
  const width = v4 < 0 ? 128 : 32
  const length = bits === undefined ? width : Number(bits)
  if (length > width) return undefined
  return { address: v4 < 0 ? v6 : mapIpv4(v4), length: length + 128 - width }
}

/** Whether an address of 16 bytes begins with a prefix. */
export function hasPrefix(address: Uint8Array, { address: prefix, length }: Prefix): boolean {
  const whole = length >> 3
  for (let i = 0; i < whole; i++) if (address[i] !== prefix[i]) return false
  const bits = length & 7
  return bits === 0 || (address[whole] ^ prefix[whole]) >> 8 - bits === 0
}
