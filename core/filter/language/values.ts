import { FIELDS } from '../../flow/fields.ts'
import { parseMac } from '../../flow/address.ts'
import type { Derived } from '../evaluate/derive.ts'
import { DERIVED } from '../evaluate/derived.ts'
import type { Source } from '../node.ts'
import { parseClock, parseTime } from '../time-text.ts'
import { namedValue } from '../value-names.ts'
import { servicePort } from './services.ts'

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1, 'k': 1e3, 'm': 1e6, 'g': 1e9, 't': 1e12, 'ki': 2 ** 10, 'mi': 2 ** 20, 'gi': 2 ** 30, 'ti': 2 ** 40,
}
const MAX_COUNT = Number.MAX_SAFE_INTEGER
const MAX = { u8: 255, u16: 65_535, u32: 2 ** 32 - 1, u64: MAX_COUNT, count: MAX_COUNT } as const
const MAX_WIDE = 2n ** 64n - 1n
const DAY = 86_400 // s
const LOWER_FIRST = 'the lower end of a range first'
/** Two addresses with a dash between. */
const REVERSIBLE = /^[\d.]+-[\d.]+$|^[\da-f:.]*:[\da-f:.]*-[\da-f:.]*:[\da-f:.]*$/i
/** Days of the week, from Sunday; three letters are enough. */
const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const

/** What the values of a source are: the type of a field, or seconds since local midnight. */
export type ValueType = (typeof FIELDS)[number]['type'] | Derived['type']

/** The type of a source's values. */
export function typeOf(source: Source): ValueType {
  return typeof source === 'number' ? FIELDS[source].type : DERIVED[source].type
}

/** What a fault says that it wanted in place of `text`: a value of the source. */
export function describe(source: Source, text: string): string {
  switch (typeOf(source)) {
    case 'addr': return REVERSIBLE.test(text) ? LOWER_FIRST : 'an IP address or network'
    case 'mac': return 'a MAC address'
    case 'time': return 'a time'
    case 'clock': return 'a time of day, as 08:00-17:30'
    case 'text': return 'a text'
    case 'octets': return 'octets in hexadecimal, as 0x0a0b'
    case 'hour': return 'an hour (0 to 23)'
    case 'day': return 'a day of the week, as mon'
  }
  const [low, high, ...more] = text.split('-').map((end) => parseOne(source, end))
  if (low !== undefined && high !== undefined && low > high && more.length === 0) return LOWER_FIRST
  const name = typeof source === 'number' ? FIELDS[source].name : ''
  if (name === 'proto' || name === 'tun_proto') return 'a protocol name or number'
  if (/tcp_flags$/.test(name)) return 'TCP flags, as SA, or their number'
  const noun = isOf(source, 'port') ? 'a port number' : isOf(source, 'as') ? 'an AS number' : 'a number'
  const max = typeOf(source) === 'u64' ? MAX_WIDE : maxOf(source)
  return /^\d/.test(text) ? `${noun} (0 to ${max})` : noun
}

/**
 * Lowest and highest of the numbers, times or MAC addresses that `text` stands for: `A`, `A-B` or a name.
 *
 * A range of clock times ends before its second. It, one of hours and one of days of the week may go past the
 * end of the day or week: then there are two pairs.
 *
 * @param now µs since the epoch
 * @returns pairs, or undefined where it stands for none
 */
export function parseNumbers(source: Source, text: string, now: number): readonly number[] | undefined {
  const named = typeof source === 'number' ? namedValue(source, text) : undefined
  if (named) return named
  const port = isOf(source, 'port') ? servicePort(text) : undefined
  if (port !== undefined) return [port, port]
  const type = typeOf(source)
  if (type === 'time') return single(parseTime(text, now))
  if (type === 'mac') return single(parseMac(text.replace(/(?<![\da-f])[\da-f](?=:|$)/gi, '0$&')))
  const [first, second, ...more] = text.split('-')
  if (more.length > 0) return undefined
  if (type === 'clock') return second === undefined ? single(parseClock(first)) : clockRange(first, second)
  const low = parseOne(source, first)
  const high = second === undefined ? low : parseOne(source, second)
  if (low === undefined || high === undefined) return undefined
  if (low <= high) return [low, high]
  return type === 'hour' || type === 'day' ? [0, high, low, maxOf(source)] : undefined
}

