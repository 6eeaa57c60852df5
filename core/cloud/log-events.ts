/** Log events as CloudWatch Logs sends them to its subscribers: JSON, or JSON packed into JSON. */
import { gunzipSync } from 'node:zlib'
import { FlowkitError } from '../flow/errors.ts'

const QUOTE = 34
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125
const NEWLINE = 10

/** Bytes that what is packed into JSON may unpack to. */
const MOST_UNPACKED = 64 << 20
/** The last millisecond of the year 9999. */
const MAX_TIME = 253402300799999

/** What is in a JSON object. */
export interface LogEvents {
  /** The messages, as lines of an export file. */
  readonly lines: string
  /** Base64 of what holds more. */
  readonly packed: readonly string[]
}

interface Record {
  readonly data?: unknown
  readonly kinesis?: { readonly data?: unknown }
}

interface Envelope {
  readonly messageType?: unknown
  readonly message?: unknown
  readonly logEvents?: unknown
  readonly events?: unknown
  readonly awslogs?: { readonly data?: unknown }
  readonly records?: unknown
  readonly Records?: unknown
}

/**
 * The events of a JSON object: a message to a subscriber (`logEvents`; control messages have none), what
 * `aws logs filter-log-events` prints (`events`), what AWS Lambda and Firehose hand on (`awslogs.data`,
 * `Records[].kinesis.data`, `records[].data`), or one event (`message`), as flow logs are sent to Firehose.
 *
 * @param times whether each line is to begin with the time of its event, as in files that CloudWatch exports
 * @throws FlowkitError ERR_MALFORMED for anything else
 */
export function readLogEvents(text: string, times: boolean): LogEvents {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    const why = (error as Error).message.replace(/^(.{200}).*/s, '$1')
    throw new FlowkitError('ERR_MALFORMED', `Cannot read JSON object: ${why}`)
  }
  const envelope = (found ?? {}) as Envelope
  const events = envelope.logEvents ?? envelope.events
  if (envelope.messageType === 'CONTROL_MESSAGE') return { lines: '', packed: [] }
  if (typeof envelope.message === 'string') return { lines: linesOf([envelope], times), packed: [] }
  if (Array.isArray(events)) return { lines: linesOf(events, times), packed: [] }
  const records: unknown = envelope.records ?? envelope.Records
  const data = Array.isArray(records)
    ? records.map((record: Record | null) => record?.kinesis?.data ?? record?.data)
    : [envelope.awslogs?.data]
  const packed = data.filter((each) => typeof each === 'string')
  if (packed.length > 0) return { lines: '', packed }
  throw new FlowkitError('ERR_MALFORMED', 'Cannot read JSON object: log events expected, none found')
}

function linesOf(events: readonly unknown[], times: boolean): string {
  let lines = ''
  for (const event of events) {
    const { message, timestamp } = (event ?? {}) as { message?: unknown, timestamp?: unknown }
    if (typeof message !== 'string') continue
    const time = times && Number.isInteger(timestamp) ? Number(timestamp) : -1
    if (time >= 0 && time <= MAX_TIME) lines += `${new Date(time).toISOString()} `
    lines += `${message}\n`
  }
  return lines
}

/**
 * Unpack the text of `LogEvents.packed`: base64, of gzip as a rule.
 *
 * @throws FlowkitError ERR_MALFORMED for damage, ERR_LIMIT over 64 MiB
 */
export function unpackEvents(packed: string): Uint8Array {
  const bytes = Buffer.from(packed, 'base64')
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    return gunzipSync(bytes, { maxOutputLength: MOST_UNPACKED })
  } catch (error) {
    const isLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    const why = isLarge ? `at most ${MOST_UNPACKED} bytes are expected` : (error as Error).message
    throw new FlowkitError(isLarge ? 'ERR_LIMIT' : 'ERR_MALFORMED', `Cannot unpack log events: ${why}`)
  }
}

/**
 * The offset behind the JSON object at `at`, -1 if it is not all there. A line that ends inside a text ends
 * the object too, which is damaged then.
 */
export function jsonObjectEnd(bytes: Uint8Array, at: number): number {
  let depth = 0
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) {
        if (bytes[i] === BACKSLASH) i++
        else if (bytes[i] === NEWLINE) return i
      }
    } else if (byte === OPEN) depth++
    else if (byte === CLOSE && --depth === 0) return i + 1
  }
  return -1
}
