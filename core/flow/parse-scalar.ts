/** Values of information elements from what JSON has of them: the other way of scalar-value.ts. */
import { parseIpv4, parseIpv6, parseMac } from './address.ts'
import type { ElementType } from './elements.ts'
import { parseTimeValue, type ParsedTime } from './parse-time.ts'

const NTP_TO_UNIX = 2208988800 // seconds from 1900 to 1970 (RFC 5905 §6)
const utf8 = new TextEncoder()
const time: ParsedTime = { micros: 0, nanos: 0, digits: -1 }

/**
 * The bytes of an element as RFC 7011 §6 encodes it, of a value as `formatScalar` gives it.
 *
 * @returns undefined for what the type does not have, lists among it
 */
export function parseScalar(type: ElementType | undefined, value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined
  const text = String(value)
  switch (type) {
    case 'unsigned8': case 'unsigned16': case 'unsigned32': case 'unsigned64':
      return /^\d{1,20}$/.test(text) ? integer(BigInt.asUintN(64, BigInt(text))) : undefined
    case 'signed8': case 'signed16': case 'signed32': case 'signed64':
      return /^-?\d{1,19}$/.test(text) ? integer(BigInt.asUintN(64, BigInt(text))) : undefined
    case 'float32': case 'float64': {
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setFloat64(0, Number(value))
      return bytes
    }
    case 'boolean': return Uint8Array.of(value === true || text === 'true' ? 1 : 2)
    case 'macAddress': {
      const mac = parseMac(text)
      return mac < 0 ? undefined : integer(BigInt(mac)).subarray(2)
    }
    case 'ipv4Address': {
      const v4 = parseIpv4(text)
      return v4 < 0 ? undefined : integer(BigInt(v4)).subarray(4)
    }
    case 'ipv6Address': {
      const bytes = new Uint8Array(16)
      return parseIpv6(text, bytes, 0) ? bytes : undefined
    }
    case 'string': return utf8.encode(text)
    case 'dateTimeSeconds':
      return parseTimeValue(text, time) ? integer(BigInt(Math.floor(time.micros / 1e6))).subarray(4) : undefined
    case 'dateTimeMilliseconds':
      return parseTimeValue(text, time) ? integer(BigInt(Math.floor(time.micros / 1e3))) : undefined
    case 'dateTimeMicroseconds': case 'dateTimeNanoseconds':
      return parseTimeValue(text, time) ? ntp(time) : undefined
    case 'octetArray': case undefined:
      return /^(?:[\da-f]{2})*$/i.test(text) ? Buffer.from(text, 'hex') : undefined
    default: return undefined
  }
}

function integer(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}

function ntp({ micros, nanos }: ParsedTime): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  const seconds = Math.floor(micros / 1e6)
  view.setUint32(0, seconds + NTP_TO_UNIX)
  view.setUint32(4, Math.round(((micros - seconds * 1e6) * 1e3 + nanos) / 1e9 * 2 ** 32))
  return bytes
}
