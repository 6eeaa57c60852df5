/** Values of information elements that are no lists, as they should look in JSON. */
import { formatIpv4, formatIpv6, formatMac } from './address.ts'
import type { ElementType } from './elements.ts'

const NTP_TO_UNIX = 2208988800 // seconds from 1900 to 1970 (RFC 5905 §6)
const NTP_ERA = 2 ** 32
const MAX_MILLISECONDS = 253402300799999 // the last of the year 9999, where RFC 3339 ends

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** A decoded value that is no list. */
export type ScalarValue = string | number | boolean

/**
 * The value of an element that is no list, `bytes[start..end)`, encoded as RFC 7011 §6 has it.
 *
 * - Integers of any reduced length are numbers below 2^53, else decimal text; floats are numbers, or `NaN`,
 *   `Infinity` and `-Infinity` as text; `boolean` is true or false.
 * - Addresses are their usual text, strings UTF-8 without trailing NULs (ill-formed bytes become U+FFFD).
 * - Times are RFC 3339 text in UTC, with as many digits of the second as their type has. NTP seconds with the
 *   top bit clear are of the era that begins in 2036 (RFC 4330 §3).
 * - Everything else is lower-case hexadecimal text: `octetArray`, unknown types (undefined), lists, and
 *   values whose length or contents their type does not have.
 */
export function formatScalar(
  type: ElementType | undefined, bytes: Uint8Array, start: number, end: number,
): ScalarValue {
  return formatTyped(type, bytes, start, end) ?? formatHex(bytes, start, end)
}

/** The value, or undefined where only hexadecimal text tells it. */
function formatTyped(
  type: ElementType | undefined, bytes: Uint8Array, start: number, end: number,
): ScalarValue | undefined {
  const length = end - start
  switch (type) {
    case 'unsigned8':
    case 'unsigned16':
    case 'unsigned32':
    case 'unsigned64':
      return length > 0 && length <= 8 ? formatUnsigned(bytes, start, end) : undefined
    case 'unsigned256':
      return length > 0 && length <= 32 ? formatUnsigned(bytes, start, end) : undefined
    case 'signed8':
    case 'signed16':
    case 'signed32':
    case 'signed64':
      return length > 0 && length <= 8 ? formatSigned(bytes, start, end) : undefined
    case 'float32':
    case 'float64':
      return formatFloat(bytes, start, end)
    case 'boolean':
      if (length !== 1 || bytes[start] === 0 || bytes[start] > 2) return undefined
      return bytes[start] === 1
    case 'macAddress':
      return length === 6 ? formatMac(uint(bytes, start, 6)) : undefined
    case 'ipv4Address':
      return length === 4 ? formatIpv4(uint(bytes, start, 4)) : undefined
    case 'ipv6Address':
      return length === 16 ? formatIpv6(bytes, start) : undefined
    case 'string':
      while (end > start && bytes[end - 1] === 0) end--
      return utf8.decode(bytes.subarray(start, end))
    case 'dateTimeSeconds':
      return length === 4 || length === 8 ? formatUnix(uint(bytes, start, length) * 1e3, false) : undefined
    case 'dateTimeMilliseconds':
      return length === 8 ? formatUnix(uint(bytes, start, 8), true) : undefined
    case 'dateTimeMicroseconds':
      return length === 8 ? formatNtp(bytes, start, 6) : undefined
    case 'dateTimeNanoseconds':
      return length === 8 ? formatNtp(bytes, start, 9) : undefined
    default:
      return undefined
  }
}

function formatUnsigned(bytes: Uint8Array, start: number, end: number): number | string {
  const value = uint(bytes, start, end - start)
  return Number.isSafeInteger(value) ? value : BigInt(`0x${formatHex(bytes, start, end)}`).toString()
}

function formatSigned(bytes: Uint8Array, start: number, end: number): number | string {
  if (bytes[start] < 0x80) return formatUnsigned(bytes, start, end)
  const bits = (end - start) * 8
  if (bits <= 48) return uint(bytes, start, end - start) - 2 ** bits
  const exact = BigInt.asIntN(bits, BigInt(`0x${formatHex(bytes, start, end)}`))
  return exact >= Number.MIN_SAFE_INTEGER ? Number(exact) : exact.toString()
}

/** RFC 7011 §6.2 lets a float64 travel as a float32. */
function formatFloat(bytes: Uint8Array, start: number, end: number): number | string | undefined {
  const length = end - start
  if (length !== 4 && length !== 8) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, length)
  const value = length === 4 ? view.getFloat32(0) : view.getFloat64(0)
  return Number.isFinite(value) ? value : String(value) // JSON has no other numbers
}

/** RFC 3339 text of a time in milliseconds since 1970, without the milliseconds unless `fraction`. */
function formatUnix(milliseconds: number, fraction: boolean): string | undefined {
  if (milliseconds > MAX_MILLISECONDS) return undefined
  const text = new Date(milliseconds).toISOString()
  return fraction ? text : `${text.slice(0, 19)}Z`
}

/** RFC 3339 text with `digits` of a second, of an NTP timestamp (RFC 7011 §6.1.9 and §6.1.10). */
function formatNtp(bytes: Uint8Array, start: number, digits: 6 | 9): string {
  let seconds = uint(bytes, start, 4)
  if (seconds < NTP_ERA / 2) seconds += NTP_ERA
  let fraction = uint(bytes, start + 4, 4)
  if (digits === 6) fraction -= fraction % 2048 // the low 11 bits must be ignored
  const scale = 10 ** digits
  let part = Math.round(fraction / NTP_ERA * scale)
  if (part === scale) {
    part = 0
    seconds++
  }
  const text = new Date((seconds - NTP_TO_UNIX) * 1e3).toISOString()
  return `${text.slice(0, 19)}.${String(part).padStart(digits, '0')}Z`
}

/** An unsigned integer: exact below 2^53; from there on it may be rounded, but never to below 2^53. */
function uint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (const end = at + length; at < end; at++) value = value * 256 + bytes[at]
  return value
}

/** `bytes[start..end)` as lower-case hexadecimal text. */
export function formatHex(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('hex')
}
