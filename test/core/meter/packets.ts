import { formatIpv4, formatIpv6, formatMac } from '../../../core/flow/address.ts'
import { isAddress, type FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS } from '../../../core/flow/fields.ts'
import type { FlowMeter } from '../../../core/meter/meter.ts'
import { bytesOf, uint } from '../pcap/frames.ts'

/** When the tests begin, µs. */
export const T0 = 1_795_266_000_000_000

/** 192.0.2.1 and 198.51.100.2. */
export const A = 'c0000201', B = 'c6336402'

/** TCP flags. */
export const FIN = 1, SYN = 2, RST = 4, ACK = 16

/** What of an IPv4 packet is not as usual. */
export interface Ipv4Options {
  readonly src?: string
  readonly dst?: string
  readonly tos?: number
  readonly ttl?: number
  readonly id?: number
  /** Place of a fragment in bytes, and whether more follow. */
  readonly offset?: number
  readonly more?: boolean
  /** Total length, if it is not the true one. */
  readonly length?: number
  readonly options?: string
}

/** An IPv4 packet in hexadecimal. */
export function ip4(proto: number, payload: string, o: Ipv4Options = {}): string {
  const { src = A, dst = B, tos = 0, ttl = 64, id = 0, offset = 0, more = false, options = '' } = o
  const words = 5 + options.length / 8
  const length = o.length ?? words * 4 + payload.length / 2
  const fragment = offset / 8 | (more ? 0x2000 : 0)
  return `4${words.toString(16)}${uint(tos, 1)}${uint(length, 2)}${uint(id, 2)}${uint(fragment, 2)}`
    + `${uint(ttl, 1)}${uint(proto, 1)}0000${src}${dst}${options}${payload}`
}

/** A TCP segment without options. */
export function tcp(srcPort: number, dstPort: number, flags: number, payload = ''): string {
  return `${uint(srcPort, 2)}${uint(dstPort, 2)}${'00'.repeat(8)}50${uint(flags, 1)}ffff00000000${payload}`
}

/** A TCP segment between two hosts, the other way round if `back`. */
export function segment(flags: number, back = false, payload = ''): string {
  return back
    ? ip4(6, tcp(443, 50000, flags, payload), { src: B, dst: A, ttl: 50 })
    : ip4(6, tcp(50000, 443, flags, payload))
}

/** A record of a pcap file in hexadecimal: a packet at so many seconds. */
export function record(at: number, packet: string): string {
  const time = T0 + Math.round(at * 1e6)
  const size = uint(packet.length / 2, 4)
  return uint(Math.floor(time / 1e6), 4) + uint(time % 1e6, 4) + size + size + packet
}

/** A pcap file of such records, of IP packets without a link. */
export function pcap(...records: string[]): Uint8Array {
  return pcapOf(101, records)
}

/** A pcap file of such records, of packets of that LINKTYPE_. */
export function pcapOf(linkType: number, records: readonly string[]): Uint8Array {
  return bytesOf(`a1b2c3d4000200040000000000000000${uint(65535, 4)}${uint(linkType, 4)}${records.join('')}`)
}

/** Gives the meter packets, in hexadecimal, as IP without a link unless told otherwise; `at` in seconds. */
export function feeder(meter: FlowMeter): (
  at: number, hex: string, more?: { link?: number, wire?: number, cut?: number, inIf?: number },
) => void {
  return (at, hex, { link = 101, wire, cut, inIf = 0 } = {}) => {
    // in the middle of other bytes, as in a ring
    const bytes = bytesOf(`ffff${hex}ffff`)
    const length = hex.length / 2
    const end = 2 + Math.min(cut ?? length, length)
    meter.add(bytes, 2, end, wire ?? length, T0 + Math.round(at * 1e6), link, inIf)
  }
}

/** A flow as text by field; times in seconds from T0. */
export type Told = Readonly<Record<string, string | number>>

/** What rows tell. */
export function rowsOf(batch: FlowBatch): Told[] {
  return Array.from({ length: batch.length }, (_, row) => {
    const shape = batch.shapes[batch.shape[row]]
    return Object.fromEntries(shape.fields.map((id) => [FIELDS[id].name, valueOf(batch, id, row)]))
  })
}

function valueOf(batch: FlowBatch, id: number, row: number): string | number {
  const column = batch.column(id)
  if (isAddress(column)) {
    return column.family[row] === 4 ? formatIpv4(column.v4[row]) : formatIpv6(column.v6, row * 16)
  }
  const value = column[row]
  const { type } = FIELDS[id]
  return type === 'time' ? (value - T0) / 1e6 : type === 'mac' ? formatMac(value) : value
}

/** What has ended so far, which is taken. */
export function ended(meter: FlowMeter): Told[] {
  const rows = rowsOf(meter.finished)
  meter.finished.clear()
  return rows
}

/** All flows, of which those that go on are ended. */
export function flushed(meter: FlowMeter): Told[] {
  const rows: Told[] = []
  while (meter.flush()) rows.push(...ended(meter))
  return rows
}

/** Some fields of each row, `-` where one is absent. */
export function pick(rows: readonly Told[], ...names: string[]): (string | number)[][] {
  return rows.map((row) => names.map((name) => row[name] ?? '-'))
}
