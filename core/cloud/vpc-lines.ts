/** Lines of VPC flow logs, read byte by byte into columns. */
import type { AddressColumn } from '../flow/address.ts'
import { BATCH_SIZE, type FlowBatch } from '../flow/batch.ts'
import { FIELDS, fieldMask, ID } from '../flow/fields.ts'
import { loseElement, type Loss } from '../flow/loss.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE } from '../flow/names.ts'
import { parseTimeValue, type ParsedTime } from '../flow/parse-time.ts'
import { VARIABLE_LENGTH } from '../flow/shape.ts'
import { isVpcName, VPC_DEFAULT, vpcHeader, vpcName } from './vpc-fields.ts'
import { FATE, kindOf, OP, planOf, type Kind, type VpcWanted } from './vpc-plan.ts'
import { isTimeAt, readAddress, readDigits, valueOf } from './words.ts'

/** What is wanted of lines. */
export interface VpcLinesRequest {
  /** Names of the fields of lines without a header; absent: those of version 2. */
  readonly format?: readonly string[] | undefined
  /** Ids of the fields wanted; absent: all. */
  readonly fields?: readonly number[] | undefined
  /** Whether elements without a field are wanted. */
  readonly extras: boolean
  /** Takes those that are not wanted, and the records that tell of no flow. */
  readonly loss?: Loss | undefined
  /** Told of each line that is no record. */
  onFault(reason: string, at: number): void
}

/** Reads lines. */
export interface VpcLines {
  /** Whether records have no time of their own, so that the time in front of a line counts. */
  readonly wantsTime: boolean
  /**
   * Append the records of whole lines from `at` on, until the batch is full or a line has more than MOST_LINE
   * bytes, or begins with `{` or what may stand before it.
   *
   * @returns the offset of the first byte not consumed
   */
  take(bytes: Buffer, at: number, batch: FlowBatch): number
}

const NEWLINE = 10
const RETURN = 13
const SPACE = 32
const DASH = 45
const BRACE = 123
/** What may stand between JSON objects: space, tab, line ends, and what an array has. */
export const BETWEEN: ReadonlySet<number> = new Set([SPACE, 9, RETURN, NEWLINE, 44, 91, 93])

/** Bytes that a line may have. */
export const MOST_LINE: number = 1 << 16
const MOST_COUNT = 2 ** 53
/** Seconds whose microseconds are exact. */
const MOST_SECONDS = Math.floor(MOST_COUNT / 1e6)
/** Kinds of records remembered. */
const MOST_KINDS = 4096
const OK = [{ word: Buffer.from('OK'), value: 0 }]

