import {
  ByteWriter, putIpv4, putSmall, putUint, putUint64, putWords, SLACK, toWords,
} from '../../core/flow/byte-writer.ts'
import { putInet6 } from '../inet6.ts'
import { Layouts, type Layout } from './layout.ts'

/** What `flowd-reader -c` prints first: the columns as flow-tools' flow-import has them. */
export const CSV_HEADER: string =
  '#:unix_secs,unix_nsecs,sysuptime,exaddr,dpkts,doctets,first,last,engine_type,engine_id,srcaddr,dstaddr,'
  + 'nexthop,input,output,srcport,dstport,prot,tos,tcp_flags,src_mask,dst_mask,src_as,dst_as\n'

/** The longest line: 24 values of 20 digits or an address, with their commas. */
const MAX_LINE = 24 * 46
const COMMA = 44
const NEWLINE = 10
/** What printf makes of an address that is not there. */
const NULL = '(null)'
const NULL_WORDS = toWords(NULL)

/**
 * Writes records as `flowd-reader -c` prints them: what a record lacks is 0, or `(null)` for an address.
 *
 * Source: flowd's store.c, store_format_flow_flowtools_csv.
 */
export class RecordRows extends ByteWriter {
  private readonly layouts = new Layouts()

  /** Write the lines of what a RecordWriter made, from `at` on. @returns the offset behind them */
  rows(records: Uint8Array, at: number): number {
    const source = new DataView(records.buffer, records.byteOffset, records.byteLength)
    for (let record = 0; record < records.length;) {
      const layout = this.layouts.of(source.getUint32(record + 4))
      this.room(at, MAX_LINE + SLACK)
      at = this.row(records, source, record, layout, at)
      record += layout.size
    }
    return at
  }

  private row(records: Uint8Array, source: DataView, record: number, layout: Layout, at: number): number {
    const { clock, times, engine, interfaces, ports, proto, routing } = layout
    at = this.word(source, record, clock, 4, at)
    at = this.word(source, record, clock, 8, at)
    at = this.word(source, record, clock, 0, at)
    at = this.address(records, source, record, layout.exporter4, layout.exporter6, at)
    at = this.counter(source, record, layout.packets, at)
    at = this.counter(source, record, layout.bytes, at)
    at = this.word(source, record, times, 0, at)
    at = this.word(source, record, times, 4, at)
    at = this.half(source, record, engine, 0, at)
    at = this.half(source, record, engine, 2, at)
    at = this.address(records, source, record, layout.src4, layout.src6, at)
    at = this.address(records, source, record, layout.dst4, layout.dst6, at)
    at = this.address(records, source, record, layout.nextHop4, layout.nextHop6, at)
    at = this.word(source, record, interfaces, 0, at)
    at = this.word(source, record, interfaces, 4, at)
    at = this.half(source, record, ports, 0, at)
    at = this.half(source, record, ports, 2, at)
    at = this.byte(records, record, proto, 1, at)
    at = this.byte(records, record, proto, 2, at)
    at = this.byte(records, record, proto, 0, at)
    at = this.byte(records, record, routing, 8, at)
    at = this.byte(records, record, routing, 9, at)
    at = this.word(source, record, routing, 0, at)
    at = this.word(source, record, routing, 4, at)
    this.bytes[at - 1] = NEWLINE // for the last comma
    return at
  }

  private byte(records: Uint8Array, record: number, field: number, offset: number, at: number): number {
    return this.comma(putSmall(field > 0 ? records[record + field + offset] : 0, this.view, at))
  }

  private half(source: DataView, record: number, field: number, offset: number, at: number): number {
    return this.comma(putUint(field > 0 ? source.getUint16(record + field + offset) : 0, this.view, at))
  }

  private word(source: DataView, record: number, field: number, offset: number, at: number): number {
    return this.comma(putUint(field > 0 ? source.getUint32(record + field + offset) : 0, this.view, at))
  }

  private counter(source: DataView, record: number, field: number, at: number): number {
    if (field === 0) return this.comma(putSmall(0, this.view, at))
    const from = record + field
    return this.comma(putUint64(source.getUint32(from + 4), source.getUint32(from), this.view, at))
  }

  private address(
    records: Uint8Array, source: DataView, record: number, four: number, six: number, at: number,
  ): number {
    const { view } = this
    if (four > 0) return this.comma(putIpv4(source.getUint32(record + four), view, at))
    if (six > 0) return this.comma(putInet6(records, record + six, view, at))
    putWords(NULL_WORDS, 0, NULL_WORDS.length, view, at)
    return this.comma(at + NULL.length)
  }

  private comma(at: number): number {
    this.bytes[at] = COMMA
    return at + 1
  }
}
