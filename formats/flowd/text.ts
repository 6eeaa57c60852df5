import {
  ByteWriter, putDigits, putHex, putIpv4, putSmall, putUint, putUint64, putWords, TimeWriter, toWords,
} from '../../core/flow/byte-writer.ts'
import { putInet6 } from '../inet6.ts'
import { Layouts, type Layout } from './layout.ts'

/** A word or two between values, ready to be written. */
interface Literal {
  readonly words: Int32Array
  readonly length: number
}

/** The longest line has all fields, with 20 digits for each counter. */
const MAX_LINE = 768
const SPACE = 32
const MINUS = 45
const DOT = 46
const COLON = 58
const CLOSE = 93 // ]
const NEWLINE = 10

const FLOW = literal('FLOW ')
const TAG = literal('tag ')
const RECEIVED = literal('recv_time ')
const PROTO = literal('proto ')
const FLAGS = literal(' tcpflags ')
const TOS = literal(' tos ')
const AGENT = literal('agent [')
const SRC = literal('src [')
const DST = literal('dst [')
const GATEWAY = literal('gateway [')
const PACKETS = literal('packets ')
const OCTETS = literal('octets ')
const IN_IF = literal('in_if ')
const OUT_IF = literal(' out_if ')
const UPTIME = literal('sys_uptime_ms ')
const TIME = literal(' time_sec ')
const NANOS = literal(' time_nanosec ')
const VERSION = literal(' netflow ver ')
const START = literal('flow_start ')
const FINISH = literal(' flow_finish ')
const SRC_AS = literal('src_AS ')
const SRC_MASK = literal(' src_masklen ')
const DST_AS = literal(' dst_AS ')
const DST_MASK = literal(' dst_masklen ')
const ENGINE_TYPE = literal('engine_type ')
const ENGINE_ID = literal(' engine_id ')
const SEQUENCE = literal(' seq ')
const SOURCE = literal(' source ')
const CHECKSUM = literal('crc32 ')

function literal(text: string): Literal {
  return { words: toWords(text), length: text.length }
}

function putLiteral({ words, length }: Literal, view: DataView, at: number): number {
  putWords(words, 0, words.length, view, at)
  return at + length
}

/**
 * Writes records as `flowd-reader` prints them, a line each with all that the record has.
 *
 * Source: flowd's store.c, store_format_flow.
 */
export class RecordLines extends ByteWriter {
  private readonly layouts = new Layouts()
  private readonly received: TimeWriter
  private readonly exported: TimeWriter
  private readonly micros = new Float64Array(1)

  /** @param local whether times are in the zone of this machine instead of UTC */
  constructor(local: boolean) {
    super()
    this.received = new TimeWriter('T', local)
    this.exported = new TimeWriter('T', local)
  }

  /** Write the lines of what a RecordWriter made. @returns the offset behind them */
  lines(records: Uint8Array): number {
    const source = new DataView(records.buffer, records.byteOffset, records.byteLength)
    let at = 0
    for (let record = 0; record < records.length;) {
      const layout = this.layouts.of(source.getUint32(record + 4))
      this.room(at, MAX_LINE)
      at = this.line(records, source, record, layout, at)
      record += layout.size
    }
    return at
  }

