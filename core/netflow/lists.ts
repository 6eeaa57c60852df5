import type { FlowBatch } from '../flow/batch.ts'
import {
  findValue, LIST_WITH_TEMPLATES, listTypeOf, MAX_LIST_DEPTH, MAX_LIST_SIZE, uint16, type ListType,
} from '../flow/list-value.ts'
import { VARIABLE_LENGTH } from '../flow/shape.ts'
import { copyToHeap } from './read-steps.ts'
import { layoutOf, type Template } from './templates.ts'

/** The templates of an observation domain, by id. */
export type Templates = ReadonlyMap<number, Template>

/** A template as lists use it. */
interface ListTemplate {
  readonly fields: readonly { readonly length: number, readonly list: ListType | undefined }[]
  /** The fewest bytes of a record; 0 if there can be none. */
  readonly least: number
  /** Whether its records have lists in them. */
  readonly nests: boolean
  /** What stands before a list that names it: see core/flow/list-value.ts. */
  readonly head: Uint8Array
}

/** What the form of a list has before its templates. */
const HEAD_SIZE = 3
const ENTERPRISE_BIT = 0x8000

/** Made when a list first names the template. */
const known = new WeakMap<Template, ListTemplate>()
/** The templates of the list that is kept now. */
const found = new Set<ListTemplate>()
/** Whether it names templates at all: known ones or not. */
let namesTemplates = false

/** Put a list, `bytes[start..end)`, into the heap: behind its length and the templates that it names. */
export function keepList(
  batch: FlowBatch, type: ListType, bytes: Uint8Array, start: number, end: number, templates: Templates,
): void {
  found.clear()
  // a semantic that would be taken for what stands before the templates
  namesTemplates = start < end && bytes[start] === LIST_WITH_TEMPLATES
  findTemplates(type, bytes, start, end, templates, 1)
  let size = end - start + (namesTemplates ? HEAD_SIZE : 0)
  for (const template of found) {
    const { length } = template.head
    if (size + length > MAX_LIST_SIZE) found.delete(template)
    else size += length
  }
  batch.reserveHeap(2 + size)
  putUint16(batch, size)
  if (namesTemplates) {
    batch.heap[batch.heapLength++] = LIST_WITH_TEMPLATES
    putUint16(batch, found.size)
    for (const { head } of found) copyToHeap(batch, head, 0, head.length)
  }
  copyToHeap(batch, bytes, start, end)
}

function putUint16(batch: FlowBatch, value: number): void {
  batch.heap[batch.heapLength++] = value >> 8
  batch.heap[batch.heapLength++] = value
}

/** Gather in `found` the templates that a list names, up to where it does not hold together. */
function findTemplates(
  type: ListType, bytes: Uint8Array, at: number, end: number, templates: Templates, depth: number,
): void {
  at++ // the semantic
  switch (type) {
    case 'basicList':
      return findInItems(bytes, at, end, templates, depth)
    case 'subTemplateList':
      if (end - at >= 2) findInRecords(uint16(bytes, at), bytes, at + 2, end, templates, depth)
      return
    case 'subTemplateMultiList':
      while (end - at >= 4) {
        const length = uint16(bytes, at + 2) // with the template's id and itself
        if (length < 4 || length > end - at) return
        findInRecords(uint16(bytes, at), bytes, at + 4, at + length, templates, depth)
        at += length
      }
  }
}

function findInItems(bytes: Uint8Array, at: number, end: number, templates: Templates, depth: number): void {
  if (end - at < 4) return
  const field = uint16(bytes, at)
  const length = uint16(bytes, at + 2)
  at += 4
  let pen = 0
  if (field >= ENTERPRISE_BIT) {
    if (end - at < 4) return
    pen = uint16(bytes, at) * 65_536 + uint16(bytes, at + 2)
    at += 4
  }
  const type = listTypeOf(pen, field % ENTERPRISE_BIT)
  if (!type || length === 0) return
  if (depth === MAX_LIST_DEPTH) {
    namesTemplates = true // perhaps
    return
  }
  const span = { start: at, end: at }
  while (span.end < end && findValue(bytes, span.end, end, length, span)) {
    findTemplates(type, bytes, span.start, span.end, templates, depth + 1)
  }
}

function findInRecords(
  id: number, bytes: Uint8Array, at: number, end: number, templates: Templates, depth: number,
): void {
  namesTemplates = true
  const template = templates.get(id)
  if (!template) return
  let own = known.get(template)
  if (!own) known.set(template, own = listTemplate(template))
  const { fields, least, nests } = own
  if (least === 0 || end - at < least) return
  found.add(own)
  if (!nests || depth === MAX_LIST_DEPTH) return
  const span = { start: at, end: at }
  while (span.end < end) {
    for (const { length, list } of fields) {
      if (!findValue(bytes, span.end, end, length, span)) return
      if (list) findTemplates(list, bytes, span.start, span.end, templates, depth + 1)
    }
  }
}

function listTemplate(template: Template): ListTemplate {
  const layout = layoutOf(template)
  // scopes of NetFlow v9, which are no elements, have negative enterprise numbers
  const isReadable = layout.every(({ pen }) => pen >= 0)
  const used = isReadable ? layout.filter(({ length }) => length > 0) : []
  const fields = used.map(({ pen, id, length }) => ({ length, list: listTypeOf(pen, id) }))
  const words = used.flatMap(({ pen, id, length }) => [pen >>> 16, pen & 0xffff, id, length])
  return {
    fields,
    least: fields.reduce((sum, { length }) => sum + (length === VARIABLE_LENGTH ? 1 : length), 0),
    nests: fields.some(({ list }) => list !== undefined),
    head: Uint8Array.from([template.id, used.length, ...words].flatMap((word) => [word >> 8, word & 255])),
  }
}
