/** VPC flow logs as bytes: lines, or JSON with log events that are such lines. */
import { BATCH_SIZE, type FlowBatch } from '../flow/batch.ts'
import { textStart } from '../flow/byte-order-mark.ts'
import { FlowkitError } from '../flow/errors.ts'
import type { Fault, FlowDecoder } from '../flow/stream.ts'
import { jsonObjectEnd, readLogEvents, unpackEvents } from './log-events.ts'
import { BETWEEN, MOST_LINE, vpcLines, type VpcLinesRequest } from './vpc-lines.ts'

/** Bytes that a JSON object may have. */
const MOST_JSON = 16 << 20
/** How deep objects may lie in others: Lambda's event holds a subscriber's message, which holds lines. */
const MOST_DEPTH = 2

const NEWLINE = 10
const OPEN = 123

/** What is wanted of VPC flow logs. */
export interface VpcLogRequest extends Omit<VpcLinesRequest, 'onFault'> {
  /** Told of each line and object that cannot be read. */
  onFault(fault: Fault): void
}

/** What an object held, and is still to be read. */
interface Held {
  /** Where the object lies in the input. */
  readonly offset: number
  readonly depth: number
  /** Base64 of the bytes, as long as they have not been needed. */
  packed?: string | undefined
  bytes: Buffer
  at: number
}

/**
 * A decoder of VPC flow logs: text with or without a header, files that CloudWatch Logs exports, and JSON as
 * its subscribers get it, many objects one after the other.
 */
export function vpcLogDecoder({ onFault, ...request }: VpcLogRequest): FlowDecoder {
  const held: Held[] = [] // the last comes first
  let begun: Buffer = Buffer.alloc(0) // a line without its end
  let begunAt = 0
  let consumed = 0
  let place = 0 // where the bytes that lines are read of begin in the input
  let isHeld = false
  const lines = vpcLines({
    ...request,
    onFault: (reason, at) => onFault({ code: 'ERR_MALFORMED', reason, offset: isHeld ? place : place + at }),
  })

  function decode(bytes: Uint8Array, at: number, batch: FlowBatch): number {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const start = at
    const base = consumed - start
    if (consumed === 0) {
      at = textStart(text, at)
      if (at < 0) return start
    }
    if (begun.length > 0) at = goOn(text, at, base)
    for (;;) {
      while (held.length > 0 && batch.length < BATCH_SIZE) readHeld(held[held.length - 1], batch)
      while (at < text.length && begun.length === 0 && BETWEEN.has(text[at])) at++
      if (batch.length >= BATCH_SIZE || at === text.length) break
      if (text[at] === OPEN) {
        const end = jsonObjectEnd(text, at)
        if (end < 0) {
          if (text.length - at > MOST_JSON) throw tooLong('JSON object', base + at, MOST_JSON)
          break
        }
        open(text.toString('utf8', at, end), base + at, 1)
        at = end
        continue
      }
      [place, isHeld] = [base, false]
      const next = lines.take(text, at, batch)
      if (next === at) at = keep(text, at, base)
      else at = next
    }
    consumed += at - start
    return at
  }

  /** Keep a line that has no end yet. @returns the end of the bytes */
  function keep(text: Buffer, at: number, base: number): number {
    if (begun.length === 0) begunAt = base + at
    begun = Buffer.concat([begun, text.subarray(at)])
    if (begun.length > MOST_LINE) throw tooLong('line', begunAt, MOST_LINE)
    return text.length
  }

  /** Bring the line that was begun to its end. @returns the offset behind it */
  function goOn(text: Buffer, at: number, base: number): number {
    const newline = text.indexOf(NEWLINE, at)
    if (newline < 0) return keep(text, at, base)
    finishLine(text.subarray(at, newline))
    return newline + 1
  }

  function finishLine(rest: Uint8Array): void {
    const bytes = Buffer.concat([begun, rest, Buffer.of(NEWLINE)])
    held.push({ offset: begunAt, depth: MOST_DEPTH, bytes, at: 0 })
    begun = Buffer.alloc(0)
  }

  /** Read on in what an object held. */
  function readHeld(from: Held, batch: FlowBatch): void {
    if (from.packed !== undefined && !unpack(from)) return
    const { bytes, offset, depth } = from
    while (from.at < bytes.length && BETWEEN.has(bytes[from.at])) from.at++
    if (from.at === bytes.length) {
      held.pop()
    } else if (bytes[from.at] === OPEN) {
      const end = jsonObjectEnd(bytes, from.at)
      if (end < 0) {
        held.pop()
        fault(new FlowkitError('ERR_TRUNCATED', 'Cannot read JSON object: it has no end'), offset)
      } else {
        open(bytes.toString('utf8', from.at, end), offset, depth + 1)
        from.at = end
      }
    } else {
      [place, isHeld] = [offset, true]
      const next = lines.take(bytes, from.at, batch)
      if (next === from.at) throw tooLong('line', offset, MOST_LINE)
      from.at = next
    }
  }

  function unpack(from: Held): boolean {
    try {
      from.bytes = Buffer.concat([unpackEvents(from.packed!), Buffer.of(NEWLINE)])
      from.packed = undefined
      return true
    } catch (error) {
      held.pop()
      fault(error, from.offset)
      return false
    }
  }

  /** Take apart an object, and hold what is in it. */
  function open(text: string, offset: number, depth: number): void {
    try {
      if (depth > MOST_DEPTH) throw new FlowkitError('ERR_LIMIT', 'Cannot read JSON object: it lies too deep')
      const { lines: found, packed } = readLogEvents(text, lines.wantsTime)
      for (const each of packed.toReversed()) {
        held.push({ offset, depth, packed: each, bytes: Buffer.alloc(0), at: 0 })
      }
      if (found !== '') held.push({ offset, depth: MOST_DEPTH, bytes: Buffer.from(found), at: 0 })
    } catch (error) {
      fault(error, offset)
    }
  }

  function fault(error: unknown, offset: number): void {
    if (!(error instanceof FlowkitError)) throw error
    onFault({ code: error.code, reason: error.message, offset })
  }

  function end(batch: FlowBatch): void {
    if (begun.length > 0) finishLine(Buffer.alloc(0))
    while (held.length > 0) readHeld(held[held.length - 1], batch)
  }

  return { decode, end }
}

function tooLong(what: string, offset: number, most: number): FlowkitError {
  const wanted = `at most ${most} bytes are expected`
  return new FlowkitError('ERR_LIMIT', `Cannot read ${what} at byte ${offset}: ${wanted}`)
}
