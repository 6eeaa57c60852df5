/** Readings of peers that give each element of a record by a name. */
import { formatIpv4, formatIpv6 } from '../../core/flow/address.ts'
import { elementName, findElement } from '../../core/flow/elements.ts'
import { formatElement } from '../../core/flow/element-value.ts'
import type { Pair, Value } from './compare.ts'
import { number, placesOf } from './sources.ts'
import { headerTime, plainName, timeText } from './values.ts'
import type { WireElement, WireHeader } from './wire.ts'

/** One value of a peer, under the peer's name. */
export interface NamedValue {
  readonly name: string
  /** As the peer has it, for elements that are only to be told by their value. */
  readonly raw: string
  /** Whether the name means that element. */
  is(pen: number, id: number): boolean
  /** In flowkit's text; `field` is where flowkit has it, an element's name where it has no field. */
  text(element: WireElement, field: string): string
}

/**
 * Compare a record with the values that a peer gives, by their elements.
 *
 * @param complete whether the peer gives all elements, so that none may be left
 */
export function* compareNamed(
  { sent, row }: Pair, values: Iterable<NamedValue>, all: unknown, complete: boolean,
): Generator<Value> {
  if (!sent || !row) return
  const base = { row, sent, all }
  const places = placesOf(row, sent)
  const left = new Set(places.keys())
  const unmatched: NamedValue[] = []
  for (const value of values) {
    const element = sent.elements.findLast(({ pen, id, bytes, variable }) =>
      (bytes.length > 0 || variable) && value.is(pen, id))
    if (!element) {
      unmatched.push(value)
      continue
    }
    for (const other of left) if (other.pen === element.pen && other.id === element.id) left.delete(other)
    const place = places.get(element)
    const field = place?.field ?? elementName(element.pen, element.id)
    yield { ...base, field, ours: place && ourText(element, place.text), theirs: value.text(element, field) }
  }
  // elements of vendors whose names the two do not share: by their values
  for (const { name, raw } of unmatched) {
    const element = [...left].find(({ bytes }) => raw === '' && bytes.length === 0)
      ?? [...left].find((one) => looksLike(one, raw))
    if (element) left.delete(element)
    yield { ...base, field: name, ours: element && raw, theirs: raw }
  }
  if (!complete) return
  for (const element of left) {
    const { field, text } = places.get(element)!
    yield { ...base, field, ours: text, theirs: undefined }
  }
}

/** flowkit's text with times in µs. */
function ourText({ pen, id }: WireElement, text: string): string {
  return isTime(pen, id) ? timeText(text) : text
}

/** Whether a name is the element's own, in any case, without underscores and a vendor's prefix. */
export function isNamed(name: string, pen: number, id: number): boolean {
  const own = plainName(elementName(pen, id))
  const plain = plainName(name)
  return plain === own || plain.replace(/^(netscaler|procera|ixia|vmware|viptela)/, '') === own
}

/** Whether the element's values are times. */
export function isTime(pen: number, id: number): boolean {
  return findElement(pen, id)?.type.startsWith('dateTime') ?? false
}

/** flowkit's text of a number that stands for a time of a type that flowkit takes it for. */
export function timeOfNumber({ pen, id }: WireElement, value: number | string): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return timeText(String(formatElement(findElement(pen, id)?.type, bytes, 0, 8)))
}

/** flowkit's time in µs of an uptime in ms where flowkit has a field for it, else the uptime. */
export function uptimeText(uptime: number, field: string, { secs, nsecs, uptime: now }: WireHeader): string {
  if (!field.startsWith('flow_')) return String(uptime)
  return String(headerTime(secs, nsecs) - ((now - uptime) | 0) * 1000)
}

function looksLike({ bytes }: WireElement, raw: string): boolean {
  const text = Buffer.from(bytes).toString().replace(/\0+$/, '')
  if (bytes.length === 0) return false
  const value = number(bytes)
  if (bytes.length === 4 && formatIpv4(Number(value)) === raw) return true
  return text === raw || String(value) === raw || (bytes.length === 16 && formatIpv6(bytes, 0) === raw)
}
