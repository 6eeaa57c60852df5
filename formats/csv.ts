import { CORE_FIELDS } from '../core/flow/sql.ts'
import { fieldMask, ID, type Field } from '../core/flow/fields.ts'
import { outputLabel, printedFields } from '../core/flow/labels.ts'
import { loseFields, newLoss } from '../core/flow/loss.ts'
import type { Shape } from '../core/flow/shape.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { csvDecoder, headerNames } from './csv-rows.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { fieldByAnyName, targetOf } from './named-rows.ts'
import { RowWriter, type Cell, type Layout } from './render.ts'

/**
 * Comma-separated values (RFC 4180, lines ending in LF): a header, then a line a flow.
 *
 * The columns are fixed from the start, the fields asked for or else the archive's core set, so that flows of
 * every kind fit; elements without a column are, if wanted, one JSON object in a last column `extras`.
 * An absent value is empty, an empty text is `""`.
 */
export const csv: FlowFormat = {
  name: 'csv',
  summary: 'Comma-separated values with a header',
  extensions: ['.csv'],
  isNamed: true,
  probe: (head) => {
    const names = headerNames(head)
    const known = names.filter((name) => fieldByAnyName(name) !== undefined)
    return known.length >= 2 && known.length * 2 >= names.length ? 70 : 0
  },
  decoder: ({ map, extras = false, loss, onFault }) => {
    return csvDecoder({ extras, loss, target: (name) => targetOf(name, map) }, onFault)
  },
  encoder,
}

/** Fields that are digits of others. */
const NANOSECONDS: Readonly<Record<number, number>> = {
  [ID.flowStart]: ID.flowStartNs, [ID.flowEnd]: ID.flowEndNs,
}

function encoder(request: WriteRequest): FlowEncoder {
  const { fields, extras = false } = request
  const columns = fields ? printedFields(fields) : CORE_FIELDS
  const labels = columns.map((field) => quoted(outputLabel(field, request)))
  const header = `${[...labels, ...extras ? ['extras'] : []].join()}\n`
  const rows = new RowWriter({ json: false, extras, end: '\n', layout: (shape) => layoutOf(columns, shape) })
  let started = false
  function head(): number {
    if (started) return 0
    started = true
    return rows.text(header, 0)
  }
  const carried = fieldMask(columns.flatMap(({ id }) => id in NANOSECONDS ? [id, NANOSECONDS[id]] : [id]))
  const loss = newLoss()
  return {
    encode(batch) {
      loseFields(loss, batch, carried, extras)
      return rows.take(rows.rows(batch, head()))
    },
    finish: () => rows.take(head()),
    loss: () => loss,
  }
}

/** A name as a cell. */
function quoted(name: string): string {
  return /[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}

/** Absent cells are commas in the literal of the next one, or in the tail. */
function layoutOf(columns: readonly Field[], { mask }: Shape): Layout {
  const cells: Cell[] = []
  let before = ''
  for (const [i, field] of columns.entries()) {
    if (i > 0) before += ','
    if (mask[field.id] === 0) continue
    cells.push({ field, before })
    before = ''
  }
  return { cells, tail: before, taken: [] }
}
