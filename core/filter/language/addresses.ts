import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../flow/address.ts'
import type { AddressList, AddressSet } from '../evaluate/address-set.ts'

/** A range of addresses: of IPv4 as numbers, or of IPv6 as 128-bit integers. */
export type AddressRange =
  | { readonly family: 4, readonly low: number, readonly high: number }
  | { readonly family: 6, readonly low: bigint, readonly high: bigint }

/** The IPv4-mapped addresses, which are IPv4 everywhere in a filter (RFC 4291 §2.5.5.2). */
const MAPPED_LOW = 0xffff00000000n
const MAPPED_HIGH = 0xffffffffffffn

const SHORT = /^\d{1,3}(\.\d{1,3}){0,2}$/
const scratch = new Uint8Array(16)
const words = new Uint32Array(8)

/**
 * The addresses that `text` stands for: `A`, `A/LENGTH`, or `A-B`; bits below the length are ignored.
 *
 * IPv4 before a length may be cut short (`10.20/16`), and without one too if `short` (`10.20` is `10.20/16`).
 *
 * @returns undefined where it stands for none
 */
export function parseAddresses(text: string, short: boolean): AddressRange | undefined {
  const dash = text.indexOf('-')
  if (dash >= 0) return between(parseAddress(text.slice(0, dash)), parseAddress(text.slice(dash + 1)))
  const [address, length, ...rest] = text.split('/')
  if (rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) return undefined
  let whole = address
  let bits = length === undefined ? undefined : Number(length)
  if (SHORT.test(address) && (short || bits !== undefined)) {
    const parts = address.split('.').length
    whole += '.0'.repeat(4 - parts)
    bits ??= parts * 8
  }
  return prefix(parseAddress(whole), bits)
}

/** The addresses of IPv4 `text` under a netmask, or undefined unless it is one of leading ones. */
export function parseNetmask(text: string, mask: string): AddressRange | undefined {
  const inverse = 2 ** 32 - 1 - parseIpv4(mask)
  const bits = 32 - Math.log2(inverse + 1)
  return parseIpv4(mask) >= 0 && Number.isInteger(bits) ? prefix(parseAddress(text), bits) : undefined
}

/** Add a range to a list. */
export function addRange(list: AddressList, range: AddressRange): void {
  if (range.family === 4) {
    list.add4(range.low, range.high)
    return
  }
  for (const [at, address] of [range.low, range.high].entries()) {
    for (let i = 0; i < 4; i++) words[at * 4 + i] = Number(address >> BigInt(96 - i * 32) & 0xffffffffn)
  }
  list.add6(words, 0)
}

/** The ranges of a set, each as text. */
export function formatSet({ v4, v6 }: AddressSet): string[] {
  const texts: string[] = []
  for (let i = 0; i < v4.length; i += 2) texts.push(formatRange({ family: 4, low: v4[i], high: v4[i + 1] }))
  for (let at = 0; at < v6.length; at += 8) {
    const low = integerOf(v6, at)
    let high = integerOf(v6, at + 4)
    // as it was written, with the mapped addresses inside it
    if (high === MAPPED_LOW - 1n && at + 8 < v6.length && integerOf(v6, at + 8) === MAPPED_HIGH + 1n) {
      at += 8
      high = integerOf(v6, at + 4)
    }
    texts.push(formatRange({ family: 6, low, high }))
  }
  return texts
}

/** The 128-bit integer of four words. */
function integerOf(from: Uint32Array, at: number): bigint {
  return from.subarray(at, at + 4).reduce((sum, word) => sum << 32n | BigInt(word), 0n)
}

/** `A` or `A/LENGTH` where the range is a prefix, else `A-B`. */
function formatRange(range: AddressRange): string {
  const width = range.family === 4 ? 32 : 128
  const low = BigInt(range.low)
  const size = BigInt(range.high) - low + 1n
  if (size === 1n) return formatAddress(range.family, low)
  if ((size & (size - 1n)) === 0n && low % size === 0n) {
    return `${formatAddress(range.family, low)}/${width - size.toString(2).length + 1}`
  }
  return `${formatAddress(range.family, low)}-${formatAddress(range.family, BigInt(range.high))}`
}

function parseAddress(text: string): AddressRange | undefined {
  const v4 = parseIpv4(text)
  if (v4 >= 0) return { family: 4, low: v4, high: v4 }
  if (!parseIpv6(text, scratch, 0)) return undefined
  const v6 = BigInt(`0x${Buffer.from(scratch).toString('hex')}`)
  return { family: 6, low: v6, high: v6 }
}

function prefix(range: AddressRange | undefined, bits: number | undefined): AddressRange | undefined {
  if (!range || bits === undefined) return range && between(range, range)
  if (bits > (range.family === 4 ? 32 : 128)) return undefined
  if (range.family === 4) {
    const size = 2 ** (32 - bits)
    const low = range.low - range.low % size
    return { family: 4, low, high: low + size - 1 }
  }
  const size = 1n << BigInt(128 - bits)
  const low = range.low - range.low % size
  return toIpv4(low, low + size - 1n)
}

function between(a: AddressRange | undefined, b: AddressRange | undefined): AddressRange | undefined {
  if (!a || !b || a.low > b.low) return undefined
  if (a.family === 4) return b.family === 4 ? { family: 4, low: a.low, high: b.high } : undefined
  return b.family === 6 ? toIpv4(a.low, b.high) : undefined
}

function toIpv4(low: bigint, high: bigint): AddressRange {
  if (low < MAPPED_LOW || high > MAPPED_HIGH) return { family: 6, low, high }
  return { family: 4, low: Number(low - MAPPED_LOW), high: Number(high - MAPPED_LOW) }
}

function formatAddress(family: 4 | 6, value: bigint): string {
  if (family === 4) return formatIpv4(Number(value))
  return formatIpv6(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'), 0)
}