/** The name of a day of the week, 0 for Sunday. */
export function dayName(day: number): string {
  return DAYS[day].slice(0, 3)
}

/** The same for a field of type `u64`. */
export function parseWide(text: string): readonly bigint[] | undefined {
  const [first, second, ...more] = text.split('-')
  const low = parseBig(first)
  const high = second === undefined ? low : parseBig(second)
  return more.length > 0 || low === undefined || high === undefined || low > high ? undefined : [low, high]
}

/** Bytes of a field of type `text` or `octets`. */
export function parseBytes(source: Source, text: string): Uint8Array | undefined {
  if (typeOf(source) === 'text') return new TextEncoder().encode(text)
  return /^0x([0-9a-f]{2})*$/i.test(text) ? Buffer.from(text.slice(2), 'hex') : undefined
}

function parseOne(source: Source, text: string): number | undefined {
  switch (typeOf(source)) {
    case 'day': {
      const word = text.toLowerCase()
      const day = DAYS.findIndex((name) => name === word || name.slice(0, 3) === word)
      return day >= 0 ? day : parseNumber(text, maxOf(source))
    }
    case 'real': return /^\d+\.\d+$/.test(text) ? Number(text) : parseNumber(text, maxOf(source))
    default: return parseNumber(isOf(source, 'as') ? text.replace(/^as(?=\d)/i, '') : text, maxOf(source))
  }
}

/** Whether a source is a field whose name ends so. */
function isOf(source: Source, kind: 'port' | 'as'): boolean {
  return typeof source === 'number' && FIELDS[source].name.endsWith(`_${kind}`)
}

/** A whole number from 0 to `max`: decimal, with K M G T (1000) or Ki Mi Gi Ti (1024), or hexadecimal. */
function parseNumber(text: string, max: number): number | undefined {
  const [, digits, suffix] = /^(\d+(?:\.\d+)?)([kmgt]i?)?$/i.exec(text) ?? []
  let value = NaN
  if (digits !== undefined) value = scale(digits, SUFFIXES[suffix?.toLowerCase() ?? ''])
  else if (/^0x[0-9a-f]+$/i.test(text)) value = Number(text)
  return Number.isInteger(value) && value <= max ? value : undefined
}

/** `digits` times `factor`, without the error of a binary fraction where the product is whole. */
function scale(digits: string, factor: number): number {
  const [whole, fraction = ''] = digits.split('.')
  return Number(whole) * factor + Number(fraction) * factor / 10 ** fraction.length
}

function parseBig(text: string): bigint | undefined {
  const exact = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? BigInt(text) : undefined
  if (exact !== undefined) return exact <= MAX_WIDE ? exact : undefined
  const value = parseNumber(text, MAX.u64)
  return value === undefined ? undefined : BigInt(value)
}

function clockRange(first: string, second: string): readonly number[] | undefined {
  const from = parseClock(first)
  const to = parseClock(second)
  if (from === undefined || to === undefined) return undefined
  if (from < to) return [from, to - 1]
  return [0, to - 1, from, DAY - 1].slice(to === 0 ? 2 : 0, from === DAY ? 2 : 4)
}

function single(value: number | undefined): readonly number[] | undefined {
  return value === undefined || value < 0 ? undefined : [value, value]
}

/** The largest number that a source can be compared with. */
export function maxOf(source: Source): number {
  if (typeof source !== 'number') return DERIVED[source].max
  return MAX[FIELDS[source].type as keyof typeof MAX]
}