  private line(records: Uint8Array, source: DataView, record: number, layout: Layout, at: number): number {
    const { bytes, view, micros } = this
    at = putLiteral(FLOW, view, at)
    if (layout.tag > 0) {
      at = putLiteral(TAG, view, at)
      at = putUint(source.getUint32(record + layout.tag), view, at)
      bytes[at++] = SPACE
    }
    if (layout.received > 0) {
      const from = record + layout.received
      micros[0] = source.getUint32(from) * 1e6
      at = putLiteral(RECEIVED, view, at)
      at = this.received.put(micros, 0, 0, 0, view, at)
      bytes[at++] = DOT
      at = putMicros(source.getUint32(from + 4), view, at)
      bytes[at++] = SPACE
    }
    if (layout.proto > 0) {
      const from = record + layout.proto
      at = putLiteral(PROTO, view, at)
      at = putSmall(records[from + 1], view, at)
      at = putLiteral(FLAGS, view, at)
      at = putHex(records, from, from + 1, view, at)
      at = putLiteral(TOS, view, at)
      at = putHex(records, from + 2, from + 3, view, at)
      bytes[at++] = SPACE
    }
    const { exporter4, exporter6, src4, src6, dst4, dst6, nextHop4, nextHop6, ports } = layout
    if (exporter4 + exporter6 > 0) {
      at = putLiteral(AGENT, view, at)
      at = this.address(records, source, record, exporter4, exporter6, at)
      bytes[at++] = SPACE
    }
    if (src4 + src6 > 0) {
      at = putLiteral(SRC, view, at)
      at = this.address(records, source, record, src4, src6, at)
      if (ports > 0) at = this.port(source.getUint16(record + ports), at)
      bytes[at++] = SPACE
    }
    if (dst4 + dst6 > 0) {
      at = putLiteral(DST, view, at)
      at = this.address(records, source, record, dst4, dst6, at)
      if (ports > 0) at = this.port(source.getUint16(record + ports + 2), at)
      bytes[at++] = SPACE
    }
    if (nextHop4 + nextHop6 > 0) {
      at = putLiteral(GATEWAY, view, at)
      at = this.address(records, source, record, nextHop4, nextHop6, at)
      bytes[at++] = SPACE
    }
    if (layout.packets > 0) {
      at = putLiteral(PACKETS, view, at)
      at = putCounter(source, record + layout.packets, view, at)
      bytes[at++] = SPACE
    }
    if (layout.bytes > 0) {
      at = putLiteral(OCTETS, view, at)
      at = putCounter(source, record + layout.bytes, view, at)
      bytes[at++] = SPACE
    }
    if (layout.interfaces > 0) {
      at = putLiteral(IN_IF, view, at)
      at = putSigned(source.getInt32(record + layout.interfaces), view, at)
      at = putLiteral(OUT_IF, view, at)
      at = putSigned(source.getInt32(record + layout.interfaces + 4), view, at)
      bytes[at++] = SPACE
    }
    if (layout.clock > 0) at = this.clock(source, record + layout.clock, at)
    if (layout.times > 0) {
      const from = record + layout.times
      at = putLiteral(START, view, at)
      at = putUptime(source.getUint32(from), view, at)
      at = putLiteral(FINISH, view, at)
      at = putUptime(source.getUint32(from + 4), view, at)
      bytes[at++] = SPACE
    }
    if (layout.routing > 0) {
      const from = record + layout.routing
      at = putLiteral(SRC_AS, view, at)
      at = putUint(source.getUint32(from), view, at)
      at = putLiteral(SRC_MASK, view, at)
      at = putSmall(records[from + 8], view, at)
      at = putLiteral(DST_AS, view, at)
      at = putUint(source.getUint32(from + 4), view, at)
      at = putLiteral(DST_MASK, view, at)
      at = putSmall(records[from + 9], view, at)
      bytes[at++] = SPACE
    }
    if (layout.engine > 0) {
      const from = record + layout.engine
      at = putLiteral(ENGINE_TYPE, view, at)
      at = putUint(source.getUint16(from), view, at)
      at = putLiteral(ENGINE_ID, view, at)
      at = putUint(source.getUint16(from + 2), view, at)
      at = putLiteral(SEQUENCE, view, at)
      at = putUint(source.getUint32(from + 4), view, at)
      at = putLiteral(SOURCE, view, at)
      at = putUint(source.getUint32(from + 8), view, at)
      bytes[at++] = SPACE
    }
    if (layout.crc > 0) {
      at = putLiteral(CHECKSUM, view, at)
      at = putHex(records, record + layout.crc, record + layout.crc + 4, view, at)
      bytes[at++] = SPACE
    }
    bytes[at] = NEWLINE
    return at + 1
  }

  private clock(source: DataView, from: number, at: number): number {
    const { bytes, view, micros } = this
    at = putLiteral(UPTIME, view, at)
    at = putUptime(source.getUint32(from), view, at)
    at = putLiteral(TIME, view, at)
    micros[0] = source.getUint32(from + 4) * 1e6
    at = this.exported.put(micros, 0, 0, 0, view, at)
    at = putLiteral(NANOS, view, at)
    at = putUint(source.getUint32(from + 8), view, at)
    at = putLiteral(VERSION, view, at)
    at = putUint(source.getUint16(from + 12), view, at)
    bytes[at] = SPACE
    return at + 1
  }

  /** Write an address and the bracket behind it. */
  private address(
    records: Uint8Array, source: DataView, record: number, four: number, six: number, at: number,
  ): number {
    const { bytes, view } = this
    at = four > 0 ? putIpv4(source.getUint32(record + four), view, at)
      : putInet6(records, record + six, view, at)
    bytes[at] = CLOSE
    return at + 1
  }

  private port(port: number, at: number): number {
    this.bytes[at] = COLON
    return putUint(port, this.view, at + 1)
  }
}

/** Write microseconds as flowd does, with five digits at least; six are what would make them a fraction. */
function putMicros(value: number, view: DataView, at: number): number {
  if (value >= 100_000) return putUint(value, view, at)
  const high = (value / 10_000) | 0
  return putDigits(value - high * 10_000, 4, view, putDigits(high, 1, view, at))
}

/** A number that is printed with its sign, `%d`. */
function putSigned(value: number, view: DataView, at: number): number {
  if (value >= 0) return putUint(value, view, at)
  view.setUint8(at, MINUS)
  return putUint(-value, view, at + 1)
}

function putCounter(source: DataView, from: number, view: DataView, at: number): number {
  return putUint64(source.getUint32(from + 4), source.getUint32(from), view, at)
}

/** Seconds of the units of an uptime, from the weeks on. */
const UNITS = [[604_800, 119], [86_400, 100], [3600, 104], [60, 109]] as const

/** Write milliseconds as `1d6h0s.000`: units of which there are none are left out. */
function putUptime(millis: number, view: DataView, at: number): number {
  let seconds = Math.floor(millis / 1000)
  const below = millis - seconds * 1000
  for (const [size, letter] of UNITS) {
    const count = Math.floor(seconds / size)
    if (count === 0) continue
    at = putSmall(count, view, at)
    view.setUint8(at++, letter)
    seconds -= count * size
  }
  at = putSmall(seconds, view, at)
  view.setUint8(at, 115) // s
  view.setUint8(at + 1, DOT)
  return putDigits(below, 3, view, at + 2)
}
