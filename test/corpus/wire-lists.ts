/**
 * A second reading of lists, from RFC 6313 §4.5: slow, plain, by recursion over buffers cut to size.
 *
 * Values that are no lists are left to flowkit's own reading of elements.
 */
import { formatElement } from '../../core/flow/element-value.ts'
import { elementName, findElement } from '../../core/flow/elements.ts'

/** The fields of a template. */
type Fields = readonly { readonly pen: number, readonly id: number, readonly length: number }[]
type TemplateOf = (id: number) => Fields | undefined

/** What §4.4 has that does not say that all items are meant. */
const SOME: Readonly<Record<number, string>> = { 0: 'noneOf', 1: 'exactlyOneOf', 2: 'oneOrMoreOf' }
const ALL = [3, 4, 255]
const DEEPEST = 8

/** The JSON of an element that is a list; undefined of others. */
export function readWireList(
  pen: number, id: number, bytes: Buffer, templateOf: TemplateOf,
): string | undefined {
  const type = findElement(pen, id)?.type ?? ''
  return type.endsWith('List') ? JSON.stringify(listValue(type, bytes, templateOf, 1)) : undefined
}

function listValue(type: string, bytes: Buffer, templateOf: TemplateOf, depth: number): unknown {
  if (depth > DEEPEST) return bytes.toString('hex')
  try {
    const semantic = bytes.readUInt8(0)
    const list = contents(type, bytes.subarray(1), templateOf, depth)
    return ALL.includes(semantic) ? list : { semantic: SOME[semantic] ?? semantic, list }
  } catch (error) {
    if (error instanceof RangeError) return bytes.toString('hex')
    throw error
  }
}

function contents(type: string, bytes: Buffer, templateOf: TemplateOf, depth: number): unknown[] {
  if (type === 'subTemplateList') return records(bytes.readUInt16BE(0), bytes.subarray(2), templateOf, depth)
  if (type === 'subTemplateMultiList') {
    const list: unknown[] = []
    for (let rest = bytes; rest.length > 0;) {
      const length = rest.readUInt16BE(2)
      if (length < 4 || length > rest.length) throw new RangeError('part')
      const part = rest.subarray(0, length)
      try {
        list.push(...records(part.readUInt16BE(0), part.subarray(4), templateOf, depth))
      } catch {
        list.push(part.toString('hex'))
      }
      rest = rest.subarray(length)
    }
    return list
  }
  const field = bytes.readUInt16BE(0)
  const length = bytes.readUInt16BE(2)
  const pen = field > 0x7fff ? bytes.readUInt32BE(4) : 0
  if (length === 0) throw new RangeError('items without bytes')
  const list: unknown[] = []
  for (let rest = bytes.subarray(field > 0x7fff ? 8 : 4); rest.length > 0;) {
    const value = cut(rest, length)
    list.push(valueOf(pen, field & 0x7fff, value.bytes, templateOf, depth))
    rest = value.rest
  }
  return list
}

function records(template: number, bytes: Buffer, templateOf: TemplateOf, depth: number): unknown[] {
  const list: unknown[] = []
  for (let rest = bytes; rest.length > 0;) {
    const fields = templateOf(template)?.filter(({ length }) => length > 0)
    if (!fields || fields.length === 0) throw new RangeError('template')
    const record: Record<string, unknown> = {}
    for (const { pen, id, length } of fields) {
      const value = cut(rest, length)
      rest = value.rest
      if (pen === 0 && id === 210) continue
      const name = elementName(pen, id)
      let key = name
      for (let i = 2; key in record; i++) key = `${name}_${i}`
      record[key] = valueOf(pen, id, value.bytes, templateOf, depth)
    }
    list.push(record)
  }
  return list
}

function cut(bytes: Buffer, length: number): { bytes: Buffer, rest: Buffer } {
  let at = 0
  if (length === 65535) {
    length = bytes.readUInt8(0)
    at = 1
    if (length === 255) {
      length = bytes.readUInt16BE(1)
      at = 3
    }
  }
  if (at + length > bytes.length) throw new RangeError('value')
  return { bytes: bytes.subarray(at, at + length), rest: bytes.subarray(at + length) }
}

function valueOf(pen: number, id: number, bytes: Buffer, templateOf: TemplateOf, depth: number): unknown {
  const type = findElement(pen, id)?.type
  if (type?.endsWith('List')) return listValue(type, bytes, templateOf, depth + 1)
  return formatElement(type, bytes, 0, bytes.length)
}
