import type { FlowBatch } from '../core/flow/batch.ts'
import { FIELDS, ID, type Field, type FieldType } from '../core/flow/fields.ts'
import { outputLabel, printedFields, rawLabel, type Labelling } from '../core/flow/labels.ts'
import type { Shape } from '../core/flow/shape.ts'
import type { FlowDecoder, FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, ReadRequest, WriteRequest } from './format.ts'
import { firstKeys, jsonDecoder } from './json-objects.ts'
import { fieldByAnyName, targetOf, type NamedRowsOptions } from './named-rows.ts'
import { RowWriter, type Cell, type Layout } from './render.ts'

/** Bytes of an array without anything in it, at most. */
const MOST_EMPTY = 64

/** JSON Lines: one object a line, with the fields that the flow has. */
export const json: FlowFormat = {
  name: 'json',
  summary: 'One JSON object a line',
  extensions: ['.json', '.ndjson', '.jsonl'],
  isNamed: true,
  probe: (head) => {
    const keys = firstKeys(head)
    const known = keys.filter((key) => fieldByAnyName(key) !== undefined)
    if (keys.length === 0 && isEmptyArray(head)) return 60
    return known.length >= 2 && known.length * 2 >= keys.length ? 80 : 0
  },
  decoder,
  encoder: encodeLines,
}

/** One JSON array of the same objects. */
export const jsonArray: FlowFormat = {
  name: 'json-array',
  summary: 'One JSON array of objects',
  extensions: [],
  isNamed: true,
  decoder,
  encoder: encodeArray,
}

/** Whether a file has nothing but brackets: json-array writes no flows so. */
function isEmptyArray(head: Uint8Array): boolean {
  return head.length < MOST_EMPTY && /^\s*\[\s*\]\s*$/.test(Buffer.from(head).toString('latin1'))
}

/** Types that JSON has numbers for. */
const NUMBERS: ReadonlySet<FieldType> = new Set(['u8', 'u16', 'u32', 'u64', 'count'])

const FAMILIES = [4, 6] as const

/** Objects one after the other, or in an array, whoever has written them: by any names that flowkit knows. */
function decoder({ map, extras = false, loss, onFault }: ReadRequest): FlowDecoder {
  const options: NamedRowsOptions = { extras, loss, target: (name) => targetOf(name, map) }
  return jsonDecoder(() => options, onFault)
}

function encodeLines(request: WriteRequest): FlowEncoder {
  const rows = rowWriter(request, '}\n')
  return { encode: (batch) => rows.take(rows.rows(batch, 0)) }
}

function encodeArray(request: WriteRequest): FlowEncoder {
  const rows = rowWriter(request, '},\n')
  let started = false
  function encode(batch: FlowBatch): Uint8Array {
    if (batch.length === 0) return rows.take(0)
    const at = rows.text(started ? ',\n' : '[\n', 0)
    started = true
    return rows.take(rows.rows(batch, at) - 2) // a comma only where more follows
  }
  return { encode, finish: () => rows.take(rows.text(started ? '\n]\n' : '[]\n', 0)) }
}

function rowWriter(request: WriteRequest, end: string): RowWriter {
  const { fields, extras = false } = request
  const wanted = printedFields(fields ?? FIELDS.keys())
  function layout({ mask }: Shape): Layout {
    const present = wanted.filter(({ id }) => mask[id] === 1)
    const taken = present.flatMap((field) => FAMILIES.map((family) => outputLabel(field, request, family)))
    return { cells: present.flatMap((field) => toCells(field, request)), tail: '', taken }
  }
  return new RowWriter({ json: true, extras, end, layout })
}

function toCells(field: Field, labelling: Labelling): Cell[] {
  const quote = NUMBERS.has(field.type) && field.id !== ID.type ? '' : '"'
  const [four, six] = FAMILIES.map((family) => (
    `,${asciiJson(outputLabel(field, labelling, family))}:${quote}`
  ))
  const cell = four === six ? { field, before: four } : { field, before: four, before6: six }
  const raw = rawLabel(field, labelling.names ?? 'flowkit')
  return raw === undefined ? [cell] : [cell, { field, before: `,"${raw}":`, raw: true }]
}

/** Text as JSON has it, in ASCII. */
function asciiJson(text: string): string {
  return JSON.stringify(text)
    .replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
