/**
 * Lists of RFC 6313, as batches keep them and as they should look in JSON.
 *
 * **In a batch.** Who reads a batch does not know the exporter's templates. So a list that names templates
 * has them before it; others are kept as they were sent (§4.5). All numbers are big-endian:
 *
 * | bytes | |
 * |---|---|
 * | 1 | 254, LIST_WITH_TEMPLATES, which is no semantic of §4.4 |
 * | 2 | how many templates follow |
 * | 2, 2 | of each its id, and how many fields follow |
 * | 4, 2, 2 | of each field its enterprise number, element and length: 65535 where values tell their own |
 * | rest | the list as it was sent |
 *
 * The templates are those of the list and of the lists in it, down to MAX_LIST_DEPTH, as far as they were
 * known when the list came and have a record there. Fields without bytes are left out, so that each field of
 * a template has a byte of the list, and the templates have at most about ten times the list's bytes. With
 * the list they have MAX_LIST_SIZE: templates that would make it more are left out. A list that was sent with
 * 254 for its semantic has all this before it too.
 *
 * **In JSON.**
 *
 * - A basicList is an array of its values, a subTemplateList of its records: objects of values by element
 *   name. A subTemplateMultiList is one array of the records of all its parts, in order.
 * - Where the semantic does not say that all items are meant, it is shown, as in
 *   `{"semantic":"exactlyOneOf","list":[1,4]}`: `noneOf`, `exactlyOneOf`, `oneOrMoreOf` and, by number, what
 *   §4.4 does not have. `allOf`, `ordered` and `undefined` are not shown.
 * - A list that cannot be opened is hexadecimal text, as it was sent: if its template is missing, if it does
 *   not hold together, if it lies deeper than MAX_LIST_DEPTH, or if its items have no bytes. Such a part of a
 *   subTemplateMultiList is hexadecimal text, with its header, among the records of the other parts.
 */
import { elementName, findElement, type ElementType } from './elements.ts'
import { formatHex, formatScalar, type ScalarValue } from './scalar-value.ts'
import { VARIABLE_LENGTH } from './shape.ts'

/** The types of lists. */
export type ListType = Extract<ElementType, `${string}List`>

/** A list, or anything in it. */
export type ListValue = ScalarValue | readonly ListValue[] | { readonly [name: string]: ListValue }

/** How many lists are opened in each other, the outermost being the first. */
export const MAX_LIST_DEPTH = 8

/** Most bytes of a list in a batch, with its templates. */
export const MAX_LIST_SIZE = 65_534

/** The first byte of a list with templates. */
export const LIST_WITH_TEMPLATES = 254

/** Where a value lies: `bytes[start..end)`. */
export interface Span {
  start: number
  end: number
}

interface Field {
  /** Undefined for padding, which is not shown. */
  readonly name: string | undefined
  readonly type: ElementType | undefined
  readonly length: number
}

/** A list with the templates that it names. */
interface Context {
  readonly bytes: Uint8Array
  readonly templates: ReadonlyMap<number, readonly Field[]>
}

const ENTERPRISE_BIT = 0x8000
const PADDING = 210 // paddingOctets
/** By number, RFC 6313 §4.4. */
const SEMANTICS: readonly string[] = ['noneOf', 'exactlyOneOf', 'oneOrMoreOf', 'allOf', 'ordered']
/** allOf, ordered and undefined. */
const UNSHOWN: ReadonlySet<number> = new Set([3, 4, 255])

/** Whether a type is one of lists. */
export function isList(type: ElementType | undefined): type is ListType {
  return type === 'basicList' || type === 'subTemplateList' || type === 'subTemplateMultiList'
}

/** The type of an element that is a list, undefined of others. */
export function listTypeOf(pen: number, id: number): ListType | undefined {
  const type = findElement(pen, id)?.type
  return isList(type) ? type : undefined
}

/** `name`, or where the record has it already `name_2`, then `name_3`; `seen` counts them. */
export function distinctName(name: string, seen: Map<string, number>): string {
  const count = (seen.get(name) ?? 0) + 1
  seen.set(name, count)
  return count === 1 ? name : `${name}_${count}`
}

/** The value of a list, `bytes[start..end)`, as a batch keeps it. */
export function formatList(type: ListType, bytes: Uint8Array, start: number, end: number): ListValue {
  const templates = new Map<number, readonly Field[]>()
  if (end - start >= 3 && bytes[start] === LIST_WITH_TEMPLATES) {
    const list = readTemplates(bytes, start + 1, end, templates)
    if (list < 0) return formatHex(bytes, start, end)
    start = list
  }
  return openList({ bytes, templates }, type, start, end, 1)
}

