/** Text of addresses and back. IPv4 is an unsigned 32-bit number in host order, IPv6 is 16 bytes. */

/** The column of one address field: `family[row]` is 4, 6 or 0 (absent). */
export interface AddressColumn {
  family: Uint8Array
  /** IPv4, host order; 0 where the family is 6. */
  v4: Uint32Array
  /** IPv6, 16 bytes a row; empty until the first IPv6 address (see `ipv6Storage`). */
  v6: Uint8Array
}

/** The IPv6 storage of a column, made on first use. */
export function ipv6Storage(column: AddressColumn): Uint8Array {
  if (column.v6.length === 0) column.v6 = new Uint8Array(column.family.length * 16)
  return column.v6
}

/** Longest text of an address: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`. */
export const MAX_ADDRESS_TEXT = 45

const HEX = new Uint8Array([...'0123456789abcdef'].map((c) => c.charCodeAt(0)))
const COLON = 58
const DOT = 46
const scratch = new Uint8Array(MAX_ADDRESS_TEXT)

/** `10.0.0.1` of 0x0a000001. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${value >>> 16 & 255}.${value >>> 8 & 255}.${value & 255}`
}

/** RFC 5952 text of the 16 bytes at `at`; IPv4-mapped addresses end in dotted decimal (RFC 5952 §5). */
export function formatIpv6(bytes: Uint8Array, at: number): string {
  const end = writeIpv6(bytes, at, scratch, 0)
  let text = ''
  for (let i = 0; i < end; i++) text += String.fromCharCode(scratch[i])
  return text
}

/** `aa:bb:cc:dd:ee:ff` of a 48-bit number. */
export function formatMac(value: number): string {
  const text = value.toString(16).padStart(12, '0')
  return text.replace(/..(?!$)/g, '$&:')
}

/** Write the text of an IPv4 address into `out`. @returns the offset behind it */
export function writeIpv4(value: number, out: Uint8Array, at: number): number {
  for (let shift = 24; shift >= 0; shift -= 8) {
    const byte = value >>> shift & 255
    if (byte >= 100) {
      const hundreds = byte >= 200 ? 2 : 1
      const rest = byte - hundreds * 100
      const tens = (rest * 205) >> 11 // rest / 10 for rest < 100
      out[at] = 48 + hundreds
      out[at + 1] = 48 + tens
      out[at + 2] = 48 + rest - tens * 10
      at += 3
    } else if (byte >= 10) {
      const tens = (byte * 205) >> 11
      out[at] = 48 + tens
      out[at + 1] = 48 + byte - tens * 10
      at += 2
    } else out[at++] = 48 + byte
    if (shift > 0) out[at++] = DOT
  }
  return at
}

/** Write the RFC 5952 text of the IPv6 address at `bytes[from]` into `out`. @returns the offset behind it */
export function writeIpv6(bytes: Uint8Array, from: number, out: Uint8Array, at: number): number {
  let zerosAt = -1 // the longest run of two or more zero groups, the first of equals
  let zeros = 1
  for (let group = 0; group < 8;) {
    let end = group
    while (end < 8 && bytes[from + end * 2] === 0 && bytes[from + end * 2 + 1] === 0) end++
    if (end - group > zeros) {
      zeros = end - group
      zerosAt = group
    }
    group = end + 1
  }
  const mapped = zerosAt === 0 && zeros === 5 && bytes[from + 10] === 255 && bytes[from + 11] === 255
  const groups = mapped ? 6 : 8
  for (let group = 0; group < groups; group++) {
    if (group === zerosAt) {
      out[at++] = COLON
      if (group + zeros === 8) out[at++] = COLON
      group += zeros - 1
      continue
    }
    if (group > 0) out[at++] = COLON
    const value = bytes[from + group * 2] << 8 | bytes[from + group * 2 + 1]
    if (value > 0xfff) out[at++] = HEX[value >> 12]
    if (value > 0xff) out[at++] = HEX[value >> 8 & 15]
    if (value > 0xf) out[at++] = HEX[value >> 4 & 15]
    out[at++] = HEX[value & 15]
  }
  if (!mapped) return at
  out[at++] = COLON
  const low = bytes[from + 12] << 24 | bytes[from + 13] << 16 | bytes[from + 14] << 8 | bytes[from + 15]
  return writeIpv4(low >>> 0, out, at)
}

/** Write `aa:bb:cc:dd:ee:ff` into `out`. @returns the offset behind it */
export function writeMac(value: number, out: Uint8Array, at: number): number {
  const high = Math.floor(value / 0x1000000)
  const low = value % 0x1000000
  for (let i = 0; i < 6; i++) {
    const byte = (i < 3 ? high >> (16 - i * 8) : low >> (40 - i * 8)) & 255
    out[at++] = HEX[byte >> 4]
    out[at++] = HEX[byte & 15]
    if (i < 5) out[at++] = COLON
  }
  return at
}

/** The number of dotted decimal `text`, or -1 if it is not four numbers of 0 to 255 without leading zeros. */
export function parseIpv4(text: string): number {
  let value = 0
  let part = 0
  let digits = 0
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === DOT) {
      if (digits === 0 || ++dots > 3) return -1
      value = value * 256 + part
      part = digits = 0
    } else {
      if (c < 48 || c > 57 || (digits > 0 && part === 0)) return -1
      part = part * 10 + c - 48
      if (part > 255) return -1
      digits++
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + part : -1
}

/**
 * Parse RFC 4291 text into the 16 bytes at `out[at]`.
 *
 * @returns whether it is an address; `out` is undefined when not
 */
export function parseIpv6(text: string, out: Uint8Array, at: number): boolean {
  const halves = text.split('::')
  if (halves.length > 2 || text.length > MAX_ADDRESS_TEXT) return false
  const head = parseGroups(halves[0], halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1], true) : []
  if (!head || !tail) return false
  const zeros = 8 - head.length - tail.length
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return false
  const groups = [...head, ...new Array<number>(zeros).fill(0), ...tail]
  for (let i = 0; i < 8; i++) {
    out[at + i * 2] = groups[i] >> 8
    out[at + i * 2 + 1] = groups[i] & 255
  }
  return true
}

function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseIpv4(part)
      if (v4 < 0) return undefined
      groups.push(v4 >>> 16, v4 & 0xffff)
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}

/** The 48-bit number of `aa:bb:cc:dd:ee:ff` (also `-` between, or Cisco's `aabb.ccdd.eeff`), or -1. */
export function parseMac(text: string): number {
  const plain = /^([0-9a-f]{2}([:-]|$)){6}$/i.test(text) || /^([0-9a-f]{4}(\.|$)){3}$/i.test(text)
  return plain && /[0-9a-f]$/i.test(text) ? Number.parseInt(text.replace(/[:.-]/g, ''), 16) : -1
}