/** A reader of lines, which goes by the last header it has met. */
export function vpcLines({ format, fields, extras, loss, onFault }: VpcLinesRequest): VpcLines {
  const wanted: VpcWanted = { fields: fieldMask(fields ?? FIELDS.keys()), extras, losses: loss !== undefined }
  let plan = planOf(format ?? VPC_DEFAULT, wanted)
  let isGuess = format === undefined
  let kind: Kind | undefined
  let index = -1 // of its shape in the batch
  let isFlow = false
  const time: ParsedTime = { micros: 0, nanos: 0, digits: -1 }
  const double = Buffer.alloc(8)

  function take(bytes: Buffer, at: number, batch: FlowBatch): number {
    batch.reserve(Math.max(0, BATCH_SIZE - batch.length))
    index = -1
    while (at < bytes.length && batch.length < BATCH_SIZE) {
      const first = bytes[at]
      if (first === BRACE || BETWEEN.has(first)) break
      const newline = bytes.indexOf(NEWLINE, at)
      if (newline < 0 || newline - at > MOST_LINE) break
      const end = newline > at && bytes[newline - 1] === RETURN ? newline - 1 : newline
      const isWord = first >= 97 && first <= 122 // a to z
      if (end > at && !(isWord && takeHeader(bytes, at, end))) takeRecord(bytes, at, end, batch)
      at = newline + 1
    }
    countLost()
    return at
  }

  function countLost(): void {
    for (const each of plan.kinds.values()) {
      if (loss && each.rows > 0) for (const name of each.lost) loseElement(loss, name, each.rows)
      each.rows = 0
    }
  }

  function takeHeader(bytes: Buffer, at: number, end: number): boolean {
    let stop = at
    while (stop < end && bytes[stop] !== SPACE) stop++
    if (!isVpcName(vpcName(bytes.toString('latin1', at, stop)))) return false
    const names = vpcHeader(bytes.toString('latin1', at, end))
    if (!names) return false
    isGuess = false
    if (names.join() === plan.names.join()) return true
    countLost()
    plan = planOf(names, wanted)
    kind = undefined
    return true
  }

  function takeRecord(bytes: Buffer, at: number, end: number, batch: FlowBatch): void {
    const { heapLength, saturated } = batch
    const begun = at
    let hasTime = false
    if (isTimeAt(bytes, at, end)) {
      while (at < end && bytes[at] !== SPACE) at++
      hasTime = !plan.hasStart && parseTimeValue(bytes.toString('latin1', begun, at), time)
    }
    const count = takeWords(bytes, at, end, batch)
    const { names, fates } = plan
    if (count === names.length && isFlow) {
      const row = batch.length
      fates[count] = takeEtype(batch, row)
      fates[count + 1] = hasTime ? FATE.field : FATE.absent
      if (hasTime) batch.flowStart[row] = time.micros
      if (wanted.fields[ID.type] === 1) batch.type[row] = FLOW_TYPE.VPC
      if (extras) {
        const pairs = batch.useExtras()
        pairs[row * 2] = heapLength
        pairs[row * 2 + 1] = batch.heapLength - heapLength
      }
      batch.shape[row] = shapeIndex(batch)
      batch.length = row + 1
      return
    }
    batch.heapLength = heapLength
    batch.saturated = saturated
    if (count === names.length) {
      if (loss) loss.rows.unknown++
    } else onFault(`Cannot read VPC flow log record: ${whatIsWrong(bytes, at, end, count)}`, begun)
  }

  function whatIsWrong(bytes: Buffer, at: number, end: number, count: number): string {
    const { names } = plan
    const words = bytes.toString('utf8', at, end).split(' ').filter(Boolean)
    if (words.length !== names.length) {
      const advice = isGuess ? ': name them with --vpc-format' : ''
      return `${names.length} fields expected, ${words.length} found${advice}`
    }
    return `a value of ${names[-1 - count]} expected, "${words[-1 - count].slice(0, 100)}" found`
  }

  /** Read words into the row behind the last. @returns how many, or -1 - i where word i is no value */
  function takeWords(bytes: Buffer, at: number, end: number, batch: FlowBatch): number {
    const { ops, ids, most, keys, values, fates } = plan
    const row = batch.length
    isFlow = false
    for (let i = 0; ; i++) {
      while (at < end && bytes[at] === SPACE) at++
      if (at === end) return i
      const from = at
      while (at < end && bytes[at] !== SPACE) at++
      if (i >= ops.length) continue // it is one too many
      fates[i] = FATE.absent
      if (at - from === 1 && bytes[from] === DASH) continue
      if (keys[i] === 1) isFlow = true
      switch (ops[i]) {
        case OP.address:
          if (!readAddress(bytes, from, at, batch.column(ids[i]) as AddressColumn, row)) return -1 - i
          fates[i] = FATE.field
          break
        case OP.integer: {
          const value = readDigits(bytes, from, at)
          if (value < 0 || value > most[i]) return -1 - i
          const column = batch.column(ids[i]) as Uint16Array // or a narrower one
          column[row] = value
          fates[i] = FATE.field
          break
        }
        case OP.count: {
          const value = readDigits(bytes, from, at)
          if (value < 0) return -1 - i
          if (value >= MOST_COUNT) batch.saturated++
          const column = batch.column(ids[i]) as Float64Array
          column[row] = Math.min(value, MOST_COUNT)
          fates[i] = FATE.field
          break
        }
        case OP.time: {
          const value = readDigits(bytes, from, at)
          if (value < 0 || value > MOST_SECONDS) return -1 - i
          const column = batch.column(ids[i]) as Float64Array
          column[row] = value * 1e6
          fates[i] = FATE.field
          break
        }
        case OP.word: {
          const value = valueOf(values[i]!, bytes, from, at)
          fates[i] = value < 0 ? takeText(i, bytes, from, at, batch) : FATE.field
          const column = batch.column(ids[i]) as Uint16Array // or a narrower one
          if (value >= 0) column[row] = value
          break
        }
        case OP.status: // that of records as they should be tells nothing
          if (valueOf(OK, bytes, from, at) < 0) fates[i] = takeText(i, bytes, from, at, batch)
          break
        case OP.text:
          fates[i] = takeText(i, bytes, from, at, batch)
          break
        case OP.number: {
          const value = readDigits(bytes, from, at)
          const isNumber = value >= 0 && value <= MOST_COUNT && plan.numbers[i] !== undefined
          fates[i] = isNumber ? FATE.number : takeText(i, bytes, from, at, batch)
          if (isNumber) addValue(double, 0, double.writeDoubleBE(value), batch)
        }
      }
    }
  }

  /** Keep a word for which there is no field. @returns what became of it */
  function takeText(i: number, bytes: Uint8Array, from: number, to: number, batch: FlowBatch): number {
    if (plan.texts[i] === undefined || to - from >= VARIABLE_LENGTH) {
      return wanted.losses ? FATE.lost : FATE.absent
    }
    addValue(bytes, from, to, batch)
    return FATE.text
  }

  /** What becomes of the EtherType where only the addresses tell it. */
  function takeEtype(batch: FlowBatch, row: number): number {
    const { families, fates, ids } = plan
    for (let n = 0; n < families.length; n++) {
      const i = families[n]
      if (fates[i] !== FATE.field) continue
      const { family } = batch.column(ids[i]) as AddressColumn
      batch.etype[row] = family[row] === 6 ? ETYPE_IPV6 : ETYPE_IPV4
      return FATE.field
    }
    return FATE.absent
  }

  /** The index of the record's shape, most often that of the one before. */
  function shapeIndex(batch: FlowBatch): number {
    const { fates, kinds } = plan
    let same = 0
    if (kind) while (same < fates.length && fates[same] === kind.fates[same]) same++
    if (!kind || same < fates.length) {
      const key = Buffer.from(fates.buffer).toString('latin1')
      let found = kinds.get(key)
      if (!found) {
        if (kinds.size === MOST_KINDS) {
          countLost()
          kinds.clear()
        }
        kinds.set(key, found = kindOf(plan, wanted))
      }
      kind = found
      index = -1
    }
    kind.rows++
    if (index < 0) index = batch.intern(kind.shape)
    return index
  }

  return { take, get wantsTime() { return !plan.hasStart } }
}

/** Add a value to the heap behind its length, as elements of any length have it (RFC 7011 §7). */
function addValue(bytes: Uint8Array, from: number, to: number, batch: FlowBatch): void {
  batch.reserveHeap(to - from + 2)
  const { heap } = batch
  let at = batch.heapLength
  heap[at++] = to - from >> 8
  heap[at++] = to - from
  for (let i = from; i < to; i++) heap[at++] = bytes[i] // a view to copy by takes longer
  batch.heapLength = at
}
