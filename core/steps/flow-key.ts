import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'

/** Reads what tells flows apart of the rows of one batch. */
export interface FlowKeys {
  /** The text of source, destination, ports and protocol; undefined where there are no addresses. */
  forward(row: number): string | undefined
  /** Put the same into the words of `out`, from the first on; false where there are no addresses. */
  forwardWords(row: number, out: Uint32Array): boolean
  /** As `forward` of the same conversation's other direction. */
  reverse(row: number): string | undefined
  /** The text of who exported it; empty if nobody says. */
  exporter(row: number): string
}

const ADDRESS = 17 // a byte of family, then IPv6, or IPv4 in the first four
const PORTS = 5 // protocol and two ports
const KEY = 2 * ADDRESS + PORTS
/** Words of a key, the last of them filled up with zeros. */
export const KEY_WORDS: number = Math.ceil(KEY / 4)
const PROTO_ICMP = 1
const PROTO_ICMP6 = 58

/** The keys of a batch, valid as long as its rows are. ICMP has no ports, whatever stands in them. */
export function flowKeys(batch: FlowBatch): FlowKeys {
  const { shape, srcAddr, dstAddr, srcPort, dstPort, proto, exporterAddr } = batch
  const has = (id: number) => batch.present(id)
  const [sources, destinations, exporters] = [ID.srcAddr, ID.dstAddr, ID.exporterAddr].map(has)
  const [srcPorts, dstPorts, protos] = [ID.srcPort, ID.dstPort, ID.proto].map(has)
  const words = new Uint32Array(KEY_WORDS)
  const key = Buffer.from(words.buffer)

  function putKey(row: number, from: AddressColumn, to: AddressColumn, isReverse: boolean): boolean {
    const index = shape[row]
    if (sources[index] === 0 || destinations[index] === 0) return false
    putAddress(key, 0, from, row)
    putAddress(key, ADDRESS, to, row)
    const protocol = protos[index] === 1 ? proto[row] : 0
    const hasPorts = protocol !== PROTO_ICMP && protocol !== PROTO_ICMP6
    const source = hasPorts && srcPorts[index] === 1 ? srcPort[row] : 0
    const destination = hasPorts && dstPorts[index] === 1 ? dstPort[row] : 0
    key[2 * ADDRESS] = protocol
    key.writeUInt16BE(isReverse ? destination : source, 2 * ADDRESS + 1)
    key.writeUInt16BE(isReverse ? source : destination, 2 * ADDRESS + 3)
    return true
  }

  return {
    forward: (row) => putKey(row, srcAddr, dstAddr, false) ? key.toString('latin1', 0, KEY) : undefined,
    forwardWords(row, out) {
      const hasKey = putKey(row, srcAddr, dstAddr, false)
      if (hasKey) out.set(words)
      return hasKey
    },
    reverse: (row) => putKey(row, dstAddr, srcAddr, true) ? key.toString('latin1', 0, KEY) : undefined,
    exporter(row) {
      if (exporters[shape[row]] === 0) return ''
      putAddress(key, 0, exporterAddr, row)
      return key.toString('latin1', 0, ADDRESS)
    },
  }
}

function putAddress(key: Buffer, at: number, { family, v4, v6 }: AddressColumn, row: number): void {
  key.fill(0, at, at + ADDRESS)
  key[at] = family[row]
  if (family[row] === 4) key.writeUInt32BE(v4[row], at + 1)
  else if (family[row] === 6) for (let i = 0; i < 16; i++) key[at + 1 + i] = v6[row * 16 + i]
}

/** When flows began and ended, µs; NaN where nothing says. */
export interface FlowSpans {
  start(row: number): number
  end(row: number): number
}

/** The times of a batch, valid as long as its rows are. */
export function flowSpans(batch: FlowBatch): FlowSpans {
  const { shape } = batch
  const times = [ID.flowStart, ID.flowEnd, ID.eventTime, ID.received].map((id) => ({
    present: batch.present(id), column: batch.column(id) as Float64Array,
  }))
  const [start, end, event, received] = times
  function first(row: number, ...order: readonly (typeof start)[]): number {
    for (const { present, column } of order) if (present[shape[row]] === 1) return column[row]
    return NaN
  }
  return {
    start: (row) => first(row, start, end, event, received),
    end: (row) => first(row, end, start, event, received),
  }
}
