import type { FlowBatch } from '../core/flow/batch.ts'
import { FIELDS, ID, type Field, type FieldType } from '../core/flow/fields.ts'
import { fieldLabel, printedFields, rawLabel, type NameSet } from '../core/flow/labels.ts'
import type { Shape } from '../core/flow/shape.ts'
import type { FlowDecoder, FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, ReadRequest, WriteRequest } from './format.ts'
import { firstKeys, jsonDecoder } from './json-objects.ts'
import { fieldByAnyName, targetOf, type NamedRowsOptions } from './named-rows.ts'
import { RowWriter, type Cell, type Layout } from './render.ts'

/** JSON Lines: one object a line, with the fields that the flow has. */
export const json: FlowFormat = {
  name: 'json',
  summary: 'One JSON object a line',
  extensions: ['.json', '.ndjson', '.jsonl'],
  probe: (head) => {
    const keys = firstKeys(head)
    const known = keys.filter((key) => fieldByAnyName(key) !== undefined)
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
  decoder,
  encoder: encodeArray,
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

function rowWriter({ fields, extras = false, names = 'flowkit' }: WriteRequest, end: string): RowWriter {
  const wanted = printedFields(fields ?? FIELDS.keys())
  function layout({ mask }: Shape): Layout {
    const present = wanted.filter(({ id }) => mask[id] === 1)
    const taken = present.flatMap((field) => FAMILIES.map((family) => fieldLabel(field, names, family)))
    return { cells: present.flatMap((field) => toCells(field, names)), tail: '', taken }
  }
  return new RowWriter({ json: true, extras, end, layout })
}

function toCells(field: Field, names: NameSet): Cell[] {
  const quote = NUMBERS.has(field.type) && field.id !== ID.type ? '' : '"'
  const [four, six] = FAMILIES.map((family) => `,"${fieldLabel(field, names, family)}":${quote}`)
  const cell = four === six ? { field, before: four } : { field, before: four, before6: six }
  const raw = rawLabel(field, names)
  return raw === undefined ? [cell] : [cell, { field, before: `,"${raw}":`, raw: true }]
}
