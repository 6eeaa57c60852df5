import type { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError, type ErrorCode } from '../../core/flow/errors.ts'
import { findField, type Field } from '../../core/flow/fields.ts'
import type { FlowDecoder } from '../../core/flow/stream.ts'
import type { ReadRequest } from '../format.ts'
import { fieldByAnyName, isFull, namedRows, type NamedRowsOptions, type StoreRow } from '../named-rows.ts'
import { UNUSUAL } from '../text-end.ts'
import { cellTarget } from './cells.ts'
import {
  BREAK, CUT, cursorOf, ILL_FORMED, itemEnd, MAJOR, MOST_BYTES, readHead, readValue, type Cursor,
} from './items.ts'
import { CborRows } from './rows.ts'

/** What times count, as flowkit's header says it. */
export const TIME_UNIT = 'microseconds since 1970-01-01T00:00:00Z'
/** The column of flowkit's rows that has elements without a field. */
export const EXTRAS = 'extras'

/** Lists of names remembered. */
const MOST_LISTS = 1024

/** What flowkit's header says of the rows behind it. */
interface Header {
  readonly names: readonly string[]
  /** Whether elements without a field come last in each row. */
  readonly extras: boolean
  readonly lists: Lists
  /** Appends rows that have no such elements. */
  readonly store: StoreRow
  /** Appends most rows. */
  readonly rows: CborRows
}

/** How rows with names are appended, by the list of names. */
interface Lists {
  readonly options: NamedRowsOptions
  readonly stores: Map<string, StoreRow>
}

/**
 * A decoder of CBOR sequences: flowkit's own, or maps that are flows, one behind the other or in arrays.
 *
 * A row that is not as its header says is a fault; bytes that are no CBOR end the reading, for nothing tells
 * where the next item begins.
 */
export function cborDecoder({ map, extras = false, loss, onFault }: ReadRequest): FlowDecoder {
  let header: Header | undefined
  let left = 0 // items of the array that is being read; Infinity: as many as come before a break
  let consumed = 0 // bytes of the input before the ones at hand

  function fieldOf(name: string): Field | undefined {
    return findField(map?.get(name) ?? name) ?? fieldByAnyName(name)
  }

  function optionsOf(isTime: (name: string) => boolean): NamedRowsOptions {
    return {
      extras, loss,
      target(name) {
        const field = fieldOf(name)
        return field && cellTarget(field, isTime(name))
      },
    }
  }

  const named: Lists = { options: optionsOf(() => false), stores: new Map() }

  function headerOf(members: Record<string, unknown>): Header {
    const { flowkit, fields, types, time } = members
    if (flowkit !== 1) {
      const found = `version 1 expected, ${JSON.stringify(flowkit).slice(0, 20)} found`
      throw new FlowkitError('ERR_UNSUPPORTED', `Cannot read CBOR of flowkit: ${found}`)
    }
    if (!areTexts(fields) || !areTexts(types) || fields.length !== types.length || time !== TIME_UNIT) {
      const wanted = 'names of fields, as many types, and times in microseconds expected'
      throw new FlowkitError('ERR_MALFORMED', `Cannot read CBOR of flowkit: ${wanted}, others found`)
    }
    const times = new Set(fields.filter((_, i) => types[i] === 'time'))
    const hasExtras = fields.at(-1) === EXTRAS && types.at(-1) === 'map'
    const names = hasExtras ? fields.slice(0, -1) : fields
    const options = optionsOf((name) => times.has(name))
    const lists = { options, stores: new Map() }
    const rows = new CborRows(names, hasExtras, options)
    return { names, extras: hasExtras, lists, store: namedRows(names, options), rows }
  }

  function store(
    { options, stores }: Lists, names: readonly string[], values: readonly unknown[], batch: FlowBatch,
  ): void {
    const list = names.join('\n')
    let row = stores.get(list)
    if (!row) {
      row = namedRows(names, options)
      if (stores.size < MOST_LISTS) stores.set(list, row)
    }
    // elements without a field have their bytes in hexadecimal
    const isPlain = (value: unknown, i: number) => !(value instanceof Uint8Array) || fieldOf(names[i])
    row(batch, values.map((value, i) => isPlain(value, i) ? value : hexOf(value as Uint8Array)))
  }

  function storeRow(values: unknown[], offset: number, batch: FlowBatch): void {
    if (!header) throw damaged(offset, 'a header with names expected before rows', 'none found')
    const { names, extras: hasExtras, lists } = header
    const width = names.length + (hasExtras ? 1 : 0)
    if (values.length !== width) {
      const reason = `Cannot read CBOR row: ${width} values expected, ${values.length} found`
      onFault({ code: 'ERR_MALFORMED', reason, offset })
      return
    }
    const others = hasExtras ? values.pop() : null
    if (!isObject(others)) header.store(batch, values)
    else store(lists, [...names, ...Object.keys(others)], [...values, ...Object.values(others)], batch)
  }

  /** Take the item at the cursor, which is sound. */
  function take(cursor: Cursor, offset: number, batch: FlowBatch): void {
    const major = cursor.bytes[cursor.at] >> 5
    if (major === MAJOR.array) return storeRow(readValue(cursor) as unknown[], offset, batch)
    if (major !== MAJOR.map) throw damaged(offset, 'rows or maps expected', `major type ${major} found`)
    const members = readValue(cursor) as Record<string, unknown>
    if (left === 0 && 'flowkit' in members) {
      header?.rows.reader.settle()
      header = headerOf(members)
      header.rows.reader.bind(batch)
    } else store(named, Object.keys(members), Object.values(members), batch)
  }

  /** Go to the next item, over tags and heads of arrays of flows. @returns whether it is there */
  function begin(cursor: Cursor, offset: number): boolean {
    while (cursor.at < cursor.bytes.length) {
      const byte = cursor.bytes[cursor.at]
      const major = byte >> 5
      if (byte === BREAK && left === Infinity) {
        left = 0
        cursor.at++
        continue
      }
      if (major !== MAJOR.tag && (major !== MAJOR.array || left > 0)) return true
      const argument = readHead(cursor)
      if (argument === CUT) return false
      if (argument === ILL_FORMED) throw damaged(offset + cursor.at, 'an item expected', 'no CBOR found')
      if (major === MAJOR.array) left = argument
    }
    return false
  }

  function takeAll(cursor: Cursor, offset: number, batch: FlowBatch): void {
    while (!isFull(batch) && begin(cursor, offset)) {
      const start = cursor.at
      let end = left > 0 && header ? header.rows.take(cursor.bytes, cursor.view, start) : UNUSUAL
      if (end === UNUSUAL) {
        end = itemEnd(cursor)
        if (end === CUT) break
        if (end === ILL_FORMED) throw damaged(offset + start, 'an item expected', 'no CBOR found')
        if (end < 0) {
          const limit = `at most ${MOST_BYTES} bytes and 16 levels expected`
          throw damaged(offset + start, limit, 'a larger item found', 'ERR_LIMIT')
        }
        take(cursor, offset + start, batch)
      }
      left = Math.max(0, left - 1)
      cursor.at = end
    }
  }

  return {
    decode(bytes, at, batch) {
      const offset = consumed - at // of the first of `bytes`
      const cursor = cursorOf(bytes)
      cursor.at = at
      header?.rows.reader.bind(batch)
      try {
        takeAll(cursor, offset, batch)
      } finally {
        header?.rows.reader.settle()
      }
      consumed = offset + cursor.at
      return cursor.at
    },
    end() {
      if (left === 0) return
      const more = left === Infinity ? 'its end' : `${left} more rows`
      throw new FlowkitError('ERR_TRUNCATED', `Cannot read CBOR array: ${more} expected, the input ends`)
    },
  }
}

