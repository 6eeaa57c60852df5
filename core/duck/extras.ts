/** Elements without a column as a JSON object, in the column `extra`. */
import { parseIpv4, parseIpv6, parseMac } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import {
  elementName, findElement, findElementByName, foreignElement, type ElementType,
} from '../flow/elements.ts'
import { formatElement } from '../flow/element-value.ts'
import { distinctName, isList } from '../flow/list-value.ts'
import { VARIABLE_LENGTH, type ExtraElement } from '../flow/shape.ts'

const NTP_TO_UNIX = 2208988800 // seconds from 1900 to 1970 (RFC 5905 §6)

/** Bytes of a value of each type that has one size. */
const SIZES: Readonly<Partial<Record<ElementType, number>>> = {
  unsigned8: 1, unsigned16: 2, unsigned32: 4, unsigned64: 8, unsigned256: 32,
  signed8: 1, signed16: 2, signed32: 4, signed64: 8,
}

/**
 * The extra elements of a row as JSON: `{"flowActiveTimeout":60,"en9id12172_2":"00ff"}`.
 *
 * Keys are names, the second of one name `name_2`; `en<PEN>id<ID>` where a name is unknown or not the
 * element's alone. Values are as `formatElement` has them, but lists in hexadecimal as the batch has them, so
 * that they come back whole.
 */
export function extrasText(extras: readonly ExtraElement[], batch: FlowBatch, row: number): string {
  const { heap } = batch
  let at = batch.extras[row * 2]
  const end = at + batch.extras[row * 2 + 1]
  const object: Record<string, unknown> = {}
  const seen = new Map<string, number>()
  for (const { pen, id, length } of extras) {
    let size = length
    if (length === VARIABLE_LENGTH) {
      if (end - at < 2) break
      size = heap[at] << 8 | heap[at + 1]
      at += 2
    }
    if (size > end - at) break
    const name = distinctName(uniqueName(pen, id), seen)
    const type = findElement(pen, id)?.type
    object[name] = formatElement(isList(type) ? 'octetArray' : type, heap, at, at + size)
    at += size
  }
  return JSON.stringify(object)
}

/** An element and its value, as `readExtras` finds them. */
export interface ExtraValue {
  readonly pen: number
  readonly id: number
  readonly bytes: Uint8Array
}

/**
 * The elements of a JSON object that `extrasText` wrote. Integers have the full length of their type.
 *
 * A key of no known element is kept by its name, as text or a number. What is no JSON object at all, and
 * values that are neither, are left out: other tools may have written them.
 */
export function readExtras(text: string): ExtraValue[] {
  let object: unknown
  try {
    object = JSON.parse(text)
  } catch {
    return []
  }
  if (typeof object !== 'object' || object === null) return []
  const values: ExtraValue[] = []
  for (const [key, value] of Object.entries(object)) {
    const element = findKey(key) ?? findKey(key.replace(/_\d+$/, ''))
      ?? foreignElement(key, typeof value === 'number' ? 'float64' : 'string')
    if (!element || element.pen > 0xffffffff || element.id > 0xffff) continue
    const bytes = encodeValue(findElement(element.pen, element.id)?.type, value)
    if (bytes && bytes.length < VARIABLE_LENGTH) values.push({ pen: element.pen, id: element.id, bytes })
  }
  return values
}

function findKey(key: string): { readonly pen: number, readonly id: number } | undefined {
  const numbers = /^en(\d+)id(\d+)$/.exec(key)
  return numbers ? { pen: Number(numbers[1]), id: Number(numbers[2]) } : findElementByName(key)
}

function uniqueName(pen: number, id: number): string {
  const name = elementName(pen, id)
  const named = findElementByName(name)
  return named && (named.pen !== pen || named.id !== id) ? `en${pen}id${id}` : name
}

/** The bytes of a value as RFC 7011 §6 has them, undefined for what `formatElement` never gives. */
function encodeValue(type: ElementType | undefined, value: unknown): Uint8Array | undefined {
  if (type === 'string') return typeof value === 'string' ? new TextEncoder().encode(value) : undefined
  if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 2)
  const size = type && SIZES[type]
  if (size !== undefined && isInteger(value)) return encodeInteger(BigInt(value), size)
  if (type === 'float32' || type === 'float64') {
    const isFloat = typeof value === 'number' || /^(NaN|-?Infinity)$/.test(String(value))
    if (isFloat) return encodeFloat(Number(value), type)
  }
  if (typeof value !== 'string') return undefined
  return encodeText(type, value) ?? (/^([0-9a-f]{2})*$/.test(value) ? Buffer.from(value, 'hex') : undefined)
}

/** What `formatElement` shows as text of its own. */
function encodeText(type: ElementType | undefined, text: string): Uint8Array | undefined {
  switch (type) {
    case 'ipv4Address': {
      const address = parseIpv4(text)
      return address < 0 ? undefined : encodeInteger(BigInt(address), 4)
    }
    case 'ipv6Address': {
      const out = new Uint8Array(16)
      return parseIpv6(text, out, 0) ? out : undefined
    }
    case 'macAddress': {
      const address = parseMac(text)
      return address < 0 ? undefined : encodeInteger(BigInt(address), 6)
    }
    case 'dateTimeSeconds':
    case 'dateTimeMilliseconds':
    case 'dateTimeMicroseconds':
    case 'dateTimeNanoseconds':
      return encodeTime(type, text)
    default:
      return undefined
  }
}

function encodeTime(type: ElementType, text: string): Uint8Array | undefined {
  const milliseconds = Date.parse(text)
  if (!text.endsWith('Z') || Number.isNaN(milliseconds)) return undefined
  if (type === 'dateTimeMilliseconds') return encodeInteger(BigInt(milliseconds), 8)
  const seconds = Math.floor(milliseconds / 1000)
  if (type === 'dateTimeSeconds') return encodeInteger(BigInt(seconds), seconds < 2 ** 32 ? 4 : 8)
  const digits = /\.(\d{1,9})Z$/.exec(text)?.[1] ?? '0'
  const fraction = Math.round(Number(`0.${digits}`) * 2 ** 32)
  return encodeInteger((BigInt(seconds + NTP_TO_UNIX) % 2n ** 32n) << 32n | BigInt(fraction), 8)
}

function isInteger(value: unknown): value is number | string {
  return Number.isInteger(value) || (typeof value === 'string' && /^-?\d{1,78}$/.test(value))
}

function encodeInteger(value: bigint, size: number): Uint8Array {
  return Buffer.from(BigInt.asUintN(size * 8, value).toString(16).padStart(size * 2, '0'), 'hex')
}

function encodeFloat(value: number, type: 'float32' | 'float64'): Uint8Array {
  const view = new DataView(new ArrayBuffer(type === 'float32' ? 4 : 8))
  if (type === 'float32') view.setFloat32(0, value)
  else view.setFloat64(0, value)
  return new Uint8Array(view.buffer)
}