/** Read the templates at `at`. @returns where they end; -1 if that is behind `end` */
function readTemplates(
  bytes: Uint8Array, at: number, end: number, templates: Map<number, readonly Field[]>,
): number {
  let left = uint16(bytes, at)
  for (at += 2; left > 0; left--) {
    if (end - at < 4) return -1
    const id = uint16(bytes, at)
    const count = uint16(bytes, at + 2)
    at += 4
    if (end - at < count * 8) return -1
    const fields: Field[] = []
    const seen = new Map<string, number>()
    for (const next = at + count * 8; at < next; at += 8) {
      const pen = uint16(bytes, at) * 65_536 + uint16(bytes, at + 2)
      const element = uint16(bytes, at + 4)
      const length = uint16(bytes, at + 6)
      if (length === 0) continue
      const isPadding = pen === 0 && element === PADDING
      const name = isPadding ? undefined : distinctName(elementName(pen, element), seen)
      fields.push({ name, type: findElement(pen, element)?.type, length })
    }
    templates.set(id, fields)
  }
  return at
}

function openList(context: Context, type: ListType, start: number, end: number, depth: number): ListValue {
  const { bytes } = context
  if (depth <= MAX_LIST_DEPTH && start < end) {
    const items: ListValue[] = []
    if (readList(context, type, start + 1, end, depth, items)) {
      const semantic = bytes[start]
      return UNSHOWN.has(semantic) ? items : { semantic: SEMANTICS[semantic] ?? semantic, list: items }
    }
  }
  return formatHex(bytes, start, end)
}

/** Read what is behind the semantic. @returns whether it holds together */
function readList(
  context: Context, type: ListType, at: number, end: number, depth: number, items: ListValue[],
): boolean {
  const { bytes } = context
  switch (type) {
    case 'basicList':
      return readItems(context, at, end, depth, items)
    case 'subTemplateList':
      return end - at >= 2 && readRecords(context, uint16(bytes, at), at + 2, end, depth, items)
    case 'subTemplateMultiList':
      return readParts(context, at, end, depth, items)
  }
}

/** Read the items of a basicList: RFC 6313 §4.5.1. */
function readItems(context: Context, at: number, end: number, depth: number, items: ListValue[]): boolean {
  const { bytes } = context
  if (end - at < 4) return false
  const field = uint16(bytes, at)
  const length = uint16(bytes, at + 2)
  at += 4
  let pen = 0
  if (field >= ENTERPRISE_BIT) {
    if (end - at < 4) return false
    pen = uint16(bytes, at) * 65_536 + uint16(bytes, at + 2)
    at += 4
  }
  if (length === 0) return false
  const type = findElement(pen, field % ENTERPRISE_BIT)?.type
  const span = { start: at, end: at }
  while (at < end) {
    if (!findValue(bytes, at, end, length, span)) return false
    at = span.end
    items.push(formatValue(context, type, span.start, at, depth))
  }
  return true
}

/** Read the records of a template: RFC 6313 §4.5.2. */
function readRecords(
  context: Context, template: number, at: number, end: number, depth: number, items: ListValue[],
): boolean {
  if (at === end) return true
  const { bytes, templates } = context
  const fields = templates.get(template)
  if (!fields || fields.length === 0) return false
  const span = { start: at, end: at }
  while (at < end) {
    const record: Record<string, ListValue> = {}
    for (const { name, type, length } of fields) {
      if (!findValue(bytes, at, end, length, span)) return false
      at = span.end
      if (name !== undefined) record[name] = formatValue(context, type, span.start, at, depth)
    }
    items.push(record)
  }
  return true
}

/** Read the parts of a subTemplateMultiList, each with a template of its own: RFC 6313 §4.5.3. */
function readParts(context: Context, at: number, end: number, depth: number, items: ListValue[]): boolean {
  const { bytes } = context
  while (at < end) {
    if (end - at < 4) return false
    const length = uint16(bytes, at + 2) // with the template's id and itself
    if (length < 4 || length > end - at) return false
    const before = items.length
    if (!readRecords(context, uint16(bytes, at), at + 4, at + length, depth, items)) {
      items.length = before
      items.push(formatHex(bytes, at, at + length))
    }
    at += length
  }
  return true
}

function formatValue(
  context: Context, type: ElementType | undefined, start: number, end: number, depth: number,
): ListValue {
  if (isList(type)) return openList(context, type, start, end, depth + 1)
  return formatScalar(type, context.bytes, start, end)
}

/**
 * Find the value at `at` that is `length` bytes long, or behind its length if that is 65535 (RFC 7011 §7).
 *
 * @param span gets where it lies
 * @returns whether it ends before `end`, or there
 */
export function findValue(bytes: Uint8Array, at: number, end: number, length: number, span: Span): boolean {
  if (length === VARIABLE_LENGTH) {
    if (at >= end) return false
    length = bytes[at++]
    if (length === 255) {
      if (end - at < 2) return false
      length = uint16(bytes, at)
      at += 2
    }
  }
  span.start = at
  span.end = at + length
  return span.end <= end
}

/** The unsigned number of two bytes at `at`. */
export function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1]
}