/**
 * How sure it is that `head` begins one: its first map is flowkit's header, or has names of fields.
 */
export function probeCbor(head: Uint8Array): number {
  const keys = firstKeys(cursorOf(head))
  if (keys[0] === 'flowkit') return 95
  const known = keys.filter((key) => fieldByAnyName(key) !== undefined)
  return known.length >= 2 && known.length * 2 >= keys.length ? 70 : 0
}

/** The keys of the map that comes first, by itself or in an array, as far as they are there. */
function firstKeys(cursor: Cursor): string[] {
  const { bytes } = cursor
  const keys: string[] = []
  let members = 0
  for (let major: number = MAJOR.tag, arrays = 0; major !== MAJOR.map;) {
    if (cursor.at >= bytes.length) return keys
    major = bytes[cursor.at] >> 5
    if (major === MAJOR.array) arrays++
    if (arrays > 1 || (major !== MAJOR.tag && major !== MAJOR.array && major !== MAJOR.map)) return keys
    members = readHead(cursor)
    if (members < 0) return keys
  }
  while (keys.length < members) {
    if (cursor.at >= bytes.length || bytes[cursor.at] >> 5 !== MAJOR.text || itemEnd(cursor) < 0) break
    keys.push(String(readValue(cursor)))
    const end = itemEnd(cursor)
    if (end < 0) break
    cursor.at = end
  }
  return keys
}

function damaged(
  offset: number, wanted: string, found: string, code: ErrorCode = 'ERR_MALFORMED',
): FlowkitError {
  return new FlowkitError(code, `Cannot read CBOR at byte ${offset}: ${wanted}, ${found}`)
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function isObject(value: unknown): value is Record<string, unknown> {
  const isPlain = !Array.isArray(value) && !(value instanceof Uint8Array)
  return typeof value === 'object' && value !== null && isPlain
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
