/** Names that options records give to interfaces, VRFs and applications, and the rows that they go to. */
import type { FlowBatch } from '../flow/batch.ts'
import { withField } from '../flow/shape.ts'
import { NAME_STEPS, type NameStep } from './name-steps.ts'
import type { Plan, Wanted } from './plan.ts'
import { copyToHeap } from './read-steps.ts'
import { readUint } from './steps.ts'

/** UTF-8 names by number, see `keyOf`. */
type NameTable = Map<number, Uint8Array>

/** The names of one observation domain. */
export interface Names {
  /** By SNMP index. */
  readonly interfaces: NameTable
  /** By VRF id. */
  readonly vrfs: NameTable
  /** By `applicationKey`. */
  readonly applications: NameTable
  /** How many in all. */
  count: number
}

/** Longer ones are not kept: the registry's largest, applicationDescription, has 55 bytes. */
const MAX_NAME = 255
/** Of an applicationId: engine and selector (RFC 6759 §4). Larger ones have no names here. */
const MAX_APPLICATION_ID = 6

/** No names yet. */
export function newNames(): Names {
  return { interfaces: new Map(), vrfs: new Map(), applications: new Map(), count: 0 }
}

/** Where an options record has a text: `bytes[start..end)`. */
export interface TextPlace {
  readonly start: number
  readonly end: number
}

/**
 * Learn from one options record: the name of an interface (82, failing that its description, 83) by its
 * index (10, 14, 252, 253 or v9's scope), of a VRF (236) by its id (234, 235), of an application (96, 94) by
 * its id (95).
 *
 * @param values of elements that are numbers
 * @param texts where all elements lie
 * @param mayGrow whether a new name may be added
 */
export function learnNames(
  names: Names, bytes: Uint8Array, values: ReadonlyMap<number, number>, texts: ReadonlyMap<number, TextPlace>,
  scopeInterface: number | undefined, mayGrow: boolean,
): void {
  const index = values.get(10) ?? values.get(14) ?? values.get(252) ?? values.get(253) ?? scopeInterface
  if (index !== undefined) learn(names, names.interfaces, index, bytes, texts.get(82), texts.get(83), mayGrow)
  const vrf = values.get(234) ?? values.get(235)
  if (vrf !== undefined) learn(names, names.vrfs, vrf, bytes, texts.get(236), undefined, mayGrow)
  const id = texts.get(95)
  if (!id || id.end === id.start || id.end - id.start > MAX_APPLICATION_ID) return
  const key = applicationKey(bytes, id.start, id.end - id.start)
  learn(names, names.applications, key, bytes, texts.get(96), texts.get(94), mayGrow)
}

function learn(
  names: Names, table: NameTable, key: number, bytes: Uint8Array, name: TextPlace | undefined,
  otherwise: TextPlace | undefined, mayGrow: boolean,
): void {
  const text = name && trimmed(bytes, name) || otherwise && trimmed(bytes, otherwise)
  if (!text || !(mayGrow || table.has(key))) return
  if (!table.has(key)) names.count++
  table.set(key, text)
}

/** A copy of a text without the NULs that fill it up; undefined if nothing is left, or too much. */
function trimmed(bytes: Uint8Array, { start, end }: TextPlace): Uint8Array | undefined {
  const nul = bytes.subarray(start, end).indexOf(0)
  const length = nul < 0 ? end - start : nul
  return length === 0 || length > MAX_NAME ? undefined : bytes.slice(start, start + length)
}

/** The number of an applicationId of up to 6 bytes. */
function applicationKey(bytes: Uint8Array, at: number, length: number): number {
  return readUint(bytes, at, length) + length * 2 ** 48
}

/** The names that records of `plan` may get: wanted ones that they lack, but whose number they have. */
export function nameSteps({ steps }: Plan, { fields }: Wanted): readonly NameStep[] {
  const filled = new Set(steps.flatMap(({ field, field2 }) => [field, field2]))
  return NAME_STEPS.filter(({ number, name }) =>
    filled.has(number) && !filled.has(name) && (!fields || fields[name] === 1))
}

/** Give rows `row` to `row + count`, whose shape is set, the names that are known. */
export function applyNames(
  names: Names, steps: readonly NameStep[], batch: FlowBatch, row: number, count: number,
): void {
  for (const { table, number, name } of steps) {
    const known = names[table]
    if (known.size === 0) continue
    if (table === 'applications') nameApplications(known, number, name, batch, row, count)
    else nameNumbers(known, number, name, batch, row, count)
  }
}

function nameNumbers(
  known: NameTable, number: number, name: number, batch: FlowBatch, row: number, count: number,
): void {
  const numbers = batch.column(number) as Uint32Array
  for (const end = row + count; row < end;) { // runs of one number
    const value = numbers[row]
    const first = row++
    while (row < end && numbers[row] === value) row++
    const text = known.get(value)
    if (text) setName(text, name, batch, first, row)
  }
}

function nameApplications(
  known: NameTable, number: number, name: number, batch: FlowBatch, row: number, count: number,
): void {
  const ids = batch.column(number) as Uint32Array
  for (const end = row + count; row < end; row++) {
    const length = ids[row * 2 + 1]
    if (length === 0 || length > MAX_APPLICATION_ID) continue
    const text = known.get(applicationKey(batch.heap, ids[row * 2], length))
    if (text) setName(text, name, batch, row, row + 1)
  }
}

/** Give rows `row` to `end` one name, which is in the heap once. */
function setName(text: Uint8Array, name: number, batch: FlowBatch, row: number, end: number): void {
  const column = batch.column(name) as Uint32Array
  const { shape, shapes, heapLength } = batch
  copyToHeap(batch, text, 0, text.length)
  for (let before = -1, after = -1; row < end; row++) {
    column[row * 2] = heapLength
    column[row * 2 + 1] = text.length
    if (shape[row] !== before) {
      before = shape[row]
      after = batch.intern(withField(shapes[before], name))
    }
    shape[row] = after
  }
}
